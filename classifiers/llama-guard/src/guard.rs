//! Llama Guard as a classifier.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use classifiers_batching::{Pool, PoolCounts};
use classifiers_core::{
    Assessment, Category, ClassifierId, ClassifyError, Direction, Finding, Passage, Role,
};
use tower::Service;

use crate::error::LoadError;
use crate::judge::{ANSWER, Judge, Prompt, Verdict};
use crate::load::{self, Loaded};
use crate::options::{Long, Options};
use crate::prompt::{Framed, Layout, Speaker, Turn, Variant, category, spoken, stripped};
use crate::tokens::Tokens;

/// Tokenizing a longer text would hold up the others on its thread.
const INLINE_BYTES: usize = 16 * 1024;
/// Neighbouring windows of a long turn share an eighth of their tokens.
const OVERLAP: usize = 8;

/// A loaded Llama Guard: a [`Classify`](classifiers_core::Classify) service. Always ready; what it cannot judge in time
/// it refuses at once.
#[derive(Clone, Debug)]
pub struct LlamaGuard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: ClassifierId,
    asker: Asker,
    covered: Vec<Category>,
    pool: Pool<Judge>,
    facts: Facts,
}

/// What is known about a loaded model.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Which published prompt it wants.
    pub variant: Variant,
    /// Its files, with their BLAKE3 digests.
    pub files: Vec<(PathBuf, blake3::Hash)>,
    /// What it is computed in.
    pub precision: String,
    /// Bytes that its weights take.
    pub weight_bytes: usize,
    /// Bytes that keys and values take, all pages together.
    pub store_bytes: usize,
    /// The longest prompt in tokens.
    pub capacity: usize,
}

/// Makes prompts of conversations.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) tokens: Tokens,
    pub(crate) layout: Layout,
    frames: [Framed; 2],
    capacity: usize,
    long: Long,
}

/// A prompt, and the bytes of the last turn that it covers, if not all.
type Window = (Prompt, Option<Range<usize>>);

impl LlamaGuard {
    /// The name findings carry.
    pub const NAME: &'static str = "llama_guard";

    /// Loads the model in `folder` and tests it, so that what cannot work is known now.
    ///
    /// # Errors
    /// When the folder or the options are not usable, or the model does not answer as a Llama Guard does; the text says
    /// what to do.
    pub fn load(folder: &Path, options: &Options) -> Result<Self, LoadError> {
        // Libraries on the way trust files more than we do.
        let loaded = catch_unwind(AssertUnwindSafe(|| load::load(folder, options)));
        let Loaded { judge, asker, facts, digest, tokens_per_second } =
            loaded.map_err(|_| {
                LoadError::wrong(
                    folder,
                    "one of its files is damaged in a way that stops its reader",
                )
            })??;
        let pool = Pool::start(vec![judge], options.pool(tokens_per_second)).map_err(|error| {
            LoadError::Options(format!("no thread could be started for the model: {error}"))
        })?;
        let id = ClassifierId::new(Self::NAME, revision(&digest, options, &asker.layout));
        let covered = asker.layout.categories.covered();
        Ok(Self { inner: Arc::new(Inner { id, asker, covered, pool, facts }) })
    }

    /// Name and revision: the revision changes with every file and with every option that may change a score.
    #[must_use]
    pub fn id(&self) -> &ClassifierId {
        &self.inner.id
    }

    /// What it looks for.
    #[must_use]
    pub fn covers(&self) -> &[Category] {
        &self.inner.covered
    }

    /// What is known about the model.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.inner.facts
    }

    /// What was judged so far.
    #[must_use]
    pub fn counts(&self) -> PoolCounts {
        self.inner.pool.counts()
    }

    /// Judges the last of `turns`; of a turn that is judged in windows, each.
    ///
    /// # Errors
    /// When there is no turn, or there was no verdict.
    pub async fn judge(&self, turns: &[Turn]) -> Result<Vec<Verdict>, ClassifyError> {
        let windows = self.inner.asker.windows(turns, false)?;
        let prompts = windows.into_iter().map(|(prompt, _)| prompt).collect();
        self.inner.pool.judge(prompts).await?.into_iter().collect()
    }
}

impl Asker {
    pub(crate) fn new(
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
    pub(crate) fn windows(
        &self,
        turns: &[Turn],
        urgent: bool,
    ) -> Result<Vec<Window>, ClassifyError> {
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

    #[cfg(test)]
    pub(crate) fn ids_of(&self, text: &str) -> Vec<u32> {
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

impl Inner {
    async fn assess(self: Arc<Self>, passage: Passage) -> Result<Assessment, ClassifyError> {
        // An answer under way waits for its verdict, and so does whoever reads it.
        let urgent = passage.origin.direction == Direction::Output;
        let windows = if passage.text.len() <= INLINE_BYTES {
            self.asker.windows(&turns(&passage), urgent)?
        } else {
            let inner = Arc::clone(&self);
            let asking =
                tokio::task::spawn_blocking(move || inner.asker.windows(&turns(&passage), urgent));
            asking.await.map_err(|_| failed("it panicked"))??
        };
        let (prompts, spans): (Vec<_>, Vec<_>) = windows.into_iter().unzip();
        let verdicts: Vec<Verdict> =
            self.pool.judge(prompts).await?.into_iter().collect::<Result<_, _>>()?;
        let numbers = self.asker.layout.categories.numbers();
        let findings = numbers.filter_map(|number| {
            let scores = verdicts.iter().map(|verdict| verdict.score(number)).zip(&spans);
            let (score, span) = scores.max_by(|a, b| a.0.total_cmp(&b.0))?;
            Some(Finding { category: category(number)?, score, span: span.clone() })
        });
        let mut said = Assessment::new(self.id.clone(), findings.collect());
        let worst = verdicts.iter().max_by(|a, b| a.binary.total_cmp(&b.binary));
        said.measures = worst.map(measures).unwrap_or_default();
        Ok(said)
    }
}

/// A passage as a conversation in which it comes last.
fn turns(passage: &Passage) -> Vec<Turn> {
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

/// What a verdict says beside the scores.
fn measures(verdict: &Verdict) -> Vec<(&'static str, f32)> {
    let both = [("p_unsafe_of_two", verdict.binary), ("p_unsafe_of_all", verdict.full)];
    let first = verdict.categories.iter().filter_map(|(number, share)| {
        let name = FIRST.get(usize::from(*number).checked_sub(1)?)?;
        Some((*name, *share))
    });
    both.into_iter().chain(first).collect()
}

/// The probability that a category comes first in the list, were there one.
const FIRST: [&str; 14] = [
    "first_s1",
    "first_s2",
    "first_s3",
    "first_s4",
    "first_s5",
    "first_s6",
    "first_s7",
    "first_s8",
    "first_s9",
    "first_s10",
    "first_s11",
    "first_s12",
    "first_s13",
    "first_s14",
];

impl Service<Passage> for LlamaGuard {
    type Response = Assessment;
    type Error = ClassifyError;
    // Boxed: it waits for tokens and then for verdicts, each of which takes far longer than an allocation.
    type Future = Pin<Box<dyn Future<Output = Result<Assessment, ClassifyError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ClassifyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, passage: Passage) -> Self::Future {
        Box::pin(Arc::clone(&self.inner).assess(passage))
    }
}

/// What must change when a score may change.
fn revision(digest: &blake3::Hash, options: &Options, layout: &Layout) -> String {
    let mut revision: String = digest.to_hex().chars().take(16).collect();
    revision.push_str(&format!("-{}", options.precision()));
    if *layout != Layout::published(layout.variant) {
        let asked = blake3::hash(format!("{:?}", layout.categories).as_bytes());
        revision.extend("-c".chars().chain(asked.to_hex().chars().take(8)));
    }
    revision
}

fn failed(why: &str) -> ClassifyError {
    ClassifyError::Failed(why.to_owned())
}
