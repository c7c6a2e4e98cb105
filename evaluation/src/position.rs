//! Position and dilution: a known attack at every place of long harmless contexts.

use serde::Serialize;

use crate::interval::Estimate;
use crate::{html, svg};

/// Bytes that are taken for one token: the estimate that limits and quotas go by too. English text has about four
/// characters for each token of a large model's tokenizer.
pub const BYTES_PER_TOKEN: usize = 4;
/// Lengths of contexts, in tokens.
pub const LENGTHS: [usize; 6] = [0, 512, 2_048, 8_192, 32_768, 131_072];
/// Places, in percent of the context that stands before the attack.
pub const POSITIONS: [u32; 11] = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

/// What became of attacks in contexts of one length, at one place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// Length of the context, in estimated tokens.
    pub tokens: usize,
    /// Percent of the context before the attack.
    pub position: u32,
    /// Attacks that were tried.
    pub attacks: usize,
    /// Attacks that were found.
    pub hits: usize,
    /// Texts without a verdict; with a guard that fails closed these are refused, but nothing was found.
    pub failures: usize,
    /// The share that was found (Wilson).
    pub found: Option<Estimate>,
}

/// Contexts of one length without an attack: what is found there is a false alarm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Control {
    /// Length of the context, in estimated tokens.
    pub tokens: usize,
    /// Contexts that were tried.
    pub contexts: usize,
    /// The share in which something was found (Wilson).
    pub found: Option<Estimate>,
}

/// What is reported.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PositionReport {
    /// Who was measured: classifiers with revisions, and the policy.
    pub subject: String,
    /// The command that makes this report again.
    pub command: String,
    /// Each length and position.
    pub cells: Vec<Cell>,
    /// Each length without an attack.
    pub controls: Vec<Control>,
    /// Seconds that it took.
    pub seconds: f64,
}

impl PositionReport {
    /// As JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// As a page that needs nothing else.
    #[must_use]
    pub fn html(&self) -> String {
        let mut body = format!(
            "<h1>Position and dilution</h1><p class=\"lead\">{}</p><pre>{}</pre>\
             <p>Recall of known attacks by the length of the harmless context around them (down, in tokens of {BYTES_PER_TOKEN} bytes) and by where in it they stand (across).</p>{}\
             <h2>Without an attack</h2><table><tr><th>tokens</th><th>contexts</th><th>false alarms, 95 %</th></tr>",
            html::escaped(&self.subject),
            html::escaped(&self.command),
            svg::heat_map(&self.cells)
        );
        for control in &self.controls {
            body += &format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
                control.tokens,
                control.contexts,
                html::estimate(control.found)
            );
        }
        body += &format!("</table><p>{:.0} seconds.</p>", self.seconds);
        html::page("Position and dilution", &body)
    }

    /// As Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::from("| tokens |");
        for position in POSITIONS {
            text += &format!(" {position} % |");
        }
        text += " no attack |\n|";
        text += &" --- |".repeat(POSITIONS.len() + 2);
        text += "\n";
        for control in &self.controls {
            text += &format!("| {} |", control.tokens);
            for cell in self.cells.iter().filter(|cell| cell.tokens == control.tokens) {
                text +=
                    &cell.found.map_or(" |".to_owned(), |found| format!(" {:.2} |", found.value));
            }
            if control.tokens == 0 {
                text += &" |".repeat(POSITIONS.len() - 1);
            }
            text += &control
                .found
                .map_or(" |\n".to_owned(), |found| format!(" {:.2} |\n", found.value));
        }
        text
    }
}

/// `attack` in a context of about `tokens` tokens, `position` percent of which stand before it. The context is made
/// of `parts`, from the `first` on, again and again; it is cut between words.
#[must_use]
pub fn diluted(
    attack: &str,
    parts: &[String],
    first: usize,
    (tokens, position): (usize, u32),
) -> String {
    let context = context(parts, first, tokens);
    let target = context.len() * position as usize / 100;
    let at = if position >= 100 { context.len() } else { boundary(&context, target) };
    let (before, after) = context.split_at_checked(at).unwrap_or((&context, ""));
    let pieces =
        [before, attack, after].into_iter().map(str::trim).filter(|piece| !piece.is_empty());
    pieces.collect::<Vec<_>>().join("\n\n")
}

/// Harmless text of about `tokens` tokens.
#[must_use]
pub fn context(parts: &[String], first: usize, tokens: usize) -> String {
    let bytes = tokens * BYTES_PER_TOKEN;
    let mut text = String::with_capacity(bytes + 4096);
    let filled = parts.iter().any(|part| !part.trim().is_empty());
    for part in parts.iter().cycle().skip(first % parts.len().max(1)) {
        if text.len() >= bytes || !filled {
            break;
        }
        text.push_str(part.trim());
        text.push_str("\n\n");
    }
    text.truncate(boundary(&text, bytes));
    text
}

/// The last place between words at or before byte `at`; where there is none for long, between characters.
fn boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    if at == text.len() {
        return at;
    }
    let before = text.get(..at).unwrap_or_default();
    before.rfind(char::is_whitespace).filter(|space| at - space < 200).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_attack_is_whole_and_the_length_is_kept(
            parts in proptest::collection::vec(".{1,60}", 1..6),
            tokens in 0usize..400,
            position in 0u32..=100,
        ) {
            let attack = "ATTACK ATTACK";
            let text = diluted(attack, &parts, 1, (tokens, position));
            prop_assert!(text.contains(attack));
            prop_assert!(text.len() <= tokens * BYTES_PER_TOKEN + attack.len() + 4);
        }
    }
}
