//! The forward pass of a Llama over packed sequences of different lengths.
//!
//! All new tokens lie in one matrix, so that every weight is read once. Only attention looks at sequences one by one,
//! each over its own keys and values, which are gathered from pages. No matrix of all tokens by all tokens is ever made.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::ops::rms_norm;
use candle_nn::rotary_emb::rope;

use crate::config::Config;
use crate::fused::{Sight, swiglu};
use crate::pages::PAGE;
use crate::rope::Rotation;

/// Attention scores that are in memory at a time, as f32: 256 MiB. In tests so few that there are several parts.
const MOST_SCORES: usize = if cfg!(test) { 64 << 10 } else { 64 << 20 };

/// A weight matrix, output by input.
#[derive(Debug)]
pub(crate) struct Linear(pub(crate) Tensor);

impl Linear {
    /// Input by rows to output by rows. On a processor the weights on the left are up to twice as fast for some hundred
    /// rows as rows on the left, and as fast for many.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.matmul(x)
    }
}

/// The weights of one layer.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) attention_norm: Tensor,
    pub(crate) query: Linear,
    pub(crate) key: Linear,
    pub(crate) value: Linear,
    pub(crate) output: Linear,
    pub(crate) feed_forward_norm: Tensor,
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

/// The weights around the layers.
#[derive(Debug)]
pub(crate) struct Weights {
    /// Vocabulary by hidden.
    pub(crate) embedding: Tensor,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Tensor,
    pub(crate) head: Linear,
}

/// A model with room for keys and values.
#[derive(Debug)]
pub(crate) struct Llama {
    config: Config,
    weights: Weights,
    rotation: Rotation,
    /// For each layer the keys and the values: heads by slots by units.
    store: Vec<(Tensor, Tensor)>,
    dtype: DType,
    device: Device,
}

/// New tokens of one sequence.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) tokens: &'a [u32],
    /// How many tokens of the sequence come before.
    pub(crate) start: usize,
    /// The slots of all tokens up to the last of these.
    pub(crate) slots: &'a [u32],
    /// Of which of `tokens` the last state is wanted.
    pub(crate) read: Vec<usize>,
}

/// What attention needs of a piece, the same in every layer.
struct Span {
    /// Its first row in the packed matrix, and how many.
    rows: (usize, usize),
    start: usize,
    gather: Tensor,
    /// Where its rows are written: first slot, first row in the piece, how many.
    runs: Vec<(usize, usize, usize)>,
    /// Parts of its rows that are computed one after the other: first row, how many, what they see.
    tiles: Vec<(usize, usize, Sight)>,
}

impl Llama {
    /// A model whose store holds `pages` pages.
    pub(crate) fn new(
        config: Config,
        weights: Weights,
        pages: usize,
        (dtype, device): (DType, &Device),
    ) -> Result<Self> {
        let slots = pages * PAGE;
        let shape = (config.kv_heads, slots, config.head_dim);
        let zeros = || Tensor::zeros(shape, dtype, device);
        let store = (0..config.layers).map(|_| Ok((zeros()?, zeros()?))).collect::<Result<_>>()?;
        let rotation = Rotation::new(&config, slots.min(config.context), (dtype, device))?;
        Ok(Self { config, weights, rotation, store, dtype, device: device.clone() })
    }

    /// Copies the keys and values of `count` slots.
    pub(crate) fn copy(&self, from: u32, to: u32, count: usize) -> Result<()> {
        for store in self.store.iter().flat_map(|(keys, values)| [keys, values]) {
            let rows = store.narrow(1, from as usize, count)?.copy()?.contiguous()?;
            store.slice_set(&rows, 1, to as usize)?;
        }
        Ok(())
    }

    /// Computes `pieces` and keeps their keys and values; the last states that were asked for, in order.
    pub(crate) fn forward(&self, pieces: &[Piece<'_>]) -> Result<Tensor> {
        let tokens: Vec<u32> = pieces.iter().flat_map(|piece| piece.tokens).copied().collect();
        let positions: Vec<u32> = pieces
            .iter()
            .flat_map(|piece| piece.start..piece.start + piece.tokens.len())
            .map(|position| position as u32)
            .collect();
        let (spans, read) = self.spans(pieces)?;
        let rotation = self.rotation.at(&Tensor::new(positions, &self.device)?)?;
        let tokens = Tensor::new(tokens, &self.device)?;
        let mut x = self.weights.embedding.index_select(&tokens, 0)?.to_dtype(self.dtype)?;
        let last = self.weights.layers.len().saturating_sub(1);
        for (at, (layer, store)) in self.weights.layers.iter().zip(&self.store).enumerate() {
            let normed = self.norm(&x, &layer.attention_norm)?.t()?;
            let mut attended = self.attention(layer, store, &normed, (&rotation, &spans))?;
            if at == last && read.elem_count() == 0 {
                return Tensor::zeros((0, self.config.hidden), self.dtype, &self.device);
            }
            if at == last {
                // Behind the last attention only what is read is of use.
                x = x.index_select(&read, 0)?;
                attended = attended.index_select(&read, 1)?;
            }
            x = (x + layer.output.forward(&attended)?.t()?.contiguous()?)?;
            let normed = self.norm(&x, &layer.feed_forward_norm)?.t()?;
            let gated = swiglu(layer.gate.forward(&normed)?, &layer.up.forward(&normed)?)?;
            x = (x + layer.down.forward(&gated)?.t()?.contiguous()?)?;
        }
        self.norm(&x, &self.weights.norm)
    }

    /// The logits of `states` over the whole vocabulary, as f32.
    pub(crate) fn logits(&self, states: &Tensor) -> Result<Tensor> {
        self.weights.head.forward(&states.t()?)?.t()?.contiguous()?.to_dtype(DType::F32)
    }

    fn norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        rms_norm(x, weight, self.config.epsilon as f32)
    }

    fn attention(
        &self,
        layer: &Layer,
        store: &(Tensor, Tensor),
        x: &Tensor,
        (rotation, spans): (&(Tensor, Tensor), &[Span]),
    ) -> Result<Tensor> {
        let Config { heads, kv_heads, head_dim, .. } = self.config;
        let rows = x.dim(1)?;
        let apart = |x: Tensor, heads: usize| {
            x.reshape((heads, head_dim, rows))?.transpose(1, 2)?.contiguous()
        };
        let turn = |x: Tensor| rope(&x.unsqueeze(0)?, &rotation.0, &rotation.1)?.squeeze(0);
        let query = turn(apart(layer.query.forward(x)?, heads)?)?;
        let query = (query * (head_dim as f64).sqrt().recip())?;
        let key = turn(apart(layer.key.forward(x)?, kv_heads)?)?;
        let value = apart(layer.value.forward(x)?, kv_heads)?;
        let mut attended = Vec::with_capacity(spans.len());
        for span in spans {
            span.write(&key, &store.0)?;
            span.write(&value, &store.1)?;
            attended.push(self.attend(span, &query, store)?);
        }
        let attended = Tensor::cat(&attended, 1)?;
        attended.transpose(1, 2)?.reshape((heads * head_dim, rows))
    }

    /// One sequence's attention: heads by rows by units.
    fn attend(&self, span: &Span, query: &Tensor, store: &(Tensor, Tensor)) -> Result<Tensor> {
        let Config { heads, kv_heads, head_dim, .. } = self.config;
        let key = store.0.index_select(&span.gather, 1)?.t()?;
        let value = store.1.index_select(&span.gather, 1)?;
        let mut tiles = Vec::with_capacity(span.tiles.len());
        for (first, rows, sight) in &span.tiles {
            let query = query.narrow(1, span.rows.0 + first, *rows)?.contiguous()?;
            // Heads that share keys lie side by side: they are one larger product.
            let together = query.reshape((kv_heads, heads / kv_heads * rows, head_dim))?;
            let seen = span.start + span.rows.1;
            let scores = together.matmul(&key)?.to_dtype(DType::F32)?;
            let scores = scores.reshape((heads, *rows, seen))?;
            let weights = sight.softmax(scores)?.to_dtype(self.dtype)?;
            let weights = weights.reshape((kv_heads, heads / kv_heads * rows, seen))?;
            tiles.push(weights.matmul(&value)?.reshape((heads, *rows, head_dim))?);
        }
        Tensor::cat(&tiles, 1)
    }

    /// What attention needs of `pieces`, and the rows that are read.
    fn spans(&self, pieces: &[Piece<'_>]) -> Result<(Vec<Span>, Tensor)> {
        let mut first = 0;
        let mut spans = Vec::with_capacity(pieces.len());
        let mut read = Vec::new();
        for piece in pieces {
            let rows = piece.tokens.len();
            read.extend(piece.read.iter().map(|row| (first + row) as u32));
            spans.push(Span {
                rows: (first, rows),
                start: piece.start,
                gather: Tensor::new(piece.slots, &self.device)?,
                runs: runs(piece.slots.get(piece.start..).unwrap_or_default()),
                tiles: self.tiles(piece.start, rows)?,
            });
            first += rows;
        }
        Ok((spans, Tensor::new(read, &self.device)?))
    }

    /// Parts of `rows` rows behind `start` tokens, whose scores have room at a time.
    fn tiles(&self, start: usize, rows: usize) -> Result<Vec<(usize, usize, Sight)>> {
        let seen = start + rows;
        let longest = (MOST_SCORES / self.config.heads / seen).max(1);
        let firsts = (0..rows).step_by(longest);
        firsts
            .map(|first| {
                let count = longest.min(rows - first);
                let sight = Sight::new((count, seen), start + first + 1, &self.device)?;
                Ok((first, count, sight))
            })
            .collect()
    }
}

impl Span {
    /// Writes its rows of `new` into `store`.
    fn write(&self, new: &Tensor, store: &Tensor) -> Result<()> {
        for (slot, row, count) in &self.runs {
            let rows = new.narrow(1, self.rows.0 + row, *count)?.contiguous()?;
            store.slice_set(&rows, 1, *slot)?;
        }
        Ok(())
    }
}

/// Slots one after the other, taken together: first slot, its row, how many.
fn runs(slots: &[u32]) -> Vec<(usize, usize, usize)> {
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    for (row, slot) in slots.iter().map(|slot| *slot as usize).enumerate() {
        match runs.last_mut() {
            Some((first, _, count)) if *first + *count == slot => *count += 1,
            _ => runs.push((slot, row, 1)),
        }
    }
    runs
}
