//! What spans and their attributes are called: the one table of it.
//!
//! `http.*`, `server.*` and `error.type` are OpenTelemetry's stable conventions. `gen_ai.*` are its conventions for
//! generative AI, which still change; [`Conventions`] says which version. For guards there is none yet (drafts differ
//! in every name but agree that the verdict and the action are two things), so `guard.*` are our own.

use http::Method;
use proxy_dialects::Dialect;

pub(super) const METHOD: &str = "http.request.method";
pub(super) const ROUTE: &str = "http.route";
pub(super) const STATUS: &str = "http.response.status_code";
pub(super) const ERROR: &str = "error.type";
pub(super) const SERVER: &str = "server.address";
pub(super) const PORT: &str = "server.port";

pub(super) const OPERATION: &str = "gen_ai.operation.name";
pub(super) const MODEL: &str = "gen_ai.request.model";
/// The event that a classifier has said something (latest conventions).
pub(super) const EVALUATION: &str = "gen_ai.evaluation.result";
pub(super) const EVALUATION_NAME: &str = "gen_ai.evaluation.name";
pub(super) const EVALUATION_SCORE: &str = "gen_ai.evaluation.score.value";
pub(super) const EVALUATION_LABEL: &str = "gen_ai.evaluation.score.label";

/// The id of the audit record.
pub(super) const DECISION: &str = "guard.decision.id";
pub(super) const POLICY: &str = "guard.policy";
pub(super) const PROFILE: &str = "guard.profile";
pub(super) const MODE: &str = "guard.mode";
pub(super) const CALLER: &str = "guard.key.name";
pub(super) const OUTCOME: &str = "guard.outcome";
pub(super) const REASON: &str = "guard.reason";
pub(super) const STREAMED: &str = "guard.stream";
pub(super) const RELEASED: &str = "guard.released_bytes";
pub(super) const INPUT: (&str, &str) = ("guard.input.verdict", "guard.input.action");
pub(super) const OUTPUT: (&str, &str) = ("guard.output.verdict", "guard.output.action");
/// Examinations that have no span, because there were too many.
pub(super) const LEFT_OUT: &str = "guard.examinations_left_out";
pub(super) const PASSAGES: &str = "guard.passages";
pub(super) const BYTES: &str = "guard.bytes";
pub(super) const CHECK: &str = "guard.check.name";
pub(super) const REVISION: &str = "guard.check.revision";
pub(super) const IN_PLACE_OF: &str = "guard.check.in_place_of";
pub(super) const RUNG: &str = "guard.check.rung";
pub(super) const VERDICT: &str = "guard.verdict";
pub(super) const ACTION: &str = "guard.action";
pub(super) const WOULD: &str = "guard.would";
pub(super) const BECAUSE: &str = "guard.because";
pub(super) const EXEMPTIONS: &str = "guard.exemptions";

/// Which version of OpenTelemetry's conventions for generative AI spans follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conventions {
    /// 1.36.0, as every instrumentation does until it is told otherwise.
    #[default]
    Released,
    /// The latest, which is experimental.
    Latest,
}

impl Conventions {
    /// What the environment variable `OTEL_SEMCONV_STABILITY_OPT_IN` asks for: a list of words, separated by commas.
    #[must_use]
    pub fn opted_in(list: &str) -> Self {
        match list.split(',').any(|word| word.trim() == "gen_ai_latest_experimental") {
            true => Self::Latest,
            false => Self::Released,
        }
    }

    /// How the format of a request is called.
    pub(super) const fn provider(self) -> &'static str {
        match self {
            Self::Released => "gen_ai.system",
            Self::Latest => "gen_ai.provider.name",
        }
    }

    /// Whether what a classifier says is an event.
    pub(super) const fn evaluates(self) -> bool {
        matches!(self, Self::Latest)
    }
}

/// What a request in `dialect` asks for, and whose format it is.
pub(super) fn operation(dialect: Dialect) -> (&'static str, &'static str) {
    let provider = if dialect == Dialect::ANTHROPIC_MESSAGES { "anthropic" } else { "openai" };
    match dialect.path() {
        "/completions" => ("text_completion", provider),
        "/embeddings" => ("embeddings", provider),
        _ => ("chat", provider),
    }
}

/// A method as spans have it: anybody can make up another.
pub(super) fn method(method: &Method) -> Option<&'static str> {
    let known = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
    known.into_iter().find(|known| *known == method.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_conventions_is_what_was_opted_into() {
        for (list, version) in [
            ("", Conventions::Released),
            ("http", Conventions::Released),
            ("gen_ai_latest_experimental", Conventions::Latest),
            ("http/dup, gen_ai_latest_experimental", Conventions::Latest),
            ("gen_ai_latest", Conventions::Released),
        ] {
            assert_eq!(Conventions::opted_in(list), version, "{list}");
        }
    }

    #[test]
    fn every_format_is_an_operation() {
        let named = Dialect::ALL.map(|dialect| operation(dialect).0);
        assert_eq!(named.iter().filter(|name| **name == "chat").count(), Dialect::ALL.len() - 2);
    }
}
