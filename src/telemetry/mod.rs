//! What operators see of the gateway: metrics, logs and traces. No personal data passes through here.

pub mod logging;
pub mod metrics;
pub mod traces;

pub use metrics::Metrics;
