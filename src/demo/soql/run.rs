//! Running a parsed query over records in memory. Names are found without regard to case and
//! answered as the schema spells them; text compares without case.

use std::cmp::Ordering;

use serde_json::{Map, Value, json};

use super::{Condition, Literal, Operator, Order, PERCENT, Query, Selected, SoqlError, UNDERSCORE};

pub type Record = Map<String, Value>;

/// One type of object and its records.
pub struct Table {
    pub name: &'static str,
    pub fields: &'static [&'static str],
    /// Relationship, the field that holds the parent's id, the parent's type.
    pub parents: &'static [(&'static str, &'static str, &'static str)],
    /// Relationship, the children's type, their field that holds our id.
    pub children: &'static [(&'static str, &'static str, &'static str)],
    pub records: Vec<Record>,
}

/// All tables of one organization, and the API version for the addresses of records.
pub struct Org {
    pub tables: Vec<Table>,
    pub version: &'static str,
}

impl Org {
    /// The records of the answer, in the order of the query.
    pub fn run(&self, query: &Query) -> Result<Vec<Value>, SoqlError> {
        let table = self.table(&query.from).ok_or_else(|| no_type(&query.from))?;
        self.rows(query, table, table.records.iter().collect())
    }

    /// What the query would select of a record that it did not find.
    pub fn one(&self, query: &Query, record: &Record) -> Result<Value, SoqlError> {
        let table = self.table(&query.from).ok_or_else(|| no_type(&query.from))?;
        self.row(&query.select, table, record)
    }

    fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|t| t.name.eq_ignore_ascii_case(name))
    }

    fn rows(&self, query: &Query, table: &Table, mut records: Vec<&Record>) -> Result<Vec<Value>, SoqlError> {
        if let Some(filter) = &query.filter {
            self.check(filter, table)?;
            records.retain(|record| self.holds(filter, table, record));
        }
        for order in &query.order {
            self.field(table, &order.path)?;
        }
        // The vendor promises no order without ORDER BY; records stay as they were made.
        records.sort_by(|a, b| self.compare(&query.order, table, a, b));
        let page = records.into_iter().skip(query.offset).take(query.limit.unwrap_or(usize::MAX));
        // One empty run so that a wrong field is refused although nothing is found.
        self.row(&query.select, table, &Record::new())?;
        page.map(|record| self.row(&query.select, table, record)).collect()
    }

    fn row(&self, select: &[Selected], table: &Table, record: &Record) -> Result<Value, SoqlError> {
        let mut out = attributes(self.version, table.name, record);
        for selected in select {
            match selected {
                Selected::Path(path) => self.put(path, table, Some(record), &mut out)?,
                Selected::Children(query) => {
                    let wanted = |(name, ..): &&(&str, &str, &str)| name.eq_ignore_ascii_case(&query.from);
                    let child = table.children.iter().find(wanted).ok_or_else(|| no_children(&query.from))?;
                    let (name, kind, key) = *child;
                    let table = self.table(kind).ok_or_else(|| no_type(kind))?;
                    let id = record.get("Id");
                    let own = table.records.iter().filter(|r| id.is_some() && r.get(key) == id).collect();
                    let rows = self.rows(query, table, own)?;
                    let value = match rows.len() {
                        0 => Value::Null,
                        n => json!({ "totalSize": n, "done": true, "records": rows }),
                    };
                    out.insert(name.to_owned(), value);
                }
            }
        }
        Ok(out.into())
    }

    /// Puts one selected field into the answer, nested below its relationships.
    fn put(&self, path: &[String], table: &Table, record: Option<&Record>, out: &mut Record) -> Result<(), SoqlError> {
        let [name, rest @ ..] = path else { return Ok(()) };
        if rest.is_empty() {
            let field = known_field(table, name)?;
            let value = record.and_then(|r| r.get(field)).cloned().unwrap_or(Value::Null);
            out.insert(field.to_owned(), value);
            return Ok(());
        }
        let (relationship, parent, kind) = self.parent(table, name, record)?;
        let below = out.entry(relationship).or_insert_with(|| match parent {
            Some(parent) => attributes(self.version, kind.name, parent).into(),
            None => Value::Null,
        });
        match below {
            Value::Object(below) => self.put(rest, kind, parent, below),
            // No parent: the relationship is null, but its fields must exist.
            _ => self.put(rest, kind, None, &mut Record::new()),
        }
    }

    /// The relationship's name, the parent's record and its table.
    fn parent(
        &self,
        table: &Table,
        relationship: &str,
        record: Option<&Record>,
    ) -> Result<(&'static str, Option<&Record>, &Table), SoqlError> {
        let wanted = |(name, ..): &&(&str, &str, &str)| name.eq_ignore_ascii_case(relationship);
        let found = table.parents.iter().find(wanted);
        let (name, key, kind) = *found.ok_or_else(|| no_relationship(relationship, table.name))?;
        let kind = self.table(kind).ok_or_else(|| no_type(kind))?;
        let id = record.and_then(|r| r.get(key)).filter(|id| !id.is_null());
        let parent = id.and_then(|id| kind.records.iter().find(|r| r.get("Id") == Some(id)));
        Ok((name, parent, kind))
    }

    fn field(&self, table: &Table, path: &[String]) -> Result<(), SoqlError> {
        self.put(path, table, None, &mut Record::new())
    }

    fn value(&self, table: &Table, path: &[String], record: &Record) -> Value {
        let mut out = Record::new();
        if self.put(path, table, Some(record), &mut out).is_err() {
            return Value::Null;
        }
        let mut value = Value::Object(out);
        for _ in path {
            // `attributes` comes first in nested records, the one field after it.
            value = match value {
                Value::Object(members) => members.into_iter().next_back().map_or(Value::Null, |(_, v)| v),
                other => other,
            };
        }
        value
    }

    fn check(&self, condition: &Condition, table: &Table) -> Result<(), SoqlError> {
        match condition {
            Condition::All(terms) | Condition::Any(terms) => terms.iter().try_for_each(|t| self.check(t, table)),
            Condition::Not(term) => self.check(term, table),
            Condition::Compare { path, .. } => self.field(table, path),
        }
    }

    fn holds(&self, condition: &Condition, table: &Table, record: &Record) -> bool {
        match condition {
            Condition::All(terms) => terms.iter().all(|t| self.holds(t, table, record)),
            Condition::Any(terms) => terms.iter().any(|t| self.holds(t, table, record)),
            Condition::Not(term) => !self.holds(term, table, record),
            Condition::Compare { path, operator, literals } => {
                let value = self.value(table, path, record);
                let equal = || literals.iter().any(|l| matches(&value, l) == Some(Ordering::Equal));
                let ordering = || literals.first().and_then(|l| matches(&value, l));
                match operator {
                    Operator::Equal | Operator::In => equal(),
                    Operator::NotEqual | Operator::NotIn => !equal(),
                    Operator::Less => ordering().is_some_and(Ordering::is_lt),
                    Operator::LessOrEqual => ordering().is_some_and(Ordering::is_le),
                    Operator::Greater => ordering().is_some_and(Ordering::is_gt),
                    Operator::GreaterOrEqual => ordering().is_some_and(Ordering::is_ge),
                    Operator::Like => match (&value, literals.first()) {
                        (Value::String(text), Some(Literal::Text(pattern))) => {
                            like(&text.to_lowercase(), &pattern.to_lowercase())
                        }
                        _ => false,
                    },
                }
            }
        }
    }

    fn compare(&self, order: &[Order], table: &Table, a: &Record, b: &Record) -> Ordering {
        for Order { path, descending, nulls_last } in order {
            let (a, b) = (self.value(table, path, a), self.value(table, path, b));
            let ordering = match (a.is_null(), b.is_null()) {
                (true, true) => Ordering::Equal,
                (true, false) if *nulls_last => Ordering::Greater,
                (true, false) => Ordering::Less,
                (false, true) if *nulls_last => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) if *descending => size(&b, &a),
                (false, false) => size(&a, &b),
            };
            if ordering.is_ne() {
                return ordering;
            }
        }
        Ordering::Equal
    }
}

/// The fields of one record, for searches that answer records without a query.
pub fn fields_of(org: &Org, table: &Table, record: &Record, fields: &[&str]) -> Result<Value, SoqlError> {
    let select: Vec<Selected> =
        fields.iter().map(|f| Selected::Path(f.split('.').map(str::to_owned).collect())).collect();
    org.row(&select, table, record)
}

fn attributes(version: &str, kind: &str, record: &Record) -> Record {
    let id = record.get("Id").and_then(Value::as_str).unwrap_or("");
    let url = format!("/services/data/{version}/sobjects/{kind}/{id}");
    Record::from_iter([("attributes".to_owned(), json!({ "type": kind, "url": url }))])
}

/// How a value stands to a literal; none when they cannot be compared.
fn matches(value: &Value, literal: &Literal) -> Option<Ordering> {
    match (value, literal) {
        (Value::Null, Literal::Null) => Some(Ordering::Equal),
        // An empty text in a query means no value.
        (Value::Null, Literal::Text(text)) if text.is_empty() => Some(Ordering::Equal),
        (Value::String(a), Literal::Text(b)) => {
            let plain = b.replace(PERCENT, "%").replace(UNDERSCORE, "_");
            Some(a.to_lowercase().cmp(&plain.to_lowercase()))
        }
        // Dates and times of one form sort as text; offsets are all UTC.
        (Value::String(a), Literal::Time(b)) => Some(cut(a).cmp(cut(b))),
        (Value::Bool(a), Literal::Bool(b)) => Some(a.cmp(b)),
        (Value::Number(a), Literal::Number(b)) => a.as_f64().map(|a| a.total_cmp(b)),
        _ => None,
    }
}

fn cut(time: &str) -> &str {
    time.get(..19).unwrap_or(time)
}

fn size(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().unwrap_or(0.0).total_cmp(&b.as_f64().unwrap_or(0.0)),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (a, b) => a.as_str().unwrap_or("").to_lowercase().cmp(&b.as_str().unwrap_or("").to_lowercase()),
    }
}

fn like(text: &str, pattern: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('%') => text
            .char_indices()
            .map(|(i, _)| i)
            .chain([text.len()])
            .any(|i| text.get(i..).is_some_and(|tail| like(tail, rest.as_str()))),
        Some(wanted) => {
            let mut chars = text.chars();
            let fits = chars.next().is_some_and(|c| match wanted {
                '_' => true,
                PERCENT => c == '%',
                UNDERSCORE => c == '_',
                wanted => c == wanted,
            });
            fits && like(chars.as_str(), rest.as_str())
        }
    }
}

fn known_field(table: &Table, name: &str) -> Result<&'static str, SoqlError> {
    let found = table.fields.iter().find(|f| f.eq_ignore_ascii_case(name));
    found.copied().ok_or_else(|| SoqlError {
        code: "INVALID_FIELD",
        message: format!(
            "No such column '{name}' on entity '{}'. If you are attempting to use a custom field, be sure to append \
             the '__c' after the custom field name.",
            table.name
        ),
    })
}

fn no_relationship(name: &str, on: &str) -> SoqlError {
    let message = format!("Didn't understand relationship '{name}' in field path on entity '{on}'.");
    SoqlError { code: "INVALID_FIELD", message }
}

fn no_children(name: &str) -> SoqlError {
    let message = format!("Didn't understand relationship '{name}' in FROM part of query call.");
    SoqlError { code: "INVALID_TYPE", message }
}

fn no_type(name: &str) -> SoqlError {
    SoqlError { code: "INVALID_TYPE", message: format!("sObject type '{name}' is not supported.") }
}
