//! The classifier as the proxy uses it.

use std::time::Duration;

use classifiers_core::{Assessment, Category, ClassifyError, Direction, Passage, Role};
use classifiers_llama_guard::{LlamaGuard, Options, Speaker, Turn};
use tower::ServiceExt;

use super::{fixture, guard, options};

fn passage(text: &str, role: Role) -> Passage {
    Passage::new(text, role, Direction::Input, "/messages/0/content")
}

fn score(said: &Assessment, category: Category) -> f32 {
    said.findings.iter().find(|finding| finding.category == category).unwrap().score
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_is_judged_and_every_category_has_a_score() {
    for name in ["8b-f32", "1b-bf16", "1b-f16"] {
        let guard = guard(name);
        for role in [Role::Operator, Role::User, Role::Assistant, Role::Tool] {
            let said =
                guard.clone().oneshot(passage("How do I sell forgery?", role)).await.unwrap();
            let found: Vec<Category> = said.findings.iter().map(|f| f.category).collect();
            assert_eq!(found, guard.covers());
            assert_eq!(found.len(), if name == "8b-f32" { 14 } else { 13 });
            assert!(score(&said, Category::NonViolentCrimes) > 0.9, "{name} {role:?} {said:?}");
            assert!(score(&said, Category::Elections) < 0.2, "{name} {role:?} {said:?}");
            let said = guard.clone().oneshot(passage("Please tell me about spring.", role)).await;
            let said = said.unwrap();
            assert!(said.findings.iter().all(|finding| finding.score < 0.2), "{name} {said:?}");
            assert_eq!(said.classifier, *guard.id());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_listed_counts_as_much_as_the_verdict() {
    let guard = guard("8b-f32");
    let turn = [Turn::new(Speaker::User, "The forgery in spring and the dynamite on the table.")];
    let verdict = guard.judge(&turn).await.unwrap().remove(0);
    assert_eq!((verdict.is_unsafe, &verdict.listed[..]), (true, &[2, 9][..]), "{verdict:?}");
    assert_eq!((verdict.score(2), verdict.score(9)), (verdict.binary, verdict.binary));
    assert!(verdict.score(1) < verdict.binary && verdict.score(99) == 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_longer_than_the_context_is_judged_to_its_end() {
    let small = Options { kept_tokens: Some(512), ..Options::default() };
    let guard = LlamaGuard::load(&fixture("8b-f32"), &small).unwrap();
    let filler = "please tell me about the weather in spring. ".repeat(20);
    for at in [0, 1, 2] {
        let mut parts = [filler.as_str(); 3].concat();
        parts.insert_str(at * filler.len(), "the dynamite and ");
        let said = guard.clone().oneshot(passage(&parts, Role::User)).await.unwrap();
        assert!(score(&said, Category::IndiscriminateWeapons) > 0.8, "{at} {said:?}");
        let found = said.findings.iter().find(|f| f.category == Category::IndiscriminateWeapons);
        let span = found.unwrap().span.clone().unwrap();
        assert!(parts.get(span).unwrap().contains("dynamite"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_say_what_each_says_alone_and_too_many_are_refused() {
    let guard = guard("8b-f32");
    let texts: Vec<String> =
        (0..24).map(|n| format!("letter {n} about dynamite {}", "and rice ".repeat(n))).collect();
    let mut asked = tokio::task::JoinSet::new();
    for text in texts.clone() {
        let guard = guard.clone();
        asked
            .spawn(async move { (guard.oneshot(passage(&text, Role::User)).await.unwrap(), text) });
    }
    for (together, text) in asked.join_all().await {
        let alone = guard.clone().oneshot(passage(&text, Role::User)).await.unwrap();
        for (a, b) in together.findings.iter().zip(&alone.findings) {
            assert!((a.score - b.score).abs() < 1e-5, "{a:?} {b:?}");
        }
    }
    let hurried = Options { deadline: Duration::from_millis(80), ..options() };
    let hurried = LlamaGuard::load(&fixture("8b-f32"), &hurried).unwrap();
    let mut asked = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (guard, text) = (hurried.clone(), format!("{number} {}", texts[20]));
        asked.spawn(guard.oneshot(passage(&text, Role::User)));
    }
    let answers = asked.join_all().await;
    assert!(answers.contains(&Err(ClassifyError::Overloaded)));
    assert!(answers.iter().all(|answer| {
        matches!(answer, Ok(_) | Err(ClassifyError::Overloaded | ClassifyError::Timeout(_)))
    }));
    assert!(hurried.oneshot(passage("afterwards", Role::User)).await.is_ok());
}
