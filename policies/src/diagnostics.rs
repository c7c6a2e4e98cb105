//! What is wrong with a document, said like a compiler says it.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The policy works; somebody should know.
    Warning,
    /// There is no policy.
    Error,
}

impl Severity {
    /// The word in front of the message.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One problem, with its place and, where there is one, the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// How many characters are meant; at least 1.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What was expected there.
    pub expected: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    pub(crate) excerpt: Excerpt,
}

/// The part of a line that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    /// What is meant, moved into the line where it points behind it.
    pub(crate) column: usize,
    pub(crate) length: usize,
    shown: String,
    /// Characters of `shown` before what is meant.
    indent: usize,
}

/// Everything noticed while a document was read, in the order of its lines.
///
/// `Display` renders it as plain text; iterate for the structured items.
#[derive(Clone, PartialEq, Eq)]
pub struct Diagnostics {
    file: String,
    items: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(crate) fn new(file: &str, mut items: Vec<Diagnostic>) -> Self {
        items.sort_by_key(|item| (item.line, item.column));
        Self { file: file.to_owned(), items }
    }

    /// The document they are about.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether nothing was noticed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items, in the order of the document.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.items.iter()
    }

    /// How many there are of `severity`.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.items.iter().filter(|item| item.severity == severity).count()
    }
}

impl<'d> IntoIterator for &'d Diagnostics {
    type Item = &'d Diagnostic;
    type IntoIter = std::slice::Iter<'d, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

// === impl Display ===

/// More than anyone reads at once; the count at the end is complete.
const SHOWN: usize = 50;

/// Characters of a line shown on either side of the place, so that one endless line fills no screen.
const CONTEXT: usize = 100;

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for item in self.items.iter().take(SHOWN) {
            item.render(&self.file, f)?;
            writeln!(f)?;
        }
        if let Some(more) = self.items.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            writeln!(f, "... and {more} more\n")?;
        }
        let errors = plural(self.count(Severity::Error), "error");
        let warnings = plural(self.count(Severity::Warning), "warning");
        let counts: Vec<String> = [errors, warnings].into_iter().flatten().collect();
        match counts.as_slice() {
            [] => write!(f, "{}: no problems", Printable(&self.file)),
            some => write!(f, "{}: {}", Printable(&self.file), some.join(", ")),
        }
    }
}

impl fmt::Debug for Diagnostics {
    /// As rendered: what a failed `unwrap` in a test should show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

impl std::error::Error for Diagnostics {}

impl Diagnostic {
    fn render(&self, file: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.severity.name(), Printable(&self.message))?;
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "{gutter}--> {}:{}:{}", Printable(file), self.line, self.column)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{}", format!("{number} | {}", self.excerpt.shown).trim_end())?;
        let indent = " ".repeat(self.excerpt.indent);
        let marks = "^".repeat(self.length);
        match &self.expected {
            Some(expected) => {
                writeln!(f, "{gutter} | {indent}{marks} {}", Printable(expected))?;
            }
            None => writeln!(f, "{gutter} | {indent}{marks}")?,
        }
        if let Some(help) = &self.help {
            writeln!(f, "{gutter} = help: {}", Printable(help))?;
        }
        Ok(())
    }
}

impl Excerpt {
    /// The part of `line` around `length` characters at `column`.
    pub(crate) fn new(line: &str, column: usize, length: usize) -> Self {
        let width = line.chars().count();
        let before = column.saturating_sub(1).min(width);
        let skipped = before.saturating_sub(CONTEXT);
        let mut shown = String::from(if skipped > 0 { "..." } else { "" });
        let indent = shown.len() + before - skipped;
        let taken = before - skipped + CONTEXT;
        shown.extend(line.chars().skip(skipped).take(taken).map(printable));
        if width > skipped + taken {
            shown.push_str("...");
        }
        let room = (width - before).clamp(1, CONTEXT);
        Self {
            column: before + 1,
            length: length.clamp(1, room),
            shown: shown.trim_end().to_owned(),
            indent,
        }
    }
}

fn plural(count: usize, word: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        n => Some(format!("{n} {word}s")),
    }
}

/// A document is shown on a terminal: it must not be able to steer it, nor to reorder what is read.
struct Printable<'t>(&'t str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().map(printable).try_for_each(|c| fmt::Write::write_char(f, c))
    }
}

fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        '\u{feff}' => '\u{fffd}',
        c => c,
    }
}
