//! Whom a replay asks about: a list that somebody made, or the callers of some days in the audit
//! log. Everybody once.

use std::collections::{BTreeMap, HashSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::domain::{CustomerId, Email, Identity, Organization};
use crate::store::audit::{AuditLog, Entry, Filter};

/// Somebody to ask about. Holds a number or an address: never printed whole.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    Call(Call),
    /// Known by something else than a call.
    Person(Identity),
}

/// The parameters of a call by which it is judged who calls.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Call {
    /// We called.
    pub outbound: bool,
    pub from: String,
    pub to: Option<String>,
    pub forwarded_from: Option<String>,
    pub stir: Option<String>,
}

/// A list that cannot be read. Says where, never what.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ListError {
    #[error("line {0} of the list is no JSON object")]
    Json(usize),
    #[error("line {0} of the list is not as long as its head, or is no text")]
    Csv(u64),
}

impl Caller {
    /// One line of a plain list.
    fn plain(line: &str) -> Self {
        if let Some(id) = line.strip_prefix("customer:") {
            return Self::Person(Identity::CustomerId(CustomerId(id.trim().into())));
        }
        match Email::parse(line).filter(|_| line.contains('@') && !line.contains(':')) {
            Some(email) => Self::Person(Identity::Email(email)),
            None => Self::Call(Call { from: line.to_owned(), ..Call::default() }),
        }
    }

    /// The row of an audit log. `None`: the seal does not open.
    fn noted(entry: &Entry) -> Option<Self> {
        let caller = entry.caller.0.as_str();
        if caller.is_empty() {
            return None;
        }
        Some(match entry.caller_kind.as_str() {
            "email" => Self::Person(Identity::Email(Email::parse(caller)?)),
            "customer_id" => Self::Person(Identity::CustomerId(CustomerId(caller.into()))),
            _ => Self::Call(Call { from: caller.to_owned(), ..Call::default() }),
        })
    }

    /// What people recognise the caller by, without saying who it is.
    pub fn masked(&self) -> String {
        let text = match self {
            Self::Call(call) => call.from.as_str(),
            Self::Person(Identity::Email(email)) => email.as_str(),
            Self::Person(Identity::CustomerId(id)) => &id.0,
            Self::Person(Identity::Phone(phone)) => phone.e164(),
        };
        let count = text.chars().count();
        let shown = if count > 6 { 4 } else { 0 };
        format!("***{}", text.chars().skip(count - shown).collect::<String>())
    }
}

/// Reads a list: one caller a line (a number as it calls, an e-mail, `customer:<id>`); JSON objects,
/// one a line; or CSV whose head names a column `From`. Of the last two `From`, `To`, `Direction`,
/// `ForwardedFrom` and `StirVerstat` are read, in any case; whatever else they hold is left alone.
pub fn read_list(text: &str) -> Result<Vec<Caller>, ListError> {
    let lines = || (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty());
    let first = lines().next().map(|(_, line)| line).unwrap_or_default();
    if first.starts_with('{') {
        return lines().map(|(number, line)| json(line).ok_or(ListError::Json(number))).collect();
    }
    if first.split([',', ';']).any(|cell| folded(cell) == "from") {
        return csv(text, if first.contains(',') { b',' } else { b';' });
    }
    Ok(lines().filter(|(_, line)| !line.starts_with('#')).map(|(_, line)| Caller::plain(line)).collect())
}

fn json(line: &str) -> Option<Caller> {
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    Some(call(members.into_iter().filter_map(|(name, value)| Some((folded(&name), text(value)?)))))
}

fn csv(text: &str, delimiter: u8) -> Result<Vec<Caller>, ListError> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let wrong = |error: csv::Error| ListError::Csv(error.position().map_or(1, csv::Position::line));
    let head: Vec<String> = reader.headers().map_err(wrong)?.iter().map(folded).collect();
    let record = |row: csv::StringRecord| call(head.iter().cloned().zip(row.iter().map(str::to_owned)));
    reader.records().map(|row| row.map(record).map_err(wrong)).collect()
}

fn call(named: impl Iterator<Item = (String, String)>) -> Caller {
    let mut named: BTreeMap<String, String> = named.filter(|(_, value)| !value.trim().is_empty()).collect();
    let direction = named.remove("direction").unwrap_or_default();
    Caller::Call(Call {
        outbound: direction.trim().to_ascii_lowercase().starts_with("outbound"),
        from: named.remove("from").unwrap_or_default(),
        to: named.remove("to"),
        forwarded_from: named.remove("forwardedfrom"),
        stir: named.remove("stirverstat"),
    })
}

/// `Forwarded From`, `forwarded_from` and `"ForwardedFrom"` are one column.
fn folded(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The time of which the audit log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub since: Timestamp,
    pub until: Timestamp,
}

/// A day of this machine's time zone, or a moment.
#[derive(Clone, Copy, Debug)]
pub enum Moment {
    Day(Date),
    At(Timestamp),
}

impl Moment {
    pub fn parse(text: &str) -> Result<Self, String> {
        let at = text.parse().map(Self::At).or_else(|_| text.parse().map(Self::Day));
        at.map_err(|_| "a day like 2026-11-19, or a time like 2026-11-19T08:00:00Z".into())
    }

    fn begin(self, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Day(day) => day.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp()),
            Self::At(at) => Some(at),
        }
    }

    fn end(self, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Day(day) => {
                let next = day.tomorrow().ok()?.to_zoned(zone.clone()).ok()?;
                next.timestamp().checked_sub(SignedDuration::from_millis(1)).ok()
            }
            Self::At(at) => Some(at),
        }
    }
}

impl Period {
    /// The days as they are named, or yesterday. `None`: the calendar ends before.
    pub fn of(from: Option<Moment>, to: Option<Moment>, now: Timestamp, zone: &TimeZone) -> Option<Self> {
        let yesterday = || now.to_zoned(zone.clone()).date().yesterday().ok().map(Moment::Day);
        let (from, to) = match (from, to) {
            (None, to) => {
                let yesterday = yesterday()?;
                (yesterday, to.unwrap_or(yesterday))
            }
            (Some(from), to) => (from, to.unwrap_or(Moment::At(now))),
        };
        Some(Self { since: from.begin(zone)?, until: to.end(zone)? })
    }
}

/// Everybody who was asked about in that time, the latest first, at most `limit` of them.
pub async fn of_the_log(
    audit: &AuditLog,
    organization: &Organization,
    period: Period,
    limit: usize,
) -> Result<Vec<Caller>, crate::store::Error> {
    const PAGE: usize = 1_000;
    let (mut seen, mut callers) = (HashSet::new(), Vec::new());
    let mut filter = Filter { since: Some(period.since), until: Some(period.until), limit: PAGE, ..Filter::default() };
    loop {
        let rows = audit.search(organization, &filter).await?;
        filter.after = rows.last().map(|row| row.number);
        let asked = rows.iter().filter(|row| row.surface != "forget").filter_map(Caller::noted);
        callers.extend(asked.filter(|caller| seen.insert(caller.clone())));
        if callers.len() >= limit || rows.len() < PAGE {
            callers.truncate(limit);
            return Ok(callers);
        }
    }
}

/// The callers in their order, each once, at most `limit` of them.
pub fn distinct(callers: Vec<Caller>, limit: usize) -> Vec<Caller> {
    let mut seen = HashSet::new();
    callers.into_iter().filter(|caller| seen.insert(caller.clone())).take(limit).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn calls(text: &str) -> Vec<Call> {
        let callers = read_list(text).unwrap().into_iter();
        callers.map(|caller| if let Caller::Call(call) = caller { call } else { panic!("no call") }).collect()
    }

    fn full() -> Call {
        let some = |text: &str| Some(text.to_owned());
        Call {
            from: "+14155550142".into(),
            to: some("+14155550100"),
            outbound: false,
            forwarded_from: None,
            stir: some("TN-Validation-Passed-A"),
        }
    }

    #[test]
    fn lists_are_read_in_three_forms() {
        let only = |from: &str| Call { from: from.into(), ..Call::default() };
        assert!(calls("+14155550142\n\n# a note\r\n  anonymous  \n") == [only("+14155550142"), only("anonymous")]);
        let csv = "\"Call SID\",From,to,Stir Verstat,Direction\nCA1,+14155550142,+14155550100,TN-Validation-Passed-A,inbound\n\
                   CA2,\"+1 (415) 555-0163\",,,\n";
        assert!(calls(csv) == [full(), only("+1 (415) 555-0163")]);
        assert!(calls("from;to\n+14155550142;\n") == [only("+14155550142")]);
        let json = r#"{"From":"+14155550142","To":"+14155550100","StirVerstat":"TN-Validation-Passed-A","direction":"inbound","n":[]}
                      {"from":14155550163}"#;
        assert!(calls(json) == [full(), only("14155550163")]);
        let outbound = calls("From,To,Direction\n+14155550100,+14155550142,outbound-api\n");
        assert!(outbound.first().is_some_and(|call| call.outbound));
        assert!(calls("").is_empty());
    }

    #[test]
    fn plain_lines_may_name_people_otherwise() {
        let callers = read_list("ann@example.com\ncustomer: C-1001 \nsip:ann@example.com").unwrap();
        let is = |caller: Option<&Caller>, identity: Identity| caller == Some(&Caller::Person(identity));
        assert!(is(callers.first(), Identity::Email(Email::parse("ann@example.com").unwrap())));
        assert!(is(callers.get(1), Identity::CustomerId(CustomerId("C-1001".into()))));
        assert!(matches!(callers.get(2), Some(Caller::Call(_))));
        let masked: Vec<_> = callers.iter().map(Caller::masked).collect();
        assert_eq!(masked, ["***.com", "***", "***.com"]);
    }

    #[test]
    fn what_cannot_be_read_is_named_by_its_line() {
        assert_eq!(read_list("{\"From\":\"x\"}\n{\"From\":").err(), Some(ListError::Json(2)));
        assert_eq!(read_list("From,To\na,b\nc\n").err(), Some(ListError::Csv(3)));
    }

    #[test]
    fn yesterday_is_a_day_of_the_zone() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let now: Timestamp = "2026-11-20T03:00:00Z".parse().unwrap();
        let of = |from: Option<&str>, to: Option<&str>| {
            let moment = |text: Option<&str>| text.map(|text| Moment::parse(text).unwrap());
            let period = Period::of(moment(from), moment(to), now, &zone).unwrap();
            format!("{} {}", period.since, period.until)
        };
        assert_eq!(of(None, None), "2026-11-18T05:00:00Z 2026-11-19T04:59:59.999Z");
        assert_eq!(of(Some("2026-11-17"), Some("2026-11-18")), "2026-11-17T05:00:00Z 2026-11-19T04:59:59.999Z");
        assert_eq!(of(Some("2026-11-17T08:00:00Z"), None), "2026-11-17T08:00:00Z 2026-11-20T03:00:00Z");
        assert!(Moment::parse("yesterday").is_err());
    }
}
