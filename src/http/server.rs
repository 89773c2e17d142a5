//! Connections: how many, how slow they may be, and how they end. When there are too many, the one
//! that would be missed least makes room. Answers in flight are finished at shutdown.
//!
//! How long a peer takes to ask is watched per connection, not per request: a timer that is set and
//! dropped for each request costs a tenth of a cached answer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::io::InspectReader;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::{Current, studio};
use crate::telemetry::metrics::Refusal;

/// Headers of one request, in bytes.
const HEADERS_MAX: usize = 32 * 1024;
const STREAMS_MAX: u32 = 128;

/// Runs the tasks that HTTP/2 wants on our tracker.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Serves until the edge's `stop` is cancelled, then finishes the answers in flight, for at
/// most the configured grace.
pub async fn serve(listener: TcpListener, current: Arc<Current>, tracker: &TaskTracker) {
    let (stop, max_connections) = {
        let edge = &current.get().edge;
        (edge.stop.clone(), edge.config.server.max_connections)
    };
    let builder = builder(tracker.clone());
    let permits = Arc::new(Semaphore::new(max_connections));
    let (lines, graceful, cut) = (Lines::default(), GracefulShutdown::new(), CancellationToken::new());
    loop {
        let accepted = tokio::select! {
            // Dropping an accept loses no connection: it stays in the backlog.
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, address)) = accepted else {
            // Out of descriptors, most likely: some will come back.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let permit = match permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) if lines.cut_the_idlest() => match permits.clone().acquire_owned().await {
                Ok(permit) => permit,
                Err(_) => break, // the semaphore is never closed
            },
            Err(_) => {
                // Closed at once: a caller's flow goes on sooner than if it waited in a queue.
                current.get().edge.metrics.refused(Refusal::Connections);
                continue;
            }
        };
        let connection = Connection {
            current: current.clone(),
            address,
            _permit: permit,
            watcher: graceful.watcher(),
            line: lines.open(cut.child_token()),
        };
        tracker.spawn(connection.run(builder.clone(), stream));
    }
    drop(listener);
    let grace = current.get().edge.config.server.shutdown_grace;
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("answers in flight are cut off: the shutdown's grace has passed");
    }
    cut.cancel();
}

fn builder(tracker: TaskTracker) -> Builder<Tracked> {
    let mut builder = Builder::new(Tracked(tracker));
    // one piece of memory and one plain write are cheaper than two pieces: answers are small
    builder.http1().header_read_timeout(None).max_buf_size(HEADERS_MAX).writev(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADERS_MAX as u32);
    builder
}

/// The connections that are open.
#[derive(Clone, Default)]
struct Lines {
    open: Arc<Mutex<HashMap<u64, Arc<Line>>>>,
    /// Counts openings and answers: what came earlier has the lower number.
    turns: Arc<AtomicU64>,
}

/// One of them. It is taken out of the list when the last [`OpenLine`] goes.
#[derive(Default)]
struct Line {
    /// Requests that are being answered.
    busy: AtomicUsize,
    /// The turn of the last answer; zero before the first.
    answered: AtomicU64,
    /// Bytes came that belong to no request yet.
    reading: AtomicBool,
    /// Speaks HTTP/2, which minds silent peers by itself.
    http2: AtomicBool,
    cut: CancellationToken,
}

struct OpenLine {
    line: Arc<Line>,
    number: u64,
    lines: Lines,
}

impl Lines {
    fn open(&self, cut: CancellationToken) -> OpenLine {
        let line = Arc::new(Line { cut, ..Line::default() });
        let number = self.turn();
        self.lock().insert(number, line.clone());
        OpenLine { line, number, lines: self.clone() }
    }

    /// Cuts the connection that has nothing to do for longest; those that never asked anything go
    /// first. `false`: all are busy.
    fn cut_the_idlest(&self) -> bool {
        let mut open = self.lock();
        let idle = open.iter().filter(|(_, line)| line.busy.load(Ordering::Relaxed) == 0);
        let idlest = idle.min_by_key(|(number, line)| (line.answered.load(Ordering::Relaxed), **number));
        let Some(number) = idlest.map(|(number, _)| *number) else { return false };
        if let Some(line) = open.remove(&number) {
            line.cut.cancel();
        }
        true
    }

    fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Line>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenLine {
    async fn busy<T>(&self, answer: impl Future<Output = T>) -> T {
        let _busy = Busy::new(&self.line, &self.lines);
        answer.await
    }

    /// Ends when a request's headers come too slowly, or not at all after `idle`. It looks four
    /// times in `header`, so what is late may be late by a quarter.
    async fn silent_for(&self, header: Duration, idle: Duration) {
        let look = header / 4;
        let (mut silent, mut last) = (Duration::ZERO, (0, false));
        loop {
            tokio::time::sleep(look).await;
            let line = &self.line;
            let state = (line.answered.load(Ordering::Relaxed), line.reading.load(Ordering::Relaxed));
            let minds = line.busy.load(Ordering::Relaxed) > 0 || line.http2.load(Ordering::Relaxed);
            silent = if minds || state != last { Duration::ZERO } else { silent + look };
            last = state;
            let patience = if state.0 == 0 || state.1 { header } else { idle };
            if silent >= patience {
                return;
            }
        }
    }
}

impl Drop for OpenLine {
    fn drop(&mut self) {
        self.lines.lock().remove(&self.number);
    }
}

/// A request is being answered, until this is dropped.
struct Busy<'a> {
    line: &'a Line,
    lines: &'a Lines,
}

impl<'a> Busy<'a> {
    fn new(line: &'a Line, lines: &'a Lines) -> Self {
        line.busy.fetch_add(1, Ordering::Relaxed);
        line.reading.store(false, Ordering::Relaxed);
        Self { line, lines }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.line.answered.store(self.lines.turn(), Ordering::Relaxed);
        // what was read meanwhile was the body
        self.line.reading.store(false, Ordering::Relaxed);
        self.line.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Connection {
    current: Arc<Current>,
    address: SocketAddr,
    _permit: OwnedSemaphorePermit,
    watcher: Watcher,
    line: OpenLine,
}

/// What answers the requests of one connection.
struct Conversation {
    current: Arc<Current>,
    address: SocketAddr,
    line: OpenLine,
}

/// Attributes are one piece; what the router answers may be anything.
type AnswerBody = Either<Full<Bytes>, Body>;

impl Connection {
    async fn run(self, builder: Builder<Tracked>, stream: TcpStream) {
        let Self { current, address, _permit, watcher, line } = self;
        // not the edge itself: a connection outlives many
        let serving = current.get();
        let server = &serving.edge.config.server;
        let (header, idle, tls) = (server.header_timeout, server.idle_timeout, server.tls.clone());
        let metrics = serving.edge.metrics.clone();
        drop(serving);
        let _ = stream.set_nodelay(true);
        metrics.connections.increment(1.0);
        let stream = match tls {
            None => Some(tokio_util::either::Either::Left(stream)),
            Some(config) => tokio::select! {
                // a handshake that is dropped, fails or takes too long is a connection that is closed
                shaken = tokio::time::timeout(header, TlsAcceptor::from(config).accept(stream)) => {
                    shaken.ok().and_then(Result::ok).map(tokio_util::either::Either::Right)
                }
                () = line.line.cut.cancelled() => None,
            },
        };
        let Some(stream) = stream else {
            metrics.connections.decrement(1.0);
            return;
        };
        let conversation = Arc::new(Conversation { current, address, line });
        let service = service_fn(|request| {
            let conversation = conversation.clone();
            async move { Ok::<_, Infallible>(conversation.line.busy(conversation.answer(request)).await) }
        });
        let line = conversation.line.line.clone();
        let stream = InspectReader::new(stream, move |_| line.reading.store(true, Ordering::Relaxed));
        let connection = watcher.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            // Errors of a connection are the peer's; dropping one closes it.
            _ = connection => {}
            () = conversation.line.line.cut.cancelled() => {}
            () = conversation.line.silent_for(header, idle) => {}
        }
        metrics.connections.decrement(1.0);
    }
}

impl Conversation {
    async fn answer(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        if request.version() == Version::HTTP_2 {
            self.line.line.http2.store(true, Ordering::Relaxed);
        }
        let serving = self.current.get();
        let edge = &serving.edge;
        let peer = edge.proxies.peer(self.address.ip(), request.headers());
        let mut response = if request.uri().path() == studio::PATH {
            match studio::answer(edge, peer, request).await {
                Ok(attributes) => whole(attributes),
                Err(refused) => refused.map(Either::Right),
            }
        } else {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            match serving.router.clone().oneshot(request).await {
                Ok(response) => response.map(Either::Right),
                Err(never) => match never {},
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

fn whole(json: Bytes) -> Response<AnswerBody> {
    let mut response = Response::new(Either::Left(Full::new(json)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
