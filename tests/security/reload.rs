//! Another configuration, put in force while calls come in: all of it or nothing, without a gap, and
//! nothing of before where it may not be any more.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::response::{IntoResponse as _, Response};
use caller_context::app::{Refused, Reloaded};
use caller_context::config::Layers;
use http::StatusCode;
use serde_json::{Value, json as value};

use crate::process::Process;
use crate::support::{CONTEXT, Door, Gateway, STUDIO, Vendor, configuration, json, until};

const ANN: &str = "+14155550142";
const BEN: &str = "+14155550143";
const KEYS: &[(&str, &str, &str)] =
    &[("admin", "default", "admin"), ("basic", "default", "basic"), ("studio", "default", "studio")];

/// A source of people; each is called by the vendor's name.
async fn people(name: &'static str) -> Vendor {
    Vendor::start(move |asked| person(name, asked.query("phone").as_deref())).await
}

fn person(name: &str, phone: Option<&str>) -> Response {
    json(value!({ "id": "C-1", "phone": phone, "name": name, "email": "ann@example.com", "petName": "canary-pet" }))
}

fn source(name: &str, url: &str) -> String {
    format!(
        "[sources.{name}]\nconnector = \"http\"\nbase_url = \"{url}\"\nauth.none = {{}}\n\
         [sources.{name}.lookup.person]\nneeds = [\"phone\"]\nget = \"/people\"\nquery.phone = \"{{phone}}\"\n\
         phones = [\"phone\"]\nprovides = {{ name = \"name\", email = \"email\", notes = \"petName\", own.key = \"id\" }}\n"
    )
}

fn layers(gateway: &Gateway, more: &str) -> Layers {
    Layers::text(&configuration(more, gateway.folder.path()))
}

async fn ready(door: &Door) -> Value {
    door.get("/readyz").send().await.unwrap().json().await.unwrap()
}

async fn reloads(door: &Door, result: &str) -> f64 {
    door.metric(&format!("caller_context_config_reloads_total{{result=\"{result}\"}}")).await
}

async fn name_of(door: &Door, phone: &str) -> Value {
    door.context("admin", value!({ "phone": phone })).await["fields"]["name"].clone()
}

#[tokio::test]
async fn a_configuration_with_problems_changes_nothing() {
    let vendor = people("Ann").await;
    let good = source("crm", &vendor.url);
    let gateway = Gateway::start(&good, KEYS).await;
    let door = &gateway.door;
    let before = name_of(door, ANN).await;
    for bad in ["[lookup]\ndeadlin = \"1s\"\n", "[views.basic]\nfields = [\"nonsense\"]\n", "[server]\n"] {
        let refused = gateway.app.reload(layers(&gateway, &format!("{good}{bad}"))).await;
        let Err(Refused::Invalid(invalid)) = refused else { panic!("{refused:?}") };
        assert!(invalid.to_string().contains("config.toml:"), "{invalid}");
    }
    assert_eq!(name_of(door, ANN).await, before);
    assert_eq!(reloads(door, "refused").await, 3.0);
    let since = ready(door).await["configuration"]["outdated_since"].clone();
    assert!(since.is_string(), "{since}");
    assert_eq!(gateway.app.reload(layers(&gateway, &good)).await.unwrap(), Reloaded::Applied);
    assert_eq!(ready(door).await["configuration"]["outdated_since"], Value::Null);
    assert_eq!(reloads(door, "applied").await, 1.0);
    assert_eq!(vendor.asked().len(), 1, "what was kept is still kept");
}

#[tokio::test]
async fn what_takes_a_restart_is_named() {
    let vendor = people("Ann").await;
    let good = source("crm", &vendor.url);
    let gateway = Gateway::start(&good, KEYS).await;
    let other = configuration(&good, gateway.folder.path()).replace("127.0.0.1:0", "127.0.0.1:1");
    gateway.app.reload(Layers::text(&format!("{other}[audit]\nkeep = \"30d\"\n"))).await.unwrap();
    let takes_restart = ready(&gateway.door).await["configuration"]["takes_restart"].clone();
    assert_eq!(takes_restart, value!(["server.listen", "audit.keep"]));
    gateway.app.reload(layers(&gateway, &good)).await.unwrap();
    assert_eq!(ready(&gateway.door).await["configuration"]["takes_restart"], value!([]));
}

/// Names are in the log, of everything that readers see more or that is sent elsewhere; values are not.
#[tokio::test]
async fn what_a_reload_widens_is_in_the_audit_log() {
    let (vendor, other) = (people("Ann").await, people("Anna").await);
    let gateway = Gateway::start(&source("crm", &vendor.url), KEYS).await;
    let door = &gateway.door;
    let rows = async || {
        let rows = door.audit("admin", &[("reader", "configuration")]).await;
        let row = |row: &Value| (row["view"].clone(), row["fields"].clone(), row["sources"].clone());
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let narrower = format!("{}[views.basic]\nfields = [\"name\"]\n", source("crm", &vendor.url));
    gateway.app.reload(layers(&gateway, &narrower)).await.unwrap();
    let wider = format!("{}[views.basic]\nfields = [\"name\", \"notes\"]\n", source("crm", &other.url));
    gateway.app.reload(layers(&gateway, &wider)).await.unwrap();
    let found = until(rows, |rows| rows.len() >= 3).await;
    let host = other.url.trim_start_matches("http://");
    for expected in [
        (value!("basic"), value!(["notes"]), value!([])),
        (value!("advanced"), value!(["notes"]), value!([])),
        (value!(""), value!([]), value!(["crm"])),
    ] {
        assert!(found.contains(&expected), "{expected:?}: {found:?}");
    }
    assert!(found.iter().all(|row| row.0 != "admin"), "its readers saw that before: {found:?}");
    let all = Value::Array(door.audit("admin", &[]).await).to_string();
    assert!(!all.contains(host), "{all}");

    let admins = format!(
        "{wider}[views.plain]\nadmin = true\n[[organizations.default.twilio]]\naccount_sid = \"AC77\"\n\
                          auth_token = \"env:TOKEN\"\n"
    );
    gateway.app.reload(layers(&gateway, &admins).with("TOKEN", "canary-token")).await.unwrap();
    let plain = until(rows, |rows| rows.iter().any(|row| row.0 == "plain")).await;
    let plain = plain.into_iter().find(|row| row.0 == "plain").unwrap();
    assert!(plain.1.as_array().unwrap().contains(&value!("(admin)")), "{plain:?}");
    let accounts = until(|| door.audit("admin", &[("reader", "twilio:AC77")]), |rows| rows.len() == 1).await;
    assert_eq!((&accounts[0]["surface"], &accounts[0]["caller"]), (&value!("reload"), &value!("")));
}

/// Filled by an administrator, read by all while the name is put on the list: who asks after that
/// finds it nowhere, and nobody is refused.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_never_enter_is_gone_with_the_reload() {
    let vendor = people("Ann").await;
    let config = source("crm", &vendor.url);
    let gateway = Gateway::start(&config, KEYS).await;
    let (forbidden, after) = (AtomicBool::new(false), AtomicUsize::new(0));
    let full = gateway.door.context("admin", value!({ "phone": ANN, "explain": true })).await;
    assert_eq!(full["fields"]["notes"], "canary-pet");
    let reader = async |view: &'static str| {
        let door = Door::to(gateway.door.address);
        while after.load(Ordering::SeqCst) < 400 {
            let begun_after = forbidden.load(Ordering::SeqCst);
            let request = match view {
                "studio" => door.post(STUDIO).basic_auth("x", Some(view)).form(&[("From", ANN)]),
                _ => door.post(CONTEXT).bearer_auth(view).json(&value!({ "phone": ANN, "explain": view == "admin" })),
            };
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            let text = answer.text().await.unwrap();
            assert!(text.contains("Ann"), "{text}");
            if begun_after {
                assert!(!text.contains("canary"), "{text}");
                after.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let reload = async {
        let never = format!("{config}[never]\nnames = [\"pet-name\"]\n");
        gateway.app.reload(layers(&gateway, &never)).await.unwrap();
        forbidden.store(true, Ordering::SeqCst);
    };
    tokio::join!(reader("admin"), reader("admin"), reader("basic"), reader("studio"), reload);
    let again = gateway.door.context("admin", value!({ "phone": ANN })).await;
    assert_eq!(again["fields"]["notes"], Value::Null, "{again}");
}

#[tokio::test]
async fn requests_go_to_the_new_host_and_those_in_flight_end_with_the_old() {
    let (asked, release) = (Arc::new(tokio::sync::Notify::new()), Arc::new(AtomicBool::new(false)));
    let (signal, held) = (asked.clone(), release.clone());
    let old = Vendor::start(move |question| {
        let phone = question.query("phone");
        if phone.as_deref() == Some(BEN) {
            signal.notify_one();
            while !held.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
        person("Old", phone.as_deref())
    });
    let (old, new) = (spawned(old).await, people("New").await);
    let gateway = Gateway::start(&source("crm", &old.url), KEYS).await;
    let door = &gateway.door;
    assert_eq!(name_of(door, ANN).await, "Old");
    let in_flight = name_of(door, BEN);
    let reload = async {
        asked.notified().await;
        gateway.app.reload(layers(&gateway, &source("crm", &new.url))).await.unwrap();
        assert_eq!(name_of(door, ANN).await, "New", "what the old one said is not said any more");
        assert_eq!(name_of(door, "+14155550144").await, "New");
        release.store(true, Ordering::SeqCst);
    };
    let (in_flight, ()) = tokio::join!(in_flight, reload);
    assert_eq!(in_flight, "Old");
    assert_eq!(name_of(door, BEN).await, "New");
    assert_eq!((old.asked().len(), new.asked().len()), (2, 3));
}

/// A vendor with threads of its own: it may block.
async fn spawned(vendor: impl Future<Output = Vendor> + Send + 'static) -> Vendor {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let _ = sender.send(vendor.await);
            std::future::pending::<()>().await
        });
    });
    receiver.await.unwrap()
}

/// Views, limits, deadlines, windows and the order of merging are not what sources said.
#[tokio::test]
async fn the_cache_outlives_a_reload() {
    let (crm, erp) = (people("Of the CRM").await, people("Of the ERP").await);
    let sources = source("crm", &crm.url) + &source("erp", &erp.url);
    // one miss: whatever is put together anew after it must not count as one
    let one = "[limits]\nmisses_per_number = 1\nmisses_per_key = 1\n";
    let gateway = Gateway::start(&format!("{sources}{one}"), KEYS).await;
    let door = &gateway.door;
    assert_eq!(name_of(door, ANN).await, "Of the CRM");
    for more in [
        "[views.basic]\nfields = [\"name\"]\n",
        "[lookup]\ndeadline = \"1s\"\ngrace = \"10ms\"\n[lookup.timeout]\nexternal = \"900ms\"\n",
        "[cache]\nfresh = \"1m\"\n",
        "[fields]\nloyalty = { type = \"text\", class = \"personal\" }\n[inputs.branch]\nmax_chars = 8\n",
        "[merge]\norder = [\"erp\", \"crm\"]\n",
    ] {
        gateway.app.reload(layers(&gateway, &format!("{more}{one}{sources}"))).await.unwrap();
        let name = if more.contains("merge") { "Of the ERP" } else { "Of the CRM" };
        let answer = door.context("admin", value!({ "phone": ANN })).await;
        assert_eq!(answer["fields"]["name"], name, "{more}");
        assert_eq!(answer["fields"]["notes"], "canary-pet", "names mean what they meant: {more}");
        assert_eq!((crm.asked().len(), erp.asked().len()), (1, 1), "{more}");
    }
}

/// A source that stays as it is keeps what it said, its breaker and its place in the metrics,
/// whatever comes before it in the list.
#[tokio::test]
async fn sources_that_stay_keep_what_is_theirs() {
    let (crm, erp) = (people("Ann").await, people("Ann").await);
    let ill = Vendor::start(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await;
    let trips = source("ill", &ill.url).replace("[sources.ill]\n", "[sources.ill]\nbreaker = { failures = 1 }\n");
    let stay = source("crm", &crm.url) + &trips;
    let gateway = Gateway::start(&stay, KEYS).await;
    let door = &gateway.door;
    let state = |ready: &Value, name: &str| {
        let sources = ready["sources"].as_array().unwrap().clone();
        sources.into_iter().find(|source| source["name"] == name).map(|source| source["breaker"].clone())
    };
    name_of(door, ANN).await;
    assert_eq!(state(&ready(door).await, "ill"), Some("tripped".into()));
    let found = "caller_context_source_outcomes_total{organization=\"default\",source=\"crm\",operation=\"person\",\
                 outcome=\"found\",reason=\"\"}";
    assert_eq!(door.metric(found).await, 1.0);
    gateway.app.reload(layers(&gateway, &(source("erp", &erp.url) + &stay))).await.unwrap();
    assert_eq!(state(&ready(door).await, "ill"), Some("tripped".into()));
    let answer = door.context("admin", value!({ "phone": ANN, "explain": true })).await;
    assert_eq!(answer["sources"]["ill"]["reason"], "tripped", "{answer}");
    assert_eq!((crm.asked().len(), erp.asked().len(), ill.asked().len()), (1, 1, 1));
    assert_eq!(door.metric(found).await, 1.0);
    door.context("admin", value!({ "phone": BEN })).await;
    assert_eq!(door.metric(found).await, 2.0, "it counts on");
    gateway.app.reload(layers(&gateway, &source("erp", &erp.url))).await.unwrap();
    assert_eq!(state(&ready(door).await, "ill"), None);
    assert_eq!(name_of(door, ANN).await, "Ann");
}

/// As the gateway would find it, with a wider basic view.
fn wider(vendor: &Vendor, folder: &Path) -> String {
    configuration(&format!("{}[views.basic]\nfields = [\"name\", \"notes\"]\n", source("crm", &vendor.url)), folder)
}

async fn notes(door: &Door, key: &str) -> Value {
    door.context(key, value!({ "phone": ANN })).await["fields"]["notes"].clone()
}

#[tokio::test]
async fn a_signal_loads_the_files_anew() {
    let (folder, vendor) = (tempfile::tempdir().unwrap(), people("Ann").await);
    let signal_only = configuration("", folder.path()).replace("[server]\n", "[server]\nreload = \"signal\"\n");
    let more = format!("{}{}", signal_only.split("[server]").next().unwrap(), source("crm", &vendor.url));
    let (gateway, [basic]) = Process::serve(folder.path(), &more, ["basic"], &[]).await;
    let door = &gateway.door;
    assert_eq!(notes(door, &basic).await, Value::Null);
    std::fs::write(folder.path().join("config.toml"), wider(&vendor, folder.path())).unwrap();
    gateway.signal("HUP");
    until(|| notes(door, &basic), |notes| notes == "canary-pet").await;
    until(|| async { gateway.stderr() }, |said| said.contains("is in force")).await;
}

/// Files change in many ways, and calls come in all the while.
#[tokio::test(flavor = "multi_thread")]
async fn changed_files_are_noticed_and_no_answer_fails() {
    let (folder, vendor) = (tempfile::tempdir().unwrap(), people("Ann").await);
    let good = source("crm", &vendor.url);
    let (gateway, [basic, admin]) = Process::serve(folder.path(), &good, ["basic", "admin"], &[]).await;
    let (door, file) = (&gateway.door, folder.path().join("config.toml"));
    let done = AtomicBool::new(false);
    let calls = async {
        let door = Door::to(door.address);
        let mut answered = 0;
        while !done.load(Ordering::SeqCst) {
            for phone in [ANN, BEN] {
                let answer = door.post(CONTEXT).bearer_auth(&basic).json(&value!({ "phone": phone })).send().await;
                let answer = answer.unwrap();
                assert_eq!(answer.status(), StatusCode::OK);
                assert!(answer.text().await.unwrap().contains("\"Ann\""));
                answered += 1;
            }
        }
        answered
    };
    let outdated = async || ready(door).await["configuration"]["outdated_since"].is_string();
    let changes = async {
        let narrow = configuration(&good, folder.path());
        let wide = wider(&vendor, folder.path());
        // written in place
        std::fs::write(&file, &wide).unwrap();
        until(|| notes(door, &basic), |notes| notes == "canary-pet").await;
        // replaced, as editors do
        std::fs::write(folder.path().join("config.toml~"), &narrow).unwrap();
        std::fs::rename(folder.path().join("config.toml~"), &file).unwrap();
        until(|| notes(door, &basic), Value::is_null).await;
        // wrong
        std::fs::write(&file, format!("{wide}\nnonsense")).unwrap();
        until(outdated, |outdated| *outdated).await;
        assert_eq!(notes(door, &basic).await, Value::Null);
        // right again, and writable by everybody
        std::fs::write(&file, &narrow).unwrap();
        until(outdated, |outdated| !*outdated).await;
        mode(&file, 0o666);
        until(outdated, |outdated| *outdated).await;
        std::fs::write(&file, &wide).unwrap();
        mode(&file, 0o600);
        until(|| notes(door, &basic), |notes| notes == "canary-pet").await;
        // pointed elsewhere, as Kubernetes does
        for (version, text) in [("..1", &wide), ("..2", &narrow)] {
            std::fs::create_dir(folder.path().join(version)).unwrap();
            std::fs::write(folder.path().join(version).join("config.toml"), text).unwrap();
        }
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, folder.path().join("link")).unwrap();
            std::fs::rename(folder.path().join("link"), folder.path().join(name)).unwrap();
        };
        let unchanged = reloads(door, "unchanged").await;
        link("..1", "..data");
        link("..data/config.toml", "config.toml");
        // the same text by another way is no change; that the way is watched shows at the next
        until(|| reloads(door, "unchanged"), |count| *count > unchanged).await;
        link("..2", "..data");
        until(|| notes(door, &basic), Value::is_null).await;
        done.store(true, Ordering::SeqCst);
    };
    let (answered, ()) = tokio::join!(calls, changes);
    assert!(answered >= 20, "{answered}");
    let said = gateway.stderr();
    for text in ["config.toml:", "\"code\":\"syntax\"", "\"code\":\"writable-by-others\"", "stays in force"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    let rows = door.audit(&admin, &[("reader", "configuration")]).await;
    assert!(rows.iter().any(|row| row["surface"] == "reload" && row["view"] == "basic"), "{rows:?}");
}

fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A secret in a file, and a manifest that was not there before.
#[tokio::test]
async fn secrets_and_manifests_are_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let vendor = Vendor::start(|asked| match asked.query("token").as_deref() {
        Some("second") => person("Ann", asked.query("phone").as_deref()),
        _ => StatusCode::UNAUTHORIZED.into_response(),
    })
    .await;
    std::fs::write(folder.path().join("token"), "first").unwrap();
    let config = source("crm", &vendor.url)
        .replace("[sources.crm]\n", "[sources.crm]\nconnection.token = \"file:token\"\n")
        .replace("query.phone = \"{phone}\"", "query = { phone = \"{phone}\", token = \"{token}\" }");
    // waiting for the change takes many tries
    let config = config + "[limits]\nmisses_per_number = 10000\nmisses_per_key = 10000\n";
    let (gateway, [admin]) = Process::serve(folder.path(), &config, ["admin"], &[]).await;
    let door = &gateway.door;
    let name = async || door.context(&admin, value!({ "phone": ANN })).await["fields"]["name"].clone();
    assert_eq!(name().await, Value::Null);
    std::fs::write(folder.path().join("token"), "second").unwrap();
    until(name, |name| name == "Ann").await;
    let applied = reloads(door, "applied").await;
    std::fs::create_dir(folder.path().join("connectors")).unwrap();
    std::fs::write(folder.path().join("connectors/acme.toml"), "manifest = 1\nvendor = \"acme\"\ntitel = \"x\"\n")
        .unwrap();
    until(|| reloads(door, "refused"), |refused| *refused >= 1.0).await;
    until(|| async { gateway.stderr() }, |said| said.contains("acme.toml:1:1")).await;
    std::fs::remove_file(folder.path().join("connectors/acme.toml")).unwrap();
    until(async || ready(door).await["configuration"]["outdated_since"].clone(), Value::is_null).await;
    assert_eq!(reloads(door, "applied").await, applied);
}
