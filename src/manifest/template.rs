//! Compiled request templates: literals and holes, escaped by position. Rendering is pure: inputs
//! in, request out. No network, no vendor names.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::plan::Source;
use super::reading::Record;
use super::scope::{Need, Scope};
use super::tree::Reader;
use crate::domain::{NameId, Phone, Skip, Spelling, Value};

/// `[map.<name>]` tables: value -> value, compared without case; `*` is anything else.
#[derive(Debug, Default, Clone)]
pub struct Maps {
    pub maps: HashMap<Arc<str>, Vec<(Arc<str>, Value)>>,
}

/// `[table.<name>]` reference data as loaded: key (lower case) -> value. Not loaded is missing.
#[derive(Debug, Default, Clone)]
pub struct Tables {
    pub tables: HashMap<Arc<str>, HashMap<String, Value>>,
}

/// What a request is rendered from.
pub struct Env<'a> {
    /// The inputs on the table: fields, own ids, request inputs.
    pub get: &'a dyn Fn(NameId) -> Option<&'a Value>,
    pub source: &'a Source,
    pub tables: &'a Tables,
    /// The caller's number and its variants; `{phone}` is the first, `{phones}` all of them.
    pub phones: &'a [Phone],
    /// The spelling of `{phone}` for this request; `{phones}` uses the operation's list.
    pub spelling: Option<Spelling>,
    pub now: Timestamp,
}

/// A request of an operation, compiled.
#[derive(Debug, Default)]
pub struct HttpRequest {}

/// Whether a request holds one spelling of the caller's number or all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PhoneUse {
    None,
    One,
    Many,
}

/// A request ready to send. Its URL, headers and body hold personal data: never log it.
pub struct Prepared {
    pub method: http::Method,
    pub url: url::Url,
    pub headers: http::HeaderMap,
    pub body: Option<Bytes>,
}

impl HttpRequest {
    /// Compiles `get` `post` `put` `patch` `delete`, `query`, `headers`, `body`, `form` and
    /// `spellings` of an operation. `None` when something is wrong; what, is in the diagnostics.
    pub fn compile(
        _operation: &Reader<'_>,
        _needs: &[Need],
        _record: &Record,
        _scope: &Scope<'_>,
    ) -> Option<HttpRequest> {
        None
    }

    /// The names that may be used, the variables of the connection left out.
    pub fn names(&self) -> &[NameId] {
        &[]
    }

    /// The spellings of the caller's number to try, in order.
    pub fn spellings(&self) -> &[Spelling] {
        &[]
    }

    /// Fills the holes. A required value that a map lacks is `Unmapped`; one that cannot stand in
    /// its position is `Invalid`.
    pub fn render(&self, _env: &Env<'_>) -> Result<Prepared, Skip> {
        Err(Skip::NothingToSend)
    }

    pub fn phone_use(&self) -> PhoneUse {
        PhoneUse::None
    }
}
