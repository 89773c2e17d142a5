//! How fast a replay asks: gently, and never with more than half of what any source may be asked, so
//! that live calls, which have a quota of their own in another process, keep the other half.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::manifest::plan::{Plan, Rate};
use crate::manifest::template::PhoneUse;

/// Callers a second when nobody says otherwise.
const GENTLE: f64 = 5.0;
/// Of what a source may be asked.
const SHARE: f64 = 0.5;

/// So many callers in so much time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PerSecond(f64);

impl PerSecond {
    /// `5/s`, `30/m`, `600/h`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "so many callers a second, minute or hour, like 5/s or 30/m".to_owned();
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let count: u32 = count.trim().parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        let seconds = match unit.trim() {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return Err(wrong()),
        };
        Ok(Self(f64::from(count) / seconds))
    }
}

/// The pace of one replay, and what sets it.
pub struct Pace {
    pub callers_a_second: f64,
    /// The source whose quota is the narrowest, where it sets the pace.
    pub by: Option<(Arc<str>, Rate)>,
}

impl Pace {
    /// As wished, or gently; slower where a source may not be asked that often under both plans.
    pub fn new(wished: Option<PerSecond>, plans: [&Plan; 2]) -> Self {
        let wished = wished.map_or(GENTLE, |PerSecond(rate)| rate);
        let narrowest = narrowest(plans).filter(|(bearable, ..)| *bearable < wished);
        match narrowest {
            Some((bearable, source, rate)) => Self { callers_a_second: bearable, by: Some((source, rate)) },
            None => Self { callers_a_second: wished, by: None },
        }
    }

    /// Between two callers.
    pub fn every(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.callers_a_second.max(0.001))
    }
}

/// A window of a source's quota: the one of all its requests, or that of a bucket.
type Window = (Arc<str>, Option<Arc<str>>);

/// Callers a second that the narrowest window bears, and whose it is.
fn narrowest(plans: [&Plan; 2]) -> Option<(f64, Arc<str>, Rate)> {
    // a source of the same name is the same account: both configurations draw on one quota
    let mut requests: BTreeMap<Window, f64> = BTreeMap::new();
    let mut windows: Vec<(Window, Rate)> = Vec::new();
    for plan in plans {
        for operation in &plan.operations {
            let source = plan.source(operation.source);
            let tries = match operation.phone_use() {
                PhoneUse::One => operation.spellings.len().max(1),
                _ => 1,
            };
            let buckets = operation.bucket.iter().map(|bucket| Some(bucket.clone()));
            for bucket in buckets.chain([None]) {
                *requests.entry((source.name.clone(), bucket)).or_default() += tries as f64;
            }
        }
        for source in plan.sources.iter().filter(|source| source.connected) {
            windows.extend(source.limits.rate.iter().map(|rate| ((source.name.clone(), None), *rate)));
            for (bucket, rates) in &source.limits.buckets {
                windows.extend(rates.iter().map(|rate| ((source.name.clone(), Some(bucket.clone())), *rate)));
            }
        }
    }
    let bearable = windows.into_iter().filter_map(|(window, rate)| {
        let requests = requests.get(&window)?;
        Some((SHARE * f64::from(rate.count) / rate.per.as_secs_f64() / requests, window.0, rate))
    });
    bearable.min_by(|a, b| a.0.total_cmp(&b.0))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::config::load_str;

    fn plan(more: &str) -> Arc<Plan> {
        let operation = "\n[sources.crm.lookup.person]\nneeds = [\"phone\"]\nget = \"/people\"\nquery.phone = \"{phone}\"\n\
                         spellings = [\"e164\", \"national\"]\nbucket = \"search\"\nphones = [\"phone\"]\n\
                         provides.name = \"name\"\n";
        let source = "[phone]\ndefault_region = \"US\"\n[sources.crm]\nconnector = \"http\"\n\
                      base_url = \"https://crm.example\"\nauth.none = {}\n";
        match load_str(&format!("{source}{more}{operation}")) {
            Ok(loaded) => loaded.config.plan,
            Err(invalid) => panic!("{invalid}"),
        }
    }

    #[test]
    fn the_narrowest_window_sets_the_pace() {
        let wide = plan("limits = { rate = [\"10000 per 1s\"], bucket = { search = [\"1000 per 1s\"] } }");
        let narrow = plan("limits = { rate = [\"100 per 1s\"], bucket = { search = [\"8 per 10s\"] } }");
        let pace = |wished: Option<&str>, after| {
            let pace = Pace::new(wished.map(|text| PerSecond::parse(text).unwrap()), [&wide, after]);
            (pace.callers_a_second, pace.by.map(|(source, rate)| (source.to_string(), rate.count)))
        };
        assert_eq!(pace(None, &wide), (5.0, None));
        assert_eq!(pace(Some("30/m"), &wide), (0.5, None));
        assert_eq!(pace(Some("200/s"), &wide), (125.0, Some(("crm".into(), 1000))));
        // two spellings under each configuration are four requests; half of 0.8 a second is for us
        assert_eq!(pace(None, &narrow), (0.1, Some(("crm".into(), 8))));
        assert_eq!(pace(Some("3/m"), &narrow), (0.05, None));
    }

    #[test]
    fn rates_have_a_number_and_a_unit() {
        for wrong in ["5", "0/s", "-1/s", "5/d", "/s", "x/m"] {
            assert!(PerSecond::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(PerSecond::parse("3600/h"), Ok(PerSecond(1.0)));
    }
}
