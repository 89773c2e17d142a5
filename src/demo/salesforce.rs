//! The stand-in for Salesforce's REST API: queries, parameterized search and the list of versions,
//! over one organization made of the invented people. Times have offsets without a colon, phones are
//! kept as typed, as there.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Vendor;
use super::soql::{self, Org, Record, SoqlError, Table, fields_of};
use super::standin::{Reply, Request, Standin};
use super::world::{self, AGENTS, COMPANIES, PEOPLE, Person, STRANGER};

/// The version whose addresses the records carry; others from 41 on are served alike.
const VERSION: &str = "v68.0";
const OLDEST: u32 = 31;
const NEWEST: u32 = 68;

const PHONES: &[&str] = &["Phone", "MobilePhone", "HomePhone", "OtherPhone"];

pub struct Salesforce {
    org: Org,
    stranger: Record,
    /// Requests counted against the daily allocation.
    used: AtomicU64,
}

impl Standin for Salesforce {
    fn new(now: Timestamp) -> Self {
        Self { org: org(now), stranger: contact(&STRANGER, now), used: AtomicU64::new(0) }
    }

    fn answer(&self, request: &Request, stranger: bool) -> Reply {
        let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let rest = match path.as_slice() {
            ["services", "data"] => return Reply::json(200, &versions()),
            ["services", "data", version, rest @ ..] => match number(version) {
                Some(OLDEST..=NEWEST) => rest,
                Some(n) if n < OLDEST => return refusal(410),
                _ => return refusal(404),
            },
            _ => return refusal(404),
        };
        if !request.authorized(Vendor::Salesforce) {
            return refusal(401);
        }
        let used = self.used.fetch_add(1, Ordering::Relaxed) + 1;
        let reply = match (request.method.as_str(), rest) {
            ("GET", ["query"]) => self.query(request.query("q"), stranger),
            ("POST", ["parameterizedSearch"]) => match request.json() {
                Some(body) => self.search(&body, stranger),
                None => errors(
                    400,
                    "JSON_PARSER_ERROR",
                    "The HTTP entity body is required, but this request has no entity body.",
                ),
            },
            _ => refusal(404),
        };
        reply.with("sforce-limit-info", format!("api-usage={used}/100000"))
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

impl Salesforce {
    fn query(&self, text: Option<&str>, stranger: bool) -> Reply {
        let Some(text) = text else {
            return errors(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null");
        };
        let answer = soql::parse(text).and_then(|query| {
            let mut records = self.org.run(&query)?;
            if stranger && query.is_from("Contact") {
                records.insert(0, self.org.one(&query, &self.stranger)?);
            }
            Ok(records)
        });
        match answer {
            Ok(records) => Reply::json(200, &json!({ "totalSize": records.len(), "done": true, "records": records })),
            Err(SoqlError { code, message }) => errors(400, code, &message),
        }
    }

    /// The search index skips punctuation in phones and finds a number by its last digits.
    fn search(&self, body: &Value, stranger: bool) -> Reply {
        let wanted = body.get("q").and_then(Value::as_str).unwrap_or("");
        if wanted.chars().count() < 2 {
            return errors(400, "INVALID_SEARCH", "search term must be longer than one character");
        }
        let scope = body.get("in").and_then(Value::as_str).unwrap_or("ALL");
        let sobjects = body.get("sobjects").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut found = Vec::new();
        for sobject in sobjects {
            let name = sobject.get("name").and_then(Value::as_str).unwrap_or("");
            let Some(table) = self.org.tables.iter().find(|t| t.name.eq_ignore_ascii_case(name)) else {
                return errors(400, "INVALID_TYPE", &format!("sObject type '{name}' is not supported."));
            };
            let fields: Vec<&str> = match sobject.get("fields").and_then(Value::as_array) {
                Some(fields) => fields.iter().filter_map(Value::as_str).collect(),
                None => vec!["Id"],
            };
            let limit = sobject.get("limit").and_then(Value::as_u64).map_or(usize::MAX, |n| n as usize);
            let wrong = (stranger && table.name == "Contact").then_some(&self.stranger);
            let hits = table.records.iter().filter(|r| mentions(r, wanted, scope)).take(limit);
            for record in wrong.into_iter().chain(hits) {
                match fields_of(&self.org, table, record, &fields) {
                    Ok(record) => found.push(record),
                    Err(SoqlError { code, message }) => return errors(400, code, &message),
                }
            }
        }
        let limit = body.get("overallLimit").and_then(Value::as_u64).map_or(2000, |n| n as usize);
        found.truncate(limit);
        Reply::json(200, &json!({ "searchRecords": found }))
    }
}

fn mentions(record: &Record, wanted: &str, scope: &str) -> bool {
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or("").to_lowercase();
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let number = digits(wanted);
    let phone = |name: &&str| {
        let typed = text(name);
        // An extension is a word of its own.
        let main = typed.split(['x', ';']).next().unwrap_or("");
        number.len() >= 4 && digits(main).ends_with(&number)
    };
    let wanted = wanted.to_lowercase();
    let by_phone = PHONES.iter().any(phone);
    let by_name = text("Name").contains(&wanted);
    let by_email = text("Email").contains(&wanted);
    match scope {
        "PHONE" => by_phone,
        "NAME" => by_name,
        "EMAIL" => by_email,
        _ => by_phone || by_name || by_email,
    }
}

fn number(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.strip_suffix(".0")?.parse().ok()
}

fn versions() -> Value {
    let one = |n: u32| {
        let season = match n % 3 {
            0 => "Spring",
            1 => "Summer",
            _ => "Winter",
        };
        // v66.0 is Spring '26, v68.0 Winter '27.
        let label = format!("{season} '{}", 4 + (n + 1) / 3);
        json!({ "label": label, "url": format!("/services/data/v{n}.0"), "version": format!("{n}.0") })
    };
    (OLDEST..=NEWEST).map(one).collect()
}

/// How Salesforce words a refusal.
fn refusal(status: u16) -> Reply {
    match status {
        401 => errors(401, "INVALID_SESSION_ID", "Session expired or invalid"),
        404 => errors(404, "NOT_FOUND", "The requested resource does not exist"),
        410 => errors(410, "GONE", "The requested API version was retired"),
        // Salesforce has no 429: the used-up allocation is a 403.
        429 => errors(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
        503 => errors(503, "SERVER_UNAVAILABLE", "The server is too busy right now"),
        status => errors(status, "UNKNOWN_EXCEPTION", "An unexpected error occurred."),
    }
}

fn errors(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!([{ "message": message, "errorCode": code }]))
}

fn org(now: Timestamp) -> Org {
    let people = || PEOPLE.iter().filter(|p| p.numbers(Vendor::Salesforce).kept());
    let contacts = || people().filter(|p| !p.lead);
    let deals = contacts().flat_map(|p| p.deals.iter().enumerate().map(move |(n, d)| opportunity(p, n, d, now)));
    let cases = contacts().flat_map(|p| p.tickets.iter().enumerate().map(move |(n, t)| case(p, n, t, now)));
    let tables = vec![
        Table {
            name: "Contact",
            fields: &[
                "Id",
                "Name",
                "FirstName",
                "LastName",
                "Title",
                "Email",
                "Phone",
                "MobilePhone",
                "HomePhone",
                "OtherPhone",
                "AccountId",
                "OwnerId",
                "LastActivityDate",
                "CreatedDate",
                "LastModifiedDate",
            ],
            parents: &[("Account", "AccountId", "Account"), ("Owner", "OwnerId", "User")],
            children: &[("Cases", "Case", "ContactId"), ("Tasks", "Task", "WhoId"), ("Events", "Event", "WhoId")],
            records: contacts().map(|p| contact(p, now)).collect(),
        },
        Table {
            name: "Lead",
            fields: &[
                "Id",
                "Name",
                "FirstName",
                "LastName",
                "Title",
                "Email",
                "Phone",
                "MobilePhone",
                "Company",
                "NumberOfEmployees",
                "IsConverted",
                "Status",
                "OwnerId",
                "LastActivityDate",
                "CreatedDate",
                "LastModifiedDate",
            ],
            parents: &[("Owner", "OwnerId", "User")],
            children: &[],
            records: people().filter(|p| p.lead).map(|p| lead(p, now)).collect(),
        },
        Table {
            name: "Account",
            fields: &["Id", "Name", "Website", "NumberOfEmployees", "OwnerId", "LastModifiedDate"],
            parents: &[("Owner", "OwnerId", "User")],
            children: &[
                ("Contacts", "Contact", "AccountId"),
                ("Opportunities", "Opportunity", "AccountId"),
                ("Cases", "Case", "AccountId"),
            ],
            records: (0..COMPANIES.len()).filter_map(|i| account(i, now)).collect(),
        },
        Table {
            name: "Opportunity",
            fields: &[
                "Id",
                "Name",
                "StageName",
                "Amount",
                "CloseDate",
                "IsClosed",
                "IsWon",
                "AccountId",
                "OwnerId",
                "LastModifiedDate",
            ],
            parents: &[("Account", "AccountId", "Account"), ("Owner", "OwnerId", "User")],
            children: &[],
            records: deals.collect(),
        },
        Table {
            name: "Case",
            fields: &[
                "Id",
                "CaseNumber",
                "Subject",
                "Status",
                "Priority",
                "IsClosed",
                "ContactId",
                "AccountId",
                "CreatedDate",
                "LastModifiedDate",
            ],
            parents: &[("Contact", "ContactId", "Contact"), ("Account", "AccountId", "Account")],
            children: &[],
            records: cases.collect(),
        },
        Table {
            name: "Task",
            fields: &[
                "Id",
                "Subject",
                "Status",
                "TaskSubtype",
                "ActivityDate",
                "CompletedDateTime",
                "WhoId",
                "OwnerId",
            ],
            parents: &[("Owner", "OwnerId", "User")],
            children: &[],
            records: contacts().filter_map(|p| call(p, now)).collect(),
        },
        Table {
            name: "Event",
            fields: &["Id", "Subject", "StartDateTime", "EndDateTime", "ActivityDate", "WhoId", "OwnerId"],
            parents: &[("Owner", "OwnerId", "User")],
            children: &[],
            records: Vec::new(),
        },
        Table {
            name: "User",
            fields: &["Id", "Name", "FirstName", "LastName", "Email"],
            parents: &[],
            children: &[],
            records: (0..AGENTS.len()).filter_map(user).collect(),
        },
    ];
    Org { tables, version: VERSION }
}

fn contact(person: &Person, now: Timestamp) -> Record {
    let numbers = person.numbers(Vendor::Salesforce);
    record(json!({
        "Id": id("003", person.key as usize),
        "Name": person.name(),
        "FirstName": some(person.first),
        "LastName": person.last,
        "Title": some(person.title),
        "Email": some(person.email),
        "Phone": some(numbers.phone),
        "MobilePhone": some(numbers.mobile),
        "AccountId": person.company.map(|i| id("001", i)),
        "OwnerId": person.owner.map(|i| id("005", i)),
        "LastActivityDate": person.last_contact.map(|d| date(now, -d)),
        "CreatedDate": time(now, -700),
        // Touched this morning, by an import: the trap for whoever takes it for the last contact.
        "LastModifiedDate": time(now, 0),
    }))
}

fn lead(person: &Person, now: Timestamp) -> Record {
    let mut lead = contact(person, now);
    lead.insert("Id".into(), id("00Q", person.key as usize).into());
    lead.insert("Company".into(), person.company().map(|c| c.name).unwrap_or("[not provided]").into());
    lead.insert("NumberOfEmployees".into(), person.company().map(|c| c.employees).into());
    lead.insert("IsConverted".into(), false.into());
    lead.insert("Status".into(), "Open - Not Contacted".into());
    lead
}

fn account(index: usize, now: Timestamp) -> Option<Record> {
    let company = COMPANIES.get(index)?;
    Some(record(json!({
        "Id": id("001", index),
        "Name": company.name,
        "Website": format!("https://www.{}", company.domain),
        "NumberOfEmployees": company.employees,
        "LastModifiedDate": time(now, -50),
    })))
}

fn opportunity(person: &Person, n: usize, deal: &world::Deal, now: Timestamp) -> Record {
    record(json!({
        "Id": id("006", person.key as usize * 10 + n),
        "Name": deal.name,
        "StageName": deal.stage_name,
        "Amount": deal.amount.parse::<f64>().ok(),
        "CloseDate": date(now, deal.closes_in),
        "IsClosed": deal.stage_name.starts_with("Closed"),
        "IsWon": deal.stage_name == "Closed Won",
        "AccountId": person.company.map(|i| id("001", i)),
        "OwnerId": person.owner.map(|i| id("005", i)),
        "LastModifiedDate": time(now, -19),
    }))
}

fn case(person: &Person, n: usize, ticket: &world::Ticket, now: Timestamp) -> Record {
    let mut priority = ticket.priority.to_lowercase();
    if let Some(first) = priority.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    record(json!({
        "Id": id("500", person.key as usize * 10 + n),
        "CaseNumber": format!("{:08}", 1_000 + person.key as usize * 10 + n),
        "Subject": ticket.subject,
        "Status": if ticket.closed { "Closed" } else { "New" },
        "Priority": priority,
        "IsClosed": ticket.closed,
        "ContactId": id("003", person.key as usize),
        "AccountId": person.company.map(|i| id("001", i)),
        "CreatedDate": time(now, -ticket.updated - 1),
        "LastModifiedDate": time(now, -ticket.updated),
    }))
}

/// The last contact, as the finished task it is counted from.
fn call(person: &Person, now: Timestamp) -> Option<Record> {
    let days = person.last_contact?;
    Some(record(json!({
        "Id": id("00T", person.key as usize),
        "Subject": "Call",
        "Status": "Completed",
        "TaskSubtype": "Call",
        "ActivityDate": date(now, -days),
        "CompletedDateTime": time(now, -days),
        "WhoId": id("003", person.key as usize),
        "OwnerId": person.owner.map(|i| id("005", i)),
    })))
}

fn user(index: usize) -> Option<Record> {
    let agent = AGENTS.get(index)?;
    Some(record(json!({
        "Id": id("005", index),
        "Name": format!("{} {}", agent.first, agent.last),
        "FirstName": agent.first,
        "LastName": agent.last,
        "Email": agent.email,
    })))
}

fn record(value: Value) -> Record {
    match value {
        Value::Object(members) => members,
        _ => Record::new(),
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// An id of 18 characters: the prefix of its type, and a suffix as for letters that are all digits.
fn id(prefix: &str, n: usize) -> String {
    format!("{prefix}D00000{n:06}AAA")
}

fn date(now: Timestamp, days: i32) -> String {
    world::day(now, days).strftime("%Y-%m-%d").to_string()
}

/// `2026-11-02T16:40:10.000+0000`
fn time(now: Timestamp, days: i32) -> String {
    world::day(now, days).strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
