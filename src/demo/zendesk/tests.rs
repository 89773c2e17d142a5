use super::*;
use crate::demo::trial::{read, request, standin};

const BEARER: &str = "Bearer demo-zendesk-token";
const ADA: usize = FIRST_USER + 1;

fn get(path: &str, query: &[(&str, &str)]) -> (u16, Value) {
    read(&standin::<Zendesk>().answer(&request(BEARER, "GET", path, query, &Value::Null), false))
}

fn names(answer: &Value) -> Vec<&str> {
    answer["users"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect()
}

#[test]
fn searches_look_at_words_and_with_a_star_at_endings() {
    for (query, expected) in [
        ("phone:*4155550142", &["Ada Byron"][..]),
        ("phone:14155550142", &["Ada Byron"]),
        ("phone:\"+14155550142\"", &["Ada Byron"]),
        ("phone:4155550142", &[]),
        ("phone:*2125550123", &["Bob Okafor", "Bianca Rossi", "Fern Adeyemi"]),
        ("phone:*2079460958", &["Poppy Ashdown"]),
        ("phone:*", &[]),
        ("email:\"Ada.Byron@analytical.example\"", &["Ada Byron"]),
        ("email:ada", &[]),
        ("name:ada role:agent", &[]),
        ("grace", &["Grace Rep"]),
        ("role:agent", &["Grace Rep", "Omar Haddad"]),
        ("shoe_size:44", &[]),
    ] {
        let (status, answer) = get("/api/v2/users/search", &[("query", query)]);
        assert_eq!((status, names(&answer)), (200, expected.to_vec()), "{query}");
    }
    assert_eq!(get("/api/v2/users/search", &[]).0, 422);
    assert_eq!(get("/api/v2/users/search.json", &[("query", "ada"), ("per_page", "101")]).0, 422);
    let (_, first) = get("/api/v2/users/search", &[("query", "phone:*3125550100"), ("per_page", "1")]);
    assert_eq!((names(&first).len(), &first["count"], first["next_page"].is_string()), (1, &json!(4), true));
}

#[test]
fn tickets_and_organizations_are_asked_by_id() {
    let sorted = [("sort_by", "updated_at"), ("sort_order", "desc")];
    let (_, answer) = get(&format!("/api/v2/users/{ADA}/tickets/requested"), &sorted);
    let statuses: Vec<_> = answer["tickets"].as_array().unwrap().iter().map(|t| &t["status"]).collect();
    assert_eq!(statuses, ["open", "closed"]);
    let (_, answer) = get(&format!("/api/v2/organizations/{FIRST_ORGANIZATION}"), &[]);
    assert_eq!(answer["organization"]["domain_names"], json!(["analytical.example"]));
    let (_, answer) = get(&format!("/api/v2/users/{FIRST_AGENT}"), &[]);
    assert_eq!(answer["user"]["role"], "agent");
    for path in ["/api/v2/users/1", "/api/v2/users/1/tickets/requested", "/api/v2/organizations/1", "/api/v2/x"] {
        assert_eq!(get(path, &[]).0, 404, "{path}");
    }
}

#[test]
fn a_token_goes_with_its_agent() {
    let with = |credentials: &str| {
        let asked = request(credentials, "GET", "/api/v2/users/search", &[("query", "ada")], &Value::Null);
        read(&standin::<Zendesk>().answer(&asked, false)).0
    };
    assert_eq!(with(BEARER), 200);
    // grace.rep@example.com/token, nobody@example.com/token
    assert_eq!(with("Basic Z3JhY2UucmVwQGV4YW1wbGUuY29tL3Rva2VuOmRlbW8temVuZGVzay10b2tlbg=="), 200);
    assert_eq!(with("Basic bm9ib2R5QGV4YW1wbGUuY29tL3Rva2VuOmRlbW8temVuZGVzay10b2tlbg=="), 401);
    assert_eq!(with("Bearer other"), 401);
}

#[test]
fn a_stranger_comes_first() {
    let asked = request(BEARER, "GET", "/api/v2/users/search", &[("query", "phone:*4155550142")], &Value::Null);
    let (_, answer) = read(&standin::<Zendesk>().answer(&asked, true));
    assert_eq!(names(&answer), ["Sam Stranger", "Ada Byron"]);
}
