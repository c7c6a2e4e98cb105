//! The Open Inference Protocol, version 2 (Triton, KServe, MLServer): ids in, logits out.

use bytes::Bytes;
use classifiers_prompt_guard_windows::Scores;
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::fleet::Question;
use crate::prompt_guard::Inner;

/// What the servers say about a window's ids.
pub(crate) async fn scores(guard: &Inner, ids: &[u32]) -> Result<Scores, Fault> {
    let tensor = |name: &str, data: Value| json!({ "name": name, "shape": [1, ids.len()], "datatype": "INT64", "data": data });
    let body = json!({
        "inputs": [
            tensor("input_ids", json!(ids)),
            tensor("attention_mask", json!(vec![1; ids.len()])),
        ],
        "outputs": [{ "name": "logits" }],
    });
    let path = format!("/v2/models/{}/infer", guard.model);
    let question = Question::new(&path, Bytes::from(body.to_string()));
    guard.fleet.ask(&question, |answer| read(guard, answer)).await
}

/// The one output, as long as there are labels.
fn read(guard: &Inner, answer: &Value) -> Result<Scores, Fault> {
    if answer.get("model_name").and_then(Value::as_str) != Some(&guard.model) {
        return Err(Fault::odd("another model answers than was asked"));
    }
    let outputs = answer.get("outputs").and_then(Value::as_array);
    let mut outputs = outputs.into_iter().flatten();
    let logits =
        outputs.find(|output| output.get("name").and_then(Value::as_str) == Some("logits"));
    let logits = logits.ok_or_else(|| Fault::odd("it has no output `logits`"))?;
    if logits.get("shape") != Some(&json!([1, guard.labels.len()])) {
        return Err(Fault::odd("its logits are not one row of the folder's labels"));
    }
    let data = logits.get("data").and_then(Value::as_array);
    // Some servers nest the rows.
    let data = match data.map(Vec::as_slice) {
        Some([Value::Array(row)]) => Some(row),
        _ => data,
    };
    #[expect(clippy::cast_possible_truncation, reason = "logits are single precision")]
    let numbers = data.into_iter().flatten().map(|value| value.as_f64().map(|x| x as f32));
    let numbers: Option<Vec<f32>> = numbers.collect();
    let scores = numbers.and_then(|logits| guard.family.scores(&logits, guard.temperature));
    scores
        .ok_or_else(|| Fault::odd("its logits are not as many finite numbers as there are labels"))
}
