//! Rules, as they are written in `rules/*.toml`.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use toml::{Table, Value};

use crate::Language;

/// The shipped rules: file and content.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("c.toml", include_str!("../rules/c.toml")),
    ("jvm.toml", include_str!("../rules/jvm.toml")),
    ("python.toml", include_str!("../rules/python.toml")),
    ("shell.toml", include_str!("../rules/shell.toml")),
    ("systems.toml", include_str!("../rules/systems.toml")),
    ("web.toml", include_str!("../rules/web.toml")),
];

/// How bad it is if the rule is right, and how often it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look.
    Low,
    /// Usually a weakness.
    Medium,
    /// A weakness, almost always.
    High,
}

impl Severity {
    /// The score of a finding, on the scale that policies call low, medium and high sensitivity.
    #[must_use]
    pub const fn score(self) -> f32 {
        match self {
            Self::Low => 0.5,
            Self::Medium => 0.75,
            Self::High => 0.92,
        }
    }
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name, unique among all.
    pub id: String,
    /// The languages it is about.
    pub languages: Vec<Language>,
    /// The weakness, such as `CWE-89`.
    pub cwe: String,
    /// How much a finding weighs.
    pub severity: Severity,
    /// What is wrong and what to do instead, for the person who reads it.
    pub message: String,
    /// Code that it finds.
    pub bad: String,
    /// Code that it does not find, which does the same well.
    pub good: String,
    pub(crate) needles: Vec<String>,
    pattern: String,
    unless: Option<String>,
    compiled: OnceLock<Option<(Regex, Option<Regex>)>>,
}

/// A file of rules cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct RuleError {
    file: String,
    problem: String,
}

impl Rule {
    /// The rule's pattern, and what near it speaks against it. Compiled when it is first needed: most never are.
    /// `None` if it cannot be: then there is no verdict.
    pub(crate) fn compiled(&self) -> Option<&(Regex, Option<Regex>)> {
        let multi_line = |pattern: &str| RegexBuilder::new(pattern).multi_line(true).build().ok();
        let compile = || {
            let unless = match &self.unless {
                Some(unless) => Some(multi_line(unless)?),
                None => None,
            };
            Some((multi_line(&self.pattern)?, unless))
        };
        self.compiled.get_or_init(compile).as_ref()
    }
}

/// All shipped rules.
pub(crate) fn shipped() -> Result<Vec<Rule>, RuleError> {
    let mut rules = Vec::new();
    for (file, content) in FILES {
        rules.extend(
            read(content).map_err(|problem| RuleError { file: (*file).to_owned(), problem })?,
        );
    }
    Ok(rules)
}

fn read(content: &str) -> Result<Vec<Rule>, String> {
    let table: Table = content.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let macros = table.get("macros").and_then(Value::as_table).cloned().unwrap_or_default();
    let rules = table.get("rule").and_then(Value::as_array).ok_or("there is no [[rule]]")?;
    rules.iter().map(|rule| rule_of(rule, &macros)).collect()
}

fn rule_of(value: &Value, macros: &Table) -> Result<Rule, String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let id = text("id").ok_or("a rule has no `id`")?;
    let needed = |key: &str| text(key).ok_or_else(|| format!("{id}: there is no `{key}`"));
    let list = |key: &str| -> Vec<String> {
        let all = value.get(key).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let names = list("languages");
    let languages = names.iter().map(|name| {
        Language::of_name(name).ok_or_else(|| format!("{id}: `{name}` is no language"))
    });
    let severity = match needed("severity")?.as_str() {
        "low" => Severity::Low,
        "medium" => Severity::Medium,
        "high" => Severity::High,
        other => return Err(format!("{id}: `{other}` is no severity; low, medium and high are")),
    };
    Ok(Rule {
        languages: languages.collect::<Result<_, _>>()?,
        cwe: needed("cwe")?,
        severity,
        message: needed("message")?,
        bad: needed("bad")?,
        good: needed("good")?,
        needles: list("needles"),
        pattern: filled(needed("pattern")?, macros),
        unless: text("unless").map(|unless| filled(unless, macros)),
        compiled: OnceLock::new(),
        id,
    })
}

/// `pattern` with `@name@` replaced by what the file's `[macros]` say, which may name those before them.
fn filled(mut pattern: String, macros: &Table) -> String {
    // A macro may use another, that one a third, and that is enough.
    for _ in 0..3 {
        for (name, meaning) in macros {
            pattern = pattern.replace(&format!("@{name}@"), meaning.as_str().unwrap_or_default());
        }
    }
    pattern
}
