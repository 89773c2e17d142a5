//! Records: how the objects of an answer become a reading. Which of them are hits is decided
//! here, in canonical form: vendors' searches return strangers. Pure.

use std::cell::Cell;
use std::cmp::Ordering;
use std::sync::Arc;

use rust_decimal::Decimal;
use smallvec::SmallVec;

pub use super::errors::{AnswerClass, ErrorRules};
use super::evaluate::Place;
use super::expression::{Expression, Slot};
use super::path::{Frame, Frames, Shape};
use super::plan::Source;
use crate::domain::{Email, Hit, Identity, NameId, Phone, Reading, Value, canonical};

pub(super) const PHONE: NameId = canonical("phone");
pub(super) const EMAIL: NameId = canonical("email");
/// Entries of a list field.
pub(super) const MAX_ENTRIES: usize = 10;
/// Rows of a table.
pub(super) const MAX_ROWS: usize = 1_000;
/// Different people in one answer: beyond that it is no search for a caller, and comparing each
/// with each takes time.
const MAX_PEOPLE: usize = 50;

/// How the records of an answer are read.
#[derive(Debug, Default, PartialEq)]
pub struct Record {
    pub(super) shape: Shape,
    pub(super) provides: Vec<(NameId, Expression)>,
    pub(super) lists: Vec<List>,
    pub(super) phones: Vec<Slot>,
    pub(super) emails: Vec<Slot>,
    /// Tests that a record must pass.
    pub(super) conditions: Vec<Expression>,
    pub(super) rank: Vec<Rank>,
    /// The name whose value tells hits apart.
    pub(super) id: Option<NameId>,
    /// Records come from a search for the caller's number, or for an e-mail.
    pub(super) by_phone: bool,
    pub(super) by_email: bool,
    pub(super) exact_person: bool,
    pub(super) select: Vec<Arc<str>>,
    pub(super) gives: Vec<NameId>,
    /// The tables that values are looked up in.
    pub(super) tables: Vec<Arc<str>>,
}

#[derive(Debug, PartialEq)]
pub(super) struct List {
    pub(super) field: NameId,
    /// The record's list that the entries are the elements of; none when records are entries.
    pub(super) from: Option<usize>,
    /// Tests that an entry must pass.
    pub(super) conditions: Vec<Expression>,
    /// In the order of the vocabulary.
    pub(super) items: Vec<(Arc<str>, Expression)>,
    pub(super) most: usize,
}

#[derive(Debug, PartialEq)]
pub(super) struct Rank {
    pub(super) path: Slot,
    pub(super) descending: bool,
}

/// What reading an answer needs to know.
pub struct ReadEnv<'a> {
    /// Hits must prove to be this identity.
    pub identity: &'a Identity,
    /// The operation's inputs.
    pub get: &'a dyn Fn(NameId) -> Option<&'a Value>,
    pub source: &'a Source,
    /// What stands in a table of the source under a key, as far as it is loaded.
    pub tables: &'a dyn Fn(&str, &str) -> Option<Value>,
    /// Folded member names that are never taken in, beside the built-in ones.
    pub never: &'a [Arc<str>],
}

impl ReadEnv<'_> {
    /// The number that is searched for.
    fn phone(&self) -> Option<&Phone> {
        match (self.identity, (self.get)(PHONE)) {
            (Identity::Phone(phone), _) | (_, Some(Value::Phone(phone))) => Some(phone),
            _ => None,
        }
    }

    /// The caller's own number, where a text spells it in canonical form: no need to parse it.
    pub(super) fn callers(&self, text: &str) -> Option<Phone> {
        self.phone()?.spelt(text)
    }
}

/// An answer, read.
#[derive(Debug)]
pub struct Read {
    /// There was a record, and it proved to be the identity where that is asked.
    pub found: bool,
    pub reading: Reading,
    /// Values that did not fit their field's type; counted, never shown.
    pub unreadable_fields: u32,
}

/// The answer is not JSON, too deep, or not of the expected shape.
#[derive(Debug, thiserror::Error)]
#[error("the answer cannot be read as JSON")]
pub struct Unreadable;

/// A database row: column names and values.
pub type Row = Vec<(Arc<str>, serde_json::Value)>;

impl Record {
    /// The fields and own ids that a reading may hold.
    pub fn provides(&self) -> &[NameId] {
        &self.gives
    }

    /// The tables of its source that it is read with.
    pub fn tables(&self) -> &[Arc<str>] {
        &self.tables
    }

    /// The member names that `{select}` asks for.
    pub(super) fn select(&self) -> &[Arc<str>] {
        &self.select
    }

    /// Has `phones` or `emails` and searches by them, or is `exact` for a person: its hits say who
    /// the caller is.
    pub fn identifying(&self) -> bool {
        self.verifies() || self.exact_person
    }

    pub(super) fn verifies(&self) -> bool {
        (self.by_phone || self.by_email) && !(self.phones.is_empty() && self.emails.is_empty())
    }
}

impl Record {
    /// Reads a JSON answer: valid UTF-8, an object or a list (or null for nothing).
    pub fn read(&self, body: &[u8], env: &ReadEnv<'_>) -> Result<Read, Unreadable> {
        let mut read = self.read_each(body, env.never, std::iter::once(env))?;
        read.pop().ok_or(Unreadable)
    }

    /// Reads one JSON answer for several people: for each what proves to be theirs.
    pub fn read_each<'e, 'v: 'e>(
        &self,
        body: &[u8],
        never: &[Arc<str>],
        people: impl Iterator<Item = &'e ReadEnv<'v>>,
    ) -> Result<Vec<Read>, Unreadable> {
        let text = std::str::from_utf8(body).map_err(|_| Unreadable)?;
        let text = text.trim_start_matches('\u{feff}').trim_ascii();
        if !text.starts_with(['{', '[']) && text != "null" {
            return Err(Unreadable);
        }
        // the cause would quote the answer
        let frames = self.shape.walk(text, never).map_err(|_| Unreadable)?;
        Ok(people.map(|env| self.judge(&frames, env)).collect())
    }

    /// Reads database rows; each row is a record.
    pub fn read_rows(&self, rows: Vec<Row>, env: &ReadEnv<'_>) -> Read {
        let rows: Vec<Columns> = rows.into_iter().map(Columns).collect();
        let json = serde_json::to_vec(&rows).map_err(|_| Unreadable);
        let read = json.and_then(|json| self.read(&json, env));
        read.unwrap_or(Read { found: false, reading: Reading::default(), unreadable_fields: 1 })
    }

    fn judge(&self, frames: &Frames<'_>, env: &ReadEnv<'_>) -> Read {
        let unreadable = Cell::new(0);
        let mut read = Read { found: false, reading: Reading::default(), unreadable_fields: 0 };
        let Some(root) = frames.root() else { return read };
        let place = |record| Place { env, record, element: None, unreadable: &unreadable };
        let identifying = self.identifying();
        let mut records: Vec<Candidate<'_>> = Vec::new();
        for frame in frames.list(root, 0) {
            let place = place(frame);
            if !place.passes(&self.conditions) {
                continue;
            }
            let Some(proof) = self.proof(place) else { continue };
            records.push(Candidate { frame, proof, rank: self.rank(place) });
        }
        records.sort_by(|a, b| self.order(a, b));
        // of what is not about persons only the first record's values count
        let read_from = if identifying { records.len() } else { records.len().min(1) };
        let mut people: Vec<(Vec<&Frame<'_>>, Hit)> = Vec::new();
        for record in records.iter().take(read_from) {
            let place = place(record.frame);
            let values: Vec<_> = self.provides.iter().filter_map(|(name, e)| Some((*name, e.value(place)?))).collect();
            let id = self.id(&values);
            let known = people.iter_mut().find(|(_, hit)| id.is_some() && self.id(&hit.values) == id);
            if let Some((frames, _)) = known {
                frames.push(record.frame);
            } else if people.len() < MAX_PEOPLE {
                people.push((vec![record.frame], self.hit(place, &record.proof, values)));
            }
        }
        let Some((own, best)) = people.first() else { return read };
        read.found = true;
        read.reading.values.clone_from(&best.values);
        // another person's deals are not the caller's
        let all: Vec<&Frame<'_>> = records.iter().map(|record| record.frame).collect();
        let of = if identifying { own } else { &all };
        for list in &self.lists {
            let entries = list.entries(frames, of, &place);
            if !entries.is_empty() {
                read.reading.values.push((list.field, Value::List(entries.into())));
            }
        }
        if identifying {
            read.reading.hits = people.into_iter().map(|(_, hit)| hit).collect();
        }
        read.unreadable_fields = unreadable.get();
        read
    }

    fn id<'v>(&self, values: &'v [(NameId, Value)]) -> Option<&'v Value> {
        let name = self.id?;
        values.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// How a record proves to be the caller's: one of its numbers or addresses is what was
    /// searched for. `None`: it does not.
    fn proof(&self, place: Place<'_, '_>) -> Option<Proof> {
        if !self.verifies() {
            return Some(Proof { extension: false });
        }
        let env = place.env;
        let region = env.source.region.as_deref();
        let phone = env.phone().filter(|_| self.by_phone);
        let texts = |slots: &'_ [Slot]| slots.iter().flat_map(|slot| place.texts(*slot)).collect::<SmallVec<[_; 4]>>();
        if let Some(phone) = phone
            && let Some(same) = texts(&self.phones).iter().filter_map(|text| phone.compare(text, region)).max()
        {
            return Some(Proof { extension: same.extension });
        }
        let email = match (env.identity, (env.get)(EMAIL)) {
            (Identity::Email(email), _) | (_, Some(Value::Email(email))) => Some(email).filter(|_| self.by_email)?,
            _ => return None,
        };
        let equal = |text: &str| Email::parse(text).as_ref() == Some(email);
        texts(&self.emails).iter().any(|text| equal(text)).then_some(Proof { extension: false })
    }

    fn hit(&self, place: Place<'_, '_>, proof: &Proof, values: Vec<(NameId, Value)>) -> Hit {
        let region = place.env.source.region.as_deref();
        let mut phones: Vec<Phone> = Vec::new();
        let mut emails: Vec<Email> = Vec::new();
        for text in self.phones.iter().flat_map(|slot| place.texts(*slot)) {
            match place.env.callers(&text) {
                Some(phone) => phones.push(phone),
                None => phones.extend(Phone::all_stored(&text, region)),
            }
        }
        emails.extend(self.emails.iter().flat_map(|slot| place.texts(*slot)).filter_map(|text| Email::parse(&text)));
        for value in values.iter().flat_map(|(_, value)| match value {
            Value::List(list) => &**list,
            one => std::slice::from_ref(one),
        }) {
            match value {
                Value::Phone(phone) => phones.push(phone.clone()),
                Value::Email(email) => emails.push(email.clone()),
                _ => {}
            }
        }
        phones.sort_by(|a, b| a.e164().cmp(b.e164()));
        phones.dedup();
        emails.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        emails.dedup();
        Hit { values, phones, emails, extension_matches: proof.extension }
    }

    fn rank(&self, place: Place<'_, '_>) -> Ranks {
        self.rank.iter().map(|rank| place.texts(rank.path).next().map(std::borrow::Cow::into_owned)).collect()
    }

    /// Best first; what is missing comes last whatever the direction.
    fn order(&self, a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
        for (rank, (a, b)) in self.rank.iter().zip(a.rank.iter().zip(&b.rank)) {
            let order = match (a, b) {
                (Some(a), Some(b)) if rank.descending => by_size(b, a),
                (Some(a), Some(b)) => by_size(a, b),
                (a, b) => b.is_some().cmp(&a.is_some()),
            };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }
}

/// Values that records are ordered by.
type Ranks = SmallVec<[Option<String>; 2]>;

/// A record that passed.
struct Candidate<'f> {
    frame: &'f Frame<'f>,
    proof: Proof,
    rank: Ranks,
}

struct Proof {
    /// The number's extension is the caller's too.
    extension: bool,
}

/// Numbers by size, so that id 9 comes before id 10; anything else as text.
fn by_size(a: &str, b: &str) -> Ordering {
    let number = |text: &str| Decimal::from_str_exact(text).ok();
    match (number(a), number(b)) {
        (Some(x), Some(y)) => x.cmp(&y).then_with(|| a.cmp(b)),
        (x, y) => y.is_some().cmp(&x.is_some()).then_with(|| a.cmp(b)),
    }
}

impl List {
    /// Entries of these records, without repetitions, up to the cap.
    fn entries<'e, 'x>(
        &self,
        frames: &'e Frames<'e>,
        records: &[&'e Frame<'e>],
        place: &dyn Fn(&'e Frame<'e>) -> Place<'e, 'x>,
    ) -> Vec<Value> {
        let mut entries: Vec<Value> = Vec::new();
        for record in records {
            let place = place(record);
            match self.from {
                None => self.entry(place, &mut entries),
                Some(list) => {
                    for element in frames.list(record, list) {
                        self.entry(Place { element: Some(element), ..place }, &mut entries);
                    }
                }
            }
        }
        entries
    }

    /// Without an id it is no entry; one that is there already is not repeated.
    fn entry(&self, place: Place<'_, '_>, entries: &mut Vec<Value>) {
        if entries.len() >= self.most || !place.passes(&self.conditions) {
            return;
        }
        let members: Vec<_> = self.items.iter().filter_map(|(name, e)| Some((name.clone(), e.value(place)?))).collect();
        let entry = Value::Record(members.into());
        let Some(id) = entry.member("id") else { return };
        if !entries.iter().any(|known| known.member("id") == Some(id)) {
            entries.push(entry);
        }
    }
}

/// A row as the object that its columns make.
struct Columns(Row);

impl serde::Serialize for Columns {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(name, value)| (&**name, value)))
    }
}

#[cfg(test)]
mod tests;
