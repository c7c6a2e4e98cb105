//! What was measured, on what, and on which of its cores.

use std::{fmt, fs};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

use crate::args::Args;
use crate::disk::{Place, SyncTime};
use crate::failure::Failure;
use crate::guard::Binary;
use crate::nginx;

/// Everything that a reader needs to repeat the run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) command: String,
    pub(crate) guard: String,
    pub(crate) guard_path: String,
    pub(crate) guard_bytes: u64,
    pub(crate) nginx: Option<String>,
    pub(crate) kernel: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) pinned: bool,
    pub(crate) fdatasync: SyncTime,
}

impl Machine {
    pub(crate) fn describe(binary: &Binary, place: &Place, args: &Args) -> Result<Self, Failure> {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Ok(Self {
            command: std::env::args().collect::<Vec<_>>().join(" "),
            guard: binary.version()?,
            guard_path: binary.origin.display().to_string(),
            guard_bytes: fs::metadata(&binary.origin).map_or(0, |metadata| metadata.len()),
            nginx: nginx::version(),
            kernel: kernel.trim().to_owned(),
            cpu: model.unwrap_or("unknown").trim_start_matches(['\t', ':', ' ']).to_owned(),
            cores: cores()?.len(),
            pinned: args.pin,
            fdatasync: place.sync_time()?,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, guard, guard_path, guard_bytes, nginx, .. } = self;
        let Self { kernel, cpu, cores, pinned, fdatasync, .. } = self;
        let mebibytes = *guard_bytes as f64 / f64::from(1 << 20);
        writeln!(f, "command:   {command}")?;
        writeln!(f, "guard:     {guard}, {guard_path} ({mebibytes:.1} MiB)")?;
        writeln!(f, "beside:    {}", nginx.as_deref().unwrap_or("nginx is not installed"))?;
        let placed = if *pinned { ", proxies and load each on their own" } else { "" };
        writeln!(f, "machine:   {cpu}, {cores} cores{placed}, Linux {kernel}")?;
        let (p50, p99) = (fdatasync.p50_ms, fdatasync.p99_ms);
        write!(f, "fdatasync: p50 {p50:.2} ms, p99 {p99:.2} ms (this disk, nothing else on it)")
    }
}

/// Who may run where.
#[derive(Debug)]
pub(crate) struct Cores {
    /// For the proxies and for the load; none: anybody anywhere.
    sides: Option<(CpuSet, CpuSet)>,
}

impl Cores {
    /// Separate cores if `pin`, otherwise as the system likes.
    pub(crate) fn choose(pin: bool) -> Result<Self, Failure> {
        if !pin {
            return Ok(Self { sides: None });
        }
        match cores()?.as_slice() {
            [first, .., last] => Ok(Self { sides: Some((one(*first), one(*last))) }),
            _ => Err(Failure::Other("--pin needs two cores".to_owned())),
        }
    }

    /// Children of this thread will run where proxies do.
    pub(crate) fn proxy_side(&self) -> Result<(), Failure> {
        self.sides.as_ref().map_or(Ok(()), |(proxies, _)| stay_on(proxies))
    }

    /// This thread runs where the load does.
    pub(crate) fn load_side(&self) -> Result<(), Failure> {
        self.sides.as_ref().map_or(Ok(()), |(_, load)| stay_on(load))
    }
}

fn stay_on(cores: &CpuSet) -> Result<(), Failure> {
    sched_setaffinity(None, cores)
        .map_err(|error| Failure::io("cannot choose a core")(error.into()))
}

fn one(core: usize) -> CpuSet {
    let mut cores = CpuSet::new();
    cores.set(core);
    cores
}

fn cores() -> Result<Vec<usize>, Failure> {
    let allowed = sched_getaffinity(None)
        .map_err(|error| Failure::io("cannot see which cores there are")(error.into()))?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect())
}
