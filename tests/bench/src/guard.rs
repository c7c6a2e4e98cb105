//! The guard as it ships, but for its rate limit.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Serialize;

use crate::accounts::Resident;
use crate::args::Args;
use crate::disk::Place;
use crate::failure::Failure;
use crate::machine::Cores;
use crate::process::{Server, free_address};
use crate::stop::Stop;

/// How often the guard is started to see how fast it is ready.
const STARTS: usize = 10;
/// After this long a started guard has nothing left to do but wait.
const SETTLED: Duration = Duration::from_secs(1);

/// The binary and its policy, copied: a build meanwhile does not change what is measured.
#[derive(Debug)]
pub(crate) struct Binary {
    program: PathBuf,
    policy: PathBuf,
    /// Where it was copied from.
    pub(crate) origin: PathBuf,
}

impl Binary {
    pub(crate) fn copy(args: &Args, place: &Place) -> Result<Self, Failure> {
        let origin = match &args.guard {
            Some(path) => path.clone(),
            None => beside_this_program()?,
        };
        let dir = place.dir("guard")?;
        let (program, policy) = (dir.join("portcullis"), dir.join("policy.yaml"));
        fs::copy(&origin, &program).map_err(Failure::io(format!(
            "{} cannot be copied (cargo build --release makes it, --guard PATH names another)",
            origin.display()
        )))?;
        let text = match &args.policy {
            Some(path) => fs::read_to_string(path)
                .map_err(Failure::io(format!("{} cannot be read", path.display())))?,
            None => without_limits(&said(&program, &["policy", "default"])?),
        };
        fs::write(&policy, text).map_err(Failure::io("cannot write the policy"))?;
        Ok(Self { program, policy, origin })
    }

    /// The same with another policy.
    pub(crate) fn with_policy(&self, text: &str, place: &Place) -> Result<Self, Failure> {
        let policy = place.dir("policy")?.join("policy.yaml");
        fs::write(&policy, text).map_err(Failure::io("cannot write the policy"))?;
        Ok(Self { program: self.program.clone(), policy, origin: self.origin.clone() })
    }

    /// Another program with the same policy.
    pub(crate) fn like(&self, origin: &Path, place: &Place) -> Result<Self, Failure> {
        let program = place.dir("other-guard")?.join("portcullis");
        fs::copy(origin, &program)
            .map_err(Failure::io(format!("{} cannot be copied", origin.display())))?;
        Ok(Self { program, policy: self.policy.clone(), origin: origin.to_owned() })
    }

    /// What it says about itself.
    pub(crate) fn version(&self) -> Result<String, Failure> {
        Ok(said(&self.program, &["--version"])?.trim().to_owned())
    }

    fn spawn(&self, upstream: SocketAddr, dir: &Path, cores: &Cores) -> Result<Server, Failure> {
        let address = free_address()?;
        let mut command = Command::new(&self.program);
        command
            .args(["serve", "--upstream", &format!("http://{upstream}")])
            .args(["--listen", &address.to_string()])
            .arg("--policy")
            .arg(&self.policy)
            .arg("--audit-dir")
            .arg(dir.join("audit"));
        Server::spawn("the guard", command, (address, dir.join("stderr.log")), cores)
    }
}

/// A running guard.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) server: Server,
}

impl Guard {
    pub(crate) fn start(
        binary: &Binary,
        upstream: SocketAddr,
        (place, cores): (&Place, &Cores),
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let mut server = binary.spawn(upstream, &place.dir("guard-under-load")?, cores)?;
        server.answering(stop)?;
        Ok(Self { server })
    }
}

/// What starting costs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Starts {
    /// Milliseconds from the start to the first answer, sorted.
    pub(crate) ready_ms: Vec<f64>,
    /// Before the first request.
    pub(crate) idle: Resident,
}

impl Starts {
    /// Starts the guard again and again, each time with an empty audit log.
    pub(crate) fn measure(
        binary: &Binary,
        upstream: SocketAddr,
        (place, cores): (&Place, &Cores),
        stop: &Stop,
    ) -> Result<Self, Failure> {
        let mut ready_ms = Vec::new();
        for _ in 0..STARTS {
            let mut server = binary.spawn(upstream, &place.dir("guard-start")?, cores)?;
            ready_ms.push(server.answering(stop)?.as_secs_f64() * 1000.0);
        }
        ready_ms.sort_by(f64::total_cmp);
        let mut server = binary.spawn(upstream, &place.dir("guard-idle")?, cores)?;
        server.listening(stop)?;
        stop.sleep(SETTLED)?;
        let idle = Resident::of(&server.pids());
        Ok(Self { ready_ms, idle })
    }
}

fn beside_this_program() -> Result<PathBuf, Failure> {
    let this = std::env::current_exe().map_err(Failure::io("cannot find this program"))?;
    Ok(this.with_file_name("portcullis"))
}

fn said(program: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(Failure::io(format!("{} does not run", program.display())))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::Other(format!("{} {arguments:?}: {said}", program.display())))
}

/// The policy without its `limits:` block: the load comes from one caller.
fn without_limits(policy: &str) -> String {
    let mut inside = false;
    let mut kept = String::with_capacity(policy.len());
    for line in policy.lines() {
        if !line.starts_with([' ', '\t']) && !line.is_empty() {
            inside = line.starts_with("limits:");
        }
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_limits_go() {
        let policy = "a: 1\n\nlimits:\n  requests: 600/min  # each\n\n# why\nb:\n  limits: no\n";
        assert_eq!(without_limits(policy), "a: 1\n\n# why\nb:\n  limits: no\n");
    }
}
