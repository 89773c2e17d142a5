//! The sources compiled: everything about them that is not inside an operation, their operations,
//! and the graph of these.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::LeftOut;
use super::connection::{self, Connection};
use super::connectors::{Connectors, header};
use super::database;
use super::layering::Settings;
use super::load::Texts;
use super::secret::References;
use super::section::{Section, hours, ms};
use super::sections::{self, unknown_name};
use super::vocabulary::constant;
use crate::domain::field::Kind;
use crate::domain::{NameId, Names, SourceId, Value};
use crate::manifest::compile::{self, Compile, Compiled, is_whole};
use crate::manifest::diagnostic::{Diagnostics, Files};
use crate::manifest::limits::limits;
use crate::manifest::plan::{Breaker, Limits, Plan, Source, SourceKind, SqlEngine, Upstream};
use crate::manifest::scope::Scope;
use crate::manifest::tree::{Content, Entry, Node, Reader, Table};
use crate::manifest::{builtin, check, graph};

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
    reserve: f64,
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
    let pool = root.table("pool").map(|pool| pool.table);
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
        reserve: lookup.share("reserve"),
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
            let built_in = builtin::ALL.iter().map(|(vendor, _)| (*vendor).to_owned());
            let known = connectors.manifests.keys().map(|name| name.to_string()).chain(built_in);
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
        let (upstream, base_url) = match engine {
            Some(engine) => {
                let sql = database::read(&reader, engine, self.pool, self.references, settings.built_in)?;
                (sql, None)
            }
            None => {
                let http = connection::http(&manifest_reader, &reader, &connection, self.references, settings)?;
                (http.upstream, http.base_url)
            }
        };
        let concurrency = match &upstream {
            (Upstream::Sql(sql), _) => sql.pool.max,
            (Upstream::Http(_), _) => self.defaults.concurrency,
        };
        let limits = limits(&manifest_reader, concurrency, self.defaults.reserve);
        let maps = compile::maps(&manifest_reader);
        let section = Section { reader };
        let kind = SourceKind::of_connector(&connector);
        let default = self.defaults.timeouts.iter().find(|(of, _)| *of == kind).map_or(ms(3_000), |(_, t)| *t);
        let timeout = optional(&section, "timeout", TIMEOUTS).unwrap_or(default);
        let scope = Scope {
            source: &settings.name,
            sources: self.sources,
            config_file: (settings.origin.file != Texts::REFERENCE).then_some(settings.origin.file),
            names: self.names,
            files: self.files,
            diagnostics: self.diagnostics(),
            variables: &connection.variables,
            maps: &maps,
            tables: manifest_reader.node("table").and_then(Node::as_table).filter(|_| engine.is_none()),
            version: connection.version.as_deref(),
            base_url: base_url.as_ref().map(|(url, origin)| (url.as_str(), *origin)),
            headers: manifest_reader.table("headers").map(|headers| headers.table),
            records: manifest_reader.table("record").map(|records| records.table),
            errors: manifest_reader.table("error").map(|errors| errors.table),
        };
        let compile = Compile { scope, source: id, engine, timeout, limits: &limits, before };
        let tables = compile.scope.tables.map_or_else(Vec::new, |tables| compile.tables(&tables.entries));
        let operations = compile.lookups(manifest_reader.entries("lookup"));
        if manifest_reader.entries("lookup").is_empty() {
            let problem = format!("the source `{}` has no lookup", settings.name);
            self.diagnostics().warning("no-lookups", settings.origin, problem, None);
        }
        let region = connection.region.or_else(|| self.defaults.region.clone());
        if region.is_none() && operations.iter().any(|o| o.operation.spellings.iter().any(|s| !s.says_the_country())) {
            let problem = format!("`{}` may hold numbers without their country, and no region is set", settings.name);
            let help = "set `default_region` under [phone], or `connection.region` of this source".to_owned();
            self.diagnostics().warning("region-unset", settings.origin, problem, help);
        }
        check::unused(&merged, self.diagnostics());
        manifest_reader.finish();
        let (upstream, connected) = upstream;
        let source = self.built(section, settings, connector, upstream, connected && connection.complete, timeout);
        let source = Source {
            limits,
            maps,
            tables,
            variables: connection.values,
            region,
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
            check::no_effect(&merged, layer, self.diagnostics());
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
        if let Some(own) = section.reader.table("breaker") {
            breaker.merge(own.table, false, &|_| false);
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
            limits: Limits::default(),
            breaker,
            defaults: self.static_defaults(&section.reader),
            variables: Vec::new(),
            region: None,
            time_zone: jiff::tz::TimeZone::UTC,
            maps: crate::manifest::template::Maps::default(),
            tables: Vec::new(),
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

fn optional(section: &Section<'_>, key: &'static str, range: std::ops::RangeInclusive<Duration>) -> Option<Duration> {
    section.reader.node(key)?;
    Some(section.duration(key, range))
}
