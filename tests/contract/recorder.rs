//! Stands in front of Prism and notes its verdict on each exchange: the gateway does not look at
//! the header that carries it. Can also ask Prism for another of the documented answers.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use super::Result;

const VERDICT: &str = "sl-violations";

/// A request, its answer, and what Prism said of the two.
#[derive(Debug)]
pub struct Exchange {
    /// Method and path, without the query.
    pub request: String,
    pub status: StatusCode,
    /// None when both sides kept to the document.
    pub violations: Option<String>,
}

pub struct Recorder {
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    prism: String,
    client: reqwest::Client,
    prefer: Mutex<Option<HeaderValue>>,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Recorder {
    /// Forwards to Prism at `prism`.
    #[expect(clippy::disallowed_methods, reason = "a forwarder of the test, no client of the gateway")]
    pub async fn start(prism: &str, tracker: &TaskTracker) -> Result<Self> {
        let client = reqwest::Client::builder().no_proxy().no_gzip().redirect(reqwest::redirect::Policy::none());
        let shared = Arc::new(Shared {
            prism: prism.to_owned(),
            client: client.build()?,
            prefer: Mutex::default(),
            exchanges: Mutex::default(),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = axum::Router::new().fallback(forward).with_state(shared.clone());
        tracker.spawn(async move { axum::serve(listener, app).await });
        Ok(Self { url, shared })
    }

    /// From now on asks a mock for this of its answers: `code=429`, `example=miss`.
    pub fn prefer(&self, answer: &'static str) {
        *self.shared.prefer.lock().unwrap_or_else(PoisonError::into_inner) = Some(HeaderValue::from_static(answer));
    }

    /// The exchanges since the last time, in the order of their answers.
    pub fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.shared.exchanges.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn forward(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match shared.forward(request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

impl Shared {
    async fn forward(&self, request: Request) -> Result<Response> {
        let (mut head, body) = request.into_parts();
        let called = format!("{} {}", head.method, head.uri.path());
        let url = format!("{}{}", self.prism, head.uri);
        head.headers.remove(header::HOST);
        if let Some(answer) = self.prefer.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            head.headers.insert("prefer", answer);
        }
        let body = axum::body::to_bytes(body, usize::MAX).await?;
        let mut answer = self.client.request(head.method, url).headers(head.headers).body(body).send().await?;
        let (status, mut headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let body = answer.bytes().await?;
        let violations = verdict(&headers, &body);
        let exchange = Exchange { request: called, status, violations };
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);

        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::CONNECTION);
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

/// Prism's own problems (no such path, no such answer) are verdicts too, but come as bodies.
fn verdict(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let problem = || {
        let kind = text("content-type")?;
        kind.starts_with("application/problem+json").then(|| String::from_utf8_lossy(body).into_owned())
    };
    text(VERDICT).or_else(problem)
}
