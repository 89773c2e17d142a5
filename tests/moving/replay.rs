//! `replay`: what a change would do, counted before it is made.

use caller_context::demo::Vendor;
use caller_context::demo::world::{AMBIGUOUS, BRITISH, CUSTOMER_ONLY, EVERYWHERE, ODD_SPELLING, UNKNOWN, WITHHELD};
use serde_json::{Value, json};

use crate::world::{Ended, World};

const FAST: &str = "--rate=1000/s";

/// Callers as one list, each on a line.
fn list(callers: &[&str]) -> String {
    callers.join("\n")
}

async fn replay(world: &World, callers: &[&str], more: &[&str]) -> Ended {
    let arguments = ["replay", "--against", "new.toml", "--calls", "-", FAST, "--json"];
    world.run(&[&arguments, more].concat(), &list(callers)).await
}

/// same, only before, only after, differs, both empty
fn counts(page: &Value, field: &str) -> [i64; 5] {
    let counts = &page["fields"][field];
    ["same", "only_before", "only_after", "differs", "both_empty"].map(|name| counts[name].as_i64().unwrap())
}

fn without_the_database(demo: String) -> String {
    let (head, rest) = demo.split_once("[sources.customers]").unwrap();
    let (_, tail) = rest.split_once("[sources.payments]").unwrap();
    format!("{head}[sources.payments]{tail}").replace(", \"customers\"]", "]")
}

/// Ada and Dana are in the CRM and the database, Lena in the database alone, the last one nowhere.
const CALLERS: [&str; 4] = [EVERYWHERE, ODD_SPELLING, CUSTOMER_ONLY, UNKNOWN];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_where_nothing_was_changed() {
    let world = World::start().await;
    world.write("new.toml", |demo| demo);
    let callers = [CALLERS.as_slice(), &[AMBIGUOUS, BRITISH, WITHHELD, EVERYWHERE]].concat();
    let ended = replay(&world, &callers, &[]).await;
    let page = ended.json();
    assert_eq!(ended.code, 0, "{page}");
    assert_eq!((&page["callers"], &page["changed"]), (&json!(7), &json!(0)), "everybody once");
    assert_eq!(counts(&page, "caller_name"), [4, 0, 0, 0, 3]);
    assert_eq!(page["sources"]["crm"]["before"], page["sources"]["crm"]["after"]);
    let status = |text: &str, n: i64| json!({ "before": text, "after": text, "callers": n });
    assert_eq!(page["lookup_status"], json!([status("complete", 6), status("none", 1)]));
    assert_eq!(
        page["match"],
        json!([status("ambiguous", 1), status("none", 1), status("unique", 4), status("withheld", 1)])
    );
    let asked = world.standins.requests(Vendor::Hubspot);
    let searches = asked.iter().filter(|entry| entry.path.contains("contacts/search")).count();
    assert_eq!(searches, 12, "six callers have a number, and each was asked for once by either side");
    assert!(ended.stderr.contains("asking about 7 callers under both configurations"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_dropped_is_missed_where_it_alone_knew() {
    let world = World::start().await;
    world.write("new.toml", without_the_database);
    let ended = replay(&world, &CALLERS, &[]).await;
    let page = ended.json();
    assert_eq!((ended.code, &page["changed"]), (1, &json!(3)), "{page}");
    let expected = [
        ("caller_name", [2, 1, 0, 0, 1]),
        ("account_status", [0, 3, 0, 0, 1]),
        ("preferred_agent", [0, 2, 0, 0, 2]),
        ("vip_customer", [1, 1, 0, 0, 2]),
        ("greet_by_name", [2, 1, 0, 0, 1]),
        ("caller_data.recent_orders", [0, 2, 0, 0, 2]),
        ("last_interaction", [2, 0, 0, 0, 2]),
    ];
    for (field, expected) in expected {
        assert_eq!(counts(&page, field), expected, "{field}: {page}");
    }
    let lost = json!({ "before": "unique", "after": "none", "callers": 1 });
    assert!(page["match"].as_array().unwrap().contains(&lost), "{page}");
    assert_eq!(page["sources"]["customers"], json!({ "before": { "found": 3, "not_found": 1 }, "after": {} }));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_order_of_merging_changes_what_sources_disagree_on() {
    let world = World::start().await;
    let order = "order = [\"crm\", \"salesforce\", \"customers\"]";
    world.write("new.toml", |demo| demo.replace(order, "order = [\"customers\", \"crm\", \"salesforce\"]"));
    let page = replay(&world, &CALLERS, &[]).await.json();
    assert_eq!(counts(&page, "last_interaction"), [0, 0, 0, 2, 2], "{page}");
    assert_eq!(counts(&page, "caller_data.last_contact"), [0, 0, 0, 2, 2]);
    for field in ["caller_name", "caller_email", "account_status", "vip_customer", "payment_info.outstanding_balance"] {
        let [same, left, right, differs, empty] = counts(&page, field);
        assert_eq!((same + empty, left + right + differs), (4, 0), "{field}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_reads_something_else_shows_by_its_field() {
    let world = World::start().await;
    world.write("new.toml", |demo| demo.replace("equals = \"true\"", "equals = \"gold\""));
    let page = replay(&world, &CALLERS, &[]).await.json();
    // the CRM now says no and goes before the database, which still says yes of Lena
    assert_eq!(counts(&page, "vip_customer"), [1, 1, 0, 0, 2], "{page}");
    assert_eq!(page["changed"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_fields_are_compared_through_their_view() {
    let world = World::start().await;
    world.write("new.toml", without_the_database);
    let basic = replay(&world, &CALLERS, &["--view", "basic"]).await.json();
    assert_eq!(counts(&basic, "name"), [2, 1, 0, 0, 1]);
    assert_eq!(basic["fields"].get("orders"), None, "basic does not see them");
    let advanced = replay(&world, &CALLERS, &["--view", "advanced"]).await;
    assert_eq!(counts(&advanced.json(), "orders"), [0, 2, 0, 0, 2]);
    let nobodys = replay(&world, &CALLERS, &["--view", "nobodys"]).await;
    assert_eq!(nobodys.code, 2);
    assert!(nobodys.stderr.contains("there is no view `nobodys`; there are admin, advanced"), "{}", nobodys.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_not_trusted_is_compared_by_what_it_would_be_told() {
    let world = World::start().await;
    world.write("new.toml", without_the_database);
    let csv = format!("Call SID,From,StirVerstat\nCA1,{CUSTOMER_ONLY},TN-Validation-Failed-C\nCA2,{CUSTOMER_ONLY},\n");
    let page = replay(&world, &[&csv], &[]).await.json();
    assert_eq!(page["callers"], 2, "a doubtful call is another call: {page}");
    assert_eq!(counts(&page, "caller_name"), [0, 1, 0, 0, 1], "it was told no name before either");
}

#[tokio::test(flavor = "multi_thread")]
async fn allowed_differences_end_well() {
    let world = World::start().await;
    world.write("new.toml", |demo| demo.replace("equals = \"true\"", "equals = \"gold\""));
    let allowed =
        |share: &'static str| [["--max-difference", "greet_by_name=0%"], ["--max-difference", share]].concat();
    // Ada's VIP is gone
    let enough = replay(&world, &CALLERS, &allowed("vip_customer=25%")).await;
    assert_eq!(enough.code, 0, "{}", enough.stdout);
    let too_little = replay(&world, &CALLERS, &allowed("vip_customer=24%")).await;
    assert_eq!(too_little.code, 1);
    assert!(too_little.stderr.contains("more than is allowed changes: vip_customer"), "{}", too_little.stderr);
    let misspelt = replay(&world, &CALLERS, &allowed("vip_custmer=24%")).await;
    assert_eq!(misspelt.code, 2);
    assert!(misspelt.stderr.contains("did you mean `vip_customer`?"), "{}", misspelt.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_it_from_comparing_is_no_difference() {
    let world = World::start().await;
    let run = async |arguments: &[&str]| world.run(&[&["replay"], arguments].concat(), "+14155550142\n").await;
    world.write("new.toml", |demo| demo.replace("timeout   = \"1500ms\"", "timeuot = \"1500ms\""));
    let invalid = run(&["--against", "new.toml", "--calls", "-"]).await;
    assert_eq!(invalid.code, 78, "{}", invalid.stderr);
    for part in ["new.toml", "did you mean `timeout`?", "1 error"] {
        assert!(invalid.stderr.contains(part), "{part}: {}", invalid.stderr);
    }
    world.write("new.toml", |demo| demo);
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--against", "nowhere.toml", "--calls", "-"], 2, "cannot read nowhere.toml"),
        (&["--against", "new.toml", "--calls", "nowhere.csv"], 2, "cannot read nowhere.csv"),
        (&["--against", "new.toml", "--calls", "-", "--organization", "No!"], 2, "an organization's name"),
        (&["--against", "new.toml", "--calls", "-", "--rate", "fast"], 2, "like 5/s or 30/m"),
        (&["--against", "new.toml", "--calls", "-", "--from", "2026-11-19"], 2, "cannot be used with"),
        (&["--against", "new.toml", "--calls", "/dev/null"], 3, "there is no caller to ask about: of /dev/null"),
        (&["--against", "new.toml"], 3, "there is no caller to ask about: yesterday's"),
    ];
    for (arguments, code, said) in cases {
        let ended = run(arguments).await;
        assert_eq!(ended.code, code, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
    let broken =
        world.run(&["replay", "--against", "new.toml", "--calls", "-"], "{\"From\":\"+14155550142\"}\n{Ada").await;
    assert_eq!((broken.code, broken.stderr.as_str()), (2, "error: line 2 of the list is no JSON object\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_come_from_the_audit_log_and_nothing_is_added_to_it() {
    let world = World::start().await;
    let app = world.serve().await;
    let http = crate::client();
    for from in [EVERYWHERE, CUSTOMER_ONLY, EVERYWHERE, WITHHELD] {
        let url = format!("http://{}/api/studio/context", app.address);
        let answer = http.post(url).bearer_auth("key").form(&[("From", from)]).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let url = format!("http://{}/api/context", app.address);
    let question = json!({ "email": "dana.whitfield@example.org" });
    assert_eq!(http.post(&url).bearer_auth("key").json(&question).send().await.unwrap().status(), 200);
    let forget = http.delete(&url).bearer_auth("key").query(&[("phone", UNKNOWN)]);
    assert_eq!(forget.send().await.unwrap().status(), 200);
    app.shutdown().await;

    world.write("new.toml", without_the_database);
    let arguments = ["replay", "--against", "new.toml", FAST, "--json", "--from", "2020-01-01"];
    let ended = world.run(&arguments, "").await;
    let page = ended.json();
    assert_eq!((ended.code, &page["callers"]), (1, &json!(3)), "Ada, Lena, and Dana by her address: {page}");
    assert_eq!(counts(&page, "caller_name"), [2, 1, 0, 0, 0], "{page}");
    let latest = world.run(&[&arguments[..], &["--limit", "1"]].concat(), "").await.json();
    assert_eq!((&latest["callers"], counts(&latest, "caller_name")), (&json!(1), [1, 0, 0, 0, 0]), "{latest}");
    let earlier = world.run(&[&arguments[..], &["--to", "2020-01-02"]].concat(), "").await;
    assert_eq!(earlier.code, 3, "{}", earlier.stderr);
    let others = world.run(&[&arguments[..], &["--organization", "others"]].concat(), "").await;
    assert_eq!(others.code, 3, "{}", others.stderr);
    let audit = world.run(&["audit"], "").await;
    assert!(audit.stdout.starts_with("whole: ") && audit.code == 0, "{}{}", audit.stdout, audit.stderr);
    let rows: i64 = audit.stdout.split(' ').nth(1).unwrap().parse().unwrap();
    let app = world.serve().await;
    let url = format!("http://{}/api/audit", app.address);
    let entries: Value = http.get(url).bearer_auth("key").send().await.unwrap().json().await.unwrap();
    let counted: i64 = entries["entries"].as_array().unwrap().iter().map(|row| row["count"].as_i64().unwrap()).sum();
    assert_eq!((counted, rows >= 4), (5, true), "what was asked before the replay: {entries}");
    app.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_shown_when_asked_for_and_never_the_caller() {
    let world = World::start().await;
    world.write("new.toml", without_the_database);
    let arguments = ["replay", "--against", "new.toml", "--calls", "-", FAST];
    let quiet = world.run(&arguments, &list(&CALLERS)).await;
    let said = quiet.stdout.clone() + &quiet.stderr;
    for secret in ["Lena", "Brooks", "Ada", "Haddad", "0144", "0142", "C-1018", "Desk lamp"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    for line in ["\ncaller_name ", "3 of 4 callers see a difference", "unique -> none", "after:  not asked"] {
        assert!(quiet.stdout.contains(line), "{line}: {}", quiet.stdout);
    }
    let loud = world.run(&[&arguments[..], &["--show-values"]].concat(), &list(&CALLERS)).await;
    assert!(loud.stderr.contains("holds personal data"), "{}", loud.stderr);
    assert!(loud.stdout.contains("\n  ***0144  caller_name: Lena Brooks -> Unknown\n"), "{}", loud.stdout);
    for number in CALLERS {
        assert!(!loud.stdout.contains(number) && !loud.stderr.contains(number), "{number}: {}", loud.stdout);
    }
}
