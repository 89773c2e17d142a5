//! How many lookups may reach the sources: per key, per organization, per number. A key that walks
//! through numbers runs out of its own budget, not of the vendors' quota. Hits cost nothing.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::cache::Person;
use super::{Ask, Purse};
use crate::clock::Clock;
use crate::config::Limits;
use crate::domain::Organization;
use crate::source::quota::{Tick, Ticks, rule};

type Keyed<K> = RateLimiter<K, DashMapStateStore<K>, Ticks, NoOpMiddleware<Tick>>;

pub struct Budget {
    keys: Keyed<(Organization, Purse)>,
    organizations: Keyed<Organization>,
    verified: Keyed<Organization>,
    numbers: Keyed<Person>,
}

/// Whose budget is spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spent {
    Purse,
    Number,
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
            numbers: RateLimiter::dashmap_with_clock(per_minute(limits.misses_per_number), ticks),
        }
    }

    /// Takes one lookup out of every budget it counts in. Calls proved by signature have a reserve
    /// of their own, so that a leaked key cannot starve them.
    pub fn take(&self, ask: &Ask, person: &Person) -> Result<(), Spent> {
        self.numbers.check_key(person).map_err(|_| Spent::Number)?;
        match &ask.purse {
            Purse::Operator => Ok(()),
            Purse::Verified => self.verified.check_key(&ask.organization).map_err(|_| Spent::Purse),
            Purse::Key(_) => {
                self.keys.check_key(&(ask.organization.clone(), ask.purse.clone())).map_err(|_| Spent::Purse)?;
                self.organizations.check_key(&ask.organization).map_err(|_| Spent::Purse)
            }
        }
    }

    /// Forgets who has not asked lately; call it every minute or so.
    pub fn upkeep(&self) {
        self.keys.retain_recent();
        self.organizations.retain_recent();
        self.verified.retain_recent();
        self.numbers.retain_recent();
    }
}
