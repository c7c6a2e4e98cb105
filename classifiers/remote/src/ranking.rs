//! Which of several servers is asked next. No input, output or clock of its own.

use std::time::{Duration, Instant};

/// Failures in a row after which a server is left alone.
const PATIENCE: u32 = 3;
/// How long it is left alone at first; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// And at most: so a server that is well again is found within this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a first answer may take before a second server is asked, as long as nothing is known.
const UNKNOWN: Duration = Duration::from_millis(500);

/// How a question to a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a verdict, after so long.
    Verdict(Duration),
    /// With a failure that speaks against the server.
    Failure,
    /// With nothing that says anything about the server.
    Unsaid,
}

/// What is known about one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    under_way: usize,
    failures: u32,
    /// Until when it is left alone.
    resting: Option<Instant>,
    latency: Latency,
}

/// A smoothed time and how much it varies, as TCP has it (RFC 6298).
#[derive(Clone, Copy, Debug, Default)]
struct Latency {
    seen: Option<(f64, f64)>,
}

impl Latency {
    fn add(&mut self, time: Duration) {
        let time = time.as_secs_f64();
        self.seen = Some(match self.seen {
            None => (time, time / 2.0),
            Some((mean, deviation)) => {
                (0.875 * mean + 0.125 * time, 0.75 * deviation + 0.25 * (mean - time).abs())
            }
        });
    }

    /// What few answers take longer than.
    fn usual(self) -> Duration {
        let usual = self.seen.map(|(mean, deviation)| mean + 4.0 * deviation);
        usual.map_or(UNKNOWN, |seconds| Duration::from_secs_f64(seconds.clamp(0.002, 60.0)))
    }
}

/// Which of several servers is asked next.
#[derive(Debug)]
pub(crate) struct Ranking {
    servers: Vec<Known>,
    /// Questions to one server at a time.
    most: usize,
    turn: usize,
}

/// Why no server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nobody {
    /// All that are well have as much as they may have.
    Busy,
    /// All are left alone, the first of them for so long.
    Resting(Duration),
}

impl Ranking {
    /// `count` servers, each of which is asked `most` questions at a time.
    pub(crate) fn new(count: usize, most: usize) -> Self {
        Self { servers: vec![Known::default(); count], most: most.max(1), turn: 0 }
    }

    /// The server with the fewest questions under way that is none of `but`; it has one more from now on. Of one that
    /// was left alone a single question finds out whether it is well.
    pub(crate) fn take(&mut self, now: Instant, but: &[usize]) -> Result<usize, Nobody> {
        self.turn = self.turn.wrapping_add(1);
        let (turn, count) = (self.turn, self.servers.len().max(1));
        let others = || self.servers.iter().enumerate().filter(|(at, _)| !but.contains(at));
        let well = others().filter(|(_, known)| known.is_awake(now));
        let free = well.filter(|(_, known)| known.under_way < known.room(self.most));
        let best = free.min_by_key(|(at, known)| (known.under_way, (at + turn) % count));
        let Some(at) = best.map(|(at, _)| at) else {
            let rests = others().filter_map(|(_, known)| known.rest(now));
            let awake = others().any(|(_, known)| known.is_awake(now) && known.failures < PATIENCE);
            return Err(match rests.min() {
                Some(rest) if !awake => Nobody::Resting(rest),
                _ => Nobody::Busy,
            });
        };
        if let Some(known) = self.servers.get_mut(at) {
            known.under_way += 1;
        }
        Ok(at)
    }

    /// A question to server `at` is over.
    pub(crate) fn give_back(&mut self, at: usize, end: End, now: Instant) {
        let Some(known) = self.servers.get_mut(at) else { return };
        known.under_way = known.under_way.saturating_sub(1);
        match end {
            End::Unsaid => {}
            End::Verdict(time) => {
                known.latency.add(time);
                known.failures = 0;
                known.resting = None;
            }
            End::Failure => {
                known.failures = known.failures.saturating_add(1);
                if let Some(times) = known.failures.checked_sub(PATIENCE) {
                    let pause = FIRST_PAUSE.saturating_mul(1 << times.min(16)).min(LONGEST_PAUSE);
                    known.resting = Some(now + pause);
                }
            }
        }
    }

    /// After how long a second server is asked, if the answer of `at` is not there.
    pub(crate) fn usual(&self, at: usize) -> Duration {
        self.servers.get(at).map_or(UNKNOWN, |known| known.latency.usual())
    }

    /// Servers, and how many of them have failed and not been well since.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let failing = self.servers.iter().filter(|known| known.failures >= PATIENCE).count();
        (self.servers.len(), failing)
    }
}

impl Known {
    fn is_awake(&self, now: Instant) -> bool {
        self.resting.is_none_or(|until| until <= now)
    }

    const fn room(&self, most: usize) -> usize {
        if self.failures >= PATIENCE { 1 } else { most }
    }

    fn rest(&self, now: Instant) -> Option<Duration> {
        self.resting.map(|until| until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_least_loaded_is_asked_and_the_failing_one_left_alone_until_it_is_well() {
        let (mut now, mut ranking) = (Instant::now(), Ranking::new(3, 4));
        let first: Vec<usize> = (0..12).map(|_| ranking.take(now, &[]).unwrap()).collect();
        assert!((0..3).all(|at| first.iter().filter(|one| **one == at).count() == 4), "{first:?}");
        assert_eq!(ranking.take(now, &[]), Err(Nobody::Busy));
        for at in first {
            ranking.give_back(at, End::Unsaid, now);
        }
        for _ in 0..PATIENCE {
            assert_eq!(ranking.take(now, &[1, 2]), Ok(0));
            ranking.give_back(0, End::Failure, now);
        }
        assert!((0..8).all(|_| ranking.take(now, &[]).unwrap() != 0));
        assert_eq!(ranking.counts(), (3, 1));
        assert_eq!(ranking.take(now, &[1, 2]), Err(Nobody::Resting(FIRST_PAUSE)));
        now += FIRST_PAUSE;
        assert_eq!(ranking.take(now, &[1, 2]), Ok(0));
        assert_eq!(ranking.take(now, &[1, 2]), Err(Nobody::Resting(Duration::ZERO)));
        ranking.give_back(0, End::Verdict(Duration::from_millis(1)), now);
        assert_eq!((ranking.take(now, &[1, 2]), ranking.take(now, &[1, 2])), (Ok(0), Ok(0)));
    }

    proptest! {
        /// Whatever happens, no server has more than its share, and one that is well again is found within the
        /// longest pause.
        #[test]
        fn bounds_hold_and_the_well_are_found(
            steps in prop::collection::vec((0u64..2000, 0u8..4), 1..400),
        ) {
            let (mut now, mut ranking) = (Instant::now(), Ranking::new(3, 5));
            let mut taken: Vec<usize> = Vec::new();
            for (pause, what) in steps {
                now += Duration::from_millis(pause);
                match (what, taken.pop()) {
                    (0 | 1, given) => {
                        taken.extend(given);
                        taken.extend(ranking.take(now, &[]).ok());
                    }
                    (2, Some(at)) => ranking.give_back(at, End::Failure, now),
                    (_, Some(at)) => ranking.give_back(at, End::Verdict(Duration::from_millis(5)), now),
                    (_, None) => {}
                }
                for at in 0..3 {
                    prop_assert!(taken.iter().filter(|one| **one == at).count() <= 5);
                }
            }
            for at in taken {
                ranking.give_back(at, End::Failure, now);
            }
            prop_assert!(ranking.take(now + LONGEST_PAUSE, &[]).is_ok());
        }
    }
}
