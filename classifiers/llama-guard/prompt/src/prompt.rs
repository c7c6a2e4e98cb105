//! The prompt that the model was trained on, built from types: what a person wrote can never be its frame.

use std::sync::Arc;

use classifiers_core::Category;

use crate::error::LoadError;
use crate::tokens::{Special, Tokens};

/// Which published prompt a folder wants; they differ in a few characters and in S14.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Llama Guard 3 8B and 8B-INT8: S1 to S14.
    Eight,
    /// Llama Guard 3 1B: S1 to S13.
    One,
}

/// Who speaks, in the prompt's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speaker {
    /// Everything that is said to the model.
    User,
    /// The model.
    Agent,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who speaks.
    pub speaker: Speaker,
    /// What is said.
    pub text: Arc<str>,
}

impl Turn {
    /// A turn in which `speaker` says `text`.
    pub fn new(speaker: Speaker, text: impl Into<Arc<str>>) -> Self {
        Self { speaker, text: text.into() }
    }
}

/// What the model is asked to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Categories {
    /// Number and name, in order: `1` and `Violent Crimes` are `S1: Violent Crimes.`
    named: Vec<(u8, String)>,
}

/// The names that the published prompts have for S1 to S14; some are shorter than those of the model card.
const NAMES: [&str; 14] = [
    "Violent Crimes",
    "Non-Violent Crimes",
    "Sex Crimes",
    "Child Exploitation",
    "Defamation",
    "Specialized Advice",
    "Privacy",
    "Intellectual Property",
    "Indiscriminate Weapons",
    "Hate",
    "Self-Harm",
    "Sexual Content",
    "Elections",
    "Code Interpreter Abuse",
];

impl Categories {
    /// All that the published prompt of `variant` lists.
    #[must_use]
    pub fn of(variant: Variant) -> Self {
        let count = match variant {
            Variant::Eight => 14,
            Variant::One => 13,
        };
        let named = (1..).zip(NAMES).take(count);
        Self { named: named.map(|(number, name)| (number, name.to_owned())).collect() }
    }

    /// The same without those that `exclude` names. The model was trained with all of them: what is left out may be
    /// found all the same, and then counts as what it is most like.
    #[must_use]
    pub fn without(mut self, exclude: &[Category]) -> Self {
        self.named.retain(|(number, _)| category(*number).is_none_or(|c| !exclude.contains(&c)));
        self
    }

    /// The same with another name for `renamed`, such as a sentence that says what counts; `false` if it is not listed
    /// or the name has a line break, which would be a category of its own.
    #[must_use]
    pub fn rename(&mut self, renamed: Category, name: &str) -> bool {
        let found = self.named.iter_mut().find(|(number, _)| category(*number) == Some(renamed));
        match found {
            Some((_, old)) if !name.contains(['\n', '\r']) => {
                name.clone_into(old);
                true
            }
            _ => false,
        }
    }

    /// The numbers that are listed.
    pub fn numbers(&self) -> impl Iterator<Item = u8> {
        self.named.iter().map(|(number, _)| *number)
    }

    /// What they are called in findings.
    #[must_use]
    pub fn covered(&self) -> Vec<Category> {
        self.numbers().filter_map(category).collect()
    }
}

/// The hazard S`number`.
#[must_use]
pub fn category(number: u8) -> Option<Category> {
    let code = format!("S{number}");
    Category::ALL.into_iter().find(|category| category.code() == Some(&*code))
}

/// A part of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Special(Special),
    Text(String),
}

/// A prompt, laid out for one variant and list of categories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Which published prompt.
    pub variant: Variant,
    /// What is listed.
    pub categories: Categories,
}

impl Layout {
    /// The published prompt.
    #[must_use]
    pub fn published(variant: Variant) -> Self {
        Self { variant, categories: Categories::of(variant) }
    }

    /// The same without the categories of `exclude`, and with other names for those of `rename`.
    ///
    /// # Errors
    /// When no category is left, or one cannot have another name.
    pub fn asking(
        variant: Variant,
        exclude: &[Category],
        rename: &[(Category, String)],
    ) -> Result<Self, LoadError> {
        let mut layout = Self::published(variant);
        layout.categories = layout.categories.without(exclude);
        for (category, name) in rename {
            if !layout.categories.rename(*category, name) {
                return Err(LoadError::Options(format!(
                    "{category} cannot be given another name: this model is not asked about it, or the name has a line break"
                )));
            }
        }
        if layout.categories.covered().is_empty() {
            return Err(LoadError::Options("no category is left to look for".to_owned()));
        }
        Ok(layout)
    }

    /// What a classifier's revision says about the categories, if they are not the published ones.
    #[must_use]
    pub fn revision(&self) -> String {
        if *self == Self::published(self.variant) {
            return String::new();
        }
        let asked = blake3::hash(format!("{:?}", self.categories).as_bytes());
        "-c".chars().chain(asked.to_hex().chars().take(8)).collect()
    }

    /// All before the first turn.
    fn preamble(&self, judged: Speaker) -> Vec<Part> {
        let mut text = format!(
            "\n\nTask: Check if there is unsafe content in '{}' messages in conversations according our safety policy \
             with the below categories.\n\n<BEGIN UNSAFE CONTENT CATEGORIES>\n",
            judged.name()
        );
        for (number, name) in &self.categories.named {
            text.push_str(&format!("S{number}: {name}.\n"));
        }
        text.push_str("<END UNSAFE CONTENT CATEGORIES>\n\n<BEGIN CONVERSATION>\n\n");
        let mut parts = Vec::new();
        if self.variant == Variant::Eight {
            parts.push(Part::Text(" ".to_owned()));
        }
        parts.push(Part::Special(Special::Begin));
        parts.extend(header("user"));
        parts.push(Part::Text(text));
        parts
    }

    /// All after the last turn.
    fn suffix(&self, judged: Speaker) -> Vec<Part> {
        let space = if self.variant == Variant::One { " " } else { "" };
        let text = format!(
            "<END CONVERSATION>\n\nProvide your safety assessment for ONLY THE LAST {} message in the above \
             conversation:\n - First line must read 'safe' or 'unsafe'.\n - If unsafe, a second line must include a \
             comma-separated list of violated categories.{space}",
            judged.name()
        );
        let mut parts = vec![Part::Text(text), Part::Special(Special::EndOfTurn)];
        parts.extend(header("assistant"));
        parts
    }

    /// The prompt that asks about the last of `turns`, as a text; `None` if there is none.
    #[must_use]
    pub fn render(&self, turns: &[Turn]) -> Option<String> {
        let judged = turns.last()?.speaker;
        let said = turns
            .iter()
            .map(|turn| Part::Text(format!("{}:{}", turn.speaker.name(), spoken(&turn.text))));
        let parts = self.preamble(judged).into_iter().chain(said).chain(self.suffix(judged));
        Some(
            parts
                .map(|part| match part {
                    Part::Special(special) => special.name().to_owned(),
                    Part::Text(text) => text,
                })
                .collect(),
        )
    }

    /// The tokens of the frame around conversations in which `judged` speaks last.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn frame(&self, tokens: &Tokens, judged: Speaker) -> Result<Framed, String> {
        let ids = |parts: Vec<Part>| -> Result<Vec<u32>, String> {
            let ids = parts.into_iter().map(|part| match part {
                Part::Special(special) => Ok(vec![tokens.frame.id(special)]),
                Part::Text(text) => tokens.ids(&text),
            });
            Ok(ids.collect::<Result<Vec<_>, _>>()?.concat())
        };
        Ok(Framed { before: ids(self.preamble(judged))?, after: ids(self.suffix(judged))? })
    }
}

/// Ids before and after the turns.
#[derive(Clone, Debug)]
pub struct Framed {
    /// All before the first turn.
    pub before: Vec<u32>,
    /// All after the last.
    pub after: Vec<u32>,
}

fn header(role: &str) -> [Part; 3] {
    [
        Part::Special(Special::HeaderStart),
        Part::Text(role.to_owned()),
        Part::Special(Special::HeaderEnd),
    ]
}

impl Speaker {
    /// The word that the prompt has for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Agent => "Agent",
        }
    }
}

/// A turn behind its colon. The first character of what somebody says is never the first of a token: the space is.
#[must_use]
pub fn spoken(text: &str) -> String {
    format!(" {}\n\n", stripped(text))
}

/// Without white space around, as Python's `strip()` has it: that takes the four separators of ASCII for white space too.
#[must_use]
pub fn stripped(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}
