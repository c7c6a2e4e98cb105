//! What people read when something was blocked.

use std::collections::BTreeMap;

use crate::{Because, ReplyAs};

/// Texts by language tag, in lower case.
pub(crate) type Texts = BTreeMap<String, String>;

/// The texts of a policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Messages {
    pub(crate) reply_as: ReplyAs,
    /// What stands for `{helpline}`, where it is not [`HELPLINE`].
    pub(crate) helpline: Option<String>,
    pub(crate) default: Texts,
    pub(crate) own: BTreeMap<Because, Texts>,
}

/// The language every chain of fallbacks ends in.
pub(crate) const FALLBACK: &str = "en";

/// A directory of free and confidential helplines in most countries.
const HELPLINE: &str = "https://findahelpline.com";

/// Where a policy has no text at all.
const BUILT_IN: &str = "This was blocked by a content policy. Reference: {reference}";

/// Nothing was found, so nobody is told that something was.
const BUILT_IN_ON_FAILURE: &str =
    "This could not be checked, so it was not passed on. Please try again. Reference: {reference}";

impl Messages {
    /// The text for `because` in `language`, its placeholders filled in.
    pub(crate) fn say(
        &self,
        because: &[Because],
        language: Option<&str>,
        reference: &str,
    ) -> String {
        let helpline = self.helpline.as_deref().unwrap_or(HELPLINE);
        let text = self.text(because, language).replace("{helpline}", helpline);
        text.replace("{reference}", reference)
    }

    /// The text for `because` in `language`: the reason's own text, then the default one, then both again
    /// in English, then the built-in one. Of several reasons the first that has its own text speaks.
    fn text(&self, because: &[Because], language: Option<&str>) -> &str {
        let only_failed = !because.is_empty() && because.iter().all(|b| *b == Because::OnFailure);
        let in_language = |language: &str| {
            let own = because.iter().filter_map(|reason| self.own.get(reason));
            // The default text says that something was refused; a failed check refuses nothing.
            let default = (!only_failed).then_some(&self.default);
            own.chain(default).find_map(|texts| lookup(texts, language))
        };
        let language = language.map(normal_tag);
        language
            .and_then(|language| in_language(&language))
            .or_else(|| in_language(FALLBACK))
            .unwrap_or(if only_failed { BUILT_IN_ON_FAILURE } else { BUILT_IN })
    }
}

/// A language tag as texts are filed under it: `pt_BR` becomes `pt-br`.
pub(crate) fn normal_tag(tag: &str) -> String {
    tag.trim().to_lowercase().replace('_', "-")
}

/// The text in exactly this language, or in the language without its region.
fn lookup<'t>(texts: &'t Texts, tag: &str) -> Option<&'t str> {
    let general = tag.split('-').next().unwrap_or(tag);
    texts.get(tag).or_else(|| texts.get(general)).map(String::as_str)
}
