//! What we may ask of a source: windows like "100 per 10s", counted before the call. Our own limit
//! says no at once; a call never waits for a window to open.

use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Reference;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota as Rule, RateLimiter};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::manifest::plan::{Limits, Rate};

/// The windows of one source, and how long the vendor told us to stay away.
#[derive(Debug)]
pub struct Quota {
    clock: Clock,
    windows: Vec<Window>,
    buckets: Vec<(std::sync::Arc<str>, Vec<Window>)>,
    /// Set by a vendor's 429 with Retry-After.
    closed_until: Mutex<Option<Instant>>,
}

type Window = RateLimiter<NotKeyed, InMemoryState, Ticks, NoOpMiddleware<Tick>>;

impl Quota {
    pub fn new(limits: &Limits, clock: Clock) -> Self {
        let ticks = Ticks { clock, start: clock.instant() };
        let windows = |rates: &[Rate]| rates.iter().filter_map(|rate| window(*rate, ticks)).collect();
        let buckets = limits.buckets.iter().map(|(name, rates)| (name.clone(), windows(rates))).collect();
        Self { clock, windows: windows(&limits.rate), buckets, closed_until: Mutex::new(None) }
    }

    /// Takes one call out of every window it counts in. `false`: do not call.
    pub fn take(&self, bucket: Option<&str>) -> bool {
        if self.closed_until().is_some_and(|until| self.clock.instant() < until) {
            return false;
        }
        let of_bucket =
            self.buckets.iter().filter(|(name, _)| Some(&**name) == bucket).flat_map(|(_, windows)| windows);
        self.windows.iter().chain(of_bucket).all(|window| window.check().is_ok())
    }

    /// The vendor said when to come back; capped at an hour, an hour is long for a live call.
    pub fn closed_for(&self, pause: Duration) {
        let until = self.clock.instant() + pause.min(Duration::from_secs(3_600));
        let mut closed = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = Some(closed.map_or(until, |earlier| earlier.max(until)));
    }

    fn closed_until(&self) -> Option<Instant> {
        *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn window(rate: Rate, ticks: Ticks) -> Option<Window> {
    let rule = rule(rate.count, rate.per)?;
    Some(RateLimiter::direct_with_clock(rule, ticks))
}

/// A window of `count` calls per `per`, all of which may come at once.
pub fn rule(count: u32, per: Duration) -> Option<Rule> {
    let count = NonZeroU32::new(count)?;
    let each = per.checked_div(count.get())?;
    Some(Rule::with_period(each)?.allow_burst(count))
}

/// governor's view of our clock.
#[derive(Debug, Clone, Copy)]
pub struct Ticks {
    clock: Clock,
    start: Instant,
}

impl Ticks {
    pub fn new(clock: Clock) -> Self {
        Self { clock, start: clock.instant() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u64);

impl Add<Nanos> for Tick {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0.saturating_add(nanos.as_u64()))
    }
}

impl Reference for Tick {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, nanos: Nanos) -> Self {
        Self(self.0.checked_sub(nanos.as_u64()).unwrap_or(self.0))
    }
}

impl governor::clock::Clock for Ticks {
    type Instant = Tick;

    fn now(&self) -> Tick {
        Tick(u64::try_from(self.clock.since(self.start).as_nanos()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let per_second = |count| Rate { count, per: Duration::from_secs(1) };
        Limits { concurrency: 8, rate: vec![per_second(10)], buckets: vec![("search".into(), vec![per_second(2)])] }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_counts_beside_the_common_window() {
        let quota = Quota::new(&limits(), Clock::system());
        assert_eq!((0..5).filter(|_| quota.take(Some("search"))).count(), 2);
        assert_eq!((0..20).filter(|_| quota.take(None)).count(), 5, "ten, of which the five tries took five");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(quota.take(Some("search")));
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_closes_it() {
        let quota = Quota::new(&limits(), Clock::system());
        quota.closed_for(Duration::from_secs(30));
        quota.closed_for(Duration::from_secs(3));
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(!quota.take(None));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(quota.take(None));
    }
}
