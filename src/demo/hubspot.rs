//! The stand-in for HubSpot's CRM API, versions 2026-03 and 2026-09: objects by id and by e-mail,
//! batch reads, associations, owners and pipelines; searching is in `search`. Properties are texts or
//! null, as there.

mod search;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rlibphonenumber::{PHONE_NUMBER_UTIL, Region};
use serde_json::{Map, Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{self, AGENTS, COMPANIES, PEOPLE, Person, STRANGER};

const TYPES: [&str; 4] = ["contacts", "companies", "deals", "tickets"];
const FIRST_CONTACT: u32 = 33_450;
const FIRST_COMPANY: usize = 9051;
const FIRST_OWNER: usize = 64_492_917;
const CORRELATION_ID: &str = "aeb5f871-7f07-4993-9211-075dc63e7cbf";

/// All objects of one account.
pub struct Hubspot {
    objects: BTreeMap<&'static str, Vec<Object>>,
    stranger: Object,
    now: Timestamp,
}

struct Object {
    id: String,
    properties: BTreeMap<&'static str, Option<String>>,
    /// Object type -> ids.
    associations: BTreeMap<&'static str, Vec<String>>,
    created: String,
    updated: String,
}

impl Standin for Hubspot {
    fn new(now: Timestamp) -> Self {
        let people = || PEOPLE.iter().filter(|p| p.numbers(Vendor::Hubspot).kept());
        let companies = COMPANIES.iter().enumerate().map(|(i, _)| company(i, now));
        let objects = BTreeMap::from([
            ("contacts", people().map(|p| contact(p, now)).collect()),
            ("companies", companies.collect()),
            ("deals", people().flat_map(|p| deals(p, now)).collect()),
            ("tickets", people().flat_map(|p| tickets(p, now)).collect()),
        ]);
        Self { objects, stranger: contact(&STRANGER, now), now }
    }

    fn answer(&self, request: &Request, stranger: bool) -> Reply {
        if !request.authorized(Vendor::Hubspot) {
            return refusal(401);
        }
        let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let version = match path.as_slice() {
            ["crm", "objects" | "associations" | "owners" | "pipelines", version, ..] => *version,
            _ => "",
        };
        if !matches!(version, "2026-09" | "2026-03") {
            return no_route();
        }
        if request.method == "POST" && !request.is_json() {
            return refusal(415);
        }
        let reply = match (request.method.as_str(), path.get(1), path.get(3..).unwrap_or_default()) {
            // Search answers carry no rate-limit headers.
            ("POST", Some(&"objects"), [kind, "search"]) if TYPES.contains(kind) => {
                return self.search(kind, request, stranger);
            }
            ("POST", Some(&"objects"), [kind, "batch", "read"]) if TYPES.contains(kind) => {
                self.batch_read(kind, request)
            }
            ("GET", Some(&"objects"), [kind, id]) if TYPES.contains(kind) => self.read(kind, id, request, stranger),
            ("POST", Some(&"associations"), [from, to, "batch", "read"]) => self.read_associations(from, to, request),
            ("GET", Some(&"owners"), []) => owners(request),
            ("GET", Some(&"owners"), [id]) => owner(id),
            ("GET", Some(&"pipelines"), ["deals" | "0-3"]) => Reply::json(200, &deal_pipelines()),
            ("GET", Some(&"pipelines"), ["tickets" | "0-5"]) => Reply::json(200, &ticket_pipelines()),
            _ => return no_route(),
        };
        reply
            .with("x-hubspot-ratelimit-interval-milliseconds", "10000")
            .with("x-hubspot-ratelimit-max", "190")
            .with("x-hubspot-ratelimit-remaining", "189")
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

impl Hubspot {
    fn of(&self, kind: &str) -> &[Object] {
        self.objects.get(kind).map_or(&[], Vec::as_slice)
    }

    fn find(&self, kind: &str, property: &str, value: &str) -> Option<&Object> {
        self.of(kind).iter().find(|o| o.get(property).is_some_and(|v| v.eq_ignore_ascii_case(value)))
    }

    /// The names that some object of the type has a value or a null for.
    fn defined(&self, kind: &str) -> BTreeSet<&'static str> {
        self.of(kind).iter().flat_map(|o| o.properties.keys().copied()).collect()
    }

    fn read(&self, kind: &str, id: &str, request: &Request, stranger: bool) -> Reply {
        let found = match stranger && kind == "contacts" {
            true => Some(&self.stranger),
            false => self.find(kind, request.query("idProperty").unwrap_or("hs_object_id"), id),
        };
        let Some(object) = found else { return refusal(404) };
        let wanted = request.query("properties").map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>());
        let mut answer = self.json(kind, object, wanted.as_deref());
        let Some(asked) = request.query("associations") else { return Reply::json(200, &answer) };
        let mut associations = Map::new();
        for to in asked.split(',') {
            let Some((to, ids)) = object.associations.get_key_value(to) else { continue };
            let name = format!("{}_to_{}", singular(kind), singular(to));
            let one = |id: &String| match *to {
                "companies" => {
                    vec![json!({ "id": id, "type": name }), json!({ "id": id, "type": format!("{name}_unlabeled") })]
                }
                _ => vec![json!({ "id": id, "type": name })],
            };
            let results: Vec<Value> = ids.iter().flat_map(one).collect();
            if !results.is_empty() {
                associations.insert((*to).to_owned(), json!({ "results": results }));
            }
        }
        if let (false, Some(members)) = (associations.is_empty(), answer.as_object_mut()) {
            members.insert("associations".into(), associations.into());
        }
        Reply::json(200, &answer)
    }

    fn batch_read(&self, kind: &str, request: &Request) -> Reply {
        let Some(body) = request.json() else { return invalid("Invalid input JSON on line 1, column 1") };
        let inputs = body.get("inputs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if !(1..=100).contains(&inputs.len()) {
            return invalid("inputs must have between 1 and 100 entries");
        }
        let wanted = texts(body.get("properties"));
        let by = body.get("idProperty").and_then(Value::as_str).unwrap_or("hs_object_id");
        let (mut results, mut missing) = (Vec::new(), Vec::new());
        for id in inputs.iter().filter_map(|i| i.get("id").and_then(Value::as_str)) {
            match self.find(kind, by, id) {
                Some(object) => results.push(self.json(kind, object, wanted.as_deref())),
                None => missing.push(id),
            }
        }
        let time = text(self.now);
        let mut answer = json!({ "status": "COMPLETE", "results": results, "startedAt": time, "completedAt": time });
        if missing.is_empty() {
            return Reply::json(200, &answer);
        }
        if let Some(members) = answer.as_object_mut() {
            members.insert("numErrors".into(), 1.into());
            let error = json!({ "status": "error", "category": "OBJECT_NOT_FOUND", "message": "Could not get some objects, they may be deleted or not exist.", "context": { "ids": missing } });
            members.insert("errors".into(), json!([error]));
        }
        Reply::json(207, &answer)
    }

    fn read_associations(&self, from: &str, to: &str, request: &Request) -> Reply {
        let Some(body) = request.json() else { return invalid("Invalid input JSON on line 1, column 1") };
        let inputs = body.get("inputs").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        if !(1..=1000).contains(&inputs.len()) {
            return invalid("inputs must have between 1 and 1000 entries");
        }
        let type_id = match (from, to) {
            ("contacts", "companies") => 279,
            ("contacts", "deals") => 4,
            ("contacts", "tickets") => 15,
            _ => return no_route(),
        };
        let one = |id: &str| {
            let ids = self.find(from, "hs_object_id", id)?.associations.get(to).filter(|ids| !ids.is_empty())?;
            let kind = json!([{ "category": "HUBSPOT_DEFINED", "typeId": type_id, "label": null }]);
            let to: Vec<Value> = ids.iter().map(|id| json!({ "toObjectId": id, "associationTypes": kind })).collect();
            Some(json!({ "from": { "id": id }, "to": to }))
        };
        let ids = inputs.iter().filter_map(|i| i.get("id").and_then(Value::as_str));
        let results: Vec<Value> = ids.filter_map(one).collect();
        let time = text(self.now);
        let answer = json!({ "status": "COMPLETE", "results": results, "startedAt": time, "completedAt": time });
        Reply::json(200, &answer)
    }

    /// An object with the wanted properties, or with the type's default set. Names that no object
    /// has are left out, as HubSpot does.
    fn json(&self, kind: &str, object: &Object, wanted: Option<&[String]>) -> Value {
        const ALWAYS: &[&str] = &["createdate", "lastmodifieddate", "hs_lastmodifieddate", "hs_object_id"];
        let default: &[&str] = match kind {
            "contacts" => &["firstname", "lastname", "email"],
            "companies" => &["name", "domain"],
            "deals" => &["dealname", "amount", "closedate", "pipeline", "dealstage"],
            _ => {
                &["subject", "content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_category", "hs_ticket_priority"]
            }
        };
        let asked = |name: &str| match wanted {
            Some(wanted) => wanted.iter().any(|w| w == name),
            None => default.contains(&name),
        };
        let names = self.defined(kind).into_iter().filter(|name| asked(name) || ALWAYS.contains(name));
        let properties: Map<String, Value> = names.map(|name| (name.to_owned(), json!(object.get(name)))).collect();
        json!({
            "id": object.id,
            "properties": properties,
            "createdAt": object.created,
            "updatedAt": object.updated,
            "archived": false,
        })
    }
}

impl Object {
    fn new(id: impl ToString, now: Timestamp, updated: i32, properties: &[(&'static str, Option<String>)]) -> Self {
        let id = id.to_string();
        let (created, updated) = (text(world::day(now, -700)), text(world::day(now, -updated)));
        let mut properties: BTreeMap<_, _> = properties.iter().cloned().collect();
        properties.insert("hs_object_id", Some(id.clone()));
        properties.insert("createdate", Some(created.clone()));
        Self { id, properties, associations: BTreeMap::new(), created, updated }
    }

    fn get(&self, property: &str) -> Option<&str> {
        self.properties.get(property).and_then(|v| v.as_deref())
    }
}

fn contact(person: &Person, now: Timestamp) -> Object {
    let numbers = person.numbers(Vendor::Hubspot);
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let company = person.company.map(|i| (FIRST_COMPANY + i).to_string());
    // Touched this morning, by an import: the trap for whoever takes it for the last contact.
    let mut object = Object::new(
        FIRST_CONTACT + person.key,
        now,
        0,
        &[
            ("firstname", some(person.first)),
            ("lastname", some(person.last)),
            ("email", some(person.email)),
            ("jobtitle", some(person.title)),
            ("phone", some(numbers.phone)),
            ("mobilephone", some(numbers.mobile)),
            ("hs_whatsapp_phone_number", None),
            ("hs_searchable_calculated_phone_number", searchable(numbers.phone)),
            ("hs_searchable_calculated_mobile_number", searchable(numbers.mobile)),
            ("company", person.company().map(|c| c.name.to_owned())),
            ("associatedcompanyid", company.clone()),
            ("hubspot_owner_id", person.owner.map(|i| (FIRST_OWNER + i).to_string())),
            ("notes_last_contacted", person.last_contact.map(|d| text(world::day(now, -d)))),
            ("lastmodifieddate", Some(text(now))),
            ("lifecyclestage", Some("customer".to_owned())),
            // Two properties that this account's administrator made.
            ("vip", person.vip.then(|| "true".to_owned())),
            ("customer_number", some(person.customer_id)),
        ],
    );
    let ids = |first: u32, count: usize| (0..count).map(|n| (first + n as u32).to_string()).collect();
    object.associations = BTreeMap::from([
        ("companies", company.into_iter().collect()),
        ("deals", ids(first_deal(person), person.deals.len())),
        ("tickets", ids(first_ticket(person), person.tickets.len())),
    ]);
    object
}

fn company(index: usize, now: Timestamp) -> Object {
    let company = COMPANIES.get(index);
    Object::new(
        FIRST_COMPANY + index,
        now,
        50,
        &[
            ("name", company.map(|c| c.name.to_owned())),
            ("domain", company.map(|c| c.domain.to_owned())),
            ("numberofemployees", company.map(|c| c.employees.to_string())),
            ("hs_lastmodifieddate", Some(text(world::day(now, -50)))),
        ],
    )
}

fn deals(person: &Person, now: Timestamp) -> Vec<Object> {
    let one = |(id, deal): (u32, &world::Deal)| {
        let closed = deal.stage.starts_with("closed");
        let mut object = Object::new(
            id,
            now,
            19,
            &[
                ("dealname", Some(deal.name.to_owned())),
                ("dealstage", Some(deal.stage.to_owned())),
                ("pipeline", Some("default".to_owned())),
                ("amount", Some(deal.amount.to_owned())),
                ("deal_currency_code", Some("USD".to_owned())),
                ("closedate", Some(text(world::day(now, deal.closes_in)))),
                ("hs_is_closed", Some(closed.to_string())),
                ("hs_lastmodifieddate", Some(text(world::day(now, -19)))),
            ],
        );
        object.associations.insert("contacts", vec![(FIRST_CONTACT + person.key).to_string()]);
        object
    };
    (first_deal(person)..).zip(person.deals).map(one).collect()
}

fn tickets(person: &Person, now: Timestamp) -> Vec<Object> {
    let one = |(id, ticket): (u32, &world::Ticket)| {
        let changed = text(world::day(now, -ticket.updated));
        let mut object = Object::new(
            id,
            now,
            ticket.updated,
            &[
                ("subject", Some(ticket.subject.to_owned())),
                ("content", None),
                ("hs_pipeline", Some("0".to_owned())),
                ("hs_pipeline_stage", Some(if ticket.closed { "4" } else { "1" }.to_owned())),
                ("hs_ticket_priority", Some(ticket.priority.to_owned())),
                ("hs_ticket_category", None),
                ("closed_date", ticket.closed.then(|| changed.clone())),
                ("hs_lastmodifieddate", Some(changed)),
            ],
        );
        object.associations.insert("contacts", vec![(FIRST_CONTACT + person.key).to_string()]);
        object
    };
    (first_ticket(person)..).zip(person.tickets).map(one).collect()
}

fn first_deal(person: &Person) -> u32 {
    7_700 + person.key * 10
}

fn first_ticket(person: &Person) -> u32 {
    5_500 + person.key * 10
}

/// National digits without country code, as HubSpot derives them from what was typed.
fn searchable(spelling: &str) -> Option<String> {
    let number = PHONE_NUMBER_UTIL.parse(spelling, Some(Region::US)).ok()?;
    Some(number.national_number.to_string())
}

fn singular(kind: &str) -> &str {
    match kind {
        "companies" => "company",
        kind => kind.trim_end_matches('s'),
    }
}

fn owners(request: &Request) -> Reply {
    let wanted = request.query("email");
    let all = (0..AGENTS.len()).filter_map(owner_json);
    let results: Vec<Value> =
        all.filter(|o| wanted.is_none_or(|email| o.get("email").and_then(Value::as_str) == Some(email))).collect();
    Reply::json(200, &json!({ "results": results }))
}

fn owner(id: &str) -> Reply {
    let index = id.parse::<usize>().ok().and_then(|id| id.checked_sub(FIRST_OWNER));
    index.and_then(owner_json).map_or_else(|| refusal(404), |owner| Reply::json(200, &owner))
}

fn owner_json(index: usize) -> Option<Value> {
    let agent = AGENTS.get(index)?;
    Some(json!({
        "id": (FIRST_OWNER + index).to_string(),
        "email": agent.email,
        "type": "PERSON",
        "firstName": agent.first,
        "lastName": agent.last,
        "userId": 2_620_022 + index,
        "userIdIncludingInactive": 2_620_022 + index,
        "createdAt": "2025-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z",
        "archived": false,
    }))
}

fn deal_pipelines() -> Value {
    let stages = [
        ("appointmentscheduled", "Appointment Scheduled", "0.2"),
        ("qualifiedtobuy", "Qualified To Buy", "0.4"),
        ("presentationscheduled", "Presentation Scheduled", "0.6"),
        ("decisionmakerboughtin", "Decision Maker Bought-In", "0.8"),
        ("contractsent", "Contract Sent", "0.9"),
        ("closedwon", "Closed Won", "1.0"),
        ("closedlost", "Closed Lost", "0.0"),
    ];
    let stage = |(order, (id, label, probability)): (usize, &(&str, &str, &str))| {
        let closed = id.starts_with("closed").to_string();
        json!({ "id": id, "label": label, "displayOrder": order, "archived": false,
            "metadata": { "isClosed": closed, "probability": probability } })
    };
    let stages: Vec<Value> = stages.iter().enumerate().map(stage).collect();
    let pipeline =
        json!({ "id": "default", "label": "Sales Pipeline", "displayOrder": 0, "archived": false, "stages": stages });
    json!({ "results": [pipeline] })
}

fn ticket_pipelines() -> Value {
    let stages = ["New", "Waiting on contact", "Waiting on us", "Closed"];
    let stage = |(order, label): (usize, &&str)| {
        let closed = *label == "Closed";
        json!({ "id": (order + 1).to_string(), "label": label, "displayOrder": order, "archived": false,
            "metadata": { "isClosed": closed.to_string(), "ticketState": if closed { "CLOSED" } else { "OPEN" } } })
    };
    let stages: Vec<Value> = stages.iter().enumerate().map(stage).collect();
    let pipeline =
        json!({ "id": "0", "label": "Support Pipeline", "displayOrder": 0, "archived": false, "stages": stages });
    json!({ "results": [pipeline] })
}

/// How HubSpot words a refusal.
fn refusal(status: u16) -> Reply {
    let (category, message) = match status {
        401 => ("EXPIRED_AUTHENTICATION", "The OAuth token used to make this call expired 7 second(s) ago."),
        403 => ("MISSING_SCOPES", "This app hasn't been granted all required scopes to make this call."),
        404 => ("OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric."),
        415 => ("VALIDATION_ERROR", "The request's content type is not supported."),
        429 => {
            let body = json!({
                "status": "error",
                "message": "You have reached your secondly limit.",
                "errorType": "RATE_LIMIT",
                "correlationId": CORRELATION_ID,
                "policyName": "SECONDLY",
                "requestId": "3d3e35b7-0dae-4b9f-a6e3-9c230cbcf8dd",
            });
            return Reply::json(429, &body);
        }
        _ => ("INTERNAL_ERROR", "internal error"),
    };
    error(status, category, message)
}

fn invalid(message: &str) -> Reply {
    error(400, "VALIDATION_ERROR", message)
}

fn error(status: u16, category: &str, message: &str) -> Reply {
    let body = json!({ "status": "error", "message": message, "correlationId": CORRELATION_ID, "category": category });
    Reply::json(status, &body)
}

/// An address that is no route of the API.
fn no_route() -> Reply {
    let mut reply = Reply::json(404, &Value::Null);
    reply.headers = vec![("content-type", "text/html;charset=iso-8859-1".into())];
    reply.body =
        "<html><head><title>Error 404 Not Found</title></head><body><h2>HTTP ERROR 404</h2></body></html>".into();
    reply
}

fn texts(list: Option<&Value>) -> Option<Vec<String>> {
    Some(list?.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// `2026-11-02T16:40:10.005Z`
fn text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
