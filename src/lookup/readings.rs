//! The readings that are kept: packed, and found by what was asked. A reading lives as long as
//! somebody holds it (what is kept of a person, an assembly); the shelf only knows the way. So
//! nothing is evicted here: a reading weighs in the cache with each person who holds it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use jiff::Timestamp;

use super::traces::ReverseIndex;
use crate::domain::{Outcome, Packed, Timed};
use crate::manifest::plan::Plan;

/// The key of a reading, as a keyed hash that nobody can foresee or make collide: of the
/// organization, the operation and its inputs with their names. Where one of two ids is enough, the
/// same text may be either.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReadingId(pub(super) u128);

impl ReadingId {
    /// What the shelf finds it by.
    fn place(self) -> u64 {
        self.0 as u64
    }
}

/// A reading on the shelf.
pub struct KeptReading {
    id: ReadingId,
    pub found: bool,
    pub read_at: Timestamp,
    packed: Packed,
    /// By which it was read: what its names mean.
    pub plan: Arc<Plan>,
    traces: Box<[u64]>,
    /// It can be found; a reading that was taken off the shelf is not put there again.
    shelved: AtomicBool,
    shelf: Arc<Shelf>,
}

impl KeptReading {
    pub fn timed(&self) -> Timed {
        Timed { reading: self.packed.reading().into(), found: self.found, read_at: self.read_at }
    }

    /// What it holds, as the end of an operation.
    pub fn outcome(&self) -> Outcome {
        let reading = self.packed.reading().into();
        if self.found { Outcome::Found(reading) } else { Outcome::NotFound(reading) }
    }

    /// What it takes in memory, with its place on the shelf and in the index.
    pub fn weight(&self) -> usize {
        SHELVED + self.packed.len() + self.traces.len() * TRACED
    }
}

/// A reading's own fields, its allocations and its place on the shelf; measured.
const SHELVED: usize = 200;
/// A trace, here and in the index.
pub(super) const TRACED: usize = 8 + 36;

impl Drop for KeptReading {
    fn drop(&mut self) {
        self.shelf.take_off(self);
    }
}

/// Leads from questions, and from traces, to readings.
#[derive(Default)]
pub struct Shelf {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By half of the id; the reading has all of it.
    readings: HashMap<u64, Weak<KeptReading>, super::traces::Hashed>,
    traces: ReverseIndex,
}

impl Shelf {
    /// Puts a reading on the shelf, instead of the last one of its key.
    pub fn put(self: &Arc<Self>, id: ReadingId, timed: &Timed, plan: &Arc<Plan>, traces: Vec<u64>) -> Arc<KeptReading> {
        let kept = Arc::new(KeptReading {
            id,
            found: timed.found,
            read_at: timed.read_at,
            packed: Packed::new(&timed.reading),
            plan: plan.clone(),
            traces: traces.into(),
            shelved: AtomicBool::new(true),
            shelf: self.clone(),
        });
        let mut known = self.lock();
        known.traces.add(id.place(), &kept.traces);
        known.readings.insert(id.place(), Arc::downgrade(&kept));
        drop(known);
        kept
    }

    pub fn get(&self, id: ReadingId) -> Option<Arc<KeptReading>> {
        self.at_place(id.place()).filter(|kept| kept.id == id)
    }

    /// The readings that a trace leads to.
    pub fn at(&self, trace: u64) -> Vec<Arc<KeptReading>> {
        let places = self.lock().traces.at(trace);
        places.into_iter().filter_map(|place| self.at_place(place)).collect()
    }

    /// How many readings there are, the entries of the index, and how many it should have.
    pub fn held(&self) -> (usize, usize, usize) {
        let known = self.lock();
        let (there, traces) = (known.readings.values().cloned().collect::<Vec<_>>(), known.traces.len());
        drop(known);
        let held: Vec<_> = there.iter().filter_map(Weak::upgrade).collect();
        (held.len(), traces, held.iter().map(|kept| kept.traces.len()).sum())
    }

    /// Makes a reading unfindable. Whoever holds it still has it.
    pub fn take_off(&self, kept: &KeptReading) {
        if !kept.shelved.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut known = self.lock();
        known.traces.remove(kept.id.place(), &kept.traces);
        if known.readings.get(&kept.id.place()).is_some_and(|there| std::ptr::eq(there.as_ptr(), kept)) {
            known.readings.remove(&kept.id.place());
        }
    }

    /// Upgraded outside of the lock: the last holder of a reading takes the lock when it lets go.
    fn at_place(&self, place: u64) -> Option<Arc<KeptReading>> {
        let there = self.lock().readings.get(&place).cloned();
        there?.upgrade()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        let known = self.lock();
        known.readings.is_empty() && known.traces.is_empty()
    }
}
