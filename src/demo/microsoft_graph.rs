//! The stand-in for Microsoft Graph: the calendar view of one mailbox. Times have no offset, their zone
//! stands beside them; events cannot be asked for by attendee.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{self, PEOPLE, Person, STRANGER};

/// The one mailbox.
pub const MAILBOX: &str = "grace.rep@example.com";
const UTC: &str = "outlook.timezone=\"UTC\"";

/// The calendar of one agent.
pub struct MicrosoftGraph {
    events: Vec<Value>,
    stranger: Value,
}

impl Standin for MicrosoftGraph {
    fn new(now: Timestamp) -> Self {
        let of = |person: &'static Person| {
            person.appointments.iter().map(move |planned| {
                event(
                    person,
                    planned.id,
                    planned.title,
                    planned.status == "cancelled",
                    world::day(now, planned.starts_in),
                )
            })
        };
        let wrong = world::day(now, 1);
        Self {
            events: PEOPLE.iter().flat_map(of).collect(),
            stranger: event(&STRANGER, "A-99", "About somebody else", false, wrong),
        }
    }

    fn answer(&self, request: &Request, stranger: bool) -> Reply {
        if !request.authorized(Vendor::MicrosoftGraph) {
            return refusal(401);
        }
        let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), path.as_slice()) {
            ("GET", ["users", MAILBOX, "calendarView"] | ["me", "calendarView"]) => self.view(request, stranger),
            _ => refusal(404),
        }
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

impl MicrosoftGraph {
    /// Both ends are required. Without the header times come in the mailbox's own zone, which nobody
    /// here reads: that is refused.
    fn view(&self, request: &Request, stranger: bool) -> Reply {
        let time = |name| request.query(name).and_then(|text| text.parse::<Timestamp>().ok());
        let (Some(from), Some(until)) = (time("startDateTime"), time("endDateTime")) else { return refusal(400) };
        let Some(top) = request.query("$top").map_or(Some(10), |n| n.parse().ok()).filter(|n| (1..=1000).contains(n))
        else {
            return refusal(400);
        };
        if request.header("prefer") != Some(UTC) || request.query("$filter").is_some() {
            return refusal(400);
        }
        let starts = |event: &Value| {
            let text = event.get("start")?.get("dateTime")?.as_str()?;
            format!("{text}Z").parse::<Timestamp>().ok()
        };
        let inside = |event: &&Value| starts(event).is_some_and(|starts| starts >= from && starts <= until);
        let mut found: Vec<&Value> = self.events.iter().filter(inside).collect();
        found.sort_by_key(|event| starts(event));
        let all = stranger.then_some(&self.stranger).into_iter().chain(found);
        let value: Vec<Value> = all.take(top).map(|event| selected(event, request.query("$select"))).collect();
        let context = "https://graph.microsoft.com/v1.0/$metadata#users('x')/calendarView";
        Reply::json(200, &json!({ "@odata.context": context, "value": value }))
    }
}

/// The members asked for, and those that always come.
fn selected(event: &Value, select: Option<&str>) -> Value {
    let (Some(select), Some(members)) = (select, event.as_object()) else { return event.clone() };
    let wanted = |name: &String| select.split(',').any(|s| s == name) || name == "id" || name.starts_with('@');
    let kept: Map<String, Value> =
        members.iter().filter(|(name, _)| wanted(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    Value::Object(kept)
}

fn event(person: &Person, id: &str, title: &str, cancelled: bool, starts: Timestamp) -> Value {
    let ends = starts.saturating_add(SignedDuration::from_mins(45)).unwrap_or(starts);
    let text = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S.0000000").to_string();
    let attendee =
        |name: &str, address: &str| json!({ "type": "required", "emailAddress": { "name": name, "address": address } });
    json!({
        "@odata.etag": "W/\"ZlnW4RIAV06KYYwlrfNZvQAALfZeRQ==\"",
        "id": format!("AAMkDemo{id}="),
        "subject": title,
        "isCancelled": cancelled,
        "webLink": format!("https://outlook.office365.com/owa/?itemid={id}"),
        "onlineMeeting": { "joinUrl": format!("https://teams.microsoft.com/l/meetup-join/{id}") },
        "start": { "dateTime": text(starts), "timeZone": "UTC" },
        "end": { "dateTime": text(ends), "timeZone": "UTC" },
        "attendees": [attendee("Grace Rep", MAILBOX), attendee(&person.name(), person.email)],
        "bodyPreview": "Please bring the papers.",
    })
}

/// How Graph words a refusal.
fn refusal(status: u16) -> Reply {
    let (code, message) = match status {
        400 => ("ErrorInvalidParameter", "The value of the parameter is invalid."),
        401 => ("InvalidAuthenticationToken", "Access token has expired or is not yet valid."),
        403 => ("ErrorAccessDenied", "Access is denied. Check credentials and try again."),
        404 => ("ErrorItemNotFound", "The specified object was not found in the store."),
        429 => ("TooManyRequests", "Too many requests"),
        _ => ("serviceNotAvailable", "The service is unavailable."),
    };
    let id = "4437f388-b311-4df8-8ff6-2a60dbd399a3";
    let inner = json!({ "date": "2026-11-20T09:24:01", "request-id": id, "client-request-id": id });
    Reply::json(status, &json!({ "error": { "code": code, "message": message, "innerError": inner } }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
