//! `GET|POST|DELETE /api/context`: an agent's desktop asks about a person, by phone, e-mail or
//! customer id. Malformed requests are refused with a problem.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};

use super::Edge;
use super::answer::{Invalid, Question, Reader, Shape, call_sid};
use super::auth::{BEARER, Refused};
use super::error::{Code, Problem};
use super::parameters::{BodyError, Malformed, Parameters, read_body};
use super::peer::Peer;
use crate::domain::{CallerIdStatus, CustomerId, Email, Identity, LookupStatus, Match, judge};
use crate::lookup::{Answer, CacheState};
use crate::store::audit::Delivery;
use crate::telemetry::metrics::{Refusal, Surface};

const SERVER_TIMING: &str = "server-timing";

/// `GET|POST /api/context`
pub async fn answer(
    State(edge): State<Arc<Edge>>,
    Extension(peer): Extension<Peer>,
    request: Request<Body>,
) -> Response {
    edge.agent(peer, request, Edge::context).await
}

/// `DELETE /api/context`: drops what is cached of a person. For admins.
pub async fn forget(
    State(edge): State<Arc<Edge>>,
    Extension(peer): Extension<Peer>,
    request: Request<Body>,
) -> Response {
    edge.agent(peer, request, Edge::forget).await
}

/// An authenticated reader of the agent API.
pub struct Agent {
    pub reader: Reader,
    pub admin: bool,
}

/// Whom a request is about. Without an identity it says why.
struct Person {
    caller_id: CallerIdStatus,
    identity: Option<Identity>,
}

impl Edge {
    pub(super) async fn agent(
        &self,
        peer: Peer,
        request: Request<Body>,
        then: impl AsyncFnOnce(&Self, Agent, &HeaderMap, &Parameters<'_>) -> Result<Response, Problem>,
    ) -> Response {
        let (head, body) = request.into_parts();
        let agent = match self.reader(peer, &head.headers) {
            Ok(agent) => agent,
            Err(refused) => return refused.response(BEARER),
        };
        let server = &self.config.server;
        let outcome = match read_body(body, server.body_max, server.header_timeout).await {
            Err(error) => Err(error.into()),
            Ok(body) => match Parameters::read(head.uri.query(), &head.headers, &body) {
                (_, Err(Malformed)) => Err(Code::MalformedBody.into()),
                (parameters, Ok(())) => then(self, agent, &head.headers, &parameters).await,
            },
        };
        outcome.unwrap_or_else(|problem| {
            self.metrics.refused(match problem.code {
                Code::Forbidden => Refusal::Forbidden,
                _ => Refusal::Malformed,
            });
            problem.into_response()
        })
    }

    fn reader(&self, peer: Peer, headers: &HeaderMap) -> Result<Agent, Refused> {
        let grant = self.grant(peer, headers)?;
        let admin = self.is_admin(&grant);
        Ok(Agent { reader: grant.into(), admin })
    }

    async fn context(
        &self,
        agent: Agent,
        headers: &HeaderMap,
        parameters: &Parameters<'_>,
    ) -> Result<Response, Problem> {
        let started = self.clock.instant();
        let Agent { reader, admin } = agent;
        let explain = match parameters.get("explain").map(str::trim) {
            Some("true") => true,
            Some("false") | None => false,
            Some(_) => return Err(Problem::about(Code::InvalidParameter, "explain")),
        };
        if explain && !admin {
            return Err(Code::Forbidden.into());
        }
        let inputs = self.inputs(parameters);
        if let Some(invalid) = inputs.invalid {
            return Err(invalid.into());
        }
        let deadline = self.deadline(parameters)?;
        let question =
            Question { headers, inputs: inputs.values, deadline, call_sid: call_sid(parameters.get("call_sid")) };
        let person = self.asked_about(&reader, parameters)?;
        let Some(identity) = person.identity else {
            self.answered(&reader.organization, Surface::Context, LookupStatus::None, started);
            return Ok(json(nobody(person.caller_id, self.clock.now())));
        };
        let answer = self.ask(&reader, identity, &question).await;
        let shape = Shape::Context { caller_id: person.caller_id };
        let rendered = self.deliver(&reader, &answer, shape, Surface::Context, question.call_sid, explain).await;
        let rendered = rendered.map_err(|_| Problem::from(Code::StoreUnavailable))?;
        self.answered(&reader.organization, Surface::Context, answer.status(), started);
        let mut response = json(rendered.bytes.clone());
        if admin && let Some(timing) = self.server_timing(&answer, started) {
            response.headers_mut().insert(SERVER_TIMING, timing);
        }
        Ok(response)
    }

    async fn forget(&self, agent: Agent, _: &HeaderMap, parameters: &Parameters<'_>) -> Result<Response, Problem> {
        let Agent { reader, admin } = agent;
        if !admin {
            return Err(Code::Forbidden.into());
        }
        let person = self.asked_about(&reader, parameters)?;
        let Some(identity) = person.identity else { return Ok(json(Bytes::from_static(b"{\"dropped\":0}"))) };
        let dropped = self.engine.forget(&reader.organization, &identity).await;
        self.callers.forget();
        let delivery = Delivery {
            organization: reader.organization,
            reader: reader.id,
            view: reader.view,
            surface: "forget",
            identity: Some(identity),
            call_sid: call_sid(parameters.get("call_sid")),
            sources: Arc::default(),
            fields: Arc::default(),
            lookup_status: LookupStatus::None.as_str(),
        };
        self.note(delivery).await.map_err(|_| Problem::from(Code::StoreUnavailable))?;
        Ok(json(format!("{{\"dropped\":{dropped}}}").into()))
    }

    /// Exactly one of phone, e-mail and customer id. A phone is judged like a caller id: one that
    /// is withheld or no number is an answer, not a mistake of the desktop.
    fn asked_about(&self, reader: &Reader, parameters: &Parameters<'_>) -> Result<Person, Problem> {
        let given = ["phone", "email", "customer_id"].map(|name| parameters.get(name).map(|text| (name, text)));
        let mut given = given.into_iter().flatten();
        let (name, text) = given.next().ok_or(Problem::from(Code::MissingIdentity))?;
        if given.next().is_some() {
            return Err(Code::SeveralIdentities.into());
        }
        if name == "phone" {
            let caller = judge(text, None, None, self.callers.rules(&reader.organization));
            return Ok(Person { caller_id: caller.status, identity: caller.identity });
        }
        let identity = match name {
            "email" => Email::parse(text).map(Identity::Email),
            _ => customer_id(text).map(Identity::CustomerId),
        };
        let identity = identity.ok_or_else(|| Problem::about(Code::InvalidParameter, name))?;
        Ok(Person { caller_id: CallerIdStatus::Ok, identity: Some(identity) })
    }

    /// What took how long, for admins: the whole, the cache's word, each source that was waited for.
    fn server_timing(&self, answer: &Answer, started: tokio::time::Instant) -> Option<HeaderValue> {
        let total = self.clock.since(started).as_secs_f64() * 1_000.0;
        let mut text = format!("total;dur={total:.1}, cache;desc={}", answer.cache.as_str());
        let waited = matches!(answer.cache, CacheState::Miss | CacheState::Joined);
        for report in answer.context().sources.iter().filter(|_| waited) {
            let name = &self.engine.plan().source(report.source).name;
            let is_token = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if let (Some(took), true) = (report.took, is_token) {
                let _ = write!(text, ", {name};dur={:.1}", took.as_secs_f64() * 1_000.0);
            }
        }
        HeaderValue::try_from(text).ok()
    }
}

fn customer_id(text: &str) -> Option<CustomerId> {
    let text = text.trim();
    let fits = (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then(|| CustomerId(text.into()))
}

/// The answer about a caller who cannot be looked up.
pub(super) fn nobody(caller_id: CallerIdStatus, now: jiff::Timestamp) -> Bytes {
    let verdict = if caller_id == CallerIdStatus::Withheld { Match::Withheld } else { Match::None };
    let page = serde_json::json!({
        "identity": { "status": caller_id.as_str() },
        "lookup_status": LookupStatus::None.as_str(),
        "lookup_timestamp": format!("{now:.3}"),
        "match": verdict.as_str(),
        "candidates": [], "fields": {}, "missing": {}, "sources": {},
    });
    page.to_string().into()
}

pub(super) fn json(bytes: Bytes) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response()
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Code::BodyTooLarge.into(),
            BodyError::TooSlow => Code::RequestTimeout.into(),
            BodyError::Broken => Code::MalformedBody.into(),
        }
    }
}

impl From<Invalid> for Problem {
    fn from(Invalid(name): Invalid) -> Self {
        Self::about(Code::InvalidParameter, &name)
    }
}
