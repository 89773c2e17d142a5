//! The composition root: builds everything from a valid configuration, owns the tasks, shuts down
//! in order. Imports all rooms; only `cli`, `main` and tests import it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Config;
use crate::http::{self, Edge, Parts};
use crate::lookup::Engine;
use crate::source::StartError;
use crate::store::audit::AuditLog;
use crate::store::keys::Keys;
use crate::store::{self, Database};
use crate::telemetry::Metrics;

/// A gateway that serves. Dropping it without [`App::shutdown`] leaves answers in flight undone.
pub struct App {
    pub address: SocketAddr,
    pub engine: Arc<Engine>,
    pub audit: AuditLog,
    stop: CancellationToken,
    tracker: TaskTracker,
    server: tokio::task::JoinHandle<()>,
}

/// Why the gateway does not start, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no key is usable: make one with `caller-context keys new --view studio`")]
    NoKey,
    #[error(
        "server.listen is not loopback and nothing stands in front: keys would travel in clear. Put a proxy that \
         terminates TLS in front and name it in server.trusted_proxies"
    )]
    Exposed,
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the store cannot be opened")]
    Store(#[from] store::Error),
    #[error(transparent)]
    Source(#[from] StartError),
    #[error(transparent)]
    Edge(#[from] http::Error),
}

/// Whose keys open the door.
pub enum KeysFrom {
    /// Those of the store, re-read as they change.
    Store,
    /// Literal ones, of the demo and of tests.
    Fixed(Keys),
}

impl App {
    /// Opens the store, sets up the sources, listens. When this returns, requests are answered.
    pub async fn start(config: Arc<Config>, keys: KeysFrom, clock: Clock) -> Result<Self, Error> {
        let listen = config.server.listen;
        if !listen.ip().is_loopback() && config.server.trusted_proxies.is_empty() {
            return Err(Error::Exposed);
        }
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        warm_phone_parser(&config);
        let database = Database::open(&config.store, &tracker).await?;
        let keys = match keys {
            KeysFrom::Fixed(keys) => keys,
            KeysFrom::Store => Keys::watch(database.clone(), &tracker, stop.clone()).await?,
        };
        if keys.is_empty(clock.now()) {
            return Err(Error::NoKey);
        }
        let metrics = Metrics::new(&config.plan, config.organizations.keys());
        let audit = AuditLog::start(database, &config.audit, clock, &tracker);
        let engine = Arc::new(Engine::start(&config, clock, tracker.clone(), metrics.clone())?);
        let listener = listen_on(listen).await?;
        let address = listener.local_addr().map_err(|source| Error::Listen { address: listen, source })?;
        let edge = Edge::new(Parts {
            config,
            engine: engine.clone(),
            keys,
            audit: audit.clone(),
            metrics: metrics.clone(),
            clock,
            stop: stop.clone(),
        })?;
        let router = http::router(edge.clone())?;
        tracker.spawn(upkeep(engine.clone(), metrics, stop.clone()));
        let served = {
            let tracker = tracker.clone();
            async move { http::serve(listener, edge, router, &tracker).await }
        };
        let server = tracker.spawn(served);
        Ok(Self { address, engine, audit, stop, tracker, server })
    }

    /// Serves until `until` is done, then shuts down.
    pub async fn run(self, until: impl Future<Output = ()>) {
        tokio::select! {
            // dropping either arm loses nothing: shutdown follows in both
            () = until => {}
            () = self.stop.cancelled() => {}
        }
        self.shutdown().await;
    }

    /// No new connection; answers in flight are finished, then what the audit log still holds is
    /// written, then tasks end.
    pub async fn shutdown(self) {
        self.stop.cancel();
        let _ = self.server.await; // a panic is already logged by the hook
        self.audit.close().await;
        self.tracker.close();
        // sources may hang for longer than a shutdown may take
        let _ = tokio::time::timeout(Duration::from_secs(5), self.tracker.wait()).await;
    }
}

async fn listen_on(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// The first parse of a country costs milliseconds; the first caller should not pay for it.
fn warm_phone_parser(config: &Config) {
    let of_sources = config.plan.sources.iter().filter_map(|s| s.region.as_deref());
    let of_organizations = config.organizations.values().filter_map(|o| o.default_region.as_deref());
    let regions: Vec<&str> =
        config.phone.default_region.as_deref().into_iter().chain(of_sources).chain(of_organizations).collect();
    crate::domain::phone::warm(&regions);
}

async fn upkeep(engine: Arc<Engine>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = every.tick() => {
                engine.upkeep();
                metrics.upkeep();
            }
            () = stop.cancelled() => return,
        }
    }
}
