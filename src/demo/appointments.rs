//! The stand-in for an appointment API: `POST /appointments` with a customer, statuses and a range of
//! time, answered with `data`.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin, plain_refusal};
use super::world::{self, PEOPLE};

#[derive(Deserialize)]
struct Search {
    customer_id: String,
    status: Vec<String>,
    date_range: Range,
}

#[derive(Deserialize)]
struct Range {
    start: Timestamp,
    end: Timestamp,
}

pub struct Appointments;

impl Standin for Appointments {
    fn new(_: Timestamp) -> Self {
        Self
    }

    /// With `stranger`, an appointment of somebody else comes first.
    fn answer(&self, request: &Request, stranger: bool) -> Reply {
        if !request.authorized(Vendor::Appointments) {
            return plain_refusal(401);
        }
        if request.method != "POST" || request.path() != "/appointments" {
            return plain_refusal(404);
        }
        let Ok(search) = serde_json::from_slice::<Search>(&request.body) else { return plain_refusal(400) };
        let mut data = Vec::new();
        if stranger {
            data.push(appointment("C-9999", "A-9999", "Somebody else's visit", "confirmed", world::day(request.at, 1)));
        }
        let person = PEOPLE.iter().filter(|p| !p.customer_id.is_empty() && p.customer_id == search.customer_id);
        for planned in person.flat_map(|p| p.appointments) {
            let starts_at = noon(world::day(request.at, planned.starts_in));
            let wanted = search.status.iter().any(|s| s == planned.status);
            if wanted && (search.date_range.start..=search.date_range.end).contains(&starts_at) {
                data.push(appointment(&search.customer_id, planned.id, planned.title, planned.status, starts_at));
            }
        }
        Reply::json(200, &json!({ "data": data }))
    }
}

/// At noon of that day, whenever somebody asks.
fn noon(day: Timestamp) -> Timestamp {
    let noon = day.to_zoned(TimeZone::UTC).date().at(12, 0, 0, 0).to_zoned(TimeZone::UTC);
    noon.map_or(day, |noon| noon.timestamp())
}

fn appointment(customer_id: &str, id: &str, title: &str, status: &str, starts_at: Timestamp) -> Value {
    let text = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let ends_at = starts_at.saturating_add(SignedDuration::from_mins(45)).unwrap_or(starts_at);
    json!({
        "id": id,
        "customer_id": customer_id,
        "title": title,
        "status": status,
        "starts_at": text(starts_at),
        "ends_at": text(ends_at),
    })
}
