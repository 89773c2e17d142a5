//! The manifests: those that are built in, with those of the connectors folder laid on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::layering::Settings;
use super::load::Layers;
use super::made_from::Reading;
use super::secret::{refuse_writable, writable_by_others};
use crate::manifest::builtin;
use crate::manifest::compile::is_whole;
use crate::manifest::diagnostic::{Diagnostics, Files, Origin};
use crate::manifest::tree::{self, Reader, Table};

/// The manifests of the connectors folder, and the built-in ones that a source uses or a file of the
/// folder is laid on.
pub(super) struct Connectors {
    pub manifests: BTreeMap<Arc<str>, (Table, Origin)>,
    /// Those of the folder: checked even when no source uses them.
    pub dropped_in: Vec<Arc<str>>,
}

impl Connectors {
    pub fn read(
        layers: &Layers,
        folder: &str,
        settings: &[Settings],
        files: &mut Files,
        reading: &Reading,
        diagnostics: &Diagnostics,
    ) -> Self {
        let mut connectors = Self { manifests: BTreeMap::new(), dropped_in: Vec::new() };
        for (vendor, text) in &layers.manifests {
            connectors.add_built_in(vendor, text, files, diagnostics);
        }
        let used = settings.iter().filter_map(|source| source.table.get("connector")?.as_text());
        for (vendor, text) in used.filter_map(builtin::of) {
            connectors.add_built_in(vendor, text, files, diagnostics);
        }
        reading.borrow_mut().folders.extend(layers.beside.iter().map(|beside| beside.join(folder)));
        let found = layers.beside.iter().map(|beside| beside.join(folder)).find(|folder| folder.is_dir());
        let Some(folder) = found else { return connectors };
        let mut paths: Vec<std::path::PathBuf> = std::fs::read_dir(&folder)
            .map(|entries| entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect())
            .unwrap_or_default();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        for path in paths {
            let Some(vendor) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            let text = std::fs::read_to_string(&path);
            reading.borrow_mut().add_file(&path, text.as_deref().ok());
            let file = files.add(path.display().to_string(), text.as_deref().unwrap_or_default());
            let start = Origin { file, start: 0, end: 1 };
            if text.is_err() {
                diagnostics.error("syntax", start, "this file cannot be read as text");
            }
            for path in [&path, &folder].into_iter().filter(|path| writable_by_others(path)) {
                refuse_writable(diagnostics, start, path);
            }
            if let Some((vendor, text)) = builtin::of(vendor) {
                connectors.add_built_in(vendor, text, files, diagnostics);
            }
            connectors.dropped_in.push(vendor.into());
            connectors.add(vendor.into(), file, files, diagnostics);
        }
        connectors
    }

    /// Unless it is there already.
    fn add_built_in(&mut self, vendor: &str, text: &str, files: &mut Files, diagnostics: &Diagnostics) {
        if !self.manifests.contains_key(vendor) {
            let file = files.add(format!("built-in connectors/{vendor}.toml"), text);
            self.add(vendor.into(), file, files, diagnostics);
        }
    }

    fn add(&mut self, vendor: Arc<str>, file: u16, files: &Files, diagnostics: &Diagnostics) {
        let table = tree::parse(file, files, diagnostics);
        let origin = Origin { file, start: 0, end: 1 };
        match self.manifests.get_mut(&vendor) {
            Some((below, below_origin)) => {
                below.merge(&table, true, &is_whole);
                *below_origin = origin;
            }
            None => drop(self.manifests.insert(vendor, (table, origin))),
        }
    }
}

/// The first lines of a manifest.
pub(super) fn header(manifest: &Reader<'_>, connector: &str) {
    match manifest.count("manifest") {
        Some(1) => {}
        Some(other) => {
            let origin = manifest.node("manifest").map_or(manifest.origin, |node| node.origin);
            let problem = format!("this manifest is of version {other}; version 1 is known");
            manifest.diagnostics.error("manifest-version", origin, problem);
        }
        None if manifest.node("manifest").is_none() => manifest.missing("manifest"),
        None => {}
    }
    if let Some(vendor) = manifest.required_text("vendor").filter(|vendor| *vendor != connector) {
        let origin = manifest.node("vendor").map_or(manifest.origin, |node| node.origin);
        let problem = format!("the manifest of `{vendor}` must be named {vendor}.toml, not {connector}.toml");
        manifest.diagnostics.error("vendor-name", origin, problem);
    }
    let _ = manifest.required_text("title");
}
