//! The flat attributes of a Studio flow. Every text in them is safe to insert in a flow; objects
//! enter by `| to_json`. The whole fits a budget: values are dropped by priority, JSON is never
//! cut.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::missing::reason;
use super::text::{looks_like_worker, plain};
use super::{Lens, Rendered, schema};
use crate::config;
use crate::domain::{Context, Identity, LookupStatus, Match, NameId, SourceId, Value, canonical};
use crate::manifest::plan::Plan;

const NAME: NameId = canonical("name");
const FIRST_NAME: NameId = canonical("first_name");
const LAST_NAME: NameId = canonical("last_name");
const EMAIL: NameId = canonical("email");
const ACCOUNT_STATUS: NameId = canonical("account_status");
const VIP: NameId = canonical("vip");
const LAST_CONTACT: NameId = canonical("last_contact");
const PREFERRED_AGENT: NameId = canonical("preferred_agent");
const ACCOUNT_ID: NameId = canonical("account_id");
const CUSTOMER_ID: NameId = canonical("customer_id");
const ORDERS: NameId = canonical("orders");
const APPOINTMENTS: NameId = canonical("appointments");

/// Members of `payment_info` by the names that flows know.
pub(super) const PAYMENT: [(NameId, &str); 9] = [
    (canonical("payment.outstanding"), "outstanding_balance"),
    (canonical("payment.credit"), "credit"),
    (canonical("payment.currency"), "currency"),
    (canonical("payment.due_at"), "due_at"),
    (canonical("payment.last_at"), "last_payment"),
    (canonical("payment.last_amount"), "last_payment_amount"),
    (canonical("payment.method"), "payment_method"),
    (canonical("payment.auto_pay"), "auto_pay_enabled"),
    (canonical("payment.delinquent"), "delinquent"),
];
/// Members of an appointment that a flow may speak.
pub(super) const APPOINTMENT: [&str; 5] = ["id", "title", "starts_at", "ends_at", "status"];

pub(super) const NAME_MAX: usize = 80;
pub(super) const TEXT_MAX: usize = 60;
pub(super) const EMAIL_MAX: usize = 254;
pub(super) const LIST_MAX: usize = 10;

/// What the answer says beside the context.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub caller_id_status: &'static str,
    /// The call's origin does not forbid greeting by name.
    pub may_greet: bool,
    /// The same caller rings so often that sources are spared.
    pub call_burst: bool,
}

/// The attributes of a context seen through a lens.
pub fn render(context: &Context, lens: &Lens, plan: &Plan, facts: Facts, budget: &config::Studio) -> Rendered {
    let reader = Reader { context, lens, plan, missing: Vec::new(), used: Vec::new() };
    let (attributes, used) = reader.read(facts);
    Rendered { bytes: fitted(attributes, budget), ..Rendered::of(context, lens, plan, &used) }
}

/// The attributes when there was nobody to look up, or no way to: every value is missing for
/// `reason`.
pub fn without_context(
    caller_id_status: &'static str,
    lookup_status: LookupStatus,
    reason: &str,
    phone_number: Option<&str>,
    now: Timestamp,
) -> Bytes {
    let failed = lookup_status == LookupStatus::Failed;
    let mut attributes = Attributes {
        lookup_status: lookup_status.as_str(),
        lookup_timestamp: time(now),
        caller_id_status,
        verdict: if caller_id_status == "withheld" { Match::Withheld } else { Match::None }.as_str(),
        phone_number: failed.then(|| plain(phone_number.unwrap_or_default(), TEXT_MAX)),
        timestamp: failed.then(|| time(now)),
        ..Attributes::unknown()
    };
    for name in PUBLISHED {
        attributes.missing.push(name, reason);
    }
    attributes.caller_data = Text(attributes.panel.to_json());
    bytes(&attributes).into()
}

/// The six attributes that flows have always read.
const PUBLISHED: [&str; 6] =
    ["caller_name", "caller_email", "account_status", "vip_customer", "last_interaction", "preferred_agent"];

/// Flat attributes for a call flow. All of them are always there, but those that say otherwise.
/// Texts are one line and hold none of `" \ < > & { }`; objects enter a flow by `| to_json`.
#[derive(Serialize, ToSchema)]
#[schema(as = StudioAttributes)]
pub struct Attributes {
    /// The caller's name; `Unknown` when it is not known.
    #[schema(max_length = 80, examples("Ann Lee"))]
    caller_name: String,
    /// Empty when it is not known, or could not be said without altering it.
    #[schema(max_length = 254, examples("ann.lee@example.com"))]
    caller_email: String,
    /// As the source says it; empty when it is not known.
    #[schema(max_length = 60, examples("active"))]
    account_status: String,
    /// `false` also when it is not known: `missing` tells the two apart.
    vip_customer: bool,
    /// The time of the last real interaction, RFC 3339; empty when it is not known.
    #[schema(max_length = 60, examples("2026-05-04T09:30:00Z"))]
    last_interaction: String,
    /// The name of a TaskRouter worker; empty when it is not known, or could not be one.
    #[schema(max_length = 64, examples("maria"))]
    preferred_agent: String,
    /// What is not known, and why: `name:reason` pairs, joined by commas. Beside the words of the
    /// sources' reasons there are `budget` (left out to keep the answer small) and, when nobody was
    /// looked up, the `caller_id_status`.
    #[schema(value_type = String, pattern = "^([a-z_]+:[^,:]+(,[a-z_]+:[^,:]+)*)?$",
             examples("vip_customer:timeout,account_status:not_found"))]
    missing: Missing,
    #[schema(schema_with = schema::lookup_status)]
    lookup_status: &'static str,
    /// When the newest of this was read from a source, RFC 3339 in UTC to the millisecond.
    #[schema(format = DateTime, examples("2026-05-04T09:30:00.000Z"))]
    lookup_timestamp: String,
    #[schema(schema_with = schema::caller_id_status)]
    caller_id_status: &'static str,
    #[serde(rename = "match")]
    #[schema(schema_with = schema::verdict)]
    verdict: &'static str,
    /// Whether to greet by name: one certain match, a name, and a call whose origin is not in doubt.
    greet_by_name: bool,
    /// Only there when true: this number calls so often that sources are spared.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    call_burst: bool,
    #[schema(schema_with = schema::payment_info, required)]
    payment_info: Option<Members>,
    #[schema(schema_with = schema::appointments)]
    appointments: Vec<Members>,
    #[schema(schema_with = schema::caller_data)]
    caller_data: Text,
    /// Only there when `lookup_status` is `failed`: the number in E.164, empty where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, examples("+14155550142"))]
    phone_number: Option<String>,
    /// Only there when `lookup_status` is `failed`: RFC 3339 in UTC to the millisecond.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, examples("2026-05-04T09:30:00.000Z"))]
    timestamp: Option<String>,
    #[serde(skip)]
    panel: Panel,
}

/// `caller_data` after it was made from the panel.
#[derive(Serialize)]
struct Text(String);

/// `name:reason` pairs, joined by commas.
#[derive(Default)]
struct Missing(Vec<(&'static str, String)>);

/// What the caller panel parses out of `caller_data`: exactly these five keys, never null.
#[derive(Serialize, ToSchema)]
#[schema(as = CallerData)]
pub struct Panel {
    name: String,
    account_id: String,
    status: String,
    /// RFC 3339; empty when it is not known.
    last_contact: String,
    /// The newest first.
    #[schema(max_items = 10)]
    recent_orders: Vec<Order>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = CallerDataOrder)]
pub struct Order {
    id: String,
    description: String,
    /// `2026-05-04`
    date: String,
}

struct Members(Vec<(&'static str, Value)>);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Serialize for Missing {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut pairs = String::new();
        for (name, reason) in &self.0 {
            let separator = if pairs.is_empty() { "" } else { "," };
            pairs.extend([separator, name, ":", reason]);
        }
        s.serialize_str(&pairs)
    }
}

impl Missing {
    fn push(&mut self, name: &'static str, reason: &str) {
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some(entry) => entry.1 = plain(reason, TEXT_MAX),
            None => self.0.push((name, plain(reason, TEXT_MAX))),
        }
    }
}

impl Panel {
    fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Attributes {
    fn unknown() -> Self {
        Self {
            caller_name: "Unknown".into(),
            caller_email: String::new(),
            account_status: String::new(),
            vip_customer: false,
            last_interaction: String::new(),
            preferred_agent: String::new(),
            missing: Missing::default(),
            lookup_status: LookupStatus::None.as_str(),
            lookup_timestamp: String::new(),
            caller_id_status: "",
            verdict: Match::None.as_str(),
            greet_by_name: false,
            call_burst: false,
            payment_info: None,
            appointments: Vec::new(),
            caller_data: Text(String::new()),
            phone_number: None,
            timestamp: None,
            panel: Panel {
                name: "Unknown".into(),
                account_id: String::new(),
                status: String::new(),
                last_contact: String::new(),
                recent_orders: Vec::new(),
            },
        }
    }
}

/// Reads attributes from a context, noting what was used and what is missing.
struct Reader<'a> {
    context: &'a Context,
    lens: &'a Lens,
    plan: &'a Plan,
    missing: Vec<(&'static str, String)>,
    used: Vec<(NameId, SourceId)>,
}

impl Reader<'_> {
    fn read(mut self, facts: Facts) -> (Attributes, Vec<(NameId, SourceId)>) {
        let context = self.context;
        let status = self.lens.status(context);
        let name = self.name();
        let greet_by_name = facts.may_greet && context.verdict == Match::Unique && name.is_some();
        let failed = status == LookupStatus::Failed;
        let last_contact = self.text("last_interaction", LAST_CONTACT, TEXT_MAX);
        let account_status = self.text("account_status", ACCOUNT_STATUS, TEXT_MAX);
        let name = name.unwrap_or_else(|| "Unknown".into());
        let panel = Panel {
            name: name.clone(),
            account_id: self.quiet_text(&[ACCOUNT_ID, CUSTOMER_ID]),
            status: account_status.clone(),
            last_contact: last_contact.clone(),
            recent_orders: self.orders(),
        };
        let attributes = Attributes {
            caller_name: name,
            caller_email: self.email(),
            account_status,
            vip_customer: self.vip(),
            last_interaction: last_contact,
            preferred_agent: self.preferred_agent(),
            lookup_status: status.as_str(),
            lookup_timestamp: time(context.assembled_at),
            caller_id_status: facts.caller_id_status,
            verdict: context.verdict.as_str(),
            greet_by_name,
            call_burst: facts.call_burst,
            payment_info: self.payment(),
            appointments: self.appointments(),
            caller_data: Text(String::new()), // the last of all, when it is known what fits
            phone_number: failed.then(|| phone_number(&context.identity)),
            timestamp: failed.then(|| time(context.assembled_at)),
            panel,
            missing: Missing(std::mem::take(&mut self.missing)),
        };
        (attributes, self.used)
    }

    fn take(&mut self, name: NameId) -> Option<Value> {
        let field = self.context.field(name)?;
        let value = self.lens.value(name, &field.value)?;
        self.used.push((name, field.source));
        Some(value)
    }

    fn lack(&mut self, attribute: &'static str, name: NameId) {
        let why = reason(name, self.lens, self.context, self.plan);
        self.missing.push((attribute, plain(&why, TEXT_MAX)));
    }

    fn text(&mut self, attribute: &'static str, name: NameId, max: usize) -> String {
        let value = self.take(name);
        let text = value.as_ref().and_then(|v| v.to_text()).map(|t| plain(&t, max)).unwrap_or_default();
        if text.is_empty() {
            self.lack(attribute, name);
        }
        text
    }

    fn quiet_text(&mut self, names: &[NameId]) -> String {
        let found = names.iter().find_map(|name| self.take(*name));
        found.as_ref().and_then(|v| v.to_text()).map(|t| plain(&t, TEXT_MAX)).unwrap_or_default()
    }

    fn name(&mut self) -> Option<String> {
        let whole = self.quiet(NAME, NAME_MAX);
        let name = whole.or_else(|| {
            let parts = [self.quiet(FIRST_NAME, NAME_MAX / 2), self.quiet(LAST_NAME, NAME_MAX / 2)];
            let joined = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
            (!joined.is_empty()).then_some(joined)
        });
        if name.is_none() {
            self.lack("caller_name", NAME);
        }
        name
    }

    fn quiet(&mut self, name: NameId, max: usize) -> Option<String> {
        let value = self.take(name)?;
        let text = plain(&value.to_text()?, max);
        (!text.is_empty()).then_some(text)
    }

    /// An address that had to be altered to be safe would be somebody else's.
    fn email(&mut self) -> String {
        let Some(value) = self.take(EMAIL) else {
            self.lack("caller_email", EMAIL);
            return String::new();
        };
        let text = value.to_text().unwrap_or_default();
        let safe = plain(&text, EMAIL_MAX);
        if safe == text {
            return safe;
        }
        self.missing.push(("caller_email", "invalid".into()));
        String::new()
    }

    fn vip(&mut self) -> bool {
        match self.take(VIP) {
            Some(Value::Bool(vip)) => vip,
            _ => {
                self.lack("vip_customer", VIP);
                false
            }
        }
    }

    fn preferred_agent(&mut self) -> String {
        let Some(value) = self.take(PREFERRED_AGENT) else {
            self.lack("preferred_agent", PREFERRED_AGENT);
            return String::new();
        };
        let text = value.to_text().unwrap_or_default();
        if looks_like_worker(&text) {
            return text.into_owned();
        }
        self.missing.push(("preferred_agent", "invalid".into()));
        String::new()
    }

    fn payment(&mut self) -> Option<Members> {
        let members: Vec<_> =
            PAYMENT.iter().filter_map(|(name, member)| Some((*member, safe(&self.take(*name)?)?))).collect();
        if members.is_empty() {
            self.lack("payment_info", canonical("payment.outstanding"));
            return None;
        }
        Some(Members(members))
    }

    fn appointments(&mut self) -> Vec<Members> {
        let list = self.take(APPOINTMENTS);
        let Some(Value::List(list)) = &list else {
            self.lack("appointments", APPOINTMENTS);
            return Vec::new();
        };
        let members =
            |v: &Value| Members(APPOINTMENT.iter().filter_map(|m| Some((*m, safe(v.member(m)?)?))).collect::<Vec<_>>());
        list.iter().map(members).filter(|m| !m.0.is_empty()).take(LIST_MAX).collect()
    }

    /// The newest first.
    fn orders(&mut self) -> Vec<Order> {
        let Some(Value::List(list)) = self.take(ORDERS) else { return Vec::new() };
        let text = |order: &Value, member: &str| {
            order.member(member).and_then(|v| v.to_text().map(|t| plain(&t, TEXT_MAX))).unwrap_or_default()
        };
        let order = |v: &Value| Order { id: text(v, "id"), description: text(v, "description"), date: text(v, "date") };
        let mut orders: Vec<_> = list.iter().map(order).collect();
        orders.sort_by(|a, b| b.date.cmp(&a.date));
        orders.truncate(LIST_MAX);
        orders
    }
}

/// ISO 8601 in UTC, to the millisecond.
pub fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// The value fit for a flow; lists and records have no place there.
fn safe(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Int(_) | Value::Decimal(_) | Value::Bool(_) => value.clone(),
        other => Value::text(plain(&other.to_text()?, TEXT_MAX)),
    })
}

fn phone_number(identity: &Identity) -> String {
    match identity {
        Identity::Phone(phone) => phone.e164().to_owned(),
        Identity::Email(_) | Identity::CustomerId(_) => String::new(),
    }
}

/// Serialises within the budget. Sizes are those of the UTF-8 text, so that the budget also
/// holds where a reader counts characters.
fn fitted(mut attributes: Attributes, budget: &config::Studio) -> Bytes {
    fit_panel(&mut attributes, budget.caller_data_max_chars);
    loop {
        let bytes = bytes(&attributes);
        if bytes.len() <= budget.max_chars || !drop_least(&mut attributes) {
            return bytes.into_boxed_slice().into(); // they are kept, what was too much room is not
        }
    }
}

fn fit_panel(attributes: &mut Attributes, max: usize) {
    loop {
        let json = attributes.panel.to_json();
        if json.len() <= max || !shrink_panel(&mut attributes.panel) {
            attributes.caller_data = Text(json);
            return;
        }
    }
}

/// Takes away what the panel misses least; `false` when nothing is left to take.
fn shrink_panel(panel: &mut Panel) -> bool {
    if panel.recent_orders.pop().is_some() {
        return true;
    }
    let texts = [&mut panel.last_contact, &mut panel.status, &mut panel.account_id, &mut panel.name];
    texts.into_iter().find(|t| !t.is_empty()).map(String::clear).is_some()
}

/// Takes away what the flow misses least; `false` when nothing is left to take.
fn drop_least(attributes: &mut Attributes) -> bool {
    const DROPPED: &str = "budget";
    if attributes.appointments.pop().is_some() {
        attributes.missing.push("appointments", DROPPED);
        return true;
    }
    if attributes.payment_info.take().is_some() {
        attributes.missing.push("payment_info", DROPPED);
        return true;
    }
    if shrink_panel(&mut attributes.panel) {
        attributes.caller_data = Text(attributes.panel.to_json());
        return true;
    }
    let texts = [
        ("last_interaction", &mut attributes.last_interaction),
        ("caller_email", &mut attributes.caller_email),
        ("account_status", &mut attributes.account_status),
        ("preferred_agent", &mut attributes.preferred_agent),
    ];
    let Some((name, text)) = texts.into_iter().find(|(_, t)| !t.is_empty()) else { return false };
    text.clear();
    attributes.missing.push(name, DROPPED);
    true
}

fn bytes(attributes: &Attributes) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2_048);
    match serde_json::to_writer(&mut bytes, attributes) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}
