//! Answers as vendors give them, and as nobody should.

#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::manifest::trial::{Trial, compile, email, phone};

const CONTACT: &str = r#"
    post = "/search"
    body = { fields = "{select}" }
    records = "results"
    select = "p.*"
    phones = ["p.phone", "p.mobile"]
    emails = ["p.mail"]
    rank = ["-p.seen", "id"]
    [provides]
    own.contact_id = "id"
    name = { join = ["p.first", "p.last"] }
    email = "p.mail"
    phone = "p.phone"
    vip = { path = "p.level", in = ["gold", "platinum"] }
    last_contact = "p.seen"
"#;

fn read(trial: &Trial, body: &str) -> Result<Read, Unreadable> {
    trial.read(|record, env| record.read(body.as_bytes(), env))
}

/// Every value as `name=text`, lists in brackets, entries as their members.
fn show(trial: &Trial, read: &Read) -> String {
    let shown: Vec<String> =
        read.reading.values.iter().map(|(name, v)| format!("{}={}", trial.names.text(*name), text(v))).collect();
    if read.found { shown.join(" ") } else { "not found".into() }
}

fn text(value: &Value) -> String {
    let all = |values: &[Value]| values.iter().map(text).collect::<Vec<_>>().join(",");
    match value {
        Value::List(list) => format!("[{}]", all(list)),
        Value::Record(members) => {
            let members: Vec<_> = members.iter().map(|(name, value)| format!("{name}:{}", text(value))).collect();
            format!("({})", members.join(" "))
        }
        other => other.to_text().unwrap().into_owned(),
    }
}

fn ids(read: &Read) -> Vec<String> {
    read.reading.hits.iter().map(|hit| text(&hit.values.first().unwrap().1)).collect()
}

#[test]
fn strangers_are_no_hits() {
    let trial = compile(CONTACT).unwrap();
    let body = r#"{"total":4,"results":[
        {"id":"1","p":{"phone":"+886 415 555 0142","first":"Stranger"}},
        {"id":"2","p":{"phone":null,"mobile":"415.555.0142","first":"Bea","seen":null}},
        {"id":"3","p":{"phone":"(415) 555-0142 x12","first":"Ada","last":"Byron","mail":"ADA@example.com","level":"Gold","seen":"2026-11-02T16:40:10.005Z"}},
        {"id":"3","p":{"phone":"+14155550142","first":"Ada again"}},
        {"id":"10","p":{"phone":"4155550142","first":"Cy"}}]}"#;
    let found = read(&trial, body).unwrap();
    assert_eq!(ids(&found), ["3", "2", "10"]);
    let expected = "crm.contact_id=3 name=Ada Byron email=ada@example.com phone=+14155550142 vip=true \
                    last_contact=2026-11-02T16:40:10.005Z";
    assert_eq!(show(&trial, &found), expected);
    let best = found.reading.hits.first().unwrap();
    assert_eq!((best.phones.len(), best.emails.as_slice()), (1, [email("ada@example.com")].as_slice()));
    assert!(!best.extension_matches);
    assert_eq!(found.unreadable_fields, 0);
    let only_stranger = r#"{"results":[{"id":"1","p":{"phone":"+886 415 555 0142"}}]}"#;
    assert!(!read(&trial, only_stranger).unwrap().found);
}

#[test]
fn an_address_proves_a_hit_only_where_it_was_searched_for() {
    let trial = compile(CONTACT).unwrap().with("email", Value::Email(email("ada@example.com")));
    let body = r#"{"results":[{"id":"1","p":{"mail":"ada@example.com"}}]}"#;
    assert!(!read(&trial, body).unwrap().found);
    let trial = compile(&format!("needs = ['email']\n{CONTACT}")).unwrap();
    let trial = trial.identity(Identity::Email(email("Ada@Example.com")));
    assert_eq!(ids(&read(&trial, body).unwrap()), ["1"]);
    // the caller's number is known, the address came from another source
    let trial = compile(&format!("needs = ['email']\n{CONTACT}")).unwrap();
    let trial = trial.with("email", Value::Email(email("ada@example.com")));
    assert_eq!(ids(&read(&trial, body).unwrap()), ["1"]);
    let by_number = r#"{"results":[{"id":"1","p":{"phone":"4155550142"}}]}"#;
    assert!(!read(&trial, by_number).unwrap().found);
}

#[test]
fn extensions_rank_nothing_but_are_told() {
    let trial = compile(CONTACT).unwrap().identity(Identity::Phone(phone("+14155550142;ext=12")));
    let body = r#"{"results":[{"id":"1","p":{"phone":"4155550142"}},{"id":"2","p":{"phone":"415-555-0142 ext. 12"}}]}"#;
    let found = read(&trial, body).unwrap();
    assert_eq!(ids(&found), ["1", "2"]);
    assert_eq!(found.reading.hits.iter().map(|h| h.extension_matches).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn select_asks_for_what_is_read() {
    let prepared = compile(CONTACT).unwrap().render().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&prepared.body.unwrap()).unwrap();
    let fields = ["phone", "mobile", "mail", "seen", "first", "last", "level"];
    assert_eq!(body, serde_json::json!({ "fields": fields }));
    let whole = compile(
        "needs = ['customer_id']\nget = '/q'\nquery.q = { soql = 'SELECT {select} FROM A' }\nselect = '**'\n\
         provides = { name = 'Name', company.name = 'Account.Name', tags = 'Tags[].Name@x' }\n\
         list.deals = { from = 'Deals', item = { id = 'Id' } }",
    );
    let url = whole.unwrap().with("customer_id", Value::text("7")).render().unwrap().url;
    assert_eq!(url.query(), Some("q=SELECT%20Name%2C%20Account.Name%2C%20Tags%20FROM%20A"));
}

/// One operation about a customer, from `provides` and an answer.
fn fields(provides: &str, body: &str) -> String {
    let text = format!(
        "needs = ['customer_id']\nget = '/x'\nrecords = 'r'\n{provides}\n[map.tier]\ng = 'Gold'\n'*' = 'Other'\n[map.only]\ng = true\n[table.stages]"
    );
    let trial = compile(&text).unwrap_or_else(|problems| panic!("{problems:?} in {provides}"));
    let trial = trial.with("customer_id", Value::text("Q"));
    match read(&trial, body) {
        Ok(read) if read.unreadable_fields > 0 => format!("{} !{}", show(&trial, &read), read.unreadable_fields),
        Ok(read) => show(&trial, &read),
        Err(Unreadable) => "unreadable".into(),
    }
}

#[test]
fn expressions() {
    let body = r#"{"top":"t","r":{"a":"x","n":478,"big":12345678901234567.89,"t":true,"nul":null,"und":"undefined",
        "kv":"v1=one, v2=two;v1=three","url":"https://e.com/c/77?x","g":"G","st":"Won","xs":[{"v":1.5,"k":"p"},{"v":2,"k":"q"},{"v":null,"k":"p"}],
        "ts":["2026-01-02T00:00:00Z","2026-03-01T00:00:00+0100"],"o":{"m1":"u","m2":"w"},"odd name":"o","d":"2026-02-03","mails":["a@e.com","bad","B@e.com"],
        "services":["repair","Wash"],"cents":1999,"cur":"jpy","bhd":"BHD","bal":-1999,"at":[1795269600,1795183200],"us":"11/27/2026","stage":7,"id":"i/1","e":[]}}"#;
    let table = [
        ("provides.name = 'a'", "name=x"),
        (r#"provides.name = "'odd name'""#, "name=o"),
        ("provides.name = 'xs[1].k'", "name=q"),
        ("provides.name = 'xs[7].k'", ""),
        ("provides.name = 'a.b.c'", ""),
        ("provides.name = 'nul'", ""),
        ("provides.name = 'und'", ""),
        ("provides.name = 'o'", " !1"),
        ("provides.name = { first_of = ['nul', 'und', 'a'] }", "name=x"),
        ("provides.name = { join = ['a', 'nul', 'n'], with = '-' }", "name=x-478"),
        ("provides.name = { join = ['nul'] }", ""),
        ("provides.own.x = 'n'", "crm.x=478"),
        ("provides.payment.outstanding = 'big'", "payment.outstanding=12345678901234567.89"),
        ("provides.payment.outstanding = 'a'", " !1"),
        ("provides.tags = 'xs[].k'", "tags=[p,q]"),
        ("provides.tags = 'o[]'", "tags=[u,w]"),
        ("provides.emails = 'mails'", " !1"),
        ("provides.emails = 'mails[]'", "emails=[a@e.com,b@e.com] !1"),
        ("provides.account_status = { path = 'g', map = 'tier' }", "account_status=Gold"),
        ("provides.account_status = { path = 'a', map = 'tier' }", "account_status=Other"),
        ("provides.account_status = { path = 'nul', map = 'tier' }", ""),
        ("provides.vip = { path = 'g', map = 'only' }", "vip=true"),
        ("provides.vip = { path = 'a', map = 'only' }", ""),
        ("provides.name = { path = 'stage', table = 'stages' }", "name=Won soon"),
        ("provides.name = { path = 'n', table = 'stages' }", ""),
        ("provides.name = { first_of = [{ path = 'n', table = 'stages' }, 'n'] }", "name=478"),
        ("provides.vip = 't'", "vip=true"),
        ("provides.vip = { path = 'a', equals = 'X' }", "vip=true"),
        ("provides.vip = { path = 'n', equals = 478 }", "vip=true"),
        ("provides.vip = { path = 'n', equals = '478' }", "vip=true"),
        ("provides.vip = { path = 't', equals = true }", "vip=true"),
        ("provides.vip = { path = 'nul', equals = 'x' }", "vip=false"),
        ("provides.vip = { path = 'nul', exists = true }", "vip=false"),
        ("provides.vip = { path = 'und', exists = false }", "vip=true"),
        ("provides.vip = { path = 'a', exists = true }", "vip=true"),
        ("provides.vip = { path = 'xs[].k', not_in = ['z', 'y'] }", "vip=true"),
        ("provides.vip = { path = 'xs[].k', not_in = ['z', 'P'] }", "vip=false"),
        ("provides.vip = { path = 'nul', not_in = ['z'] }", "vip=true"),
        ("provides.vip = { path = 'xs[].k', equals = '{customer_id}' }", "vip=true"),
        ("provides.vip = { path = 'a', equals = '{customer_id}' }", "vip=false"),
        ("provides.name = { value = 'fixed' }", "name=fixed"),
        ("provides.payment.outstanding = { sum = 'xs[].v' }", "payment.outstanding=3.5"),
        ("provides.payment.outstanding = { sum = 'e[].v' }", ""),
        ("provides.payment.outstanding = { min = 'xs[].v' }", "payment.outstanding=1.5"),
        ("provides.payment.due_at = { min = 'at[]', as = 'unix_s' }", "payment.due_at=2026-11-20T14:00:00Z"),
        ("provides.last_contact = { latest = ['ts[]', 'nul', 'd'] }", "last_contact=2026-02-28T23:00:00Z"),
        (
            "provides.last_contact = { latest = ['d', { path = 'at[]', as = 'unix_s' }] }",
            "last_contact=2026-11-21T14:00:00Z",
        ),
        ("provides.last_contact = { latest = ['nul'] }", ""),
        ("provides.last_contact = { path = 'us', as = 'us_date' }", "last_contact=2026-11-26T23:00:00Z"),
        ("provides.payment.credit = { path = 'cents', as = 'cents' }", "payment.credit=19.99"),
        ("provides.payment.credit = { path = 'cents', as = 'cents', in_currency = 'cur' }", "payment.credit=1999"),
        ("provides.payment.credit = { path = 'cents', as = 'cents', in_currency = 'bhd' }", "payment.credit=1.999"),
        ("provides.payment.credit = { path = 'cents', as = 'cents', in_currency = 'nul' }", "payment.credit=19.99"),
        ("provides.payment.credit = { path = 'nul', as = 'cents' }", ""),
        ("provides.payment.credit = { path = 'a', as = 'cents' }", " !1"),
        ("provides.own.x = { path = 'cents', as = 'cents' }", "crm.x=19.99"),
        ("provides.payment.credit = { path = 'bal', between = ['-', ''], as = 'cents' }", "payment.credit=19.99"),
        ("provides.payment.credit = { path = 'cents', between = ['-', ''], as = 'cents' }", ""),
        ("provides.name = { path = 'url', between = ['/c/', '?'] }", "name=77"),
        ("provides.name = { path = 'url', between = ['/', ''] }", "name=77?x"),
        ("provides.name = { path = 'url', between = ['/c/', '#'] }", ""),
        (
            "list.deals = { from = 'xs', where = { path = 'k', equals = 'q' }, item = { id = 'k', amount = 'v' } }",
            "deals=[(id:q amount:2)]",
        ),
        (
            "list.deals = { from = 'xs', where = [{ path = 'k', equals = 'p' }, { path = 'v', exists = true }], \
             item = { id = 'k' } }",
            "deals=[(id:p)]",
        ),
        ("list.tasks = { where = { path = 'a', equals = 'y' }, item = { id = 'id' } }", ""),
        ("where = { path = 'a', equals = 'y' }\nprovides.name = 'a'", "not found"),
        ("where = [{ path = 'a', equals = 'x' }, { path = 'n', exists = true }]\nprovides.name = 'a'", "name=x"),
        (
            "list.deals = { from = 'xs', item = { id = 'k', amount = 'v' } }",
            "deals=[(id:p amount:1.5),(id:q amount:2)]",
        ),
        ("list.deals = { from = 'nul', item = { id = 'k' } }", ""),
        (
            "list.tasks = { item = { id = 'id', title = 'a', due = 'd' } }",
            "tasks=[(id:i/1 title:x due:2026-02-02T23:00:00Z)]",
        ),
    ];
    for (provides, expected) in table {
        assert_eq!(fields(provides, body), expected, "{provides}");
    }
}

#[test]
fn who_does_not_pass_is_no_hit() {
    let trial = compile(&format!("where = {{ path = 'p.role', not_in = ['agent'] }}\n{CONTACT}")).unwrap();
    let body = r#"{"results":[{"id":"1","p":{"phone":"4155550142","role":"Agent"}},
        {"id":"2","p":{"phone":"4155550142","role":"end-user"}},{"id":"3","p":{"phone":"4155550142"}}]}"#;
    assert_eq!(ids(&read(&trial, body).unwrap()), ["2", "3"]);
    let asked: serde_json::Value = serde_json::from_slice(&trial.render().unwrap().body.unwrap()).unwrap();
    assert!(asked.to_string().contains("role"), "{asked}");
}

#[test]
fn where_records_are() {
    let table = [
        ("", r#"{"a":"x"}"#, "name=x"),
        ("", r#"[{"a":"x"},{"a":"y"}]"#, "name=x"),
        ("", "[]", "not found"),
        ("", "{}", "not found"),
        ("", "null", "not found"),
        ("", "[null, {}, {\"a\":\"y\"}]", "name=y"),
        ("", "\u{feff}{\"a\":\"x\"}\n", "name=x"),
        ("", "\"text\"", "unreadable"),
        ("", "", "unreadable"),
        ("", "<!doctype html>", "unreadable"),
        ("", r#"{"a":"x"} trailing"#, "unreadable"),
        ("", r#"{"a":"x""#, "unreadable"),
        ("", r#"{"a":"x","a":"y"}"#, "name=x"),
        ("", r#"{"a":"\ud800"}"#, ""),
        ("", r#"{"a":"\u00e9\n"}"#, "name=é"),
        ("r", r#"{"r":[{"a":"x"}]}"#, "name=x"),
        ("r", r#"{"r":{"a":"x"}}"#, "name=x"),
        ("r", r#"{"r":null}"#, "not found"),
        ("r", r#"{"r":"text"}"#, "not found"),
        ("r", r#"{"x":1}"#, "not found"),
        ("r", r#"{"r":[{"a":"x"}],"r":[{"a":"y"}]}"#, "name=x"),
        ("d.items[].item", r#"{"d":{"items":[{"s":1,"item":{"a":"x"}},{"item":{"a":"y"}}]}}"#, "name=x"),
        ("[0].r", r#"[{"r":{"a":"x"}},{"r":{"a":"y"}}]"#, "name=x"),
        ("r[]", r#"{"r":{"k1":{"a":"x"},"k2":{"a":"y"}}}"#, "name=x"),
    ];
    for (records, body, expected) in table {
        let text = format!("needs = ['customer_id']\nget = '/x'\nrecords = '{records}'\nprovides.name = 'a'");
        let trial = compile(&text).unwrap();
        let got = read(&trial, body).map_or("unreadable".into(), |read| show(&trial, &read));
        assert_eq!(got, expected, "{records} in {body}");
    }
}

#[test]
fn never_fields_are_never_read() {
    let provides =
        "provides = { name = 'x.Password_Hash', title = 'SSN', language = 'pet-name', timezone = 'z', tags = 'm[]' }";
    let body = r#"{"r":{"x":{"Password_Hash":"canary"},"SSN":"canary","pet-name":"canary","z":"UTC",
                   "m":{"card number":"canary","Pet Name":"canary","ok":"fine"}}}"#;
    assert_eq!(fields(provides, body), "timezone=UTC tags=[fine]");
}

#[test]
fn rows_of_one_person_are_one_hit() {
    let trial = compile(
        "get = '/x'\nexact = true\nprovides = { customer_id = 'id', name = 'n' }\n\
         list.orders = { item = { id = 'order', amount = 'amount', description = 'extra.what' } }",
    );
    let trial = trial.unwrap();
    let row = |id: i64, order: &str, amount: &str| -> Row {
        let extra = serde_json::json!({ "what": "thing" });
        vec![
            ("id".into(), id.into()),
            ("n".into(), "Ada".into()),
            ("order".into(), order.into()),
            ("amount".into(), amount.into()),
            ("extra".into(), extra),
            ("id".into(), 99.into()),
        ]
    };
    let rows = vec![row(1, "a", "1.10"), row(1, "b", "2"), row(2, "c", "3")];
    let read = trial.read(|record, env| record.read_rows(rows, env));
    assert_eq!(read.reading.hits.len(), 2);
    let expected =
        "customer_id=1 name=Ada orders=[(id:a description:thing amount:1.10),(id:b description:thing amount:2)]";
    assert_eq!(show(&trial, &read), expected);
    assert!(!trial.read(|record, env| record.read_rows(vec![], env)).found);
}

#[test]
fn lists_are_capped_and_united_by_id() {
    let trial = compile("needs = ['customer_id']\nget = '/x'\nrecords = 'r'\nlist.deals = { item = { id = 'id' } }");
    let trial = trial.unwrap();
    let records: Vec<String> = (0..50).map(|n| format!("{{\"id\":{}}}", n / 2)).collect();
    let read = read(&trial, &format!("{{\"r\":[{}]}}", records.join(","))).unwrap();
    assert_eq!(show(&trial, &read), "deals=[(id:0),(id:1),(id:2),(id:3),(id:4),(id:5),(id:6),(id:7),(id:8),(id:9)]");
}

#[test]
fn bombs_are_unreadable() {
    let trial = compile("needs = ['customer_id']\nget = '/x'\nrecords = 'r'\nprovides.name = 'a'").unwrap();
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    assert!(read(&trial, &deep("[", "]")).is_err());
    assert!(read(&trial, &deep("{\"r\":", "}")).is_err());
    assert!(read(&trial, &format!("{{\"x\":{},\"r\":{{\"a\":\"y\"}}}}", deep("[", "]"))).is_err());
    assert!(read(&trial, &format!("{{\"r\":{{\"a\":{}}}}}", deep("{\"b\":", "}"))).is_err());
    let wide = format!("{{\"r\":[{}]}}", "{\"a\":1},".repeat(100_000).trim_end_matches(','));
    assert_eq!(show(&trial, &read(&trial, &wide).unwrap()), "name=1");
    assert!(trial.read(|record, env| record.read(b"{\"r\":{\"a\":\"\xff\"}}", env)).is_err());
    let huge = format!("{{\"r\":{{\"a\":1{}}}}}", "0".repeat(10_000));
    assert!(read(&trial, &huge).unwrap().found);
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[0-9+() x-]{0,18}".prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    let key =
        prop::sample::select(vec!["results", "id", "p", "phone", "mobile", "mail", "first", "seen", "level", "x"]);
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|members| {
                members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<serde_json::Map<_, _>>().into()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), json in json()) {
        let trial = compile(CONTACT).unwrap();
        let _ = trial.read(|record, env| record.read(&bytes, env));
        let whole = json.to_string();
        prop_assert!(read(&trial, &whole).is_ok() || !(json.is_object() || json.is_array() || json.is_null()));
        let half = whole.char_indices().nth(whole.chars().count() / 2).map_or(0, |(at, _)| at);
        let _ = read(&trial, whole.get(..half).unwrap());
        let _ = read(&trial, &format!("{{\"results\":[{whole}]}}"));
    }

    #[test]
    fn decimals_are_exact(whole in any::<i64>(), fraction in 0_u32..1_000_000) {
        let number = format!("{whole}.{fraction:06}");
        let got = fields("provides.payment.outstanding = 'b'", &format!("{{\"r\":{{\"b\":{number}}}}}"));
        prop_assert_eq!(got, format!("payment.outstanding={number}"));
    }
}
