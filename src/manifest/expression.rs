//! Expressions: where in an answer a value is, what is done to it, and which tests it has to pass.
//! Compiled to slots of the path tree; evaluating one (`evaluate`) looks at slots only.

use std::cell::RefCell;
use std::sync::Arc;

use http::HeaderName;
use rust_decimal::Decimal;

use super::accept::{Item, SPELT, Spelt};
use super::diagnostic::{Origin, suggest};
use super::hole::{Context, Template};
use super::path::{Path, Shape, Step};
use super::tree::{Content, Node, Reader, wrong_type};
use crate::domain::{Type, Value};

/// Words that make a table an expression, so no field can be called like that.
pub(super) const WORDS: &[&str] = &[
    "path",
    "header",
    "first_of",
    "join",
    "with",
    "all",
    "latest",
    "text",
    "value",
    "count",
    "sum",
    "min",
    "max",
    "part",
    "between",
    "map",
    "table",
    "as",
    "equals",
    "in",
    "not_in",
    "has",
    "starts_with",
    "exists",
];
const SOURCES: &[&str] =
    &["path", "header", "first_of", "join", "all", "latest", "text", "value", "count", "sum", "min", "max"];

#[derive(Debug)]
pub(super) struct Expression {
    pub source: Source,
    pub part: Option<Box<str>>,
    pub between: Option<(Box<str>, Box<str>)>,
    pub map: Option<Arc<str>>,
    pub table: Option<Arc<str>>,
    pub test: Option<Test>,
    pub spelt: Option<Spelt>,
    pub ty: Type,
}

#[derive(Debug)]
pub(super) enum Source {
    Slot(Slot),
    Header(HeaderName),
    FirstOf(Vec<Expression>),
    Join(Vec<Expression>, Box<str>),
    All(Vec<Expression>),
    Latest(Vec<Expression>),
    Text {
        template: Template,
        members: Vec<Slot>,
    },
    Value(Value),
    Count(Slot),
    Sum(Slot),
    Min(Slot),
    Max(Slot),
    /// All of these tests.
    Tests(Vec<Expression>),
}

#[derive(Debug)]
pub(super) struct Test {
    pub kind: TestKind,
    pub right: Vec<Right>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TestKind {
    Equals,
    In,
    NotIn,
    Has,
    StartsWith,
    Exists(bool),
}

#[derive(Debug)]
pub(super) enum Right {
    Value(Value),
    Template(Template),
}

/// Where a path's values come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub level: Level,
    pub at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Root,
    Record,
    Element,
}

/// The shapes that paths are compiled into.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    pub root: Shape,
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
            _ if path.from_root => (Level::Root, shapes.root.slot(&path.steps)),
            Some(element) => (Level::Element, element.slot(&path.steps)),
            None => {
                let at = shapes.record.slot(&path.steps);
                shapes.used.push(path.steps);
                (Level::Record, at)
            }
        };
        Some(Slot { level, at })
    }

    pub fn path(&self, text: &str, origin: Origin) -> Option<Path> {
        if let Some(at) = text.find('{') {
            let place = self.cx.place(origin, text, at..text.len());
            self.cx.error("hole-in-path", place, "paths into answers have no holes", "");
            return None;
        }
        match Path::parse(text) {
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
        let plain = |source, ty| Self {
            source,
            part: None,
            between: None,
            map: None,
            table: None,
            test: None,
            spelt: None,
            ty,
        };
        match &node.value {
            Content::Text(path) => Some(plain(Source::Slot(paths.slot(path, node.origin)?), ty)),
            Content::Array(items) => {
                fits(Type::Bool, ty, node.origin, paths)?;
                let tests: Vec<_> = items.iter().map(|item| Self::test(item, paths)).collect();
                Some(plain(Source::Tests(tests.into_iter().collect::<Option<_>>()?), ty))
            }
            Content::Table(_) => Self::of_table(node, ty, paths),
            _ => {
                wrong_type(paths.cx.scope.diagnostics, node, "a path or an expression");
                None
            }
        }
    }

    /// An expression that is a test: of `where`, or one of a list of tests.
    pub fn test(node: &Node, paths: &Paths<'_>) -> Option<Self> {
        let expression = Self::compile(node, Type::Bool, paths)?;
        if expression.test.is_none() && !matches!(expression.source, Source::Tests(_)) {
            let help = "add one of equals, in, not_in, has, starts_with, exists";
            paths.cx.error("missing-key", node.origin, "this is no test", help);
            return None;
        }
        Some(expression)
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
        let part = reader.text("part").map(Into::into);
        let between = between(&reader);
        let scope = paths.cx.scope;
        let at = |key: &'static str| reader.node(key).map_or(node.origin, |n| n.origin);
        let map = reader.text("map").map(|name| scope.map(name, at("map")).ok_or(())).transpose().ok()?;
        let table = reader.text("table").map(|name| scope.table(name, at("table")).ok_or(())).transpose().ok()?;
        let spelt = spelt(&reader, paths)?;
        // what is looked up, cut or tested keeps the type it came with until then
        let raw = part.is_some() || between.is_some() || map.is_some() || table.is_some() || test.is_some();
        let of = if raw || spelt.is_some() { Type::Any } else { entry_type(ty) };
        let source = Source::compile(&reader, of, paths)?;
        reader.finish();
        let gives = match (&source, &test, spelt) {
            (_, Some(_), _) | (Source::Tests(_), ..) => Type::Bool,
            (Source::Count(_), ..) if !raw => Type::Int,
            (Source::Sum(_), ..) if !raw => Type::Decimal,
            _ => Type::Any,
        };
        let at = node.origin;
        fits(gives, ty, at, paths)?;
        if let Some(spelt) = spelt
            && !spelt.fits(entry_type(ty))
        {
            paths.cx.error("field-type", at, "a value spelt like this does not fit the field's type", "");
            return None;
        }
        let expression = Self { source, part, between, map, table, test, spelt, ty };
        expression.check_constant(at, paths)?;
        Some(expression)
    }

    /// A constant fits now or never.
    fn check_constant(&self, origin: Origin, paths: &Paths<'_>) -> Option<()> {
        let Source::Value(value) = &self.source else { return Some(()) };
        if self.map.is_some() || self.test.is_some() {
            return Some(());
        }
        let item = Item::Value(value.clone());
        if item.fit(entry_type(self.ty), self.spelt, &jiff::tz::TimeZone::UTC, None).is_err() {
            paths.cx.error("field-type", origin, format!("a {} does not fit this field", value.type_name()), "");
            return None;
        }
        Some(())
    }
}

/// Whether a value of one type can stand in a field of another.
fn fits(given: Type, wanted: Type, origin: Origin, paths: &Paths<'_>) -> Option<()> {
    let numeric = matches!(given, Type::Int | Type::Decimal);
    let fine = match entry_type(wanted) {
        Type::Any | Type::Text => true,
        Type::Records(_) => false,
        Type::Int | Type::Decimal => numeric || given == Type::Any,
        other => given == other || given == Type::Any,
    };
    if !fine {
        let what = if given == Type::Bool { "true or false" } else { "a number" };
        paths.cx.error("field-type", origin, format!("this gives {what}, which does not fit the field's type"), "");
    }
    fine.then_some(())
}

fn between(reader: &Reader<'_>) -> Option<(Box<str>, Box<str>)> {
    let texts = reader.texts("between")?;
    match texts.as_slice() {
        [(left, _), (right, _)] => Some(((*left).into(), (*right).into())),
        _ => {
            if let Some(node) = reader.node("between") {
                wrong_type(reader.diagnostics, node, "two texts: what stands before and after");
            }
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
        let slot = |key: &'static str| {
            let text = reader.text(key)?;
            Some(paths.slot(text, reader.node(key)?.origin))
        };
        let list = |key: &'static str, ty: Type| {
            let items = reader.list(key)?;
            let compiled: Vec<_> = items.iter().map(|item| Expression::compile(item, ty, paths)).collect();
            Some(compiled.into_iter().collect::<Option<Vec<_>>>())
        };
        if let Some(slot) = slot("path") {
            return Some(Self::Slot(slot?));
        }
        for (key, make) in
            [("count", Self::Count as fn(Slot) -> Self), ("sum", Self::Sum), ("min", Self::Min), ("max", Self::Max)]
        {
            if let Some(slot) = slot(key) {
                return Some(make(slot?));
            }
        }
        if let Some(name) = reader.text("header") {
            let header = HeaderName::from_bytes(name.as_bytes()).ok();
            if header.is_none() {
                let origin = reader.node("header").map_or(reader.origin, |node| node.origin);
                paths.cx.error("wrong-value", origin, format!("`{name}` is not a header's name"), "");
            }
            return Some(Self::Header(header?));
        }
        if let Some(parts) = list("first_of", ty) {
            return Some(Self::FirstOf(parts?));
        }
        if let Some(parts) = list("join", Type::Text) {
            return Some(Self::Join(parts?, reader.text("with").unwrap_or(" ").into()));
        }
        if let Some(parts) = list("all", ty) {
            return Some(Self::All(parts?));
        }
        if let Some(parts) = list("latest", Type::Time) {
            return Some(Self::Latest(parts?));
        }
        if let Some(node) = reader.node("text") {
            return Self::text(reader.text("text")?, node.origin, paths);
        }
        Some(Self::Value(constant(reader.node("value")?, paths)?))
    }

    fn text(text: &str, origin: Origin, paths: &Paths<'_>) -> Option<Self> {
        let members = RefCell::new(Vec::new());
        let member = |path: &str, origin: Origin| {
            let slot = paths.slot(path, origin)?;
            members.borrow_mut().push(slot);
            Some(members.borrow().len() - 1)
        };
        let cx = Context { member: Some(&member), ..Context::new(paths.cx.scope, paths.cx.needs) };
        let template = Template::compile(text, origin, &cx).filter(|template| template.check_scalar(&cx));
        paths.cx.names.borrow_mut().extend(cx.names.take());
        Some(Self::Text { template: template?, members: members.take() })
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

impl Test {
    /// The outer `None`: something is wrong with it.
    #[expect(clippy::option_option, reason = "most expressions have no test")]
    pub fn compile(reader: &Reader<'_>, paths: &Paths<'_>) -> Option<Option<Self>> {
        let mut found = None;
        for (key, kind) in [
            ("equals", TestKind::Equals),
            ("in", TestKind::In),
            ("not_in", TestKind::NotIn),
            ("has", TestKind::Has),
            ("starts_with", TestKind::StartsWith),
        ] {
            let Some(node) = reader.node(key) else { continue };
            if found.is_some() {
                paths.cx.error("one-source", node.origin, "this expression has two tests", "make it a list of tests");
                return None;
            }
            let list = matches!(kind, TestKind::In | TestKind::NotIn);
            let items = if list { reader.list(key)? } else { std::slice::from_ref(node) };
            let right: Vec<_> = items.iter().map(|item| Right::compile(item, paths)).collect();
            found = Some(Self { kind, right: right.into_iter().collect::<Option<_>>()? });
        }
        match (reader.bool("exists"), found) {
            (Some(_), Some(_)) => {
                paths.cx.error("one-source", reader.origin, "this expression has two tests", "make it a list of tests");
                None
            }
            (Some(exists), None) => Some(Some(Self { kind: TestKind::Exists(exists), right: Vec::new() })),
            (None, found) => Some(found),
        }
    }
}

impl Right {
    fn compile(node: &Node, paths: &Paths<'_>) -> Option<Self> {
        let Some(text) = node.as_text() else { return Some(Self::Value(constant(node, paths)?)) };
        let template = Template::compile(text, node.origin, paths.cx)?;
        match template.constant() {
            Some(text) => Some(Self::Value(Value::text(text))),
            None => template.check_scalar(paths.cx).then_some(Self::Template(template)),
        }
    }
}
