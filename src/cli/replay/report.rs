//! What a replay found: counted per field, and written for people or as JSON. Values stand in it
//! only when they were asked for, beside a caller who is masked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::Said;
use crate::manifest::diagnostic::did_you_mean;
use crate::view::compare::{FLOW, Verdict};

/// Beside the fields: words of an answer that may change, too.
const WORDS: [&str; 2] = ["lookup_status", "match"];

/// The part of the callers for whom a field may change: `caller_name=1%`.
#[derive(Clone, Debug)]
pub struct Allowance {
    pub field: String,
    percent: f64,
}

impl Allowance {
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('=').and_then(|(field, share)| {
            let percent: f64 = share.trim().trim_end_matches('%').parse().ok()?;
            (0.0..=100.0).contains(&percent).then(|| Self { field: field.trim().to_owned(), percent })
        });
        parsed.ok_or_else(|| "a field and how many callers may see it change, like caller_name=1%".into())
    }
}

/// What stands over the figures.
pub struct Head {
    pub organization: String,
    pub view: String,
    pub before: String,
    pub after: String,
    /// Where the callers are from, in words.
    pub callers_from: String,
}

/// A value that changed, for those who asked to see it.
struct Change {
    caller: String,
    field: String,
    before: Json,
    after: Json,
}

/// The figures. Without `values` nothing in it is personal.
#[derive(Default)]
pub struct Report {
    callers: u64,
    /// For whom anything changed.
    changed: u64,
    fields: BTreeMap<String, BTreeMap<Verdict, u64>>,
    words: [BTreeMap<[&'static str; 2], u64>; 2],
    /// Per source the words of its outcomes, before and after.
    sources: BTreeMap<String, [BTreeMap<String, u64>; 2]>,
    took: [Vec<Duration>; 2],
    values: Option<Vec<Change>>,
}

impl Report {
    pub fn new(with_values: bool) -> Self {
        Self { values: with_values.then(Vec::new), ..Self::default() }
    }

    /// Counts one caller, who is named by what is left of the number.
    pub fn count(&mut self, masked: &str, before: &Said, after: &Said, flow: bool, region: Option<&str>) {
        self.callers += 1;
        let names: BTreeSet<&str> = match flow {
            true => FLOW.into_iter().collect(),
            false => before.told.names().chain(after.told.names()).collect(),
        };
        let mut changed = false;
        for name in names {
            let verdict = before.told.compare(&after.told, name, region);
            *self.fields.entry(name.to_owned()).or_default().entry(verdict).or_default() += 1;
            if matches!(verdict, Verdict::OnlyLeft | Verdict::OnlyRight | Verdict::Differs) {
                changed = true;
                let of = |said: &Said| said.told.get(name).cloned().unwrap_or_default();
                if let Some(values) = &mut self.values {
                    let (before, after) = (of(before), of(after));
                    values.push(Change { caller: masked.to_owned(), field: name.to_owned(), before, after });
                }
            }
        }
        let words = [[before.lookup_status, after.lookup_status], [before.verdict, after.verdict]];
        for (counts, pair) in self.words.iter_mut().zip(words) {
            *counts.entry(pair).or_default() += 1;
            changed |= pair[0] != pair[1];
        }
        self.changed += u64::from(changed);
        for (side, said) in [before, after].into_iter().enumerate() {
            for (source, outcome) in &said.sources {
                let counts = self.sources.entry(source.clone()).or_default();
                if let Some(counts) = counts.get_mut(side) {
                    *counts.entry(outcome.clone()).or_default() += 1;
                }
            }
            if let (Some(took), Some(times)) = (said.took, self.took.get_mut(side)) {
                times.push(took);
            }
        }
    }

    fn of(&self, field: &str, verdict: Verdict) -> u64 {
        let counts = self.fields.get(field);
        let counted = counts.and_then(|counts| counts.get(&verdict)).copied().unwrap_or(0);
        match (verdict, counts) {
            // an agent's answer names only what it holds
            (Verdict::BothEmpty, Some(counts)) => counted + self.callers - counts.values().sum::<u64>(),
            _ => counted,
        }
    }

    /// Callers who see the field change.
    fn changes(&self, field: &str) -> u64 {
        if let Some(counts) = WORDS.iter().position(|word| *word == field).and_then(|at| self.words.get(at)) {
            return counts.iter().filter(|([before, after], _)| before != after).map(|(_, count)| count).sum();
        }
        [Verdict::OnlyLeft, Verdict::OnlyRight, Verdict::Differs].iter().map(|verdict| self.of(field, *verdict)).sum()
    }

    /// Fields and words that change for more callers than is allowed; none is allowed where
    /// nothing is said.
    pub fn beyond(&self, allowed: &[Allowance]) -> Vec<String> {
        let names = self.fields.keys().map(String::as_str).chain(WORDS);
        let beyond = names.filter(|name| {
            let allowance = allowed.iter().rfind(|a| a.field == *name).map_or(0.0, |a| a.percent);
            percent(self.changes(name), self.callers) > allowance
        });
        beyond.map(str::to_owned).collect()
    }

    /// The first allowance for what no flow is told, with what may have been meant.
    pub fn unknown(allowed: &[Allowance], known: &[&str]) -> Option<String> {
        let known = || known.iter().copied().chain(WORDS);
        let wrong = allowed.iter().find(|a| !known().any(|name| name == a.field))?;
        let hint = did_you_mean(&wrong.field, known()).map(|hint| format!("; {hint}")).unwrap_or_default();
        Some(format!("--max-difference names `{}`, which is not compared{hint}", wrong.field))
    }

    pub fn page(&self, head: &Head) -> String {
        let mut out = String::new();
        let Head { organization, view, before, after, callers_from } = head;
        let _ = writeln!(out, "{} callers ({callers_from}), organization {organization}, view {view}", self.callers);
        let _ = writeln!(out, "before  {before}\nafter   {after}\n");
        self.write_fields(&mut out);
        for (word, counts) in WORDS.iter().zip(&self.words) {
            let _ = writeln!(out, "{word}");
            for ([before, after], count) in counts {
                let change = if before == after { String::new() } else { format!(" -> {after}") };
                let _ = writeln!(out, "  {count:>7}  {before}{change}");
            }
        }
        self.write_sources(&mut out);
        let [before, after] = self.took.each_ref().map(|times| spread(times));
        if let (Some(before), Some(after)) = (before, after) {
            let said = |[median, p95]: [f64; 2]| format!("median {median:.0} ms, 95 % within {p95:.0} ms");
            let _ = writeln!(
                out,
                "\nanswers took, with nothing cached\n  before  {}\n  after   {}",
                said(before),
                said(after)
            );
        }
        self.write_values(&mut out);
        let _ = match self.changed {
            0 => writeln!(out, "\nno difference"),
            _ => writeln!(out, "\n{} of {} callers see a difference", self.changed, self.callers),
        };
        out
    }

    fn write_fields(&self, out: &mut String) {
        let told = |name: &&String| self.of(name, Verdict::BothEmpty) < self.callers;
        let width = self.fields.keys().filter(told).map(String::len).max().unwrap_or(0).max("field".len());
        let _ = writeln!(out, "{:width$}     same  only before  only after  differs  both empty", "field");
        for name in self.fields.keys().filter(told) {
            let [same, left, right, differs, empty] = Verdict::ALL.map(|verdict| self.of(name, verdict));
            let _ = writeln!(out, "{name:width$}  {same:>7}  {left:>11}  {right:>10}  {differs:>7}  {empty:>10}");
        }
        let never: Vec<_> = self.fields.keys().filter(|name| !told(name)).map(String::as_str).collect();
        if !never.is_empty() {
            let _ = writeln!(out, "empty for everybody: {}", never.join(", "));
        }
        out.push('\n');
    }

    fn write_sources(&self, out: &mut String) {
        let said = |outcomes: &BTreeMap<String, u64>| match outcomes.is_empty() {
            true => "not asked".to_owned(),
            false => outcomes.iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(", "),
        };
        let width = self.sources.keys().map(String::len).max().unwrap_or(0);
        out.push_str("source\n");
        for (source, sides) in &self.sources {
            let [before, after] = sides.each_ref().map(said);
            match before == after {
                true => drop(writeln!(out, "  {source:width$}  {before}")),
                false => drop(writeln!(out, "  {source:width$}  before: {before}\n  {:width$}  after:  {after}", "")),
            }
        }
    }

    fn write_values(&self, out: &mut String) {
        let Some(values) = self.values.as_deref().filter(|values| !values.is_empty()) else { return };
        out.push_str("\npersonal data: what changed, for whom\n");
        for change in values {
            let text = |value: &Json| match value {
                Json::Null => "nothing".to_owned(),
                Json::String(text) if text.is_empty() => "nothing".to_owned(),
                Json::String(text) => one_line(text),
                other => one_line(&other.to_string()),
            };
            let Change { caller, field, before, after } = change;
            let _ = writeln!(out, "  {caller}  {field}: {} -> {}", text(before), text(after));
        }
    }

    pub fn json(&self, head: &Head) -> Json {
        let fields: serde_json::Map<_, _> = self.fields.keys().map(|name| (name.clone(), self.field(name))).collect();
        let words = |at: usize| -> Vec<_> {
            let counts = self.words.get(at).into_iter().flatten();
            counts.map(|([before, after], n)| json!({ "before": before, "after": after, "callers": n })).collect()
        };
        let sources: serde_json::Map<_, _> = self
            .sources
            .iter()
            .map(|(source, [before, after])| (source.clone(), json!({ "before": before, "after": after })))
            .collect();
        let took = |times: &[Duration]| spread(times).map(|[median, p95]| json!({ "median": median, "p95": p95 }));
        let [before, after] = self.took.each_ref().map(|times| took(times));
        let mut page = json!({
            "callers": self.callers,
            "changed": self.changed,
            "organization": head.organization,
            "view": head.view,
            "before": head.before,
            "after": head.after,
            "fields": fields,
            "lookup_status": words(0),
            "match": words(1),
            "sources": sources,
            "took_ms": { "before": before, "after": after },
        });
        if let (Some(values), Some(page)) = (&self.values, page.as_object_mut()) {
            let change =
                |c: &Change| json!({ "caller": c.caller, "field": c.field, "before": c.before, "after": c.after });
            page.insert("values".into(), values.iter().map(change).collect());
        }
        page
    }

    fn field(&self, name: &str) -> Json {
        let [same, before, after, differs, empty] = Verdict::ALL.map(|verdict| self.of(name, verdict));
        json!({ "same": same, "only_before": before, "only_after": after, "differs": differs, "both_empty": empty })
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect()
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// Median and 95th percentile in milliseconds.
fn spread(times: &[Duration]) -> Option<[f64; 2]> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let last = times.len().checked_sub(1)?;
    let at = |share: usize| times.get(last * share / 100).map_or(0.0, |t| (t.as_secs_f64() * 10_000.0).round() / 10.0);
    Some([at(50), at(95)])
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::view::compare::Told;

    fn said(name: &str, status: &'static str) -> Said {
        let told = Told::to_a_flow(json!({ "caller_name": name }).to_string().as_bytes()).unwrap();
        let sources = vec![("crm".to_owned(), "found".to_owned())];
        Said { told, lookup_status: status, verdict: "unique", sources, took: Some(Duration::from_millis(12)) }
    }

    fn report() -> Report {
        let mut report = Report::new(true);
        let people = [("Ann", "Ann"), ("Bob", "Bert"), ("Cy", "Cy"), ("Unknown", "Dan")];
        for (before, after) in people {
            report.count("***0142", &said(before, "complete"), &said(after, "complete"), true, None);
        }
        report.count("***0143", &said("Eve", "complete"), &said("Eve", "partial"), true, None);
        report
    }

    #[test]
    fn figures_are_the_same_on_the_page_and_in_json() {
        let head = Head {
            organization: "default".into(),
            view: "studio".into(),
            before: "config.toml".into(),
            after: "new.toml".into(),
            callers_from: "a list".into(),
        };
        let report = report();
        let json = report.json(&head);
        assert_eq!((&json["callers"], &json["changed"]), (&json!(5), &json!(3)));
        let name = json!({ "same": 3, "only_before": 0, "only_after": 1, "differs": 1, "both_empty": 0 });
        assert_eq!(json["fields"]["caller_name"], name);
        assert_eq!(json["fields"]["caller_email"]["both_empty"], 5);
        let statuses = json!([
            { "before": "complete", "after": "complete", "callers": 4 },
            { "before": "complete", "after": "partial", "callers": 1 },
        ]);
        assert_eq!(json["lookup_status"], statuses);
        assert_eq!(json["sources"]["crm"]["before"], json!({ "found": 5 }));
        assert_eq!(json["took_ms"]["after"], json!({ "median": 12.0, "p95": 12.0 }));
        assert_eq!(json["values"].as_array().unwrap().len(), 2);
        let page = report.page(&head);
        for line in [
            "5 callers (a list), organization default, view studio\n",
            "\ncaller_name        3            0           1        1           0\n",
            "\n        1  complete -> partial\n",
            "\n  crm  found 5\n",
            "\n  ***0142  caller_name: Bob -> Bert\n",
            "\n  ***0142  caller_name: Unknown -> Dan\n",
            "\n3 of 5 callers see a difference\n",
        ] {
            assert!(page.contains(line), "{line}: {page}");
        }
    }

    #[test]
    fn allowances_are_shares_of_the_callers() {
        let report = report();
        let beyond = |allowed: &[&str]| {
            report.beyond(&allowed.iter().map(|text| Allowance::parse(text).unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(beyond(&[]), ["caller_name", "lookup_status"]);
        assert_eq!(beyond(&["caller_name=39.9%", "lookup_status=20%"]), ["caller_name"]);
        assert!(beyond(&["caller_name=40%", "lookup_status=20"]).is_empty());
        for wrong in ["caller_name", "caller_name=101%", "caller_name=x", "caller_name=-1%", "caller_name=NaN"] {
            assert!(Allowance::parse(wrong).is_err(), "{wrong}");
        }
        let unknown = Report::unknown(&[Allowance::parse("caller_nam=1%").unwrap()], &FLOW);
        assert!(unknown.unwrap().ends_with("did you mean `caller_name`?"));
        assert!(Report::unknown(&[Allowance::parse("match=1%").unwrap()], &FLOW).is_none());
    }
}
