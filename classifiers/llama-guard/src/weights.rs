//! From named tensors to a model's weights.

use candle_core::{DType, Device, Tensor};

use crate::config::Config;
use crate::llama::{Layer, Linear, Weights};
use crate::source::Source;
use classifiers_llama_guard_prompt::LoadError;

/// Takes all weights of a model of `config` out of `source`, as `dtype` on `device`.
pub(crate) fn dense(
    config: &Config,
    mut source: Source,
    on: (DType, &Device),
) -> Result<Weights, LoadError> {
    let Config { vocabulary, hidden, heads, kv_heads, head_dim, feed_forward, .. } = *config;
    let embedding = source.take("model.embed_tokens.weight", &[vocabulary, hidden], on)?;
    let mut layers = Vec::with_capacity(config.layers);
    for at in 0..config.layers {
        let mut take = |name: &str, shape: &[usize]| -> Result<Tensor, LoadError> {
            source.take(&format!("model.layers.{at}.{name}.weight"), shape, on)
        };
        let (wide, narrow) = (heads * head_dim, kv_heads * head_dim);
        layers.push(Layer {
            attention_norm: take("input_layernorm", &[hidden])?,
            query: Linear(take("self_attn.q_proj", &[wide, hidden])?),
            key: Linear(take("self_attn.k_proj", &[narrow, hidden])?),
            value: Linear(take("self_attn.v_proj", &[narrow, hidden])?),
            output: Linear(take("self_attn.o_proj", &[hidden, wide])?),
            feed_forward_norm: take("post_attention_layernorm", &[hidden])?,
            gate: Linear(take("mlp.gate_proj", &[feed_forward, hidden])?),
            up: Linear(take("mlp.up_proj", &[feed_forward, hidden])?),
            down: Linear(take("mlp.down_proj", &[hidden, feed_forward])?),
        });
    }
    let norm = source.take("model.norm.weight", &[hidden], on)?;
    let head = match config.tied {
        true => embedding.clone(),
        false => source.take("lm_head.weight", &[vocabulary, hidden], on)?,
    };
    source.all_taken()?;
    Ok(Weights { embedding, layers, norm, head: Linear(head) })
}
