//! `/v1/moderations`.

use std::collections::BTreeMap;

use classifiers_core::Category;
use classifiers_remote::{Key, RemoteModerations, Settings};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::server::{Reply, Server};
use crate::{passage, score, settings};

fn result(flagged: bool, categories: Value, scores: Value) -> Value {
    json!({ "id": "modr-1", "model": "guard", "results": [
        { "flagged": flagged, "categories": categories, "category_scores": scores },
    ] })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_category_becomes_a_hazard_and_a_flag_counts_in_full() {
    let server = Server::start(|_| {
        Reply::Json(result(
            true,
            json!({ "violence": false, "illicit/violent": true, "S9": false, "Hate": false, "weird": false }),
            json!({ "violence": 0.1, "illicit/violent": 0.3, "S9": 0.2, "Hate": 0.4, "weird": 0.5 }),
        ))
    })
    .await;
    let settings = Settings { key: Some(Key::new(" sk-canary-1 \n")), ..settings([&server]) };
    assert!(!format!("{settings:?}").contains("canary"));
    let names = BTreeMap::from([("weird".to_owned(), Category::Defamation)]);
    let guard = RemoteModerations::new(&settings, &names).unwrap();
    assert!(!format!("{guard:?}").contains("canary"));
    let said = guard.clone().oneshot(passage("hello")).await.unwrap();
    let scores = [
        (Category::ViolentCrimes, 1.0),
        (Category::IndiscriminateWeapons, 0.2),
        (Category::Hate, 0.4),
        (Category::Defamation, 0.5),
    ];
    for (category, wanted) in scores {
        assert!((score(&said, category) - wanted).abs() < 1e-6, "{category}");
    }
    let asked = &server.asked()[0];
    assert_eq!(asked.body, json!({ "input": "hello", "model": "guard" }));
    assert!(asked.head.contains("authorization: Bearer sk-canary-1\r\n"), "{}", asked.head);
    let unnamed = RemoteModerations::new(&settings, &BTreeMap::new()).unwrap();
    let error = unnamed.oneshot(passage("hello")).await.unwrap_err().to_string();
    assert!(error.contains("no hazard stands for") && !error.contains("canary"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_results_are_no_verdict() {
    let server = Server::start(|_| Reply::Hang).await;
    let fine = json!({ "hate": 0.1 });
    let odd = [
        json!({ "results": [] }),
        json!({ "results": [{}, {}] }),
        json!({ "error": { "message": "no" } }),
        result(false, json!({}), json!({})),
        result(false, json!({ "hate": false, "sexual": false }), fine.clone()),
        result(false, json!({ "sexual": false }), fine.clone()),
        result(true, json!({ "hate": false }), fine.clone()),
        result(false, json!({ "hate": false }), json!({ "hate": 1.5 })),
        result(false, json!({ "hate": false }), json!({ "hate": null })),
        result(false, json!({ "hate": false }), json!({ "hate": "0.1" })),
        result(false, json!({ "hate": 0 }), fine.clone()),
        json!({ "results": [{ "categories": { "hate": false }, "category_scores": fine }] }),
    ];
    for answer in odd {
        let said = answer.clone();
        server.now(move |_| Reply::Json(said.clone()));
        let guard = RemoteModerations::new(&settings([&server]), &BTreeMap::new()).unwrap();
        assert!(guard.oneshot(passage("hello")).await.is_err(), "{answer}");
    }
}
