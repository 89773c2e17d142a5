//! Every route there is, in groups by their callers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use http::{HeaderName, HeaderValue, Method, Request, header};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

use super::docs::{self, Pages};
use super::error::Code;
use super::peer::Peer;
use super::{Edge, Error, audit, compare, context, meetings, openapi, operations, studio};

/// All routes. The server asks `studio` itself before it comes here: a call in the air does not
/// wait for the tree of routes.
///
/// # Errors
/// When a configured origin is none, or the API's document cannot be written.
pub fn router(edge: Arc<Edge>) -> Result<Router, Error> {
    let telephony = Router::new()
        .route(studio::PATH, any(studio_context))
        .route(compare::PATH, post(compare::compare).get(compare::table).delete(compare::begin_anew));
    let desktop = Router::new()
        .route("/api/context", get(context::answer).post(context::answer).delete(context::forget))
        .route(meetings::PATH, post(meetings::answer))
        // before the layer, so that a preflight comes to it
        .method_not_allowed_fallback(method_not_allowed)
        .layer(cors(&edge.config.server.cors_origins)?);
    let integrations = Router::new().route("/api/audit", get(audit::search));
    let operations = Router::new()
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .route("/metrics", get(operations::metrics))
        .route("/docs/errors/{code}", get(operations::error_page));
    let documents = Router::new()
        .route("/api/openapi.json", get(openapi::answer))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .with_state(Pages::of(&edge.config)?);
    Ok(telephony
        .merge(desktop)
        .merge(integrations)
        .merge(operations)
        .merge(documents)
        .fallback(|| async { Code::NotFound })
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(|_| Code::Internal.into_response()))
        .with_state(edge))
}

async fn studio_context(
    State(edge): State<Arc<Edge>>,
    Extension(peer): Extension<Peer>,
    request: Request<Body>,
) -> Response {
    match studio::answer(&edge, peer, request).await {
        Ok(attributes) => context::json(attributes),
        Err(refused) => refused,
    }
}

async fn method_not_allowed() -> Code {
    Code::MethodNotAllowed
}

/// Browsers may call from exactly these origins. Credentials travel in a header, so cookies are
/// not allowed.
fn cors(origins: &[String]) -> Result<CorsLayer, Error> {
    let origins = origins.iter().map(|origin| origin_value(origin).ok_or(Error::Origin));
    Ok(CorsLayer::new()
        .allow_origin(origins.collect::<Result<Vec<_>, _>>()?)
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([HeaderName::from_static("server-timing")])
        .max_age(Duration::from_secs(600)))
}

/// `https://flex.twilio.com`, as browsers send it: nothing after the host and port, no wildcard.
fn origin_value(origin: &str) -> Option<HeaderValue> {
    let url: url::Url = origin.parse().ok()?;
    let exact = url.origin().ascii_serialization();
    (exact == origin && !origin.contains('*')).then(|| HeaderValue::from_str(origin).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact() {
        for good in ["https://flex.twilio.com", "http://localhost:3000"] {
            assert!(origin_value(good).is_some(), "{good}");
        }
        for bad in ["*", "https://*.twilio.com", "https://flex.twilio.com/", "flex.twilio.com", "null", "https://a/b"] {
            assert!(origin_value(bad).is_none(), "{bad}");
        }
    }
}
