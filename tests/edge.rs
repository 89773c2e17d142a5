//! The edge over real sockets: credentials, limits, broken requests, views, and what a slow or
//! hostile client can do. The upstream is a small server of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails there")]
#![expect(clippy::indexing_slicing, reason = "JSON answers")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::{Json, Router, routing::get};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use caller_context::app::{App, KeysFrom};
use caller_context::clock::Clock;
use caller_context::config::{Config, Layers, load};
use caller_context::domain::Organization;
use caller_context::store::keys::{Grant, Keys};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const STUDIO: &str = "/api/studio/context";
const CONTEXT: &str = "/api/context";
const COMPARE: &str = "/api/studio/compare";
const ANN: &str = "+14155550142";
/// The upstream answers about this number only after it was told to.
const HELD: &str = "+14155550143";
const TOKEN: &str = "twilio-auth-token";
const PUBLIC: &str = "https://context.example.com";

/// A CRM and a payment API in one; whom they know is in the number.
#[derive(Clone, Default)]
struct Upstream {
    release: Arc<Notify>,
    asked: Arc<Notify>,
}

impl Upstream {
    async fn start(&self) -> SocketAddr {
        let routes =
            Router::new().route("/people", get(people)).route("/balance/{id}", get(balance)).with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        spawn(async move { axum::serve(listener, routes).await.unwrap() });
        address
    }
}

#[expect(clippy::disallowed_methods, reason = "the runtime of a test ends with it")]
fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future);
}

#[derive(serde::Deserialize)]
struct Phone {
    phone: String,
}

async fn people(State(upstream): State<Upstream>, Query(Phone { phone }): Query<Phone>) -> Json<Value> {
    if phone == HELD {
        upstream.asked.notify_one();
        upstream.release.notified().await;
    }
    let person = json!({
        "phone": phone, "id": "42", "name": "Ann \"<b>Lee</b>\" {{x}}", "email": "ann@example.com", "vip": true,
        "company": "Canary Works", "notes": "canary-notes", "SSN": "canary-never", "mystery": "canary-mystery",
    });
    Json(json!({ "people": [person] }))
}

async fn balance(Path(id): Path<String>) -> Json<Value> {
    assert_eq!(id, "42");
    Json(json!({ "owed": "77.10", "currency": "EUR" }))
}

struct Gateway {
    app: App,
    upstream: Upstream,
    _folder: tempfile::TempDir,
}

impl Gateway {
    async fn start(server: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let upstream = Upstream::default();
        let folder = tempfile::tempdir().unwrap();
        let config = loaded(&config(server, upstream.start().await, folder.path()));
        let app = App::start(config, KeysFrom::Fixed(keys()), Clock::system()).await.unwrap();
        Self { app, upstream, _folder: folder }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.app.address)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        client(Ipv4Addr::LOCALHOST).get(self.url(path))
    }

    fn post(&self, path: &str) -> RequestBuilder {
        client(Ipv4Addr::LOCALHOST).post(self.url(path))
    }

    /// Asks about Ann as an agent.
    async fn ann(&self, view: &str) -> String {
        let answer = self.post(CONTEXT).bearer_auth(key(view)).json(&json!({ "phone": ANN })).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.text().await.unwrap()
    }
}

fn config(server: &str, upstream: SocketAddr, folder: &std::path::Path) -> String {
    let folder = folder.display();
    format!(
        r#"
[server]
listen     = "127.0.0.1:0"
public_url = "{PUBLIC}"
cors_origins = ["https://flex.twilio.com"]
{server}

[store]
url      = "sqlite:{folder}/store.db"
key_file = "{folder}/store.key"

[limits]
wrong_keys_per_peer = 20

[fields]
mystery = {{ type = "text" }}

[organizations.default]
default_region = "US"

[[organizations.default.twilio]]
account_sid = "ACours0123456789"
auth_token  = "env:TEST_TWILIO_TOKEN"

[sources.crm]
connector = "http"
base_url  = "http://{upstream}"
auth.none = {{}}
allow_private = true

[sources.crm.lookup.person]
needs   = ["phone"]
get     = "/people"
query.phone = "{{phone}}"
records = "people"
phones  = ["phone"]

[sources.crm.lookup.person.provides]
name         = "name"
email        = "email"
vip          = "vip"
company.name = "company"
notes        = "notes"
mystery      = "mystery"
customer_id  = "id"

[sources.payments]
connector = "http"
base_url  = "http://{upstream}"
auth.none = {{}}
allow_private = true

[sources.payments.lookup.balance]
needs = ["customer_id"]
get   = "/balance/{{customer_id}}"

[sources.payments.lookup.balance.provides]
payment.outstanding = "owed"
payment.currency    = "currency"
"#
    )
}

fn layers(config: &str) -> Layers {
    Layers::text(config).with("TEST_TWILIO_TOKEN", TOKEN)
}

fn loaded(config: &str) -> Arc<Config> {
    match load(&layers(config)) {
        Ok(loaded) => Arc::new(loaded.config),
        Err(invalid) => panic!("{invalid}"),
    }
}

/// A key for each view, and for one that is not configured.
fn keys() -> Keys {
    let grant = |name: &str| Grant {
        key_id: format!("id-{name}").into(),
        organization: Organization::single(),
        view: name.into(),
    };
    let key = |name: &str| (format!("id-{name}.secret-{name}").into(), grant(name));
    Keys::fixed(["studio", "basic", "advanced", "admin", "constructor"].map(key).to_vec())
}

fn key(view: &str) -> String {
    format!("id-{view}.secret-{view}")
}

#[expect(clippy::disallowed_methods, reason = "a plain client, as any caller has")]
fn client(from: Ipv4Addr) -> reqwest::Client {
    reqwest::Client::builder().local_address(IpAddr::V4(from)).build().unwrap()
}

async fn body(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    assert_eq!(response.headers()["cache-control"], "no-store");
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")))
}

const SIX: [&str; 6] =
    ["caller_name", "caller_email", "account_status", "vip_customer", "last_interaction", "preferred_agent"];

fn assert_usable(answer: &(StatusCode, Value), what: &str) {
    assert_eq!(answer.0, StatusCode::OK, "{what}");
    for name in SIX {
        assert!(answer.1.get(name).is_some(), "{what}: no {name}");
    }
    let caller_data = answer.1["caller_data"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(caller_data).unwrap().is_object(), "{what}");
}

#[tokio::test]
async fn twilio_asks_without_credentials_first_and_then_with() {
    let gateway = Gateway::start("").await;
    for _ in 0..50 {
        let first = gateway.get(STUDIO).query(&[("From", "anonymous")]).send().await.unwrap();
        assert_eq!(first.status(), StatusCode::UNAUTHORIZED);
        assert!(first.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    }
    // Fifty handshakes are no wrong keys: the next request is heard.
    let second = gateway.get(STUDIO).query(&[("From", "anonymous")]).basic_auth("any", Some(key("studio")));
    let answer = body(second.send().await.unwrap()).await;
    assert_usable(&answer, "the second request");
    assert_eq!(answer.1["caller_id_status"], "withheld");
    assert_eq!(answer.1["lookup_status"], "none");
}

#[tokio::test]
async fn ten_thousand_wrong_keys_are_limited_and_harm_nobody_else() {
    let gateway = Gateway::start("").await;
    let guesser = client(Ipv4Addr::LOCALHOST);
    let mut seen = std::collections::BTreeMap::new();
    for n in 0..10_000 {
        let guess = format!("id-studio.guess-{n}");
        let answer = guesser.get(gateway.url(STUDIO)).bearer_auth(guess).send().await.unwrap();
        *seen.entry(answer.status().as_u16()).or_insert(0) += 1;
    }
    assert_eq!(seen, [(401, 20), (429, 9_980)].into());
    let ask = |from| client(from).get(gateway.url(STUDIO)).bearer_auth(key("studio")).send();
    assert_eq!(ask(Ipv4Addr::LOCALHOST).await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask(Ipv4Addr::new(127, 0, 0, 2)).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn all_refusals_look_the_same() {
    let gateway = Gateway::start("").await;
    for path in [STUDIO, CONTEXT, "/api/audit"] {
        let mut bodies = Vec::new();
        for authorization in [
            None,
            Some("Bearer unknown.key".to_owned()),
            Some("Bearer id-admin.wrong".to_owned()),
            Some(format!("Basic {}", BASE64_STANDARD.encode("id-admin:"))),
            Some("Digest x".to_owned()),
        ] {
            let mut request = gateway.get(path);
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
            let mut headers: Vec<_> = answer.headers().iter().map(|(n, v)| (n.clone(), v.clone())).collect();
            headers.retain(|(name, _)| name != "date");
            bodies.push((headers, answer.bytes().await.unwrap()));
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{path}: {bodies:?}");
    }
}

#[tokio::test]
async fn the_studio_route_answers_whatever_it_is_sent() {
    let gateway = Gateway::start("").await;
    let json = "application/json";
    let form = "application/x-www-form-urlencoded";
    let big = "x".repeat(1_000_000);
    let bodies: [(&str, &str, &str); 12] = [
        ("empty", "", ""),
        ("empty JSON", json, ""),
        ("broken JSON", json, r#"{"From":"+1415"#),
        ("a list", json, "[1,2,3]"),
        ("half a number", json, "{\"From\": 1e"),
        ("no text", form, "\u{0}\u{1}\u{2}"),
        ("one megabyte", form, &big),
        ("wrong type", "image/png", "From=anonymous"),
        ("null", json, r#"{"From":null,"To":null}"#),
        ("nested", json, r#"{"From":{"a":["b"]}}"#),
        ("unknown parameters", form, "From=anonymous&nonsense=1&deadline_ms=soon&location=%3B%00"),
        ("unrendered", form, "From=%7B%7Btrigger.call.From%7D%7D"),
    ];
    for (what, content_type, text) in bodies {
        let request = gateway.post(STUDIO).bearer_auth(key("studio")).header("content-type", content_type);
        let answer = body(request.body(text.to_owned()).send().await.unwrap()).await;
        assert_usable(&answer, what);
        assert_eq!(answer.1["caller_name"], "Unknown", "{what}");
        assert_eq!(answer.1["lookup_status"], "none", "{what}");
    }
}

#[tokio::test]
async fn a_body_that_never_comes_does_not_hold_the_flow() {
    let gateway = Gateway::start("header_timeout = \"200ms\"").await;
    let mut stream = TcpStream::connect(gateway.app.address).await.unwrap();
    let head = format!(
        "POST {STUDIO} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 100\r\n\r\nFrom=",
        key("studio")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn slow_clients_are_cut() {
    let gateway = Gateway::start("header_timeout = \"200ms\"").await;
    for said in ["", "P", "GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(gateway.app.address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{said:?} holds its connection");
    }
}

#[tokio::test]
async fn a_connection_that_was_answered_outlives_one_that_never_asks() {
    let gateway = Gateway::start("header_timeout = \"200ms\"").await;
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut asked = TcpStream::connect(gateway.app.address).await.unwrap();
    let mut answer = [0; 12];
    asked.write_all(request).await.unwrap();
    asked.read_exact(&mut answer).await.unwrap();
    for said in ["", "GET"] {
        let mut silent = TcpStream::connect(gateway.app.address).await.unwrap();
        silent.write_all(said.as_bytes()).await.unwrap();
        silent.read_to_end(&mut Vec::new()).await.unwrap();
    }
    // idle for longer than they were let wait
    asked.write_all(request).await.unwrap();
    let mut rest = vec![0; 4096];
    let (mut seen, mut answers) = (String::new(), 0);
    while answers == 0 {
        let read = asked.read(&mut rest).await.unwrap();
        assert!(read > 0, "it was closed: {seen}");
        seen.push_str(&String::from_utf8_lossy(&rest[..read]));
        answers = seen.matches("HTTP/1.1 200").count();
    }
    // but a request that was begun has to come
    asked.write_all(b"GET /heal").await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), asked.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "half a request holds the connection");
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_when_all_are_busy() {
    let gateway = Gateway::start("max_connections = 1").await;
    let mut busy = TcpStream::connect(gateway.app.address).await.unwrap();
    let (key, body) = (key("studio"), format!("From={}", HELD.replace('+', "%2B")));
    let head = format!("POST {STUDIO} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    busy.write_all(request.as_bytes()).await.unwrap();
    gateway.upstream.asked.notified().await;
    let mut second = TcpStream::connect(gateway.app.address).await.unwrap();
    assert!(matches!(second.read(&mut [0; 8]).await, Ok(0) | Err(_)));
    gateway.upstream.release.notify_one();
    let mut answer = [0; 12];
    busy.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn the_idlest_connection_makes_room_for_a_new_one() {
    let gateway = Gateway::start("max_connections = 3").await;
    let mut silent = TcpStream::connect(gateway.app.address).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(gateway.app.address).await.unwrap();
        get_health(&mut stream).await;
        held.push(stream);
    }
    // who never asked anything goes first, then who asked longest ago
    for gone in [&mut silent, &mut held[0]] {
        assert!(matches!(gone.read(&mut [0; 8]).await, Ok(0) | Err(_)));
    }
    for kept in &mut held[1..] {
        get_health(kept).await;
    }
}

async fn get_health(stream: &mut TcpStream) {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"{\"status\":\"ok\"}") {
        answer.push(stream.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn malformed_requests_of_agents_are_named_and_never_repeated() {
    let gateway = Gateway::start("body_max = \"64KiB\"").await;
    let json = "application/json";
    let big = format!(r#"{{"phone":"{}"}}"#, "9".repeat(200_000));
    let cases = [
        (json, "{}", 400, "missing-identity"),
        (json, r#"{"phone":"  "}"#, 400, "missing-identity"),
        (json, r#"{"phone":"+14155550142","email":"canary@example.com"}"#, 400, "several-identities"),
        (json, r#"{"phone":"canary"#, 400, "malformed-body"),
        ("text/plain", "canary", 400, "malformed-body"),
        (json, r#"{"email":"canary"}"#, 400, "invalid-parameter"),
        (json, r#"{"phone":"+14155550142","deadline_ms":"canary"}"#, 400, "invalid-parameter"),
        (json, r#"{"phone":"+14155550142","location":"canary;"}"#, 400, "invalid-parameter"),
        (json, r#"{"phone":"+14155550142","explain":true}"#, 403, "forbidden"),
        (json, big.as_str(), 413, "body-too-large"),
    ];
    for (content_type, text, status, code) in cases {
        let request = gateway.post(CONTEXT).bearer_auth(key("basic")).header("content-type", content_type);
        let answer = request.body(text.to_owned()).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let (actual, problem) = body(answer).await;
        assert_eq!((actual.as_u16(), problem["code"].as_str()), (status, Some(code)), "{text:.60}");
        assert!(!problem.to_string().contains("canary"), "{problem}");
        let page = gateway.get(problem["type"].as_str().unwrap()).send().await.unwrap().text().await.unwrap();
        assert!(page.starts_with(&format!("# {code}\n")));
    }
    for (path, status) in [("/nowhere", 404), ("/api/contexts", 404)] {
        let (actual, problem) = body(gateway.get(path).send().await.unwrap()).await;
        assert_eq!((actual.as_u16(), problem["code"].as_str()), (status, Some("not-found")));
    }
    let put = client(Ipv4Addr::LOCALHOST).put(gateway.url(CONTEXT)).send().await.unwrap();
    assert_eq!(body(put).await.1["code"], "method-not-allowed");
    let forget = client(Ipv4Addr::LOCALHOST).delete(gateway.url(CONTEXT)).query(&[("phone", ANN)]);
    assert_eq!(body(forget.bearer_auth(key("advanced")).send().await.unwrap()).await.1["code"], "forbidden");
    let audit = gateway.get("/api/audit").bearer_auth(key("advanced"));
    assert_eq!(body(audit.send().await.unwrap()).await.1["code"], "forbidden");
}

#[tokio::test]
async fn browsers_may_call_from_the_listed_origins_only() {
    let gateway = Gateway::start("").await;
    let preflight = |origin: &'static str| {
        client(Ipv4Addr::LOCALHOST)
            .request(reqwest::Method::OPTIONS, gateway.url(CONTEXT))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
            .send()
    };
    let allowed = preflight("https://flex.twilio.com").await.unwrap();
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://flex.twilio.com");
    assert!(allowed.headers().get("access-control-allow-credentials").is_none());
    for origin in ["https://evil.example", "https://flex.twilio.com.evil.example", "null", "http://flex.twilio.com"] {
        let refused = preflight(origin).await.unwrap();
        assert!(refused.headers().get("access-control-allow-origin").is_none(), "{origin}");
    }
}

#[tokio::test]
async fn what_names_sources_is_for_this_machine_and_for_admins() {
    let gateway = Gateway::start("").await;
    assert_eq!(gateway.get("/healthz").send().await.unwrap().status(), StatusCode::OK);
    let ready = body(gateway.get("/readyz").send().await.unwrap()).await;
    assert_eq!((ready.0, ready.1["status"].as_str()), (StatusCode::OK, Some("ready")));
    assert_eq!(ready.1["sources"][0]["breaker"], "passing");
    let metrics = gateway.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("caller_context_source_breaker_state{source=\"crm\"} 0"));
    let outside = |path| gateway.get(path).header("x-forwarded-for", "203.0.113.9");
    let ready = body(outside("/readyz").send().await.unwrap()).await;
    assert_eq!(ready.1, json!({ "status": "ready" }));
    assert_eq!(outside("/metrics").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let basic = outside("/metrics").bearer_auth(key("basic"));
    assert_eq!(basic.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let admin = outside("/metrics").bearer_auth(key("admin"));
    assert_eq!(admin.send().await.unwrap().status(), StatusCode::OK);
}

fn signature(path_and_query: &str, form: &[(&str, &str)]) -> String {
    let mut form = form.to_vec();
    form.sort_unstable();
    let signed: String = form.iter().flat_map(|(name, value)| [*name, *value]).collect();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(TOKEN.as_bytes()).unwrap();
    mac.update(format!("{PUBLIC}{path_and_query}{signed}").as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

#[tokio::test]
async fn a_signature_proves_a_comparison_too() {
    let gateway = Gateway::start("").await;
    let theirs = r#"{"caller_name":"Ann"}"#;
    let form = [("AccountSid", "ACours0123456789"), ("CallSid", "CA1"), ("From", ANN), ("answer", theirs)];
    let send = |signature: String| gateway.post(COMPARE).header("x-twilio-signature", signature).form(&form).send();
    assert_eq!(send(signature(COMPARE, &form)).await.unwrap().status(), StatusCode::ACCEPTED);
    assert_eq!(send(signature(STUDIO, &form)).await.unwrap().status(), StatusCode::UNAUTHORIZED, "of another route");
}

#[tokio::test]
async fn a_signature_proves_a_request_and_a_wrong_one_refuses_it() {
    let gateway = Gateway::start("").await;
    let call = [("AccountSid", "ACours0123456789"), ("CallSid", "CA1"), ("From", ANN)];
    let path = format!("{STUDIO}?flow=main");
    let send = |form: Vec<(&'static str, &'static str)>, signature: String| {
        gateway.post(&path).header("x-twilio-signature", signature).form(&form).send()
    };
    let answer = body(send(call.to_vec(), signature(&path, &call)).await.unwrap()).await;
    assert_usable(&answer, "signed");
    assert_eq!(answer.1["caller_email"], "ann@example.com");
    let forged = [("AccountSid", "ACours0123456789"), ("CallSid", "CA1"), ("From", HELD)];
    let answer = send(forged.to_vec(), signature(&path, &call)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let other = [("AccountSid", "ACother0123456789"), ("From", ANN)];
    assert_eq!(send(other.to_vec(), signature(&path, &other)).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let query = format!("{STUDIO}?From=%2B14155550142&AccountSid=ACours0123456789");
    let answer = gateway.get(&query).header("x-twilio-signature", signature(&query, &[])).send().await.unwrap();
    assert_usable(&body(answer).await, "signed GET");
}

#[tokio::test]
async fn what_an_admin_warmed_a_smaller_role_does_not_see() {
    let gateway = Gateway::start("").await;
    let canaries = |text: &str| {
        let all = ["ann@example.com", "Canary Works", "77.10", "canary-notes", "canary-mystery", "canary-never"];
        all.into_iter().filter(|canary| text.contains(canary)).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        assert_eq!(canaries(&gateway.ann("admin").await), ["ann@example.com", "Canary Works", "77.10", "canary-notes"]);
        assert_eq!(canaries(&gateway.ann("basic").await), ["ann@example.com"]);
        assert_eq!(gateway.ann("constructor").await, gateway.ann("basic").await);
        assert_eq!(canaries(&gateway.ann("advanced").await), ["ann@example.com", "Canary Works", "77.10"]);
    }
}

#[tokio::test]
async fn a_call_that_failed_attestation_sees_no_more_for_a_warm_cache() {
    let gateway = Gateway::start("").await;
    let ask = async |verdict: &'static str| {
        let call = [("From", ANN), ("CallSid", "CA1"), ("StirVerstat", verdict)];
        body(gateway.post(STUDIO).bearer_auth(key("studio")).form(&call).send().await.unwrap()).await.1
    };
    let attested = ask("TN-Validation-Passed-A").await;
    assert_eq!(attested["caller_name"], "Ann '(b)Lee(/b)' ((x))");
    assert_eq!((&attested["vip_customer"], &attested["greet_by_name"]), (&json!(true), &json!(true)));
    for doubtful in ["TN-Validation-Failed-A", "TN-Validation-Passed-A-Diverted"] {
        let answer = ask(doubtful).await;
        assert_eq!(answer["caller_name"], "Unknown");
        assert_eq!((&answer["vip_customer"], &answer["greet_by_name"]), (&json!(false), &json!(false)));
        assert!(!answer.to_string().contains("ann@example.com"));
        assert_eq!(answer["payment_info"], Value::Null);
    }
    assert_eq!(ask("").await["caller_name"], attested["caller_name"]);
    assert_eq!(ask("TN-Validation-Passed-A").await, attested);
}

#[tokio::test]
async fn for_calls_we_make_the_person_is_who_we_call() {
    let gateway = Gateway::start("").await;
    let call = [("From", "+18005550100"), ("To", ANN), ("Direction", "outbound-api")];
    let request = gateway.get(STUDIO).bearer_auth(key("studio")).query(&call);
    assert_eq!(body(request.send().await.unwrap()).await.1["caller_email"], "ann@example.com");
}

#[tokio::test]
async fn admins_are_told_why_and_may_forget() {
    let gateway = Gateway::start("").await;
    gateway.ann("basic").await;
    let ask = gateway.get(CONTEXT).query(&[("phone", ANN), ("explain", "true")]).bearer_auth(key("admin"));
    let answer = ask.send().await.unwrap();
    let timing = |answer: &Response| answer.headers()["server-timing"].to_str().unwrap().to_owned();
    let hit = timing(&answer);
    assert!(hit.contains("cache;desc=hit") && !hit.contains("crm"), "nobody waited for a source: {hit}");
    let answer = body(answer).await.1;
    assert_eq!(answer["provenance"]["email"]["source"], "crm");
    assert_eq!(answer["unclassified"], json!(["mystery"]));
    let basic = gateway.get(CONTEXT).query(&[("phone", ANN)]).bearer_auth(key("basic")).send().await.unwrap();
    assert!(basic.headers().get("server-timing").is_none());
    let forget = || client(Ipv4Addr::LOCALHOST).delete(gateway.url(CONTEXT)).query(&[("phone", ANN)]);
    let dropped = body(forget().bearer_auth(key("admin")).send().await.unwrap()).await.1;
    assert_eq!(dropped, json!({ "dropped": 1 }));
    let again = gateway.get(CONTEXT).query(&[("phone", ANN), ("explain", "true")]).bearer_auth(key("admin"));
    let again = again.send().await.unwrap();
    let miss = timing(&again);
    assert!(miss.contains("cache;desc=miss") && miss.contains("crm;dur="), "{miss}");
    assert_eq!(body(again).await.1["cache"], "miss");
}

#[tokio::test]
async fn without_its_routes_the_gateway_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = config("", Upstream::default().start().await, folder.path());
    let config = config.replace("https://flex.twilio.com", "https://*.twilio.com");
    let started = App::start(loaded(&config), KeysFrom::Fixed(keys()), Clock::system()).await;
    assert!(matches!(started, Err(caller_context::app::Error::Edge(_))));
}

#[tokio::test]
async fn every_delivery_is_in_the_audit_log() {
    let gateway = Gateway::start("[audit]\nstrict = true").await;
    for _ in 0..3 {
        gateway.ann("basic").await;
    }
    let call = [("From", ANN), ("CallSid", "CA77")];
    let studio = gateway.post(STUDIO).bearer_auth(key("studio")).form(&call);
    assert_usable(&body(studio.send().await.unwrap()).await, "studio");
    let search = gateway.get("/api/audit").query(&[("phone", ANN)]).bearer_auth(key("admin"));
    let page = body(search.send().await.unwrap()).await.1;
    let entries = page["entries"].as_array().unwrap();
    let count = |surface: &str| {
        let of = entries.iter().filter(|e| e["surface"] == surface);
        of.map(|e| e["count"].as_i64().unwrap()).sum::<i64>()
    };
    assert_eq!((count("context"), count("studio")), (3, 1));
    let row = entries.iter().find(|e| e["surface"] == "studio").unwrap();
    assert_eq!((&row["call_sid"], &row["caller"]), (&json!("CA77"), &json!(ANN)));
    assert_eq!(row["reader"], "id-studio");
    let fields: Vec<_> = row["fields"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    assert!(fields.contains(&"email") && !fields.contains(&"notes"), "{fields:?}");
}

#[tokio::test]
async fn shutdown_finishes_the_answer_in_flight() {
    let gateway = Gateway::start("").await;
    let call = [("From", HELD), ("deadline_ms", "9000")];
    let request = gateway.post(STUDIO).bearer_auth(key("studio")).form(&call);
    let answer = async { body(request.send().await.unwrap()).await };
    let Gateway { app, upstream, _folder } = gateway;
    let stop = async {
        upstream.asked.notified().await;
        let shutdown = app.shutdown();
        let release = async {
            tokio::task::yield_now().await;
            upstream.release.notify_one();
        };
        tokio::join!(shutdown, release);
    };
    let (answer, ()) = tokio::join!(answer, stop);
    assert_usable(&answer, "in flight");
    assert_eq!(answer.1["caller_email"], "ann@example.com");
}

#[tokio::test]
async fn bytes_of_a_view_are_made_once() {
    let gateway = Gateway::start("").await;
    let made = async |state: &str| {
        let metrics = gateway.get("/metrics").send().await.unwrap().text().await.unwrap();
        let name = format!("caller_context_rendered_total{{state=\"{state}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
    };
    let first = gateway.ann("advanced").await;
    for _ in 0..5 {
        assert_eq!(gateway.ann("advanced").await, first);
    }
    assert_eq!((made("miss").await.as_deref(), made("hit").await.as_deref()), (Some("1"), Some("5")));
}

/// Views narrowed while readers ask: whoever asks after that gets nothing rendered before.
#[tokio::test(flavor = "multi_thread")]
async fn narrowed_views_hide_what_was_rendered_before() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let config = config("", Upstream::default().start().await, folder.path());
    let app = App::start(loaded(&config), KeysFrom::Fixed(keys()), Clock::system()).await.unwrap();
    let address = app.address;

    let narrow = Arc::new(AtomicBool::new(false));
    let (mut before, mut after) = (0, 0);
    let ask = async |client: &reqwest::Client| {
        let narrowed = narrow.load(Ordering::SeqCst);
        let request = client.post(format!("http://{address}{CONTEXT}")).bearer_auth(key("advanced"));
        let text = request.json(&json!({ "phone": ANN })).send().await.unwrap().text().await.unwrap();
        assert!(text.contains("Canary Works") || narrow.load(Ordering::SeqCst), "narrowed too early");
        assert!(!(narrowed && text.contains("77.10")), "rendered under the old views");
        narrowed
    };
    let clients: Vec<_> = (0..4).map(|_| client(Ipv4Addr::LOCALHOST)).collect();
    for round in 0..100 {
        let asked = futures_util::future::join_all(clients.iter().map(&ask));
        let narrowing = async {
            if round == 50 {
                let narrowed = format!("{config}\n[views.advanced]\nextends = \"basic\"\nclasses = []\n");
                app.reload(layers(&narrowed)).await.unwrap();
                narrow.store(true, Ordering::SeqCst);
            }
        };
        let (asked, ()) = tokio::join!(asked, narrowing);
        for narrowed in asked {
            *(if narrowed { &mut after } else { &mut before }) += 1;
        }
    }
    assert_eq!((before, after), (204, 196));
}
