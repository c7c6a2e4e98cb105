//! Languages that classifiers were trained for.

use crate::Action;
use crate::document::Node;
use crate::format::LANGUAGES;
use crate::languages::Languages;
use crate::reader::Reader;

use super::{WITHOUT_VERDICT, messages, words};

/// Reads `languages`.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Languages> {
    let fields = reader.fields(node, &LANGUAGES)?;
    let checked = fields
        .require(reader, "checked", "list the languages that the classifiers were trained for")
        .map(|node| reader.texts(node, "`checked`"));
    let checked = checked.unwrap_or_default();
    let checked = checked.into_iter().filter_map(|(tag, at)| messages::language(reader, tag, at));
    let checked: Vec<String> = checked.collect();
    let others = fields
        .require(reader, "others", "say what happens to all other languages: allow, flag or block")
        .and_then(|node| reader.word(node, "`others`", &words(WITHOUT_VERDICT, Action::name)));
    Some(Languages { checked, others: others? })
}
