//! What becomes of each field, read off the tables: for the test that no field is forgotten, and for the list that
//! people read.

use crate::table::{Field, Shape};

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Posture {
    /// Its text is shown to the classifiers.
    Examined,
    /// It is a number, a flag or one of a few words, and checked to be that.
    Validated,
    /// It does not go on.
    Removed,
    /// A document that has it is refused.
    Refused,
}

impl Posture {
    const fn word(self) -> &'static str {
        match self {
            Self::Examined => "examined",
            Self::Validated => "validated",
            Self::Removed => "removed",
            Self::Refused => "refused",
        }
    }
}

/// What becomes of whatever stands at `path` below an object of `fields`: `[]` is any item, `{}` any key. Where the
/// format has alternatives, the postures of all of them; nothing if no table knows the place.
pub(crate) fn of(fields: &[Field], path: &[&str]) -> Vec<Posture> {
    let mut found = Vec::new();
    in_fields(fields, path, &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

fn in_fields(fields: &[Field], path: &[&str], found: &mut Vec<Posture>) {
    let Some((name, rest)) = path.split_first() else { return };
    for field in fields.iter().filter(|field| field.name == *name) {
        in_shape(&field.shape, rest, found);
    }
}

fn in_shape(shape: &Shape, path: &[&str], found: &mut Vec<Posture>) {
    match (shape, path) {
        (Shape::Either(shapes), _) => {
            shapes.iter().for_each(|shape| in_shape(shape, path, found));
        }
        (Shape::Refused(_), _) => found.push(Posture::Refused),
        (Shape::Having(_, shapes), _) => {
            shapes.iter().for_each(|shape| in_shape(shape, path, found));
        }
        (Shape::Dropped | Shape::Emptied, _) => found.push(Posture::Removed),
        (Shape::Free, _) => found.push(Posture::Examined),
        (Shape::Numbers, [_, ..]) => found.push(Posture::Validated),
        (Shape::List(item) | Shape::Parts(item), ["[]", rest @ ..]) => in_shape(item, rest, found),
        (Shape::Map(item), [_, rest @ ..]) => in_shape(item, rest, found),
        (Shape::Object(fields), _) => in_fields(fields, path, found),
        (Shape::Tagged(_, cases), _) => {
            cases.iter().for_each(|(_, fields)| in_fields(fields, path, found));
        }
        (Shape::Text | Shape::JsonText | Shape::Id, []) => found.push(Posture::Examined),
        (Shape::Never(_), []) => found.extend([Posture::Validated, Posture::Refused]),
        (
            Shape::Bool
            | Shape::Int(..)
            | Shape::Number(..)
            | Shape::Base64
            | Shape::Word(_)
            | Shape::Tag,
            [],
        ) => found.push(Posture::Validated),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::{Posture, of};
    use crate::dialect::Dialect;
    use crate::openai_chat::tables::CHUNK;
    use crate::openai_responses::{KINDS, Kind};
    use crate::table::Field;

    /// The lists of fields that others publish; `spec/extract.py` makes the first.
    const LISTS: [&str; 2] =
        [include_str!("../spec/openai-2.3.0.txt"), include_str!("../spec/vllm-002032ee.txt")];

    fn table(schema: &str) -> &'static [Field] {
        match schema {
            "CreateChatCompletionRequest" => Dialect::OPENAI_CHAT.0.request,
            "CreateChatCompletionResponse" => Dialect::OPENAI_CHAT.0.answer,
            "CreateChatCompletionStreamResponse" => CHUNK,
            "CreateCompletionRequest" => Dialect::OPENAI_COMPLETIONS.0.request,
            "CreateCompletionResponse" => Dialect::OPENAI_COMPLETIONS.0.answer,
            "CreateEmbeddingRequest" => Dialect::OPENAI_EMBEDDINGS.0.request,
            "CreateEmbeddingResponse" => Dialect::OPENAI_EMBEDDINGS.0.answer,
            "CreateResponse" => Dialect::OPENAI_RESPONSES.0.request,
            "Response" => Dialect::OPENAI_RESPONSES.0.answer,
            event => event_table(event),
        }
    }

    fn event_table(schema: &str) -> &'static [Field] {
        let name = match schema {
            "ResponseOutputItemAddedEvent" => "output_item.added",
            "ResponseOutputItemDoneEvent" => "output_item.done",
            "ResponseContentPartAddedEvent" => "content_part.added",
            "ResponseContentPartDoneEvent" => "content_part.done",
            "ResponseTextDeltaEvent" => "output_text.delta",
            "ResponseTextDoneEvent" => "output_text.done",
            "ResponseRefusalDeltaEvent" => "refusal.delta",
            "ResponseRefusalDoneEvent" => "refusal.done",
            "ResponseFunctionCallArgumentsDeltaEvent" => "function_call_arguments.delta",
            "ResponseFunctionCallArgumentsDoneEvent" => "function_call_arguments.done",
            "ResponseCustomToolCallInputDeltaEvent" => "custom_tool_call_input.delta",
            "ResponseCustomToolCallInputDoneEvent" => "custom_tool_call_input.done",
            "ResponseReasoningTextDeltaEvent" => "reasoning_text.delta",
            "ResponseReasoningTextDoneEvent" => "reasoning_text.done",
            "ResponseReasoningSummaryPartAddedEvent" => "reasoning_summary_part.added",
            "ResponseReasoningSummaryPartDoneEvent" => "reasoning_summary_part.done",
            "ResponseReasoningSummaryTextDeltaEvent" => "reasoning_summary_text.delta",
            "ResponseReasoningSummaryTextDoneEvent" => "reasoning_summary_text.done",
            other => panic!("no table is held against {other}"),
        };
        let is_it = |kind: &&Kind| kind.name.strip_prefix("response.") == Some(name);
        KINDS.iter().find(is_it).unwrap().table
    }

    fn listed() -> impl Iterator<Item = (&'static str, &'static str)> {
        let lines = LISTS.into_iter().flat_map(str::lines);
        lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" /"))
    }

    fn posture(schema: &str, path: &str) -> Vec<Posture> {
        of(table(schema), &path.split('/').collect::<Vec<_>>())
    }

    #[test]
    fn every_published_field_has_a_posture() {
        let forgotten: Vec<_> =
            listed().filter(|(schema, path)| posture(schema, path).is_empty()).collect();
        assert!(listed().count() > 300);
        assert_eq!(forgotten, [], "fields without an entry in a table");
    }

    #[test]
    fn the_list_for_people_is_up_to_date() {
        let mut text = String::from(
            "# What becomes of every field\n\n\
             Made from the tables in `proxy/dialects` (run its tests with `UPDATE_DOCS=1` to write this file anew), for\n\
             the fields of OpenAI's API document 2.3.0 and of vLLM's protocol (commit 002032ee).\n\n\
             - **examined**: its text is shown to the classifiers.\n\
             - **validated**: a number, a flag or one of a few words, and checked to be that.\n\
             - **removed**: it does not go on.\n\
             - **refused**: a document that has it is refused. So is one with a field that is not listed, if it is a request;\n  \
             of an answer such a field is removed.\n\n\
             Two words: it depends on where the field stands (in whose message, in which kind of part) or on its value.\n\
             Identifiers that the model server writes into its answers (`id`, `model`) are checked to be identifiers.\n",
        );
        let mut last = "";
        for (schema, path) in listed() {
            if schema != last {
                write!(text, "\n## {schema}\n\n| field | what becomes of it |\n|---|---|\n")
                    .unwrap();
                last = schema;
            }
            let words: Vec<_> = posture(schema, path).into_iter().map(Posture::word).collect();
            writeln!(text, "| `{path}` | {} |", words.join(", ")).unwrap();
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fields.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(file, &text).unwrap();
        }
        assert!(std::fs::read_to_string(file).unwrap() == text, "run this test with UPDATE_DOCS=1");
    }
}
