//! `/api/studio/compare`: side by side with somebody else's Function. The Function answers the call
//! and then says here what it answered; the gateway looks the caller up as if it had been asked,
//! tells nobody, and counts per field how the two compare. Of a comparison nothing stays but
//! counts: no number, no value, no row in the audit log, since nothing was delivered.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use utoipa::ToSchema;

use super::Edge;
use super::answer::{Reader, Shape};
use super::auth::{BASIC, BEARER, Refused};
use super::callers::Person;
use super::error::{Code, Problem};
use super::parameters::{Malformed, Parameters, read_body};
use super::peer::Peer;
use super::twilio_signature;
use crate::clock::Clock;
use crate::domain::{LookupStatus, NameId, Organization, Value};
use crate::lookup::Ask;
use crate::telemetry::metrics::{Compared, Refusal};
use crate::view::compare::{FLOW, OTHER, Told, Verdict};

pub const PATH: &str = "/api/studio/compare";

/// Comparisons at a time; beyond it they are left out, so that they cost a known amount of memory.
const AT_ONCE: usize = 64;
/// Times remembered of either side.
const TIMES: usize = 1_000;
/// Longer than any Function may take.
const TOOK_MAX: u32 = 60_000;

/// What was counted since the start, or since an administrator began anew. One per process: it
/// outlives a reload of the configuration.
pub struct Comparisons {
    tracker: TaskTracker,
    turns: Arc<Semaphore>,
    clock: Clock,
    started: Timestamp,
    /// Organizations are those of credentials, so there are only so many.
    tallies: Mutex<BTreeMap<Organization, Tally>>,
}

#[derive(Clone)]
struct Tally {
    since: Timestamp,
    comparisons: u64,
    left_out: u64,
    fields: BTreeMap<&'static str, BTreeMap<Verdict, u64>>,
    statuses: BTreeMap<&'static str, u64>,
    ours: VecDeque<u32>,
    theirs: VecDeque<u32>,
}

/// What one comparison found.
struct Found {
    ours: Told,
    theirs: Told,
    status: LookupStatus,
    /// Milliseconds; none when nobody had to be asked.
    took: Option<u32>,
    their_took: Option<u32>,
}

/// A request as it goes into the background: whatever it borrowed is decided.
struct Asked {
    reader: Reader,
    person: Arc<Person>,
    inputs: Arc<[(NameId, Value)]>,
    deadline: Duration,
    theirs: Told,
    their_took: Option<u32>,
}

/// The answer of the other side where it is an object in a JSON body.
#[derive(Deserialize)]
struct Beside<'a> {
    #[serde(borrow)]
    answer: Option<&'a RawValue>,
}

/// `POST /api/studio/compare`: says 202 at once; the lookup runs behind it.
pub async fn compare(
    State(edge): State<Arc<Edge>>,
    Extension(peer): Extension<Peer>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let key = match edge.grant(peer, &head.headers) {
        Ok(grant) => Some(grant),
        Err(Refused::NoKey) if edge.accounts.any() && head.headers.contains_key(twilio_signature::HEADER) => None,
        Err(refused) => return refused.response(BASIC),
    };
    let server = &edge.config.server;
    let body = match read_body(body, server.studio_body_max, server.header_timeout).await {
        Ok(body) => body,
        Err(error) => return edge.malformed(error.into()),
    };
    let (parameters, read) = Parameters::read(head.uri.query(), &head.headers, &body);
    let reader = match key {
        Some(grant) => Some(grant.into()),
        None => edge.signed_reader(&head, &parameters, &body),
    };
    let Some(reader) = reader else {
        edge.metrics.refused(Refusal::WrongSignature);
        return Refused::WrongKey.response(BASIC);
    };
    if read == Err(Malformed) {
        return edge.malformed(Code::MalformedBody.into());
    }
    let Some(theirs) = their_answer(&parameters, &body) else {
        return edge.malformed(Problem::about(Code::InvalidParameter, "answer"));
    };
    let asked = edge.asked(reader, &parameters, theirs);
    Comparisons::spawn(&edge, asked);
    StatusCode::ACCEPTED.into_response()
}

fn their_answer(parameters: &Parameters<'_>, body: &Bytes) -> Option<Told> {
    if let Some(text) = parameters.get("answer") {
        return Told::to_a_flow(text.as_bytes());
    }
    let beside: Beside<'_> = serde_json::from_slice(body).ok()?;
    Told::to_a_flow(beside.answer?.get().as_bytes())
}

impl Edge {
    fn malformed(&self, problem: Problem) -> Response {
        self.metrics.refused(Refusal::Malformed);
        problem.into_response()
    }

    fn asked(&self, reader: Reader, parameters: &Parameters<'_>, theirs: Told) -> Asked {
        let took = parameters.get("took_ms").and_then(|text| text.trim().parse::<f64>().ok());
        let their_took = took.filter(|ms| (0.0..=f64::from(TOOK_MAX)).contains(ms)).map(|ms| ms as u32);
        Asked {
            person: self.person(&reader, parameters),
            reader,
            inputs: self.inputs(parameters).values,
            deadline: self.deadline(parameters).unwrap_or(self.config.lookup.deadline),
            theirs,
            their_took,
        }
    }

    /// Looks up what would have been answered, and tells nobody.
    async fn found(&self, asked: Asked) -> Found {
        let Asked { reader, person, inputs, deadline, theirs, their_took } = asked;
        let Some(identity) = person.caller.identity.clone() else {
            return Found { ours: Told::default(), theirs, status: LookupStatus::None, took: None, their_took };
        };
        let from = self.clock.instant();
        let Reader { organization, view, purse, .. } = reader;
        let answer = self.engine.answer(&Ask { organization, identity, inputs, deadline, purse }).await;
        let took = u32::try_from(self.clock.since(from).as_millis()).ok();
        let shape = Shape::Studio { caller_id: person.caller.status, trust: person.trust, burst: answer.burst };
        let rendered = self.render(&self.policy, self.policy.find(&view), &answer, shape, None);
        let ours = Told::to_a_flow(&rendered.bytes).unwrap_or_default();
        Found { ours, theirs, status: answer.status(), took, their_took }
    }
}

impl Comparisons {
    pub fn new(tracker: TaskTracker, clock: Clock) -> Arc<Self> {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Arc::new(Self { tracker, turns, clock, started: clock.now(), tallies: Mutex::default() })
    }

    fn spawn(edge: &Arc<Edge>, asked: Asked) {
        let this = edge.comparisons.clone();
        let organization = asked.reader.organization.clone();
        let Ok(turn) = this.turns.clone().try_acquire_owned() else {
            this.tally(&organization, |tally| tally.left_out += 1);
            return;
        };
        let edge = edge.clone();
        edge.comparisons.tracker.clone().spawn(async move {
            let found = edge.found(asked).await;
            this.tally(&organization, |tally| tally.count(&found));
            drop(turn);
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Organization, Tally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tally(&self, organization: &Organization, count: impl FnOnce(&mut Tally)) {
        count(self.lock().entry(organization.clone()).or_insert_with(|| Tally::new(self.started)));
    }

    fn begin_anew(&self, organization: &Organization) {
        self.lock().insert(organization.clone(), Tally::new(self.clock.now()));
    }

    fn of(&self, organization: &Organization) -> Tally {
        self.lock().get(organization).cloned().unwrap_or_else(|| Tally::new(self.started))
    }

    /// Everything that was counted, for the metrics.
    pub fn counts(&self) -> Vec<(Organization, Compared, u64)> {
        let mut all = Vec::new();
        for (organization, tally) in self.lock().iter() {
            let mut add = |what, count| all.push((organization.clone(), what, count));
            for (field, counts) in &tally.fields {
                for (verdict, count) in counts {
                    add(Compared::Field { field, result: word(*verdict) }, *count);
                }
            }
            for (lookup_status, count) in &tally.statuses {
                add(Compared::Lookup { lookup_status }, *count);
            }
            add(Compared::LeftOut, tally.left_out);
        }
        all
    }
}

/// The words of the metric and of the table; theirs is on the left.
fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "same",
        Verdict::OnlyLeft => "only_theirs",
        Verdict::OnlyRight => "only_ours",
        Verdict::Differs => "differs",
        Verdict::BothEmpty => "both_empty",
    }
}

impl Tally {
    fn new(since: Timestamp) -> Self {
        Self {
            since,
            comparisons: 0,
            left_out: 0,
            fields: BTreeMap::new(),
            statuses: BTreeMap::new(),
            ours: VecDeque::new(),
            theirs: VecDeque::new(),
        }
    }

    fn count(&mut self, found: &Found) {
        let Found { ours, theirs, status, took, their_took } = found;
        self.comparisons += 1;
        let others = theirs.get(OTHER).map(|_| OTHER);
        for name in FLOW.into_iter().chain(others) {
            let verdict = theirs.compare(ours, name, None);
            *self.fields.entry(name).or_default().entry(verdict).or_default() += 1;
        }
        *self.statuses.entry(status.as_str()).or_default() += 1;
        for (times, took) in [(&mut self.ours, took), (&mut self.theirs, their_took)] {
            times.extend(took);
            if times.len() > TIMES {
                times.pop_front();
            }
        }
    }
}

/// How the answers of both sides compare, since the start or since somebody began anew.
#[derive(Serialize, ToSchema)]
#[schema(as = Comparisons)]
pub struct Table {
    /// RFC 3339 in UTC.
    #[schema(format = DateTime)]
    since: String,
    #[schema(minimum = 0)]
    comparisons: u64,
    /// Comparisons that were not made because too many were being made.
    #[schema(minimum = 0)]
    left_out: u64,
    /// By the gateway's names of attributes; `other` stands for all that it has no name for.
    #[schema(value_type = BTreeMap<String, Counts>)]
    fields: BTreeMap<&'static str, Counts>,
    /// Comparisons by the status of the gateway's own lookup.
    #[schema(value_type = BTreeMap<String, u64>)]
    lookup_status: BTreeMap<&'static str, u64>,
    took_ms: Took,
}

/// How one field compares.
#[derive(Serialize, ToSchema, Clone, Copy)]
#[schema(as = ComparedAttribute)]
pub struct Counts {
    same: u64,
    only_theirs: u64,
    only_ours: u64,
    differs: u64,
    both_empty: u64,
    /// The part of the callers for whom they had a value and the gateway had none, of those for
    /// whom they had one. Null when they never had one.
    #[schema(required)]
    lacking_percent: Option<f64>,
    /// The part of the callers for whom both said the same, of those for whom either said
    /// anything. Null when neither ever did.
    #[schema(required)]
    same_percent: Option<f64>,
}

/// How long the latest answers took, at most 1,000 of either side.
#[derive(Serialize, ToSchema)]
#[schema(as = ComparedTimes)]
pub struct Took {
    /// Null before the first.
    #[schema(required)]
    ours: Option<Spread>,
    /// Null when their requests do not say `took_ms`.
    #[schema(required)]
    theirs: Option<Spread>,
}

/// Milliseconds.
#[derive(Serialize, ToSchema, Clone, Copy)]
#[schema(as = ComparedSpread)]
pub struct Spread {
    median: u32,
    p95: u32,
}

impl Counts {
    fn of(counts: &BTreeMap<Verdict, u64>) -> Self {
        let [same, only_theirs, only_ours, differs, both_empty] =
            Verdict::ALL.map(|verdict| counts.get(&verdict).copied().unwrap_or(0));
        let percent =
            |part: u64, whole: u64| (whole > 0).then(|| (part as f64 * 1_000.0 / whole as f64).round() / 10.0);
        Self {
            same,
            only_theirs,
            only_ours,
            differs,
            both_empty,
            lacking_percent: percent(only_theirs, same + differs + only_theirs),
            same_percent: percent(same, same + differs + only_theirs + only_ours),
        }
    }
}

impl Spread {
    fn of(times: &VecDeque<u32>) -> Option<Self> {
        let mut times: Vec<u32> = times.iter().copied().collect();
        times.sort_unstable();
        let last = times.len().checked_sub(1)?;
        let at = |share: usize| times.get(last * share / 100).copied().unwrap_or_default();
        Some(Self { median: at(50), p95: at(95) })
    }
}

impl From<&Tally> for Table {
    fn from(tally: &Tally) -> Self {
        Self {
            since: format!("{:.3}", tally.since),
            comparisons: tally.comparisons,
            left_out: tally.left_out,
            fields: tally.fields.iter().map(|(name, counts)| (*name, Counts::of(counts))).collect(),
            lookup_status: tally.statuses.clone(),
            took_ms: Took { ours: Spread::of(&tally.ours), theirs: Spread::of(&tally.theirs) },
        }
    }
}

impl Table {
    /// For people at a terminal.
    fn page(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{} comparisons since {}, {} left out\n", self.comparisons, self.since, self.left_out);
        let width = FLOW.iter().map(|name| name.len()).max().unwrap_or_default();
        let head = "     same  only theirs  only ours  differs  both empty  empty here where you had one";
        let _ = writeln!(out, "{:width$}{head}", "field");
        for (name, counts) in &self.fields {
            let Counts { same, only_theirs, only_ours, differs, both_empty, lacking_percent, .. } = counts;
            let lacking = lacking_percent.map_or("-".into(), |percent| format!("{percent:.1} %"));
            let _ = writeln!(
                out,
                "{name:width$}  {same:>7}  {only_theirs:>11}  {only_ours:>9}  {differs:>7}  {both_empty:>10}  {lacking:>28}"
            );
        }
        let statuses: Vec<_> = self.lookup_status.iter().map(|(word, count)| format!("{word} {count}")).collect();
        let _ = writeln!(out, "\nlookup_status here: {}", statuses.join(", "));
        for (who, spread) in [("here", self.took_ms.ours), ("yours", self.took_ms.theirs)] {
            let _ = match spread {
                Some(Spread { median, p95 }) => {
                    writeln!(out, "took, {who:5}: median {median} ms, 95 % within {p95} ms")
                }
                None => writeln!(out, "took, {who:5}: not known"),
            };
        }
        out
    }
}

/// `GET /api/studio/compare`: the table, as JSON or with `as=text` for people. For admins, of their
/// own organization.
pub async fn table(State(edge): State<Arc<Edge>>, Extension(peer): Extension<Peer>, head: Parts) -> Response {
    let grant = match edge.admin(peer, &head.headers) {
        Ok(grant) => grant,
        Err(refused) => return refused.response(BEARER),
    };
    let (parameters, _) = Parameters::read(head.uri.query(), &head.headers, b"");
    let table = Table::from(&edge.comparisons.of(&grant.organization));
    let (kind, bytes) = match parameters.get("as").map(str::trim) {
        None | Some("json") => ("application/json", serde_json::to_vec(&table).unwrap_or_default()),
        Some("text") => ("text/plain; charset=utf-8", table.page().into_bytes()),
        Some(_) => return edge.malformed(Problem::about(Code::InvalidParameter, "as")),
    };
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], bytes).into_response()
}

/// `DELETE /api/studio/compare`: counting begins anew, for the admin's own organization.
pub async fn begin_anew(
    State(edge): State<Arc<Edge>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    match edge.admin(peer, &headers) {
        Ok(grant) => {
            edge.comparisons.begin_anew(&grant.organization);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(refused) => refused.response(BEARER),
    }
}
