//! One session of ONNX Runtime.

use std::path::Path;

use classifiers_batching::Engine;
use classifiers_core::ClassifyError;
use ort::ep;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::Tensor;

use crate::device::Device;
use crate::initializers::Shared;
use classifiers_prompt_guard_windows::Window;

/// A session and what it is asked for.
pub(crate) struct Onnx {
    session: Session,
    /// The names of the inputs that are not ids: the mask, and types of tokens in some exports.
    wants_types: bool,
}

/// How sessions are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionOptions {
    pub(crate) threads: usize,
    pub(crate) device: Device,
}

impl Onnx {
    /// Loads the model at `path`, taking weights from `shared` if there are any.
    pub(crate) fn load(
        path: &Path,
        options: SessionOptions,
        shared: Option<&Shared>,
    ) -> Result<Self, String> {
        let environment = crate::library::environment().map_err(|error| error.to_string())?;
        let builder = Session::builder(&environment).map_err(|error| error.to_string())?;
        let builder = configured(builder, options)?;
        let mut builder = match shared {
            Some(shared) => shared.give_to(builder)?,
            None => builder,
        };
        let session = builder.commit_from_file(path).map_err(|error| error.to_string())?;
        Self::checked(session)
    }

    fn checked(session: Session) -> Result<Self, String> {
        let names: Vec<&str> = session.inputs().iter().map(ort::value::Outlet::name).collect();
        let known = |name: &&str| ["input_ids", "attention_mask", "token_type_ids"].contains(name);
        if !names.contains(&"input_ids")
            || !names.contains(&"attention_mask")
            || !names.iter().all(known)
        {
            return Err(format!(
                "its inputs are {}; they must be input_ids and attention_mask: export it again",
                names.join(", ")
            ));
        }
        let wants_types = names.contains(&"token_type_ids");
        if !session.outputs().iter().any(|output| output.name() == "logits") {
            return Err("it has no output `logits`: export it again".to_owned());
        }
        Ok(Self { session, wants_types })
    }

    /// The logits of each window.
    fn logits(&mut self, batch: &[Window]) -> Result<Vec<Vec<f32>>, ort::Error> {
        let longest = batch.iter().map(|window| window.ids.len()).max().unwrap_or_default();
        let mut ids = Vec::with_capacity(batch.len() * longest);
        let mut mask = Vec::with_capacity(batch.len() * longest);
        for window in batch {
            let padding = longest - window.ids.len();
            ids.extend(window.ids.iter().map(|id| i64::from(*id)));
            ids.extend(std::iter::repeat_n(0, padding));
            mask.extend(std::iter::repeat_n(1i64, window.ids.len()));
            mask.extend(std::iter::repeat_n(0, padding));
        }
        let shape = [batch.len(), longest];
        let types = self.wants_types.then(|| vec![0i64; ids.len()]);
        let mut inputs = ort::inputs! {
            "input_ids" => Tensor::from_array((shape, ids))?,
            "attention_mask" => Tensor::from_array((shape, mask))?,
        };
        if let Some(types) = types {
            inputs.push(("token_type_ids".into(), Tensor::from_array((shape, types))?.into()));
        }
        let outputs = self.session.run(inputs)?;
        let Some(logits) = outputs.get("logits") else { return Ok(Vec::new()) };
        let (shape, values) = logits.try_extract_tensor::<f32>()?;
        let labels =
            shape.last().and_then(|labels| usize::try_from(*labels).ok()).unwrap_or_default();
        Ok(values.chunks_exact(labels.max(1)).map(<[f32]>::to_vec).collect())
    }
}

impl Engine for Onnx {
    type Input = Window;
    type Output = Vec<f32>;

    fn run(&mut self, batch: &[Window]) -> Result<Vec<Vec<f32>>, ClassifyError> {
        self.logits(batch)
            .map_err(|error| ClassifyError::Failed(format!("ONNX Runtime failed: {error}")))
    }
}

fn configured(builder: SessionBuilder, options: SessionOptions) -> Result<SessionBuilder, String> {
    let builder = builder.with_optimization_level(GraphOptimizationLevel::Level3).map_err(said)?;
    let builder = builder.with_intra_threads(options.threads).map_err(said)?;
    let builder = builder.with_inter_threads(1).map_err(said)?;
    // Lengths differ from run to run.
    let builder = builder.with_memory_pattern(false).map_err(said)?;
    // Threads that spin are faster while there is work, and must not heat the room when there is none.
    let builder = builder.with_config_entry("session.force_spinning_stop", "1").map_err(said)?;
    match options.device {
        Device::Cpu => Ok(builder),
        Device::Cuda(number) => {
            let card = ep::CUDA::default().with_device_id(number).build();
            // Without the card there is no verdict: nobody who configured one wants to wait for the processor.
            builder.with_execution_providers([card.error_on_failure()]).map_err(said)
        }
    }
}

/// What went wrong with a builder, without the builder.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(crate) fn said(error: ort::Error<SessionBuilder>) -> String {
    error.to_string()
}
