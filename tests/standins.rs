//! The stand-ins on their sockets: the book, the control API, and faults that really do what they say.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use caller_context::clock::Clock;
use caller_context::config::{Layers, load};
use caller_context::demo::faults::{Fault, Setting};
use caller_context::demo::{Standins, Vendor};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

const STATUS: &str = "/customer/C-1001/status";

struct World {
    standins: Standins,
    tracker: TaskTracker,
    client: reqwest::Client,
    clock: Clock,
}

#[expect(clippy::disallowed_methods, reason = "a plain client that asks the stand-ins, none of the gateway's")]
async fn world() -> World {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let tracker = TaskTracker::new();
    let clock = Clock::starting_at("2026-11-20T12:00:00Z".parse().unwrap());
    let standins = Standins::start(clock, &tracker).await.unwrap();
    let client = reqwest::Client::builder().build().unwrap();
    World { standins, tracker, client, clock }
}

impl World {
    fn request(&self, method: &str, vendor: Vendor, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.standins.url(vendor));
        self.client.request(method.parse().unwrap(), url).bearer_auth(vendor.token())
    }

    /// The payment status of the person who is found everywhere.
    async fn status(&self) -> reqwest::Result<reqwest::Response> {
        self.request("GET", Vendor::Payments, STATUS).send().await
    }

    async fn control(&self, body: Value) -> (u16, Value) {
        let url = format!("{}/_faults", self.standins.control_url());
        let answer = self.client.post(url).body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Sends the status request by hand; the socket is the answer's.
    async fn raw(&self) -> TcpStream {
        let address = self.standins.url(Vendor::Payments).replace("http://", "");
        let mut socket = TcpStream::connect(&address).await.unwrap();
        let token = Vendor::Payments.token();
        let request = format!("GET {STATUS} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        socket
    }

    fn fault(&self, fault: Fault) {
        self.standins.set(Vendor::Payments, fault.into());
    }
}

#[tokio::test]
async fn the_generic_apis_answer_in_their_shapes() {
    let world = world().await;
    // By its text: an amount keeps its digits.
    let status = world.status().await.unwrap().text().await.unwrap();
    let expected = r#"{"customer_id":"C-1001","outstanding_balance":129.50,"currency":"USD","last_payment":"2026-11-03","payment_method":"card","auto_pay_enabled":true}"#;
    assert_eq!(status, expected);

    let ask = |vendor, path: &'static str, body: Value| {
        let request = world.request("POST", vendor, path).json(&body);
        async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let range = json!({ "start": "2026-11-20T12:00:00Z", "end": "2026-12-20T12:00:00Z" });
    let question = json!({ "customer_id": "C-1001", "status": ["scheduled", "confirmed"], "date_range": range });
    let answer = ask(Vendor::Appointments, "/appointments", question).await;
    let found: Vec<_> = answer["data"].as_array().unwrap().iter().map(|a| (&a["id"], &a["starts_at"])).collect();
    let expected =
        [("A-77", "2026-11-23T12:00:00Z"), ("A-78", "2026-12-02T12:00:00Z")].map(|(a, b)| (json!(a), json!(b)));
    assert_eq!(found, expected.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>());

    for (service, place, available) in
        [("repair", "harbor", true), ("installation", "harbor", false), ("x", "y", false)]
    {
        let question = json!({ "service_type": service, "location": place, "date": "2026-11-20" });
        assert_eq!(ask(Vendor::Inventory, "/availability", question).await["available"], available, "{service}");
    }
}

#[tokio::test]
async fn wrong_tokens_customers_and_bodies_are_refused() {
    let world = world().await;
    for (method, vendor, path, token, expected) in [
        ("GET", Vendor::Payments, STATUS, "other", 401),
        ("GET", Vendor::Payments, "/customer/C-9/status", Vendor::Payments.token(), 404),
        ("GET", Vendor::Payments, "/customer//status", Vendor::Payments.token(), 404),
        ("POST", Vendor::Appointments, "/appointments", Vendor::Appointments.token(), 400),
        ("POST", Vendor::Appointments, "/appointments", "other", 401),
        ("POST", Vendor::Inventory, "/availability", Vendor::Inventory.token(), 400),
        ("GET", Vendor::Inventory, "/availability", Vendor::Inventory.token(), 404),
    ] {
        let url = format!("{}{path}", world.standins.url(vendor));
        let request = world.client.request(method.parse().unwrap(), url).bearer_auth(token);
        assert_eq!(request.send().await.unwrap().status(), expected, "{method} {path}");
    }
}

#[tokio::test]
async fn the_book_holds_requests_decoded() {
    let world = world().await;
    let query = "SELECT Id FROM Contact WHERE Phone = '+1 (415)'";
    let soql = world.request("GET", Vendor::Salesforce, "/services/data/v68.0/query").query(&[("q", query)]);
    soql.send().await.unwrap();
    let search = world.request("POST", Vendor::Hubspot, "/crm/objects/2026-09/contacts/search");
    search.json(&json!({ "limit": 1 })).send().await.unwrap();
    world.request("GET", Vendor::Payments, "/customer/a%2Fb%20c/status").body("no json").send().await.unwrap();

    let [soql] = world.standins.requests(Vendor::Salesforce).try_into().unwrap();
    assert_eq!((soql.path.as_str(), soql.query("q")), ("/services/data/v68.0/query", Some(query)));
    assert_eq!(soql.header("authorization"), Some("Bearer demo-salesforce-token"));
    let [search] = world.standins.requests(Vendor::Hubspot).try_into().unwrap();
    assert_eq!((search.number, search.body), (2, json!({ "limit": 1 })));
    let [payment] = world.standins.requests(Vendor::Payments).try_into().unwrap();
    assert_eq!((payment.path.as_str(), payment.body), ("/customer/a/b c/status", json!("no json")));

    let url = format!("{}/_book", world.standins.control_url());
    let read = |query: &'static str| {
        let request = world.client.get(format!("{url}{query}"));
        async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let book = read("?source=salesforce").await;
    assert_eq!((&book["written"], &book["requests"][0]["query"]), (&json!(3), &json!([["q", query]])));
    assert!(!book.to_string().contains("token"));
    world.client.delete(&url).send().await.unwrap();
    assert_eq!(read("").await, json!({ "written": 0, "requests": [] }));
}

#[tokio::test]
async fn faults_are_set_over_http_while_it_runs() {
    let world = world().await;
    let (status, now) = world
        .control(json!({ "source": "payments", "fault": "429", "retry_after": 7, "times": 2, "latency_ms": 1 }))
        .await;
    assert_eq!((status, &now["payments"]["fault"], &now["payments"]["latency_ms"]), (200, &json!("429"), &json!(1)));
    for _ in 0..2 {
        let refused = world.status().await.unwrap();
        assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    }
    assert_eq!(world.status().await.unwrap().status(), 200);

    let (_, all) = world.control(json!({ "source": "all", "fault": "503" })).await;
    assert!(Vendor::ALL.iter().all(|v| all[v.as_str()]["fault"] == "503"));
    for wrong in [
        json!({ "source": "nobody", "fault": "none" }),
        json!({ "source": "all", "fault": "tired" }),
        json!({ "source": "all", "delay": 3 }),
        json!("all"),
    ] {
        let (status, answer) = world.control(wrong.clone()).await;
        assert!(status == 400 && answer["error"].is_string(), "{wrong}");
    }
    assert_eq!(world.status().await.unwrap().status(), 503);
    world.control(json!({ "source": "all", "fault": "none" })).await;
    assert_eq!(world.status().await.unwrap().status(), 200);
}

#[tokio::test]
async fn statuses_come_in_the_vendors_words() {
    let world = world().await;
    let salesforce = |path: &'static str| world.request("GET", Vendor::Salesforce, path);
    for (vendor, status, member, expected) in [
        (Vendor::Hubspot, 429, "/errorType", "RATE_LIMIT"),
        (Vendor::Hubspot, 401, "/category", "EXPIRED_AUTHENTICATION"),
        (Vendor::Salesforce, 401, "/0/errorCode", "INVALID_SESSION_ID"),
        (Vendor::Payments, 500, "/error", "Internal Server Error"),
    ] {
        world.standins.set(vendor, Fault::Status(status).into());
        let answer = world.request("GET", vendor, "/any").send().await.unwrap();
        assert_eq!(answer.status(), status);
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body.pointer(member), Some(&json!(expected)), "{vendor:?} {status}");
    }
    // Salesforce has no 429.
    world.standins.set(Vendor::Salesforce, Fault::Status(429).into());
    assert_eq!(salesforce("/services/data/v68.0/query").send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let world = world().await;
    let read = async |fault: Fault| {
        world.fault(fault);
        let answer = world.status().await.unwrap();
        assert_eq!(answer.status(), 200);
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, answer.bytes().await.unwrap())
    };
    let (kind, body) = read(Fault::Garbage).await;
    assert!(kind == "application/json" && serde_json::from_slice::<Value>(&body).is_err());
    let (kind, body) = read(Fault::Html).await;
    assert!(kind == "text/html" && body.starts_with(b"<!doctype html>"));
    let (_, body) = read(Fault::Deep).await;
    assert_eq!((body.len(), body.iter().take_while(|b| **b == b'[').count()), (200_000, 100_000));
    let (kind, body) = read(Fault::Big).await;
    assert!(kind == "application/json" && body.len() > 10_000_000 && serde_json::from_slice::<Value>(&body).is_ok());
}

#[tokio::test]
async fn a_gzip_bomb_unpacks_to_far_more_than_was_sent() {
    let world = world().await;
    world.fault(Fault::GzipBomb);
    let mut socket = world.raw().await;
    let sent = content_length(&read_head(&mut socket).await);
    assert!(sent < 1_100_000);

    let mut answer = world.status().await.unwrap();
    let mut unpacked = 0;
    while unpacked < 50 * sent {
        let chunk = answer.chunk().await.unwrap().unwrap();
        assert!(chunk.iter().all(|b| *b == b' '));
        unpacked += chunk.len();
    }
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let world = world().await;
    world.fault(Fault::Reset);
    let mut socket = world.raw().await;
    let error = socket.read(&mut [0; 16]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(world.status().await.is_err());
    world.fault(Fault::None);
    assert_eq!(world.status().await.unwrap().status(), 200);
}

#[tokio::test]
async fn half_an_answer_is_promised_whole() {
    let world = world().await;
    let whole = world.status().await.unwrap().bytes().await.unwrap();
    world.fault(Fault::Half);
    let mut socket = world.raw().await;
    let head = read_head(&mut socket).await;
    let mut body = Vec::new();
    // However the connection ends, the half came first.
    let _ = socket.read_to_end(&mut body).await;
    assert_eq!((content_length(&head), body.as_slice()), (whole.len(), &whole[..whole.len() / 2]));
    assert!(world.status().await.unwrap().bytes().await.is_err());
}

#[tokio::test]
async fn a_hang_is_heard_and_never_answered_until_the_world_ends() {
    let world = world().await;
    world.standins.set(Vendor::Payments, Setting { times: Some(1), ..Fault::Hang.into() });
    let mut hung = std::pin::pin!(world.status());
    let others = async {
        // The first request to arrive is the hung one; after it the API is well again.
        while world.standins.book().written() == 0 {
            world.client.get(format!("{}/_book", world.standins.control_url())).send().await.unwrap();
        }
        world.status().await.unwrap().status()
    };
    tokio::select! {
        biased;
        answer = &mut hung => panic!("answered: {answer:?}"),
        status = others => assert_eq!(status, 200),
    }
    assert_eq!(world.standins.requests(Vendor::Payments).len(), 2);
}

#[tokio::test]
async fn dropping_the_stand_ins_ends_their_tasks() {
    let World { standins, tracker, client, .. } = world().await;
    standins.set(Vendor::Payments, Fault::Hang.into());
    let url = standins.url(Vendor::Payments);
    let hung = client.get(&url).send();
    let end = async {
        while standins.book().written() == 0 {
            tokio::task::yield_now().await;
        }
        drop(standins);
        tracker.close();
        tracker.wait().await;
    };
    let (hung, ()) = tokio::join!(hung, end);
    assert!(hung.is_err());
    assert!(TcpStream::connect(url.replace("http://", "")).await.is_err());
}

// In these tests time is paused: it jumps as soon as every task waits for it.

#[tokio::test(start_paused = true)]
async fn latency_and_slowness_add_up() {
    let world = world().await;
    let slow = Setting {
        fault: Fault::Slow,
        latency: Duration::from_millis(300),
        slow: Duration::from_millis(1500),
        ..Setting::default()
    };
    world.standins.set(Vendor::Payments, slow);
    let start = world.clock.instant();
    assert_eq!(world.status().await.unwrap().status(), 200);
    let took = world.clock.since(start);
    assert!(took >= Duration::from_millis(1800), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dripping_answer_comes_a_byte_a_second() {
    let world = world().await;
    let whole = world.status().await.unwrap().bytes().await.unwrap();
    world.fault(Fault::Drip);
    let start = world.clock.instant();
    let mut answer = world.status().await.unwrap();
    let mut chunks = Vec::new();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        chunks.push(chunk);
    }
    assert!(world.clock.since(start) >= Duration::from_secs(whole.len() as u64));
    assert_eq!(chunks.concat(), whole);
}

#[tokio::test]
async fn the_demo_configuration_loads_without_a_problem() {
    let world = world().await;
    let mut layers = Layers::text(caller_context::demo::CONFIG).with("DEMO_CUSTOMERS_URL", "sqlite:customers.db");
    layers.environment.extend(world.standins.environment());
    let loaded = load(&layers).unwrap();
    assert_eq!(loaded.rendered_warnings(), "");
    let sources: Vec<_> = loaded.config.plan.sources.iter().map(|s| (&*s.name, s.connected)).collect();
    let expected = ["salesforce", "inventory", "crm", "customers", "payments", "appointments"].map(|name| (name, true));
    assert_eq!(sources, expected);
}

async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn content_length(head: &str) -> usize {
    let line = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    line.unwrap().parse().unwrap()
}
