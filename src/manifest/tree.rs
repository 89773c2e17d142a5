//! TOML as a tree in which every key and value knows where it was written, layers of such trees
//! merged member by member, and the reader that decodes a table: every key that is asked for is
//! known, every other key is a problem, and every problem has a place.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::diagnostic::{Diagnostics, Files, Origin, Severity, did_you_mean};

/// A TOML value with the place it was written at.
#[derive(Clone, Debug)]
pub struct Node {
    pub value: Content,
    pub origin: Origin,
}

#[derive(Clone, Debug)]
pub enum Content {
    Text(Arc<str>),
    Int(i64),
    Float(f64),
    Bool(bool),
    Date(Arc<str>),
    Array(Vec<Node>),
    Table(Table),
}

/// Members in file order.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Arc<str>,
    pub key_origin: Origin,
    pub value: Node,
}

impl Node {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The table, if it is one.
    pub fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Content::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_array(&self) -> Option<&[Node]> {
        match &self.value {
            Content::Array(array) => Some(array),
            _ => None,
        }
    }

    /// Its type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self.value {
            Content::Text(_) => "a text",
            Content::Int(_) => "an integer",
            Content::Float(_) => "a number",
            Content::Bool(_) => "true or false",
            Content::Date(_) => "a date",
            Content::Array(_) => "a list",
            Content::Table(_) => "a table",
        }
    }
}

impl Content {
    /// Equal, wherever it was written.
    pub fn same(&self, other: &Content) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) | (Self::Date(a), Self::Date(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.value.same(&b.value))
            }
            (Self::Table(a), Self::Table(b)) => {
                let held = |e: &Entry| b.get(&e.key).is_some_and(|other| e.value.value.same(&other.value));
                a.entries.len() == b.entries.len() && a.entries.iter().all(held)
            }
            _ => false,
        }
    }
}

impl Table {
    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.value)
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| &*e.key == key)
    }

    /// In file order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|e| &*e.key)
    }

    /// Lays `over` on this table: tables merge member by member, everything else replaces.
    /// Tables for which `whole` says so replace as one (nodes and expressions of a manifest).
    /// With `false_removes`, the value `false` takes a member away.
    pub fn merge(&mut self, over: &Table, false_removes: bool, whole: &dyn Fn(&Table) -> bool) {
        for entry in &over.entries {
            if false_removes && matches!(entry.value.value, Content::Bool(false)) {
                let keep_false = matches!(self.get(&entry.key), Some(Node { value: Content::Bool(_), .. }));
                if !keep_false {
                    self.entries.retain(|e| e.key != entry.key);
                    continue;
                }
            }
            match self.entries.iter_mut().find(|e| e.key == entry.key) {
                Some(below) => match (&mut below.value.value, &entry.value.value) {
                    (Content::Table(lower), Content::Table(upper)) if !whole(lower) && !whole(upper) => {
                        lower.merge(upper, false_removes, whole);
                    }
                    _ => *below = entry.clone(),
                },
                None => self.entries.push(entry.clone()),
            }
        }
    }
}

/// Parses one file. Syntax problems become diagnostics; what could be read comes back.
pub fn parse(file: u16, files: &Files, diagnostics: &Diagnostics) -> Table {
    let Some(source) = files.get(file) else { return Table::default() };
    let text = source.text.clone();
    let (root, errors) = toml::de::DeTable::parse_recoverable(&text);
    for error in errors {
        let span = error.span().unwrap_or(0..1);
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        diagnostics.add(Severity::Error, "syntax", Some(origin(file, &span)), message, None);
    }
    table(file, root.get_ref())
}

fn origin(file: u16, span: &std::ops::Range<usize>) -> Origin {
    let at = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Origin { file, start: at(span.start), end: at(span.end) }
}

fn table(file: u16, source: &toml::de::DeTable<'_>) -> Table {
    let entries = source
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().as_ref().into(),
            key_origin: origin(file, &key.span()),
            value: node(file, value),
        })
        .collect();
    Table { entries }
}

fn node(file: u16, source: &toml::Spanned<toml::de::DeValue<'_>>) -> Node {
    use toml::de::DeValue;
    let value = match source.get_ref() {
        DeValue::String(text) => Content::Text(text.as_ref().into()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Content::Int(number),
            Err(_) => Content::Float(f64::INFINITY),
        },
        DeValue::Float(number) => Content::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Content::Bool(*value),
        DeValue::Datetime(value) => Content::Date(value.to_string().into()),
        DeValue::Array(items) => Content::Array(items.iter().map(|item| node(file, item)).collect()),
        DeValue::Table(members) => Content::Table(table(file, members)),
    };
    Node { value, origin: origin(file, &source.span()) }
}

/// Decodes one table. Ask for every key the format knows, then call [`Reader::finish`].
#[derive(Debug)]
pub struct Reader<'a> {
    pub table: &'a Table,
    /// Where the table is, for keys that are missing.
    pub origin: Origin,
    pub diagnostics: &'a Diagnostics,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Reader<'a> {
    /// A reader of a table that stands at `origin`.
    pub fn new(table: &'a Table, origin: Origin, diagnostics: &'a Diagnostics) -> Self {
        Self { table, origin, diagnostics, asked: RefCell::default() }
    }

    /// A reader of `node`, which must be a table.
    pub fn of(node: &'a Node, diagnostics: &'a Diagnostics) -> Option<Self> {
        match &node.value {
            Content::Table(table) => Some(Self::new(table, node.origin, diagnostics)),
            _ => {
                wrong_type(diagnostics, node, "a table");
                None
            }
        }
    }

    /// The member as written, marked as known.
    pub fn node(&self, key: &'static str) -> Option<&'a Node> {
        self.asked.borrow_mut().insert(key);
        self.table.get(key)
    }

    /// The member as `read` takes it; `wrong-type` when it does not.
    fn typed<T>(&self, key: &'static str, expected: &str, read: impl FnOnce(&'a Node) -> Option<T>) -> Option<T> {
        let node = self.node(key)?;
        let value = read(node);
        if value.is_none() {
            wrong_type(self.diagnostics, node, expected);
        }
        value
    }

    /// A text; another type is `wrong-type`.
    pub fn text(&self, key: &'static str) -> Option<&'a str> {
        self.typed(key, "a text", Node::as_text)
    }

    /// A text that must be there; its absence is `missing-key`.
    pub fn required_text(&self, key: &'static str) -> Option<&'a str> {
        if self.node(key).is_none() {
            self.missing(key);
        }
        self.text(key)
    }

    /// Reports that a key is not there.
    pub fn missing(&self, key: &str) {
        self.diagnostics.error("missing-key", self.origin, format!("`{key}` is missing here"));
    }

    /// True or false; another type is `wrong-type`.
    pub fn bool(&self, key: &'static str) -> Option<bool> {
        self.typed(key, "true or false", |node| match node.value {
            Content::Bool(value) => Some(value),
            _ => None,
        })
    }

    /// A whole number from 0 up.
    pub fn count(&self, key: &'static str) -> Option<u64> {
        self.typed(key, "a whole number from 0 up", |node| match node.value {
            Content::Int(value) => u64::try_from(value).ok(),
            _ => None,
        })
    }

    /// A number, whole or not.
    pub fn number(&self, key: &'static str) -> Option<f64> {
        self.typed(key, "a number", |node| match node.value {
            Content::Float(value) => Some(value),
            Content::Int(value) => Some(value as f64),
            _ => None,
        })
    }

    /// A duration with its unit: `"250ms"`, `"3s"`, `"5m"`, `"1h"`, `"30d"`.
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        let expected = "a duration with its unit, like \"250ms\", \"3s\", \"5m\" or \"1h\"";
        self.typed(key, expected, |node| duration(node.as_text()?))
    }

    /// A size in bytes with its unit: `"64KiB"`, `"256MiB"`, `"1GiB"`.
    pub fn bytes(&self, key: &'static str) -> Option<u64> {
        self.typed(key, "a size with its unit, like \"64KiB\" or \"256MiB\"", |node| bytes(node.as_text()?))
    }

    /// A list of texts; an item of another type is a problem and left out.
    pub fn texts(&self, key: &'static str) -> Option<Vec<(&'a str, Origin)>> {
        let items = self.list(key)?;
        let text = |item: &'a Node| {
            if item.as_text().is_none() {
                wrong_type(self.diagnostics, item, "a text");
            }
            item.as_text().map(|text| (text, item.origin))
        };
        Some(items.iter().filter_map(text).collect())
    }

    /// A list; another type is `wrong-type`.
    pub fn list(&self, key: &'static str) -> Option<&'a [Node]> {
        self.typed(key, "a list", Node::as_array)
    }

    /// One of a closed set of words.
    pub fn one_of(&self, key: &'static str, words: &[&'static str]) -> Option<&'static str> {
        let node = self.node(key)?;
        let text = self.text(key)?;
        let found = words.iter().find(|word| **word == text).copied();
        if found.is_none() {
            let expected = format!("`{text}` is not one of {}", words.join(", "));
            self.diagnostics.error_help(
                "wrong-value",
                node.origin,
                expected,
                did_you_mean(text, words.iter().copied()),
            );
        }
        found
    }

    /// A reader of the member table.
    pub fn table(&self, key: &'static str) -> Option<Reader<'a>> {
        Reader::of(self.node(key)?, self.diagnostics)
    }

    /// The members of a table with free keys, each as written.
    pub fn entries(&self, key: &'static str) -> &'a [Entry] {
        self.typed(key, "a table", Node::as_table).map_or(&[], |table| &table.entries)
    }

    /// Reports every key that was not asked for.
    pub fn finish(self) {
        let asked = self.asked.into_inner();
        for entry in self.table.entries.iter().filter(|e| !asked.contains(&*e.key)) {
            self.diagnostics.error_help(
                "unknown-key",
                entry.key_origin,
                format!("`{}` is not a key that is known here", entry.key),
                did_you_mean(&entry.key, asked.iter().copied())
                    .or_else(|| Some(format!("known here: {}", asked.iter().copied().collect::<Vec<_>>().join(", ")))),
            );
        }
    }
}

/// Reports that a value is of another type than expected.
pub fn wrong_type(diagnostics: &Diagnostics, node: &Node, expected: &str) {
    diagnostics.error("wrong-type", node.origin, format!("expected {expected}, found {}", node.type_name()));
}

/// A whole number, and the unit behind it.
fn with_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    Some((number.trim().parse().ok()?, unit))
}

/// A duration with its unit; `None` when it has none or another.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = with_unit(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// A duration as it is written in files.
pub fn spoken(duration: Duration) -> String {
    let millis = duration.as_millis();
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
        .into_iter()
        .find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit))
        .map_or_else(|| format!("{millis}ms"), |(name, unit)| format!("{}{name}", millis / unit))
}

fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = with_unit(text)?;
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}
