use super::*;
use crate::demo::trial::{read, request, standin};

/// demo-close-token as the user, without a password.
const KEY: &str = "Basic ZGVtby1jbG9zZS10b2tlbjo=";

fn query(related: &str, field: &str, mode: &str, value: &str) -> Value {
    json!({ "type": "and", "queries": [
        { "type": "object_type", "object_type": "contact" },
        { "type": "has_related", "this_object_type": "contact", "related_object_type": related, "related_query": {
            "type": "field_condition",
            "field": { "type": "regular_field", "object_type": related, "field_name": field },
            "condition": { "type": "text", "mode": mode, "value": value },
        } },
    ] })
}

fn search(body: &Value, stranger: bool) -> (u16, Vec<String>) {
    let asked = request(KEY, "POST", "/api/v1/data/search/", &[], body);
    let (status, answer) = read(&standin::<Close>().answer(&asked, stranger));
    let hits = answer["data"].as_array().cloned().unwrap_or_default();
    (status, hits.iter().map(|contact| contact["name"].as_str().unwrap_or("").to_owned()).collect())
}

#[test]
fn numbers_are_kept_in_one_spelling() {
    let fields = json!({ "contact": ["id", "name"] });
    for (related, field, mode, value, expected) in [
        ("contact_phone", "phone", "phrase", "+14155550142", &["Ada Byron"][..]),
        ("contact_phone", "phone", "exact_value", "+12125550123", &["Bob Okafor", "Bianca Rossi", "Fern Adeyemi"]),
        ("contact_phone", "phone", "phrase", "(415) 555-0142", &[]),
        ("contact_email", "email", "phrase", "Ada.Byron@analytical.example", &["Ada Byron"]),
        ("contact_email", "email", "full_words", "byron ada", &["Ada Byron"]),
        ("contact_email", "email", "phrase", "", &[]),
    ] {
        let body = json!({ "query": query(related, field, mode, value), "_fields": fields });
        assert_eq!(search(&body, false), (200, expected.iter().map(|s| (*s).to_owned()).collect()), "{value}");
    }
    let body = json!({ "query": query("contact_phone", "phone", "phrase", "+14155550142"), "_fields": fields });
    assert_eq!(search(&body, true).1, ["Sam Stranger", "Ada Byron"]);
    // Only ids where no field is named.
    assert_eq!(search(&json!({ "query": query("contact_phone", "phone", "phrase", "+14155550142") }), false).1, [""]);
}

#[test]
fn what_is_no_query_is_refused() {
    let good = query("contact_phone", "phone", "phrase", "+14155550142");
    for body in [
        json!({ "query": good, "_limit": 201 }),
        json!({ "query": good, "limit": 20 }),
        json!({ "_limit": 20 }),
        json!({ "query": query("contact_fax", "phone", "phrase", "1") }),
        json!({ "query": query("contact_phone", "number", "phrase", "1") }),
        json!({ "query": query("contact_phone", "phone", "fuzzy", "1") }),
    ] {
        assert_eq!(search(&body, false).0, 400, "{body}");
    }
}

#[test]
fn a_lead_has_its_opportunities_and_activities() {
    let get = |path: &str, query: &[(&str, &str)]| {
        read(&standin::<Close>().answer(&request(KEY, "GET", path, query, &Value::Null), false))
    };
    let (_, lead) = get("/api/v1/lead/lead_company0/", &[("_fields", "name,opportunities")]);
    assert_eq!((lead.as_object().unwrap().len(), &lead["name"]), (2, &json!("Analytical Engines")));
    let values: Vec<_> = lead["opportunities"].as_array().unwrap().iter().map(|o| &o["value"]).collect();
    assert_eq!(values, [1_500_000, 240_050, 900_000]);
    let (_, lead) = get("/api/v1/lead/lead_person12/", &[]);
    assert_eq!(lead["name"], "Rui Prado");
    assert_eq!(get("/api/v1/lead/lead_nobody/", &[]).0, 404);

    let all = [("lead_id", "lead_company0"), ("contact_id", "cont_demo1"), ("_order_by", "-activity_at")];
    let (_, answer) = get("/api/v1/activity/", &all);
    let seen: Vec<_> = answer["data"].as_array().unwrap().iter().map(|a| a["status"].as_str().unwrap()).collect();
    assert_eq!(seen, ["upcoming", "no-answer", "completed"]);
    let (_, answer) = get("/api/v1/activity/", &[("lead_id", "lead_company0"), ("_type__in", "Email")]);
    assert_eq!(answer["data"], json!([]));
    assert_eq!(get("/api/v1/activity/", &[("contact_id", "cont_demo1")]).0, 400);
}

#[test]
fn a_key_has_no_password() {
    let with = |credentials: &str| {
        let asked = request(credentials, "GET", "/api/v1/lead/lead_company0/", &[], &Value::Null);
        read(&standin::<Close>().answer(&asked, false)).0
    };
    assert_eq!(with(KEY), 200);
    assert_eq!(with("Bearer demo-close-token"), 200);
    // demo-close-token:secret
    assert_eq!(with("Basic ZGVtby1jbG9zZS10b2tlbjpzZWNyZXQ="), 401);
}
