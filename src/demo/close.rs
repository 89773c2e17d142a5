//! The stand-in for Close: contacts by advanced filtering, leads with their opportunities, activities
//! of a lead. Numbers are kept as E.164, whatever was typed.

use jiff::Timestamp;
use rlibphonenumber::PhoneNumberFormat;
use serde_json::{Map, Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{self, AGENTS, COMPANIES, PEOPLE, Person, STRANGER};

const LIMIT_MAX: usize = 200;

/// An organization.
pub struct Close {
    contacts: Vec<Value>,
    leads: Vec<Value>,
    activities: Vec<Value>,
    stranger: Value,
}

impl Standin for Close {
    fn new(now: Timestamp) -> Self {
        let people = || PEOPLE.iter().filter(|p| p.numbers(Vendor::Close).kept());
        let companies = (0..COMPANIES.len()).map(|index| lead(people().filter(|p| p.company == Some(index)), now));
        let households = people().filter(|p| p.company.is_none()).map(|person| lead([person].into_iter(), now));
        Self {
            contacts: people().map(|person| contact(person, now)).collect(),
            leads: companies.chain(households).collect(),
            activities: people().flat_map(|person| activities(person, now)).collect(),
            stranger: contact(&STRANGER, now),
        }
    }

    fn answer(&self, request: &Request, stranger: bool) -> Reply {
        if !authorized(request) {
            return refusal(401);
        }
        let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let reply = match (request.method.as_str(), path.as_slice()) {
            ("POST", ["api", "v1", "data", "search"]) => self.search(request, stranger),
            ("GET", ["api", "v1", "lead", id]) => match self.leads.iter().find(|lead| text(lead, "id") == *id) {
                Some(lead) => Reply::json(200, &cut(lead, &fields(request))),
                None => refusal(404),
            },
            ("GET", ["api", "v1", "activity"]) => self.listed(request),
            _ => refusal(404),
        };
        reply.with("ratelimit", "limit=20, remaining=19, reset=1")
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

impl Close {
    fn search(&self, request: &Request, stranger: bool) -> Reply {
        let body = request.json().filter(|_| request.is_json()).unwrap_or_default();
        let known = ["query", "_fields", "_limit", "sort", "results_limit", "include_counts", "cursor"];
        let members = body.as_object().is_some_and(|body| body.keys().all(|name| known.contains(&name.as_str())));
        let limit = body.get("_limit").map_or(Some(LIMIT_MAX as u64), Value::as_u64);
        let limit = limit.and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=LIMIT_MAX).contains(n));
        let (Some(limit), Some(query), true) = (limit, body.get("query"), members) else { return refusal(400) };
        let Some(fits) = self.contacts.iter().map(|contact| fits(query, contact)).collect::<Option<Vec<bool>>>() else {
            return refusal(400);
        };
        // Without `_fields` only ids are told.
        let wanted = body.pointer("/_fields/contact").and_then(Value::as_array);
        let wanted = wanted.map_or(vec!["id"], |names| names.iter().filter_map(Value::as_str).collect());
        let hits = self.contacts.iter().zip(fits).filter_map(|(contact, fits)| fits.then_some(contact));
        let found = stranger.then_some(&self.stranger).into_iter().chain(hits).take(limit);
        let told = found.map(|contact| {
            let mut contact = cut(contact, &wanted);
            if let Some(members) = contact.as_object_mut() {
                members.insert("__object_type".into(), "contact".into());
            }
            contact
        });
        Reply::json(200, &json!({ "data": told.collect::<Vec<_>>(), "cursor": null }))
    }

    /// A person's activities can only be told within a lead.
    fn listed(&self, request: &Request) -> Reply {
        let (lead, contact) = (request.query("lead_id"), request.query("contact_id"));
        let kinds: Option<Vec<&str>> = request.query("_type__in").map(|kinds| kinds.split(',').collect());
        let by_time = request.query("_order_by") == Some("-activity_at");
        let limit = request.query("_limit").map_or(Some(100), |n| n.parse().ok()).filter(|n| (1..=100).contains(n));
        let Some(limit) = limit.filter(|_| lead.is_some() || (contact.is_none() && kinds.is_none() && !by_time)) else {
            return refusal(400);
        };
        let is = |activity: &Value, name, wanted: Option<&str>| wanted.is_none_or(|id| text(activity, name) == id);
        let fits = |activity: &&Value| {
            is(activity, "lead_id", lead)
                && is(activity, "contact_id", contact)
                && kinds.as_ref().is_none_or(|kinds| kinds.contains(&text(activity, "_type")))
        };
        let mut all: Vec<&Value> = self.activities.iter().filter(fits).collect();
        let order = if by_time { "activity_at" } else { "date_created" };
        all.sort_by_key(|activity| std::cmp::Reverse(text(activity, order)));
        let page: Vec<Value> = all.iter().take(limit).map(|activity| cut(activity, &fields(request))).collect();
        Reply::json(200, &json!({ "data": page, "has_more": all.len() > limit }))
    }
}

/// A key stands as the user of HTTP Basic, without a password; an OAuth token is a bearer.
fn authorized(request: &Request) -> bool {
    let key = request.basic().is_some_and(|(user, password)| user == Vendor::Close.token() && password.is_empty());
    key || request.authorized(Vendor::Close)
}

/// Whether a query finds the contact; `None` = not a query.
fn fits(query: &Value, contact: &Value) -> Option<bool> {
    match text(query, "type") {
        "and" => {
            let all = query.get("queries")?.as_array()?;
            let all = all.iter().map(|query| fits(query, contact)).collect::<Option<Vec<bool>>>()?;
            Some(all.into_iter().all(|fits| fits))
        }
        "object_type" => Some(text(query, "object_type") == "contact"),
        "has_related" if text(query, "this_object_type") == "contact" => {
            let related = text(query, "related_object_type");
            let (list, field) = match related {
                "contact_phone" => ("phones", "phone"),
                "contact_email" => ("emails", "email"),
                _ => return None,
            };
            let inner = query.get("related_query")?;
            let (asked, condition) = (inner.get("field")?, inner.get("condition")?);
            let right = text(inner, "type") == "field_condition"
                && (text(asked, "type"), text(asked, "object_type"), text(asked, "field_name"))
                    == ("regular_field", related, field)
                && text(condition, "type") == "text";
            let value = words(condition.get("value")?.as_str()?);
            let entries = contact.get(list)?.as_array()?;
            let mode = text(condition, "mode");
            let fits = |kept: &str| match mode {
                "exact_value" => Some(words(kept) == value),
                "phrase" => Some(words(kept).windows(value.len().max(1)).any(|run| run == value)),
                "full_words" => Some(value.iter().all(|word| words(kept).contains(word))),
                _ => None,
            };
            let fits = entries.iter().map(|entry| fits(text(entry, field))).collect::<Option<Vec<bool>>>()?;
            right.then(|| fits.into_iter().any(|fits| fits))
        }
        _ => None,
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn text<'v>(object: &'v Value, member: &str) -> &'v str {
    object.get(member).and_then(Value::as_str).unwrap_or("")
}

/// The members asked for; all where none are named.
fn fields(request: &Request) -> Vec<&str> {
    request.query("_fields").map_or(Vec::new(), |names| names.split(',').collect())
}

fn cut(object: &Value, fields: &[&str]) -> Value {
    let Some(members) = object.as_object().filter(|_| !fields.is_empty()) else { return object.clone() };
    members
        .iter()
        .filter(|(name, _)| fields.contains(&name.as_str()))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect::<Map<_, _>>()
        .into()
}

fn lead_id(person: &Person) -> String {
    match person.company {
        Some(index) => format!("lead_company{index}"),
        None => format!("lead_person{}", person.key),
    }
}

fn contact_id(person: &Person) -> String {
    format!("cont_demo{}", person.key)
}

fn contact(person: &Person, now: Timestamp) -> Value {
    let numbers = person.numbers(Vendor::Close).written(PhoneNumberFormat::E164);
    let kinds = ["office", "mobile"].into_iter().zip(numbers);
    let phones = kinds.filter_map(|(kind, phone)| Some(json!({ "phone": phone?, "type": kind, "country": null })));
    let emails = Some(person.email).filter(|email| !email.is_empty());
    let emails = emails.map(|email| json!({ "email": email, "type": "office", "is_unsubscribed": false }));
    json!({
        "id": contact_id(person),
        "lead_id": lead_id(person),
        "name": person.name(),
        "display_name": person.name(),
        "title": person.title,
        "phones": phones.collect::<Vec<_>>(),
        "emails": emails.into_iter().collect::<Vec<_>>(),
        "urls": [],
        "date_created": at(now, -700),
        // Touched this morning, by an import: the trap for whoever takes it for the last contact.
        "date_updated": at(now, 0),
    })
}

/// The lead of these people: their company, or the one without a company.
fn lead<'p>(people: impl Iterator<Item = &'p Person>, now: Timestamp) -> Value {
    let people: Vec<&Person> = people.collect();
    let first = people.first();
    let name = first.map(|person| person.company().map_or_else(|| person.name(), |company| company.name.to_owned()));
    json!({
        "id": first.map(|person| lead_id(person)),
        "name": name,
        "display_name": name,
        "status_id": "stat_demo1",
        "status_label": if people.iter().any(|person| person.lead) { "Potential" } else { "Customer" },
        "description": "",
        "url": first.and_then(|person| person.company()).map(|company| format!("https://{}", company.domain)),
        "addresses": [],
        "contacts": people.iter().map(|person| contact(person, now)).collect::<Vec<_>>(),
        "opportunities": people.iter().flat_map(|person| opportunities(person, now)).collect::<Vec<_>>(),
        "tasks": [],
        "custom": {},
        "date_created": at(now, -700),
        "date_updated": at(now, 0),
    })
}

fn opportunities(person: &Person, now: Timestamp) -> Vec<Value> {
    let one = |(n, deal): (usize, &world::Deal)| {
        let status = match deal.stage {
            "closedwon" => "won",
            "closedlost" => "lost",
            _ => "active",
        };
        json!({
            "id": format!("oppo_demo{}x{n}", person.key),
            "lead_id": lead_id(person),
            "contact_id": contact_id(person),
            "status_label": deal.stage_name,
            "status_type": status,
            "value": cents(deal.amount),
            "value_currency": "USD",
            "value_period": "one_time",
            "confidence": 70,
            "note": deal.name,
            "date_created": at(now, -100),
            "date_updated": at(now, 0),
        })
    };
    person.deals.iter().enumerate().map(one).collect()
}

/// `2400.50` -> 240050
fn cents(amount: &str) -> Option<u64> {
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    format!("{whole}{part:0<2}").parse().ok()
}

/// The last talk, a call that nobody took after it, and a meeting to come.
fn activities(person: &Person, now: Timestamp) -> Vec<Value> {
    let Some(days) = person.last_contact else { return Vec::new() };
    let agent = person.owner().or(AGENTS.first()).map(|agent| format!("{} {}", agent.first, agent.last));
    let kinds = [("Call", "completed", -days), ("Call", "no-answer", 1 - days), ("Meeting", "upcoming", 5)];
    let one = |(n, (kind, status, days)): (usize, (&str, &str, i32))| {
        json!({
            "id": format!("acti_demo{}x{n}", person.key),
            "_type": kind,
            "lead_id": lead_id(person),
            "contact_id": contact_id(person),
            "status": status,
            "user_name": agent,
            "activity_at": at(now, days),
            // When it was synchronized.
            "date_created": at(now, 0),
            "date_updated": at(now, 0),
        })
    };
    kinds.into_iter().enumerate().map(one).collect()
}

/// How Close words a refusal.
fn refusal(status: u16) -> Reply {
    let body = match status {
        400 => json!({ "errors": [], "field-errors": { "query": "Invalid query." } }),
        401 => json!({ "error": "The server could not verify that you are authorized to access the requested URL." }),
        402 => json!({ "error": "A limit of your current plan was reached." }),
        403 => json!({ "error": "You don't have the permission to access the requested resource." }),
        404 => json!({ "error": "Empty query: Lead does not exist." }),
        429 => json!({ "error": {
            "message": "API call count exceeded for this 15 second window",
            "rate_limit": 600,
            "rate_limit_type": "key",
            "rate_reset": 8,
            "rate_endpoint_group": "group1",
        } }),
        _ => json!({ "error": "Internal server error" }),
    };
    Reply::json(status, &body)
}

/// `2026-11-02T16:40:10.000000+00:00`
fn at(now: Timestamp, days: i32) -> String {
    world::day(now, days).strftime("%Y-%m-%dT%H:%M:%S.000000+00:00").to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
