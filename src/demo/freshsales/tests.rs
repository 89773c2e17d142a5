use super::*;
use crate::demo::trial::{read, request, standin};

const KEY: &str = "Token token=demo-freshsales-token";

fn get(path: &str, query: &[(&str, &str)]) -> (u16, Value) {
    read(&standin::<Freshsales>().answer(&request(KEY, "GET", path, query, &Value::Null), false))
}

fn lookup(field: &str, value: &str) -> (u16, Vec<String>) {
    let asked = [("q", value), ("f", field), ("entities", "contact")];
    let (status, answer) = get("/crm/sales/api/lookup", &asked);
    let contacts = answer.pointer("/contacts/contacts").and_then(Value::as_array).cloned().unwrap_or_default();
    (status, contacts.iter().map(|contact| contact["display_name"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn a_lookup_compares_one_field_as_typed() {
    for (field, value, expected) in [
        ("work_number", "(415) 555-0142", &["Ada Byron"][..]),
        ("work_number", "+14155550142", &[]),
        ("mobile_number", "(415) 555-0142", &[]),
        ("mobile_number", "(617) 555-0187", &["Carla Mendes-Ruiz"]),
        ("email", "Ada.Byron@analytical.example", &["Ada Byron"]),
        ("email", "ada", &[]),
        ("name", "ada byron", &["Ada Byron"]),
        ("id", "70031234001", &["Ada Byron"]),
    ] {
        assert_eq!(lookup(field, value), (200, expected.iter().map(|s| (*s).to_owned()).collect()), "{field} {value}");
    }
    assert_eq!(lookup("shoe_size", "44").0, 400);
    assert_eq!(lookup("email", "").0, 400);
    assert_eq!(get("/crm/sales/api/lookup", &[("q", "ada"), ("f", "name")]).0, 400);
    let asked = [("q", "+1"), ("f", "work_number"), ("entities", "contact")];
    let asked = request(KEY, "GET", "/crm/sales/api/lookup", &asked, &Value::Null);
    let (_, answer) = read(&standin::<Freshsales>().answer(&asked, true));
    assert_eq!(answer["contacts"]["contacts"][0]["display_name"], "Sam Stranger");
}

#[test]
fn what_belongs_to_a_contact_stands_beside_it() {
    let ada = "/crm/sales/api/contacts/70031234001";
    let (_, answer) = get(ada, &[("include", "sales_accounts,deals,owner")]);
    assert_eq!(answer["sales_accounts"][0]["name"], "Analytical Engines");
    assert_eq!(answer["users"][0]["email"], "grace.rep@example.com");
    let closed: Vec<_> = answer["deals"].as_array().unwrap().iter().map(|d| d["closed_date"].is_string()).collect();
    assert_eq!(closed, [false, false, true]);
    assert_eq!(get(ada, &[]).1.as_object().unwrap().len(), 1);
    assert_eq!(get(ada, &[("include", "shoes")]).0, 400);
    assert_eq!(get("/crm/sales/api/contacts/1", &[]).0, 404);
    assert_eq!(get("/crm/sales/api/shoes", &[]).0, 404);
}

#[test]
fn a_key_is_no_bearer() {
    let asked = request("Bearer demo-freshsales-token", "GET", "/crm/sales/api/lookup", &[], &Value::Null);
    assert_eq!(read(&standin::<Freshsales>().answer(&asked, false)).0, 401);
}
