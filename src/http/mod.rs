//! The edge: requests in, bytes out. Credentials, parameters and status codes live here; nobody
//! imports this module but `app`, and `cli` to judge callers alike.

mod answer;
mod audit;
mod auth;
mod callers;
mod context;
mod docs;
mod error;
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
use crate::config::{self, Config};
use crate::domain::identity::ListError;
use crate::domain::{NameId, Value};
use crate::lookup::Engine;
use crate::store::audit::AuditLog;
use crate::store::keys::Keys;
use crate::telemetry::Metrics;
use crate::view::Policy;

pub(crate) use callers::{Call, Callers};
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
    /// Cancelled when the gateway goes down: `/readyz` says so at once.
    pub stop: CancellationToken,
}

/// Everything a request needs. One per process.
pub struct Edge {
    config: Arc<Config>,
    engine: Arc<Engine>,
    keys: Keys,
    audit: AuditLog,
    metrics: Arc<Metrics>,
    clock: Clock,
    stop: CancellationToken,
    policy: ArcSwap<Policy>,
    rendered: answer::RenderedCache,
    /// The inputs of a request that names none.
    defaults: Arc<[(NameId, Value)]>,
    wrong_keys: auth::WrongKeys,
    accounts: twilio_signature::Accounts,
    proxies: peer::Proxies,
    callers: Callers,
    empty_widgets: studio::EmptyWidgets,
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
        let config = parts.config;
        let policy = Policy::new(parts.engine.plan().clone(), &config.views, 0);
        Ok(Arc::new(Self {
            callers: Callers::new(&config)?,
            proxies: peer::Proxies::parse(&config.server.trusted_proxies)?,
            accounts: twilio_signature::Accounts::of(&config),
            wrong_keys: auth::WrongKeys::new(config.limits.wrong_keys_per_peer),
            policy: ArcSwap::from_pointee(policy),
            rendered: answer::rendered_cache(config.cache.rendered_max_bytes),
            defaults: answer::default_inputs(&config.inputs),
            empty_widgets: studio::EmptyWidgets::default(),
            engine: parts.engine,
            keys: parts.keys,
            audit: parts.audit,
            metrics: parts.metrics,
            clock: parts.clock,
            stop: parts.stop,
            config,
        }))
    }

    /// Puts new views in force. Nothing rendered under the old ones is served from then on.
    pub fn replace_views(&self, views: &std::collections::BTreeMap<Arc<str>, config::View>) {
        self.policy.rcu(|old| Policy::new(self.engine.plan().clone(), views, old.generation() + 1));
    }
}
