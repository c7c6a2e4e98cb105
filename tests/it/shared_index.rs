//! Two guards and one index.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::postgres::Server;
use crate::support::{Guard, POLICY, Script, Upstream, chat, post};

/// What the command line finds in the index, from the log of one guard.
fn query(guard: &Guard, index: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(Guard::binary());
    command.args(["audit", "query"]).arg(guard.audit_dir()).args(arguments);
    let output = command.env("PORTCULLIS_AUDIT_INDEX", index).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_decisions_of_two_guards_are_found_together() {
    let Some(server) = Server::start() else { return };
    let upstream = Upstream::start(Script::say("ok")).await;
    let settings = format!("audit: {{ index: \"{}\" }}\n", server.address());
    let guards = [0, 1].map(|_| Guard::with(&upstream.url(), POLICY, &settings));
    let mut ids = Vec::new();
    for guard in &guards {
        for text in ["hello", "PORTCULLIS-TEST-S1"] {
            let reply = post(guard.address, &[], chat(text, false).to_string().as_bytes()).await;
            ids.push(reply.id().to_owned());
        }
    }
    // Each guard reads its own log; the command line reads one of them.
    let started = Instant::now();
    while query(&guards[0], &server.address(), &["--count"]).1.trim() != "4" {
        assert!(started.elapsed() < Duration::from_secs(20), "not all of them are found");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (_, listed) = query(&guards[1], &server.address(), &["--json"]);
    assert!(ids.iter().all(|id| listed.contains(id)), "{listed}");
    let (_, blocked) = query(&guards[1], &server.address(), &["--count", "outcome:blocked"]);
    assert_eq!(blocked.trim(), "2");

    // Decisions do not wait for the index, and no password is repeated.
    drop(server);
    let reply = post(guards[0].address, &[], chat("hello", false).to_string().as_bytes()).await;
    assert_eq!(reply.status, 200);
    let nobody = "postgres://somebody:secret@127.0.0.1:1/none";
    let (found, said) = query(&guards[0], nobody, &["--count"]);
    assert!(!found && said.contains("127.0.0.1") && !said.contains("secret"), "{said}");
    for wrong in ["postgres://somebody:secret@[::1/none", "postgres://somebody:secret@h/d?x=y"] {
        let (found, said) = query(&guards[0], wrong, &["--count"]);
        assert!(!found && !said.contains("secret"), "{said}");
    }
}
