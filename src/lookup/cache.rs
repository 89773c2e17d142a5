//! What is kept: of each person the readings, packed, and what became of every operation. The
//! context is made of them when somebody needs more of it than its bytes. All of it is bounded by bytes; windows of freshness are judged here, by the clock of the gateway. Failures
//! are never kept. Reverse indexes lead from ids, numbers and addresses to both.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use moka::future::Cache as Moka;

use super::merge::{Ended, Progress};
use super::readings::{KeptReading, ReadingId, Shelf};
use super::traces::{Hashed, ReverseIndex, Tracer, context_values, pairs};
use super::{Edition, Recipe};
use crate::domain::{Context, Failure, Identity, LookupStatus, NameId, Organization, Outcome, Skip, Timed, Value};
use crate::manifest::plan::{Plan, Source};

/// Whose context it is: the key of the cache of contexts. There is no key without organization.
#[derive(Clone, PartialEq, Eq)]
pub struct Person(Arc<PersonKey>);

#[derive(PartialEq, Eq)]
struct PersonKey {
    hash: u64,
    organization: Organization,
    identity: Identity,
    /// Request inputs.
    inputs: Arc<[(NameId, Value)]>,
}

/// A person as a question names it: a hit allocates nothing for it.
#[derive(Clone, Copy)]
pub struct Whom<'a> {
    hash: u64,
    organization: &'a Organization,
    identity: &'a Identity,
    inputs: &'a Arc<[(NameId, Value)]>,
}

impl Whom<'_> {
    pub fn person(&self) -> Person {
        Person(Arc::new(PersonKey {
            hash: self.hash,
            organization: self.organization.clone(),
            identity: self.identity.clone(),
            inputs: self.inputs.clone(),
        }))
    }
}

impl Person {
    pub fn organization(&self) -> &Organization {
        &self.0.organization
    }

    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    pub fn inputs(&self) -> &[(NameId, Value)] {
        &self.0.inputs
    }

    fn is(&self, whom: &Whom<'_>) -> bool {
        let key = &*self.0;
        key.organization == *whom.organization && key.identity == *whom.identity && key.inputs == *whom.inputs
    }
}

impl Hash for Person {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

/// What is known of a person, and until when it may be used.
pub struct Kept {
    person: Person,
    /// By which its context is made. Under another one it is no answer.
    pub recipe: Arc<Recipe>,
    /// Of the context that is made of it.
    pub revision: u64,
    /// Of the same one, saying that it is stale.
    pub stale_revision: u64,
    pub status: LookupStatus,
    assembled_at: Timestamp,
    /// By operation, in the order of the plan.
    steps: Box<[KeptStep]>,
    /// Every reading is fresh until then.
    fresh_until: Timestamp,
    /// No reading that was found is older than its keep window until then.
    keep_until: Timestamp,
    /// An essential source failed: the next question asks again before it is answered.
    essential_failed: bool,
    /// From then on sources are asked again behind an answer: what is stale, or what failed.
    pub refresh_from: Timestamp,
    traces: Box<[u64]>,
}

/// What became of one operation, in few bytes.
struct KeptStep {
    end: End,
    stale: bool,
    /// Microseconds; `NEVER` where there are none.
    started: u32,
    took: u32,
}

const NEVER: u32 = u32::MAX;

enum End {
    Pending,
    NotAsked,
    Read(Arc<KeptReading>),
    Failed(Failure),
    Skipped(Skip),
}

/// The windows and times of what is kept.
pub struct Standings {
    pub fresh_until: Timestamp,
    pub keep_until: Timestamp,
    pub essential_failed: bool,
    pub refresh_from: Timestamp,
}

/// What may be done with a kept context now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    Fresh,
    /// Older than its fresh window: an answer says so.
    Stale,
    Expired,
}

impl KeptStep {
    fn new(progress: &Progress, reading: Option<&Arc<KeptReading>>) -> Self {
        let micros = |d: Option<Duration>| d.and_then(|d| u32::try_from(d.as_micros()).ok()).unwrap_or(NEVER);
        let (end, ended) = match (progress, reading) {
            (Progress::Ended(ended), reading) => match (&ended.outcome, reading) {
                (Outcome::Found(_) | Outcome::NotFound(_), Some(reading)) => (End::Read(reading.clone()), Some(ended)),
                (Outcome::Failed(failure), _) => (End::Failed(failure.clone()), Some(ended)),
                (Outcome::Skipped(skip), _) => (End::Skipped(skip.clone()), Some(ended)),
                (Outcome::Found(_) | Outcome::NotFound(_), None) => (End::Pending, None), // each was read
            },
            (Progress::NotAsked, _) => (End::NotAsked, None),
            (Progress::Pending, _) => (End::Pending, None),
        };
        Self {
            end,
            stale: ended.is_some_and(|e| e.stale),
            started: micros(ended.and_then(|e| e.started)),
            took: micros(ended.and_then(|e| e.took)),
        }
    }

    fn progress(&self) -> Progress {
        let duration = |micros| (micros != NEVER).then(|| Duration::from_micros(u64::from(micros)));
        let (outcome, read_at) = match &self.end {
            End::Pending => return Progress::Pending,
            End::NotAsked => return Progress::NotAsked,
            End::Read(reading) => (reading.outcome(), reading.read_at),
            End::Failed(failure) => (Outcome::Failed(failure.clone()), Timestamp::MIN),
            End::Skipped(skip) => (Outcome::Skipped(skip.clone()), Timestamp::MIN),
        };
        let (started, took) = (duration(self.started), duration(self.took));
        Progress::Ended(Ended { outcome, read_at, stale: self.stale, started, took })
    }
}

impl Kept {
    pub fn new<'a>(
        person: Person,
        recipe: Arc<Recipe>,
        (context, stale_revision): (&Context, u64),
        steps: impl Iterator<Item = (&'a Progress, Option<&'a Arc<KeptReading>>)>,
        standings: Standings,
        tracer: &Tracer,
    ) -> Self {
        let Standings { fresh_until, keep_until, essential_failed, refresh_from } = standings;
        Self {
            person,
            revision: context.revision,
            stale_revision,
            status: context.status,
            assembled_at: context.assembled_at,
            steps: steps.map(|(progress, reading)| KeptStep::new(progress, reading)).collect(),
            fresh_until,
            keep_until,
            essential_failed,
            refresh_from,
            traces: tracer.of_context(&recipe.plan, context).into(),
            recipe,
        }
    }

    pub fn standing(&self, now: Timestamp) -> Standing {
        match () {
            () if self.essential_failed => Standing::Expired,
            () if now < self.fresh_until => Standing::Fresh,
            () if now < self.keep_until => Standing::Stale,
            () => Standing::Expired,
        }
    }

    pub fn person(&self) -> &Person {
        &self.person
    }

    pub fn may_be_shown(&self, now: Timestamp) -> bool {
        now < self.keep_until
    }

    /// What the context is made of: the time of the assembly, and what became of every operation.
    pub fn parts(&self) -> (Timestamp, Vec<Progress>) {
        (self.assembled_at, self.steps.iter().map(KeptStep::progress).collect())
    }

    fn weight(&self) -> usize {
        let readings = self.steps.iter().map(|step| if let End::Read(r) = &step.end { r.weight() } else { 0 });
        ENTRY + size_of_val(&*self.steps) + self.traces.len() * super::readings::TRACED + readings.sum::<usize>()
    }
}

/// An entry's own fields and moka's cost of it, about 470 bytes; measured.
const ENTRY: usize = 950;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The windows of a reading: how long it is fresh, and how long it may be shown at all.
fn windows(source: &Source, found: bool) -> (Duration, Duration) {
    if found { (source.fresh, source.keep.max(source.fresh)) } else { (source.not_found, source.not_found) }
}

/// The end of a reading's fresh window.
pub fn fresh_until(source: &Source, found: bool, read_at: Timestamp) -> Timestamp {
    plus(read_at, windows(source, found).0)
}

/// The end of the time that a reading may be shown.
pub fn keep_until(source: &Source, found: bool, read_at: Timestamp) -> Timestamp {
    plus(read_at, windows(source, found).1)
}

pub fn plus(at: Timestamp, window: Duration) -> Timestamp {
    at.checked_add(SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

pub struct Cache {
    contexts: Moka<u64, Arc<Kept>, Hashed>,
    people: Arc<Mutex<ReverseIndex>>,
    shelf: Arc<Shelf>,
    tracer: Tracer,
    forgotten: Mutex<HashMap<Organization, u64>>,
}

/// How often an organization had somebody forgotten when a flight began: what began before the
/// last time is not kept, and nobody who asks later joins it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Epoch(u64);

impl Cache {
    /// `max_bytes` bounds contexts, readings and indexes together.
    pub fn new(plan: &Plan, max_bytes: u64) -> Self {
        // nothing is used beyond its windows; this only gives memory back
        let longest =
            plan.sources.iter().map(|s| s.keep.max(s.fresh).max(s.not_found)).max().unwrap_or(DAY).min(30 * DAY);
        let people = Arc::<Mutex<ReverseIndex>>::default();
        let index = people.clone();
        let contexts = Moka::builder()
            .max_capacity(max_bytes)
            .time_to_live(longest)
            .weigher(|_, kept: &Arc<Kept>| u32::try_from(kept.weight()).unwrap_or(u32::MAX))
            .eviction_listener(move |person: Arc<u64>, kept: Arc<Kept>, _| {
                lock(&index).remove(*person, &kept.traces);
            })
            .build_with_hasher(Hashed::default());
        Self { contexts, people, shelf: Arc::default(), tracer: Tracer::default(), forgotten: Mutex::default() }
    }

    pub fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    pub fn whom<'a>(
        &self,
        organization: &'a Organization,
        identity: &'a Identity,
        inputs: &'a Arc<[(NameId, Value)]>,
    ) -> Whom<'a> {
        Whom { hash: self.tracer.person(organization, identity, inputs), organization, identity, inputs }
    }

    pub async fn context(&self, whom: &Whom<'_>) -> Option<Arc<Kept>> {
        self.contexts.get(&whom.hash).await.filter(|kept| kept.person.is(whom))
    }

    pub fn epoch(&self, organization: &Organization) -> Epoch {
        Epoch(lock(&self.forgotten).get(organization).copied().unwrap_or_default())
    }

    fn begin_epoch(&self, organization: &Organization) {
        *lock(&self.forgotten).entry(organization.clone()).or_default() += 1;
    }

    pub async fn keep_context(&self, kept: Kept, since: Epoch) {
        let (person, kept) = (kept.person.clone(), Arc::new(kept));
        // before it is kept: whatever removes it takes out exactly what is added here
        lock(&self.people).add(person.0.hash, &kept.traces);
        self.contexts.insert(person.0.hash, kept).await;
        // after it is kept: either this sees that somebody was forgotten, or `forget` sees the entry
        if self.epoch(person.organization()) != since {
            self.contexts.invalidate(&person.0.hash).await;
        }
    }

    /// A reading that may still be shown, fresh or not.
    pub fn reading(&self, id: ReadingId, source: &Source, now: Timestamp) -> Option<Arc<KeptReading>> {
        self.shelf.get(id).filter(|kept| now < keep_until(source, kept.found, kept.read_at))
    }

    /// Keeps a reading as long as somebody holds it. `plan` is the one by which it was read.
    pub fn keep_reading(
        &self,
        key: &ReadingKey<'_>,
        timed: &Timed,
        plan: &Arc<Plan>,
        since: Epoch,
    ) -> Arc<KeptReading> {
        let traces = self.tracer.of_reading(key.organization, plan, key.inputs, timed);
        let kept = self.shelf.put(self.reading_id(key), timed, plan, traces);
        if self.epoch(key.organization) != since {
            self.shelf.take_off(&kept);
        }
        kept
    }

    pub fn reading_id(&self, key: &ReadingKey<'_>) -> ReadingId {
        self.tracer.reading(key.organization, key.operation, key.inputs)
    }

    /// Drops the contexts and readings of a person: those that hold this identity, and those that
    /// hold a number, address or customer id of one of them. Readings made with a person's other
    /// ids go too, but lead no further: an owner or a company is shared by many. Returns how many
    /// contexts went. `context` makes the context of what is kept.
    pub async fn forget(
        &self,
        organization: &Organization,
        identity: &Identity,
        context: impl Fn(&Kept) -> Context,
    ) -> usize {
        self.begin_epoch(organization);
        let mut leads = vec![self.tracer.identity(organization, identity)];
        let (mut seen, mut ids, mut dropped) = (HashSet::new(), Vec::new(), 0);
        while let Some(lead) = leads.pop() {
            if !seen.insert(lead) {
                continue;
            }
            let people = lock(&self.people).at(lead);
            for person in people {
                let Some(kept) = self.contexts.remove(&person).await else { continue };
                dropped += 1;
                let (personal, other) =
                    self.tracer.leads(organization, &kept.recipe.plan, context_values(&context(&kept)));
                leads.push(self.tracer.identity(organization, kept.person.identity()));
                leads.extend(personal);
                ids.extend(other);
            }
            for kept in self.shelf.at(lead) {
                self.shelf.take_off(&kept);
                let (personal, other) =
                    self.tracer.leads(organization, &kept.plan, pairs(&kept.timed().reading.values));
                leads.extend(personal);
                ids.extend(other);
            }
        }
        for id in ids {
            self.shelf.at(id).iter().for_each(|kept| self.shelf.take_off(kept));
        }
        dropped
    }

    /// What is kept, counted, after what waits to be evicted is gone.
    pub async fn held(&self) -> Held {
        self.contexts.run_pending_tasks().await;
        let due: usize = self.contexts.iter().map(|(_, kept)| kept.traces.len()).sum();
        let (readings, traces, readings_due) = self.shelf.held();
        Held {
            contexts: self.contexts.entry_count(),
            readings: u64::try_from(readings).unwrap_or(u64::MAX),
            bytes: self.size().1,
            traces: lock(&self.people).len() + traces,
            traces_due: due + readings_due,
        }
    }

    /// Entries and bytes of the cache of contexts, roughly.
    pub fn size(&self) -> (u64, u64) {
        (self.contexts.entry_count(), self.contexts.weighted_size())
    }
}

/// How much is kept, and what leads to it.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub contexts: u64,
    pub readings: u64,
    /// As the caches weigh them.
    pub bytes: u64,
    /// In the reverse indexes.
    pub traces: usize,
    /// As many as what is kept should have there.
    pub traces_due: usize,
}

/// Who asked whom for what, and with which inputs. The names belong to it: where one of two ids is
/// enough, the same text may be either.
pub struct ReadingKey<'a> {
    pub organization: &'a Organization,
    pub operation: Edition,
    pub inputs: &'a [(NameId, Value)],
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::domain::{Email, LookupStatus, Match, Phone, Reading, canonical};

    const PHONE: NameId = canonical("phone");
    const EMAIL: NameId = canonical("email");

    fn number(n: usize) -> Identity {
        Identity::Phone(Phone::parse(&format!("+1415555{n:04}"), None).unwrap())
    }

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap()
    }

    fn person(cache: &Cache, n: usize) -> Person {
        cache.whom(&Organization::single(), &number(n), &Arc::from([])).person()
    }

    async fn get(cache: &Cache, n: usize) -> Option<Arc<Kept>> {
        cache.context(&cache.whom(&Organization::single(), &number(n), &Arc::from([]))).await
    }

    fn context(person: &Person, address: &str) -> Context {
        Context {
            revision: 1,
            organization: person.organization().clone(),
            identity: person.identity().clone(),
            status: LookupStatus::Complete,
            verdict: Match::Unique,
            candidates: Vec::new(),
            fields: Vec::new(),
            ids: vec![(EMAIL, Value::Email(email(address)))],
            sources: Vec::new(),
            assembled_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn kept(cache: &Cache, n: usize, address: &str) -> Kept {
        let person = person(cache, n);
        let standings = Standings {
            fresh_until: Timestamp::MAX,
            keep_until: Timestamp::MAX,
            essential_failed: false,
            refresh_from: Timestamp::MAX,
        };
        let context = context(&person, address);
        Kept::new(person, Arc::default(), (&context, 2), [].into_iter(), standings, &cache.tracer)
    }

    async fn forget(cache: &Cache, identity: &Identity, address: &str) -> usize {
        let of = |kept: &Kept| context(&kept.person, address);
        cache.forget(&Organization::single(), identity, of).await
    }

    fn put(cache: &Cache, inputs: &[(NameId, Value)], values: &[(NameId, Value)], since: Epoch) -> Arc<KeptReading> {
        let reading = Reading { values: values.to_vec(), ..Reading::default() };
        let timed = Timed { reading: reading.into(), found: true, read_at: Timestamp::UNIX_EPOCH };
        cache.keep_reading(&key(&Organization::single(), inputs), &timed, &Arc::default(), since)
    }

    fn key<'a>(organization: &'a Organization, inputs: &'a [(NameId, Value)]) -> ReadingKey<'a> {
        ReadingKey { organization, operation: Edition(0), inputs }
    }

    fn is_kept(cache: &Cache, inputs: &[(NameId, Value)]) -> bool {
        cache.shelf.get(cache.reading_id(&key(&Organization::single(), inputs))).is_some()
    }

    #[tokio::test]
    async fn the_index_holds_what_the_cache_holds_and_no_more() {
        let cache = Cache::new(&Plan::default(), 40_000);
        let since = cache.epoch(&Organization::single());
        for n in (0..300).chain(200..300) {
            cache.keep_context(kept(&cache, n, "all@example.org"), since).await;
        }
        cache.contexts.run_pending_tasks().await;
        let held = usize::try_from(cache.contexts.entry_count()).unwrap();
        assert!(held < 100, "{held} contexts in 40 kB");
        assert_eq!(lock(&cache.people).len(), 2 * held, "a number and an address of each");
        let address = "all@example.org";
        assert_eq!(forget(&cache, &Identity::Email(email(address)), address).await, held);
        assert!(lock(&cache.people).is_empty());
    }

    #[tokio::test]
    async fn a_context_that_replaced_another_is_still_found() {
        let cache = Cache::new(&Plan::default(), 1 << 20);
        let since = cache.epoch(&Organization::single());
        for address in ["old@example.org", "new@example.org"] {
            cache.keep_context(kept(&cache, 1, address), since).await;
        }
        let forget = async |address| forget(&cache, &Identity::Email(email(address)), address).await;
        assert_eq!((forget("old@example.org").await, forget("new@example.org").await), (0, 1));
    }

    #[tokio::test]
    async fn what_began_before_somebody_was_forgotten_is_not_kept() {
        let cache = Cache::new(&Plan::default(), 1 << 20);
        let since = cache.epoch(&Organization::single());
        forget(&cache, &Identity::Email(email("a@example.org")), "a@example.org").await;
        cache.keep_context(kept(&cache, 1, "a@example.org"), since).await;
        let held = put(&cache, &[], &[], since);
        assert!(get(&cache, 1).await.is_none());
        assert!(!is_kept(&cache, &[]));
        assert!(lock(&cache.people).is_empty() && cache.shelf.is_empty());
        assert!(held.found, "who holds it still has it");
    }

    #[tokio::test]
    async fn a_reading_is_forgotten_without_its_context() {
        let cache = Cache::new(&Plan::default(), 1 << 20);
        let since = cache.epoch(&Organization::single());
        let by_phone = [(PHONE, Value::Phone(Phone::parse("+14155550001", None).unwrap()))];
        let by_email = [(EMAIL, Value::Email(email("a@example.org")))];
        let _held = [put(&cache, &by_phone, &by_email, since), put(&cache, &by_email, &by_email, since)];
        assert!(is_kept(&cache, &by_phone) && is_kept(&cache, &by_email));
        assert_eq!(forget(&cache, &number(1), "a@example.org").await, 0);
        assert!(!is_kept(&cache, &by_phone) && !is_kept(&cache, &by_email));
        assert!(cache.shelf.is_empty());
    }

    #[tokio::test]
    async fn a_reading_lives_as_long_as_somebody_holds_it() {
        let cache = Cache::new(&Plan::default(), 1 << 20);
        let since = cache.epoch(&Organization::single());
        let by_phone = [(PHONE, Value::Phone(Phone::parse("+14155550001", None).unwrap()))];
        let first = put(&cache, &by_phone, &by_phone, since);
        let second = put(&cache, &by_phone, &by_phone, since);
        drop(first);
        assert!(is_kept(&cache, &by_phone), "the second replaced the first");
        drop(second);
        assert!(cache.shelf.is_empty());
    }

    #[test]
    fn one_of_two_ids_is_not_the_other() {
        let cache = Cache::new(&Plan::default(), 1 << 20);
        let (organization, other) = (Organization::single(), Organization::parse("other").unwrap());
        let id = |organization, inputs| cache.reading_id(&key(organization, inputs));
        let inputs = [(EMAIL, Value::text("7"))];
        let by_phone = [(PHONE, Value::text("7"))];
        assert!(id(&organization, &by_phone) != id(&organization, &inputs));
        assert!(id(&other, &inputs) != id(&organization, &inputs));
        assert!(id(&organization, &inputs) == id(&organization, &inputs));
    }
}
