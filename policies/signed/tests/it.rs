//! What is accepted, and that nothing else is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has found something")]

use data_encoding::BASE64;
use policies_signed::{Expected, LARGEST, PublicKey, Refused, SecretKey, Statement, open, sign};
use proptest::prelude::*;
use serde_json::{Value, json};

/// RFC 8032, section 7.1, test 1, in the form in which OpenSSL writes keys.
const RFC_SECRET: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
const RFC_PUBLIC: &str = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

fn statement(serial: u64) -> Statement {
    Statement {
        audience: Some("kids".to_owned()),
        serial,
        expires: Some("2027-01-31T00:00:00Z".parse().unwrap()),
        policy: "version: 1\nname: \"ü\"\n".to_owned(),
    }
}

fn changed(envelope: &str, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value: Value = serde_json::from_str(envelope).unwrap();
    change(&mut value);
    value.to_string().into_bytes()
}

#[test]
fn keys_are_those_of_others_too() {
    // RFC 8032, section 7.1, test 1.
    let secret: SecretKey = RFC_SECRET.parse().unwrap();
    assert_eq!(secret.public().to_string(), RFC_PUBLIC);
    assert_eq!(secret.to_pem(), RFC_SECRET);
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----";
    assert_eq!(pem.parse::<PublicKey>().unwrap(), secret.public());
    assert!(!format!("{secret:?}").contains("9d61"));
    for text in [
        "",
        "ed25519:",
        RFC_PUBLIC.trim_end_matches("511a"),
        &RFC_PUBLIC.to_uppercase(),
        RFC_SECRET,
    ] {
        assert!(text.parse::<PublicKey>().is_err(), "{text}");
    }
    // The neutral element: it would have signed everything.
    let weak = format!("ed25519:01{}", "00".repeat(31));
    assert!(weak.parse::<PublicKey>().is_err());
    assert!(pem.parse::<SecretKey>().is_err());
}

#[test]
fn only_what_a_listed_key_has_signed_is_opened() {
    let [old, new, other] = [(); 3].map(|()| SecretKey::generate().unwrap());
    let (said, keys) = (statement(7), [old.public(), new.public()]);
    let by_old = sign(&said, std::slice::from_ref(&old));
    let opened = open(by_old.as_bytes(), &keys).unwrap();
    assert_eq!((opened.statement, opened.key), (said.clone(), old.public()));
    assert_eq!(open(by_old.as_bytes(), &[new.public()]), Err(Refused::UnknownKey));
    assert_eq!(open(by_old.as_bytes(), &[]), Err(Refused::UnknownKey));
    // While keys are exchanged both sign, and whoever knows one of them accepts it.
    let by_both = sign(&said, &[old, new]);
    for key in keys {
        assert_eq!(open(by_both.as_bytes(), &[key]).unwrap().key, key);
    }
    // No `keyid`: every key is tried, as other programs' envelopes need.
    let nameless = changed(&by_old, |value| {
        value["signatures"][0].as_object_mut().unwrap().remove("keyid");
    });
    assert_eq!(open(&nameless, &keys).unwrap().statement, said);
    assert_eq!(open(&nameless, &[other.public()]), Err(Refused::Forged));
    // A stranger who calls itself by a listed key's name.
    let forged = changed(&sign(&said, &[other]), |value| {
        value["signatures"][0]["keyid"] = json!(keys[0].to_string());
    });
    assert_eq!(open(&forged, &keys), Err(Refused::Forged));
}

#[test]
fn what_is_no_envelope_of_a_policy_is_not_opened() {
    let secret = SecretKey::generate().unwrap();
    let keys = [secret.public()];
    let good = sign(&statement(7), std::slice::from_ref(&secret));
    let payload = |text: &str| {
        changed(&good, |value| value["payload"] = json!(BASE64.encode(text.as_bytes())))
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("a policy", b"version: 1\n".to_vec()),
        ("a page", b"<!doctype html>".to_vec()),
        ("two envelopes", format!("{good}{good}").into_bytes()),
        ("cut", good.as_bytes()[..good.len() - 3].to_vec()),
        ("too large", [good.as_bytes(), &vec![b' '; LARGEST]].concat()),
        ("another type", changed(&good, |value| value["payloadType"] = json!("text/plain"))),
        ("more fields", changed(&good, |value| value["policy"] = json!("version: 1"))),
        (
            "a short signature",
            changed(&good, |value| value["signatures"][0]["sig"] = json!("AAAA")),
        ),
        (
            "many signatures",
            changed(&good, |value| {
                let line = value["signatures"][0].clone();
                value["signatures"] = vec![line; 17].into();
            }),
        ),
        ("no Base64", changed(&good, |value| value["payload"] = json!("?"))),
    ];
    for (what, bytes) in cases {
        assert!(matches!(open(&bytes, &keys), Err(Refused::Malformed(_))), "{what}");
    }
    assert_eq!(
        open(&changed(&good, |value| value["signatures"] = json!([])), &keys),
        Err(Refused::UnknownKey)
    );
    assert_eq!(open(&payload("{}"), &keys), Err(Refused::Forged));
    // Signed, and yet not what anybody can use.
    let zero = sign(&statement(0), &[secret]);
    assert!(matches!(open(zero.as_bytes(), &keys), Err(Refused::Malformed(_))));
}

#[test]
fn old_ones_others_and_what_is_over_are_refused() {
    let (six, seven) = (statement(6), statement(7));
    let expected = Expected { audience: Some("kids"), at_least: 7, last: None };
    assert_eq!(seven.meets(&expected), Ok(()));
    assert_eq!(six.meets(&expected), Err(Refused::RolledBack { serial: 6, seen: 7 }));
    let after = Expected { at_least: 0, last: Some(&seven), ..expected };
    assert_eq!(seven.meets(&after), Ok(()));
    assert_eq!(six.meets(&after), Err(Refused::RolledBack { serial: 6, seen: 7 }));
    let twin = Statement { policy: "version: 1\n".to_owned(), ..seven.clone() };
    assert_eq!(twin.meets(&after), Err(Refused::Reused(7)));
    for audience in [None, Some("Kids"), Some("")] {
        let refused = seven.meets(&Expected { audience, ..expected });
        assert!(matches!(refused, Err(Refused::OtherAudience { .. })), "{audience:?}");
    }
    let for_all = Statement { audience: None, ..seven.clone() };
    assert!(matches!(for_all.meets(&expected), Err(Refused::OtherAudience { .. })));
    let end = seven.expires.unwrap();
    let second = jiff::SignedDuration::from_secs(1);
    assert_eq!(seven.in_date(end - second), Ok(()));
    assert_eq!(seven.in_date(end), Err(Refused::Expired(end)));
    assert_eq!(Statement { expires: None, ..seven }.in_date(end), Ok(()));
}

proptest! {
    #[test]
    fn any_changed_bit_is_refused(at in any::<prop::sample::Index>(), bit in 0..8_u32, serial in 1..u64::MAX, policy in ".{0,200}") {
        let secret: SecretKey = RFC_SECRET.parse().unwrap();
        let said = Statement { policy, ..statement(serial) };
        let mut bytes = sign(&said, &[RFC_SECRET.parse().unwrap()]).into_bytes();
        prop_assert_eq!(&open(&bytes, &[secret.public()]).unwrap().statement, &said);
        // The last byte ends the line, and is not of the envelope.
        let at = at.index(bytes.len() - 1);
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(open(&bytes, &[secret.public()]).is_err(), "byte {}", at);
    }

    #[test]
    fn any_cut_is_refused(at in any::<prop::sample::Index>()) {
        let secret: SecretKey = RFC_SECRET.parse().unwrap();
        let bytes = sign(&statement(7), &[RFC_SECRET.parse().unwrap()]).into_bytes();
        let at = at.index(bytes.len() - 1);
        prop_assert!(open(&bytes[..at], &[secret.public()]).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
        let _refused = open(&bytes, &[RFC_PUBLIC.parse().unwrap()]).unwrap_err();
    }
}
