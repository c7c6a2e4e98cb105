//! The seam between backends and the proxy, driven through the public services.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::type_complexity,
    clippy::disallowed_methods,
    reason = "a test that panics has found something, and its tasks end with it"
)]

mod pool;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use classifiers_batching::{InProcess, VerdictCacheLayer};
use classifiers_core::{
    Backend, Category, ClassifierId, ClassifyError, Context, Direction, Finding, Passage, Role,
};
use tower::{Layer, ServiceExt};

/// Counts its calls; fails and panics when the text says so.
struct Scripted {
    id: ClassifierId,
    calls: Arc<AtomicUsize>,
}

impl Scripted {
    fn new() -> (Self, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        (Self { id: ClassifierId::new("scripted", "1"), calls: Arc::clone(&calls) }, calls)
    }
}

impl Backend for Scripted {
    fn id(&self) -> &ClassifierId {
        &self.id
    }

    fn covers(&self) -> &[Category] {
        &[Category::Hate]
    }

    fn assess(&self, batch: &[Passage]) -> Result<Vec<Vec<Finding>>, ClassifyError> {
        let [passage] = batch else { return Err(ClassifyError::Overloaded) };
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let text = &passage.text;
        assert!(!text.contains("panic"), "as the text says");
        if text.contains("fail") && call == 0 {
            return Err(ClassifyError::Overloaded);
        }
        if text.contains("nothing") {
            return Ok(Vec::new());
        }
        let score = if passage.origin.role == Role::User { 0.25 } else { 0.75 };
        Ok(vec![vec![Finding::whole(Category::Hate, score)]])
    }
}

fn passage(text: &str, role: Role) -> Passage {
    Passage::new(text, role, Direction::Input, "/messages/0/content")
}

#[tokio::test]
async fn short_and_long_texts_get_a_verdict_and_a_panic_gets_none() {
    let (backend, _) = Scripted::new();
    let service = InProcess::new(backend);
    for filler in [1, 100_000] {
        let say = |word: &str| passage(&format!("{}{word}", "x ".repeat(filler)), Role::User);
        let good = service.clone().oneshot(say("good")).await.unwrap();
        assert_eq!(good.findings, [Finding::whole(Category::Hate, 0.25)]);
        for bad in ["panic", "nothing"] {
            let verdict = service.clone().oneshot(say(bad)).await;
            assert!(matches!(verdict, Err(ClassifyError::Failed(_))), "{bad}: {verdict:?}");
        }
    }
}

/// Whoever could write a text that is remembered as a turn after another would have its verdict in advance.
#[tokio::test]
async fn a_text_that_spells_out_a_conversation_is_not_taken_for_one() {
    let (backend, calls) = Scripted::new();
    let service = VerdictCacheLayer::new(100).layer(InProcess::new(backend));
    let before = "x".repeat(256);
    let turns = [(Role::User, Arc::from(before.as_str()))];
    let turn = passage("thanks", Role::User).after(Context::new(turns.into(), 1));
    service.clone().oneshot(turn).await.unwrap();
    for tag in ["user", "\u{1}", ""] {
        for length in ["\u{0}\u{1}\0\0\0\0\0\0", "\u{1}\0\0\0\0\0\0"] {
            for end in ["user\0thanks", "thanks", "\u{1}\u{6}\0\0\0\0\0\0\0thanks"] {
                let asked = calls.load(Ordering::Relaxed);
                let text = format!("{tag}{length}{before}{end}");
                service.clone().oneshot(passage(&text, Role::User)).await.unwrap();
                assert_eq!(calls.load(Ordering::Relaxed), asked + 1, "{text:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_same_text_by_the_same_role_is_judged_once_and_failures_are_not_kept() {
    let (backend, calls) = Scripted::new();
    let service = VerdictCacheLayer::new(100).layer(InProcess::new(backend));
    let text = "fail at first. ".repeat(10);
    let ask = |role| service.clone().oneshot(passage(&text, role));
    assert_eq!(ask(Role::User).await, Err(ClassifyError::Overloaded));
    let first = ask(Role::User).await.unwrap();
    assert_eq!(ask(Role::User).await.unwrap(), first);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    let other = ask(Role::Tool).await.unwrap();
    assert_eq!(other.findings, [Finding::whole(Category::Hate, 0.75)]);
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}
