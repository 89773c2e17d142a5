use hyper::header::{AUTHORIZATION, HeaderValue};

use super::*;
use crate::demo::trial::{self, read};

fn salesforce() -> Salesforce {
    trial::standin()
}

fn request(method: &str, path: &str, query: &[(&str, &str)], body: &Value) -> Request {
    trial::request("Bearer demo-salesforce-token", method, path, query, body)
}

fn query(text: &str) -> (u16, Value) {
    let path = "/services/data/v68.0/query";
    read(&salesforce().answer(&request("GET", path, &[("q", text)], &Value::Null), false))
}

fn names(answer: &Value, list: &str) -> Vec<String> {
    answer[list].as_array().unwrap().iter().map(|r| r["Name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn queries_find_what_they_say() {
    let found: &[(&str, &[&str])] = &[
        // Phones are compared as typed.
        ("SELECT Name FROM Contact WHERE Phone = '(415) 555-0142'", &["Ada Byron"]),
        ("SELECT Name FROM Contact WHERE Phone = '+14155550142'", &[]),
        ("SELECT Name FROM Contact WHERE Phone IN ('x', '(415) 555-0142')", &["Ada Byron"]),
        ("SELECT Name FROM Contact WHERE Phone LIKE '%555-0142'", &["Ada Byron"]),
        ("SELECT Name FROM Contact WHERE Phone LIKE '\\%555-0142'", &[]),
        (
            "SELECT Name FROM Contact WHERE Phone = '(617) 555-0187' OR MobilePhone = '(617) 555-0187'",
            &["Carla Mendes", "Carla Mendes-Ruiz"],
        ),
        ("select name from contact where email = 'ADA.byron@analytical.example' limit 5", &["Ada Byron"]),
        (
            "SELECT Name FROM Contact WHERE Account.Name = 'Analytical Engines' AND (Title = 'x' OR LastName = 'Byron')",
            &["Ada Byron"],
        ),
        ("SELECT Name FROM Contact WHERE NOT (LastActivityDate >= 2025-01-01) AND LastName = 'Byron'", &[]),
        ("SELECT Name FROM Contact WHERE AccountId = NULL AND FirstName = 'Dana'", &["Dana Whitfield"]),
        ("SELECT Name FROM Lead WHERE IsConverted = FALSE", &["Mary Vignoles"]),
        (
            "SELECT Name FROM Opportunity WHERE IsClosed = false ORDER BY Amount",
            &["Punch card supply", "Difference engine renewal"],
        ),
        ("SELECT Name FROM Opportunity ORDER BY CloseDate DESC LIMIT 1", &["Punch card supply"]),
        ("SELECT Name FROM Opportunity ORDER BY CloseDate DESC LIMIT 1 OFFSET 1", &["Difference engine renewal"]),
        ("SELECT Name FROM Opportunity WHERE Amount > 2400 AND Amount < 9000", &["Punch card supply"]),
        ("SELECT Name FROM Contact WHERE LastName = '' OR LastName = 'o\\'neill\\\\'", &[]),
    ];
    for (text, expected) in found {
        let (status, answer) = query(text);
        assert_eq!(status, 200, "{text}");
        assert_eq!(names(&answer, "records"), *expected, "{text}");
        assert_eq!((&answer["totalSize"], &answer["done"]), (&expected.len().into(), &true.into()), "{text}");
    }
}

#[test]
fn wrong_queries_are_refused_in_the_vendors_words() {
    let refused = [
        ("SELECT Name FROM Contact WHERE Phone = 'x", "MALFORMED_QUERY"),
        ("SELECT Foo__c FROM Contact WHERE Phone = 'x'", "INVALID_FIELD"),
        ("SELECT Name FROM Contact WHERE Foo__c = 'x'", "INVALID_FIELD"),
        ("SELECT Name FROM Contact ORDER BY Foo__c", "INVALID_FIELD"),
        ("SELECT Account.Foo FROM Contact", "INVALID_FIELD"),
        ("SELECT Account FROM Contact", "INVALID_FIELD"),
        ("SELECT Boss.Name FROM Contact", "INVALID_FIELD"),
        ("SELECT Name FROM Contracts", "INVALID_TYPE"),
        ("SELECT Id, (SELECT Id FROM Payments) FROM Contact", "INVALID_TYPE"),
        ("SELECT Company FROM Contact", "INVALID_FIELD"),
    ];
    for (text, code) in refused {
        let (status, answer) = query(text);
        assert_eq!((status, answer[0]["errorCode"].as_str()), (400, Some(code)), "{text}");
    }
}

#[test]
fn parents_are_nested_and_children_are_queries() {
    let text = "SELECT Id, Name, LastActivityDate, LastModifiedDate, Account.Name, Account.NumberOfEmployees, Owner.Email, \
        (SELECT Subject, LastModifiedDate FROM Cases WHERE IsClosed = FALSE), (SELECT Id FROM Events) \
        FROM Contact WHERE LastName = 'Byron'";
    let (_, answer) = query(text);
    let ada = &answer["records"][0];
    let expected = json!({
        "attributes": { "type": "Contact", "url": "/services/data/v68.0/sobjects/Contact/003D00000000001AAA" },
        "Id": "003D00000000001AAA",
        "Name": "Ada Byron",
        "LastActivityDate": "2026-11-02",
        "LastModifiedDate": "2026-11-20T12:00:00.000+0000",
        "Account": {
            "attributes": { "type": "Account", "url": "/services/data/v68.0/sobjects/Account/001D00000000000AAA" },
            "Name": "Analytical Engines",
            "NumberOfEmployees": 250,
        },
        "Owner": {
            "attributes": { "type": "User", "url": "/services/data/v68.0/sobjects/User/005D00000000000AAA" },
            "Email": "grace.rep@example.com",
        },
        "Cases": { "totalSize": 1, "done": true, "records": [{
            "attributes": { "type": "Case", "url": "/services/data/v68.0/sobjects/Case/500D00000000010AAA" },
            "Subject": "Invoice question",
            "LastModifiedDate": "2026-11-18T12:00:00.000+0000",
        }] },
        "Events": null,
    });
    assert_eq!(ada, &expected);
    let (_, answer) = query("SELECT Account.Name FROM Contact WHERE LastName = 'Whitfield'");
    assert_eq!(answer["records"][0]["Account"], Value::Null);
}

#[test]
fn the_search_index_skips_punctuation() {
    let search = |q: &str, scope: &str, fields: Value| {
        let body = json!({ "q": q, "in": scope, "sobjects": [{ "name": "Contact", "fields": fields, "limit": 5 }] });
        let path = "/services/data/v68.0/parameterizedSearch";
        read(&salesforce().answer(&request("POST", path, &[], &body), false))
    };
    let all = json!(["Id", "Name", "Owner.Name"]);
    let (_, answer) = search("4155550163", "PHONE", all.clone());
    assert_eq!(names(&answer, "searchRecords"), ["Dana Whitfield"]);
    assert_eq!(answer["searchRecords"][0]["Owner"]["Name"], "Omar Haddad");
    assert_eq!(search("4155550199", "PHONE", all.clone()).1["searchRecords"], json!([]));
    assert_eq!(search("4155550163", "EMAIL", all).1["searchRecords"], json!([]));
    assert_eq!(search("4155550163", "PHONE", json!(["Company"])).1[0]["errorCode"], "INVALID_FIELD");
    assert_eq!(search("4", "PHONE", json!(["Id"])).0, 400);
}

#[test]
fn versions_sessions_and_the_allocation() {
    let salesforce = salesforce();
    let ask = |version: &str, token: &'static str| {
        let path = format!("/services/data/{version}/query");
        let mut request = request("GET", &path, &[("q", "SELECT Id FROM Contact LIMIT 1")], &Value::Null);
        request.headers.insert(AUTHORIZATION, HeaderValue::from_static(token));
        salesforce.answer(&request, false)
    };
    let right = "Bearer demo-salesforce-token";
    for (version, token, expected) in [
        ("v68.0", right, 200),
        ("v54.0", right, 200),
        ("v30.0", right, 410),
        ("v69.0", right, 404),
        ("68", right, 404),
        ("v68.0", "Bearer other", 401),
    ] {
        assert_eq!(ask(version, token).status.as_u16(), expected, "{version}");
    }
    let third = ask("v68.0", right);
    let used = third.headers.iter().find(|(name, _)| *name == "sforce-limit-info");
    assert_eq!(used.map(|(_, value)| value.as_str()), Some("api-usage=3/100000"));
    let (status, body) = read(&refusal(429));
    assert_eq!((status, body[0]["errorCode"].as_str()), (403, Some("REQUEST_LIMIT_EXCEEDED")));
    let versions = salesforce.answer(&request("GET", "/services/data", &[], &Value::Null), false);
    let versions: Value = serde_json::from_slice(&versions.body).unwrap();
    let newest = json!({ "label": "Winter '27", "url": "/services/data/v68.0", "version": "68.0" });
    assert_eq!(versions.as_array().unwrap().last(), Some(&newest));
}

#[test]
fn a_stranger_comes_first() {
    let text = "SELECT Id, Name FROM Contact WHERE Phone = '(415) 555-0142'";
    let request = request("GET", "/services/data/v68.0/query", &[("q", text)], &Value::Null);
    let (_, answer) = read(&salesforce().answer(&request, true));
    assert_eq!(names(&answer, "records"), ["Sam Stranger", "Ada Byron"]);
}
