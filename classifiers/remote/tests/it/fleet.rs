//! Several servers: balance, failures, budgets, deadlines.

use std::time::{Duration, Instant};

use classifiers_core::{Category, ClassifyError};
use classifiers_remote::{RemoteModerations, Settings};
use serde_json::json;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::server::{Asked, Reply, Server};
use crate::{passage, score, settings};

fn fine(_: &Asked) -> Reply {
    Reply::Json(json!({
        "results": [{ "flagged": false, "categories": { "hate": false }, "category_scores": { "hate": 0.25 } }],
    }))
}

fn later(milliseconds: u64) -> impl Fn(&Asked) -> Reply {
    move |asked| Reply::Later(Duration::from_millis(milliseconds), Box::new(fine(asked)))
}

fn guard(settings: &Settings) -> RemoteModerations {
    RemoteModerations::new(settings, &Default::default()).unwrap()
}

async fn ask(guard: &RemoteModerations) -> Result<f32, ClassifyError> {
    let said = guard.clone().oneshot(passage("hello")).await?;
    Ok(score(&said, Category::Hate))
}

/// So many questions, `at_a_time`; what became of them and how long each took.
async fn many(
    guard: &RemoteModerations,
    count: usize,
    at_a_time: usize,
) -> Vec<(Result<f32, ClassifyError>, Duration)> {
    let (mut asked, mut answers) = (JoinSet::new(), Vec::new());
    for _ in 0..count {
        if asked.len() == at_a_time {
            answers.push(asked.join_next().await.unwrap().unwrap());
        }
        let guard = guard.clone();
        asked.spawn(async move {
            let started = Instant::now();
            (ask(&guard).await, started.elapsed())
        });
    }
    answers.extend(asked.join_all().await);
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_go_where_the_fewest_are_and_never_more_than_allowed() {
    let (fast, slow) = (Server::start(later(5)).await, Server::start(later(300)).await);
    let settings = Settings { concurrent: 8, extra: 0.0, ..settings([&fast, &slow]) };
    let guard = guard(&settings);
    let answers = many(&guard, 100, 12).await;
    assert!(answers.iter().all(|(answer, _)| answer == &Ok(0.25)));
    assert!(fast.count() > 2 * slow.count(), "{} {}", fast.count(), slow.count());
    let answers = many(&guard, 64, 64).await;
    let refused = answers.iter().filter(|(a, _)| a == &Err(ClassifyError::Overloaded)).count();
    assert!(refused >= 40, "{refused} of 64 with room for 16");
    // A server goes on for a moment with what was given up when another answered.
    assert!(fast.most() <= 12 && slow.most() <= 12, "{} {}", fast.most(), slow.most());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_hangs_errs_or_talks_nonsense_costs_no_verdict_and_is_left_alone() {
    let wrongs: [fn(&Asked) -> Reply; 7] = [
        |_| Reply::Hang,
        |_| Reply::Broken,
        |_| Reply::Endless,
        |_| Reply::Status(500),
        |_| Reply::Status(503),
        |_| Reply::Body(b"<html>welcome</html>".to_vec()),
        |_| Reply::Json(json!({ "results": [] })),
    ];
    for (number, wrong) in wrongs.into_iter().enumerate() {
        let (good, bad) = (Server::start(later(2)).await, Server::start(fine).await);
        // Enough for the first moments; what comes later is the budget's.
        let guard = guard(&Settings { extra: 0.5, ..settings([&good, &bad]) });
        many(&guard, 50, 4).await;
        bad.now(wrong);
        let answers = many(&guard, 200, 4).await;
        assert!(answers.iter().all(|(answer, _)| answer == &Ok(0.25)), "{number}: {answers:?}");
        assert_eq!(guard.counts(), (2, 1), "{number}");
        let before = bad.count();
        many(&guard, 50, 4).await;
        assert!(bad.count() <= before + 2, "{number}: {} after {before}", bad.count());
        // When it is well again, it is found.
        bad.now(fine);
        let (started, before) = (Instant::now(), bad.count());
        while bad.count() < before + 10 && started.elapsed() < Duration::from_secs(8) {
            many(&guard, 4, 4).await;
        }
        println!("case {number}: recovered after {:.1} s", started.elapsed().as_secs_f64());
        assert!(started.elapsed() < Duration::from_secs(7), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_server_that_is_well_there_is_no_verdict_and_soon_nobody_waits() {
    let server = Server::start(fine).await;
    let settings = Settings { deadline: Duration::from_millis(300), ..settings([&server]) };
    let guard = guard(&settings);
    assert_eq!(ask(&guard).await, Ok(0.25));
    server.now(|_| Reply::Hang);
    let answers = many(&guard, 30, 10).await;
    assert!(answers.iter().all(|(answer, _)| answer.is_err()));
    assert!(answers.iter().all(|(_, time)| *time < Duration::from_millis(400)), "{answers:?}");
    let at_once = answers.iter().filter(|(_, time)| *time < Duration::from_millis(50)).count();
    assert!(at_once >= 10, "{answers:?}");
    let error = ask(&guard).await.unwrap_err().to_string();
    assert!(error.contains("every endpoint has failed"), "{error}");
    let nobody = Settings::new(vec!["http://127.0.0.1:1".to_owned()], "guard");
    let error = ask(&crate::fleet::guard(&nobody)).await.unwrap_err().to_string();
    assert!(error.contains("no connection came about"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_leave_are_not_held_against_the_only_server() {
    let server = Server::start(fine).await;
    let settings = Settings { deadline: Duration::from_secs(5), ..settings([&server]) };
    let guard = guard(&settings);
    many(&guard, 20, 4).await;
    server.now(later(2000));
    for _ in 0..5 {
        let left = tokio::time::timeout(Duration::from_millis(200), ask(&guard)).await;
        assert!(left.is_err(), "it was not there yet");
    }
    assert_eq!(guard.counts(), (1, 0));
    server.now(fine);
    assert_eq!(ask(&guard).await, Ok(0.25));
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_answers_are_asked_for_elsewhere_within_the_budget() {
    let (quick, sometimes) = (Server::start(later(3)).await, Server::start(later(3)).await);
    let settings = Settings { deadline: Duration::from_secs(5), ..settings([&quick, &sometimes]) };
    let guard = guard(&Settings { extra: 0.2, ..settings });
    many(&guard, 100, 4).await;
    // Every tenth answer of one of them takes very long.
    let count = std::sync::atomic::AtomicUsize::new(0);
    sometimes.now(move |asked| {
        match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 10 {
            0 => later(2000)(asked),
            _ => later(3)(asked),
        }
    });
    let before = quick.count() + sometimes.count();
    let answers = many(&guard, 300, 4).await;
    assert!(answers.iter().all(|(answer, _)| answer == &Ok(0.25)));
    let slow = answers.iter().filter(|(_, time)| *time > Duration::from_millis(1500)).count();
    assert!(slow <= 3, "{slow} of 300 waited");
    // Some are asked twice, and the budget says how many at most.
    let asked = quick.count() + sometimes.count() - before;
    assert!((301..=300 + 60 + 20 + 20).contains(&asked), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_questions_fault_is_not_asked_twice_nor_held_against_the_server() {
    let (one, other) = (Server::start(fine).await, Server::start(fine).await);
    for status in [400, 413, 422] {
        one.now(move |_| Reply::Status(status));
        other.now(move |_| Reply::Status(status));
        let guard = guard(&settings([&one, &other]));
        let before = one.count() + other.count();
        let answers = many(&guard, 20, 1).await;
        assert!(answers.iter().all(|(answer, _)| answer.is_err()));
        assert_eq!((one.count() + other.count() - before, guard.counts()), (20, (2, 0)));
    }
    one.now(|_| Reply::Status(429));
    other.now(fine);
    let guard = guard(&settings([&one, &other]));
    assert!(many(&guard, 20, 1).await.iter().all(|(answer, _)| answer == &Ok(0.25)));
    assert_eq!(guard.counts(), (2, 0));
}
