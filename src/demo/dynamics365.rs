//! The stand-in for Dynamics 365: contacts, leads, opportunities, incidents and phone calls of the
//! Dataverse Web API, by filter; a contact by id. Columns are compared as typed, but for capitals.

mod filter;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{self, AGENTS, PEOPLE, Person, STRANGER};

const FORMATTED: &str = "OData.Community.Display.V1.FormattedValue";

/// An organization: rows of each table.
pub struct Dynamics365 {
    contacts: Vec<Value>,
    leads: Vec<Value>,
    opportunities: Vec<Value>,
    incidents: Vec<Value>,
    phonecalls: Vec<Value>,
    stranger: Value,
}

impl Standin for Dynamics365 {
    fn new(now: Timestamp) -> Self {
        let people = || PEOPLE.iter().filter(|p| p.numbers(Vendor::Dynamics365).kept());
        Self {
            contacts: people().filter(|person| !person.lead).map(|person| contact(person, now)).collect(),
            leads: people().filter(|person| person.lead).map(|person| lead(person, now)).collect(),
            opportunities: people().flat_map(|person| opportunities(person, now)).collect(),
            incidents: people().flat_map(|person| incidents(person, now)).collect(),
            phonecalls: people().flat_map(|person| phonecalls(person, now)).collect(),
            stranger: contact(&STRANGER, now),
        }
    }

    fn answer(&self, request: &Request, stranger: bool) -> Reply {
        if !request.authorized(Vendor::Dynamics365) {
            return refusal(401);
        }
        let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let ("GET", ["api", "data", "v9.2", set]) = (request.method.as_str(), path.as_slice()) else {
            return refusal(404);
        };
        let (rows, wrong) = match *set {
            "contacts" => (&self.contacts, stranger.then_some(&self.stranger)),
            "leads" => (&self.leads, None),
            "opportunities" => (&self.opportunities, None),
            "incidents" => (&self.incidents, None),
            "phonecalls" => (&self.phonecalls, None),
            set => {
                let id = set.strip_prefix("contacts(").and_then(|rest| rest.strip_suffix(')'));
                let row = id.and_then(|id| self.contacts.iter().find(|row| text(row, "contactid") == id));
                let Some(row) = row else { return refusal(404) };
                return told(row, request).map_or_else(|| refusal(400), |row| Reply::json(200, &row));
            }
        };
        listed(set, rows, wrong, request).unwrap_or_else(|| refusal(400))
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

/// The rows that fit, in order; `None` = something is asked that the table lacks.
fn listed(set: &str, rows: &[Value], wrong: Option<&Value>, request: &Request) -> Option<Reply> {
    let filter = filter::parse(request.query("$filter")?)?;
    let top = request.query("$top").map_or(Some(5000), |top| top.parse().ok()).filter(|n| (1..=5000).contains(n))?;
    let mut found = Vec::new();
    for row in rows {
        if filter.fits(row)? {
            found.push(row);
        }
    }
    if let Some(order) = request.query("$orderby") {
        let (column, descending) =
            order.split_once(' ').map_or((order, false), |(column, way)| (column, way == "desc"));
        if rows.iter().any(|row| row.get(column).is_none()) {
            return None;
        }
        found.sort_by_key(|row| text(row, column));
        if descending {
            found.reverse();
        }
    }
    let found = wrong.into_iter().chain(found).take(top);
    let value = found.map(|row| told(row, request)).collect::<Option<Vec<_>>>()?;
    let context = format!("https://example.api.crm.dynamics.com/api/data/v9.2/$metadata#{set}");
    Some(Reply::json(200, &json!({ "@odata.context": context, "value": value })).with("odata-version", "4.0"))
}

/// The columns asked for, what stands behind them where that is wanted, and rows of other tables.
fn told(row: &Value, request: &Request) -> Option<Value> {
    let annotated = request.header("prefer").is_some_and(|prefer| prefer.contains(FORMATTED));
    let mut out = Map::from_iter([("@odata.etag".to_owned(), json!("W/\"81359849\""))]);
    for column in request.query("$select")?.split(',') {
        let value = row.get(column).filter(|value| !value.is_object())?;
        out.insert(column.to_owned(), value.clone());
        let formatted = format!("{column}@{FORMATTED}");
        if let Some(value) = row.get(&formatted).filter(|_| annotated) {
            out.insert(formatted, value.clone());
        }
    }
    // Only columns may be asked of a row behind: `a($select=b,c),d($select=e)`.
    for part in request.query("$expand").into_iter().flat_map(|expand| expand.split("),")) {
        let (property, select) = part.trim_end_matches(')').split_once("($select=")?;
        let behind = row.get(property)?;
        let columns = select.split(',').map(|column| Some((column.to_owned(), behind.get(column)?.clone())));
        let behind = behind.is_object().then(|| columns.collect::<Option<Map<_, _>>>());
        out.insert(property.to_owned(), behind.map_or(Some(Value::Null), |row| row.map(Value::Object))?);
    }
    Some(out.into())
}

fn text<'v>(row: &'v Value, column: &str) -> &'v str {
    row.get(column).and_then(Value::as_str).unwrap_or("")
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Ids of tables differ in their first part.
fn id(table: u32, number: u32) -> String {
    format!("{table:08x}-0f9f-e711-8122-{number:012x}")
}

fn contact_id(person: &Person) -> String {
    id(1, person.key)
}

fn contact(person: &Person, now: Timestamp) -> Value {
    let numbers = person.numbers(Vendor::Dynamics365);
    let account =
        person.company().map(|company| json!({ "name": company.name, "numberofemployees": company.employees }));
    let owner = person.owner.and_then(|index| AGENTS.get(index)).map(
        |agent| json!({ "fullname": format!("{} {}", agent.first, agent.last), "internalemailaddress": agent.email }),
    );
    json!({
        "contactid": contact_id(person),
        "statecode": 0,
        "fullname": person.name(),
        "firstname": some(person.first),
        "lastname": some(person.last),
        "jobtitle": some(person.title),
        "telephone1": some(numbers.phone),
        "telephone2": null,
        "telephone3": null,
        "mobilephone": some(numbers.mobile),
        "business2": null,
        "home2": null,
        "emailaddress1": some(person.email),
        "emailaddress2": null,
        "emailaddress3": null,
        "parentcustomerid_account": account,
        "owninguser": owner,
        "createdon": at(now, -700),
        // Touched this morning, by an import: the trap for whoever takes it for the last contact.
        "modifiedon": at(now, 0),
    })
}

fn lead(person: &Person, now: Timestamp) -> Value {
    let numbers = person.numbers(Vendor::Dynamics365);
    let company = person.company();
    json!({
        "leadid": id(2, person.key),
        "statecode": 0,
        "fullname": person.name(),
        "firstname": some(person.first),
        "lastname": some(person.last),
        "jobtitle": some(person.title),
        "telephone1": some(numbers.phone),
        "telephone2": null,
        "mobilephone": some(numbers.mobile),
        "emailaddress1": some(person.email),
        "companyname": company.map(|company| company.name),
        "numberofemployees": company.map(|company| company.employees),
        "createdon": at(now, -70),
        "modifiedon": at(now, 0),
    })
}

fn opportunities(person: &Person, now: Timestamp) -> Vec<Value> {
    let one = |(n, deal): (u32, &world::Deal)| {
        json!({
            "opportunityid": id(3, person.key * 10 + n),
            "statecode": if deal.closed() { 1 } else { 0 },
            "name": deal.name,
            "stepname": deal.stage_name,
            "estimatedvalue": deal.amount.parse::<f64>().ok(),
            "estimatedclosedate": world::day(now, deal.closes_in).strftime("%Y-%m-%d").to_string(),
            "transactioncurrencyid": { "isocurrencycode": "USD" },
            "_customerid_value": contact_id(person),
            "_parentcontactid_value": null,
            "modifiedon": at(now, 0),
        })
    };
    (0..).zip(person.deals).map(one).collect()
}

fn incidents(person: &Person, now: Timestamp) -> Vec<Value> {
    let one = |(n, ticket): (u32, &world::Ticket)| {
        let mut row = json!({
            "incidentid": id(4, person.key * 10 + n),
            "ticketnumber": format!("CAS-{:05}-X1Y2Z3", person.key * 10 + n),
            "title": ticket.subject,
            "statecode": if ticket.closed { 1 } else { 0 },
            "statuscode": if ticket.closed { 5 } else { 1 },
            "prioritycode": if ticket.priority == "HIGH" { 1 } else { 3 },
            "_customerid_value": contact_id(person),
            "_primarycontactid_value": null,
            "modifiedon": at(now, -ticket.updated),
        });
        if let Some(row) = row.as_object_mut() {
            let status = if ticket.closed { "Problem Solved" } else { "In Progress" };
            row.insert(format!("statuscode@{FORMATTED}"), status.into());
            let priority = if ticket.priority == "HIGH" { "High" } else { "Low" };
            row.insert(format!("prioritycode@{FORMATTED}"), priority.into());
        }
        row
    };
    (0..).zip(person.tickets).map(one).collect()
}

/// The last talk, a call that was cancelled after it, and one to come.
fn phonecalls(person: &Person, now: Timestamp) -> Vec<Value> {
    let Some(days) = person.last_contact else { return Vec::new() };
    let one = |(n, (state, days)): (u32, (u32, Option<i32>))| {
        json!({
            "activityid": id(5, person.key * 10 + n),
            "statecode": state,
            "actualend": days.map(|days| at(now, days)),
            "_regardingobjectid_value": contact_id(person),
            "modifiedon": at(now, 0),
        })
    };
    (0..).zip([(1, Some(-days)), (2, Some(1 - days)), (0, None)]).map(one).collect()
}

/// How Dataverse words a refusal. To a wrong token it says nothing.
fn refusal(status: u16) -> Reply {
    let (code, message) = match status {
        400 => ("0x80060888", "There is an error in the query."),
        401 => {
            let empty = Reply { body: Default::default(), headers: Vec::new(), ..Reply::json(401, &Value::Null) };
            return empty.with("www-authenticate", "Bearer authorization_uri=https://login.microsoftonline.com/common");
        }
        403 => ("0x80040220", "Principal user is missing prvReadContact privilege"),
        404 => ("0x80040217", "contact With Id = 00000000-0000-0000-0000-000000000009 Does Not Exist"),
        429 => ("0x80072322", "Number of requests exceeded the limit of 6000 over time window of 300 seconds."),
        _ => ("0x80040216", "An unexpected error occurred."),
    };
    Reply::json(status, &json!({ "error": { "code": code, "message": message } }))
}

/// `2026-11-02T16:40:10Z`
fn at(now: Timestamp, days: i32) -> String {
    world::day(now, days).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
