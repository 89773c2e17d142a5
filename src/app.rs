//! The composition root: builds everything from a valid configuration, puts another one in force
//! while it runs, owns the tasks, shuts down in order. Imports all rooms; only `cli`, `main`,
//! `reload` and tests import it.

mod changes;
mod spending;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::{self, Config, Invalid, Layers, MadeFrom, Reload};
use crate::http::{self, Comparisons, Current, Edge, Parts, Serving, Standing};
use crate::lookup::Engine;
use crate::reload;
use crate::source::StartError;
use crate::store::audit::AuditLog;
use crate::store::keys::Keys;
use crate::store::{self, Database};
use crate::telemetry::{Metrics, metrics};
use spending::Spending;

/// A gateway that serves. Dropping it without [`App::shutdown`] leaves answers in flight undone.
pub struct App {
    pub address: SocketAddr,
    pub audit: AuditLog,
    running: Arc<Running>,
    stop: CancellationToken,
    /// No call begins any more.
    answered: CancellationToken,
    tracker: TaskTracker,
    server: tokio::task::JoinHandle<()>,
}

/// Why the gateway does not start, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no key is usable: make one with `caller-context keys new --view studio`")]
    NoKey,
    #[error(
        "server.listen is not loopback and nothing stands in front: keys would travel in clear. Give it a \
         certificate in server.tls, or put a proxy that terminates TLS in front and name it in server.trusted_proxies"
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

/// Why a configuration is not put in force; the one before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Unreadable(#[from] config::Unreadable),
    #[error("the configuration has problems\n{0}")]
    Invalid(Box<Invalid>),
    #[error("the configuration cannot be put in force")]
    Unfit(#[from] Error),
    #[error("the configuration could not be read to its end")]
    Panicked,
}

/// What a load of the configuration came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reloaded {
    /// Every request that begins now is answered by it.
    Applied,
    /// It is made from what the one in force is made from.
    Unchanged,
}

#[derive(Default)]
struct Files {
    /// Of the configuration in force.
    made_from: MadeFrom,
    /// These, and those of a configuration that was refused.
    watched: MadeFrom,
}

/// A gateway's configuration, for those who replace it.
pub struct Running {
    current: Arc<Current>,
    audit: AuditLog,
    clock: Clock,
    /// As it was started: what takes a restart is as it says there.
    started: Arc<Config>,
    files: Mutex<Files>,
    /// One at a time.
    turn: tokio::sync::Mutex<()>,
    tracker: TaskTracker,
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
        if is_exposed(listen, &config) {
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
        let audit = AuditLog::start(database.clone(), &config.audit, clock, &tracker);
        let engine = Arc::new(Engine::start(&config, clock, tracker.clone(), metrics.clone())?);
        let spending = Spending::begin(database, &engine, clock).await?;
        let listener = listen_on(listen).await?;
        let address = listener.local_addr().map_err(|source| Error::Listen { address: listen, source })?;
        let edge = Edge::new(Parts {
            config: config.clone(),
            engine,
            keys,
            audit: audit.clone(),
            metrics,
            clock,
            comparisons: Comparisons::new(tracker.clone(), clock),
            stop: stop.clone(),
        })?;
        let current = Arc::new(Current::new(edge)?);
        tracker.spawn(upkeep(current.clone(), stop.clone()));
        let answered = CancellationToken::new();
        tracker.spawn(spending.keep(current.clone(), answered.clone()));
        let served = {
            let (tracker, current) = (tracker.clone(), current.clone());
            async move { http::serve(listener, current, &tracker).await }
        };
        let server = tracker.spawn(served);
        let running = Running {
            current,
            audit: audit.clone(),
            clock,
            started: config,
            files: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            tracker: tracker.clone(),
        };
        Ok(Self { address, audit, running: Arc::new(running), stop, answered, tracker, server })
    }

    /// The engine in force.
    pub fn engine(&self) -> Arc<Engine> {
        self.running.current.get().edge.engine().clone()
    }

    /// Loads another configuration and puts it in force, as a whole or not at all.
    pub async fn reload(&self, layers: Layers) -> Result<Reloaded, Refused> {
        self.running.reload(layers).await
    }

    /// From now on the configuration is loaded anew as it says itself. `made_from` is what the one
    /// in force was made from.
    pub fn follow(&self, origin: reload::Origin, made_from: MadeFrom) {
        *self.running.files() = Files { watched: made_from.clone(), made_from };
        self.tracker.spawn(reload::follow(self.running.clone(), origin, self.stop.clone()));
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
        self.answered.cancel();
        self.audit.close().await;
        self.tracker.close();
        // sources may hang for longer than a shutdown may take
        let _ = tokio::time::timeout(Duration::from_secs(5), self.tracker.wait()).await;
    }
}

impl Running {
    /// Loads another configuration and puts it in force, as a whole or not at all. What came of it
    /// is logged, counted and shown by `/readyz`.
    pub async fn reload(&self, layers: Layers) -> Result<Reloaded, Refused> {
        let _turn = self.turn.lock().await;
        let in_force = self.current.get().edge.config().clone();
        // files are read and much is compiled: not among the requests
        let loading = self.tracker.spawn_blocking(move || config::load_after(&layers, &in_force));
        let loaded = match loading.await.map_err(|_| Refused::Panicked) {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(invalid)) => {
                self.files().watched.add_places(&invalid.made_from);
                return self.refuse(Refused::Invalid(Box::new(invalid)));
            }
            Err(panicked) => return self.refuse(panicked),
        };
        let is_same = loaded.made_from.says_the_same(&self.files().made_from);
        if is_same {
            self.files().watched = loaded.made_from;
            self.stands(Reloaded::Unchanged);
            return Ok(Reloaded::Unchanged);
        }
        for warning in &loaded.warnings {
            let place = warning.origin.map(|origin| loaded.files.position(origin));
            tracing::warn!(code = warning.code, place, "{}", warning.message);
        }
        if let Err(unfit) = self.apply(Arc::new(loaded.config)).await {
            self.files().watched.add_places(&loaded.made_from);
            return self.refuse(unfit.into());
        }
        *self.files() = Files { watched: loaded.made_from.clone(), made_from: loaded.made_from };
        self.stands(Reloaded::Applied);
        Ok(Reloaded::Applied)
    }

    /// Says that another configuration cannot be had, and why.
    pub fn refuse(&self, why: Refused) -> Result<Reloaded, Refused> {
        let edge = self.current.get().edge.clone();
        edge.metrics().reloaded(metrics::Reload::Refused);
        let now = self.clock.now();
        edge.standing()
            .rcu(|old| Standing { outdated_since: old.outdated_since.or(Some(now)), ..Standing::clone(old) });
        if let Refused::Invalid(invalid) = &why {
            for problem in invalid.errors() {
                let place = problem.origin.map(|origin| invalid.files.position(origin));
                tracing::error!(code = problem.code, place, "{}", problem.message);
            }
        }
        let cause = match &why {
            Refused::Invalid(_) => None,
            other => Some(chain(other)),
        };
        tracing::error!(cause, "the configuration was not loaded; the one before stays in force");
        Err(why)
    }

    /// When another configuration is to be loaded.
    pub fn reload_when(&self) -> Reload {
        self.current.get().edge.config().server.reload
    }

    /// The files that are to be watched.
    pub fn watched(&self) -> MadeFrom {
        self.files().watched.clone()
    }

    async fn apply(&self, config: Arc<Config>) -> Result<(), Error> {
        let before = self.current.get().edge.clone();
        // the socket stays where it is, whatever the configuration says
        if is_exposed(self.started.server.listen, &config) {
            return Err(Error::Exposed);
        }
        warm_phone_parser(&config);
        let metrics = before.metrics().after(&config.plan, config.organizations.keys());
        let engine = Arc::new(before.engine().after(&config, metrics.clone())?);
        let edge = before.after(config.clone(), engine, metrics)?;
        let serving = Serving::new(edge.clone())?;
        for row in changes::rows(&before, &edge) {
            if config.audit.strict {
                self.audit.record_strict(row).await?;
            } else {
                self.audit.record(row);
            }
        }
        self.current.replace(serving);
        Ok(())
    }

    /// The configuration in force is what the files say.
    fn stands(&self, how: Reloaded) {
        let edge = self.current.get().edge.clone();
        match how {
            Reloaded::Unchanged => {
                edge.metrics().reloaded(metrics::Reload::Unchanged);
                edge.standing().rcu(|old| Standing { outdated_since: None, ..Standing::clone(old) });
                tracing::debug!("the configuration is as it was");
            }
            Reloaded::Applied => {
                edge.metrics().reloaded(metrics::Reload::Applied);
                let takes_restart = changes::takes_restart(&self.started, edge.config());
                if !takes_restart.is_empty() {
                    tracing::warn!(keys = takes_restart.join(", "), "these keys have changed, which takes a restart");
                }
                edge.standing().store(Arc::new(Standing {
                    loaded_at: self.clock.now(),
                    outdated_since: None,
                    takes_restart,
                }));
                tracing::info!("the configuration was loaded anew and is in force");
            }
        }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys would travel in clear between machines.
fn is_exposed(listen: SocketAddr, config: &Config) -> bool {
    let server = &config.server;
    !listen.ip().is_loopback() && server.tls.is_none() && server.trusted_proxies.is_empty()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
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

async fn upkeep(current: Arc<Current>, stop: CancellationToken) {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = every.tick() => {
                let edge = &current.get().edge;
                edge.engine().upkeep();
                edge.metrics().upkeep();
            }
            () = stop.cancelled() => return,
        }
    }
}
