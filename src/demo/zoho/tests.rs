use super::*;
use crate::demo::trial::{read, request, standin};

const TOKEN: &str = "Zoho-oauthtoken demo-zoho-token";

fn query(text: &str) -> (u16, Vec<String>) {
    let asked = request(TOKEN, "POST", "/crm/v8/coql", &[], &json!({ "select_query": text }));
    let (status, answer) = read(&standin::<Zoho>().answer(&asked, false));
    let records = answer["data"].as_array().cloned().unwrap_or_default();
    (status, records.iter().map(|record| record["Full_Name"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn queries_compare_as_typed() {
    for (filter, expected) in [
        ("Phone = '(415) 555-0142'", &["Ada Byron"][..]),
        ("(Phone in ('x','(415) 555-0142') or Mobile in ('x'))", &["Ada Byron"]),
        (
            "((Phone = '+1 212-555-0123' or Mobile = '(212) 555-0123') or Phone = '(212) 555-0123')",
            &["Bob Okafor", "Bianca Rossi", "Fern Adeyemi"],
        ),
        ("(Phone = '(415) 555-0142' and Email = 'ADA.byron@analytical.example')", &["Ada Byron"]),
        ("(Phone = '(415) 555-0142' and Email = 'o''hara@example.com')", &[]),
    ] {
        let status = if expected.is_empty() { 204 } else { 200 };
        let names: Vec<String> = expected.iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(
            query(&format!("select Full_Name from Contacts where {filter} limit 20")),
            (status, names),
            "{filter}"
        );
    }
    assert_eq!(
        query("SELECT Full_Name FROM Leads WHERE Phone = '(469) 555-0117'"),
        (200, vec!["Mary Vignoles".to_owned()])
    );
}

#[test]
fn what_is_no_query_is_refused() {
    for text in [
        "",
        "select Full_Name from Contacts",
        "select Full_Name from Shoes where Phone = '1'",
        "select Shoe_Size from Contacts where Phone = '1'",
        "select Full_Name from Contacts where Shoe_Size = '1'",
        "select Full_Name from Contacts where Phone = '1' or Phone = '2' or Phone = '3'",
        "select Full_Name from Contacts where Phone = 'o'hara'",
        "select Full_Name from Contacts where Phone = '1",
        "select Full_Name from Contacts where (Phone = '1'",
        "select Full_Name from Contacts where Phone in ()",
        "select Full_Name from Contacts where Phone = '1' limit 2001",
        "select Full_Name from Contacts where Phone = '1' limit 1 x",
        "delete from Contacts where Phone = '1'",
    ] {
        assert_eq!(query(text).0, 400, "{text}");
    }
}

#[test]
fn a_contact_has_its_lists() {
    let get = |path: &str, query: &[(&str, &str)]| {
        read(&standin::<Zoho>().answer(&request(TOKEN, "GET", path, query, &Value::Null), false))
    };
    let ada = format!("/crm/v8/Contacts/{}", CONTACT + 1);
    let (_, answer) = get(&ada, &[("fields", "Owner,Tag")]);
    assert_eq!(answer["data"][0].as_object().unwrap().len(), 3);
    assert_eq!(
        (&answer["data"][0]["Owner"]["name"], &answer["data"][0]["Tag"][0]["name"]),
        (&json!("Grace Rep"), &json!("vip"))
    );
    for (list, field, expected) in [
        ("Deals", "Stage", json!(["Negotiation/Review", "Qualification", "Closed Won"])),
        ("Cases", "Status", json!(["New", "Closed"])),
        ("Calls", "Call_Duration", json!([null, "00:00", "03:04"])),
    ] {
        let (_, answer) = get(&format!("{ada}/{list}"), &[("fields", field)]);
        let seen: Vec<_> = answer["data"].as_array().unwrap().iter().map(|record| record[field].clone()).collect();
        assert_eq!(json!(seen), expected, "{list}");
        assert_eq!(get(&format!("{ada}/{list}"), &[]).0, 400, "{list}");
    }
    assert_eq!(get("/crm/v8/Contacts/1", &[]), (204, Value::Null));
    assert_eq!(get("/crm/v8/Contacts/1/Deals", &[("fields", "id")]).0, 204);
    assert_eq!(get(&format!("{ada}/Shoes"), &[("fields", "id")]).0, 400);
    assert_eq!(get("/crm/v8/Shoes", &[]).0, 404);
}

#[test]
fn a_stranger_comes_first_and_a_bearer_is_refused() {
    let body = json!({ "select_query": "select Full_Name from Contacts where Phone = '(415) 555-0142'" });
    let asked = request(TOKEN, "POST", "/crm/v8/coql", &[], &body);
    let (_, answer) = read(&standin::<Zoho>().answer(&asked, true));
    assert_eq!(answer["data"][0]["Full_Name"], "Sam Stranger");
    let asked = request("Bearer demo-zoho-token", "POST", "/crm/v8/coql", &[], &body);
    assert_eq!(read(&standin::<Zoho>().answer(&asked, false)).0, 401);
}
