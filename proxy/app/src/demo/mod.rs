//! `portcullis demo`: a stand-in model, the real proxy before it, and a table of telling exchanges.

mod client;
mod scenes;
mod stand_in;
mod table;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use futures_util::future::try_join_all;
use proxy_audit::{Closed, Record};
use proxy_stack::{KeyNames, Limits, Target};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::args::DemoArgs;
use crate::commands::serve::{runtime, stop_signal};
use crate::config::{Config, policy};
use crate::failure::Failure;
use crate::registry::Models;
use crate::server::Server;
use crate::traces::Traces;

use client::{Client, Seen};
use scenes::{SCENES, Scene};
use stand_in::StandIn;

/// Any free port of this machine: the stand-in is nobody else's business.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Requests of a flood that are under way at a time.
const AT_A_TIME: usize = 50;
/// Then the flood gives up: 2,000 requests are more than any quota of the demo.
const MOST_FLOODS: usize = 40;

/// Shows the table; then serves on, unless once is enough.
pub(crate) fn run(args: &DemoArgs) -> Result<ExitCode, Failure> {
    let dir = tempfile::Builder::new()
        .prefix("portcullis-demo-")
        .tempdir()
        .map_err(|error| Failure::environment("no temporary directory", &error))?;
    let all_as_expected = runtime()?.block_on(play(args, dir.path()))?;
    if all_as_expected { Ok(ExitCode::SUCCESS) } else { Err(Failure::SaidNo) }
}

async fn play(args: &DemoArgs, audit_dir: &Path) -> Result<bool, Failure> {
    let interrupted = stop_signal()?;
    let stand_in = StandIn::start(ANY_PORT).await?;
    let mut tasks = JoinSet::new();
    let server = Server::start(config(args, &stand_in, audit_dir)?).await?;
    let address = server.address()?;
    let (stop, stopped) = oneshot::channel::<()>();
    tasks.spawn(stand_in.serve());
    // The guard is not among the tasks that are aborted: it has a log to seal.
    let guard = server.run(async {
        // Dropping the sender means the same as sending.
        let _either_way = stopped.await;
    });
    let show = async {
        let seen = exchanges(address).await?;
        let all_as_expected = show(audit_dir, &seen)?;
        if !args.once {
            println!("{}", invitation(address, audit_dir));
            interrupted.await;
        }
        drop(stop);
        Ok(all_as_expected)
    };
    let (guarded, shown): (Result<(), Failure>, Result<bool, Failure>) = tokio::join!(guard, show);
    guarded?;
    shown
}

fn config(args: &DemoArgs, stand_in: &StandIn, audit_dir: &Path) -> Result<Config, Failure> {
    let upstream_url = format!("http://{}", stand_in.address());
    let target = Target::parse(&upstream_url, None)
        .map_err(|error| Failure::environment("the stand-in cannot be used", &error))?;
    Ok(Config {
        ext_proc: None,
        admin: None,
        console: None,
        // A single round of exchanges needs no port that anybody knows.
        listen: if args.once { ANY_PORT } else { args.listen },
        target,
        upstream_url,
        upstream_key: None,
        upstream_tls: None,
        policy: policy("default")?,
        policy_name: "default".to_owned(),
        policy_file: None,
        policy_source: None,
        models: Models::default(),
        keys: KeyNames::default(),
        tokens: None,
        audit_dir: audit_dir.to_owned(),
        audit_anchor: None,
        audit_index: None,
        sinks: Vec::new(),
        tls: None,
        instance: "demo".into(),
        limits: Limits::default(),
        shared_limits: None,
        drain: std::time::Duration::from_secs(1),
        traces: Traces::off(),
    })
}

async fn exchanges(address: SocketAddr) -> Result<Vec<(&'static Scene, Seen)>, Failure> {
    let client = Client::new(address);
    let mut seen = Vec::new();
    for scene in SCENES {
        if scene.flood {
            seen.push((scene, flood(&client, scene).await?));
            continue;
        }
        seen.push((scene, client.send(scene).await?));
    }
    Ok(seen)
}

/// Sends the same until it is turned away; what was turned away is what counts.
async fn flood(client: &Client, scene: &Scene) -> Result<Seen, Failure> {
    for _ in 0..MOST_FLOODS {
        let seen = try_join_all((0..AT_A_TIME).map(|_| client.send(scene))).await?;
        if let Some(turned_away) = seen.into_iter().find(|seen| seen.status != 200) {
            return Ok(turned_away);
        }
    }
    client.send(scene).await
}

/// Prints the table with what the audit log says about each exchange.
fn show(audit_dir: &Path, seen: &[(&'static Scene, Seen)]) -> Result<bool, Failure> {
    let entries = proxy_audit::tail(audit_dir, u64::MAX)
        .map_err(|error| Failure::environment("the demo's audit log cannot be read", &error))?;
    let record = |seen: &Seen| -> Option<&Closed> {
        entries.iter().find_map(|entry| match &entry.record {
            Record::Closed(closed) if closed.id.to_string() == seen.id => Some(&**closed),
            _ => None,
        })
    };
    let rows: Vec<_> =
        seen.iter().map(|(scene, seen)| table::Row::new(scene, seen, record(seen))).collect();
    println!("{}", table::render(&rows));
    let unexpected = rows.iter().filter(|row| !row.as_expected()).count();
    let report = proxy_audit::verify(audit_dir)
        .map_err(|error| Failure::environment("the demo's audit log is not sound", &error))?;
    println!(
        "{} exchanges recorded, each before its answer left; the log's chain is sound.",
        report.closed
    );
    if unexpected > 0 {
        println!("{unexpected} exchanges did not end as they should.");
    }
    Ok(unexpected == 0)
}

fn invitation(address: SocketAddr, audit_dir: &Path) -> String {
    format!(
        r#"
Now it is your turn. The guard listens on http://{address} (a stand-in model repeats what you say):

  curl http://{address}/v1/chat/completions -H 'content-type: application/json' \
    -d '{{"model":"stand-in","messages":[{{"role":"user","content":"PORTCULLIS-TEST-JAILBREAK"}}]}}'

  portcullis audit tail --follow {}

Ctrl-C ends it and removes the log."#,
        audit_dir.display()
    )
}
