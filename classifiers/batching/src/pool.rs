//! Threads that each own a model, and the queue before them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use classifiers_core::ClassifyError;
use tokio::sync::oneshot;

use crate::queue::{BatchLimits, Queue, Waiting};

/// A model as a thread owns it: a batch in, an answer for each input out, in order.
pub trait Engine: Send + 'static {
    /// One input.
    type Input: Input;
    /// What is said about one input.
    type Output: Send + 'static;

    /// Judges `batch`.
    ///
    /// # Errors
    /// When there is no answer for any of the inputs.
    fn run(&mut self, batch: &[Self::Input]) -> Result<Vec<Self::Output>, ClassifyError>;
}

/// Something with a length.
pub trait Input: Send + 'static {
    /// Its length in tokens.
    fn tokens(&self) -> usize;

    /// Whether it goes before all that is not urgent, whatever their deadlines.
    fn is_urgent(&self) -> bool {
        false
    }
}

/// How a [`Pool`] works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolOptions {
    /// How batches are put together.
    pub batches: BatchLimits,
    /// How long a caller waits; what cannot be judged by then is refused when it comes.
    pub deadline: Duration,
    /// How many tokens one engine judges in a second, to begin with; measured from then on.
    pub tokens_per_second: f64,
}

/// Of the time a caller waits, only this share is promised away: a batch may take longer than the last one did.
const PROMISED: f64 = 0.5;
/// A batch takes no more than this part of the time a caller waits: a tenth.
const BATCH_SHARE: f64 = 10.0;
/// How much the newest batch counts in the measured speed.
const NEWEST: f64 = 0.2;

/// Engines, each on its own thread, behind one bounded queue.
///
/// A caller learns at once when there is no room. What nobody waits for any more is not judged.
pub struct Pool<E: Engine> {
    shared: Arc<Shared<E>>,
    // Ends the threads when the last handle is gone.
    _threads: Arc<Threads<E>>,
}

impl<E: Engine> Clone for Pool<E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), _threads: Arc::clone(&self._threads) }
    }
}

impl<E: Engine> std::fmt::Debug for Pool<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// What a pool has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PoolCounts {
    /// Batches judged.
    pub batches: u64,
    /// Inputs judged.
    pub inputs: u64,
    /// Tokens judged, without padding.
    pub tokens: u64,
    /// Padding judged along with them, in tokens.
    pub padding: u64,
    /// Inputs refused when they came.
    pub refused: u64,
    /// Inputs dropped because nobody waited for them any more, or their time was up.
    pub dropped: u64,
}

struct Shared<E: Engine> {
    state: Mutex<State<E>>,
    work: Condvar,
    options: PoolOptions,
    engines: usize,
}

struct State<E: Engine> {
    queue: Queue<Job<E>>,
    /// Tokens in batches that are being judged.
    running: usize,
    tokens_per_second: f64,
    closed: bool,
    counts: PoolCounts,
}

struct Job<E: Engine> {
    input: E::Input,
    answer: oneshot::Sender<Result<E::Output, ClassifyError>>,
}

impl<E: Engine> Pool<E> {
    /// Starts a thread for each of `engines`.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(engines: Vec<E>, options: PoolOptions) -> std::io::Result<Self> {
        let state = State {
            queue: Queue::default(),
            running: 0,
            tokens_per_second: options.tokens_per_second.max(1.0),
            closed: false,
            counts: PoolCounts::default(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            work: Condvar::new(),
            options,
            engines: engines.len(),
        });
        let mut threads = Threads { shared: Arc::clone(&shared), handles: Vec::new() };
        for engine in engines {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name("classifier".to_owned());
            threads.handles.push(thread.spawn(move || shared.work(engine))?);
        }
        Ok(Self { shared, _threads: Arc::new(threads) })
    }

    /// Has all of `inputs` judged; all or none are accepted, and that is decided before this returns.
    ///
    /// # Errors
    /// [`ClassifyError::Overloaded`] at once if they could not be judged in time; [`ClassifyError::Timeout`] if they
    /// were not; what the engine says.
    pub fn judge(
        &self,
        inputs: Vec<E::Input>,
    ) -> impl Future<Output = Result<Vec<E::Output>, ClassifyError>> + Send + 'static + use<E> {
        let deadline = self.shared.options.deadline;
        let answers = self.shared.accept(inputs);
        async move {
            let mut outputs = Vec::new();
            for answer in answers? {
                // A sender that is gone without an answer was dropped when its time was up.
                outputs.push(answer.await.unwrap_or(Err(ClassifyError::Timeout(deadline)))?);
            }
            Ok(outputs)
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> PoolCounts {
        self.shared.lock().counts
    }
}

type Answers<O> = Vec<oneshot::Receiver<Result<O, ClassifyError>>>;
type Senders<O> = Vec<oneshot::Sender<Result<O, ClassifyError>>>;
type Outputs<O> = Result<Vec<O>, ClassifyError>;

impl<E: Engine> Shared<E> {
    fn lock(&self) -> MutexGuard<'_, State<E>> {
        // Nothing panics while it is held; were it otherwise, the counts would be all that is wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, inputs: Vec<E::Input>) -> Result<Answers<E::Output>, ClassifyError> {
        let mut state = self.lock();
        let tokens: usize = inputs.iter().map(Input::tokens).sum();
        let ahead = (state.queue.tokens() + state.running + tokens) as f64;
        let seconds = ahead / (state.tokens_per_second * self.engines.max(1) as f64);
        // An idle model takes on what it may not finish: it has nothing better to do.
        let idle = state.queue.is_empty() && state.running == 0;
        let promised = self.options.deadline.as_secs_f64() * PROMISED;
        if state.closed || self.engines == 0 || (!idle && seconds > promised) {
            state.counts.refused += inputs.len() as u64;
            return Err(ClassifyError::Overloaded);
        }
        let deadline = Instant::now() + self.options.deadline;
        let mut answers = Vec::with_capacity(inputs.len());
        for input in inputs {
            let (answer, receiver) = oneshot::channel();
            answers.push(receiver);
            let (tokens, urgent) = (input.tokens(), input.is_urgent());
            let job = Job { input, answer };
            state.queue.push(Waiting { job, tokens, deadline, urgent });
        }
        drop(state);
        self.work.notify_all();
        Ok(answers)
    }

    /// What each thread does until the pool is closed.
    fn work(&self, mut engine: E) {
        while let Some(batch) = self.next_batch() {
            let tokens: usize = batch.iter().map(|waiting| waiting.tokens).sum();
            let rows = batch.len();
            let width = batch.iter().map(|waiting| waiting.tokens).max().unwrap_or_default();
            let padded = if self.options.batches.packed { tokens } else { width * rows };
            let started = Instant::now();
            let (answers, outputs) = run(&mut engine, batch);
            let mut state = self.lock();
            state.running = state.running.saturating_sub(tokens);
            let speed = padded as f64 / started.elapsed().as_secs_f64().max(1e-6);
            state.tokens_per_second += NEWEST * (speed - state.tokens_per_second);
            state.counts.batches += 1;
            state.counts.inputs += rows as u64;
            state.counts.tokens += tokens as u64;
            state.counts.padding += (padded - tokens) as u64;
            drop(state);
            tell(answers, outputs);
        }
    }

    /// The limits of a batch: as configured, and so small that nobody waits long for the others in it.
    fn limits(&self, tokens_per_second: f64) -> BatchLimits {
        let time = self.options.deadline.as_secs_f64() / BATCH_SHARE;
        let tokens = (tokens_per_second * time) as usize;
        BatchLimits { tokens: tokens.min(self.options.batches.tokens), ..self.options.batches }
    }

    /// Waits for work; `None` when the pool is closed. What nobody waits for is left out.
    fn next_batch(&self) -> Option<Vec<Waiting<Job<E>>>> {
        let mut state = self.lock();
        loop {
            while !state.queue.is_empty() && !state.closed {
                let limits = self.limits(state.tokens_per_second);
                let mut batch = state.queue.next_batch(&limits);
                let all = batch.len();
                let tokens: usize = batch.iter().map(|waiting| waiting.tokens).sum();
                // An answer that comes too late is none: the time goes to those who still can have one.
                let takes = Duration::try_from_secs_f64(tokens as f64 / state.tokens_per_second);
                let done = Instant::now() + takes.unwrap_or_default();
                // Unless the model has nothing else to do: how long it takes is only an estimate.
                let idle = state.queue.is_empty() && state.running == 0;
                batch.retain(|waiting| {
                    let in_time =
                        waiting.deadline > done || idle && waiting.deadline > Instant::now();
                    !waiting.job.answer.is_closed() && in_time
                });
                state.counts.dropped += (all - batch.len()) as u64;
                if !batch.is_empty() {
                    state.running += batch.iter().map(|waiting| waiting.tokens).sum::<usize>();
                    return Some(batch);
                }
            }
            if state.closed {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What an engine says about a batch, and who waits for it. An engine that panics has given no verdict.
fn run<E: Engine>(
    engine: &mut E,
    batch: Vec<Waiting<Job<E>>>,
) -> (Senders<E::Output>, Outputs<E::Output>) {
    let (inputs, answers): (Vec<_>, Senders<_>) =
        batch.into_iter().map(|waiting| (waiting.job.input, waiting.job.answer)).unzip();
    let outputs = catch_unwind(AssertUnwindSafe(|| engine.run(&inputs)))
        .unwrap_or_else(|_| Err(ClassifyError::Failed("it panicked".to_owned())))
        .and_then(|outputs| match outputs.len() == answers.len() {
            true => Ok(outputs),
            false => {
                Err(ClassifyError::Failed("it answered for another number of texts".to_owned()))
            }
        });
    (answers, outputs)
}

/// Whoever does not listen any more does not miss the answer.
fn tell<O>(answers: Senders<O>, outputs: Outputs<O>) {
    match outputs {
        Ok(outputs) => {
            answers.into_iter().zip(outputs).for_each(|(to, said)| drop(to.send(Ok(said))))
        }
        Err(error) => answers.into_iter().for_each(|to| drop(to.send(Err(error.clone())))),
    }
}

/// The threads of a pool; dropping them ends them after the batch they are at.
struct Threads<E: Engine> {
    shared: Arc<Shared<E>>,
    handles: Vec<JoinHandle<()>>,
}

impl<E: Engine> Drop for Threads<E> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.queue = Queue::default();
        drop(state);
        self.shared.work.notify_all();
        for handle in self.handles.drain(..) {
            // The work itself is guarded against panics.
            drop(handle.join());
        }
    }
}
