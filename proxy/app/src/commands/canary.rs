//! `portcullis canary`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use classifiers_core::{Category, Role};
use evaluation::{Example, Format};
use http::{Request, header};
use http_body_util::Full;
use serde_json::json;

use crate::failure::{Failure, chain};
use crate::remote::{Remote, client};

use super::eval::{RemoteArgs, examples};
use super::serve::{runtime, stop_signal};

/// What must be blocked under any sensible policy: prompt attacks, and what no model should help with.
const TRIGGERS: [(Category, Role); 5] = [
    (Category::Jailbreak, Role::User),
    (Category::PromptInjection, Role::Tool),
    (Category::ViolentCrimes, Role::User),
    (Category::ChildSexualExploitation, Role::User),
    (Category::IndiscriminateWeapons, Role::User),
];
/// How long a webhook may take.
const WEBHOOK: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(crate) struct CanaryArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Known attacks to send beside the test triggers: those labelled texts that are not clean
    #[arg(long, value_name = "FILE")]
    attacks: Option<PathBuf>,
    /// Send no test triggers, for a policy that says `test_triggers: false`
    #[arg(long, requires = "attacks")]
    no_triggers: bool,
    /// How often: 60s, 5m, 1h
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = period)]
    every: Duration,
    /// Alarm when a smaller share is blocked. What gets no verdict was not blocked.
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    min_recall: f64,
    /// Send one round, and end with 1 if it is an alarm
    #[arg(long)]
    once: bool,
    /// Where an alarm, and its end, is posted as JSON
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Where the figures are written for Prometheus (the node exporter's text files), after each round
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
}

fn period(text: &str) -> Result<Duration, String> {
    let period: jiff::SignedDuration =
        text.parse().map_err(|error: jiff::Error| error.to_string())?;
    let period = Duration::try_from(period).map_err(|error| error.to_string())?;
    if period.is_zero() { Err("it must be more than nothing".to_owned()) } else { Ok(period) }
}

/// One round.
struct Round {
    sent: usize,
    blocked: usize,
    /// Which of the test triggers were not.
    let_through: Vec<&'static str>,
    /// Why there was no verdict, of one of those without.
    failure: Option<String>,
    failed: usize,
}

/// Sends known attacks again and again, and says so when they are no longer found.
pub(crate) fn run(args: &CanaryArgs) -> Result<ExitCode, Failure> {
    let url = args.remote.url.as_deref();
    let url = url.ok_or_else(|| Failure::Usage("which guard? give --url".to_owned()))?;
    if !(0.0..=1.0).contains(&args.min_recall) {
        return Err(Failure::Usage("--min-recall is a share between 0 and 1".to_owned()));
    }
    let (remote, attacks) = (args.remote.at(url)?, attacks(args)?);
    runtime()?.block_on(async {
        let mut stop = std::pin::pin!(stop_signal()?);
        let mut clock = tokio::time::interval(args.every);
        let mut alarmed = false;
        loop {
            tokio::select! {
                () = &mut stop => return Ok(ExitCode::SUCCESS),
                _ = clock.tick() => {}
            }
            let round = tokio::select! {
                () = &mut stop => return Ok(ExitCode::SUCCESS),
                round = round(&remote, &attacks) => round,
            };
            let alarm = round.recall() < args.min_recall;
            report(args, &round, alarm)?;
            if alarm != alarmed {
                post(args, &round, alarm).await;
            }
            alarmed = alarm;
            if args.once {
                return if alarm { Err(Failure::SaidNo) } else { Ok(ExitCode::SUCCESS) };
            }
        }
    })
}

fn attacks(args: &CanaryArgs) -> Result<Vec<Example>, Failure> {
    let trigger = |(category, role): (Category, Role)| Example::new(category.trigger(), role);
    let triggers = if args.no_triggers { &[][..] } else { &TRIGGERS };
    let mut attacks: Vec<Example> = triggers.iter().copied().map(trigger).collect();
    if let Some(path) = &args.attacks {
        let mut own = examples(path, Format::Auto)?;
        own.retain(|example| !example.positive().is_empty() && example.role != Role::Assistant);
        if own.is_empty() {
            return Err(Failure::Environment(format!(
                "{} has no text that is labelled as an attack or a hazard",
                path.display()
            )));
        }
        attacks.extend(own);
    }
    Ok(attacks)
}

async fn round(remote: &Remote, attacks: &[Example]) -> Round {
    let mut round = Round {
        sent: attacks.len(),
        blocked: 0,
        let_through: Vec::new(),
        failure: None,
        failed: 0,
    };
    for attack in attacks {
        let outcome = remote.ask(attack).await;
        if !outcome.blocked && outcome.failure.is_none() {
            let triggers = TRIGGERS.iter().map(|(category, _)| category.trigger());
            round
                .let_through
                .extend(triggers.filter(|trigger| Some(*trigger) == attack.text.as_deref()));
        }
        round.blocked += usize::from(outcome.blocked);
        round.failed += usize::from(outcome.failure.is_some());
        round.failure = round.failure.or(outcome.failure);
    }
    round
}

impl Round {
    #[expect(clippy::cast_precision_loss, reason = "a few attacks")]
    fn recall(&self) -> f64 {
        self.blocked as f64 / self.sent.max(1) as f64
    }
}

fn report(args: &CanaryArgs, round: &Round, alarm: bool) -> Result<(), Failure> {
    let word = if alarm { "ALARM" } else { "ok" };
    let mut line = format!("{word}: {} of {} known attacks blocked", round.blocked, round.sent);
    if let Some(why) = &round.failure {
        line += &format!("; {} without a verdict: {why}", round.failed);
    }
    if !round.let_through.is_empty() {
        let hint = if round.let_through.len() == TRIGGERS.len() {
            "; if the policy says `test_triggers: false`, give --no-triggers and --attacks"
        } else {
            ""
        };
        line += &format!("; let through: {}{hint}", round.let_through.join(", "));
    }
    say!("{} {line}", jiff::Timestamp::now());
    let Some(path) = &args.metrics else { return Ok(()) };
    let text = metrics(round, alarm);
    // Written beside and renamed, so that nobody reads half of it.
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text).and_then(|()| std::fs::rename(&partial, path)).map_err(|error| {
        Failure::environment(format!("{} cannot be written", path.display()), &error)
    })
}

fn metrics(round: &Round, alarm: bool) -> String {
    let figures = [
        ("recall", "Share of known attacks that were blocked in the last round.", round.recall()),
        (
            "failures",
            "Known attacks without a verdict in the last round.",
            f64::from(u32::try_from(round.failed).unwrap_or(u32::MAX)),
        ),
        ("alarm", "1 if detection is below the limit.", f64::from(u8::from(alarm))),
    ];
    let lines = figures.map(|(name, help, value)| {
        let name = format!("guard_canary_{name}");
        format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n")
    });
    lines.concat()
}

/// Tells the webhook. That it cannot be reached is said, and changes nothing.
async fn post(args: &CanaryArgs, round: &Round, alarm: bool) {
    let Some(url) = &args.webhook else { return };
    let body = json!({
        "alarm": alarm, "recall": round.recall(), "sent": round.sent, "blocked": round.blocked,
        "failures": round.failed, "failure": round.failure, "min_recall": args.min_recall,
        "guard": args.remote.url, "time": jiff::Timestamp::now().to_string(),
    });
    let sent = async {
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body.to_string()))
            .map_err(|error| error.to_string())?;
        let http = client(url).map_err(|failure| format!("{failure:?}"))?;
        http.request(request).await.map_err(|error| chain(&error))
    };
    match tokio::time::timeout(WEBHOOK, sent).await {
        Ok(Ok(response)) if response.status().is_success() => {}
        Ok(Ok(response)) => {
            tracing::error!(status = %response.status(), "the webhook did not take the alarm")
        }
        Ok(Err(error)) => tracing::error!(%error, "the webhook cannot be reached"),
        Err(_) => tracing::error!("the webhook did not answer in time"),
    }
}
