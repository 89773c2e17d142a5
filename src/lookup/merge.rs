//! Readings into one context: who wins per field, who the caller is, what everybody agrees on.
//! Pure and deterministic: the order in which readings arrived changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::Merge;
use crate::domain::context::{Candidate, Field, OperationReport};
use crate::domain::field::{Kind, Type};
use crate::domain::{
    Class, Hit, LookupStatus, Match, NameId, Outcome, Reading, Skip, SourceId, SourceReport, SourceState, Value,
    canonical,
};
use crate::manifest::plan::{Operation, OperationId, Plan};

/// What is known of one operation of an assembly.
#[derive(Debug, Clone, Default)]
pub enum Progress {
    /// Its inputs are not there yet, or it has just not ended.
    #[default]
    Pending,
    Ended(Ended),
    /// Another operation made it needless (the first of a fallback pair found somebody, a
    /// secondary's primary answered). It is not reported.
    NotAsked,
}

#[derive(Debug, Clone)]
pub struct Ended {
    pub outcome: Outcome,
    /// When the reading used was made.
    pub read_at: Timestamp,
    /// The reading is older than its fresh window; the outcome is what was kept.
    pub stale: bool,
    pub started: Option<Duration>,
    pub took: Option<Duration>,
}

/// The facts that a merge is made of.
pub struct Facts<'a> {
    pub plan: &'a Plan,
    pub merge: &'a Merge,
    /// By operation, in the order of the plan.
    pub progress: &'a [Progress],
}

/// The result of a merge; the engine adds identity, organization and revision.
#[derive(Debug)]
pub struct Merged {
    pub status: LookupStatus,
    pub verdict: Match,
    pub candidates: Vec<Candidate>,
    pub fields: Vec<Field>,
    pub ids: Vec<(NameId, Value)>,
    pub sources: Vec<SourceReport>,
    pub newest: Option<Timestamp>,
}

/// Candidates shown of an ambiguous match.
const MAX_CANDIDATES: usize = 10;
/// Entries of a list field, after the union over sources.
const MAX_ENTRIES: usize = 20;

const NAME: NameId = canonical("name");
const EMAIL: NameId = canonical("email");
const EMAILS: NameId = canonical("emails");
const COMPANY: NameId = canonical("company.name");
const SHARED_LINE: NameId = canonical("shared_line");

/// A reading in use, with whose it is.
struct Used<'a> {
    source: SourceId,
    operation: &'a Operation,
    reading: &'a Reading,
    read_at: Timestamp,
}

impl Facts<'_> {
    pub fn merged(&self) -> Merged {
        let used = self.used();
        let people = clusters(&self.hits(&used));
        let verdict = self.verdict(&used, &people);
        let sources = self.reports();
        let (fields, ids) = if verdict == Match::Unique || people.is_empty() {
            (self.fields(&used), ids(&used, self.plan))
        } else {
            (self.agreed(&used, &people, verdict), Vec::new())
        };
        let candidates = if people.len() > 1 { candidates(&people) } else { Vec::new() };
        Merged {
            status: status(&sources),
            verdict,
            candidates,
            fields: self.with_defaults(fields, &sources),
            ids,
            sources,
            newest: used.iter().map(|u| u.read_at).max(),
        }
    }

    fn operations(&self) -> impl Iterator<Item = (OperationId, &Operation, &Progress)> {
        self.plan.operations().zip(self.progress).map(|((id, operation), progress)| (id, operation, progress))
    }

    fn used(&self) -> Vec<Used<'_>> {
        self.operations()
            .filter_map(|(_, operation, progress)| match progress {
                Progress::Ended(Ended { outcome: Outcome::Found(reading), read_at, .. }) => {
                    Some(Used { source: operation.source, operation, reading, read_at: *read_at })
                }
                _ => None,
            })
            .collect()
    }

    /// The hits of all identifying readings, those of the source with the highest priority first.
    fn hits<'a>(&self, used: &[Used<'a>]) -> Vec<(SourceId, &'a Hit)> {
        let mut hits: Vec<_> = used
            .iter()
            .filter(|u| u.operation.identifying())
            .flat_map(|u| u.reading.hits.iter().map(|hit| (u.source, hit)))
            .collect();
        hits.sort_by_key(|(source, _)| self.rank(None, *source)); // stable: within a source the vendor's rank stays
        hits
    }

    fn verdict(&self, used: &[Used<'_>], people: &[Vec<(SourceId, &Hit)>]) -> Match {
        let vendor_says_several = used.iter().any(|u| u.operation.identifying() && u.reading.ambiguous);
        match people.len() {
            0 => Match::None,
            1 if !vendor_says_several => Match::Unique,
            _ => {
                let shared_line = used.iter().any(|u| u.reading.get(SHARED_LINE) == Some(&Value::Bool(true)));
                if shared_line || one_company(people) { Match::SharedLine } else { Match::Ambiguous }
            }
        }
    }

    /// The place of a source in the order for a field; lower wins.
    fn rank(&self, name: Option<NameId>, source: SourceId) -> (usize, SourceId) {
        let order = name.and_then(|name| self.merge.fields.get(&name)).unwrap_or(&self.merge.order);
        (order.iter().position(|s| *s == source).unwrap_or(usize::MAX), source)
    }

    fn fields(&self, used: &[Used<'_>]) -> Vec<Field> {
        let mut values: BTreeMap<NameId, Vec<(SourceId, &Value, Timestamp)>> = BTreeMap::new();
        for used in used {
            for (name, value) in used.reading.values.iter().filter(|(n, v)| self.is_field(*n) && !v.is_missing()) {
                values.entry(*name).or_default().push((used.source, value, used.read_at));
            }
        }
        let mut fields = Vec::with_capacity(values.len()); // contexts are kept: no room to spare
        fields.extend(values.into_iter().filter_map(|(name, values)| self.field(name, values)));
        fields
    }

    /// The winner of a field; lists are united, everything else is won by priority.
    fn field(&self, name: NameId, mut values: Vec<(SourceId, &Value, Timestamp)>) -> Option<Field> {
        values.sort_by_key(|(source, ..)| self.rank(Some(name), *source));
        let (source, first, read_at) = *values.first()?;
        let conflicts = Vec::new();
        match self.plan.names.name(name).ty {
            Type::Records(_) | Type::TextList | Type::EmailList | Type::PhoneList => {
                let value = union(values.iter().map(|(_, value, _)| *value));
                let read_at = values.iter().map(|(.., at)| *at).min().unwrap_or(read_at);
                Some(Field { name, value, source, read_at, default: false, conflicts })
            }
            _ => {
                let mut field = Field { name, value: first.clone(), source, read_at, default: false, conflicts };
                for (source, value, _) in values.into_iter().skip(1) {
                    if !same(first, value) {
                        field.conflicts.push((source, value.clone()));
                    }
                }
                Some(field)
            }
        }
    }

    /// What may be said when it is not certain who calls: what all who fit have in common, and
    /// what does not depend on the person. Of a shared line also the company's public card.
    fn agreed(&self, used: &[Used<'_>], people: &[Vec<(SourceId, &Hit)>], verdict: Match) -> Vec<Field> {
        let hits = || people.iter().flatten().map(|(_, hit)| *hit);
        let everybody_says = |name: NameId, value: &Value| {
            hits().filter_map(|hit| hit_value(hit, name)).all(|other| same(other, value))
                && people.iter().all(|person| person.iter().any(|(_, hit)| hit_value(hit, name).is_some()))
        };
        let mut agreed = self.fields(used);
        agreed.retain_mut(|field| {
            field.conflicts.clear();
            let of = |u: &&Used<'_>| u.source == field.source && u.reading.get(field.name).is_some();
            let Some(used) = used.iter().find(of) else { return false };
            if used.operation.identifying() {
                return everybody_says(field.name, &field.value);
            }
            let public = self.plan.names.class(field.name) == Some(Class::Public);
            !self.about_a_person(used.operation) || verdict == Match::SharedLine && public
        });
        agreed
    }

    /// Whether an operation asks about somebody, and not about a place or a service.
    fn about_a_person(&self, operation: &Operation) -> bool {
        operation
            .inputs
            .iter()
            .any(|name| matches!(self.plan.names.name(*name).kind, Kind::Field(_) | Kind::Own { .. }))
    }

    fn is_field(&self, name: NameId) -> bool {
        matches!(self.plan.names.name(name).kind, Kind::Field(_))
    }

    /// Configured values of sources that failed, where nobody else said anything.
    fn with_defaults(&self, mut fields: Vec<Field>, sources: &[SourceReport]) -> Vec<Field> {
        for report in sources.iter().filter(|r| has_failed(&r.state)) {
            let settings = self.plan.source(report.source);
            for (name, value) in &settings.defaults {
                if let Err(place) = fields.binary_search_by_key(name, |f| f.name) {
                    let read_at = Timestamp::UNIX_EPOCH;
                    let field = Field {
                        name: *name,
                        value: value.clone(),
                        source: report.source,
                        read_at,
                        default: true,
                        conflicts: Vec::new(),
                    };
                    fields.insert(place, field);
                }
            }
        }
        fields
    }

    fn reports(&self) -> Vec<SourceReport> {
        self.plan.source_ids().filter_map(|source| self.report(source)).collect()
    }

    fn report(&self, source: SourceId) -> Option<SourceReport> {
        let count = self.plan.operations.iter().filter(|o| o.source == source).count();
        let mut report = SourceReport {
            source,
            state: SourceState::Skipped(Skip::NotConnected),
            read_at: None,
            took: None,
            stale: false,
            operations: Vec::with_capacity(count),
        };
        let mut states = Vec::new();
        for (_, operation, progress) in self.operations().filter(|(_, o, _)| o.source == source) {
            let (state, ended) = match progress {
                Progress::NotAsked => continue,
                Progress::Pending => (SourceState::Pending, None),
                Progress::Ended(ended) => (SourceState::of(&ended.outcome), Some(ended)),
            };
            if let Some(ended) = ended {
                if matches!(state, SourceState::Found) {
                    report.read_at = Some(report.read_at.map_or(ended.read_at, |at| at.min(ended.read_at)));
                    report.stale |= ended.stale;
                }
                let until = ended.started.zip(ended.took).map(|(started, took)| started + took);
                report.took = report.took.max(until);
            }
            states.push(state.clone());
            report.operations.push(OperationReport {
                name: operation.name.clone(),
                state,
                started: ended.and_then(|e| e.started),
                took: ended.and_then(|e| e.took),
            });
        }
        report.state = summary(&states)?;
        Some(report)
    }
}

/// A source's state from those of its operations: what somebody has to know first. An operation
/// without its inputs says something only when no other one does.
pub fn summary(states: &[SourceState]) -> Option<SourceState> {
    let first = |test: fn(&SourceState) -> bool| states.iter().find(|s| test(s));
    first(|s| matches!(s, SourceState::Failed(_)))
        .or_else(|| first(|s| matches!(s, SourceState::Skipped(Skip::Tripped | Skip::Limited | Skip::NotConnected))))
        .or_else(|| first(|s| matches!(s, SourceState::Found)))
        .or_else(|| first(|s| matches!(s, SourceState::Pending)))
        .or_else(|| first(|s| matches!(s, SourceState::NotFound)))
        .or_else(|| states.first())
        .cloned()
}

/// The source gave nothing although it should have.
pub fn has_failed(state: &SourceState) -> bool {
    matches!(state, SourceState::Failed(_) | SourceState::Skipped(Skip::Tripped | Skip::Limited))
}

/// How a lookup went as a whole, as far as these reports go.
pub fn status(sources: &[SourceReport]) -> LookupStatus {
    let answered =
        |r: &SourceReport| r.operations.iter().any(|o| matches!(o.state, SourceState::Found | SourceState::NotFound));
    let lacking =
        |r: &SourceReport| has_failed(&r.state) || r.operations.iter().any(|o| o.state == SourceState::Pending);
    if !sources.iter().any(answered) {
        LookupStatus::Failed
    } else if sources.iter().any(|r| r.stale) {
        LookupStatus::Stale
    } else if sources.iter().any(lacking) {
        LookupStatus::Partial
    } else {
        LookupStatus::Complete
    }
}

fn ids(used: &[Used<'_>], plan: &Plan) -> Vec<(NameId, Value)> {
    let own = |name: NameId| matches!(plan.names.name(name).kind, Kind::Own { .. });
    let mut ids: Vec<(NameId, Value)> = Vec::new();
    for (name, value) in used.iter().flat_map(|u| &u.reading.values).filter(|(n, v)| own(*n) && !v.is_missing()) {
        if !ids.iter().any(|(known, _)| known == name) {
            ids.push((*name, value.clone()));
        }
    }
    ids
}

/// Hits that are the same person, best first; so many clusters, so many people. Deterministic:
/// hits come in order of priority and rank, and each joins the first person it fits.
pub fn clusters<'a>(hits: &[(SourceId, &'a Hit)]) -> Vec<Vec<(SourceId, &'a Hit)>> {
    let mut people: Vec<Vec<(SourceId, &Hit)>> = Vec::new();
    for (source, hit) in hits {
        match people.iter_mut().find(|person| person.iter().all(|(of, other)| same_person(*source == *of, hit, other)))
        {
            Some(person) => person.push((*source, hit)),
            None => people.push(vec![(*source, hit)]),
        }
    }
    people
}

/// Two records of one source are one person when they share an address. Records of two sources
/// are, unless both addresses and names say otherwise.
fn same_person(one_source: bool, a: &Hit, b: &Hit) -> bool {
    let (mine, theirs) = (emails(a), emails(b));
    if mine.iter().any(|m| theirs.contains(m)) {
        return true;
    }
    let names = hit_value(a, NAME).zip(hit_value(b, NAME));
    let same_name = names.is_some_and(|(a, b)| same(a, b));
    if one_source {
        return same_name && (mine.is_empty() || theirs.is_empty());
    }
    same_name || names.is_none() && (mine.is_empty() || theirs.is_empty())
}

fn emails(hit: &Hit) -> Vec<&str> {
    let mut emails: Vec<&str> = hit.emails.iter().map(|e| e.as_str()).collect();
    for value in [hit_value(hit, EMAIL), hit_value(hit, EMAILS)].into_iter().flatten() {
        match value {
            Value::Email(email) => emails.push(email.as_str()),
            Value::List(list) => emails.extend(list.iter().filter_map(|v| match v {
                Value::Email(email) => Some(email.as_str()),
                _ => None,
            })),
            _ => {}
        }
    }
    emails
}

fn hit_value(hit: &Hit, name: NameId) -> Option<&Value> {
    hit.values.iter().find(|(n, v)| *n == name && !v.is_missing()).map(|(_, v)| v)
}

fn one_company(people: &[Vec<(SourceId, &Hit)>]) -> bool {
    let company = |person: &Vec<(SourceId, &Hit)>| person.iter().find_map(|(_, hit)| hit_value(hit, COMPANY)).cloned();
    let Some(first) = people.first().and_then(company) else { return false };
    people.iter().all(|person| company(person).is_some_and(|other| same(&first, &other)))
}

fn candidates(people: &[Vec<(SourceId, &Hit)>]) -> Vec<Candidate> {
    let best = |person: &Vec<(SourceId, &Hit)>| {
        person.first().map(|(source, hit)| (hit.extension_matches, *source, hit.values.clone()))
    };
    let mut best: Vec<_> = people.iter().filter_map(best).collect();
    best.sort_by_key(|(extension, ..)| !extension); // stable
    best.into_iter().take(MAX_CANDIDATES).map(|(_, source, values)| Candidate { source, values }).collect()
}

/// Equal for people: texts without case and outer blanks.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.trim().to_lowercase() == b.trim().to_lowercase(),
        (a, b) => a == b,
    }
}

/// Lists united in order of priority: entries by their `id`, plain values by themselves.
fn union<'a>(lists: impl Iterator<Item = &'a Value>) -> Value {
    let mut entries: Vec<&Value> = Vec::new();
    for list in lists {
        let Value::List(list) = list else { continue };
        for entry in list.iter() {
            let known = entries.iter().any(|known| match (known.member("id"), entry.member("id")) {
                (Some(a), Some(b)) => a.to_text() == b.to_text(),
                _ => same(known, entry),
            });
            if !known && entries.len() < MAX_ENTRIES {
                entries.push(entry);
            }
        }
    }
    Value::List(entries.into_iter().cloned().collect())
}

impl SourceState {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Found(_) => Self::Found,
            Outcome::NotFound(_) => Self::NotFound,
            Outcome::Failed(failure) => Self::Failed(failure.clone()),
            Outcome::Skipped(skip) => Self::Skipped(skip.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, load_str};
    use crate::domain::Email;

    /// Three sources that say who somebody is, each with one lookup.
    fn config(order: &str) -> Config {
        let mut text = format!("[merge]\norder = {order}\n");
        for source in ["a", "b", "c"] {
            text.push_str(&format!(
                "[sources.{source}]\nconnector = \"http\"\nbase_url = \"https://{source}.example.com\"\nauth.none = {{}}\n\
                 [sources.{source}.lookup.person]\nneeds = [\"phone\"]\nget = \"/people/{{phone}}\"\nexact = true\n\
                 provides = {{ name = \"name\", email = \"email\", title = \"title\", tags = \"tag\", \
                 company.name = \"company\" }}\n"
            ));
        }
        load_str(&text).unwrap_or_else(|invalid| panic!("{invalid}")).config
    }

    fn value(name: &str, text: &str) -> (NameId, Value) {
        let value = match name {
            "email" => Value::Email(Email::parse(text).unwrap()),
            "tags" => Value::List(text.split(' ').map(Value::text).collect()),
            _ => Value::text(text),
        };
        (canonical_of(name), value)
    }

    fn canonical_of(name: &str) -> NameId {
        crate::domain::Names::default().get(name).unwrap()
    }

    fn person(values: &[(&str, &str)]) -> Hit {
        Hit { values: values.iter().map(|(name, text)| value(name, text)).collect(), ..Hit::default() }
    }

    fn found(hits: Vec<Hit>) -> Progress {
        let values = hits.first().map(|hit| hit.values.clone()).unwrap_or_default();
        ended(Outcome::Found(Arc::new(Reading { values, hits, ..Reading::default() })))
    }

    fn ended(outcome: Outcome) -> Progress {
        let read_at = Timestamp::UNIX_EPOCH;
        Progress::Ended(Ended { outcome, read_at, stale: false, started: None, took: None })
    }

    /// Merges what the sources of the configuration said, by their name.
    fn merged(config: &Config, said: &[(&str, Progress)]) -> Merged {
        let mut progress = vec![Progress::Pending; config.plan.operations.len()];
        for ((_, operation), place) in config.plan.operations().zip(&mut progress) {
            let source = &config.plan.source(operation.source).name;
            if let Some((_, of_source)) = said.iter().find(|(name, _)| *name == &**source) {
                *place = of_source.clone();
            }
        }
        Facts { plan: &config.plan, merge: &config.merge, progress: &progress }.merged()
    }

    fn text(merged: &Merged, name: &str) -> Option<String> {
        let field = merged.fields.iter().find(|f| f.name == canonical_of(name))?;
        field.value.to_text().map(|text| text.into_owned())
    }

    #[test]
    fn who_fits_decides_the_verdict() {
        let ann = || person(&[("name", "Ann Lee"), ("email", "ann@example.com"), ("company.name", "Acme")]);
        let bob = || person(&[("name", "Bob Ray"), ("email", "bob@example.com"), ("company.name", "Acme")]);
        let eve = || person(&[("name", "Eve Poe"), ("email", "eve@example.com"), ("company.name", "Other")]);
        let nobody = || ended(Outcome::NotFound(Arc::default()));
        let cases = [
            ("nobody", vec![("a", nobody()), ("b", nobody())], Match::None),
            ("one", vec![("a", found(vec![ann()])), ("b", nobody())], Match::Unique),
            ("two of one company", vec![("a", found(vec![ann(), bob()]))], Match::SharedLine),
            ("two of two", vec![("a", found(vec![ann(), eve()]))], Match::Ambiguous),
            ("a record twice", vec![("a", found(vec![ann(), ann()]))], Match::Unique),
            ("the same in two systems", vec![("a", found(vec![ann()])), ("b", found(vec![ann()]))], Match::Unique),
            (
                "the same without an address",
                vec![("a", found(vec![ann()])), ("b", found(vec![person(&[("name", " ann lee ")])]))],
                Match::Unique,
            ),
            ("others in two systems", vec![("a", found(vec![ann()])), ("b", found(vec![eve()]))], Match::Ambiguous),
            (
                "others without an address",
                vec![("a", found(vec![ann()])), ("b", found(vec![person(&[("name", "Eve Poe")])]))],
                Match::Ambiguous,
            ),
        ];
        let config = config("[\"a\", \"b\", \"c\"]");
        for (case, said, verdict) in cases {
            let merged = merged(&config, &said);
            assert_eq!(merged.verdict, verdict, "{case}");
            let certain = verdict == Match::Unique;
            assert_eq!(text(&merged, "name").is_some(), certain, "{case}: a name is only said of one person");
            assert_eq!(merged.candidates.is_empty(), certain || verdict == Match::None, "{case}");
        }
    }

    #[test]
    fn an_office_keeps_what_all_agree_on() {
        let ann = person(&[("name", "Ann Lee"), ("title", "Nurse"), ("company.name", "Acme")]);
        let bob = person(&[("name", "Bob Ray"), ("title", "Nurse"), ("company.name", "ACME")]);
        let eve = person(&[("name", "Eve Poe"), ("company.name", "Acme")]);
        let config = config("[\"a\"]");
        let two = merged(&config, &[("a", found(vec![ann.clone(), bob.clone()]))]);
        assert_eq!((text(&two, "company.name"), text(&two, "title")), (Some("Acme".into()), Some("Nurse".into())));
        let three = merged(&config, &[("a", found(vec![ann, bob, eve]))]);
        assert_eq!((text(&three, "company.name"), text(&three, "title")), (Some("Acme".into()), None));
    }

    #[test]
    fn lists_are_united_and_losers_are_conflicts() {
        let config = config("[\"b\", \"a\"]");
        let a = person(&[("name", "Ann Lee"), ("title", "Nurse"), ("tags", "new vip")]);
        let b = person(&[("name", "Ann Lee"), ("title", "Doctor"), ("tags", "vip old")]);
        let merged = merged(&config, &[("a", found(vec![a])), ("b", found(vec![b]))]);
        let field = |name| merged.fields.iter().find(|f| f.name == canonical_of(name)).unwrap();
        assert_eq!(text(&merged, "title").as_deref(), Some("Doctor"));
        assert!(matches!(field("title").conflicts.as_slice(), [(_, Value::Text(loser))] if &**loser == "Nurse"));
        assert!(field("name").conflicts.is_empty(), "equal values do not conflict");
        let tags = Value::List(["vip", "old", "new"].iter().map(Value::text).collect());
        assert!(field("tags").value == tags, "in order of priority");
    }

    proptest! {
        /// Nothing missing overwrites a value, and the winner is the first of the order that has one,
        /// in whatever order the sources stand in the file.
        #[test]
        fn null_never_overwrites(
            titles in prop::collection::vec(prop::option::of("[a-z]{1,6}|null|undefined| "), 3),
            order in Just(["a", "b", "c"]).prop_shuffle(),
        ) {
            let config = config(&format!("{order:?}"));
            let said: Vec<_> = ["a", "b", "c"].iter().zip(&titles).map(|(source, title)| {
                let mut values = vec![("name", "Ann Lee")];
                values.extend(title.as_deref().map(|title| ("title", title)));
                (*source, found(vec![person(&values)]))
            }).collect();
            let given = |source: &str| {
                let place = ["a", "b", "c"].iter().position(|s| *s == source).unwrap();
                titles.get(place).cloned().flatten().filter(|t| !crate::domain::value::text_is_missing(t))
            };
            let expected = order.iter().find_map(|source| given(source));
            prop_assert_eq!(text(&merged(&config, &said), "title"), expected);
        }
    }
}
