//! Diagnostics for operators, on standard error. Never holds examined text.

use std::backtrace::Backtrace;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::args::LogFormat;

/// What says how much is logged.
const VARIABLE: &str = "PORTCULLIS_LOG";

/// Starts logging. A server says what it does; other commands only say what goes wrong.
pub(crate) fn start(format: LogFormat, is_server: bool) {
    let fallback = if is_server { "info" } else { "error" };
    let said = std::env::var(VARIABLE).unwrap_or_default();
    let filter = filter(&said);
    let misunderstood = filter.is_none() && !said.trim().is_empty();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(fallback)))
        .with_target(false)
        .with_writer(std::io::stderr)
        // Otherwise whoever reads standard error no more makes every line of it a panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    // An error means that somebody has set up logging before: then theirs stays.
    let _already_set = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if misunderstood {
        tracing::error!(
            "{VARIABLE}={said:?} is not understood: error, warn, info, debug, trace, off, or TARGET=LEVEL, separated by \
             commas; it is {fallback} now"
        );
    }
    std::panic::set_hook(Box::new(panicked));
}

/// What is to be logged. A word that is no level would be taken for a target of which everything is logged, and of all
/// others nothing.
fn filter(said: &str) -> Option<EnvFilter> {
    let is_level = |part: &str| {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        // Nothing would be taken for `error`.
        !level.trim().is_empty() && level.trim().parse::<LevelFilter>().is_ok()
    };
    said.split(',').all(is_level).then(|| EnvFilter::try_new(said).ok()).flatten()
}

/// Tells where a panic was, and not in which words: they may quote a caller's text, as those of a `str` that is cut in
/// the wrong place do.
fn panicked(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let thread = std::thread::current();
    // Only if `RUST_BACKTRACE` asks for it.
    let backtrace = Backtrace::capture();
    tracing::error!(
        place,
        thread = thread.name(),
        %backtrace,
        "this is a bug: something panicked; its words are left out, because they may hold a text"
    );
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_no_level_does_not_silence_the_log() {
        for (said, understood) in [
            ("info", true),
            ("WARN", true),
            ("off", true),
            ("info,hyper=debug", true),
            ("", false),
            ("warning", false),
            ("nonsense=,,", false),
            ("info,hyper", false),
        ] {
            assert_eq!(super::filter(said).is_some(), understood, "{said}");
        }
    }

    #[test]
    fn a_panic_is_told_without_the_text_that_it_quotes() {
        let said = Said::default();
        let writer = said.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let text = String::from("canary-é");
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(super::panicked));
        let caught = tracing::subscriber::with_default(subscriber, || {
            std::panic::catch_unwind(|| text.split_at(text.len() - 1).0.len())
        });
        std::panic::set_hook(before);
        let words = *caught.unwrap_err().downcast::<String>().unwrap();
        let said = String::from_utf8(said.0.lock().unwrap().clone()).unwrap();
        assert!(words.contains("canary"), "it would have been told: {words}");
        assert!(said.contains("logging.rs") && said.contains("this is a bug"), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
}
