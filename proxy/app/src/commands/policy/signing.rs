//! Keys, signatures, and what a signed policy says.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use policies_signed::{Expected, Opened, PublicKey, SecretKey, Statement};

use crate::commands::serve::runtime;
use crate::config::{policy_source, read_key, tested};
use crate::failure::Failure;
use crate::fetch::{Document, Fetched};
use crate::policy::{LIMITS, MEDIA, is_url, public_key};

/// Only its owner reads a secret key.
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

#[derive(Debug, clap::Args)]
pub(super) struct KeygenArgs {
    /// What the two files are called; neither may be there
    #[arg(value_name = "NAME", default_value = "policy")]
    name: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct SignArgs {
    /// The policy file
    file: String,
    /// A secret key (PEM), as `keygen` or `openssl genpkey -algorithm ed25519` makes it; several while keys are exchanged
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
    /// The policy's number; higher than that of the one before it [default: seconds since 1970]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    serial: Option<u64>,
    /// Until when it is good: a time, a day (its last), or from now on, such as `30 days` [default: for ever]
    #[arg(long, value_name = "WHEN", value_parser = end)]
    expires: Option<Timestamp>,
    /// Which guards it is for: those whose `policy: { audience: ... }` says so; without it, those that say nothing
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// The signed policy
    #[arg(value_name = "FILE|URL")]
    place: String,
    /// A public key that may sign it, or a file with one
    #[arg(long, value_name = "KEY|FILE", required = true)]
    key: Vec<String>,
    /// Which guards it must be for
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// Certificate authorities that the URL's server is trusted by, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print the policy itself and nothing else
    #[arg(long)]
    print: bool,
}

pub(super) fn keygen(args: &KeygenArgs) -> Result<ExitCode, Failure> {
    let secret = SecretKey::generate()
        .map_err(|error| Failure::environment("there are no random numbers", &error))?;
    let file = |end: &str| PathBuf::from(format!("{}.{end}", args.name.display()));
    create(&file("key"), SECRET, &secret.to_pem())?;
    create(&file("pub"), PUBLIC, &format!("{}\n", secret.public()))?;
    say!("{}: keep it secret; it signs policies", file("key").display());
    say!("{}: tell the guards (`policy: {{ keys: [...] }}`)", file("pub").display());
    say!("{}", secret.public());
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that is not there.
fn create(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written
        .map_err(|error| Failure::environment(format!("{} cannot be made", path.display()), &error))
}

pub(super) fn sign(args: &SignArgs) -> Result<ExitCode, Failure> {
    let keys = args.key.iter().map(|path| secret_key(path)).collect::<Result<Vec<_>, _>>()?;
    let policy = policy_source(&args.file)?;
    let label = tested(&policy, &args.file)?.label().to_owned();
    let now = Timestamp::now();
    let serial = args.serial.unwrap_or(now.as_second().unsigned_abs());
    if args.expires.is_some_and(|end| end <= now) {
        return Err(Failure::Usage("--expires is over already: no guard would take it".to_owned()));
    }
    let (audience, expires) = (args.audience.clone(), args.expires);
    let statement = Statement { audience, serial, expires, policy };
    let envelope = policies_signed::sign(&statement, &keys);
    let written = match &args.output {
        Some(path) => std::fs::write(path, &envelope),
        None => std::io::stdout().write_all(envelope.as_bytes()),
    };
    written.map_err(|error| Failure::environment("the signed policy cannot be written", &error))?;
    eprintln!("{label} is signed with serial {serial}");
    Ok(ExitCode::SUCCESS)
}

fn secret_key(path: &Path) -> Result<SecretKey, Failure> {
    read_key(path)?.parse().map_err(|error| {
        Failure::environment(format!("the key {} cannot be used", path.display()), &error)
    })
}

pub(super) fn verify(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let keys = args.key.iter().map(|key| public_key(key)).collect::<Result<Vec<_>, _>>()?;
    let envelope = envelope(args)?;
    let opened = match checked(&envelope, &keys, args.audience.as_deref()) {
        Ok(opened) => opened,
        Err(why) => {
            eprintln!("no guard with these settings would take it: {why}");
            return Err(Failure::SaidNo);
        }
    };
    let Opened { statement, key } = &opened;
    if args.print {
        print!("{}", statement.policy);
        return Ok(ExitCode::SUCCESS);
    }
    let policy = tested(&statement.policy, &args.place).map_err(|failure| {
        eprintln!("it is signed well, and yet no guard would take it: {failure}");
        Failure::SaidNo
    })?;
    say!("signed by  {key}");
    say!("audience   {}", statement.audience.as_deref().unwrap_or("-"));
    say!("serial     {}", statement.serial);
    say!("expires    {}", statement.expires.map_or("-".to_owned(), |end| end.to_string()));
    say!("policy     {}", policy.label());
    Ok(ExitCode::SUCCESS)
}

/// What an envelope holds, if guards with these keys take it; whom it is for is only asked where somebody is named.
fn checked(
    envelope: &[u8],
    keys: &[PublicKey],
    audience: Option<&str>,
) -> Result<Opened, policies_signed::Refused> {
    let opened = policies_signed::open(envelope, keys)?;
    let statement = &opened.statement;
    let audience = audience.or(statement.audience.as_deref());
    statement.meets(&Expected { audience, at_least: 0, last: None })?;
    statement.in_date(Timestamp::now())?;
    Ok(opened)
}

fn envelope(args: &VerifyArgs) -> Result<Vec<u8>, Failure> {
    let place = &args.place;
    if !is_url(place) {
        return std::fs::read(place)
            .map_err(|error| Failure::environment(format!("{place} cannot be read"), &error));
    }
    let document = Document::at("the URL", place, args.ca_file.clone(), LIMITS)?;
    match runtime()?.block_on(document.fetch(MEDIA, None)) {
        Ok(Fetched::Document(envelope, _)) => Ok(envelope),
        Ok(Fetched::Same) => Ok(Vec::new()),
        Err(error) => Err(Failure::environment(document, &error)),
    }
}

/// A time, the end of a day in UTC, or a while from now.
fn end(text: &str) -> Result<Timestamp, String> {
    let day = |day: Date| day.tomorrow()?.to_zoned(TimeZone::UTC);
    let span = |span: Span| Zoned::now().with_time_zone(TimeZone::UTC).checked_add(span);
    let time = text.parse::<Timestamp>();
    let time = time.or_else(|_| text.parse::<Date>().and_then(day).map(|end| end.timestamp()));
    let time = time.or_else(|_| text.parse::<Span>().and_then(span).map(|end| end.timestamp()));
    time.map_err(|_| {
        "say a time (2027-01-31T12:00:00Z), a day (2027-01-31) or a while (30 days)".to_owned()
    })
}
