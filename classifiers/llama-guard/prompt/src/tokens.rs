//! The tokenizer, and the tokens of the prompt's frame and of the answer's grammar.

use std::path::Path;

use tokenizers::Tokenizer;

use crate::error::LoadError;

/// For each token the first byte of what it stands for, and one past the last.
pub type Places = Vec<(usize, usize)>;

/// A tokenizer to which every text is text: what looks like a special token is letters.
#[derive(Debug)]
pub struct Tokens {
    tokenizer: Tokenizer,
    /// Ids of special tokens.
    pub frame: Frame,
    /// Ids of what an answer is made of.
    pub grammar: Grammar,
}

/// Special tokens, which only the prompt's frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// The beginning of a text.
    Begin,
    /// Before a role.
    HeaderStart,
    /// After a role.
    HeaderEnd,
    /// The end of a turn.
    EndOfTurn,
}

impl Special {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Begin, Self::HeaderStart, Self::HeaderEnd, Self::EndOfTurn];

    /// How it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Begin => "<|begin_of_text|>",
            Self::HeaderStart => "<|start_header_id|>",
            Self::HeaderEnd => "<|end_header_id|>",
            Self::EndOfTurn => "<|eot_id|>",
        }
    }
}

/// Ids of special tokens, in the order of [`Special::ALL`].
#[derive(Clone, Debug)]
pub struct Frame([u32; 4]);

impl Frame {
    /// The id of `special`.
    #[must_use]
    pub fn id(&self, special: Special) -> u32 {
        let [begin, start, end, turn] = self.0;
        match special {
            Special::Begin => begin,
            Special::HeaderStart => start,
            Special::HeaderEnd => end,
            Special::EndOfTurn => turn,
        }
    }
}

/// Ids of an answer's tokens: `\n\n`, then `safe`, or `unsafe`, `\n`, `S`, a number and more of them, then an end.
#[derive(Clone, Debug)]
pub struct Grammar {
    /// An empty line.
    pub paragraph: u32,
    /// `safe`
    pub safe: u32,
    /// `unsafe`
    pub unsafe_: u32,
    /// A line break.
    pub line: u32,
    /// `S`
    pub code: u32,
    /// `,S`
    pub next_code: u32,
    /// `1` to `14`.
    pub numbers: Vec<u32>,
    /// What may end an answer: end of turn, of message, of text.
    pub ends: Vec<u32>,
}

impl Grammar {
    /// The token of category `number`.
    #[must_use]
    pub fn number(&self, number: u8) -> Option<u32> {
        self.numbers.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The token of one of an answer's words, by how it is written.
    #[must_use]
    pub fn word(&self, text: &str) -> Option<u32> {
        match text {
            "\n\n" => Some(self.paragraph),
            "safe" => Some(self.safe),
            "unsafe" => Some(self.unsafe_),
            "\n" => Some(self.line),
            "S" => Some(self.code),
            ",S" => Some(self.next_code),
            "<|eot_id|>" | "<|eom_id|>" | "<|end_of_text|>" => self.ends.first().copied(),
            number if number.starts_with(|digit: char| digit.is_ascii_digit()) => {
                self.number(number.parse().ok()?)
            }
            _ => None,
        }
    }

    /// The category that `token` is the number of.
    #[must_use]
    pub fn numbered(&self, token: u32) -> Option<u8> {
        let at = self.numbers.iter().position(|known| *known == token)?;
        u8::try_from(at + 1).ok()
    }
}

impl Tokens {
    /// Reads tokenizer.json.
    ///
    /// # Errors
    /// When the file cannot be read or is of another model.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let bytes = std::fs::read(path).map_err(|error| LoadError::unreadable(path, error))?;
        let tokenizer = Tokenizer::from_bytes(bytes)
            .map_err(|error| LoadError::wrong(path, format!("it is no tokenizer: {error}")))?;
        Self::of(tokenizer).map_err(|fault| LoadError::wrong(path, fault))
    }

    /// Takes over `tokenizer`, if it knows every token of frame and grammar.
    ///
    /// # Errors
    /// When it does not; the text says which.
    pub fn of(mut tokenizer: Tokenizer) -> Result<Self, String> {
        tokenizer.set_encode_special_tokens(true);
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None);
        let id = |name: &str| {
            tokenizer.token_to_id(name).ok_or_else(|| format!("it has no token `{name}`"))
        };
        let mut frame = [0; 4];
        for (place, special) in frame.iter_mut().zip(Special::ALL) {
            *place = id(special.name())?;
        }
        let ends = ["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"];
        let ends = ends.into_iter().filter_map(|name| tokenizer.token_to_id(name)).collect();
        let single = |text: &str| match &*encode(&tokenizer, text)? {
            [id] => Ok(*id),
            ids => Err(format!("{text:?} is {} tokens where Llama 3 has one", ids.len())),
        };
        let grammar = Grammar {
            paragraph: single("\n\n")?,
            safe: single("safe")?,
            unsafe_: single("unsafe")?,
            line: single("\n")?,
            code: single("S")?,
            next_code: single(",S")?,
            numbers: (1..=14).map(|n: u32| single(&n.to_string())).collect::<Result<_, _>>()?,
            ends,
        };
        Ok(Self { tokenizer, frame: Frame(frame), grammar })
    }

    /// The ids of `text`, none of which is special.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>, String> {
        encode(&self.tokenizer, text)
    }

    /// The same, with the bytes of `text` that each stands for.
    ///
    /// # Errors
    /// What the tokenizer says.
    pub fn placed(&self, text: &str) -> Result<(Vec<u32>, Places), String> {
        let encoded = self.tokenizer.encode(text, false).map_err(|error| error.to_string())?;
        Ok((encoded.get_ids().to_vec(), encoded.get_offsets().to_vec()))
    }

    /// One more than the highest id.
    #[must_use]
    pub fn count(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Whether `id` is a special token.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.tokenizer.get_added_tokens_decoder().get(&id).is_some_and(|token| token.special)
    }
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, String> {
    let encoded = tokenizer.encode_fast(text, false).map_err(|error| error.to_string())?;
    Ok(encoded.get_ids().to_vec())
}
