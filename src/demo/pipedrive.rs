//! The stand-in for Pipedrive's API v2, and users of v1: persons by search and by id, organizations,
//! deals, activities, stages. Searches find what is in the text as it was typed.

use jiff::Timestamp;
use rlibphonenumber::PhoneNumberFormat;
use serde_json::{Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{self, AGENTS, COMPANIES, PEOPLE, Person, STRANGER};

const FIRST_PERSON: usize = 700;
const FIRST_ORGANIZATION: usize = 40;
const FIRST_USER: usize = 13_000;
const LIMIT_MAX: usize = 500;

/// Closed deals keep the last open stage, as there.
const STAGES: &[&str] = &["Qualified", "Contact made", "Demo scheduled", "Negotiations started"];

/// A company's account.
pub struct Pipedrive {
    persons: Vec<Value>,
    deals: Vec<Value>,
    activities: Vec<Value>,
    stranger: Value,
    now: Timestamp,
}

impl Standin for Pipedrive {
    fn new(now: Timestamp) -> Self {
        let people = || PEOPLE.iter().filter(|p| p.numbers(Vendor::Pipedrive).kept());
        Self {
            persons: people().map(|p| person(p, now)).collect(),
            deals: people().flat_map(|p| deals(p, now)).collect(),
            activities: people().flat_map(|p| activities(p, now)).collect(),
            stranger: person(&STRANGER, now),
            now,
        }
    }

    fn answer(&self, request: &Request, stranger: bool) -> Reply {
        let token = request.header("x-api-token") == Some(Vendor::Pipedrive.token());
        if !token && !request.authorized(Vendor::Pipedrive) {
            return refusal(401);
        }
        let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let ("GET", ["api", version, rest @ ..]) = (request.method.as_str(), path.as_slice()) else {
            return refusal(404);
        };
        let reply = match (*version, rest) {
            ("v2", ["persons", "search"]) => self.search(request, stranger),
            ("v2", ["persons", id]) => one(self.persons.iter().find(|person| is(person, "id", id))),
            ("v2", ["organizations", id]) => {
                let organizations = (0..COMPANIES.len()).filter_map(|index| organization(index, self.now));
                one(organizations.into_iter().find(|organization| is(organization, "id", id)).as_ref())
            }
            ("v2", ["deals"]) => list(&self.deals, request, &["person_id", "org_id", "status"]),
            ("v2", ["activities"]) => list(&self.activities, request, &["person_id", "org_id", "done"]),
            ("v2", ["stages"]) => {
                list(&(0..STAGES.len()).filter_map(stage).collect::<Vec<_>>(), request, &["pipeline_id"])
            }
            ("v1", ["users", id]) => one((0..AGENTS.len()).filter_map(user).find(|user| is(user, "id", id)).as_ref()),
            _ => refusal(404),
        };
        reply
            .with("x-ratelimit-limit", "20")
            .with("x-ratelimit-remaining", "19")
            .with("x-ratelimit-reset", "2")
            .with("x-daily-requests-left", "29980")
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

impl Pipedrive {
    fn search(&self, request: &Request, stranger: bool) -> Reply {
        let term = request.query("term").unwrap_or("").to_lowercase();
        let exact = request.query("exact_match") == Some("true");
        if term.chars().count() < if exact { 1 } else { 2 } {
            return error(400, "Search term must be at least 2 characters long");
        }
        let fields: Vec<&str> =
            request.query("fields").unwrap_or("custom_fields,email,notes,phone,name").split(',').collect();
        if fields.iter().any(|field| !["custom_fields", "email", "notes", "phone", "name"].contains(field)) {
            return error(400, "Invalid value for fields");
        }
        let Some(limit) = limit(request) else { return error(400, "Invalid value for limit") };
        let has = |text: &str| {
            let text = text.to_lowercase();
            if exact { text == term } else { text.contains(&term) }
        };
        let fits = |person: &&Value| {
            let values = |member: &str| person.get(member).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let any = |member: &str| values(member).iter().filter_map(|v| v.get("value")?.as_str()).any(has);
            (fields.contains(&"phone") && any("phones"))
                || (fields.contains(&"email") && any("emails"))
                || (fields.contains(&"name") && person.get("name").and_then(Value::as_str).is_some_and(has))
        };
        let wrong = stranger.then_some(&self.stranger).map(|person| found(person, 0.9));
        let hits = self.persons.iter().filter(fits).map(|person| found(person, 0.5));
        let items: Vec<Value> = wrong.into_iter().chain(hits).take(limit).collect();
        data(&json!({ "items": items }))
    }
}

/// A person as searches give it.
fn found(person: &Value, score: f64) -> Value {
    let texts = |member: &str| -> Vec<Value> {
        let all = person.get(member).and_then(Value::as_array).into_iter().flatten();
        all.filter_map(|value| value.get("value").cloned()).collect()
    };
    let organization = person.get("org_id").and_then(Value::as_u64).and_then(|id| {
        let index = usize::try_from(id).ok()?.checked_sub(FIRST_ORGANIZATION)?;
        Some(json!({ "id": id, "name": COMPANIES.get(index)?.name, "address": Value::Null }))
    });
    let owner = person.get("owner_id").filter(|id| !id.is_null()).map(|id| json!({ "id": id }));
    let mut item = json!({
        "id": person.get("id"),
        "type": "person",
        "name": person.get("name"),
        "phones": texts("phones"),
        "emails": texts("emails"),
        "visible_to": 3,
        "owner": owner,
        "custom_fields": [],
        "notes": [],
    });
    if let (Some(organization), Some(item)) = (organization, item.as_object_mut()) {
        item.insert("organization".into(), organization);
    }
    json!({ "result_score": score, "item": item })
}

fn person(person: &Person, now: Timestamp) -> Value {
    // A dialler wrote the first number, somebody typed the second.
    let numbers = person.numbers(Vendor::Pipedrive);
    let [dialled, _] = numbers.written(PhoneNumberFormat::E164);
    let typed = (!numbers.mobile.is_empty()).then(|| numbers.mobile.to_owned());
    let labelled = |values: Vec<String>| -> Vec<Value> {
        let one = |(n, value)| json!({ "value": value, "primary": n == 0, "label": "work" });
        values.into_iter().enumerate().map(one).collect()
    };
    let emails = if person.email.is_empty() { vec![] } else { vec![person.email.to_owned()] };
    json!({
        "id": FIRST_PERSON + person.key as usize,
        "name": person.name(),
        "first_name": person.first,
        "last_name": person.last,
        "job_title": person.title,
        "owner_id": FIRST_USER + person.owner.unwrap_or_default(),
        "org_id": person.company.map(|index| FIRST_ORGANIZATION + index),
        "phones": labelled(dialled.into_iter().chain(typed).collect()),
        "emails": labelled(emails),
        "is_deleted": false,
        "visible_to": 3,
        "add_time": time(now, -700),
        // Touched this morning, by an import: the trap for whoever takes it for the last contact.
        "update_time": time(now, 0),
        "label_ids": [],
        "custom_fields": {},
    })
}

fn organization(index: usize, now: Timestamp) -> Option<Value> {
    let company = COMPANIES.get(index)?;
    Some(json!({
        "id": FIRST_ORGANIZATION + index,
        "name": company.name,
        "website": format!("https://www.{}", company.domain),
        "employee_count": company.employees,
        "owner_id": FIRST_USER,
        "is_deleted": false,
        "visible_to": 3,
        "add_time": time(now, -700),
        "update_time": time(now, -50),
        "label_ids": [],
        "custom_fields": {},
    }))
}

fn deals(person: &Person, now: Timestamp) -> Vec<Value> {
    let one = |(n, deal): (usize, &world::Deal)| {
        let status = match deal.stage {
            "closedwon" => "won",
            "closedlost" => "lost",
            _ => "open",
        };
        json!({
            "id": FIRST_PERSON + person.key as usize * 10 + n,
            "title": deal.name,
            "value": deal.amount.parse::<f64>().ok(),
            "currency": "USD",
            "status": status,
            "stage_id": if deal.stage == "qualifiedtobuy" { 1 } else { STAGES.len() },
            "pipeline_id": 1,
            "person_id": FIRST_PERSON + person.key as usize,
            "org_id": person.company.map(|index| FIRST_ORGANIZATION + index),
            "owner_id": FIRST_USER + person.owner.unwrap_or_default(),
            "expected_close_date": world::day(now, deal.closes_in).strftime("%Y-%m-%d").to_string(),
            "is_deleted": false,
            "is_archived": false,
            "visible_to": 3,
            "add_time": time(now, -100),
            "update_time": time(now, -19 - i32::try_from(n).unwrap_or_default()),
            "label_ids": [],
            "custom_fields": {},
        })
    };
    person.deals.iter().enumerate().map(one).collect()
}

/// The last contact as a call, and a task of later, which is none.
fn activities(person: &Person, now: Timestamp) -> Vec<Value> {
    let Some(days) = person.last_contact else { return Vec::new() };
    let one = |n: usize, kind: &str, subject: &str, days: i32| {
        json!({
            "id": FIRST_PERSON + person.key as usize * 10 + n,
            "subject": subject,
            "type": kind,
            "done": true,
            "due_date": world::day(now, -days).strftime("%Y-%m-%d").to_string(),
            "marked_as_done_time": time(now, -days),
            "person_id": FIRST_PERSON + person.key as usize,
            "owner_id": FIRST_USER + person.owner.unwrap_or_default(),
            "is_deleted": false,
            "busy": false,
            "add_time": time(now, -days - 1),
            "update_time": time(now, 0),
        })
    };
    vec![one(0, "call", "Call", days), one(1, "task", "Clean up addresses", 0)]
}

fn stage(index: usize) -> Option<Value> {
    Some(json!({
        "id": index + 1,
        "name": STAGES.get(index)?,
        "pipeline_id": 1,
        "order_nr": index + 1,
        "is_deleted": false,
        "deal_probability": 100,
        "is_deal_rot_enabled": false,
        "add_time": "2024-01-01T00:00:00Z",
        "update_time": "2024-01-01T00:00:00Z",
    }))
}

fn user(index: usize) -> Option<Value> {
    let agent = AGENTS.get(index)?;
    let name = format!("{} {}", agent.first, agent.last);
    Some(json!({ "id": FIRST_USER + index, "name": name, "email": agent.email, "active_flag": true }))
}

fn is(object: &Value, member: &str, text: &str) -> bool {
    match object.get(member) {
        Some(Value::String(own)) => own == text,
        Some(own @ (Value::Number(_) | Value::Bool(_))) => own.to_string().as_str() == text,
        _ => false,
    }
}

fn limit(request: &Request) -> Option<usize> {
    let limit = request.query("limit").map_or(Some(100), |limit| limit.parse().ok());
    limit.filter(|limit| (1..=LIMIT_MAX).contains(limit))
}

fn one(object: Option<&Value>) -> Reply {
    object.map_or_else(|| refusal(404), data)
}

/// The objects that agree with every filter that was given, sorted.
fn list(objects: &[Value], request: &Request, filters: &[&str]) -> Reply {
    let known = |name: &str| filters.contains(&name) || ["limit", "sort_by", "sort_direction"].contains(&name);
    if let Some((name, _)) = request.query.iter().find(|(name, _)| !known(name)) {
        return error(400, &format!("Invalid parameter {name}"));
    }
    let Some(limit) = limit(request) else { return error(400, "Invalid value for limit") };
    let wanted =
        |object: &&Value| filters.iter().all(|name| request.query(name).is_none_or(|text| is(object, name, text)));
    let mut found: Vec<&Value> = objects.iter().filter(wanted).collect();
    let by = request.query("sort_by").unwrap_or("id");
    if !["id", "update_time", "add_time", "due_date"].contains(&by) {
        return error(400, "Invalid value for sort_by");
    }
    found.sort_by_key(|object| object.get(by).map(Value::to_string));
    if request.query("sort_direction") == Some("desc") {
        found.reverse();
    }
    found.truncate(limit);
    data(&json!(found))
}

fn data(data: &Value) -> Reply {
    Reply::json(200, &json!({ "success": true, "data": data, "additional_data": {} }))
}

/// How Pipedrive words a refusal.
fn refusal(status: u16) -> Reply {
    match status {
        401 => error(401, "unauthorized access"),
        403 => error(403, "Scope and URL mismatch"),
        404 => error(404, "Item not found"),
        429 => error(429, "request over limit"),
        status => error(status, "Something went wrong"),
    }
}

fn error(status: u16, message: &str) -> Reply {
    let info = "Please check developers.pipedrive.com";
    let body = json!({
        "success": false, "error": message, "error_info": info, "data": Value::Null, "additional_data": Value::Null,
    });
    Reply::json(status, &body)
}

/// `2026-11-02T16:40:10Z`
fn time(now: Timestamp, days: i32) -> String {
    world::day(now, days).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
