//! The names of what was shown. The same lists of sources and fields stand in nearly every row, so they are
//! written once, under a keyed hash of what they say, and a row holds the hash.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};

use super::Delivery;
use super::writer::Pending;
use crate::store::Error;
use crate::store::database::{Datum, Transaction};
use crate::store::vault::Vault;

/// How many are remembered; beyond, all are forgotten and offered to the store again.
const REMEMBERED: usize = 4_096;

type Id = Arc<str>;
type Shown = [Arc<[Arc<str>]>; 2];

/// Lists that are in the store.
#[derive(Default)]
pub(super) struct Names(HashMap<Shown, Id>);

/// The lists of a batch of rows.
pub(super) struct Lists {
    /// One for each row.
    pub ids: Vec<Id>,
    /// Those that may not be in the store yet.
    pub new: BTreeMap<Id, Shown>,
}

impl Names {
    pub(super) fn ids(&self, vault: &Vault, rows: &[&Pending]) -> Lists {
        let mut new = BTreeMap::new();
        let mut met: HashMap<Shown, Id> = HashMap::new();
        let ids = rows.iter().map(|row| {
            let shown = shown(&row.delivery);
            if let Some(id) = self.0.get(&shown).or_else(|| met.get(&shown)) {
                return id.clone();
            }
            let [sources, fields] = &shown;
            let id: Id = id(vault, &json(sources), &json(fields)).into();
            new.insert(id.clone(), shown.clone());
            met.insert(shown, id.clone());
            id
        });
        Lists { ids: ids.collect(), new }
    }

    /// What was committed.
    pub(super) fn learn(&mut self, new: BTreeMap<Id, Shown>) {
        if self.0.len() + new.len() > REMEMBERED {
            self.0.clear();
        }
        self.0.extend(new.into_iter().map(|(id, shown)| (shown, id)));
    }
}

fn shown(delivery: &Delivery) -> Shown {
    [delivery.sources.clone(), delivery.fields.clone()]
}

fn json(names: &[Arc<str>]) -> String {
    serde_json::Value::from_iter(names.iter().map(|name| &**name)).to_string()
}

fn id(vault: &Vault, sources: &str, fields: &str) -> String {
    vault.link(["names", sources, fields].into_iter())
}

/// Writes lists that may be there already.
pub(super) async fn insert(transaction: &mut Transaction, new: &BTreeMap<Id, Shown>) -> Result<(), Error> {
    let insert = "INSERT INTO audit_names (names_id, shown_sources, shown_fields) VALUES ($1, $2, $3) \
                  ON CONFLICT (names_id) DO NOTHING";
    let row = |(id, [sources, fields]): (&Id, &Shown)| vec![(&**id).into(), json(sources).into(), json(fields).into()];
    if !new.is_empty() {
        transaction.execute_all(insert, new.iter().map(row).collect()).await?;
    }
    Ok(())
}

/// Whether a row's lists are the ones it was written with: those that its id was made of, or its own.
pub(super) fn are_meant(vault: &Vault, sources: &Datum, shown: &[Datum]) -> bool {
    let Datum::Text(sources) = sources else { return false };
    match shown {
        [Datum::Text(shown_sources), Datum::Text(shown_fields)] => **sources == id(vault, shown_sources, shown_fields),
        _ => sources.starts_with('['),
    }
}
