//! Settings of the server: what the operator gives, and what the program starts with.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use classifiers_core::Category;
use classifiers_prompt_guard::{Device, Options};
use jiff::civil::Date;
use policies::{Policy, library};
use proxy_index::Place;
use proxy_sinks::Target as SinkTarget;
use proxy_stack::{KeyNames, Limits, SharedLimits, Target};
use serde::Deserialize;

use crate::args::{ModelArgs, ModelsArgs, ServeArgs, VerifyRemoteArgs};
use crate::console::{self, Settings};
use crate::elsewhere::{Elsewhere, ElsewhereArgs, RemoteFile};
use crate::failure::Failure;
use crate::indexed;
use crate::limits::LimitsFile;
use crate::policy::{Origin, PolicyFile, Source};
use crate::registry::{self, Llama, Model, Models, Standby};
use crate::shared::SharedFile;
use crate::sign_in::{OidcFile, OpenId};
use crate::sinks::SinksFile;
use crate::tls::{Tls, UpstreamTls};
use crate::tokens::{TokenFile, Tokens};
use crate::traces::{Traces, TracesFile};

/// Loopback only: whoever wants others to connect says so.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// In the current directory, so that a first try leaves nothing elsewhere.
const AUDIT_DIR: &str = "portcullis-audit";

/// `server.yaml` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<SocketAddr>,
    /// Where Envoys ask.
    ext_proc: Option<SocketAddr>,
    /// Where metrics and health are served.
    admin: Option<SocketAddr>,
    /// The review page.
    console: Option<ConsoleFile>,
    upstream: Option<UpstreamFile>,
    policy: PolicyFile,
    prompt_guard: Option<PromptGuardFile>,
    llama_guard: Option<LlamaGuardFile>,
    /// Servers of `/v1/moderations`.
    moderations: Option<RemoteFile>,
    /// Models that judge when others give no verdict and the policy names them.
    standby: StandbyFile,
    /// What API keys are called: name and fingerprint, as `portcullis fingerprint` prints it.
    keys: BTreeMap<String, String>,
    /// Whether callers with other keys, or without, are turned away.
    require_key: bool,
    /// Whose tokens say who a caller is.
    tokens: Vec<TokenFile>,
    audit: AuditFile,
    tls: Option<TlsFile>,
    instance: Option<String>,
    limits: LimitsFile,
    /// Where what callers use is counted together with other guards.
    shared_limits: Option<SharedFile>,
    /// Whether questions about texts are answered: `/v1/moderations` and the other contracts.
    checks: Option<bool>,
    /// Where the spans of exchanges go.
    traces: TracesFile,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpstreamFile {
    url: String,
    /// Certificate authorities that it is trusted by, in place of the system's.
    ca_file: Option<PathBuf>,
    /// The certificate that it knows us by, and its key.
    cert_file: Option<PathBuf>,
    cert_key_file: Option<PathBuf>,
    /// Holds the upstream's API key; without it each caller's own is passed on.
    key_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StandbyFile {
    /// `llama_guard_local` in a policy.
    llama_guard: Option<LlamaGuardFile>,
    /// `prompt_guard_local` in a policy.
    prompt_guard: Option<PromptGuardFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptGuardFile {
    dir: PathBuf,
    /// `cpu`, `cuda` or `cuda:1`.
    device: Option<String>,
    threads: Option<usize>,
    sessions: Option<usize>,
    temperature: Option<f32>,
    /// Servers that run it; then nothing but the tokenizer is needed here.
    remote: Option<RemoteFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LlamaGuardFile {
    dir: PathBuf,
    /// `cpu`, `cuda` or `cuda:1`.
    device: Option<String>,
    /// `f32`, `f16` or `bf16`.
    precision: Option<String>,
    threads: Option<usize>,
    /// Tokens whose keys and values are kept; no prompt is longer.
    kept_tokens: Option<usize>,
    /// What becomes of a text longer than the context.
    #[serde(default)]
    long: LongFile,
    /// Categories that it is not asked about.
    #[serde(default)]
    exclude: Vec<String>,
    /// Other names for categories, such as a sentence that says what counts.
    #[serde(default)]
    rename: BTreeMap<String, String>,
    /// Servers that run it; then nothing but the tokenizer and the template is needed here.
    remote: Option<RemoteFile>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LongFile {
    #[default]
    Window,
    Refuse,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AuditFile {
    dir: Option<PathBuf>,
    /// A file elsewhere to which signed checkpoints are appended.
    anchor: Option<PathBuf>,
    /// A file for the index, or the address of one that many proxies share.
    index: Option<String>,
    /// Where it is sent on to.
    sinks: SinksFile,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsoleFile {
    listen: Option<SocketAddr>,
    /// Names that browsers call it by, with a port where that is not the usual one.
    #[serde(default)]
    hosts: Vec<String>,
    users: Option<PathBuf>,
    /// Whether people log in by a password; they do unless this says no.
    local_users: Option<bool>,
    /// How people log in by a provider of identities.
    oidc: Option<OidcFile>,
    tls: Option<TlsFile>,
    /// Something before it speaks TLS with browsers.
    #[serde(default)]
    behind_tls: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsFile {
    cert_file: PathBuf,
    key_file: PathBuf,
    /// Authorities, one of which must have signed a client's certificate.
    client_ca_file: Option<PathBuf>,
}

/// Everything the server needs, checked.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    /// Where Envoys ask, if any do.
    pub(crate) ext_proc: Option<SocketAddr>,
    /// Where metrics and health are served, if they are.
    pub(crate) admin: Option<SocketAddr>,
    /// How the review page is served, if it is.
    pub(crate) console: Option<Settings>,
    pub(crate) target: Target,
    pub(crate) upstream_url: String,
    /// Holds the key that the upstream gets.
    pub(crate) upstream_key: Option<PathBuf>,
    /// How the upstream is known and knows us, if not by the system's authorities.
    pub(crate) upstream_tls: Option<UpstreamTls>,
    pub(crate) policy: Policy,
    /// A file, or one that comes with the program.
    pub(crate) policy_name: String,
    /// The file that the policy comes from, and whether it is watched; none where it comes with the program.
    pub(crate) policy_file: Option<(PathBuf, bool)>,
    /// Where the policy comes from, if it is a signed one at a URL.
    pub(crate) policy_source: Option<Source>,
    /// The models that judge beside what comes with the program.
    pub(crate) models: Models,
    pub(crate) keys: KeyNames,
    /// Whose tokens are believed.
    pub(crate) tokens: Option<Tokens>,
    pub(crate) audit_dir: PathBuf,
    /// Where signed checkpoints are noted besides.
    pub(crate) audit_anchor: Option<PathBuf>,
    /// Where the log is indexed, unless in its own folder.
    pub(crate) audit_index: Option<Place>,
    /// Where the log is sent on to.
    pub(crate) sinks: Vec<SinkTarget>,
    pub(crate) tls: Option<Tls>,
    pub(crate) instance: Arc<str>,
    pub(crate) limits: Limits,
    pub(crate) shared_limits: Option<SharedLimits>,
    pub(crate) drain: Duration,
    pub(crate) traces: Traces,
}

impl Config {
    /// Puts arguments, environment and file together; the file gives way.
    pub(crate) fn load(args: &ServeArgs) -> Result<Self, Failure> {
        let file = args.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let key_file = file.upstream.as_ref().and_then(|upstream| upstream.key_file.clone());
        let upstream_tls = file.upstream.as_ref().map(UpstreamTls::of).transpose()?.flatten();
        let url = args.upstream.clone().or(file.upstream.map(|upstream| upstream.url)).ok_or_else(|| {
            Failure::Usage(
                "no model server to guard: give --upstream URL, or `upstream: { url: ... }` in --config FILE"
                    .to_owned(),
            )
        })?;
        let key = key_file.as_deref().map(read_key).transpose()?;
        let target = Target::parse(&url, key.as_deref())
            .map_err(|error| Failure::environment("the upstream cannot be used", &error))?;
        let standby = standby(file.standby)?;
        let mut models = models(
            (args.prompt_guard.clone(), args.llama_guard.clone()),
            (file.prompt_guard, file.llama_guard, file.moderations),
            &args.elsewhere,
        )?;
        models.standby = standby;
        let tokens = Tokens::read(file.tokens)?;
        let audit_dir =
            args.audit_dir.clone().or(file.audit.dir).unwrap_or_else(|| AUDIT_DIR.into());
        let origin =
            file.policy.with(args.policy.as_deref(), &args.policy_key).origin(&audit_dir)?;
        let decides = decides(origin, &models)?;
        let index = args.audit_index.clone().or(file.audit.index);
        let instance = file.instance.or_else(host_name).unwrap_or_else(|| "portcullis".to_owned());
        Ok(Self {
            console: console(args.console, file.console, &audit_dir)?,
            listen: args.listen.or(file.listen).unwrap_or(LISTEN),
            ext_proc: args.ext_proc.or(file.ext_proc),
            admin: args.admin.or(file.admin),
            target,
            upstream_url: url,
            upstream_key: key_file,
            upstream_tls,
            policy: decides.policy,
            policy_name: decides.name,
            policy_file: decides.file,
            policy_source: decides.source,
            models,
            keys: key_names(file.keys, (file.require_key, tokens.is_some()))?,
            tokens,
            audit_dir,
            audit_anchor: file.audit.anchor,
            audit_index: index.as_deref().map(indexed::place).transpose()?,
            tls: file.tls.map(Tls::from),
            sinks: file.audit.sinks.targets(&instance)?,
            instance: instance.into(),
            limits: file.limits.limits(file.checks),
            shared_limits: args.shared.limits(file.shared_limits)?,
            drain: file.limits.drain(),
            traces: Traces::read(file.traces)?,
        })
    }
}

/// All models, here and elsewhere: folders that were given, or the file's, with the file's settings.
fn models(
    (prompt_dir, llama_dir): (Option<PathBuf>, Option<PathBuf>),
    (mut prompt, mut llama, moderations): (
        Option<PromptGuardFile>,
        Option<LlamaGuardFile>,
        Option<RemoteFile>,
    ),
    there: &ElsewhereArgs,
) -> Result<Models, Failure> {
    let prompt_remote = prompt.as_mut().and_then(|file| file.remote.take());
    let llama_remote = llama.as_mut().and_then(|file| file.remote.take());
    let temperature = prompt.as_ref().and_then(|file| file.temperature);
    let prompt_guard = prompt_guard(prompt_dir, prompt)?;
    let llama_guard = llama_guard(llama_dir, llama)?;
    let folder = prompt_guard.as_ref().map(|model| model.folder.as_path());
    let options = llama_guard.as_ref().map(Llama::there);
    let elsewhere = Elsewhere {
        prompt_guard: there.prompt_guard(prompt_remote, folder, temperature)?,
        llama_guard: there.llama_guard(llama_remote, options)?,
        moderations: there.moderations(moderations)?,
    };
    Ok(Models {
        prompt_guard: prompt_guard.filter(|_| elsewhere.prompt_guard.is_none()),
        llama_guard: llama_guard.filter(|_| elsewhere.llama_guard.is_none()),
        elsewhere,
        standby: Standby::default(),
    })
}

/// Models that judge when others give no verdict.
fn standby(file: StandbyFile) -> Result<Standby, Failure> {
    let StandbyFile { llama_guard: llama, prompt_guard: prompt } = file;
    let there = llama.as_ref().is_some_and(|file| file.remote.is_some())
        || prompt.as_ref().is_some_and(|file| file.remote.is_some());
    if there {
        return Err(Failure::Usage(
            "standby: what judges in place of others runs here; `remote` cannot stand there"
                .to_owned(),
        ));
    }
    Ok(Standby {
        llama_guard: llama_guard(None, llama)?,
        prompt_guard: prompt_guard(None, prompt)?,
    })
}

impl VerifyRemoteArgs {
    /// What judges elsewhere, by arguments and file.
    pub(crate) fn elsewhere(&self) -> Result<Elsewhere, Failure> {
        let file = self.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let ModelsArgs { prompt_guard, llama_guard, elsewhere } = &self.models;
        let folders = (prompt_guard.clone(), llama_guard.clone());
        let files = (file.prompt_guard, file.llama_guard, file.moderations);
        Ok(models(folders, files, elsewhere)?.elsewhere)
    }
}

/// How the review page is served: where the argument says, with the file's settings.
fn console(
    listen: Option<SocketAddr>,
    file: Option<ConsoleFile>,
    audit_dir: &Path,
) -> Result<Option<Settings>, Failure> {
    let Some(file) = file else {
        return Ok(listen.map(|listen| Settings::new(listen, audit_dir)));
    };
    let local_users = file.local_users.unwrap_or(true);
    if !local_users && file.oidc.is_none() {
        return Err(Failure::Usage(
            "console: `local_users: false` without `oidc` lets nobody log in".to_owned(),
        ));
    }
    let listen = listen.or(file.listen).unwrap_or(console::LISTEN);
    let base = Settings::new(listen, audit_dir);
    Ok(Some(Settings {
        hosts: file.hosts,
        users: file.users.unwrap_or(base.users),
        local_users,
        sign_in: file.oidc.map(OpenId::read).transpose()?.map(Arc::new),
        tls: file.tls.map(Tls::from),
        behind_tls: file.behind_tls,
        listen,
    }))
}

impl From<TlsFile> for Tls {
    fn from(file: TlsFile) -> Self {
        let TlsFile { cert_file, key_file, client_ca_file } = file;
        Self { cert_file, key_file, client_ca_file }
    }
}

/// The model in the folder that was given, or in the file's, with the file's settings.
fn prompt_guard(
    dir: Option<PathBuf>,
    file: Option<PromptGuardFile>,
) -> Result<Option<Model>, Failure> {
    let Some(file) = file else {
        return dir.map(|dir| ModelArgs::default().of(dir)).transpose();
    };
    let args = ModelArgs { device: file.device, threads: file.threads, precision: None };
    let mut model = args.of(dir.unwrap_or(file.dir))?;
    model.options.sessions = file.sessions.unwrap_or(model.options.sessions);
    model.options.temperature = file.temperature.unwrap_or(model.options.temperature);
    Ok(Some(model))
}

/// The same for Llama Guard.
fn llama_guard(
    dir: Option<PathBuf>,
    file: Option<LlamaGuardFile>,
) -> Result<Option<Llama>, Failure> {
    let Some(file) = file else {
        return dir.map(|dir| ModelArgs::default().llama(dir)).transpose();
    };
    let args = ModelArgs { device: file.device, threads: file.threads, precision: file.precision };
    let mut model = args.llama(dir.unwrap_or(file.dir))?;
    let category = |name: &str| {
        name.parse::<Category>().map_err(|error| Failure::Usage(format!("llama_guard: {error}")))
    };
    model.options.kept_tokens = file.kept_tokens;
    model.options.long = match file.long {
        LongFile::Window => classifiers_llama_guard::Long::Window,
        LongFile::Refuse => classifiers_llama_guard::Long::Refuse,
    };
    model.options.exclude =
        file.exclude.iter().map(|name| category(name)).collect::<Result<_, _>>()?;
    let renamed = file.rename.into_iter().map(|(from, to)| Ok((category(&from)?, to)));
    model.options.rename = renamed.collect::<Result<_, Failure>>()?;
    Ok(Some(model))
}

impl ModelsArgs {
    /// The models that were given, run as they are by default.
    pub(crate) fn models(&self) -> Result<Models, Failure> {
        let folders = (self.prompt_guard.clone(), self.llama_guard.clone());
        models(folders, (None, None, None), &self.elsewhere)
    }
}

impl ModelArgs {
    /// The Llama Guard in `folder`, run so.
    pub(crate) fn llama(&self, folder: PathBuf) -> Result<Llama, Failure> {
        let base = classifiers_llama_guard::Options::default();
        let usage = |error: classifiers_llama_guard::Unknown| Failure::Usage(error.to_string());
        let device = self.device.as_deref().map(str::parse).transpose().map_err(usage)?;
        let precision = self.precision.as_deref().map(str::parse).transpose().map_err(usage)?;
        let device = device.unwrap_or(base.device);
        let options =
            classifiers_llama_guard::Options { device, precision, threads: self.threads, ..base };
        Ok(Llama { folder, options })
    }

    /// The Prompt Guard in `folder`, run so.
    pub(crate) fn of(&self, folder: PathBuf) -> Result<Model, Failure> {
        let base = Options::default();
        let device = self.device.as_deref().map(str::parse::<Device>).transpose();
        let device = device.map_err(|error| Failure::Usage(error.to_string()))?;
        let options = Options {
            device: device.unwrap_or(base.device),
            threads: self.threads.unwrap_or(base.threads),
            ..base
        };
        Ok(Model { folder, options })
    }
}

impl UpstreamTls {
    fn of(file: &UpstreamFile) -> Result<Option<Self>, Failure> {
        let identity = (file.cert_file.clone(), file.cert_key_file.clone());
        let own = Self::new("upstream", file.ca_file.clone(), identity)?;
        Ok((own.ca_file.is_some() || own.identity.is_some()).then_some(own))
    }
}

fn read_file(path: &Path) -> Result<File, Failure> {
    let text = read(path)?;
    serde_saphyr::from_str(&text).map_err(|error| {
        Failure::Environment(format!("{} is not a server configuration:\n{error}", path.display()))
    })
}

pub(crate) fn read_key(path: &Path) -> Result<String, Failure> {
    Ok(read(path)?.trim().to_owned())
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::environment(format!("{} cannot be read", path.display()), &error))
}

fn host_name() -> Option<String> {
    let name =
        std::env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok())?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// The source of a policy: of one that comes with the program if `name` is its name, else of the file `name`.
pub(crate) fn policy_source(name: &str) -> Result<String, Failure> {
    if let Some(source) = library::by_name(name) {
        return Ok(source.to_owned());
    }
    std::fs::read_to_string(name).map_err(|error| {
        Failure::environment(
            format!(
                "the policy `{name}` is neither one of {} nor a file that can be read",
                library::names()
            ),
            &error,
        )
    })
}

/// What keys are called, by fingerprint; whether others are turned away. Where tokens say who somebody is, nobody comes in
/// by an unknown key.
fn key_names(
    names: BTreeMap<String, String>,
    (only, tokens): (bool, bool),
) -> Result<KeyNames, Failure> {
    let is_fingerprint = |text: &str| {
        let digits = text.strip_prefix("key-").unwrap_or_default();
        digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    if let Some((name, _)) = names.iter().find(|(_, text)| !is_fingerprint(text)) {
        return Err(Failure::Environment(format!(
            "the key `{name}` has no fingerprint such as key-0123456789abcdef: `portcullis fingerprint` makes it"
        )));
    }
    if only && names.is_empty() && !tokens {
        return Err(Failure::Usage(
            "`require_key: true` without `keys` turns everybody away: name at least one key"
                .to_owned(),
        ));
    }
    let known = KeyNames::new(names.into_iter().map(|(name, fingerprint)| (fingerprint, name)));
    Ok(if only || tokens { known.only() } else { known })
}

/// The day, in UTC: a policy means the same everywhere.
pub(crate) fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// What decides, and where it comes from.
struct Decides {
    policy: Policy,
    name: String,
    file: Option<(PathBuf, bool)>,
    source: Option<Source>,
}

/// Reads or fetches what decides; only `models` that are there judge in others' places.
fn decides(origin: Origin, models: &Models) -> Result<Decides, Failure> {
    match origin {
        Origin::Named(name, watched) => {
            let policy = tested(&policy_source(&name)?, &name)?;
            let file = library::by_name(&name).is_none().then(|| (name.clone().into(), watched));
            Ok(Decides { policy, name, file, source: None })
        }
        Origin::Url(settings) => {
            let name = settings.document.to_string();
            let (policy, source) = settings.start(&registry::standby_names(models))?;
            Ok(Decides { policy, name, file: None, source: Some(source) })
        }
    }
}

/// Reads the policy called `name`, which must do what its own tests say.
pub(crate) fn tested(source: &str, name: &str) -> Result<Policy, Failure> {
    let policy = parsed(source, name)?;
    let failed = policy.run_tests().iter().filter(|outcome| !outcome.passed).count();
    if failed > 0 {
        return Err(Failure::Environment(format!(
            "the policy cannot be used: {failed} of its own tests fail, see `portcullis test {name}`"
        )));
    }
    for exemption in policy.exemptions().iter().filter(|e| !e.holds_on(today())) {
        tracing::warn!(policy = name, exemption = &*exemption.id, expires = %exemption.expires, "an exemption does not hold today");
    }
    Ok(policy)
}

/// Reads a policy; warnings go to the log.
pub(crate) fn policy(name: &str) -> Result<Policy, Failure> {
    parsed(&policy_source(name)?, name)
}

fn parsed(source: &str, name: &str) -> Result<Policy, Failure> {
    match Policy::parse(source, name) {
        Ok((policy, warnings)) => {
            for warning in warnings.iter() {
                tracing::warn!(policy = name, line = warning.line, "{}", warning.message);
            }
            Ok(policy)
        }
        Err(diagnostics) => {
            Err(Failure::Environment(format!("the policy cannot be used\n\n{diagnostics}")))
        }
    }
}
