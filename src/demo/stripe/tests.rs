use super::*;
use crate::demo::trial::{read, request, standin};

const BEARER: &str = "Bearer demo-stripe-token";

fn get(path: &str, query: &[(&str, &str)]) -> (u16, Value) {
    read(&standin::<Stripe>().answer(&request(BEARER, "GET", path, query, &Value::Null), false))
}

fn ids(answer: &Value) -> Vec<&str> {
    answer["data"].as_array().unwrap().iter().map(|object| object["id"].as_str().unwrap()).collect()
}

#[test]
fn searches_compare_whole_values() {
    for (query, expected) in [
        ("phone:'+14155550142'", &["cus_Demo1"][..]),
        ("phone:\"+14155550142\"", &["cus_Demo1"]),
        ("phone:'4155550142'", &[]),
        ("phone:'1' OR email:'ADA.byron@analytical.example'", &["cus_Demo1"]),
        ("phone:'1' AND email:'ada.byron@analytical.example'", &[]),
        ("name:'o\\'hara'", &[]),
    ] {
        let (status, answer) = get("/v1/customers/search", &[("query", query)]);
        assert_eq!((status, ids(&answer)), (200, expected.to_vec()), "{query}");
    }
    for query in ["", "phone", "phone:1", "shoe:'44'", "phone:'1' OR name:'a' AND name:'b'", "phone:'1' name:'a'"] {
        assert_eq!(get("/v1/customers/search", &[("query", query)]).0, 400, "{query}");
    }
    let query = ("query", "phone:'1'");
    assert_eq!(get("/v1/customers/search", &[query, ("limit", "101")]).0, 400);
    assert_eq!(get("/v1/customers/search", &[query, ("expand[]", "data.friends")]).0, 400);
    assert_eq!(get("/v1/friends/search", &[query]).0, 404);
}

#[test]
fn methods_and_subscriptions_are_there_when_expanded() {
    let query = ("query", "phone:'+14155550142'");
    let (_, plain) = get("/v1/customers/search", &[query]);
    assert_eq!(plain["data"][0]["invoice_settings"]["default_payment_method"], "pm_Demo1");
    assert_eq!(plain["data"][0].get("subscriptions"), None);
    let expand = EXPANDABLE.map(|path| ("expand[]", path));
    let (_, full) = get("/v1/customers/search", &[[query].as_slice(), expand.as_slice()].concat());
    assert_eq!(full["data"][0]["invoice_settings"]["default_payment_method"]["type"], "card");
    assert_eq!(full["data"][0]["subscriptions"]["data"][0]["collection_method"], "charge_automatically");
}

#[test]
fn the_newest_come_first() {
    let (_, charges) = get("/v1/charges/search", &[("query", "customer:'cus_Demo1' AND currency:'usd'")]);
    assert_eq!(ids(&charges), ["ch_Demo13", "ch_Demo11", "ch_Demo12"]);
    let open = "customer:'cus_Demo1' AND status:'open' AND currency:'usd'";
    let (_, invoices) = get("/v1/invoices/search", &[("query", open), ("limit", "1")]);
    assert_eq!((ids(&invoices), &invoices["has_more"]), (vec!["in_Demo11"], &json!(true)));
}

#[test]
fn wrong_keys_are_refused_and_a_stranger_comes_first() {
    let query = [("query", "phone:'+14155550142'")];
    let ask = |credentials, stranger| {
        let asked = request(credentials, "GET", "/v1/customers/search", &query, &Value::Null);
        read(&standin::<Stripe>().answer(&asked, stranger))
    };
    assert_eq!(ask("Bearer other", false).0, 401);
    // demo-stripe-token:
    assert_eq!(ask("Basic ZGVtby1zdHJpcGUtdG9rZW46", false).0, 200);
    assert_eq!(ids(&ask(BEARER, true).1), ["cus_Demo99", "cus_Demo1"]);
}
