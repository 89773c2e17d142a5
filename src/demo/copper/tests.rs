use hyper::header::HeaderValue;

use super::*;
use crate::demo::trial::{self, read, standin};

const ADA: usize = FIRST_PERSON + 1;

fn request(method: &str, path: &str, body: &Value) -> Request {
    let mut request = trial::request("", method, &format!("/developer_api/v1{path}"), &[], body);
    for (name, value) in [
        ("x-pw-accesstoken", "demo-copper-token"),
        ("x-pw-application", "developer_api"),
        ("x-pw-useremail", "grace.rep@example.com"),
    ] {
        request.headers.insert(name, HeaderValue::from_static(value));
    }
    request
}

fn ask(method: &str, path: &str, body: &Value) -> (u16, Value) {
    read(&standin::<Copper>().answer(&request(method, path, body), false))
}

fn names(answer: &Value) -> Vec<&str> {
    answer.as_array().unwrap().iter().map(|object| object["name"].as_str().unwrap()).collect()
}

#[test]
fn people_are_searched_by_digits_and_addresses() {
    for (body, expected) in [
        (json!({ "phone_number": "4155550142" }), &["Ada Byron"][..]),
        (json!({ "phone_number": "+14155550142" }), &["Ada Byron"]),
        (json!({ "phone_number": "5550142" }), &[]),
        (json!({ "phone_number": "2125550123" }), &["Bob Okafor", "Bianca Rossi", "Fern Adeyemi"]),
        (json!({ "emails": ["ada.byron@analytical.example"] }), &["Ada Byron"]),
        (json!({ "emails": ["ada.byron@analytical.example"], "phone_number": "2125550123" }), &[]),
        (json!({ "name_of_dog": "Rex", "phone_number": "4155550142" }), &["Ada Byron"]),
    ] {
        let (status, answer) = ask("POST", "/people/search", &body);
        assert_eq!((status, names(&answer)), (200, expected.to_vec()), "{body}");
    }
    assert_eq!(ask("POST", "/people/search", &json!({ "page_size": 201 })).0, 400);
    assert_eq!(ask("POST", "/people/search", &Value::Null).0, 400);
    let search = request("POST", "/people/search", &json!({ "phone_number": "4155550142" }));
    assert_eq!(names(&read(&standin::<Copper>().answer(&search, true)).1), ["Sam Stranger", "Ada Byron"]);
}

#[test]
fn one_person_is_fetched_by_address_or_none() {
    let fetch = |email: &str| ask("POST", "/people/fetch_by_email", &json!({ "email": email }));
    assert_eq!(fetch("Ada.Byron@analytical.example").1["id"], ADA);
    assert_eq!(fetch("nobody@example.org").0, 404);
    assert_eq!(ask("POST", "/people/fetch_by_email", &json!({})).0, 422);
}

#[test]
fn opportunities_are_filtered_by_what_is_known() {
    let search = |body: &Value| {
        let (_, answer) = ask("POST", "/opportunities/search", body);
        names(&answer).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let open = search(&json!({ "primary_contact_ids": [ADA], "status_ids": [0] }));
    assert_eq!(open, ["Difference engine renewal", "Punch card supply"]);
    assert_eq!(search(&json!({ "primary_contact_ids": [ADA], "status_ids": [1] })), ["First engine"]);
    assert!(search(&json!({ "contact_ids": [ADA] })).len() > 3);
}

#[test]
fn the_rest_is_asked_by_id_or_as_a_list() {
    assert_eq!(
        ask("GET", &format!("/companies/{FIRST_COMPANY}"), &Value::Null).1["email_domain"],
        "analytical.example"
    );
    assert_eq!(ask("GET", &format!("/people/{ADA}"), &Value::Null).1["tags"], json!(["vip"]));
    assert_eq!(ask("GET", "/pipelines", &Value::Null).1[0]["stages"][3]["name"], "Contract sent");
    assert_eq!(names(&ask("POST", "/users/search", &json!({})).1), ["Grace Rep", "Omar Haddad"]);
    for path in ["/companies/1", "/people/1", "/deals"] {
        assert_eq!(ask("GET", path, &Value::Null).0, 404, "{path}");
    }
}

#[test]
fn all_three_headers_are_needed() {
    for name in ["x-pw-accesstoken", "x-pw-application", "x-pw-useremail"] {
        let mut request = request("GET", "/pipelines", &Value::Null);
        request.headers.insert(name, HeaderValue::from_static("other"));
        assert_eq!(read(&standin::<Copper>().answer(&request, false)).0, 401, "{name}");
    }
}
