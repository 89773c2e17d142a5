//! Records, compiled: what an operation reads of an answer, the shared record it `reads` and its
//! own additions as one.

use std::cell::RefCell;
use std::sync::Arc;

use super::diagnostic::{Origin, did_you_mean};
use super::expression::{Expression, Paths, Shapes, WORDS};
use super::hole::Context;
use super::path::{Shape, Step};
use super::reading::{EMAIL, List, MAX_ENTRIES, MAX_ROWS, PHONE, Rank, Record};
use super::scope::{Need, Scope};
use super::tree::{Entry, Node, Reader};
use crate::domain::field::{Kind, is_never};
use crate::domain::{NameId, Names, Type, canonical};

/// Fields that say who somebody is.
const PERSON: [NameId; 8] = [
    canonical("name"),
    canonical("first_name"),
    canonical("last_name"),
    canonical("email"),
    canonical("emails"),
    canonical("phone"),
    canonical("phones"),
    canonical("customer_id"),
];

impl Record {
    /// Compiles `records` `reads` `select` `phones` `emails` `where` `rank` `exact` `provides` and
    /// `list` of an operation, together with the record it reads. Compile it before the request:
    /// `{select}` asks for what is read here.
    pub fn compile(operation: &Reader<'_>, needs: &[Need], scope: &Scope<'_>) -> Option<Record> {
        let cx = Context::new(scope, needs);
        let mut compiler = Compiler {
            paths: Paths { cx: &cx, shapes: RefCell::default() },
            record: Record::default(),
            from: Vec::new(),
            sound: true,
        };
        let searched = |name| needs.iter().any(|need| need.contains(&name));
        (compiler.record.by_phone, compiler.record.by_email) = (searched(PHONE), searched(EMAIL));
        let records = operation.node("records");
        let shared = compiler.shared(operation);
        if let Some(shared) = &shared {
            compiler.part(shared);
        }
        compiler.part(operation);
        compiler.exact(operation);
        let record = compiler.finish(records, operation, shared.as_ref());
        if let Some(shared) = shared {
            shared.finish();
        }
        record
    }
}

impl Record {
    /// Compiles a `[table.<name>]`: a list of `id` and `value` under a name of its own.
    pub(super) fn of_table(table: &Reader<'_>, name: NameId, scope: &Scope<'_>) -> Option<Record> {
        let cx = Context::new(scope, &[]);
        let mut compiler = Compiler {
            paths: Paths { cx: &cx, shapes: RefCell::default() },
            record: Record::default(),
            from: Vec::new(),
            sound: true,
        };
        let mut items = Vec::new();
        for (key, member) in [("key", "id"), ("value", "value")] {
            let Some(node) = table.node(key) else {
                table.missing(key);
                compiler.sound = false;
                continue;
            };
            match Expression::compile(node, Type::Text, &compiler.paths) {
                Some(expression) => items.push((member.into(), expression)),
                None => compiler.sound = false,
            }
        }
        let records = table.node("records");
        let rows = List { field: name, from: None, conditions: Vec::new(), items, most: MAX_ROWS };
        compiler.record.lists.push(rows);
        compiler.finish(records, table, None)
    }
}

/// Compiles a record from its parts: the shared one, then what the operation adds.
struct Compiler<'a> {
    paths: Paths<'a>,
    record: Record,
    /// Shapes of list elements, to be put in their place when all paths are known.
    from: Vec<(Vec<Step>, Shape)>,
    sound: bool,
}

impl<'a> Compiler<'a> {
    /// The record that the operation `reads`.
    fn shared<'n>(&mut self, operation: &Reader<'n>) -> Option<Reader<'n>>
    where
        'a: 'n,
    {
        let name = operation.text("reads")?;
        let scope = self.paths.cx.scope;
        let Some(node) = scope.records.and_then(|records| records.get(name)) else {
            let known = scope.records.map(|records| records.keys().collect::<Vec<_>>()).unwrap_or_default();
            let origin = operation.node("reads").map_or(operation.origin, |node| node.origin);
            let help = did_you_mean(name, known);
            scope.diagnostics.error_help("unknown-name", origin, format!("there is no `[record.{name}]`"), help);
            self.sound = false;
            return None;
        };
        Reader::of(node, scope.diagnostics)
    }

    fn part(&mut self, reader: &Reader<'_>) {
        for (text, origin) in reader.texts("phones").unwrap_or_default() {
            match self.paths.slot(text, origin) {
                Some(slot) => self.record.phones.push(slot),
                None => self.sound = false,
            }
        }
        for (text, origin) in reader.texts("emails").unwrap_or_default() {
            match self.paths.slot(text, origin) {
                Some(slot) => self.record.emails.push(slot),
                None => self.sound = false,
            }
        }
        match self.conditions(reader) {
            Some(conditions) => self.record.conditions.extend(conditions),
            None => self.sound = false,
        }
        self.rank(reader);
        self.provides(reader.entries("provides"), "");
        for entry in reader.entries("list") {
            self.sound &= self.list(entry).is_some();
        }
    }

    /// `where`: one test or several, of which all must be passed.
    fn conditions(&self, reader: &Reader<'_>) -> Option<Vec<Expression>> {
        let Some(node) = reader.node("where") else { return Some(Vec::new()) };
        let tests = node.as_array().unwrap_or(std::slice::from_ref(node));
        let condition = |node: &Node| {
            let condition = Expression::compile(node, Type::Bool, &self.paths)?;
            if condition.test.is_none() {
                let help = "add one of equals, in, not_in, exists";
                self.paths.cx.error("missing-key", node.origin, "this does not say what to look for", help);
                return None;
            }
            Some(condition)
        };
        let compiled: Vec<_> = tests.iter().map(condition).collect();
        compiled.into_iter().collect()
    }

    /// Must end in an id: without one, equal records would change places from call to call.
    fn rank(&mut self, reader: &Reader<'_>) {
        let Some(texts) = reader.texts("rank") else { return };
        self.record.rank.clear();
        for (text, origin) in &texts {
            let (path, descending) = text.strip_prefix('-').map_or((*text, false), |path| (path, true));
            match self.paths.slot(path, *origin) {
                Some(path) => self.record.rank.push(Rank { path, descending }),
                None => self.sound = false,
            }
        }
        let last = texts.last().map_or("", |(text, _)| *text);
        let member = last.rsplit(['.', '-']).next().unwrap_or("").trim_matches('\'').to_lowercase();
        if !(member.ends_with("id") || member == "key") {
            let origin = texts.last().map_or(reader.origin, |(_, origin)| *origin);
            let help = "end with the id: two records may agree in all that stands before";
            self.paths.cx.error("rank-not-total", origin, "this order is not total", help);
            self.sound = false;
        }
    }

    /// Names may be nested: `company.name` is a member of `company`.
    fn provides(&mut self, entries: &[Entry], above: &str) {
        for entry in entries {
            let text = if above.is_empty() { entry.key.to_string() } else { format!("{above}.{}", entry.key) };
            if WORDS.contains(&&*entry.key) {
                let message = format!("`{}` is a word of expressions", entry.key);
                self.error("reserved-name", entry.key_origin, &message, "a field cannot be called like that");
                continue;
            }
            let nested = entry.value.as_table().filter(|table| !table.keys().any(|key| WORDS.contains(&key)));
            if let Some(table) = nested {
                self.provides(&table.entries, &text);
                continue;
            }
            let Some((name, ty)) = self.target(&text, entry.key_origin) else {
                self.sound = false;
                continue;
            };
            match Expression::compile(&entry.value, ty, &self.paths) {
                Some(expression) => {
                    self.record.provides.retain(|(known, _)| *known != name);
                    self.record.provides.push((name, expression));
                }
                None => self.sound = false,
            }
        }
    }

    fn target(&mut self, text: &str, origin: Origin) -> Option<(NameId, Type)> {
        let scope = self.paths.cx.scope;
        if text.split('.').any(is_never) {
            self.error("never-field", origin, &format!("`{text}` is never taken in"), "");
            return None;
        }
        if text.starts_with("own.") {
            return Some((scope.name(text, origin)?, Type::Any));
        }
        let names = scope.names.borrow();
        let field =
            names.get(text).map(|id| (id, names.name(id))).filter(|(_, name)| matches!(name.kind, Kind::Field(_)));
        let Some((id, name)) = field else {
            let fields =
                names.iter().filter(|(_, name)| matches!(name.kind, Kind::Field(_))).map(|(_, name)| &*name.text);
            let help = did_you_mean(text, fields).unwrap_or_else(|| {
                format!("ids of this source are `own.{text}`; new fields are declared in `[fields]`")
            });
            drop(names);
            self.error("unknown-field", origin, &format!("`{text}` is not a field"), &help);
            return None;
        };
        let (id, ty) = (id, name.ty);
        drop(names);
        if matches!(ty, Type::Records(_)) {
            self.error(
                "field-type",
                origin,
                &format!("`{text}` is a list of records"),
                &format!("write it as `list.{text}`"),
            );
            return None;
        }
        Some((id, ty))
    }

    fn list(&mut self, entry: &Entry) -> Option<()> {
        let scope = self.paths.cx.scope;
        let known = {
            let names = scope.names.borrow();
            names.get(&entry.key).and_then(|id| match names.name(id).ty {
                Type::Records(members) => Some((id, members)),
                _ => None,
            })
        };
        let Some((field, members)) = known else {
            let names = scope.names.borrow();
            let lists =
                names.iter().filter(|(_, name)| matches!(name.ty, Type::Records(_))).map(|(_, name)| &*name.text);
            let help = did_you_mean(&entry.key, lists);
            let message = format!("`{}` is not a list of records", entry.key);
            scope.diagnostics.error_help("unknown-field", entry.key_origin, message, help);
            return None;
        };
        let reader = Reader::of(&entry.value, scope.diagnostics)?;
        let from = match reader.node("from") {
            Some(node) => Some(self.paths.path(reader.text("from")?, node.origin)?),
            None => None,
        };
        let Some(item) = reader.table("item") else {
            reader.missing("item");
            return None;
        };
        if from.is_some() {
            self.paths.shapes.borrow_mut().element = Some(Shape::default());
        }
        let conditions = self.conditions(&reader);
        let items = self.items(&item, members);
        let element = self.paths.shapes.borrow_mut().element.take();
        reader.finish();
        let from = from.zip(element).map(|part| {
            self.from.push(part);
            self.from.len() - 1
        });
        self.record.lists.retain(|list| list.field != field);
        self.record.lists.push(List { field, from, conditions: conditions?, items: items?, most: MAX_ENTRIES });
        Some(())
    }

    fn items(&mut self, item: &Reader<'_>, members: &[(&'static str, Type)]) -> Option<Vec<(Arc<str>, Expression)>> {
        let mut items = Vec::new();
        let mut sound = true;
        for (member, ty) in members {
            let Some(node) = item.node(member) else { continue };
            match Expression::compile(node, *ty, &self.paths) {
                Some(expression) => items.push((Arc::from(*member), expression)),
                None => sound = false,
            }
        }
        for entry in item.table.entries.iter().filter(|e| !members.iter().any(|(name, _)| *name == &*e.key)) {
            let help = did_you_mean(&entry.key, members.iter().map(|(name, _)| *name)).unwrap_or_else(|| {
                format!("its members are {}", members.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", "))
            });
            let message = format!("`{}` is not a member of this list's entries", entry.key);
            self.error("unknown-field", entry.key_origin, &message, &help);
            sound = false;
        }
        if item.node("id").is_none() {
            let help = "entries of several sources are united by their id";
            self.error("list-without-id", item.origin, "the entries of this list have no `id`", help);
            return None;
        }
        sound.then_some(items)
    }

    /// `exact`: the source itself promises that only the person asked for comes back.
    fn exact(&mut self, operation: &Reader<'_>) {
        let exact = operation.bool("exact").unwrap_or(false);
        let names = self.paths.cx.scope.names.borrow();
        let is_person = |(name, _): &(NameId, Expression)| {
            let text = names.text(*name);
            PERSON.contains(name) || text.ends_with(".contact_id") || text.ends_with(".lead_id")
        };
        let record = &self.record;
        self.record.exact_person =
            exact && (record.by_phone || record.by_email) && record.provides.iter().any(is_person);
    }

    fn finish(mut self, records: Option<&Node>, operation: &Reader<'_>, shared: Option<&Reader<'_>>) -> Option<Record> {
        let select = match operation.node("select") {
            Some(_) => operation.text("select"),
            None => shared.and_then(|shared| shared.text("select")),
        };
        if let Some(shared) = shared {
            let _ = shared.node("select");
        }
        if self.record.verifies() && !self.record.exact_person {
            let (phones, emails) = (!self.record.phones.is_empty(), !self.record.emails.is_empty());
            let proved = (self.record.by_phone && phones) || (self.record.by_email && emails);
            if !proved {
                let help = "name the paths of what is searched for, in `phones` or `emails`";
                let message = "nothing that is searched for is among what proves a hit";
                self.error("unverified-search", operation.origin, message, help);
            }
        }
        let path = match records {
            Some(node) => self.paths.path(operation.text("records")?, node.origin)?,
            None => Vec::new(),
        };
        let Shapes { record: mut shape, used, tables, .. } = self.paths.shapes.take();
        for (steps, element) in self.from {
            shape.list(&steps, element);
        }
        let mut root = Shape::default();
        root.list(&path, shape);
        let names = self.paths.cx.scope.names.borrow();
        let mut record = self.record;
        record.shape = root;
        record.tables = tables;
        record.tables.sort_unstable();
        record.tables.dedup();
        if let Some(pattern) = select {
            record.select = selected(pattern, &used);
        }
        record.id = id(&record.provides, &names);
        record.gives =
            record.provides.iter().map(|(name, _)| *name).chain(record.lists.iter().map(|l| l.field)).collect();
        self.sound.then_some(record)
    }

    fn error(&mut self, code: &'static str, origin: Origin, message: &str, help: &str) {
        self.paths.cx.error(code, origin, message, help);
        self.sound = false;
    }
}

/// `own.contact_id`, else the first own id, else an id that every source shares.
fn id(provides: &[(NameId, Expression)], names: &Names) -> Option<NameId> {
    let find = |test: &dyn Fn(NameId) -> bool| provides.iter().map(|(name, _)| *name).find(|name| test(*name));
    find(&|name| matches!(names.name(name).kind, Kind::Own { .. }) && names.text(name).ends_with(".contact_id"))
        .or_else(|| find(&|name| matches!(names.name(name).kind, Kind::Own { .. })))
        .or_else(|| find(&|name| name == canonical("customer_id") || name == canonical("account_id")))
}

/// The names that a pattern takes out of the paths of a record: `*` is a member's name, `**` the
/// whole path. What follows an `@` is an annotation, not a name.
fn selected(pattern: &str, used: &[Vec<Step>]) -> Vec<Arc<str>> {
    let (prefix, whole) = match pattern.strip_suffix("**") {
        Some(prefix) => (prefix, true),
        None => (pattern.strip_suffix('*').unwrap_or(pattern), false),
    };
    let prefix: Vec<&str> = prefix.split('.').filter(|part| !part.is_empty()).collect();
    let mut names: Vec<Arc<str>> = Vec::new();
    for path in used {
        let members = path.iter().map_while(|step| match step {
            Step::Member(name) => Some(&**name),
            _ => None,
        });
        let members: Vec<&str> = members.collect();
        let Some(rest) = members.strip_prefix(prefix.as_slice()).filter(|rest| !rest.is_empty()) else { continue };
        let name = if whole { rest.join(".") } else { rest.first().map_or(String::new(), |name| (*name).to_owned()) };
        let name = name.split('@').next().unwrap_or("");
        if !name.is_empty() && !names.iter().any(|known| &**known == name) {
            names.push(name.into());
        }
    }
    names
}
