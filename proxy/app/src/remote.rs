//! Asking a running guard, ours or another's, about a text: as a client would, or as moderations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use classifiers_core::{Category, Role};
use evaluation::{Example, Outcome};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use serde_json::{Value, json};

use crate::failure::{Failure, chain};

/// An answer longer than this is none: what is asked for is one token.
const ANSWER_BYTES: usize = 16 << 20;
/// Times that a refused connection is tried again, with twice the pause each time.
const RETRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Statuses with which guards say no, where the body says that it is one.
const SAYS_NO: [u16; 4] = [400, 403, 422, 446];
/// What is in a body that says so: `error.code` or `error.type` of OpenAI, Azure, and the usual gateways.
const WORDS: [&str; 6] = [
    "content_filter",
    "content_policy",
    "guardrail",
    "moderation",
    "content_blocked",
    "prompt_injection",
];

/// Which interface is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Api {
    /// `POST /v1/chat/completions`: blocked or not, as a client would see it.
    Chat,
    /// `POST /v1/moderations`: a score for each category.
    Moderations,
}

/// How a guard is asked. Never shown: it holds a key.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) url: String,
    pub(crate) api: Api,
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) key: Option<String>,
    /// Statuses that mean a block whatever the body says.
    pub(crate) blocked_status: Vec<u16>,
    pub(crate) timeout: Duration,
}

/// A client of HTTP and HTTPS.
type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A client for `url`.
pub(crate) fn client(url: &str) -> Result<Http, Failure> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let builder = ClientConfig::builder();
    let tls = if url.starts_with("https:") {
        builder.with_native_roots().map_err(|error| {
            Failure::environment("the system's certificate authorities cannot be read", &error)
        })?
    } else {
        builder.with_root_certificates(rustls::RootCertStore::empty())
    };
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls.with_no_client_auth())
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// A guard somewhere.
#[derive(Clone)]
pub(crate) struct Remote {
    http: Http,
    settings: Settings,
    url: String,
}

struct Answer {
    status: StatusCode,
    decision: String,
    body: Bytes,
}

impl Remote {
    pub(crate) fn new(settings: Settings) -> Result<Self, Failure> {
        let base = settings.url.trim_end_matches('/').trim_end_matches("/v1");
        let path = match settings.api {
            Api::Chat => "chat/completions",
            Api::Moderations => "moderations",
        };
        let url = format!("{base}/v1/{path}");
        if url.parse::<http::Uri>().ok().and_then(|uri| uri.scheme().cloned()).is_none() {
            return Err(Failure::Usage(format!(
                "`{}` is no address: write http://127.0.0.1:8080",
                settings.url
            )));
        }
        Ok(Self { http: client(&settings.url)?, settings, url })
    }

    /// Who is asked, in words.
    pub(crate) fn name(&self) -> String {
        let Settings { model, stream, .. } = &self.settings;
        format!("{} (model {model}{})", self.url, if *stream { ", streamed" } else { "" })
    }

    /// What the guard makes of a text. What is neither a block nor a pass is a failure.
    pub(crate) async fn ask(&self, example: &Example) -> Outcome {
        let Some(body) = self.body(example) else {
            return Outcome::failed("an answer of a model cannot be sent to a guard as a request");
        };
        let asked = tokio::time::timeout(self.settings.timeout, self.send(&body));
        match asked.await {
            Err(_) => Outcome::failed("no answer in time"),
            Ok(Err(why)) => Outcome::failed(why),
            Ok(Ok(answer)) => self.read(&answer),
        }
    }

    fn body(&self, example: &Example) -> Option<Value> {
        let (text, model) = (example.text.as_deref()?, &self.settings.model);
        if self.settings.api == Api::Moderations {
            return Some(json!({ "model": model, "input": text }));
        }
        let messages = match example.role {
            Role::Assistant => return None,
            Role::User => json!([{ "role": "user", "content": text }]),
            Role::Operator => {
                json!([{ "role": "system", "content": text }, { "role": "user", "content": "Hello" }])
            }
            Role::Tool => {
                let call = json!({ "id": "call_1", "type": "function", "function": { "name": "read", "arguments": "{}" } });
                json!([
                    { "role": "user", "content": "What does it say?" },
                    { "role": "assistant", "content": null, "tool_calls": [call] },
                    { "role": "tool", "tool_call_id": "call_1", "content": text },
                ])
            }
        };
        let stream = self.settings.stream;
        Some(json!({ "model": model, "messages": messages, "stream": stream, "max_tokens": 1 }))
    }

    /// Sends, and again only if the connection was refused: then nothing was asked.
    async fn send(&self, body: &Value) -> Result<Answer, String> {
        let bytes = Bytes::from(body.to_string());
        let mut pause = FIRST_PAUSE;
        for _ in 0..RETRIES {
            match self.http.request(self.request(bytes.clone())?).await {
                Ok(response) => return collected(response).await,
                Err(error) if error.is_connect() => tokio::time::sleep(pause).await,
                Err(error) => return Err(chain(&error)),
            }
            pause *= 2;
        }
        let response = self.http.request(self.request(bytes)?).await;
        collected(response.map_err(|error| chain(&error))?).await
    }

    fn request(&self, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::post(&self.url).header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = &self.settings.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        request.body(Full::new(body)).map_err(|error| error.to_string())
    }

    fn read(&self, answer: &Answer) -> Outcome {
        let status = answer.status.as_u16();
        let blocked = |blocked| Outcome { blocked, ..Outcome::default() };
        if self.settings.blocked_status.contains(&status) {
            return blocked(true);
        }
        if !answer.status.is_success() {
            let said = says_no(&parsed(&answer.body));
            return if SAYS_NO.contains(&status) && said {
                blocked(true)
            } else {
                Outcome::failed(format!("status {status} is no verdict"))
            };
        }
        if self.settings.api == Api::Moderations {
            return moderated(&parsed(&answer.body));
        }
        if answer.decision == "block" {
            return blocked(true);
        }
        let events =
            if self.settings.stream { events(&answer.body) } else { vec![parsed(&answer.body)] };
        let ended = events
            .iter()
            .any(|event| event.pointer("/choices/0/finish_reason").is_some_and(Value::is_string));
        if events.iter().any(is_block) {
            blocked(true)
        } else if ended && !events.iter().any(|event| event.get("error").is_some()) {
            blocked(false)
        } else {
            Outcome::failed("the answer has no end")
        }
    }
}

async fn collected(response: http::Response<hyper::body::Incoming>) -> Result<Answer, String> {
    let status = response.status();
    let decision = response.headers().get("x-guard-decision");
    let decision = decision.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
    Ok(Answer { status, decision, body })
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

fn events(body: &[u8]) -> Vec<Value> {
    let body = String::from_utf8_lossy(body);
    let data = body.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|data| serde_json::from_str(data.trim()).ok()).collect()
}

/// A finish reason that says so in any choice, or an error that does.
fn is_block(event: &Value) -> bool {
    let choices = event.get("choices").and_then(Value::as_array);
    let mut reasons =
        choices.into_iter().flatten().filter_map(|choice| choice.get("finish_reason"));
    reasons.any(|reason| reason == "content_filter") || says_no(event)
}

fn says_no(body: &Value) -> bool {
    let Some(error) = body.get("error") else { return false };
    let said = ["code", "type"].into_iter().filter_map(|field| error.get(field)?.as_str());
    said.map(str::to_lowercase).any(|said| WORDS.iter().any(|word| said.contains(word)))
}

/// One result of `/v1/moderations`.
fn moderated(body: &Value) -> Outcome {
    let Some(result) = body.pointer("/results/0") else {
        return Outcome::failed("the answer holds no result");
    };
    let Some(flagged) = result.get("flagged").and_then(Value::as_bool) else {
        return Outcome::failed("the result does not say whether it is flagged");
    };
    let (mut scores, mut found) = (BTreeMap::<String, f32>::new(), BTreeSet::new());
    for (name, score) in
        result.get("category_scores").and_then(Value::as_object).into_iter().flatten()
    {
        let (Some(category), Some(score)) = (category(name), score.as_f64()) else { continue };
        #[expect(clippy::cast_possible_truncation, reason = "scores are kept in single precision")]
        let score = score as f32;
        let best = scores.entry(category.name().to_owned()).or_insert(score);
        *best = best.max(score);
        if result.pointer("/categories").and_then(|all| all.get(name)) == Some(&Value::Bool(true)) {
            found.insert(category.name().to_owned());
        }
    }
    Outcome {
        scores: (!scores.is_empty()).then_some(scores),
        found,
        blocked: flagged,
        failure: None,
    }
}

/// The category that is nearest to one of OpenAI's, or that has this name, title or code.
fn category(name: &str) -> Option<Category> {
    let known = |category: &Category| {
        category.name() == name || category.title() == name || category.code() == Some(name)
    };
    if let Some(category) = Category::ALL.into_iter().find(known) {
        return Some(category);
    }
    match name {
        "harassment" | "harassment/threatening" | "hate/threatening" => Some(Category::Hate),
        "illicit" => Some(Category::NonViolentCrimes),
        "illicit/violent" | "violence" | "violence/graphic" => Some(Category::ViolentCrimes),
        "self-harm" | "self-harm/intent" | "self-harm/instructions" => {
            Some(Category::SuicideSelfHarm)
        }
        "sexual" => Some(Category::SexualContent),
        "sexual/minors" => Some(Category::ChildSexualExploitation),
        _ => None,
    }
}
