//! What leads to a person: numbers, addresses, customer ids, ids of single sources; and the index
//! from them to what is kept. Traces are kept as keyed hashes only.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use foldhash::quality::RandomState as QuickHasher;

use super::Edition;
use super::readings::ReadingId;
use crate::domain::field::Kind;
use crate::domain::{Class, Context, Identity, NameId, Organization, Timed, Value, canonical};
use crate::manifest::plan::Plan;

const CUSTOMER_ID: NameId = canonical("customer_id");

/// A trace, in clear. Never stored.
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

pub(super) fn pairs(values: &[(NameId, Value)]) -> impl Iterator<Item = (NameId, &Value)> {
    values.iter().map(|(name, value)| (*name, value))
}

pub(super) fn context_values(context: &Context) -> impl Iterator<Item = (NameId, &Value)> {
    context.fields.iter().map(|f| (f.name, &f.value)).chain(pairs(&context.ids))
}

/// Makes the hashes of keys and traces, with secrets of this process. A collision of traces drops
/// one entry too many, never one too few. What a name means is as the entry's own plan says.
#[derive(Default)]
pub struct Tracer {
    hasher: RandomState,
    other: RandomState,
    /// For what is compared afterwards.
    quick: QuickHasher,
}

impl Tracer {
    /// The hash of a person's key; not the key.
    pub fn person(&self, organization: &Organization, identity: &Identity, inputs: &[(NameId, Value)]) -> u64 {
        self.quick.hash_one((organization, identity, inputs))
    }

    /// The key of a reading: who asked whom for what, and with which inputs.
    pub fn reading(&self, organization: &Organization, operation: Edition, inputs: &[(NameId, Value)]) -> ReadingId {
        let key = (organization, operation, inputs);
        ReadingId(u128::from(self.hasher.hash_one(key)) << 64 | u128::from(self.other.hash_one(key)))
    }

    pub fn identity(&self, organization: &Organization, identity: &Identity) -> u64 {
        self.hash(organization, &Trace::of(identity))
    }

    fn hash(&self, organization: &Organization, trace: &Trace<'_>) -> u64 {
        self.hasher.hash_one((organization, trace))
    }

    /// Those of a context, of the people who fit it too.
    pub fn of_context(&self, plan: &Plan, context: &Context) -> Vec<u64> {
        let candidates = context.candidates.iter().flat_map(|c| pairs(&c.values));
        let mut traces = vec![Trace::of(&context.identity)];
        context_values(context).chain(candidates).for_each(|(name, value)| add(&mut traces, plan, name, value));
        self.hashes(&context.organization, &traces)
    }

    /// Those of a reading: what was asked with, and what its hits hold.
    pub fn of_reading(
        &self,
        organization: &Organization,
        plan: &Plan,
        inputs: &[(NameId, Value)],
        timed: &Timed,
    ) -> Vec<u64> {
        let reading = &timed.reading;
        let mut traces = Vec::new();
        pairs(inputs).for_each(|(name, value)| add(&mut traces, plan, name, value));
        let found = pairs(&reading.values).chain(reading.hits.iter().flat_map(|h| pairs(&h.values)));
        found.for_each(|(name, value)| add(&mut traces, plan, name, value));
        traces.extend(reading.hits.iter().flat_map(|h| h.phones.iter().map(|p| Trace::Phone(p.e164()))));
        traces.extend(reading.hits.iter().flat_map(|h| h.emails.iter().map(|e| Trace::Email(e.as_str()))));
        self.hashes(organization, &traces)
    }

    /// Hashes of what is a person's own, and of other ids.
    pub fn leads<'a>(
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
#[derive(Default)]
pub struct ReverseIndex {
    /// By trace and place: a trace that thousands share costs no more than others.
    places: BTreeMap<(u64, u64), u32>,
}

impl ReverseIndex {
    pub fn add(&mut self, place: u64, traces: &[u64]) {
        for trace in traces {
            *self.places.entry((*trace, place)).or_default() += 1;
        }
    }

    pub fn remove(&mut self, place: u64, traces: &[u64]) {
        for trace in traces {
            let Some(count) = self.places.get_mut(&(*trace, place)) else { continue };
            *count -= 1;
            if *count == 0 {
                self.places.remove(&(*trace, place));
            }
        }
    }

    pub fn at(&self, trace: u64) -> Vec<u64> {
        self.places.range((trace, 0)..=(trace, u64::MAX)).map(|((_, place), _)| *place).collect()
    }

    /// Entries, those of one place for one trace as often as they were added.
    pub fn len(&self) -> usize {
        self.places.values().map(|count| *count as usize).sum()
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// For maps whose keys are keyed hashes already.
pub type Hashed = BuildHasherDefault<AsItIs>;

/// The last word written is the hash.
#[derive(Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
