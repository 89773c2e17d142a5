//! Decoding one section of the merged configuration. The reference has every key, so a key that is
//! not there is a slip of ours or a table overwritten by the operator: reported, never guessed.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::manifest::diagnostic::{Diagnostics, Origin};
use crate::manifest::tree::{Reader, spoken};

/// A section whose values are complete and in range, or reported. What is reported comes back as
/// some value of its type: nothing is made of it, since the whole configuration is refused.
pub(super) struct Section<'a> {
    pub reader: Reader<'a>,
}

impl<'a> Section<'a> {
    pub fn of(root: &Reader<'a>, key: &'static str) -> Option<Self> {
        if root.node(key).is_none() {
            root.missing(key);
        }
        root.table(key).map(|reader| Self { reader })
    }

    pub fn diagnostics(&self) -> &'a Diagnostics {
        self.reader.diagnostics
    }

    /// Where the value stands; the section where it is missing.
    pub fn origin(&self, key: &'static str) -> Origin {
        self.reader.node(key).map_or(self.reader.origin, |node| node.origin)
    }

    pub fn text(&self, key: &'static str) -> &'a str {
        self.there(key, self.reader.text(key)).unwrap_or_default()
    }

    pub fn bool(&self, key: &'static str) -> bool {
        self.there(key, self.reader.bool(key)).unwrap_or_default()
    }

    pub fn texts(&self, key: &'static str) -> Vec<(&'a str, Origin)> {
        self.there(key, self.reader.texts(key)).unwrap_or_default()
    }

    pub fn word(&self, key: &'static str, words: &[&'static str]) -> &'static str {
        self.there(key, self.reader.one_of(key, words)).unwrap_or_default()
    }

    pub fn duration(&self, key: &'static str, range: RangeInclusive<Duration>) -> Duration {
        self.within(key, self.reader.duration(key), range, |duration| spoken(*duration)).unwrap_or_default()
    }

    pub fn bytes(&self, key: &'static str, range: RangeInclusive<u64>) -> u64 {
        self.within(key, self.reader.bytes(key), range, |bytes| format!("{bytes} bytes")).unwrap_or_default()
    }

    /// A share between 0 and 1.
    pub fn share(&self, key: &'static str) -> f64 {
        self.within(key, self.reader.number(key), 0.0..=1.0, f64::to_string).unwrap_or_default()
    }

    pub fn count<T: TryFrom<u64> + Default>(&self, key: &'static str, range: RangeInclusive<u64>) -> T {
        let count = self.within(key, self.reader.count(key), range, u64::to_string);
        count.and_then(|count| T::try_from(count).ok()).unwrap_or_default()
    }

    pub fn finish(self) {
        self.reader.finish();
    }

    fn within<T: PartialOrd>(
        &self,
        key: &'static str,
        value: Option<T>,
        range: RangeInclusive<T>,
        spoken: impl Fn(&T) -> String,
    ) -> Option<T> {
        let value = self.there(key, value)?;
        if !range.contains(&value) {
            let (value, least, most) = (spoken(&value), spoken(range.start()), spoken(range.end()));
            let message = format!("`{key}` is {value}; it must be from {least} to {most}");
            self.diagnostics().error("out-of-range", self.origin(key), message);
        }
        Some(value)
    }

    fn there<T>(&self, key: &'static str, value: Option<T>) -> Option<T> {
        if self.reader.node(key).is_none() {
            self.reader.missing(key);
        }
        value
    }
}

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}
