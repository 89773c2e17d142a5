//! Rows of the log: how a delivery is written down, and how rows are found and read.

use std::fmt;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::writer::Pending;
use crate::domain::{Identity, Organization};
use crate::store::Error;
use crate::store::database::{Database, Datum, Row};
use crate::store::vault::{Place, Vault};

/// In the order of [`values`].
pub(super) const COLUMNS: &str = "organization, number, id, first_at, last_at, count, surface, reader, view, \
                                  caller_kind, caller_sealed, caller_hash, call_sid, sources, fields, lookup_status";

/// Where `sources` stands in it.
pub(super) const SOURCES: usize = 13;
/// How many they are, and so where the hash stands when it is asked for behind them.
pub(super) const HASH: usize = 16;

/// What rows are read from: beside a row stand the lists that it means by an id.
pub(super) const TABLE: &str = "audit LEFT JOIN audit_names ON names_id = sources";

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

/// What to look for; `None` is anything. Newest first.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub identity: Option<Identity>,
    pub call_sid: Option<String>,
    pub reader: Option<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// At most this many rows, 1 to 1,000; 0 is 100.
    pub limit: usize,
    /// The `number` of the last row of the page before.
    pub after: Option<i64>,
}

/// A row of the log, its caller unsealed.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The row's place in its organization's chain.
    pub number: i64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// How many deliveries the row stands for.
    pub count: i64,
    pub surface: String,
    pub reader: String,
    pub view: String,
    /// `phone`, `email`, `customer_id`, or `none` for a row about nobody.
    pub caller_kind: String,
    pub caller: Caller,
    pub call_sid: Option<String>,
    pub sources: Vec<String>,
    pub fields: Vec<String>,
    pub lookup_status: String,
}

/// Of whom; empty when the seal does not open. Never printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Caller(pub String);

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Caller(..)")
    }
}

fn place<'a>(organization: &'a Organization, kind: &'a str) -> Place<'a> {
    Place { organization, table: "audit", kind }
}

fn kind_and_text(identity: &Identity) -> (&'static str, &str) {
    match identity {
        Identity::Phone(phone) => ("phone", phone.e164()),
        Identity::Email(email) => ("email", email.as_str()),
        Identity::CustomerId(id) => ("customer_id", &id.0),
    }
}

/// All columns but the hash. `names` is the id of the row's lists.
pub(super) fn values(vault: &Vault, row: &Pending, number: i64, names: &str) -> Result<Vec<Datum>, Error> {
    let delivery = &row.delivery;
    let (kind, caller) = delivery.identity.as_ref().map_or(("none", ""), kind_and_text);
    let place = place(&delivery.organization, kind);
    Ok(vec![
        delivery.organization.as_str().into(),
        number.into(),
        Datum::word(""), // rows of the first releases had an id of their own
        row.first.as_millisecond().into(),
        row.last.as_millisecond().into(),
        i64::try_from(row.count).unwrap_or(i64::MAX).into(),
        Datum::word(delivery.surface),
        (&*delivery.reader).into(),
        (&*delivery.view).into(),
        Datum::word(kind),
        vault.seal(place, caller)?.into(),
        vault.find(place, caller).into(),
        delivery.call_sid.as_deref().into(),
        names.into(),
        Datum::word(""),
        Datum::word(delivery.lookup_status),
    ])
}

/// Where an index of the log keeps what begins like this: by the letter behind the first `skip`.
fn bucket(text: &str, skip: usize) -> String {
    text.chars().skip(skip).take(1).collect()
}

pub(super) async fn search(
    database: &Database,
    organization: &Organization,
    filter: &Filter,
) -> Result<Vec<Entry>, Error> {
    let mut sql = format!("SELECT {COLUMNS}, shown_sources, shown_fields FROM {TABLE} WHERE organization = $1");
    let mut values: Vec<Datum> = vec![organization.as_str().into()];
    let mut and = |condition: &str, value: Datum| {
        values.push(value);
        let _ = write!(sql, " AND {condition} ${}", values.len());
    };
    if let Some(identity) = &filter.identity {
        let (kind, caller) = kind_and_text(identity);
        let hash = database.vault().find(place(organization, kind), caller);
        and("substr(caller_hash, 1, 1) =", bucket(&hash, 0).into());
        // with `=` SQLite would put the value into the bucket's expression, and not know the index any more
        and("caller_hash >=", hash.as_str().into());
        and("caller_hash <=", hash.into());
    }
    if let Some(call_sid) = &filter.call_sid {
        and("substr(call_sid, 3, 1) =", bucket(call_sid, 2).into());
        and("call_sid >=", call_sid.as_str().into());
        and("call_sid <=", call_sid.as_str().into());
    }
    if let Some(reader) = &filter.reader {
        and("reader =", reader.as_str().into());
    }
    if let Some(since) = filter.since {
        and("last_at >=", since.as_millisecond().into());
    }
    if let Some(until) = filter.until {
        and("first_at <=", until.as_millisecond().into());
    }
    if let Some(after) = filter.after {
        and("number <", after.into());
    }
    let limit = if filter.limit == 0 { LIMIT } else { filter.limit.min(LIMIT_MAX) };
    let _ = write!(sql, " ORDER BY number DESC LIMIT {limit}");
    let rows = database.query(sql, values).await?;
    rows.iter().map(|row| entry(database.vault(), organization, row)).collect()
}

fn entry(vault: &Vault, organization: &Organization, row: &Row) -> Result<Entry, Error> {
    let time = |column| Timestamp::from_millisecond(row.int(column)?).map_err(|_| Error::Damaged);
    let text = |column| row.text(column).map(str::to_owned);
    let names = |own, shown| {
        let list = row.text_or_null(shown)?.map_or_else(|| row.text(own), Ok)?;
        serde_json::from_str(list).map_err(|_| Error::Damaged)
    };
    let kind = text(9)?;
    let caller = vault.open_sealed(place(organization, &kind), row.text(10)?).unwrap_or_default();
    Ok(Entry {
        number: row.int(1)?,
        first_at: time(3)?,
        last_at: time(4)?,
        count: row.int(5)?,
        surface: text(6)?,
        reader: text(7)?,
        view: text(8)?,
        caller_kind: kind,
        caller: Caller(caller),
        call_sid: row.text_or_null(12)?.map(str::to_owned),
        sources: names(SOURCES, HASH)?,
        fields: names(SOURCES + 1, HASH + 1)?,
        lookup_status: text(15)?,
    })
}
