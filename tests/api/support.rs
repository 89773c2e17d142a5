//! A gateway with its demo world, and the questions that tests ask.

use std::net::IpAddr;
use std::time::Duration;

use caller_context::cli::demo::{Demo, Setup};
use caller_context::clock::Clock;
use caller_context::demo::faults::{Fault, Setting};
use caller_context::demo::{Vendor, book};
use serde_json::Value;

pub struct World {
    pub demo: Demo,
    pub client: reqwest::Client,
}

#[expect(clippy::disallowed_methods, reason = "the client of a test asks the gateway, not a vendor")]
pub fn client(from: Option<IpAddr>) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().local_address(from).build().unwrap()
}

impl World {
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let client = client(None);
        let demo = Demo::start(setup, Clock::system()).await.unwrap();
        Self { demo, client }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.demo.app.address)
    }

    /// What a Studio flow gets for this caller.
    pub async fn studio(&self, from: &str) -> Value {
        self.studio_with(&[("From", from)]).await
    }

    pub async fn studio_with(&self, form: &[(&str, &str)]) -> Value {
        let request = self.client.post(self.url("/api/studio/context")).basic_auth("x", Some("demo-studio"));
        let answer = request.form(form).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// What an agent gets; `key` is one of the demo's.
    pub async fn context(&self, key: &str, question: Value) -> Value {
        let request = self.client.post(self.url("/api/context")).bearer_auth(key).json(&question);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// What is known of those who take part in a meeting, for each participant.
    pub async fn meeting(&self, key: &str, participants: &[&str]) -> Vec<Value> {
        let question = serde_json::json!({ "participants": participants });
        let request = self.client.post(self.url("/api/meetings/context")).bearer_auth(key).json(&question);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()["participants"].as_array().unwrap().clone()
    }

    /// The status and reason of a source in an agent's answer.
    pub async fn source(&self, question: Value, source: &str) -> (String, String) {
        let answer = self.context("demo-admin", question).await;
        state_of(&answer, source)
    }

    pub async fn forget(&self, query: &str) -> reqwest::StatusCode {
        let url = self.url(&format!("/api/context?{query}"));
        self.client.delete(url).bearer_auth("demo-admin").send().await.unwrap().status()
    }

    pub fn ill(&self, vendor: Vendor, fault: Fault) {
        self.demo.standins.set(vendor, fault.into());
    }

    pub fn slow(&self, vendor: Vendor, latency: Duration) {
        self.demo.standins.set(vendor, Setting { latency, ..Setting::default() });
    }

    /// What a stand-in was asked so far.
    pub fn asked(&self, vendor: Vendor) -> Vec<book::Entry> {
        self.demo.standins.requests(vendor)
    }

    pub async fn metric(&self, name: &str) -> Vec<String> {
        let text = self.client.get(self.url("/metrics")).send().await.unwrap().text().await.unwrap();
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }
}

/// `(status, reason)` of a source; the reason is empty where there is none.
pub fn state_of(answer: &Value, source: &str) -> (String, String) {
    let report = &answer["sources"][source];
    let text = |key: &str| report[key].as_str().unwrap_or_default().to_owned();
    assert!(report.is_object(), "no source {source}: {answer}");
    (text("status"), text("reason"))
}

/// Asks again until the answer is as wanted: for what happens behind an answer. Bounded; the bound
/// is never what a test is about.
pub async fn until<T, F: Future<Output = T>>(mut ask: impl FnMut() -> F, wanted: impl Fn(&T) -> bool) -> T {
    for _ in 0..500 {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("what was waited for did not happen");
}
