//! Reference data of a vendor: stages, users. A table is loaded by the first call that is read with
//! it, under the guard of its source, and again behind such a call when it is old. What is not
//! loaded is missing in a reading; no lookup fails for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::guard::Source;
use super::{Account, Call, Said};
use crate::domain::{Reading, Value};
use crate::manifest::plan;

/// A table that could not be loaded is not asked for again before.
const PAUSE: Duration = Duration::from_secs(10);

/// The tables of one source, as far as they are loaded.
#[derive(Default)]
pub struct Tables {
    all: Vec<Arc<Table>>,
}

struct Table {
    name: Arc<str>,
    keep: Duration,
    rows: ArcSwapOption<Rows>,
    /// When it was last asked for; locked while it is.
    asked: Mutex<Option<Instant>>,
}

struct Rows {
    read: Instant,
    /// By the key's text in lower case.
    values: HashMap<String, Value>,
}

impl Tables {
    pub fn new(settings: &plan::Source) -> Self {
        let table = |table: &plan::Table| {
            let (name, keep) = (table.name.clone(), table.keep);
            Arc::new(Table { name, keep, rows: ArcSwapOption::empty(), asked: Mutex::default() })
        };
        Self { all: settings.tables.iter().map(table).collect() }
    }

    /// What stands in a table under a key; case does not count.
    pub fn value(&self, table: &str, key: &str) -> Option<Value> {
        let table = self.all.iter().find(|known| &*known.name == table)?;
        table.rows.load().as_ref()?.values.get(&key.to_lowercase()).cloned()
    }
}

impl Source {
    /// Sees to the tables that an answer to this call is read with. Waits only for one that was
    /// never loaded, and no longer than half of the call's own time.
    pub(super) async fn provide(self: &Arc<Self>, call: &Call) {
        let operation = call.operation();
        for name in operation.record.tables() {
            let mut all = self.tables.all.iter().enumerate();
            let Some((at, table)) = all.find(|(_, table)| table.name == *name) else { continue };
            let age = table.rows.load().as_ref().map(|rows| self.clock.since(rows.read));
            match age {
                Some(age) if age <= table.keep => {}
                Some(_) => {
                    let (source, table, of_table) =
                        (self.clone(), table.clone(), call.of_table(at, Account::Background));
                    drop(self.tracker.spawn(async move { source.load(&table, &of_table).await }));
                }
                None => {
                    let of_table = call.of_table(at, call.account.clone());
                    let _ = tokio::time::timeout(operation.timeout / 2, self.load(table, &of_table)).await;
                }
            }
        }
    }

    /// Asks for a table, unless somebody else just did.
    async fn load(&self, table: &Table, call: &Call) {
        let started = self.clock.instant();
        let mut asked = table.asked.lock().await;
        if asked.is_some_and(|asked| asked >= started || self.clock.since(asked) < PAUSE) {
            return;
        }
        *asked = Some(self.clock.instant());
        if let Ok(Said::Found(reading)) = self.guarded(call).await {
            let rows = Rows { read: self.clock.instant(), values: rows(&reading) };
            table.rows.store(Some(Arc::new(rows)));
        }
    }
}

fn rows(reading: &Reading) -> HashMap<String, Value> {
    let lists = reading.values.iter().filter_map(|(_, value)| match value {
        Value::List(list) => Some(list),
        _ => None,
    });
    let row = |row: &Value| Some((row.member("id")?.to_text()?.to_lowercase(), row.member("value")?.clone()));
    lists.flat_map(|list| list.iter()).filter_map(row).collect()
}
