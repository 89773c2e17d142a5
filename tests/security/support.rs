//! Gateways, vendors of the tests' own, and how one asks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use caller_context::app::{App, KeysFrom};
use caller_context::cli::demo::{Demo, Setup};
use caller_context::clock::Clock;
use caller_context::config::{Config, Layers, load};
use caller_context::demo::{Vendor as Standin, book};
use caller_context::domain::Organization;
use caller_context::store::keys::{Grant, Keys};
use http::StatusCode;
use serde_json::Value;
use tokio::net::TcpListener;

pub const STUDIO: &str = "/api/studio/context";
pub const CONTEXT: &str = "/api/context";
pub const MEETINGS: &str = "/api/meetings/context";

#[expect(clippy::disallowed_methods, reason = "the runtime of a test ends with it")]
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future);
}

#[expect(clippy::disallowed_methods, reason = "the client of a test asks the gateway, not a vendor")]
pub fn client(from: Option<IpAddr>) -> reqwest::Client {
    cryptography();
    reqwest::Client::builder().local_address(from).build().unwrap()
}

/// As main does first.
pub fn cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Another address of this machine.
pub const ELSEWHERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)));

/// How one asks a gateway, wherever it runs.
#[derive(Clone)]
pub struct Door {
    pub address: SocketAddr,
    pub client: reqwest::Client,
}

impl Door {
    pub fn to(address: SocketAddr) -> Self {
        Self { address, client: client(None) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(self.url(path))
    }

    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(self.url(path))
    }

    /// What a Studio flow gets.
    pub async fn studio(&self, key: &str, form: &[(&str, &str)]) -> Value {
        let answer = self.post(STUDIO).basic_auth("x", Some(key)).form(form).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    /// What an agent gets.
    pub async fn context(&self, key: &str, question: Value) -> Value {
        let answer = self.post(CONTEXT).bearer_auth(key).json(&question).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{question}");
        answer.json().await.unwrap()
    }

    pub async fn forget(&self, key: &str, query: &[(&str, &str)]) {
        let request = self.client.delete(self.url(CONTEXT)).query(query).bearer_auth(key);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    }

    pub async fn audit(&self, key: &str, query: &[(&str, &str)]) -> Vec<Value> {
        let request = self.get("/api/audit").query(query).bearer_auth(key);
        let page: Value = request.send().await.unwrap().json().await.unwrap();
        page["entries"].as_array().unwrap().clone()
    }

    pub async fn metrics(&self) -> String {
        self.get("/metrics").send().await.unwrap().text().await.unwrap()
    }

    /// The number behind a metric's name and labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.trim().parse().unwrap()
    }
}

/// The demo's gateway, with its stand-ins.
pub struct World {
    pub demo: Demo,
    pub door: Door,
}

impl World {
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        cryptography();
        let demo = Demo::start(setup, Clock::system()).await.unwrap();
        let door = Door::to(demo.app.address);
        Self { demo, door }
    }

    pub fn asked(&self, vendor: Standin) -> Vec<book::Entry> {
        self.demo.standins.requests(vendor)
    }

    pub fn searches(&self) -> usize {
        self.asked(Standin::Hubspot).iter().filter(|e| e.path.contains("contacts/search")).count()
    }
}

/// A gateway with a configuration of the test's own, and its files.
pub struct Gateway {
    pub app: App,
    pub door: Door,
    pub folder: tempfile::TempDir,
}

impl Gateway {
    /// Keys are `(key, organization, view)`.
    pub async fn start(sources: &str, keys: &[(&str, &str, &str)]) -> Self {
        cryptography();
        let folder = tempfile::tempdir().unwrap();
        let config = loaded(&configuration(sources, folder.path()));
        let keys = keys.iter().map(|(key, organization, view)| {
            let organization = Organization::parse(organization).unwrap();
            ((*key).into(), Grant { key_id: format!("id-of-{key}").into(), organization, view: (*view).into() })
        });
        let keys = KeysFrom::Fixed(Keys::fixed(keys.collect()));
        let app = App::start(config, keys, Clock::system()).await.unwrap();
        Self { door: Door::to(app.address), app, folder }
    }
}

/// A configuration whose files are in `folder`.
pub fn configuration(more: &str, folder: &std::path::Path) -> String {
    let folder = folder.display();
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite:{folder}/store.db\"\n\
         key_file = \"{folder}/store.key\"\n{more}"
    )
}

pub fn loaded(config: &str) -> Arc<Config> {
    match load(&Layers::text(config)) {
        Ok(loaded) => Arc::new(loaded.config),
        Err(invalid) => panic!("{invalid}"),
    }
}

/// The bytes of every file below, with their names.
pub fn files(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
    found
}

/// A vendor that answers as the test says, and keeps what it was asked.
pub struct Vendor {
    pub url: String,
    asked: Book,
}

#[derive(Debug, Clone)]
pub struct Asked {
    /// Path and query, byte for byte.
    pub target: String,
    pub authorization: Option<String>,
    pub body: Value,
    pub text: String,
}

impl Asked {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// Decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?')?.1;
        let found = form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned())
    }
}

type Book = Arc<Mutex<Vec<Asked>>>;
type Answers = Arc<dyn Fn(&Asked) -> Response + Send + Sync>;

impl Vendor {
    pub async fn start(answer: impl Fn(&Asked) -> Response + Send + Sync + 'static) -> Self {
        let asked = Book::default();
        let state: (Book, Answers) = (asked.clone(), Arc::new(answer));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Router::new().fallback(Self::serve).with_state(state);
        spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, asked }
    }

    async fn serve(State((asked, answer)): State<(Book, Answers)>, request: Request) -> Response {
        let target = request.uri().path_and_query().unwrap().to_string();
        let authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8_lossy(&body).into_owned();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let request = Asked { target, authorization, body, text };
        asked.lock().unwrap().push(request.clone());
        answer(&request)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

pub fn json(value: Value) -> Response {
    Json(value).into_response()
}

/// Asks again until the answer is as wanted: for what happens behind an answer. Bounded; the bound
/// is never what a test is about.
pub async fn until<T, F: Future<Output = T>>(mut ask: impl FnMut() -> F, wanted: impl Fn(&T) -> bool) -> T {
    for _ in 0..1_000 {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("what was waited for did not happen");
}
