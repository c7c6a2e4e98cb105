//! Credentials, found from a few letters that only they begin with.

use aho_corasick::{AhoCorasick, MatchKind};

use crate::assignment;
use crate::bytes::{at, before, is_word, part, run};
use crate::checksum::{crc_62, entropy};
use crate::detector::Found;
use crate::token;

/// What the letters after a prefix are.
#[derive(Clone, Copy, Debug)]
enum Body {
    /// Letters and digits; this many, and no more.
    Exactly(usize, fn(u8) -> bool),
    /// At least, and at most so many.
    Between(usize, usize, fn(u8) -> bool),
    /// Thirty letters and digits and their CRC-32.
    Checked,
    /// Something with a form of its own: where the secret lies if there is one, and how sure that is.
    Own(fn(&[u8], usize, usize) -> Option<Found>),
}

/// The longest token that is followed to its end, in bytes. What is longer is cut out up to here.
const LONGEST: usize = 512;

/// Prefixes and what follows them. Case counts, except for the names of variables.
/// Sources: the providers' documentation of their token formats.
const FORMATS: &[(&str, Body)] = &[
    // Amazon Web Services: access key ids, permanent and temporary.
    ("AKIA", Body::Exactly(16, is_base_32)),
    ("ASIA", Body::Exactly(16, is_base_32)),
    // GitHub: personal, OAuth, user-to-server, server-to-server, refresh, fine-grained.
    ("ghp_", Body::Checked),
    ("gho_", Body::Checked),
    ("ghu_", Body::Checked),
    ("ghs_", Body::Checked),
    ("ghr_", Body::Checked),
    ("github_pat_", Body::Between(60, 128, is_word)),
    ("npm_", Body::Checked),
    ("pypi-AgE", Body::Between(50, LONGEST, is_url_64)),
    ("glpat-", Body::Between(20, 64, is_url_64)),
    // Slack: bot, user, app, refresh, legacy; web hooks.
    ("xoxb-", Body::Between(20, 128, is_dashed)),
    ("xoxp-", Body::Between(20, 128, is_dashed)),
    ("xoxa-", Body::Between(20, 128, is_dashed)),
    ("xoxr-", Body::Between(20, 128, is_dashed)),
    ("xoxs-", Body::Between(20, 128, is_dashed)),
    ("xapp-", Body::Between(30, 160, is_dashed)),
    ("hooks.slack.com/services/", Body::Between(30, 96, is_path)),
    // Stripe: secret and restricted keys, web hook secrets.
    ("sk_live_", Body::Between(16, 256, u8_is_alphanumeric)),
    ("rk_live_", Body::Between(16, 256, u8_is_alphanumeric)),
    ("sk_test_", Body::Between(16, 256, u8_is_alphanumeric)),
    ("rk_test_", Body::Between(16, 256, u8_is_alphanumeric)),
    ("whsec_", Body::Between(24, 128, is_base_64)),
    // Model providers.
    ("sk-ant-", Body::Between(32, 256, is_url_64)),
    ("sk-proj-", Body::Between(32, 256, is_url_64)),
    ("sk-svcacct-", Body::Between(32, 256, is_url_64)),
    ("sk-", Body::Between(32, 256, u8_is_alphanumeric)),
    ("hf_", Body::Exactly(34, u8_is_alphanumeric)),
    // Google: API keys, OAuth tokens, client secrets.
    ("AIza", Body::Exactly(35, is_url_64)),
    ("ya29.", Body::Between(30, LONGEST, is_url_64)),
    ("GOCSPX-", Body::Exactly(28, is_url_64)),
    // Azure: storage and service bus keys, client secrets, shared access signatures.
    ("AccountKey=", Body::Between(86, 88, is_base_64)),
    ("SharedAccessKey=", Body::Between(43, 44, is_base_64)),
    ("Q~", Body::Own(token::azure_client_secret)),
    ("&sig=", Body::Between(40, 128, is_signature)),
    // SendGrid, DigitalOcean, Shopify, Hashicorp Vault, Databricks.
    ("SG.", Body::Own(token::sendgrid)),
    ("dop_v1_", Body::Exactly(64, u8_is_hex)),
    ("shpat_", Body::Exactly(32, u8_is_hex)),
    ("shpss_", Body::Exactly(32, u8_is_hex)),
    ("hvs.", Body::Between(24, 256, is_url_64)),
    ("dapi", Body::Exactly(32, u8_is_hex)),
    ("eyJ", Body::Own(token::json_web_token)),
    ("-----BEGIN ", Body::Own(token::private_key)),
    ("://", Body::Own(token::password_in_url)),
    ("bearer ", Body::Own(token::bearer)),
];

/// What finds credentials.
#[derive(Debug)]
pub(crate) struct Secrets {
    anchors: AhoCorasick,
}

impl Secrets {
    pub(crate) fn new() -> Self {
        let prefixes = FORMATS.iter().map(|(prefix, _)| *prefix).chain(assignment::NAMES);
        let anchors = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .ascii_case_insensitive(true)
            .kind(Some(aho_corasick::AhoCorasickKind::DFA))
            .build(prefixes);
        #[expect(clippy::expect_used, reason = "the list is a constant, and every test builds it")]
        Self { anchors: anchors.expect("the list of prefixes is small") }
    }

    /// Every credential of `text`, once.
    pub(crate) fn find(&self, text: &[u8]) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::new();
        for anchor in self.anchors.find_iter(text) {
            let (from, to) = (anchor.start(), anchor.end());
            let secret = match FORMATS.get(anchor.pattern().as_usize()) {
                Some((prefix, body)) => body.of(text, (from, to), prefix),
                None => assignment::value(text, (from, to)),
            };
            // What a name announces may be what a prefix gives away too.
            found.extend(secret.filter(|(span, _)| !is_known(&found, span.start)));
        }
        found
    }
}

/// Anchors come in order, so what covers a new one is among the last found.
fn is_known(found: &[Found], start: usize) -> bool {
    found.last().is_some_and(|(span, _)| span.contains(&start))
}

impl Body {
    fn of(self, text: &[u8], (from, to): (usize, usize), prefix: &str) -> Option<Found> {
        let own = matches!(self, Self::Own(_));
        if !own && (is_word(before(text, from)) || part(text, from, to) != prefix.as_bytes()) {
            return None;
        }
        let (least, most, wanted) = match self {
            Self::Own(find) => return find(text, from, to),
            Self::Exactly(length, wanted) => (length, length, wanted),
            Self::Between(least, most, wanted) => (least, most, wanted),
            Self::Checked => (36, 36, u8_is_alphanumeric as fn(u8) -> bool),
        };
        let end = run(text, to, most, wanted);
        let body = part(text, to, end);
        let exact = matches!(self, Self::Exactly(..) | Self::Checked);
        if body.len() < least || exact && wanted(at(text, end)) || entropy(body) < 2.5 {
            return None;
        }
        // A token whose checksum is wrong was never given out, but something may have been changed in it.
        let unchecked = matches!(self, Self::Checked) && !crc_62(body);
        Some((from..end, if unchecked { 0.75 } else { 0.99 }))
    }
}

fn is_base_32(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

fn is_dashed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn is_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'/'
}

fn is_signature(byte: u8) -> bool {
    is_base_64(byte) || byte == b'%'
}

fn u8_is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn u8_is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

pub(crate) fn is_url_64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

pub(crate) fn is_base_64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}
