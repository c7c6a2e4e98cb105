//! Labelled texts from files: JSON lines, CSV, and CyberSecEval's sets, compressed by gzip or not.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use classifiers_core::{Category, Role};
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use crate::{Attack, Example, cyberseceval};

/// How a file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// By its name: `.csv` is CSV, `.json` and a folder are CyberSecEval's, all else is JSON lines; `.gz` may follow.
    #[default]
    Auto,
    /// A JSON object on each line.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
    /// A set of CyberSecEval, or a folder of them.
    CyberSecEval,
}

/// Why labelled texts could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened or decompressed.
    #[error("{} cannot be read", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not a labelled text.
    #[error("{}: line {line}: {why}", .path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong with it; never quotes the text.
        why: String,
    },
    /// There is nothing in it.
    #[error("{} holds no labelled texts that can be read", .0.display())]
    Empty(PathBuf),
}

/// Reads every labelled text of a file or folder.
///
/// # Errors
/// When the file cannot be read, or with the number of the first line that is no labelled text.
pub fn read(path: &Path, format: Format) -> Result<Vec<Example>, ReadError> {
    let format = if format == Format::Auto { by_name(path) } else { format };
    let examples = match format {
        Format::CyberSecEval => cyberseceval::read(path)?,
        Format::Csv => csv(path)?,
        Format::Auto | Format::Jsonl => jsonl(path)?,
    };
    if examples.is_empty() { Err(ReadError::Empty(path.into())) } else { Ok(examples) }
}

fn by_name(path: &Path) -> Format {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if path.is_dir() || name.ends_with(".json") {
        Format::CyberSecEval
    } else if name.ends_with(".csv") {
        Format::Csv
    } else {
        Format::Jsonl
    }
}

/// The bytes of a file, decompressed if it begins as gzip does, without a byte order mark.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead>, ReadError> {
    let failed = |source| ReadError::Io { path: path.into(), source };
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let gzip = file.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
    let mut bytes: Box<dyn BufRead> =
        if gzip { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) };
    if bytes.fill_buf().map_err(failed)?.starts_with(b"\xef\xbb\xbf") {
        bytes.consume(3);
    }
    Ok(bytes)
}

/// One labelled text as JSON. Fields that are not named here are passed over.
#[derive(Deserialize)]
struct Line {
    text: Option<String>,
    role: Option<String>,
    attack: Option<String>,
    hazards: Option<Vec<String>>,
    #[serde(default)]
    labels: BTreeMap<String, Option<bool>>,
    #[serde(alias = "language")]
    lang: Option<String>,
    source: Option<String>,
    scores: Option<BTreeMap<String, f32>>,
    /// Whether code has a known weakness; short for `labels: {insecure_code: ...}`.
    insecure: Option<bool>,
    /// The programming language, of texts that are code.
    code_lang: Option<String>,
}

impl Line {
    fn example(self) -> Result<Example, String> {
        if self.text.is_none() && self.scores.is_none() {
            return Err("there is neither a `text` nor `scores`".to_owned());
        }
        let mut labels = BTreeMap::new();
        for (name, label) in self.labels {
            if let Some(label) = label {
                labels.insert(category(&name)?, label);
            }
        }
        if let Some(insecure) = self.insecure {
            labels.insert(Category::InsecureCode, insecure);
        }
        let scores = self.scores.map(|scores| {
            let pairs = scores.into_iter().map(|(name, score)| Ok((category(&name)?, score)));
            pairs.collect::<Result<_, String>>()
        });
        let hazards = |names: Vec<String>| names.iter().map(|name| category(name)).collect();
        let hazards: Option<Result<_, String>> = self.hazards.map(hazards);
        Ok(Example {
            text: self.text,
            role: role(self.role.as_deref())?,
            attack: self.attack.as_deref().map(attack).transpose()?,
            hazards: hazards.transpose()?,
            labels,
            language: self.code_lang.or(self.lang).unwrap_or_default(),
            source: self.source.unwrap_or_default(),
            scores: scores.transpose()?,
            case: None,
        })
    }
}

fn role(name: Option<&str>) -> Result<Role, String> {
    match name {
        None | Some("user" | "") => Ok(Role::User),
        Some("assistant") => Ok(Role::Assistant),
        Some("tool") => Ok(Role::Tool),
        Some("system" | "developer") => Ok(Role::Operator),
        Some(_) => Err("the role is none of user, assistant, tool, system".to_owned()),
    }
}

fn attack(name: &str) -> Result<Attack, String> {
    match name {
        "benign" => Ok(Attack::Benign),
        "injection" => Ok(Attack::Injection),
        "jailbreak" => Ok(Attack::Jailbreak),
        _ => Err("the attack is none of benign, injection, jailbreak (null: unknown)".to_owned()),
    }
}

/// A category by its code or its name.
fn category(name: &str) -> Result<Category, String> {
    let coded = Category::ALL.into_iter().find(|category| category.code() == Some(name));
    let known = coded.or_else(|| name.parse().ok());
    // Not quoted at length: the file may hold anything.
    known.ok_or_else(|| {
        format!(
            "`{}` is no hazard: write S1 or violent_crimes",
            name.chars().take(40).collect::<String>()
        )
    })
}

fn jsonl(path: &Path) -> Result<Vec<Example>, ReadError> {
    let mut examples = Vec::new();
    for (number, line) in (1..).zip(open(path)?.lines()) {
        let line = line.map_err(|source| ReadError::Io { path: path.into(), source })?;
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |why| ReadError::Line { path: path.into(), line: number, why };
        let line: Line = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        examples.push(line.example().map_err(wrong)?);
    }
    Ok(examples)
}

/// A row of CSV. `hazards` are separated by `;` or spaces; `safe` says that there is none, and nothing that nobody
/// knows.
#[derive(Deserialize)]
struct Row {
    text: String,
    role: Option<String>,
    attack: Option<String>,
    hazards: Option<String>,
    #[serde(alias = "language")]
    lang: Option<String>,
    source: Option<String>,
}

fn csv(path: &Path) -> Result<Vec<Example>, ReadError> {
    let mut reader = csv::Reader::from_reader(open(path)? as Box<dyn Read>);
    let wrong = |line, why: String| ReadError::Line { path: path.into(), line, why };
    let headers = reader.headers().map_err(|error| wrong(1, error.to_string()))?.clone();
    let mut examples = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(examples),
            Err(error) => return Err(wrong(line, error.to_string())),
        }
        let line = record.position().map_or(line, csv::Position::line);
        let row: Row =
            record.deserialize(Some(&headers)).map_err(|error| wrong(line, error.to_string()))?;
        examples.push(row.example().map_err(|why| wrong(line, why))?);
    }
}

impl Row {
    fn example(self) -> Result<Example, String> {
        let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let codes = |text: String| {
            let codes = text.split([';', ' ']).filter(|code| !code.is_empty() && *code != "safe");
            codes.map(str::to_owned).collect()
        };
        let line = Line {
            text: Some(self.text),
            role: said(self.role),
            attack: said(self.attack),
            hazards: said(self.hazards).map(codes),
            labels: BTreeMap::new(),
            lang: said(self.lang),
            source: said(self.source),
            scores: None,
            insecure: None,
            code_lang: None,
        };
        line.example()
    }
}
