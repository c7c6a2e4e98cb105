//! `portcullis doctor`

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use proxy_sinks::{SinkError, Target};

use super::serve::runtime;
use crate::args::ServeArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::tls::Greeting;
use crate::{registry, remote, server};

/// Each exchange takes two sockets.
const OPEN_FILES: u64 = 4096;
/// How long the model server may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found out about one thing.
struct Finding {
    what: &'static str,
    /// What is wrong, and what to do; or what is well.
    said: Result<String, String>,
}

/// Looks at everything that `serve` with the same arguments would need, and says what is wrong in plain words.
pub(crate) fn run(args: &ServeArgs) -> Result<ExitCode, Failure> {
    let config = match Config::load(args) {
        Ok(config) => config,
        Err(failure) => {
            say(&Finding { what: "settings", said: Err(failure.to_string()) });
            return Err(Failure::SaidNo);
        }
    };
    let policy = format!("the policy {} passes its own tests", config.policy.label());
    say(&Finding { what: "settings", said: Ok(policy) });
    let findings = [
        port("listen", Some(config.listen)),
        port("admin", config.admin),
        certificate(&config),
        audit(&config.audit_dir),
        place(&config),
        open_files(),
        runtime()?.block_on(upstream(&config)),
        runtime()?.block_on(shared_limits(&config)),
        runtime()?.block_on(traces(&config)),
    ];
    findings.iter().for_each(say);
    let sinks = runtime()?.block_on(sinks(&config));
    sinks.iter().for_each(say);
    let issuers = runtime()?.block_on(tokens(&config));
    issuers.iter().for_each(say);
    let sign_in = runtime()?.block_on(sign_in(&config));
    sign_in.iter().for_each(say);
    let judges = runtime()?.block_on(classifiers(&config));
    judges.iter().for_each(say);
    if findings
        .iter()
        .chain(&sinks)
        .chain(&issuers)
        .chain(&sign_in)
        .chain(&judges)
        .all(|finding| finding.said.is_ok())
    {
        say!("Everything is as it should be.");
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::SaidNo)
}

fn say(finding: &Finding) {
    match &finding.said {
        Ok(well) => say!("ok    {:<12} {well}", finding.what),
        Err(wrong) => say!("FAIL  {:<12} {wrong}", finding.what),
    }
}

/// Whether nobody else listens there.
fn port(what: &'static str, address: Option<SocketAddr>) -> Finding {
    let said = match address {
        None => Ok("off; metrics and health are served where --admin says".to_owned()),
        Some(address) => match TcpListener::bind(address) {
            Ok(_) => Ok(format!("{address} is free")),
            Err(error) => Err(format!(
                "{address} cannot be listened on ({error}): stop what listens there, or choose another with --{what}"
            )),
        },
    };
    Finding { what, said }
}

fn certificate(config: &Config) -> Finding {
    let said = match &config.tls {
        None if config.listen.ip().is_loopback() => {
            Ok("off; only this machine can connect".to_owned())
        }
        None => {
            Ok("off: keys and texts cross the network as they are; see `tls` in docs/running.md"
                .to_owned())
        }
        Some(files) => match Greeting::read(files) {
            Ok(_) => Ok(format!("{} and its key belong together", files.cert_file.display())),
            Err(failure) => Err(failure.to_string()),
        },
    };
    Finding { what: "tls", said }
}

/// Whether records can be written; a running guard's log is not touched.
fn audit(dir: &Path) -> Finding {
    let written = std::fs::create_dir_all(dir).and_then(|()| tempfile::tempfile_in(dir));
    let said = match written {
        Ok(_) => Ok(format!("{} can be written", dir.display())),
        Err(error) => Err(format!(
            "{} cannot be written ({error}): without records nothing is answered; choose another with --audit-dir",
            dir.display()
        )),
    };
    Finding { what: "audit", said }
}

/// Whether the policy is the newest that its place has, and the next one can be kept.
fn place(config: &Config) -> Finding {
    let said = match &config.policy_source {
        None => Ok(format!("{}: a file or one that comes with the program", config.policy_name)),
        Some(source) => source.health(),
    };
    Finding { what: "policy", said }
}

/// How many files and sockets the process may have.
fn open_files() -> Finding {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let limit = limits.lines().find_map(|line| {
        line.strip_prefix("Max open files")?.split_whitespace().next()?.parse::<u64>().ok()
    });
    let said = match limit {
        Some(limit) if limit < OPEN_FILES => Err(format!(
            "{limit} open files are allowed, and each exchange takes two: `ulimit -n 65536`, or LimitNOFILE in systemd"
        )),
        Some(limit) => Ok(format!("{limit} are allowed")),
        None => Ok("as many as the system has".to_owned()),
    };
    Finding { what: "open files", said }
}

/// Whether the model server answers anything at all.
async fn upstream(config: &Config) -> Finding {
    let said = async {
        let client = match &config.upstream_tls {
            Some(own) => Client::builder(TokioExecutor::new()).build(own.connector()?),
            None => remote::client(&config.upstream_url)?,
        };
        let uri = config.upstream_url.parse::<http::Uri>().unwrap_or_default();
        let mut request = http::Request::new(Full::<Bytes>::default());
        *request.uri_mut() = uri;
        let answer = tokio::time::timeout(PATIENCE, client.request(request)).await;
        let why = match answer {
            Ok(Ok(_)) => return Ok(format!("{} answers", config.upstream_url)),
            Ok(Err(error)) => crate::failure::chain(&error),
            Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
        };
        Err(Failure::Environment(format!(
            "{} does not answer ({why}): is the model server running, and the URL right?",
            config.upstream_url
        )))
    };
    Finding { what: "upstream", said: said.await.map_err(|failure| failure.to_string()) }
}

/// Whether limits can be counted together with other guards.
async fn shared_limits(config: &Config) -> Finding {
    let said = match &config.shared_limits {
        None => Ok("off; this guard counts for itself".to_owned()),
        Some(limits) => match limits.try_once().await {
            Ok(()) => Ok("the server counts".to_owned()),
            Err(why) => Err(format!(
                "the server of `shared_limits` does not count ({why}): is it running, are address and password right? \
                 Without it each guard gives its part of the limits, or refuses, as `on_failure` says"
            )),
        },
    };
    Finding { what: "limits", said }
}

/// Whether the keys of those whose tokens are believed can be had.
async fn tokens(config: &Config) -> Vec<Finding> {
    let Some(tokens) = &config.tokens else { return Vec::new() };
    let said = tokens.try_each().await.into_iter().map(|(issuer, keys)| match keys {
        Ok(keys) => Ok(format!("{issuer} has {keys} keys that sign tokens")),
        Err(failure) => Err(format!(
            "{failure}: without the keys of {issuer} nobody comes in by its tokens; can it be reached from here, and is \
             what `tokens` says of it right?"
        )),
    });
    said.map(|said| Finding { what: "tokens", said }).collect()
}

/// Whether people can log in to the review page by their provider.
async fn sign_in(config: &Config) -> Option<Finding> {
    let provider = config.console.as_ref()?.sign_in.as_ref()?;
    let said = match provider.try_once().await {
        Ok(keys) => Ok(format!("{} lets people log in, and has {keys} keys", provider.issuer())),
        Err(failure) => Err(format!(
            "{failure}: nobody logs in to the review page by {}; can it be reached from here, and is what `console: \
             {{ oidc: ... }}` says of it right?",
            provider.issuer()
        )),
    };
    Some(Finding { what: "sign-in", said })
}

/// Whether the collector takes traces.
async fn traces(config: &Config) -> Finding {
    let said = match &config.traces.export {
        None => {
            Ok("off; they are exported where `traces` or OTEL_EXPORTER_OTLP_ENDPOINT says"
                .to_owned())
        }
        Some(export) => match export.probe().await {
            Ok(()) => Ok(format!("{} takes them", export.endpoint)),
            Err(failure) => Err(format!(
                "{failure}: is the collector running, its OTLP receiver on for HTTP, and the address right? requests are \
                 answered all the same"
            )),
        },
    };
    Finding { what: "traces", said }
}

/// Whether the audit log is taken where it is sent on to.
async fn sinks(config: &Config) -> Vec<Finding> {
    let finding = |said| Finding { what: "sinks", said };
    if config.sinks.is_empty() {
        let said = "off; the audit log is sent on where `audit: { sinks: ... }` says";
        return vec![finding(Ok(said.to_owned()))];
    }
    let mut findings = Vec::new();
    for target in &config.sinks {
        let said = match target {
            Target::Nats(nats) => match nats.probe().await {
                Ok(stream) => Ok(format!("the stream {stream} of NATS takes the audit log")),
                // It may be forbidden to ask.
                Err(error @ SinkError::Unknown(_)) => {
                    Ok(format!("NATS lets us in; {}", crate::failure::chain(&error)))
                }
                Err(error) => Err(error),
            },
            Target::Bucket(bucket) => bucket.probe().await.map(|()| {
                "the object store takes files, lists them and gives them back".to_owned()
            }),
        };
        findings.push(finding(said.map_err(|error| {
            format!(
                "{}; requests are answered all the same, and what was not sent goes out later",
                crate::failure::chain(&error)
            )
        })));
    }
    findings
}

/// Whether everyone who judges gives verdicts.
async fn classifiers(config: &Config) -> Vec<Finding> {
    let wrong =
        |failure: Failure| vec![Finding { what: "classifiers", said: Err(failure.to_string()) }];
    let panel = match registry::panel(&config.models, config.policy.timeout()) {
        Ok(panel) => panel,
        Err(failure) => return wrong(failure),
    };
    if let Err(failure) = server::stands_by(config, &panel) {
        return wrong(failure);
    }
    let failed = panel.self_test(config.policy.timeout()).await;
    let checks = panel.checks().iter().chain(panel.standbys());
    let said = checks.map(|check| {
        let fault = failed.iter().find(|(name, _)| *name == check.id().name);
        let said = match fault {
            None => Ok(format!("{} gives verdicts", check.id())),
            Some((_, error)) => Err(format!(
                "{} gives no verdict within the policy's timeout: {error}; for models elsewhere see `portcullis \
                 verify-remote`",
                check.id()
            )),
        };
        Finding { what: "classifier", said }
    });
    said.collect()
}
