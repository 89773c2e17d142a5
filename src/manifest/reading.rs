//! Compiled path trees: how a vendor's answer becomes a reading. One pass over the bytes, no tree
//! of the whole answer. Pure.

use jiff::Timestamp;

use super::plan::Source;
use super::scope::{Need, Scope};
use super::template::Tables;
use super::tree::Reader;
use crate::domain::{Identity, NameId, Names, Reading, Value};

/// How the records of an answer are read.
#[derive(Debug, Default)]
pub struct Record {}

/// What reading an answer needs to know.
pub struct ReadEnv<'a> {
    /// Hits must prove to be this identity.
    pub identity: &'a Identity,
    /// The operation's inputs.
    pub get: &'a dyn Fn(NameId) -> Option<&'a Value>,
    pub tables: &'a Tables,
    /// Of the answer; rows have none.
    pub headers: Option<&'a http::HeaderMap>,
    pub source: &'a Source,
    pub names: &'a Names,
    /// Folded member names that are never taken in, beside the built-in ones.
    pub never: &'a [std::sync::Arc<str>],
    pub now: Timestamp,
}

/// An answer, read.
#[derive(Debug)]
pub struct Read {
    /// There was a record, and it proved to be the identity where that is asked.
    pub found: bool,
    pub reading: Reading,
    /// Values that did not fit their field's type; counted, never shown.
    pub unreadable_fields: u32,
}

/// The answer is not JSON, too deep, or not of the expected shape.
#[derive(Debug, thiserror::Error)]
#[error("the answer cannot be read as JSON")]
pub struct Unreadable;

/// A database row: column names and values.
pub type Row = Vec<(std::sync::Arc<str>, serde_json::Value)>;

impl Record {
    /// Compiles `records` `reads` `select` `phones` `emails` `where` `rank` `exact` `provides` and
    /// `list` of an operation, together with the record it reads. Compile it before the request:
    /// `{select}` asks for what is read here.
    pub fn compile(_operation: &Reader<'_>, _needs: &[Need], _scope: &Scope<'_>) -> Option<Record> {
        None
    }

    /// The fields and own ids that a reading may hold.
    pub fn provides(&self) -> &[NameId] {
        &[]
    }

    /// Inputs of the operation that its tests and texts use.
    pub fn names(&self) -> &[NameId] {
        &[]
    }

    /// Reads a JSON answer.
    pub fn read(&self, _body: &[u8], _env: &ReadEnv<'_>) -> Result<Read, Unreadable> {
        Err(Unreadable)
    }

    /// Reads database rows; each row is a record.
    pub fn read_rows(&self, _rows: Vec<Row>, _env: &ReadEnv<'_>) -> Read {
        Read { found: false, reading: Reading::default(), unreadable_fields: 0 }
    }

    /// Has `phones` or `emails`, or is `exact` for a person: its hits say who the caller is.
    pub fn identifying(&self) -> bool {
        false
    }
}

/// `[[error.<class>]]` rules of an operation and its vendor, compiled.
#[derive(Debug, Default)]
pub struct ErrorRules {}

/// What an HTTP answer is, before its records are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerClass {
    /// Read the records.
    Success,
    NotFound,
    Duplicate,
    Limited,
    Unauthorized,
    Forbidden,
    Plan,
    Gone,
    Ambiguous,
    Conflict,
    Invalid,
    /// 408, 425.
    Timeout,
    /// 5xx: the vendor is ill.
    ServerError,
}

impl ErrorRules {
    /// Compiles the `error` table of an operation and, after it, its vendor's.
    pub fn compile(_operation: &Reader<'_>, _scope: &Scope<'_>) -> Option<ErrorRules> {
        None
    }

    /// Classifies by the rules, then by status.
    pub fn classify(&self, status: http::StatusCode, _headers: &http::HeaderMap, _body: &[u8]) -> AnswerClass {
        if status.is_success() { AnswerClass::Success } else { AnswerClass::ServerError }
    }
}
