//! The stand-in for Square: customers by search, their bookings by time. Numbers are kept as E.164.

use jiff::Timestamp;
use rlibphonenumber::PhoneNumberFormat;
use serde_json::{Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{self, PEOPLE, Person, STRANGER};

const LIMIT_MAX: u64 = 100;

/// A seller's directory and calendar.
pub struct SquareBookings {
    customers: Vec<Value>,
    bookings: Vec<Value>,
    stranger: Value,
}

impl Standin for SquareBookings {
    fn new(now: Timestamp) -> Self {
        let people = || PEOPLE.iter().filter(|p| p.numbers(Vendor::SquareBookings).kept());
        Self {
            customers: people().map(|person| customer(person, now)).collect(),
            bookings: people().flat_map(|person| bookings(person, now)).collect(),
            stranger: customer(&STRANGER, now),
        }
    }

    fn answer(&self, request: &Request, stranger: bool) -> Reply {
        if !request.authorized(Vendor::SquareBookings) {
            return refusal(401);
        }
        match (request.method.as_str(), request.path().as_str()) {
            ("POST", "/v2/customers/search") => self.search(request, stranger),
            ("GET", "/v2/bookings") => self.list(request),
            _ => refusal(404),
        }
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

impl SquareBookings {
    /// All filters must fit; where nobody does, the answer is an empty object.
    fn search(&self, request: &Request, stranger: bool) -> Reply {
        let Some(body) = request.json().filter(|_| request.is_json()) else { return refusal(400) };
        let limit = body.get("limit").map_or(Some(LIMIT_MAX), Value::as_u64);
        let Some(limit) = limit.filter(|n| (1..=LIMIT_MAX).contains(n)) else { return refusal(400) };
        let filters = body.pointer("/query/filter").and_then(Value::as_object);
        let Some(filters) = filters.filter(|filters| filters.keys().all(|name| is_filter(name))) else {
            return refusal(400);
        };
        let fits = |customer: &&Value| {
            filters.iter().all(|(name, filter)| {
                let text = customer.get(name).and_then(Value::as_str).unwrap_or("").to_lowercase();
                let wanted = |kind: &str| filter.get(kind).and_then(Value::as_str).map(str::to_lowercase);
                wanted("exact").is_none_or(|exact| text == exact)
                    && wanted("fuzzy").is_none_or(|part| text.contains(&part))
            })
        };
        let found = stranger.then_some(&self.stranger).into_iter().chain(self.customers.iter().filter(fits));
        let customers: Vec<&Value> = found.take(usize::try_from(limit).unwrap_or(1)).collect();
        if customers.is_empty() {
            Reply::json(200, &json!({}))
        } else {
            Reply::json(200, &json!({ "customers": customers }))
        }
    }

    /// No more than 31 days at once.
    fn list(&self, request: &Request) -> Reply {
        let time = |name| request.query(name).map(str::parse::<Timestamp>);
        let (Ok(from), Ok(until)) = (time("start_at_min").transpose(), time("start_at_max").transpose()) else {
            return refusal(400);
        };
        let from = from.unwrap_or(request.at);
        let until = until.unwrap_or_else(|| world::day(from, 31));
        let limit = request.query("limit").map_or(Some(LIMIT_MAX), |n| n.parse().ok());
        let Some(limit) = limit.filter(|n| (1..=LIMIT_MAX).contains(n) && until <= world::day(from, 31)) else {
            return refusal(400);
        };
        let wanted = |booking: &&Value| {
            let text = |name: &str| booking.get(name).and_then(Value::as_str);
            let of = request.query("customer_id").is_none_or(|id| text("customer_id") == Some(id));
            let starts = text("start_at").and_then(|t| t.parse::<Timestamp>().ok());
            of && starts.is_some_and(|starts| starts >= from && starts <= until)
        };
        let found: Vec<&Value> =
            self.bookings.iter().filter(wanted).take(usize::try_from(limit).unwrap_or(1)).collect();
        Reply::json(200, &json!({ "bookings": found, "errors": [] }))
    }
}

fn is_filter(name: &str) -> bool {
    matches!(name, "phone_number" | "email_address" | "reference_id")
}

fn customer(person: &Person, now: Timestamp) -> Value {
    let written = person.numbers(Vendor::SquareBookings).written(PhoneNumberFormat::E164);
    json!({
        "id": id(person),
        "created_at": text(world::day(now, -700)),
        // Touched this morning, by an import.
        "updated_at": text(now),
        "given_name": person.first,
        "family_name": person.last,
        "company_name": person.company().map_or("", |company| company.name),
        "email_address": person.email,
        "phone_number": written.into_iter().flatten().next().unwrap_or_default(),
        "reference_id": person.customer_id,
        "creation_source": "DIRECTORY",
        "preferences": { "email_unsubscribed": false },
        "version": 7,
    })
}

fn bookings(person: &Person, now: Timestamp) -> Vec<Value> {
    let one = |planned: &world::Appointment| {
        let status = match planned.status {
            "cancelled" => "CANCELLED_BY_CUSTOMER",
            "confirmed" => "ACCEPTED",
            _ => "PENDING",
        };
        json!({
            "id": planned.id,
            "version": 1,
            "status": status,
            "start_at": text(world::day(now, planned.starts_in)),
            "customer_id": id(person),
            "location_id": "LEQHH0YY8B42M",
            "created_at": text(world::day(now, -20)),
            "updated_at": text(now),
            "appointment_segments": [{
                "duration_minutes": 45,
                "service_variation_id": "RU3PBTZTK7DXZDQFCJHOK2MC",
                "service_variation_version": 1_599_775_456_731_u64,
                "team_member_id": "TMXUrsBWWcHTt79t",
            }],
        })
    };
    person.appointments.iter().map(one).collect()
}

fn id(person: &Person) -> String {
    format!("DEMO{:022}", person.key)
}

/// `2026-11-02T16:40:10Z`
fn text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How Square words a refusal.
fn refusal(status: u16) -> Reply {
    let (category, code, detail) = match status {
        400 => ("INVALID_REQUEST_ERROR", "BAD_REQUEST", "The request is not valid."),
        401 => ("AUTHENTICATION_ERROR", "UNAUTHORIZED", "This request could not be authorized."),
        403 => ("AUTHENTICATION_ERROR", "INSUFFICIENT_SCOPES", "The merchant has not given sufficient permissions."),
        404 => ("INVALID_REQUEST_ERROR", "NOT_FOUND", "Resource not found."),
        429 => ("RATE_LIMIT_ERROR", "RATE_LIMITED", "Too many requests."),
        _ => ("API_ERROR", "INTERNAL_SERVER_ERROR", "An internal error has occurred."),
    };
    Reply::json(status, &json!({ "errors": [{ "category": category, "code": code, "detail": detail }] }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
