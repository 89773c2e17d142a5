//! Values in requests: whatever a value is, what the vendor decodes is exactly that value, in a
//! request of the same shape; or the request is not made.

#![no_main]

use std::sync::{Arc, LazyLock};

use caller_context::config::{Layers, load};
use caller_context::domain::{Email, NameId, Phone, Skip, Spelling, Value};
use caller_context::manifest::plan::{Operation, Plan, Request};
use caller_context::manifest::template::{Env, Prepared};
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;

const CONFIG: &str = r#"
[phone]
default_region = "US"

[sources.crm]
connector = "http"
base_url = "https://api.example.com/base"
auth.none = {}
[sources.crm.lookup.person]
needs = ["phone"]
get = "/person/{phone}"
exact = true
provides = { own.id = "id", email = "email" }

[sources.crm.lookup.path]
needs = ["own.id"]
get = "/find/{own.id}/x{own.id}"
provides.name = "name"
[sources.crm.lookup.query]
needs = ["own.id"]
get = "/q"
query.k = "{own.id}"
query.l = "x{own.id}&y=1"
provides.name = "name"
[sources.crm.lookup.body]
needs = ["own.id"]
post = "/q"
body = { a = "{own.id}", b = [{ c = "x{own.id}" }], d = 1 }
provides.name = "name"
[sources.crm.lookup.header]
needs = ["own.id"]
get = "/q"
headers.X-Id = "<{own.id}>"
provides.name = "name"
[sources.crm.lookup.soql]
needs = ["own.id"]
get = "/q"
query.q = { soql = "SELECT Id FROM C WHERE A = {own.id} AND B IN ({own.id})" }
provides.name = "name"
[sources.crm.lookup.email]
needs = ["email"]
post = "/q"
query.q = { soql = "A={email}" }
body = { a = "{email}" }
exact = true
provides.title = "title"
[sources.crm.lookup.spelled]
needs = ["phone"]
spellings = ["e164", "national", "national_format", "digits", "last10", "last7"]
get = "/q"
query.q = { soql = "A IN ({phones})" }
query.r = "{phones}"
exact = true
provides.name = "name"

[sources.shop]
connector = "postgres"
url = "env:SHOP"
[sources.shop.lookup.customer]
needs = ["email"]
sql = "SELECT name FROM customers WHERE email = :email OR note = 'x:y'"
exact = true
provides = { name = "name" }
"#;

static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    let layers = Layers::text(CONFIG).with("SHOP", "postgres://reader@db.example.com/shop");
    load(&layers).unwrap_or_else(|invalid| panic!("{invalid}")).config.plan
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.len() > 4096 {
        return;
    }
    let value = Value::text(text);
    let id = name("crm.id");
    in_path(text, render("path", &[(id, value.clone())]));
    in_query(text, render("query", &[(id, value.clone())]));
    in_body(text, render("body", &[(id, value.clone())]));
    in_header(text, render("header", &[(id, value.clone())]));
    in_soql(text, render("soql", &[(id, value)]));
    if let Some(email) = Email::parse(text) {
        an_email(&email);
    }
    if let Some(phone) = Phone::parse_stored(text, Some("US")) {
        a_phone(&phone);
    }
});

fn name(text: &str) -> NameId {
    PLAN.names.get(text).expect("a name of the plan")
}

fn operation(name: &str) -> &'static Operation {
    PLAN.operations.iter().find(|operation| &*operation.name == name).expect("an operation of the plan")
}

fn with_env<R>(operation: &Operation, values: &[(NameId, Value)], then: impl FnOnce(&Env<'_>) -> R) -> R {
    let phones: Vec<Phone> = values
        .iter()
        .filter_map(|(_, value)| match value {
            Value::Phone(phone) => Some(phone.variants().into_vec()),
            _ => None,
        })
        .flatten()
        .collect();
    then(&Env {
        get: &|name| values.iter().find(|(known, _)| *known == name).map(|(_, value)| value),
        source: PLAN.source(operation.source),
        phones: &phones,
        spelling: None,
        emails: &[],
        now: jiff::Timestamp::UNIX_EPOCH,
    })
}

fn render(name: &str, values: &[(NameId, Value)]) -> Result<Prepared, Skip> {
    let operation = operation(name);
    let Request::Http(request) = &operation.request else { panic!("no HTTP") };
    let prepared = with_env(operation, values, |env| request.render(env));
    if let Ok(prepared) = &prepared {
        assert_eq!(prepared.url.host_str(), Some("api.example.com"));
        assert!(prepared.url.path().starts_with("/base/") && prepared.url.fragment().is_none());
        assert!(prepared.url.username().is_empty() && prepared.url.port().is_none());
    }
    prepared
}

/// Whether a value is there at all: what is not, takes the request away.
fn is_missing(text: &str, skip: &Skip) -> bool {
    Value::text(text).is_missing() && *skip == Skip::Needs("own.id".into())
}

fn in_path(text: &str, prepared: Result<Prepared, Skip>) {
    let refused = |text: &str| {
        text == "." || text.contains("..") || text.contains(['/', '\\']) || text.contains(char::is_control)
    };
    match prepared {
        Ok(prepared) => {
            let segments: Vec<_> = prepared.url.path_segments().expect("a path").collect();
            let decoded: Vec<_> =
                segments.iter().map(|segment| percent_decode_str(segment).decode_utf8().expect("UTF-8")).collect();
            assert_eq!(decoded, ["base", "find", text, &format!("x{text}")]);
            assert!(prepared.url.query().is_none());
        }
        Err(skip) => assert!(is_missing(text, &skip) || skip == Skip::Invalid && refused(text), "{skip}"),
    }
}

fn pairs(prepared: &Prepared) -> Vec<(String, String)> {
    let query = prepared.url.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
}

fn in_query(text: &str, prepared: Result<Prepared, Skip>) {
    match prepared {
        Ok(prepared) => {
            assert_eq!(pairs(&prepared), [("k".into(), text.into()), ("l".into(), format!("x{text}&y=1"))]);
            assert_eq!(prepared.url.path(), "/base/q");
        }
        Err(skip) => assert!(is_missing(text, &skip), "{skip}"),
    }
}

fn in_body(text: &str, prepared: Result<Prepared, Skip>) {
    match prepared {
        Ok(prepared) => {
            let body: serde_json::Value = serde_json::from_slice(&prepared.body.expect("a body")).expect("JSON");
            assert_eq!(body, serde_json::json!({ "a": text, "b": [{ "c": format!("x{text}") }], "d": 1 }));
        }
        Err(skip) => assert!(is_missing(text, &skip), "{skip}"),
    }
}

fn in_header(text: &str, prepared: Result<Prepared, Skip>) {
    match prepared {
        Ok(prepared) => {
            let header = prepared.headers.get("x-id").expect("the header");
            assert_eq!(header.as_bytes(), format!("<{text}>").as_bytes());
            assert!(header.is_sensitive());
        }
        Err(skip) => {
            assert!(is_missing(text, &skip) || skip == Skip::Invalid && text.contains(char::is_control), "{skip}");
        }
    }
}

fn in_soql(text: &str, prepared: Result<Prepared, Skip>) {
    match prepared {
        Ok(prepared) => {
            let (skeleton, literals) = soql(&pairs(&prepared).swap_remove(0).1);
            assert_eq!(skeleton, "SELECT Id FROM C WHERE A = ? AND B IN (?)");
            assert_eq!(literals, [text, text]);
        }
        Err(skip) => {
            assert!(is_missing(text, &skip) || skip == Skip::Invalid && text.contains(char::is_control), "{skip}");
        }
    }
}

fn an_email(email: &Email) {
    let values = [(name("email"), Value::Email(email.clone()))];
    let prepared = render("email", &values).unwrap_or_else(|skip| panic!("{skip}"));
    let (skeleton, literals) = soql(&pairs(&prepared).swap_remove(0).1);
    assert_eq!((&*skeleton, literals), ("A=?", vec![email.as_str().to_owned()]));
    let body: serde_json::Value = serde_json::from_slice(&prepared.body.expect("a body")).expect("JSON");
    assert_eq!(body, serde_json::json!({ "a": email.as_str() }));

    let operation = operation("customer");
    let Request::Sql(statement) = &operation.request else { panic!("no SQL") };
    let bound = with_env(operation, &values, |env| statement.bind(env, &operation.spellings));
    assert_eq!(&*bound.text, "SELECT name FROM customers WHERE email = $1 OR note = 'x:y'");
    assert!(bound.values == [Some(Value::Email(email.clone()))]);
}

fn a_phone(phone: &Phone) {
    let prepared = render("spelled", &[(name("phone"), Value::Phone(phone.clone()))]).unwrap_or_else(|s| panic!("{s}"));
    let mut pairs = pairs(&prepared);
    let (skeleton, literals) = soql(&pairs.remove(0).1);
    assert_eq!(skeleton.replace("?,", ""), "A IN (?)");
    assert!(literals.contains(&phone.e164().to_owned()));
    let plain = |text: &String| text.chars().all(|c| c.is_ascii_digit() || "+()- ".contains(c));
    assert!(literals.iter().all(plain));
    assert!(pairs.iter().all(|(key, _)| key == "r") && !pairs.is_empty());
    let of_number = |spelling| pairs.iter().any(|(_, text)| *text == phone.spell(spelling));
    assert!(of_number(Spelling::E164) && of_number(Spelling::National) && of_number(Spelling::NationalFormat));
}

/// A query with its literals taken out, and the literals as Salesforce reads them.
fn soql(query: &str) -> (String, Vec<String>) {
    let (mut skeleton, mut literals) = (String::new(), Vec::new());
    let mut rest = query.chars();
    while let Some(c) = rest.next() {
        if c != '\'' {
            skeleton.push(c);
            continue;
        }
        let mut literal = String::new();
        loop {
            match rest.next().expect("the literal ends") {
                '\'' => break,
                '\\' => literal.push(rest.next().expect("something is escaped")),
                c => literal.push(c),
            }
        }
        skeleton.push('?');
        literals.push(literal);
    }
    (skeleton, literals)
}
