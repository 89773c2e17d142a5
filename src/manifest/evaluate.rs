//! Expressions, evaluated: values come out of slots, through modifiers and tests, into the type of
//! their field.

use std::borrow::Cow;
use std::cell::Cell;

use rust_decimal::Decimal;
use smallvec::SmallVec;

use super::accept::{Item, Spelt};
use super::expression::{Expression, Level, Right, Slot, Source, Test, entry_type};
use super::path::Frame;
use super::reading::ReadEnv;
use super::template::same_text;
use crate::domain::{NameId, Type, Value};

/// Entries of a list of plain values.
const MAX_PLAIN: usize = 50;

impl Test {
    /// `input` gives the inputs of the operation.
    pub fn passes<'v>(&self, items: &[Item<'_>], input: &dyn Fn(NameId) -> Option<&'v Value>) -> bool {
        let mut present = items.iter().filter(|item| !item.is_missing());
        let equals = |item: &Item<'_>, right: &Right| match right {
            Right::Constant(value) => same(item, value),
            Right::Input(name) => input(*name).is_some_and(|value| same(item, value)),
        };
        match self {
            Self::In(right) => present.any(|item| right.iter().any(|right| equals(item, right))),
            Self::NotIn(right) => !present.any(|item| right.iter().any(|right| equals(item, right))),
            Self::Exists(wanted) => present.next().is_some() == *wanted,
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

/// Where an expression is evaluated.
#[derive(Clone, Copy)]
pub(super) struct Place<'e, 'x> {
    pub env: &'e ReadEnv<'x>,
    pub record: &'e Frame<'e>,
    pub element: Option<&'e Frame<'e>>,
    /// Values that did not fit.
    pub unreadable: &'e Cell<u32>,
}

type Items<'e> = SmallVec<[Item<'e>; 2]>;

impl<'e, 'x> Place<'e, 'x> {
    fn items(&self, slot: Slot) -> Items<'e> {
        let frame = match slot.level {
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

    /// Whether all tests are passed.
    pub fn passes(&self, conditions: &[Expression]) -> bool {
        conditions.iter().all(|condition| condition.value(*self) == Some(Value::Bool(true)))
    }

    /// Counts what does not fit.
    fn fit(&self, item: &Item<'_>, ty: Type, spelt: Option<Spelt>) -> Option<Value> {
        let source = self.env.source;
        if ty == Type::Phone
            && let Item::Text(text) = item
            && let Some(phone) = self.env.callers(text)
        {
            return Some(Value::Phone(phone));
        }
        item.fit(ty, spelt, &source.time_zone, source.region.as_deref()).unwrap_or_else(|_| {
            self.unreadable.set(self.unreadable.get().saturating_add(1));
            None
        })
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

    fn values(&self, place: Place<'_, '_>) -> SmallVec<[Value; 2]> {
        let mut items = self.source.items(place);
        if let Some([left, right]) = &self.between {
            let cut = |item: &Item<'_>| Some(Item::Text(cut(&item.text()?, left, right)?.to_owned().into()));
            items = items.iter().filter_map(cut).collect();
        }
        if let Some(name) = &self.map {
            items = mapped(&items, |key| place.env.source.maps.lookup(name, key).cloned());
        }
        if let Some(name) = &self.table {
            items = mapped(&items, |key| (place.env.tables)(name, key));
        }
        if let Some(test) = &self.test {
            items = SmallVec::from_iter([Item::Value(Value::Bool(test.passes(&items, place.env.get)))]);
        }
        let spelt = match self.spelt {
            Some(Spelt::Cents) => {
                let currency = self.currency.map(|slot| place.items(slot));
                let currency = currency.as_ref().and_then(|items| items.first()?.text());
                items = items.iter().map(|item| item.whole_units(currency.as_deref())).collect();
                None
            }
            spelt => spelt,
        };
        items.iter().filter_map(|item| place.fit(item, entry_type(self.ty), spelt)).collect()
    }
}

impl Source {
    fn items<'e>(&self, place: Place<'e, '_>) -> Items<'e> {
        match self {
            Self::Slot(slot) => place.items(*slot),
            Self::FirstOf(parts) => {
                let found = parts.iter().map(|part| part.values(place)).find(|values| !values.is_empty());
                found.into_iter().flatten().map(Item::Value).collect()
            }
            Self::Join(parts, with) => {
                let texts: Vec<_> = parts
                    .iter()
                    .flat_map(|part| part.values(place))
                    .filter_map(|v| Some(v.to_text()?.into_owned()))
                    .collect();
                if texts.is_empty() { Items::new() } else { Items::from_iter([Item::Text(texts.join(with).into())]) }
            }
            Self::Latest(parts) => {
                let times = parts.iter().flat_map(|part| part.values(place)).filter_map(|value| match value {
                    Value::Time(time) => Some(time),
                    _ => None,
                });
                times.max().map(|time| Item::Value(Value::Time(time))).into_iter().collect()
            }
            Self::Sum(slot) => number(place.items(*slot).iter().filter_map(Item::number).reduce(|a, b| a + b)),
            Self::Min(slot) => number(place.items(*slot).iter().filter_map(Item::number).min()),
            Self::Value(value) => Items::from_iter([Item::Value(value.clone())]),
        }
    }
}

fn number<'o>(number: Option<Decimal>) -> Items<'o> {
    number.map(|number| Item::Value(Value::Decimal(number))).into_iter().collect()
}

/// What stands after the last `left`, up to the next `right`; nothing on the right means to the end.
fn cut<'t>(text: &'t str, left: &str, right: &str) -> Option<&'t str> {
    let (_, rest) = text.rsplit_once(left)?;
    if right.is_empty() { Some(rest) } else { Some(rest.split_once(right)?.0) }
}

fn mapped<'o>(items: &Items<'_>, entry: impl Fn(&str) -> Option<Value>) -> Items<'o> {
    let lookup = |item: &Item<'_>| entry(item.text()?.trim()).map(Item::Value);
    items.iter().filter(|item| !item.is_missing()).filter_map(lookup).collect()
}
