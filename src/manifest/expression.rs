//! Expressions: where in an answer a value is, what is done to it, and which tests it has to pass.
//! Compiled to slots of the path tree; evaluating one looks at slots only.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

use http::HeaderName;
use rust_decimal::Decimal;
use smallvec::SmallVec;

use super::accept::{Item, SPELT, Spelt};
use super::diagnostic::{Origin, did_you_mean};
use super::hole::{Context, Hole, Piece, Template};
use super::path::{Frame, Path, Shape, Step};
use super::reading::ReadEnv;
use super::render::encode_query;
use super::template::{Env, same_text};
use super::tree::{Content, Node, Reader, wrong_type};
use crate::domain::{Skip, Type, Value};

/// Entries of a list of plain values.
const MAX_PLAIN: usize = 50;

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
    source: Source,
    part: Option<Box<str>>,
    between: Option<(Box<str>, Box<str>)>,
    map: Option<Arc<str>>,
    table: Option<Arc<str>>,
    test: Option<Test>,
    spelt: Option<Spelt>,
    pub ty: Type,
}

#[derive(Debug)]
enum Source {
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
    kind: TestKind,
    right: Vec<Right>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TestKind {
    Equals,
    In,
    NotIn,
    Has,
    StartsWith,
    Exists(bool),
}

#[derive(Debug)]
enum Right {
    Value(Value),
    Template(Template),
}

/// Where a path's values come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    level: Level,
    pub at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
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
fn entry_type(ty: Type) -> Type {
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
        let named = |key: &'static str, known: &dyn Fn(&str) -> bool, all: Vec<&str>| match reader.text(key) {
            Some(name) if !known(name) => {
                let help = did_you_mean(name, all).unwrap_or_default();
                let origin = reader.node(key).map_or(node.origin, |n| n.origin);
                paths.cx.error("unknown-name", origin, format!("there is no `[{key}.{name}]`"), &help);
                None
            }
            name => Some(name.map(Arc::<str>::from)),
        };
        let scope = paths.cx.scope;
        let maps = scope.maps.maps.keys().map(|k| &**k).collect();
        let map = named("map", &|name| scope.maps.maps.contains_key(name), maps)?;
        let tables = scope.tables.iter().map(|t| &**t).collect();
        let table = named("table", &|name| scope.tables.iter().any(|t| &**t == name), tables)?;
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
    let help =
        did_you_mean(word, known.clone()).unwrap_or_else(|| format!("known: {}", known.collect::<Vec<_>>().join(", ")));
    let origin = reader.node("as").map_or(reader.origin, |node| node.origin);
    paths.cx.error("wrong-value", origin, format!("`{word}` is not a way that values are spelt"), &help);
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

    /// For a test whose right side needs no inputs.
    pub fn passes_alone(&self, items: &[Item<'_>]) -> bool {
        let constant = |right: &Right| if let Right::Value(value) = right { Some(value.clone()) } else { None };
        let right: SmallVec<[Value; 4]> = self.right.iter().filter_map(constant).collect();
        self.passes(items, &right)
    }

    fn passes(&self, items: &[Item<'_>], right: &[Value]) -> bool {
        let mut present = items.iter().filter(|item| !item.is_missing());
        let equal = |item: &Item<'_>| right.iter().any(|right| same(item, right));
        match self.kind {
            TestKind::Exists(exists) => present.next().is_some() == exists,
            TestKind::Equals | TestKind::In => present.any(equal),
            TestKind::NotIn => !present.any(equal),
            TestKind::Has => {
                present.any(|item| equal(item) || text_test(item, right, |text, part| text.contains(part)))
            }
            TestKind::StartsWith => present.any(|item| text_test(item, right, |text, part| text.starts_with(part))),
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

/// Equal as texts without case, or as numbers.
fn same(item: &Item<'_>, right: &Value) -> bool {
    let (Some(left), Some(right_text)) = (item.text(), right.to_text()) else { return false };
    let numbers = || Some((Decimal::from_str_exact(&left).ok()?, Decimal::from_str_exact(&right_text).ok()?));
    let numeric = matches!(item, Item::Number(_)) || matches!(right, Value::Int(_) | Value::Decimal(_));
    same_text(left.trim(), &right_text) || (numeric && numbers().is_some_and(|(left, right)| left == right))
}

fn text_test(item: &Item<'_>, right: &[Value], test: impl Fn(&str, &str) -> bool) -> bool {
    let Some(text) = item.text() else { return false };
    let text = text.to_lowercase();
    right.iter().filter_map(Value::to_text).any(|part| test(&text, &part.to_lowercase()))
}

/// Where an expression is evaluated.
#[derive(Clone, Copy)]
pub(super) struct Place<'e, 'x> {
    pub env: &'e ReadEnv<'x>,
    pub root: &'e Frame<'e>,
    pub record: &'e Frame<'e>,
    pub element: Option<&'e Frame<'e>>,
    /// Values that did not fit.
    pub unreadable: &'e Cell<u32>,
}

type Items<'e> = SmallVec<[Item<'e>; 2]>;

impl<'e, 'x> Place<'e, 'x> {
    fn items(&self, slot: Slot) -> Items<'e> {
        let frame = match slot.level {
            Level::Root => self.root,
            Level::Record => self.record,
            Level::Element => self.element.unwrap_or(self.record),
        };
        frame.values(slot.at).iter().map(Item::from).collect()
    }

    /// The texts at a path that are there.
    pub fn texts(&self, slot: Slot) -> impl Iterator<Item = Cow<'e, str>> {
        let text = |item: Item<'e>| match item {
            Item::Text(text) | Item::Number(text) => Some(text),
            _ => None,
        };
        self.items(slot).into_iter().filter(|item| !item.is_missing()).filter_map(text)
    }

    /// Counts what does not fit.
    fn fit(&self, item: &Item<'_>, ty: Type, spelt: Option<Spelt>) -> Option<Value> {
        let source = self.env.source;
        item.fit(ty, spelt, &source.time_zone, source.region.as_deref()).unwrap_or_else(|_| {
            self.unreadable.set(self.unreadable.get().saturating_add(1));
            None
        })
    }

    fn env(&self) -> Env<'x> {
        let ReadEnv { get, source, tables, now, .. } = *self.env;
        Env { get, source, tables, phones: &[], spelling: None, now }
    }
}

impl Expression {
    /// The value; a list where the field is one.
    pub fn value(&self, place: Place<'_, '_>) -> Option<Value> {
        let mut values = self.values(place);
        if entry_type(self.ty) == self.ty {
            return values.drain(..).next();
        }
        let mut distinct: Vec<Value> = Vec::with_capacity(values.len());
        for value in values {
            if distinct.len() < MAX_PLAIN && !distinct.contains(&value) {
                distinct.push(value);
            }
        }
        (!distinct.is_empty()).then(|| Value::List(distinct.into()))
    }

    /// Whether a test is passed.
    pub fn passes(&self, place: Place<'_, '_>) -> bool {
        self.value(place) == Some(Value::Bool(true))
    }

    fn values(&self, place: Place<'_, '_>) -> SmallVec<[Value; 2]> {
        let ty = entry_type(self.ty);
        let mut items = self.source.items(place, ty, self.spelt);
        if let Some(key) = &self.part {
            items = items.iter().flat_map(|item| parts(item, key)).collect();
        }
        if let Some((left, right)) = &self.between {
            items = items.iter().filter_map(|item| cut(item, left, right)).collect();
        }
        if let Some(name) = &self.map {
            items = mapped(&items, |key| place.env.source.maps.lookup(name, key));
        }
        if let Some(name) = &self.table {
            items = mapped(&items, |key| place.env.tables.lookup(name, key));
        }
        if let Some(test) = &self.test {
            let right: SmallVec<[Value; 4]> = test.right.iter().filter_map(|right| right.value(place)).collect();
            let passed = Item::Value(Value::Bool(test.passes(&items, &right)));
            items = SmallVec::from_iter([passed]);
        }
        // aggregates have read their parts as spelt
        let spelt = self.spelt.filter(|_| !matches!(self.source, Source::Sum(_) | Source::Min(_) | Source::Max(_)));
        items.iter().filter_map(|item| place.fit(item, ty, spelt)).collect()
    }
}

impl Source {
    fn items<'e>(&'e self, place: Place<'e, '_>, ty: Type, spelt: Option<Spelt>) -> Items<'e> {
        let one = |value: Option<Value>| value.map(Item::Value).into_iter().collect();
        let typed =
            |slot: Slot, ty: Type| place.items(slot).into_iter().filter_map(move |item| place.fit(&item, ty, spelt));
        match self {
            Self::Slot(slot) => place.items(*slot),
            Self::Header(name) => {
                let values = place.env.headers.into_iter().flat_map(|headers| headers.get_all(name));
                values.filter_map(|value| value.to_str().ok()).map(|text| Item::Text(Cow::Borrowed(text))).collect()
            }
            Self::FirstOf(parts) => {
                let found = parts.iter().map(|part| part.values(place)).find(|values| !values.is_empty());
                found.into_iter().flatten().map(Item::Value).collect()
            }
            Self::All(parts) => parts.iter().flat_map(|part| part.values(place)).map(Item::Value).collect(),
            Self::Latest(parts) => {
                let time = |value: &Value| if let Value::Time(time) = value { Some(*time) } else { None };
                one(parts.iter().flat_map(|part| part.values(place)).max_by_key(time))
            }
            Self::Join(parts, with) => {
                let texts: Vec<_> = parts
                    .iter()
                    .flat_map(|part| part.values(place))
                    .filter_map(|v| Some(v.to_text()?.into_owned()))
                    .collect();
                if texts.is_empty() { Items::new() } else { Items::from_iter([Item::Text(texts.join(with).into())]) }
            }
            Self::Text { template, members } => {
                let member = |at: usize| {
                    let slot = members.get(at)?;
                    place.items(*slot).iter().find_map(|item| place.fit(item, Type::Any, None))
                };
                let mut text = String::new();
                let first =
                    |hole: &Hole| matches!(template.pieces.first(), Some(Piece::Hole(h)) if std::ptr::eq(h, hole));
                let write = |hole: &Hole, value: &Value, out: &mut String| {
                    let value = value.to_text().ok_or(Skip::Invalid)?;
                    match ty == Type::Url && !first(hole) {
                        true => out.extend(encode_query(&value)),
                        false => out.push_str(&value),
                    }
                    Ok(())
                };
                match template.fill(&place.env(), &member, &mut text, &write) {
                    Ok(true) => Items::from_iter([Item::Text(text.into())]),
                    _ => Items::new(),
                }
            }
            Self::Value(value) => one(Some(value.clone())),
            Self::Count(slot) => one(i64::try_from(place.items(*slot).len()).ok().map(Value::Int)),
            Self::Sum(slot) => {
                let mut sum: Option<Decimal> = None;
                for value in typed(*slot, Type::Decimal) {
                    let Value::Decimal(number) = value else { continue };
                    sum = sum.unwrap_or_default().checked_add(number);
                }
                one(sum.map(Value::Decimal))
            }
            Self::Min(slot) => one(typed(*slot, ty).min_by(order)),
            Self::Max(slot) => one(typed(*slot, ty).max_by(order)),
            Self::Tests(tests) => one(Some(Value::Bool(tests.iter().all(|test| test.passes(place))))),
        }
    }
}

impl Right {
    fn value(&self, place: Place<'_, '_>) -> Option<Value> {
        let template = match self {
            Self::Value(value) => return Some(value.clone()),
            Self::Template(template) => template,
        };
        let mut text = String::new();
        let write = |_: &Hole, value: &Value, out: &mut String| {
            out.push_str(&value.to_text().ok_or(Skip::Invalid)?);
            Ok(())
        };
        let filled = template.fill(&place.env(), &|_| None, &mut text, &write);
        matches!(filled, Ok(true)).then(|| Value::text(text))
    }
}

/// The values under a key of `k=v, k=v` or `k=v; k=v`.
fn parts<'o>(item: &Item<'_>, key: &str) -> Items<'o> {
    let Some(text) = item.text() else { return Items::new() };
    let pair = |part: &str| {
        let (name, value) = part.split_once('=')?;
        (name.trim() == key).then(|| Item::Text(value.trim().trim_matches('"').to_owned().into()))
    };
    text.split([',', ';']).filter_map(pair).collect()
}

/// After the last `left`, up to the next `right`; an empty `right` is the end.
fn cut<'o>(item: &Item<'_>, left: &str, right: &str) -> Option<Item<'o>> {
    let text = item.text()?;
    let at = text.rfind(left)? + left.len();
    let rest = text.get(at..)?;
    let end = if right.is_empty() { rest.len() } else { rest.find(right)? };
    Some(Item::Text(rest.get(..end)?.to_owned().into()))
}

fn mapped<'v, 'o>(items: &Items<'_>, entry: impl Fn(&str) -> Option<&'v Value>) -> Items<'o> {
    let lookup = |item: &Item<'_>| entry(item.text()?.trim()).cloned().map(Item::Value);
    items.iter().filter(|item| !item.is_missing()).filter_map(lookup).collect()
}

/// Numbers by size, times by time, everything else as text.
pub(super) fn order(a: &Value, b: &Value) -> std::cmp::Ordering {
    let number = |value: &Value| match value {
        Value::Int(number) => Some(Decimal::from(*number)),
        Value::Decimal(number) => Some(*number),
        _ => None,
    };
    match (a, b) {
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.to_text().cmp(&b.to_text()),
        },
    }
}
