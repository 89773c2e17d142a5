//! The edge: requests in, bytes out. Credentials, parameters and status codes live here; nobody
//! imports this module but `app`.

mod answer;
mod audit;
mod auth;
mod context;
mod error;
mod operations;
mod parameters;
mod peer;
mod router;
mod server;
mod studio;
pub mod twilio_signature;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use moka::future::Cache;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::domain::identity::{CallerIdLists, ListError};
use crate::domain::{CallerIdRules, Organization};
use crate::lookup::Engine;
use crate::store::audit::AuditLog;
use crate::store::keys::Keys;
use crate::telemetry::Metrics;
use crate::view::{Policy, Rendered};

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
    rendered: Cache<answer::RenderKey, Rendered>,
    wrong_keys: auth::WrongKeys,
    accounts: twilio_signature::Accounts,
    proxies: peer::Proxies,
    callers: HashMap<Organization, CallerIdRules>,
    /// The rules of organizations that have none of their own.
    any_caller: CallerIdRules,
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
}

impl Edge {
    /// # Errors
    /// When the configuration holds lists that cannot be used.
    pub fn new(parts: Parts) -> Result<Arc<Self>, Error> {
        let config = parts.config;
        let policy = Policy::new(parts.engine.plan().clone(), &config.views, 0);
        let rendered = Cache::builder()
            .max_capacity(config.cache.rendered_max_bytes)
            .weigher(|_, rendered: &Rendered| u32::try_from(rendered.weight()).unwrap_or(u32::MAX))
            .build();
        let own = config.organizations.iter().filter_map(|(name, rules)| {
            let region = rules.default_region.as_deref()?;
            Some(caller_rules(&config.phone, Some(region)).map(|rules| (name.clone(), rules)))
        });
        Ok(Arc::new(Self {
            callers: own.collect::<Result<_, _>>()?,
            any_caller: caller_rules(&config.phone, None)?,
            proxies: peer::Proxies::parse(&config.server.trusted_proxies)?,
            accounts: twilio_signature::Accounts::of(&config),
            wrong_keys: auth::WrongKeys::new(config.limits.wrong_keys_per_peer),
            policy: ArcSwap::from_pointee(policy),
            rendered,
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

    fn caller_rules(&self, organization: &Organization) -> &CallerIdRules {
        self.callers.get(organization).unwrap_or(&self.any_caller)
    }
}

fn caller_rules(phone: &config::PhoneRules, region: Option<&str>) -> Result<CallerIdRules, Error> {
    let built_in = CallerIdLists::default();
    let lists = CallerIdLists {
        default_region: region.or(phone.default_region.as_deref()).map(str::to_owned),
        withheld_words: phone.withheld_words.clone().unwrap_or(built_in.withheld_words),
        withheld_numbers: phone.withheld_numbers.clone().unwrap_or(built_in.withheld_numbers),
        placeholders: phone.placeholders.clone().unwrap_or(built_in.placeholders),
        own_numbers: phone.own_numbers.clone(),
        sip_domains: phone.sip_domains.clone(),
        customers: phone.clients.clone().into_iter().collect(),
    };
    CallerIdRules::new(&lists).map_err(|problems| {
        // `check` lists them all; one is enough to stop.
        Error::Phone(problems.into_iter().next().unwrap_or(ListError::Region))
    })
}
