//! API keys: made, listed, revoked; kept as SHA-256 beside a public id. The secret is shown once.

use std::sync::Arc;

use crate::domain::Organization;

/// What a key that was presented may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The public part of the key, fit for logs, audit rows and metrics.
    pub key_id: Arc<str>,
    pub organization: Organization,
    /// The name of the view it reads through.
    pub view: Arc<str>,
}
