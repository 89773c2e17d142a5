//! `/healthz`, `/readyz`, `/metrics` and the pages of error codes. What names sources or counts
//! anything is for admins and for peers on this machine.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::Edge;
use super::auth::BEARER;
use super::error::Code;
use super::peer::Peer;

/// `GET /healthz`: the process runs.
pub async fn healthz() -> Response {
    json(StatusCode::OK, &serde_json::json!({ "status": "ok" }))
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Serialize)]
struct Details {
    audit: Audit,
    sources: Vec<Source>,
}

#[derive(Serialize)]
struct Audit {
    lost: u64,
    waiting: usize,
    failing: bool,
}

#[derive(Serialize)]
struct Source {
    name: Arc<str>,
    connected: bool,
    breaker: &'static str,
    in_flight: usize,
}

/// `GET /readyz`: requests are welcome. Sources that are down do not make the gateway unready:
/// it answers without them.
pub async fn readyz(State(edge): State<Arc<Edge>>, Extension(peer): Extension<Peer>, headers: HeaderMap) -> Response {
    let audit = edge.audit.health();
    let status = match () {
        () if edge.stop.is_cancelled() => "stopping",
        () if audit.failing && edge.config.audit.strict => "audit_failing",
        () if audit.failing || audit.lost > 0 => "degraded",
        () => "ready",
    };
    let code = match status {
        "ready" | "degraded" => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let insider = peer.local || headers.contains_key(header::AUTHORIZATION) && edge.admin(peer, &headers).is_ok();
    let details = insider.then(|| {
        let sources = edge.engine.health().into_iter();
        Details {
            audit: Audit { lost: audit.lost, waiting: audit.waiting, failing: audit.failing },
            sources: sources
                .map(|s| Source { name: s.source, connected: s.connected, breaker: s.breaker, in_flight: s.in_flight })
                .collect(),
        }
    });
    json(code, &Ready { status, details })
}

/// `GET /metrics` in Prometheus' text format.
pub async fn metrics(State(edge): State<Arc<Edge>>, Extension(peer): Extension<Peer>, headers: HeaderMap) -> Response {
    if !peer.local
        && let Err(refused) = edge.admin(peer, &headers)
    {
        return refused.response(BEARER);
    }
    edge.engine.show_gauges();
    let audit = edge.audit.health();
    edge.metrics.audit_lost.absolute(audit.lost);
    edge.metrics.audit_waiting.set(f64::from(u32::try_from(audit.waiting).unwrap_or(u32::MAX)));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], edge.metrics.render()).into_response()
}

/// `GET /docs/errors/{code}`: what a problem's `type` points to.
pub async fn error_page(Path(code): Path<String>) -> Response {
    let Some(code) = Code::ALL.into_iter().find(|c| c.as_str() == code) else {
        return Code::NotFound.into_response();
    };
    let kind = HeaderValue::from_static("text/markdown; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], code.page()).into_response()
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    let bytes = serde_json::to_vec(body).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response()
}
