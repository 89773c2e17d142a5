//! What requests are answered with now: an edge and its routes. A reload puts another in its place;
//! whoever began with the one before ends with it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use jiff::Timestamp;

use super::{Edge, Error, router};

/// The edge in force. Every request takes it once, when it begins.
pub struct Current {
    serving: ArcSwap<Serving>,
}

/// An edge with its routes.
pub struct Serving {
    pub edge: Arc<Edge>,
    pub(super) router: Router,
}

impl Current {
    /// # Errors
    /// When the edge's configuration has lists that routes cannot be made with.
    pub fn new(edge: Arc<Edge>) -> Result<Self, Error> {
        Ok(Self { serving: ArcSwap::from_pointee(Serving::new(edge)?) })
    }

    /// What a request that begins now is answered with.
    pub fn get(&self) -> Arc<Serving> {
        self.serving.load_full()
    }

    /// Requests that begin after this are answered with that edge.
    pub fn replace(&self, serving: Serving) {
        self.serving.store(Arc::new(serving));
    }
}

impl Serving {
    /// # Errors
    /// As [`Current::new`].
    pub fn new(edge: Arc<Edge>) -> Result<Self, Error> {
        Ok(Self { router: router(edge.clone())?, edge })
    }
}

/// How the configuration in force stands to the files it was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// When it was put in force.
    pub loaded_at: Timestamp,
    /// Since when the files say something else, which has problems.
    pub outdated_since: Option<Timestamp>,
    /// Keys whose new values take a restart.
    pub takes_restart: Vec<&'static str>,
}
