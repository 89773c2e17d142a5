//! The guard around one upstream: breaker, permit, quota, timeout, one retry, in that order, a
//! reason per line. Plain calls, one inside the other: as boxed layers they cost more than the
//! request they guard.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::retry::budget::Budget;
use tower::retry::budget::TpsBudget;

use super::breaker::{Breaker, State};
use super::quota::Quota;
use super::tables::Tables;
use super::{Call, CallError, Said, Upstream};
use crate::clock::Clock;
use crate::domain::{Failure, Skip};
use crate::manifest::plan;

/// A guarded upstream.
pub struct Source {
    upstream: Upstream,
    breaker: Breaker,
    permits: Semaphore,
    concurrency: usize,
    quota: Arc<Quota>,
    retries: Arc<TpsBudget>,
    pub(super) tables: Tables,
    pub(super) tracker: TaskTracker,
    pub(super) clock: Clock,
}

impl Source {
    /// `retries` is shared by all sources: extra calls are a share of all calls. `quota` is shared by
    /// those with the same credentials.
    pub fn new(
        settings: &plan::Source,
        upstream: Upstream,
        quota: Arc<Quota>,
        retries: Arc<TpsBudget>,
        tracker: TaskTracker,
        clock: Clock,
    ) -> Self {
        let concurrency = settings.limits.concurrency.max(1);
        Self {
            upstream,
            breaker: Breaker::new(&settings.breaker, clock),
            permits: Semaphore::new(concurrency),
            concurrency,
            quota,
            retries,
            tables: Tables::new(settings),
            tracker,
            clock,
        }
    }

    /// Asks the upstream, if it may be asked.
    pub async fn call(self: &Arc<Self>, call: &Call) -> Result<Said, CallError> {
        if !call.operation().record.tables().is_empty() {
            self.provide(call).await;
        }
        self.guarded(call).await
    }

    pub(super) async fn guarded(&self, call: &Call) -> Result<Said, CallError> {
        // an ill source is not asked, and is known to be ill at once
        let Some(pass) = self.breaker.enter() else { return Err(Skip::Tripped.into()) };
        let answer = self.with_permit(call).await;
        match &answer {
            Ok(_) => pass.succeeded(),
            Err(CallError::Failed(failure, _)) if failure.counts_against_breaker() => pass.failed(),
            Err(CallError::BrokeOff(_)) => pass.failed(),
            // the source spoke to us, if only to refuse: it is not ill
            Err(CallError::Failed(..)) => pass.succeeded(),
            // it was not asked: counts neither way, a probe's place becomes free
            Err(CallError::Skipped(_)) => drop(pass),
        }
        answer
    }

    /// No more calls at a time than the source bears; waiting ends with the call's own timeout.
    async fn with_permit(&self, call: &Call) -> Result<Said, CallError> {
        let wait = tokio::time::timeout(call.operation().timeout, self.permits.acquire());
        let Ok(Ok(_permit)) = wait.await else { return Err(Skip::Limited.into()) };
        self.within_quota(call).await
    }

    /// Our quota and the vendor's Retry-After; after the permit, so that a wait takes nothing.
    async fn within_quota(&self, call: &Call) -> Result<Said, CallError> {
        let Some(_taken) = call.take(&self.quota) else { return Err(Skip::Limited.into()) };
        let answer = self.in_time(call).await;
        if let Err(CallError::Failed(Failure::Limited { retry_after: Some(pause) }, _)) = &answer {
            self.quota.closed_for(*pause);
        }
        answer
    }

    /// The source's own time, whatever the deadline of the answer is.
    async fn in_time(&self, call: &Call) -> Result<Said, CallError> {
        match tokio::time::timeout(call.operation().timeout, self.retried_once(call)).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(CallError::failed(Failure::Timeout, elapsed)),
        }
    }

    /// One more try when the first never reached the other side, while the budget lasts.
    async fn retried_once(&self, call: &Call) -> Result<Said, CallError> {
        self.retries.deposit();
        let mut answer = self.ask(call).await;
        if let Err(CallError::BrokeOff(_)) = answer
            && self.retries.withdraw()
            && let Some(_taken) = call.take(&self.quota)
        {
            answer = self.ask(call).await;
        }
        match answer {
            Err(CallError::BrokeOff(cause)) => Err(CallError::Failed(Failure::Unreachable, cause)),
            answer => answer,
        }
    }

    async fn ask(&self, call: &Call) -> Result<Said, CallError> {
        call.attempts.fetch_add(1, Ordering::Relaxed);
        self.upstream.call(call, &self.tables, &self.quota, self.clock.now()).await
    }

    pub fn quota(&self) -> &Arc<Quota> {
        &self.quota
    }

    pub fn breaker(&self) -> State {
        self.breaker.state()
    }

    /// Calls that hold a permit now.
    pub fn in_flight(&self) -> usize {
        self.concurrency.saturating_sub(self.permits.available_permits())
    }
}
