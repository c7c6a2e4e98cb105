//! From conversations to prompts.

use std::ops::Range;
use std::sync::Arc;

use classifiers_core::{ClassifyError, Passage, Role};

use crate::prompt::{Framed, Layout, Speaker, Turn, spoken, stripped};
use crate::tokens::Tokens;
use crate::verdict::{ANSWER, Prompt};

/// Neighbouring windows of a long turn share an eighth of their tokens.
const OVERLAP: usize = 8;

/// What becomes of a text that is longer than the context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Long {
    /// It is judged in overlapping windows that cover all of it.
    #[default]
    Window,
    /// There is no verdict.
    Refuse,
}

/// Makes prompts of conversations.
#[derive(Debug)]
pub struct Asker {
    /// The tokenizer.
    pub tokens: Tokens,
    /// The prompt.
    pub layout: Layout,
    frames: [Framed; 2],
    capacity: usize,
    long: Long,
}

/// A prompt, and the bytes of the last turn that it covers, if not all.
pub type Window = (Prompt, Option<Range<usize>>);

impl Asker {
    /// Asks with `layout`, within a context of so many tokens.
    ///
    /// # Errors
    /// When that does not hold the prompt.
    pub fn new(
        tokens: Tokens,
        layout: Layout,
        (capacity, long): (usize, Long),
    ) -> Result<Self, String> {
        let frames =
            [layout.frame(&tokens, Speaker::User)?, layout.frame(&tokens, Speaker::Agent)?];
        let asker = Self { tokens, layout, frames, capacity, long };
        match asker.room(Speaker::Agent) {
            0..16 => Err(format!("its context of {capacity} tokens does not hold the prompt")),
            _ => Ok(asker),
        }
    }

    const fn frame(&self, judged: Speaker) -> &Framed {
        let [user, agent] = &self.frames;
        match judged {
            Speaker::User => user,
            Speaker::Agent => agent,
        }
    }

    /// Tokens that turns may have.
    const fn room(&self, judged: Speaker) -> usize {
        let frame = self.frame(judged);
        self.capacity.saturating_sub(frame.before.len() + frame.after.len() + ANSWER)
    }

    /// The prompts that ask about the last of `turns`: one, or one for each window of a long turn. Earlier turns are
    /// there for the sense of the last one, each having been judged when it was the last: the oldest make room.
    ///
    /// # Errors
    /// When there is no turn, or the last is too long and not to be cut up.
    pub fn windows(&self, turns: &[Turn], urgent: bool) -> Result<Vec<Window>, ClassifyError> {
        let Some((last, before)) = turns.split_last() else {
            return Err(failed("there is no conversation to judge"));
        };
        let name = self.ids(&format!("{}:", last.speaker.name()))?;
        let (ids, places) = self.tokens.placed(&spoken(&last.text)).map_err(|e| failed(&e))?;
        let room = self.room(last.speaker);
        if name.len() + ids.len() <= room {
            let mut said = self.context(before, room - name.len() - ids.len())?;
            said.extend(name.into_iter().chain(ids));
            return Ok(vec![(self.prompt(last.speaker, &said, urgent), None)]);
        }
        if self.long == Long::Refuse {
            return Err(failed("the text is longer than the model's context"));
        }
        let end = self.ids("\n\n")?;
        let width = room - name.len() - end.len();
        let step = (width - width / OVERLAP).max(1);
        let starts = (0..ids.len())
            .step_by(step)
            .take_while(|at| *at == 0 || at + width / OVERLAP < ids.len());
        let windows = starts.map(|start| {
            let until = (start + width).min(ids.len());
            let said = [&name, ids.get(start..until).unwrap_or_default(), &end].concat();
            let span = span(&last.text, places.get(start..until).unwrap_or_default());
            (self.prompt(last.speaker, &said, urgent), Some(span))
        });
        Ok(windows.collect())
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>, ClassifyError> {
        self.tokens.ids(text).map_err(|error| failed(&error))
    }

    /// As many of the latest `turns` as have `room`.
    fn context(&self, turns: &[Turn], room: usize) -> Result<Vec<u32>, ClassifyError> {
        let mut kept = Vec::new();
        let mut count = 0;
        for turn in turns.iter().rev() {
            let ids = self.turn(turn)?;
            count += ids.len();
            if count > room {
                break;
            }
            kept.push(ids);
        }
        kept.reverse();
        Ok(kept.concat())
    }

    /// The ids of `text`; none if it has none.
    #[must_use]
    pub fn ids_of(&self, text: &str) -> Vec<u32> {
        self.tokens.ids(text).unwrap_or_default()
    }

    fn turn(&self, turn: &Turn) -> Result<Vec<u32>, ClassifyError> {
        self.ids(&format!("{}:{}", turn.speaker.name(), spoken(&turn.text)))
    }

    fn prompt(&self, judged: Speaker, said: &[u32], urgent: bool) -> Prompt {
        let frame = self.frame(judged);
        let ids = [&frame.before, said, &frame.after].concat();
        Prompt { ids, reusable: frame.before.len() + said.len(), urgent }
    }
}

/// The bytes of `text` that tokens of the turn at `places` stand for.
fn span(text: &str, places: &[(usize, usize)]) -> Range<usize> {
    // The turn is the stripped text behind a space.
    let offset = stripped(text).as_ptr().addr() - text.as_ptr().addr();
    let at = |place: usize| (place.saturating_sub(1) + offset).min(text.len());
    let start = places.first().map_or(0, |(start, _)| at(*start));
    let end = places.last().map_or(0, |(_, end)| at(*end));
    text.floor_char_boundary(start)..text.ceil_char_boundary(end)
}

/// A passage as a conversation in which it comes last.
#[must_use]
pub fn turns(passage: &Passage) -> Vec<Turn> {
    let before = passage.context.turns().iter().map(|(role, text)| (*role, text));
    let turns = before.chain([(passage.origin.role, &passage.text)]);
    turns.map(|(role, text)| Turn { speaker: speaker(role), text: Arc::clone(text) }).collect()
}

/// Whatever comes to the model is the user's, whoever wrote it.
const fn speaker(role: Role) -> Speaker {
    match role {
        Role::Operator | Role::User | Role::Tool => Speaker::User,
        Role::Assistant => Speaker::Agent,
    }
}

fn failed(why: &str) -> ClassifyError {
    ClassifyError::Failed(why.to_owned())
}
