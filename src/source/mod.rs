//! Reaching one upstream, under guard. What is asked and how answers are read is the plan's; who
//! is asked, when and why is `lookup`'s. No vendor names here.

pub mod breaker;
pub mod guard;
pub mod http;
mod mysql;
mod postgres;
pub mod quota;
pub mod sql;
mod sqlite;
mod tables;

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use jiff::Timestamp;
use tokio_util::task::TaskTracker;

use crate::domain::identity::CustomerId;
use crate::domain::{Email, Failure, Identity, NameId, Phone, Reading, Skip, Spelling, Value};
use crate::manifest::plan::{self, Batch, Operation, OperationId, Plan, Request};
use crate::manifest::reading::{Read, ReadEnv, Unreadable};
use crate::manifest::template::{Env, PhoneUse};

pub use guard::Source;
pub use quota::Account;
use quota::{Quota, Taken};
use tables::Tables;

/// One call of one operation. Never printed, it holds the caller's number.
pub struct Call {
    pub plan: Arc<Plan>,
    pub operation: OperationId,
    /// Instead of it, this table of its source.
    pub table: Option<usize>,
    /// Whom the hits must prove to be.
    pub identity: Identity,
    /// Several people at once, instead of one: the operation's batch is asked.
    pub emails: Arc<[Email]>,
    /// The number and its national variants; empty when the operation uses none.
    pub phones: Arc<[Phone]>,
    /// What was on the table of the operation's inputs.
    pub values: Arc<[(NameId, Value)]>,
    /// Who it counts for.
    pub account: Account,
    /// How often the upstream was asked, counted by the guard.
    pub attempts: AtomicU8,
}

impl Call {
    pub fn operation(&self) -> &Operation {
        match self.table.and_then(|at| self.source().tables.get(at)) {
            Some(table) => &table.operation,
            None => self.lookup(),
        }
    }

    #[expect(clippy::indexing_slicing, reason = "an OperationId is only made by its Plan")]
    fn lookup(&self) -> &Operation {
        &self.plan.operations[usize::from(self.operation.0)]
    }

    /// What is asked where it is about several people at once.
    fn batch(&self) -> Option<&Batch> {
        self.operation().batch.as_deref().filter(|_| !self.emails.is_empty())
    }

    pub fn source(&self) -> &plan::Source {
        self.plan.source(self.lookup().source)
    }

    /// A call for a table that this one's answer is read with. Nothing of the person is in it.
    fn of_table(&self, at: usize, account: Account) -> Self {
        Self {
            plan: self.plan.clone(),
            operation: self.operation,
            table: Some(at),
            identity: Identity::CustomerId(CustomerId("".into())),
            emails: [].into(),
            phones: [].into(),
            values: [].into(),
            account,
            attempts: AtomicU8::default(),
        }
    }

    pub fn get(&self, name: NameId) -> Option<&Value> {
        self.values.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Takes one request of this call out of the quota; `None` when there is nothing left for it.
    pub fn take<'q>(&self, quota: &'q Quota) -> Option<Taken<'q>> {
        let operation = self.operation();
        quota.take(operation.bucket.as_deref(), operation.cost, &self.account)
    }

    /// Renders the request from this call's values.
    fn rendering<R>(
        &self,
        phones: &[Phone],
        spelling: Option<Spelling>,
        now: Timestamp,
        render: impl FnOnce(&Env<'_>) -> R,
    ) -> R {
        render(&Env { get: &|name| self.get(name), source: self.source(), phones, spelling, emails: &self.emails, now })
    }

    /// Reads an answer to this call.
    fn reading<R>(&self, tables: &Tables, read: impl FnOnce(&ReadEnv<'_>) -> R) -> R {
        read(&ReadEnv {
            identity: &self.identity,
            get: &|name| self.get(name),
            source: self.source(),
            tables: &|table, key| tables.value(table, key),
            never: &self.plan.never,
        })
    }

    /// Reads an answer about several people, for each of them.
    fn read_each(&self, batch: &Batch, tables: &Tables, answer: &[u8]) -> Result<Vec<Read>, Unreadable> {
        let (never, source) = (&self.plan.never, self.source());
        let in_tables = |table: &str, key: &str| tables.value(table, key);
        let identities: Vec<_> = self.emails.iter().cloned().map(Identity::Email).collect();
        let person = |identity| ReadEnv { identity, get: &|_| None, source, tables: &in_tables, never };
        let people: Vec<_> = identities.iter().map(person).collect();
        batch.record.read_each(answer, never, people.iter())
    }
}

/// What an upstream said.
#[derive(Debug, Clone)]
pub enum Said {
    Found(Arc<Reading>),
    /// It does not know the person, or none of several. The reading holds nothing but says so.
    NotFound,
    /// Of several people each, in the order in which they were asked for.
    Each(Vec<Said>),
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
pub enum Upstream {
    Http(Box<http::HttpUpstream>),
    Sql(sql::SqlPool),
}

impl Upstream {
    /// Makes the client or pool; nothing is connected yet.
    pub fn new(settings: &plan::Source, tracker: &TaskTracker) -> Result<Self, StartError> {
        let made = match &settings.upstream {
            plan::Upstream::Http(http) => {
                http::HttpUpstream::new(http).map(|http| Self::Http(http.into())).map_err(Into::into)
            }
            plan::Upstream::Sql(sql) => sql::SqlPool::open(sql, tracker).map(Self::Sql).map_err(Into::into),
        };
        made.map_err(|source| StartError { source_name: settings.name.clone(), source })
    }

    /// Asks once, or once per variant and spelling of the number until there is a hit. The guard has
    /// taken the first request out of the quota; each further one is taken here.
    async fn call(&self, call: &Call, tables: &Tables, quota: &Quota, now: Timestamp) -> Result<Said, CallError> {
        if call.operation().phone_use() != PhoneUse::One || call.phones.is_empty() {
            return self.ask(call, tables, &call.phones, None, quota, now).await;
        }
        let spellings = match call.operation().spellings.as_slice() {
            [] => &[Spelling::E164],
            spellings => spellings,
        };
        for (i, phone) in call.phones.iter().enumerate() {
            for (j, spelling) in spellings.iter().enumerate() {
                let _taken = if i + j > 0 { Some(call.take(quota).ok_or(Skip::Limited)?) } else { None };
                let said = self.ask(call, tables, std::slice::from_ref(phone), Some(*spelling), quota, now).await?;
                if matches!(said, Said::Found(_)) {
                    return Ok(said);
                }
            }
        }
        Ok(Said::NotFound)
    }

    async fn ask(
        &self,
        call: &Call,
        tables: &Tables,
        phones: &[Phone],
        spelling: Option<Spelling>,
        quota: &Quota,
        now: Timestamp,
    ) -> Result<Said, CallError> {
        match (self, &call.operation().request) {
            (Self::Http(http), Request::Http(request)) => {
                let request = call.batch().map_or(&**request, |batch| &batch.request);
                let prepared = call.rendering(phones, spelling, now, |env| request.render(env))?;
                http.ask(call, tables, prepared, quota, now).await
            }
            (Self::Sql(pool), Request::Sql(statement)) => {
                let spellings = &call.operation().spellings;
                let bound = call.rendering(phones, spelling, now, |env| statement.bind(env, spellings));
                // boxed: the way through a driver is long, and calls over HTTP should not carry room for it
                let rows = Box::pin(pool.query(&bound)).await?;
                Ok(said(call.reading(tables, |env| call.operation().record.read_rows(rows, env))))
            }
            _ => Err(Skip::Invalid.into()), // the plan pairs them
        }
    }
}

fn said(mut read: Read) -> Said {
    read.reading.unreadable_fields = read.unreadable_fields;
    if read.found { Said::Found(read.reading.into()) } else { Said::NotFound }
}

/// A client or pool could not be made from its settings.
#[derive(Debug, thiserror::Error)]
#[error("source `{source_name}` cannot be set up")]
pub struct StartError {
    pub source_name: Arc<str>,
    pub source: Box<dyn StdError + Send + Sync>,
}
