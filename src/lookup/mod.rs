//! The hot path: fresh in cache? answer. Stale? answer and refresh behind. Otherwise join the
//! assembly in flight or start one, and answer with what arrived by the deadline.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Context, Identity, NameId, Organization, Value};

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
