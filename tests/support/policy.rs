//! A policy under which only test triggers count, so that tests do not depend on a model's opinion.

/// Blocks every trigger but these: `S6` flags, `SECRET` redacts.
pub const POLICY: &str = r#"
version: 1
name: test
hazards:
  defaults: { sensitivity: 1.0, input: block, output: block, tools: block }
  specialized_advice: { input: flag, output: flag, tools: flag }
  secrets: { input: redact, output: redact, tools: redact }
on_failure: { input: block, output: block, tools: block, timeout: 300ms }
messages:
  reply_as: error
  default: { en: "Not that. ({reference})", de: "Das nicht. ({reference})" }
"#;

/// The same with one line replaced.
pub fn policy_with(line: &str, replacement: &str) -> String {
    assert!(POLICY.contains(line), "no such line: {line}");
    POLICY.replace(line, replacement)
}
