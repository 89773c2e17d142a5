//! Expressions: where in an answer a value is, what is done to it, and which tests it has to pass.
//! Compiled to slots of the path tree; evaluating one (`evaluate`) looks at slots only.

use std::cell::RefCell;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::accept::{SPELT, Spelt};
use super::diagnostic::{Origin, suggest};
use super::hole::Context;
use super::path::{self, Shape, Step};
use super::tree::{Content, Node, Reader, wrong_type};
use crate::domain::{NameId, Type, Value};

/// Members that say where an expression's value is.
pub(super) const SOURCES: &[&str] = &["path", "first_of", "join", "latest", "sum", "min", "value"];
/// Words that make a table an expression, so no field can be called like that.
pub(super) const WORDS: &[&str] = &[
    "path",
    "first_of",
    "join",
    "with",
    "latest",
    "sum",
    "min",
    "value",
    "between",
    "map",
    "table",
    "as",
    "in_currency",
    "equals",
    "in",
    "not_in",
    "exists",
];

#[derive(Debug, PartialEq)]
pub(super) struct Expression {
    pub source: Source,
    /// What stands after the last of the first text and before the next of the second.
    pub between: Option<[Box<str>; 2]>,
    pub map: Option<Arc<str>>,
    pub table: Option<Arc<str>>,
    pub test: Option<Test>,
    pub spelt: Option<Spelt>,
    /// Where the currency of an amount in minor units is.
    pub currency: Option<Slot>,
    pub ty: Type,
}

#[derive(Debug, PartialEq)]
pub(super) enum Source {
    Slot(Slot),
    FirstOf(Vec<Expression>),
    Join(Vec<Expression>, Box<str>),
    /// The last of several times.
    Latest(Vec<Expression>),
    /// Of the numbers at a path.
    Sum(Slot),
    Min(Slot),
    Value(Value),
}

#[derive(Debug, PartialEq)]
pub(super) enum Test {
    /// `equals`, `in`: a value is one of these.
    In(Vec<Right>),
    /// `not_in`: none is.
    NotIn(Vec<Right>),
    Exists(bool),
}

/// What a test compares with.
#[derive(Debug, PartialEq)]
pub(super) enum Right {
    Constant(Value),
    /// An input of the operation.
    Input(NameId),
}

/// Where a path's values come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slot {
    pub level: Level,
    pub at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Record,
    Element,
}

/// The shapes that paths are compiled into.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Shapes {
    pub record: Shape,
    /// While the members of a list's items are compiled.
    pub element: Option<Shape>,
    /// Paths of the record, for `select`.
    pub used: Vec<Vec<Step>>,
    /// Tables that values are looked up in.
    pub tables: Vec<Arc<str>>,
}

/// What expressions are compiled with.
pub(super) struct Paths<'a> {
    pub cx: &'a Context<'a>,
    pub shapes: RefCell<Shapes>,
}

impl Paths<'_> {
    pub fn slot(&self, text: &str, origin: Origin) -> Option<Slot> {
        let path = self.path(text, origin)?;
        let mut shapes = self.shapes.borrow_mut();
        let (level, at) = match &mut shapes.element {
            Some(element) => (Level::Element, element.slot(&path)),
            None => {
                let at = shapes.record.slot(&path);
                shapes.used.push(path);
                (Level::Record, at)
            }
        };
        Some(Slot { level, at })
    }

    pub fn path(&self, text: &str, origin: Origin) -> Option<Vec<Step>> {
        if let Some(at) = text.find('{') {
            let place = self.cx.place(origin, text, at..text.len());
            self.cx.error("hole-in-path", place, "paths into answers have no holes", "");
            return None;
        }
        match path::parse(text) {
            Ok(path) => Some(path),
            Err((at, expected)) => {
                let end = text.get(at..).and_then(|rest| rest.chars().next()).map_or(at, |c| at + c.len_utf8());
                let place = self.cx.place(origin, text, at..end);
                self.cx.error(
                    "path-syntax",
                    place,
                    format!("expected {expected}"),
                    "a path is like `a.b[0].'odd name'[]`",
                );
                None
            }
        }
    }
}

/// What an expression of a list's type is for each of its entries.
pub(super) fn entry_type(ty: Type) -> Type {
    match ty {
        Type::TextList => Type::Text,
        Type::EmailList => Type::Email,
        Type::PhoneList => Type::Phone,
        other => other,
    }
}

impl Expression {
    pub fn compile(node: &Node, ty: Type, paths: &Paths<'_>) -> Option<Self> {
        match &node.value {
            Content::Text(path) => {
                let source = Source::Slot(paths.slot(path, node.origin)?);
                Some(Self {
                    source,
                    ty,
                    between: None,
                    map: None,
                    table: None,
                    test: None,
                    spelt: None,
                    currency: None,
                })
            }
            Content::Table(_) => Self::of_table(node, ty, paths),
            _ => {
                wrong_type(paths.cx.scope.diagnostics, node, "a path or an expression");
                None
            }
        }
    }

    fn of_table(node: &Node, ty: Type, paths: &Paths<'_>) -> Option<Self> {
        let reader = Reader::of(node, paths.cx.scope.diagnostics)?;
        let present: Vec<_> = reader.table.entries.iter().filter(|e| SOURCES.contains(&&*e.key)).collect();
        match present.as_slice() {
            [_] => {}
            [] => {
                let help = format!("give one of {}", SOURCES.join(", "));
                paths.cx.error("one-source", node.origin, "this expression does not say where its value is", &help);
                return None;
            }
            [_, second, ..] => {
                paths.cx.error("one-source", second.key_origin, "this expression has two sources", "keep one");
                return None;
            }
        }
        let test = Test::compile(&reader, paths)?;
        let at = reader.node("map").map_or(node.origin, |n| n.origin);
        let map = reader.text("map").map(|name| paths.cx.scope.map(name, at).ok_or(())).transpose().ok()?;
        let at = reader.node("table").map_or(node.origin, |n| n.origin);
        let table = reader.text("table").map(|name| paths.cx.scope.table(name, at).ok_or(())).transpose().ok()?;
        paths.shapes.borrow_mut().tables.extend(table.clone());
        let spelt = spelt(&reader, paths)?;
        let between = between(&reader)?;
        let currency = match reader.node("in_currency") {
            Some(node) => Some(paths.slot(reader.text("in_currency")?, node.origin)?),
            None => None,
        };
        if let Some(node) = reader.node("in_currency").filter(|_| spelt != Some(Spelt::Cents)) {
            let help = "say `as = \"cents\"`; other amounts are as large in every currency";
            paths.cx.error("field-type", node.origin, "`in_currency` is for amounts in minor units", help);
            return None;
        }
        // what is mapped or tested keeps the type it came with until then
        let changed = map.is_some() || table.is_some() || test.is_some() || spelt.is_some() || between.is_some();
        let of = if changed { Type::Any } else { entry_type(ty) };
        let source = Source::compile(&reader, of, paths)?;
        reader.finish();
        if test.is_some() && !matches!(entry_type(ty), Type::Bool | Type::Text | Type::Any) {
            paths.cx.error(
                "field-type",
                node.origin,
                "this gives true or false, which does not fit the field's type",
                "",
            );
            return None;
        }
        let fits = match spelt {
            None => true,
            Some(Spelt::Cents) => matches!(entry_type(ty), Type::Decimal | Type::Any),
            Some(Spelt::Currency) => matches!(ty, Type::Text | Type::Any),
            Some(_) => matches!(entry_type(ty), Type::Time | Type::Date | Type::Any),
        };
        if !fits {
            let what = match spelt {
                Some(Spelt::Cents) => "an amount",
                Some(Spelt::Currency) => "a currency",
                _ => "a time",
            };
            let message = format!("`as` says how {what} is spelt; this field takes none");
            paths.cx.error("field-type", node.origin, message, "");
            return None;
        }
        Some(Self { source, between, map, table, test, spelt, currency, ty })
    }
}

/// The outer `None`: it is not two texts, which is reported.
#[expect(clippy::option_option, reason = "most expressions have none")]
fn between(reader: &Reader<'_>) -> Option<Option<[Box<str>; 2]>> {
    let Some(node) = reader.node("between") else { return Some(None) };
    match reader.texts("between")?.as_slice() {
        [(left, _), (right, _)] => Some(Some([(*left).into(), (*right).into()])),
        _ => {
            wrong_type(reader.diagnostics, node, "two texts, the one before and the one behind");
            None
        }
    }
}

/// The outer `None`: the word is not known, which is reported.
#[expect(clippy::option_option, reason = "a wrong word is not the same as none")]
fn spelt(reader: &Reader<'_>, paths: &Paths<'_>) -> Option<Option<Spelt>> {
    let Some(word) = reader.text("as") else { return Some(None) };
    if let Some((_, spelt)) = SPELT.iter().find(|(known, _)| *known == word) {
        return Some(Some(*spelt));
    }
    let known = SPELT.iter().map(|(word, _)| *word);
    let origin = reader.node("as").map_or(reader.origin, |node| node.origin);
    let message = format!("`{word}` is not a way that values are spelt");
    paths.cx.scope.diagnostics.error_help("wrong-value", origin, message, suggest(word, known));
    None
}

impl Source {
    fn compile(reader: &Reader<'_>, ty: Type, paths: &Paths<'_>) -> Option<Self> {
        let list = |key: &'static str, ty: Type| {
            let compiled: Vec<_> = reader.list(key)?.iter().map(|item| Expression::compile(item, ty, paths)).collect();
            compiled.into_iter().collect::<Option<Vec<_>>>()
        };
        if let Some(node) = reader.node("path") {
            return Some(Self::Slot(paths.slot(reader.text("path")?, node.origin)?));
        }
        for (key, aggregate) in [("sum", Self::Sum as fn(Slot) -> Self), ("min", Self::Min)] {
            if let Some(node) = reader.node(key) {
                return Some(aggregate(paths.slot(reader.text(key)?, node.origin)?));
            }
        }
        if let Some(node) = reader.node("value") {
            return Some(Self::Value(constant(node, paths)?));
        }
        if reader.node("first_of").is_some() {
            return Some(Self::FirstOf(list("first_of", ty)?));
        }
        if reader.node("latest").is_some() {
            return Some(Self::Latest(list("latest", Type::Time)?));
        }
        Some(Self::Join(list("join", Type::Text)?, reader.text("with").unwrap_or(" ").into()))
    }
}

impl Test {
    /// The outer `None`: something is wrong with it.
    #[expect(clippy::option_option, reason = "most expressions have no test")]
    pub fn compile(reader: &Reader<'_>, paths: &Paths<'_>) -> Option<Option<Self>> {
        let mut given =
            ["equals", "in", "not_in", "exists"].into_iter().filter_map(|key| Some((key, reader.node(key)?)));
        let Some((key, node)) = given.next() else { return Some(None) };
        // the others are asked for too, so that they count as known
        if let Some((_, second)) = given.fold(None, |first, next| first.or(Some(next))) {
            paths.cx.error("one-source", second.origin, "this expression has two tests", "keep one");
            return None;
        }
        let all = |items: &[Node]| {
            let right: Vec<_> = items.iter().map(|item| Right::compile(item, paths)).collect();
            right.into_iter().collect::<Option<Vec<_>>>()
        };
        Some(Some(match key {
            "equals" => Self::In(all(std::slice::from_ref(node))?),
            "in" => Self::In(all(reader.list("in")?)?),
            "not_in" => Self::NotIn(all(reader.list("not_in")?)?),
            _ => Self::Exists(reader.bool("exists")?),
        }))
    }
}

impl Right {
    /// A constant, or `"{name}"` of an input that the operation needs.
    fn compile(node: &Node, paths: &Paths<'_>) -> Option<Self> {
        let cx = paths.cx;
        let Some(name) = node.as_text().and_then(|text| text.strip_prefix('{')?.strip_suffix('}')) else {
            return Some(Self::Constant(constant(node, paths)?));
        };
        let name = cx.scope.name(name, node.origin)?;
        if !cx.needs.iter().any(|need| need.iter().all(|needed| *needed == name)) {
            let message = "this may be missing when the answer is read";
            cx.error("hole-not-needed", node.origin, message, "add it to `needs`");
            return None;
        }
        Some(Self::Input(name))
    }
}

fn constant(node: &Node, paths: &Paths<'_>) -> Option<Value> {
    match &node.value {
        Content::Text(text) => Some(Value::Text(text.clone())),
        Content::Int(number) => Some(Value::Int(*number)),
        Content::Bool(value) => Some(Value::Bool(*value)),
        Content::Float(number) => Decimal::from_str_exact(&number.to_string()).ok().map(Value::Decimal),
        _ => {
            wrong_type(paths.cx.scope.diagnostics, node, "a text, a number, or true or false");
            None
        }
    }
}
