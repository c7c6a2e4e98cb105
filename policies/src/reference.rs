//! The format of policies as a JSON Schema and as a page to read, both made from the list the reader uses.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use classifiers_core::Category;
use serde_json::{Map, Value, json};

use crate::format::{self, Key, Kind, Names, Table};

/// Where editors find the schema, beside a policy.
pub const SCHEMA_FILE: &str = "policy-v1.schema.json";

/// The JSON Schema (draft 2020-12) of a policy, with a final newline.
#[must_use]
pub fn schema() -> String {
    let mut tables = Map::new();
    let root = table(&format::DOCUMENT, &mut tables);
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("Portcullis policy, version 1"));
    if let Value::Object(root) = root {
        schema.extend(root);
    }
    schema.insert("$defs".to_owned(), Value::Object(tables));
    format!("{:#}\n", Value::Object(schema))
}

/// The reference page, in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# Policy reference\n\nEvery key of a policy. Made by `portcullis schema --reference`; do not edit.\n\
        \nFirst line of a policy, for completion in editors: `# yaml-language-server: $schema=./policy-v1.schema.json` \
        (the file: `portcullis schema`).\n",
    );
    let mut seen = BTreeSet::new();
    section(&mut page, &format::DOCUMENT, &mut seen);
    page.push_str("\n## Hazards\n\n| name | title | code |\n|---|---|---|\n");
    for category in Category::ALL {
        let code = category.code().unwrap_or_default();
        line(&mut page, &format!("| `{category}` | {} | {code} |", category.title()));
    }
    page
}

// === schema ===

fn table(table: &Table, tables: &mut Map<String, Value>) -> Value {
    let properties: Map<String, Value> =
        table.keys.iter().map(|key| (key.name.to_owned(), described(key, tables))).collect();
    let required: Vec<&str> =
        table.keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "description": table.about,
        "properties": properties,
        "additionalProperties": false,
    });
    let messages = table.name == format::MESSAGES.name;
    if let Value::Object(schema) = &mut schema {
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        if messages {
            // Beside its own keys, the reasons.
            let texts = kind(&Kind::Map("languages", Names::Languages, &Kind::Text), tables);
            let reasons = hazards(&crate::Because::WORDS);
            schema.insert("patternProperties".to_owned(), json!({ reasons: texts }));
        }
    }
    schema
}

fn described(key: &Key, tables: &mut Map<String, Value>) -> Value {
    let mut schema = kind(&key.kind, tables);
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), json!(key.about));
    }
    schema
}

fn kind(kind: &Kind, tables: &mut Map<String, Value>) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Shaped(pattern, _) => json!({ "type": "string", "pattern": pattern }),
        Kind::Words(words) => json!({ "enum": words }),
        Kind::Truth => json!({ "type": "boolean" }),
        Kind::Number(least, most) => {
            json!({ "type": "number", "minimum": least, "maximum": most })
        }
        Kind::Whole(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Either(kinds) => {
            let kinds: Vec<Value> = kinds.iter().map(|one| self::kind(one, tables)).collect();
            json!({ "anyOf": kinds })
        }
        Kind::List(items) => {
            json!({ "type": "array", "items": self::kind(items, tables) })
        }
        Kind::Table(inner) => reference(inner, tables),
        Kind::Map(_, names, value) => {
            let pattern = match names {
                Names::Any => ".".to_owned(),
                Names::Hazards(others) => hazards(others),
                Names::Languages => "^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$".to_owned(),
            };
            let value = self::kind(value, tables);
            json!({
                "type": "object",
                "patternProperties": { pattern: value },
                "additionalProperties": false,
            })
        }
    }
}

/// The names of all hazards and of `others`, as a pattern.
fn hazards(others: &[&str]) -> String {
    let names: Vec<&str> =
        others.iter().copied().chain(Category::ALL.map(Category::name)).collect();
    format!("^({})$", names.join("|"))
}

/// A table by its name, written down once.
fn reference(inner: &Table, tables: &mut Map<String, Value>) -> Value {
    let name = name_of(inner);
    if !tables.contains_key(&name) {
        // So that a table inside itself ends here.
        tables.insert(name.clone(), Value::Null);
        let schema = table(inner, tables);
        tables.insert(name.clone(), schema);
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn name_of(table: &Table) -> String {
    let plain = table.name.trim_start_matches("the ").trim_start_matches("an ");
    plain.trim_start_matches("a ").replace('`', "").replace(' ', "_")
}

// === page ===

fn section(page: &mut String, table: &Table, seen: &mut BTreeSet<&'static str>) {
    let title = table.name.replace('`', "");
    line(
        page,
        &format!("\n## {title}\n\n{}\n\n| key | value | meaning |\n|---|---|---|", table.about),
    );
    for key in table.keys {
        let must = if key.required { " **required**" } else { "" };
        line(page, &format!("| `{}` | {}{must} | {} |", key.name, in_words(&key.kind), key.about));
    }
    for key in table.keys {
        if let Some(inner) = inner(&key.kind)
            && seen.insert(inner.name)
        {
            section(page, inner, seen);
        }
    }
}

fn inner(kind: &Kind) -> Option<&'static Table> {
    match kind {
        Kind::Table(table) => Some(table),
        Kind::List(kind) | Kind::Map(_, _, kind) => inner(kind),
        _ => None,
    }
}

fn in_words(kind: &Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Shaped(_, words) => (*words).to_owned(),
        Kind::Words(words) => {
            let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            quoted.join(", ")
        }
        Kind::Truth => "`true`, `false`".to_owned(),
        Kind::Number(least, most) => format!("{least} to {most}"),
        Kind::Whole(least, most) if least == most => format!("`{least}`"),
        Kind::Whole(least, most) => format!("whole number, {least} to {most}"),
        Kind::Either(kinds) => {
            let kinds: Vec<String> = kinds.iter().map(in_words).collect();
            kinds.join("; or ")
        }
        Kind::List(kind) => format!("list: {}", in_words(kind)),
        Kind::Table(table) => format!("[{}](#{})", table.name.replace('`', ""), anchor(table)),
        Kind::Map(what, _, kind) => format!("{what}, each: {}", in_words(kind)),
    }
}

fn anchor(table: &Table) -> String {
    table.name.replace('`', "").replace(' ', "-")
}

fn line(page: &mut String, text: &str) {
    // Writing to a text cannot fail.
    writeln!(page, "{text}").ok();
}
