//! Paths into answers, compiled into one tree, and the single pass over an answer's bytes that
//! follows it. What no path leads to is skipped without being read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::domain::field::{folded, is_never};

/// Records and list elements that are looked at, of one answer.
const MAX_FRAMES: usize = 2_000;
/// Values of one path that are looked at, of one record.
const MAX_VALUES: usize = 10_000;
/// Of what is skipped; serde_json has the same limit for what is read.
const MAX_DEPTH: usize = 128;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Member(Box<str>),
    Index(usize),
    /// Elements of a list, values of an object.
    Each,
}

/// Reads `a.b[0].'odd name'[]`; the error says what was expected, and at which byte.
pub(super) fn parse(text: &str) -> Result<Vec<Step>, (usize, &'static str)> {
    let mut steps = Vec::new();
    let mut at = 0;
    let mut member_due = !text.is_empty();
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty() || member_due) {
        if let Some(inner) = rest.strip_prefix('[') {
            let Some((inside, _)) = inner.split_once(']') else { return Err((at, "a `]` to this `[`")) };
            steps.push(match inside.trim() {
                "" => Step::Each,
                index => Step::Index(index.parse().map_err(|_| (at, "`[]` or a number in brackets"))?),
            });
            at += inside.len() + 2;
            member_due = false;
        } else if let Some(inner) = rest.strip_prefix('\'').filter(|_| member_due) {
            let Some((name, _)) = inner.split_once('\'') else { return Err((at, "a closing quote")) };
            steps.push(Step::Member(name.into()));
            at += name.len() + 2;
            member_due = false;
        } else if member_due {
            let length = rest.find(['.', '[', '\'', '{']).unwrap_or(rest.len());
            let name = rest.get(..length).unwrap_or("");
            if name.trim().is_empty() || name.trim() != name {
                return Err((at, "a member's name"));
            }
            steps.push(Step::Member(name.into()));
            at += length;
            member_due = false;
        } else if rest.starts_with('.') {
            at += 1;
            member_due = true;
        } else {
            return Err((at, "a `.`, a `[` or the end"));
        }
    }
    Ok(steps)
}

/// What is read of one kind of frame: the whole answer, a record, or an element of a list.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Shape {
    node: Node,
    slots: usize,
    lists: usize,
}

#[derive(Debug, Default, PartialEq)]
struct Node {
    members: BTreeMap<Box<str>, Member>,
    each: Option<Box<Node>>,
    indexes: BTreeMap<usize, Node>,
    /// Where the value itself goes.
    slot: Option<usize>,
    /// The value's elements, or the object itself, are frames of these lists.
    lists: Vec<(usize, Shape)>,
}

#[derive(Debug, PartialEq)]
struct Member {
    /// As rules about what is never taken in compare it.
    folded: Box<str>,
    never: bool,
    node: Node,
}

impl Shape {
    /// The slot that a path's values come to.
    pub fn slot(&mut self, steps: &[Step]) -> usize {
        let slots = &mut self.slots;
        *self.node.at(steps).slot.get_or_insert_with(|| {
            *slots += 1;
            *slots - 1
        })
    }

    /// Makes what stands at a path into frames of a list.
    pub fn list(&mut self, steps: &[Step], shape: Shape) -> usize {
        let id = self.lists;
        self.lists += 1;
        self.node.at(steps).lists.push((id, shape));
        id
    }

    /// Whether anything can be found in an answer that begins like this one.
    pub fn may_match(&self, body: &str) -> bool {
        let node = &self.node;
        match body.trim_start().as_bytes().first() {
            Some(b'{') => !node.members.is_empty() || node.each.is_some() || !node.lists.is_empty(),
            Some(b'[') => !node.indexes.is_empty() || node.each.is_some() || !node.lists.is_empty(),
            _ => false,
        }
    }

    /// Reads an answer. A member that is there twice counts once, as it stood first.
    pub fn walk<'b>(&self, body: &'b str, never: &[Arc<str>]) -> Result<Frames<'b>, serde_json::Error> {
        let mut reading = Reading { frames: Vec::new(), never };
        reading.frames.push(Frame::new(self));
        let mut json = serde_json::Deserializer::from_str(body);
        let heads = SmallVec::from_slice(&[(&self.node, 0)]);
        Walk { heads, reading: &mut reading }.deserialize(&mut json)?;
        json.end()?;
        Ok(Frames { frames: reading.frames })
    }
}

impl Node {
    fn at(&mut self, steps: &[Step]) -> &mut Node {
        let Some((step, rest)) = steps.split_first() else { return self };
        let next = match step {
            Step::Each => self.each.get_or_insert_default(),
            Step::Index(index) => self.indexes.entry(*index).or_default(),
            Step::Member(name) => {
                let member = || Member { folded: folded(name).into(), never: is_never(name), node: Node::default() };
                &mut self.members.entry(name.clone()).or_insert_with(member).node
            }
        };
        next.at(rest)
    }

    fn is_leaf(&self) -> bool {
        self.members.is_empty() && self.each.is_none() && self.indexes.is_empty() && self.lists.is_empty()
    }
}

/// A value as the answer has it. Null, `{}` and `[]` are missing and never become one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw<'b> {
    Text(Cow<'b, str>),
    /// Its digits, exactly.
    Number(Cow<'b, str>),
    Bool(bool),
    /// An object or a list that has something in it, or a text that is no Unicode.
    Container,
}

/// What was found: frame 0 is the whole answer.
#[derive(Debug)]
pub(super) struct Frames<'b> {
    frames: Vec<Frame<'b>>,
}

#[derive(Debug)]
pub(super) struct Frame<'b> {
    slots: Vec<Held<'b>>,
    lists: Vec<Vec<usize>>,
    /// It stands for something: not for null, `{}` or `[]`.
    filled: bool,
}

/// The values of one slot: one nearly always.
#[derive(Debug, Clone)]
enum Held<'b> {
    None,
    One(Raw<'b>),
    Many(Vec<Raw<'b>>),
}

impl<'b> Held<'b> {
    fn push(&mut self, raw: Raw<'b>) {
        *self = match std::mem::replace(self, Self::None) {
            Self::None => Self::One(raw),
            Self::One(first) => Self::Many(vec![first, raw]),
            Self::Many(mut all) => {
                if all.len() < MAX_VALUES {
                    all.push(raw);
                }
                Self::Many(all)
            }
        };
    }

    fn as_slice(&self) -> &[Raw<'b>] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(all) => all,
        }
    }
}

impl<'b> Frame<'b> {
    fn new(shape: &Shape) -> Self {
        Self { slots: vec![Held::None; shape.slots], lists: vec![Vec::new(); shape.lists], filled: false }
    }

    pub fn values(&self, slot: usize) -> &[Raw<'b>] {
        self.slots.get(slot).map_or(&[], Held::as_slice)
    }
}

impl<'b> Frames<'b> {
    pub fn root(&self) -> Option<&Frame<'b>> {
        self.frames.first()
    }

    /// The elements of a frame's list, in the answer's order.
    pub fn list<'f>(&'f self, frame: &'f Frame<'b>, list: usize) -> impl Iterator<Item = &'f Frame<'b>> {
        let ids = frame.lists.get(list).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| self.frames.get(*id)).filter(|frame| frame.filled)
    }
}

/// Nodes whose value comes next, each with the frame it is for.
type Heads<'t> = SmallVec<[(&'t Node, usize); 2]>;

struct Reading<'b, 'n> {
    frames: Vec<Frame<'b>>,
    never: &'n [Arc<str>],
}

impl<'b> Reading<'b, '_> {
    fn keep(&mut self, heads: &Heads<'_>, raw: &Raw<'b>) {
        for (node, frame) in heads {
            let Some(frame) = self.frames.get_mut(*frame) else { continue };
            frame.filled = true;
            if let Some(held) = node.slot.and_then(|slot| frame.slots.get_mut(slot)) {
                held.push(raw.clone());
            }
        }
    }

    /// Adds frames for one element of the lists that begin at these heads.
    fn open<'t>(&mut self, heads: &Heads<'t>, into: &mut Heads<'t>) {
        for (node, parent) in heads {
            for (list, shape) in &node.lists {
                let id = self.frames.len();
                if id >= MAX_FRAMES {
                    return;
                }
                self.frames.push(Frame::new(shape));
                if let Some(ids) = self.frames.get_mut(*parent).and_then(|frame| frame.lists.get_mut(*list)) {
                    ids.push(id);
                }
                into.push((&shape.node, id));
            }
        }
    }
}

/// Reads one value for its heads.
struct Walk<'t, 'r, 'b, 'n> {
    heads: Heads<'t>,
    reading: &'r mut Reading<'b, 'n>,
}

impl<'b> DeserializeSeed<'b> for Walk<'_, '_, 'b, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'b>>(self, json: D) -> Result<(), D::Error> {
        if !self.heads.iter().all(|(node, _)| node.is_leaf()) {
            return json.deserialize_any(self);
        }
        let raw: &'b RawValue = serde::Deserialize::deserialize(json)?;
        if !is_shallow(raw.get()) {
            return Err(D::Error::custom("too deep"));
        }
        if !self.heads.is_empty()
            && let Some(raw) = Raw::read(raw.get())
        {
            self.reading.keep(&self.heads, &raw);
        }
        Ok(())
    }
}

impl<'b> Raw<'b> {
    fn read(json: &'b str) -> Option<Self> {
        let json = json.trim_ascii();
        Some(match json.as_bytes() {
            [b'"', inner @ .., b'"'] => match inner.contains(&b'\\') {
                // half a surrogate pair spoils its own field, not the answer
                true => serde_json::from_str(json).map_or(Self::Container, |text| Self::Text(Cow::Owned(text))),
                false => Self::Text(Cow::Borrowed(json.get(1..json.len() - 1).unwrap_or(""))),
            },
            b"true" => Self::Bool(true),
            b"false" => Self::Bool(false),
            b"null" => return None,
            [b'{' | b'[', inner @ .., _] => match inner.trim_ascii().is_empty() {
                true => return None,
                false => Self::Container,
            },
            _ => Self::Number(Cow::Borrowed(json)),
        })
    }
}

/// Skipping knows no limit of its own.
fn is_shallow(json: &str) -> bool {
    if json.len() <= 2 * MAX_DEPTH {
        return true;
    }
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return false;
        }
    }
    true
}

impl<'b> Visitor<'b> for Walk<'_, '_, 'b, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { mut heads, reading } = self;
        // an object where a list may stand is the list's only element
        let mut element = Heads::new();
        reading.open(&heads, &mut element);
        heads.extend(element);
        let mut seen = SmallVec::new();
        let mut empty = true;
        while let Some(next) = map.next_key_seed(Key { heads: &heads, never: reading.never, seen: &mut seen })? {
            map.next_value_seed(Walk { heads: next, reading })?;
            if std::mem::take(&mut empty) {
                reading.keep(&heads, &Raw::Container);
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { heads, reading } = self;
        let mut index = 0;
        while seq.next_element_seed(Element { heads: &heads, index, reading })?.is_some() {
            index += 1;
        }
        if index > 0 {
            reading.keep(&heads, &Raw::Container);
        }
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'b str) -> Result<(), E> {
        self.reading.keep(&self.heads, &Raw::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.reading.keep(&self.heads, &Raw::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.reading.keep(&self.heads, &Raw::Bool(value));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.reading.keep(&self.heads, &Raw::Number(number.to_string().into()));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.reading.keep(&self.heads, &Raw::Number(number.to_string().into()));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.reading.keep(&self.heads, &Raw::Number(number.to_string().into()));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads one element of a list.
struct Element<'k, 't, 'r, 'b, 'n> {
    heads: &'k Heads<'t>,
    index: usize,
    reading: &'r mut Reading<'b, 'n>,
}

impl<'b> DeserializeSeed<'b> for Element<'_, '_, '_, 'b, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'b>>(self, json: D) -> Result<(), D::Error> {
        let mut next = Heads::new();
        for (node, frame) in self.heads {
            next.extend(node.each.as_deref().map(|each| (each, *frame)));
            next.extend(node.indexes.get(&self.index).map(|node| (node, *frame)));
        }
        self.reading.open(self.heads, &mut next);
        Walk { heads: next, reading: self.reading }.deserialize(json)
    }
}

/// Reads a member's name and finds where its value goes.
struct Key<'k, 't> {
    heads: &'k Heads<'t>,
    never: &'k [Arc<str>],
    /// Members of this object that were there already.
    seen: &'k mut SmallVec<[&'t Node; 8]>,
}

impl<'b, 't> DeserializeSeed<'b> for Key<'_, 't> {
    type Value = Heads<'t>;

    fn deserialize<D: serde::Deserializer<'b>>(self, json: D) -> Result<Heads<'t>, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'b, 't> Visitor<'b> for Key<'_, 't> {
    type Value = Heads<'t>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Heads<'t>, E> {
        let mut next = Heads::new();
        for (node, frame) in self.heads {
            if let Some(each) = &node.each
                && !is_never(name)
                && (self.never.is_empty() || !self.is_refused(&folded(name)))
            {
                next.push((each, *frame));
            }
            if let Some(member) = node.members.get(name)
                && !member.never
                && !self.is_refused(&member.folded)
                && !self.seen.iter().any(|known| std::ptr::eq(*known, &member.node))
            {
                self.seen.push(&member.node);
                next.push((&member.node, *frame));
            }
        }
        Ok(next)
    }
}

impl Key<'_, '_> {
    fn is_refused(&self, folded: &str) -> bool {
        self.never.iter().any(|never| **never == *folded)
    }
}
