//! From the document as written to the policy that decides.

mod calibration;
mod cases;
mod custom;
mod exemptions;
mod floors;
mod forward;
mod hazards;
mod languages;
mod messages;
mod operation;
mod profiles;
mod retention;
mod routes;
mod shadow;
mod streaming;
mod units;

use std::sync::Arc;

use crate::diagnostics::Diagnostics;
use crate::document::{self, Node, Value};
use crate::format::DOCUMENT;
use crate::messages::Messages;
use crate::policy::{Document, Identity};
use crate::reader::{Fields, Reader, shorten};
use crate::{Action, ClassifierCalibration, Context, Forward, Limits, Policy, Streaming};

use profiles::Base;

/// The version of the format this code reads.
const VERSION: f64 = 1.0;

/// What can be done where nothing was found that could be cut out.
const WITHOUT_VERDICT: [Action; 3] = [Action::Allow, Action::Flag, Action::Block];

/// What names may consist of, in words.
const PLAIN: &str = "at most 64 of: letters a to z, digits, `-`, `_`, `.`";

/// Values with the words they are written as.
fn words<T: Copy, const N: usize>(
    values: [T; N],
    name: impl Fn(T) -> &'static str,
) -> [(&'static str, T); N] {
    values.map(|value| (name(value), value))
}

/// Reads and compiles `source`.
pub(crate) fn policy(
    source: &str,
    file: &str,
    context: Option<&Context<'_>>,
) -> Result<(Policy, Diagnostics), Diagnostics> {
    read(source, file, context, |reader, root| compile(reader, root, source))
}

/// Reads a calibration file.
pub(crate) fn calibration(source: &str, file: &str) -> Result<ClassifierCalibration, Diagnostics> {
    read(source, file, None, calibration::read).map(|(calibration, _)| calibration)
}

fn read<T>(
    source: &str,
    file: &str,
    context: Option<&Context<'_>>,
    compile: impl FnOnce(&mut Reader<'_>, &Node) -> Option<T>,
) -> Result<(T, Diagnostics), Diagnostics> {
    let mut reader = Reader::new(source, context);
    let compiled = match document::read(source) {
        Ok(root) if matches!(root.value, Value::Null) => {
            reader.error(root.at, "the document is empty").help("it starts with `version: 1`");
            None
        }
        Ok(root) => compile(&mut reader, &root),
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
    match compiled {
        Some(compiled) if !failed => Ok((compiled, diagnostics)),
        _ => Err(diagnostics),
    }
}

/// Every section is read, whatever is wrong with the others.
fn compile(reader: &mut Reader<'_>, root: &Node, source: &str) -> Option<Policy> {
    let fields = reader.fields(root, &DOCUMENT)?;
    version(reader, &fields);
    let identity = identity(reader, &fields, source);
    let mode = shadow::read(
        reader,
        &fields,
        "the whole policy is in shadow",
        "decisions are recorded, nothing is blocked",
    );
    let triggers = fields.get("test_triggers");
    let test_triggers = triggers.and_then(|node| reader.truth(node, "`test_triggers`"));
    let help = "say what to look for, such as `hazards: { defaults: { ... } }`";
    let hazards = fields.require(reader, "hazards", help);
    let read_hazards = hazards.and_then(|node| hazards::read(reader, node));
    let has_table = read_hazards.is_some();
    let table = read_hazards.unwrap_or_default();
    let section = |name: &str| fields.get(name);
    let custom = section("custom_hazards").map(|node| custom::read(reader, node));
    let floors = section("never_below").map(|node| floors::read(reader, node, &table));
    let (custom, floors) = (custom.unwrap_or_default(), floors.unwrap_or_default());
    let languages = section("languages").and_then(|node| languages::read(reader, node));
    report_silence(reader, &fields);
    let streaming = section("streaming")
        .map_or(Streaming::DEFAULT, |node| streaming::read(reader, node, Streaming::DEFAULT));
    let forward = forward::read(reader, &fields, Forward::default());
    let mode = mode.unwrap_or_default();
    let base = Base { table: &table, floors: &floors, mode, streaming, forward };
    let at = section("forward").map_or(fields.at(), |node| node.at);
    let profiles = profiles::read(reader, (section("profiles"), at), &base);
    let routes = routes::read(reader, section("routes"), &profiles);
    let exemptions = section("exemptions")
        .map(|node| exemptions::read(reader, node, &table, &floors))
        .unwrap_or_default();
    let limits = section("limits").map_or_else(Limits::default, |n| operation::limits(reader, n));
    let on_failure = operation::on_failure(reader, section("on_failure"), &floors);
    let retention = section("audit").map(|node| retention::read(reader, node));
    let messages = match section("messages") {
        Some(node) => messages::read(reader, node, languages.as_ref()),
        None => Messages::default(),
    };
    let names = cases::Names { custom: &custom, exemptions: &exemptions };
    let cases = section("tests").map(|node| cases::read(reader, node, &names)).unwrap_or_default();
    let profiles: Vec<_> = profiles.into_iter().map(|named| Arc::new(named.profile)).collect();
    let profile = Arc::clone(profiles.first()?);
    let document = Document {
        identity: identity.filter(|_| has_table)?,
        test_triggers: test_triggers.unwrap_or(true),
        floors,
        custom,
        languages,
        profiles,
        routes,
        limits,
        on_failure,
        exemptions,
        retention,
        messages,
        cases,
    };
    Some(Policy {
        least: document.least(&[]),
        document: Arc::new(document),
        profile,
        exemptions: Vec::new(),
        calibrations: Arc::default(),
    })
}

/// A check asks for what a policy may leave out without saying so.
fn report_silence(reader: &mut Reader<'_>, fields: &Fields<'_>) {
    if reader.context().is_some() && fields.get("languages").is_none() {
        reader
            .warning(
                fields.at(),
                "nothing is said about languages that no classifier was trained for",
            )
            .expected("texts in them pass as if they had been understood")
            .help("such as `languages: { checked: [en, de], others: flag }`");
    }
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
    let name = reader.text(node, "`name`")?;
    if !is_plain(name) {
        reader
            .error(node.at, format!("`{}` cannot be a policy's name", shorten(name)))
            .expected(PLAIN);
        return None;
    }
    Some(name)
}

/// Whether `name` can stand in a header, a file name and a record.
fn is_plain(name: &str) -> bool {
    const LONGEST: usize = 64;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= LONGEST && name.chars().all(plain)
}
