//! What is kept: readings (one operation, one set of inputs) and contexts (one person). Both are
//! bounded by bytes; windows of freshness are judged here, by the clock of the gateway. Failures
//! are never kept. Reverse indexes lead from ids, numbers and addresses to both.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState as FastHash;
use jiff::{SignedDuration, Timestamp};
use moka::future::Cache as Moka;

use super::{Edition, Recipe};
use crate::domain::field::Kind;
use crate::domain::{Class, Context, Identity, NameId, Organization, Timed, Value, canonical};
use crate::manifest::plan::{Plan, Source};

/// Whose context it is: the key of the cache of contexts. There is no key without organization.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Person(Arc<PersonKey>);

#[derive(PartialEq, Eq, Hash)]
struct PersonKey {
    organization: Organization,
    identity: Identity,
    /// Request inputs; not copied, a hit allocates nothing for them.
    inputs: Arc<[(NameId, Value)]>,
}

impl Person {
    pub fn new(organization: &Organization, identity: &Identity, inputs: &Arc<[(NameId, Value)]>) -> Self {
        Self(Arc::new(PersonKey {
            organization: organization.clone(),
            identity: identity.clone(),
            inputs: inputs.clone(),
        }))
    }

    pub fn organization(&self) -> &Organization {
        &self.0.organization
    }

    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }
}

/// The key of a reading: who asked whom for what, and with which inputs. The names belong to it:
/// where one of two ids is enough, the same text may be either.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ReadingKey {
    pub organization: Organization,
    pub operation: Edition,
    pub inputs: Arc<[(NameId, Value)]>,
}

/// A context in the cache, and until when it may be used.
pub struct Kept {
    pub context: Arc<Context>,
    /// By which it was made. Under another one it is no answer.
    pub recipe: Arc<Recipe>,
    /// Every reading is fresh until then.
    pub fresh_until: Timestamp,
    /// No reading that was found is older than its keep window until then.
    pub keep_until: Timestamp,
    /// An essential source failed: the next question asks again before it is answered.
    pub essential_failed: bool,
    /// From then on sources are asked again behind an answer: what is stale, or what failed.
    pub refresh_from: Timestamp,
    /// What is served once it is stale: the same, saying so.
    pub stale: OnceLock<Arc<Context>>,
}

/// What may be done with a kept context now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    Fresh,
    /// Older than its fresh window: an answer says so.
    Stale,
    Expired,
}

impl Kept {
    pub fn standing(&self, now: Timestamp) -> Standing {
        match () {
            () if self.essential_failed => Standing::Expired,
            () if now < self.fresh_until => Standing::Fresh,
            () if now < self.keep_until => Standing::Stale,
            () => Standing::Expired,
        }
    }

    /// Whether any source answered; failures are not kept.
    pub fn heard_anything(&self) -> bool {
        self.fresh_until > Timestamp::MIN
    }

    fn weight(&self) -> usize {
        let context = &self.context;
        let fields: usize = context.fields.iter().map(|f| 72 + f.value.weight()).sum();
        let reports: usize = context.sources.iter().map(|s| 96 + 80 * s.operations.len()).sum();
        let candidates: usize = context.candidates.iter().flat_map(|c| &c.values).map(|(_, v)| 16 + v.weight()).sum();
        ENTRY_OVERHEAD + fields + reports + candidates
    }
}

/// moka's own cost of an entry, measured at about 470 bytes, and that of its traces in the index.
const ENTRY_OVERHEAD: usize = 1_000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The windows of a reading: how long it is fresh, and how long it may be shown at all.
fn windows(source: &Source, found: bool) -> (Duration, Duration) {
    if found { (source.fresh, source.keep.max(source.fresh)) } else { (source.not_found, source.not_found) }
}

/// The end of a reading's fresh window.
pub fn fresh_until(source: &Source, timed: &Timed) -> Timestamp {
    plus(timed.read_at, windows(source, timed.found).0)
}

/// The end of the time that a reading may be shown.
pub fn keep_until(source: &Source, timed: &Timed) -> Timestamp {
    plus(timed.read_at, windows(source, timed.found).1)
}

pub fn plus(at: Timestamp, window: Duration) -> Timestamp {
    at.checked_add(SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

pub struct Cache {
    contexts: Moka<Person, Arc<Kept>, FastHash>,
    readings: Moka<ReadingKey, KeptReading>,
    people: Arc<ReverseIndex<Person>>,
    questions: Arc<ReverseIndex<ReadingKey>>,
    tracer: Tracer,
    forgotten: Mutex<HashMap<Organization, u64>>,
}

/// A reading in the cache.
#[derive(Clone)]
struct KeptReading {
    timed: Timed,
    /// By which it was read: what its names mean.
    plan: Arc<Plan>,
}

/// How often an organization had somebody forgotten when a flight began: what began before the
/// last time is not kept, and nobody who asks later joins it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Epoch(u64);

impl Cache {
    /// `max_bytes` is shared evenly between contexts and readings.
    pub fn new(plan: &Plan, max_bytes: u64) -> Self {
        // nothing is used beyond its windows; this only gives memory back
        let longest =
            plan.sources.iter().map(|s| s.keep.max(s.fresh).max(s.not_found)).max().unwrap_or(DAY).min(30 * DAY);
        let tracer = Tracer { hasher: RandomState::new() };
        let (people, questions) = (Arc::<ReverseIndex<Person>>::default(), Arc::<ReverseIndex<ReadingKey>>::default());
        let (index, trace) = (people.clone(), tracer.clone());
        let contexts = Moka::builder()
            .max_capacity(max_bytes / 2)
            .time_to_live(longest)
            .weigher(|_, kept: &Arc<Kept>| u32::try_from(kept.weight()).unwrap_or(u32::MAX))
            .eviction_listener(move |person: Arc<Person>, kept: Arc<Kept>, _| {
                index.remove(&person, &trace.of_context(&person, &kept));
            })
            .build_with_hasher(FastHash::default());
        let (index, trace) = (questions.clone(), tracer.clone());
        let readings = Moka::builder()
            .max_capacity(max_bytes / 2)
            .time_to_live(longest)
            .weigher(|_, kept: &KeptReading| {
                u32::try_from(ENTRY_OVERHEAD + kept.timed.reading.weight()).unwrap_or(u32::MAX)
            })
            .eviction_listener(move |key: Arc<ReadingKey>, kept: KeptReading, _| {
                index.remove(&key, &trace.of_reading(&key, &kept));
            })
            .build();
        Self { contexts, readings, people, questions, tracer, forgotten: Mutex::default() }
    }

    pub async fn context(&self, person: &Person) -> Option<Arc<Kept>> {
        self.contexts.get(person).await
    }

    pub fn epoch(&self, organization: &Organization) -> Epoch {
        let forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        Epoch(forgotten.get(organization).copied().unwrap_or_default())
    }

    fn begin_epoch(&self, organization: &Organization) {
        let mut forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        *forgotten.entry(organization.clone()).or_default() += 1;
    }

    pub async fn keep_context(&self, person: Person, kept: Kept, since: Epoch) {
        // before it is kept: whatever removes it takes out exactly what is added here
        self.people.add(&person, &self.tracer.of_context(&person, &kept));
        self.contexts.insert(person.clone(), Arc::new(kept)).await;
        // after it is kept: either this sees that somebody was forgotten, or `forget` sees the entry
        if self.epoch(person.organization()) != since {
            self.contexts.invalidate(&person).await;
        }
    }

    /// A reading that may still be shown, fresh or not.
    pub async fn reading(&self, key: &ReadingKey, source: &Source, now: Timestamp) -> Option<Timed> {
        let timed = self.readings.get(key).await?.timed;
        (now < keep_until(source, &timed)).then_some(timed)
    }

    /// `plan` is the one by which it was read.
    pub async fn keep_reading(&self, key: ReadingKey, timed: Timed, plan: &Arc<Plan>, since: Epoch) {
        let kept = KeptReading { timed, plan: plan.clone() };
        self.questions.add(&key, &self.tracer.of_reading(&key, &kept));
        self.readings.insert(key.clone(), kept).await;
        if self.epoch(&key.organization) != since {
            self.readings.invalidate(&key).await;
        }
    }

    /// Drops the contexts and readings of a person: those that hold this identity, and those that
    /// hold a number, address or customer id of one of them. Readings made with a person's other
    /// ids go too, but lead no further: an owner or a company is shared by many. Returns how many
    /// contexts went.
    pub async fn forget(&self, organization: &Organization, identity: &Identity) -> usize {
        self.begin_epoch(organization);
        let mut leads = vec![self.tracer.hash(organization, &Trace::of(identity))];
        let (mut seen, mut ids, mut dropped) = (HashSet::new(), Vec::new(), 0);
        while let Some(lead) = leads.pop() {
            if !seen.insert(lead) {
                continue;
            }
            for person in self.people.at(lead) {
                let Some(kept) = self.contexts.remove(&person).await else { continue };
                dropped += 1;
                let values = context_values(&kept.context);
                let (personal, other) = self.tracer.leads(organization, &kept.recipe.plan, values);
                leads.push(self.tracer.hash(organization, &Trace::of(person.identity())));
                leads.extend(personal);
                ids.extend(other);
            }
            for key in self.questions.at(lead) {
                let Some(kept) = self.readings.remove(&key).await else { continue };
                let values = pairs(&kept.timed.reading.values);
                let (personal, other) = self.tracer.leads(organization, &kept.plan, values);
                leads.extend(personal);
                ids.extend(other);
            }
        }
        for id in ids {
            for key in self.questions.at(id) {
                self.readings.invalidate(&key).await;
            }
        }
        dropped
    }

    /// What is kept, counted, after what waits to be evicted is gone.
    pub async fn held(&self) -> Held {
        self.contexts.run_pending_tasks().await;
        self.readings.run_pending_tasks().await;
        let contexts = self.contexts.iter().map(|(person, kept)| self.tracer.of_context(&person, &kept).len());
        let readings = self.readings.iter().map(|(key, kept)| self.tracer.of_reading(&key, &kept).len());
        Held {
            contexts: self.contexts.entry_count(),
            readings: self.readings.entry_count(),
            bytes: self.contexts.weighted_size() + self.readings.weighted_size(),
            traces: self.people.len() + self.questions.len(),
            traces_due: contexts.sum::<usize>() + readings.sum::<usize>(),
        }
    }

    /// Entries and bytes of the cache of contexts, roughly.
    pub fn size(&self) -> (u64, u64) {
        (self.contexts.entry_count(), self.contexts.weighted_size() + self.readings.weighted_size())
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

const CUSTOMER_ID: NameId = canonical("customer_id");

/// What leads to a person: an id of one source, a number, an address, a customer id.
#[derive(Hash)]
enum Trace<'a> {
    Phone(&'a str),
    Email(&'a str),
    CustomerId(&'a str),
    Own(NameId, Cow<'a, str>),
}

impl<'a> Trace<'a> {
    fn of(identity: &'a Identity) -> Self {
        match identity {
            Identity::Phone(phone) => Self::Phone(phone.e164()),
            Identity::Email(email) => Self::Email(email.as_str()),
            Identity::CustomerId(id) => Self::CustomerId(&id.0),
        }
    }

    fn is_personal(&self) -> bool {
        !matches!(self, Self::Own(..))
    }
}

fn pairs(values: &[(NameId, Value)]) -> impl Iterator<Item = (NameId, &Value)> {
    values.iter().map(|(name, value)| (*name, value))
}

fn context_values(context: &Context) -> impl Iterator<Item = (NameId, &Value)> {
    context.fields.iter().map(|f| (f.name, &f.value)).chain(pairs(&context.ids))
}

/// Finds traces, as keyed hashes. A collision drops one entry too many, never one too few. What a
/// name means is as the entry's own plan says: what was added is taken out again after a reload.
#[derive(Clone)]
struct Tracer {
    hasher: RandomState,
}

impl Tracer {
    fn hash(&self, organization: &Organization, trace: &Trace<'_>) -> u64 {
        self.hasher.hash_one((organization, trace))
    }

    /// Those of a context, of the people who fit it too.
    fn of_context(&self, person: &Person, kept: &Kept) -> Vec<u64> {
        let (context, plan) = (&kept.context, &kept.recipe.plan);
        let candidates = context.candidates.iter().flat_map(|c| pairs(&c.values));
        let mut traces = vec![Trace::of(person.identity())];
        context_values(context).chain(candidates).for_each(|(name, value)| add(&mut traces, plan, name, value));
        self.hashes(person.organization(), &traces)
    }

    /// Those of a reading: what was asked with, and what its hits hold.
    fn of_reading(&self, key: &ReadingKey, kept: &KeptReading) -> Vec<u64> {
        let (reading, plan) = (&kept.timed.reading, &kept.plan);
        let mut traces = Vec::new();
        pairs(&key.inputs).for_each(|(name, value)| add(&mut traces, plan, name, value));
        let found = pairs(&reading.values).chain(reading.hits.iter().flat_map(|h| pairs(&h.values)));
        found.for_each(|(name, value)| add(&mut traces, plan, name, value));
        traces.extend(reading.hits.iter().flat_map(|h| h.phones.iter().map(|p| Trace::Phone(p.e164()))));
        traces.extend(reading.hits.iter().flat_map(|h| h.emails.iter().map(|e| Trace::Email(e.as_str()))));
        self.hashes(&key.organization, &traces)
    }

    /// Hashes of what is a person's own, and of other ids.
    fn leads<'a>(
        &self,
        organization: &Organization,
        plan: &Plan,
        values: impl Iterator<Item = (NameId, &'a Value)>,
    ) -> (Vec<u64>, Vec<u64>) {
        let mut traces = Vec::new();
        values.for_each(|(name, value)| add(&mut traces, plan, name, value));
        let (personal, other): (Vec<_>, Vec<_>) = traces.into_iter().partition(Trace::is_personal);
        (self.hashes(organization, &personal), self.hashes(organization, &other))
    }

    fn hashes(&self, organization: &Organization, traces: &[Trace<'_>]) -> Vec<u64> {
        let mut hashes: Vec<u64> = traces.iter().map(|trace| self.hash(organization, trace)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }
}

/// Numbers and addresses that are public are of others: of the owner of a record, of a company.
fn add<'a>(traces: &mut Vec<Trace<'a>>, plan: &Plan, name: NameId, value: &'a Value) {
    if matches!(plan.names.name(name).kind, Kind::Own { .. }) {
        traces.extend(value.to_text().map(|id| Trace::Own(name, id)));
        return;
    }
    let personal = plan.names.class(name) != Some(Class::Public);
    match value {
        Value::Phone(phone) if personal => traces.push(Trace::Phone(phone.e164())),
        Value::Email(email) if personal => traces.push(Trace::Email(email.as_str())),
        Value::List(values) => {
            let contacts = values.iter().filter(|v| matches!(v, Value::Phone(_) | Value::Email(_)));
            contacts.for_each(|v| add(traces, plan, name, v));
        }
        Value::Text(id) if name == CUSTOMER_ID => traces.push(Trace::CustomerId(id)),
        _ => {}
    }
}

/// What leads where. An entry is counted, not only known: while one of a key replaces another, both
/// are in here, and whichever goes takes only its own out.
struct ReverseIndex<K> {
    hasher: RandomState,
    /// By the hash of a trace and of the key: a trace that thousands share costs no more than others.
    keys: Mutex<BTreeMap<(u64, u64), (K, usize)>>,
}

impl<K> Default for ReverseIndex<K> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), keys: Mutex::default() }
    }
}

impl<K: Clone + Hash> ReverseIndex<K> {
    fn add(&self, key: &K, traces: &[u64]) {
        let (hash, mut keys) = (self.hasher.hash_one(key), self.lock());
        for trace in traces {
            keys.entry((*trace, hash)).or_insert_with(|| (key.clone(), 0)).1 += 1;
        }
    }

    fn remove(&self, key: &K, traces: &[u64]) {
        let (hash, mut keys) = (self.hasher.hash_one(key), self.lock());
        for trace in traces {
            let Some((_, count)) = keys.get_mut(&(*trace, hash)) else { continue };
            *count -= 1;
            if *count == 0 {
                keys.remove(&(*trace, hash));
            }
        }
    }

    /// Entries, those of one key for one trace as often as they were added.
    fn len(&self) -> usize {
        self.lock().values().map(|(_, count)| count).sum()
    }

    fn at(&self, trace: u64) -> Vec<K> {
        self.lock().range((trace, 0)..=(trace, u64::MAX)).map(|(_, (key, _))| key.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(u64, u64), (K, usize)>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::domain::{Email, LookupStatus, Match, Phone};

    const PHONE: NameId = canonical("phone");
    const EMAIL: NameId = canonical("email");

    fn person(n: usize) -> Person {
        let phone = Phone::parse(&format!("+1415555{n:04}"), None).unwrap();
        Person::new(&Organization::single(), &Identity::Phone(phone), &Arc::from([]))
    }

    fn email(text: &str) -> Email {
        Email::parse(text).unwrap()
    }

    fn kept(person: &Person, address: &str) -> Kept {
        let context = Context {
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
        };
        Kept {
            context: Arc::new(context),
            recipe: Arc::default(),
            fresh_until: Timestamp::MAX,
            keep_until: Timestamp::MAX,
            essential_failed: false,
            refresh_from: Timestamp::MAX,
            stale: OnceLock::new(),
        }
    }

    fn of(inputs: &[(NameId, Value)]) -> ReadingKey {
        ReadingKey { organization: Organization::single(), operation: Edition(0), inputs: inputs.into() }
    }

    #[tokio::test]
    async fn the_index_holds_what_the_cache_holds_and_no_more() {
        let cache = Cache::new(&Plan::default(), 40_000);
        let since = cache.epoch(&Organization::single());
        for n in (0..300).chain(200..300) {
            let person = person(n);
            let kept = kept(&person, "all@example.org");
            cache.keep_context(person, kept, since).await;
        }
        cache.contexts.run_pending_tasks().await;
        let held = usize::try_from(cache.contexts.entry_count()).unwrap();
        assert!(held < 100, "{held} contexts in 20 kB");
        assert_eq!(cache.people.lock().len(), 2 * held, "a number and an address of each");
        assert_eq!(cache.forget(&Organization::single(), &Identity::Email(email("all@example.org"))).await, held);
        assert!(cache.people.lock().is_empty());
    }

    #[tokio::test]
    async fn a_context_that_replaced_another_is_still_found() {
        let cache = Cache::new(&Plan::default(), 1 << 20);
        let since = cache.epoch(&Organization::single());
        for address in ["old@example.org", "new@example.org"] {
            cache.keep_context(person(1), kept(&person(1), address), since).await;
        }
        let forget = async |address| cache.forget(&Organization::single(), &Identity::Email(email(address))).await;
        assert_eq!((forget("old@example.org").await, forget("new@example.org").await), (0, 1));
    }

    #[tokio::test]
    async fn what_began_before_somebody_was_forgotten_is_not_kept() {
        let cache = Cache::new(&Plan::default(), 1 << 20);
        let since = cache.epoch(&Organization::single());
        cache.forget(&Organization::single(), &Identity::Email(email("a@example.org"))).await;
        cache.keep_context(person(1), kept(&person(1), "a@example.org"), since).await;
        let timed = Timed { reading: Arc::default(), found: true, read_at: Timestamp::UNIX_EPOCH };
        cache.keep_reading(of(&[]), timed, &Arc::default(), since).await;
        assert!(cache.context(&person(1)).await.is_none());
        assert!(cache.readings.get(&of(&[])).await.is_none());
        assert!(cache.people.lock().is_empty() && cache.questions.lock().is_empty());
    }

    #[tokio::test]
    async fn a_reading_is_forgotten_without_its_context() {
        let cache = Cache::new(&Plan::default(), 1 << 20);
        let since = cache.epoch(&Organization::single());
        let by_phone = of(&[(PHONE, Value::Phone(Phone::parse("+14155550001", None).unwrap()))]);
        let by_email = of(&[(EMAIL, Value::Email(email("a@example.org")))]);
        let reading = crate::domain::Reading { values: by_email.inputs.to_vec(), ..Default::default() };
        let timed = Timed { reading: Arc::new(reading), found: true, read_at: Timestamp::UNIX_EPOCH };
        cache.keep_reading(by_phone.clone(), timed.clone(), &Arc::default(), since).await;
        cache.keep_reading(by_email.clone(), timed, &Arc::default(), since).await;
        assert_eq!(cache.forget(&Organization::single(), person(1).identity()).await, 0);
        assert!(cache.readings.get(&by_phone).await.is_none() && cache.readings.get(&by_email).await.is_none());
        assert!(cache.questions.lock().is_empty());
    }

    #[test]
    fn one_of_two_ids_is_not_the_other() {
        assert!(of(&[(CUSTOMER_ID, Value::text("7"))]) != of(&[(EMAIL, Value::text("7"))]));
    }
}
