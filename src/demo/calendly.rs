//! The stand-in for Calendly: scheduled events of one organization, by invitee. Ids are addresses; an
//! event counts its invitees and does not name them.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{self, PEOPLE, Person};

/// The one organization.
pub const ORGANIZATION: &str = "https://api.calendly.com/organizations/DEMO";
const COUNT_MAX: usize = 100;

/// An organization's events, each with its invitee's address.
pub struct Calendly {
    events: Vec<(&'static str, Value)>,
}

impl Standin for Calendly {
    fn new(now: Timestamp) -> Self {
        Self { events: PEOPLE.iter().flat_map(|person| events(person, now)).collect() }
    }

    fn answer(&self, request: &Request, _: bool) -> Reply {
        if !request.authorized(Vendor::Calendly) {
            return refusal(401);
        }
        match (request.method.as_str(), request.path().as_str()) {
            ("GET", "/users/me") => Reply::json(
                200,
                &json!({ "resource": { "uri": "https://api.calendly.com/users/DEMO", "name": "Grace Rep",
                    "timezone": "Europe/London", "current_organization": ORGANIZATION } }),
            ),
            ("GET", "/scheduled_events") => self.list(request),
            _ => refusal(404),
        }
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

impl Calendly {
    fn list(&self, request: &Request) -> Reply {
        match request.query("organization") {
            Some(ORGANIZATION) => {}
            Some(_) => return refusal(403),
            None => return refusal(400),
        }
        let time = |name| request.query(name).map(str::parse::<Timestamp>);
        let (Ok(from), Ok(until)) = (time("min_start_time").transpose(), time("max_start_time").transpose()) else {
            return refusal(400);
        };
        let count = request.query("count").map_or(Some(20), |n| n.parse().ok());
        let Some(count) = count.filter(|n| (1..=COUNT_MAX).contains(n)) else { return refusal(400) };
        if !matches!(request.query("sort"), None | Some("start_time:asc" | "start_time:desc")) {
            return refusal(400);
        }
        let is = |event: &Value, name: &str| {
            request.query(name).is_none_or(|wanted| event.get(name).and_then(Value::as_str) == Some(wanted))
        };
        let wanted = |(invitee, event): &&(&'static str, Value)| {
            let asked = request.query("invitee_email").is_none_or(|email| email.eq_ignore_ascii_case(invitee));
            let starts = event.get("start_time").and_then(Value::as_str).and_then(|t| t.parse::<Timestamp>().ok());
            let inside = |starts| from.is_none_or(|from| starts >= from) && until.is_none_or(|until| starts <= until);
            asked && is(event, "status") && starts.is_some_and(inside)
        };
        let mut found: Vec<&Value> = self.events.iter().filter(wanted).map(|(_, event)| event).collect();
        found.sort_by_key(|event| event.get("start_time").and_then(Value::as_str));
        if request.query("sort") == Some("start_time:desc") {
            found.reverse();
        }
        found.truncate(count);
        let pagination = json!({ "count": found.len(), "next_page": Value::Null, "previous_page": Value::Null,
            "next_page_token": Value::Null, "previous_page_token": Value::Null });
        Reply::json(200, &json!({ "collection": found, "pagination": pagination }))
            .with("x-ratelimit-limit", "50")
            .with("x-ratelimit-remaining", "49")
            .with("x-ratelimit-reset", "60")
    }
}

fn events(person: &'static Person, now: Timestamp) -> impl Iterator<Item = (&'static str, Value)> {
    person.appointments.iter().map(move |planned| {
        let starts = world::day(now, planned.starts_in);
        let ends = starts.saturating_add(SignedDuration::from_mins(45)).unwrap_or(starts);
        let event = json!({
            "uri": format!("https://api.calendly.com/scheduled_events/{}", planned.id),
            "name": planned.title,
            "status": if planned.status == "cancelled" { "canceled" } else { "active" },
            "start_time": text(starts),
            "end_time": text(ends),
            "event_type": "https://api.calendly.com/event_types/DEMO",
            "location": { "type": "zoom", "status": "pushed", "join_url": format!("https://zoom.example/j/{}", planned.id) },
            "invitees_counter": { "total": 1, "active": 1, "limit": 1 },
            "created_at": text(world::day(now, -20)),
            "updated_at": text(now),
            "event_memberships": [{ "user": "https://api.calendly.com/users/DEMO" }],
            "event_guests": [],
            "calendar_event": { "kind": "google", "external_id": planned.id },
        });
        (person.email, event)
    })
}

/// `2026-11-02T16:40:10.000000Z`
fn text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string()
}

/// How Calendly words a refusal.
fn refusal(status: u16) -> Reply {
    let (title, message) = match status {
        400 => ("Invalid Argument", "The supplied parameters are invalid."),
        401 => ("Unauthenticated", "The access token is invalid"),
        403 => ("Permission Denied", "You do not have permission to access this resource."),
        404 => ("Resource Not Found", "The server could not find the requested resource."),
        429 => ("Too Many Requests", "You have exceeded the rate limit"),
        _ => ("Internal Server Error", "The server encountered an unexpected condition."),
    };
    Reply::json(status, &json!({ "title": title, "message": message }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
