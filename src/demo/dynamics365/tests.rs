use super::*;
use crate::demo::trial::{read, request, standin};

const TOKEN: &str = "Bearer demo-dynamics365-token";
const ADA: &str = "00000001-0f9f-e711-8122-000000000001";

fn get(set: &str, query: &[(&str, &str)]) -> (u16, Value) {
    let asked = request(TOKEN, "GET", &format!("/api/data/v9.2/{set}"), query, &Value::Null);
    read(&standin::<Dynamics365>().answer(&asked, false))
}

fn names(filter: &str) -> (u16, Vec<String>) {
    let (status, answer) = get("contacts", &[("$select", "fullname"), ("$filter", filter)]);
    let rows = answer["value"].as_array().cloned().unwrap_or_default();
    (status, rows.iter().map(|row| row["fullname"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn columns_are_compared_as_typed() {
    for (filter, expected) in [
        ("telephone1 eq '(415) 555-0142'", &["Ada Byron"][..]),
        ("telephone1 eq '+14155550142'", &[]),
        ("statecode eq 0 and (telephone1 eq 'x' or emailaddress1 eq 'ADA.byron@analytical.example')", &["Ada Byron"]),
        ("statecode eq 1 and telephone1 eq '(415) 555-0142'", &[]),
        ("mobilephone eq '(617) 555-0187'", &["Carla Mendes-Ruiz"]),
        ("emailaddress1 eq 'o''hara@example.com'", &[]),
    ] {
        assert_eq!(names(filter), (200, expected.iter().map(|s| (*s).to_owned()).collect()), "{filter}");
    }
}

#[test]
fn what_is_no_query_is_refused() {
    for filter in [
        "",
        "shoesize eq 44",
        "telephone1 = '1'",
        "telephone1 eq 'o'hara'",
        "telephone1 eq '1",
        "(telephone1 eq '1'",
        "telephone1 eq",
        "telephone1 eq '1' or",
    ] {
        assert_eq!(names(filter).0, 400, "{filter}");
    }
    let good = ("$filter", "statecode eq 0");
    assert_eq!(get("contacts", &[good]).0, 400);
    assert_eq!(get("contacts", &[good, ("$select", "shoesize")]).0, 400);
    assert_eq!(get("contacts", &[good, ("$select", "owninguser")]).0, 400);
    assert_eq!(get("contacts", &[good, ("$select", "fullname"), ("$top", "5001")]).0, 400);
    assert_eq!(get("contacts", &[good, ("$select", "fullname"), ("$orderby", "shoesize desc")]).0, 400);
    assert_eq!(get("contacts", &[good, ("$select", "fullname"), ("$expand", "owninguser($select=shoesize)")]).0, 400);
    assert_eq!(get("shoes", &[good]).0, 404);
}

#[test]
fn a_row_tells_what_stands_behind_it() {
    let expand = "parentcustomerid_account($select=name,numberofemployees),owninguser($select=fullname)";
    let (_, row) = get(&format!("contacts({ADA})"), &[("$select", "contactid"), ("$expand", expand)]);
    assert_eq!(row["parentcustomerid_account"], json!({ "name": "Analytical Engines", "numberofemployees": 250 }));
    assert_eq!(row["owninguser"], json!({ "fullname": "Grace Rep" }));
    assert_eq!(get("contacts(00000001-0f9f-e711-8122-000000000099)", &[("$select", "contactid")]).0, 404);

    let of_ada = format!("statecode eq 0 and (_customerid_value eq {ADA} or _parentcontactid_value eq {ADA})");
    let query =
        [("$filter", of_ada.as_str()), ("$select", "name"), ("$orderby", "estimatedclosedate desc"), ("$top", "1")];
    let (_, answer) = get("opportunities", &query);
    assert_eq!(answer["value"].as_array().unwrap().len(), 1);
    assert_eq!(answer["value"][0]["name"], "Punch card supply");

    let of_ada = format!("_customerid_value eq {ADA}");
    let mut asked = request(
        TOKEN,
        "GET",
        "/api/data/v9.2/incidents",
        &[("$filter", &of_ada), ("$select", "statuscode")],
        &Value::Null,
    );
    let standin = standin::<Dynamics365>();
    let formatted = format!("statuscode@{FORMATTED}");
    assert_eq!(read(&standin.answer(&asked, false)).1["value"][0].get(&formatted), None);
    asked.headers.insert("prefer", format!("odata.include-annotations=\"{FORMATTED}\"").parse().unwrap());
    assert_eq!(read(&standin.answer(&asked, false)).1["value"][0][&formatted], "In Progress");
}

#[test]
fn a_stranger_comes_first_and_a_wrong_token_gets_nothing() {
    let query = [("$filter", "telephone1 eq '(415) 555-0142'"), ("$select", "fullname")];
    let asked = request(TOKEN, "GET", "/api/data/v9.2/contacts", &query, &Value::Null);
    assert_eq!(read(&standin::<Dynamics365>().answer(&asked, true)).1["value"][0]["fullname"], "Sam Stranger");
    let asked = request("Bearer other", "GET", "/api/data/v9.2/contacts", &query, &Value::Null);
    assert_eq!(read(&standin::<Dynamics365>().answer(&asked, false)), (401, Value::Null));
}
