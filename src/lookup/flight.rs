//! Single flight: one leader per key works and tells everybody who waits. A leader lives in a task
//! of the gateway, so a caller who hangs up cancels nothing; its place is freed however it ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

type Flying<K, T> = Arc<Mutex<HashMap<K, Arc<Flight<T>>>>>;

/// Work in flight by key; each has a state of type `T`. A clone is the same flights.
#[derive(Debug)]
pub struct Flights<K, T> {
    flying: Flying<K, T>,
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self { flying: Arc::default() }
    }
}

impl<K, T> Clone for Flights<K, T> {
    fn clone(&self) -> Self {
        Self { flying: self.flying.clone() }
    }
}

/// One piece of work, as all who wait for it see it.
#[derive(Debug)]
pub struct Flight<T> {
    state: Mutex<State<T>>,
    moved: Notify,
}

#[derive(Debug)]
struct State<T> {
    now: T,
    landed: bool,
}

/// What became of a question for a key.
pub enum Role<K: Eq + Hash, T> {
    /// Somebody else works already.
    Follower(Arc<Flight<T>>),
    Leader(Lead<K, T>),
}

/// The right and the duty to do the work. Dropped, the flight has landed: whether the work ended,
/// panicked or was shut down.
pub struct Lead<K: Eq + Hash, T> {
    flying: Flying<K, T>,
    key: K,
    flight: Arc<Flight<T>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Eq + Hash + Clone, T: Default> Flights<K, T> {
    /// How many are under way.
    pub fn len(&self) -> usize {
        lock(&self.flying).len()
    }

    /// The flight of `key`, if one is under way.
    pub fn join(&self, key: &K) -> Option<Arc<Flight<T>>> {
        lock(&self.flying).get(key).cloned()
    }

    /// The flight of `key` that is under way, or the lead of a new one.
    pub fn join_or_lead(&self, key: K) -> Role<K, T> {
        let flight = match lock(&self.flying).entry(key.clone()) {
            Entry::Occupied(flight) => return Role::Follower(flight.get().clone()),
            Entry::Vacant(slot) => {
                let state = Mutex::new(State { now: T::default(), landed: false });
                slot.insert(Arc::new(Flight { state, moved: Notify::new() })).clone()
            }
        };
        Role::Leader(Lead { flying: self.flying.clone(), key, flight })
    }
}

impl<T> Flight<T> {
    /// Looks at the state, or changes it without telling anybody.
    pub fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut lock(&self.state).now)
    }

    /// Waits until the state is as wanted, or will not change any more.
    pub async fn until(&self, wanted: impl Fn(&T) -> bool) {
        loop {
            let moved = self.moved.notified(); // from here on no move is missed
            {
                let state = lock(&self.state);
                if state.landed || wanted(&state.now) {
                    return;
                }
            }
            moved.await;
        }
    }
}

impl<K: Eq + Hash, T> Lead<K, T> {
    pub fn flight(&self) -> &Arc<Flight<T>> {
        &self.flight
    }

    /// Wakes all who wait, so that they look again.
    pub fn tell(&self) {
        self.flight.moved.notify_waiters();
    }
}

impl<K: Eq + Hash, T> Drop for Lead<K, T> {
    fn drop(&mut self) {
        lock(&self.flying).remove(&self.key);
        lock(&self.flight.state).landed = true;
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio_util::task::TaskTracker;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn forty_impatient_callers_start_one_flight_that_lands() {
        let (flights, tracker) = (Flights::<_, bool>::default(), TaskTracker::new());
        let started = Arc::new(AtomicUsize::new(0));
        let caller = || {
            let flight = match flights.join_or_lead("number") {
                Role::Follower(flight) => flight,
                Role::Leader(lead) => {
                    started.fetch_add(1, Ordering::Relaxed);
                    let flight = lead.flight().clone();
                    tracker.spawn(async move {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                        lead.flight().with(|done| *done = true);
                        lead.tell();
                    });
                    flight
                }
            };
            async move { tokio::time::timeout(Duration::from_millis(200), flight.until(|done| *done)).await.is_ok() }
        };
        let callers: Vec<_> = (0..40).map(|_| caller()).collect();
        let answered = futures_util::future::join_all(callers).await;
        assert!(answered.iter().all(|in_time| !in_time), "the deadline is shorter than the work");
        let Role::Follower(flight) = flights.join_or_lead("number") else { panic!("it is still under way") };
        flight.until(|done| *done).await;
        assert!(flight.with(|done| *done));
        assert_eq!(started.load(Ordering::Relaxed), 1);
        tracker.close();
        tracker.wait().await;
        assert!(flights.join(&"number").is_none());
    }

    #[tokio::test]
    async fn a_panic_frees_the_key_and_wakes_the_waiting() {
        let (flights, tracker) = (Flights::<_, bool>::default(), TaskTracker::new());
        let Role::Leader(lead) = flights.join_or_lead(1) else { panic!("nobody flies") };
        let flight = lead.flight().clone();
        let waiting = tracker.spawn(async move { flight.until(|done| *done).await });
        tracker.spawn(async move {
            let _lead = lead;
            panic!("on purpose")
        });
        assert!(waiting.await.is_ok(), "nobody waits for ever");
        tracker.close();
        tracker.wait().await;
        assert!(flights.join(&1).is_none());
        assert!(matches!(flights.join_or_lead(1), Role::Leader(_)));
    }
}
