//! The breaker of one source: `passing`, `tripped`, `probing`. The failsafe crate decides when to
//! trip and for how long (its failure policies and backoff); this type decides who may pass.
//!
//! failsafe's own gate is not used: once its pause is over it lets every caller through, it reads
//! the machine's clock, and a late success from before the trip would reset it. Here one probe
//! passes at a time, time is tokio's, and results of an earlier generation do not count.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use failsafe::FailurePolicy;
use failsafe::backoff::{self, Exponential};
use failsafe::failure_policy::{self, ConsecutiveFailures, OrElse};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::manifest::plan::Breaker as Rules;

/// Shared by all calls of a source.
#[derive(Debug, Clone)]
pub struct Breaker {
    inner: Arc<Mutex<Inner>>,
    clock: Clock,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    /// Counts trips and revivals: a result from before the last one is ignored.
    generation: u64,
    policy: OrElse<ConsecutiveFailures<Exponential>, ShareOfWindow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Passing,
    /// Nobody passes until then; the first after that is the probe.
    Tripped {
        until: Instant,
    },
    /// One probe is out.
    Probing,
}

/// The words of answers, metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Passing,
    Tripped,
    Probing,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Tripped => "tripped",
            Self::Probing => "probing",
        }
    }
}

/// The right to make one call. Dropped without a verdict it counts neither way, and a probe's
/// place becomes free again.
#[derive(Debug)]
pub struct Pass {
    breaker: Breaker,
    generation: u64,
    probe: bool,
    settled: bool,
}

impl Breaker {
    pub fn new(rules: &Rules, clock: Clock) -> Self {
        // failsafe refuses pauses below a second
        let start = rules.probe_after.max(Duration::from_secs(1));
        let pause = backoff::exponential(start, rules.probe_max.max(start));
        let in_a_row = failure_policy::consecutive_failures(rules.failures.max(1), pause.clone());
        let share = ShareOfWindow {
            rules: rules.clone(),
            clock,
            calls: VecDeque::new(),
            tripped: false,
            pause: pause.clone(),
            first: pause,
        };
        let inner = Inner { phase: Phase::Passing, generation: 0, policy: in_a_row.or_else(share) };
        Self { inner: Arc::new(Mutex::new(inner)), clock }
    }

    /// Lets a call through, or `None` while the source is tripped or another probe is out.
    pub fn enter(&self) -> Option<Pass> {
        let mut inner = self.lock();
        let probe = match inner.phase {
            // passing: everybody
            Phase::Passing => false,
            // tripped, pause over: this one is the probe
            Phase::Tripped { until } if self.clock.instant() >= until => {
                inner.phase = Phase::Probing;
                true
            }
            // tripped, or waiting for the probe's result: nobody
            Phase::Tripped { .. } | Phase::Probing => return None,
        };
        Some(Pass { breaker: self.clone(), generation: inner.generation, probe, settled: false })
    }

    pub fn state(&self) -> State {
        match self.lock().phase {
            Phase::Passing => State::Passing,
            Phase::Tripped { .. } => State::Tripped,
            Phase::Probing => State::Probing,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// The source answered.
    pub fn succeeded(mut self) {
        self.settled = true;
        let mut inner = self.breaker.lock();
        if inner.generation != self.generation {
            return; // from before the last trip or revival
        }
        match inner.phase {
            // probing: the probe came back, everybody passes again
            Phase::Probing if self.probe => {
                inner.phase = Phase::Passing;
                inner.generation += 1;
                inner.policy.revived();
            }
            Phase::Passing => inner.policy.record_success(),
            Phase::Tripped { .. } | Phase::Probing => {}
        }
    }

    /// The source is ill: timeout, unreachable, unreadable.
    pub fn failed(mut self) {
        self.settled = true;
        let mut inner = self.breaker.lock();
        if inner.generation != self.generation {
            return;
        }
        match inner.phase {
            // passing: trips when the policy says so; a failed probe trips again, for longer
            Phase::Passing | Phase::Probing => {
                if let Some(pause) = inner.policy.mark_dead_on_failure() {
                    inner.phase = Phase::Tripped { until: self.breaker.clock.instant() + pause };
                    inner.generation += 1;
                } else if self.probe {
                    inner.phase = Phase::Passing;
                }
            }
            Phase::Tripped { .. } => {}
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.settled || !self.probe {
            return;
        }
        let mut inner = self.breaker.lock();
        if inner.phase == Phase::Probing && inner.generation == self.generation {
            // the probe was cut short: the next caller may probe at once
            inner.phase = Phase::Tripped { until: self.breaker.clock.instant() };
        }
    }
}

/// Trips when a share of the calls within a window failed. failsafe's own rate policy cannot trip
/// before a whole window has passed, which is too late for a source that two callers a minute use.
#[derive(Debug)]
struct ShareOfWindow {
    rules: Rules,
    clock: Clock,
    /// Time and failure of the calls within the window; bounded, the oldest go first.
    calls: VecDeque<(Instant, bool)>,
    tripped: bool,
    pause: Exponential,
    first: Exponential,
}

/// More calls than this say nothing new about a share.
const WINDOW_CALLS: usize = 256;

impl ShareOfWindow {
    fn add(&mut self, failed: bool) {
        let now = self.clock.instant();
        let window = self.rules.window;
        // in the order of time: what is too old stands in front
        while self.calls.len() >= WINDOW_CALLS
            || self.calls.front().is_some_and(|(at, _)| now.duration_since(*at) >= window)
        {
            self.calls.pop_front();
        }
        self.calls.push_back((now, failed));
    }
}

impl FailurePolicy for ShareOfWindow {
    fn record_success(&mut self) {
        self.add(false);
    }

    fn mark_dead_on_failure(&mut self) -> Option<Duration> {
        self.add(true);
        let failed = self.calls.iter().filter(|(_, failed)| *failed).count();
        let enough = self.calls.len() >= self.rules.min_calls as usize;
        self.tripped |= enough && failed as f64 >= self.rules.share * self.calls.len() as f64;
        // once tripped, every failed probe trips again until one succeeds
        if self.tripped { self.pause.next() } else { None }
    }

    fn revived(&mut self) {
        self.calls.clear();
        self.tripped = false;
        self.pause = self.first.clone();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(&Rules::default(), Clock::system())
    }

    fn trip(breaker: &Breaker) {
        while let Some(pass) = breaker.enter() {
            pass.failed();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn trips_after_five_failures_in_a_row_at_two_calls_a_minute() {
        let breaker = breaker();
        for _ in 0..4 {
            breaker.enter().unwrap().failed();
            tokio::time::advance(Duration::from_secs(30)).await;
        }
        assert_eq!(breaker.state(), State::Passing);
        breaker.enter().unwrap().failed();
        assert_eq!(breaker.state(), State::Tripped);
        assert!(breaker.enter().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn trips_when_half_of_ten_calls_failed() {
        let breaker = breaker();
        for _ in 0..4 {
            breaker.enter().unwrap().succeeded();
            breaker.enter().unwrap().failed();
        }
        breaker.enter().unwrap().succeeded();
        assert_eq!(breaker.state(), State::Passing);
        breaker.enter().unwrap().failed();
        assert_eq!(breaker.state(), State::Tripped, "5 of 10");
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_and_longer_pauses() {
        let breaker = breaker();
        trip(&breaker);
        tokio::time::advance(Duration::from_millis(4_999)).await;
        assert!(breaker.enter().is_none());
        tokio::time::advance(Duration::from_millis(1)).await;
        let probe = breaker.enter().unwrap();
        assert_eq!(breaker.state(), State::Probing);
        assert!((0..100).all(|_| breaker.enter().is_none()), "only one probe");
        probe.failed();
        for pause in [10, 20, 40, 60, 60] {
            tokio::time::advance(Duration::from_millis(pause * 1_000 - 1)).await;
            assert!(breaker.enter().is_none(), "pause of {pause} s");
            tokio::time::advance(Duration::from_millis(1)).await;
            breaker.enter().unwrap().failed();
        }
        tokio::time::advance(Duration::from_secs(60)).await;
        breaker.enter().unwrap().succeeded();
        assert_eq!(breaker.state(), State::Passing);
        trip(&breaker);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(breaker.enter().is_some(), "after a revival the first pause is short again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_probe_after_a_share_trip_trips_again() {
        let breaker = breaker();
        for _ in 0..5 {
            breaker.enter().unwrap().succeeded();
            breaker.enter().unwrap().failed();
        }
        tokio::time::advance(Duration::from_secs(300)).await;
        breaker.enter().unwrap().failed();
        assert_eq!(breaker.state(), State::Tripped);
    }

    #[tokio::test(start_paused = true)]
    async fn late_results_of_an_earlier_generation_do_not_count() {
        let breaker = breaker();
        let late = breaker.enter().unwrap();
        trip(&breaker);
        late.succeeded();
        assert_eq!(breaker.state(), State::Tripped);
        let late = {
            tokio::time::advance(Duration::from_secs(5)).await;
            breaker.enter().unwrap()
        };
        late.succeeded();
        assert_eq!(breaker.state(), State::Passing);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_cut_short_frees_its_place() {
        let breaker = breaker();
        trip(&breaker);
        tokio::time::advance(Duration::from_secs(5)).await;
        drop(breaker.enter().unwrap());
        assert!(breaker.enter().is_some());
    }
}
