//! What costs a processor most beside matrix products, in one go over memory and on all its threads. Each has a twin of
//! plain operations, which runs everywhere else and which it is tested against.

use candle_core::{
    CpuStorage, DType, Device, InplaceOp1, InplaceOp2, Layout, Result, Tensor, bail,
};
use candle_nn::ops::{silu, softmax_last_dim};
use rayon::prelude::*;

/// Numbers that one task takes: some tens of microseconds of work. Less is not worth waking a thread for.
const TASK: usize = 16 * 1024;

/// Which tokens `rows` rows of attention see, the first `visible` of `columns` and each further row one more.
#[derive(Debug)]
pub(crate) struct Sight {
    visible: usize,
    /// Minus infinity where a row does not see; only where the fused way is not taken.
    mask: Option<Tensor>,
}

impl Sight {
    pub(crate) fn new(
        (rows, columns): (usize, usize),
        visible: usize,
        device: &Device,
    ) -> Result<Self> {
        let everything = visible >= columns;
        let mask =
            (!device.is_cpu() && !everything).then(|| mask((rows, columns), visible, device));
        Ok(Self { visible, mask: mask.transpose()? })
    }

    /// Attention weights of `scores`, heads by rows by columns of f32.
    pub(crate) fn softmax(&self, scores: Tensor) -> Result<Tensor> {
        if scores.device().is_cpu() {
            let rows = scores.dim(1)?;
            scores.inplace_op1(&CausalSoftmax { rows, visible: self.visible })?;
            return Ok(scores);
        }
        plain_softmax(&scores, self.mask.as_ref())
    }
}

fn plain_softmax(scores: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    match mask {
        Some(mask) => softmax_last_dim(&scores.broadcast_add(mask)?),
        None => softmax_last_dim(scores),
    }
}

fn mask((rows, columns): (usize, usize), visible: usize, device: &Device) -> Result<Tensor> {
    let hidden = |row| (0..columns).map(move |column| column >= visible + row);
    let mask = (0..rows).flat_map(hidden).map(|hide| if hide { f32::NEG_INFINITY } else { 0.0 });
    Tensor::from_iter(mask, device)?.reshape((rows, columns))
}

/// SwiGLU: `gate` through SiLU, times `up`.
pub(crate) fn swiglu(gate: Tensor, up: &Tensor) -> Result<Tensor> {
    if gate.device().is_cpu() && gate.dtype() == DType::F32 {
        gate.inplace_op2(up, &SwiGlu)?;
        return Ok(gate);
    }
    plain_swiglu(&gate, up)
}

fn plain_swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    silu(gate)? * up
}

struct CausalSoftmax {
    rows: usize,
    visible: usize,
}

impl InplaceOp1 for CausalSoftmax {
    fn name(&self) -> &'static str {
        "causal-softmax"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let columns = layout.shape().dims3()?.2;
        let scores = numbers_mut(storage, layout)?;
        let weigh = |(row, scores): (usize, &mut [f32])| {
            let visible = (self.visible + row % self.rows).min(columns);
            let (seen, hidden) = scores.split_at_mut(visible);
            hidden.fill(0.0);
            let largest = seen.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            seen.iter_mut().for_each(|score| *score = (*score - largest).exp());
            let scale = seen.iter().sum::<f32>().recip();
            seen.iter_mut().for_each(|score| *score *= scale);
        };
        if scores.len() <= TASK {
            scores.chunks_mut(columns).enumerate().for_each(weigh);
            return Ok(());
        }
        let rows_in_a_task = (TASK / columns.max(1)).max(1);
        let rows = scores.par_chunks_mut(columns).enumerate();
        rows.with_min_len(rows_in_a_task).for_each(weigh);
        Ok(())
    }
}

struct SwiGlu;

impl InplaceOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        gate: &mut CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<()> {
        let (CpuStorage::F32(up), Some((from, to))) = (up, up_layout.contiguous_offsets()) else {
            bail!("swiglu wants contiguous f32");
        };
        let up = up.get(from..to).unwrap_or_default();
        let gate = numbers_mut(gate, gate_layout)?;
        let multiply = |(gate, up): (&mut [f32], &[f32])| {
            for (gate, up) in gate.iter_mut().zip(up) {
                *gate = *gate / (1.0 + (-*gate).exp()) * up;
            }
        };
        if gate.len() <= TASK {
            multiply((gate, up));
            return Ok(());
        }
        gate.par_chunks_mut(TASK).zip(up.par_chunks(TASK)).for_each(multiply);
        Ok(())
    }
}

fn numbers_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(numbers), Some((from, to))) => {
            Ok(numbers.get_mut(from..to).unwrap_or_default())
        }
        _ => bail!("it wants contiguous f32"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn apart(a: &Tensor, b: &Tensor) -> f32 {
        let apart = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        apart.max(0).unwrap().to_scalar().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn fused_and_plain_agree(heads in 1usize..4, rows in 1usize..40, before in 0usize..600) {
            let random = |shape: &[usize]| Tensor::randn(0f32, 3f32, shape, &Device::Cpu).unwrap();
            let scores = random(&[heads, rows, before + rows]);
            let shape = (rows, before + rows);
            let mask = mask(shape, before + 1, &Device::Cpu).unwrap();
            let plain = plain_softmax(&scores, Some(&mask)).unwrap();
            let sight = Sight::new(shape, before + 1, &Device::Cpu).unwrap();
            let fused = sight.softmax(scores).unwrap();
            prop_assert!(apart(&plain, &fused) < 1e-5);
            let (gate, up) = (random(&[rows, 37 * before + 1]), random(&[rows, 37 * before + 1]));
            let plain = plain_swiglu(&gate, &up).unwrap();
            prop_assert!(apart(&plain, &swiglu(gate, &up).unwrap()) < 1e-5);
        }
    }
}
