//! Every metric: its name, its labels, its handle. Nothing else in the crate registers one.
//! Handles are made once and kept; labels come from closed sets (configured names and the words
//! of `domain::outcome`), never from a request.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use foldhash::HashMap;
use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::domain::{CacheState, Failure, LookupStatus, Organization, Outcome, Skip, SourceId};
use crate::manifest::plan::{OperationId, Plan, Rate, Source};
use crate::manifest::tree::spoken;

const ANSWERS: &str = "caller_context_answers_total";
const ANSWER_SECONDS: &str = "caller_context_answer_seconds";
const CACHE: &str = "caller_context_cache_total";
const CACHE_BYTES: &str = "caller_context_cache_bytes";
const CACHE_CONTEXTS: &str = "caller_context_cache_contexts";
const RENDERED: &str = "caller_context_rendered_total";
const SOURCE_OUTCOMES: &str = "caller_context_source_outcomes_total";
const SOURCE_SECONDS: &str = "caller_context_source_seconds";
const UNREADABLE_FIELDS: &str = "caller_context_unreadable_fields_total";
const BREAKER_STATE: &str = "caller_context_source_breaker_state";
const IN_FLIGHT: &str = "caller_context_source_in_flight";
const QUOTA_LIMIT: &str = "caller_context_quota_limit";
const QUOTA_REMAINING: &str = "caller_context_quota_remaining";
const QUOTA_EXHAUSTED_IN: &str = "caller_context_quota_exhausted_in_seconds";
const SILENCE: &str = "caller_context_silence_seconds_total";
const MISSES_REFUSED: &str = "caller_context_misses_refused_total";
const REFRESHES_SHED: &str = "caller_context_refreshes_shed_total";
const REFUSALS: &str = "caller_context_refusals_total";
const CONNECTIONS: &str = "caller_context_connections";
const RELOADS: &str = "caller_context_config_reloads_total";
const AUDIT_LOST: &str = "caller_context_audit_lost_total";
const AUDIT_WAITING: &str = "caller_context_audit_waiting";
const COMPARE_FIELDS: &str = "caller_context_compare_fields_total";
const COMPARE_LOOKUPS: &str = "caller_context_compare_lookups_total";
const COMPARE_LEFT_OUT: &str = "caller_context_compare_left_out_total";
const STORE_FAILING: &str = "caller_context_store_failing";

/// Upper bounds in seconds: a hit is tens of microseconds, Studio gives up at ten seconds.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5,
    3.0, 5.0, 9.0, 10.0,
];

static METADATA: Metadata<'static> = Metadata::new("caller_context", Level::INFO, None);

/// All handles of the process. Cheap to use, made at start and, for changed sources, at a reload.
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    text: PrometheusHandle,
    sources: Vec<SourceMetrics>,
    /// Source and operation names, in the order of the plan.
    operations: Vec<(Arc<str>, Arc<str>)>,
    organizations: HashMap<Organization, OrganizationMetrics>,
    /// Keys may belong to organizations that the configuration does not list.
    other: OrganizationMetrics,
    refusals: [Counter; Refusal::ALL.len()],
    reloads: [Counter; Reload::ALL.len()],
    /// Refreshes that were left out because too many were running.
    pub refreshes_shed: Counter,
    pub rendered_hit: Counter,
    pub rendered_miss: Counter,
    /// Bytes and entries of the cache of contexts.
    pub cache_bytes: Gauge,
    pub cache_contexts: Gauge,
    pub connections: Gauge,
    /// Audit rows that did not fit into the buffer.
    pub audit_lost: Counter,
    /// Audit rows in memory, not yet committed.
    pub audit_waiting: Gauge,
    /// 1 while the store does not take audit rows, 0 otherwise; and while it does not give keys.
    pub audit_failing: Gauge,
    pub keys_failing: Gauge,
}

/// Handles of one source, whatever the organization.
pub struct SourceMetrics {
    name: Arc<str>,
    /// The time of one call: request, answer, reading.
    pub seconds: Histogram,
    /// Values that did not fit their field's type and were left out.
    pub unreadable_fields: Counter,
    /// 0 passing, 1 probing, 2 tripped.
    pub breaker_state: Gauge,
    pub in_flight: Gauge,
    /// Of its long budgets, by their length: limit, remaining, seconds until it is dry.
    budgets: Vec<(String, [Gauge; 3])>,
}

/// Handles of what is counted per organization.
pub struct OrganizationMetrics {
    name: Arc<str>,
    answer_seconds: [Histogram; Surface::ALL.len()],
    answers: [[OnceLock<Counter>; STATUSES.len()]; Surface::ALL.len()],
    cache: [Counter; CACHE_STATES.len()],
    /// Per operation of the plan, one counter per reason; registered when first used.
    outcomes: Vec<[OnceLock<Counter>; REASONS.len()]>,
    /// Per source of the plan, in microseconds.
    silence: Vec<Arc<AtomicU64>>,
}

/// Who was answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Surface {
    Studio,
    Context,
    Meetings,
}

impl Surface {
    const ALL: [Self; 3] = [Self::Studio, Self::Context, Self::Meetings];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Studio => "studio",
            Self::Context => "context",
            Self::Meetings => "meetings",
        }
    }
}

/// Requests that were turned away before a lookup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Unknown, wrong, expired or revoked key.
    WrongKey,
    /// A signature that does not verify.
    WrongSignature,
    /// Too many wrong credentials from that peer.
    Limited,
    /// The key's view may not do that.
    Forbidden,
    /// The request cannot be read.
    Malformed,
    /// More connections than configured.
    Connections,
}

impl Refusal {
    const ALL: [Self; 6] =
        [Self::WrongKey, Self::WrongSignature, Self::Limited, Self::Forbidden, Self::Malformed, Self::Connections];

    fn as_str(self) -> &'static str {
        match self {
            Self::WrongKey => "wrong_key",
            Self::WrongSignature => "wrong_signature",
            Self::Limited => "limited",
            Self::Forbidden => "forbidden",
            Self::Malformed => "malformed",
            Self::Connections => "connections",
        }
    }
}

/// How the configuration was loaded anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reload {
    /// It is in force.
    Applied,
    /// It has problems; the one before stays in force.
    Refused,
    /// It is what is in force already.
    Unchanged,
}

impl Reload {
    const ALL: [Self; 3] = [Self::Applied, Self::Refused, Self::Unchanged];

    fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What is counted of answers compared side by side. Its words are from closed sets, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Compared {
    Field {
        field: &'static str,
        result: &'static str,
    },
    /// The gateway's own lookup.
    Lookup {
        lookup_status: &'static str,
    },
    LeftOut,
}

/// What a breaker's gauge shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BreakerState {
    Passing,
    Probing,
    Tripped,
}

const STATUSES: [LookupStatus; 5] =
    [LookupStatus::Complete, LookupStatus::Partial, LookupStatus::Stale, LookupStatus::Failed, LookupStatus::None];

const CACHE_STATES: [CacheState; 4] = [CacheState::Hit, CacheState::Stale, CacheState::Miss, CacheState::Joined];

/// The pairs of outcome and reason, in the order of `reason_index`.
const REASONS: [(&str, &str); 14] = [
    ("found", ""),
    ("not_found", ""),
    ("failed", "timeout"),
    ("failed", "limited"),
    ("failed", "rejected"),
    ("failed", "unreadable"),
    ("failed", "unreachable"),
    ("skipped", "tripped"),
    ("skipped", "limited"),
    ("skipped", "not_connected"),
    ("skipped", "needs"),
    ("skipped", "withheld"),
    ("skipped", "ambiguous"),
    ("skipped", "invalid"),
];

fn reason_index(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Found(_) => 0,
        Outcome::NotFound(_) => 1,
        Outcome::Failed(failure) => match failure {
            Failure::Timeout => 2,
            Failure::Limited { .. } => 3,
            Failure::Rejected => 4,
            Failure::Unreadable => 5,
            Failure::Unreachable => 6,
        },
        Outcome::Skipped(skip) => match skip {
            Skip::Tripped => 7,
            Skip::Limited => 8,
            Skip::NotConnected => 9,
            Skip::Needs(_) => 10,
            Skip::Withheld => 11,
            Skip::Ambiguous => 12,
            Skip::Invalid => 13,
        },
    }
}

impl Metrics {
    /// Registers everything for these sources and organizations.
    pub fn new<'a>(plan: &Plan, organizations: impl IntoIterator<Item = &'a Organization>) -> Arc<Self> {
        let recorder = PrometheusBuilder::new().set_buckets(SECONDS).unwrap_or_default().build_recorder();
        describe(&recorder);
        Self::with(Arc::new(recorder), plan, organizations, None)
    }

    /// For other sources and organizations. What is counted under the same name goes on.
    pub fn after<'a>(&self, plan: &Plan, organizations: impl IntoIterator<Item = &'a Organization>) -> Arc<Self> {
        for gone in self.sources.iter().filter(|s| !plan.sources.iter().any(|source| source.name == s.name)) {
            gone.in_flight.set(0.0);
            gone.breaker(BreakerState::Passing);
            gone.budgets.iter().for_each(|(_, [_, _, exhausted_in])| exhausted_in.set(f64::INFINITY));
        }
        Self::with(self.recorder.clone(), plan, organizations, Some(self))
    }

    fn with<'a>(
        recorder: Arc<PrometheusRecorder>,
        plan: &Plan,
        organizations: impl IntoIterator<Item = &'a Organization>,
        earlier: Option<&Self>,
    ) -> Arc<Self> {
        let sources: Vec<_> = plan.sources.iter().map(|s| SourceMetrics::new(&recorder, s)).collect();
        let operations = plan
            .operations
            .iter()
            .map(|o| {
                let source =
                    plan.sources.get(usize::from(o.source.0)).map_or_else(Default::default, |s| s.name.clone());
                (source, o.name.clone())
            })
            .collect::<Vec<_>>();
        let of = |name: &str| {
            let silence = sources.iter().map(|s| earlier.and_then(|e| e.silence_of(name, &s.name)).unwrap_or_default());
            OrganizationMetrics::new(&recorder, name, operations.len(), silence.collect())
        };
        let mut by_organization: HashMap<_, _> =
            organizations.into_iter().map(|o| (o.clone(), of(o.as_str()))).collect();
        let single = Organization::single();
        by_organization.entry(single.clone()).or_insert_with(|| of(single.as_str()));
        Arc::new(Self {
            other: of("other"),
            organizations: by_organization,
            refusals: Refusal::ALL.map(|r| counter(&recorder, REFUSALS, &[("reason", r.as_str())])),
            reloads: Reload::ALL.map(|r| counter(&recorder, RELOADS, &[("result", r.as_str())])),
            refreshes_shed: counter(&recorder, REFRESHES_SHED, &[]),
            rendered_hit: counter(&recorder, RENDERED, &[("state", "hit")]),
            rendered_miss: counter(&recorder, RENDERED, &[("state", "miss")]),
            cache_bytes: gauge(&recorder, CACHE_BYTES, &[]),
            cache_contexts: gauge(&recorder, CACHE_CONTEXTS, &[]),
            connections: gauge(&recorder, CONNECTIONS, &[]),
            audit_lost: counter(&recorder, AUDIT_LOST, &[]),
            audit_waiting: gauge(&recorder, AUDIT_WAITING, &[]),
            audit_failing: gauge(&recorder, STORE_FAILING, &[("part", "audit")]),
            keys_failing: gauge(&recorder, STORE_FAILING, &[("part", "keys")]),
            sources,
            operations,
            text: recorder.handle(),
            recorder,
        })
    }

    /// The handles of a source; none for an id that is not of the plan.
    pub fn source(&self, id: SourceId) -> Option<&SourceMetrics> {
        self.sources.get(usize::from(id.0))
    }

    fn silence_of(&self, organization: &str, source: &str) -> Option<Arc<AtomicU64>> {
        let at = self.organizations.values().chain([&self.other]).find(|at| &*at.name == organization)?;
        let index = self.sources.iter().position(|s| &*s.name == source)?;
        at.silence.get(index).cloned()
    }

    fn of(&self, organization: &Organization) -> &OrganizationMetrics {
        self.organizations.get(organization).unwrap_or(&self.other)
    }

    /// Counts the end of one operation.
    pub fn outcome(&self, organization: &Organization, operation: OperationId, outcome: &Outcome) {
        let (at, index) = (self.of(organization), usize::from(operation.0));
        let reason = reason_index(outcome);
        let Some(cell) = at.outcomes.get(index).and_then(|cells| cells.get(reason)) else { return };
        cell.get_or_init(|| {
            let (source, name) = self.operations.get(index).map_or(("", ""), |(s, o)| (&**s, &**o));
            let (outcome, reason) = REASONS.get(reason).copied().unwrap_or_default();
            let labels = [
                ("organization", &*at.name),
                ("source", source),
                ("operation", name),
                ("outcome", outcome),
                ("reason", reason),
            ];
            counter(&self.recorder, SOURCE_OUTCOMES, &labels)
        })
        .increment(1);
    }

    /// Counts how the cache answered one question.
    pub fn cache(&self, organization: &Organization, state: CacheState) {
        let index = CACHE_STATES.iter().position(|s| *s == state);
        if let Some(counter) = index.and_then(|i| self.of(organization).cache.get(i)) {
            counter.increment(1);
        }
    }

    /// Adds the time that callers were silent because an answer waited for this source.
    pub fn silence(&self, organization: &Organization, source: SourceId, waited: Duration) {
        if let Some(cell) = self.of(organization).silence.get(usize::from(source.0)) {
            cell.fetch_add(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Counts an answer and the time from the end of its request's headers to its bytes.
    pub fn answered(&self, organization: &Organization, surface: Surface, status: LookupStatus, took: Duration) {
        let at = self.of(organization);
        let surface_index = surface as usize;
        if let Some(seconds) = at.answer_seconds.get(surface_index) {
            seconds.record(took.as_secs_f64());
        }
        let status_index = STATUSES.iter().position(|s| *s == status).unwrap_or_default();
        let Some(cell) = at.answers.get(surface_index).and_then(|cells| cells.get(status_index)) else { return };
        cell.get_or_init(|| {
            let labels =
                [("organization", &*at.name), ("surface", surface.as_str()), ("lookup_status", status.as_str())];
            counter(&self.recorder, ANSWERS, &labels)
        })
        .increment(1);
    }

    pub fn refused(&self, refusal: Refusal) {
        if let Some(counter) = self.refusals.get(refusal as usize) {
            counter.increment(1);
        }
    }

    pub fn reloaded(&self, result: Reload) {
        if let Some(counter) = self.reloads.get(result as usize) {
            counter.increment(1);
        }
    }

    /// Counts a lookup that was not allowed to reach its sources; `purse` is a key's public id,
    /// `verified` or `number`.
    pub fn miss_refused(&self, organization: &Organization, purse: &str) {
        let labels = [("organization", &*self.of(organization).name), ("purse", purse)];
        counter(&self.recorder, MISSES_REFUSED, &labels).increment(1);
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = self.text.render();
        let _ = writeln!(text, "# HELP {SILENCE} Time that answers waited for a source, summed over callers.");
        let _ = writeln!(text, "# TYPE {SILENCE} counter");
        let mut organizations: Vec<_> = self.organizations.values().chain([&self.other]).collect();
        organizations.sort_by(|a, b| a.name.cmp(&b.name));
        for organization in organizations {
            for (source, cell) in self.sources.iter().zip(&organization.silence) {
                let micros = cell.load(Ordering::Relaxed);
                let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
                let labels = format_args!("organization=\"{}\",source=\"{}\"", organization.name, source.name);
                let _ = writeln!(text, "{SILENCE}{{{labels}}} {seconds}.{rest:06}");
            }
        }
        text
    }

    /// The counts of comparisons in the same format. They are kept where they are counted, since
    /// they may begin anew.
    pub fn render_compared(&self, counts: &[(Organization, Compared, u64)]) -> String {
        let mut series: BTreeMap<(Compared, &str), u64> = BTreeMap::new();
        for (organization, what, count) in counts {
            *series.entry((*what, &*self.of(organization).name)).or_default() += count;
        }
        let mut text = String::new();
        let mut family = "";
        for ((what, organization), count) in series {
            let (name, help) = match what {
                Compared::Field { .. } => (COMPARE_FIELDS, "Fields of answers compared side by side, by result."),
                Compared::Lookup { .. } => (COMPARE_LOOKUPS, "Lookups made for comparisons, by lookup status."),
                Compared::LeftOut => (COMPARE_LEFT_OUT, "Comparisons left out because too many were being made."),
            };
            if family != name {
                let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
                family = name;
            }
            let _ = match what {
                Compared::Field { field, result } => {
                    let labels = format_args!("organization=\"{organization}\",field=\"{field}\",result=\"{result}\"");
                    writeln!(text, "{name}{{{labels}}} {count}")
                }
                Compared::Lookup { lookup_status } => {
                    let labels = format_args!("organization=\"{organization}\",lookup_status=\"{lookup_status}\"");
                    writeln!(text, "{name}{{{labels}}} {count}")
                }
                Compared::LeftOut => writeln!(text, "{name}{{organization=\"{organization}\"}} {count}"),
            };
        }
        text
    }

    /// Folds recorded times into buckets; call every few seconds, so that an unread gateway
    /// does not grow.
    pub fn upkeep(&self) {
        self.text.run_upkeep();
    }
}

impl SourceMetrics {
    fn new(recorder: &PrometheusRecorder, source: &Source) -> Self {
        let name = &source.name;
        let labels = [("source", &**name)];
        let of_budget = |budget: &Rate| {
            let window = spoken(budget.per);
            let labels = [("source", &**name), ("window", &*window)];
            let gauges =
                [QUOTA_LIMIT, QUOTA_REMAINING, QUOTA_EXHAUSTED_IN].map(|gauges| gauge(recorder, gauges, &labels));
            (window, gauges)
        };
        let breaker_state = gauge(recorder, BREAKER_STATE, &labels);
        breaker_state.set(0.0);
        let in_flight = gauge(recorder, IN_FLIGHT, &labels);
        in_flight.set(0.0);
        Self {
            name: name.clone(),
            seconds: histogram(recorder, SOURCE_SECONDS, &labels),
            unreadable_fields: counter(recorder, UNREADABLE_FIELDS, &labels),
            breaker_state,
            in_flight,
            budgets: source.limits.budget.iter().map(of_budget).collect(),
        }
    }

    /// Shows how a budget stands; without `dry_in` it lasts, which is shown as infinite.
    pub fn budget(&self, window: &str, limit: u64, remaining: u64, dry_in: Option<Duration>) {
        let Some((_, [of_limit, of_remaining, exhausted_in])) = self.budgets.iter().find(|(of, _)| of == window) else {
            return;
        };
        of_limit.set(limit as f64);
        of_remaining.set(remaining as f64);
        exhausted_in.set(dry_in.map_or(f64::INFINITY, |dry_in| dry_in.as_secs_f64()));
    }

    pub fn breaker(&self, state: BreakerState) {
        self.breaker_state.set(match state {
            BreakerState::Passing => 0.0,
            BreakerState::Probing => 1.0,
            BreakerState::Tripped => 2.0,
        });
    }
}

impl OrganizationMetrics {
    fn new(recorder: &PrometheusRecorder, name: &str, operations: usize, silence: Vec<Arc<AtomicU64>>) -> Self {
        let of = ("organization", name);
        Self {
            name: name.into(),
            answer_seconds: Surface::ALL.map(|s| histogram(recorder, ANSWER_SECONDS, &[of, ("surface", s.as_str())])),
            answers: Default::default(),
            cache: CACHE_STATES.map(|s| counter(recorder, CACHE, &[of, ("state", s.as_str())])),
            outcomes: (0..operations).map(|_| Default::default()).collect(),
            silence,
        }
    }
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    let labels: Vec<_> = labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect();
    Key::from_parts(name, labels)
}

fn counter(recorder: &PrometheusRecorder, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
    recorder.register_counter(&key(name, labels), &METADATA)
}

fn gauge(recorder: &PrometheusRecorder, name: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
    recorder.register_gauge(&key(name, labels), &METADATA)
}

fn histogram(recorder: &PrometheusRecorder, name: &'static str, labels: &[(&'static str, &str)]) -> Histogram {
    recorder.register_histogram(&key(name, labels), &METADATA)
}

fn describe(recorder: &PrometheusRecorder) {
    let counters = [
        (ANSWERS, "Answers given, by surface and lookup status."),
        (CACHE, "Questions to the cache: hit, stale (answered, refreshed behind), miss, joined."),
        (RENDERED, "Answers whose bytes were in the cache of rendered views, or had to be made."),
        (SOURCE_OUTCOMES, "Ends of operations, by outcome and reason."),
        (UNREADABLE_FIELDS, "Values of a source that did not fit their field and were left out."),
        (MISSES_REFUSED, "Lookups that were not allowed to reach their sources, by whose budget was spent."),
        (REFRESHES_SHED, "Refreshes behind answers that were left out because too many were running."),
        (REFUSALS, "Requests turned away before a lookup."),
        (RELOADS, "Loads of a changed configuration: applied, refused (it has problems), unchanged."),
        (AUDIT_LOST, "Audit rows that did not fit into the buffer."),
    ];
    for (name, help) in counters {
        recorder.describe_counter(name.into(), Some(Unit::Count), help.into());
    }
    let gauges = [
        (BREAKER_STATE, "0 passing, 1 probing, 2 tripped."),
        (IN_FLIGHT, "Calls running at a source now."),
        (QUOTA_LIMIT, "What a long budget of a source is, as the vendor says or as it is written."),
        (QUOTA_REMAINING, "What is left of it."),
        (
            QUOTA_EXHAUSTED_IN,
            "When nothing is left at the pace of the last twentieth of its window; +Inf when it lasts.",
        ),
        (CACHE_BYTES, "Bytes held by the cache of contexts, roughly."),
        (CACHE_CONTEXTS, "Entries of the cache of contexts."),
        (CONNECTIONS, "Connections open now."),
        (AUDIT_WAITING, "Audit rows in memory, not yet committed."),
        (STORE_FAILING, "1 while a part of the gateway cannot use the store; /readyz says why."),
    ];
    for (name, help) in gauges {
        recorder.describe_gauge(name.into(), None, help.into());
    }
    let histograms = [
        (ANSWER_SECONDS, "From the end of a request's headers to its answer."),
        (SOURCE_SECONDS, "One call of a source: request, answer, reading."),
    ];
    for (name, help) in histograms {
        recorder.describe_histogram(name.into(), Some(Unit::Seconds), help.into());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn labels_of(text: &str, name: &str) -> Vec<String> {
        text.lines().filter(|l| l.starts_with(name) && !l.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn every_reason_has_its_own_counter() {
        let outcomes = [
            Outcome::Found(Arc::default()),
            Outcome::NotFound(Arc::default()),
            Outcome::Failed(Failure::Timeout),
            Outcome::Failed(Failure::Limited { retry_after: None }),
            Outcome::Failed(Failure::Rejected),
            Outcome::Failed(Failure::Unreadable),
            Outcome::Failed(Failure::Unreachable),
            Outcome::Skipped(Skip::Tripped),
            Outcome::Skipped(Skip::Limited),
            Outcome::Skipped(Skip::NotConnected),
            Outcome::Skipped(Skip::Needs("x".into())),
            Outcome::Skipped(Skip::Withheld),
            Outcome::Skipped(Skip::Ambiguous),
            Outcome::Skipped(Skip::Invalid),
        ];
        let seen: HashSet<usize> = outcomes.iter().map(reason_index).collect();
        assert_eq!(seen.len(), REASONS.len());
        for outcome in &outcomes {
            let expected = match outcome {
                Outcome::Failed(failure) => ("failed", failure.reason()),
                Outcome::Skipped(skip) => ("skipped", skip.label()),
                Outcome::Found(_) => ("found", ""),
                Outcome::NotFound(_) => ("not_found", ""),
            };
            assert_eq!(REASONS.get(reason_index(outcome)), Some(&expected));
        }
    }

    #[test]
    fn counts_answers_and_keeps_unknown_organizations_out_of_the_labels() {
        let metrics = Metrics::new(&Plan::default(), []);
        let Some(stranger) = Organization::parse("stranger") else { panic!("a valid name") };
        for organization in [Organization::single(), stranger] {
            metrics.cache(&organization, CacheState::Hit);
            metrics.answered(&organization, Surface::Studio, LookupStatus::Complete, Duration::from_micros(40));
        }
        let text = metrics.render();
        let answers = labels_of(&text, ANSWERS);
        assert_eq!(answers.len(), 2, "{answers:?}");
        assert!(!text.contains("stranger"));
        assert!(text.contains("caller_context_answer_seconds_bucket"));
        assert!(text.contains("# TYPE caller_context_silence_seconds_total counter"));
    }
}
