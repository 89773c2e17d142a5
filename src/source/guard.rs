//! The guard around one upstream: breaker, permit, quota, timeout, one retry, in that order. Each
//! layer is a function of a call and what comes next; [`Source::new`] stacks them once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use tokio::sync::Semaphore;
use tower::layer::layer_fn;
use tower::retry::budget::Budget;
use tower::retry::budget::TpsBudget;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

use super::breaker::{Breaker, State};
use super::quota::Quota;
use super::{Call, CallError, Said, Upstream};
use crate::clock::Clock;
use crate::domain::{Failure, Skip};
use crate::manifest::plan;

/// A guarded upstream. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    service: BoxCloneSyncService<Call, Said, CallError>,
    breaker: Breaker,
    permits: Arc<Semaphore>,
    concurrency: usize,
}

type Answer = Pin<Box<dyn Future<Output = Result<Said, CallError>> + Send>>;

impl Source {
    /// `retries` is shared by all sources: extra calls are a share of all calls.
    pub fn new(settings: &plan::Source, upstream: Upstream, retries: Arc<TpsBudget>, clock: Clock) -> Self {
        let breaker = Breaker::new(&settings.breaker, clock);
        let concurrency = settings.limits.concurrency.max(1);
        let permits = Arc::new(Semaphore::new(concurrency));
        let quota = Arc::new(Quota::new(&settings.limits, clock));
        let (gate, seats, purse) = (breaker.clone(), permits.clone(), quota.clone());
        let stack = ServiceBuilder::new()
            // an ill source is not asked, and is known to be ill at once
            .layer(around(move |call, next| behind_breaker(gate.clone(), call, next)))
            // no more calls at a time than the source bears; waiting ends with the call's own timeout
            .layer(around(move |call, next| with_permit(seats.clone(), call, next)))
            // our quota and the vendor's Retry-After; after the permit, so that a wait takes nothing
            .layer(around(move |call, next| within_quota(purse.clone(), call, next)))
            // the source's own time, whatever the deadline of the answer is
            .layer(around(in_time))
            // one more try when the first never reached the other side, while the budget lasts
            .layer(around(move |call, next| retried_once(retries.clone(), call, next)))
            .service(service_fn(move |call: Call| {
                let (upstream, quota) = (upstream.clone(), quota.clone());
                call.attempts.fetch_add(1, Ordering::Relaxed);
                async move { upstream.call(&call, &quota, clock.now()).await }
            }));
        Self { service: BoxCloneSyncService::new(stack), breaker, permits, concurrency }
    }

    pub async fn call(&self, call: Call) -> Result<Said, CallError> {
        self.service.clone().oneshot(call).await
    }

    pub fn breaker(&self) -> State {
        self.breaker.state()
    }

    /// Calls that hold a permit now.
    pub fn in_flight(&self) -> usize {
        self.concurrency.saturating_sub(self.permits.available_permits())
    }
}

/// What a layer may hand the call on to.
trait Next: Service<Call, Response = Said, Error = CallError, Future: Send> + Clone + Send + Sync + 'static {}
impl<S> Next for S where
    S: Service<Call, Response = Said, Error = CallError, Future: Send> + Clone + Send + Sync + 'static
{
}

async fn behind_breaker(breaker: Breaker, call: Call, next: impl Next) -> Result<Said, CallError> {
    let Some(pass) = breaker.enter() else { return Err(Skip::Tripped.into()) };
    let answer = next.oneshot(call).await;
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

async fn with_permit(permits: Arc<Semaphore>, call: Call, next: impl Next) -> Result<Said, CallError> {
    let wait = tokio::time::timeout(call.operation().timeout, permits.acquire_owned());
    let Ok(Ok(_permit)) = wait.await else { return Err(Skip::Limited.into()) };
    next.oneshot(call).await
}

async fn within_quota(quota: Arc<Quota>, call: Call, next: impl Next) -> Result<Said, CallError> {
    if !quota.take(call.operation().bucket.as_deref()) {
        return Err(Skip::Limited.into());
    }
    let answer = next.oneshot(call).await;
    if let Err(CallError::Failed(Failure::Limited { retry_after: Some(pause) }, _)) = &answer {
        quota.closed_for(*pause);
    }
    answer
}

async fn in_time(call: Call, next: impl Next) -> Result<Said, CallError> {
    let timeout = call.operation().timeout;
    match tokio::time::timeout(timeout, next.oneshot(call)).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(CallError::failed(Failure::Timeout, elapsed)),
    }
}

async fn retried_once(budget: Arc<TpsBudget>, call: Call, next: impl Next) -> Result<Said, CallError> {
    budget.deposit();
    let answer = next.clone().oneshot(call.clone()).await;
    let answer = match answer {
        Err(CallError::BrokeOff(_)) if budget.withdraw() => next.oneshot(call).await,
        answer => answer,
    };
    match answer {
        Err(CallError::BrokeOff(cause)) => Err(CallError::Failed(Failure::Unreachable, cause)),
        answer => answer,
    }
}

/// A layer made of a function of a call and the service below.
fn around<F, S, A>(function: F) -> impl tower::Layer<S, Service = Around<F, S>> + Clone
where
    F: Fn(Call, S) -> A + Clone + Send + Sync + 'static,
    S: Next,
    A: Future<Output = Result<Said, CallError>> + Send + 'static,
{
    layer_fn(move |inner| Around { inner, function: function.clone() })
}

#[derive(Clone)]
struct Around<F, S> {
    inner: S,
    function: F,
}

impl<F, S, A> Service<Call> for Around<F, S>
where
    F: Fn(Call, S) -> A,
    S: Next,
    A: Future<Output = Result<Said, CallError>> + Send + 'static,
{
    type Response = Said;
    type Error = CallError;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(())) // each layer waits in its function, where the timeout sees it
    }

    fn call(&mut self, call: Call) -> Answer {
        Box::pin((self.function)(call, self.inner.clone()))
    }
}
