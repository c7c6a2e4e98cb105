//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Measure the guard beside the bare upstream and beside nginx.
///
/// Takes about 8 minutes with the defaults. nginx for the comparison: `apt-get install -y nginx-light`.
#[derive(Debug, Parser)]
#[command(name = "portcullis-bench", version, max_term_width = 100)]
pub(crate) struct Args {
    /// The guard's binary [default: `portcullis` beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) guard: Option<PathBuf>,
    /// How long each measurement takes; as much again, up to half a second, is for warming up
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) seconds: u64,
    /// How often each measurement is made; medians are shown
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    pub(crate) rounds: u64,
    /// How many connections ask at the same time
    #[arg(
        long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 16, 64],
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub(crate) connections: Vec<u16>,
    /// Bytes of a request's body
    #[arg(
        long, value_name = "BYTES,...", value_delimiter = ',', default_values_t = [1024, 16384],
        value_parser = clap::value_parser!(u32).range(256..=1_000_000)
    )]
    pub(crate) body: Vec<u32>,
    /// Whether texts are new each time, or always the same, which the guard then remembers
    #[arg(long, value_name = "KIND,...", value_delimiter = ',', default_values = ["unique", "repeated"])]
    pub(crate) texts: Vec<crate::text::Kind>,
    /// Measure streamed answers instead, so many at a time, such as 1,64,500; policies then come from this program
    #[arg(
        long, value_name = "N,...", value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub(crate) streams: Vec<u16>,
    /// Milliseconds from one token of a streamed answer to the next
    #[arg(long, value_name = "MS", default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) token_ms: u64,
    /// A guard without classifiers, to see what they cost in streams:
    /// `RUSTFLAGS="--cfg portcullis_unjudged" cargo build --release -p portcullis --target-dir DIR`
    #[arg(long, value_name = "PATH")]
    pub(crate) unjudged: Option<PathBuf>,
    /// The guard's policy [default: the shipped one without its rate limit]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Keep proxies to the first core, load and upstream to the last; the guard then has one worker, like nginx
    #[arg(long)]
    pub(crate) pin: bool,
    /// Print one JSON document instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}
