//! The only place that reads a clock. A test's clock advances with tokio's, so pausing tokio's
//! time pauses it too.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Wall and monotonic time. A clone tells the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Set in tests: the wall time that was at an instant of tokio's clock.
    anchor: Option<(Instant, Timestamp)>,
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
impl Clock {
    /// The machine's time.
    pub fn system() -> Self {
        Self { anchor: None }
    }

    /// Starts at `wall` and advances with tokio's clock.
    pub fn starting_at(wall: Timestamp) -> Self {
        Self { anchor: Some((Instant::now(), wall)) }
    }

    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Wall time in whole milliseconds, as it is shown and stored.
    pub fn now(&self) -> Timestamp {
        let now = match self.anchor {
            None => Timestamp::now(),
            Some((start, wall)) => {
                let since = self.instant().saturating_duration_since(start);
                wall.checked_add(jiff::SignedDuration::try_from(since).unwrap_or_default()).unwrap_or(Timestamp::MAX)
            }
        };
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    pub fn since(&self, earlier: Instant) -> Duration {
        self.instant().saturating_duration_since(earlier)
    }
}
