//! The one task that writes: takes the window, commits it, and keeps what the store did not take.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::chain::{self, Written};
use super::names::{self, Lists, Names};
use super::{Delivery, Shared};
use crate::domain::Organization;
use crate::store::database::{CommitFailed, Transaction};
use crate::store::{Database, Error};

/// Between attempts while the store fails, unless somebody waits.
const RETRY: Duration = Duration::from_secs(1);
/// No step of an attempt takes longer: a store that hangs has failed.
const ATTEMPT: Duration = Duration::from_secs(4);
/// What is left when the process ends is tried to be written for so long.
const LAST: Duration = Duration::from_secs(5);
/// Rows of one transaction: what has gathered while the store was away does not fit into an attempt.
const CHUNK: usize = 1_000;

/// A row on its way to the store.
pub(super) struct Pending {
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
    /// Lists of names that are in the store.
    names: Names,
}

pub(super) async fn write(shared: Arc<Shared>) {
    let mut batch = Batch::default();
    let enough = async {
        shared.closing.cancelled().await;
        tokio::time::sleep(LAST).await;
    };
    tokio::select! {
        () = batch.write_to_the_end(&shared) => {}
        // what is dropped is a transaction, which is rolled back
        () = enough => {}
    }
    shared.window().shut = true;
    batch.take(&shared);
    let left: u64 = batch.rows.iter().map(|row| row.count).sum();
    if left > 0 {
        shared.lost.fetch_add(left, Ordering::Relaxed);
        tracing::error!(deliveries = left, "the audit log ends without the last deliveries");
    }
    shared.closed.cancel();
}

impl Batch {
    async fn write_to_the_end(&mut self, shared: &Shared) {
        while !shared.closing.is_cancelled() {
            let failing = shared.trouble.get().is_some();
            let pause = if failing { RETRY } else { shared.flush };
            if self.rows.is_empty() && !failing {
                let _ = shared.closing.run_until_cancelled(shared.filled.notified()).await;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shared.urgent.notified() => {}
                () = shared.closing.cancelled() => break,
            }
            self.take(shared);
            if self.rows.is_empty() && failing {
                // who is told that we are not ready sends nothing that could be written
                let tried = in_time(chain::try_to_write(&shared.database)).await;
                note_attempt(shared, tried.as_ref().err());
            }
            self.commit(shared).await;
        }
        shared.window().shut = true;
        self.take(shared);
        self.commit(shared).await;
        while !self.rows.is_empty() {
            tokio::time::sleep(RETRY / 4).await;
            self.commit(shared).await;
        }
    }

    /// Moves the window's rows here.
    fn take(&mut self, shared: &Shared) {
        let mut window = shared.window();
        let mut taken: Vec<_> = window.rows.drain().collect();
        shared.held.fetch_add(taken.len(), Ordering::Relaxed);
        drop(window);
        taken.sort_unstable_by_key(|(_, folded)| folded.order);
        self.rows.extend(taken.into_iter().map(|(delivery, folded)| Pending {
            delivery,
            first: folded.first,
            last: folded.last,
            count: folded.count,
            waiting: folded.waiting,
        }));
    }

    /// Writes the rows, oldest first, until the store does not take them.
    async fn commit(&mut self, shared: &Shared) {
        self.leave_out_who_gave_up();
        while !self.rows.is_empty() {
            let attempt = self.attempt(shared).await;
            if attempt.is_err() {
                self.refuse_who_waits();
            }
            note_attempt(shared, attempt.as_ref().err());
            shared.held.store(self.rows.len(), Ordering::Relaxed);
            if attempt.is_err() {
                return;
            }
        }
    }

    /// Those who waited too long were delivered nothing.
    fn leave_out_who_gave_up(&mut self) {
        self.keep_delivered(|row| {
            let waiting = row.waiting.len();
            row.waiting.retain(|waiting| !waiting.is_closed());
            row.count -= (waiting - row.waiting.len()) as u64;
        });
    }

    /// Those who wait are told no, and are delivered nothing.
    fn refuse_who_waits(&mut self) {
        self.keep_delivered(|row| row.count -= row.waiting.len() as u64);
        for row in &mut self.rows {
            row.answer(false);
        }
    }

    /// Takes deliveries back that were none, but for those that are in the store perhaps.
    fn keep_delivered(&mut self, mut take_back: impl FnMut(&mut Pending)) {
        let unclear = self.unclear.as_ref().map_or(0, |(rows, _)| *rows);
        self.rows.iter_mut().skip(unclear).for_each(&mut take_back);
        let mut place = 0;
        self.rows.retain(|row| {
            place += 1;
            place <= unclear || row.count > 0
        });
    }

    /// Commits the first rows.
    async fn attempt(&mut self, shared: &Shared) -> Result<(), Error> {
        let database = &shared.database;
        if let Some((rows, written)) = &self.unclear {
            let made = in_time(chain::holds(database, written)).await?;
            let rows = if made { *rows } else { 0 };
            self.unclear = None;
            self.written(rows);
        }
        let rows: Vec<&Pending> = self.rows.iter().take(CHUNK).collect();
        let lists = self.names.ids(database.vault(), &rows);
        let Some((transaction, proof)) = in_time(append(database, &rows, &lists)).await? else { return Ok(()) };
        let rows = rows.len();
        let commit = async { transaction.commit().await.map_err(|CommitFailed(error)| error) };
        match in_time(commit).await {
            Ok(()) => {
                self.names.learn(lists.new);
                self.written(rows);
            }
            Err(error) => {
                self.unclear = Some((rows, proof));
                return Err(error);
            }
        }
        Ok(())
    }

    /// The first rows are in the store.
    fn written(&mut self, rows: usize) {
        for mut row in self.rows.drain(..rows) {
            row.answer(true);
        }
    }
}

/// Says what is new: that writes fail, and why, or that they succeed again.
fn note_attempt(shared: &Shared, error: Option<&Error>) {
    let reason = error.map(Error::reason);
    match (shared.trouble.set(reason), error) {
        (before, Some(error)) if before != reason => {
            tracing::error!(reason, %error, "the audit log cannot be written; deliveries wait in memory");
        }
        (Some(_), None) => tracing::info!("the audit log is written again"),
        _ => {}
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(ATTEMPT, work).await.unwrap_or(Err(Error::Slow))
}

/// A transaction with these rows, and by what they are found if it is committed.
async fn append(
    database: &Database,
    rows: &[&Pending],
    lists: &Lists,
) -> Result<Option<(Transaction, Written)>, Error> {
    let mut by_organization: BTreeMap<&Organization, Vec<(&Pending, &str)>> = BTreeMap::new();
    for (row, names) in rows.iter().zip(&lists.ids) {
        by_organization.entry(&row.delivery.organization).or_default().push((row, names));
    }
    let mut transaction = database.begin().await?;
    let mut proof = None;
    // all in order, so that gateways that share a store do not wait for each other in a circle
    names::insert(&mut transaction, &lists.new).await?;
    for (organization, rows) in by_organization {
        proof = Some(chain::append(&mut transaction, database.vault(), organization, &rows).await?);
    }
    Ok(proof.map(|proof| (transaction, proof)))
}

impl Pending {
    fn answer(&mut self, written: bool) {
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(written); // who waited may have gone
        }
    }
}
