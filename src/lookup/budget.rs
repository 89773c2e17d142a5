//! How many lookups may reach the sources: per key, per organization, per person. A key that walks
//! through numbers runs out of its own budget, not of the vendors' quota. Hits cost nothing.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::ops::Add;
use std::time::Duration;

use governor::clock::Reference;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::{Ask, Purse};
use crate::clock::Clock;
use crate::config::Limits;
use crate::domain::Organization;

type Keyed<K> = RateLimiter<K, DashMapStateStore<K>, Ticks, NoOpMiddleware<Tick>>;

pub struct Budget {
    keys: Keyed<(Organization, Purse)>,
    organizations: Keyed<Organization>,
    verified: Keyed<Organization>,
    /// By a keyed hash of organization and identity, whatever else a request says about the person;
    /// calls proved by signature count apart.
    people: Keyed<u64>,
    hasher: RandomState,
}

/// Whose budget is spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spent {
    Purse,
    Person,
}

impl Budget {
    pub fn new(limits: &Limits, clock: Clock) -> Self {
        let per_minute =
            |count: u32| rule(count, Duration::from_secs(60)).unwrap_or(Quota::per_minute(NonZeroU32::MIN));
        let ticks = Ticks::new(clock);
        Self {
            keys: RateLimiter::dashmap_with_clock(per_minute(limits.misses_per_key), ticks),
            organizations: RateLimiter::dashmap_with_clock(per_minute(limits.misses_per_organization), ticks),
            verified: RateLimiter::dashmap_with_clock(per_minute(limits.misses_verified), ticks),
            people: RateLimiter::dashmap_with_clock(per_minute(limits.misses_per_number), ticks),
            hasher: RandomState::new(),
        }
    }

    /// Takes one lookup out of every budget it counts in. Calls proved by signature have reserves
    /// of their own, so that a leaked key cannot starve them. The reader's own budget comes first:
    /// who has spent it takes nothing away from anybody else.
    pub fn take(&self, ask: &Ask) -> Result<(), Spent> {
        let verified = match &ask.purse {
            Purse::Operator => return Ok(()),
            Purse::Verified => true,
            Purse::Key(_) => false,
        };
        if verified {
            self.verified.check_key(&ask.organization).map_err(|_| Spent::Purse)?;
        } else {
            self.keys.check_key(&(ask.organization.clone(), ask.purse.clone())).map_err(|_| Spent::Purse)?;
            self.organizations.check_key(&ask.organization).map_err(|_| Spent::Purse)?;
        }
        let person = self.hasher.hash_one((&ask.organization, &ask.identity, verified));
        self.people.check_key(&person).map_err(|_| Spent::Person)
    }

    /// Readers, organizations and people who asked lately.
    pub fn len(&self) -> usize {
        self.keys.len() + self.organizations.len() + self.verified.len() + self.people.len()
    }

    /// Forgets who has not asked lately; call it every minute or so.
    pub fn upkeep(&self) {
        self.keys.retain_recent();
        self.organizations.retain_recent();
        self.verified.retain_recent();
        self.people.retain_recent();
    }
}

/// A window of `count` calls per `per`, all of which may come at once.
fn rule(count: u32, per: Duration) -> Option<Quota> {
    let count = NonZeroU32::new(count)?;
    let each = per.checked_div(count.get())?;
    Some(Quota::with_period(each)?.allow_burst(count))
}

/// governor's view of our clock.
#[derive(Debug, Clone, Copy)]
struct Ticks {
    clock: Clock,
    start: Instant,
}

impl Ticks {
    fn new(clock: Clock) -> Self {
        Self { clock, start: clock.instant() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Tick(u64);

impl Add<Nanos> for Tick {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0.saturating_add(nanos.as_u64()))
    }
}

impl Reference for Tick {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, nanos: Nanos) -> Self {
        Self(self.0.checked_sub(nanos.as_u64()).unwrap_or(self.0))
    }
}

impl governor::clock::Clock for Ticks {
    type Instant = Tick;

    fn now(&self) -> Tick {
        Tick(u64::try_from(self.clock.since(self.start).as_nanos()).unwrap_or(u64::MAX))
    }
}
