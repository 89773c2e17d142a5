//! What is wrong with a stand-in at the moment, and the bodies of the faults that have one. Set in
//! process or over HTTP while the stand-ins run; a fault acts from the next request on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Vendor;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Fault {
    #[default]
    None,
    /// Answers after `ms` more.
    Slow,
    /// Reads the request and never answers.
    Hang,
    /// Breaks the connection with RST.
    Reset,
    /// Refuses with this status as the vendor does: 401, 429 (with Retry-After), 500 or 503.
    Status(u16),
    /// 200 and `application/json`, but no JSON.
    Garbage,
    /// 200 and a login page.
    Html,
    /// The first half of the right answer, then the end of the connection.
    Half,
    /// 10 MB of JSON.
    Big,
    /// The right answer, one byte a second.
    Drip,
    /// 1 MB that unpacks to 160.
    GzipBomb,
    /// JSON, 100,000 levels deep.
    Deep,
    /// Somebody else's record in first place.
    Stranger,
}

impl Fault {
    pub const ALL: [(&'static str, Self); 16] = [
        ("none", Self::None),
        ("slow", Self::Slow),
        ("hang", Self::Hang),
        ("reset", Self::Reset),
        ("401", Self::Status(401)),
        ("429", Self::Status(429)),
        ("500", Self::Status(500)),
        ("503", Self::Status(503)),
        ("garbage", Self::Garbage),
        ("html", Self::Html),
        ("half", Self::Half),
        ("big", Self::Big),
        ("drip", Self::Drip),
        ("gzip_bomb", Self::GzipBomb),
        ("deep", Self::Deep),
        ("stranger", Self::Stranger),
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, fault)| *fault)
    }

    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, fault)| *fault == self).map_or("none", |(name, _)| name)
    }
}

/// A stand-in's fault and its latency.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    pub fault: Fault,
    /// Before every answer, fault or not.
    pub latency: Duration,
    /// What [`Fault::Slow`] adds.
    pub slow: Duration,
    /// Seconds in the Retry-After of a 429.
    pub retry_after: u64,
    /// The fault ends after this many requests; none = it lasts.
    pub times: Option<u32>,
}

impl Default for Setting {
    fn default() -> Self {
        Self { fault: Fault::None, latency: Duration::ZERO, slow: Duration::from_secs(2), retry_after: 1, times: None }
    }
}

impl From<Fault> for Setting {
    fn from(fault: Fault) -> Self {
        Self { fault, ..Self::default() }
    }
}

#[derive(Debug, Default)]
pub struct Faults {
    settings: Mutex<BTreeMap<Vendor, Setting>>,
}

/// The body of `POST /_faults`: what is left out stays as it is, but a new fault lasts unless it
/// says how many `times`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// A stand-in's name, or `all`.
    source: String,
    fault: Option<String>,
    latency_ms: Option<u64>,
    ms: Option<u64>,
    retry_after: Option<u64>,
    times: Option<u32>,
}

impl Faults {
    pub fn set(&self, vendor: Vendor, setting: Setting) {
        self.lock().insert(vendor, setting);
    }

    pub fn get(&self, vendor: Vendor) -> Setting {
        self.lock().get(&vendor).copied().unwrap_or_default()
    }

    /// The setting for one request; counts `times` down.
    pub(super) fn take(&self, vendor: Vendor) -> Setting {
        let mut settings = self.lock();
        let Some(setting) = settings.get_mut(&vendor) else { return Setting::default() };
        let now = *setting;
        if let Some(times) = &mut setting.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                setting.fault = Fault::None;
                setting.times = None;
            }
        }
        now
    }

    /// Applies the body of `POST /_faults`; on an error nothing changes and the text says why.
    pub(super) fn change(&self, body: &[u8]) -> Result<(), String> {
        let change: Change = serde_json::from_slice(body).map_err(|e| e.to_string())?;
        let fault = match change.fault.as_deref().map(|text| (text, Fault::parse(text))) {
            Some((_, Some(fault))) => Some(fault),
            Some((_, None)) => return Err(format!("fault is one of {}", words(Fault::ALL.map(|(name, _)| name)))),
            None => None,
        };
        let vendors = match (change.source.as_str(), Vendor::parse(&change.source)) {
            ("all", _) => Vendor::ALL.to_vec(),
            (_, Some(vendor)) => vec![vendor],
            (_, None) => return Err(format!("source is all or one of {}", words(Vendor::ALL.map(Vendor::as_str)))),
        };
        for vendor in vendors {
            let mut setting = self.get(vendor);
            if let Some(fault) = fault {
                setting.fault = fault;
                setting.times = None;
            }
            setting.times = change.times.filter(|n| *n > 0).or(setting.times);
            setting.latency = change.latency_ms.map_or(setting.latency, Duration::from_millis);
            setting.slow = change.ms.map_or(setting.slow, Duration::from_millis);
            setting.retry_after = change.retry_after.unwrap_or(setting.retry_after);
            self.set(vendor, setting);
        }
        Ok(())
    }

    pub(super) fn json(&self) -> Value {
        let one = |vendor: Vendor| {
            let setting = self.get(vendor);
            let value = json!({
                "fault": setting.fault.as_str(),
                "latency_ms": setting.latency.as_millis() as u64,
                "ms": setting.slow.as_millis() as u64,
                "retry_after": setting.retry_after,
                "times": setting.times,
            });
            (vendor.as_str().to_owned(), value)
        };
        Value::Object(Vendor::ALL.into_iter().map(one).collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Vendor, Setting>> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn words<const N: usize>(names: [&str; N]) -> String {
    names.join(", ")
}

/// 10 MB of valid JSON.
pub(super) fn big() -> Bytes {
    let mut body = Vec::with_capacity(10_000_064);
    body.extend_from_slice(br#"{"total":0,"results":[],"records":[],"padding":""#);
    body.resize(10_000_000, b'x');
    body.extend_from_slice(br#""}"#);
    body.into()
}

/// `[[[ ... ]]]`
pub(super) fn deep() -> Bytes {
    const DEPTH: usize = 100_000;
    [vec![b'['; DEPTH], vec![b']'; DEPTH]].concat().into()
}

/// A gzip stream of 1 MB that unpacks to about 160 MB of blanks, written by hand: one block in fixed
/// Huffman codes, a literal blank and then only "repeat the last byte 258 times". It has no end,
/// nobody should read that far.
pub(super) fn gzip_bomb() -> Bytes {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut out = HEADER.to_vec();
    let (mut bits, mut count) = (0_u32, 0_u32);
    // Huffman codes go out from their highest bit, everything else from its lowest.
    let mut put = |code: u32, length: u32| {
        bits |= code << count;
        count += length;
        while count >= 8 {
            out.push((bits & 0xff) as u8);
            bits >>= 8;
            count -= 8;
        }
    };
    put(0b011, 3); // last block, fixed codes
    put((0x30_u8 + b' ').reverse_bits().into(), 8);
    for _ in 0..640_000 {
        put(0b1100_0101_u8.reverse_bits().into(), 8); // length 258
        put(0, 5); // distance 1
    }
    out.into()
}
