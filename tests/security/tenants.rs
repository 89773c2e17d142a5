//! Two organizations, the same people: nobody ever sees what was fetched, kept or noted for the other.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json as value};

use crate::support::{Door, Gateway, Vendor, json, until};

const ORGANIZATIONS: [&str; 2] = ["acme", "other"];
const PEOPLE: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    Studio(usize),
    ByPhone(usize),
    ByEmail(usize),
    ByCustomerId(usize),
    Forget(usize),
    ForgetByEmail(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let person = 0..PEOPLE;
    prop_oneof![
        3 => person.clone().prop_map(Step::Studio),
        3 => person.clone().prop_map(Step::ByPhone),
        2 => person.clone().prop_map(Step::ByEmail),
        2 => person.clone().prop_map(Step::ByCustomerId),
        1 => person.clone().prop_map(Step::Forget),
        1 => person.prop_map(Step::ForgetByEmail),
    ]
}

fn phone(person: usize) -> String {
    format!("+1415555014{person}")
}

fn email(person: usize) -> String {
    format!("person{person}@example.com")
}

/// A CRM in which every answer is one of a kind: whatever shows a canary shows that answer.
async fn crm() -> Vendor {
    let serial = AtomicU64::new(0);
    Vendor::start(move |asked| {
        let canary = format!("canary-{}-", serial.fetch_add(1, Ordering::Relaxed));
        let asked_for = |name| asked.query(name).unwrap_or_default();
        let person = (0..PEOPLE)
            .find(|p| asked_for("phone") == phone(*p) || asked_for("email") == email(*p) || asked_for("id") == format!("C-{p}"))
            .unwrap();
        let orders = [value!({ "id": canary, "what": canary })];
        let record = value!({
            "id": format!("C-{person}"), "phone": phone(person), "email": email(person), "name": canary, "notes": canary,
            "orders": orders,
        });
        json(value!({ "people": [record] }))
    })
    .await
}

fn sources(crm: &Vendor) -> String {
    let lookup = |name: &str, need: &str, query: &str, proof: &str| {
        format!(
            "[sources.crm.lookup.{name}]\nneeds = [\"{need}\"]\nget = \"/people\"\nquery.{query} = \"{{{need}}}\"\n\
             records = \"people\"\nreads = \"person\"\n{proof}\n"
        )
    };
    format!(
        "[sources.crm]\nconnector = \"http\"\nbase_url = \"{}\"\nauth.none = {{}}\n\
         [sources.crm.record.person]\nphones = [\"phone\"]\nemails = [\"email\"]\n\
         [sources.crm.record.person.provides]\ncustomer_id = \"id\"\nname = \"name\"\nnotes = \"notes\"\n\
         email = \"email\"\n\
         [sources.crm.record.person.list.orders]\nfrom = \"orders[]\"\nitem = {{ id = \"id\", description = \"what\" }}\n\
         {}{}{}[limits]\nmisses_per_key = 100000\nmisses_per_organization = 100000\nmisses_per_number = 100000\n",
        crm.url,
        lookup("by_phone", "phone", "phone", ""),
        lookup("by_email", "email", "email", "fallback_of = \"by_phone\""),
        lookup("by_id", "customer_id", "id", "fallback_of = \"by_email\""),
    )
}

fn canaries(text: &str) -> BTreeSet<String> {
    text.split("canary-").skip(1).map(|rest| rest.split('-').next().unwrap().to_owned()).collect()
}

/// One step of one organization, as its key asks it.
async fn take(door: &Door, who: usize, step: &Step) -> String {
    let key = |view: &str| format!("{view}-of-{}", ORGANIZATIONS[who]);
    let admin = key("admin");
    let question = match step {
        Step::Studio(person) => {
            // what a request says of organizations is nothing
            let form = [("From", &*phone(*person)), ("organization", ORGANIZATIONS[1 - who])];
            return door.studio(&key("studio"), &form).await.to_string();
        }
        Step::ByPhone(person) => value!({ "phone": phone(*person) }),
        Step::ByEmail(person) => value!({ "email": email(*person), "organization": ORGANIZATIONS[1 - who] }),
        Step::ByCustomerId(person) => value!({ "customer_id": format!("C-{person}"), "explain": true }),
        Step::Forget(person) => {
            door.forget(&admin, &[("phone", &phone(*person))]).await;
            return String::new();
        }
        Step::ForgetByEmail(person) => {
            door.forget(&admin, &[("email", &email(*person))]).await;
            return String::new();
        }
    };
    door.context(&admin, question).await.to_string()
}

/// What an organization was shown.
#[derive(Default)]
struct Shown {
    canaries: BTreeSet<String>,
    /// By question, until it forgets somebody.
    kept: BTreeMap<String, BTreeSet<String>>,
    deliveries: u64,
}

impl Shown {
    fn add(&mut self, step: &Step, answer: &str) -> Result<(), TestCaseError> {
        self.deliveries += 1;
        if matches!(step, Step::Forget(_) | Step::ForgetByEmail(_)) {
            self.kept.clear();
            return Ok(());
        }
        let canaries = canaries(answer);
        prop_assert!(!canaries.is_empty(), "{answer}");
        if let Some(kept) = self.kept.insert(format!("{step:?}"), canaries.clone()) {
            prop_assert_eq!(&kept, &canaries, "somebody else forgot our person");
        }
        self.canaries.extend(canaries);
        Ok(())
    }
}

#[test]
fn two_organizations_never_see_each_others_answers() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let gateway = runtime.block_on(async {
        let keys = [
            ("admin-of-acme", "acme", "admin"),
            ("studio-of-acme", "acme", "studio"),
            ("admin-of-other", "other", "admin"),
            ("studio-of-other", "other", "studio"),
        ];
        Gateway::start(&sources(&crm().await), &keys).await
    });
    let (door, shown) = (&gateway.door, RefCell::new([Shown::default(), Shown::default()]));
    let config = Config { cases: 32, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    // both at the same time: their lookups of one person meet in flight
    let steps = prop::collection::vec((step(), step()), 1..16);
    let walked = TestRunner::new(config).run(&steps, |steps| {
        let [ours, theirs] = &mut *shown.borrow_mut();
        for (a, b) in steps {
            let both = async { tokio::join!(take(door, 0, &a), take(door, 1, &b)) };
            let (answer_a, answer_b) = runtime.block_on(both);
            ours.add(&a, &answer_a)?;
            theirs.add(&b, &answer_b)?;
            prop_assert!(ours.canaries.is_disjoint(&theirs.canaries), "{answer_a}\n{answer_b}");
        }
        Ok(())
    });
    walked.unwrap();
    runtime.block_on(async {
        for (organization, shown) in ORGANIZATIONS.iter().zip(shown.into_inner()) {
            let key = format!("admin-of-{organization}");
            let rows = || async { door.audit(&key, &[("limit", "1000")]).await };
            let count = |rows: &Vec<Value>| rows.iter().map(|row| row["count"].as_u64().unwrap()).sum::<u64>();
            let rows = until(rows, |rows| count(rows) >= shown.deliveries).await;
            assert_eq!(count(&rows), shown.deliveries);
            let of_us = |row: &Value| row["reader"].as_str().unwrap().ends_with(&format!("-of-{organization}"));
            assert!(rows.iter().all(of_us), "{rows:?}");
        }
    });
}
