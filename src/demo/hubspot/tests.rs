use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};

use super::*;
use crate::demo::trial::{self, read};

fn hubspot() -> Hubspot {
    trial::standin()
}

fn request(method: &str, path: &str, query: &[(&str, &str)], body: &Value) -> Request {
    trial::request("Bearer demo-hubspot-token", method, path, query, body)
}

fn get(path: &str, query: &[(&str, &str)]) -> (u16, Value) {
    read(&hubspot().answer(&request("GET", path, query, &Value::Null), false))
}

fn post(path: &str, body: &Value) -> (u16, Value) {
    read(&hubspot().answer(&request("POST", path, &[], body), false))
}

fn search(kind: &str, body: &Value) -> (u16, Value) {
    post(&format!("/crm/objects/2026-09/{kind}/search"), body)
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect()
}

#[test]
fn filters_mean_what_the_documents_say() {
    let filter =
        |name: &str, operator: &str, value: &str| json!({ "propertyName": name, "operator": operator, "value": value });
    let listed = |name: &str, operator: &str, values: &[&str]| json!({ "propertyName": name, "operator": operator, "values": values });
    let calculated = "hs_searchable_calculated_phone_number";
    let found: &[(Value, &[&str])] = &[
        // National digits, whatever was typed; never with the country code.
        (json!([[filter(calculated, "EQ", "4155550142")]]), &["33451"]),
        (json!([[filter(calculated, "EQ", "14155550142")]]), &[]),
        (json!([[filter(calculated, "EQ", "4155550163")]]), &["33461"]),
        (json!([[filter(calculated, "EQ", "2079460958")]]), &["33463"]),
        (json!([[filter(calculated, "EQ", "1112345678")]]), &["33462"]),
        (json!([[filter("hs_searchable_calculated_mobile_number", "EQ", "2125550123")]]), &["33453"]),
        (json!([[filter(calculated, "EQ", "3125550100")]]), &["33455", "33456", "33457", "33458"]),
        // The typed text is another thing than the number.
        (json!([[filter("phone", "EQ", "+14155550142")]]), &[]),
        (json!([[filter("phone", "EQ", "+1 415-555-0142")]]), &["33451"]),
        (json!([[filter("phone", "CONTAINS_TOKEN", "*0142")]]), &["33451"]),
        (json!([[filter("phone", "CONTAINS_TOKEN", "142")]]), &[]),
        // Groups are ORed, filters ANDed.
        (json!([[filter(calculated, "EQ", "4155550142")], [filter("firstname", "EQ", "rui")]]), &["33451", "33462"]),
        (json!([[filter(calculated, "EQ", "4155550142"), filter("firstname", "EQ", "rui")]]), &[]),
        (json!([[listed(calculated, "IN", &["4155550142", "1112345678"])]]), &["33451", "33462"]),
        // IN wants lower case; EQ does not care.
        (json!([[listed("firstname", "IN", &["Ada"])]]), &[]),
        (json!([[listed("firstname", "IN", &["ada"])]]), &["33451"]),
        (json!([[filter("firstname", "EQ", "ADA")]]), &["33451"]),
        (json!([[filter("associations.company", "EQ", "9051")]]), &["33451"]),
        (json!([[{ "propertyName": "vip", "operator": "HAS_PROPERTY" }]]), &["33451"]),
        (json!([[filter("customer_number", "EQ", "C-1001"), filter("vip", "NEQ", "false")]]), &["33451"]),
        (json!([[{ "propertyName": "vip", "operator": "NOT_HAS_PROPERTY" }, filter("lastname", "EQ", "Byron")]]), &[]),
    ];
    for (groups, expected) in found {
        let groups: Vec<Value> =
            groups.as_array().unwrap().iter().map(|filters| json!({ "filters": filters })).collect();
        let body = json!({ "filterGroups": groups });
        let (status, answer) = search("contacts", &body);
        assert_eq!((status, ids(&answer).as_slice()), (200, *expected), "{body}");
        assert_eq!(answer["total"], expected.len(), "{body}");
    }
}

#[test]
fn what_the_documents_forbid_is_refused() {
    let one = json!({ "filters": [{ "propertyName": "email", "operator": "EQ", "value": "a" }] });
    let seven: Vec<&Value> = vec![&one["filters"][0]; 7];
    let refused = [
        json!({ "filterGroups": vec![&one; 6] }),
        json!({ "filterGroups": [{ "filters": seven }] }),
        json!({ "filterGroups": [{ "filters": [] }] }),
        json!({ "filterGroups": [{ "filters": [{ "propertyName": "email", "operator": "LIKE", "value": "a" }] }] }),
        json!({ "filterGroups": [{ "filters": [{ "propertyName": "email", "operator": "EQ" }] }] }),
        json!({ "filterGroups": [{ "filters": [{ "propertyName": "email", "operator": "IN", "value": "a" }] }] }),
        json!({ "filterGroups": [{ "filters": [{ "propertyName": "nope", "operator": "EQ", "value": "a" }] }] }),
        json!({ "limit": 201 }),
        json!({ "limit": 0 }),
        json!({ "limits": 5 }),
        json!({ "sorts": ["email", "phone"] }),
        json!([]),
    ];
    for body in refused {
        let (status, answer) = search("contacts", &body);
        assert_eq!((status, answer["category"].as_str()), (400, Some("VALIDATION_ERROR")), "{body}");
    }
}

#[test]
fn properties_are_those_asked_for_and_texts_or_null() {
    let groups = json!([{ "filters": [{ "propertyName": "lastname", "operator": "EQ", "value": "Byron" }] }]);
    let names = |answer: &Value| -> Vec<String> {
        answer["results"][0]["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let (_, default) = search("contacts", &json!({ "filterGroups": groups }));
    let expected = ["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"];
    assert_eq!(names(&default), expected);
    let asked = json!({ "filterGroups": groups, "properties": ["phone", "mobilephone", "no_such_thing"] });
    let (_, asked) = search("contacts", &asked);
    assert_eq!(names(&asked), ["createdate", "hs_object_id", "lastmodifieddate", "mobilephone", "phone"]);
    assert_eq!(asked["results"][0]["properties"]["mobilephone"], Value::Null);
    let (_, company) = get("/crm/objects/2026-09/companies/9051", &[("properties", "numberofemployees")]);
    assert_eq!(company["properties"]["numberofemployees"], "250");
}

#[test]
fn related_objects_are_found_by_the_contact() {
    let of_ada = |name: &str, operator: &str, value: &str| {
        let contact = json!({ "propertyName": "associations.contact", "operator": "EQ", "value": "33451" });
        let other = json!({ "propertyName": name, "operator": operator, "value": value });
        json!({ "filterGroups": [{ "filters": [contact, other] }], "sorts": [{ "propertyName": name, "direction": "ASCENDING" }] })
    };
    let (_, deals) = search("deals", &of_ada("hs_is_closed", "EQ", "false"));
    assert_eq!(ids(&deals), ["7710", "7711"]);
    let (_, tickets) = search("tickets", &of_ada("closed_date", "NOT_HAS_PROPERTY", ""));
    assert_eq!(ids(&tickets), ["5510"]);

    let (_, contact) = get("/crm/objects/2026-09/contacts/33451", &[("associations", "companies,deals")]);
    let deals = json!([7710, 7711, 7712].map(|id| json!({ "id": id.to_string(), "type": "contact_to_deal" })));
    assert_eq!(contact["associations"]["deals"]["results"], deals);
    assert_eq!(contact["associations"]["companies"]["results"][1]["type"], "contact_to_company_unlabeled");

    let inputs = json!({ "inputs": [{ "id": "33451" }, { "id": "33455" }] });
    let (_, answer) = post("/crm/associations/2026-09/contacts/deals/batch/read", &inputs);
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["results"][0]["to"][2]["toObjectId"], "7712");

    let inputs = json!({ "inputs": [{ "id": "7710" }, { "id": "1" }], "properties": ["amount"] });
    let (status, answer) = post("/crm/objects/2026-09/deals/batch/read", &inputs);
    assert_eq!((status, ids(&answer).as_slice()), (207, &["7710"][..]));
    assert_eq!(answer["errors"][0]["context"]["ids"], json!(["1"]));
}

#[test]
fn a_contact_is_read_by_its_email() {
    let path = "/crm/objects/2026-09/contacts/ADA.byron@analytical.example";
    let (status, answer) = get(path, &[("idProperty", "email"), ("properties", "lastname")]);
    assert_eq!((status, answer["id"].as_str()), (200, Some("33451")));
    let (status, answer) = get("/crm/objects/2026-09/contacts/x@example.com", &[("idProperty", "email")]);
    assert_eq!((status, answer["category"].as_str()), (404, Some("OBJECT_NOT_FOUND")));
}

#[test]
fn owners_and_pipelines_are_there() {
    let (_, owner) = get("/crm/owners/2026-09/64492917", &[]);
    assert_eq!((owner["firstName"].as_str(), owner["email"].as_str()), (Some("Grace"), Some("grace.rep@example.com")));
    let (_, owners) = get("/crm/owners/2026-09", &[("email", "omar.haddad@example.com")]);
    assert_eq!(ids(&owners), ["64492918"]);
    let (_, pipelines) = get("/crm/pipelines/2026-09/tickets", &[]);
    assert_eq!(pipelines["results"][0]["stages"][3]["metadata"]["ticketState"], "CLOSED");
}

#[test]
fn only_searches_lack_the_rate_headers() {
    let hubspot = hubspot();
    let has = |method: &str, path: &str, body: Value| {
        let reply = hubspot.answer(&request(method, path, &[], &body), false);
        reply.headers.iter().any(|(name, _)| name.starts_with("x-hubspot-ratelimit"))
    };
    assert!(has("GET", "/crm/objects/2026-09/contacts/33451", Value::Null));
    assert!(!has("POST", "/crm/objects/2026-09/contacts/search", json!({})));
}

#[test]
fn refusals_come_in_the_vendors_words() {
    let path = "/crm/objects/2026-09/contacts/33451";
    let mut wrong = request("GET", path, &[], &Value::Null);
    wrong.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer other"));
    let (status, answer) = read(&hubspot().answer(&wrong, false));
    assert_eq!((status, answer["category"].as_str()), (401, Some("EXPIRED_AUTHENTICATION")));
    for path in ["/crm/v3/objects/contacts/33451", "/crm/objects/2025-01/contacts/33451", "/crm/objects/2026-09/x/1"] {
        assert_eq!(get(path, &[]), (404, Value::Null), "{path}");
    }
    let mut form = request("POST", "/crm/objects/2026-09/contacts/search", &[], &json!({}));
    form.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    assert_eq!(hubspot().answer(&form, false).status, 415);
}

#[test]
fn a_stranger_comes_first() {
    let groups = json!([{ "filters": [{ "propertyName": "lastname", "operator": "EQ", "value": "Byron" }] }]);
    let body = json!({ "filterGroups": groups });
    let search = request("POST", "/crm/objects/2026-09/contacts/search", &[], &body);
    let (_, answer) = read(&hubspot().answer(&search, true));
    assert_eq!(ids(&answer), ["33549", "33451"]);
    let one = request("GET", "/crm/objects/2026-09/contacts/33451", &[], &Value::Null);
    assert_eq!(read(&hubspot().answer(&one, true)).1["id"], "33549");
}
