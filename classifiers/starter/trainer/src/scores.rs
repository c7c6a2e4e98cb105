//! Out-of-fold scores as labelled JSON lines, which `portcullis calibrate` reads.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use classifiers_starter::COVERED;
use classifiers_starter::training::{CATEGORIES, HAZARDS, Knots, reference_scale};
use serde::Serialize;

use crate::data::{Attack, Row, hazard_bit};
use crate::error::Error;
use crate::folds::Raw;

/// One row: what is known about it and how it was scored, without its text.
#[derive(Serialize)]
struct Line<'a> {
    role: &'static str,
    attack: Option<&'static str>,
    hazards: Option<Vec<String>>,
    lang: &'a str,
    source: &'a str,
    scores: BTreeMap<&'static str, f32>,
}

/// Writes what each row that is not our own scores under `knots`.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write(
    path: &Path,
    rows: &[Row],
    raw: &Raw,
    knots: &[Knots; CATEGORIES],
) -> Result<(), Error> {
    let failed = |source: std::io::Error| Error::Write { path: path.into(), source };
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    for (row, raw) in rows.iter().zip(raw).filter(|(row, _)| !row.own) {
        let line = Line {
            role: if row.tool { "tool" } else { "user" },
            attack: row.attack.map(attack),
            hazards: row.hazards.map(codes),
            lang: &row.lang,
            source: &row.source,
            scores: scores(raw, knots),
        };
        let text = serde_json::to_string(&line).map_err(|error| failed(error.into()))?;
        writeln!(out, "{text}").map_err(failed)?;
    }
    out.flush().map_err(failed)
}

const fn attack(attack: Attack) -> &'static str {
    match attack {
        Attack::Benign => "benign",
        Attack::Injection => "injection",
        Attack::Jailbreak => "jailbreak",
    }
}

fn codes(mask: u16) -> Vec<String> {
    let codes = (1..=HAZARDS).map(|number| format!("S{number}"));
    codes.filter(|code| hazard_bit(code).is_some_and(|bit| mask & bit != 0)).collect()
}

/// Four decimals, as records keep them.
fn scores(raw: &[f32; CATEGORIES], knots: &[Knots; CATEGORIES]) -> BTreeMap<&'static str, f32> {
    let scored = COVERED.iter().zip(raw.iter().zip(knots));
    scored
        .map(|(category, (raw, knots))| {
            let score = reference_scale(*raw, *knots);
            (category.name(), (score * 10_000.0).round() / 10_000.0)
        })
        .collect()
}
