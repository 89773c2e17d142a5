use super::*;
use crate::demo::trial::{read, request, standin};

const BEARER: &str = "Bearer demo-square-bookings-token";

fn search(body: &Value, stranger: bool) -> (u16, Value) {
    let asked = request(BEARER, "POST", "/v2/customers/search", &[], body);
    read(&standin::<SquareBookings>().answer(&asked, stranger))
}

fn names(filter: &Value, stranger: bool) -> Vec<String> {
    let (_, answer) = search(&json!({ "query": { "filter": filter } }), stranger);
    let customers = answer["customers"].as_array().cloned().unwrap_or_default();
    customers.iter().map(|customer| customer["given_name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn customers_are_searched_exactly_or_by_a_part() {
    assert_eq!(names(&json!({ "phone_number": { "exact": "+14155550142" } }), false), ["Ada"]);
    assert_eq!(names(&json!({ "phone_number": { "exact": "4155550142" } }), false), [""; 0]);
    assert_eq!(names(&json!({ "phone_number": { "fuzzy": "4155550142" } }), false), ["Ada"]);
    assert_eq!(names(&json!({ "email_address": { "exact": "Ada.Byron@analytical.example" } }), true), ["Sam", "Ada"]);
    assert_eq!(
        search(&json!({ "query": { "filter": { "phone_number": { "exact": "1" } } } }), false),
        (200, json!({}))
    );
    assert_eq!(search(&json!({ "query": { "filter": { "shoe": { "exact": "44" } } } }), false).0, 400);
    assert_eq!(search(&json!({ "limit": 101, "query": { "filter": {} } }), false).0, 400);
    assert_eq!(search(&json!({}), false).0, 400);
}

#[test]
fn bookings_are_listed_by_customer_and_month() {
    let ada = PEOPLE.iter().find(|person| person.key == 1).map(id).unwrap();
    let list = |query: &[(&str, &str)]| {
        let asked = request(BEARER, "GET", "/v2/bookings", query, &Value::Null);
        read(&standin::<SquareBookings>().answer(&asked, false))
    };
    let (_, answer) = list(&[("customer_id", &ada), ("start_at_min", "2026-11-20T12:00:00Z")]);
    let statuses: Vec<_> =
        answer["bookings"].as_array().unwrap().iter().map(|b| b["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["ACCEPTED", "PENDING", "CANCELLED_BY_CUSTOMER"]);
    assert_eq!(list(&[("start_at_min", "2026-11-20T12:00:00Z"), ("start_at_max", "2026-12-22T12:00:00Z")]).0, 400);
    assert_eq!(list(&[("limit", "0")]).0, 400);
    let other = request("Bearer other", "GET", "/v2/bookings", &[], &Value::Null);
    assert_eq!(read(&standin::<SquareBookings>().answer(&other, false)).0, 401);
}
