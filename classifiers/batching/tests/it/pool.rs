//! Engines behind a queue: batches, overload, callers that leave, engines that fail.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use classifiers_batching::{BatchLimits, Engine, Input, Pool, PoolOptions};
use classifiers_core::ClassifyError;

struct Text(&'static str);

impl Input for Text {
    fn tokens(&self) -> usize {
        self.0.len()
    }
}

/// Reports each batch and goes on when told.
struct Stepped {
    batches: Sender<Vec<&'static str>>,
    go: Receiver<()>,
}

impl Engine for Stepped {
    type Input = Text;
    type Output = usize;

    fn run(&mut self, batch: &[Text]) -> Result<Vec<usize>, ClassifyError> {
        self.batches.send(batch.iter().map(|text| text.0).collect()).unwrap();
        self.go.recv().unwrap();
        assert!(batch.iter().all(|text| text.0 != "panic"), "as told");
        Ok(batch.iter().map(|text| text.0.len()).filter(|len| *len != 4).collect())
    }
}

struct Bench {
    pool: Pool<Stepped>,
    batches: Receiver<Vec<&'static str>>,
    go: Sender<()>,
}

fn bench(deadline: Duration) -> Bench {
    let (batch_sender, batches) = channel();
    let (go, go_receiver) = channel();
    let engine = Stepped { batches: batch_sender, go: go_receiver };
    let options = PoolOptions {
        batches: BatchLimits { tokens: 24, padding: 0.1, packed: false },
        deadline,
        tokens_per_second: 1.0,
    };
    let pool = Pool::start(vec![engine], options).unwrap();
    Bench { pool, batches, go }
}

const LONG: Duration = Duration::from_secs(1000);

#[tokio::test]
async fn texts_of_a_length_go_together_and_each_gets_its_own_answer() {
    let Bench { pool, batches, go } = bench(LONG);
    let first = tokio::spawn(pool.judge(vec![Text("first")]));
    assert_eq!(batches.recv().unwrap(), ["first"]);
    let texts = ["12345678", "12345", "1234567x", "123456789012345678901234567890", "123456yz"];
    let rest = tokio::spawn(pool.judge(texts.into_iter().map(Text).collect()));
    tokio::task::yield_now().await;
    (0..4).for_each(|_| go.send(()).unwrap());
    assert_eq!(first.await.unwrap(), Ok(vec![5]));
    assert_eq!(rest.await.unwrap(), Ok(vec![8, 5, 8, 30, 8]));
    let seen: Vec<_> = batches.try_iter().collect();
    assert_eq!(seen, [vec!["12345678", "1234567x", "123456yz"], vec!["12345"], vec![texts[3]]]);
    let counts = pool.counts();
    assert_eq!((counts.batches, counts.inputs, counts.tokens, counts.padding), (4, 6, 64, 0));
}

#[tokio::test]
async fn what_cannot_be_judged_in_time_is_refused_at_once_and_the_gone_are_dropped() {
    let Bench { pool, batches, go } = bench(Duration::from_secs(26));
    let running = tokio::spawn(pool.judge(vec![Text("running")]));
    assert_eq!(batches.recv().unwrap(), ["running"]);
    let leaves = pool.judge(vec![Text("gone!")]);
    let started = Instant::now();
    // Seven are running and five wait, at one a second.
    assert_eq!(pool.judge(vec![Text("more")]).await, Err(ClassifyError::Overloaded));
    assert!(started.elapsed() < Duration::from_secs(1));
    drop(leaves);
    (0..2).for_each(|_| go.send(()).unwrap());
    assert_eq!(running.await.unwrap(), Ok(vec![7]));
    assert_eq!(pool.judge(vec![Text("later")]).await, Ok(vec![5]));
    assert_eq!(batches.try_iter().collect::<Vec<_>>(), [["later"]]);
    assert_eq!((pool.counts().refused, pool.counts().dropped), (1, 1));
}

#[tokio::test]
async fn a_late_answer_is_a_timeout_and_a_broken_engine_is_a_failure() {
    let Bench { pool, batches, go } = bench(Duration::from_millis(50));
    let running = tokio::spawn(pool.judge(vec![Text("running")]));
    assert_eq!(batches.recv().unwrap(), ["running"]);
    go.send(()).unwrap();
    assert_eq!(running.await.unwrap(), Ok(vec![7]));
    let failed = |text| {
        go.send(()).unwrap();
        pool.judge(vec![Text(text)])
    };
    assert!(matches!(failed("panic").await, Err(ClassifyError::Failed(_))));
    assert!(matches!(failed("four").await, Err(ClassifyError::Failed(_))));
    assert_eq!(failed("lives on").await, Ok(vec![8]));
}

#[tokio::test]
async fn dropping_the_pool_ends_its_threads() {
    let Bench { pool, batches, go } = bench(LONG);
    let running = tokio::spawn(pool.judge(vec![Text("running")]));
    batches.recv().unwrap();
    go.send(()).unwrap();
    running.await.unwrap().unwrap();
    drop(pool);
    assert!(batches.recv().is_err(), "the engine is gone, and with it its end of the channel");
}
