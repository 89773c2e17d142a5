//! The stand-in for Google Calendar: the events of one calendar, by words and time. A word is looked
//! for in every text of an event.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{self, PEOPLE, Person, STRANGER};

const OWNER: &str = "grace.rep@example.com";

/// The calendar of one agent.
pub struct GoogleCalendar {
    events: Vec<Value>,
    stranger: Value,
}

impl Standin for GoogleCalendar {
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
        if !request.authorized(Vendor::GoogleCalendar) {
            return refusal(401);
        }
        let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), path.as_slice()) {
            ("GET", ["calendars", "primary" | OWNER, "events"]) => self.list(request, stranger),
            _ => refusal(404),
        }
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

impl GoogleCalendar {
    /// By start only where recurring events are taken apart; what was cancelled is left out.
    fn list(&self, request: &Request, stranger: bool) -> Reply {
        let single = request.query("singleEvents") == Some("true");
        if request.query("orderBy") == Some("startTime") && !single {
            return refusal(400);
        }
        let time = |name| request.query(name).map(str::parse::<Timestamp>);
        let (Ok(from), Ok(until)) = (time("timeMin").transpose(), time("timeMax").transpose()) else {
            return refusal(400);
        };
        let Some(most) = request.query("maxResults").map_or(Some(250), |n| n.parse().ok()) else { return refusal(400) };
        let word = request.query("q").unwrap_or("").to_lowercase();
        let wanted = |event: &&Value| {
            let starts = starts(event).and_then(|text| text.parse::<Timestamp>().ok());
            let inside = |starts| from.is_none_or(|from| starts >= from) && until.is_none_or(|until| starts < until);
            let there = event.get("status").and_then(Value::as_str) != Some("cancelled");
            there && starts.is_some_and(inside) && event.to_string().to_lowercase().contains(&word)
        };
        let mut found: Vec<&Value> = self.events.iter().filter(wanted).collect();
        found.sort_by_key(|event| starts(event));
        let items: Vec<&Value> = stranger.then_some(&self.stranger).into_iter().chain(found).take(most).collect();
        let list = json!({
            "kind": "calendar#events",
            "etag": "\"p33g\"",
            "summary": OWNER,
            "timeZone": "Etc/UTC",
            "accessRole": "owner",
            "items": items,
        });
        Reply::json(200, &list)
    }
}

fn starts(event: &Value) -> Option<&str> {
    event.get("start")?.get("dateTime")?.as_str()
}

fn event(person: &Person, id: &str, title: &str, cancelled: bool, starts: Timestamp) -> Value {
    let ends = starts.saturating_add(SignedDuration::from_mins(45)).unwrap_or(starts);
    let text = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "kind": "calendar#event",
        "id": id.to_lowercase().replace('-', ""),
        "status": if cancelled { "cancelled" } else { "confirmed" },
        "htmlLink": format!("https://www.google.com/calendar/event?eid={id}"),
        "summary": title,
        "creator": { "email": OWNER, "self": true },
        "organizer": { "email": OWNER, "self": true },
        "start": { "dateTime": text(starts), "timeZone": "Etc/UTC" },
        "end": { "dateTime": text(ends), "timeZone": "Etc/UTC" },
        "attendees": [
            { "email": OWNER, "self": true, "responseStatus": "accepted" },
            { "email": person.email, "responseStatus": "needsAction" },
        ],
        "hangoutLink": format!("https://meet.google.com/{}", id.to_lowercase()),
        "eventType": "default",
    })
}

/// How Google words a refusal; 403 is both what may not be seen and what was asked too often.
fn refusal(status: u16) -> Reply {
    let (domain, reason, message) = match status {
        400 => ("global", "badRequest", "Bad Request"),
        401 => ("global", "authError", "Invalid Credentials"),
        403 | 429 => ("usageLimits", "rateLimitExceeded", "Rate Limit Exceeded"),
        404 => ("global", "notFound", "Not Found"),
        _ => ("global", "backendError", "Backend Error"),
    };
    let errors = json!([{ "domain": domain, "reason": reason, "message": message }]);
    Reply::json(status, &json!({ "error": { "errors": errors, "code": status, "message": message } }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
