//! Expressions, evaluated: values come out of slots, through modifiers and tests, into the type of
//! their field.

use std::borrow::Cow;
use std::cell::Cell;

use rust_decimal::Decimal;
use smallvec::SmallVec;

use super::accept::{Item, Spelt};
use super::expression::{Expression, Level, Right, Slot, Source, Test, TestKind, entry_type};
use super::hole::{Hole, Piece};
use super::path::Frame;
use super::reading::ReadEnv;
use super::render::encode_query;
use super::template::{Env, same_text};
use crate::domain::{Skip, Type, Value};

/// Entries of a list of plain values.
const MAX_PLAIN: usize = 50;

impl Test {
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
fn order(a: &Value, b: &Value) -> std::cmp::Ordering {
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
