//! Views and the order of merging: the sections that name fields and sources, decoded once both
//! are known.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::section::Section;
use super::sections::{leaves, unknown_name};
use super::{LeftOut, Mask, Merge, View};
use crate::domain::field::Kind;
use crate::domain::{Class, NameId, Names, SourceId};
use crate::manifest::diagnostic::{Diagnostics, Origin};
use crate::manifest::plan::{Plan, SourceKind};
use crate::manifest::tree::{Reader, Table};

const CLASSES: [&str; 4] = ["public", "personal", "financial", "sensitive"];
const MASKS: [(&str, Mask); 3] = [("email", Mask::Email), ("last_four", Mask::LastFour), ("full", Mask::Full)];

/// `[views.<name>]`, `extends` resolved.
pub(super) fn views(root: &Reader<'_>, names: &Names) -> BTreeMap<Arc<str>, View> {
    let Some(section) = Section::of(root, "views") else { return BTreeMap::new() };
    let table = section.reader.table;
    let mut views = BTreeMap::new();
    for key in table.keys().filter(|key| *key != "preset") {
        let mut path = Vec::new();
        if let Some(view) = view(table, key, &mut path, names, root.diagnostics) {
            views.insert(view.name.clone(), view);
        }
    }
    views
}

fn view<'a>(
    table: &'a Table,
    name: &'a str,
    path: &mut Vec<&'a str>,
    names: &Names,
    diagnostics: &'a Diagnostics,
) -> Option<View> {
    let entry = table.entry(name)?;
    let reader = Reader::of(&entry.value, diagnostics)?;
    path.push(name);
    let mut view = View { name: entry.key.clone(), ..View::default() };
    if let (Some(base), Some(node)) = (reader.text("extends"), reader.node("extends")) {
        if path.contains(&base) {
            let problem = format!("`{name}` extends itself, by way of `{base}`");
            diagnostics.error("view-cycle", node.origin, problem);
        } else if table.get(base).is_none() || base == "preset" {
            let known = table.keys().filter(|key| *key != "preset").map(str::to_owned);
            unknown_view(diagnostics, node.origin, base, known);
        } else if let Some(base) = self::view(table, base, path, names, diagnostics) {
            view = View { name: view.name, ..base };
        }
    }
    path.pop();
    for (text, origin) in reader.texts("classes").unwrap_or_default() {
        match Class::parse(text).filter(|_| CLASSES.contains(&text)) {
            Some(class) if !view.classes.contains(&class) => view.classes.push(class),
            Some(_) => {}
            None => {
                let help = format!("one of {}", CLASSES.join(", "));
                diagnostics.error_help("wrong-value", origin, format!("`{text}` is not a class"), help);
            }
        }
    }
    for (text, origin) in reader.texts("fields").unwrap_or_default() {
        add_fields(&mut view.fields, text, origin, names, diagnostics);
    }
    for (text, origin) in reader.texts("hide").unwrap_or_default() {
        add_fields(&mut view.hide, text, origin, names, diagnostics);
    }
    for (text, entry) in leaves(reader.entries("mask"), &|_| false) {
        let Some(word) = entry.value.as_text() else {
            crate::manifest::tree::wrong_type(diagnostics, &entry.value, "the name of a mask");
            continue;
        };
        let Some((_, mask)) = MASKS.iter().find(|(known, _)| *known == word) else {
            let known = MASKS.map(|(word, _)| word).join(", ");
            let problem = format!("`{word}` is not one of {known}");
            diagnostics.error("wrong-value", entry.value.origin, problem);
            continue;
        };
        let mut fields = Vec::new();
        add_fields(&mut fields, &text, entry.key_origin, names, diagnostics);
        view.masks.retain(|(field, _)| !fields.contains(field));
        view.masks.extend(fields.into_iter().map(|field| (field, *mask)));
    }
    view.admin = reader.bool("admin").unwrap_or(view.admin);
    reader.finish();
    Some(view)
}

pub(super) fn unknown_view(
    diagnostics: &Diagnostics,
    origin: Origin,
    name: &str,
    known: impl IntoIterator<Item = String>,
) {
    unknown_name(diagnostics, origin, "a view", name, known);
}

/// A field or an id of a source; `address.*` is every field below address.
fn add_fields(fields: &mut Vec<NameId>, text: &str, origin: Origin, names: &Names, diagnostics: &Diagnostics) {
    let deliverable = |kind: &Kind| match kind {
        Kind::Field(class) => !matches!(class, Class::Evidence),
        Kind::Own { .. } => true,
        Kind::Input | Kind::BuiltIn => false,
    };
    let found: Vec<NameId> = match text.strip_suffix(".*") {
        Some(group) => names
            .iter()
            .filter(|(_, name)| matches!(name.kind, Kind::Field(_)) && deliverable(&name.kind))
            .filter(|(_, name)| name.text.strip_prefix(group).is_some_and(|rest| rest.starts_with('.')))
            .map(|(id, _)| id)
            .collect(),
        None => names.get(text).into_iter().filter(|id| deliverable(&names.name(*id).kind)).collect(),
    };
    if found.is_empty() {
        let known = names.iter().filter(|(_, name)| deliverable(&name.kind)).flat_map(|(_, name)| {
            let group = name.text.rsplit_once('.').map(|(group, _)| format!("{group}.*"));
            group.into_iter().chain([name.text.to_string()])
        });
        unknown_name(diagnostics, origin, "a field that can be delivered", text, known);
    }
    for id in found.into_iter().filter(|id| !fields.contains(id)).collect::<Vec<_>>() {
        fields.push(id);
    }
}

/// `[merge]`: sources by name, in the order in which they win.
pub(super) fn merge(root: &Reader<'_>, plan: &Plan, left_out: &[LeftOut]) -> Merge {
    let Some(section) = Section::of(root, "merge") else { return Merge::default() };
    let diagnostics = root.diagnostics;
    let kinds = match section.word("preset", &["crm-first", "published"]) {
        "published" => [SourceKind::External, SourceKind::Crm, SourceKind::Database],
        _ => [SourceKind::Crm, SourceKind::Database, SourceKind::External],
    };
    let ids = || (0..).map(SourceId).zip(&plan.sources);
    let of_kind = |kind| ids().filter(move |(_, source)| source.kind() == kind).map(|(id, _)| id);
    let preset: Vec<SourceId> = kinds.into_iter().flat_map(of_kind).collect();
    let sources = |list: Vec<(&str, Origin)>| {
        let mut order: Vec<SourceId> = Vec::new();
        for (name, origin) in list {
            match ids().find(|(_, source)| &*source.name == name) {
                Some((id, _)) if !order.contains(&id) => order.push(id),
                Some(_) => {}
                None if left_out.iter().any(|source| &*source.name == name) => {}
                None => {
                    let known = plan.sources.iter().map(|source| source.name.to_string());
                    unknown_name(diagnostics, origin, "a source", name, known);
                }
            }
        }
        order
    };
    let mut order = section.reader.texts("order").map_or_else(Vec::new, sources);
    order.extend(preset.into_iter().filter(|id| !order.contains(id)).collect::<Vec<_>>());
    let mut fields = BTreeMap::new();
    for (name, entry) in leaves(section.reader.entries("fields"), &|_| false) {
        let field = plan.names.get(&name).filter(|id| plan.names.class(*id).is_some());
        let Some(field) = field else {
            let known =
                plan.names.iter().filter(|(_, n)| matches!(n.kind, Kind::Field(_))).map(|(_, n)| n.text.to_string());
            unknown_name(diagnostics, entry.key_origin, "a field", &name, known);
            continue;
        };
        let Some(items) = entry.value.as_array() else {
            crate::manifest::tree::wrong_type(diagnostics, &entry.value, "a list of sources");
            continue;
        };
        let list = items.iter().filter_map(|item| match item.as_text() {
            Some(text) => Some((text, item.origin)),
            None => {
                crate::manifest::tree::wrong_type(diagnostics, item, "the name of a source");
                None
            }
        });
        fields.insert(field, sources(list.collect()));
    }
    section.finish();
    Merge { order, fields }
}
