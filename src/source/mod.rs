//! Reaching one upstream, under guard. What is asked and how answers are read is the plan's; who
//! is asked, when and why is `lookup`'s. No vendor names here.

pub mod breaker;
pub mod guard;
pub mod http;
pub mod quota;
pub mod sql;

use std::error::Error as StdError;
use std::sync::Arc;

use crate::domain::{Failure, Identity, NameId, Phone, Reading, Skip, SourceId, Value};
use crate::manifest::plan::{self, Operation, OperationId, Plan};

pub use guard::Source;

/// One call of one operation. Cheap to clone; never printed, it holds the caller's number.
#[derive(Clone)]
pub struct Call {
    pub plan: Arc<Plan>,
    pub operation: OperationId,
    /// Whom the hits must prove to be.
    pub identity: Identity,
    /// The number and its national variants; empty when the operation uses none.
    pub phones: Arc<[Phone]>,
    /// What was on the table of the operation's inputs.
    pub values: Arc<[(NameId, Value)]>,
}

impl Call {
    #[expect(clippy::indexing_slicing, reason = "an OperationId is only made by its Plan")]
    pub fn operation(&self) -> &Operation {
        &self.plan.operations[usize::from(self.operation.0)]
    }

    pub fn source(&self) -> &plan::Source {
        self.plan.source(self.operation().source)
    }

    pub fn get(&self, name: NameId) -> Option<&Value> {
        self.values.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }
}

/// What an upstream said.
#[derive(Debug, Clone)]
pub enum Said {
    Found(Arc<Reading>),
    /// It does not know the person. The reading holds nothing but says so.
    NotFound,
}

/// Why it said nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The upstream was asked; whose fault it is and whether to come back is in the failure.
    #[error("the source failed: {0}")]
    Failed(Failure, #[source] Option<Box<dyn StdError + Send + Sync>>),
    /// The connection broke, or the upstream said it is not ready, before any of the answer
    /// arrived: may be asked once more.
    #[error("the source broke off before it answered")]
    BrokeOff(#[source] Option<Box<dyn StdError + Send + Sync>>),
    /// The upstream was not asked.
    #[error("the source was not asked: {0}")]
    Skipped(Skip),
}

impl CallError {
    pub fn failed(failure: Failure, source: impl StdError + Send + Sync + 'static) -> Self {
        Self::Failed(failure, Some(Box::new(source)))
    }
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure, None)
    }
}

impl From<Skip> for CallError {
    fn from(skip: Skip) -> Self {
        Self::Skipped(skip)
    }
}

/// The way to an upstream, without guard.
#[derive(Clone)]
pub enum Upstream {
    Http(http::HttpUpstream),
}

impl Upstream {
    /// Makes the client or pool; nothing is connected yet.
    pub fn new(plan: &Arc<Plan>, source: SourceId) -> Result<Self, StartError> {
        let source = plan.source(source);
        match &source.upstream {
            plan::Upstream::Http(settings) => Ok(Self::Http(http::HttpUpstream::new(settings)?)),
            plan::Upstream::Sql(_) => Err(StartError { source_name: source.name.clone(), source: "not built".into() }),
        }
    }

    pub async fn call(&self, call: &Call, now: jiff::Timestamp) -> Result<Said, CallError> {
        match self {
            Self::Http(http) => http.call(call, now).await,
        }
    }
}

/// A client or pool could not be made from its settings.
#[derive(Debug, thiserror::Error)]
#[error("source `{source_name}` cannot be set up")]
pub struct StartError {
    pub source_name: Arc<str>,
    pub source: Box<dyn StdError + Send + Sync>,
}
