//! The audit log: who was shown what of whom, when, for which call. Rows are chained by hash, the
//! caller is sealed and searchable by keyed hash.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::{Identity, Organization};

/// One delivery of a context to a reader. Equal deliveries (all but `at`) within one flush window
/// become one row with first, last and count.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Delivery {
    pub organization: Organization,
    /// The public id of the key, or `twilio:<AccountSid>` for calls proved by signature.
    pub reader: Arc<str>,
    pub view: Arc<str>,
    /// `studio`, `context`, `lookup`, `forget`.
    pub surface: &'static str,
    pub identity: Identity,
    pub call_sid: Option<Arc<str>>,
    /// Names of the sources whose data was delivered.
    pub sources: Arc<[Arc<str>]>,
    /// Names of the fields delivered, never their values.
    pub fields: Arc<[Arc<str>]>,
    pub lookup_status: &'static str,
}

/// A delivery with its time, on its way to the store.
#[derive(Debug, Clone)]
pub struct Event {
    pub delivery: Delivery,
    pub at: Timestamp,
}
