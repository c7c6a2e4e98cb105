//! How a model is run.

use std::time::Duration;

use classifiers_batching::{BatchLimits, PoolOptions};
use classifiers_core::Category;
use classifiers_llama_guard_prompt::Long;

use crate::device::{Device, Precision};

/// How a model is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What it runs on.
    pub device: Device,
    /// What it is computed in; by default f32 on a processor, bf16 on a graphics card.
    pub precision: Option<Precision>,
    /// Threads that it is computed with on a processor; by default as many as there are processors.
    pub threads: Option<usize>,
    /// Tokens whose keys and values are kept at a time, those of prompts under way included; by default what suits the
    /// device. A prompt is never longer than this.
    pub kept_tokens: Option<usize>,
    /// Whether what was computed is kept for later prompts that begin the same.
    pub keeps_prefixes: bool,
    /// Tokens in one pass; by default what suits the device.
    pub pass_tokens: Option<usize>,
    /// How long a text waits for its verdict; what cannot be judged by then is refused when it comes.
    pub deadline: Duration,
    /// What becomes of a text that is longer than the context.
    pub long: Long,
    /// Categories that the model is not asked about.
    pub exclude: Vec<Category>,
    /// Other names for categories, such as a sentence that says what counts.
    pub rename: Vec<(Category, String)>,
    /// Whether a model must pass its self-test. Only who measures speed on random weights does without.
    pub self_test: bool,
}

/// 1 GiB of keys and values for the 1B in f32, 4 GiB for the 8B.
const CPU_KEPT: usize = 16 * 1024;
/// 8 GiB for the 8B in bf16.
const CUDA_KEPT: usize = 64 * 1024;
/// More does not make a processor faster, only its matrices larger.
const CPU_PASS: usize = 512;
/// Enough for a graphics card to be at its limit.
const CUDA_PASS: usize = 4096;
/// A processor gains by sharing a pass only while weights are read faster than they are multiplied.
const CPU_BATCH: usize = 1024;
/// Some thirty messages of a hundred tokens.
const CUDA_BATCH: usize = 16 * 1024;

impl Default for Options {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            precision: None,
            threads: None,
            kept_tokens: None,
            keeps_prefixes: true,
            pass_tokens: None,
            deadline: Duration::from_secs(10),
            long: Long::Window,
            exclude: Vec::new(),
            rename: Vec::new(),
            self_test: true,
        }
    }
}

impl Options {
    /// What it is computed in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision.unwrap_or_else(|| self.device.precision())
    }

    fn suited(&self, cpu: usize, cuda: usize) -> usize {
        match self.device {
            Device::Cpu => cpu,
            Device::Cuda(_) => cuda,
        }
    }

    pub(crate) fn kept_tokens(&self) -> usize {
        self.kept_tokens.unwrap_or_else(|| self.suited(CPU_KEPT, CUDA_KEPT))
    }

    pub(crate) fn pass_tokens(&self) -> usize {
        self.pass_tokens.unwrap_or_else(|| self.suited(CPU_PASS, CUDA_PASS))
    }

    pub(crate) fn pool(&self, tokens_per_second: f64) -> PoolOptions {
        let tokens = self.suited(CPU_BATCH, CUDA_BATCH);
        let batches = BatchLimits { tokens, padding: 0.0, packed: true };
        PoolOptions { batches, deadline: self.deadline, tokens_per_second }
    }
}
