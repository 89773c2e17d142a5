//! Traces as a collector gets them: the binary built with the feature `otlp`, told where to send by
//! the environment, and a receiver that decodes what arrives.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use caller_context::demo::world;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// What the collector was sent: headers and bodies.
type Sent = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

#[expect(clippy::disallowed_methods, reason = "the runtime of a test ends with it")]
async fn collector() -> (SocketAddr, Sent) {
    let sent = Sent::default();
    let take = async |State(sent): State<Sent>, headers: HeaderMap, body: Bytes| {
        sent.lock().unwrap().push((headers, body));
    };
    let routes = Router::new().route("/v1/traces", post(take)).with_state(sent.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
    (address, sent)
}

struct Demo {
    child: Child,
    address: SocketAddr,
    _output: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Demo {
    async fn start(environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_caller-context"));
        command.args(["demo", "--listen", "127.0.0.1:0"]).env_clear().envs(environment.iter().copied());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = output.next_line().await.unwrap().unwrap();
            if let Some((_, rest)) = line.split_once("demo on http://") {
                break rest.split(' ').next().unwrap().parse().unwrap();
            }
        };
        Self { child, address, _output: output }
    }

    async fn context(&self, question: &str, traceparent: Option<&str>) -> Value {
        #[expect(clippy::disallowed_methods, reason = "the client of a test asks the gateway, not a vendor")]
        let client = reqwest::Client::builder().build().unwrap();
        let url = format!("http://{}/api/context", self.address);
        let mut request = client.post(url).bearer_auth("demo-admin").header("content-type", "application/json");
        if let Some(traceparent) = traceparent {
            request = request.header("traceparent", traceparent);
        }
        let answer = request.body(question.to_owned()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// Ends it as a supervisor does, and waits until it is gone.
    async fn end(mut self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        assert_eq!(self.child.wait().await.unwrap().code(), Some(0));
    }
}

fn text(span: &Span, name: &str) -> Option<String> {
    let value = span.attributes.iter().find(|attribute| attribute.key == name)?.value.clone()?.value?;
    Some(match value {
        Any::StringValue(text) => text,
        Any::IntValue(number) => number.to_string(),
        other => panic!("{name} is {other:?}"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every text that stands somewhere below.
fn texts(value: &Value, into: &mut HashSet<String>) {
    match value {
        Value::String(text) => drop(into.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(members) => members.values().for_each(|member| texts(member, into)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assembly_is_a_span_within_the_callers_trace_and_names_nobody() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (address, sent) = collector().await;
    let endpoint = format!("http://{address}");
    let demo = Demo::start(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=ours"),
        ("OTEL_SERVICE_NAME", "who-calls"),
    ])
    .await;
    let question = format!("{{\"phone\":\"{}\",\"deadline_ms\":9000}}", world::EVERYWHERE);
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let answer = demo.context(&question, Some(&traceparent)).await;
    assert_eq!(answer["lookup_status"], "complete", "{answer}");
    // from the cache: no span, whoever asks
    let cached = demo.context(&question, Some(&traceparent)).await;
    // nobody's trace
    demo.context(&format!("{{\"phone\":\"{}\",\"deadline_ms\":9000}}", world::UNKNOWN), None).await;
    demo.end().await;

    let sent = sent.lock().unwrap().clone();
    assert!(!sent.is_empty(), "nothing arrived");
    let mut spans = Vec::new();
    for (headers, body) in &sent {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert_eq!(headers["x-tenant"], "ours");
        for of_resource in ExportTraceServiceRequest::decode(body.clone()).unwrap().resource_spans {
            let resource = of_resource.resource.unwrap();
            let service = resource.attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
            assert_eq!(service.value.clone().unwrap().value, Some(Any::StringValue("who-calls".into())));
            spans.extend(of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }

    let assemblies: Vec<&Span> = spans.iter().filter(|span| span.name == "assembly").collect();
    assert_eq!(assemblies.len(), 2, "{spans:?}");
    let (ours, other): (Vec<&Span>, Vec<&Span>) = assemblies.iter().partition(|span| hex(&span.trace_id) == TRACE);
    let (ours, other) = (ours[0], other[0]);
    assert_eq!(hex(&ours.parent_span_id), PARENT);
    assert!(other.parent_span_id.is_empty(), "{other:?}");
    for (name, value) in
        [("reason", "miss"), ("organization", "default"), ("lookup_status", "complete"), ("match", "unique")]
    {
        assert_eq!(text(ours, &format!("caller_context.{name}")).as_deref(), Some(value), "{ours:?}");
    }
    let reference = text(ours, "caller_context.caller_ref").unwrap();
    assert!(reference.len() == 12 && reference != text(other, "caller_context.caller_ref").unwrap());

    let calls: Vec<&Span> = spans.iter().filter(|span| span.parent_span_id == ours.span_id).collect();
    let names: HashSet<&str> = calls.iter().map(|span| span.name.as_str()).collect();
    assert!(names.contains("crm.contact") || names.iter().any(|name| name.starts_with("crm.")), "{names:?}");
    assert_eq!(names.len(), calls.len(), "each operation once: {names:?}");
    for call in &calls {
        let of = |name: &str| text(call, &format!("caller_context.{name}"));
        let (source, operation) = (of("source").unwrap(), of("operation").unwrap());
        assert_eq!(call.name, format!("{source}.{operation}"));
        assert_eq!(of("breaker").as_deref(), Some("passing"));
        assert_eq!(of("attempts").as_deref(), Some("1"));
        assert!(matches!(of("outcome").as_deref(), Some("found" | "not_found")), "{call:?}");
        assert!(
            ours.start_time_unix_nano <= call.start_time_unix_nano
                && call.end_time_unix_nano <= ours.end_time_unix_nano
        );
    }

    // whatever an administrator saw of this person, the collector has none of it
    let mut seen = HashSet::new();
    texts(&answer["fields"], &mut seen);
    texts(&cached["fields"], &mut seen);
    texts(&answer["identity"], &mut seen);
    let configured: HashSet<String> = calls.iter().filter_map(|call| text(call, "caller_context.source")).collect();
    seen.retain(|text| text.len() > 3 && !configured.contains(text) && text != "found");
    assert!(seen.len() > 10, "the demo's caller has fields: {seen:?}");
    let digits = world::EVERYWHERE.trim_start_matches('+').to_owned();
    for (_, body) in &sent {
        let body = String::from_utf8_lossy(body);
        for value in seen.iter().chain([&digits, &"127.0.0.1".to_owned(), &"demo-admin".to_owned()]) {
            assert!(!body.contains(value.as_str()), "`{value}` went to the collector");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sampler_that_wants_nothing_gets_nothing_and_a_deaf_collector_stops_nobody() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (address, sent) = collector().await;
    let endpoint = format!("http://{address}");
    let question = format!("{{\"phone\":\"{}\"}}", world::EVERYWHERE);
    let demo = Demo::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_TRACES_SAMPLER", "always_off")]).await;
    demo.context(&question, None).await;
    demo.end().await;
    assert!(sent.lock().unwrap().is_empty());

    // a port that nobody listens at
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let demo = Demo::start(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{closed}"))]).await;
    demo.context(&question, None).await;
    demo.end().await;
}
