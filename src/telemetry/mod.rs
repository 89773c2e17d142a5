//! What operators see of the gateway: metrics and logs. No personal data passes through here.

pub mod logging;
pub mod metrics;

pub use metrics::Metrics;
