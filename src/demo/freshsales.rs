//! The stand-in for Freshsales: contacts by an exact lookup of one field and by id, with what belongs
//! to them beside. Numbers are kept as typed.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{self, AGENTS, PEOPLE, Person, STRANGER};

const FIRST_CONTACT: u64 = 70_031_234_000;
const FIRST_ACCOUNT: usize = 70_000_099_000;
const FIRST_USER: usize = 70_000_012_000;
const FIRST_DEAL: u64 = 70_000_055_000;
const FIELDS: [&str; 6] = ["email", "mobile_number", "work_number", "name", "id", "external_id"];

/// An account.
pub struct Freshsales {
    now: Timestamp,
}

impl Standin for Freshsales {
    fn new(now: Timestamp) -> Self {
        Self { now }
    }

    fn answer(&self, request: &Request, stranger: bool) -> Reply {
        if request.credentials("Token") != Some(format!("token={}", Vendor::Freshsales.token()).as_str()) {
            return refusal(401);
        }
        let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), path.as_slice()) {
            ("GET", ["crm", "sales", "api", "lookup"]) => self.lookup(request, stranger),
            ("GET", ["crm", "sales", "api", "contacts", id]) => {
                let person = id.parse().ok().and_then(|id: u64| people().find(|person| contact_id(person) == id));
                person.map_or_else(|| refusal(404), |person| self.read(person, request.query("include").unwrap_or("")))
            }
            _ => refusal(404),
        }
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

impl Freshsales {
    /// Exact but for capitals, on one field.
    fn lookup(&self, request: &Request, stranger: bool) -> Reply {
        let asked = [request.query("q"), request.query("f"), request.query("entities")];
        let [Some(value), Some(field), Some("contact")] = asked else { return refusal(400) };
        if value.is_empty() || !FIELDS.contains(&field) {
            return refusal(400);
        }
        let field = if field == "name" { "display_name" } else { field };
        let fits = |contact: &Value| match contact.get(field) {
            Some(Value::String(kept)) => kept.eq_ignore_ascii_case(value),
            Some(Value::Number(kept)) => kept.as_u64() == value.parse().ok(),
            _ => false,
        };
        let wrong = stranger.then(|| contact(&STRANGER, self.now));
        let found = people().map(|person| contact(person, self.now)).filter(fits);
        let contacts: Vec<Value> = wrong.into_iter().chain(found).collect();
        Reply::json(200, &json!({ "contacts": { "contacts": contacts } }))
    }

    /// What is asked for besides stands beside the contact, not in it.
    fn read(&self, person: &Person, include: &str) -> Reply {
        let mut answer = Map::from_iter([("contact".to_owned(), contact(person, self.now))]);
        for what in include.split(',').filter(|what| !what.is_empty()) {
            let (name, objects) = match what {
                "sales_accounts" => ("sales_accounts", account(person).into_iter().collect()),
                "deals" => ("deals", deals(person, self.now)),
                "owner" => ("users", user(person).into_iter().collect()),
                _ => return refusal(400),
            };
            answer.insert(name.to_owned(), Value::Array(objects));
        }
        Reply::json(200, &answer)
    }
}

fn people() -> impl Iterator<Item = &'static Person> {
    PEOPLE.iter().filter(|person| person.numbers(Vendor::Freshsales).kept())
}

fn contact_id(person: &Person) -> u64 {
    FIRST_CONTACT + u64::from(person.key)
}

fn contact(person: &Person, now: Timestamp) -> Value {
    let numbers = person.numbers(Vendor::Freshsales);
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let email =
        json!({ "id": person.key, "value": person.email, "is_primary": true, "label": null, "_destroy": false });
    json!({
        "id": contact_id(person),
        "first_name": some(person.first),
        "last_name": some(person.last),
        "display_name": person.name(),
        "job_title": some(person.title),
        "email": some(person.email),
        "emails": if person.email.is_empty() { vec![] } else { vec![email] },
        "work_number": some(numbers.phone),
        "mobile_number": some(numbers.mobile),
        "lead_score": if person.vip { 90 } else { 30 },
        "last_contacted": person.last_contact.map(|days| at(now, -days)),
        "custom_field": {},
        "created_at": at(now, -700),
        // Touched this morning, by an import: the trap for whoever takes it for the last contact.
        "updated_at": at(now, 0),
        "owner_id": person.owner.map(|index| FIRST_USER + index),
        "external_id": some(person.customer_id),
    })
}

fn account(person: &Person) -> Option<Value> {
    let (index, company) = (person.company?, person.company()?);
    Some(json!({
        "id": FIRST_ACCOUNT + index,
        "name": company.name,
        "website": company.domain,
        "is_primary": true,
        "partial": true,
    }))
}

fn user(person: &Person) -> Option<Value> {
    let index = person.owner?;
    let agent = AGENTS.get(index)?;
    Some(json!({
        "id": FIRST_USER + index,
        "display_name": format!("{} {}", agent.first, agent.last),
        "email": agent.email,
    }))
}

fn deals(person: &Person, now: Timestamp) -> Vec<Value> {
    let one = |(n, deal): (u64, &world::Deal)| {
        let closes = world::day(now, deal.closes_in).strftime("%Y-%m-%d").to_string();
        json!({
            "id": FIRST_DEAL + u64::from(person.key) * 10 + n,
            "name": deal.name,
            "amount": deal.amount,
            "expected_close": closes,
            "closed_date": deal.closed().then_some(&closes),
            // Stages are numbers of the account's own.
            "deal_stage_id": if deal.closed() { 70_000_011_119_u64 } else { 70_000_011_111 + n },
            "probability": if deal.closed() { 100 } else { 60 },
            "updated_at": at(now, 0),
        })
    };
    (0..).zip(person.deals).map(one).collect()
}

/// How Freshsales words a refusal.
fn refusal(status: u16) -> Reply {
    let message = match status {
        400 => "Invalid parameters",
        401 => return Reply::json(401, &json!({ "login": "failed", "message": "Incorrect username or password" })),
        403 => "Access denied",
        404 => "Not found",
        429 => "Too many requests",
        _ => "Something went wrong",
    };
    Reply::json(status, &json!({ "errors": { "code": status, "message": [message] } }))
}

/// `2026-11-02T16:40:10Z`
fn at(now: Timestamp, days: i32) -> String {
    world::day(now, days).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
