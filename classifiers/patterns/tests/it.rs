//! What is found, exactly where; what is not; and that no text makes trouble.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that panics has found something"
)]

use classifiers_core::Category::{self, PersonalData, Secrets};
use classifiers_patterns::Patterns;
use proptest::prelude::*;

fn found(text: &str, category: Category) -> Vec<&str> {
    let findings = Patterns::new().find(text);
    assert!(findings.iter().any(|finding| finding.category == category));
    let of = findings.into_iter().filter(|finding| finding.category == category);
    of.filter_map(|finding| Some(&text[finding.span?])).collect()
}

/// Between the marks stands what is to be found, and nothing else is. The marks keep whoever scans this repository for
/// keys from finding any: `^` stands for nothing.
fn check(category: Category, marked: &str) {
    let marked = marked.replace('^', "");
    let text = marked.replace(['«', '»'], "");
    let wanted: Vec<&str> =
        marked.split('«').skip(1).map(|rest| rest.split('»').next().unwrap()).collect();
    assert_eq!(found(&text, category), wanted, "{text}");
}

#[test]
fn secrets_are_found_with_their_exact_place() {
    for text in [
        "key «AKIA^IOSFODNN7QZPLKWA».",
        "token: «ghp_^uT9vKz3QmW5xRb7NcY1dLf8HsJ2pGa0AbCdE» end",
        "export SLACK=«xoxb-^2345678901-2345678901-AbCdEfGhIjKlMnOpQrStUvWx»",
        "«sk_live_^4eC39HqLyjWDarjtT1zdp7dc» and «rk_live_^4eC39HqLyjWDarjtT1zdp7dc»",
        "«sk-ant-^api03-aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6kL9nO2q»",
        "«sk-proj-^aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3hI6kL9nO2q»",
        "?key=«AIza^SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q»&x",
        "«glpat-^x7Ky2mPq9RsT4vWz8AbC»",
        "postgres://app:«s3cr^t-Horse9»@db.internal:5432/x",
        "Authorization: Bearer «aB3dE6gH9jK2mN5pQ8sT1vW4»",
        "«eyJ^hbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U»",
        "a\n«-----BEGIN ^RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA1234567890abcdefABCDEF+/\nMIIEpAIBAAKCAQEA=\n-----END RSA PRIVATE KEY-----»\nb",
        "«-----BEGIN ^PRIVATE KEY-----\nMIIEpAIBAAKCAQEA1234567890abcdefABCDEF» - and then it broke off",
        r#"{"password": "«Tr0ub4dor&3x»"}"#,
        "DB_PASSWORD=«kX9vQ2mLp7Rt»\n",
        "api_key = '«9f8e7d6c5b4a39281706f5e4d3c2b1a0»'",
    ] {
        check(Secrets, text);
    }
}

#[test]
fn what_only_looks_like_a_secret_is_none() {
    for text in [
        "password = os.environ['DB_PASSWORD']",
        "password: string; token: Token",
        "const token = await getToken(request)",
        "api_key = \"YOUR_API_KEY_HERE\"",
        "postgres://user:password@localhost/db and https://host:8080/path@x",
        "AKIAlower1234567890 XAKIAIOSFODNN7QZPLKWA AKIAAAAAAAAAAAAAAAAA",
        "sk-learn and task-oriented-dialogue-systems-with-long-names",
        "-----BEGIN CERTIFICATE-----\nMIIEpAIBAAKCAQEA1234567890abcdef\n-----END CERTIFICATE-----",
        "Forgot your password? The secret: practice, practice, practice.",
        "the token count == 1234567890123 tokens",
    ] {
        check(Secrets, text);
    }
}

#[test]
fn personal_data_is_found_with_its_exact_place() {
    for text in [
        "Write to «jane.doe+x@mail.acme-corp.co.uk». Or not.",
        "Karte «4111 1111 1111 1111» 12/27, «378282246310005», «5555-5555-5555-4444»",
        "IBAN «DE89 3704 0044 0532 0130 00», «GB82WEST12345698765432» und «FR1420041010050500013M02606».",
        "SSN «536-90-4399» or ssn: «536904399»",
        "CPF «529.982.247-25»",
        "NIF: «123456789»",
        "Steuer-ID «86 095 742 719»",
        "Aadhaar «2341 2341 2346»",
        "le «1 85 05 78 006 084 91»",
        "codice fiscale «RSSMRA85T10A562S»",
        "DNI «12345678Z», NIE «X1234567L»",
        "NI number «AB123456C»",
        "CURP «HEGG560427MVZRRL04»",
        "NHS number «943 476 5919»",
        "บัตรประชาชน «1101700230708», «1-1017-00230-70-8»",
        "call «+49 30 1234567», «+1 (415) 555-2671», «(415) 555-2671», «415-555-2671», «06 12 34 56 78»",
        "Telefon: «030 1234567»",
        "मोबाइल «9876543210»",
        "PAN «ABCPE1234F»",
    ] {
        check(PersonalData, text);
    }
}

#[test]
fn what_only_looks_like_personal_data_is_none() {
    for text in [
        "order 4111 1111 1111 1112, 1234567890123, 2024-05-06 12:34:56, 10.0.0.1, 3.14159265358979",
        "git@2x.png user@example.com @mention a@b",
        "DE89 3704 0044 0532 0130 01",
        "pages 123-45-6789x, 000-12-3456, 666-12-3456",
        "12345678A X1234567A RSSMRA85T10A562T",
        "In 1990 1995 2000 2005 2010, 12 34 56 78 90",
        "0x1234567890abcdef 550e8400-e29b-41d4-a716-446655440000",
    ] {
        check(PersonalData, text);
    }
}

/// Pieces that many formats begin with.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{0,12}",
        prop::sample::select(vec![
            "eyJ",
            "eyJhbGciOiJIUzI1NiJ9",
            ".",
            "-----BEGIN PRIVATE KEY-----",
            "://",
            "a:",
            "@",
            "ghp_",
            "sk-",
            "xoxb-",
            "password=\"",
            "+1 ",
            "4111 ",
            "1111",
            "DE89",
            "é",
            "ก",
            "\u{0}",
            "(",
            ")",
            "-",
            "Q~",
            "SG.",
            "=",
            "9",
        ])
        .prop_map(str::to_owned),
    ];
    (prop::collection::vec(piece, 0..40), 1usize..20)
        .prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

#[test]
fn addresses_that_share_a_part_are_one_place() {
    let findings = Patterns::new().find("write to ann@mail.co@mail.eu now");
    let spans: Vec<_> = findings.into_iter().filter_map(|finding| finding.span).collect();
    assert_eq!(spans, vec![std::ops::Range { start: 9, end: 28 }]);
}

proptest! {
    #[test]
    fn every_span_lies_on_characters_and_no_two_of_a_kind_overlap(text in hostile()) {
        let findings = Patterns::new().find(&text);
        for category in [Secrets, PersonalData] {
            let mut spans: Vec<_> =
                findings.iter().filter(|f| f.category == category).filter_map(|f| f.span.clone()).collect();
            spans.sort_by_key(|span| span.start);
            prop_assert!(spans.windows(2).all(|two| two[0].end <= two[1].start), "{spans:?}");
            for span in spans {
                prop_assert!(!span.is_empty() && text.get(span).is_some());
            }
        }
    }
}
