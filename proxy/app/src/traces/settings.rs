//! Whether and where traces are exported: `traces` in server.yaml, and OpenTelemetry's own environment variables, which
//! win over it. What cannot be honoured keeps the server from starting.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use proxy_stack::Conventions;
use serde::Deserialize;

use crate::failure::Failure;
use crate::tls::UpstreamTls;

/// Where a collector on this machine listens for OTLP over HTTP.
const ENDPOINT: &str = "http://localhost:4318";
/// What comes after a collector's address.
const PATH: &str = "/v1/traces";
/// OpenTelemetry's defaults: spans that wait, spans sent at a time, and milliseconds until a batch is sent, of one
/// attempt, and of a batch with all its attempts.
const QUEUE: usize = 2048;
const BATCH: usize = 512;
const EVERY: u64 = 5_000;
const TIMEOUT: u64 = 10_000;
const PATIENCE: u64 = 30_000;

/// `traces` in server.yaml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TracesFile {
    /// A collector's address, such as http://collector:4318; spans go to /v1/traces there.
    endpoint: Option<String>,
    /// Whether callers say which trace their requests belong to.
    trust_callers: Option<bool>,
    /// Certificate authorities that the collector is trusted by, in place of the system's.
    ca_file: Option<PathBuf>,
    /// The certificate that it knows us by, and its key.
    cert_file: Option<PathBuf>,
    cert_key_file: Option<PathBuf>,
}

/// What is done about traces.
#[derive(Debug)]
pub(crate) struct Traces {
    pub(crate) trust_callers: bool,
    /// Where spans go, if anywhere.
    pub(crate) export: Option<Export>,
}

/// Where spans go, and how.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) endpoint: String,
    pub(crate) conventions: Conventions,
    pub(super) tls: UpstreamTls,
    /// Spans that may wait.
    pub(super) queue: usize,
    /// Spans sent at a time.
    pub(super) batch: usize,
    /// How long a span waits for others.
    pub(super) every: Duration,
    /// How long one attempt may take.
    pub(super) timeout: Duration,
    /// How long a batch may take, attempts and pauses included.
    pub(super) patience: Duration,
}

/// OpenTelemetry's environment variables; one that is empty is not there.
struct Environment<F>(F);

impl Traces {
    /// None go anywhere.
    pub(crate) const fn off() -> Self {
        Self { trust_callers: true, export: None }
    }

    /// What `file` and the environment say.
    pub(crate) fn read(file: TracesFile) -> Result<Self, Failure> {
        Self::of(file, &Environment(|name: &str| std::env::var(name).ok()))
    }

    fn of<F: Fn(&str) -> Option<String>>(
        file: TracesFile,
        environment: &Environment<F>,
    ) -> Result<Self, Failure> {
        let trust_callers = file.trust_callers.unwrap_or(true);
        let export = match environment.endpoint(file.endpoint.as_deref())? {
            Some(endpoint) => Some(Export::of(endpoint, file, environment)?),
            None => None,
        };
        Ok(Self { trust_callers, export })
    }
}

impl Export {
    fn of<F: Fn(&str) -> Option<String>>(
        endpoint: String,
        file: TracesFile,
        environment: &Environment<F>,
    ) -> Result<Self, Failure> {
        environment.refuse_what_we_cannot()?;
        let milliseconds = |name, usual| {
            Ok::<_, Failure>(Duration::from_millis(environment.number(name)?.unwrap_or(usual)))
        };
        let queue = environment.number("OTEL_BSP_MAX_QUEUE_SIZE")?.unwrap_or(QUEUE);
        let batch = environment.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE")?.unwrap_or(BATCH);
        if queue == 0 || batch == 0 {
            return Err(wrong("OTEL_BSP_MAX_QUEUE_SIZE and OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0"));
        }
        let timeout = environment.of_traces("TIMEOUT").map(|(name, _)| environment.number(&name));
        let timeout = timeout.transpose()?.flatten().unwrap_or(TIMEOUT);
        let opted = environment.get("OTEL_SEMCONV_STABILITY_OPT_IN").unwrap_or_default();
        Ok(Self {
            endpoint,
            conventions: Conventions::opted_in(&opted),
            tls: environment.tls(file)?,
            queue,
            batch: batch.min(queue),
            every: milliseconds("OTEL_BSP_SCHEDULE_DELAY", EVERY)?,
            timeout: Duration::from_millis(timeout),
            patience: milliseconds("OTEL_BSP_EXPORT_TIMEOUT", PATIENCE)?,
        })
    }
}

impl<F: Fn(&str) -> Option<String>> Environment<F> {
    fn get(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    /// A variable of the exporter, for traces or for everything, and its name.
    fn of_traces(&self, what: &str) -> Option<(String, String)> {
        let names =
            ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"].map(|all| format!("{all}{what}"));
        names.into_iter().find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, Failure> {
        let number = |value: String| value.parse().map_err(|_| wrong(name, &value));
        self.get(name).map(number).transpose()
    }

    /// Where spans go: nowhere, unless somebody says so.
    fn endpoint(&self, file: Option<&str>) -> Result<Option<String>, Failure> {
        let exporter = self.get("OTEL_TRACES_EXPORTER");
        let disabled =
            self.get("OTEL_SDK_DISABLED").is_some_and(|said| said.eq_ignore_ascii_case("true"));
        match exporter.as_deref() {
            Some("none") => return Ok(None),
            None | Some("otlp") => {}
            Some(other) => return Err(wrong("OTEL_TRACES_EXPORTER", other)),
        }
        let own = self.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let base = self.get("OTEL_EXPORTER_OTLP_ENDPOINT").or(file.map(str::to_owned));
        let base = base.or_else(|| exporter.map(|_| ENDPOINT.to_owned()));
        let below = |base: String| format!("{}{PATH}", base.trim_end_matches('/'));
        let Some(url) = own.or_else(|| base.map(below)).filter(|_| !disabled) else {
            return Ok(None);
        };
        let uri = url.parse::<http::Uri>().ok();
        let usable = uri.is_some_and(|uri| {
            let http = matches!(uri.scheme_str(), Some("http" | "https"));
            http && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        });
        match usable {
            true => Ok(Some(url)),
            // It may hold a password.
            false => Err(Failure::Usage(
                "the collector of traces has no address like http://collector:4318, without a user name: see `traces` \
                 in server.yaml, or OTEL_EXPORTER_OTLP_ENDPOINT"
                    .to_owned(),
            )),
        }
    }

    fn tls(&self, file: TracesFile) -> Result<UpstreamTls, Failure> {
        let path = |what, file: Option<PathBuf>| {
            self.of_traces(what).map(|(_, value)| PathBuf::from(value)).or(file)
        };
        let identity =
            (path("CLIENT_CERTIFICATE", file.cert_file), path("CLIENT_KEY", file.cert_key_file));
        UpstreamTls::new("traces", path("CERTIFICATE", file.ca_file), identity)
    }

    /// What the library would pass over in silence.
    fn refuse_what_we_cannot(&self) -> Result<(), Failure> {
        let protocol = self.of_traces("PROTOCOL").filter(|(_, value)| value != "http/protobuf");
        if let Some((name, value)) = protocol {
            return Err(wrong(&name, &value));
        }
        let propagators = self.get("OTEL_PROPAGATORS");
        if let Some(other) =
            propagators.filter(|all| !all.split(',').any(|one| one.trim() == "tracecontext"))
        {
            return Err(wrong("OTEL_PROPAGATORS", &other));
        }
        let Some(sampler) = self.get("OTEL_TRACES_SAMPLER") else { return Ok(()) };
        let (argument, known) =
            ("OTEL_TRACES_SAMPLER_ARG", sampler.trim_start_matches("parentbased_"));
        match known {
            "always_on" | "always_off" => Ok(()),
            "traceidratio" => match self.number::<f64>(argument)? {
                Some(share) if (0.0..=1.0).contains(&share) => Ok(()),
                other => {
                    Err(wrong(argument, &other.map_or("nothing".to_owned(), |n| n.to_string())))
                }
            },
            _ => Err(wrong("OTEL_TRACES_SAMPLER", &sampler)),
        }
    }
}

fn wrong(name: &str, value: &str) -> Failure {
    let may = match name {
        "OTEL_TRACES_EXPORTER" => "otlp or none",
        "OTEL_TRACES_SAMPLER" => {
            "always_on, always_off, traceidratio, or one of these after parentbased_"
        }
        "OTEL_TRACES_SAMPLER_ARG" => "a share between 0 and 1",
        "OTEL_PROPAGATORS" => "tracecontext",
        name if name.ends_with("PROTOCOL") => {
            "http/protobuf (collectors listen for it on port 4318)"
        }
        _ => "a whole number above 0",
    };
    Failure::Usage(format!("traces: {name} is {value}, and can only be {may}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(endpoint: Option<&str>, variables: &[(&str, &str)]) -> Result<Traces, Failure> {
        let variables: BTreeMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let file = TracesFile { endpoint: endpoint.map(str::to_owned), ..TracesFile::default() };
        Traces::of(file, &Environment(|name: &str| variables.get(name).cloned()))
    }

    #[test]
    fn spans_go_where_somebody_says_and_else_nowhere() {
        let (all, own) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let exporter = "OTEL_TRACES_EXPORTER";
        for (file, variables, expected) in [
            (None, vec![], None),
            (None, vec![(all, " ")], None),
            (Some("http://c:4318"), vec![], Some("http://c:4318/v1/traces")),
            (Some("http://c:4318"), vec![(all, "https://d/x/")], Some("https://d/x/v1/traces")),
            (
                Some("http://c:4318"),
                vec![(own, "http://e/in"), (all, "http://d")],
                Some("http://e/in"),
            ),
            (None, vec![(exporter, "otlp")], Some("http://localhost:4318/v1/traces")),
            (Some("http://c:4318"), vec![(exporter, "none")], None),
            (Some("http://c:4318"), vec![("OTEL_SDK_DISABLED", "TRUE")], None),
            (None, vec![("OTEL_SERVICE_NAME", "guard")], None),
        ] {
            let export = read(file, &variables).unwrap().export;
            assert_eq!(export.as_ref().map(|e| &*e.endpoint), expected, "{file:?} {variables:?}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_said() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
            ("OTEL_PROPAGATORS", "b3"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:word@collector"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
        ] {
            let Err(failure) = read(Some("http://c:4318"), &[(name, value)]) else {
                panic!("{name}={value} was taken");
            };
            assert!(!failure.to_string().contains("word"), "{failure}");
        }
        let ratio = [
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
        ];
        assert!(read(Some("http://c:4318"), &ratio).is_ok());
    }
}
