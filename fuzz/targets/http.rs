//! Requests to a running gateway, over a real socket: a flow with a right key or signature is always
//! answered with every attribute, nobody else is, and nothing is an internal error.
//!
//! Input: who asks (a byte), then query, content type and a header's value, a line each, then the body.

#![no_main]

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use caller_context::app::{App, KeysFrom};
use caller_context::clock::Clock;
use caller_context::config::{Layers, load};
use caller_context::demo::{customers, world};
use caller_context::domain::Organization;
use caller_context::store::keys::{Grant, Keys};
use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
public_url = "https://context.example.com"
trusted_proxies = ["127.0.0.0/8"]
[phone]
default_region = "US"
[limits]
misses_per_key = 1000000
misses_per_organization = 1000000
misses_verified = 1000000
misses_per_number = 1000000
wrong_keys_per_peer = 1000000
[cache]
contexts_max = "4MiB"
rendered_max = "4MiB"
[inputs.location]
default = "downtown"
[sources.customers]
connector = "sqlite"
url = "env:CUSTOMERS"
[sources.customers.lookup.customer]
needs = ["phone | email | customer_id"]
sql = """SELECT c.*, ca.status, ca.last_visit FROM customers c LEFT JOIN customer_accounts ca ON ca.customer_id = c.id
  WHERE c.phone = :phone OR c.email = :email OR c.id = :customer_id LIMIT 20"""
exact = true
[sources.customers.lookup.customer.provides]
customer_id = "id"
account_status = "status"
name = "name"
email = "email"
phone = "phone"
vip = { path = "vip_status", in = ["1", "true"] }
preferred_agent = "preferred_agent"
"#;
const STUDIO: &str = "/api/studio/context";
const CONTEXT: &str = "/api/context";
const TOKEN: &str = "the-auth-token-of-an-account";

/// The gateway, and the connection to it.
struct Stage {
    _runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
    app: App,
}

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| format!("{}/{name}", folder.path().display());
    customers::write(file("customers.db").as_ref(), jiff::Timestamp::UNIX_EPOCH).expect("a database");
    let layers = Layers::text(CONFIG)
        .with("CUSTOMERS", &format!("sqlite:{}", file("customers.db")))
        .with("CALLER_CONTEXT__STORE__URL", &format!("sqlite:{}", file("store.db")))
        .with("CALLER_CONTEXT__STORE__KEY_FILE", &file("store.key"))
        .with("TWILIO_ACCOUNT_SID", "ACours0123456789")
        .with("TWILIO_AUTH_TOKEN", TOKEN);
    let config = load(&layers).unwrap_or_else(|invalid| panic!("{invalid}")).config;
    let key = |view: &str| {
        let grant = Grant { key_id: view.into(), organization: Organization::single(), view: view.into() };
        (format!("key-of-{view}").into(), grant)
    };
    let keys = KeysFrom::Fixed(Keys::fixed(["studio", "basic", "admin"].map(key).into()));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let app = runtime.block_on(App::start(Arc::new(config), keys, Clock::system())).expect("the gateway starts");
    Stage { _runtime: runtime, _folder: folder, app }
});

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

thread_local! {
    static CONNECTION: RefCell<Option<BufReader<TcpStream>>> = const { RefCell::new(None) };
}

fuzz_target!(|data: &[u8]| {
    let Some((who, rest)) = data.split_first() else { return };
    let mut lines = rest.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (query, kind, header) = (token(line()), value(line()), value(line()));
    let body = line();
    if body.len() > 128 * 1024 || query.len() > 8192 || kind.len() + header.len() > 8192 {
        return;
    }
    let kind = ["content-type: ", &kind].concat();
    let path = |path: &str| format!("{path}?{query}");
    let bearer = |view: &str| format!("authorization: Bearer key-of-{view}");
    match who % 10 {
        0 => flow(&ask("POST", &path(STUDIO), &[&bearer("studio"), &kind], body)),
        1 => flow(&ask("GET", &path(STUDIO), &[&bearer("studio"), &format!("x-forwarded-for: {header}")], b"")),
        2 => flow(&ask("POST", &path(STUDIO), &[&bearer("nothing"), &kind], body).or_refused()),
        3 => signed(&path(STUDIO), &query, body),
        4 => {
            let forged = ask("POST", &path(STUDIO), &[&format!("x-twilio-signature: {header}"), &kind], body);
            assert_eq!(forged.status, 401, "a forged signature is taken");
        }
        5 => {
            let answer = ask("POST", &path(STUDIO), &[&format!("authorization: {header}"), &kind], body);
            let has_a_key = header.contains("key-of-") || header.to_ascii_lowercase().contains("basic");
            assert!(answer.status == 401 || has_a_key, "{}", answer.status);
        }
        6 => agent(&ask("POST", &path(CONTEXT), &[&bearer("admin"), &kind], body)),
        7 => agent(&ask("GET", &path(CONTEXT), &[&bearer("basic"), &kind], body)),
        8 => agent(&ask("DELETE", &path(CONTEXT), &[&bearer("admin")], b"")),
        _ => agent(&ask("GET", &format!("/{query}"), &[&bearer("admin"), &format!("accept: {header}")], b"")),
    }
});

impl Answer {
    /// An unknown key is refused, whatever else there is; then a right one is asked with, to go on.
    fn or_refused(self) -> Self {
        assert_eq!(self.status, 401);
        ask("POST", STUDIO, &["authorization: Bearer key-of-studio"], world::EVERYWHERE.as_bytes())
    }
}

/// What may stand in a request line (RFC 3986): hyper refuses the rest before we are asked.
fn token(bytes: &[u8]) -> String {
    let letters = bytes.iter().map(|byte| char::from(*byte));
    letters.filter(|c| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?%".contains(*c)).collect()
}

/// What may stand in a header: a tab or anything that is seen.
fn value(bytes: &[u8]) -> String {
    bytes.iter().filter(|b| b.is_ascii_graphic() || matches!(b, b' ' | b'\t')).map(|b| char::from(*b)).collect()
}

/// A form that Twilio signed is taken, unless it says that another account sent it.
fn signed(target: &str, query: &str, body: &[u8]) {
    let mut form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    form.sort();
    form.dedup();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(TOKEN.as_bytes()).expect("a key");
    mac.update(format!("https://context.example.com{target}").as_bytes());
    form.iter().for_each(|(name, value)| mac.update([name.as_bytes(), value.as_bytes()].concat().as_slice()));
    let signature = format!("x-twilio-signature: {}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    let answer = ask("POST", target, &[&signature, "content-type: application/x-www-form-urlencoded"], body);
    let mut pairs = form
        .iter()
        .map(|(name, _)| name.clone())
        .chain(form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name.into_owned()));
    // a body that begins like JSON is read as such, though it was signed as a form
    let names_an_account =
        body.trim_ascii_start().starts_with(b"{") || pairs.any(|name| name.eq_ignore_ascii_case("AccountSid"));
    match names_an_account && answer.status == 401 {
        true => {}
        false => flow(&answer),
    }
}

/// A Studio flow's answer has every attribute, and they are safe where flows put them.
fn flow(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", answer.head);
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no text {name}: {body}"));
    for name in ["caller_name", "caller_email", "account_status", "last_interaction", "preferred_agent", "missing"] {
        let odd = |c: char| c.is_control() || "\"\\<>&{}".contains(c);
        assert!(!text(name).contains(odd), "{name}: {body}");
    }
    assert!(body["vip_customer"].is_boolean() && body["greet_by_name"].is_boolean(), "{body}");
    assert!(["complete", "partial", "stale", "failed", "none"].contains(&text("lookup_status")), "{body}");
    assert!(["unique", "ambiguous", "shared_line", "none", "withheld"].contains(&text("match")), "{body}");
    let statuses = ["ok", "withheld", "missing", "internal", "service", "not_a_number", "invalid"];
    assert!(statuses.contains(&text("caller_id_status")), "{body}");
    let panel: Value = serde_json::from_str(text("caller_data")).expect("JSON in caller_data");
    assert_eq!(panel.as_object().map(serde_json::Map::len), Some(5));
    assert_eq!(text("match") == "unique", text("caller_name") != "Unknown", "{body}");
}

/// An answer or a problem with a code; never an error of ours.
fn agent(answer: &Answer) {
    assert!(answer.status < 500, "{}", answer.head);
    let is_problem = answer.head.contains("application/problem+json");
    assert_eq!(is_problem, answer.status >= 400, "{}", answer.head);
    if answer.head.contains("json") && !answer.body.is_empty() {
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert!(!is_problem || body["code"].is_string(), "{body}");
    }
}

fn ask(method: &str, target: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut request = format!("{method} {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", body.len());
    headers.iter().for_each(|header| request.extend([*header, "\r\n"]));
    request.push_str("\r\n");
    let bytes = [request.as_bytes(), body].concat();
    CONNECTION.with_borrow_mut(|connection| {
        // an idle connection may have been closed meanwhile
        let answer = connection.as_mut().and_then(|open| exchange(open, &bytes).ok());
        let answer = answer.unwrap_or_else(|| {
            let stream = TcpStream::connect(STAGE.app.address).expect("the gateway listens");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
            stream.set_nodelay(true).expect("no delay");
            exchange(connection.insert(BufReader::new(stream)), &bytes).expect("an answer")
        });
        assert!(answer.head.contains("cache-control: no-store") || answer.status == 400, "{}", answer.head);
        if answer.head.contains("connection: close") {
            *connection = None;
        }
        answer
    })
}

fn exchange(connection: &mut BufReader<TcpStream>, request: &[u8]) -> std::io::Result<Answer> {
    connection.get_mut().write_all(request)?;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
    head.make_ascii_lowercase();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|length| length.trim().parse());
    let mut body = vec![0; length.map_or(0, |length| length.expect("a length"))];
    connection.read_exact(&mut body)?;
    Ok(Answer { status, head, body })
}
