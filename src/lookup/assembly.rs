//! One assembly: the run of the operation graph for one person. A table holds the values known so
//! far; what an operation finds there decides when it starts, and none starts twice. The task
//! belongs to the gateway; those who ask follow it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use smallvec::{SmallVec, smallvec};
use tokio::time::Instant;

use super::Shared;
use super::cache::{Epoch, Kept, Person, ReadingKey, Standings, fresh_until, keep_until, plus};
use super::flight::{Flight, Lead, Role};
use super::merge::{Ended, Progress, clusters, has_failed};
use super::readings::{KeptReading, ReadingId};
use super::together::Seat;
use crate::domain::{
    Context, Failure, Identity, NameId, Outcome, Phone, Reading, Skip, SourceId, Timed, Value, canonical,
};
use crate::manifest::plan::{Operation, OperationId, Plan};
use crate::source::{Account, Call, CallError, Said};
use crate::telemetry::traces::{AssemblySpan, Origin};

/// What those who wait see of an assembly.
#[derive(Default)]
pub struct View {
    /// What is known of each operation. Nothing is merged before somebody wants to see it.
    progress: Vec<Progress>,
    /// The context of it, once it was made.
    context: Option<Arc<Context>>,
    /// Everything settled, or the essential sources did and the grace is over.
    pub ready: bool,
}

impl View {
    /// The context of this moment.
    pub fn context(&mut self, shared: &Shared, person: &Person) -> Arc<Context> {
        if self.progress.is_empty() {
            self.progress = vec![Progress::Pending; shared.plan.operations.len()];
        }
        let Self { progress, context, .. } = self;
        context.get_or_insert_with(|| Arc::new(shared.merged(person, progress))).clone()
    }
}

/// The result of one operation, for all who want it at the same time.
#[derive(Clone)]
pub struct Landed {
    outcome: Outcome,
    read_at: Timestamp,
    /// The reading on the shelf; none when there is none.
    reading: Option<Arc<KeptReading>>,
}

/// The state of one run.
pub struct Assembly {
    shared: Arc<Shared>,
    person: Person,
    epoch: Epoch,
    account: Account,
    started: Instant,
    span: AssemblySpan,
    /// Values by name: the identity, request inputs, and what operations provided.
    table: Vec<Option<Value>>,
    steps: Vec<Step>,
    running: FuturesUnordered<Running>,
    /// Where people are asked about together.
    seat: Option<Seat>,
}

type Running = futures_util::future::BoxFuture<'static, (OperationId, Ended, Option<Arc<KeptReading>>)>;

#[derive(Default)]
struct Step {
    progress: Progress,
    running: bool,
    /// Starts only when that operation ended without finding anybody.
    after: Option<OperationId>,
    /// A kept reading that is shown until the answer is there.
    kept: Option<Timed>,
    /// The reading behind `kept`, then the one that the operation ended with.
    reading: Option<Arc<KeptReading>>,
}

const PHONE: NameId = canonical("phone");
const EMAIL: NameId = canonical("email");
const CUSTOMER_ID: NameId = canonical("customer_id");

impl Assembly {
    pub fn new(shared: Arc<Shared>, person: Person, epoch: Epoch, account: Account, seat: Option<Seat>) -> Self {
        let plan = shared.plan.clone();
        let mut table = vec![None; plan.names.len()];
        let identity = match person.identity() {
            Identity::Phone(phone) => (PHONE, Value::Phone(phone.clone())),
            Identity::Email(email) => (EMAIL, Value::Email(email.clone())),
            Identity::CustomerId(id) => (CUSTOMER_ID, Value::Text(id.0.clone())),
        };
        for (name, value) in person.inputs().iter().cloned().chain([identity]) {
            if let Some(place) = table.get_mut(usize::from(name.0)) {
                *place = Some(value);
            }
        }
        let steps = plan.operations.iter().map(|o| Step { after: o.fallback_of, ..Step::default() }).collect();
        let started = shared.clock.instant();
        let span = AssemblySpan::default();
        let running = FuturesUnordered::new();
        Self { shared, person, epoch, account, started, span, table, steps, running, seat }
    }

    /// Runs to the end of the last operation, however long the answer waits, and keeps the result.
    pub async fn run(mut self, lead: Lead<(Person, Epoch), View>, origin: Origin) {
        let organization = self.person.organization();
        let caller_ref = || self.shared.caller_refs.of(organization, self.person.identity());
        self.span = AssemblySpan::begin(&origin, organization.as_str(), caller_ref);
        let grace_over = tokio::time::sleep(Duration::MAX);
        tokio::pin!(grace_over);
        let (mut grace_runs, mut ready) = (false, false);
        self.start_all_that_can();
        self.seat = None; // what starts from here on is asked alone
        while !self.running.is_empty() {
            tokio::select! {
                Some((id, ended, reading)) = self.running.next() => {
                    self.settle(id, ended, reading);
                    self.start_all_that_can();
                }
                // dropping this arm loses nothing: the sleep is pinned outside the loop
                () = &mut grace_over, if grace_runs && !ready => ready = true,
            }
            if !grace_runs && self.essentials_settled() {
                grace_runs = true;
                grace_over.as_mut().reset(self.shared.clock.instant() + self.shared.lookup.grace);
            }
            if !self.running.is_empty() {
                self.show(&lead, ready);
            }
        }
        let context = Arc::new(self.shared.merged(&self.person, &self.progress()));
        self.span.end(context.status.as_str(), context.verdict.as_str());
        if let Some(kept) = self.kept(&context) {
            self.shared.cache.keep_context(kept, self.epoch).await;
        }
        lead.flight().with(|view| *view = View { progress: Vec::new(), context: Some(context), ready: true });
        lead.tell();
    }

    /// Lets those who wait see what is there. They are only woken when it is enough for them.
    fn show(&self, lead: &Lead<(Person, Epoch), View>, ready: bool) {
        lead.flight().with(|view| {
            view.progress = self.progress();
            view.context = None;
            view.ready = ready;
        });
        if ready {
            lead.tell();
        }
    }

    /// Starts what can be started; with nothing left running, settles the rest as skipped.
    fn start_all_that_can(&mut self) {
        let plan = self.shared.plan.clone();
        loop {
            self.change_places_where_needed(&plan);
            let mut settled_something = false;
            for (id, operation) in plan.operations() {
                if !self.waits(id) {
                    continue;
                }
                match self.gate(id, operation, &plan) {
                    Gate::Wait => {}
                    Gate::Settle(progress) => {
                        self.set(id, progress);
                        settled_something = true;
                    }
                    Gate::Start => settled_something |= self.start(id, operation, &plan),
                }
            }
            if settled_something {
                continue; // it may have put something on the table, or given up something others wait for
            }
            if !self.running.is_empty() {
                return;
            }
            // nothing runs and nothing can start: one that waits is given up, then look again; one
            // that a fallback waits for goes first, since that may bring what the others need
            let mut waiting = plan.operations().filter(|(id, _)| self.waits(*id)).peekable();
            let Some(first) = waiting.peek().copied() else { return };
            let (id, operation) = waiting.find(|(id, _)| self.has_waiting_fallback(*id)).unwrap_or(first);
            let skip = self.missing_need(operation, &plan);
            self.set(id, Progress::Ended(self.ended_now(Outcome::Skipped(skip))));
        }
    }

    fn gate(&self, id: OperationId, operation: &Operation, plan: &Plan) -> Gate {
        let source = plan.source(operation.source);
        if let Some(primary) = source.secondary_of {
            match self.fate(primary, plan) {
                Fate::Open => return Gate::Wait,
                Fate::Answered => return Gate::Settle(Progress::NotAsked),
                Fate::Failed => {}
            }
        }
        if !source.connected {
            return Gate::Settle(Progress::Ended(self.ended_now(Outcome::Skipped(Skip::NotConnected))));
        }
        if !self.needs_are_there(operation) {
            return Gate::Wait;
        }
        let Some(first) = self.after(id) else { return Gate::Start };
        match self.step(first).map(|s| (&s.progress, s.running)) {
            Some((Progress::Ended(Ended { outcome: Outcome::NotFound(_) | Outcome::Skipped(_), .. }), _)) => {
                Gate::Start
            }
            Some((Progress::Ended(_) | Progress::NotAsked, _)) => Gate::Settle(Progress::NotAsked),
            _ => Gate::Wait,
        }
    }

    fn after(&self, id: OperationId) -> Option<OperationId> {
        self.step(id).and_then(|s| s.after)
    }

    fn has_waiting_fallback(&self, id: OperationId) -> bool {
        self.steps.iter().any(|s| s.after == Some(id) && !s.running && matches!(s.progress, Progress::Pending))
    }

    /// Of a chain of fallbacks, whichever has its needs first goes first: one that could start now
    /// goes before a chain of which nobody can.
    fn change_places_where_needed(&mut self, plan: &Plan) {
        for (id, operation) in plan.operations() {
            if !self.waits(id) || self.after(id).is_none() || !self.needs_are_there(operation) {
                continue;
            }
            let mut first = id;
            let stuck = loop {
                let Some(before) = self.after(first) else { break true };
                let can_start = plan.operations.get(usize::from(before.0)).is_none_or(|o| self.needs_are_there(o));
                if can_start || !self.waits(before) || before == id {
                    break false;
                }
                first = before;
            };
            if stuck {
                if let Some(step) = self.step_mut(id) {
                    step.after = None;
                }
                if let Some(step) = self.step_mut(first) {
                    step.after = Some(id);
                }
            }
        }
    }

    /// Starts one operation, or settles it from the cache. True when it settled.
    fn start(&mut self, id: OperationId, operation: &Operation, plan: &Arc<Plan>) -> bool {
        let values: Arc<[(NameId, Value)]> =
            operation.inputs.iter().filter_map(|name| Some((*name, self.on_table(*name)?.clone()))).collect();
        let source = plan.source(operation.source);
        let now = self.shared.clock.now();
        let key = ReadingKey {
            organization: self.person.organization(),
            operation: self.shared.edition(id),
            inputs: &values,
        };
        let reading_id = self.shared.cache.reading_id(&key);
        let kept = self.shared.cache.reading(reading_id, source, now);
        if let Some(fresh) = kept.as_ref().filter(|kept| now < fresh_until(source, kept.found, kept.read_at)) {
            let outcome = fresh.outcome();
            let ended = Ended { outcome, read_at: fresh.read_at, stale: false, started: None, took: None };
            self.settle(id, ended, kept);
            return true;
        }
        if let Some(step) = self.step_mut(id) {
            step.running = true;
            step.reading = kept.filter(|kept| kept.found);
            step.kept = step.reading.as_ref().map(|kept| kept.timed());
        }
        let uses_phone = operation.inputs.contains(&PHONE);
        let phones: Arc<[Phone]> = match self.on_table(PHONE) {
            Some(Value::Phone(phone)) if uses_phone => phone.variants().into_iter().collect(),
            _ => Arc::new([]),
        };
        let identity = self.whom(operation);
        let (emails, account, attempts) = (Arc::default(), self.account.clone(), AtomicU8::new(0));
        let call = Call {
            plan: plan.clone(),
            operation: id,
            table: None,
            identity,
            emails,
            phones,
            values,
            account,
            attempts,
        };
        let offset = self.shared.clock.since(self.started);
        let flight = (reading_id, self.epoch);
        let asked = Asked { person: self.person.clone(), flight, call, span: self.span.clone() };
        let shared = self.shared.clone();
        let seat = self.seat.as_ref().filter(|_| operation.batch.is_some());
        self.running.push(match seat.and_then(|seat| Some((seat, seat.lead(flight)?))) {
            Some((seat, lead)) => Box::pin(follow(shared, id, seat.ask(asked, lead), offset)),
            None => Box::pin(ask(shared, asked, offset)),
        });
        false
    }

    /// Whom the hits of an operation must prove to be: who was asked for, if the request uses
    /// that; else the address or number it uses, which a unique match provided.
    fn whom(&self, operation: &Operation) -> Identity {
        let original = match self.person.identity() {
            Identity::Phone(_) => PHONE,
            Identity::Email(_) => EMAIL,
            Identity::CustomerId(_) => CUSTOMER_ID,
        };
        let uses = |name: NameId| operation.inputs.contains(&name);
        match (self.on_table(EMAIL), self.on_table(PHONE)) {
            _ if uses(original) => self.person.identity().clone(),
            (Some(Value::Email(email)), _) if uses(EMAIL) => Identity::Email(email.clone()),
            (_, Some(Value::Phone(phone))) if uses(PHONE) => Identity::Phone(phone.clone()),
            _ => self.person.identity().clone(),
        }
    }

    /// Takes in the end of an operation: what it found may start others.
    fn settle(&mut self, id: OperationId, mut ended: Ended, reading: Option<Arc<KeptReading>>) {
        let failed = matches!(ended.outcome, Outcome::Failed(_) | Outcome::Skipped(Skip::Tripped | Skip::Limited));
        if failed && let Some(kept) = self.step(id).and_then(|s| s.kept.as_ref()) {
            // better an old reading, marked as such, than none
            ended = Ended { outcome: of_kept(kept), read_at: kept.read_at, stale: true, ..ended };
        } else if let Some(step) = self.step_mut(id) {
            step.reading = reading;
        }
        if let Outcome::Found(reading) = &ended.outcome {
            let reading = reading.clone();
            self.provide(id, &reading);
        }
        self.set(id, Progress::Ended(ended));
    }

    /// Puts what a reading holds on the table, unless it is of several people.
    fn provide(&mut self, id: OperationId, reading: &Reading) {
        let Some(operation) = self.shared.plan.operations.get(usize::from(id.0)) else { return };
        let hits: Vec<_> = reading.hits.iter().map(|hit| (operation.source, hit)).collect();
        if operation.identifying() && (reading.ambiguous || clusters(&hits).len() > 1) {
            return;
        }
        for (name, value) in reading.values.iter().filter(|(_, value)| !value.is_missing()) {
            if let Some(place @ None) = self.table.get_mut(usize::from(name.0)) {
                *place = Some(value.clone());
            }
        }
    }

    /// Whether an answer need not wait for essential sources any longer: each has nothing running
    /// and settled at least one operation. Where none is marked essential, all are.
    fn essentials_settled(&self) -> bool {
        let plan = &self.shared.plan;
        let settled = |source: SourceId| {
            let mut found_out = false;
            for (step, operation) in self.steps.iter().zip(&plan.operations) {
                if operation.source == source {
                    if step.running {
                        return false;
                    }
                    found_out |= matches!(
                        step.progress,
                        Progress::Ended(Ended { outcome: Outcome::Found(_) | Outcome::NotFound(_), .. })
                    );
                }
            }
            found_out
        };
        self.shared.essential.iter().all(|source| settled(*source))
    }

    /// How a source stands as a whole, for those that stand in for it.
    fn fate(&self, source: SourceId, plan: &Plan) -> Fate {
        let steps = || self.steps.iter().zip(&plan.operations).filter(|(_, o)| o.source == source).map(|(s, _)| s);
        let answered = |s: &Step| {
            matches!(s.progress, Progress::Ended(Ended { outcome: Outcome::Found(_) | Outcome::NotFound(_), .. }))
        };
        let gone = |s: &Step| match &s.progress {
            Progress::Ended(ended) => matches!(
                ended.outcome,
                Outcome::Failed(_) | Outcome::Skipped(Skip::Tripped | Skip::Limited | Skip::NotConnected)
            ),
            _ => false,
        };
        if steps().any(answered) {
            Fate::Answered
        } else if steps().any(|s| s.running)
            || !steps().any(gone) && steps().any(|s| matches!(s.progress, Progress::Pending))
        {
            Fate::Open
        } else if steps().any(gone) {
            Fate::Failed
        } else {
            Fate::Answered // it had nothing to be asked; nor has its secondary
        }
    }

    fn needs_are_there(&self, operation: &Operation) -> bool {
        operation.needs.iter().all(|need| need.iter().any(|name| self.on_table(*name).is_some()))
    }

    fn missing_need(&self, operation: &Operation, plan: &Plan) -> Skip {
        let missing = operation.needs.iter().find(|need| !need.iter().any(|name| self.on_table(*name).is_some()));
        let name = missing.and_then(|need| need.first()).map(|name| plan.names.name(*name).text.clone());
        Skip::Needs(name.unwrap_or_default())
    }

    fn on_table(&self, name: NameId) -> Option<&Value> {
        self.table.get(usize::from(name.0)).and_then(Option::as_ref)
    }

    fn step(&self, id: OperationId) -> Option<&Step> {
        self.steps.get(usize::from(id.0))
    }

    fn step_mut(&mut self, id: OperationId) -> Option<&mut Step> {
        self.steps.get_mut(usize::from(id.0))
    }

    fn waits(&self, id: OperationId) -> bool {
        self.step(id).is_some_and(|s| !s.running && matches!(s.progress, Progress::Pending))
    }

    fn set(&mut self, id: OperationId, progress: Progress) {
        if let Progress::Ended(ended) = &progress
            && matches!(ended.outcome, Outcome::Skipped(_))
            && ended.took.is_none()
        {
            self.shared.metrics.outcome(self.person.organization(), id, &ended.outcome);
        }
        if let Some(step) = self.step_mut(id) {
            step.running = false;
            step.progress = progress;
        }
    }

    fn ended_now(&self, outcome: Outcome) -> Ended {
        Ended { outcome, read_at: self.shared.clock.now(), stale: false, started: None, took: None }
    }

    /// What is known at this moment. What still runs shows its kept reading, if there is one.
    fn progress(&self) -> Vec<Progress> {
        let shown = |step: &Step| match (&step.progress, &step.kept) {
            (Progress::Pending, Some(kept)) => Progress::Ended(Ended {
                outcome: of_kept(kept),
                read_at: kept.read_at,
                stale: true,
                started: None,
                took: None,
            }),
            (progress, _) => progress.clone(),
        };
        self.steps.iter().map(shown).collect()
    }

    /// What is kept of it, with its windows; nothing when no source answered, for failures are not
    /// kept.
    fn kept(&self, context: &Arc<Context>) -> Option<Kept> {
        let (mut fresh, mut keep, mut found_any) = (Timestamp::MAX, Timestamp::MAX, false);
        for (step, operation) in self.steps.iter().zip(&self.shared.plan.operations) {
            let Progress::Ended(Ended { outcome, read_at, .. }) = &step.progress else { continue };
            let found = match outcome {
                Outcome::Found(_) => true,
                Outcome::NotFound(_) => false,
                _ => continue,
            };
            let source = self.shared.plan.source(operation.source);
            fresh = fresh.min(fresh_until(source, found, *read_at));
            if found {
                found_any = true;
                keep = keep.min(keep_until(source, found, *read_at));
            }
        }
        if fresh == Timestamp::MAX {
            return None;
        }
        let essential_failed =
            context.sources.iter().any(|r| has_failed(&r.state) && self.shared.essential.contains(&r.source));
        let lacking = context.sources.iter().any(|r| has_failed(&r.state) || r.stale);
        let standings = Standings {
            fresh_until: fresh,
            keep_until: if found_any { keep } else { Timestamp::MIN },
            essential_failed,
            refresh_from: match lacking {
                true => plus(self.shared.clock.now(), self.shared.lookup.retry_failed_after),
                false => fresh,
            },
        };
        let steps = self.steps.iter().map(|step| (&step.progress, step.reading.as_ref()));
        let (person, recipe) = (self.person.clone(), self.shared.recipe.clone());
        let context = (&**context, self.shared.next_revision());
        Some(Kept::new(person, recipe, context, steps, standings, self.shared.cache.tracer()))
    }
}

enum Gate {
    Wait,
    Start,
    Settle(Progress),
}

enum Fate {
    /// It may still answer.
    Open,
    Answered,
    Failed,
}

fn of_kept(timed: &Timed) -> Outcome {
    if timed.found { Outcome::Found(timed.reading.clone()) } else { Outcome::NotFound(timed.reading.clone()) }
}

/// What is asked, and for whom.
pub(super) struct Asked {
    pub person: Person,
    pub flight: (ReadingId, Epoch),
    pub call: Call,
    /// Of the assembly that asks.
    span: AssemblySpan,
}

/// One operation for one set of inputs, shared by all who want it at the same time.
async fn ask(shared: Arc<Shared>, asked: Asked, started: Duration) -> (OperationId, Ended, Option<Arc<KeptReading>>) {
    let id = asked.call.operation;
    let from = shared.clock.instant();
    let landed = match shared.reading_flights.join_or_lead(asked.flight) {
        Role::Leader(lead) => {
            let read = read_alone(&shared, &asked).await;
            lead.flight().with(|landed| landed.clone_from(&read));
            read
        }
        Role::Follower(flight) => match landing(&flight).await {
            // what a refresh may not take is there for those who wait
            Some(Landed { outcome: Outcome::Skipped(Skip::Limited), .. })
                if asked.call.account != Account::Background =>
            {
                read_alone(&shared, &asked).await
            }
            landed => landed,
        },
    };
    end(&shared, id, landed, from, started)
}

/// The same where it is asked together with others.
async fn follow(
    shared: Arc<Shared>,
    id: OperationId,
    flight: Arc<Flight<Option<Landed>>>,
    started: Duration,
) -> (OperationId, Ended, Option<Arc<KeptReading>>) {
    let from = shared.clock.instant();
    let landed = landing(&flight).await;
    end(&shared, id, landed, from, started)
}

/// A panic is this operation's end and nobody else's; the hook has logged where.
async fn read_alone(shared: &Shared, asked: &Asked) -> Option<Landed> {
    let read = AssertUnwindSafe(read(shared, &asked.call, &[asked])).catch_unwind().await;
    read.ok().and_then(|mut landed| landed.pop())
}

async fn landing(flight: &Flight<Option<Landed>>) -> Option<Landed> {
    flight.until(Option::is_some).await;
    flight.with(|landed| landed.clone())
}

fn end(
    shared: &Shared,
    id: OperationId,
    landed: Option<Landed>,
    from: Instant,
    started: Duration,
) -> (OperationId, Ended, Option<Arc<KeptReading>>) {
    let unreadable =
        || Landed { outcome: Outcome::Failed(Failure::Unreadable), read_at: shared.clock.now(), reading: None };
    let Landed { outcome, read_at, reading } = landed.unwrap_or_else(unreadable);
    let took = Some(shared.clock.since(from));
    (id, Ended { outcome, read_at, stale: false, started: Some(started), took }, reading)
}

/// Calls the source under its guard, keeps what it said, counts and logs the attempt: one call, for
/// one person or for several.
pub(super) async fn read(shared: &Shared, call: &Call, people: &[&Asked]) -> SmallVec<[Landed; 1]> {
    let Some(Asked { person, span, .. }) = people.first() else { return SmallVec::new() };
    let operation = call.operation();
    let (source_id, source) = (operation.source, call.source());
    let guarded = shared.sources.get(usize::from(source_id.0));
    let breaker = guarded.map_or("", |guarded| guarded.breaker().as_str());
    let mut span = span.call(&source.name, &operation.name, breaker);
    let from = shared.clock.instant();
    let answer = match guarded {
        Some(guarded) => guarded.call(call).await,
        None => Err(Skip::NotConnected.into()),
    };
    let took = shared.clock.since(from);
    let read_at = shared.clock.now();
    let (said, cause) = match answer {
        Ok(Said::Each(each)) => (each.into_iter().map(outcome).collect(), None),
        Ok(said) => (smallvec![outcome(said); people.len()], None),
        Err(CallError::Failed(failure, cause)) => (smallvec![Outcome::Failed(failure); people.len()], cause),
        Err(CallError::BrokeOff(cause)) => (smallvec![Outcome::Failed(Failure::Unreachable); people.len()], cause),
        Err(CallError::Skipped(skip)) => (smallvec![Outcome::Skipped(skip); people.len()], None),
    };
    let said: SmallVec<[Outcome; 1]> = said;
    let whole = said.iter().find(|said| matches!(said, Outcome::Found(_))).or(said.first());
    let whole = whole.cloned().unwrap_or(Outcome::Failed(Failure::Unreadable));
    if let Some(metrics) = shared.metrics.source(source_id)
        && !matches!(whole, Outcome::Skipped(_))
    {
        metrics.seconds.record(took.as_secs_f64());
    }
    let cause = cause.as_deref().map(chain);
    let attempts = call.attempts.load(Ordering::Relaxed);
    span.end(word(&whole), reason(&whole), attempts);
    tracing::debug!(
        target: "caller_context::source",
        organization = %person.organization(),
        caller_ref = %shared.caller_refs.of(person.organization(), person.identity()),
        people = people.len(),
        source = &*source.name,
        operation = &*operation.name,
        outcome = word(&whole),
        reason = reason(&whole),
        attempts,
        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        cause,
        "source asked"
    );
    people.iter().zip(said).map(|(asked, outcome)| landed(shared, asked, outcome, read_at)).collect()
}

/// What was said of one person, kept and counted.
fn landed(shared: &Shared, asked: &Asked, outcome: Outcome, read_at: Timestamp) -> Landed {
    let Asked { person, flight: (_, epoch), call, .. } = asked;
    let (id, operation) = (call.operation, call.operation());
    let reading = match &outcome {
        Outcome::Found(reading) | Outcome::NotFound(reading) => {
            let found = matches!(outcome, Outcome::Found(_));
            let key =
                ReadingKey { organization: person.organization(), operation: shared.edition(id), inputs: &call.values };
            let timed = Timed { reading: reading.clone(), found, read_at };
            Some(shared.cache.keep_reading(&key, &timed, &shared.plan, *epoch))
        }
        Outcome::Failed(_) | Outcome::Skipped(_) => None,
    };
    shared.metrics.outcome(person.organization(), id, &outcome);
    if let (Outcome::Found(reading), Some(metrics)) = (&outcome, shared.metrics.source(operation.source)) {
        metrics.unreadable_fields.increment(u64::from(reading.unreadable_fields));
    }
    Landed { outcome, read_at, reading }
}

fn outcome(said: Said) -> Outcome {
    match said {
        Said::Found(reading) => Outcome::Found(reading),
        Said::NotFound => Outcome::NotFound(Arc::default()),
        Said::Each(_) => Outcome::Failed(Failure::Unreadable), // nobody's own answer is about several
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Found(_) => "found",
        Outcome::NotFound(_) => "not_found",
        Outcome::Failed(_) => "failed",
        Outcome::Skipped(_) => "skipped",
    }
}

fn reason(outcome: &Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Failed(failure) => Some(failure.reason()),
        Outcome::Skipped(skip) => Some(skip.label()),
        _ => None,
    }
}

/// The causes of an error in one line. Errors of this crate and of the clients never quote values.
fn chain(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
