//! One pass over a text: words, runs of punctuation, segments (sentences) and surface statistics.

use crate::fold::{Folded, Script, fold};
use crate::symbols::{Buffer, is_dull, leet_digit, leet_mark};

/// Longest word in symbols; what is longer is cut, so that work stays linear.
pub(crate) const MAX_WORD: usize = 64;
/// Longest run of punctuation kept as one token.
const MAX_MARKS: usize = 6;
/// A segment is closed after this many words even without punctuation.
const MAX_SEGMENT: u32 = 40;

/// Receives what a scan finds, in order.
pub(crate) trait Tokens {
    /// A word, folded; `script` is that of its last letter.
    fn word(&mut self, symbols: &[u16], script: Script);
    /// A run of punctuation.
    fn marks(&mut self, symbols: &[u16]);
    /// A segment ended; `at` is the byte after it, `words` its length, `surface` what was counted in it.
    fn segment(&mut self, at: usize, words: u32, surface: Surface);
}

/// Counts over the surface of a text; characters unless said otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surface {
    pub(crate) chars: u32,
    pub(crate) words: u32,
    pub(crate) segments: u32,
    pub(crate) upper: u32,
    pub(crate) digits: u32,
    pub(crate) marks: u32,
    pub(crate) code_marks: u32,
    pub(crate) mark_runs: u32,
    pub(crate) newlines: u32,
    pub(crate) hidden: u32,
    pub(crate) look_alikes: u32,
    pub(crate) percents: u32,
    pub(crate) quotes: u32,
    pub(crate) questions: u32,
    pub(crate) brackets: u32,
    pub(crate) single_letters: u32,
    pub(crate) leet_words: u32,
    pub(crate) longest_run: u32,
    pub(crate) ends_with_question: bool,
    /// Letters by script, in the order of [`Script`].
    pub(crate) scripts: [u32; 4],
}

impl Surface {
    /// The counts of this stretch of text and of the `next` one together.
    pub(crate) fn with(&self, next: &Self) -> Self {
        let sum = u32::saturating_add;
        let [a, b] = [&self.scripts, &next.scripts];
        Self {
            chars: sum(self.chars, next.chars),
            words: sum(self.words, next.words),
            segments: sum(self.segments, next.segments),
            upper: sum(self.upper, next.upper),
            digits: sum(self.digits, next.digits),
            marks: sum(self.marks, next.marks),
            code_marks: sum(self.code_marks, next.code_marks),
            mark_runs: sum(self.mark_runs, next.mark_runs),
            newlines: sum(self.newlines, next.newlines),
            hidden: sum(self.hidden, next.hidden),
            look_alikes: sum(self.look_alikes, next.look_alikes),
            percents: sum(self.percents, next.percents),
            quotes: sum(self.quotes, next.quotes),
            questions: sum(self.questions, next.questions),
            brackets: sum(self.brackets, next.brackets),
            single_letters: sum(self.single_letters, next.single_letters),
            leet_words: sum(self.leet_words, next.leet_words),
            longest_run: self.longest_run.max(next.longest_run),
            ends_with_question: next.ends_with_question,
            scripts: std::array::from_fn(|script| {
                let of = |counts: &[u32; 4]| counts.get(script).copied().unwrap_or(0);
                sum(of(a), of(b))
            }),
        }
    }
}

/// Scans `text`, reporting tokens to `tokens`; at least one segment.
pub(crate) fn scan<T: Tokens>(text: &str, tokens: &mut T) {
    let mut scanner = Scanner::new(tokens);
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(&first) = rest.as_bytes().first()
    {
        if first.is_ascii_alphabetic() {
            at += scanner.letters(at, rest.as_bytes());
            continue;
        }
        let mut chars = rest.chars();
        let Some(c) = chars.next() else { break };
        scanner.take(at, c, chars.next());
        at += c.len_utf8();
    }
    scanner.finish(text.len());
}

struct Scanner<'t, T> {
    tokens: &'t mut T,
    surface: Surface,
    word: Buffer<MAX_WORD>,
    script: Script,
    letters: u32,
    digits: u32,
    leet: bool,
    marks: Buffer<MAX_MARKS>,
    /// Letters written one by one with a separator between them.
    spelled: Buffer<MAX_WORD>,
    gap: u32,
    run: u32,
    segment_words: u32,
    segments: bool,
    stop: bool,
}

impl<'t, T: Tokens> Scanner<'t, T> {
    fn new(tokens: &'t mut T) -> Self {
        Self {
            tokens,
            surface: Surface::default(),
            word: Buffer::new(),
            script: Script::Spaced,
            letters: 0,
            digits: 0,
            leet: false,
            marks: Buffer::new(),
            spelled: Buffer::new(),
            gap: 0,
            run: 0,
            segment_words: 0,
            segments: false,
            stop: false,
        }
    }

    #[inline]
    fn take(&mut self, at: usize, c: char, next: Option<char>) {
        self.surface.chars = self.surface.chars.saturating_add(1);
        match fold(c) {
            Folded::Letter(symbol, script) => {
                self.surface.upper += u32::from(c.is_ascii_uppercase());
                self.letter(at, symbol, script);
            }
            Folded::LookAlike(symbol) => {
                self.surface.look_alikes += 1;
                self.letter(at, symbol, Script::Spaced);
            }
            Folded::Digit(symbol) => self.digit(at, symbol),
            Folded::Space => self.space(at),
            Folded::Newline => self.newline(at),
            Folded::Mark(symbol) => self.mark(at, symbol, next),
            Folded::Hidden => self.surface.hidden += 1,
            Folded::Accent => {}
            Folded::Tag(byte) => {
                self.surface.hidden += 1;
                let plain = char::from(byte);
                self.surface.chars = self.surface.chars.saturating_sub(1);
                self.take(at, plain, None);
            }
        }
    }

    /// Takes the ASCII letters that `bytes` starts with, at most a word; returns how many.
    ///
    /// Most text is such letters: what [`Self::take`] does for each is done here for all.
    #[inline]
    fn letters(&mut self, at: usize, bytes: &[u8]) -> usize {
        self.before_word(at);
        if self.script != Script::Spaced {
            self.end_word();
            self.script = Script::Spaced;
        }
        if self.word.is_full() {
            self.end_word();
        }
        let mut upper = 0;
        let letters = bytes.iter().take_while(|b| b.is_ascii_alphabetic());
        let taken = self.word.extend(letters.map(|&byte| {
            upper += u32::from(byte.is_ascii_uppercase());
            u16::from(byte | 0x20)
        }));
        self.surface.upper += upper;
        self.surface.chars = self.surface.chars.saturating_add(taken);
        let [spaced, ..] = &mut self.surface.scripts;
        *spaced = spaced.saturating_add(taken);
        self.letters += taken;
        // The first was counted by `before_word`.
        self.run += taken.saturating_sub(1);
        taken as usize
    }

    #[inline]
    fn letter(&mut self, at: usize, symbol: u16, script: Script) {
        self.before_word(at);
        if let Some(count) = self.surface.scripts.get_mut(script as usize) {
            *count = count.saturating_add(1);
        }
        if script != self.script {
            self.end_word();
            self.script = script;
        }
        self.letters += 1;
        self.push(symbol);
    }

    fn digit(&mut self, at: usize, symbol: u16) {
        self.before_word(at);
        self.surface.digits += 1;
        self.digits += 1;
        self.push(symbol);
    }

    #[inline]
    fn before_word(&mut self, at: usize) {
        self.run += 1;
        if !self.marks.is_empty() {
            self.end_marks();
        }
        if self.segment_words >= MAX_SEGMENT {
            // Only reached in text without any blank.
            self.end_word();
            self.end_segment(at);
        }
        if self.stop && self.word.is_empty() {
            // `3.5` and `example.com` go on: only a stop followed by a blank ends a segment.
            if self.gap > 1 {
                self.end_segment(at);
            }
            self.stop = false;
        }
    }

    fn push(&mut self, symbol: u16) {
        if !self.word.push(symbol) {
            self.end_word();
            self.word.push(symbol);
        }
    }

    #[inline]
    fn space(&mut self, at: usize) {
        self.break_run();
        self.end_word();
        self.end_marks();
        self.gap += 1;
        if self.segment_words >= MAX_SEGMENT {
            self.end_segment(at);
        }
    }

    fn newline(&mut self, at: usize) {
        self.surface.newlines += 1;
        self.space(at);
        self.gap += 1;
        self.end_segment(at);
    }

    fn mark(&mut self, at: usize, symbol: u16, next: Option<char>) {
        self.run += 1;
        let ascii = u8::try_from(symbol).unwrap_or(0);
        if let Some(letter) = leet_mark(ascii)
            && !self.word.is_empty()
            && next.is_some_and(|n| n.is_ascii_alphanumeric())
        {
            self.leet = true;
            self.letters += 1;
            self.push(u16::from(letter));
            return;
        }
        self.end_word();
        self.gap += 1;
        self.count_mark(ascii);
        self.surface.ends_with_question = ascii == b'?';
        if matches!(ascii, b'.' | b'!' | b'?') {
            self.stop = true;
        }
        if !self.marks.push(symbol) {
            self.end_marks();
            self.marks.push(symbol);
        }
        // Hostile input may have no blank at all.
        if self.segment_words >= MAX_SEGMENT {
            self.end_segment(at);
        }
    }

    fn count_mark(&mut self, ascii: u8) {
        self.surface.marks += 1;
        match ascii {
            b'?' => self.surface.questions += 1,
            b'%' => self.surface.percents += 1,
            b'"' | b'\'' | b'`' => self.surface.quotes += 1,
            b'[' | b'<' => self.surface.brackets += 1,
            b'{' | b'}' | b';' | b'=' | b'(' | b')' | b'\\' | b'|' => self.surface.code_marks += 1,
            _ => {}
        }
    }

    fn break_run(&mut self) {
        self.surface.longest_run = self.surface.longest_run.max(self.run);
        self.run = 0;
    }

    #[inline]
    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        self.spell();
        self.surface.ends_with_question = false;
        self.normalise_digits();
        self.tokens.word(self.word.as_slice(), self.script);
        let words = match self.script {
            Script::Thai | Script::Ideographic => 1 + self.word.len() / 5,
            Script::Spaced | Script::Devanagari => 1,
        };
        self.segment_words += words;
        self.surface.words = self.surface.words.saturating_add(words);
        self.word.clear();
        self.letters = 0;
        self.digits = 0;
        self.leet = false;
        self.gap = 0;
    }

    /// Numbers keep only their length; digits among letters are read as the letters they resemble.
    fn normalise_digits(&mut self) {
        if self.digits == 0 && !self.leet {
            return;
        }
        if self.letters == 0 {
            self.word.truncate(4);
            self.word.for_each(|s| *s = u16::from(b'0'));
            return;
        }
        self.surface.leet_words += 1;
        if self.letters >= self.digits {
            self.word.for_each(|s| *s = leet_digit(*s));
        }
    }

    /// Collects `i g n o r e`; the word is reported when the spelling stops.
    fn spell(&mut self) {
        let single = self.word.len() == 1 && self.letters == 1;
        self.surface.single_letters += u32::from(single);
        if !(single && (self.gap == 1 || self.spelled.is_empty())) {
            self.end_spelled();
        }
        if single && let Some(&symbol) = self.word.as_slice().first() {
            self.spelled.push(symbol);
        }
    }

    fn end_spelled(&mut self) {
        if self.spelled.len() >= 3 {
            self.tokens.word(self.spelled.as_slice(), Script::Spaced);
        }
        self.spelled.clear();
    }

    #[inline]
    fn end_marks(&mut self) {
        if self.marks.is_empty() {
            return;
        }
        let dull = matches!(self.marks.as_slice(), [one] if is_dull(*one));
        if !dull {
            self.surface.mark_runs += u32::from(self.marks.len() > 1);
            self.tokens.marks(self.marks.as_slice());
        }
        self.marks.clear();
    }

    fn end_segment(&mut self, at: usize) {
        self.end_spelled();
        self.stop = false;
        if self.segment_words > 0 {
            self.tell_segment(at);
        }
    }

    fn tell_segment(&mut self, at: usize) {
        self.segments = true;
        self.surface.segments = self.surface.segments.saturating_add(1);
        self.tokens.segment(at, self.segment_words, std::mem::take(&mut self.surface));
        self.segment_words = 0;
    }

    fn finish(mut self, at: usize) {
        self.break_run();
        self.end_word();
        self.end_marks();
        self.end_spelled();
        // Text of punctuation alone still is one segment.
        if self.segment_words > 0 || !self.segments {
            self.tell_segment(at);
        }
    }
}
