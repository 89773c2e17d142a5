//! The manifests: those that are built in, with those of the connectors folder laid on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::load::Layers;
use super::made_from::Reading;
use super::secret::{refuse_writable, writable_by_others};
use crate::manifest::builtin;
use crate::manifest::compile::is_whole;
use crate::manifest::diagnostic::{Diagnostics, Files, Origin};
use crate::manifest::tree::{self, Reader, Table};

/// The manifests that are built in, and those of the connectors folder.
pub(super) struct Connectors {
    pub manifests: BTreeMap<Arc<str>, (Table, Origin)>,
    /// Those of the folder: checked even when no source uses them.
    pub dropped_in: Vec<Arc<str>>,
}

impl Connectors {
    pub fn read(
        layers: &Layers,
        folder: &str,
        files: &mut Files,
        reading: &Reading,
        diagnostics: &Diagnostics,
    ) -> Self {
        let mut connectors = Self { manifests: BTreeMap::new(), dropped_in: Vec::new() };
        let built_in = builtin::ALL.iter().filter(|(vendor, _)| !layers.manifests.contains_key(*vendor)).copied();
        let in_memory = layers.manifests.iter().map(|(vendor, text)| (vendor.as_str(), text.as_str()));
        for (vendor, text) in built_in.chain(in_memory) {
            let file = files.add(format!("built-in connectors/{vendor}.toml"), text);
            connectors.add(vendor.into(), file, files, diagnostics);
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
            connectors.dropped_in.push(vendor.into());
            connectors.add(vendor.into(), file, files, diagnostics);
        }
        connectors
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
