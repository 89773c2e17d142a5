//! The chain of an organization's rows: appended to, verified, and shortened from the front.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::rows::{self, COLUMNS, HASH, SOURCES, TABLE};
use super::writer::Pending;
use super::{Shared, names};
use crate::domain::Organization;
use crate::store::Error;
use crate::store::database::{Database, Datum, Row, Transaction};
use crate::store::vault::Vault;

const EXPIRE_EVERY: Duration = Duration::from_secs(60 * 60);
/// Rows read at a time while verifying.
const PAGE: i64 = 1_000;
/// Rows taken away at a time: nobody who writes waits for long.
const BITE: i64 = 10_000;

/// What `verify` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// All rows are as they were written; how many there are.
    Whole { rows: i64 },
    /// The first row that was changed, or that is missing.
    Broken { number: i64 },
}

/// A row that is in the store if its transaction was committed.
pub(super) struct Written {
    organization: Organization,
    number: i64,
    hash: String,
}

/// Both ends of a chain. The anchor is the last row that retention took, or the number 0.
#[derive(Clone, PartialEq)]
struct Ends {
    number: i64,
    hash: String,
    anchor_number: i64,
    anchor_hash: String,
}

impl Ends {
    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            number: row.int(0)?,
            hash: row.text(1)?.to_owned(),
            anchor_number: row.int(2)?,
            anchor_hash: row.text(3)?.to_owned(),
        })
    }

    /// Before the first row.
    fn beginning(vault: &Vault, organization: &Organization) -> Self {
        let hash = vault.link(["beginning", organization.as_str()].into_iter());
        Self { number: 0, hash: hash.clone(), anchor_number: 0, anchor_hash: hash }
    }

    fn proof(&self, vault: &Vault, organization: &Organization) -> String {
        let (number, anchor) = (self.number.to_string(), self.anchor_number.to_string());
        let parts = ["ends", organization.as_str(), &number, &self.hash, &anchor, &self.anchor_hash];
        vault.link(parts.into_iter())
    }

    fn values(&self, vault: &Vault, organization: &Organization) -> Vec<Datum> {
        vec![
            organization.as_str().into(),
            self.number.into(),
            self.hash.as_str().into(),
            self.anchor_number.into(),
            self.anchor_hash.as_str().into(),
            self.proof(vault, organization).into(),
        ]
    }
}

/// Reads an organization's ends and keeps others from moving them until the transaction ends.
async fn hold(transaction: &mut Transaction, vault: &Vault, organization: &Organization) -> Result<Ends, Error> {
    let hold = "INSERT INTO audit_chains (organization, number, hash, anchor_number, anchor_hash, proof) \
                VALUES ($1, $2, $3, $4, $5, $6) \
                ON CONFLICT (organization) DO UPDATE SET number = audit_chains.number \
                RETURNING number, hash, anchor_number, anchor_hash";
    let values = Ends::beginning(vault, organization).values(vault, organization);
    Ends::of(transaction.query(hold, values).await?.first().ok_or(Error::Damaged)?)
}

async fn set(
    transaction: &mut Transaction,
    vault: &Vault,
    organization: &Organization,
    ends: &Ends,
) -> Result<(), Error> {
    let update = "UPDATE audit_chains SET number = $2, hash = $3, anchor_number = $4, anchor_hash = $5, proof = $6 \
                  WHERE organization = $1";
    transaction.execute(update, ends.values(vault, organization)).await?;
    Ok(())
}

/// Writes rows, each with the id of its lists of names, behind the last one.
pub(super) async fn append(
    transaction: &mut Transaction,
    vault: &Vault,
    organization: &Organization,
    pending: &[(&Pending, &str)],
) -> Result<Written, Error> {
    let mut ends = hold(transaction, vault, organization).await?;
    let mut all = Vec::with_capacity(pending.len());
    for (row, names) in pending {
        let mut values = rows::values(vault, row, ends.number + 1, names)?;
        ends.hash = link(vault, &ends.hash, &values);
        ends.number += 1;
        values.push(ends.hash.as_str().into());
        all.push(values);
    }
    let insert = "INSERT INTO audit (organization, number, id, first_at, last_at, count, surface, reader, view, \
                  caller_kind, caller_sealed, caller_hash, call_sid, sources, fields, lookup_status, hash) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    transaction.execute_all(insert, all).await?;
    set(transaction, vault, organization, &ends).await?;
    Ok(Written { organization: organization.clone(), number: ends.number, hash: ends.hash })
}

/// Whether rows whose commit broke off are in the store after all. A commit that is still on its way
/// has the chain, and is waited for.
pub(super) async fn holds(database: &Database, written: &Written) -> Result<bool, Error> {
    let mut transaction = database.begin().await?;
    hold(&mut transaction, database.vault(), &written.organization).await?;
    let find = "SELECT number FROM audit WHERE organization = $1 AND number = $2 AND hash = $3";
    let values = vec![written.organization.as_str().into(), written.number.into(), written.hash.as_str().into()];
    let found = !transaction.query(find, values).await?.is_empty();
    transaction.commit().await.map_err(|failed| failed.0)?;
    Ok(found)
}

/// Writes what is there anyway: whether the store takes anything.
pub(super) async fn try_to_write(database: &Database) -> Result<(), Error> {
    let mut transaction = database.begin().await?;
    hold(&mut transaction, database.vault(), &Organization::single()).await?;
    transaction.commit().await.map_err(|failed| failed.0)
}

/// A row's hash: over the one before and all its columns.
fn link(vault: &Vault, previous: &str, columns: &[Datum]) -> String {
    let mut link = vault.begin_link();
    link.add("row");
    link.add(previous);
    let mut digits = String::new();
    for column in columns {
        match column {
            Datum::Null => link.add("null"),
            Datum::Int(number) => {
                digits.clear();
                let _ = write!(digits, "{number}"); // writing to a String does not fail
                link.add_parts("int ", &digits);
            }
            Datum::Text(text) => link.add_parts("text ", text),
        }
    }
    link.end()
}

pub(super) async fn verify(database: &Database, organization: &Organization) -> Result<Chain, Error> {
    loop {
        let before = ends(database, organization).await?;
        let found = walk(database, organization, before.as_ref()).await?;
        // retention may have taken rows meanwhile
        let moved = ends(database, organization).await?.map(|(ends, _)| ends.anchor_number)
            != before.map(|(ends, _)| ends.anchor_number);
        if matches!(found, Chain::Whole { .. }) || !moved {
            return Ok(found);
        }
    }
}

async fn ends(database: &Database, organization: &Organization) -> Result<Option<(Ends, String)>, Error> {
    let select = "SELECT number, hash, anchor_number, anchor_hash, proof FROM audit_chains WHERE organization = $1";
    let rows = database.query(select, vec![organization.as_str().into()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some((Ends::of(row)?, row.text(4)?.to_owned())))
}

async fn walk(database: &Database, organization: &Organization, ends: Option<&(Ends, String)>) -> Result<Chain, Error> {
    let vault = database.vault();
    let Some((ends, proof)) = ends.cloned() else {
        let any = "SELECT number FROM audit WHERE organization = $1 LIMIT 1";
        let rows = database.query(any, vec![organization.as_str().into()]).await?;
        return Ok(if rows.is_empty() { Chain::Whole { rows: 0 } } else { Chain::Broken { number: 1 } });
    };
    if ends.proof(vault, organization) != proof {
        return Ok(Chain::Broken { number: ends.anchor_number + 1 });
    }
    let select = format!(
        "SELECT {COLUMNS}, hash, shown_sources, shown_fields FROM {TABLE} \
         WHERE organization = $1 AND number > $2 ORDER BY number LIMIT {PAGE}"
    );
    let (mut number, mut hash) = (ends.anchor_number, ends.anchor_hash);
    loop {
        let rows = database.query(select.as_str(), vec![organization.as_str().into(), number.into()]).await?;
        if rows.is_empty() {
            break;
        }
        for mut row in rows {
            let names = row.0.split_off(HASH + 1);
            let found = row.0.pop();
            let expected = link(vault, &hash, &row.0);
            let meant = row.0.get(SOURCES).is_some_and(|sources| names::are_meant(vault, sources, &names));
            let whole = found == Some(Datum::from(expected.as_str())) && meant;
            if row.int(1)? != number + 1 || !whole {
                return Ok(Chain::Broken { number: number + 1 });
            }
            (number, hash) = (number + 1, expected);
            if number == ends.number && hash != ends.hash {
                return Ok(Chain::Broken { number });
            }
        }
    }
    // rows behind the end were written since
    if number < ends.number {
        return Ok(Chain::Broken { number: number + 1 });
    }
    Ok(Chain::Whole { rows: number - ends.anchor_number })
}

/// Takes old rows away every hour, from the start of the process on.
pub(super) async fn retain(shared: Arc<Shared>) {
    loop {
        if let Err(error) = expire(&shared).await {
            tracing::warn!(%error, "old audit rows could not be taken away");
        }
        if shared.closing.run_until_cancelled(tokio::time::sleep(EXPIRE_EVERY)).await.is_none() {
            return;
        }
    }
}

pub(super) async fn expire(shared: &Shared) -> Result<u64, Error> {
    let keep = jiff::SignedDuration::try_from(shared.keep).unwrap_or(jiff::SignedDuration::MAX);
    let Ok(until) = shared.clock.now().checked_sub(keep) else { return Ok(0) };
    let select = "SELECT organization FROM audit_chains ORDER BY organization";
    let mut taken = 0;
    for row in shared.database.query(select, vec![]).await? {
        let organization = Organization::parse(row.text(0)?).ok_or(Error::Damaged)?;
        loop {
            let bite = expire_some(&shared.database, &organization, until.as_millisecond()).await?;
            taken += bite;
            if bite == 0 {
                break;
            }
        }
    }
    Ok(taken)
}

async fn expire_some(database: &Database, organization: &Organization, until: i64) -> Result<u64, Error> {
    let vault = database.vault();
    let mut transaction = database.begin().await?;
    let mut ends = hold(&mut transaction, vault, organization).await?;
    let first_kept = "SELECT min(number) FROM audit WHERE organization = $1 AND last_at >= $2";
    let rows = transaction.query(first_kept, vec![organization.as_str().into(), until.into()]).await?;
    let last = rows.first().ok_or(Error::Damaged)?.int_or_null(0)?.map_or(ends.number, |first| first - 1);
    let last = last.min(ends.anchor_number + BITE);
    if last <= ends.anchor_number {
        transaction.commit().await.map_err(|failed| failed.0)?;
        return Ok(0);
    }
    let values = || vec![organization.as_str().into(), last.into()];
    let rows = transaction.query("SELECT hash FROM audit WHERE organization = $1 AND number = $2", values()).await?;
    ends.anchor_hash = rows.first().ok_or(Error::Damaged)?.text(0)?.to_owned();
    ends.anchor_number = last;
    set(&mut transaction, vault, organization, &ends).await?;
    let taken = transaction.execute("DELETE FROM audit WHERE organization = $1 AND number <= $2", values()).await?;
    transaction.commit().await.map_err(|failed| failed.0)?;
    Ok(taken)
}
