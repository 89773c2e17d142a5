//! `[limits]`: how much may be asked of a source, and which headers of its answers say how much is
//! left.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use jiff::Timestamp;

use super::plan::{Limits, Rate};
use super::tree::{self, Entry, Node, Reader, wrong_type};

/// `learn.<length of a window>`: the vendor's own count, in the headers of its answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Learn {
    /// Of the window that it corrects.
    pub per: Duration,
    limit: Option<InHeader>,
    remaining: Option<InHeader>,
    used: Option<InHeader>,
    reset_in: Option<InHeader>,
    reset_at: Option<InHeader>,
}

/// Where in the headers a text is: `{ header = "x", part = "k", between = ["", "/"] }`.
#[derive(Debug, Clone, PartialEq)]
struct InHeader {
    name: HeaderName,
    /// The value behind this key of a `k=v, k=v` or `k=v; k=v` list.
    part: Option<Box<str>>,
    /// What stands after the last of the first text (nothing = the start) and before the next of
    /// the second (nothing = the end).
    between: Option<[Box<str>; 2]>,
}

/// What an answer's headers say of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    pub limit: Option<u64>,
    pub remaining: Option<u64>,
    pub used: Option<u64>,
    /// When all of it can be used again.
    pub resets_at: Option<Timestamp>,
}

impl Learn {
    /// `None` when the headers say nothing of the window.
    pub fn hear(&self, headers: &HeaderMap, now: Timestamp) -> Option<Heard> {
        let number = |place: &Option<InHeader>| place.as_ref().and_then(|place| place.number(headers));
        let count = |place| number(place).map(|number| number as u64);
        let after = |seconds: f64| {
            let wait = Duration::try_from_secs_f64(seconds).ok()?;
            now.checked_add(jiff::SignedDuration::try_from(wait).ok()?).ok()
        };
        let at = |place: &InHeader| {
            let seconds = || Timestamp::from_second(place.number(headers)? as i64).ok();
            place.text(headers)?.parse().ok().or_else(seconds)
        };
        let heard = Heard {
            limit: count(&self.limit),
            remaining: count(&self.remaining),
            used: count(&self.used),
            resets_at: number(&self.reset_in).and_then(after).or_else(|| self.reset_at.as_ref().and_then(at)),
        };
        (heard != Heard::default()).then_some(heard)
    }

    /// What it learns, for people.
    pub fn words(&self) -> Vec<&'static str> {
        let Self { per: _, limit, remaining, used, reset_in, reset_at } = self;
        let all = [
            ("limit", limit),
            ("remaining", remaining),
            ("used", used),
            ("reset_in", reset_in),
            ("reset_at", reset_at),
        ];
        all.into_iter().filter(|(_, place)| place.is_some()).map(|(word, _)| word).collect()
    }

    fn compile(entry: &Entry, limits: &Limits, manifest: &Reader<'_>) -> Option<Self> {
        let reader = Reader::of(&entry.value, manifest.diagnostics)?;
        let Some(per) = tree::duration(&entry.key).filter(|per| !per.is_zero()) else {
            let help = "name a window by its length: `learn.24h`".to_owned();
            let problem = format!("`{}` is not the length of a window", entry.key);
            manifest.diagnostics.error_help("rate-syntax", entry.key_origin, problem, help);
            return None;
        };
        if !limits.rate.iter().chain(&limits.budget).any(|rate| rate.per == per) {
            let problem = format!("no window of `rate` or `budget` is {} long, so this is not used", entry.key);
            manifest.diagnostics.warning("unused", entry.key_origin, problem, None);
        }
        let place = |key| InHeader::compile(&reader, key);
        let learn = Self {
            per,
            limit: place("limit"),
            remaining: place("remaining"),
            used: place("used"),
            reset_in: place("reset_in"),
            reset_at: place("reset_at"),
        };
        reader.finish();
        Some(learn)
    }
}

impl InHeader {
    fn compile(learn: &Reader<'_>, key: &'static str) -> Option<Self> {
        let reader = learn.table(key)?;
        let part = reader.text("part").map(Box::from);
        let between = reader.node("between").and_then(|node| match reader.texts("between")?.as_slice() {
            [(left, _), (right, _)] => Some([(*left).into(), (*right).into()]),
            _ => {
                wrong_type(reader.diagnostics, node, "two texts, the one before and the one behind");
                None
            }
        });
        let header = reader.required_text("header");
        let origin = reader.node("header").map_or(reader.origin, |node| node.origin);
        let diagnostics = reader.diagnostics;
        reader.finish();
        let Ok(name) = HeaderName::from_bytes(header?.as_bytes()) else {
            let problem = format!("`{}` is not a header's name", header.unwrap_or_default());
            diagnostics.error("wrong-value", origin, problem);
            return None;
        };
        Some(Self { name, part, between })
    }

    fn text<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let text = headers.get(&self.name)?.to_str().ok()?;
        let text = match &self.part {
            Some(key) => text.split([',', ';']).find_map(|part| {
                let (name, value) = part.split_once('=')?;
                name.trim().eq_ignore_ascii_case(key).then_some(value)
            })?,
            None => text,
        };
        let text = match &self.between {
            Some([left, right]) => {
                let rest = if left.is_empty() { text } else { text.rsplit_once(&**left)?.1 };
                if right.is_empty() { rest } else { rest.split_once(&**right)?.0 }
            }
            None => text,
        };
        Some(text.trim())
    }

    fn number(&self, headers: &HeaderMap) -> Option<f64> {
        self.text(headers)?.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
    }
}

/// `[limits]`, with the concurrency and the reserve of sources that say nothing.
pub fn limits(manifest: &Reader<'_>, concurrency: usize, reserve: f64) -> Limits {
    let mut limits = Limits { concurrency, reserve, ..Limits::default() };
    let Some(reader) = manifest.table("limits") else { return limits };
    let out_of_range = |key, problem: &str| {
        let origin = reader.node(key).map_or(reader.origin, |node| node.origin);
        reader.diagnostics.error("out-of-range", origin, problem.to_owned());
    };
    if let Some(count) = reader.count("concurrency") {
        if !(1..=10_000).contains(&count) {
            out_of_range("concurrency", "`concurrency` must be from 1 to 10000");
        }
        limits.concurrency = usize::try_from(count).unwrap_or(concurrency);
    }
    if let Some(share) = reader.number("reserve") {
        if !(0.0..=1.0).contains(&share) {
            out_of_range("reserve", "`reserve` is a share: from 0 to 1");
        }
        limits.reserve = share;
    }
    limits.rate = rates(&reader, reader.node("rate"));
    limits.budget = rates(&reader, reader.node("budget"));
    for entry in reader.entries("bucket") {
        limits.buckets.push((entry.key.clone(), rates(&reader, Some(&entry.value))));
    }
    let learn = reader.entries("learn").iter().filter_map(|entry| Learn::compile(entry, &limits, &reader));
    limits.learn = learn.collect();
    reader.finish();
    limits
}

fn rates(reader: &Reader<'_>, node: Option<&Node>) -> Vec<Rate> {
    let Some(node) = node else { return Vec::new() };
    let Some(items) = node.as_array() else {
        wrong_type(reader.diagnostics, node, "a list like [\"100 per 10s\"]");
        return Vec::new();
    };
    let mut rates = Vec::new();
    for item in items {
        match item.as_text().and_then(rate) {
            Some(rate) => rates.push(rate),
            None => {
                let help = "like \"100 per 10s\"".to_owned();
                reader.diagnostics.error_help("rate-syntax", item.origin, "this is not a rate", help);
            }
        }
    }
    rates
}

fn rate(text: &str) -> Option<Rate> {
    let (count, per) = text.split_once(" per ")?;
    let count = count.trim().parse().ok().filter(|count| *count > 0)?;
    let per = tree::duration(per).filter(|per| !per.is_zero())?;
    Some(Rate { count, per })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn place(part: Option<&str>, between: Option<[&str; 2]>) -> InHeader {
        let name = HeaderName::from_static("x");
        InHeader { name, part: part.map(Into::into), between: between.map(|b| b.map(Into::into)) }
    }

    #[test]
    fn headers_spell_counts_in_many_ways() {
        let table = [
            ("95", place(None, None), Some(95.0)),
            ("api-usage=18/100000", place(Some("api-usage"), Some(["", "/"])), Some(18.0)),
            ("api-usage=18/100000; per-app-api-usage=17/250(a)", place(Some("API-usage"), Some(["/", ""])), Some(1e5)),
            ("limit=100, remaining=50, reset=5", place(Some("remaining"), None), Some(50.0)),
            ("total=300; remaining=299; resets=47", place(Some("resets"), None), Some(47.0)),
            ("remaining=5", place(Some("reset"), None), None),
            ("-1", place(None, None), None),
            ("NaN", place(None, None), None),
            ("soon", place(None, None), None),
        ];
        for (text, place, expected) in table {
            let headers = HeaderMap::from_iter([(HeaderName::from_static("x"), text.parse().unwrap())]);
            assert_eq!(place.number(&headers), expected, "{text}");
        }
    }

    #[test]
    fn a_reset_is_a_wait_or_a_time() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let learn = |reset_in: Option<InHeader>, reset_at: Option<InHeader>| Learn {
            per: Duration::from_secs(60),
            limit: None,
            remaining: None,
            used: None,
            reset_in,
            reset_at,
        };
        let hear = |learn: Learn, text: &str| {
            let headers = HeaderMap::from_iter([(HeaderName::from_static("x"), text.parse().unwrap())]);
            learn.hear(&headers, now).and_then(|heard| heard.resets_at).map(|at| at.to_string())
        };
        let plain = || Some(place(None, None));
        assert_eq!(hear(learn(plain(), None), "30").as_deref(), Some("2026-11-20T10:00:30Z"));
        assert_eq!(hear(learn(None, plain()), "1795172400").as_deref(), Some("2026-11-20T11:00:00Z"));
        assert_eq!(hear(learn(None, plain()), "2026-11-20T12:00:00Z").as_deref(), Some("2026-11-20T12:00:00Z"));
        assert_eq!(hear(learn(None, plain()), "tomorrow"), None);
    }
}
