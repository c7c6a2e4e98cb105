//! The JSON Schema and the reference page: up to date, and saying what the reader says.

use policies::{Policy, library, reference};
use serde_json::Value;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/library/policy-v1.schema.json");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/policy-reference.md");

#[test]
fn both_are_up_to_date() {
    for (path, made, command) in [
        (SCHEMA, reference::schema(), "portcullis schema > policies/library/policy-v1.schema.json"),
        (PAGE, reference::page(), "portcullis schema --reference > docs/policy-reference.md"),
    ] {
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(path, &made).unwrap();
        } else {
            assert!(kept == made, "{path} is out of date: {command}");
        }
    }
}

fn as_json(source: &str) -> Option<Value> {
    serde_saphyr::from_str(source).ok()
}

/// What the reader takes, an editor must not underline.
#[test]
fn what_is_a_policy_fits_the_schema() {
    let schema: Value = serde_json::from_str(&reference::schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let example = include_str!("example.yaml");
    let all = library::ALL.into_iter().chain([("example", example)]);
    for (name, source) in all {
        let value = as_json(source).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
    // Documents of which the reader only warns, and those it refuses for what the schema can see.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/broken");
    let (mut taken, mut underlined) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let Some(value) = as_json(&source) else { continue };
        let fits = validator.is_valid(&value);
        if Policy::parse(&source, "policy.yaml").is_ok() {
            taken += 1;
            assert!(fits, "{}: the reader takes it", path.display());
        } else if !fits {
            underlined += 1;
        }
    }
    assert!(taken > 5 && underlined > 30, "{taken} taken, {underlined} underlined");
}
