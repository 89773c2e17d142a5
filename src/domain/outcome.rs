//! How a lookup of one source ended. The reasons here are the words of answers, metric labels
//! and logs alike; there are no others.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::reading::Reading;

/// The end of one operation.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The source answered and knows the person. The reading holds what it said.
    Found(Arc<Reading>),
    /// The source answered and does not know the person.
    NotFound(Arc<Reading>),
    /// The source was asked and did not give a usable answer.
    Failed(Failure),
    /// The source was not asked.
    Skipped(Skip),
}

/// Why a source that was asked gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// No answer within the source's own timeout, or the vendor said so (408).
    Timeout,
    /// The vendor refused for rate (429 and kin); when to come back if it said so.
    Limited { retry_after: Option<Duration> },
    /// The vendor refused: credentials, rights, plan, or a request it calls invalid.
    Rejected,
    /// An answer that cannot be read: not JSON, too large, too deep.
    Unreadable,
    /// No connection, reset, name not resolved, or the server's own error (5xx).
    Unreachable,
}

/// Why a source was not asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// Its breaker is tripped.
    Tripped,
    /// Our own quota or permit said no.
    Limited,
    /// No credentials are configured.
    NotConnected,
    /// An input is missing; the name of the first alternative.
    Needs(Arc<str>),
    /// The caller withheld the number.
    Withheld,
    /// Several people fit; an id is not handed on.
    Ambiguous,
    /// A value cannot stand where the request needs it.
    Invalid,
}

impl Failure {
    /// Every reason word.
    pub const WORDS: [&'static str; 5] = ["timeout", "limited", "rejected", "unreadable", "unreachable"];

    /// Whether the breaker counts it: only what says that the upstream is ill.
    pub fn counts_against_breaker(&self) -> bool {
        matches!(self, Self::Timeout | Self::Unreachable | Self::Unreadable)
    }

    /// The word of answers, metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Limited { .. } => "limited",
            Self::Rejected => "rejected",
            Self::Unreadable => "unreadable",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Skip {
    /// Every word without the input's name.
    pub const WORDS: [&'static str; 7] =
        ["tripped", "limited", "not_connected", "needs", "withheld", "ambiguous", "invalid"];

    /// The word without the input's name: a closed set, fit for metric labels.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Tripped => "tripped",
            Self::Limited => "limited",
            Self::NotConnected => "not_connected",
            Self::Needs(_) => "needs",
            Self::Withheld => "withheld",
            Self::Ambiguous => "ambiguous",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needs(name) => write!(f, "needs_{name}"),
            other => f.write_str(other.label()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}
