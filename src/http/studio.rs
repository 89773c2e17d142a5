//! `GET|POST /api/studio/context`: a call flow asks who calls. With a right key or signature the
//! answer is always 200 with every attribute in it, whatever the request and the sources do.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::HttpBody;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderValue, Method, Request, header};

use super::Edge;
use super::answer::{Question, Reader, Shape, call_sid};
use super::auth::{BASIC, Refused};
use super::callers::{Call, Person};
use super::error::Code;
use super::parameters::{Parameters, is_form, read_body};
use super::peer::Peer;
use super::twilio_signature::{self, Signed};
use crate::domain::identity::Reason;
use crate::domain::{CallerId, Identity, LookupStatus};
use crate::lookup::Purse;
use crate::telemetry::metrics::{Refusal, Surface};
use crate::view::attributes::without_context;

pub const PATH: &str = "/api/studio/context";

/// Answers a request of the telephony side: the attributes, as JSON.
///
/// # Errors
/// The answer to who has no right to ask.
pub async fn answer<B>(edge: &Edge, peer: Peer, request: Request<B>) -> Result<Bytes, Response>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let started = edge.clock.instant();
    if !matches!(*request.method(), Method::GET | Method::POST) {
        let mut response = Code::MethodNotAllowed.into_response();
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
        return Err(response);
    }
    let (head, body) = request.into_parts();
    let reader = edge.grant(peer, &head.headers).map(Reader::from);
    let has_signature = edge.accounts.any() && head.headers.contains_key(twilio_signature::HEADER);
    match reader {
        Err(Refused::NoKey) if has_signature => {}
        Err(refused) => return Err(refused.response(BASIC)),
        Ok(_) => {}
    }
    // A body that is missing, too large or too slow says nothing; the flow is answered.
    let patience = edge.config.server.header_timeout;
    let body = match body.is_end_stream() {
        true => Bytes::new(),
        false => read_body(body, edge.config.server.studio_body_max, patience).await.unwrap_or_default(),
    };
    let (parameters, _) = Parameters::read(head.uri.query(), &head.headers, &body);
    let reader = match reader {
        Ok(reader) => reader,
        Err(_) => match edge.signed_reader(&head, &parameters, &body) {
            Some(reader) => reader,
            None => {
                edge.metrics.refused(Refusal::WrongSignature);
                return Err(Refused::WrongKey.response(BASIC));
            }
        },
    };
    let organization = reader.organization.clone();
    // Whatever fails in here, the flow goes on with an unknown caller.
    let attributes = AssertUnwindSafe(edge.attributes(reader, &head, &parameters)).catch_unwind().await;
    let (bytes, status) = attributes.unwrap_or_else(|_| edge.failed("internal", None));
    edge.answered(&organization, Surface::Studio, status, started);
    Ok(bytes)
}

/// Flows that were warned of; a bounded number of them.
#[derive(Default, Clone)]
pub struct EmptyWidgets(Arc<Mutex<HashSet<Arc<str>>>>);

impl EmptyWidgets {
    fn first_time(&self, flow: &Arc<str>) -> bool {
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        flows.len() < 1_000 && flows.insert(flow.clone())
    }
}

impl Edge {
    pub(super) fn signed_reader(&self, head: &Parts, parameters: &Parameters<'_>, body: &[u8]) -> Option<Reader> {
        let proof = self.accounts.verify(&Signed {
            signature: head.headers.get(twilio_signature::HEADER)?.as_bytes(),
            path_and_query: head.uri.path_and_query().map_or("/", |p| p.as_str()),
            body,
            is_form: is_form(&head.headers),
            account_sid: parameters.get("AccountSid"),
        })?;
        Some(Reader {
            id: format!("twilio:{}", proof.account_sid).into(),
            organization: proof.organization,
            view: self.config.studio.view.clone(),
            purse: Purse::Verified,
        })
    }

    async fn attributes(&self, reader: Reader, head: &Parts, parameters: &Parameters<'_>) -> (Bytes, LookupStatus) {
        let person = self.person(&reader, parameters);
        let Person { caller, trust } = &*person;
        let Some(identity) = caller.identity.clone() else {
            self.warn_of_empty_widget(parameters, caller);
            let status = caller.status.as_str();
            let bytes = without_context(status, LookupStatus::None, status, None, self.clock.now());
            return (bytes, LookupStatus::None);
        };
        let question = Question {
            headers: &head.headers,
            inputs: self.inputs(parameters).values,
            deadline: self.deadline(parameters).unwrap_or(self.config.lookup.deadline),
            call_sid: call_sid(parameters.get("CallSid")),
        };
        let answer = self.ask(&reader, identity, &question).await;
        let shape = Shape::Studio { caller_id: caller.status, trust: *trust, burst: answer.burst };
        match self.deliver(&reader, &answer, shape, Surface::Studio, question.call_sid, false).await {
            Ok(rendered) => (rendered.bytes.clone(), answer.status()),
            // In strict mode nothing is delivered that could not be noted.
            Err(_) => match answer.identity() {
                Identity::Phone(phone) => self.failed("unreachable", Some(phone.e164())),
                Identity::Email(_) | Identity::CustomerId(_) => self.failed("unreachable", None),
            },
        }
    }

    /// For calls that we make the person is the one who is called.
    pub(super) fn person(&self, reader: &Reader, parameters: &Parameters<'_>) -> Arc<Person> {
        let outbound =
            parameters.get("Direction").is_some_and(|d| d.trim().to_ascii_lowercase().starts_with("outbound"));
        self.callers.judge(&Call {
            organization: &reader.organization,
            outbound,
            from: parameters.get("From"),
            to: parameters.get("To"),
            forwarded_from: parameters.get("ForwardedFrom"),
            stir: parameters.get("StirVerstat"),
        })
    }

    fn failed(&self, reason: &str, phone_number: Option<&str>) -> (Bytes, LookupStatus) {
        let bytes = without_context("ok", LookupStatus::Failed, reason, phone_number, self.clock.now());
        (bytes, LookupStatus::Failed)
    }

    /// A flow that leaves `From` empty is a mistake in the flow: said once for each flow.
    fn warn_of_empty_widget(&self, parameters: &Parameters<'_>, caller: &CallerId) {
        if !matches!(caller.reason, Reason::Empty | Reason::NotRendered) {
            return;
        }
        let flow: Arc<str> = call_sid(parameters.get("FlowSid")).unwrap_or_else(|| "unknown".into());
        if self.empty_widgets.first_time(&flow) {
            let (reason, variable) = (caller.reason.as_str(), caller.variable.as_deref());
            tracing::warn!(flow = &*flow, reason, variable, "the flow sends no caller in From");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_warned_of_once_and_flows_without_end_are_not_remembered() {
        let warned = EmptyWidgets::default();
        let first_times = (0..2_000).filter(|n| warned.first_time(&format!("FW{n}").into())).count();
        assert_eq!(first_times, 1_000);
        assert!(!warned.first_time(&"FW7".into()));
    }
}
