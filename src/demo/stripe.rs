//! The stand-in for Stripe: searches of customers, invoices and charges. Amounts are in the smallest
//! unit of their currency, times in seconds; a search compares whole values, without case.

use jiff::Timestamp;
use rlibphonenumber::PhoneNumberFormat;
use serde_json::{Value, json};

use super::Vendor;
use super::standin::{Reply, Request, Standin};
use super::world::{self, PEOPLE, Payment, Person, STRANGER};

const LIMIT_MAX: usize = 100;
const EXPANDABLE: [&str; 3] =
    ["data.invoice_settings.default_payment_method", "data.default_source", "data.subscriptions"];

/// An account.
pub struct Stripe {
    customers: Vec<Value>,
    invoices: Vec<Value>,
    charges: Vec<Value>,
    stranger: Value,
}

impl Standin for Stripe {
    fn new(now: Timestamp) -> Self {
        let people = || PEOPLE.iter().filter(|p| p.numbers(Vendor::Stripe).kept());
        let payers = || people().filter_map(|person| Some((person, person.payment?)));
        Self {
            customers: people().map(|person| customer(person, now)).collect(),
            invoices: payers().flat_map(|(person, payment)| invoices(person, &payment, now)).collect(),
            charges: payers().flat_map(|(person, payment)| charges(person, &payment, now)).collect(),
            stranger: customer(&STRANGER, now),
        }
    }

    /// A key is taken as a bearer and as the user of HTTP Basic.
    fn answer(&self, request: &Request, stranger: bool) -> Reply {
        let basic = request.basic().is_some_and(|(user, _)| user == Vendor::Stripe.token());
        if !basic && !request.authorized(Vendor::Stripe) {
            return refusal(401);
        }
        let path: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        let ("GET", ["v1", objects, "search"]) = (request.method.as_str(), path.as_slice()) else {
            return refusal(404);
        };
        let wrong = stranger.then_some(&self.stranger);
        match *objects {
            "customers" => search(&["email", "name", "phone"], &self.customers, wrong, request),
            "invoices" => search(&["customer", "status", "currency"], &self.invoices, None, request),
            "charges" => search(&["customer", "status", "currency"], &self.charges, None, request),
            _ => refusal(404),
        }
    }

    fn refusal(&self, status: u16) -> Reply {
        refusal(status)
    }
}

/// `fields` are those that may be asked for; the newest come first.
fn search(fields: &[&str], objects: &[Value], wrong: Option<&Value>, request: &Request) -> Reply {
    let limit = request.query("limit").map_or(Some(10), |n| n.parse().ok());
    let Some(limit) = limit.filter(|n| (1..=LIMIT_MAX).contains(n)) else { return refusal(400) };
    let Some(query) = request.query("query").and_then(|query| Query::parse(query, fields)) else {
        return refusal(400);
    };
    let expanded: Vec<&str> = request.query.iter().filter(|(n, _)| n == "expand[]").map(|(_, v)| v.as_str()).collect();
    if expanded.iter().any(|path| !EXPANDABLE.contains(path)) {
        return refusal(400);
    }
    let mut found: Vec<&Value> = objects.iter().filter(|object| query.fits(object)).collect();
    found.sort_by_key(|object| std::cmp::Reverse(object.get("created").and_then(Value::as_i64)));
    let all: Vec<&Value> = wrong.into_iter().chain(found).collect();
    let page: Vec<Value> = all.iter().take(limit).map(|object| shown(object, &expanded)).collect();
    let more = all.len() > limit;
    Reply::json(
        200,
        &json!({
            "object": "search_result",
            "data": page,
            "has_more": more,
            "next_page": more.then_some("WzEwXQ=="),
            "url": request.path(),
        }),
    )
}

/// What is not expanded is an id, or not there.
fn shown(object: &Value, expanded: &[&str]) -> Value {
    let mut object = object.clone();
    let is = |path: &str| expanded.iter().any(|expanded| expanded.strip_prefix("data.") == Some(path));
    if let Some(members) = object.as_object_mut().filter(|members| members.contains_key("subscriptions")) {
        if !is("subscriptions") {
            members.remove("subscriptions");
        }
        let method =
            members.get_mut("invoice_settings").and_then(|settings| settings.get_mut("default_payment_method"));
        if let Some(method) = method.filter(|_| !is("invoice_settings.default_payment_method")) {
            *method = method.get("id").cloned().unwrap_or_default();
        }
    }
    object
}

/// `field:'value'`, several of them with one of `AND` and `OR` between.
struct Query {
    clauses: Vec<(String, String)>,
    all: bool,
}

impl Query {
    fn parse(text: &str, fields: &[&str]) -> Option<Self> {
        let (mut clauses, mut words, mut rest) = (Vec::new(), Vec::new(), text.trim());
        loop {
            let (field, after) = rest.split_once(':')?;
            let (value, after) = quoted(after)?;
            if !fields.contains(&field) {
                return None;
            }
            clauses.push((field.to_owned(), value.to_lowercase()));
            if after.is_empty() {
                break;
            }
            let (word, after) = after.strip_prefix(' ')?.split_once(' ')?;
            words.push(word);
            rest = after;
        }
        // The two are not mixed.
        let all = words.iter().all(|word| *word == "AND");
        (all || words.iter().all(|word| *word == "OR")).then_some(Self { clauses, all })
    }

    fn fits(&self, object: &Value) -> bool {
        let has = |(field, value): &(String, String)| {
            object.get(field).and_then(Value::as_str).is_some_and(|text| text.to_lowercase() == *value)
        };
        if self.all { self.clauses.iter().all(has) } else { self.clauses.iter().any(has) }
    }
}

/// A text in quotes, without them and its backslashes, and what stands behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next().filter(|(_, c)| matches!(c, '\'' | '"'))?;
    let mut value = String::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            c if c == quote => return Some((value, text.get(at + 1..)?)),
            c => value.push(c),
        }
    }
    None
}

/// Who has paid typed the number into a checkout, which keeps E.164; the others' was typed by an agent.
fn customer(person: &Person, now: Timestamp) -> Value {
    let numbers = person.numbers(Vendor::Stripe);
    let typed = if numbers.phone.is_empty() { numbers.mobile } else { numbers.phone };
    let written = numbers.written(PhoneNumberFormat::E164).into_iter().flatten().next();
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let method = person.payment.map(|payment| {
        let kind = if payment.method == "card" { "card" } else { "customer_balance" };
        json!({ "id": format!("pm_Demo{}", person.key), "object": "payment_method", "type": kind })
    });
    let subscriptions: Vec<Value> = person.payment.iter().map(|payment| subscription(person, payment)).collect();
    json!({
        "id": id(person),
        "object": "customer",
        "created": seconds(now, -700),
        "name": some(&person.name()),
        "email": some(person.email),
        "phone": if person.payment.is_some() { written } else { some(typed) },
        "address": Value::Null,
        // The trap: below zero is in the customer's favour.
        "balance": if person.payment.is_some() { -500 } else { 0 },
        "currency": person.payment.map(|_| "usd"),
        "default_source": Value::Null,
        "delinquent": false,
        "invoice_settings": { "custom_fields": Value::Null, "default_payment_method": method, "footer": Value::Null },
        "subscriptions": { "object": "list", "data": subscriptions, "has_more": false },
        "livemode": false,
        "metadata": {},
    })
}

fn subscription(person: &Person, payment: &Payment) -> Value {
    json!({
        "id": format!("sub_Demo{}", person.key),
        "object": "subscription",
        "status": "active",
        "collection_method": if payment.auto_pay { "charge_automatically" } else { "send_invoice" },
    })
}

/// What is owed, in two invoices; one that is paid, and one in another currency.
fn invoices(person: &Person, payment: &Payment, now: Timestamp) -> Vec<Value> {
    let owed = cents(payment.outstanding);
    let one = |n: u32, status: &str, currency: &str, remaining: i64, due: i32| {
        json!({
            "id": format!("in_Demo{}{n}", person.key),
            "object": "invoice",
            "status": status,
            "currency": currency,
            "customer": id(person),
            "amount_due": remaining.max(1200),
            "amount_remaining": remaining,
            "due_date": seconds(now, due),
            "created": seconds(now, due - 30),
        })
    };
    let mut invoices = vec![one(3, "paid", "usd", 0, -40), one(4, "open", "eur", 99_900, 1)];
    if owed > 0 {
        invoices.extend([one(1, "open", "usd", owed - 100, 10), one(2, "open", "usd", 100, 4)]);
    }
    invoices
}

/// The last payment, the one before, and a later one that did not succeed.
fn charges(person: &Person, payment: &Payment, now: Timestamp) -> Vec<Value> {
    let one = |n: u32, status: &str, currency: &str, amount: i64, days: i32| {
        json!({
            "id": format!("ch_Demo{}{n}", person.key),
            "object": "charge",
            "status": status,
            "paid": status == "succeeded",
            "currency": currency,
            "customer": id(person),
            "amount": amount,
            "created": seconds(now, -days),
        })
    };
    vec![
        one(1, "succeeded", "usd", 24_905, payment.last),
        one(2, "succeeded", "usd", 1200, payment.last + 30),
        one(3, "failed", "usd", 31_000, 1),
        one(4, "succeeded", "eur", 99_900, 2),
    ]
}

fn id(person: &Person) -> String {
    format!("cus_Demo{}", person.key)
}

fn cents(amount: &str) -> i64 {
    amount.replace('.', "").parse().unwrap_or(0)
}

fn seconds(now: Timestamp, days: i32) -> i64 {
    world::day(now, days).as_second()
}

/// How Stripe words a refusal.
fn refusal(status: u16) -> Reply {
    let (kind, code, message) = match status {
        400 => ("invalid_request_error", Some("parameter_invalid"), "We were unable to parse your search query."),
        401 => ("invalid_request_error", None, "Invalid API Key provided: rk_test_****"),
        403 => ("invalid_request_error", None, "The provided key does not have the required permissions."),
        404 => ("invalid_request_error", Some("resource_missing"), "Unrecognized request URL."),
        429 => ("invalid_request_error", Some("rate_limit"), "Request rate limit exceeded."),
        _ => ("api_error", None, "Sorry, something went wrong."),
    };
    let mut error = json!({ "type": kind, "message": message });
    if let (Some(code), Some(error)) = (code, error.as_object_mut()) {
        error.insert("code".into(), code.into());
    }
    Reply::json(status, &json!({ "error": error }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests;
