//! Single flight: one task per key works and tells everybody who waits. The task belongs to the
//! gateway, so a leader who hangs up cancels nothing; its place is freed however it ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// Work in flight by key; each publishes states of type `T` on a watch. A clone is the same flights.
#[derive(Debug)]
pub struct Flights<K, T> {
    flying: Arc<Mutex<HashMap<K, watch::Receiver<T>>>>,
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

/// Frees the key when dropped, whether the work ended, panicked or was shut down.
struct Landing<K: Eq + Hash, T> {
    flying: Arc<Mutex<HashMap<K, watch::Receiver<T>>>>,
    key: K,
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        lock(&self.flying).remove(&self.key);
    }
}

fn lock<K, T>(flying: &Mutex<HashMap<K, watch::Receiver<T>>>) -> MutexGuard<'_, HashMap<K, watch::Receiver<T>>> {
    flying.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K, T> Flights<K, T>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Send + Sync + 'static,
{
    /// How many are under way.
    pub fn len(&self) -> usize {
        lock(&self.flying).len()
    }

    /// The flight of `key`, if one is under way.
    pub fn join(&self, key: &K) -> Option<watch::Receiver<T>> {
        lock(&self.flying).get(key).cloned()
    }

    /// The flight of `key`: the one that is under way, or a new one that begins with `first` and
    /// runs `work` on the tracker. The flag says whether it was joined.
    pub fn join_or_start<F>(
        &self,
        key: K,
        tracker: &TaskTracker,
        first: T,
        work: impl FnOnce(watch::Sender<T>) -> F,
    ) -> (watch::Receiver<T>, bool)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut flying = lock(&self.flying);
        let slot = match flying.entry(key.clone()) {
            Entry::Occupied(flight) => return (flight.get().clone(), true),
            Entry::Vacant(slot) => slot,
        };
        let (sender, receiver) = watch::channel(first);
        slot.insert(receiver.clone());
        drop(flying);
        let landing = Landing { flying: self.flying.clone(), key };
        let work = work(sender);
        tracker.spawn(async move {
            let _landing = landing;
            work.await;
        });
        (receiver, false)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn forty_impatient_callers_start_one_flight_that_lands() {
        let (flights, tracker) = (Arc::new(Flights::default()), TaskTracker::new());
        let started = Arc::new(AtomicUsize::new(0));
        let caller = || {
            let started = started.clone();
            let work = |sender: watch::Sender<bool>| async move {
                started.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(300)).await;
                sender.send_replace(true);
            };
            let (mut flight, _) = flights.join_or_start("number", &tracker, false, work);
            async move { tokio::time::timeout(Duration::from_millis(200), flight.wait_for(|done| *done)).await.is_ok() }
        };
        let callers: Vec<_> = (0..40).map(|_| caller()).collect();
        let answered = futures_util::future::join_all(callers).await;
        assert!(answered.iter().all(|in_time| !in_time), "the deadline is shorter than the work");
        let (mut flight, joined) = flights.join_or_start("number", &tracker, false, |_| async {});
        assert!(joined && flight.wait_for(|done| *done).await.is_ok());
        assert_eq!(started.load(Ordering::Relaxed), 1);
        tracker.close();
        tracker.wait().await;
        assert!(flights.join(&"number").is_none());
    }

    #[tokio::test]
    async fn a_panic_frees_the_key_and_wakes_the_waiting() {
        let (flights, tracker) = (Flights::<_, bool>::default(), TaskTracker::new());
        let (mut flight, _) = flights.join_or_start(1, &tracker, false, |_sender| async { panic!("on purpose") });
        assert!(flight.wait_for(|done| *done).await.is_err());
        tracker.close();
        tracker.wait().await;
        assert!(flights.join(&1).is_none());
        let (flight, joined) = flights.join_or_start(1, &tracker, true, |_| async {});
        assert!(!joined && *flight.borrow());
    }
}
