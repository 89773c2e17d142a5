//! What was spent of a source's long budgets: what its quota counts and the store keeps.

use std::sync::Arc;
use std::time::Duration;

/// What was taken out of one budget within one slot of time. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// The source, or the first of those that share the budget.
    pub source: Arc<str>,
    /// The length of the budget's window.
    pub per: Duration,
    /// When the slot began.
    pub at: i64,
    pub count: u64,
    /// When it counts no more.
    pub forget_at: i64,
}
