//! The real binary, logging all it can, through every kind of call and failure: what it says beside
//! its answers names nobody.

use std::io::Write as _;

use axum::response::IntoResponse as _;
use caller_context::demo::faults::Fault;
use caller_context::demo::world::{self, PEOPLE, STRANGER};
use caller_context::demo::{CONFIG, Vendor as Standin};
use serde_json::json as value;

use crate::process::Process;
use crate::support::{CONTEXT, Door, MEETINGS, STUDIO, Vendor, files, json, until};

const LOUD: [(&str, &str); 5] = [
    (
        "CALLER_CONTEXT__LOGGING__FILTER",
        "trace,hyper=trace,hyper_util::client=trace,tokio_postgres=trace,rusqlite=trace",
    ),
    ("DEBUG_CRM", "true"),
    ("DEBUG_CALENDAR", "true"),
    ("DEBUG_WEBHOOK", "true"),
    ("RUST_BACKTRACE", "1"),
];

/// Everything that may be in no log, metric, error or file of our own.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    fn of_the_world() -> Self {
        let mut secrets = Self::default();
        for person in PEOPLE.iter().chain([&STRANGER]) {
            let numbers = Standin::ALL.map(|vendor| person.numbers(vendor));
            for numbers in numbers.into_iter().chain([person.database]) {
                secrets.number(numbers.phone);
                secrets.number(numbers.mobile);
            }
            secrets.text(person.email);
            secrets.text(&person.name());
            secrets.text(person.last);
            secrets.text(person.customer_id);
            for order in person.orders {
                secrets.text(order.description);
            }
        }
        for number in [world::UNKNOWN, world::BRAZILIAN] {
            secrets.number(number);
        }
        for vendor in Standin::ALL {
            secrets.text(vendor.token());
        }
        secrets.text("canary");
        secrets
    }

    fn text(&mut self, text: &str) {
        if text.chars().count() >= 4 {
            self.0.push(text.to_lowercase());
        }
    }

    /// The last seven digits stand in every spelling of a number.
    fn number(&mut self, number: &str) {
        let number = number.split('x').next().unwrap();
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        let Some((first, last)) = digits.len().checked_sub(7).map(|at| digits[at..].split_at(3)) else { return };
        for separator in ["", "-", ".", " ", "%20"] {
            self.text(&format!("{first}{separator}{last}"));
        }
    }

    /// What of it a text holds, with what stands around it.
    fn in_text(&self, text: &str) -> Vec<String> {
        let text = text.to_lowercase();
        let found = self.0.iter().filter_map(|secret| text.find(secret).map(|at| (secret, at)));
        let around =
            |at: usize| text.chars().skip(text[..at].chars().count().saturating_sub(80)).take(160).collect::<String>();
        found.map(|(secret, at)| format!("{secret}: {}", around(at))).collect()
    }
}

/// Sends a request; of what is no answer about a person the whole text is kept.
async fn send(request: reqwest::RequestBuilder, refusals: &mut String) {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status(), format!("{:?}", answer.headers()));
    let text = answer.text().await.unwrap();
    refusals.push_str(&headers);
    if status != 200 {
        refusals.push_str(&text);
    }
}

/// Each question in each form that it can be asked in, for each reader.
async fn ask_everything(door: &Door, refusals: &mut String) {
    let numbers = [
        world::EVERYWHERE,
        world::AMBIGUOUS,
        world::SHARED_LINE,
        world::DUPLICATE,
        world::ODD_SPELLING,
        world::BRAZILIAN,
        world::BRITISH,
        world::GERMAN,
        world::HOSTILE,
        world::LEAD,
        world::NAMELESS,
        world::CUSTOMER_ONLY,
        world::UNKNOWN,
        world::WITHHELD,
    ];
    for number in numbers {
        let call = [("From", number), ("CallSid", "CA1"), ("location", "downtown")];
        send(door.post(STUDIO).bearer_auth("demo-studio").form(&call), refusals).await;
        send(door.get(STUDIO).basic_auth("x", Some("demo-studio")).query(&call), refusals).await;
        let theirs = value!({ "caller_name": "Ada Byron", "canary": number, "caller_data": "{\"canary\":1}" });
        let said = value!({ "From": number, "answer": theirs });
        send(door.post("/api/studio/compare").bearer_auth("demo-studio").json(&said), refusals).await;
        send(door.post("/api/studio/compare").bearer_auth("demo-studio").json(&theirs), refusals).await;
        for key in ["demo-basic", "demo-admin"] {
            let question = value!({ "phone": number, "explain": key == "demo-admin" });
            send(door.post(CONTEXT).bearer_auth(key).json(&question), refusals).await;
            send(door.get(CONTEXT).bearer_auth(key).query(&[("phone", number)]), refusals).await;
        }
        send(door.get("/api/audit").bearer_auth("demo-admin").query(&[("phone", number)]), refusals).await;
        let forget = door.client.delete(door.url(CONTEXT)).bearer_auth("demo-admin").query(&[("phone", number)]);
        send(forget, refusals).await;
    }
    for question in [
        value!({ "email": "ada.byron@analytical.example" }),
        value!({ "email": "canary@example.com" }),
        value!({ "customer_id": "C-1001" }),
        value!({ "customer_id": "canary/../1001" }),
    ] {
        send(door.post(CONTEXT).bearer_auth("demo-admin").json(&question), refusals).await;
    }
    let everybody: Vec<_> = PEOPLE.iter().map(|person| person.email).chain(["canary@example.com", "canary"]).collect();
    for key in ["demo-basic", "demo-admin"] {
        let meeting = door.post(MEETINGS).bearer_auth(key);
        send(meeting.json(&value!({ "participants": everybody })), refusals).await;
    }
    let crowd = value!({ "participants": vec!["canary@example.com"; 51] });
    send(door.post(MEETINGS).bearer_auth("demo-admin").json(&crowd), refusals).await;
}

/// Requests that are wrong in every way, with what they must not get back.
async fn ask_wrongly(door: &Door, refusals: &mut String) {
    let ada = "+14155550142";
    for from in [
        "4155550142x",
        "sip:+14155550142@canary.example",
        "client:ada.byron",
        "{{+14155550142}}",
        "{{canary.1}}",
        "\"Ada Byron\" <sip:4155550142@x.example>",
        "00000004155550142",
        "ada.byron@analytical.example",
    ] {
        let form =
            [("From", from), ("To", ada), ("FlowSid", "14155550142"), ("CallSid", "14155550142"), ("canary", "canary")];
        send(door.post(STUDIO).bearer_auth("demo-studio").form(&form), refusals).await;
        send(door.post(CONTEXT).bearer_auth("demo-admin").json(&value!({ "phone": from, "call_sid": ada })), refusals)
            .await;
    }
    let json = "application/json";
    for (kind, body) in [
        (json, r#"{"phone":"+14155550142""#),
        (json, r#"["+14155550142","Ada Byron"]"#),
        ("text/plain", "+14155550142"),
        (json, r#"{"email":"Ada Byron"}"#),
        (json, r#"{"phone":"+14155550142","email":"ada.byron@analytical.example"}"#),
        (json, r#"{"phone":"+14155550142","deadline_ms":"canary"}"#),
        (json, r#"{"phone":"+14155550142","location":"canary;"}"#),
        (json, "\u{0}4155550142"),
    ] {
        let post = |path: &str| door.post(path).bearer_auth("demo-admin").header("content-type", kind).body(body);
        send(post(CONTEXT), refusals).await;
        send(post(STUDIO), refusals).await;
    }
    for path in [
        "/api/context/+14155550142",
        "/ada.byron@analytical.example",
        "/docs/errors/canary",
        "/api/audit?phone=canary&since=canary",
        "/api/audit?since=%2B14155550142",
        "/api/studio/context/%2B14155550142",
    ] {
        send(door.get(path).bearer_auth("demo-admin"), refusals).await;
        send(door.client.put(door.url(path)).bearer_auth("demo-admin"), refusals).await;
    }
    for key in ["canary-key", "canary-id.canary-secret", "demo-hubspot-token"] {
        send(door.get(STUDIO).query(&[("From", ada)]).bearer_auth(key), refusals).await;
        send(door.get(STUDIO).basic_auth("canary", Some(key)), refusals).await;
    }
    let odd = door.get(STUDIO).query(&[("From", ada)]).header("x-forwarded-for", "canary").header("user-agent", ada);
    send(odd.header("x-twilio-signature", "canary").header("cookie", "canary=1"), refusals).await;
    for garbage in ["GET /+14155550142 HTTP/9.9\r\n\r\n", "canary\r\n\r\n", "GET / HTTP/1.1\r\ncanary\r\n\r\n"] {
        let mut stream = std::net::TcpStream::connect(door.address).unwrap();
        stream.write_all(garbage.as_bytes()).unwrap();
        let _ = std::io::Read::read_to_string(&mut stream, refusals);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_names_nobody_whatever_is_asked_and_whatever_fails() {
    let folder = tempfile::tempdir().unwrap();
    let mut environment = LOUD.to_vec();
    environment.push(("TMPDIR", folder.path().to_str().unwrap()));
    let demo = Process::start(&["demo", "--listen", "127.0.0.1:0"], &environment).await;
    let invitation =
        until(|| async { demo.stdout() }, |text| text.ends_with("/metrics'\n\n") || text.ends_with("/metrics'\n"))
            .await;
    let door = demo.door.clone();
    let control = invitation.split("curl -s '").find_map(|rest| rest.split_once("/_faults'")).unwrap().0.to_owned();
    let (mut secrets, mut refusals) = (Secrets::of_the_world(), String::new());
    ask_everything(&door, &mut refusals).await;
    ask_wrongly(&door, &mut refusals).await;
    // few of each vendor that the demo asks: a breaker must not speak for a fault
    let asked = |vendor: &Standin| CONFIG.contains(&format!("DEMO_{}_URL", vendor.as_str().to_uppercase()));
    let vendors: Vec<_> = Standin::ALL.into_iter().filter(asked).collect();
    for (n, (name, fault)) in Fault::ALL.into_iter().enumerate() {
        if matches!(fault, Fault::None | Fault::Slow) {
            continue;
        }
        let vendor = vendors[n % vendors.len()].as_str();
        let set = value!({ "source": vendor, "fault": name, "times": 1 });
        door.client.post(format!("{control}/_faults")).json(&set).send().await.unwrap();
        // people whom nobody has asked for yet
        secrets.number(&format!("+1646555{n:04}"));
        for question in [
            value!({ "phone": format!("+1646555{n:04}"), "location": format!("place {n}"), "deadline_ms": 300 }),
            value!({ "customer_id": format!("canary-{n}"), "deadline_ms": 300 }),
        ] {
            send(door.post(CONTEXT).bearer_auth("demo-admin").json(&question), &mut refusals).await;
        }
    }
    let failed = |log: &String| {
        let reason = |reason: &str| log.contains(&format!("\"reason\":\"{reason}\""));
        ["timeout", "unreachable", "unreadable", "rejected", "limited"].into_iter().all(reason)
    };
    let log = until(|| async { demo.stderr() }, failed).await;
    until(|| door.audit("demo-admin", &[("limit", "1000")]), |rows| rows.len() > 20).await;
    assert!(log.contains("\"caller_ref\":") && log.contains("\"cause\":") && log.matches("source asked").count() > 100);

    assert_eq!(demo.stdout(), invitation, "nothing is printed but the invitation");
    assert_eq!(secrets.in_text(&demo.stderr()), [""; 0], "in the log");
    assert_eq!(secrets.in_text(&door.metrics().await), [""; 0], "in the metrics");
    assert_eq!(secrets.in_text(&refusals), [""; 0], "in what was refused");
    let files = files(folder.path());
    assert!(files.iter().any(|(name, _)| name.ends_with("store.db")), "the store is here");
    for (name, bytes) in files.iter().filter(|(name, _)| !name.contains("customers.db")) {
        assert_eq!(secrets.in_text(&String::from_utf8_lossy(bytes)), [""; 0], "in {name}");
    }
}

/// Vendors and databases that quote what they were asked, or answer what may never enter.
#[tokio::test(flavor = "multi_thread")]
async fn serve_does_not_repeat_what_sources_say() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = Vendor::start(|asked| match asked.path() {
        "/poisoned" => json(value!({
            "phone": "+14155550142", "name": "Ada Byron", "SSN": "canary", "x": { "Password_Hash": "canary" },
            "card-number": "canary", "unknown": "canary",
        })),
        "/quoting" => (http::StatusCode::BAD_REQUEST, [("x-error", "canary")], "canary: +14155550142").into_response(),
        "/odd" => json(value!({ "phone": { "canary": "+14155550142" }, "name": ["canary"] })),
        _ => ([("content-type", "application/json")], "{\"canary\": +14155550142").into_response(),
    })
    .await;
    let people = folder.path().join("people.db");
    rusqlite::Connection::open(&people)
        .unwrap()
        .execute_batch("CREATE VIRTUAL TABLE people USING fts5(name); CREATE TABLE numbers (n INTEGER)")
        .unwrap();
    let mut config = String::new();
    for path in ["poisoned", "quoting", "odd", "broken"] {
        config.push_str(&http_source(path, &vendor.url, path));
    }
    config.push_str(&http_source("dead", "http://127.0.0.1:1", "canary"));
    let sqlite = format!("sqlite:{}", people.display());
    let searching = "SELECT name FROM people WHERE people MATCH :customer_id LIMIT 5";
    config.push_str(&sql_source("fulltext", "sqlite", &sqlite, searching));
    config.push_str(&sql_source(
        "missing",
        "sqlite",
        &sqlite,
        "SELECT name FROM nowhere WHERE id = :customer_id LIMIT 5",
    ));
    let mut expected = vec!["poisoned", "quoting", "odd", "broken", "dead", "fulltext", "missing"];
    if let Some(url) = server("TEST_MYSQL_URL") {
        let xpath = "SELECT extractvalue('<a/>', :customer_id) AS name LIMIT 5";
        config.push_str(&sql_source("xpath", "mysql", &url, xpath));
        expected.push("xpath");
    }
    if let Some(url) = server("TEST_POSTGRES_URL") {
        for (name, sql) in [
            ("cast", "SELECT 'x' AS name FROM pg_class WHERE relnatts = CAST(:customer_id AS int) LIMIT 5"),
            ("compare", "SELECT 'x' AS name FROM pg_class WHERE relnatts = :customer_id LIMIT 5"),
            ("tsquery", "SELECT 'x' AS name FROM pg_class WHERE to_tsvector('x') @@ to_tsquery(:customer_id) LIMIT 5"),
            ("regclass", "SELECT 'x' AS name FROM pg_class WHERE oid = CAST(:customer_id AS regclass) LIMIT 5"),
        ] {
            config.push_str(&sql_source(name, "postgres", &url, sql));
            expected.push(name);
        }
    }
    let environment = [LOUD.as_slice(), &[("SECRET", "canary-secret-of-a-vendor")]].concat();
    let views = ["studio", "admin"];
    let (gateway, [studio, admin]) = Process::serve(folder.path(), &config, views, &environment).await;
    let door = &gateway.door;
    let mut refusals = String::new();
    for question in [
        value!({ "phone": "+14155550142" }),
        value!({ "customer_id": "id-canary" }),
        value!({ "customer_id": "canary of several words" }),
        value!({ "customer_id": "\"canary" }),
    ] {
        send(door.post(CONTEXT).bearer_auth(&admin).json(&question), &mut refusals).await;
    }
    door.studio(&studio, &[("From", "+14155550142")]).await;
    send(door.get(CONTEXT).bearer_auth(&studio).query(&[("explain", "true"), ("phone", "canary")]), &mut refusals)
        .await;

    let asked = |log: &String| expected.iter().all(|name| log.contains(&format!("\"source\":\"{name}\",")));
    let log = until(|| async { gateway.stderr() }, asked).await;
    assert!(log.contains("the database said") && log.contains("no such table: nowhere"), "causes are logged: {log}");
    let mut secrets = Secrets::of_the_world();
    for key in [&studio, &admin] {
        secrets.text(key.split_once('.').unwrap().1);
    }
    assert_eq!(gateway.stdout(), "");
    assert_eq!(secrets.in_text(&log), [""; 0], "in the log");
    assert_eq!(secrets.in_text(&door.metrics().await), [""; 0], "in the metrics");
    assert_eq!(secrets.in_text(&refusals), [""; 0], "in what was refused");
    until(|| door.audit(&admin, &[]), |rows| !rows.is_empty()).await;
    for (name, bytes) in files(folder.path()).iter().filter(|(name, _)| name.contains("store")) {
        assert_eq!(secrets.in_text(&String::from_utf8_lossy(bytes)), [""; 0], "in {name}");
    }
}

fn http_source(name: &str, url: &str, path: &str) -> String {
    format!(
        "[sources.{name}]\nconnector = \"http\"\nbase_url = \"{url}\"\nsecret = \"env:SECRET\"\n\
         auth.headers.Authorization = \"Bearer {{secret}}\"\n[sources.{name}.lookup.person]\nneeds = [\"phone\"]\n\
         get = \"/{path}\"\nquery.phone = \"{{phone}}\"\nphones = [\"phone\"]\nprovides.name = \"name\"\n\
         provides.title = \"SSN\"\nprovides.notes = \"x.Password_Hash\"\n"
    )
}

fn sql_source(name: &str, engine: &str, url: &str, sql: &str) -> String {
    format!(
        "[sources.{name}]\nconnector = \"{engine}\"\nurl = \"{url}\"\n[sources.{name}.lookup.person]\n\
         needs = [\"customer_id\"]\nsql = \"\"\"{sql}\"\"\"\nprovides.company.name = \"name\"\n"
    )
}

/// A server that `./test` starts.
fn server(variable: &str) -> Option<String> {
    let url = std::env::var(variable).ok();
    if url.is_none() {
        assert!(std::env::var_os("TEST_REQUIRE_DATABASES").is_none(), "needs {variable}");
        // straight to the terminal: what a passing test prints is swallowed
        let _ = writeln!(std::io::stderr(), "SKIPPED: a part of leaks needs {variable}; run ./test");
    }
    url
}
