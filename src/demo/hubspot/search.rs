//! Searching: groups are ORed, the filters of a group ANDed; what the documents forbid is refused
//! with 400. Text compares without case; `IN` wants its values in lower case, as documented.

use std::cmp::Ordering;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Hubspot, Object, TYPES, invalid, singular};
use crate::demo::standin::{Reply, Request};

const GROUPS_MAX: usize = 5;
const FILTERS_PER_GROUP_MAX: usize = 6;
const FILTERS_MAX: usize = 18;
const QUERY_MAX: usize = 3000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Search {
    #[serde(default)]
    filter_groups: Vec<Group>,
    query: Option<String>,
    properties: Option<Vec<String>>,
    #[serde(default)]
    sorts: Vec<Sort>,
    limit: Option<i64>,
    after: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    filters: Vec<Filter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Filter {
    property_name: String,
    operator: Operator,
    value: Option<String>,
    high_value: Option<String>,
    values: Option<Vec<String>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Operator {
    Eq,
    Neq,
    Lt,
    Lte,
    Gt,
    Gte,
    Between,
    In,
    NotIn,
    HasProperty,
    NotHasProperty,
    ContainsToken,
    NotContainsToken,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Sort {
    Name(String),
    #[serde(rename_all = "camelCase")]
    Full {
        property_name: String,
        direction: Option<String>,
    },
}

impl Hubspot {
    pub(super) fn search(&self, kind: &str, request: &Request, stranger: bool) -> Reply {
        let search: Search = match serde_json::from_slice(&request.body) {
            Ok(search) => search,
            Err(error) => return invalid(&format!("Invalid input JSON on line 1, column 1: {error}")),
        };
        if let Err(message) = self.check(kind, &search) {
            return invalid(&message);
        }
        let fits = |object: &&Object| {
            let filters = search.filter_groups.is_empty()
                || search.filter_groups.iter().any(|g| g.filters.iter().all(|f| holds(f, object)));
            filters && search.query.as_deref().is_none_or(|query| mentions(object, query))
        };
        let mut found: Vec<&Object> = self.of(kind).iter().filter(fits).collect();
        if let Some(sort) = search.sorts.first() {
            let (name, descending) = match sort {
                Sort::Name(name) => (name.trim_start_matches('-'), name.starts_with('-')),
                Sort::Full { property_name, direction } => {
                    (property_name.as_str(), direction.as_deref() == Some("DESCENDING"))
                }
            };
            found.sort_by(|a, b| by(name, a, b));
            if descending {
                found.reverse();
            }
        }
        if stranger && kind == "contacts" {
            found.insert(0, &self.stranger);
        }
        let total = found.len();
        let start = search.after.as_deref().and_then(|after| after.parse::<usize>().ok()).unwrap_or(0);
        let limit = search.limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(10);
        let page = found.into_iter().skip(start).take(limit);
        let results: Vec<Value> = page.map(|o| self.json(kind, o, search.properties.as_deref())).collect();
        let mut answer = json!({ "total": total, "results": results });
        if let (true, Some(members)) = (start + limit < total, answer.as_object_mut()) {
            members.insert("paging".into(), json!({ "next": { "after": (start + limit).to_string() } }));
        }
        Reply::json(200, &answer)
    }

    fn check(&self, kind: &str, search: &Search) -> Result<(), String> {
        if search.filter_groups.len() > GROUPS_MAX {
            return Err(format!("There were too many filter groups. The limit is {GROUPS_MAX}."));
        }
        if search.filter_groups.iter().any(|g| g.filters.len() > FILTERS_PER_GROUP_MAX) {
            return Err(format!("There were too many filters in a group. The limit is {FILTERS_PER_GROUP_MAX}."));
        }
        if search.filter_groups.iter().map(|g| g.filters.len()).sum::<usize>() > FILTERS_MAX {
            return Err(format!("There were too many filters. The limit is {FILTERS_MAX}."));
        }
        if search.filter_groups.iter().any(|g| g.filters.is_empty()) {
            return Err("A filter group needs at least one filter.".into());
        }
        if search.limit.is_some_and(|n| !(1..=200).contains(&n)) {
            return Err("limit must be between 1 and 200.".into());
        }
        if search.sorts.len() > 1 {
            return Err("Only one sort is allowed.".into());
        }
        if search.query.as_deref().is_some_and(|q| q.chars().count() > QUERY_MAX) {
            return Err(format!("query must be at most {QUERY_MAX} characters."));
        }
        let defined = self.defined(kind);
        for filter in search.filter_groups.iter().flat_map(|g| &g.filters) {
            let name = filter.property_name.as_str();
            let association = name.strip_prefix("associations.");
            let known = match association {
                Some(to) => TYPES.iter().any(|kind| singular(kind) == to),
                None => defined.contains(name),
            };
            if !known {
                return Err(format!("Property \"{name}\" does not exist"));
            }
            let complete = match filter.operator {
                Operator::In | Operator::NotIn => filter.values.as_ref().is_some_and(|v| !v.is_empty()),
                Operator::Between => filter.value.is_some() && filter.high_value.is_some(),
                Operator::HasProperty | Operator::NotHasProperty => true,
                _ => filter.value.is_some(),
            };
            if !complete {
                return Err(format!("The filter on \"{name}\" lacks the value that its operator needs."));
            }
        }
        Ok(())
    }
}

fn holds(filter: &Filter, object: &Object) -> bool {
    let value = filter.value.as_deref().unwrap_or("");
    if let Some(to) = filter.property_name.strip_prefix("associations.") {
        let mut ids = object.associations.iter().filter(|(kind, _)| singular(kind) == to).flat_map(|(_, ids)| ids);
        return match filter.operator {
            Operator::In => ids.any(|id| filter.values.iter().flatten().any(|v| v == id)),
            _ => ids.any(|id| id == value),
        };
    }
    let has = object.get(&filter.property_name);
    let is_in = |has: &str| filter.values.iter().flatten().any(|v| *v == has.to_lowercase());
    let is_between = |has: &str, high: &str| compare(has, value).is_ge() && compare(has, high).is_le();
    match (filter.operator, has) {
        (Operator::HasProperty, has) => has.is_some(),
        (Operator::NotHasProperty, has) => has.is_none(),
        // Objects without the property are unequal to everything.
        (Operator::Neq | Operator::NotIn | Operator::NotContainsToken, None) => true,
        (_, None) => false,
        (Operator::Eq, Some(has)) => has.to_lowercase() == value.to_lowercase(),
        (Operator::Neq, Some(has)) => has.to_lowercase() != value.to_lowercase(),
        (Operator::Lt, Some(has)) => compare(has, value).is_lt(),
        (Operator::Lte, Some(has)) => compare(has, value).is_le(),
        (Operator::Gt, Some(has)) => compare(has, value).is_gt(),
        (Operator::Gte, Some(has)) => compare(has, value).is_ge(),
        (Operator::Between, Some(has)) => is_between(has, filter.high_value.as_deref().unwrap_or("")),
        (Operator::In, Some(has)) => is_in(has),
        (Operator::NotIn, Some(has)) => !is_in(has),
        (Operator::ContainsToken, Some(has)) => has_token(has, value),
        (Operator::NotContainsToken, Some(has)) => !has_token(has, value),
    }
}

/// Numbers by size, everything else (ISO times) as text.
fn compare(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    }
}

/// Missing values come last in either direction of HubSpot's sorts; here they come first ascending.
fn by(name: &str, a: &Object, b: &Object) -> Ordering {
    match (a.get(name), b.get(name)) {
        (Some(a), Some(b)) => compare(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// One of the value's words fits the pattern; `*` at either end stands for anything.
fn has_token(value: &str, pattern: &str) -> bool {
    let (value, pattern) = (value.to_lowercase(), pattern.to_lowercase());
    let word = pattern.trim_matches('*');
    let fits = |token: &str| match (pattern.starts_with('*'), pattern.ends_with('*')) {
        (true, true) => token.contains(word),
        (true, false) => token.ends_with(word),
        (false, true) => token.starts_with(word),
        (false, false) => token == word,
    };
    value.split(|c: char| !c.is_alphanumeric() && c != '+').any(fits) || fits(&value)
}

/// `query` looks into the default searchable properties of the type.
fn mentions(object: &Object, query: &str) -> bool {
    const SEARCHED: &[&str] = &[
        "firstname",
        "lastname",
        "email",
        "company",
        "name",
        "domain",
        "dealname",
        "subject",
        "hs_searchable_calculated_phone_number",
        "hs_searchable_calculated_mobile_number",
    ];
    let query = query.to_lowercase();
    SEARCHED.iter().any(|name| object.get(name).is_some_and(|v| v.to_lowercase().contains(&query)))
}
