//! The hot path. A fresh context is the answer; a stale one is too, and is renewed behind it. With
//! neither, the question joins the assembly of that person, or starts it, and is answered with what
//! is there when the deadline comes.
//!
//! This folder decides whom to ask and what to say. It knows no vendor, no route and no view.

mod assembly;
mod budget;
mod cache;
mod flight;
pub mod merge;
mod readings;
mod together;
mod traces;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tower::retry::budget::TpsBudget;

use crate::clock::Clock;
use crate::config::{self, Config};
pub use crate::domain::CacheState;
use crate::domain::{self, Context, Identity, LookupStatus, NameId, Organization, Outcome, Skip, SourceId, Value};
use crate::manifest::plan::{self, Operation, OperationId, Plan};
use crate::manifest::tree::spoken;
use crate::source::quota::{self, Quota};
use crate::source::{Account, Source, StartError, Upstream};
use crate::telemetry::logging::CallerRefs;
use crate::telemetry::metrics::{BreakerState, Metrics};
use crate::telemetry::traces::{Origin, Parent};

use assembly::{Assembly, Landed, View};
use budget::{Budget, Spent};
use cache::{Cache, Epoch, Kept, Person, Standing};
use flight::{Flight, Flights, Role};
use readings::ReadingId;
use together::Seat;

/// A question: who is this?
#[derive(Debug, Clone)]
pub struct Ask {
    pub organization: Organization,
    pub identity: Identity,
    /// Declared request inputs, defaults filled in, sorted by name.
    pub inputs: Arc<[(NameId, Value)]>,
    /// How long the answer may wait, already clamped.
    pub deadline: Duration,
    /// Whose miss budget a lookup that reaches a source is charged to.
    pub purse: Purse,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Purse {
    /// A key's public id.
    Key(Arc<str>),
    /// Calls that Twilio's signature proves.
    Verified,
    /// Our own work: the command line, refreshes.
    Operator,
}

impl Purse {
    fn label(&self) -> &str {
        match self {
            Self::Key(id) => id,
            Self::Verified => "verified",
            Self::Operator => "operator",
        }
    }
}

/// The answer: always a context, however little it holds. What is kept becomes one when somebody wants
/// more of it than whose it is; the bytes of a context that were made before do.
#[derive(Clone)]
pub struct Answer {
    told: Told,
    pub cache: CacheState,
    /// The same person is asked about so often that no source was asked this time.
    pub burst: bool,
}

#[derive(Clone)]
enum Told {
    Whole(Arc<Context>),
    Kept { shared: Arc<Shared>, kept: Arc<Kept>, stale: bool, context: OnceLock<Arc<Context>> },
}

impl Answer {
    fn whole(context: Arc<Context>, cache: CacheState) -> Self {
        Self { told: Told::Whole(context), cache, burst: false }
    }

    pub fn context(&self) -> &Arc<Context> {
        match &self.told {
            Told::Whole(context) => context,
            Told::Kept { shared, kept, stale: false, context } => {
                context.get_or_init(|| shared.context_of(kept).into())
            }
            Told::Kept { shared, kept, stale: true, context } => {
                context.get_or_init(|| shared.said_to_be_stale(kept).into())
            }
        }
    }

    pub fn organization(&self) -> &Organization {
        match &self.told {
            Told::Whole(context) => &context.organization,
            Told::Kept { kept, .. } => kept.person().organization(),
        }
    }

    pub fn identity(&self) -> &Identity {
        match &self.told {
            Told::Whole(context) => &context.identity,
            Told::Kept { kept, .. } => kept.person().identity(),
        }
    }

    /// Of the context, unique within the process.
    pub fn revision(&self) -> u64 {
        match &self.told {
            Told::Whole(context) => context.revision,
            Told::Kept { kept, stale: false, .. } => kept.revision,
            Told::Kept { kept, stale: true, .. } => kept.stale_revision,
        }
    }

    pub fn status(&self) -> LookupStatus {
        match &self.told {
            Told::Kept { kept, stale: false, .. } => kept.status,
            _ => self.context().status,
        }
    }
}

/// Finds out who calls. One per process; cheap to share.
pub struct Engine {
    shared: Arc<Shared>,
}

/// What contexts are made by. A reload that changes it makes a new one, and what was made by the
/// old one is no answer any more.
#[derive(Default)]
struct Recipe {
    plan: Arc<Plan>,
    merge: config::Merge,
}

/// One operation as it is defined. A reload that changes what it asks, whom, or how it reads the
/// answer makes another edition of it, which shares no reading with the one before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Edition(u64);

/// What assemblies share. What does not depend on the configuration outlives a reload, and so does
/// whatever the configuration says as before.
struct Shared {
    /// The recipe's.
    plan: Arc<Plan>,
    recipe: Arc<Recipe>,
    /// Of the plan's operations.
    editions: Vec<Edition>,
    lookup: config::Lookup,
    limits: config::Limits,
    /// The sources an answer waits for: those marked so, or all.
    essential: BTreeSet<SourceId>,
    sources: Vec<Arc<Source>>,
    /// A budget of a source was spent further than the store knows.
    unclaimed: Arc<Notify>,
    retries: Arc<TpsBudget>,
    cache: Arc<Cache>,
    budget: Arc<Budget>,
    refreshes: Arc<Semaphore>,
    assemblies: Flights<(Person, Epoch), View>,
    reading_flights: Flights<(ReadingId, Epoch), Option<Landed>>,
    /// Counts what must be told apart for as long as the process runs.
    serial: Arc<AtomicU64>,
    clock: Clock,
    tracker: TaskTracker,
    metrics: Arc<Metrics>,
    caller_refs: Arc<CallerRefs>,
}

/// What an operator wants to know of a source right now.
#[derive(Debug, Clone)]
pub struct SourceHealth {
    pub source: Arc<str>,
    pub connected: bool,
    /// `passing`, `tripped` or `probing`.
    pub breaker: &'static str,
    pub in_flight: usize,
    pub budgets: Vec<BudgetHealth>,
}

/// What is left of one of a source's long budgets.
#[derive(Debug, Clone)]
pub struct BudgetHealth {
    /// Its length, as it is written.
    pub window: String,
    pub limit: u64,
    pub remaining: u64,
    /// When nothing is left at the pace of the last twentieth of the window; none when it lasts.
    pub dry_in: Option<Duration>,
}

/// What an engine holds.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub cache: cache::Held,
    /// Assemblies and readings under way.
    pub flights: usize,
    /// Budgets that are not full.
    pub budgets: usize,
    /// Refreshes under way.
    pub refreshes: usize,
    /// Calls under way at sources.
    pub in_flight: usize,
}

impl Engine {
    /// Sets up every source of the plan; none is connected before it is asked. Tasks run on the
    /// tracker, so that shutdown can wait for them.
    pub fn start(
        config: &Config,
        clock: Clock,
        tracker: TaskTracker,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        Self::make(config, clock, tracker, metrics, None)
    }

    /// An engine for a new configuration that goes on with what this one has: the cache, budgets,
    /// and the clients, breakers and flights of sources that are as before. This one goes on too,
    /// for those who asked it. What [`config::load_after`] loaded after this one's configuration is
    /// the only configuration it may be.
    pub fn after(&self, config: &Config, metrics: Arc<Metrics>) -> Result<Self, StartError> {
        let earlier = &*self.shared;
        Self::make(config, earlier.clock, earlier.tracker.clone(), metrics, Some(earlier))
    }

    fn make(
        config: &Config,
        clock: Clock,
        tracker: TaskTracker,
        metrics: Arc<Metrics>,
        earlier: Option<&Shared>,
    ) -> Result<Self, StartError> {
        let plan = config.plan.clone();
        let same_lookup = |same: fn(&config::Lookup, &config::Lookup) -> bool| {
            earlier.filter(|earlier| same(&earlier.lookup, &config.lookup))
        };
        let retries = match same_lookup(|a, b| a.retry_budget == b.retry_budget) {
            Some(earlier) => earlier.retries.clone(),
            None => {
                let share = config.lookup.retry_budget.clamp(0.0, 1.0) as f32;
                Arc::new(TpsBudget::new(Duration::from_secs(10), 1, share))
            }
        };
        let unclaimed = earlier.map_or_else(Default::default, |earlier| earlier.unclaimed.clone());
        let mut sources: Vec<Arc<Source>> = Vec::new();
        for id in plan.source_ids() {
            let settings = plan.source(id);
            let going_on = earlier.filter(|e| Arc::ptr_eq(&e.retries, &retries)).and_then(|e| e.source_like(settings));
            sources.push(match going_on {
                Some(source) => source,
                None => {
                    let upstream = Upstream::new(settings, &tracker)?;
                    let mut before = plan.sources.iter().zip(&sources);
                    let shared = before.find(|(other, _)| other.shares_quota_with(settings));
                    let quota = match shared {
                        Some((_, source)) => source.quota().clone(),
                        None => {
                            let earlier = earlier.and_then(|earlier| earlier.source_called(&settings.name));
                            let earlier = earlier.map(|source| &**source.quota());
                            let (name, unclaimed) = (settings.name.clone(), unclaimed.clone());
                            Quota::new(name, &settings.limits, clock, unclaimed, earlier).into()
                        }
                    };
                    let (retries, tracker) = (retries.clone(), tracker.clone());
                    Source::new(settings, upstream, quota, retries, tracker, clock).into()
                }
            });
        }
        let marked: BTreeSet<_> = plan.source_ids().filter(|id| plan.source(*id).essential).collect();
        let all = || plan.source_ids().filter(|id| plan.source(*id).secondary_of.is_none()).collect();
        let serial = earlier.map_or_else(|| Arc::new(AtomicU64::new(1)), |e| e.serial.clone());
        let same_recipe = earlier.filter(|e| Arc::ptr_eq(&e.plan, &plan) && e.recipe.merge == config.merge);
        let shared = Shared {
            essential: if marked.is_empty() { all() } else { marked },
            editions: plan
                .operations()
                .map(|(_, operation)| {
                    let going_on = earlier.and_then(|earlier| earlier.edition_like(operation, &plan));
                    going_on.unwrap_or_else(|| Edition(serial.fetch_add(1, Ordering::Relaxed)))
                })
                .collect(),
            cache: match earlier {
                Some(earlier) => earlier.cache.clone(),
                None => Arc::new(Cache::new(&plan, config.cache.contexts_max_bytes)),
            },
            budget: match earlier.filter(|earlier| earlier.limits == config.limits) {
                Some(earlier) => earlier.budget.clone(),
                None => Arc::new(Budget::new(&config.limits, clock)),
            },
            refreshes: match same_lookup(|a, b| a.refreshes == b.refreshes) {
                Some(earlier) => earlier.refreshes.clone(),
                None => Arc::new(Semaphore::new(config.lookup.refreshes)),
            },
            // what is being put together by another recipe is no answer
            assemblies: same_recipe.map(|earlier| earlier.assemblies.clone()).unwrap_or_default(),
            // the key of a reading tells editions apart
            reading_flights: earlier.map(|earlier| earlier.reading_flights.clone()).unwrap_or_default(),
            recipe: match same_recipe {
                Some(earlier) => earlier.recipe.clone(),
                None => Arc::new(Recipe { plan: plan.clone(), merge: config.merge.clone() }),
            },
            caller_refs: earlier.map_or_else(|| Arc::new(CallerRefs::new()), |earlier| earlier.caller_refs.clone()),
            lookup: config.lookup.clone(),
            limits: config.limits.clone(),
            serial,
            retries,
            plan,
            sources,
            unclaimed,
            clock,
            tracker,
            metrics,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The plan that answers are made by: names and sources of every context it returns.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.shared.plan
    }

    /// By which a caller is followed through the log.
    pub fn caller_refs(&self) -> &CallerRefs {
        &self.shared.caller_refs
    }

    /// Answers within the deadline, whatever the sources do.
    pub async fn answer(&self, ask: &Ask) -> Answer {
        self.answer_within(ask, Parent::default).await
    }

    /// The same within somebody's trace, which is looked for only when sources are asked: what is
    /// in the cache leaves no trace.
    pub async fn answer_within(&self, ask: &Ask, parent: impl Fn() -> Parent) -> Answer {
        self.answer_seated(ask, parent, None).await
    }

    /// Answers about several people at the same time, in their order. Where a source can be asked
    /// about several by e-mail, it is, in one request.
    pub async fn answer_together(&self, asks: &[Ask], parent: impl Fn() -> Parent) -> Vec<Answer> {
        let seats = Seat::several(&self.shared, asks.len());
        join_all(asks.iter().zip(seats).map(|(ask, seat)| self.answer_seated(ask, &parent, Some(seat)))).await
    }

    async fn answer_seated(&self, ask: &Ask, parent: impl Fn() -> Parent, mut seat: Option<Seat>) -> Answer {
        let whom = self.shared.cache.whom(&ask.organization, &ask.identity, &ask.inputs);
        let found = self.shared.cache.context(&whom).await;
        let kept = found.as_ref().filter(|kept| self.shared.made(kept));
        let now = self.shared.clock.now();
        let answer = match kept.map(|kept| (kept, kept.standing(now))) {
            Some((kept, Standing::Fresh)) => self.kept(kept, false, CacheState::Hit),
            Some((kept, Standing::Stale)) => self.kept(kept, true, CacheState::Stale),
            Some((_, Standing::Expired)) | None => {
                self.assembled(whom.person(), ask, found.as_ref(), parent, seat.take()).await
            }
        };
        if matches!(answer.cache, CacheState::Hit | CacheState::Stale) && kept.is_some_and(|k| now >= k.refresh_from) {
            self.refresh_behind(whom.person(), seat.take());
        }
        self.shared.metrics.cache(&ask.organization, answer.cache);
        answer
    }

    fn kept(&self, kept: &Arc<Kept>, stale: bool, cache: CacheState) -> Answer {
        let (shared, kept, context) = (self.shared.clone(), kept.clone(), OnceLock::new());
        Answer { told: Told::Kept { shared, kept, stale, context }, cache, burst: false }
    }

    /// Joins the assembly of this person or starts one, and waits until it is ready or the
    /// deadline is over; then the answer is what has arrived.
    async fn assembled(
        &self,
        person: Person,
        ask: &Ask,
        kept: Option<&Arc<Kept>>,
        parent: impl Fn() -> Parent,
        seat: Option<Seat>,
    ) -> Answer {
        let epoch = self.shared.cache.epoch(&ask.organization);
        let now = self.shared.clock.now();
        let (kept, former) = match kept {
            Some(kept) if !self.shared.made(kept) => (None, Some(kept)),
            kept => (kept, None),
        };
        // put together anew after a reload, of readings that are still kept: that is nobody's miss
        let is_anew = former.is_some_and(|former| former.standing(now) != Standing::Expired);
        if self.shared.assemblies.join(&(person.clone(), epoch)).is_none()
            && !is_anew
            && let Err(spent) = self.shared.budget.take(ask)
        {
            return self.refused(ask, &person, kept, spent);
        }
        let from = self.shared.clock.instant();
        let account = self.shared.account(&ask.purse);
        let (flight, joined) = self.fly(person.clone(), None, Origin::Miss(parent()), account, seat);
        // a landed flight is a finished assembly: its last view stays readable
        let _ = tokio::time::timeout(ask.deadline, flight.until(|view| view.ready)).await;
        let context = flight.with(|view| view.context(&self.shared, &person));
        self.shared.count_silence(&ask.organization, &context, self.shared.clock.since(from));
        Answer::whole(context, if joined { CacheState::Joined } else { CacheState::Miss })
    }

    /// Nobody waits for it, so it is the first to be left out when there is too much to do.
    fn refresh_behind(&self, person: Person, seat: Option<Seat>) {
        match self.shared.refreshes.clone().try_acquire_owned() {
            Ok(turn) => drop(self.fly(person, Some(turn), Origin::Refresh, Account::Background, seat)),
            Err(_) => self.shared.metrics.refreshes_shed.increment(1),
        }
    }

    fn fly(
        &self,
        person: Person,
        turn: Option<OwnedSemaphorePermit>,
        origin: Origin,
        account: Account,
        seat: Option<Seat>,
    ) -> (Arc<Flight<View>>, bool) {
        let shared = &self.shared;
        let epoch = shared.cache.epoch(person.organization());
        let lead = match shared.assemblies.join_or_lead((person.clone(), epoch)) {
            Role::Follower(flight) => return (flight, true),
            Role::Leader(lead) => lead,
        };
        let flight = lead.flight().clone();
        let assembly = Assembly::new(shared.clone(), person, epoch, account, seat);
        shared.tracker.spawn(async move {
            assembly.run(lead, origin).await;
            drop(turn);
        });
        (flight, false)
    }

    /// The budget is spent: what is kept, however old, or a context that says so. Refusing a
    /// vendor call is better than refusing the caller.
    fn refused(&self, ask: &Ask, person: &Person, kept: Option<&Arc<Kept>>, spent: Spent) -> Answer {
        let label = if spent == Spent::Person { "number" } else { ask.purse.label() };
        self.shared.metrics.miss_refused(&ask.organization, label);
        let now = self.shared.clock.now();
        let answer = match kept.filter(|kept| kept.may_be_shown(now)) {
            Some(kept) => self.kept(kept, true, CacheState::Miss),
            None => Answer::whole(self.shared.nobody_asked(person, Skip::Limited), CacheState::Miss),
        };
        Answer { burst: spent == Spent::Person, ..answer }
    }

    /// Drops what is cached of a person, under every number and address that leads there.
    /// Returns how many contexts were dropped.
    pub async fn forget(&self, organization: &Organization, identity: &Identity) -> usize {
        self.shared.cache.forget(organization, identity, |kept| self.shared.context_of(kept)).await
    }

    pub fn health(&self) -> Vec<SourceHealth> {
        let of = |(settings, source): (&plan::Source, &Arc<Source>)| SourceHealth {
            source: settings.name.clone(),
            connected: settings.connected,
            breaker: source.breaker().as_str(),
            in_flight: source.in_flight(),
            budgets: budgets(source),
        };
        self.shared.plan.sources.iter().zip(&self.shared.sources).map(of).collect()
    }

    /// What the store is to keep of the sources' budgets, a little ahead of what was spent; `last`:
    /// exactly that, since this process spends no more.
    pub fn claim(&self, last: bool) -> Vec<domain::Spent> {
        self.shared.quotas().flat_map(|quota| quota.claim(last)).collect()
    }

    /// Takes in what other processes spent, and this one in earlier lives.
    pub fn hear_of(&self, others: &[domain::Spent]) {
        self.shared.quotas().for_each(|quota| quota.hear_of(others));
    }

    /// Is told when something was spent that was not claimed; the same for every later engine.
    pub fn unclaimed(&self) -> Arc<Notify> {
        self.shared.unclaimed.clone()
    }

    /// What is held in memory right now, counted entry by entry: for tests that nothing grows.
    pub async fn held(&self) -> Held {
        let shared = &self.shared;
        Held {
            cache: shared.cache.held().await,
            flights: shared.assemblies.len() + shared.reading_flights.len(),
            budgets: shared.budget.len(),
            refreshes: shared.lookup.refreshes - shared.refreshes.available_permits(),
            in_flight: shared.sources.iter().map(|source| source.in_flight()).sum(),
        }
    }

    /// Forgets budgets of long ago; call it every few seconds.
    pub fn upkeep(&self) {
        self.shared.budget.upkeep();
    }

    /// Brings the gauges up to date, for whoever reads them next.
    pub fn show_gauges(&self) {
        use crate::source::breaker::State;
        let (entries, bytes) = self.shared.cache.size();
        self.shared.metrics.cache_contexts.set(entries as f64);
        self.shared.metrics.cache_bytes.set(bytes as f64);
        for (id, source) in self.shared.plan.source_ids().zip(&self.shared.sources) {
            let Some(metrics) = self.shared.metrics.source(id) else { continue };
            metrics.in_flight.set(source.in_flight() as f64);
            for budget in budgets(source) {
                metrics.budget(&budget.window, budget.limit, budget.remaining, budget.dry_in);
            }
            metrics.breaker(match source.breaker() {
                State::Passing => BreakerState::Passing,
                State::Probing => BreakerState::Probing,
                State::Tripped => BreakerState::Tripped,
            });
        }
    }
}

/// How the long budgets of a source stand, in their order.
fn budgets(source: &Source) -> Vec<BudgetHealth> {
    let budgets = source.quota().standings().into_iter().filter(|standing| standing.is_budget);
    let health = |standing: quota::Standing| BudgetHealth {
        window: spoken(standing.per),
        limit: standing.limit,
        remaining: standing.remaining,
        dry_in: standing.dry_in,
    };
    budgets.map(health).collect()
}

impl Shared {
    fn next_revision(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a kept context is made by the recipe in force.
    fn made(&self, kept: &Kept) -> bool {
        Arc::ptr_eq(&kept.recipe, &self.recipe)
    }

    #[expect(clippy::indexing_slicing, reason = "an OperationId is only made by its Plan")]
    fn edition(&self, id: OperationId) -> Edition {
        self.editions[usize::from(id.0)]
    }

    fn source_called(&self, name: &str) -> Option<&Arc<Source>> {
        let mut ours = self.plan.sources.iter().zip(&self.sources);
        ours.find(|(ours, _)| *ours.name == *name).map(|(_, source)| source)
    }

    /// The quotas of the sources, each once.
    fn quotas(&self) -> impl Iterator<Item = &Arc<Quota>> {
        let quotas = || self.sources.iter().map(|source| source.quota());
        let is_first = move |at: usize, quota: &Arc<Quota>| !quotas().take(at).any(|other| Arc::ptr_eq(other, quota));
        quotas().enumerate().filter(move |(at, quota)| is_first(*at, quota)).map(|(_, quota)| quota)
    }

    /// Whom calls are counted for that somebody waits for.
    fn account(&self, purse: &Purse) -> Account {
        match purse {
            Purse::Key(id) => Account::Key { id: id.clone(), share: self.limits.budget_per_key },
            Purse::Verified | Purse::Operator => Account::Live,
        }
    }

    /// The source that is reached as these settings say, if it is one of these.
    fn source_like(&self, settings: &plan::Source) -> Option<Arc<Source>> {
        let mut ours = self.plan.sources.iter().zip(&self.sources);
        let (_, source) = ours.find(|(ours, _)| ours.name == settings.name && ours.reached_like(settings))?;
        Some(source.clone())
    }

    /// The edition of an operation of another plan, if its readings are like one of these.
    fn edition_like(&self, operation: &Operation, plan: &Plan) -> Option<Edition> {
        let source = plan.source(operation.source);
        let (id, _) = self.plan.operations().find(|(_, ours)| {
            let of = self.plan.source(ours.source);
            ours.name == operation.name && of.name == source.name && of.reads_like(source) && ours.reads_like(operation)
        })?;
        (self.plan.never == plan.never).then(|| self.edition(id))
    }

    /// The context of what is kept.
    fn context_of(&self, kept: &Kept) -> Context {
        let (assembled_at, progress) = kept.parts();
        Context { assembled_at, ..self.merged_by(&kept.recipe, kept.revision, kept.person(), &progress) }
    }

    /// A kept context that is past its fresh window, saying so.
    fn said_to_be_stale(&self, kept: &Kept) -> Context {
        let now = self.clock.now();
        let mut context = Context { revision: kept.stale_revision, ..self.context_of(kept) };
        for report in &mut context.sources {
            let settings = self.plan.source(report.source);
            report.stale |= report.read_at.is_some_and(|at| now >= cache::fresh_until(settings, true, at));
        }
        if context.sources.iter().any(|report| report.stale) {
            context.status = LookupStatus::Stale;
        }
        context
    }

    /// A context for which no source was asked, and why.
    fn nobody_asked(&self, person: &Person, skip: Skip) -> Arc<Context> {
        let now = self.clock.now();
        let ended =
            merge::Ended { outcome: Outcome::Skipped(skip), read_at: now, stale: false, started: None, took: None };
        let progress: Vec<_> = self.plan.operations.iter().map(|_| merge::Progress::Ended(ended.clone())).collect();
        Arc::new(self.merged(person, &progress))
    }

    /// The context of what is known of each operation.
    fn merged(&self, person: &Person, progress: &[merge::Progress]) -> Context {
        self.merged_by(&self.recipe, self.next_revision(), person, progress)
    }

    fn merged_by(&self, recipe: &Recipe, revision: u64, person: &Person, progress: &[merge::Progress]) -> Context {
        let merged = merge::Facts { plan: &recipe.plan, merge: &recipe.merge, progress }.merged();
        Context {
            revision,
            organization: person.organization().clone(),
            identity: person.identity().clone(),
            status: merged.status,
            verdict: merged.verdict,
            candidates: merged.candidates,
            fields: merged.fields,
            ids: merged.ids,
            sources: merged.sources,
            assembled_at: merged.newest.unwrap_or(self.clock.now()),
        }
    }

    /// Charges the time a caller waited to the sources that the answer waited for: those still
    /// running, evenly, or the one that came last.
    fn count_silence(&self, organization: &Organization, context: &Context, waited: Duration) {
        use crate::domain::SourceState;
        let pending: Vec<_> = context
            .sources
            .iter()
            .filter(|r| r.operations.iter().any(|o| o.state == SourceState::Pending))
            .map(|r| r.source)
            .collect();
        let last = context.sources.iter().filter(|r| r.took.is_some()).max_by_key(|r| r.took).map(|r| r.source);
        let charged = if pending.is_empty() { last.into_iter().collect() } else { pending };
        let share = waited / u32::try_from(charged.len().max(1)).unwrap_or(1);
        for source in charged {
            self.metrics.silence(organization, source, share);
        }
    }
}
