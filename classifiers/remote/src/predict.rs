//! `POST /predict` of text-embeddings-inference: a text in, a probability for each label out.

use bytes::Bytes;
use classifiers_prompt_guard_windows::Scores;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::fleet::Question;
use crate::prompt_guard::Inner;

/// Probabilities are printed with few digits.
const ROUNDING: f32 = 0.02;

/// What the servers say about `text`. They are asked not to cut anything off.
pub(crate) async fn scores(guard: &Inner, text: &str) -> Result<Scores, Fault> {
    let body = json!({ "inputs": text, "raw_scores": false, "truncate": false }).to_string();
    let question = Question::new("/predict", Bytes::from(body));
    guard.fleet.ask(&question, |answer| read(guard, answer)).await
}

/// One probability for each label of the folder, whatever their order.
fn read(guard: &Inner, answer: &Value) -> Result<Scores, Fault> {
    let listed = answer.as_array().ok_or_else(|| Fault::odd("it is no list"))?;
    // A list for each text, where several were asked about or the server does not tell.
    let listed = match &listed[..] {
        [Value::Array(only)] => only,
        _ => listed,
    };
    if listed.len() != guard.labels.len() {
        return Err(Fault::odd("it has another number of labels than the folder"));
    }
    let probabilities = guard.labels.iter().enumerate().map(|(id, label)| {
        let is_it = |said: &&Value| {
            let said = said.get("label").and_then(Value::as_str).unwrap_or_default();
            said.eq_ignore_ascii_case(label) || said == format!("LABEL_{id}")
        };
        let score = listed.iter().find(is_it).and_then(|said| said.get("score")?.as_f64());
        #[expect(clippy::cast_possible_truncation, reason = "scores are single precision")]
        score.map(|score| score as f32).filter(|score| (0.0..=1.0).contains(score))
    });
    let probabilities: Option<Vec<f32>> = probabilities.collect();
    let probabilities = probabilities
        .ok_or_else(|| Fault::odd("its labels are not those of the folder, or have no score"))?;
    if (probabilities.iter().sum::<f32>() - 1.0).abs() > ROUNDING {
        return Err(Fault::odd("its scores are no probabilities"));
    }
    // The logarithm of a probability is a logit; that of nothing would not be finite.
    let logits: Vec<f32> = probabilities.iter().map(|p| p.max(f32::MIN_POSITIVE).ln()).collect();
    let scores = guard.family.scores(&logits, guard.temperature);
    scores.ok_or_else(|| Fault::odd("its scores are no numbers"))
}
