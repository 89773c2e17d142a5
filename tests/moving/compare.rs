//! Side by side: another Function answers the call, and the gateway counts how it would have
//! answered.

use std::time::Duration;

use caller_context::app::Reloaded;
use caller_context::cli::demo::{Demo, Setup};
use caller_context::clock::Clock;
use caller_context::demo::Vendor;
use caller_context::demo::faults::Fault;
use caller_context::demo::world::{self, CUSTOMER_ONLY, EVERYWHERE, UNKNOWN, WITHHELD};
use http::StatusCode;
use serde_json::{Value, json};

use crate::world::World;
use crate::{client, node};

const PATH: &str = "/api/studio/compare";

struct Gateway {
    demo: Demo,
    client: reqwest::Client,
}

impl Gateway {
    async fn start(overrides: &[(&'static str, &str)]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut overrides: Vec<_> = overrides.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        // a busy machine must not make an answer partial
        overrides.extend([("lookup.grace", "8s".into()), ("lookup.deadline", "8s".into())]);
        let keys = vec![("theirs-studio", "theirs", "studio"), ("theirs-admin", "theirs", "admin")];
        let demo = Demo::start(Setup { overrides, keys, ..Setup::default() }, Clock::system()).await.unwrap();
        Self { demo, client: client() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.demo.app.address)
    }

    fn post(&self) -> reqwest::RequestBuilder {
        self.client.post(self.url(PATH)).bearer_auth("demo-studio")
    }

    /// A Function says what it answered.
    async fn said(&self, from: &str, more: Value) {
        let mut body = json!({ "From": from, "CallSid": "CA1" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.post().json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(answer.bytes().await.unwrap().len(), 0, "whoever it is, nothing is told");
    }

    async fn get(&self, path: &str, key: &str) -> reqwest::Response {
        self.client.get(self.url(path)).bearer_auth(key).send().await.unwrap()
    }

    async fn table(&self, key: &str) -> Value {
        let answer = self.get(PATH, key).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    /// The table, once so many comparisons were made behind the answers.
    async fn table_of(&self, comparisons: u64) -> Value {
        once(comparisons, async || self.table("demo-admin").await).await
    }
}

/// Asks for the table until so many comparisons were made.
async fn once(comparisons: u64, table: impl AsyncFn() -> Value) -> Value {
    for _ in 0..1_000 {
        let table = table().await;
        if table["comparisons"] == comparisons {
            return table;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the comparisons were not made");
}

/// same, only theirs, only ours, differs, both empty
fn counts(table: &Value, field: &str) -> [u64; 5] {
    let counts = &table["fields"][field];
    ["same", "only_theirs", "only_ours", "differs", "both_empty"].map(|name| counts[name].as_u64().unwrap_or(99))
}

const SAME: [u64; 5] = [1, 0, 0, 0, 0];
const ONLY_THEIRS: [u64; 5] = [0, 1, 0, 0, 0];
const ONLY_OURS: [u64; 5] = [0, 0, 1, 0, 0];
const DIFFERS: [u64; 5] = [0, 0, 0, 1, 0];
const BOTH_EMPTY: [u64; 5] = [0, 0, 0, 0, 1];

#[tokio::test]
async fn differences_are_counted_per_field_and_nothing_is_delivered() {
    let gateway = Gateway::start(&[]).await;
    let theirs = json!({
        "caller_name": "  ADA   Byron",
        "caller_email": "ada@elsewhere.example",
        "account_status": "",
        "vip_customer": "true",
        "crm_id": "00342",
        "internal_note": "",
        "payment_info": { "outstanding_balance": "129.5", "credit": 7 },
    });
    gateway.said(EVERYWHERE, json!({ "answer": theirs, "took_ms": 812 })).await;
    let table = gateway.table_of(1).await;
    let expected = [
        ("caller_name", SAME),
        ("caller_email", DIFFERS),
        ("account_status", ONLY_OURS),
        ("vip_customer", SAME),
        ("preferred_agent", ONLY_OURS),
        ("payment_info.outstanding_balance", SAME),
        ("payment_info.credit", ONLY_THEIRS),
        ("payment_info.delinquent", BOTH_EMPTY),
        ("other", ONLY_THEIRS),
    ];
    for (field, expected) in expected {
        assert_eq!(counts(&table, field), expected, "{field}: {table}");
    }
    assert_eq!(table["fields"].as_object().unwrap().len(), 23, "the attributes of the gateway, and one for all others");
    assert_eq!(table["fields"]["payment_info.credit"]["lacking_percent"], 100.0);
    assert_eq!(table["fields"]["preferred_agent"]["lacking_percent"], Value::Null, "they never had one");
    assert_eq!((&table["lookup_status"], &table["left_out"]), (&json!({ "complete": 1 }), &json!(0)));
    assert_eq!(table["took_ms"]["theirs"], json!({ "median": 812, "p95": 812 }));
    assert!(table["took_ms"]["ours"]["median"].as_u64().is_some());

    let metrics = gateway.get("/metrics", "demo-admin").await.text().await.unwrap();
    for line in [
        "# TYPE caller_context_compare_fields_total counter",
        "caller_context_compare_fields_total{organization=\"default\",field=\"caller_name\",result=\"same\"} 1",
        "caller_context_compare_fields_total{organization=\"default\",field=\"other\",result=\"only_theirs\"} 1",
        "caller_context_compare_lookups_total{organization=\"default\",lookup_status=\"complete\"} 1",
        "caller_context_compare_left_out_total{organization=\"default\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    for strange in ["crm_id", "internal_note", "elsewhere", "00342", "Byron"] {
        assert!(!metrics.contains(strange) && !table.to_string().contains(strange), "{strange}");
    }
    let audit: Value = gateway.get("/api/audit", "demo-admin").await.json().await.unwrap();
    assert_eq!(audit["entries"], json!([]), "nobody was told anything");
    assert!(!metrics.contains("caller_context_answers_total{organization=\"default\",surface=\"studio\""), "{metrics}");
}

#[tokio::test]
async fn people_read_percentages() {
    let gateway = Gateway::start(&[]).await;
    let known = json!({ "answer": { "caller_name": "Lena Brooks" } });
    gateway.said(CUSTOMER_ONLY, known.clone()).await;
    gateway.said(UNKNOWN, known.clone()).await;
    gateway.said(WITHHELD, json!({ "answer": { "caller_name": "Unknown", "vip_customer": false } })).await;
    let table = gateway.table_of(3).await;
    assert_eq!(counts(&table, "caller_name"), [1, 1, 0, 0, 1]);
    let percent = &table["fields"]["caller_name"];
    assert_eq!((&percent["lacking_percent"], &percent["same_percent"]), (&json!(50.0), &json!(50.0)));
    assert_eq!(table["lookup_status"], json!({ "complete": 2, "none": 1 }));
    let page = gateway.get(&format!("{PATH}?as=text"), "demo-admin").await.text().await.unwrap();
    let line = page.lines().find(|line| line.starts_with("caller_name ")).unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(cells, ["caller_name", "1", "1", "0", "0", "1", "50.0", "%"], "{page}");
    for part in ["3 comparisons since ", "lookup_status here: complete 2, none 1", "took, yours: not known"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let begun = gateway.client.delete(gateway.url(PATH)).bearer_auth("demo-admin").send().await.unwrap();
    assert_eq!(begun.status(), StatusCode::NO_CONTENT);
    let anew = gateway.table("demo-admin").await;
    assert_eq!((&anew["comparisons"], &anew["fields"]), (&json!(0), &json!({})));
}

#[tokio::test]
async fn their_answer_may_be_a_text_or_a_form() {
    let gateway = Gateway::start(&[]).await;
    let theirs = r#"{"caller_name":"Ada Byron"}"#;
    gateway.said(EVERYWHERE, json!({ "answer": theirs })).await;
    let form = [("From", EVERYWHERE), ("answer", theirs), ("took_ms", "90.4")];
    assert_eq!(gateway.post().form(&form).send().await.unwrap().status(), StatusCode::ACCEPTED);
    let outbound = json!({ "To": EVERYWHERE, "Direction": "outbound-dial", "answer": { "caller_name": "Ada Byron" } });
    gateway.said("+14155550100", outbound).await;
    let table = gateway.table_of(3).await;
    assert_eq!(counts(&table, "caller_name"), [3, 0, 0, 0, 0]);
    assert_eq!(table["took_ms"]["theirs"], json!({ "median": 90, "p95": 90 }), "one of them said so");
}

#[tokio::test]
async fn a_doubtful_call_is_compared_by_what_it_would_be_told() {
    let gateway = Gateway::start(&[]).await;
    let more = json!({ "StirVerstat": "TN-Validation-Failed-C", "answer": { "caller_name": "Ada Byron" } });
    gateway.said(EVERYWHERE, more).await;
    assert_eq!(counts(&gateway.table_of(1).await, "caller_name"), ONLY_THEIRS);
}

#[tokio::test]
async fn requests_that_say_nothing_are_refused_and_never_repeated() {
    let gateway = Gateway::start(&[("server.studio_body_max", "2KiB")]).await;
    let canary = "canary".repeat(500);
    let cases: [(String, StatusCode, &str); 7] = [
        (json!({ "From": EVERYWHERE }).to_string(), StatusCode::BAD_REQUEST, "answer"),
        (json!({ "From": EVERYWHERE, "answer": null }).to_string(), StatusCode::BAD_REQUEST, "answer"),
        (json!({ "From": EVERYWHERE, "answer": ["canary"] }).to_string(), StatusCode::BAD_REQUEST, "answer"),
        (json!({ "From": EVERYWHERE, "answer": "canary" }).to_string(), StatusCode::BAD_REQUEST, "answer"),
        ("{\"answer\":{\"caller_name\":\"canary\"".into(), StatusCode::BAD_REQUEST, "malformed-body"),
        (String::new(), StatusCode::BAD_REQUEST, "answer"),
        (json!({ "answer": { "caller_name": canary } }).to_string(), StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
    ];
    for (body, status, said) in cases {
        let request = gateway.post().header("content-type", "application/json").body(body.clone());
        let answer = request.send().await.unwrap();
        let (was, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(was, status, "{body}");
        assert!(text.contains(said) && !text.contains("canary") && !text.contains("555"), "{text}");
    }
    for (request, status) in [
        (gateway.client.post(gateway.url(PATH)), StatusCode::UNAUTHORIZED),
        (gateway.client.post(gateway.url(PATH)).bearer_auth("wrong"), StatusCode::UNAUTHORIZED),
        (gateway.client.get(gateway.url(PATH)).bearer_auth("demo-studio"), StatusCode::FORBIDDEN),
        (gateway.client.delete(gateway.url(PATH)).bearer_auth("demo-advanced"), StatusCode::FORBIDDEN),
        (gateway.client.get(gateway.url(PATH)), StatusCode::UNAUTHORIZED),
        (gateway.client.put(gateway.url(PATH)).bearer_auth("demo-admin"), StatusCode::METHOD_NOT_ALLOWED),
        (gateway.client.get(gateway.url(&format!("{PATH}?as=xml"))).bearer_auth("demo-admin"), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    assert_eq!(gateway.table("demo-admin").await["comparisons"], 0);
    for vendor in Vendor::ALL {
        assert!(gateway.demo.standins.requests(vendor).is_empty(), "{} was asked", vendor.as_str());
    }
}

#[tokio::test]
async fn counts_belong_to_their_organization() {
    let gateway = Gateway::start(&[]).await;
    gateway.said(UNKNOWN, json!({ "answer": {} })).await;
    gateway.table_of(1).await;
    assert_eq!(gateway.table("theirs-admin").await["comparisons"], 0);
    let metrics = gateway.get("/metrics", "demo-admin").await.text().await.unwrap();
    assert!(!metrics.contains("theirs"), "an organization that nobody configured is no label");
    let begun = gateway.client.delete(gateway.url(PATH)).bearer_auth("theirs-admin").send().await.unwrap();
    assert_eq!(begun.status(), StatusCode::NO_CONTENT);
    assert_eq!(gateway.table("demo-admin").await["comparisons"], 1, "nor can others begin anew");
}

/// Sources hang; whoever compares is answered all the same, and what is too much is left out.
#[tokio::test]
async fn it_neither_waits_nor_piles_up() {
    let gateway = Gateway::start(&[("sources.crm.timeout", "60s")]).await;
    gateway.demo.standins.set(Vendor::Hubspot, Fault::Hang.into());
    for n in 0..70 {
        let answer = json!({ "answer": { "caller_name": "Ada" }, "deadline_ms": 9000 });
        gateway.said(&format!("+1646555{n:04}"), answer).await;
    }
    let table = gateway.table("demo-admin").await;
    assert_eq!((&table["comparisons"], &table["left_out"]), (&json!(0), &json!(6)), "64 at a time");
}

#[tokio::test]
async fn its_lookups_are_paid_from_the_keys_budget() {
    let gateway = Gateway::start(&[("limits.misses_per_key", "3")]).await;
    for n in 0..10 {
        gateway.said(&format!("+1646555{n:04}"), json!({ "answer": { "caller_name": "Ada" } })).await;
    }
    let table = gateway.table_of(10).await;
    assert_eq!(counts(&table, "caller_name"), [0, 10, 0, 0, 0]);
    let asked = gateway.demo.standins.requests(Vendor::Hubspot);
    let searches = asked.iter().filter(|entry| entry.path.contains("contacts/search")).count();
    // one more when the minute's budget refills while the test runs
    assert!((3..=4).contains(&searches), "{searches}");
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_survive_a_reload() {
    let world = World::start().await;
    let app = world.serve().await;
    let (url, http) = (format!("http://{}{PATH}", app.address), client());
    let compare = async |comparisons: u64| {
        let said = json!({ "From": UNKNOWN, "answer": { "caller_name": "Ada" } });
        let answer = http.post(&url).bearer_auth("key").json(&said).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        once(comparisons, async || http.get(&url).bearer_auth("key").send().await.unwrap().json().await.unwrap()).await
    };
    let before = compare(1).await;
    world.write("config.toml", |demo| demo.replace("timeout   = \"1500ms\"", "timeout   = \"1400ms\""));
    assert_eq!(app.reload(world.layers()).await.unwrap(), Reloaded::Applied);
    let after = compare(2).await;
    assert_eq!(counts(&after, "caller_name"), [0, 2, 0, 0, 0]);
    assert_eq!(after["since"], before["since"]);
    app.shutdown().await;
}

/// The shipped lines, in a Function that ends as soon as it has answered.
#[tokio::test(flavor = "multi_thread")]
async fn the_three_lines_of_a_function_reach_the_gateway() {
    let gateway = Gateway::start(&[]).await;
    let input = json!({
        "context": { "CALLER_CONTEXT_URL": gateway.url(""), "CALLER_CONTEXT_API_KEY": "demo-studio" },
        "event": { "From": EVERYWHERE, "CallSid": "CA1" },
        "attributes": { "caller_name": "Ada Byron", "vip_customer": true },
        "connected": true,
    });
    let run = move || node::run("the_three_lines_of_a_function_reach_the_gateway", "side-by-side.mjs", &input);
    let Some((called_back, log)) = tokio::task::spawn_blocking(run).await.unwrap() else { return };
    assert_eq!((&called_back["answer"]["caller_name"], log.as_str()), (&json!("Ada Byron"), ""));
    let table = gateway.table_of(1).await;
    assert_eq!((counts(&table, "caller_name"), counts(&table, "vip_customer")), (SAME, SAME));
    assert!(table["took_ms"]["theirs"]["median"].as_u64().is_some());
    assert_eq!(world::PEOPLE[0].name(), "Ada Byron");
}
