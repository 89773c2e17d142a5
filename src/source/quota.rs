//! What we may ask of a source: short windows like "100 per 10s" and long budgets like "250000 per
//! 24h", counted before the call, corrected by what the vendor's answers say. Our own limit says no
//! at once; a call never waits for a window to open. Keeping budgets is the store's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::HashMap;
use http::HeaderMap;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::domain::Spent;
use crate::manifest::limits::{Heard, Learn};
use crate::manifest::plan::{Limits, Rate};

/// Slots of a window: use falls out of it one slot at a time, never too early.
const SLOTS: i64 = 60;
/// How many slots the pace is taken from, the running one among them.
const PACE: i64 = 3;
/// How often a budget that has run dry by our count asks whether the vendor agrees.
const PROBE: i64 = 60_000;

/// On whose account a call is.
#[derive(Debug, Clone, PartialEq)]
pub enum Account {
    /// Nobody waits for it: it leaves the reserve alone.
    Background,
    /// Somebody waits.
    Live,
    /// Somebody waits who showed a key: of what the others leave of a budget, it has this share.
    Key { id: Arc<str>, share: f64 },
}

/// The windows of one source, or of several with the same credentials, and how long the vendor told
/// us to stay away.
#[derive(Debug)]
pub struct Quota {
    /// Under which its budgets are kept.
    name: Arc<str>,
    clock: Clock,
    windows: Vec<Window>,
    learn: Vec<Learn>,
    /// Set by a vendor's 429 with Retry-After.
    closed_until: Mutex<Option<Instant>>,
    /// Requests under way, and what they cost.
    flying: [AtomicU64; 2],
    /// A budget was spent further than the store knows.
    unclaimed: Arc<Notify>,
}

/// A request that was taken out of the quota, until it is answered.
#[derive(Debug)]
pub struct Taken<'q> {
    quota: &'q Quota,
    cost: u32,
}

/// How a window stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// It is a long one, kept across restarts.
    pub is_budget: bool,
    pub per: Duration,
    pub limit: u64,
    pub remaining: u64,
    /// At the pace of the last twentieth of the window; none when it lasts at that pace.
    pub dry_in: Option<Duration>,
}

#[derive(Debug)]
struct Window {
    kind: Kind,
    /// As it is written; the vendor may say otherwise.
    limit: u64,
    per: Duration,
    reserve: f64,
    uses: Arc<Mutex<Uses>>,
}

#[derive(Debug, PartialEq)]
enum Kind {
    Rate,
    Bucket(Arc<str>),
    Budget { learns: bool },
}

/// What was used of a window. Times are milliseconds of the wall clock.
#[derive(Debug, Default)]
struct Uses {
    own: Slots,
    /// Of other gateways, and of earlier lives of this one.
    others: Slots,
    keys: HashMap<Arc<str>, Slots>,
    /// All that was ever taken here.
    spent: u64,
    /// As far as the store knows it.
    claimed: u64,
    learned: Option<Learned>,
    probed_at: i64,
}

/// What the vendor said last.
#[derive(Debug)]
struct Learned {
    at: i64,
    limit: Option<u64>,
    /// What was used then, and what we had spent by then.
    used: Option<(u64, u64)>,
    resets_at: Option<i64>,
}

/// Counts by the start of their slot, oldest first.
#[derive(Debug, Default)]
struct Slots(VecDeque<(i64, u64)>);

impl Quota {
    /// What windows of the same length counted in an earlier quota goes on counting. `unclaimed` is
    /// told when a budget is spent further than what [`Self::claim`] gave out.
    pub fn new(name: Arc<str>, limits: &Limits, clock: Clock, unclaimed: Arc<Notify>, earlier: Option<&Self>) -> Self {
        let mut windows: Vec<Window> = Vec::new();
        let mut add = |kind: &dyn Fn(Rate) -> Kind, rates: &[Rate]| {
            for rate in rates {
                let kind = kind(*rate);
                let like = |window: &&Window| window.kind.same(&kind) && window.per == rate.per;
                let uses = earlier.and_then(|e| e.windows.iter().find(like)).map(|window| window.uses.clone());
                let (limit, uses) = (u64::from(rate.count), uses.unwrap_or_default());
                windows.push(Window { kind, limit, per: rate.per, reserve: limits.reserve, uses });
            }
        };
        add(&|_| Kind::Rate, &limits.rate);
        for (name, rates) in &limits.buckets {
            add(&|_| Kind::Bucket(name.clone()), rates);
        }
        let learns = |rate: Rate| limits.learn.iter().any(|learn| learn.per == rate.per);
        add(&|rate| Kind::Budget { learns: learns(rate) }, &limits.budget);
        let (learn, flying) = (limits.learn.clone(), [AtomicU64::new(0), AtomicU64::new(0)]);
        Self { name, clock, windows, learn, closed_until: Mutex::default(), flying, unclaimed }
    }

    /// Takes one request out of every window it counts in, or out of none. `None`: do not call.
    pub fn take(&self, bucket: Option<&str>, cost: u32, account: &Account) -> Option<Taken<'_>> {
        if self.closed_until().is_some_and(|until| self.clock.instant() < until) {
            return None;
        }
        let now = self.now();
        let counts = |window: &&Window| match &window.kind {
            Kind::Bucket(name) => Some(&**name) == bucket,
            Kind::Rate | Kind::Budget { .. } => true,
        };
        for (at, window) in self.windows.iter().enumerate().filter(|(_, window)| counts(window)) {
            if !window.take(now, cost, account) {
                self.windows.iter().take(at).filter(counts).for_each(|window| window.give_back(now, cost, account));
                return None;
            }
            if window.is_unclaimed() {
                self.unclaimed.notify_one();
            }
        }
        let [requests, costs] = &self.flying;
        requests.fetch_add(1, Ordering::Relaxed);
        costs.fetch_add(u64::from(cost), Ordering::Relaxed);
        Some(Taken { quota: self, cost })
    }

    /// Takes in what the headers of an answer say. What was asked meanwhile is not in there yet.
    pub fn learn(&self, headers: &HeaderMap, cost: u32) {
        let (now, [requests, costs]) = (self.clock.now(), &self.flying);
        for learn in &self.learn {
            let Some(heard) = learn.hear(headers, now) else { continue };
            for window in self.windows.iter().filter(|window| window.per == learn.per) {
                let meanwhile = match window.kind {
                    Kind::Bucket(_) => continue,
                    Kind::Rate => requests.load(Ordering::Relaxed).saturating_sub(1),
                    Kind::Budget { .. } => costs.load(Ordering::Relaxed).saturating_sub(cost.into()),
                };
                window.hear(now.as_millisecond(), heard, meanwhile);
            }
        }
    }

    /// The vendor said when to come back; capped at an hour, an hour is long for a live call.
    pub fn closed_for(&self, pause: Duration) {
        let until = self.clock.instant() + pause.min(Duration::from_secs(3_600));
        let mut closed = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = Some(closed.map_or(until, |earlier| earlier.max(until)));
    }

    fn closed_until(&self) -> Option<Instant> {
        *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How each window stands: rates, buckets, budgets.
    pub fn standings(&self) -> Vec<Standing> {
        let now = self.now();
        self.windows.iter().map(|window| window.standing(now)).collect()
    }

    /// What is to be kept of the budgets, with something ahead of what was spent: a process that is
    /// killed comes back having spent too much, not too little. `last`: nothing will be spent.
    pub fn claim(&self, last: bool) -> Vec<Spent> {
        let now = self.now();
        self.budget_windows().flat_map(|window| window.claim(&self.name, now, last)).collect()
    }

    /// Takes in what others spent, as the store says; `others` may be of any source.
    pub fn hear_of(&self, others: &[Spent]) {
        for window in self.budget_windows() {
            let of_window = others.iter().filter(|spent| spent.source == self.name && spent.per == window.per);
            let mut slots = Slots::default();
            of_window.for_each(|spent| slots.add(spent.at, spent.count));
            window.uses().others = slots;
        }
    }

    fn budget_windows(&self) -> impl Iterator<Item = &Window> {
        self.windows.iter().filter(|window| matches!(window.kind, Kind::Budget { .. }))
    }

    fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let [requests, costs] = &self.quota.flying;
        requests.fetch_sub(1, Ordering::Relaxed);
        costs.fetch_sub(u64::from(self.cost), Ordering::Relaxed);
    }
}

impl Kind {
    /// Counts the same, whether it is corrected or not.
    fn same(&self, other: &Self) -> bool {
        self == other || matches!((self, other), (Self::Budget { .. }, Self::Budget { .. }))
    }
}

impl Window {
    fn take(&self, now: i64, cost: u32, account: &Account) -> bool {
        let (count, mut uses) = (self.counted(cost), self.uses());
        let (limit, used) = uses.stand(self, now);
        let fits = match account {
            Account::Background => used + count <= (limit as f64 * (1.0 - self.reserve)).ceil() as u64,
            Account::Live => used + count <= limit,
            Account::Key { id, share } => {
                let of_key = uses.keys.get(id).map_or(0, |slots| slots.sum());
                let theirs = (limit.saturating_sub(used.saturating_sub(of_key)) as f64 * share).ceil() as u64;
                used + count <= limit && (!self.is_budget() || of_key + count <= theirs)
            }
        };
        let may_probe = self.kind == Kind::Budget { learns: true } && *account != Account::Background;
        let probes = !fits && may_probe && used + count > limit && now - uses.probed_at >= PROBE;
        if probes {
            uses.probed_at = now;
        } else if !fits {
            return false;
        }
        let slot = self.slot(now);
        uses.spent += count;
        uses.own.add(slot, count);
        if let Account::Key { id, .. } = account
            && self.is_budget()
        {
            uses.keys.entry(id.clone()).or_default().add(slot, count);
        }
        true
    }

    /// Another window said no.
    fn give_back(&self, now: i64, cost: u32, account: &Account) {
        let (count, slot, mut uses) = (self.counted(cost), self.slot(now), self.uses());
        uses.spent = uses.spent.saturating_sub(count);
        uses.own.take(slot, count);
        if let Account::Key { id, .. } = account
            && let Some(slots) = uses.keys.get_mut(id)
        {
            slots.take(slot, count);
        }
    }

    /// The vendor's count is believed, whatever ours is.
    fn hear(&self, now: i64, heard: Heard, meanwhile: u64) {
        let mut uses = self.uses();
        let (limit, _) = uses.stand(self, now);
        let before = uses.learned.take();
        let limit_heard = heard.limit.or(before.as_ref().and_then(|before| before.limit));
        let remaining = || Some(heard.limit.unwrap_or(limit).saturating_sub(heard.remaining?));
        let used = heard.used.or_else(remaining).map(|used| (used + meanwhile, uses.spent));
        uses.learned = Some(Learned {
            at: now,
            limit: limit_heard,
            used: used.or(before.as_ref().and_then(|before| before.used)),
            resets_at: heard.resets_at.map(jiff::Timestamp::as_millisecond).or(before.and_then(|b| b.resets_at)),
        });
    }

    fn standing(&self, now: i64) -> Standing {
        let mut uses = self.uses();
        let (limit, used) = uses.stand(self, now);
        let remaining = limit.saturating_sub(used);
        let from = self.slot(now) - (PACE - 1) * self.slot_length();
        let recent = uses.own.since(from) + uses.others.since(from);
        let lasts = remaining as f64 * (now - from).max(1) as f64 / recent as f64;
        let until_reset = uses.learned.as_ref().and_then(|learned| Some(learned.resets_at? - now));
        let refilled = until_reset.unwrap_or(i64::MAX).min(self.length());
        let dry_in = (recent > 0 && lasts < refilled as f64).then(|| Duration::from_millis(lasts as u64));
        Standing { is_budget: self.is_budget(), per: self.per, limit, remaining, dry_in }
    }

    fn claim(&self, name: &Arc<str>, now: i64, last: bool) -> Vec<Spent> {
        let mut uses = self.uses();
        uses.stand(self, now);
        let ahead = if last { 0 } else { (self.limit / 1_000).clamp(10, 1_000) };
        uses.claimed = uses.spent + ahead;
        let slot = self.slot(now);
        let forget_at = |at: i64| at + self.slot_length() + self.length();
        let spent = |(at, count)| Spent { source: name.clone(), per: self.per, at, count, forget_at: forget_at(at) };
        let mut claimed: Vec<Spent> = uses.own.0.iter().copied().filter(|(at, _)| *at != slot).map(spent).collect();
        claimed.push(spent((slot, uses.own.since(slot) + ahead)));
        claimed
    }

    fn is_unclaimed(&self) -> bool {
        let uses = self.uses();
        self.is_budget() && uses.spent > uses.claimed
    }

    fn is_budget(&self) -> bool {
        matches!(self.kind, Kind::Budget { .. })
    }

    /// Short windows count requests.
    fn counted(&self, cost: u32) -> u64 {
        if self.is_budget() { cost.into() } else { 1 }
    }

    fn length(&self) -> i64 {
        i64::try_from(self.per.as_millis()).unwrap_or(i64::MAX / 4)
    }

    fn slot_length(&self) -> i64 {
        (self.length() / SLOTS).max(1)
    }

    /// The start of the slot of a moment.
    fn slot(&self, now: i64) -> i64 {
        now - now.rem_euclid(self.slot_length())
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Uses {
    /// The limit and what is used of it; forgets what is over.
    fn stand(&mut self, window: &Window, now: i64) -> (u64, u64) {
        let over = now - window.length() - window.slot_length();
        if let Some(learned) = &self.learned {
            if learned.resets_at.is_some_and(|at| at <= now) {
                *self = Self { learned: None, own: Slots::default(), others: Slots::default(), ..std::mem::take(self) };
                self.keys.clear();
            } else if learned.at + window.length() <= now {
                self.learned = None;
            }
        }
        self.own.forget(over);
        self.others.forget(over);
        self.keys.retain(|_, slots| {
            slots.forget(over);
            !slots.0.is_empty()
        });
        let counted = || self.own.sum() + self.others.sum();
        let Some(learned) = &self.learned else { return (window.limit, counted()) };
        let used = learned.used.map(|(used, spent)| used + self.spent.saturating_sub(spent));
        (learned.limit.unwrap_or(window.limit), used.unwrap_or_else(counted))
    }
}

impl Slots {
    fn add(&mut self, at: i64, count: u64) {
        match self.0.iter_mut().rev().find(|(slot, _)| *slot == at) {
            Some((_, there)) => *there += count,
            None => {
                // a clock that was set back writes into the past
                let place = self.0.partition_point(|(slot, _)| *slot < at);
                self.0.insert(place, (at, count));
            }
        }
    }

    fn take(&mut self, at: i64, count: u64) {
        if let Some((_, there)) = self.0.iter_mut().find(|(slot, _)| *slot == at) {
            *there = there.saturating_sub(count);
        }
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// Of the slots that start then or later.
    fn since(&self, at: i64) -> u64 {
        self.0.iter().rev().take_while(|(slot, _)| *slot >= at).map(|(_, count)| count).sum()
    }

    /// Lets go of slots that started then or earlier.
    fn forget(&mut self, at: i64) {
        while self.0.front().is_some_and(|(slot, _)| *slot <= at) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::manifest::diagnostic::{Diagnostics, Files};
    use crate::manifest::limits::limits;
    use crate::manifest::tree::{Reader, parse};

    const HOUR: Duration = Duration::from_secs(3_600);

    fn read(text: &str) -> Limits {
        let (mut files, diagnostics) = (Files::default(), Diagnostics::default());
        let file = files.add("limits", text);
        let table = parse(file, &files, &diagnostics);
        let origin = crate::manifest::diagnostic::Origin { file, start: 0, end: 1 };
        let limits = limits(&Reader::new(&table, origin, &diagnostics), 8, 0.2);
        assert!(!diagnostics.has_errors());
        limits
    }

    fn clock() -> Clock {
        Clock::starting_at("2026-11-20T08:00:00Z".parse().unwrap())
    }

    fn quota(text: &str, clock: Clock) -> Quota {
        Quota::new("crm".into(), &read(text), clock, Arc::default(), None)
    }

    /// How many requests of `tries` are let through; each is answered before the next.
    fn taken(quota: &Quota, tries: usize, bucket: Option<&str>, account: &Account) -> usize {
        (0..tries).filter(|_| quota.take(bucket, 1, account).is_some()).count()
    }

    fn key(id: &str) -> Account {
        Account::Key { id: id.into(), share: 0.5 }
    }

    fn remaining(quota: &Quota) -> Vec<u64> {
        quota.standings().iter().map(|standing| standing.remaining).collect()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_counts_beside_the_common_window() {
        let quota = quota("[limits]\nrate = [\"10 per 1s\"]\nbucket.search = [\"2 per 1s\"]", clock());
        assert_eq!(taken(&quota, 5, Some("search"), &Account::Live), 2);
        assert_eq!(taken(&quota, 20, None, &Account::Live), 8, "what the bucket refused took nothing");
        tokio::time::advance(Duration::from_millis(1_020)).await;
        assert_eq!(taken(&quota, 5, Some("search"), &Account::Live), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn no_window_of_time_holds_more_than_the_limit() {
        let quota = quota("[limits]\nrate = [\"10 per 1s\"]", clock());
        let mut taken_at = Vec::new();
        for millis in 0..5_000_i64 {
            if quota.take(None, 1, &Account::Live).is_some() {
                taken_at.push(millis);
            }
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        for (first, eleventh) in taken_at.iter().zip(taken_at.iter().skip(10)) {
            assert!(eleventh - first >= 1_000, "{first} {eleventh}");
        }
        assert!(taken_at.len() >= 40, "{} in five seconds", taken_at.len());
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_closes_it() {
        let quota = quota("", clock());
        quota.closed_for(Duration::from_secs(30));
        quota.closed_for(Duration::from_secs(3));
        tokio::time::advance(Duration::from_secs(29)).await;
        assert_eq!(taken(&quota, 1, None, &Account::Live), 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(taken(&quota, 1, None, &Account::Live), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_counts_what_requests_cost_and_rolls() {
        let quota = quota("[limits]\nbudget = [\"100 per 24h\"]", clock());
        assert!(quota.take(None, 60, &Account::Live).is_some());
        tokio::time::advance(HOUR * 12).await;
        assert!(quota.take(None, 60, &Account::Live).is_none());
        assert!(quota.take(None, 40, &Account::Live).is_some());
        tokio::time::advance(HOUR * 12 - Duration::from_secs(1)).await;
        assert_eq!(remaining(&quota), [0]);
        tokio::time::advance(Duration::from_secs(24 * 60 + 1)).await;
        assert_eq!(remaining(&quota), [60], "the slot of the first is over");
    }

    #[tokio::test(start_paused = true)]
    async fn the_reserve_is_for_those_who_wait() {
        let quota = quota("[limits]\nrate = [\"10 per 1s\"]\nbudget = [\"15 per 24h\"]\nreserve = 0.2", clock());
        assert_eq!(taken(&quota, 20, None, &Account::Background), 8);
        assert_eq!(taken(&quota, 20, None, &Account::Live), 2);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(taken(&quota, 20, None, &Account::Background), 2, "of fifteen a day twelve");
        assert_eq!(taken(&quota, 20, None, &Account::Live), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_does_not_spend_what_others_need() {
        let quota = quota("[limits]\nbudget = [\"100 per 24h\"]", clock());
        assert_eq!(taken(&quota, 200, None, &key("thief")), 50, "half of all");
        assert_eq!(taken(&quota, 200, None, &key("other")), 25, "half of what the first left");
        assert_eq!(taken(&quota, 200, None, &key("thief")), 0);
        assert_eq!(taken(&quota, 200, None, &Account::Live), 25, "proved calls have the rest");
        assert_eq!(taken(&quota, 1, None, &key("third")), 0);
    }

    const LEARNS: &str = "[limits]\nbudget = [\"100 per 24h\"]\n[limits.learn.24h]\nlimit = { header = \"x-limit\" }\n\
        remaining = { header = \"x-remaining\" }\nreset_in = { header = \"x-reset\" }";

    #[tokio::test(start_paused = true)]
    async fn the_vendors_count_corrects_ours() {
        let quota = quota(LEARNS, clock());
        assert_eq!(taken(&quota, 10, None, &Account::Live), 10);
        quota.learn(&headers(&[("x-remaining", "30")]), 1);
        assert_eq!(remaining(&quota), [30], "others use the same account");
        quota.learn(&headers(&[("x-limit", "1000"), ("x-remaining", "700")]), 1);
        assert_eq!(remaining(&quota), [700]);
        assert_eq!(taken(&quota, 10, None, &Account::Live), 10);
        assert_eq!(remaining(&quota), [690]);
        // two are under way: of them the answer to a third says nothing
        let _under_way: Vec<_> = (0..3).filter_map(|_| quota.take(None, 1, &Account::Live)).collect();
        quota.learn(&headers(&[("x-remaining", "500")]), 1);
        assert_eq!(remaining(&quota), [498], "the larger limit is known still");
        quota.learn(&headers(&[("x-remaining", "many")]), 1);
        assert_eq!(remaining(&quota), [498]);
        // a day without news: our own count, which has nothing left to forget
        tokio::time::advance(HOUR * 25).await;
        assert_eq!(remaining(&quota), [100]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_that_is_dry_asks_once_a_minute_whether_that_is_true() {
        let quota = quota(LEARNS, clock());
        quota.learn(&headers(&[("x-remaining", "0"), ("x-reset", "3600")]), 1);
        assert_eq!(taken(&quota, 10, None, &Account::Background), 0);
        assert_eq!(taken(&quota, 10, None, &Account::Live), 1);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(taken(&quota, 10, None, &Account::Live), 0);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(taken(&quota, 10, None, &Account::Live), 1);
        // at its reset all of it is there
        tokio::time::advance(HOUR).await;
        assert_eq!(remaining(&quota), [100]);
    }

    #[tokio::test(start_paused = true)]
    async fn says_when_it_runs_dry_at_this_pace() {
        let quota = quota("[limits]\nbudget = [\"1000 per 24h\"]", clock());
        let dry_in = || quota.standings().first().unwrap().dry_in;
        assert_eq!(dry_in(), None);
        for _ in 0..30 {
            assert_eq!(taken(&quota, 2, None, &Account::Live), 2);
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        assert_eq!(remaining(&quota), [940]);
        // two a minute, seen over 78 minutes of which half an hour was busy
        let minutes = dry_in().unwrap().as_secs() / 60;
        assert!((470..=1_230).contains(&minutes), "{minutes}");
        tokio::time::advance(HOUR * 3).await;
        assert_eq!(dry_in(), None, "nobody asks any more");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_kept_is_ahead_of_what_was_spent() {
        let (clock, unclaimed) = (clock(), Arc::new(Notify::new()));
        let limits = read("[limits]\nbudget = [\"50000 per 24h\"]");
        let quota = Quota::new("crm".into(), &limits, clock, unclaimed.clone(), None);
        let told = || futures_util::FutureExt::now_or_never(unclaimed.notified()).is_some();
        assert_eq!(taken(&quota, 7, None, &Account::Live), 7);
        assert!(told(), "the store knows nothing of them");
        let kept = quota.claim(false);
        assert_eq!(kept.iter().map(|spent| spent.count).sum::<u64>(), 57);
        assert_eq!(taken(&quota, 50, None, &Account::Live), 50);
        assert!(!told(), "that many were claimed ahead");
        assert_eq!(taken(&quota, 1, None, &Account::Live), 1);
        assert!(told());
        // killed: the next life has spent what was claimed, and forgets it when it is over
        let next = Quota::new("crm".into(), &limits, clock, Arc::default(), None);
        next.hear_of(&kept);
        assert_eq!(remaining(&next), [50_000 - 57]);
        let elsewhere = kept.iter().map(|spent| Spent { source: "other".into(), ..spent.clone() });
        next.hear_of(&elsewhere.collect::<Vec<_>>());
        assert_eq!(remaining(&next), [50_000]);
        // shut down: exactly what was spent, slot by slot
        tokio::time::advance(HOUR).await;
        assert_eq!(taken(&quota, 2, None, &Account::Live), 2);
        let kept: Vec<u64> = quota.claim(true).iter().map(|spent| spent.count).collect();
        assert_eq!(kept, [58, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_goes_on_counting() {
        let clock = clock();
        let before = quota("[limits]\nrate = [\"10 per 1s\"]\nbudget = [\"100 per 24h\"]", clock);
        assert_eq!(taken(&before, 10, None, &Account::Live), 10);
        let limits = read("[limits]\nrate = [\"20 per 1s\"]\nbudget = [\"50 per 24h\", \"100 per 1h\"]");
        let after = Quota::new("crm".into(), &limits, clock, Arc::default(), Some(&before));
        assert_eq!(remaining(&after), [10, 40, 100]);
    }
}
