//! DSSE envelopes, version 1: <https://github.com/secure-systems-lab/dsse>.

use data_encoding::{BASE64, BASE64URL};
use ed25519_dalek::Signature;
use serde::{Deserialize, Serialize};

use crate::key::{PublicKey, SecretKey};
use crate::statement::{self, Refused, Statement};

/// What the payload is. It is signed with it, so that a signature made for something else is none of a policy.
const PAYLOAD_TYPE: &str = "application/vnd.portcullis.policy.v1+json";
/// No envelope is larger, in bytes: a policy is 1 MiB at most, in JSON and Base64 somewhat more.
pub const LARGEST: usize = 2 << 20;
/// More signatures than anybody rotates keys.
const MOST_SIGNATURES: usize = 16;

/// An envelope as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keyid: Option<String>,
    sig: String,
}

/// What an envelope holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What was signed.
    pub statement: Statement,
    /// By whom.
    pub key: PublicKey,
}

/// Puts a statement into an envelope and signs it with every key.
#[must_use]
pub fn sign(statement: &Statement, keys: &[SecretKey]) -> String {
    let payload = statement::to_bytes(statement);
    let message = message(PAYLOAD_TYPE, &payload);
    let line = |key: &SecretKey| Line {
        keyid: Some(key.public().to_string()),
        sig: BASE64.encode(&key.sign(&message).to_bytes()),
    };
    let envelope = Envelope {
        payload_type: PAYLOAD_TYPE.to_owned(),
        payload: BASE64.encode(&payload),
        signatures: keys.iter().map(line).collect(),
    };
    // Texts are always JSON.
    serde_json::to_string(&envelope).unwrap_or_default() + "\n"
}

/// What an envelope holds, if one of `keys` has signed it. Nothing of the payload is read before that is known.
///
/// A signature with a `keyid` is only tried with the key of that name: what is left unread is nothing that could be
/// altered unseen.
///
/// # Errors
/// When it is no envelope of a policy, or nobody who is believed has signed it.
pub fn open(envelope: &[u8], keys: &[PublicKey]) -> Result<Opened, Refused> {
    let malformed = Refused::Malformed;
    if envelope.len() > LARGEST {
        return Err(malformed("it is larger than 2 MiB"));
    }
    let envelope: Envelope = serde_json::from_slice(envelope).map_err(|_| {
        malformed("it is not a DSSE envelope (JSON with payloadType, payload, signatures)")
    })?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(malformed("`payloadType` is not that of a policy"));
    }
    if envelope.signatures.len() > MOST_SIGNATURES {
        return Err(malformed("it has more than 16 signatures"));
    }
    let payload = decoded(&envelope.payload).ok_or(malformed("`payload` is not Base64"))?;
    let message = message(PAYLOAD_TYPE, &payload);
    let key = signer(&envelope.signatures, &message, keys)?;
    Ok(Opened { statement: statement::from_bytes(&payload)?, key })
}

/// Which of `keys` has signed `message`.
fn signer(lines: &[Line], message: &[u8], keys: &[PublicKey]) -> Result<PublicKey, Refused> {
    let mut why = Refused::UnknownKey;
    for line in lines {
        let signature = decoded(&line.sig).and_then(|bytes| Signature::from_slice(&bytes).ok());
        let signature =
            signature.ok_or(Refused::Malformed("a signature is not 64 bytes of Base64"))?;
        let named =
            |key: &&PublicKey| line.keyid.as_ref().is_none_or(|name| *name == key.to_string());
        for key in keys.iter().filter(named) {
            if key.has_signed(message, &signature) {
                return Ok(*key);
            }
            why = Refused::Forged;
        }
    }
    Err(why)
}

/// What is signed: the payload's type and the payload, each with its length (DSSE's PAE).
fn message(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Base64 of either alphabet, as DSSE allows; each value has one spelling in it.
fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).or_else(|_| BASE64URL.decode(text.as_bytes())).ok()
}

#[cfg(test)]
mod tests {
    /// The test vector of DSSE's own `protocol.md`.
    #[test]
    fn what_is_signed_is_what_the_standard_says() {
        let signed = super::message("http://example.com/HelloWorld", b"hello world");
        assert_eq!(signed, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
