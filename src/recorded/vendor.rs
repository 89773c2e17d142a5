//! A vendor on loopback that knows nothing but the exchanges of one case.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use tokio_util::task::TaskTracker;

use super::case::{Case, Exchange, same_json, same_text};

#[derive(Clone)]
pub struct Vendor {
    port: u16,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    /// Not asked for yet.
    exchanges: Vec<Exchange>,
    /// A whole manifest asks in any order.
    any_order: bool,
    problems: Vec<String>,
}

struct Request {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Vendor {
    /// Listens for as long as its runtime lives.
    pub async fn start() -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let vendor = Self { port: listener.local_addr()?.port(), script: Arc::default() };
        let router = axum::Router::new().fallback(answer).with_state(vendor.clone());
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        Ok(vendor)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Knows the exchanges of this case from now on.
    pub fn expect(&self, case: &Case) {
        let exchanges = case.exchanges.clone();
        *self.script() = Script { exchanges, any_order: case.lookup.is_none(), problems: Vec::new() };
    }

    /// What was asked wrongly or not at all since.
    pub fn verdict(&self) -> Result<(), String> {
        let script = self.script();
        if !script.problems.is_empty() {
            return Err(script.problems.join("; "));
        }
        match script.exchanges.first() {
            Some(left) => Err(format!("never asked: {}", left.request)),
            None => Ok(()),
        }
    }
}

async fn answer(State(vendor): State<Vendor>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let request = Request { method, uri, headers, body };
    let mut script = vendor.script();
    let candidates = if script.any_order { script.exchanges.len() } else { 1 };
    let differences: Vec<Option<String>> =
        script.exchanges.iter().take(candidates).map(|e| request.differs(e)).collect();
    let Some(at) = differences.iter().position(Option::is_none) else {
        let asked = format!("{} {}", request.method, request.uri.path());
        let why: Vec<String> = differences.into_iter().flatten().collect();
        script.problems.push(format!("not recorded: {asked} ({})", why.join(", ")));
        return StatusCode::IM_A_TEAPOT.into_response();
    };
    let exchange = script.exchanges.remove(at);
    let status = StatusCode::from_u16(exchange.status).unwrap_or(StatusCode::IM_A_TEAPOT);
    let mut response = (status, exchange.response).into_response();
    response.headers_mut().clear();
    for (name, value) in &exchange.response_headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value.parse()) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

impl Request {
    /// How the request differs from the recorded one.
    fn differs(&self, recorded: &Exchange) -> Option<String> {
        let (method, path) = recorded.request.split_once(' ').unwrap_or_default();
        if method != self.method.as_str() || decoded(path) != decoded(self.uri.path()) {
            return Some(format!("not {}", recorded.request));
        }
        let sent: Vec<(String, String)> =
            form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let mut expected: Vec<(&str, &str)> = Vec::new();
        for (name, value) in &recorded.query {
            match value {
                toml::Value::Array(items) => {
                    expected.extend(items.iter().map(|v| (name.as_str(), v.as_str().unwrap_or_default())));
                }
                value => expected.push((name, value.as_str().unwrap_or_default())),
            }
        }
        let same = |(name, value): &(&str, &str)| sent.iter().any(|(n, v)| n == name && same_text(value, v));
        if sent.len() != expected.len() || !expected.iter().all(same) {
            return Some(format!("the query is {sent:?}"));
        }
        for (name, value) in &recorded.headers {
            if self.headers.get(name).is_none_or(|sent| sent != value.as_str()) {
                return Some(format!("the header {name} differs"));
            }
        }
        if !recorded.form.is_empty() {
            let sent: BTreeMap<String, String> = form_urlencoded::parse(&self.body).into_owned().collect();
            return (sent != recorded.form).then(|| format!("the form is {sent:?}"));
        }
        match (&recorded.body, serde_json::from_slice::<serde_json::Value>(&self.body)) {
            (None, _) if self.body.is_empty() => None,
            (Some(recorded), Ok(sent)) if same_json(recorded, &sent) => None,
            _ => Some(format!("the body is {}", String::from_utf8_lossy(&self.body))),
        }
    }
}

fn decoded(path: &str) -> Vec<String> {
    path.split('/').map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned()).collect()
}
