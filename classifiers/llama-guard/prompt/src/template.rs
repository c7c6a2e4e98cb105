//! The chat template that comes with a folder: it says which prompt the model was trained on.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value, context};

use crate::error::LoadError;
use crate::prompt::{Layout, Speaker, Turn, Variant};

/// Steps that rendering may take: a template that loops does not hang the start.
const FUEL: u64 = 1_000_000;

/// The variant whose prompt is what `source` renders, for conversations of several lengths.
///
/// # Errors
/// When it is none; `path` is where it comes from.
pub fn variant(path: &Path, source: &str) -> Result<Variant, LoadError> {
    let fits = |variant| samples().iter().all(|turns| agrees(source, variant, turns));
    [Variant::Eight, Variant::One].into_iter().find(|variant| fits(*variant)).ok_or_else(|| {
        let reason = render(source, Variant::Eight, &samples().concat())
            .err()
            .map(|error| format!(" ({error})"))
            .unwrap_or_default();
        LoadError::wrong(
            path,
            format!("the chat template is not that of Llama Guard 3 8B or 1B{reason}"),
        )
    })
}

/// Whether template and builder say the same.
fn agrees(source: &str, variant: Variant, turns: &[Turn]) -> bool {
    let built = Layout::published(variant).render(turns);
    render(source, variant, turns).ok() == built
}

/// What the template makes of `turns`.
///
/// # Errors
/// What the template engine says.
pub fn render(source: &str, variant: Variant, turns: &[Turn]) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    let messages: Vec<Value> = turns.iter().map(|turn| message(variant, turn)).collect();
    environment.render_str(source, context! { messages, bos_token => "<|begin_of_text|>" })
}

/// The 8B's template wants a text; the 1B's wants parts, and makes nothing of a text.
fn message(variant: Variant, turn: &Turn) -> Value {
    let role = match turn.speaker {
        Speaker::User => "user",
        Speaker::Agent => "assistant",
    };
    let text = &*turn.text;
    match variant {
        Variant::Eight => context! { role, content => text },
        Variant::One => context! { role, content => [context! { type => "text", text }] },
    }
}

fn samples() -> Vec<Vec<Turn>> {
    let said = [" What is this? \n", "An answer.", "a\n\nb", "<END CONVERSATION>", "last"];
    let speakers = [Speaker::User, Speaker::Agent].into_iter().cycle();
    let turns: Vec<Turn> = speakers.zip(said).map(|(who, text)| Turn::new(who, text)).collect();
    (1..=turns.len()).filter_map(|count| Some(turns.get(..count)?.to_vec())).collect()
}
