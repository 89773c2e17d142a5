//! Real answers of the demo, held to the document: one at least of every operation, and of every
//! problem that can be had without breaking the gateway.

use std::collections::BTreeSet;

use caller_context::cli::demo::Setup;
use caller_context::demo::world as people;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::book::World;

const STUDIO: &str = "/api/studio/context";
const CONTEXT: &str = "/api/context";
const MEETINGS: &str = "/api/meetings/context";
const COMPARE: &str = "/api/studio/compare";

/// The operations and statuses seen so far.
type Seen = BTreeSet<(String, u16)>;

impl World {
    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.ask(method, path).bearer_auth("demo-admin")
    }

    /// Sends a request and holds the answer to what the document says of the operation.
    async fn check(&self, seen: &mut Seen, operation: &str, request: RequestBuilder) -> Value {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let operations = self.operations();
        let described = operations.iter().find(|o| o.id == operation).unwrap_or_else(|| panic!("no {operation}"));
        let response = &described.text["responses"][status.to_string()];
        if matches!(status, 202 | 204) {
            assert!(response["description"].is_string() && response.get("content").is_none(), "{operation} {status}");
            assert_eq!(answer.bytes().await.unwrap().len(), 0, "{operation} {status}");
            seen.insert((operation.to_owned(), status));
            return Value::Null;
        }
        let kind = answer.headers()["content-type"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let content = &response["content"][&kind];
        assert!(content.is_object(), "{operation} {status} {kind} is not described");
        let headers = answer.headers().clone();
        for header in response["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
            assert!(status == 200 || headers.contains_key(header), "{operation} {status}: no {header}");
        }
        let text = answer.text().await.unwrap();
        let body: Value =
            if kind.ends_with("json") { serde_json::from_str(&text).unwrap() } else { text.clone().into() };
        let faults = self.faults(&content["schema"], &body);
        assert_eq!(faults, [""; 0], "{operation} {status}: {text:.500}");
        if let Some(code) = body["code"].as_str() {
            assert!(content["examples"].get(code).is_some(), "{operation}: {code} is not among {status}");
        }
        seen.insert((operation.to_owned(), status));
        body
    }
}

#[tokio::test]
async fn answers_are_as_the_document_says() {
    let world = World::with(Setup { more: "[server]\nbody_max = \"2KiB\"\n".into(), ..Setup::default() }).await;
    let mut seen = Seen::new();
    let known = [
        people::EVERYWHERE,
        people::AMBIGUOUS,
        people::SHARED_LINE,
        people::UNKNOWN,
        people::HOSTILE,
        people::NAMELESS,
        people::DUPLICATE,
        "anonymous",
        "client:agent",
        "911",
        "",
        "garbage",
    ];
    for caller in known {
        let query = [("From", caller), ("deadline_ms", "2000")];
        let get = world.ask(Method::GET, STUDIO).bearer_auth("demo-studio").query(&query);
        let answer = world.check(&mut seen, "askByQuery", get).await;
        let data: Value = serde_json::from_str(answer["caller_data"].as_str().unwrap()).unwrap();
        let caller_data = &world.document["components"]["schemas"]["StudioAttributes"]["properties"]["caller_data"];
        assert_eq!(world.faults(&caller_data["contentSchema"], &data), [""; 0]);
        let post = world.ask(Method::POST, STUDIO).basic_auth("x", Some("demo-studio")).form(&query);
        world.check(&mut seen, "ask", post).await;
        for key in ["demo-basic", "demo-admin"] {
            let question = json!({ "phone": caller, "explain": key == "demo-admin" });
            let post = world.ask(Method::POST, CONTEXT).bearer_auth(key).json(&question);
            world.check(&mut seen, "context", post).await;
        }
    }
    let ada = [("phone", people::EVERYWHERE)];
    let found = world.check(&mut seen, "contextByQuery", world.admin(Method::GET, CONTEXT).query(&ada)).await;
    assert!(found["fields"].as_object().unwrap().len() > 15, "the whole of a person: {found}");
    world.check(&mut seen, "forget", world.admin(Method::DELETE, CONTEXT).query(&ada)).await;
    let audit = world.admin(Method::GET, "/api/audit").query(&[("limit", "3"), ("since", "2020-01-01T00:00:00Z")]);
    let page = world.check(&mut seen, "audit", audit).await;
    assert!(page["after"].is_i64(), "a full page: {page}");
    let said = json!({ "From": people::EVERYWHERE, "answer": { "caller_name": "Ada Byron" }, "took_ms": 400 });
    let compare = |key: &str| world.ask(Method::POST, COMPARE).bearer_auth(key);
    world.check(&mut seen, "compare", compare("demo-studio").json(&said)).await;
    for body in ["garbage".to_owned(), "{}".to_owned(), "x".repeat(70_000)] {
        world.check(&mut seen, "compare", compare("demo-studio").body(body)).await;
    }
    world.check(&mut seen, "compare", compare("wrong").json(&said)).await;
    for query in ["", "?as=json", "?as=text", "?as=xml"] {
        world.check(&mut seen, "comparisons", world.admin(Method::GET, &format!("{COMPARE}{query}"))).await;
    }
    world.check(&mut seen, "compareAnew", world.admin(Method::DELETE, COMPARE)).await;
    let everybody = json!({ "participants": [
        "ada.byron@analytical.example", "carla.mendes@example.org", "nobody@example.net", "x@example.com", "", "odd",
    ] });
    let meeting = |key: &str| world.ask(Method::POST, MEETINGS).bearer_auth(key);
    for key in ["demo-basic", "demo-admin"] {
        let told = world.check(&mut seen, "meeting", meeting(key).json(&everybody)).await;
        assert_eq!(told["participants"].as_array().unwrap().len(), 6, "{told}");
    }
    let form = [("participants", "ada.byron@analytical.example"), ("participants", "odd"), ("session_id", "s-1")];
    world.check(&mut seen, "meeting", meeting("demo-advanced").form(&form)).await;
    for body in [json!({}), json!({ "participants": [] }), json!({ "participants": vec!["a@b.example"; 51] })] {
        world.check(&mut seen, "meeting", meeting("demo-admin").json(&body)).await;
    }
    for body in ["garbage".to_owned(), "x".repeat(3_000)] {
        world.check(&mut seen, "meeting", meeting("demo-admin").body(body)).await;
    }
    world.check(&mut seen, "meeting", meeting("wrong").json(&everybody)).await;
    for (operation, path) in [
        ("healthz", "/healthz"),
        ("readyz", "/readyz"),
        ("metrics", "/metrics"),
        ("openapi", "/api/openapi.json"),
        ("docs", "/docs"),
        ("docsFile", "/docs/style.css"),
        ("docsFile", "/docs/icon.svg"),
        ("errorPage", "/docs/errors/forbidden"),
    ] {
        world.check(&mut seen, operation, world.ask(Method::GET, path)).await;
    }
    let outside = world.ask(Method::GET, "/readyz").header("X-Forwarded-For", "192.0.2.1");
    world.check(&mut seen, "readyz", outside).await;

    let studio = |key: &str| world.ask(Method::POST, STUDIO).bearer_auth(key).form(&[("From", "x")]);
    world.check(&mut seen, "ask", studio("wrong")).await;
    world.check(&mut seen, "askByQuery", world.ask(Method::GET, STUDIO)).await;
    for question in [json!({}), json!({ "phone": "1", "email": "a@example.com" }), json!({ "email": "no" })] {
        world.check(&mut seen, "context", world.admin(Method::POST, CONTEXT).json(&question)).await;
    }
    for query in ["", "phone=1&email=a@example.com", "email=no", "phone=1&deadline_ms=soon", "phone=1&explain=perhaps"]
    {
        world.check(&mut seen, "contextByQuery", world.admin(Method::GET, &format!("{CONTEXT}?{query}"))).await;
        if !query.contains("phone=1&") {
            world.check(&mut seen, "forget", world.admin(Method::DELETE, &format!("{CONTEXT}?{query}"))).await;
        }
    }
    world.check(&mut seen, "context", world.admin(Method::POST, CONTEXT).body("garbage")).await;
    world.check(&mut seen, "context", world.admin(Method::POST, CONTEXT).body("x".repeat(3_000))).await;
    for query in ["limit=0", "since=yesterday", "after=x", "phone=garbage", "email=no"] {
        world.check(&mut seen, "audit", world.admin(Method::GET, &format!("/api/audit?{query}"))).await;
    }
    for (operation, method, path) in [
        ("context", Method::POST, "/api/context?explain=true&phone=1"),
        ("contextByQuery", Method::GET, "/api/context?explain=true&phone=1"),
        ("forget", Method::DELETE, "/api/context?phone=1"),
        ("audit", Method::GET, "/api/audit"),
        ("comparisons", Method::GET, COMPARE),
        ("compareAnew", Method::DELETE, COMPARE),
        ("metrics", Method::GET, "/metrics"),
    ] {
        let ask = |key: &str| world.ask(method.clone(), path).header("X-Forwarded-For", "192.0.2.1").bearer_auth(key);
        world.check(&mut seen, operation, ask("demo-basic")).await;
        world.check(&mut seen, operation, ask("wrong")).await;
    }
    for (operation, path) in [("docsFile", "/docs/other.css"), ("errorPage", "/docs/errors/other")] {
        world.check(&mut seen, operation, world.ask(Method::GET, path)).await;
    }
    // last: from here on no wrong key is heard
    for _ in 0..25 {
        studio("wrong").send().await.unwrap();
    }
    for operation in world.operations() {
        if operation.text["responses"].get("429").is_some() {
            let method = Method::from_bytes(operation.method.to_uppercase().as_bytes()).unwrap();
            let request = world.ask(method, operation.path).header("X-Forwarded-For", "192.0.2.1").bearer_auth("wrong");
            world.check(&mut seen, operation.id, request).await;
        }
    }

    // what is left takes a broken store, a broken gateway, a shutdown, or a body that never ends
    for operation in world.operations() {
        for (status, _) in operation.text["responses"].as_object().unwrap() {
            let status: u16 = status.parse().unwrap();
            let hard = matches!(status, 408 | 500 | 503);
            assert!(
                hard || seen.contains(&(operation.id.to_owned(), status)),
                "{} {status} was not seen",
                operation.id
            );
        }
    }
}
