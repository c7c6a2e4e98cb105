//! What processes cost, from `/proc`.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// What a process and its children have used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    /// Nanoseconds on a core.
    pub(crate) cpu: u64,
    /// How often a thread gave up its core or was taken off it.
    pub(crate) switches: u64,
}

/// Memory of a process and its children.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Resident {
    /// All of it that is in memory, in KiB.
    pub(crate) kib: u64,
    /// The part that is its own, not a file's that the system could drop, in KiB.
    pub(crate) own_kib: u64,
}

/// `pid` and all that descend from it.
pub(crate) fn tree(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(&pid) = all.get(next) {
        next += 1;
        for task in tasks(pid) {
            let children = fs::read_to_string(task.join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    all
}

impl Used {
    /// By `pids`. Threads that have ended do not count, so a proxy must keep its threads.
    pub(crate) fn by(pids: &[u32]) -> Self {
        let mut used = Self::default();
        for task in pids.iter().flat_map(|pid| tasks(*pid)) {
            let schedule = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
            used.cpu += number(schedule.split_whitespace().next());
            let status = fs::read_to_string(task.join("status")).unwrap_or_default();
            used.switches += field(&status, "voluntary_ctxt_switches:")
                + field(&status, "nonvoluntary_ctxt_switches:");
        }
        used
    }

    pub(crate) const fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            switches: self.switches.saturating_sub(before.switches),
        }
    }
}

impl Resident {
    pub(crate) fn of(pids: &[u32]) -> Self {
        let mut resident = Self::default();
        for pid in pids {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            resident.kib += field(&status, "VmRSS:");
            resident.own_kib += field(&status, "RssAnon:");
        }
        resident
    }
}

/// Nanoseconds that all cores together have been busy; it counts in hundredths of a second.
pub(crate) fn machine_busy() -> u64 {
    const TICK: u64 = 10_000_000;
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).map(|word| number(Some(word))).collect();
    // user nice system idle iowait irq softirq ...
    let at = |place: usize| ticks.get(place).copied().unwrap_or(0);
    [0, 1, 2, 5, 6].into_iter().map(at).sum::<u64>() * TICK
}

fn tasks(pid: u32) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"));
    entries.into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()).collect()
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    number(line.and_then(|line| line.split_whitespace().next()))
}

fn number(word: Option<&str>) -> u64 {
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}
