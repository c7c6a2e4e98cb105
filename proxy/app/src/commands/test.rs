//! `portcullis test`

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use classifiers_core::{Direction, Passage, Role};
use policies::{LiveTest, Policy, TestOutcome, decide};
use proxy_stack::Panel;
use serde_json::json;

use crate::config;
use crate::failure::Failure;
use crate::registry;

use super::serve::runtime;

#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// A policy file, or one that comes with the program
    #[arg(value_name = "FILE|NAME")]
    file: String,
    /// Run the texts of tests (`user`, `reply`) through the real classifiers, instead of made-up scores
    #[arg(long)]
    live: bool,
    /// Also list the cells of the table that no test touches
    #[arg(long)]
    coverage: bool,
    /// How to print what came out
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
}

/// How outcomes are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    Human,
    /// One JSON object
    Json,
    /// JUnit XML, as most CI systems read it
    Junit,
    /// Test Anything Protocol, version 14
    Tap,
}

/// What came out, with what is needed to print it.
struct Run<'a> {
    args: &'a TestArgs,
    policy: &'a Policy,
    outcomes: Vec<TestOutcome>,
    took: Duration,
}

/// Runs a policy's own tests and prints what came out.
pub(crate) fn run(args: &TestArgs) -> Result<ExitCode, Failure> {
    let policy = config::policy(&args.file)?;
    let started = Instant::now();
    let outcomes = if args.live { live(&policy)? } else { policy.run_tests() };
    let run = Run { args, policy: &policy, outcomes, took: started.elapsed() };
    let text = match args.output {
        Output::Human => run.human(),
        Output::Json => run.json(),
        Output::Junit => run.junit(),
        Output::Tap => run.tap(),
    };
    writeln!(std::io::stdout(), "{}", text.trim_end()).ok();
    if run.failed() == 0 { Ok(ExitCode::SUCCESS) } else { Err(Failure::SaidNo) }
}

/// Judges the texts of all tests that have some.
fn live(policy: &Policy) -> Result<Vec<TestOutcome>, Failure> {
    let panel = registry::panel()?;
    let policy = policy.clone().calibrated(registry::calibrations(&panel)?);
    let runtime = runtime()?;
    let tests = policy.live_tests();
    Ok(tests.iter().map(|test| runtime.block_on(live_test(test, &panel))).collect())
}

async fn live_test(test: &LiveTest<'_>, panel: &Panel) -> TestOutcome {
    let mut decisions = Vec::new();
    for direction in test.directions() {
        let (role, text) = match direction {
            Direction::Input => (Role::User, test.user),
            Direction::Output => (Role::Assistant, test.reply),
            Direction::Tools => (Role::Tool, test.reply.or(test.user)),
        };
        let Some(text) = text else { continue };
        let passage = Passage::new(text, role, *direction, "/text");
        let evidence = panel.judge(&[passage], &test.policy).await;
        decisions.push((*direction, decide(&test.policy, &evidence)));
    }
    test.outcome(&decisions)
}

impl Run<'_> {
    fn failed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| !outcome.passed).count()
    }

    fn human(&self) -> String {
        let mut text = String::new();
        for outcome in &self.outcomes {
            let mark = if outcome.passed { "ok  " } else { "FAIL" };
            text.push_str(&format!("{mark}  {}\n", outcome.name));
            if !outcome.passed {
                text.push_str(&format!("      {}:{}\n", self.args.file, outcome.line));
                text.push_str(&format!("      expected {}\n", outcome.expected));
                text.push_str(&format!("      got      {}\n", outcome.got));
            }
        }
        let failed = self.failed();
        let passed = self.outcomes.len() - failed;
        text.push_str(&format!("{passed} passed, {failed} failed, in {:.1?}\n", self.took));
        if self.policy.count_tests() == 0 {
            text.push_str("the policy has no `tests:` yet\n");
        } else if self.outcomes.is_empty() {
            text.push_str("no test has a text (`user`, `reply`) for `--live`\n");
        }
        if self.args.coverage {
            text.push_str(&self.coverage());
        }
        text
    }

    fn coverage(&self) -> String {
        let (untested, all) = (self.policy.untested_cells(), self.policy.count_cells());
        let mut text = format!("{} of {all} cells are touched by a test\n", all - untested.len());
        for cell in untested {
            let (category, direction) = (cell.category, cell.direction);
            text.push_str(&format!(
                "  {:<10} {category:<26} {direction:<7} {}\n",
                cell.profile,
                cell.action,
                category = category.name(),
                direction = direction.name(),
            ));
        }
        text
    }

    fn json(&self) -> String {
        let outcomes = self.outcomes.iter().map(|o| {
            json!({
                "name": o.name, "line": o.line, "passed": o.passed, "expected": o.expected, "got": o.got,
            })
        });
        let untested = self.policy.untested_cells().into_iter().map(|cell| {
            json!({
                "profile": cell.profile, "hazard": cell.category.name(),
                "direction": cell.direction.name(), "action": cell.action.name(),
            })
        });
        let mut value = json!({
            "file": self.args.file,
            "policy": self.policy.label(),
            "passed": self.outcomes.len() - self.failed(),
            "failed": self.failed(),
            "tests": outcomes.collect::<Vec<_>>(),
        });
        if let (true, Some(object)) = (self.args.coverage, value.as_object_mut()) {
            object.insert("cells".to_owned(), json!(self.policy.count_cells()));
            object.insert("untested".to_owned(), json!(untested.collect::<Vec<_>>()));
        }
        format!("{value:#}")
    }

    fn junit(&self) -> String {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let file = escaped(&self.args.file);
        let counts = format!("tests=\"{}\" failures=\"{}\"", self.outcomes.len(), self.failed());
        let time = self.took.as_secs_f64();
        text.push_str(&format!(
            "<testsuites {counts}>\n  <testsuite name=\"{file}\" {counts} time=\"{time:.4}\">\n"
        ));
        for o in &self.outcomes {
            let name = escaped(&o.name);
            let case =
                format!("    <testcase classname=\"{file}\" name=\"{name}\" line=\"{}\"", o.line);
            if o.passed {
                text.push_str(&format!("{case}/>\n"));
            } else {
                let (expected, got) = (escaped(&o.expected), escaped(&o.got));
                text.push_str(&format!(
                    "{case}>\n      <failure message=\"expected {expected}; got {got}\"/>\n    </testcase>\n"
                ));
            }
        }
        text.push_str("  </testsuite>\n</testsuites>\n");
        text
    }

    fn tap(&self) -> String {
        let mut text = format!("TAP version 14\n1..{}\n", self.outcomes.len());
        for (number, o) in self.outcomes.iter().enumerate() {
            let mark = if o.passed { "ok" } else { "not ok" };
            let name = o.name.replace('\\', "\\\\").replace('#', "\\#");
            text.push_str(&format!("{mark} {} - {name}\n", number + 1));
            if !o.passed {
                text.push_str(&format!(
                    "  ---\n  file: {:?}\n  line: {}\n  expected: {:?}\n  got: {:?}\n  ...\n",
                    self.args.file, o.line, o.expected, o.got
                ));
            }
        }
        text
    }
}

/// Text inside an XML attribute. Control characters have no place in XML 1.0.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
