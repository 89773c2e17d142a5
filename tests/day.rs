//! A day of calls in seconds: the clock stands still while somebody is answered and moves in between.
//! People come and go, sources fail and heal, keys are made and revoked. At the end nothing is left
//! behind, and nothing has grown.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse as _;
use caller_context::app::{App, KeysFrom};
use caller_context::clock::Clock;
use caller_context::config::{Layers, load};
use caller_context::domain::Organization;
use caller_context::store::audit::{Chain, Filter};
use caller_context::store::{Database, keys};
use http::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokio_util::task::TaskTracker;

/// Of the simulated day; calls come together at each.
const EVERY: Duration = Duration::from_secs(5 * 60);
const MOMENTS: u64 = 24 * 12;
const REGULARS: u64 = 150;

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
trusted_proxies = ["127.0.0.1"]
[store]
url = "env:STORE"
key = "env:KEY"
[cache]
contexts_max = "1MiB"
rendered_max = "1MiB"
[limits]
misses_per_key = 100000
misses_per_organization = 100000
[sources.people]
connector = "sqlite"
url = "env:PEOPLE"
[sources.people.lookup.person]
needs = ["phone"]
exact = true
sql = "SELECT substr(:phone, 2) AS id, 'Ann ' || :phone AS name, substr(:phone, 9) || '@example.com' AS email WHERE :phone NOT LIKE '%7'"
provides = { customer_id = "id", name = "name", email = "email" }
[sources.people.lookup.orders]
needs = ["customer_id"]
sql = "SELECT :customer_id || '-1' AS id, 'a thing' AS what"
list.orders = { item = { id = "id", description = "what" } }
[sources.payments]
connector = "http"
base_url = "env:PAYMENTS"
auth.none = {}
[sources.payments.lookup.status]
needs = ["customer_id"]
get = "/{customer_id}"
provides.payment.outstanding = "balance"
"#;

/// A vendor that can be made ill.
struct Payments {
    url: String,
    ill: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Payments {
    async fn start(tracker: &TaskTracker) -> Self {
        let (ill, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let state = (ill.clone(), asked.clone());
        let routes = Router::new().fallback(move || {
            state.1.fetch_add(1, Ordering::Relaxed);
            let answer = match state.0.load(Ordering::Relaxed) {
                true => (StatusCode::INTERNAL_SERVER_ERROR, "").into_response(),
                false => axum::Json(serde_json::json!({ "balance": "12.50" })).into_response(),
            };
            async { answer }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tracker.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, ill, asked }
    }
}

/// Numbers that are the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

struct Day {
    app: App,
    client: reqwest::Client,
    database: Database,
    clock: Clock,
    dice: Dice,
    key: String,
    strangers: u64,
    answers: i64,
}

impl Day {
    /// More at noon than at night; most of them regulars.
    async fn moment(&mut self, moment: u64) {
        let hour = moment / 12;
        for _ in 0..2 + 10 * u64::from((8..20).contains(&hour)) {
            let number = match self.dice.below(10) {
                0..7 => self.dice.below(REGULARS),
                _ => {
                    self.strangers += 1;
                    1_000 + self.strangers
                }
            };
            let from = format!("+1415555{number:04}");
            let answer = self.call(&from, &format!("CA{}", self.answers)).await;
            assert_eq!(answer["caller_id_status"], "ok", "{answer}");
            assert_eq!(answer["match"] == "unique", !from.ends_with('7'), "{answer}");
        }
        // a flow that is built wrongly, and somebody who guesses keys
        let flow = format!("FW{}", self.dice.below(1 << 30));
        let request = self.studio().bearer_auth(&self.key).form(&[("From", ""), ("FlowSid", &*flow)]);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
        let peer = format!("203.0.113.{}", self.dice.below(250));
        let guess = self.studio().header("x-forwarded-for", peer).bearer_auth("guess").form(&[("From", "1")]);
        assert_eq!(guess.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }

    fn studio(&self) -> reqwest::RequestBuilder {
        self.client.post(format!("http://{}/api/studio/context", self.app.address))
    }

    async fn call(&mut self, from: &str, sid: &str) -> Value {
        let request = self.studio().bearer_auth(&self.key).form(&[("From", from), ("CallSid", sid)]);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        self.answers += 1;
        answer.json().await.unwrap()
    }

    /// From one key to the next: the old one is soon of no use.
    async fn change_keys(&mut self) {
        let made =
            keys::create(&self.database, &Organization::single(), "studio", self.clock.now(), None).await.unwrap();
        let old = std::mem::replace(&mut self.key, made.key.expose_secret().to_owned());
        self.until_key_is(StatusCode::OK, &self.key).await;
        let id = old.split_once('.').unwrap().0;
        assert!(keys::revoke(&self.database, id, self.clock.now()).await.unwrap());
        self.until_key_is(StatusCode::UNAUTHORIZED, &old).await;
    }

    async fn until_key_is(&self, status: StatusCode, key: &str) {
        for _ in 0..1_000 {
            let answer = self.studio().bearer_auth(key).form(&[("From", "anonymous")]).send().await.unwrap();
            if answer.status() == status {
                return;
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        panic!("the key is never {status}");
    }

    async fn metric(&self, name: &str) -> f64 {
        let text = self.client.get(format!("http://{}/metrics", self.app.address)).send().await.unwrap();
        let text = text.text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "the client of a test asks the gateway, not a vendor")]
fn client() -> reqwest::Client {
    reqwest::Client::builder().build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_behind() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // while something blocks, tokio does not move the clock to the next timer: sockets are waited for
    let (night, falls) = std::sync::mpsc::channel::<()>();
    let day_and_night = tokio::task::spawn_blocking(move || falls.recv());
    let folder = tempfile::tempdir().unwrap();
    let sqlite = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    rusqlite::Connection::open(folder.path().join("people.db")).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    let vendors = TaskTracker::new();
    let payments = Payments::start(&vendors).await;
    let layers = Layers::text(CONFIG)
        .with("STORE", &sqlite("store.db"))
        .with("KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
        .with("PEOPLE", &sqlite("people.db"))
        .with("PAYMENTS", &payments.url);
    let config = Arc::new(load(&layers).unwrap_or_else(|invalid| panic!("{invalid}")).config);
    let clock = Clock::starting_at("2026-11-20T00:00:00Z".parse().unwrap());
    let database = Database::open(&config.store, &vendors).await.unwrap();
    let first = keys::create(&database, &Organization::single(), "studio", clock.now(), None).await.unwrap();
    let app = App::start(config.clone(), KeysFrom::Store, clock).await.unwrap();
    let key = first.key.expose_secret().to_owned();
    let (dice, strangers, answers) = (Dice(42), 0, 0);
    let mut day = Day { app, client: client(), database, clock, dice, key, strangers, answers };

    let mut asked_while_ill = Vec::new();
    for moment in 0..MOMENTS {
        // an hour of every four the vendor is ill
        let ill = moment / 12 % 4 == 3;
        payments.ill.store(ill, Ordering::Relaxed);
        let before = payments.asked.load(Ordering::Relaxed);
        day.moment(moment).await;
        if ill {
            asked_while_ill.push(payments.asked.load(Ordering::Relaxed) - before);
        }
        if moment % 36 == 35 {
            day.change_keys().await;
        }
        let held = day.app.engine().held().await;
        assert!(held.cache.bytes <= 1 << 20, "{held:?}");
        tokio::time::advance(EVERY).await;
    }
    assert!(day.answers > 1_000 && day.strangers > 300, "{} calls", day.answers);
    assert!(payments.asked.load(Ordering::Relaxed) > 300, "it healed");
    assert!(asked_while_ill.iter().any(|asked| *asked <= 1), "it was left alone: {asked_while_ill:?}");

    // what runs behind the last answers comes to its end, and budgets fill up again
    for _ in 0..1_000 {
        tokio::time::advance(Duration::from_secs(1)).await;
        let held = day.app.engine().held().await;
        if (held.flights, held.budgets, held.refreshes) == (0, 0, 0) && day.app.audit.health().waiting == 0 {
            break;
        }
    }
    let held = day.app.engine().held().await;
    assert_eq!((held.flights, held.in_flight, held.refreshes, held.budgets), (0, 0, 0, 0), "{held:?}");
    assert_eq!(held.cache.traces, held.cache.traces_due, "the indexes lead to what is kept and nowhere else");
    assert!(held.cache.contexts > 50, "{held:?}");
    assert!(held.cache.contexts < day.strangers + REGULARS, "some had to go: {held:?}");
    assert!(day.metric("caller_context_connections ").await <= 3.0);
    assert_eq!(day.metric("caller_context_source_in_flight{source=\"payments\"} ").await, 0.0);

    let health = day.app.audit.health();
    assert_eq!((health.lost, health.waiting, health.failing), (0, 0, None));
    let organization = Organization::single();
    let (mut told, mut after) = (0, None);
    loop {
        let filter = Filter { limit: 1_000, after, ..Filter::default() };
        let page = day.app.audit.search(&organization, &filter).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.number);
        told += page.iter().map(|row| row.count).sum::<i64>();
    }
    assert_eq!(told, day.answers, "every delivery is in the log, once");
    assert!(matches!(day.app.audit.verify(&organization).await.unwrap(), Chain::Whole { .. }));

    let engine = day.app.engine();
    day.app.shutdown().await;
    assert_eq!(Arc::strong_count(&engine), 1, "a task of the gateway is still there");
    drop(night);
    let _ = day_and_night.await;
}
