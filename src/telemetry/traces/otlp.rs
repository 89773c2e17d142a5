//! Traces by OTLP over HTTP, in protobuf. Endpoint, headers, sampler, batches and the names of the
//! resource are the SDK's to read from the OTEL_* variables; the client is ours, so that there is one
//! TLS stack in the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, Request, Response};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, ResponseExt as _};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;

use super::{Error, Origin, endpoint, variable};

const SCOPE: &str = "caller-context";
/// Bytes of a collector's answer, of which nothing is read.
const ANSWER_MAX: u64 = 64 * 1024;

/// The way to the collector, if there is one. Dropping it without [`Traces::flush`] may lose the
/// last spans.
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Traces of this process from now on, as the environment says. Call it within the runtime.
    ///
    /// # Errors
    /// When the environment names a collector and the rest of it makes no sense.
    pub fn from_environment() -> Result<Self, Error> {
        if endpoint(variable).is_none() {
            return Ok(Self(None));
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new()?)
            .with_protocol(Protocol::HttpBinary)
            .build()
            .map_err(|error| Error::Settings(error.to_string()))?;
        let mut resource = Resource::builder();
        if variable("OTEL_SERVICE_NAME").is_none()
            && !variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|text| text.contains("service.name="))
        {
            resource = resource.with_service_name(SCOPE);
        }
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.with_attribute(version).build())
            .build();
        global::set_tracer_provider(provider.clone());
        tracing::info!("traces go to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names");
        Ok(Self(Some(provider)))
    }

    /// Sends what is left, within the exporter's time.
    pub async fn flush(self) {
        let Some(provider) = self.0 else { return };
        // it waits for a thread of its own, which needs this runtime to send
        let _ = tokio::task::spawn_blocking(move || provider.shutdown()).await;
    }
}

/// Sends on the gateway's runtime; the exporter waits on a thread that has none.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    failing: AtomicBool,
}

impl Client {
    #[expect(clippy::disallowed_methods, reason = "a collector is no source: it is asked nothing")]
    fn new() -> Result<Self, Error> {
        let millis = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
        let timeout = millis.into_iter().find_map(|name| variable(name)?.trim().parse().ok()).unwrap_or(10_000);
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_millis(timeout))
            .build()?;
        Ok(Self { http, runtime: Handle::current(), failing: AtomicBool::new(false) })
    }

    /// Says once that it fails, and once that it works again. Nothing that was sent is quoted.
    fn report(&self, failed: bool) {
        match (self.failing.swap(failed, Ordering::Relaxed), failed) {
            (false, true) => tracing::warn!("the collector does not take traces; some are lost"),
            (true, false) => tracing::info!("the collector takes traces again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let sent = self.runtime.spawn(async move {
            let answer = http.execute(request.try_into()?).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let short = answer.content_length().is_some_and(|length| length <= ANSWER_MAX);
            let body = if short { answer.bytes().await? } else { Bytes::new() };
            let mut response = Response::new(body);
            (*response.status_mut(), *response.headers_mut()) = (status, headers);
            Ok::<_, HttpError>(response)
        });
        let response = match sent.await {
            Ok(response) => response,
            Err(stopped) => Err(stopped.into()),
        };
        self.report(!response.as_ref().is_ok_and(|response| response.status().is_success()));
        response?.error_for_status()
    }
}

/// The trace that a request belongs to, if it says so (W3C `traceparent`).
#[derive(Debug, Clone, Default)]
pub struct Parent(Context);

impl Parent {
    pub fn of(headers: &HeaderMap) -> Self {
        Self(TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers)))
    }
}

/// The span of one assembly. Clones are the same span.
#[derive(Debug, Clone, Default)]
pub struct AssemblySpan(Context);

impl AssemblySpan {
    /// `caller_ref` is asked for when the trace is sampled.
    pub fn begin(origin: &Origin, organization: &str, caller_ref: impl FnOnce() -> String) -> Self {
        let (reason, parent) = match origin {
            Origin::Miss(Parent(context)) => ("miss", context.clone()),
            Origin::Refresh => ("refresh", Context::new()),
        };
        let tracer = global::tracer(SCOPE);
        let mut span =
            tracer.span_builder("assembly").with_kind(SpanKind::Internal).start_with_context(&tracer, &parent);
        if span.is_recording() {
            span.set_attribute(KeyValue::new("caller_context.reason", reason));
            span.set_attribute(KeyValue::new("caller_context.organization", organization.to_owned()));
            span.set_attribute(KeyValue::new("caller_context.caller_ref", caller_ref()));
        }
        Self(parent.with_span(span))
    }

    /// A call of a source below it. `breaker` is how the source's breaker stands before.
    pub fn call(&self, source: &str, operation: &str, breaker: &'static str) -> CallSpan {
        let tracer = global::tracer(SCOPE);
        let builder = tracer.span_builder(format!("{source}.{operation}")).with_kind(SpanKind::Client);
        let mut span = builder.start_with_context(&tracer, &self.0);
        if span.is_recording() {
            span.set_attribute(KeyValue::new("caller_context.source", source.to_owned()));
            span.set_attribute(KeyValue::new("caller_context.operation", operation.to_owned()));
            span.set_attribute(KeyValue::new("caller_context.breaker", breaker));
        }
        CallSpan(span)
    }

    pub fn end(&self, lookup_status: &'static str, verdict: &'static str) {
        let span = self.0.span();
        span.set_attribute(KeyValue::new("caller_context.lookup_status", lookup_status));
        span.set_attribute(KeyValue::new("caller_context.match", verdict));
        if lookup_status == "failed" {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// The span of one call; ends when dropped.
#[derive(Debug)]
pub struct CallSpan(global::BoxedSpan);

impl CallSpan {
    pub fn end(&mut self, outcome: &'static str, reason: Option<&'static str>, attempts: u8) {
        self.0.set_attribute(KeyValue::new("caller_context.outcome", outcome));
        self.0.set_attribute(KeyValue::new("caller_context.attempts", i64::from(attempts)));
        if let Some(reason) = reason {
            self.0.set_attribute(KeyValue::new("caller_context.reason", reason));
        }
        if outcome == "failed" {
            self.0.set_status(Status::error(reason.unwrap_or_default()));
        }
        self.0.end();
    }
}
