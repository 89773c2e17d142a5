//! What gateways spent of the long budgets of sources, so that a restart does not forget it and those
//! that share a store share the budgets too.

use std::time::Duration;

use jiff::Timestamp;

use super::database::Row;
use super::{Database, Error};
use crate::domain::Spent;

/// Writes what one life of a gateway spent, each slot in place of what was said of it before, and
/// reads what all others did. May be tried again after any failure.
pub async fn exchange(database: &Database, life: &str, own: Vec<Spent>, now: Timestamp) -> Result<Vec<Spent>, Error> {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let row = |spent: Spent| {
        let count = i64::try_from(spent.count).unwrap_or(i64::MAX);
        let (source, per) = (&*spent.source, millis(spent.per));
        vec![source.into(), per.into(), spent.at.into(), life.into(), count.into(), spent.forget_at.into()]
    };
    let now = now.as_millisecond();
    let mut transaction = database.begin().await?;
    let write = "INSERT INTO spent (source, per, at, life, count, forget_at) VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (source, per, at, life) DO UPDATE SET count = excluded.count";
    transaction.execute_all(write, own.into_iter().map(row).collect()).await?;
    transaction.execute("DELETE FROM spent WHERE forget_at <= $1", vec![now.into()]).await?;
    let read = "SELECT source, per, at, CAST(sum(count) AS BIGINT), max(forget_at) FROM spent \
                WHERE life <> $1 AND forget_at > $2 GROUP BY source, per, at";
    let rows = transaction.query(read, vec![life.into(), now.into()]).await?;
    transaction.commit().await.map_err(|failed| failed.0)?;
    rows.iter().map(spent).collect()
}

fn spent(row: &Row) -> Result<Spent, Error> {
    let count = |column| row.int(column).map(|count| u64::try_from(count).unwrap_or_default());
    Ok(Spent {
        source: row.text(0)?.into(),
        per: Duration::from_millis(count(1)?),
        at: row.int(2)?,
        count: count(3)?,
        forget_at: row.int(4)?,
    })
}
