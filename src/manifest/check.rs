//! Warnings about a manifest as a whole: what is laid on it and changes nothing, what it defines and
//! never uses. Errors are found where things are compiled.

use super::compile::is_whole;
use super::diagnostic::{Diagnostics, Origin};
use super::tree::{Content, Entry, Node, Table};

/// Says which members of `over` leave everything as it is.
pub fn no_effect(below: &Table, over: &Table, diagnostics: &Diagnostics) {
    for entry in &over.entries {
        let problem = match (below.get(&entry.key).map(|node| &node.value), &entry.value.value) {
            (None, Content::Bool(false)) => format!("there is no `{}` to take away", entry.key),
            (Some(Content::Table(lower)), Content::Table(upper)) if !is_whole(lower) && !is_whole(upper) => {
                no_effect(lower, upper, diagnostics);
                continue;
            }
            (Some(lower), upper) if lower.same(upper) => format!("`{}` has this value anyway", entry.key),
            _ => continue,
        };
        diagnostics.warning("no-effect", entry.key_origin, problem, None);
    }
}

/// Warns of what a manifest defines and never uses.
pub fn unused(manifest: &Table, diagnostics: &Diagnostics) {
    let root = Node { value: Content::Table(manifest.clone()), origin: Origin { file: 0, start: 0, end: 0 } };
    let warn = |origin, what: String| diagnostics.warning("unused", origin, format!("{what} is not used"), None);
    if let Some(entry) =
        manifest.entry("version").filter(|_| !mentions(&root, "", &|_, text| text.contains("{version")))
    {
        warn(entry.key_origin, "`version`".into());
    }
    let defined = |path: &[&str]| -> Vec<Entry> {
        let table = path.iter().try_fold(manifest, |table, key| table.get(key)?.as_table());
        table.map(|table| table.entries.clone()).unwrap_or_default()
    };
    for entry in defined(&["map"]) {
        if !mentions(&root, "", &|key, text| key == "map" && *text == *entry.key) {
            warn(entry.key_origin, format!("the map `{}`", entry.key));
        }
    }
    for entry in defined(&["table"]) {
        if !mentions(&root, "", &|key, text| key == "table" && *text == *entry.key) {
            warn(entry.key_origin, format!("the table `{}`", entry.key));
        }
    }
    for entry in defined(&["record"]) {
        if !mentions(&root, "", &|key, text| key == "reads" && *text == *entry.key) {
            warn(entry.key_origin, format!("the record `{}`", entry.key));
        }
    }
    for entry in defined(&["limits", "bucket"]) {
        if !mentions(&root, "", &|key, text| key == "bucket" && *text == *entry.key) {
            warn(entry.key_origin, format!("the bucket `{}`", entry.key));
        }
    }
}

/// Whether any text below a node, with the key it stands under, is what is looked for.
fn mentions(node: &Node, key: &str, is_it: &dyn Fn(&str, &str) -> bool) -> bool {
    match &node.value {
        Content::Text(text) => is_it(key, text),
        Content::Array(items) => items.iter().any(|item| mentions(item, key, is_it)),
        Content::Table(table) => table.entries.iter().any(|entry| mentions(&entry.value, &entry.key, is_it)),
        _ => false,
    }
}
