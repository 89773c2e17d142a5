//! The one task that writes: takes the window, commits it, and keeps what the store did not take.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::chain::{self, Written};
use super::{Delivery, Shared};
use crate::domain::Organization;
use crate::store::Error;
use crate::store::database::CommitFailed;

/// Between attempts while the store fails, unless somebody waits.
const RETRY: Duration = Duration::from_secs(1);
/// Attempts to write what is left when the process ends.
const LAST_ATTEMPTS: usize = 3;

/// A row on its way to the store.
pub(super) struct Pending {
    pub id: String,
    pub delivery: Delivery,
    pub first: Timestamp,
    pub last: Timestamp,
    pub count: u64,
    waiting: Vec<oneshot::Sender<bool>>,
}

/// The rows that are not in the store yet, oldest first.
#[derive(Default)]
struct Batch {
    rows: Vec<Pending>,
    /// A commit of the first `.0` rows broke off; if `.1` is in the store, it was made.
    unclear: Option<(usize, Written)>,
}

pub(super) async fn write(shared: Arc<Shared>) {
    let mut batch = Batch::default();
    loop {
        let failing = shared.failing.load(Ordering::Relaxed);
        if batch.rows.is_empty() {
            let _ = shared.closing.run_until_cancelled(shared.filled.notified()).await;
        }
        let pause = if failing { RETRY } else { shared.flush };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.urgent.notified() => {}
            () = shared.closing.cancelled() => break,
        }
        batch.take(&shared);
        batch.commit(&shared).await;
    }
    shared.window().shut = true;
    batch.take(&shared);
    for _ in 0..LAST_ATTEMPTS {
        batch.commit(&shared).await;
    }
    let left: u64 = batch.rows.iter().map(|row| row.count).sum();
    if left > 0 {
        shared.lost.fetch_add(left, Ordering::Relaxed);
        tracing::error!(deliveries = left, "the audit log ends without the last deliveries");
    }
    shared.closed.cancel();
}

impl Batch {
    /// Moves the window's rows here.
    fn take(&mut self, shared: &Shared) {
        let mut window = shared.window();
        let mut taken: Vec<_> = window.rows.drain().collect();
        shared.held.fetch_add(taken.len(), Ordering::Relaxed);
        drop(window);
        taken.sort_unstable_by_key(|(_, folded)| folded.order);
        self.rows.extend(taken.into_iter().map(|(delivery, folded)| Pending {
            id: uuid::Uuid::now_v7().to_string(),
            delivery,
            first: folded.first,
            last: folded.last,
            count: folded.count,
            waiting: folded.waiting,
        }));
    }

    async fn commit(&mut self, shared: &Shared) {
        if self.rows.is_empty() {
            return;
        }
        match self.attempt(shared).await {
            Ok(()) => {
                for mut row in self.rows.drain(..) {
                    row.answer(true);
                }
                shared.failing.store(false, Ordering::Relaxed);
            }
            Err(error) => {
                let unclear = self.unclear.as_ref().map_or(0, |(rows, _)| *rows);
                for row in self.rows.iter_mut().skip(unclear) {
                    // those who waited are told no, and not delivered to
                    row.count -= row.waiting.len() as u64;
                }
                for row in &mut self.rows {
                    row.answer(false);
                }
                let mut place = 0;
                self.rows.retain(|row| {
                    place += 1;
                    place <= unclear || row.count > 0
                });
                if !shared.failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the audit log cannot be written; deliveries wait in memory");
                }
            }
        }
        shared.held.store(self.rows.len(), Ordering::Relaxed);
    }

    async fn attempt(&mut self, shared: &Shared) -> Result<(), Error> {
        let database = &shared.database;
        let mut transaction = database.begin().await?;
        if let Some((rows, written)) = &self.unclear {
            if chain::holds(&mut transaction, written).await? {
                for mut row in self.rows.drain(..*rows) {
                    row.answer(true);
                }
            }
            self.unclear = None;
        }
        let mut by_organization: BTreeMap<&Organization, Vec<&Pending>> = BTreeMap::new();
        for row in &self.rows {
            by_organization.entry(&row.delivery.organization).or_default().push(row);
        }
        let mut proof = None;
        // in order, so that gateways that share a store do not wait for each other in a circle
        for (organization, rows) in by_organization {
            proof = Some(chain::append(&mut transaction, database.vault(), organization, &rows).await?);
        }
        match transaction.commit().await {
            Ok(()) => Ok(()),
            Err(CommitFailed(error)) => {
                self.unclear = proof.map(|written| (self.rows.len(), written));
                Err(error)
            }
        }
    }
}

impl Pending {
    fn answer(&mut self, written: bool) {
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(written); // who waited may have gone
        }
    }
}
