//! The hot path: fresh in cache? answer. Stale? answer and refresh behind. Otherwise join the
//! assembly in flight or start one, and answer with what arrived by the deadline.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Context, Identity, LookupStatus, Match, NameId, Organization, Value};
use crate::manifest::plan::Plan;

/// A question: who is this?
#[derive(Debug, Clone)]
pub struct Ask {
    pub organization: Organization,
    pub identity: Identity,
    /// Declared request inputs, defaults filled in, sorted by name.
    pub inputs: Arc<[(NameId, Value)]>,
    /// How long the answer may wait, already clamped.
    pub deadline: Duration,
    /// Whose miss budget a lookup that reaches a source is charged to.
    pub purse: Purse,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Purse {
    /// A key's public id.
    Key(Arc<str>),
    /// Calls that Twilio's signature proves.
    Verified,
    /// Our own work: the command line, refreshes.
    Operator,
}

/// The answer: always a context, however little it holds.
#[derive(Debug, Clone)]
pub struct Answer {
    pub context: Arc<Context>,
    pub cache: CacheState,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CacheState {
    Hit,
    Stale,
    Miss,
    /// Joined an assembly that somebody else had started.
    Joined,
}

impl CacheState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Joined => "joined",
        }
    }
}

/// Finds out who calls. One per process; cheap to share.
#[derive(Debug)]
pub struct Engine {
    plan: Arc<Plan>,
}

/// What an operator wants to know of a source right now.
#[derive(Debug, Clone)]
pub struct SourceHealth {
    pub source: Arc<str>,
    pub connected: bool,
    /// `passing`, `tripped` or `probing`.
    pub breaker: &'static str,
    pub in_flight: usize,
}

impl Engine {
    /// The plan that answers are made by: names and sources of every context it returns.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Answers within the deadline, whatever the sources do.
    pub async fn answer(&self, ask: Ask) -> Answer {
        let context = Context {
            revision: 0,
            organization: ask.organization,
            identity: ask.identity,
            status: LookupStatus::Failed,
            verdict: Match::None,
            candidates: Vec::new(),
            fields: Vec::new(),
            sources: Vec::new(),
            assembled_at: jiff::Timestamp::UNIX_EPOCH,
        };
        Answer { context: Arc::new(context), cache: CacheState::Miss }
    }

    /// Drops what is cached of a person, under every number and address that leads there.
    /// Returns how many contexts were dropped.
    pub async fn forget(&self, _organization: &Organization, _identity: &Identity) -> usize {
        0
    }

    pub fn health(&self) -> Vec<SourceHealth> {
        Vec::new()
    }
}
