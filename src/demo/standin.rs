//! One stand-in on its socket: accepts, writes each request into the book, applies the fault of the
//! moment and sends what the vendor's function answers. What a vendor answers is in its own file.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Vendor;
use super::book::Book;
use super::faults::{self, Fault, Faults};
use crate::clock::Clock;

/// Larger requests are refused with 413.
const REQUEST_MAX: usize = 1024 * 1024;

/// A vendor's API over the invented people.
pub trait Standin: Send + Sync {
    /// With records dated from this moment on.
    fn new(now: Timestamp) -> Self
    where
        Self: Sized;

    /// What the vendor would answer. With `stranger`, searches for people give a wrong record in
    /// first place.
    fn answer(&self, request: &Request, stranger: bool) -> Reply;

    /// How the vendor words a status.
    fn refusal(&self, status: u16) -> Reply {
        plain_refusal(status)
    }
}

/// What all stand-ins have in common.
pub(super) struct Shared {
    pub faults: Faults,
    pub book: Book,
    clock: Clock,
    standins: BTreeMap<Vendor, Box<dyn Standin>>,
}

impl Shared {
    pub fn new(clock: Clock) -> Self {
        Self {
            faults: Faults::default(),
            book: Book::default(),
            standins: Vendor::ALL.into_iter().map(|vendor| (vendor, vendor.standin(clock.now()))).collect(),
            clock,
        }
    }
}

/// A request, read to its end.
pub struct Request {
    pub method: Method,
    /// Percent-decoded segments of the path.
    pub segments: Vec<String>,
    /// Decoded, in order.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// When it arrived.
    pub at: Timestamp,
}

impl Request {
    pub fn path(&self) -> String {
        format!("/{}", self.segments.join("/"))
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body says it is JSON.
    pub fn is_json(&self) -> bool {
        let kind = self.headers.get(hyper::header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        kind.is_some_and(|kind| kind.split(';').next().is_some_and(|k| k.trim() == "application/json"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Carries the token of this vendor as a bearer.
    pub fn authorized(&self, vendor: Vendor) -> bool {
        self.credentials("Bearer") == Some(vendor.token())
    }

    /// What stands behind the scheme in `Authorization`.
    pub fn credentials(&self, scheme: &str) -> Option<&str> {
        self.header("authorization")?.strip_prefix(scheme)?.strip_prefix(' ')
    }

    /// User and password of HTTP Basic.
    pub fn basic(&self) -> Option<(String, String)> {
        let text = String::from_utf8(STANDARD.decode(self.credentials("Basic")?).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }
}

/// An answer before any fault is applied.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Reply {
    pub fn json(status: u16, body: &impl serde::Serialize) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: vec![("content-type", "application/json;charset=utf-8".into())],
            body: serde_json::to_vec(body).unwrap_or_default().into(),
        }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn plain(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, headers: vec![("content-type", content_type.into())], body: body.into() }
    }
}

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Accepts until told to stop; every connection is a task of the tracker.
pub(super) async fn accept(
    listener: TcpListener,
    vendor: Vendor,
    shared: Arc<Shared>,
    tracker: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        // Dropping an accept loses no connection: it stays in the listener's queue.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        // An error is of one connection (it broke before it was taken), not of the listener.
        let Ok((stream, _)) = accepted else { continue };
        tracker.spawn(connection(stream, vendor, shared.clone(), stop.clone()));
    }
}

async fn connection(stream: TcpStream, vendor: Vendor, shared: Arc<Shared>, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let cut = Arc::new(Notify::new());
    let service = service_fn(|request| serve(vendor, shared.clone(), cut.clone(), request));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Dropping the connection in the last two arms is what they are for.
    tokio::select! {
        _ = &mut connection => {}
        () = cut.notified() => {
            // Closing without lingering sends RST.
            let stream = connection.into_parts().io.into_inner();
            let _ = stream.set_zero_linger();
        }
        () = stop.cancelled() => {}
    }
}

async fn serve(
    vendor: Vendor,
    shared: Arc<Shared>,
    cut: Arc<Notify>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Body>, Infallible> {
    let Some(request) = read(request, shared.clock.now()).await else {
        return Ok(response(&Reply::json(413, &json!({ "message": "request too large" }))));
    };
    if request.segments.first().is_some_and(|s| s.starts_with('_')) {
        return Ok(response(&control(&shared, &request)));
    }
    shared.book.write(vendor, &request);
    let setting = shared.faults.take(vendor);
    if !setting.latency.is_zero() {
        tokio::time::sleep(setting.latency).await;
    }
    let Some(standin) = shared.standins.get(&vendor) else { return Ok(response(&plain_refusal(404))) };
    let right = || standin.answer(&request, setting.fault == Fault::Stranger);
    Ok(match setting.fault {
        Fault::None | Fault::Stranger => response(&right()),
        Fault::Slow => {
            tokio::time::sleep(setting.slow).await;
            response(&right())
        }
        Fault::Hang => std::future::pending().await,
        Fault::Reset => {
            cut.notify_one();
            std::future::pending().await
        }
        Fault::Status(status) => {
            let reply = standin.refusal(status);
            match status {
                429 => response(&reply.with("retry-after", setting.retry_after.to_string())),
                _ => response(&reply),
            }
        }
        Fault::Garbage => response(&Reply::plain("application/json", &b"%PDF-1.7 \xff\xfe {"[..])),
        Fault::Html => response(&Reply::plain(
            "text/html",
            "<!doctype html><html><head><title>Log in</title></head><body><form method=post></form></body></html>",
        )),
        Fault::Half => half(right()),
        Fault::Big => response(&Reply::plain("application/json", faults::big())),
        Fault::Drip => drip(right()),
        Fault::GzipBomb => {
            response(&Reply::plain("application/json", faults::gzip_bomb()).with("content-encoding", "gzip"))
        }
        Fault::Deep => response(&Reply::plain("application/json", faults::deep())),
    })
}

async fn read(request: hyper::Request<Incoming>, at: Timestamp) -> Option<Request> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, REQUEST_MAX).collect().await.ok()?.to_bytes();
    let decode = |segment: &str| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned();
    let path = parts.uri.path();
    Some(Request {
        method: parts.method,
        segments: path.split('/').skip(1).filter(|s| !s.is_empty()).map(decode).collect(),
        query: form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes()).into_owned().collect(),
        headers: parts.headers,
        body,
        at,
    })
}

/// How the payment, appointment and inventory APIs word a status.
pub(super) fn plain_refusal(status: u16) -> Reply {
    let reason = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
    Reply::json(status, &json!({ "error": reason }))
}

/// `POST /_faults`, `GET /_faults`, `GET /_book?source=`, `DELETE /_book`; the same at every stand-in.
fn control(shared: &Shared, request: &Request) -> Reply {
    let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    match (request.method.as_str(), path.as_slice()) {
        ("POST", ["_faults"]) => match shared.faults.change(&request.body) {
            Ok(()) => Reply::json(200, &shared.faults.json()),
            Err(why) => Reply::json(400, &json!({ "error": why })),
        },
        ("GET", ["_faults"]) => Reply::json(200, &shared.faults.json()),
        ("GET", ["_book"]) => Reply::json(200, &shared.book.json(request.query("source").and_then(Vendor::parse))),
        ("DELETE", ["_book"]) => {
            shared.book.clear();
            Reply::json(200, &json!({ "written": 0 }))
        }
        _ => Reply::json(404, &json!({ "error": "POST or GET /_faults, GET or DELETE /_book" })),
    }
}

fn response(reply: &Reply) -> hyper::Response<Body> {
    let body = http_body_util::Full::new(reply.body.clone()).map_err(|never: Infallible| match never {});
    head(reply, body.boxed_unsync())
}

/// The head promises the whole answer; the body breaks off in its middle.
fn half(reply: Reply) -> hyper::Response<Body> {
    let first = reply.body.slice(..reply.body.len() / 2);
    let frames = stream::once(async move { Ok(Frame::data(first)) }).chain(stream::once(async {
        // Being pending once lets the first half out before the connection breaks.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::BrokenPipe))
    }));
    let length = reply.body.len().to_string();
    head(&reply.with("content-length", length), StreamBody::new(frames).boxed_unsync())
}

fn drip(reply: Reply) -> hyper::Response<Body> {
    let bytes = reply.body.clone();
    let frames = stream::iter(0..bytes.len()).then(move |at| {
        let byte = bytes.slice(at..=at);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Frame::data(byte))
        }
    });
    let length = reply.body.len().to_string();
    head(&reply.with("content-length", length), StreamBody::new(frames).boxed_unsync())
}

fn head(reply: &Reply, body: Body) -> hyper::Response<Body> {
    let mut response = hyper::Response::new(body);
    *response.status_mut() = reply.status;
    for (name, value) in &reply.headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}
