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
use crate::domain::{Type, Value};

/// Members that say where an expression's value is.
pub(super) const SOURCES: &[&str] = &["path", "first_of", "join"];
/// Words that make a table an expression, so no field can be called like that.
pub(super) const WORDS: &[&str] = &["path", "first_of", "join", "with", "map", "as", "equals", "in"];

#[derive(Debug, PartialEq)]
pub(super) struct Expression {
    pub source: Source,
    pub map: Option<Arc<str>>,
    pub test: Option<Test>,
    pub spelt: Option<Spelt>,
    pub ty: Type,
}

#[derive(Debug, PartialEq)]
pub(super) enum Source {
    Slot(Slot),
    FirstOf(Vec<Expression>),
    Join(Vec<Expression>, Box<str>),
}

/// `equals` or `in`: the value is one of these.
#[derive(Debug, PartialEq)]
pub(super) struct Test {
    pub right: Vec<Value>,
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
                Some(Self { source, map: None, test: None, spelt: None, ty })
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
        let spelt = spelt(&reader, paths)?;
        // what is mapped or tested keeps the type it came with until then
        let of = if map.is_some() || test.is_some() || spelt.is_some() { Type::Any } else { entry_type(ty) };
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
        if spelt.is_some() && !matches!(entry_type(ty), Type::Time | Type::Date | Type::Any) {
            paths.cx.error("field-type", node.origin, "`as` says how a time is spelt; this field takes none", "");
            return None;
        }
        Some(Self { source, map, test, spelt, ty })
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
        if reader.node("first_of").is_some() {
            return Some(Self::FirstOf(list("first_of", ty)?));
        }
        Some(Self::Join(list("join", Type::Text)?, reader.text("with").unwrap_or(" ").into()))
    }
}

impl Test {
    /// The outer `None`: something is wrong with it.
    #[expect(clippy::option_option, reason = "most expressions have no test")]
    pub fn compile(reader: &Reader<'_>, paths: &Paths<'_>) -> Option<Option<Self>> {
        let items = match (reader.node("equals"), reader.node("in")) {
            (None, None) => return Some(None),
            (Some(_), Some(second)) => {
                paths.cx.error("one-source", second.origin, "this expression has two tests", "keep one");
                return None;
            }
            (Some(node), None) => std::slice::from_ref(node),
            (None, Some(_)) => reader.list("in")?,
        };
        let right: Vec<_> = items.iter().map(|item| constant(item, paths)).collect();
        Some(Some(Self { right: right.into_iter().collect::<Option<_>>()? }))
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
