//! A model's shape, as its folder says it. Nothing is assumed: what is missing or unknown is refused.

use std::path::Path;

use serde_json::Value;

use crate::fields::Fields;
use classifiers_llama_guard_prompt::LoadError;

/// The shape of a Llama.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) vocabulary: usize,
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    /// Heads of keys and values; each serves `heads / kv_heads` heads of queries.
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) feed_forward: usize,
    /// Added to the mean square in RMSNorm.
    pub(crate) epsilon: f64,
    pub(crate) rope: Rope,
    /// Whether the output layer is the embedding.
    pub(crate) tied: bool,
    /// The longest input in tokens.
    pub(crate) context: usize,
}

/// How positions are turned into angles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rope {
    pub(crate) theta: f64,
    pub(crate) scaling: Option<Llama3Scaling>,
}

/// How Llama 3.1 and later stretch the slow angles over a longer context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Llama3Scaling {
    pub(crate) factor: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// The context before it was stretched, in tokens.
    pub(crate) original: f64,
}

/// More layers, tokens or units than any Llama has; keeps the arithmetic far from overflowing.
const MOST: usize = 1 << 24;

impl Config {
    /// Reads config.json.
    pub(crate) fn read(path: &Path) -> Result<Self, LoadError> {
        let text = std::fs::read(path).map_err(|error| LoadError::unreadable(path, error))?;
        let value: Value = serde_json::from_slice(&text)
            .map_err(|error| LoadError::wrong(path, format!("it is no JSON: {error}")))?;
        Self::of(&Fields::new(path, &value))
    }

    fn of(fields: &Fields<'_>) -> Result<Self, LoadError> {
        let kind = fields.text("model_type")?;
        if kind != "llama" {
            return Err(fields.fault(format!(
                "model_type is `{kind}`; Llama Guard 3 1B, 8B and 8B-INT8 are `llama`"
            )));
        }
        for (name, wanted) in [("attention_bias", false), ("mlp_bias", false)] {
            if fields.flag(name)?.unwrap_or(wanted) != wanted {
                return Err(fields.fault(format!("{name} is not known for a Llama Guard")));
            }
        }
        if fields.optional_text("hidden_act")?.is_some_and(|name| name != "silu") {
            return Err(fields.fault("hidden_act must be `silu`"));
        }
        let (hidden, heads) = (fields.count("hidden_size")?, fields.count("num_attention_heads")?);
        let config = Self {
            vocabulary: fields.count("vocab_size")?,
            hidden,
            layers: fields.count("num_hidden_layers")?,
            heads,
            kv_heads: fields.count("num_key_value_heads")?,
            head_dim: fields.optional_count("head_dim")?.unwrap_or(hidden / heads),
            feed_forward: fields.count("intermediate_size")?,
            epsilon: fields.number("rms_norm_eps")?,
            rope: rope(fields)?,
            tied: fields.flag("tie_word_embeddings")?.unwrap_or(false),
            context: fields.count("max_position_embeddings")?,
        };
        config.checked().map_err(|fault| fields.fault(fault))
    }

    /// Whether the numbers fit each other.
    pub(crate) fn checked(self) -> Result<Self, String> {
        let counts = [
            self.vocabulary,
            self.hidden,
            self.layers,
            self.heads,
            self.kv_heads,
            self.head_dim,
            self.feed_forward,
            self.context,
        ];
        if counts.iter().any(|count| !(1..=MOST).contains(count)) {
            return Err(format!("a size is 0 or absurd: {counts:?}"));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let Self { heads, kv_heads, .. } = self;
            return Err(format!("{heads} heads do not share {kv_heads} key heads evenly"));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(format!("a head of {} units cannot be rotated", self.head_dim));
        }
        if !(self.epsilon > 0.0 && self.epsilon < 1.0) {
            return Err("rms_norm_eps is not between 0 and 1".to_owned());
        }
        self.rope.checked()?;
        Ok(self)
    }

    /// Bytes of keys and values of one token, where a number has `width` bytes.
    pub(crate) const fn kv_bytes(&self, width: usize) -> usize {
        2 * self.layers * self.kv_heads * self.head_dim * width
    }
}

/// Both spellings: `rope_theta` with `rope_scaling`, and `rope_parameters` as transformers 5 writes.
fn rope(fields: &Fields<'_>) -> Result<Rope, LoadError> {
    if let Some(parameters) = fields.inner("rope_parameters")? {
        let theta = match parameters.optional_number("rope_theta")? {
            Some(theta) => theta,
            None => fields.number("rope_theta")?,
        };
        return Ok(Rope { theta, scaling: scaling(&parameters)? });
    }
    let theta = fields.number("rope_theta")?;
    let scaling = match fields.inner("rope_scaling")? {
        Some(inner) => scaling(&inner)?,
        None => None,
    };
    Ok(Rope { theta, scaling })
}

/// What may stand in either object; anything else may change the numbers.
const KNOWN: [&str; 7] = [
    "rope_type",
    "type",
    "rope_theta",
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "original_max_position_embeddings",
];

fn scaling(fields: &Fields<'_>) -> Result<Option<Llama3Scaling>, LoadError> {
    if let Some(name) = fields.names().find(|name| !KNOWN.contains(name)) {
        return Err(fields.fault(format!("`{name}` of the rope settings is not known")));
    }
    let kind = match fields.optional_text("rope_type")? {
        Some(kind) => kind,
        None => fields.text("type")?,
    };
    match kind {
        "default" => Ok(None),
        "llama3" => Ok(Some(Llama3Scaling {
            factor: fields.number("factor")?,
            low: fields.number("low_freq_factor")?,
            high: fields.number("high_freq_factor")?,
            original: fields.number("original_max_position_embeddings")?,
        })),
        _ => {
            Err(fields
                .fault(format!("rope type `{kind}` is not known; `default` and `llama3` are")))
        }
    }
}

impl Rope {
    fn checked(&self) -> Result<(), String> {
        let positive = |number: f64| number.is_finite() && number > 0.0;
        if !positive(self.theta) {
            return Err("rope_theta is not above 0".to_owned());
        }
        let Some(Llama3Scaling { factor, low, high, original }) = self.scaling else {
            return Ok(());
        };
        let fits = [factor, low, high, original].into_iter().all(positive) && high > low;
        if fits { Ok(()) } else { Err("the rope scaling's numbers do not fit".to_owned()) }
    }

    /// The angle by which each pair of units turns from one position to the next, fastest first.
    ///
    /// Scaling as in `transformers` (`_compute_llama3_parameters`) and Meta's own code: slow angles are divided by the
    /// factor, fast ones stay, between them it is interpolated.
    pub(crate) fn angles(&self, head_dim: usize) -> Vec<f64> {
        let pairs = head_dim / 2;
        let plain = (0..pairs).map(|pair| self.theta.powf(-(pair as f64) / pairs as f64));
        let Some(scaling) = self.scaling else { return plain.collect() };
        plain.map(|angle| scaling.stretched(angle)).collect()
    }
}

impl Llama3Scaling {
    fn stretched(&self, angle: f64) -> f64 {
        let wavelength = std::f64::consts::TAU / angle;
        if wavelength < self.original / self.high {
            return angle;
        }
        if wavelength > self.original / self.low {
            return angle / self.factor;
        }
        let smooth = (self.original / wavelength - self.low) / (self.high - self.low);
        (1.0 - smooth) * angle / self.factor + smooth * angle
    }
}
