//! The audit log: who was shown what of whom, when, for which call. Rows are chained by hash, the
//! caller is sealed and searchable by keyed hash.
//!
//! Noting a delivery touches memory only. One writer per process takes what has gathered in a
//! flush window and commits it as one transaction; a strict delivery wakes it at once and waits,
//! together with all others that came meanwhile.

mod chain;
mod names;
mod rows;
mod writer;

use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::HashMap;
use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Database, Error, Trouble};
use crate::clock::Clock;
use crate::config;
use crate::domain::{Identity, Organization};

pub use chain::Chain;
pub use rows::{Caller, Entry, Filter};

/// No row is later on disk than this, whatever is configured.
const FLUSH_MAX: Duration = Duration::from_millis(100);

/// No strict delivery waits longer for the disk.
const STRICT_MAX: Duration = Duration::from_secs(1);

/// Between two lines of the log about deliveries that found no room.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// One delivery of a context to a reader, or a change of what may be delivered. Equal ones within
/// one flush window become one row with first, last and count.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub organization: Organization,
    /// The public id of the key, or `twilio:<AccountSid>` for calls proved by signature;
    /// `configuration` where a reload changed what may be delivered.
    pub reader: Arc<str>,
    pub view: Arc<str>,
    /// `studio`, `context`, `forget`, `reload`.
    pub surface: &'static str,
    /// Of whom; of nobody for a change.
    pub identity: Option<Identity>,
    pub call_sid: Option<Arc<str>>,
    /// Names of the sources whose data was delivered.
    pub sources: Arc<[Arc<str>]>,
    /// Names of the fields delivered, never their values.
    pub fields: Arc<[Arc<str>]>,
    pub lookup_status: &'static str,
}

/// The lists of names are nearly always the same ones: their addresses are compared first.
impl PartialEq for Delivery {
    fn eq(&self, other: &Self) -> bool {
        let Self { organization, reader, view, surface, identity, call_sid, sources, fields, lookup_status } = self;
        let same = |a: &Arc<[Arc<str>]>, b: &Arc<[Arc<str>]>| Arc::ptr_eq(a, b) || a == b;
        *identity == other.identity
            && *call_sid == other.call_sid
            && *organization == other.organization
            && *reader == other.reader
            && *view == other.view
            && *surface == other.surface
            && *lookup_status == other.lookup_status
            && same(sources, &other.sources)
            && same(fields, &other.fields)
    }
}

impl Eq for Delivery {}

/// Whom, to whom, for which call: what else there is follows from these nearly always, and long
/// lists of names need not be read for each delivery.
impl Hash for Delivery {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.organization, &self.identity, &self.reader, &self.call_sid, self.surface).hash(state);
    }
}

/// The audit log of this process. A clone writes to the same log.
#[derive(Clone)]
pub struct AuditLog {
    shared: Arc<Shared>,
}

/// What is wrong with the log, for `/readyz` and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Deliveries that found no room since the start, and are not in the log.
    pub lost: u64,
    /// Rows that wait for the store.
    pub waiting: usize,
    /// Why the last write failed; writes are tried again.
    pub failing: Option<&'static str>,
}

struct Shared {
    database: Database,
    clock: Clock,
    flush: Duration,
    keep: Duration,
    /// Rows in memory at most.
    buffer: usize,
    window: Mutex<Window>,
    /// Rows that the writer took and has not written yet.
    held: AtomicUsize,
    lost: AtomicU64,
    trouble: Trouble,
    /// Something is in the window that was empty.
    filled: Notify,
    /// A delivery found no room.
    overflowed: Notify,
    /// Somebody waits for it to be written.
    urgent: Notify,
    closing: CancellationToken,
    closed: CancellationToken,
}

/// What was delivered since the writer last looked.
#[derive(Default)]
struct Window {
    rows: HashMap<Delivery, Folded>,
    /// Nothing is taken any more.
    shut: bool,
}

/// Equal deliveries of one window.
struct Folded {
    /// Its place among the rows of the window.
    order: usize,
    first: Timestamp,
    last: Timestamp,
    count: u64,
    /// Those of them that wait until they are on disk.
    waiting: Vec<oneshot::Sender<bool>>,
}

impl AuditLog {
    /// Starts writing to `database`; flushes and retention run on `tracker` until [`Self::close`].
    pub fn start(database: Database, settings: &config::Audit, clock: Clock, tracker: &TaskTracker) -> Self {
        let shared = Arc::new(Shared {
            database,
            clock,
            flush: settings.flush.min(FLUSH_MAX),
            keep: settings.keep,
            buffer: settings.buffer.max(1),
            window: Mutex::default(),
            held: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            trouble: Trouble::default(),
            filled: Notify::new(),
            overflowed: Notify::new(),
            urgent: Notify::new(),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        });
        tracker.spawn(writer::write(shared.clone()));
        let told = shared.clone();
        tracker.spawn(async move {
            tell_of_losses(&told.lost, &told.overflowed, &told.closing, |deliveries| {
                tracing::error!(deliveries, "no room in the audit log's buffer: deliveries are not in the log");
            })
            .await;
        });
        tracker.spawn(chain::retain(shared.clone()));
        Self { shared }
    }

    /// Notes a delivery. Never waits; without room the delivery is counted as lost.
    pub fn record(&self, delivery: Delivery) {
        self.shared.note(delivery, None);
    }

    /// Notes a delivery and waits until it is on disk, for a second at most: somebody is on the phone.
    /// An error means that it could not be written in one attempt; it may be in the log all the same
    /// when the store broke off in the middle, or was slow.
    pub async fn record_strict(&self, delivery: Delivery) -> Result<(), Error> {
        let (written, wait) = oneshot::channel();
        self.shared.note(delivery, Some(written));
        match tokio::time::timeout(STRICT_MAX, wait).await {
            Ok(Ok(true)) => Ok(()),
            _ => Err(Error::NotNoted),
        }
    }

    pub fn health(&self) -> Health {
        Health {
            lost: self.shared.lost.load(Ordering::Relaxed),
            waiting: self.shared.window().rows.len() + self.shared.held.load(Ordering::Relaxed),
            failing: self.shared.trouble.get(),
        }
    }

    pub async fn search(&self, organization: &Organization, filter: &Filter) -> Result<Vec<Entry>, Error> {
        rows::search(&self.shared.database, organization, filter).await
    }

    /// Recomputes an organization's chain.
    pub async fn verify(&self, organization: &Organization) -> Result<Chain, Error> {
        chain::verify(&self.shared.database, organization).await
    }

    /// Takes away the rows that are older than `audit.keep`, as it is done every hour; how many.
    pub async fn expire(&self) -> Result<u64, Error> {
        chain::expire(&self.shared).await
    }

    /// Writes what is left and stops, within a few seconds even if the store is away. Call it after
    /// the last answer.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        self.shared.closed.cancelled().await;
    }
}

impl Shared {
    fn note(&self, delivery: Delivery, waiting: Option<oneshot::Sender<bool>>) {
        let now = self.clock.now();
        let urgent = waiting.is_some();
        let mut window = self.window();
        let order = window.rows.len();
        let full = window.shut || order + self.held.load(Ordering::Relaxed) >= self.buffer;
        match window.rows.entry(delivery) {
            Slot::Occupied(mut row) => row.get_mut().add(now, waiting),
            Slot::Vacant(slot) if !full => {
                slot.insert(Folded { order, first: now, last: now, count: 0, waiting: Vec::new() }).add(now, waiting);
            }
            // `waiting` is dropped, which says no: nothing is delivered, and so nothing is lost
            Slot::Vacant(_) if urgent => return,
            Slot::Vacant(_) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                self.overflowed.notify_one();
                return;
            }
        }
        drop(window);
        if order == 0 {
            self.filled.notify_one();
        }
        if urgent {
            self.urgent.notify_one();
        }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells how many deliveries were lost since it told before: at once, then every minute while it
/// goes on.
async fn tell_of_losses(lost: &AtomicU64, overflowed: &Notify, closing: &CancellationToken, mut tell: impl FnMut(u64)) {
    let mut told = 0;
    let mut tell_new = || {
        let lost = lost.load(Ordering::Relaxed);
        match lost.saturating_sub(std::mem::replace(&mut told, lost)) {
            0 => {}
            since => tell(since),
        }
    };
    while closing.run_until_cancelled(overflowed.notified()).await.is_some() {
        tell_new();
        let _ = closing.run_until_cancelled(tokio::time::sleep(TELL_EVERY)).await;
    }
    tell_new();
}

impl Folded {
    fn add(&mut self, now: Timestamp, waiting: Option<oneshot::Sender<bool>>) {
        self.first = self.first.min(now);
        self.last = self.last.max(now);
        self.count += 1;
        self.waiting.extend(waiting);
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditLog(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn losses_are_told_once_a_minute() {
        let (lost, overflowed, closing) = (AtomicU64::new(0), Notify::new(), CancellationToken::new());
        let (began, mut told) = (Clock::system().instant(), Vec::new());
        let losing = async {
            // two a second for three minutes, then one more
            for _ in 0..360 {
                lost.fetch_add(1, Ordering::Relaxed);
                overflowed.notify_one();
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            tokio::time::sleep(Duration::from_secs(600)).await;
            lost.fetch_add(1, Ordering::Relaxed);
            closing.cancel();
        };
        let tell = |deliveries| told.push((began.elapsed().as_secs(), deliveries));
        tokio::join!(tell_of_losses(&lost, &overflowed, &closing, tell), losing);
        assert_eq!(told, [(0, 1), (60, 120), (120, 120), (180, 119), (780, 1)]);
    }
}
