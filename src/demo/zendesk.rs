//! The stand-in for Zendesk's Support API: users by search and by id, their tickets, organizations.
//! Searches look at whole words, or with a star in front at endings; they find agents and deleted
//! users too.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{self, AGENTS, COMPANIES, PEOPLE, Person, STRANGER};

const FIRST_USER: usize = 35_400;
const FIRST_AGENT: usize = 35_000;
const FIRST_ORGANIZATION: usize = 57_540;
const FIRST_TICKET: usize = 90_000;
const PER_PAGE_MAX: usize = 100;

/// An account.
pub struct Zendesk {
    users: Vec<Value>,
    tickets: Vec<Value>,
    stranger: Value,
    now: Timestamp,
}

impl Standin for Zendesk {
    fn new(now: Timestamp) -> Self {
        let people = || PEOPLE.iter().filter(|p| p.numbers(Vendor::Zendesk).kept());
        let agents = (0..AGENTS.len()).filter_map(|index| agent(index, now));
        Self {
            users: agents.chain(people().map(|person| user(person, now))).collect(),
            tickets: people().flat_map(|person| tickets(person, now)).collect(),
            stranger: user(&STRANGER, now),
            now,
        }
    }

    fn answer(&self, request: &Request, stranger: bool) -> Reply {
        if !authorized(request) {
            return refusal(401);
        }
        let path: Vec<&str> = request.segments.iter().map(|s| s.trim_end_matches(".json")).collect();
        let ("GET", ["api", "v2", rest @ ..]) = (request.method.as_str(), path.as_slice()) else {
            return refusal(404);
        };
        let reply = match rest {
            ["users", "search"] => self.search(request, stranger),
            ["users", id] => found("user", self.users.iter().find(|user| has_id(user, id))),
            ["users", id, "tickets", "requested"] => self.requested(id, request),
            ["organizations", id] => {
                let organization = (0..COMPANIES.len()).filter_map(|index| organization(index, self.now));
                found("organization", organization.into_iter().find(|organization| has_id(organization, id)).as_ref())
            }
            _ => refusal(404),
        };
        reply
            .with("x-rate-limit", "200")
            .with("x-rate-limit-remaining", "199")
            .with("ratelimit-limit", "200")
            .with("ratelimit-remaining", "199")
            .with("ratelimit-reset", "47")
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

impl Zendesk {
    fn search(&self, request: &Request, stranger: bool) -> Reply {
        let Some(terms) = request.query("query").map(terms).filter(|terms| !terms.is_empty()) else {
            return refusal(422);
        };
        let fits = |user: &&Value| terms.iter().all(|term| term.fits(user));
        let wrong = stranger.then_some(&self.stranger);
        list("users", wrong.into_iter().chain(self.users.iter().filter(fits)), request)
    }

    fn requested(&self, id: &str, request: &Request) -> Reply {
        if !self.users.iter().any(|user| has_id(user, id)) {
            return refusal(404);
        }
        let by = request.query("sort_by").unwrap_or("id");
        let text = |ticket: &Value| ticket.get(by).map(Value::to_string);
        let mut tickets: Vec<&Value> = self.tickets.iter().filter(|ticket| is(ticket, "requester_id", id)).collect();
        tickets.sort_by_key(|ticket| text(ticket));
        if request.query("sort_order") == Some("desc") {
            tickets.reverse();
        }
        list("tickets", tickets.into_iter(), request)
    }
}

/// A bearer, or an API token with its agent's address.
fn authorized(request: &Request) -> bool {
    let basic = request.basic().is_some_and(|(user, password)| {
        let agent = user.strip_suffix("/token");
        password == Vendor::Zendesk.token() && AGENTS.iter().any(|known| Some(known.email) == agent)
    });
    basic || request.authorized(Vendor::Zendesk)
}

/// `property:value`, `property:*ending`, or a word.
struct Term {
    property: Option<String>,
    star: bool,
    value: String,
}

/// Quotes keep blanks together; a backslash in them takes the next sign as it is.
fn terms(query: &str) -> Vec<Term> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    let mut chars = query.chars();
    while let Some(c) = chars.next() {
        let next = match c {
            '"' => {
                quoted = !quoted;
                None
            }
            '\\' if quoted => chars.next(),
            ' ' if !quoted => {
                words.push(String::new());
                None
            }
            c => Some(c),
        };
        if let (Some(c), Some(word)) = (next, words.last_mut()) {
            word.extend(c.to_lowercase());
        }
    }
    let term = |word: String| {
        let (property, value) = match word.split_once(':') {
            Some((property, value)) => (Some(property.to_owned()), value.to_owned()),
            None => (None, word),
        };
        Term { property, star: value.starts_with('*'), value: value.trim_start_matches('*').to_owned() }
    };
    words.into_iter().filter(|word| !word.is_empty()).map(term).collect()
}

impl Term {
    fn fits(&self, user: &Value) -> bool {
        let text = |name: &str| user.get(name).and_then(Value::as_str).unwrap_or("").to_lowercase();
        let has = |name: &str| match name {
            // An extension is a word of its own, and signs are skipped.
            "phone" => {
                let number = digits(text(name).split('x').next().unwrap_or(""));
                let wanted = digits(&self.value);
                !wanted.is_empty() && if self.star { number.ends_with(&wanted) } else { number == wanted }
            }
            "name" => text(name).split_whitespace().any(|word| word == self.value),
            _ => text(name) == self.value,
        };
        match self.property.as_deref() {
            Some(name @ ("phone" | "email" | "name" | "role")) => has(name),
            Some(_) => false,
            None => ["name", "email", "phone"].into_iter().any(has),
        }
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

fn user(person: &Person, now: Timestamp) -> Value {
    let numbers = person.numbers(Vendor::Zendesk);
    let phone = if numbers.phone.is_empty() { numbers.mobile } else { numbers.phone };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let organization = person.company.map(|index| FIRST_ORGANIZATION + index);
    json!({
        "id": FIRST_USER + person.key as usize,
        "url": format!("https://example.zendesk.com/api/v2/users/{}.json", FIRST_USER + person.key as usize),
        "name": person.name(),
        "email": some(person.email),
        "phone": phone,
        "shared_phone_number": Value::Null,
        "locale": "en-US",
        "locale_id": 1,
        "time_zone": "Pacific Time (US & Canada)",
        "organization_id": organization,
        "role": "end-user",
        "active": true,
        "verified": true,
        "suspended": false,
        "tags": if person.vip { vec!["vip"] } else { vec![] },
        "created_at": text(now, -700),
        // Touched this morning, by an import: the trap for whoever takes it for the last contact.
        "updated_at": text(now, 0),
        "last_login_at": person.last_contact.map(|days| text(now, -days)),
        "external_id": some(person.customer_id),
    })
}

fn agent(index: usize, now: Timestamp) -> Option<Value> {
    let agent = AGENTS.get(index)?;
    Some(json!({
        "id": FIRST_AGENT + index,
        "url": format!("https://example.zendesk.com/api/v2/users/{}.json", FIRST_AGENT + index),
        "name": format!("{} {}", agent.first, agent.last),
        "email": agent.email,
        "phone": Value::Null,
        "role": "agent",
        "active": true,
        "tags": [],
        "created_at": text(now, -900),
        "updated_at": text(now, 0),
    }))
}

fn organization(index: usize, now: Timestamp) -> Option<Value> {
    let company = COMPANIES.get(index)?;
    Some(json!({
        "id": FIRST_ORGANIZATION + index,
        "url": format!("https://example.zendesk.com/api/v2/organizations/{}.json", FIRST_ORGANIZATION + index),
        "name": company.name,
        "domain_names": [company.domain],
        "tags": [],
        "created_at": text(now, -700),
        "updated_at": text(now, -50),
    }))
}

fn tickets(person: &Person, now: Timestamp) -> Vec<Value> {
    let one = |(n, ticket): (usize, &world::Ticket)| {
        let id = FIRST_TICKET + person.key as usize * 10 + n;
        json!({
            "id": id,
            "url": format!("https://example.zendesk.com/api/v2/tickets/{id}.json"),
            "type": "question",
            "subject": ticket.subject,
            "status": if ticket.closed { "closed" } else { "open" },
            "priority": ticket.priority.to_lowercase(),
            "requester_id": FIRST_USER + person.key as usize,
            "assignee_id": person.owner.map(|index| FIRST_AGENT + index),
            "tags": [],
            "created_at": text(now, -ticket.updated - 1),
            "updated_at": text(now, -ticket.updated),
        })
    };
    person.tickets.iter().enumerate().map(one).collect()
}

fn has_id(object: &Value, id: &str) -> bool {
    is(object, "id", id)
}

fn is(object: &Value, member: &str, id: &str) -> bool {
    id.parse().is_ok_and(|id: u64| object.get(member).and_then(Value::as_u64) == Some(id))
}

fn found(name: &str, object: Option<&Value>) -> Reply {
    object.map_or_else(|| refusal(404), |object| Reply::json(200, &json!({ name: object })))
}

fn list<'v>(name: &str, objects: impl Iterator<Item = &'v Value>, request: &Request) -> Reply {
    let per_page = request.query("per_page").map_or(Some(PER_PAGE_MAX), |n| n.parse().ok());
    let Some(per_page) = per_page.filter(|n| (1..=PER_PAGE_MAX).contains(n)) else { return refusal(422) };
    let all: Vec<&Value> = objects.collect();
    let next = (all.len() > per_page).then(|| format!("https://example.zendesk.com{}?page=2", request.path()));
    let page: Vec<&Value> = all.iter().take(per_page).copied().collect();
    Reply::json(200, &json!({ name: page, "next_page": next, "previous_page": Value::Null, "count": all.len() }))
}

/// How Zendesk words a refusal.
fn refusal(status: u16) -> Reply {
    let body = match status {
        401 => json!({ "error": "Couldn't authenticate you" }),
        403 => json!({ "error": { "title": "Forbidden", "message": "You do not have access to this page." } }),
        404 => json!({ "error": "RecordNotFound", "description": "Not found" }),
        422 => json!({ "error": "RecordInvalid", "description": "Record validation errors", "details": {} }),
        429 => json!({
            "error": "APIRateLimitExceeded",
            "description": "Number of allowed API requests per minute exceeded",
        }),
        503 => json!({ "error": "unavailable", "description": "Sorry, we could not complete your search query." }),
        _ => json!({ "error": "InternalError", "description": "Something went wrong." }),
    };
    Reply::json(status, &body)
}

/// `2026-11-02T16:40:10Z`
fn text(now: Timestamp, days: i32) -> String {
    world::day(now, days).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
