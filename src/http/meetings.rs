//! `POST /api/meetings/context`: what is known of everybody who takes part in a meeting, by their
//! e-mails. People are looked up together, under one deadline, each like anybody whom an agent's
//! desktop asks about: the same cache, view, budgets and audit log. How long ago something was is
//! said anew in every answer.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{HeaderMap, Request};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::Edge;
use super::answer::{Question, Reader, Shape, call_sid};
use super::context::{Agent, json, nobody};
use super::error::{Code, Problem};
use super::parameters::Parameters;
use super::peer::Peer;
use crate::domain::{Identity, LookupStatus, NameId, Organization};
use crate::lookup::Answer;
use crate::meetings::{self, LastInteraction, Participant, Point};
use crate::telemetry::metrics::Surface;
use crate::view::schema;

pub const PATH: &str = "/api/meetings/context";

/// The parameter that names them.
pub const PARTICIPANTS: &str = "participants";

/// `POST /api/meetings/context`
pub async fn answer(
    State(edge): State<Arc<Edge>>,
    Extension(peer): Extension<Peer>,
    request: Request<Body>,
) -> Response {
    edge.agent(peer, request, Edge::meeting).await
}

/// Everybody who takes part, in the order of the question.
#[derive(Serialize, ToSchema)]
#[schema(as = Meeting)]
pub struct Page {
    participants: Vec<Told>,
}

/// Somebody who takes part, once, however often the question names them.
#[derive(Serialize, ToSchema)]
#[schema(as = Participant)]
pub struct Told {
    /// Where in the question they stand, from 0.
    positions: Vec<usize>,
    /// The address as it was looked up; not there when what was given is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = Email)]
    email: Option<Arc<str>>,
    /// Not there when it is not known; `context.missing` says why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = LastInteraction)]
    last_interaction: Option<LastInteraction>,
    /// What is worth saying, out of what the key's view shows.
    talking_points: Vec<Point>,
    /// As `/api/context` answers. Only with `identity.status` `ok` was anybody looked up: `internal`
    /// is one of our own people, `missing` and `invalid` are no address.
    #[serde(serialize_with = "as_it_is")]
    #[schema(schema_with = schema::person)]
    context: Bytes,
}

/// JSON of our own making, in its place.
fn as_it_is<S: Serializer>(bytes: &Bytes, s: S) -> Result<S::Ok, S::Error> {
    serde_json::from_slice::<&RawValue>(bytes).map_err(serde::ser::Error::custom)?.serialize(s)
}

impl Edge {
    async fn meeting(
        &self,
        agent: Agent,
        headers: &HeaderMap,
        parameters: &Parameters<'_>,
    ) -> Result<Response, Problem> {
        let started = self.clock.instant();
        let reader = agent.reader;
        let given: Vec<_> = parameters.all(PARTICIPANTS).collect();
        if given.is_empty() {
            return Err(Problem::about(Code::InvalidParameter, PARTICIPANTS));
        }
        if given.len() > self.config.meetings.participants_max {
            return Err(Problem::about(Code::TooManyParticipants, PARTICIPANTS));
        }
        let inputs = self.inputs(parameters);
        if let Some(invalid) = inputs.invalid {
            return Err(invalid.into());
        }
        let question = Question {
            headers,
            inputs: inputs.values,
            deadline: self.deadline(parameters)?,
            call_sid: call_sid(parameters.get("session_id")),
        };
        let participants = meetings::participants(&given, self.own_domains(&reader.organization));
        let guests = participants.iter().filter_map(Participant::guest).cloned().map(Identity::Email);
        let mut answers = self.ask_together(&reader, guests, &question).await.into_iter();
        let told = participants.into_iter().map(|one| {
            let answer = one.guest().and_then(|_| answers.next());
            self.told(&reader, one, answer, &question, started)
        });
        let page = Page { participants: try_join_all(told).await? };
        Ok(json(serde_json::to_vec(&page).map_err(|_| Code::Internal)?.into()))
    }

    fn own_domains(&self, organization: &Organization) -> &[Arc<str>] {
        let own = self.config.organizations.get(organization).and_then(|rules| rules.own_domains.as_deref());
        own.unwrap_or(&self.config.meetings.own_domains)
    }

    async fn told(
        &self,
        reader: &Reader,
        participant: Participant,
        answer: Option<Answer>,
        question: &Question<'_>,
        started: Instant,
    ) -> Result<Told, Problem> {
        let address = participant.email.as_ref().map(|email| Arc::from(email.as_str()));
        let Some(answer) = answer else {
            self.answered(&reader.organization, Surface::Meetings, LookupStatus::None, started);
            return Ok(Told {
                positions: participant.positions,
                email: address,
                last_interaction: None,
                talking_points: Vec::new(),
                context: nobody(participant.status, self.clock.now()),
            });
        };
        let shape = Shape::Context { caller_id: participant.status };
        let (surface, session) = (Surface::Meetings, question.call_sid.clone());
        let rendered = self.deliver(reader, &answer, shape, surface, session, false).await;
        let rendered = rendered.map_err(|_| Problem::from(Code::StoreUnavailable))?;
        self.answered(&reader.organization, surface, answer.status(), started);
        let lens = self.policy.lens(self.policy.find(&reader.view), shape.ceiling());
        let shown = |name: NameId| lens.value(name, answer.context().value(name)?);
        let now = self.clock.now();
        Ok(Told {
            positions: participant.positions,
            email: address,
            last_interaction: LastInteraction::of(shown, now),
            talking_points: Point::all(shown, now),
            context: rendered.bytes.clone(),
        })
    }
}
