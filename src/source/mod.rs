//! Reaching one upstream, under guard. What is asked and how answers are read is the plan's; who
//! is asked, when and why is `lookup`'s.

use jiff::Timestamp;

use crate::domain::{Failure, Identity, NameId, Phone, Reading, Skip, Value};
use crate::manifest::plan::Operation;

/// One call of one operation.
pub struct Call<'a> {
    pub operation: &'a Operation,
    pub identity: &'a Identity,
    /// The caller's number and its national variants; empty when the identity is no phone.
    pub phones: &'a [Phone],
    /// The operation's inputs.
    pub values: &'a [(NameId, Value)],
    pub now: Timestamp,
}

impl Call<'_> {
    pub fn get(&self, name: NameId) -> Option<&Value> {
        self.values.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }
}

/// What an upstream said, before the engine turns it into an `Outcome`.
#[derive(Debug)]
pub enum Said {
    Found(Reading),
    NotFound,
}

/// Why it said nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("the source failed: {0}")]
    Failed(Failure, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    #[error("the call was not made: {0}")]
    Skipped(Skip),
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure, None)
    }
}
