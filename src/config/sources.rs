//! `[sources.<name>]`: which sources there are, what is laid on their connectors, and everything
//! about them that is not inside an operation.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::LeftOut;
use super::connection::{self, Connection};
use super::load::{Layers, Texts};
use super::secret::{References, refuse_writable, variable, writable_by_others};
use super::section::{Section, hours, ms};
use super::sections::{self, unknown_name};
use super::vocabulary::constant;
use crate::domain::field::Kind;
use crate::domain::{NameId, Names, SourceId, Value};
use crate::manifest::compile::{self, Compile, Compiled, is_whole};
use crate::manifest::diagnostic::{Diagnostics, Files, Origin};
use crate::manifest::plan::{Breaker, Plan, Source, SourceKind, SqlEngine, Upstream};
use crate::manifest::scope::Scope;
use crate::manifest::tree::{self, Content, Entry, Node, Reader, Table};
use crate::manifest::{builtin, graph};

/// Members of a source that belong to its manifest; all others are settings of the source.
const MANIFEST: &[&str] = &["base_url", "hosts", "headers", "auth", "limits", "error", "map", "record", "lookup"];

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

/// The manifests that are built in, and those of the connectors folder.
pub(super) struct Connectors {
    manifests: BTreeMap<Arc<str>, (Table, Origin)>,
    /// Those of the folder: checked even when no source uses them.
    dropped_in: Vec<Arc<str>>,
}

impl Connectors {
    pub fn read(layers: &Layers, folder: &str, files: &mut Files, diagnostics: &Diagnostics) -> Self {
        let mut connectors = Self { manifests: BTreeMap::new(), dropped_in: Vec::new() };
        let built_in = builtin::ALL.iter().filter(|(vendor, _)| !layers.manifests.contains_key(*vendor)).copied();
        let in_memory = layers.manifests.iter().map(|(vendor, text)| (vendor.as_str(), text.as_str()));
        for (vendor, text) in built_in.chain(in_memory) {
            let file = files.add(format!("built-in connectors/{vendor}.toml"), text);
            connectors.add(vendor.into(), file, files, diagnostics);
        }
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

/// What every source is compiled with.
struct Common<'a> {
    root: &'a Reader<'a>,
    references: References<'a>,
    files: &'a Files,
    names: &'a RefCell<Names>,
    /// The names of all sources.
    sources: &'a [Arc<str>],
    defaults: Defaults,
    pool: Option<&'a Table>,
}

/// What sources have that say nothing.
struct Defaults {
    fresh: Duration,
    keep: Duration,
    not_found: Duration,
    concurrency: usize,
    timeouts: [(SourceKind, Duration); 3],
    breaker: Table,
    region: Option<Arc<str>>,
}

/// Compiles all sources and their graph.
pub(super) fn compile(
    root: &Reader<'_>,
    names: Names,
    settings: &[Settings],
    connectors: &Connectors,
    references: References<'_>,
    left_out: &[LeftOut],
    files: &Files,
) -> Plan {
    let names = RefCell::new(names);
    let sources: Vec<Arc<str>> = settings.iter().map(|source| source.name.clone()).collect();
    let pool = root.node("pool").and_then(Node::as_table);
    let Some(defaults) = defaults(root) else { return Plan::default() };
    let common = Common { root, references, files, names: &names, sources: &sources, defaults, pool };
    let mut plan = Plan::default();
    let mut compiled: Vec<Compiled> = Vec::new();
    for (id, source) in (0..).map(SourceId).zip(settings) {
        if let Some((built, operations)) = common.source(id, source, connectors, compiled.len()) {
            compiled.extend(operations);
            plan.sources.push(built);
        }
    }
    common.secondaries(settings, left_out, &mut plan);
    if !root.diagnostics.has_errors() {
        graph::check(&compiled, &names.borrow(), root.diagnostics);
    }
    common.unused(settings, connectors);
    plan.operations = compiled.into_iter().map(|compiled| compiled.operation).collect();
    plan.names = names.into_inner();
    plan
}

fn defaults(root: &Reader<'_>) -> Option<Defaults> {
    let cache = Section::of(root, "cache")?;
    let lookup = Section::of(root, "lookup")?;
    let timeout = Section::of(&lookup.reader, "timeout")?;
    let breaker = lookup.reader.node("breaker")?.as_table()?.clone();
    let timeouts = [
        (SourceKind::Crm, timeout.duration("crm", TIMEOUTS)),
        (SourceKind::Database, timeout.duration("database", TIMEOUTS)),
        (SourceKind::External, timeout.duration("external", TIMEOUTS)),
    ];
    timeout.finish();
    let _ = sections::breaker(Section::of(&lookup.reader, "breaker")?);
    Some(Defaults {
        fresh: cache.duration("fresh", WINDOWS),
        keep: cache.duration("keep", WINDOWS),
        not_found: cache.duration("not_found", WINDOWS),
        concurrency: lookup.count("concurrency", 1..=10_000),
        timeouts,
        breaker,
        region: root.table("phone").and_then(|phone| sections::region(&phone, "default_region")),
    })
}

const TIMEOUTS: std::ops::RangeInclusive<Duration> = ms(10)..=ms(60_000);
const WINDOWS: std::ops::RangeInclusive<Duration> = ms(0)..=hours(24 * 31);

impl Common<'_> {
    fn diagnostics(&self) -> &Diagnostics {
        self.references.diagnostics
    }

    fn source(
        &self,
        id: SourceId,
        settings: &Settings,
        connectors: &Connectors,
        before: usize,
    ) -> Option<(Source, Vec<Compiled>)> {
        let reader = Reader::new(&settings.table, settings.origin, self.diagnostics());
        let connector: Arc<str> = reader.required_text("connector")?.into();
        let engine = match &*connector {
            "postgres" => Some(SqlEngine::Postgres),
            "mysql" => Some(SqlEngine::Mysql),
            "sqlite" => Some(SqlEngine::Sqlite),
            _ => None,
        };
        let manifest = if engine.is_some() || &*connector == "http" {
            None
        } else if let Some(manifest) = connectors.manifests.get(&connector) {
            Some(manifest)
        } else {
            let known = connectors.manifests.keys().map(|name| name.to_string());
            let known = known.chain(["http", "postgres", "mysql", "sqlite"].map(str::to_owned));
            let origin = reader.node("connector").map_or(settings.origin, |node| node.origin);
            unknown_name(self.diagnostics(), origin, "a connector", &connector, known);
            return None;
        };
        let merged = self.manifest(settings, manifest.map(|(table, _)| table));
        let origin = manifest.map_or(settings.origin, |(_, origin)| *origin);
        let manifest_reader = Reader::new(&merged, origin, self.diagnostics());
        if manifest.is_some() {
            header(&manifest_reader, &connector);
        }
        let connection =
            Connection::read(&manifest_reader, &reader, self.names, self.references, &connector, settings.built_in);
        let (upstream, base_url, hosts) = match engine {
            Some(engine) => {
                let sql = connection::sql(&reader, engine, self.pool, self.references, settings.built_in)?;
                (sql, None, Vec::new())
            }
            None => {
                let http = connection::http(&manifest_reader, &reader, &connection, self.references, settings)?;
                (http.upstream, http.base_url, http.hosts)
            }
        };
        let concurrency = match &upstream {
            (Upstream::Sql(sql), _) => sql.pool.max,
            (Upstream::Http(_), _) => self.defaults.concurrency,
        };
        let limits = compile::limits(&manifest_reader, concurrency);
        let maps = compile::maps(&manifest_reader);
        let section = Section { reader };
        let kind = SourceKind::of_connector(&connector);
        let default = self.defaults.timeouts.iter().find(|(of, _)| *of == kind).map_or(ms(3_000), |(_, t)| *t);
        let timeout = optional(&section, "timeout", TIMEOUTS).unwrap_or(default);
        let tables = [];
        let scope = Scope {
            source: &settings.name,
            sources: self.sources,
            config_file: (settings.origin.file != Texts::REFERENCE).then_some(settings.origin.file),
            names: self.names,
            files: self.files,
            diagnostics: self.diagnostics(),
            variables: &connection.variables,
            maps: &maps,
            tables: &tables,
            version: connection.version.as_deref(),
            base_url: base_url.as_ref().map(|(url, origin)| (url.as_str(), *origin)),
            headers: manifest_reader.node("headers").and_then(Node::as_table),
            hosts: &hosts,
            records: manifest_reader.node("record").and_then(Node::as_table),
            errors: manifest_reader.node("error").and_then(Node::as_table),
        };
        let operations = Compile { scope, source: id, engine, timeout, limits: &limits, before }
            .lookups(manifest_reader.entries("lookup"));
        if manifest_reader.entries("lookup").is_empty() {
            let problem = format!("the source `{}` has no lookup", settings.name);
            self.diagnostics().warning("no-lookups", settings.origin, problem, None);
        }
        unused(&merged, self.diagnostics());
        manifest_reader.finish();
        let (upstream, connected) = upstream;
        let source = self.built(section, settings, connector, upstream, connected && connection.complete, timeout);
        let source = Source {
            limits,
            maps,
            variables: connection.values,
            region: connection.region.or_else(|| self.defaults.region.clone()),
            time_zone: connection.time_zone,
            ..source
        };
        Some((source, operations))
    }

    /// The manifest with everything that is laid on it.
    fn manifest(&self, settings: &Settings, base: Option<&Table>) -> Table {
        let mut layers = settings.manifest.iter();
        let mut merged = match base {
            Some(base) => base.clone(),
            None => layers.next().cloned().unwrap_or_default(),
        };
        for layer in layers {
            no_effect(&merged, layer, self.diagnostics());
            merged.merge(layer, true, &is_whole);
        }
        merged
    }

    /// The settings that have nothing to do with the manifest.
    fn built(
        &self,
        section: Section<'_>,
        settings: &Settings,
        connector: Arc<str>,
        upstream: Upstream,
        connected: bool,
        timeout: Duration,
    ) -> Source {
        let fresh = optional(&section, "fresh", WINDOWS).unwrap_or(self.defaults.fresh);
        let keep = optional(&section, "keep", WINDOWS).unwrap_or(self.defaults.keep);
        if keep < fresh {
            let problem = "`keep` must not be shorter than `fresh`";
            self.diagnostics().error("out-of-range", section.origin("keep"), problem);
        }
        let mut breaker = self.defaults.breaker.clone();
        if let Some(own) = section.reader.node("breaker").and_then(Node::as_table) {
            breaker.merge(own, false, &|_| false);
        }
        let breaker = Reader::new(&breaker, section.reader.origin, self.diagnostics());
        let breaker: Breaker = sections::breaker(Section { reader: breaker });
        let source = Source {
            name: settings.name.clone(),
            connector,
            upstream,
            connected,
            essential: section.reader.bool("essential").unwrap_or(false),
            secondary_of: None,
            timeout,
            fresh,
            keep,
            not_found: optional(&section, "not_found", WINDOWS).unwrap_or(self.defaults.not_found),
            limits: crate::manifest::plan::Limits { concurrency: 0, rate: vec![], buckets: vec![], budget: vec![] },
            breaker,
            defaults: self.static_defaults(&section.reader),
            variables: Vec::new(),
            region: None,
            time_zone: jiff::tz::TimeZone::UTC,
            maps: crate::manifest::template::Maps::default(),
        };
        let _ = section.reader.node("secondary_of");
        section.finish();
        source
    }

    fn static_defaults(&self, reader: &Reader<'_>) -> Vec<(NameId, Value)> {
        let names = self.names.borrow();
        let mut defaults = Vec::new();
        for (name, entry) in sections::leaves(reader.entries("defaults"), &|_| false) {
            match names.get(&name).map(|id| (id, names.name(id))) {
                Some((id, field)) if matches!(field.kind, Kind::Field(_)) => {
                    if let Some(value) = constant(&entry.value, field.ty, self.diagnostics()) {
                        defaults.push((id, value));
                    }
                }
                _ => {
                    let fields = names.iter().filter(|(_, name)| matches!(name.kind, Kind::Field(_)));
                    let known = fields.map(|(_, name)| name.text.to_string());
                    unknown_name(self.diagnostics(), entry.key_origin, "a field", &name, known);
                }
            }
        }
        defaults
    }

    /// `secondary_of`, once all sources have their numbers.
    fn secondaries(&self, settings: &[Settings], left_out: &[LeftOut], plan: &mut Plan) {
        let written = |source: &Settings| {
            let node = source.table.get("secondary_of")?;
            Some((node.as_text()?.to_owned(), node.origin))
        };
        for source in settings {
            let Some((primary, origin)) = written(source) else { continue };
            let at = |name: &str| plan.sources.iter().position(|source| &*source.name == name);
            let mut seen = vec![source.name.to_string()];
            let mut next = Some(primary.clone());
            while let Some(name) = next {
                if seen.contains(&name) {
                    let problem = format!("`{}` is the secondary of itself, over `{primary}`", source.name);
                    self.diagnostics().error("secondary-cycle", origin, problem);
                    break;
                }
                next = settings.iter().find(|other| *other.name == *name).and_then(written).map(|(name, _)| name);
                seen.push(name);
            }
            if let (Some(primary), Some(own)) = (at(&primary), at(&source.name)) {
                if let Some(own) = plan.sources.get_mut(own) {
                    own.secondary_of = u16::try_from(primary).ok().map(SourceId);
                }
            } else if !self.sources.iter().any(|s| **s == *primary) && !left_out.iter().any(|s| *s.name == *primary) {
                let known = self.sources.iter().map(|name| name.to_string());
                unknown_name(self.diagnostics(), origin, "a source", &primary, known);
            }
        }
    }

    /// Manifests of the folder that no source uses are compiled all the same, to tell what is wrong.
    fn unused(&self, settings: &[Settings], connectors: &Connectors) {
        let used = |vendor: &Arc<str>| {
            settings.iter().any(|s| s.table.get("connector").and_then(Node::as_text) == Some(vendor))
        };
        for vendor in connectors.dropped_in.iter().filter(|vendor| !used(vendor)) {
            let Some((_, origin)) = connectors.manifests.get(vendor) else { continue };
            let connector = Node { value: Content::Text(vendor.clone()), origin: *origin };
            let entry = Entry { key: "connector".into(), key_origin: *origin, value: connector };
            let table = Table { entries: vec![entry] };
            let settings =
                Settings { name: vendor.clone(), origin: *origin, table, manifest: Vec::new(), built_in: true };
            let names = RefCell::new(self.names.borrow().clone());
            let common = Common {
                root: self.root,
                references: self.references,
                files: self.files,
                names: &names,
                sources: std::slice::from_ref(vendor),
                defaults: match defaults(self.root) {
                    Some(defaults) => defaults,
                    None => return,
                },
                pool: self.pool,
            };
            if let Some((_, compiled)) = common.source(SourceId(0), &settings, connectors, 0)
                && !self.diagnostics().has_errors()
            {
                graph::check(&compiled, &names.borrow(), self.diagnostics());
            }
        }
    }
}

/// The first lines of a manifest.
fn header(manifest: &Reader<'_>, connector: &str) {
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

fn optional(section: &Section<'_>, key: &'static str, range: std::ops::RangeInclusive<Duration>) -> Option<Duration> {
    section.reader.node(key)?;
    Some(section.duration(key, range))
}

/// Says which members of `over` leave everything as it is.
fn no_effect(below: &Table, over: &Table, diagnostics: &Diagnostics) {
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
fn unused(manifest: &Table, diagnostics: &Diagnostics) {
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
        let in_hole = format!("map.{}", entry.key);
        if !mentions(&root, "", &|key, text| (key == "map" && *text == *entry.key) || text.contains(&in_hole)) {
            warn(entry.key_origin, format!("the map `{}`", entry.key));
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
