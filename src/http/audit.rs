//! `GET /api/audit`: who was shown what of whom. For admins, of their own organization.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::Edge;
use super::auth::BEARER;
use super::error::{Code, Problem};
use super::parameters::Parameters;
use super::peer::Peer;
use crate::domain::{CustomerId, Email, Identity, Organization, judge};
use crate::store::audit::{Entry, Filter};
use crate::view::schema::lookup_status;

pub const LIMIT_MAX: usize = 1_000;

/// `GET /api/audit?phone=&email=&customer_id=&call_sid=&reader=&since=&until=&limit=&after=`
pub async fn search(
    State(edge): State<Arc<Edge>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let grant = match edge.admin(peer, &headers) {
        Ok(grant) => grant,
        Err(refused) => return refused.response(BEARER),
    };
    let (parameters, _) = Parameters::read(query.as_deref(), &headers, b"");
    match edge.audit_page(&grant.organization, &parameters).await {
        Ok(page) => page,
        Err(problem) => problem.into_response(),
    }
}

/// Deliveries, newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditPage)]
pub struct Page<'a> {
    entries: Vec<Row<'a>>,
    /// Only there when the page is full: the `after` of the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64)]
    after: Option<i64>,
}

/// Who was shown what of whom: equal deliveries within 100 milliseconds are one row.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct Row<'a> {
    /// Its place in the log.
    number: i64,
    /// RFC 3339 in UTC.
    #[schema(value_type = String, format = DateTime)]
    first_at: Timestamp,
    /// RFC 3339 in UTC.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
    /// How many deliveries the row stands for.
    #[schema(minimum = 1)]
    count: i64,
    /// What was asked: `studio`, `context`, `meetings`, `lookup` (the command line) or `forget`; `reload` where a
    /// new configuration shows more, or asks elsewhere.
    surface: &'a str,
    /// The public id of the key, or `twilio:<AccountSid>` for requests that Twilio signed;
    /// `configuration` for a reload.
    reader: &'a str,
    view: &'a str,
    /// `phone`, `email` or `customer_id`; `none` for a reload.
    caller_kind: &'a str,
    /// The number in E.164, the address or the id.
    caller: &'a str,
    /// Null when the request named no call; of a meeting its session.
    #[schema(required)]
    call_sid: Option<&'a str>,
    /// Whose data was shown.
    sources: &'a [String],
    /// Names of the fields shown, never their values.
    fields: &'a [String],
    #[schema(schema_with = lookup_status)]
    lookup_status: &'a str,
}

impl<'a> From<&'a Entry> for Row<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            number: entry.number,
            first_at: entry.first_at,
            last_at: entry.last_at,
            count: entry.count,
            surface: &entry.surface,
            reader: &entry.reader,
            view: &entry.view,
            caller_kind: &entry.caller_kind,
            caller: &entry.caller.0,
            call_sid: entry.call_sid.as_deref(),
            sources: &entry.sources,
            fields: &entry.fields,
            lookup_status: &entry.lookup_status,
        }
    }
}

impl Edge {
    async fn audit_page(&self, organization: &Organization, parameters: &Parameters<'_>) -> Result<Response, Problem> {
        let filter = self.filter(organization, parameters)?;
        let limit = if filter.limit == 0 { 100 } else { filter.limit };
        let entries = self.audit.search(organization, &filter).await.map_err(|_| Code::StoreUnavailable)?;
        let after = entries.last().filter(|_| entries.len() >= limit).map(|e| e.number);
        let page = Page { entries: entries.iter().map(Row::from).collect(), after };
        let bytes = serde_json::to_vec(&page).map_err(|_| Code::Internal)?;
        Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response())
    }

    fn filter(&self, organization: &Organization, parameters: &Parameters<'_>) -> Result<Filter, Problem> {
        let bad = |name: &str| Problem::about(Code::InvalidParameter, name);
        let time = |name: &str| parameters.get(name).map(|t| t.trim().parse().map_err(|_| bad(name))).transpose();
        let mut identity = None;
        if let Some(phone) = parameters.get("phone") {
            let caller = judge(phone, None, None, self.callers.rules(organization));
            identity = Some(caller.identity.ok_or_else(|| bad("phone"))?);
        }
        if let Some(email) = parameters.get("email") {
            identity = Some(Identity::Email(Email::parse(email).ok_or_else(|| bad("email"))?));
        }
        if let Some(id) = parameters.get("customer_id") {
            identity = Some(Identity::CustomerId(CustomerId(id.trim().into())));
        }
        let limit = parameters.get("limit").map(|t| t.trim().parse().map_err(|_| bad("limit"))).transpose()?;
        if limit.is_some_and(|limit| !(1..=LIMIT_MAX).contains(&limit)) {
            return Err(bad("limit"));
        }
        Ok(Filter {
            identity,
            call_sid: parameters.get("call_sid").map(str::to_owned),
            reader: parameters.get("reader").map(str::to_owned),
            since: time("since")?,
            until: time("until")?,
            limit: limit.unwrap_or_default(),
            after: parameters.get("after").map(|t| t.trim().parse().map_err(|_| bad("after"))).transpose()?,
        })
    }
}
