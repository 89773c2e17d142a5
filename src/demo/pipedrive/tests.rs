use super::*;
use crate::demo::trial::{self, read, standin};

const ADA: usize = FIRST_PERSON + 1;

fn asked(path: &str, query: &[(&str, &str)]) -> Request {
    trial::request("Bearer demo-pipedrive-token", "GET", path, query, &Value::Null)
}

fn get(path: &str, query: &[(&str, &str)]) -> (u16, Value) {
    read(&standin::<Pipedrive>().answer(&asked(path, query), false))
}

fn names(answer: &Value) -> Vec<&str> {
    answer["data"]["items"].as_array().unwrap().iter().map(|hit| hit["item"]["name"].as_str().unwrap()).collect()
}

#[test]
fn searches_find_parts_of_what_was_typed() {
    for (term, fields, exact, expected) in [
        ("4155550142", "phone", "false", &["Ada Byron"][..]),
        ("4155550142", "phone", "true", &[]),
        ("+14155550142", "phone", "true", &["Ada Byron"]),
        ("2125550123", "phone", "false", &["Bob Okafor", "Fern Adeyemi"]),
        ("(212) 555-0123", "phone", "false", &["Bianca Rossi"]),
        ("Ada.Byron@analytical.example", "email", "true", &["Ada Byron"]),
        ("ada.byron@analytical", "email", "true", &[]),
        ("byron", "name,email", "false", &["Ada Byron"]),
        ("byron", "phone", "false", &[]),
    ] {
        let query = [("term", term), ("fields", fields), ("exact_match", exact)];
        let (status, answer) = get("/api/v2/persons/search", &query);
        assert_eq!((status, names(&answer)), (200, expected.to_vec()), "{term} in {fields}");
    }
    for wrong in
        [&[("term", "a")][..], &[], &[("term", "ada"), ("fields", "shoes")], &[("term", "ada"), ("limit", "501")]]
    {
        assert_eq!(get("/api/v2/persons/search", wrong).0, 400, "{wrong:?}");
    }
    let (_, answer) =
        read(&standin::<Pipedrive>().answer(&asked("/api/v2/persons/search", &[("term", "byron")]), true));
    assert_eq!(names(&answer), ["Sam Stranger", "Ada Byron"]);
}

#[test]
fn lists_are_filtered_and_sorted() {
    let ada = ADA.to_string();
    let ids = |path: &str, query: &[(&str, &str)], member: &str| -> Vec<String> {
        let (_, answer) = get(path, query);
        answer["data"].as_array().unwrap().iter().map(|object| object[member].as_str().unwrap().to_owned()).collect()
    };
    let open =
        [("person_id", ada.as_str()), ("status", "open"), ("sort_by", "update_time"), ("sort_direction", "desc")];
    assert_eq!(ids("/api/v2/deals", &open, "title"), ["Difference engine renewal", "Punch card supply"]);
    assert_eq!(ids("/api/v2/deals", &[("person_id", &ada), ("status", "won")], "title"), ["First engine"]);
    let done = [("person_id", ada.as_str()), ("done", "true"), ("sort_by", "due_date"), ("sort_direction", "desc")];
    assert_eq!(ids("/api/v2/activities", &done, "type"), ["task", "call"]);
    assert_eq!(ids("/api/v2/activities", &[("person_id", &ada), ("done", "false")], "type"), [""; 0]);
    assert_eq!(ids("/api/v2/stages", &[("limit", "500")], "name"), STAGES);
    assert_eq!(get("/api/v2/deals", &[("contact", "1")]).0, 400);
    assert_eq!(get("/api/v2/deals", &[("sort_by", "value")]).0, 400);
}

#[test]
fn objects_are_asked_by_id() {
    assert_eq!(get(&format!("/api/v2/persons/{ADA}"), &[]).1["data"]["job_title"], "Head of Operations");
    assert_eq!(get(&format!("/api/v2/organizations/{FIRST_ORGANIZATION}"), &[]).1["data"]["employee_count"], 250);
    assert_eq!(get(&format!("/api/v1/users/{FIRST_USER}"), &[]).1["data"]["name"], "Grace Rep");
    for path in ["/api/v2/persons/1", "/api/v2/organizations/1", "/api/v1/users/1", "/api/v1/deals", "/x"] {
        assert_eq!(get(path, &[]).0, 404, "{path}");
    }
}

#[test]
fn either_token_is_taken() {
    let mut request = trial::request("Bearer other", "GET", "/api/v2/stages", &[], &Value::Null);
    assert_eq!(read(&standin::<Pipedrive>().answer(&request, false)).0, 401);
    request.headers.insert("x-api-token", hyper::header::HeaderValue::from_static("demo-pipedrive-token"));
    assert_eq!(read(&standin::<Pipedrive>().answer(&request, false)).0, 200);
}
