//! What is kept: readings (one operation, one set of inputs) and contexts (one person). Both are
//! bounded by bytes; windows of freshness are judged here, by the clock of the gateway. Failures
//! are never kept. The reverse index leads from ids, numbers and addresses to contexts.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use moka::future::Cache as Moka;
use smallvec::SmallVec;

use crate::domain::field::Kind;
use crate::domain::{Context, Identity, NameId, Organization, Timed, Value, canonical};
use crate::manifest::plan::{OperationId, Plan, Source};

/// Whose context it is: the key of the cache of contexts. There is no key without organization.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Person(Arc<PersonKey>);

#[derive(PartialEq, Eq, Hash)]
struct PersonKey {
    organization: Organization,
    identity: Identity,
    /// Request inputs as text, empty in nearly every call.
    inputs: Box<str>,
}

impl Person {
    pub fn new(organization: &Organization, identity: &Identity, inputs: &[(NameId, Value)]) -> Self {
        let mut text = String::new();
        for (name, value) in inputs {
            text.push_str(&format!("{}={}\n", name.0, value.to_text().unwrap_or_default()));
        }
        Self(Arc::new(PersonKey {
            organization: organization.clone(),
            identity: identity.clone(),
            inputs: text.into(),
        }))
    }

    pub fn organization(&self) -> &Organization {
        &self.0.organization
    }

    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }
}

/// The key of a reading: who asked whom for what, and with which inputs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ReadingKey {
    organization: Organization,
    operation: OperationId,
    inputs: SmallVec<[Arc<str>; 2]>,
}

impl ReadingKey {
    pub fn new<'a>(
        organization: &Organization,
        operation: OperationId,
        inputs: impl IntoIterator<Item = &'a Value>,
    ) -> Self {
        let text = |value: &Value| match value {
            Value::Text(text) | Value::Url(text) => text.clone(),
            other => other.to_text().unwrap_or_default().into(),
        };
        Self { organization: organization.clone(), operation, inputs: inputs.into_iter().map(text).collect() }
    }
}

/// A context in the cache, and until when it may be used.
pub struct Kept {
    pub context: Arc<Context>,
    /// Every reading is fresh until then.
    pub fresh_until: Timestamp,
    /// No reading that was found is older than its keep window until then.
    pub keep_until: Timestamp,
    /// An essential source failed: the next question asks again before it is answered.
    pub essential_failed: bool,
    /// Another source failed: it is asked again behind an answer, from then on.
    pub retry_failed_from: Option<Timestamp>,
    /// The readings it was made of.
    pub readings: Vec<ReadingKey>,
    /// What is served once it is stale: the same, saying so.
    pub stale: OnceLock<Arc<Context>>,
}

/// What may be done with a kept context now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    Fresh,
    /// Fresh, but a source that failed is due to be asked again behind the answer.
    FreshRetryDue,
    /// Older than its fresh window: answer with it and refresh behind.
    Stale,
    Expired,
}

impl Kept {
    pub fn standing(&self, now: Timestamp) -> Standing {
        if self.essential_failed {
            return Standing::Expired;
        }
        if now < self.fresh_until {
            let due = self.retry_failed_from.is_some_and(|from| now >= from);
            return if due { Standing::FreshRetryDue } else { Standing::Fresh };
        }
        if now < self.keep_until { Standing::Stale } else { Standing::Expired }
    }

    fn weight(&self) -> usize {
        let context = &self.context;
        let fields: usize = context.fields.iter().map(|f| 72 + f.value.weight()).sum();
        let reports: usize = context.sources.iter().map(|s| 96 + 80 * s.operations.len()).sum();
        ENTRY_OVERHEAD + fields + reports + 96 * (self.readings.len() + context.candidates.len())
    }
}

/// moka's own cost of an entry, measured at about 470 bytes.
const ENTRY_OVERHEAD: usize = 500;

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
    contexts: Moka<Person, Arc<Kept>>,
    readings: Moka<ReadingKey, Timed>,
    index: Arc<ReverseIndex>,
    plan: Arc<Plan>,
}

impl Cache {
    /// `max_bytes` is shared evenly between contexts and readings.
    pub fn new(plan: Arc<Plan>, max_bytes: u64) -> Self {
        let index = Arc::new(ReverseIndex::default());
        let (evicted, names) = (index.clone(), plan.clone());
        let contexts = Moka::builder()
            .max_capacity(max_bytes / 2)
            .weigher(|_, kept: &Arc<Kept>| u32::try_from(kept.weight()).unwrap_or(u32::MAX))
            .eviction_listener(move |person: Arc<Person>, kept: Arc<Kept>, cause| {
                if cause != moka::notification::RemovalCause::Replaced {
                    evicted.remove(&person, &kept.context, &names);
                }
            })
            .build();
        let readings = Moka::builder()
            .max_capacity(max_bytes / 2)
            .weigher(|_, timed: &Timed| u32::try_from(ENTRY_OVERHEAD + timed.reading.weight()).unwrap_or(u32::MAX))
            .build();
        Self { contexts, readings, index, plan }
    }

    pub async fn context(&self, person: &Person) -> Option<Arc<Kept>> {
        self.contexts.get(person).await
    }

    pub async fn keep_context(&self, person: Person, kept: Kept) {
        if let Some(before) = self.contexts.get(&person).await {
            self.index.remove(&person, &before.context, &self.plan);
        }
        self.index.add(&person, &kept.context, &self.plan);
        self.contexts.insert(person, Arc::new(kept)).await;
    }

    /// A reading that may still be shown, fresh or not.
    pub async fn reading(&self, key: &ReadingKey, source: &Source, now: Timestamp) -> Option<Timed> {
        let timed = self.readings.get(key).await?;
        (now < keep_until(source, &timed)).then_some(timed)
    }

    pub async fn keep_reading(&self, key: ReadingKey, timed: Timed) {
        self.readings.insert(key, timed).await;
    }

    /// Drops the contexts and readings of a person: those under this identity, and those under
    /// every id, number and address that one of them holds. Returns how many contexts went.
    pub async fn forget(&self, organization: &Organization, identity: &Identity) -> usize {
        let mut people = self.index.people(organization, &Trace::of(identity));
        people.push(Person::new(organization, identity, &[]));
        let mut dropped = 0;
        let mut seen = std::collections::HashSet::new();
        while let Some(person) = people.pop() {
            if !seen.insert(person.clone()) {
                continue;
            }
            let Some(kept) = self.contexts.remove(&person).await else { continue };
            dropped += 1;
            for trace in traces(&person, &kept.context, &self.plan) {
                people.extend(self.index.people(organization, &trace));
            }
            for reading in &kept.readings {
                self.readings.invalidate(reading).await;
            }
            self.index.remove(&person, &kept.context, &self.plan);
        }
        dropped
    }

    /// Entries and bytes of the cache of contexts, roughly.
    pub fn size(&self) -> (u64, u64) {
        (self.contexts.entry_count(), self.contexts.weighted_size() + self.readings.weighted_size())
    }
}

/// What leads to a person: an id of one source, a number, an address, a customer id.
#[derive(Hash)]
enum Trace<'a> {
    Phone(&'a str),
    Email(&'a str),
    CustomerId(&'a str),
    Own(NameId, std::borrow::Cow<'a, str>),
}

impl<'a> Trace<'a> {
    fn of(identity: &'a Identity) -> Self {
        match identity {
            Identity::Phone(phone) => Self::Phone(phone.e164()),
            Identity::Email(email) => Self::Email(email.as_str()),
            Identity::CustomerId(id) => Self::CustomerId(&id.0),
        }
    }
}

fn traces<'a>(person: &'a Person, context: &'a Context, plan: &'a Plan) -> Vec<Trace<'a>> {
    let mut traces = vec![Trace::of(person.identity())];
    for (name, value) in
        context.fields.iter().map(|f| (f.name, &f.value)).chain(context.ids.iter().map(|(n, v)| (*n, v)))
    {
        add_traces(&mut traces, name, value, plan);
    }
    traces
}

fn add_traces<'a>(traces: &mut Vec<Trace<'a>>, name: NameId, value: &'a Value, plan: &Plan) {
    const CUSTOMER_ID: NameId = canonical("customer_id");
    match value {
        Value::Phone(phone) => traces.push(Trace::Phone(phone.e164())),
        Value::Email(email) => traces.push(Trace::Email(email.as_str())),
        Value::Text(id) if name == CUSTOMER_ID => traces.push(Trace::CustomerId(id)),
        Value::List(values) if !matches!(plan.names.name(name).kind, Kind::Own { .. }) => {
            values
                .iter()
                .filter(|v| matches!(v, Value::Phone(_) | Value::Email(_)))
                .for_each(|v| add_traces(traces, name, v, plan));
        }
        value if matches!(plan.names.name(name).kind, Kind::Own { .. }) => {
            traces.extend(value.to_text().map(|id| Trace::Own(name, id)));
        }
        _ => {}
    }
}

/// Keyed hashes of traces -> people. A collision drops one context too many, never one too few.
#[derive(Default)]
struct ReverseIndex {
    hasher: RandomState,
    people: Mutex<HashMap<u64, SmallVec<[Person; 1]>>>,
}

impl ReverseIndex {
    fn hash(&self, organization: &Organization, trace: &Trace<'_>) -> u64 {
        self.hasher.hash_one((organization, trace))
    }

    fn add(&self, person: &Person, context: &Context, plan: &Plan) {
        let hashes: Vec<u64> =
            traces(person, context, plan).iter().map(|t| self.hash(person.organization(), t)).collect();
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        for hash in hashes {
            let of_hash = people.entry(hash).or_default();
            if !of_hash.contains(person) {
                of_hash.push(person.clone());
            }
        }
    }

    fn remove(&self, person: &Person, context: &Context, plan: &Plan) {
        let hashes: Vec<u64> =
            traces(person, context, plan).iter().map(|t| self.hash(person.organization(), t)).collect();
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        for hash in hashes {
            let Some(of_hash) = people.get_mut(&hash) else { continue };
            of_hash.retain(|p| p != person);
            if of_hash.is_empty() {
                people.remove(&hash);
            }
        }
    }

    fn people(&self, organization: &Organization, trace: &Trace<'_>) -> Vec<Person> {
        let hash = self.hash(organization, trace);
        let people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        people.get(&hash).map(|p| p.to_vec()).unwrap_or_default()
    }
}
