//! From the document as written to the policy that decides.

mod cases;
mod hazards;
mod messages;
mod operation;
mod streaming;
mod units;

use crate::diagnostics::Diagnostics;
use crate::document::{self, Node, Value};
use crate::messages::Messages;
use crate::policy::Identity;
use crate::reader::{Fields, Known, Reader, shorten};
use crate::{Mode, Policy, Streaming};

const DOCUMENT: Known = Known {
    table: "the policy",
    keys: &[
        "version",
        "name",
        "about",
        "owner",
        "mode",
        "test_triggers",
        "hazards",
        "limits",
        "on_failure",
        "messages",
        "streaming",
        "tests",
    ],
    later: &[
        "audit",
        "custom_hazards",
        "exemptions",
        "languages",
        "never_below",
        "profiles",
        "routes",
    ],
};

/// The version of the format this code reads.
const VERSION: f64 = 1.0;

/// Values with the words they are written as.
fn words<T: Copy, const N: usize>(
    values: [T; N],
    name: impl Fn(T) -> &'static str,
) -> [(&'static str, T); N] {
    values.map(|value| (name(value), value))
}

/// Reads and compiles `source`.
pub(crate) fn policy(source: &str, file: &str) -> Result<(Policy, Diagnostics), Diagnostics> {
    let mut reader = Reader::new(source);
    let policy = match document::read(source) {
        Ok(root) => compile(&mut reader, &root, source),
        Err(unreadable) => {
            let note = reader.error(unreadable.at, unreadable.message);
            if let Some(help) = unreadable.help {
                note.help(help);
            }
            None
        }
    };
    let failed = reader.failed();
    let diagnostics = Diagnostics::new(file, reader.into_items());
    match policy {
        Some(policy) if !failed => Ok((policy, diagnostics)),
        _ => Err(diagnostics),
    }
}

/// Every section is read, whatever is wrong with the others.
fn compile(reader: &mut Reader<'_>, root: &Node, source: &str) -> Option<Policy> {
    if matches!(root.value, Value::Null) {
        reader.error(root.at, "the document is empty").help("a policy starts with `version: 1`");
        return None;
    }
    let fields = reader.fields(root, &DOCUMENT)?;
    version(reader, &fields);
    let identity = identity(reader, &fields, source);
    let mode = mode(reader, &fields);
    let triggers = fields.get("test_triggers");
    let test_triggers = triggers.and_then(|node| reader.truth(node, "`test_triggers`"));
    let hazards = fields
        .require(
            reader,
            "hazards",
            "say what to look for, such as `hazards: { defaults: { ... } }`",
        )
        .and_then(|node| hazards::read(reader, node));
    let limits = fields.get("limits").map(|node| operation::limits(reader, node));
    let on_failure = operation::on_failure(reader, fields.get("on_failure"));
    let streaming = match fields.get("streaming") {
        Some(node) => streaming::read(reader, node, Streaming::DEFAULT),
        None => Streaming::DEFAULT,
    };
    let messages = match fields.get("messages") {
        Some(node) => messages::read(reader, node),
        None => Messages::default(),
    };
    let cases = fields.get("tests").map(|node| cases::read(reader, node)).unwrap_or_default();
    Some(Policy {
        identity: identity?,
        mode,
        test_triggers: test_triggers.unwrap_or(true),
        hazards: hazards?,
        requests: limits.flatten(),
        on_failure,
        streaming,
        messages,
        cases,
    })
}

fn version(reader: &mut Reader<'_>, fields: &Fields<'_>) {
    let help = "start the document with `version: 1`";
    let Some(node) = fields.require(reader, "version", help) else { return };
    let known = matches!(node.value, Value::Number(version) if version == VERSION);
    if !known {
        reader.error(node.at, "this version of the format is not known").expected("expected `1`");
    }
}

fn identity(reader: &mut Reader<'_>, fields: &Fields<'_>, source: &str) -> Option<Identity> {
    let node = fields.require(reader, "name", "give it a name, such as `name: acme-assistant`");
    let name = node.and_then(|node| name(reader, node));
    let mut text = |key: &str| {
        let written = fields.get(key).and_then(|node| reader.text(node, &format!("`{key}`")));
        written.map(str::to_owned)
    };
    let (about, owner) = (text("about"), text("owner"));
    let name = name?.to_owned();
    let digest: String = blake3::hash(source.as_bytes()).to_hex().chars().take(12).collect();
    let revision = format!("b3:{digest}");
    let label = format!("{name}@{revision}");
    Some(Identity { name, about, owner, revision, label })
}

/// The name travels in a response header and in file names.
fn name<'n>(reader: &mut Reader<'_>, node: &'n Node) -> Option<&'n str> {
    const LONGEST: usize = 64;
    let name = reader.text(node, "`name`")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.len() > LONGEST || !name.chars().all(plain) {
        reader
            .error(node.at, format!("`{}` cannot be a policy's name", shorten(name)))
            .expected(format!("at most {LONGEST} of: letters a to z, digits, `-`, `_`, `.`"));
        return None;
    }
    Some(name)
}

fn mode(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Mode {
    let Some(node) = fields.get("mode") else { return Mode::default() };
    let mode = reader.word(node, "`mode`", &words(Mode::ALL, Mode::name));
    if mode == Some(Mode::Shadow) {
        reader
            .warning(node.at, "the whole policy is in shadow")
            .expected("decisions are recorded, nothing is blocked");
    }
    mode.unwrap_or_default()
}
