//! The stand-in for Copper's developer API: people, companies, opportunities, pipelines and users.
//! Times are Unix seconds, closing dates American; criteria that a search does not know are ignored.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{self, AGENTS, COMPANIES, PEOPLE, Person, STRANGER};

const FIRST_PERSON: usize = 27_140_000;
const FIRST_COMPANY: usize = 9_607_580;
const FIRST_OPPORTUNITY: usize = 2_827_000;
const FIRST_USER: usize = 137_658;
const FIRST_STAGE: usize = 987_790;
const PAGE: u64 = 20;
const PAGE_MAX: u64 = 200;

const STAGES: &[&str] = &["Qualified", "Follow-up", "Presentation", "Contract sent"];
/// By their `status_ids`.
const STATUSES: &[&str] = &["Open", "Won", "Lost", "Abandoned"];

/// A company's account.
pub struct Copper {
    people: Vec<Value>,
    opportunities: Vec<Value>,
    stranger: Value,
}

impl Standin for Copper {
    fn new(now: Timestamp) -> Self {
        let people = || PEOPLE.iter().filter(|p| p.numbers(Vendor::Copper).kept());
        Self {
            people: people().map(|p| person(p, now)).collect(),
            opportunities: people().flat_map(|p| opportunities(p, now)).collect(),
            stranger: person(&STRANGER, now),
        }
    }

    fn answer(&self, request: &Request, stranger: bool) -> Reply {
        let agent = request.header("x-pw-useremail");
        if request.header("x-pw-accesstoken") != Some(Vendor::Copper.token())
            || request.header("x-pw-application") != Some("developer_api")
            || !AGENTS.iter().any(|known| Some(known.email) == agent)
        {
            return refusal(401);
        }
        let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let ["developer_api", "v1", rest @ ..] = path.as_slice() else { return refusal(404) };
        if request.method == "GET" {
            return match rest {
                ["pipelines"] => Reply::json(200, &pipelines()),
                ["people", id] => one(self.people.iter().find(|person| has_id(person, id))),
                ["companies", id] => {
                    let companies = (0..COMPANIES.len()).filter_map(company);
                    one(companies.into_iter().find(|company| has_id(company, id)).as_ref())
                }
                _ => refusal(404),
            };
        }
        let Some(body) =
            request.json().filter(|body| request.method == "POST" && request.is_json() && body.is_object())
        else {
            return refusal(400);
        };
        match rest {
            ["people", "search"] => {
                let wrong = stranger.then_some(&self.stranger);
                let hits = self.people.iter().filter(|person| is_wanted(person, &body));
                page(wrong.into_iter().chain(hits), &body)
            }
            ["people", "fetch_by_email"] => {
                let Some(email) = body.get("email").and_then(Value::as_str) else { return refusal(422) };
                let found = self
                    .people
                    .iter()
                    .find(|person| texts(person, "emails", "email").any(|own| own.eq_ignore_ascii_case(email)));
                one(if stranger { Some(&self.stranger) } else { found })
            }
            ["opportunities", "search"] => {
                page(self.opportunities.iter().filter(|opportunity| is_asked_for(opportunity, &body)), &body)
            }
            ["users", "search"] => {
                let users: Vec<Value> = (0..AGENTS.len()).filter_map(user).collect();
                page(users.iter(), &body)
            }
            _ => refusal(404),
        }
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

/// All criteria must be met. Numbers are compared by their digits, without or with the country.
fn is_wanted(person: &Value, criteria: &Value) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let by_phone = criteria.get("phone_number").and_then(Value::as_str).is_none_or(|wanted| {
        let wanted = digits(wanted);
        texts(person, "phone_numbers", "number").any(|own| {
            let own = digits(own.split('x').next().unwrap_or(""));
            own == wanted || own.strip_prefix('1') == Some(&wanted)
        })
    });
    let by_email = criteria.get("emails").and_then(Value::as_array).is_none_or(|wanted| {
        wanted.iter().filter_map(Value::as_str).any(|wanted| texts(person, "emails", "email").any(|own| own == wanted))
    });
    by_phone && by_email
}

fn is_asked_for(opportunity: &Value, criteria: &Value) -> bool {
    let holds = |list: &str, value: Option<Value>| {
        criteria
            .get(list)
            .and_then(Value::as_array)
            .is_none_or(|wanted| value.is_some_and(|value| wanted.contains(&value)))
    };
    let status = opportunity.get("status").and_then(Value::as_str);
    let status = STATUSES.iter().position(|known| Some(*known) == status).map(|id| json!(id));
    holds("status_ids", status)
        && holds("primary_contact_ids", opportunity.get("primary_contact_id").cloned())
        && holds("company_ids", opportunity.get("company_id").cloned())
}

fn texts<'v>(object: &'v Value, list: &str, member: &'static str) -> impl Iterator<Item = &'v str> {
    let all = object.get(list).and_then(Value::as_array).into_iter().flatten();
    all.filter_map(move |value| value.get(member)?.as_str())
}

fn person(person: &Person, now: Timestamp) -> Value {
    let numbers = person.numbers(Vendor::Copper);
    let number = |number: &str, category: &str| {
        (!number.is_empty()).then(|| json!({ "number": number.trim(), "category": category }))
    };
    let phones: Vec<Value> =
        number(numbers.phone, "work").into_iter().chain(number(numbers.mobile, "mobile")).collect();
    let emails =
        if person.email.is_empty() { vec![] } else { vec![json!({ "email": person.email, "category": "work" })] };
    json!({
        "id": FIRST_PERSON + person.key as usize,
        "name": person.name(),
        "first_name": person.first,
        "last_name": person.last,
        "title": person.title,
        "assignee_id": person.owner.map(|index| FIRST_USER + index),
        "company_id": person.company.map(|index| FIRST_COMPANY + index),
        "company_name": person.company().map(|company| company.name),
        "emails": emails,
        "phone_numbers": phones,
        "tags": if person.vip { vec!["vip"] } else { vec![] },
        "websites": [],
        "socials": [],
        "custom_fields": [],
        "date_created": seconds(now, -700),
        // Touched this morning, by an import: the trap for whoever takes it for the last contact.
        "date_modified": seconds(now, 0),
        "date_last_contacted": person.last_contact.map(|days| seconds(now, -days)),
    })
}

fn company(index: usize) -> Option<Value> {
    let company = COMPANIES.get(index)?;
    Some(json!({
        "id": FIRST_COMPANY + index,
        "name": company.name,
        "email_domain": company.domain,
        "assignee_id": FIRST_USER,
        "phone_numbers": [],
        "tags": [],
        "websites": [],
        "custom_fields": [],
        "date_created": 1_489_528_899,
        "date_modified": 1_489_528_899,
    }))
}

fn opportunities(person: &Person, now: Timestamp) -> Vec<Value> {
    let one = |(n, deal): (usize, &world::Deal)| {
        let status = match deal.stage {
            "closedwon" => "Won",
            "closedlost" => "Lost",
            _ => "Open",
        };
        json!({
            "id": FIRST_OPPORTUNITY + person.key as usize * 10 + n,
            "name": deal.name,
            "status": status,
            "pipeline_id": 213_214,
            "pipeline_stage_id": FIRST_STAGE + if deal.stage == "qualifiedtobuy" { 0 } else { STAGES.len() - 1 },
            "monetary_value": deal.amount.parse::<f64>().ok(),
            "close_date": world::day(now, deal.closes_in).strftime("%m/%d/%Y").to_string(),
            "primary_contact_id": FIRST_PERSON + person.key as usize,
            "company_id": person.company.map(|index| FIRST_COMPANY + index),
            "assignee_id": person.owner.map(|index| FIRST_USER + index),
            "date_created": seconds(now, -100),
            "date_modified": seconds(now, 0),
            "tags": [],
            "custom_fields": [],
        })
    };
    person.deals.iter().enumerate().map(one).collect()
}

fn pipelines() -> Value {
    let stage =
        |(n, name): (usize, &&str)| json!({ "id": FIRST_STAGE + n, "name": name, "win_probability": 20 * (n + 1) });
    let stages: Vec<Value> = STAGES.iter().enumerate().map(stage).collect();
    json!([{ "id": 213_214, "name": "Sales", "stages": stages }])
}

fn user(index: usize) -> Option<Value> {
    let agent = AGENTS.get(index)?;
    Some(json!({ "id": FIRST_USER + index, "name": format!("{} {}", agent.first, agent.last), "email": agent.email }))
}

fn has_id(object: &Value, id: &str) -> bool {
    id.parse().is_ok_and(|id: u64| object.get("id").and_then(Value::as_u64) == Some(id))
}

fn one(object: Option<&Value>) -> Reply {
    object.map_or_else(|| refusal(404), |object| Reply::json(200, object))
}

fn page<'v>(objects: impl Iterator<Item = &'v Value>, body: &Value) -> Reply {
    let size = body.get("page_size").map_or(Some(PAGE), Value::as_u64).filter(|size| (1..=PAGE_MAX).contains(size));
    let Some(size) = size.and_then(|size| usize::try_from(size).ok()) else { return refusal(400) };
    let all: Vec<&Value> = objects.collect();
    let page: Vec<&Value> = all.iter().take(size).copied().collect();
    Reply::json(200, &page).with("x-pw-total", all.len().to_string())
}

/// How Copper words a refusal.
fn refusal(status: u16) -> Reply {
    let message = match status {
        400 => "Invalid input",
        401 => "Unauthorized",
        404 => "Resource not found",
        422 => "Invalid input: Validation errors",
        429 => "Rate limit exceeded",
        _ => "Internal Server Error",
    };
    Reply::json(status, &json!({ "success": false, "status": status, "message": message }))
}

fn seconds(now: Timestamp, days: i32) -> i64 {
    world::day(now, days).as_second()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
