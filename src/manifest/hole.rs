//! Texts with holes: `{name or 'literal'|conversion?}` parsed, checked against what is there, and
//! filled. Where a value ends up, and how it is escaped there, is `template` and `render`.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

use smallvec::SmallVec;

use super::convert::Conversion;
use super::diagnostic::{Files, Origin};
use super::operand::{Covers, Operand};
use super::scope::{Need, Scope};
use super::template::{Env, PhoneUse};
use crate::domain::{NameId, Skip, Spelling, Type, Value};

/// A text, its holes parsed. Neighbouring literals are one piece.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Template {
    pub pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(Box<str>),
    Hole(Hole),
}

#[derive(Debug, Clone)]
pub(super) struct Hole {
    alternatives: SmallVec<[Alternative; 1]>,
    pub optional: bool,
    /// What every alternative gives, or `Any`.
    pub ty: Type,
    /// The first alternative, for the reason of a skip.
    name: Arc<str>,
    pub origin: Origin,
}

/// Where it stands in its file does not matter.
impl PartialEq for Hole {
    fn eq(&self, other: &Self) -> bool {
        let Self { alternatives, optional, ty, name, origin: _ } = self;
        *alternatives == other.alternatives && *optional == other.optional && *ty == other.ty && *name == other.name
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Alternative {
    operand: Operand,
    conversions: SmallVec<[Conversion; 1]>,
}

/// What holes are checked against, and what they were found to use.
pub(super) struct Context<'a> {
    pub scope: &'a Scope<'a>,
    pub needs: &'a [Need],
    pub select: &'a [Arc<str>],
    pub spellings: Arc<[Spelling]>,
    pub names: RefCell<Vec<NameId>>,
    pub phone_use: Cell<PhoneUse>,
    pub people: Cell<People>,
    /// `{emails}` or a `for_each` of them was found.
    pub asks_for_all: Cell<bool>,
}

/// Whom a request asks about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum People {
    One,
    /// All of a batch: `{emails}`.
    All,
    /// Each of a batch in turn: `{email}` inside of a `for_each`.
    Each,
}

impl<'a> Context<'a> {
    pub fn new(scope: &'a Scope<'a>, needs: &'a [Need]) -> Self {
        Self {
            scope,
            needs,
            select: &[],
            spellings: [].into(),
            names: RefCell::default(),
            phone_use: Cell::new(PhoneUse::None),
            people: Cell::new(People::One),
            asks_for_all: Cell::new(false),
        }
    }

    pub fn uses(&self, name: NameId) {
        let mut names = self.names.borrow_mut();
        if !names.contains(&name) {
            names.push(name);
        }
    }

    pub fn error(&self, code: &'static str, origin: Origin, message: impl Into<String>, help: &str) {
        self.scope.diagnostics.error_help(code, origin, message, (!help.is_empty()).then(|| help.to_owned()));
    }

    /// The source region's part of a text that says where in the file `range` of it stands.
    pub fn place(&self, origin: Origin, text: &str, range: std::ops::Range<usize>) -> Origin {
        place(self.scope.files, origin, text, range).unwrap_or(origin)
    }
}

/// Where in the file the bytes `range` of a string stand: exact when nothing before them is
/// escaped, otherwise the first place in the literal that reads the same.
fn place(files: &Files, origin: Origin, text: &str, range: std::ops::Range<usize>) -> Option<Origin> {
    let raw = files.get(origin.file)?.text.get(origin.start as usize..origin.end as usize)?;
    let mut skip =
        if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { usize::from(raw.starts_with(['"', '\''])) };
    if skip == 3 {
        // a newline right after the opening quotes is not part of the text
        let rest = raw.get(3..)?;
        skip += if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    }
    let content = raw.get(skip..)?;
    let start = match content.starts_with(text.get(..range.end)?) {
        true => range.start,
        false => content.find(text.get(range.clone())?)?,
    };
    let at = |n: usize| u32::try_from(skip + n).ok().and_then(|n| origin.start.checked_add(n));
    Some(Origin { file: origin.file, start: at(start)?, end: at(start + range.len())? })
}

impl Template {
    /// Parses and checks a text. `None` when something is wrong with it.
    pub fn compile(text: &str, origin: Origin, cx: &Context<'_>) -> Option<Self> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        let mut sound = true;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with("{{") || rest.starts_with("}}") {
                literal.extend(rest.chars().next());
                at += 2;
            } else if rest.starts_with('}') {
                let place = cx.place(origin, text, at..at + 1);
                cx.error("hole-syntax", place, "this brace closes nothing", "write `}}` for a brace");
                return None;
            } else if rest.starts_with('{') {
                let Some(length) = hole_length(rest) else {
                    let place = cx.place(origin, text, at..at + 1);
                    cx.error("hole-syntax", place, "this hole is not closed", "write `{{` for a brace");
                    return None;
                };
                let inner = rest.get(1..length - 1).unwrap_or("");
                let place = cx.place(origin, text, at..at + length);
                match Hole::compile(inner, place, cx) {
                    Some(hole) => match hole.constant_text() {
                        Some(constant) => literal.push_str(constant),
                        None => {
                            if !literal.is_empty() {
                                pieces.push(Piece::Text(std::mem::take(&mut literal).into()));
                            }
                            pieces.push(Piece::Hole(hole));
                        }
                    },
                    None => sound = false,
                }
                at += length;
            } else {
                let length = rest.find(['{', '}']).unwrap_or(rest.len());
                literal.push_str(rest.get(..length).unwrap_or(""));
                at += length;
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal.into()));
        }
        sound.then_some(Self { pieces })
    }

    /// The text, if it has no holes.
    pub fn constant(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The hole, if the text is nothing else: then the value keeps its type.
    pub fn single(&self) -> Option<&Hole> {
        match self.pieces.as_slice() {
            [Piece::Hole(hole)] => Some(hole),
            _ => None,
        }
    }

    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole),
            Piece::Text(_) => None,
        })
    }

    /// Reports holes that hold a list, or a time without a format.
    pub fn check_scalar(&self, cx: &Context<'_>) -> bool {
        // every hole is checked: no `all` here
        self.holes().filter(|hole| !hole.check_scalar(cx)).count() == 0
    }

    /// Appends the text, each value through `write`. `false`: an optional value is missing, and
    /// with it the text; what was written is taken back.
    pub fn fill(
        &self,
        env: &Env<'_>,
        out: &mut String,
        write: &dyn Fn(&Hole, &Value, &mut String) -> Result<(), Skip>,
    ) -> Result<bool, Skip> {
        let start = out.len();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Hole(hole) => match hole.value(env)? {
                    Some(value) => write(hole, &value, out)?,
                    None => {
                        out.truncate(start);
                        return Ok(false);
                    }
                },
            }
        }
        Ok(true)
    }
}

/// From the brace to behind the closing one; braces inside quotes do not count.
fn hole_length(text: &str) -> Option<usize> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '}' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

impl Hole {
    fn compile(inner: &str, origin: Origin, cx: &Context<'_>) -> Option<Self> {
        let trimmed = inner.trim();
        let (body, optional) = match trimmed.strip_suffix('?') {
            Some(body) => (body.trim_end(), true),
            None => (trimmed, false),
        };
        let mut alternatives = SmallVec::new();
        let mut names: SmallVec<[NameId; 2]> = SmallVec::new();
        let mut certain = optional;
        let mut ty = None;
        for part in split(body, " or ") {
            let (alternative, of, name) = Alternative::compile(part.trim(), origin, cx)?;
            match name {
                Covers::Always => certain = true,
                Covers::Name(name) => names.push(name),
                Covers::Nothing => {}
            }
            ty = Some(ty.filter(|t| *t != of).map_or(of, |_| Type::Any));
            alternatives.push(alternative);
        }
        let needed = |need: &Need| need.iter().all(|name| names.contains(name));
        if !certain && !cx.needs.iter().any(needed) {
            cx.error(
                "hole-not-needed",
                origin,
                format!("`{body}` may be missing when the request is made"),
                "add it to `needs`, give an alternative (`{x or 'text'}`), or make it optional (`{x?}`)",
            );
            return None;
        }
        let name = split(body, " or ").next().and_then(|part| part.split('|').next()).unwrap_or("").trim().into();
        Some(Self { alternatives, optional, ty: ty?, name, origin })
    }

    /// Literals and `{version}` become part of the text around them.
    fn constant_text(&self) -> Option<&str> {
        match self.alternatives.first()? {
            Alternative { operand: Operand::Constant(Value::Text(text)), conversions } if conversions.is_empty() => {
                Some(text)
            }
            _ => None,
        }
    }

    /// Holds the caller's number: in a query language only its digits and signs may stand.
    pub fn is_phone(&self) -> bool {
        self.alternatives.iter().any(|a| matches!(a.operand, Operand::Phone | Operand::Phones(_)))
    }

    /// Ends in `|guid`: stands bare in a query language.
    pub fn is_guid(&self) -> bool {
        self.alternatives.iter().all(|a| matches!(a.conversions.last(), Some(Conversion::Guid)))
    }

    /// `{select}`: names of members, not values.
    pub fn select(&self) -> Option<&Value> {
        match self.alternatives.as_slice() {
            [Alternative { operand: Operand::Select(names), conversions }] if conversions.is_empty() => Some(names),
            _ => None,
        }
    }

    pub fn check_scalar(&self, cx: &Context<'_>) -> bool {
        if matches!(self.ty, Type::TextList | Type::EmailList | Type::PhoneList | Type::Records(_)) {
            cx.error("list-needs-join", self.origin, "a list cannot stand here", "join it: `{x|join:','}`");
            return false;
        }
        self.check_time(cx)
    }

    pub fn check_time(&self, cx: &Context<'_>) -> bool {
        if self.ty == Type::Time {
            let help = "say how it is spelt: `|rfc3339`, `|date` ...";
            cx.error("time-needs-format", self.origin, "a time cannot be sent without a format", help);
        }
        self.ty != Type::Time
    }

    /// The first alternative that is present. `None`: optional and missing.
    pub fn value<'c, 'e: 'c>(&'c self, env: &Env<'e>) -> Result<Option<Cow<'c, Value>>, Skip> {
        for alternative in &self.alternatives {
            let Some(mut value) = alternative.operand.value(env) else { continue };
            // an empty text of the author is meant: `or ''`
            let written = matches!(alternative.operand, Operand::Constant(_)) && alternative.conversions.is_empty();
            let mut present = written || !value.is_missing();
            for conversion in &alternative.conversions {
                if !present {
                    break;
                }
                value = conversion.apply(value, env)?;
                present = !value.is_missing();
            }
            if present {
                return Ok(Some(value));
            }
        }
        if self.optional { Ok(None) } else { Err(Skip::Needs(self.name.clone())) }
    }
}

/// Splits outside of quotes.
fn split<'t>(text: &'t str, separator: &'t str) -> impl Iterator<Item = &'t str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        let mut from = 0;
        while let Some(found) = current.get(from..).and_then(|tail| tail.find(separator)).map(|at| from + at) {
            if current.get(..found)?.matches('\'').count() % 2 == 0 {
                rest = current.get(found + separator.len()..);
                return current.get(..found);
            }
            from = found + separator.len();
        }
        rest = None;
        Some(current)
    })
}

impl Alternative {
    fn compile(text: &str, origin: Origin, cx: &Context<'_>) -> Option<(Self, Type, Covers)> {
        let mut parts = split(text, "|");
        let word = parts.next().unwrap_or("").trim();
        let (operand, mut ty, covers) = Operand::compile(word, origin, cx)?;
        let mut conversions: SmallVec<[Conversion; 1]> = SmallVec::new();
        for part in parts {
            let conversion = Conversion::parse(part.trim(), origin, cx.scope)?;
            match conversion.check(ty) {
                Ok(output) => ty = output,
                Err(expected) => {
                    let message = format!("`{}` converts {expected}, and `{word}` is not that", part.trim());
                    cx.error("conversion-type", origin, message, "");
                    return None;
                }
            }
            conversions.push(conversion);
        }
        if matches!(operand, Operand::Phone) && !matches!(conversions.first(), Some(Conversion::Spell(_))) {
            conversions.insert(0, Conversion::Spelled);
        }
        if ty == Type::Phone {
            ty = Type::Text;
        }
        Some((Self { operand, conversions }, ty, covers))
    }
}
