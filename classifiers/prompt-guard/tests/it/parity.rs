//! The reference's numbers.

use std::fs::File;
use std::io::{BufRead, BufReader};

use classifiers_prompt_guard::{Mode, Options};
use flate2::read::GzDecoder;
use serde_json::Value;

use super::{fixture, load, options};

struct Row {
    text: String,
    ids: Vec<u32>,
    logits: Vec<f32>,
}

fn reference(name: &str) -> Vec<Row> {
    let file = GzDecoder::new(File::open(fixture(name).join("reference.jsonl.gz")).unwrap());
    let numbers =
        |value: &Value| value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    let row = |line: std::io::Result<String>| {
        let row: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let ids: Vec<f64> = numbers(&row["ids"]);
        let logits: Vec<f64> = numbers(&row["logits"]);
        Row {
            text: row["text"].as_str().unwrap().to_owned(),
            ids: ids.into_iter().map(|id| id as u32).collect(),
            logits: logits.into_iter().map(|logit| logit as f32).collect(),
        }
    };
    BufReader::new(file).lines().map(row).collect()
}

fn close(got: &[f32], wanted: &[f32]) -> bool {
    got.len() == wanted.len() && got.iter().zip(wanted).all(|(a, b)| (a - b).abs() <= 1e-4)
}

#[tokio::test]
async fn ids_and_logits_of_500_texts_are_pythons() {
    for name in ["labels3", "labels2"] {
        // Two sessions that share their weights must say what one says.
        let Some(model) = load(name, Options { sessions: 2, ..options() }) else { return };
        let rows = reference(name);
        assert_eq!(rows.len(), 500);
        for row in rows {
            assert_eq!(model.ids(&row.text).unwrap(), row.ids, "{name}: {:?}", row.text);
            let logits = model.logits(&row.text).await.unwrap();
            assert!(
                close(&logits[0], &row.logits),
                "{name}: {:?}: {logits:?}, not {:?}",
                row.text,
                row.logits
            );
        }
    }
}

#[tokio::test]
async fn batches_with_padding_change_no_logit() {
    let batches = classifiers_batching::BatchLimits { tokens: 4096, padding: 0.9, packed: false };
    let Some(model) = load("labels3", Options { batches: Some(batches), ..options() }) else {
        return;
    };
    let rows = reference("labels3");
    let asked: Vec<_> = rows
        .iter()
        .map(|row| {
            let (model, text) = (model.clone(), row.text.clone());
            tokio::spawn(async move { model.logits(&text).await })
        })
        .collect();
    for (row, logits) in rows.iter().zip(asked) {
        let logits = logits.await.unwrap().unwrap();
        assert!(close(&logits[0], &row.logits), "{:?}: {logits:?}, not {:?}", row.text, row.logits);
    }
    let counts = model.counts();
    assert!(counts.padding > 0 && counts.batches < counts.inputs, "{counts:?}");
}

#[tokio::test]
async fn the_reference_implementations_way_is_there_to_compare_with() {
    let compared = Options { mode: Mode::MetaCompat, ..options() };
    let (Some(ours), Some(theirs)) = (load("labels3", options()), load("labels3", compared)) else {
        return;
    };
    let short = "Could you summarise the attached report in three bullet points?";
    assert_eq!(ours.logits(short).await.unwrap(), theirs.logits(short).await.unwrap());
    let long = "the quick brown fox jumps over the lazy dog. ".repeat(100);
    let tokens = ours.ids(&long).unwrap().len();
    assert_eq!(theirs.logits(&long).await.unwrap().len(), (tokens + 2).div_ceil(512));
    assert_eq!(ours.logits(&long).await.unwrap().len(), (tokens - 510).div_ceil(255) + 1);
    assert_ne!(ours.id().revision, theirs.id().revision);
}
