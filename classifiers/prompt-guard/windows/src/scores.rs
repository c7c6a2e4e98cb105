//! From logits to the scores of the model card.

use classifiers_core::{Category, Finding, Role};

use crate::tokens::Window;

/// Which of the two generations a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Prompt Guard 1: benign, injection, jailbreak.
    Three,
    /// Prompt Guard 2, 86M and 22M: benign, malicious.
    Two,
}

/// What the model says about a text, each 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// An attempt to override the model's rules: Prompt Guard 1's third label, Prompt Guard 2's second.
    pub jailbreak: f32,
    /// An instruction in a text that should have none: for Prompt Guard 1 the second and third label together. Only
    /// meant for text that is not the user's own dialogue.
    pub indirect: f32,
}

impl Family {
    /// How many labels it has.
    #[must_use]
    pub const fn labels(self) -> usize {
        match self {
            Self::Three => 3,
            Self::Two => 2,
        }
    }

    /// The scores that `logits` mean at `temperature`; `None` unless they are finite and as many as there are labels.
    #[must_use]
    pub fn scores(self, logits: &[f32], temperature: f32) -> Option<Scores> {
        if logits.len() != self.labels() || logits.iter().any(|logit| !logit.is_finite()) {
            return None;
        }
        let highest = logits.iter().copied().fold(f32::MIN, f32::max);
        let powers: Vec<f32> = logits.iter().map(|x| ((x - highest) / temperature).exp()).collect();
        let sum: f32 = powers.iter().sum();
        match *powers {
            [_, injection, jailbreak] => {
                let indirect = ((injection + jailbreak) / sum).min(1.0);
                Some(Scores { jailbreak: jailbreak / sum, indirect })
            }
            [_, malicious] => {
                Some(Scores { jailbreak: malicious / sum, indirect: malicious / sum })
            }
            _ => None,
        }
    }
}

/// What was found in a text by `role` whose windows have these scores.
#[must_use]
pub fn findings(role: Role, found: &[(Scores, Window)]) -> Vec<Finding> {
    let mut findings = vec![strongest(Category::Jailbreak, found, |scores| scores.jailbreak)];
    // By the model card, an instruction is an attack only where there should be none.
    if role != Role::User {
        findings.push(strongest(Category::PromptInjection, found, |scores| scores.indirect));
    }
    findings
}

/// The strongest window's score, and its place if there are several.
fn strongest(category: Category, found: &[(Scores, Window)], score: fn(&Scores) -> f32) -> Finding {
    let best = found.iter().max_by(|a, b| score(&a.0).total_cmp(&score(&b.0)));
    let several = found.len() > 1;
    Finding {
        category,
        score: best.map_or(f32::NAN, |(scores, _)| score(scores)),
        span: best.filter(|_| several).map(|(_, window)| window.span.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_model_card() {
        let ln = |p: f32| p.ln() + 5.0;
        let three = Family::Three.scores(&[ln(0.2), ln(0.3), ln(0.5)], 1.0).unwrap();
        assert!((three.jailbreak - 0.5).abs() < 1e-6 && (three.indirect - 0.8).abs() < 1e-6);
        let two = Family::Two.scores(&[ln(0.9), ln(0.1)], 1.0).unwrap();
        assert!((two.jailbreak - 0.1).abs() < 1e-6 && (two.indirect - 0.1).abs() < 1e-6);
        let soft = Family::Two.scores(&[0.0, 3.0], 3.0).unwrap();
        assert!((soft.jailbreak - 1.0 / (1.0 + (-1.0f32).exp())).abs() < 1e-6);
        for bad in [&[0.0, f32::NAN][..], &[0.0], &[0.0, 1.0, 2.0]] {
            assert_eq!(Family::Two.scores(bad, 1.0), None);
        }
    }
}
