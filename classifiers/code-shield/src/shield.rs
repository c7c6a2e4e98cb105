//! The classifier.

use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use classifiers_core::{Backend, Category, ClassifierId, ClassifyError, Finding, Passage};

use crate::blocks::{Block, blocks, is_code_line, is_test};
use crate::mask::{Masked, mask};
use crate::rules::{FILES, shipped};
use crate::{Rule, RuleError};

/// Finds insecure code.
#[derive(Debug)]
pub struct CodeShield {
    id: ClassifierId,
    rules: Vec<Rule>,
    words: AhoCorasick,
    /// For each word the number of its rule.
    rule_of: Vec<usize>,
}

/// Something a rule found.
#[derive(Clone, Debug)]
pub struct Weakness<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Where, in bytes of the text.
    pub span: Range<usize>,
    /// How sure: the rule's severity, less in tests, and next to nothing where a comment says that it is known.
    pub score: f32,
}

/// The score of a finding that a comment in the code calls known. It is below every sensitivity that has a name: but the
/// comment may be the model's own, so whoever wants to see these finds them by number.
const SUPPRESSED: f32 = 0.3;

/// Tests do to themselves what they do.
const IN_TESTS: f32 = 0.5;

/// Comments by which people tell checkers that something is known.
const SUPPRESSIONS: [&str; 7] =
    ["nosec", "noqa: S", "nosemgrep", "NOLINT", "eslint-disable", "NOSONAR", "portcullis: ignore"];

/// So many findings of one rule in one block say all there is to say.
const MOST: usize = 64;

/// A bound for what one rule costs in one block. Beyond it there is no verdict: what is not looked at may be weak.
const PLACES: usize = 2000;

/// What speaks against a finding is looked for so many bytes before and after it.
const NEAR: usize = 600;

impl CodeShield {
    /// The name findings carry.
    pub const NAME: &'static str = "code_shield";

    /// With the shipped rules.
    ///
    /// # Errors
    /// When they cannot be read; a test makes sure that they can.
    pub fn new() -> Result<Self, RuleError> {
        let rules = shipped()?;
        let words: Vec<(&str, usize)> = rules
            .iter()
            .enumerate()
            .flat_map(|(number, rule)| rule.needles.iter().map(move |word| (word.as_str(), number)))
            .collect();
        let mut builder = AhoCorasick::builder();
        // Every text is read by it: two megabytes of memory buy a fifth of the time.
        builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA));
        #[expect(
            clippy::expect_used,
            reason = "the words are constants, and every test builds them"
        )]
        let automaton = builder.build(words.iter().map(|(word, _)| word)).expect("few words");
        let mut digest = blake3::Hasher::new();
        for (_, content) in FILES {
            digest.update(content.as_bytes());
        }
        let revision =
            format!("2-{}", &digest.finalize().to_hex().as_str().get(..12).unwrap_or_default());
        let rule_of = words.iter().map(|(_, number)| *number).collect();
        Ok(Self { id: ClassifierId::new(Self::NAME, revision), rules, words: automaton, rule_of })
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Everything that rules find in `text`.
    ///
    /// # Errors
    /// When a rule cannot be matched: nothing is known then.
    pub fn find(&self, text: &str) -> Result<Vec<Weakness<'_>>, ClassifyError> {
        let mut found = Vec::new();
        let asked = self.asked(text);
        if asked.is_empty() {
            return Ok(found);
        }
        for block in blocks(text) {
            self.look(text, &block, &asked, &mut found)?;
        }
        Ok(found)
    }

    /// The rules whose words `text` has.
    fn asked(&self, text: &str) -> BTreeSet<usize> {
        let seen = self.words.find_overlapping_iter(text).map(|word| word.pattern().as_usize());
        seen.filter_map(|word| self.rule_of.get(word).copied()).collect()
    }

    fn look<'a>(
        &'a self,
        text: &str,
        block: &Block,
        asked: &BTreeSet<usize>,
        found: &mut Vec<Weakness<'a>>,
    ) -> Result<(), ClassifyError> {
        let code = text.get(block.span.clone()).unwrap_or_default();
        let mut masks: Vec<(crate::Language, Masked)> = Vec::new();
        let in_test = is_test(code);
        for rule in asked.iter().filter_map(|number| self.rules.get(*number)) {
            let fits = |language: &&crate::Language| {
                block.languages.is_empty() || block.languages.contains(language)
            };
            let Some(language) = rule.languages.iter().find(fits) else { continue };
            if !masks.iter().any(|(known, _)| known == language) {
                masks.push((*language, mask(code, language.syntax())));
            }
            let Some((_, masked)) = masks.iter().find(|(known, _)| known == language) else {
                continue;
            };
            for span in matches(rule, masked, block.fenced)? {
                let score = match (is_suppressed(code, &span), in_test) {
                    (true, _) => SUPPRESSED,
                    (false, true) => rule.severity.score().min(IN_TESTS),
                    (false, false) => rule.severity.score(),
                };
                let span = block.span.start + span.start..block.span.start + span.end;
                found.push(Weakness { rule, span, score });
            }
        }
        Ok(())
    }
}

/// Where `rule` matches in `masked`.
fn matches(rule: &Rule, masked: &Masked, fenced: bool) -> Result<Vec<Range<usize>>, ClassifyError> {
    let unusable = || ClassifyError::Failed(format!("the rule {} cannot be matched", rule.id));
    let (pattern, unless) = rule.compiled().ok_or_else(unusable)?;
    let code = masked.code.as_str();
    let spans: Vec<_> =
        pattern.find_iter(code).take(PLACES + 1).map(|found| found.range()).collect();
    if spans.len() > PLACES {
        return Err(ClassifyError::Failed(format!("the rule {} has too much to look at", rule.id)));
    }
    let counts = |span: &Range<usize>| {
        !masked.is_text(span.start)
            && (fenced || is_code_line(code, span.start))
            && !unless.as_ref().is_some_and(|unless| unless.is_match(near(code, span)))
    };
    Ok(spans.into_iter().filter(counts).take(MOST).collect())
}

fn near<'a>(code: &'a str, span: &Range<usize>) -> &'a str {
    let from = code.floor_char_boundary(span.start.saturating_sub(NEAR));
    let to = code.ceil_char_boundary(span.end.saturating_add(NEAR).min(code.len()));
    code.get(from..to).unwrap_or_default()
}

/// Whether a comment on a line of `span`, or on the one before, says that this is known.
fn is_suppressed(code: &str, span: &Range<usize>) -> bool {
    let around = near(code, span);
    if !SUPPRESSIONS.iter().any(|sign| around.contains(sign)) {
        return false;
    }
    let start = span.start - code.floor_char_boundary(span.start.saturating_sub(NEAR));
    let before = around.get(..start).unwrap_or_default();
    let line = before.rfind('\n').unwrap_or(0);
    let from = before.get(..line).and_then(|before| before.rfind('\n')).unwrap_or(0);
    let end = start + span.len();
    let to =
        around.get(end..).and_then(|after| after.find('\n')).map_or(around.len(), |at| end + at);
    let lines = around.get(from..to).unwrap_or_default();
    SUPPRESSIONS.iter().any(|sign| lines.contains(sign))
}

impl Backend for CodeShield {
    fn id(&self) -> &ClassifierId {
        &self.id
    }

    fn covers(&self) -> &[Category] {
        &[Category::InsecureCode]
    }

    fn assess(&self, batch: &[Passage]) -> Result<Vec<Vec<Finding>>, ClassifyError> {
        let category = Category::InsecureCode;
        let judge = |passage: &Passage| {
            let found = self.find(&passage.text)?.into_iter();
            let mut findings: Vec<Finding> = found
                .map(|Weakness { span, score, .. }| Finding { category, score, span: Some(span) })
                .collect();
            if findings.is_empty() {
                findings.push(Finding::whole(category, 0.0));
            }
            Ok(findings)
        };
        batch.iter().map(judge).collect()
    }
}
