//! Counting what happened within the last so-and-so long.

use std::time::Duration;

use policies::Quota;

/// Into how many slots a period is divided. What is counted leaves the window one slot late at most, so of what
/// would be allowed this part may be withheld.
const SLOTS: u64 = 120;
/// How many slots are kept: one more, because the oldest and the newest are in the period with a part each.
const KEPT: usize = SLOTS as usize + 1;

/// Counts over a sliding window: never more than the quota in any period of its length, however it is cut out
/// of time. A bucket that refills would let twice the quota pass in the first period, and cannot be charged for
/// what is known only afterwards.
#[derive(Clone, Debug)]
pub(super) struct Window {
    slots: Box<[u64; KEPT]>,
    /// The sum of the slots.
    used: u64,
    /// The number of the newest slot, counted from the beginning of time.
    newest: u64,
}

impl Window {
    /// An empty window.
    pub(super) fn new() -> Self {
        Self { slots: Box::new([0; KEPT]), used: 0, newest: 0 }
    }

    /// Forgets what has left the window at `now`, and says how much is still in it.
    pub(super) fn used(&mut self, quota: &Quota, now: Duration) -> u64 {
        let slot = slot(quota, now);
        // Time does not run backwards, but callers may look at it in another order than they come here.
        let passed = slot.saturating_sub(self.newest);
        if passed >= KEPT as u64 {
            self.slots.fill(0);
            self.used = 0;
        } else {
            for gone in self.newest + 1..=self.newest + passed {
                if let Some(count) = self.slots.get_mut(place(gone)) {
                    self.used -= *count;
                    *count = 0;
                }
            }
        }
        self.newest = self.newest.max(slot);
        self.used
    }

    /// Adds `count` at `now`, whether or not there is room for it.
    pub(super) fn add(&mut self, quota: &Quota, now: Duration, count: u64) {
        self.used(quota, now);
        if let Some(slot) = self.slots.get_mut(place(self.newest)) {
            *slot = slot.saturating_add(count);
            self.used = self.used.saturating_add(count);
        }
    }

    /// Adds `count` as if it had been added `age` slots before `now`; what is too old is left out.
    pub(super) fn add_aged(&mut self, quota: &Quota, now: Duration, (age, count): (u64, u64)) {
        self.used(quota, now);
        let Some(number) = self.newest.checked_sub(age) else { return };
        if age >= KEPT as u64 {
            return;
        }
        if let Some(slot) = self.slots.get_mut(place(number)) {
            *slot = slot.saturating_add(count);
            self.used = self.used.saturating_add(count);
        }
    }

    /// What is in the window at `now`: how many slots ago, and how much.
    pub(super) fn by_age(&mut self, quota: &Quota, now: Duration) -> Vec<(u64, u64)> {
        self.used(quota, now);
        let ages = 0..(KEPT as u64).min(self.newest + 1);
        let at = |age: u64| self.slots.get(place(self.newest - age)).copied().unwrap_or_default();
        ages.map(|age| (age, at(age))).filter(|(_, count)| *count > 0).collect()
    }

    /// How long after `now` there is room for one more, if nothing else is added.
    pub(super) fn wait(&mut self, quota: &Quota, now: Duration) -> Duration {
        let limit = u64::from(quota.count.get());
        let mut used = self.used(quota, now);
        let oldest = (self.newest + 1).saturating_sub(KEPT as u64);
        for number in oldest..=self.newest {
            if used < limit {
                break;
            }
            used -= self.slots.get(place(number)).copied().unwrap_or_default();
            if used < limit {
                return start(quota, number + KEPT as u64).saturating_sub(now);
            }
        }
        Duration::ZERO
    }
}

/// The number of the slot that `now` is in.
fn slot(quota: &Quota, now: Duration) -> u64 {
    let slots = now.as_nanos() * u128::from(SLOTS) / quota.per.as_nanos().max(1);
    u64::try_from(slots).unwrap_or(u64::MAX)
}

/// When slot `number` begins.
fn start(quota: &Quota, number: u64) -> Duration {
    let nanos = (u128::from(number) * quota.per.as_nanos()).div_ceil(u128::from(SLOTS));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

const fn place(number: u64) -> usize {
    (number % KEPT as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(count: u32, seconds: u64) -> Quota {
        Quota { count: count.try_into().expect("not 0"), per: Duration::from_secs(seconds) }
    }

    /// A caller that always asks again: in no period more than the quota, and over many not 1 % less.
    #[test]
    fn never_more_than_the_quota_in_any_period() {
        let quota = quota(600, 60);
        let mut window = Window::new();
        let mut admitted: Vec<Duration> = Vec::new();
        for step in 0..600_000_u64 {
            let now = Duration::from_millis(12_345 + step);
            if window.used(&quota, now) < 600 {
                window.add(&quota, now, 1);
                admitted.push(now);
            }
        }
        for (index, first) in admitted.iter().enumerate() {
            let until = *first + quota.per;
            let within = admitted[index..].iter().take_while(|time| **time < until).count();
            assert!(within <= 600, "{within} from {first:?} on");
        }
        let rate = admitted.len() as f64 / 6_000.0;
        assert!((0.99..=1.01).contains(&rate), "{rate}");
    }

    #[test]
    fn what_comes_afterwards_is_waited_for() {
        let quota = quota(100, 10);
        let mut window = Window::new();
        let now = Duration::from_secs(1_000);
        assert_eq!(window.wait(&quota, now), Duration::ZERO);
        window.add(&quota, now, 250);
        let wait = window.wait(&quota, now);
        assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(11), "{wait:?}");
        assert!(window.used(&quota, now + wait - Duration::from_millis(1)) >= 100);
        assert!(window.used(&quota, now + wait) < 100);
        // A clock that is read out of order takes nothing back.
        assert_eq!(window.used(&quota, Duration::ZERO), 0);
    }
}
