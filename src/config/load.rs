//! From files and environment to a `Config`: layers are laid on each other, sections decoded, rules
//! across sections checked. All problems come back together; nothing is used unless there is none.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::connectors::Connectors;
use super::layering::{self, Settings};
use super::made_from::{MadeFrom, Reading};
use super::secret::{References, refuse_writable, writable_by_others};
use super::{Config, sections, sources, views, vocabulary};
use crate::domain::Names;
use crate::manifest::diagnostic::{Diagnostic, Diagnostics, Files, Origin, Severity, render};
use crate::manifest::plan::Plan;
use crate::manifest::tree::{self, Content, Entry, Node, Reader, Table};

/// The annotated reference: every key with its default.
pub const REFERENCE: &str = include_str!("../../config.toml");

/// Variables that begin so name a key of the configuration.
const PREFIX: &str = "CALLER_CONTEXT__";

/// What a configuration is made of, beside what is built in.
#[derive(Default, Clone)]
pub struct Layers {
    /// The operator's file.
    pub file: Option<LayerFile>,
    /// Where relative paths of `file:` references start.
    pub folder: PathBuf,
    /// Where the connectors folder is looked for: beside the configuration, then the binary.
    pub beside: Vec<PathBuf>,
    /// Manifests in memory, by vendor: instead of the built-in one of that name, or beside them.
    pub manifests: BTreeMap<String, String>,
    /// All variables; what `env:` references and overrides are taken from.
    pub environment: BTreeMap<String, String>,
    /// What was read so far.
    read: MadeFrom,
}

/// A file that was read, and where it came from.
#[derive(Clone)]
pub struct LayerFile {
    /// As shown to people.
    pub name: String,
    pub text: String,
    /// Where it is on disk; none for a text made in memory.
    pub path: Option<PathBuf>,
}

/// The operator's file could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct Unreadable {
    path: PathBuf,
    source: std::io::Error,
}

impl Layers {
    /// The reference with `text` laid on it: no environment, no connectors folder.
    pub fn text(text: &str) -> Self {
        let file = LayerFile { name: "config.toml".into(), text: text.into(), path: None };
        Self { file: Some(file), ..Self::default() }
    }

    /// With a variable in the environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// With a manifest in memory.
    #[must_use]
    pub fn with_manifest(mut self, vendor: &str, text: &str) -> Self {
        self.manifests.insert(vendor.into(), text.into());
        self
    }

    /// Reads the operator's file, if there is to be one.
    pub fn read(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Unreadable> {
        let mut layers = Self { environment: environment.into_iter().collect(), ..Self::default() };
        if let Some(path) = path {
            let text = std::fs::read_to_string(path).map_err(|source| Unreadable { path: path.into(), source })?;
            let name = path.display().to_string();
            layers.read.add_file(path, Some(&text));
            // the reference itself, untouched, says nothing that is not built in
            layers.file = (text != REFERENCE).then(|| LayerFile { name, text, path: Some(path.into()) });
            layers.folder = path.parent().map(Path::to_owned).unwrap_or_default();
        }
        let binary = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned));
        layers.beside = std::iter::once(layers.folder.clone()).chain(binary).collect();
        Ok(layers)
    }
}

/// The environment may hold secrets, and so may a file that was written against the rules.
impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers").field("file", &self.file.as_ref().map(|f| &f.name)).finish_non_exhaustive()
    }
}

/// A valid configuration, what is odd about it, and what it was made from.
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Diagnostic>,
    pub files: Files,
    /// Sources of the reference that are not used, and why.
    pub left_out: Vec<LeftOut>,
    pub made_from: MadeFrom,
    pub(super) tree: Table,
    pub(super) settings: Vec<Settings>,
}

impl Loaded {
    /// The warnings as people read them.
    pub fn rendered_warnings(&self) -> String {
        self.warnings.iter().map(|warning| render(warning, &self.files) + "\n").collect()
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("warnings", &self.warnings).finish_non_exhaustive()
    }
}

/// A source of the reference that nobody configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub name: Arc<str>,
    pub why: String,
}

/// A configuration with errors: all of them, with the files they are in.
#[derive(thiserror::Error)]
pub struct Invalid {
    pub diagnostics: Vec<Diagnostic>,
    pub files: Files,
    /// What was read before it was found wrong.
    pub made_from: MadeFrom,
}

impl Invalid {
    /// What keeps it from being used.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Every problem as people read it, and how many there are.
impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            writeln!(f, "{}", render(diagnostic, &self.files))?;
        }
        let count = |word, severity| {
            let count = self.diagnostics.iter().filter(|d| d.severity == severity).count();
            format!("{count} {word}{}", if count == 1 { "" } else { "s" })
        };
        write!(f, "{}, {}", count("error", Severity::Error), count("warning", Severity::Warning))
    }
}

impl fmt::Debug for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The reference with `text` laid on it; see [`Layers::text`].
pub fn load_str(text: &str) -> Result<Loaded, Invalid> {
    load(&Layers::text(text))
}

/// Reads, layers, decodes and checks everything.
pub fn load(layers: &Layers) -> Result<Loaded, Invalid> {
    load_with(layers, Names::default())
}

/// The same, to take the place of a configuration that is in force. Names keep the ids they have in
/// that one, so that what is kept under them goes on; a plan that is the same is the same `Arc`.
pub fn load_after(layers: &Layers, earlier: &Config) -> Result<Loaded, Invalid> {
    let mut loaded = load_with(layers, Names::after(&earlier.plan.names))?;
    if loaded.config.plan == earlier.plan {
        loaded.config.plan = earlier.plan.clone();
    }
    Ok(loaded)
}

fn load_with(layers: &Layers, names: Names) -> Result<Loaded, Invalid> {
    let reading = Reading::new(layers.read.clone());
    let mut files = Files::default();
    let diagnostics = Diagnostics::default();
    let texts = Texts::add(layers, &mut files, &diagnostics);
    let mut left_out = Vec::new();
    let settings = layering::layered(&texts, layers, &mut left_out, &diagnostics);
    let tree = texts.merged();
    let root_origin = Origin { file: 0, start: 0, end: 0 };
    let folder = vocabulary::connectors_folder(&Reader::new(&tree, root_origin, &diagnostics));
    let connectors = Connectors::read(layers, &folder, &settings, &mut files, &reading, &diagnostics);
    let root = Reader::new(&tree, root_origin, &diagnostics);
    let references = References {
        environment: &layers.environment,
        folder: &layers.folder,
        reading: &reading,
        diagnostics: &diagnostics,
    };
    let config = decode(&root, names, references, &settings, &connectors, &left_out, &files);
    for known in ["connectors", "pool", "sources"] {
        let _ = root.node(known);
    }
    root.finish();
    match config {
        Some(config) if !diagnostics.has_errors() => {
            let warnings = diagnostics.into_list();
            Ok(Loaded { config, warnings, files, left_out, made_from: reading.into_inner(), tree, settings })
        }
        _ => Err(Invalid { diagnostics: diagnostics.into_list(), files, made_from: reading.into_inner() }),
    }
}

fn decode(
    root: &Reader<'_>,
    mut names: Names,
    references: References<'_>,
    settings: &[Settings],
    connectors: &Connectors,
    left_out: &[LeftOut],
    files: &Files,
) -> Option<Config> {
    let built_in = |origin: Origin| origin.file == Texts::REFERENCE;
    vocabulary::fields(root, &mut names);
    let inputs = vocabulary::inputs(root, &mut names);
    let never = vocabulary::never(root);
    let server = sections::server(root, references);
    let lookup = sections::lookup(root);
    let cache = sections::cache(root);
    let studio = sections::studio(root);
    let meetings = sections::meetings(root);
    let phone = sections::phone(root);
    let organizations = sections::organizations(root, references, built_in);
    let store = sections::store(root, references, built_in);
    let audit = sections::audit(root);
    let limits = sections::limits(root);
    let logging = sections::logging(root);
    let mut plan: Plan = sources::compile(root, names, settings, connectors, references, left_out, files);
    plan.never = never;
    let views = views::views(root, &plan.names);
    let merge = views::merge(root, &plan, left_out);
    let (studio, studio_view) = studio?;
    if !views.contains_key(&studio.view) {
        let known = views.keys().map(|name| name.to_string());
        views::unknown_view(root.diagnostics, studio_view, &studio.view, known);
    }
    Some(Config {
        server: server?,
        lookup: lookup?,
        cache: cache?,
        studio,
        meetings: meetings?,
        phone: phone?,
        organizations,
        views,
        merge,
        store: store?,
        audit: audit?,
        limits: limits?,
        logging: logging?,
        inputs,
        never: plan.never.clone(),
        plan: Arc::new(plan),
    })
}

/// The texts of the layers as trees, lowest first.
pub(super) struct Texts {
    pub reference: Table,
    pub operator: Table,
    pub environment: Table,
}

impl Texts {
    /// The reference is always the first file.
    pub const REFERENCE: u16 = 0;

    fn add(layers: &Layers, files: &mut Files, diagnostics: &Diagnostics) -> Self {
        let reference = files.add("built-in config.toml", REFERENCE);
        let mut reference = tree::parse(reference, files, diagnostics);
        let mut operator = Table::default();
        if let Some(file) = &layers.file {
            let id = files.add(file.name.as_str(), file.text.as_str());
            operator = tree::parse(id, files, diagnostics);
            if let Some(path) = file.path.as_ref().filter(|path| writable_by_others(path)) {
                refuse_writable(diagnostics, Origin { file: id, start: 0, end: 1 }, path);
            }
        }
        let environment = overrides(&layers.environment, files);
        let preset = [&environment, &operator]
            .into_iter()
            .find_map(|layer| layer.get("views")?.as_table()?.get("preset")?.as_text().map(str::to_owned));
        if preset.as_deref() == Some("published") {
            publish_views(&mut reference);
        }
        Self { reference, operator, environment }
    }

    /// Everything but the sources, which have rules of their own.
    fn merged(&self) -> Table {
        let mut merged = self.reference.clone();
        for layer in [&self.operator, &self.environment] {
            let mut layer = layer.clone();
            layer.entries.retain(|entry| &*entry.key != "sources");
            merged.merge(&layer, false, &|_| false);
        }
        merged
    }
}

/// `basic`, `advanced` and `admin` become what the published Function meant by them.
fn publish_views(reference: &mut Table) {
    let Some(entry) = reference.entries.iter_mut().find(|entry| &*entry.key == "views") else { return };
    let Content::Table(views) = &mut entry.value.value else { return };
    for name in ["basic", "advanced", "admin"] {
        let published = views.get(&format!("published-{name}")).cloned();
        if let (Some(published), Some(view)) = (published, views.entries.iter_mut().find(|e| &*e.key == name)) {
            view.value = published;
        }
    }
}

/// `CALLER_CONTEXT__SERVER__LISTEN` as `server.listen`. The file that stands for the environment
/// lists names only: values may be secrets.
fn overrides(environment: &BTreeMap<String, String>, files: &mut Files) -> Table {
    let found: Vec<(&String, &String)> = environment.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    if found.is_empty() {
        return Table::default();
    }
    let text = found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("\n");
    let file = files.add("environment", text.as_str());
    let mut root = Table::default();
    let mut start = 0;
    for (name, value) in found {
        let end = start + name.len();
        let at = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let origin = Origin { file, start: at(start), end: at(end) };
        start = end + 1;
        let path = name.strip_prefix(PREFIX).unwrap_or_default().to_lowercase();
        insert(&mut root, &path.split("__").collect::<Vec<_>>(), typed(value, origin), origin);
    }
    root
}

fn insert(table: &mut Table, path: &[&str], value: Node, origin: Origin) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.entries.push(Entry { key: (*key).into(), key_origin: origin, value });
        return;
    }
    if table.get(key).is_none() {
        let value = Node { value: Content::Table(Table::default()), origin };
        table.entries.push(Entry { key: (*key).into(), key_origin: origin, value });
    }
    let below = table.entries.iter_mut().find(|entry| &*entry.key == *key).map(|entry| &mut entry.value.value);
    if let Some(Content::Table(below)) = below {
        insert(below, rest, value, origin);
    }
}

/// A value as TOML would read it; whatever TOML cannot read is text.
fn typed(text: &str, origin: Origin) -> Node {
    let mut files = Files::default();
    let diagnostics = Diagnostics::default();
    let file = files.add("value", format!("value = {text}"));
    let table = tree::parse(file, &files, &diagnostics);
    let mut node = match table.entries.as_slice() {
        [only] if !diagnostics.has_errors() => only.value.clone(),
        _ => Node { value: Content::Text(text.into()), origin },
    };
    move_to(&mut node, origin);
    node
}

fn move_to(node: &mut Node, origin: Origin) {
    node.origin = origin;
    match &mut node.value {
        Content::Array(items) => items.iter_mut().for_each(|item| move_to(item, origin)),
        Content::Table(table) => {
            for entry in &mut table.entries {
                entry.key_origin = origin;
                move_to(&mut entry.value, origin);
            }
        }
        _ => {}
    }
}
