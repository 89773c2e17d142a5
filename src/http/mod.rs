//! The edge: requests in, bytes out. Credentials, parameters and status codes live here; nobody
//! imports this module but `app`, and `cli` to judge callers alike.

mod answer;
mod audit;
mod auth;
mod callers;
mod compare;
mod context;
mod current;
mod docs;
mod error;
mod meetings;
mod openapi;
mod operations;
mod parameters;
mod peer;
mod router;
mod server;
mod studio;
pub mod twilio_signature;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::identity::ListError;
use crate::domain::{NameId, Value};
use crate::lookup::Engine;
use crate::store::audit::AuditLog;
use crate::store::keys::Keys;
use crate::telemetry::Metrics;
use crate::view::Policy;

pub(crate) use callers::{Call, Callers};
pub use compare::Comparisons;
pub use current::{Current, Serving, Standing};
pub use router::router;
pub use server::serve;

/// What the edge stands on.
pub struct Parts {
    pub config: Arc<Config>,
    pub engine: Arc<Engine>,
    pub keys: Keys,
    pub audit: AuditLog,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    pub comparisons: Arc<Comparisons>,
    /// Cancelled when the gateway goes down: `/readyz` says so at once.
    pub stop: CancellationToken,
}

/// Everything a request needs. A reload makes another: see [`Current`].
pub struct Edge {
    config: Arc<Config>,
    engine: Arc<Engine>,
    keys: Keys,
    audit: AuditLog,
    metrics: Arc<Metrics>,
    clock: Clock,
    comparisons: Arc<Comparisons>,
    stop: CancellationToken,
    policy: Policy,
    /// Made by this policy: what another one showed is in another edge.
    rendered: answer::RenderedCache,
    /// The inputs of a request that names none.
    defaults: Arc<[(NameId, Value)]>,
    wrong_keys: auth::WrongKeys,
    accounts: twilio_signature::Accounts,
    proxies: peer::Proxies,
    callers: Callers,
    empty_widgets: studio::EmptyWidgets,
    standing: Arc<ArcSwap<Standing>>,
}

/// What keeps the edge from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a list under [phone] cannot be used: {0}")]
    Phone(#[source] ListError),
    #[error("server.trusted_proxies holds something that is neither an address nor a network")]
    Proxy(#[from] peer::NetworkError),
    #[error("server.cors_origins holds something that is not an origin")]
    Origin,
    #[error("the document of the API cannot be written")]
    Document(#[from] serde_json::Error),
}

impl Edge {
    /// # Errors
    /// When the configuration holds lists that cannot be used.
    pub fn new(parts: Parts) -> Result<Arc<Self>, Error> {
        Self::make(parts, None)
    }

    /// An edge for another configuration. It goes on with what this one knows of its peers; nothing
    /// that this one rendered is in it.
    ///
    /// # Errors
    /// When the configuration holds lists that cannot be used.
    pub fn after(&self, config: Arc<Config>, engine: Arc<Engine>, metrics: Arc<Metrics>) -> Result<Arc<Self>, Error> {
        let parts = Parts {
            config,
            engine,
            metrics,
            keys: self.keys.clone(),
            audit: self.audit.clone(),
            clock: self.clock,
            comparisons: self.comparisons.clone(),
            stop: self.stop.clone(),
        };
        Self::make(parts, Some(self))
    }

    fn make(parts: Parts, earlier: Option<&Self>) -> Result<Arc<Self>, Error> {
        let config = parts.config;
        let policy = Policy::new(parts.engine.plan().clone(), &config.views);
        Ok(Arc::new(Self {
            callers: Callers::new(&config)?,
            proxies: peer::Proxies::parse(&config.server.trusted_proxies)?,
            accounts: twilio_signature::Accounts::of(&config),
            wrong_keys: match earlier {
                Some(earlier) => earlier.wrong_keys.with_limit(config.limits.wrong_keys_per_peer),
                None => auth::WrongKeys::new(config.limits.wrong_keys_per_peer),
            },
            policy,
            rendered: answer::rendered_cache(config.cache.rendered_max_bytes),
            defaults: answer::default_inputs(&config.inputs),
            empty_widgets: earlier.map(|earlier| earlier.empty_widgets.clone()).unwrap_or_default(),
            standing: match earlier {
                Some(earlier) => earlier.standing.clone(),
                None => {
                    Arc::new(ArcSwap::from_pointee(Standing { loaded_at: parts.clock.now(), ..Standing::default() }))
                }
            },
            engine: parts.engine,
            keys: parts.keys,
            audit: parts.audit,
            metrics: parts.metrics,
            clock: parts.clock,
            comparisons: parts.comparisons,
            stop: parts.stop,
            config,
        }))
    }

    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What `/readyz` says of the configuration; the same for all edges of the process.
    pub fn standing(&self) -> &ArcSwap<Standing> {
        &self.standing
    }
}
