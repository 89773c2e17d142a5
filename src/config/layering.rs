//! Which sources there are: `[sources.<name>]` of all layers, sorted into settings of the source and
//! changes of its connector's manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::LeftOut;
use super::load::{Layers, Texts};
use super::secret::variable;
use crate::manifest::diagnostic::{Diagnostics, Origin};
use crate::manifest::tree::{self, Content, Entry, Node, Table};

/// Members of a source that belong to its manifest; all others are settings of the source.
const MANIFEST: &[&str] =
    &["base_url", "hosts", "headers", "auth", "limits", "error", "map", "table", "record", "lookup"];

/// One source as written, its layers sorted into settings and changes of the manifest.
pub struct Settings {
    pub name: Arc<str>,
    pub origin: Origin,
    /// Settings, merged.
    pub table: Table,
    /// What is laid on the connector's manifest, lowest first.
    pub manifest: Vec<Table>,
    /// It stands in the reference only.
    pub built_in: bool,
}

/// Sorts out which sources there are.
pub(super) fn layered(
    texts: &Texts,
    layers: &Layers,
    left_out: &mut Vec<LeftOut>,
    diagnostics: &Diagnostics,
) -> Vec<Settings> {
    let sources = |table: &'_ Table| -> Vec<Entry> {
        match table.get("sources").map(|node| &node.value) {
            Some(Content::Table(table)) => table.entries.clone(),
            _ => Vec::new(),
        }
    };
    for layer in [&texts.operator, &texts.environment] {
        if let Some(node) = layer.get("sources").filter(|node| node.as_table().is_none()) {
            tree::wrong_type(diagnostics, node, "a table");
        }
    }
    let (reference, operator, environment) =
        (sources(&texts.reference), sources(&texts.operator), sources(&texts.environment));
    let mut taken: BTreeMap<String, Arc<str>> = BTreeMap::new();
    for entry in operator.iter().filter(|entry| entry.value.as_table().is_some_and(|t| t.get("connector").is_some())) {
        taken.extend(variables(&entry.value).into_iter().map(|variable| (variable, entry.key.clone())));
    }
    let mut names: Vec<&Arc<str>> = Vec::new();
    for entry in reference.iter().chain(&operator).chain(&environment) {
        if !names.contains(&&entry.key) {
            names.push(&entry.key);
        }
    }
    let mut settings = Vec::new();
    for name in names {
        let of = |layer: &'_ [Entry]| layer.iter().find(|entry| entry.key == *name).cloned();
        let (below, own, env) = (of(&reference), of(&operator), of(&environment));
        if own.as_ref().is_some_and(|entry| matches!(entry.value.value, Content::Bool(false))) {
            left_out.push(LeftOut { name: name.clone(), why: "taken away in config.toml".into() });
            continue;
        }
        let built_in = own.is_none() && env.is_none();
        if let Some(entry) = below.as_ref().filter(|_| built_in)
            && let Some(why) = why_left_out(entry, layers, &taken, diagnostics)
        {
            left_out.push(LeftOut { name: name.clone(), why });
            continue;
        }
        let fresh = |entry: &Entry| entry.value.as_table().is_some_and(|table| table.get("connector").is_some());
        let below = below.filter(|_| !own.as_ref().is_some_and(fresh));
        let mut layers: Vec<Entry> = [below, own, env].into_iter().flatten().collect();
        layers.retain(|layer| {
            if layer.value.as_table().is_none() {
                tree::wrong_type(diagnostics, &layer.value, "a table");
            }
            layer.value.as_table().is_some()
        });
        let Some(last) = layers.last() else { continue };
        let (name, origin) = (last.key.clone(), last.key_origin);
        if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-') {
            let help = "a-z, 0-9, - and _".to_owned();
            diagnostics.error_help("wrong-value", origin, format!("`{name}` is not a name of a source"), help);
        }
        let (mut table, mut manifest) = (Table::default(), Vec::new());
        for layer in layers {
            let Content::Table(layer) = layer.value.value else { continue };
            let (of_manifest, of_source) = split(layer);
            table.merge(&of_source, false, &|_| false);
            manifest.push(of_manifest);
        }
        settings.push(Settings { name, origin, table, manifest, built_in });
    }
    settings
}

/// Declarations of a connection's variables belong to the manifest, their values to the source.
fn split(layer: Table) -> (Table, Table) {
    let (mut manifest, mut settings) = (Table::default(), Table::default());
    for entry in layer.entries {
        match &entry.value.value {
            Content::Table(connection) if &*entry.key == "connection" => {
                let is_declaration = |e: &&Entry| e.value.as_table().is_some();
                let some = |entries: Vec<Entry>| {
                    let value = Node { value: Content::Table(Table { entries }), origin: entry.value.origin };
                    Entry { value, ..entry.clone() }
                };
                let (declared, given): (Vec<&Entry>, Vec<&Entry>) = connection.entries.iter().partition(is_declaration);
                if !declared.is_empty() {
                    manifest.entries.push(some(declared.into_iter().cloned().collect()));
                }
                settings.entries.push(some(given.into_iter().cloned().collect()));
            }
            _ if MANIFEST.contains(&&*entry.key) => manifest.entries.push(entry),
            _ => settings.entries.push(entry),
        }
    }
    (manifest, settings)
}

/// Every variable that a source refers to.
fn variables(node: &Node) -> BTreeSet<String> {
    match &node.value {
        Content::Text(text) => variable(text).map(str::to_owned).into_iter().collect(),
        Content::Array(items) => items.iter().flat_map(variables).collect(),
        Content::Table(table) => table.entries.iter().flat_map(|entry| variables(&entry.value)).collect(),
        _ => BTreeSet::new(),
    }
}

fn why_left_out(
    entry: &Entry,
    layers: &Layers,
    taken: &BTreeMap<String, Arc<str>>,
    diagnostics: &Diagnostics,
) -> Option<String> {
    let named = variables(&entry.value);
    let is_set = |name: &&String| layers.environment.get(*name).is_some_and(|value| !value.trim().is_empty());
    let unset: Vec<&str> = named.iter().filter(|name| !is_set(name)).map(String::as_str).collect();
    if !unset.is_empty() {
        let why = format!("not set: {}", unset.join(", "));
        if unset.len() < named.len() {
            let problem = format!("the source `{}` is left out, for want of {}", entry.key, unset.join(", "));
            diagnostics.warning("secret-unset", entry.key_origin, problem, None);
        }
        return Some(why);
    }
    let other = named.iter().find_map(|name| taken.get(name).map(|source| (name, source)))?;
    Some(format!("the source `{}` uses {}", other.1, other.0))
}
