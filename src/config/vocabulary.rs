//! What the operator adds to the vocabulary: fields, classes, request inputs and names that are
//! never taken in. Runs before sources are compiled, so that manifests can use them.

use std::sync::Arc;

use super::Input;
use super::section::Section;
use super::sections::leaves;
use crate::domain::field::{Kind, folded, is_never};
use crate::domain::{Class, Names, Type};
use crate::manifest::tree::{Entry, Reader, wrong_type};

const TYPES: [(&str, Type); 12] = [
    ("text", Type::Text),
    ("email", Type::Email),
    ("phone", Type::Phone),
    ("decimal", Type::Decimal),
    ("int", Type::Int),
    ("bool", Type::Bool),
    ("time", Type::Time),
    ("date", Type::Date),
    ("url", Type::Url),
    ("text_list", Type::TextList),
    ("email_list", Type::EmailList),
    ("phone_list", Type::PhoneList),
];

/// Classes that a field can be given; evidence is judged, not delivered.
const CLASSES: [&str; 4] = ["public", "personal", "financial", "sensitive"];

/// `[fields.<name>]`: new fields with their type and class, and other classes for canonical ones.
pub(super) fn fields(root: &Reader<'_>, names: &mut Names) {
    let diagnostics = root.diagnostics;
    let is_leaf = |entry: &Entry| {
        let table = entry.value.as_table();
        table.is_none_or(|t| t.entries.iter().any(|e| e.value.as_table().is_none()) || t.entries.is_empty())
    };
    for (name, entry) in leaves(root.entries("fields"), &is_leaf) {
        let Some(reader) = Reader::of(&entry.value, diagnostics) else { continue };
        let class = reader.one_of("class", &CLASSES).and_then(Class::parse);
        let words = TYPES.map(|(word, _)| word);
        let ty = reader.one_of("type", &words);
        let ty = TYPES.iter().find(|(word, _)| Some(*word) == ty).map(|(_, ty)| *ty);
        if !is_name(&name) {
            let problem = format!("`{name}` is not a name: a-z, 0-9 and _ in parts with dots between");
            diagnostics.error("wrong-value", entry.key_origin, problem);
        } else if name.split('.').any(is_never) {
            let problem = format!("`{name}` is a name whose values never enter the gateway");
            diagnostics.error("never-field", entry.key_origin, problem);
        } else if let Some(id) = names.get(&name) {
            if reader.node("type").is_some() {
                let problem = format!("`{name}` is a canonical field; its type cannot be changed");
                diagnostics.error("field-type", entry.value.origin, problem);
            }
            match class {
                Some(class) => names.reclassify(id, class),
                None => reader.missing("class"),
            }
        } else {
            match ty {
                Some(ty) => drop(names.intern(&name, ty, Kind::Field(class.unwrap_or(Class::Unclassified)))),
                None if reader.node("type").is_none() => reader.missing("type"),
                None => {}
            }
            if class.is_none() && reader.node("class").is_none() {
                let problem = format!("`{name}` has no class, so nobody sees it");
                diagnostics.warning("unclassified", entry.key_origin, problem, "give it a `class`".to_owned());
            }
        }
        reader.finish();
    }
}

pub(super) fn is_name(text: &str) -> bool {
    text.split('.').all(|part| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    })
}

/// `[inputs.<name>]`
pub(super) fn inputs(root: &Reader<'_>, names: &mut Names) -> Vec<Input> {
    let diagnostics = root.diagnostics;
    let mut inputs = Vec::new();
    for entry in root.entries("inputs") {
        let Some(reader) = Reader::of(&entry.value, diagnostics) else { continue };
        let extra_letters: Arc<str> = reader.text("extra_letters").unwrap_or_default().into();
        if extra_letters.chars().any(|c| c.is_control() || !c.is_ascii() || c.is_ascii_alphanumeric()) {
            let problem = "only punctuation and blanks of ASCII can be extra letters";
            diagnostics.error("wrong-value", reader.node("extra_letters").map_or(reader.origin, |n| n.origin), problem);
        }
        let max_chars = match reader.count("max_chars") {
            Some(count @ 1..=256) => usize::try_from(count).unwrap_or_default(),
            Some(_) => {
                let origin = reader.node("max_chars").map_or(reader.origin, |node| node.origin);
                diagnostics.error("out-of-range", origin, "`max_chars` must be from 1 to 256");
                0
            }
            None if reader.node("max_chars").is_none() => 64,
            None => 0,
        };
        let default = reader.text("default").map(Arc::<str>::from);
        let fits = |text: &str| {
            text.chars().count() <= max_chars
                && text.chars().all(|c| c.is_ascii_alphanumeric() || extra_letters.contains(c))
        };
        if default.as_deref().is_some_and(|text| !fits(text)) {
            let origin = reader.node("default").map_or(reader.origin, |node| node.origin);
            diagnostics.error(
                "wrong-value",
                origin,
                "the default has letters or a length that the input does not allow",
            );
        }
        reader.finish();
        if !is_name(&entry.key) || entry.key.contains('.') {
            diagnostics.error("wrong-value", entry.key_origin, format!("`{}` is not a name", entry.key));
            continue;
        }
        if names.get(&entry.key).is_some() || RESERVED.contains(&&*entry.key) {
            let problem = format!("`{}` is already a name of the vocabulary", entry.key);
            diagnostics.error("shadowed-name", entry.key_origin, problem);
            continue;
        }
        let name = names.intern(&entry.key, Type::Text, Kind::Input);
        inputs.push(Input { name, text: entry.key.clone(), extra_letters, max_chars, default });
    }
    inputs
}

/// Words with a meaning of their own, in templates or in requests.
const RESERVED: &[&str] = &[
    "own",
    "item",
    "record",
    "now",
    "today",
    "select",
    "version",
    "secret",
    "access_token",
    "job_key",
    "from",
    "to",
    "direction",
    "call_sid",
    "account_sid",
    "deadline_ms",
    "explain",
    "phones",
];

/// `[never]`, folded for comparison.
pub(super) fn never(root: &Reader<'_>) -> Vec<Arc<str>> {
    let Some(section) = Section::of(root, "never") else { return Vec::new() };
    let mut never = Vec::new();
    for (text, origin) in section.texts("names") {
        match folded(text) {
            folded if folded.is_empty() => section.diagnostics().error("wrong-value", origin, "a name is missing here"),
            folded => never.push(folded.into()),
        }
    }
    section.finish();
    never
}

/// `[connectors]`: the folder's name.
pub(super) fn connectors_folder(root: &Reader<'_>) -> String {
    let Some(section) = Section::of(root, "connectors") else { return String::new() };
    let folder = section.text("folder").to_owned();
    section.finish();
    folder
}

/// A value written in the configuration, as a value of `ty`.
pub(super) fn constant(
    node: &crate::manifest::tree::Node,
    ty: Type,
    diagnostics: &crate::manifest::diagnostic::Diagnostics,
) -> Option<crate::domain::Value> {
    use crate::domain::{Email, Value};
    use crate::manifest::tree::Content;
    let value = match (&node.value, ty) {
        (Content::Text(text), Type::Text | Type::Any) => Some(Value::Text(text.clone())),
        (Content::Text(text), Type::Url) => url::Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
            .then(|| Value::Url(text.clone())),
        (Content::Text(text), Type::Email) => Email::parse(text).map(Value::Email),
        (Content::Text(text), Type::Time) => text.parse().ok().map(Value::Time),
        (Content::Text(text) | Content::Date(text), Type::Date) => text.parse().ok().map(Value::Date),
        (Content::Date(text), Type::Time) => text.parse().ok().map(Value::Time),
        (Content::Text(text), Type::Decimal) => text.parse().ok().map(Value::Decimal),
        (Content::Int(number), Type::Decimal) => Some(Value::Decimal((*number).into())),
        (Content::Int(number), Type::Int | Type::Any) => Some(Value::Int(*number)),
        (Content::Bool(value), Type::Bool | Type::Any) => Some(Value::Bool(*value)),
        (Content::Array(items), Type::TextList) => {
            let items: Option<Vec<Value>> = items.iter().map(|i| constant(i, Type::Text, diagnostics)).collect();
            return items.map(|items| Value::List(items.into()));
        }
        _ => None,
    };
    if value.is_none() {
        wrong_type(diagnostics, node, &format!("a value of type {}", type_word(ty)));
    }
    value
}

fn type_word(ty: Type) -> &'static str {
    TYPES.iter().find(|(_, t)| *t == ty).map_or("that can be written here", |(word, _)| word)
}
