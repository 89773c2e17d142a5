use super::*;
use crate::demo::trial::{read, request, standin};

const BEARER: &str = "Bearer demo-calendly-token";
const OURS: (&str, &str) = ("organization", ORGANIZATION);

fn get(query: &[(&str, &str)]) -> (u16, Value) {
    read(&standin::<Calendly>().answer(&request(BEARER, "GET", "/scheduled_events", query, &Value::Null), false))
}

fn names(query: &[(&str, &str)]) -> Vec<String> {
    let (status, answer) = get(query);
    assert_eq!(status, 200, "{answer}");
    answer["collection"].as_array().unwrap().iter().map(|event| event["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn events_are_found_by_invitee_status_and_time() {
    let ada = ("invitee_email", "Ada.Byron@analytical.example");
    let month = [("min_start_time", "2026-11-20T12:00:00Z"), ("max_start_time", "2026-12-20T12:00:00Z")];
    let [from, until] = month;
    assert_eq!(names(&[OURS, ada, ("status", "active"), from, until]), ["Maintenance visit", "Contract review"]);
    assert_eq!(names(&[OURS, ada, ("status", "canceled")]), ["Training day"]);
    assert_eq!(names(&[OURS, ada, ("sort", "start_time:desc"), ("count", "1")]), ["Yearly inspection"]);
    assert!(names(&[OURS, ("invitee_email", "nobody@example.com")]).is_empty());
}

#[test]
fn what_the_documents_forbid_is_refused() {
    assert_eq!(get(&[]).0, 400);
    assert_eq!(get(&[("organization", "https://api.calendly.com/organizations/OTHER")]).0, 403);
    for wrong in [("count", "101"), ("sort", "name:asc"), ("min_start_time", "today")] {
        assert_eq!(get(&[OURS, wrong]).0, 400, "{wrong:?}");
    }
    let asked = request("Bearer other", "GET", "/scheduled_events", &[OURS], &Value::Null);
    assert_eq!(read(&standin::<Calendly>().answer(&asked, false)).0, 401);
    let me = request(BEARER, "GET", "/users/me", &[], &Value::Null);
    let (_, me) = read(&standin::<Calendly>().answer(&me, false));
    assert_eq!(me["resource"]["current_organization"], ORGANIZATION);
}
