//! Rotary position embeddings: cosines and sines by position.

use candle_core::{DType, Device, Result, Tensor};

use crate::config::Config;

/// Tables of all positions of the context.
#[derive(Debug)]
pub(crate) struct Rotation {
    cos: Tensor,
    sin: Tensor,
}

impl Rotation {
    /// Tables of `positions` positions. Products are rounded to f32, as the reference's are.
    pub(crate) fn new(
        config: &Config,
        positions: usize,
        (dtype, device): (DType, &Device),
    ) -> Result<Self> {
        let angles: Vec<f32> =
            config.rope.angles(config.head_dim).into_iter().map(|angle| angle as f32).collect();
        let turned: Vec<f32> = (0..positions)
            .flat_map(|position| angles.iter().map(move |angle| position as f32 * angle))
            .collect();
        let turned = Tensor::from_vec(turned, (positions, angles.len()), &Device::Cpu)?;
        Ok(Self {
            cos: turned.cos()?.to_dtype(dtype)?.to_device(device)?,
            sin: turned.sin()?.to_dtype(dtype)?.to_device(device)?,
        })
    }

    /// The cosines and sines at `positions`.
    pub(crate) fn at(&self, positions: &Tensor) -> Result<(Tensor, Tensor)> {
        Ok((self.cos.index_select(positions, 0)?, self.sin.index_select(positions, 0)?))
    }
}
