use super::*;
use crate::demo::trial::{read, request, standin};

const BEARER: &str = "Bearer demo-microsoft-graph-token";
const FROM: (&str, &str) = ("startDateTime", "2026-11-20T12:00:00Z");
const UNTIL: (&str, &str) = ("endDateTime", "2026-12-20T12:00:00Z");

fn ask(prefer: Option<&str>, query: &[(&str, &str)], stranger: bool) -> (u16, Value) {
    let mut asked = request(BEARER, "GET", &format!("/users/{MAILBOX}/calendarView"), query, &Value::Null);
    if let Some(prefer) = prefer {
        asked.headers.insert("prefer", prefer.parse().unwrap());
    }
    read(&standin::<MicrosoftGraph>().answer(&asked, stranger))
}

fn subjects(query: &[(&str, &str)], stranger: bool) -> Vec<String> {
    let (status, answer) = ask(Some(UTC), query, stranger);
    assert_eq!(status, 200, "{answer}");
    answer["value"].as_array().unwrap().iter().map(|event| event["subject"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_view_holds_all_of_its_time() {
    assert_eq!(subjects(&[FROM, UNTIL], false), ["Maintenance visit", "Training day", "Contract review"]);
    assert_eq!(subjects(&[FROM, UNTIL, ("$top", "1")], true), ["About somebody else"]);
    let (_, answer) = ask(Some(UTC), &[FROM, UNTIL, ("$select", "subject,start")], false);
    let members: Vec<_> = answer["value"][0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["@odata.etag", "id", "subject", "start"]);
}

#[test]
fn what_the_documents_forbid_is_refused() {
    assert_eq!(ask(Some(UTC), &[FROM], false).0, 400);
    assert_eq!(ask(None, &[FROM, UNTIL], false).0, 400);
    assert_eq!(ask(Some(UTC), &[FROM, UNTIL, ("$filter", "attendees/any()")], false).0, 400);
    assert_eq!(ask(Some(UTC), &[FROM, UNTIL, ("$top", "1001")], false).0, 400);
    let other = request(BEARER, "GET", "/users/nobody/calendarView", &[FROM, UNTIL], &Value::Null);
    assert_eq!(read(&standin::<MicrosoftGraph>().answer(&other, false)).0, 404);
    let other = request("Bearer other", "GET", "/me/calendarView", &[FROM, UNTIL], &Value::Null);
    assert_eq!(read(&standin::<MicrosoftGraph>().answer(&other, false)).0, 401);
}
