//! What operators look at exists: every metric and label that the board and the alerts name is in
//! /metrics of a gateway that has seen something, and every alert has its page.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use caller_context::cli::demo::{Demo, Setup};
use caller_context::clock::Clock;
use caller_context::demo::world;
use serde_json::Value;

const BOARD: &str = include_str!("../deploy/grafana/board.json");
const RULES: &str = include_str!("../deploy/prometheus/rules.yaml");
const OPERATIONS: &str = include_str!("../docs/operations.md");

/// What Prometheus itself adds to every series.
const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];

/// Names with the labels they come with.
type Exposed = BTreeMap<String, BTreeSet<String>>;

/// The metrics of a gateway that answered, failed and refused.
async fn exposed() -> Exposed {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let budget = ("sources.crm.limits.budget", "[\"1000 per 24h\"]".to_owned());
    let overrides = vec![("limits.misses_per_key", "1".to_owned()), budget];
    let demo = Demo::start(Setup { overrides, ..Setup::default() }, Clock::system()).await.unwrap();
    let url = |path: &str| format!("http://{}{path}", demo.app.address);
    #[expect(clippy::disallowed_methods, reason = "the client of a test asks the gateway, not a vendor")]
    let client = reqwest::Client::builder().build().unwrap();
    for number in [world::EVERYWHERE, world::UNKNOWN] {
        let form = [("From", number), ("deadline_ms", "9000")];
        let request = client.post(url("/api/studio/context")).basic_auth("x", Some("demo-studio")).form(&form);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let text = client.get(url("/metrics")).send().await.unwrap().text().await.unwrap();
    demo.app.shutdown().await;
    let mut exposed = Exposed::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap();
        let labels = line.split_once('{').map_or("", |(_, rest)| rest.split_once("} ").unwrap().0);
        exposed.entry(name.to_owned()).or_default().extend(matched(labels).into_iter().map(str::to_owned));
    }
    exposed
}

/// Names of the labels in `a="x",b=~"y|z"`.
fn matched(matchers: &str) -> Vec<&str> {
    let mut quoted = false;
    let parts = matchers.split(|c: char| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    let name = |part: &'_ str| part.find(['=', '!']).map(|end| part.get(..end).unwrap().trim().to_owned());
    parts.filter(|part| name(part).is_some()).map(|part| part.split(['=', '!']).next().unwrap().trim()).collect()
}

/// Metrics of an expression, each with the labels that its matchers name.
fn selected(expression: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find("caller_context_") {
        let from = rest.get(start..).unwrap();
        let end = from.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(from.len());
        let (name, after) = from.split_at(end);
        let matchers = after.strip_prefix('{').map_or("", |inside| inside.split_once('}').unwrap().0);
        found.push((name, matched(matchers)));
        rest = after;
    }
    found
}

/// Labels by which an expression groups or joins.
fn grouped(expression: &str) -> Vec<&str> {
    let after = |word: &'static str| expression.match_indices(word).map(move |(at, _)| at + word.len());
    let lists = ["by (", "on (", "without (", "ignoring ("].into_iter().flat_map(after);
    let names = lists.flat_map(|at| expression.get(at..).unwrap().split_once(')').unwrap().0.split(','));
    names.map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// Labels that a text shows: `{{source}}`, `{{ $labels.source }}`.
fn shown(text: &str) -> Vec<&str> {
    let holes = text.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap().trim());
    let labels = holes.filter(|hole| !hole.starts_with("$value"));
    labels.map(|hole| hole.strip_prefix("$labels.").unwrap_or(hole)).collect()
}

/// Every problem of one expression and the texts that go with it.
fn check(exposed: &Exposed, place: &str, expression: &str, texts: &[&str], problems: &mut Vec<String>) {
    let mut known: BTreeSet<&str> = OF_PROMETHEUS.into();
    for (name, matchers) in selected(expression) {
        let Some(labels) = exposed.get(name) else {
            problems.push(format!("{place}: there is no metric {name}"));
            continue;
        };
        known.extend(labels.iter().map(String::as_str));
        let absent = matchers.into_iter().filter(|label| !labels.contains(*label) && !OF_PROMETHEUS.contains(label));
        problems.extend(absent.map(|label| format!("{place}: {name} has no label {label}")));
    }
    let used = grouped(expression).into_iter().chain(texts.iter().flat_map(|text| shown(text)));
    problems.extend(used.filter(|label| !known.contains(label)).map(|label| format!("{place}: no label {label}")));
}

/// Alerts of the rules: name, expression, everything else.
fn alerts() -> Vec<(&'static str, String, String)> {
    let mut alerts = Vec::new();
    for rule in RULES.split("- alert:").skip(1) {
        let (name, rest) = rule.split_once('\n').unwrap();
        let (_, rest) = rest.split_once("expr:").unwrap();
        let of_expression = |line: &&str| !["for:", "labels:"].iter().any(|key| line.trim_start().starts_with(key));
        let lines: Vec<&str> = rest.lines().take_while(of_expression).collect();
        let others: Vec<&str> = rest.lines().skip(lines.len()).collect();
        alerts.push((name.trim(), lines.join(" "), others.join("\n")));
    }
    alerts
}

#[tokio::test(flavor = "multi_thread")]
async fn the_board_and_the_alerts_name_what_there_is() {
    let exposed = exposed().await;
    let mut problems = Vec::new();

    let board: Value = serde_json::from_str(BOARD).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let mut expressions = 0;
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            let (expression, legend) = (target["expr"].as_str().unwrap(), target["legendFormat"].as_str().unwrap());
            check(&exposed, panel["title"].as_str().unwrap(), expression, &[legend], &mut problems);
            expressions += 1;
        }
    }
    for variable in board["templating"]["list"].as_array().unwrap() {
        // label_values(metric, label)
        let Some(query) = variable["definition"].as_str() else { continue };
        let (metric, label) = query.split_once('(').unwrap().1.trim_end_matches(')').split_once(',').unwrap();
        assert!(exposed.get(metric).is_some_and(|labels| labels.contains(label.trim())), "{query}");
    }
    assert!(expressions >= 15, "the board was read");

    let alerts = alerts();
    for (name, expression, others) in &alerts {
        check(&exposed, name, expression, &[others], &mut problems);
        let runbook = format!("runbook: docs/operations.md#{}", name.to_lowercase());
        assert!(others.contains(&runbook), "{name} has no {runbook}");
        assert!(OPERATIONS.contains(&format!("\n### {name}\n")), "docs/operations.md does not say what {name} means");
    }
    assert!(alerts.len() >= 10, "the rules were read");
    assert_eq!(problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_noticed() {
    let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let exposed = Exposed::from([("caller_context_x_total".to_owned(), labels(&["source", "reason"]))]);
    let problems = |expression: &str, text: &str| {
        let mut problems = Vec::new();
        check(&exposed, "here", expression, &[text], &mut problems);
        problems
    };
    let good = r#"sum by (source) (rate(caller_context_x_total{reason=~"a,b|c",instance="i"}[5m])) > 1"#;
    assert_eq!(problems(good, "{{ $labels.source }} {{ $value | humanize }}"), Vec::<String>::new());
    assert_eq!(problems("caller_context_y_total", ""), ["here: there is no metric caller_context_y_total"]);
    assert_eq!(problems(r#"caller_context_x_total{view="a"}"#, ""), ["here: caller_context_x_total has no label view"]);
    assert_eq!(problems("sum by (view) (caller_context_x_total)", ""), ["here: no label view"]);
    assert_eq!(problems("caller_context_x_total", "{{view}}"), ["here: no label view"]);
}
