//! Diagnostics for operators, on standard error. Never holds examined text.

use std::backtrace::Backtrace;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;

/// Starts logging. A server says what it does; other commands only say what goes wrong.
pub(crate) fn start(format: LogFormat, is_server: bool) {
    let fallback = if is_server { "info" } else { "error" };
    let filter =
        EnvFilter::try_from_env("PORTCULLIS_LOG").unwrap_or_else(|_| EnvFilter::new(fallback));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
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
    if is_server {
        std::panic::set_hook(Box::new(panicked));
    }
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
