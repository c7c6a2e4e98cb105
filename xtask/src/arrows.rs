//! Which package may depend on which. A new arrow is a decision: it is made here, in a change of its own.

use serde_json::Value;

use crate::run::output;

/// Package, and the packages of this workspace it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("classifiers-code-shield", &["classifiers-core"]),
    ("classifiers-core", &[]),
    ("classifiers-batching", &["classifiers-core"]),
    (
        "classifiers-llama-guard",
        &["classifiers-batching", "classifiers-core", "classifiers-llama-guard-prompt"],
    ),
    ("classifiers-llama-guard-prompt", &["classifiers-batching", "classifiers-core"]),
    ("classifiers-patterns", &["classifiers-core"]),
    (
        "classifiers-prompt-guard",
        &["classifiers-batching", "classifiers-core", "classifiers-prompt-guard-windows"],
    ),
    (
        "classifiers-prompt-guard-windows",
        &["classifiers-batching", "classifiers-core", "classifiers-text"],
    ),
    (
        "classifiers-remote",
        &["classifiers-core", "classifiers-llama-guard-prompt", "classifiers-prompt-guard-windows"],
    ),
    ("classifiers-starter", &["classifiers-core"]),
    ("classifiers-text", &["classifiers-core"]),
    ("starter-trainer", &["classifiers-core", "classifiers-starter"]),
    ("evaluation", &["classifiers-core"]),
    ("policies", &["classifiers-core"]),
    ("policies-signed", &[]),
    ("proxy-dialects", &["classifiers-core"]),
    ("proxy-stream", &["classifiers-core", "proxy-dialects"]),
    ("proxy-audit", &[]),
    ("proxy-identity", &[]),
    ("proxy-index", &["classifiers-core", "proxy-audit"]),
    ("proxy-replay", &["classifiers-core", "policies", "proxy-audit"]),
    ("proxy-sinks", &["proxy-audit"]),
    (
        "proxy-console",
        &[
            "classifiers-core",
            "evaluation",
            "policies",
            "proxy-audit",
            "proxy-index",
            "proxy-replay",
        ],
    ),
    ("proxy-envoy", &["proxy-http", "proxy-stack"]),
    (
        "proxy-stack",
        &[
            "classifiers-core",
            "policies",
            "proxy-audit",
            "proxy-dialects",
            "proxy-identity",
            "proxy-stream",
        ],
    ),
    ("proxy-http", &["proxy-stack"]),
    (
        "portcullis",
        &[
            "classifiers-batching",
            "classifiers-code-shield",
            "classifiers-core",
            "classifiers-llama-guard",
            "classifiers-patterns",
            "classifiers-prompt-guard",
            "classifiers-remote",
            "classifiers-starter",
            "classifiers-text",
            "evaluation",
            "policies",
            "policies-signed",
            "proxy-audit",
            "proxy-console",
            "proxy-envoy",
            "proxy-http",
            "proxy-identity",
            "proxy-index",
            "proxy-replay",
            "proxy-sinks",
            "proxy-stack",
        ],
    ),
    ("portcullis-bench", &[]),
    ("xtask", &[]),
];

/// Libraries that only one package may use, so that nothing else is tied to them.
const CONFINED: &[(&str, &str)] = &[
    ("async-nats", "proxy-sinks"),
    ("candle-core", "classifiers-llama-guard"),
    ("candle-nn", "classifiers-llama-guard"),
    ("jsonwebtoken", "proxy-identity"),
    ("object_store", "proxy-sinks"),
    ("opentelemetry-otlp", "portcullis"),
    ("opentelemetry_sdk", "portcullis"),
    ("ort", "classifiers-prompt-guard"),
    ("postgres", "proxy-index"),
    ("redis", "proxy-stack"),
    ("prost", "proxy-envoy"),
    ("rusqlite", "proxy-index"),
    ("serde-saphyr", "policies"),
    ("tonic", "proxy-envoy"),
];

/// The server's own settings are YAML too.
const ALSO: &[(&str, &str)] = &[("serde-saphyr", "portcullis")];

/// Every dependency that is not allowed, in words.
pub(crate) fn check() -> Result<Vec<String>, String> {
    let text = output("cargo", &["metadata", "--format-version", "1", "--no-deps", "--locked"])?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let packages = metadata.get("packages").and_then(Value::as_array).ok_or("no packages")?;
    let names: Vec<&str> = packages.iter().filter_map(|package| text_of(package, "name")).collect();
    Ok(packages.iter().flat_map(|package| faults(package, &names)).collect())
}

fn faults(package: &Value, members: &[&str]) -> Vec<String> {
    let name = text_of(package, "name").unwrap_or_default();
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
        return vec![format!(
            "{name}: a package that no arrow names; list it in xtask/src/arrows.rs"
        )];
    };
    let dependencies = package.get("dependencies").and_then(Value::as_array);
    dependencies
        .into_iter()
        .flatten()
        // What only tests use is no arrow.
        .filter(|dependency| dependency.get("kind").is_none_or(Value::is_null))
        .filter_map(|dependency| text_of(dependency, "name"))
        .filter_map(|used| fault(name, used, allowed, members))
        .collect()
}

fn fault(name: &str, used: &str, allowed: &[&str], members: &[&str]) -> Option<String> {
    if members.contains(&used) && !allowed.contains(&used) {
        return Some(format!("{name} must not depend on {used}"));
    }
    let (_, owner) = CONFINED.iter().find(|(library, _)| *library == used)?;
    let allowed = *owner == name || ALSO.contains(&(used, name));
    (!allowed).then(|| format!("{name} must not use {used}: it belongs to {owner}"))
}

fn text_of<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}
