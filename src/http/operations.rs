//! `/healthz`, `/readyz`, `/metrics` and the pages of error codes. What names sources or counts
//! anything is for admins and for peers on this machine.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::BEARER;
use super::error::Code;
use super::peer::Peer;
use super::{Edge, Standing};
use crate::lookup::{BudgetHealth, SourceHealth};

/// `GET /healthz`: the process runs.
pub async fn healthz() -> Response {
    json(StatusCode::OK, &serde_json::json!({ "status": "ok" }))
}

/// Whether requests are welcome.
#[derive(Serialize, ToSchema)]
pub struct Ready {
    /// `ready`; `degraded`: keys cannot be read, or the audit log lost rows or fails to write; `audit_failing`: with
    /// `audit.strict`, nothing can be delivered; `stopping`: the gateway goes down.
    #[schema(pattern = "^(ready|degraded|audit_failing|stopping)$")]
    status: &'static str,
    /// For administrators and for peers on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = StoredKeys)]
    keys: Option<StoredKeys>,
    /// For administrators and for peers on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Audit)]
    audit: Option<Audit>,
    /// For administrators and for peers on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Configuration)]
    configuration: Option<Configuration>,
    /// For administrators and for peers on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<Source>)]
    sources: Option<Vec<Source>>,
}

/// Keys in the store. Those known before stay good while it cannot be read.
#[derive(Serialize, ToSchema)]
#[schema(as = KeysHealth)]
pub struct StoredKeys {
    /// `failing`: keys that are made or revoked go unnoticed.
    #[schema(pattern = "^(ok|failing)$")]
    status: &'static str,
    /// `unreachable`, `timeout`, `limited`, `full`, `rejected` or `unreadable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    reason: Option<&'static str>,
}

/// The audit log of this process.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditHealth)]
pub struct Audit {
    /// `failing`: the last write failed, and is tried again; `degraded`: some deliveries are lost.
    #[schema(pattern = "^(ok|degraded|failing)$")]
    status: &'static str,
    /// `unreachable`, `timeout`, `limited`, `full`, `rejected` or `unreadable`: why writes fail;
    /// `overflow`: why deliveries were lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    reason: Option<&'static str>,
    /// Deliveries that found no room since the start, and are not in the log.
    lost: u64,
    /// Rows that wait for the store.
    waiting: usize,
}

/// Whether the configuration in force is what the files say.
#[derive(Serialize, ToSchema)]
#[schema(as = ConfigurationStanding)]
pub struct Configuration {
    /// When it was put in force.
    #[schema(value_type = String, format = DateTime)]
    loaded_at: Timestamp,
    /// The files say something else since then, which has problems: the log says which.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime)]
    outdated_since: Option<Timestamp>,
    /// Keys whose new values take a restart.
    #[schema(value_type = Vec<String>)]
    takes_restart: Vec<&'static str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SourceHealth)]
pub struct Source {
    #[schema(value_type = String)]
    name: Arc<str>,
    /// Its credentials are configured.
    connected: bool,
    /// `passing`; `tripped`: nobody is let through for now; `probing`: one call tries it.
    #[schema(pattern = "^(passing|tripped|probing)$")]
    breaker: &'static str,
    /// Calls that run now.
    in_flight: usize,
    /// Its long budgets.
    #[schema(value_type = Vec<Budget>)]
    budgets: Vec<Budget>,
}

/// What is left of a budget that is shared by all uses of a source.
#[derive(Serialize, ToSchema)]
#[schema(as = BudgetHealth)]
pub struct Budget {
    /// Its length: `1d`.
    window: String,
    limit: u64,
    remaining: u64,
    /// When nothing is left if calls come as in the last twentieth of the window; absent when it
    /// lasts at that pace.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_in_seconds: Option<u64>,
}

/// `GET /readyz`: requests are welcome. Sources that are down do not make the gateway unready:
/// it answers without them.
pub async fn readyz(State(edge): State<Arc<Edge>>, Extension(peer): Extension<Peer>, headers: HeaderMap) -> Response {
    let (audit, keys) = (edge.audit.health(), edge.keys.trouble());
    let status = match () {
        () if edge.stop.is_cancelled() => "stopping",
        () if audit.failing.is_some() && edge.config.audit.strict => "audit_failing",
        () if audit.failing.or(keys).is_some() || audit.lost > 0 => "degraded",
        () => "ready",
    };
    let code = match status {
        "ready" | "degraded" => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let insider = peer.local || headers.contains_key(header::AUTHORIZATION) && edge.admin(peer, &headers).is_ok();
    let failing = |trouble: Option<_>| if trouble.is_some() { "failing" } else { "ok" };
    let keys = insider.then(|| StoredKeys { status: failing(keys), reason: keys });
    let audit = insider.then(|| {
        let (status, reason) = match audit.failing {
            None if audit.lost > 0 => ("degraded", Some("overflow")),
            trouble => (failing(trouble), trouble),
        };
        Audit { status, reason, lost: audit.lost, waiting: audit.waiting }
    });
    let configuration = insider.then(|| {
        let Standing { loaded_at, outdated_since, takes_restart } = Standing::clone(&edge.standing.load());
        Configuration { loaded_at, outdated_since, takes_restart }
    });
    let sources = insider.then(|| {
        let sources = edge.engine.health().into_iter();
        let budget = |b: BudgetHealth| Budget {
            window: b.window,
            limit: b.limit,
            remaining: b.remaining,
            dry_in_seconds: b.dry_in.map(|dry_in| dry_in.as_secs()),
        };
        let source = |s: SourceHealth| Source {
            name: s.source,
            connected: s.connected,
            breaker: s.breaker,
            in_flight: s.in_flight,
            budgets: s.budgets.into_iter().map(budget).collect(),
        };
        sources.map(source).collect()
    });
    json(code, &Ready { status, keys, audit, configuration, sources })
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
    let failing = |trouble: Option<_>| f64::from(u8::from(trouble.is_some()));
    edge.metrics.audit_failing.set(failing(audit.failing));
    edge.metrics.keys_failing.set(failing(edge.keys.trouble()));
    edge.metrics.audit_lost.absolute(audit.lost);
    edge.metrics.audit_waiting.set(f64::from(u32::try_from(audit.waiting).unwrap_or(u32::MAX)));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    let text = edge.metrics.render() + &edge.metrics.render_compared(&edge.comparisons.counts());
    ([(header::CONTENT_TYPE, kind)], text).into_response()
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
