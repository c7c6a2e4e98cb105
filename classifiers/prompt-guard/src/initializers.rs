//! Weights that several sessions of one model share.
//!
//! ONNX Runtime shares weights, and the form it packs them into, between sessions that are given them from outside.
//! So they are read from the file here: a small part of the ONNX format (protocol buffers), enough to find them.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ort::session::builder::{PrepackedWeights, SessionBuilder};
use ort::value::{DynValue, Tensor};

use crate::engine::said;

/// Smaller ones are not worth it.
const SMALLEST: usize = 4096;

/// Weights by name, and the container for their packed forms.
pub(crate) struct Shared {
    weights: Vec<(String, Arc<DynValue>)>,
    packed: PrepackedWeights,
}

impl Shared {
    /// Reads the weights of the model at `path`. Those that are not inside the file, or of a kind that this does not
    /// know, are left to each session.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        // Packed weights live in the runtime: it must be there first.
        crate::library::environment().map_err(|error| error.to_string())?;
        let model = std::fs::read(path).map_err(|error| error.to_string())?;
        let mut weights = Vec::new();
        for tensor in tensors(&model).unwrap_or_default() {
            if let Some(value) = tensor.value(&model).transpose()? {
                weights.push((tensor.name, value));
            }
        }
        Ok(Self { weights, packed: PrepackedWeights::new() })
    }

    /// Has a session take its weights from here.
    pub(crate) fn give_to(&self, builder: SessionBuilder) -> Result<SessionBuilder, String> {
        let mut builder = builder.with_prepacked_weights(&self.packed).map_err(said)?;
        for (name, value) in &self.weights {
            builder = builder.with_initializer(name, Arc::clone(value)).map_err(said)?;
        }
        Ok(builder)
    }
}

/// A weight as the file has it (`TensorProto`).
#[derive(Debug, Default)]
struct Weight {
    name: String,
    shape: Vec<i64>,
    kind: u64,
    data: Range<usize>,
}

impl Weight {
    /// The weight as a tensor of its own; `None` if it is too small or of another kind.
    fn value(&self, model: &[u8]) -> Option<Result<Arc<DynValue>, String>> {
        let bytes = model.get(self.data.clone()).filter(|bytes| bytes.len() >= SMALLEST)?;
        let shape = self.shape.clone();
        let tensor = match self.kind {
            1 => {
                let values = bytes.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
                Tensor::<f32>::from_array((shape, Vec::into_boxed_slice(values)))
                    .map(Tensor::into_dyn)
            }
            2 => Tensor::<u8>::from_array((shape, bytes.to_vec())).map(Tensor::into_dyn),
            3 => {
                let values = bytes.iter().map(|x| x.cast_signed()).collect::<Vec<i8>>();
                Tensor::<i8>::from_array((shape, values)).map(Tensor::into_dyn)
            }
            _ => return None,
        };
        Some(tensor.map(Arc::new).map_err(|error| error.to_string()))
    }
}

/// `ModelProto.graph` and `GraphProto.initializer`.
const GRAPH: u64 = 7;
const INITIALIZER: u64 = 5;

fn tensors(model: &[u8]) -> Option<Vec<Weight>> {
    let graph = fields(model, 0..model.len()).find_map(|(field, value)| match value {
        Field::Bytes(place) if field == GRAPH => Some(place),
        _ => None,
    })?;
    let tensors = fields(model, graph).filter_map(|(field, value)| match value {
        Field::Bytes(place) if field == INITIALIZER => weight(model, place),
        _ => None,
    });
    Some(tensors.collect())
}

fn weight(model: &[u8], place: Range<usize>) -> Option<Weight> {
    let mut weight = Weight::default();
    for (field, value) in fields(model, place) {
        match (field, value) {
            (1, Field::Number(size)) => weight.shape.push(i64::try_from(size).ok()?),
            (1, Field::Bytes(sizes)) => weight.shape.extend(packed(model, sizes)?),
            (2, Field::Number(kind)) => weight.kind = kind,
            (8, Field::Bytes(name)) => {
                weight.name = std::str::from_utf8(model.get(name)?).ok()?.to_owned();
            }
            (9, Field::Bytes(data)) => weight.data = data,
            _ => {}
        }
    }
    Some(weight)
}

fn packed(model: &[u8], place: Range<usize>) -> Option<Vec<i64>> {
    let mut at = place.start;
    let mut sizes = Vec::new();
    while at < place.end {
        sizes.push(i64::try_from(number(model, &mut at)?).ok()?);
    }
    Some(sizes)
}

/// A field's value: a number, or the place of bytes.
enum Field {
    Number(u64),
    Bytes(Range<usize>),
    Other,
}

/// The fields of the message at `place`, up to where it cannot be read any more.
fn fields(model: &[u8], place: Range<usize>) -> impl Iterator<Item = (u64, Field)> {
    let mut at = place.start;
    std::iter::from_fn(move || {
        if at >= place.end {
            return None;
        }
        let tag = number(model, &mut at)?;
        let value = match tag & 7 {
            0 => Field::Number(number(model, &mut at)?),
            2 => {
                let length = usize::try_from(number(model, &mut at)?).ok()?;
                let start = at;
                at = at.checked_add(length).filter(|end| *end <= place.end)?;
                Field::Bytes(start..at)
            }
            kind @ (1 | 5) => {
                at += if kind == 1 { 8 } else { 4 };
                Field::Other
            }
            _ => return None,
        };
        Some((tag >> 3, value))
    })
}

fn number(model: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *model.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
