//! Filters are read, written and read again.

use proptest::prelude::*;
use proxy_index::{Field, Moment, Order, Query, Term, Test};

#[test]
fn a_filter_is_written_as_it_is_read() {
    for (text, written) in [
        ("", ""),
        (
            "action:block hazard:violent_crimes -route:/v1/embeddings score>0.8 since:24h \"free text\"",
            "action:block hazard:violent_crimes -route:/v1/embeddings score>0.8 since:1d \"free text\"",
        ),
        ("  word   -word ", "\"word\" -\"word\""),
        ("action:block,redact", "action:block,redact"),
        ("key:\"my key, the *\"", r"key:my\ key\,\ the\ \*"),
        ("route:/v1/*", "route:/v1/*"),
        ("score.hate<=0.5 score<1", "score.hate<=0.5 score<1"),
        (
            "since:2026-11-22 until:2026-11-22T06:03:28.5Z",
            "since:2026-11-22T00:00:00Z until:2026-11-22T06:03:28.5Z",
        ),
        ("since:90m since:2w", "since:90m since:2w"),
        ("text:say* \"a \\\"quoted\\\" word\"", "\"say*\" \"a \\\"quoted\\\" word\""),
        ("\"action:block\"", "\"action:block\""),
        ("review:none", "review:none"),
    ] {
        let query: Query = text.parse().expect(text);
        assert_eq!(query.to_string(), written);
        assert_eq!(written.parse::<Query>().expect("it is read again"), query);
    }
}

#[test]
fn a_wrong_filter_says_what_and_where() {
    for (text, error) in [
        ("action:block colour:red", "there is no field `colour`; there are action,"),
        ("a \"b", "this quote is not closed (at character 3 of the filter)"),
        ("since:yesterday", "a time is like 24h,"),
        ("score:0.8", "write `score>0.8`"),
        ("score>8", "a score is compared with a number from 0 to 1"),
        ("hate>0.5", "only `score` or `score.CATEGORY` can be compared"),
        ("action:", "a value is missing here"),
        ("action:a,,b", "a value is missing here"),
        ("- x", "nothing follows the `-`"),
        ("x\\", "nothing follows the `\\`"),
        ("\"...\"", "there is no word to look for"),
    ] {
        let said = text.parse::<Query>().expect_err(text).to_string();
        assert!(said.starts_with(error), "{text}: {said}");
    }
}

fn value() -> impl Strategy<Value = String> {
    // Anything but a value that ends in a lone backslash, which no text stands for.
    proptest::collection::vec(
        prop_oneof![Just("\\*".to_owned()), Just("\\\\".to_owned()), "[^\\\\\0]"],
        1..8,
    )
    .prop_map(|parts| parts.concat())
}

fn test() -> impl Strategy<Value = Test> {
    let field = proptest::sample::select(Field::ALL);
    let order =
        proptest::sample::select(&[Order::Above, Order::AtLeast, Order::Below, Order::AtMost][..]);
    prop_oneof![
        (field, proptest::collection::vec(value(), 1..4))
            .prop_map(|(field, values)| Test::Is(field, values)),
        (proptest::option::of("[a-z_]{1,12}"), order, 0_u16..=1_000).prop_map(
            |(category, order, score)| {
                Test::Score { category, order, than: f32::from(score) / 1_000.0 }
            }
        ),
        (0_i64..1 << 40)
            .prop_map(|ms| Test::Since(Moment::At(jiff::Timestamp::from_millisecond(ms).unwrap()))),
        (1_i64..1 << 20).prop_map(|s| Test::Until(Moment::Ago(jiff::SignedDuration::from_secs(s)))),
        (0_u16..=1_000).prop_map(|share| Test::Sample(f64::from(share) / 10.0)),
        "[^\0]{0,8}[a-z][^\0]{0,8}".prop_map(Test::Text),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_can_be_written(terms in proptest::collection::vec((any::<bool>(), test()), 0..6)) {
        let terms = terms.into_iter().map(|(exclude, test)| Term { exclude, test }).collect();
        let query = Query { terms };
        let text = query.to_string();
        prop_assume!(text.len() <= 4096);
        prop_assert_eq!(text.parse::<Query>().map_err(|e| format!("{text}: {e}")), Ok(query));
    }

    #[test]
    fn no_text_breaks_the_reader(text in any::<String>()) {
        drop(text.parse::<Query>());
    }
}
