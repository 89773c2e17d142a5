//! The stand-in for Zoho CRM: queries in COQL over contacts and leads, a contact by id, and its deals,
//! cases and calls. What finds nothing is answered 204, without a body.

mod coql;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{self, AGENTS, PEOPLE, Person, STRANGER};

const CONTACT: u64 = 3_652_397_000_001_234_000;
const LEAD: u64 = 3_652_397_000_001_777_000;
const ACCOUNT: u64 = 3_652_397_000_001_230_000;
const USER: u64 = 3_652_397_000_000_281_000;
const DEAL: u64 = 3_652_397_000_001_450_000;
const CASE: u64 = 3_652_397_000_001_560_000;
const CALL: u64 = 3_652_397_000_001_670_000;

/// An organization.
pub struct Zoho {
    contacts: Vec<Value>,
    leads: Vec<Value>,
    stranger: Value,
    now: Timestamp,
}

impl Standin for Zoho {
    fn new(now: Timestamp) -> Self {
        Self {
            contacts: people().filter(|person| !person.lead).map(|person| contact(person, now)).collect(),
            leads: people().filter(|person| person.lead).map(|person| lead(person, now)).collect(),
            stranger: contact(&STRANGER, now),
            now,
        }
    }

    fn answer(&self, request: &Request, stranger: bool) -> Reply {
        if request.credentials("Zoho-oauthtoken") != Some(Vendor::Zoho.token()) {
            return refusal(401);
        }
        let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        match (request.method.as_str(), path.as_slice()) {
            ("POST", ["crm", "v8", "coql"]) => self.query(request, stranger),
            ("GET", ["crm", "v8", "Contacts", id]) => {
                let found =
                    self.contacts.iter().filter(|contact| contact.get("id").and_then(Value::as_str) == Some(id));
                told(&found.cloned().collect::<Vec<_>>(), request.query("fields"))
            }
            ("GET", ["crm", "v8", "Contacts", id, list]) => self.related(id, list, request),
            _ => refusal(404),
        }
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

impl Zoho {
    fn query(&self, request: &Request, stranger: bool) -> Reply {
        let body = request.json().filter(|_| request.is_json()).unwrap_or_default();
        let Some(query) = body.get("select_query").and_then(Value::as_str).and_then(coql::parse) else {
            return refusal(400);
        };
        let (records, wrong) = match query.module.as_str() {
            "Contacts" => (&self.contacts, stranger.then_some(&self.stranger)),
            "Leads" => (&self.leads, None),
            _ => return refusal(400),
        };
        // A field that the module lacks is no field of a query.
        if records.first().is_some_and(|record| query.names().any(|name| record.get(name).is_none())) {
            return refusal(400);
        }
        let found = wrong.into_iter().chain(records.iter().filter(|record| query.fits(record)));
        let found: Vec<Value> = found.take(query.limit).cloned().collect();
        told(&found, Some(&query.select.join(",")))
    }

    fn related(&self, id: &str, list: &str, request: &Request) -> Reply {
        let id = id.parse().unwrap_or(0);
        let Some(person) = people().find(|person| CONTACT + u64::from(person.key) == id) else { return nothing() };
        let Some(fields) = request.query("fields") else { return refusal(400) };
        match list {
            "Deals" => told(&deals(person, self.now), Some(fields)),
            "Cases" => told(&cases(person, self.now), Some(fields)),
            "Calls" => told(&calls(person, self.now), Some(fields)),
            _ => refusal(400),
        }
    }
}

fn people() -> impl Iterator<Item = &'static Person> {
    PEOPLE.iter().filter(|person| person.numbers(Vendor::Zoho).kept())
}

/// The members asked for, and the id; all where none are named.
fn told(records: &[Value], fields: Option<&str>) -> Reply {
    let fields: Option<Vec<&str>> = fields.map(|names| names.split(',').map(str::trim).collect());
    let cut = |record: &Value| -> Map<String, Value> {
        let members = record.as_object().into_iter().flatten();
        let asked = |name: &str| name == "id" || fields.as_ref().is_none_or(|fields| fields.contains(&name));
        members.filter(|(name, _)| asked(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    if records.is_empty() {
        return nothing();
    }
    let data: Vec<_> = records.iter().map(cut).collect();
    Reply::json(200, &json!({ "data": data, "info": { "count": data.len(), "more_records": false } }))
}

fn nothing() -> Reply {
    Reply { body: Default::default(), headers: Vec::new(), ..Reply::json(204, &Value::Null) }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn contact(person: &Person, now: Timestamp) -> Value {
    let numbers = person.numbers(Vendor::Zoho);
    let company = person.company();
    let owner = person.owner.and_then(|index| AGENTS.get(index)).or(AGENTS.first());
    let owner = owner.map(|agent| {
        json!({
            "id": (USER + person.owner.unwrap_or(0) as u64).to_string(),
            "name": format!("{} {}", agent.first, agent.last),
            "email": agent.email,
        })
    });
    json!({
        "id": (CONTACT + u64::from(person.key)).to_string(),
        "Full_Name": person.name(),
        "First_Name": some(person.first),
        "Last_Name": some(person.last),
        "Title": some(person.title),
        "Email": some(person.email),
        "Secondary_Email": Value::Null,
        "Phone": some(numbers.phone),
        "Mobile": some(numbers.mobile),
        "Home_Phone": Value::Null,
        "Other_Phone": Value::Null,
        "Account_Name": person.company.map(|index| json!({ "id": (ACCOUNT + index as u64).to_string() })),
        "Account_Name.Account_Name": company.map(|company| company.name),
        "Account_Name.Employees": company.map(|company| company.employees),
        "Owner": owner,
        "Tag": if person.vip { json!([{ "name": "vip", "id": "3652397000001999001" }]) } else { json!([]) },
        "Created_Time": at(now, -700),
        // Touched this morning, by an import: the trap for whoever takes it for the last contact.
        "Modified_Time": at(now, 0),
        "Last_Activity_Time": at(now, 0),
    })
}

fn lead(person: &Person, now: Timestamp) -> Value {
    let numbers = person.numbers(Vendor::Zoho);
    let company = person.company();
    json!({
        "id": (LEAD + u64::from(person.key)).to_string(),
        "Full_Name": person.name(),
        "First_Name": some(person.first),
        "Last_Name": some(person.last),
        "Designation": some(person.title),
        "Email": some(person.email),
        "Phone": some(numbers.phone),
        "Mobile": some(numbers.mobile),
        "Company": company.map(|company| company.name),
        "No_of_Employees": company.map(|company| company.employees),
        "Created_Time": at(now, -70),
        "Modified_Time": at(now, 0),
    })
}

fn deals(person: &Person, now: Timestamp) -> Vec<Value> {
    let one = |(n, deal): (u64, &world::Deal)| {
        json!({
            "id": (DEAL + u64::from(person.key) * 10 + n).to_string(),
            "Deal_Name": deal.name,
            "Stage": deal.stage_name,
            "Amount": deal.amount.parse::<f64>().ok(),
            "Closing_Date": world::day(now, deal.closes_in).strftime("%Y-%m-%d").to_string(),
            "Modified_Time": at(now, 0),
        })
    };
    (0..).zip(person.deals).map(one).collect()
}

fn cases(person: &Person, now: Timestamp) -> Vec<Value> {
    let one = |(n, ticket): (u64, &world::Ticket)| {
        json!({
            "id": (CASE + u64::from(person.key) * 10 + n).to_string(),
            "Case_Number": (1000 + u64::from(person.key) * 10 + n).to_string(),
            "Subject": ticket.subject,
            "Status": if ticket.closed { "Closed" } else { "New" },
            "Priority": if ticket.priority == "HIGH" { "High" } else { "Low" },
            "Modified_Time": at(now, -ticket.updated),
        })
    };
    (0..).zip(person.tickets).map(one).collect()
}

/// A call to come, one that was missed, and the last talk.
fn calls(person: &Person, now: Timestamp) -> Vec<Value> {
    let Some(days) = person.last_contact else { return Vec::new() };
    let one = |(n, (days, duration)): (u64, (i32, Option<&str>))| {
        json!({
            "id": (CALL + u64::from(person.key) * 10 + n).to_string(),
            "Call_Start_Time": at(now, days),
            "Call_Duration": duration,
        })
    };
    (0..).zip([(5, None), (1 - days, Some("00:00")), (-days, Some("03:04"))]).map(one).collect()
}

/// How Zoho words a refusal.
fn refusal(status: u16) -> Reply {
    let (code, message) = match status {
        400 => ("INVALID_QUERY", "Invalid query formed"),
        401 => ("INVALID_TOKEN", "invalid oauth token"),
        403 => ("NO_PERMISSION", "permission denied"),
        404 => ("INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one"),
        429 => ("TOO_MANY_REQUESTS", "You have exceeded the limit of concurrent requests"),
        _ => ("INTERNAL_ERROR", "Internal Server Error"),
    };
    Reply::json(status, &json!({ "code": code, "details": {}, "message": message, "status": "error" }))
}

/// `2026-11-02T16:40:10+00:00`
fn at(now: Timestamp, days: i32) -> String {
    world::day(now, days).strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
