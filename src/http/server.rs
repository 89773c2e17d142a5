//! Connections: how many, how slow they may be, and how they end. Answers in flight are finished
//! at shutdown.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::{Edge, Error, router, studio};
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
///
/// # Errors
/// When the routes cannot be made of the configuration.
pub async fn serve(listener: TcpListener, edge: Arc<Edge>, tracker: &TaskTracker) -> Result<(), Error> {
    let router = router(edge.clone())?;
    let server = &edge.config.server;
    let builder = builder(tracker.clone(), server.header_timeout);
    let permits = Arc::new(Semaphore::new(server.max_connections));
    let graceful = GracefulShutdown::new();
    let cut = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            // Dropping an accept loses no connection: it stays in the backlog.
            () = edge.stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, address)) = accepted else {
            // Out of descriptors, most likely: some will come back.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            // Closed at once: a caller's flow goes on sooner than if it waited in a queue.
            edge.metrics.refused(Refusal::Connections);
            continue;
        };
        let connection = Connection {
            edge: edge.clone(),
            router: router.clone(),
            address,
            _permit: permit,
            watcher: graceful.watcher(),
            cut: cut.clone(),
        };
        tracker.spawn(connection.run(builder.clone(), stream));
    }
    drop(listener);
    if tokio::time::timeout(server.shutdown_grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("answers in flight are cut off: the shutdown's grace has passed");
    }
    cut.cancel();
    Ok(())
}

fn builder(tracker: TaskTracker, header_timeout: Duration) -> Builder<Tracked> {
    let mut builder = Builder::new(Tracked(tracker));
    builder.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADERS_MAX as u32);
    builder
}

struct Connection {
    edge: Arc<Edge>,
    router: Router,
    address: SocketAddr,
    _permit: OwnedSemaphorePermit,
    watcher: Watcher,
    cut: CancellationToken,
}

impl Connection {
    async fn run(self, builder: Builder<Tracked>, stream: TcpStream) {
        let Self { edge, router, address, _permit, watcher, cut } = self;
        let _ = stream.set_nodelay(true);
        edge.metrics.connections.increment(1.0);
        let heard = Arc::new(AtomicBool::new(false));
        let service = service_fn(|request| {
            heard.store(true, Ordering::Relaxed);
            let (edge, router) = (edge.clone(), router.clone());
            async move { Ok::<_, Infallible>(answer(edge, router, address, request).await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(watcher.watch(connection));
        // While the protocol is unknown nothing below us minds the time.
        let silent = tokio::time::sleep(edge.config.server.header_timeout);
        tokio::select! {
            // Errors of a connection are the peer's; dropping one closes it.
            _ = connection.as_mut() => {}
            () = cut.cancelled() => {}
            () = silent => {
                if heard.load(Ordering::Relaxed) {
                    tokio::select! {
                        _ = connection => {}
                        () = cut.cancelled() => {}
                    }
                }
            }
        }
        edge.metrics.connections.decrement(1.0);
    }
}

async fn answer(edge: Arc<Edge>, router: Router, address: SocketAddr, request: Request<Incoming>) -> Response {
    let peer = edge.proxies.peer(address.ip(), request.headers());
    let mut response = if request.uri().path() == studio::PATH {
        studio::answer(&edge, peer, request).await
    } else {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
