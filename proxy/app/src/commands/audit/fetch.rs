//! `portcullis audit fetch`

use std::io::Write as _;
use std::process::ExitCode;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use proxy_sinks::Fetched;

use super::args::FetchArgs;
use crate::commands::serve::runtime;
use crate::failure::Failure;

pub(super) fn run(args: &FetchArgs) -> Result<ExitCode, Failure> {
    let bucket = args.bucket.clone().checked("audit fetch")?;
    let bar = ProgressBar::new(0);
    let style = "{bar:40} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {eta} left";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()));
    let mut progress = |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    };
    let fetch = bucket.fetch(args.key.as_deref(), &args.dir, &mut progress);
    let fetched = runtime()?.block_on(fetch);
    bar.finish_and_clear();
    let Fetched { log, segments, bytes, known } =
        fetched.map_err(|error| Failure::environment("the log cannot be fetched", &error))?;
    let (dir, bytes) = (args.dir.display(), HumanBytes(bytes));
    let known = match known {
        0 => String::new(),
        known => format!(", {known} of them were there already"),
    };
    let said = format!(
        "{dir} has the log of ed25519:{log}: {segments} segments, {bytes}{known}\n\
         Whether it is as it was written: portcullis audit verify {dir} --key KEY, with the key as it was noted elsewhere"
    );
    writeln!(std::io::stdout(), "{said}").ok();
    Ok(ExitCode::SUCCESS)
}
