//! The caller context: what all sources together know of one identity, whose each value is, and how
//! sure the match is. Pure data; the merge is in `lookup`, what a reader may see is in `view`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::field::NameId;
use super::identity::Identity;
use super::organization::Organization;
use super::outcome::{Failure, Skip};
use super::value::Value;

/// A source's place in the configuration's list of sources.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SourceId(pub u16);

#[derive(Debug, Clone)]
pub struct Context {
    /// Changes with every change of what the context says; unique within the process.
    pub revision: u64,
    pub organization: Organization,
    pub identity: Identity,
    pub status: LookupStatus,
    pub verdict: Match,
    /// Up to ten people, in deterministic order; empty when the match is unique.
    pub candidates: Vec<Candidate>,
    /// Merged fields in the order of the vocabulary.
    pub fields: Vec<Field>,
    /// Ids that belong to single sources. They lead back here and to other operations; they are
    /// delivered to nobody.
    pub ids: Vec<(NameId, Value)>,
    pub sources: Vec<SourceReport>,
    /// When the newest reading was made.
    pub assembled_at: Timestamp,
}

/// A merged field: the winning value, whose it is, and what it won against.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: NameId,
    pub value: Value,
    pub source: SourceId,
    pub read_at: Timestamp,
    /// The value is a configured default, not something a source said.
    pub default: bool,
    /// Different values of other sources, in the order of priority.
    pub conflicts: Vec<(SourceId, Value)>,
}

/// One of several people who fit.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub source: SourceId,
    pub values: Vec<(NameId, Value)>,
}

/// How the lookup of a context went as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LookupStatus {
    /// Every source that could be asked settled (found or not found).
    Complete,
    /// Some did not.
    Partial,
    /// Nothing newer could be had; what is shown is older than its fresh window.
    Stale,
    /// No source gave a usable answer.
    Failed,
    /// No lookup was made.
    None,
}

impl LookupStatus {
    pub const ALL: [Self; 5] = [Self::Complete, Self::Partial, Self::Stale, Self::Failed, Self::None];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Stale => "stale",
            Self::Failed => "failed",
            Self::None => "none",
        }
    }
}

/// Who the caller is, judged over all identifying sources.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Match {
    Unique,
    /// Several people fit.
    Ambiguous,
    /// Several people of one company fit.
    SharedLine,
    /// Nobody fits.
    None,
    /// There was no number to look up.
    Withheld,
}

impl Match {
    pub const ALL: [Self; 5] = [Self::Unique, Self::Ambiguous, Self::SharedLine, Self::None, Self::Withheld];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unique => "unique",
            Self::Ambiguous => "ambiguous",
            Self::SharedLine => "shared_line",
            Self::None => "none",
            Self::Withheld => "withheld",
        }
    }
}

/// What the cache had to say to a question.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CacheState {
    Hit,
    Stale,
    Miss,
    /// Joined an assembly that somebody else had started.
    Joined,
}

impl CacheState {
    pub const ALL: [Self; 4] = [Self::Hit, Self::Stale, Self::Miss, Self::Joined];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Joined => "joined",
        }
    }
}

/// What became of one source in one lookup.
#[derive(Debug, Clone)]
pub struct SourceReport {
    pub source: SourceId,
    pub state: SourceState,
    /// The time of the oldest reading used.
    pub read_at: Option<Timestamp>,
    /// From the start of the assembly to the source's last answer.
    pub took: Option<Duration>,
    /// What is used is older than the source's fresh window.
    pub stale: bool,
    /// The operations behind the state, for `explain`.
    pub operations: Vec<OperationReport>,
}

#[derive(Debug, Clone)]
pub struct OperationReport {
    pub name: Arc<str>,
    pub state: SourceState,
    /// Offset from the start of the assembly, and how long it ran; none for cached readings.
    pub started: Option<Duration>,
    pub took: Option<Duration>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourceState {
    Found,
    NotFound,
    Failed(Failure),
    Skipped(Skip),
    /// Still running.
    Pending,
}

impl SourceState {
    /// Every status word.
    pub const WORDS: [&'static str; 5] = ["found", "not_found", "failed", "skipped", "pending"];

    /// The status word: `found`, `not_found`, `failed`, `skipped` or `pending`.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::NotFound => "not_found",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
            Self::Pending => "pending",
        }
    }

    /// The reason word, where there is one beyond the status.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Failed(failure) => Some(failure.to_string()),
            Self::Skipped(skip) => Some(skip.to_string()),
            _ => None,
        }
    }
}

impl Context {
    /// The merged field of that name.
    pub fn field(&self, name: NameId) -> Option<&Field> {
        self.fields.binary_search_by_key(&name, |f| f.name).ok().and_then(|i| self.fields.get(i))
    }

    /// Its winning value.
    pub fn value(&self, name: NameId) -> Option<&Value> {
        self.field(name).map(|f| &f.value)
    }
}
