//! The project's own generated texts: templates of eight languages, and real rows disguised or spoiled.
//!
//! Two kinds. *Template* rows stand alone and belong to the group [`OWN`], which is never held out. *Carrier*
//! rows are made from a labelled row (a document with an instruction put into it, a request put behind a
//! disguise) and belong to the group of that row: they are held out with it.

#![expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "built-in templates, cut at ASCII braces and bars found in them"
)]

use std::collections::BTreeMap;

use crate::data::{Attack, Row, hazard_bit};
use crate::disguise;
use crate::error::Error;
use crate::folds::OWN;
use crate::random::Random;

const FILES: [(&str, &str, &str); 8] = [
    ("en", "en.txt", include_str!("../templates/en.txt")),
    ("de", "de.txt", include_str!("../templates/de.txt")),
    ("fr", "fr.txt", include_str!("../templates/fr.txt")),
    ("es", "es.txt", include_str!("../templates/es.txt")),
    ("it", "it.txt", include_str!("../templates/it.txt")),
    ("pt", "pt.txt", include_str!("../templates/pt.txt")),
    ("hi", "hi.txt", include_str!("../templates/hi.txt")),
    ("th", "th.txt", include_str!("../templates/th.txt")),
];
/// Rounds of templates in each language; English has twice as many. Nine rows a round.
pub(crate) const TEMPLATES: usize = 200;
/// Rounds of carriers: each spoils a document and disguises a request. Three rows a round.
pub(crate) const CARRIERS: usize = 5000;
/// Deepest nesting of templates; what is deeper is left out.
const MAX_DEPTH: u32 = 6;

type Sections = BTreeMap<&'static str, Vec<&'static str>>;

/// The templates of all languages.
pub(crate) struct Templates {
    languages: Vec<(&'static str, Sections)>,
}

impl Templates {
    /// Parses the built-in templates.
    pub(crate) fn new() -> Result<Self, Error> {
        let mut languages = Vec::new();
        for (language, file, text) in FILES {
            let mut sections = Sections::new();
            let mut current = None;
            for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
                if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                    current = Some(name);
                } else {
                    let name = current.ok_or(Error::Source { file, line: line.to_owned() })?;
                    sections.entry(name).or_default().push(line);
                }
            }
            languages.push((language, sections));
        }
        Ok(Self { languages })
    }

    /// One random text of `section` in a language; `request` fills the slot of that name.
    fn text(&self, language: usize, section: &str, request: &str, random: &mut Random) -> String {
        let mut out = String::new();
        if let Some((_, sections)) = self.languages.get(language)
            && let Some(lines) = sections.get(section)
        {
            let line = lines[random.below(lines.len())];
            self.expand(&Filling { language, request, depth: 0 }, line, random, &mut out);
        }
        out.replace("\\n", "\n")
    }

    /// Writes `template` to `out` with everything in braces replaced.
    fn expand(&self, from: &Filling<'_>, template: &str, random: &mut Random, out: &mut String) {
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            out.push_str(&rest[..open]);
            let Some(close) = closing(&rest[open..]) else { break };
            let inner = &rest[open + 1..open + close];
            rest = &rest[open + close + 1..];
            let deeper = Filling { depth: from.depth + 1, ..*from };
            match inner {
                _ if from.depth >= MAX_DEPTH => {}
                "request" => out.push_str(from.request),
                "blob" => out.push_str(&disguise::encoded(from.request, random)),
                "mail" if from.language != 0 => {
                    let address = self.text(0, inner, "", random);
                    out.push_str(&address);
                }
                name if self.has(from.language, name) => {
                    let lines = &self.languages[from.language].1[name];
                    self.expand(&deeper, lines[random.below(lines.len())], random, out);
                }
                choices => {
                    let choices = alternatives(choices);
                    self.expand(&deeper, choices[random.below(choices.len())], random, out);
                }
            }
        }
        out.push_str(rest);
    }

    fn has(&self, language: usize, name: &str) -> bool {
        self.languages.get(language).is_some_and(|l| l.1.contains_key(name))
    }
}

/// What a template is filled with.
#[derive(Clone, Copy)]
struct Filling<'a> {
    language: usize,
    request: &'a str,
    depth: u32,
}

/// The place of the brace that closes the one at the start.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Splits at the bars that stand in no inner braces.
fn alternatives(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            '|' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn own(text: String, lang: &str, attack: Attack, hazards: Option<u16>) -> Row {
    Row {
        text,
        tool: false,
        attack: Some(attack),
        hazards,
        lang: lang.to_owned(),
        source: "templates".to_owned(),
        group: OWN.to_owned(),
        around: None,
        weight: 1.0,
        own: true,
    }
}

/// Rows generated from templates alone.
pub(crate) fn template_rows(templates: &Templates, count: usize) -> Vec<Row> {
    let mut random = Random(0xA77);
    let mut rows = Vec::new();
    for (language, (lang, _)) in templates.languages.iter().enumerate() {
        let more = if language == 0 { 2 } else { 1 };
        for _ in 0..count * more {
            let text = |section: &str, random: &mut Random| {
                let request = templates.text(language, hazard_section(random), "", random);
                templates.text(language, section, &request, random)
            };
            let injection = text("inject", &mut random);
            rows.push(own(injection, lang, Attack::Injection, None));
            let jailbreak = text("jail", &mut random);
            rows.push(own(jailbreak, lang, Attack::Jailbreak, None));
            for section in ["benign", "safe"] {
                let benign = text(section, &mut random);
                rows.push(own(benign, lang, Attack::Benign, Some(0)));
            }
            rows.push(document(templates, (language, lang), true, &mut random));
            rows.push(document(templates, (language, lang), false, &mut random));
            for _ in 0..3 {
                let section = hazard_section(&mut random);
                let harmful = text(section, &mut random);
                rows.push(own(harmful, lang, Attack::Benign, hazard_bit(section)));
            }
        }
    }
    rows
}

fn hazard_section(random: &mut Random) -> &'static str {
    const CODES: [&str; 13] =
        ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12", "S13"];
    CODES[random.below(CODES.len())]
}

/// A document of a tool, with or without an instruction in it.
fn document(
    templates: &Templates,
    (language, lang): (usize, &str),
    attacked: bool,
    random: &mut Random,
) -> Row {
    let lines = 1 + random.below(6);
    // Documents about prompts are full of instructions that address nobody.
    let section = if random.below(4) == 0 { "promptdoc" } else { "docline" };
    let mut parts: Vec<String> =
        (0..lines).map(|_| templates.text(language, section, "", random)).collect();
    if attacked {
        let at = random.below(parts.len() + 1);
        parts.insert(at, instruction(templates, language, random));
    }
    let text = parts.join(if random.below(3) == 0 { "\n" } else { " " });
    let attack = if attacked { Attack::Injection } else { Attack::Benign };
    Row { tool: true, ..own(text, lang, attack, if attacked { None } else { Some(0) }) }
}

/// An instruction to be hidden in a document, in one of many wrappings.
fn instruction(templates: &Templates, language: usize, random: &mut Random) -> String {
    let section = if random.below(4) == 0 { "inject" } else { "tool" };
    let text = templates.text(language, section, "", random);
    match random.below(12) {
        0 => format!("<!-- {text} -->"),
        1 => format!("\"comment\": \"{text}\""),
        2 => format!("\n\n{text}\n\n"),
        3 => format!("[{text}]"),
        4 => format!("# {text}"),
        5 => format!("| {text} |"),
        6 => format!("P.S. {text}"),
        7 => format!("*** {text} ***"),
        _ => text,
    }
}

/// Rows made from `rows`: documents with an instruction hidden in them, requests behind a disguise.
pub(crate) fn carrier_rows(templates: &Templates, rows: &[Row], count: usize) -> Vec<Row> {
    let mut random = Random(0xCA4);
    let carriers: Vec<&Row> = rows.iter().filter(|r| is_carrier(r)).collect();
    let requests: Vec<&Row> = rows.iter().filter(|r| is_request(r)).collect();
    let mut out = Vec::new();
    for _ in 0..count {
        if let Some(row) = pick(&carriers, &mut random) {
            out.extend(spoiled(templates, row, &mut random));
        }
        if let Some(row) = pick(&requests, &mut random) {
            out.push(disguised(templates, row, &mut random));
        }
    }
    out
}

/// A random row, evenly over groups and languages rather than over rows.
fn pick<'a>(rows: &[&'a Row], random: &mut Random) -> Option<&'a Row> {
    // Two draws, the rarer kind wins: cheap, and even enough.
    let first = rows.get(random.below(rows.len()))?;
    let second = rows.get(random.below(rows.len()))?;
    let rarity = |row: &Row| u8::from(row.tool) * 2 + u8::from(row.lang != "en");
    Some(if rarity(second) > rarity(first) { second } else { first })
}

fn is_carrier(row: &Row) -> bool {
    // An answer is as good a document as any, though its attack label is unknown.
    row.hazards == Some(0) && row.attack.is_none_or(|a| a == Attack::Benign) && row.text.len() > 60
}

fn is_request(row: &Row) -> bool {
    row.is_attack() == Some(false)
        && row.hazards.is_some_and(|h| h != 0)
        && row.lang == "en"
        && !row.tool
        && row.text.len() < 300
}

/// A document as a tool returns it, twice: as it is, and with an instruction in it.
fn spoiled(templates: &Templates, row: &Row, random: &mut Random) -> [Row; 2] {
    let language = templates.languages.iter().position(|l| l.0 == row.lang).unwrap_or(0);
    let language = if random.below(6) == 0 { 0 } else { language };
    let hidden = instruction(templates, language, random);
    let breaks: Vec<usize> = row
        .text
        .match_indices([' ', '\n'])
        .map(|(at, _)| at)
        .filter(|&at| row.text[..at].ends_with(['.', '!', '?', '।', '\n', '"', ':', '|']))
        .collect();
    let at = match random.below(4) {
        0 => 0,
        1 => row.text.len(),
        _ => breaks.get(random.below(breaks.len())).copied().unwrap_or(row.text.len()),
    };
    let (before, after) = row.text.split_at(at);
    let text = format!("{} {hidden} {}", before.trim_end(), after.trim_start());
    let base = Row { tool: true, own: true, source: "carriers".to_owned(), ..row.clone() };
    [
        Row {
            text: text.trim().to_owned(),
            attack: Some(Attack::Injection),
            hazards: None,
            ..base.clone()
        },
        Row { attack: Some(Attack::Benign), ..base },
    ]
}

/// A harmful request behind a disguise: a jailbreak.
fn disguised(templates: &Templates, row: &Row, random: &mut Random) -> Row {
    let text = match random.below(10) {
        0..=4 => templates.text(0, "jail", &row.text, random),
        5 => disguise::with_suffix(&row.text, random),
        _ => disguise::encoded(&row.text, random),
    };
    Row {
        text,
        attack: Some(Attack::Jailbreak),
        hazards: None,
        own: true,
        source: "carriers".to_owned(),
        ..row.clone()
    }
}
