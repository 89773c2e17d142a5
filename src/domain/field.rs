//! The vocabulary: canonical fields with type and class, the fields an operator adds, the ids of
//! single sources, inputs and built-in names. Names are interned once; at run time a name is a
//! number.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A name of the vocabulary, interned. Only valid with the [`Names`] that gave it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NameId(pub u16);

/// What a value must be to stand under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    Text,
    Email,
    Phone,
    Decimal,
    Int,
    Bool,
    Time,
    Date,
    Url,
    /// A list of plain texts, e-mails or phones.
    TextList,
    EmailList,
    PhoneList,
    /// A list of records with these members; `id` is always one.
    Records(&'static [(&'static str, Type)]),
    /// Whatever type the answer gave it: ids of one source are sent back as they came.
    Any,
}

/// Who may see a field. `Evidence` is used to judge identity and is delivered to nobody.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Class {
    Public,
    Personal,
    Financial,
    Sensitive,
    Evidence,
    Unclassified,
}

impl Class {
    /// Every class with its word.
    pub const ALL: [(&'static str, Class); 6] = [
        ("public", Class::Public),
        ("personal", Class::Personal),
        ("financial", Class::Financial),
        ("sensitive", Class::Sensitive),
        ("evidence", Class::Evidence),
        ("unclassified", Class::Unclassified),
    ];

    /// The class behind a word; `None` when there is none of it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, class)| *class)
    }

    /// The word of configurations.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, class)| *class == self).map_or("", |(name, _)| name)
    }
}

const DEAL: &[(&str, Type)] = &[
    ("id", Type::Text),
    ("name", Type::Text),
    ("stage", Type::Text),
    ("amount", Type::Decimal),
    ("currency", Type::Text),
    ("closes_at", Type::Time),
    ("url", Type::Url),
];
const TICKET: &[(&str, Type)] = &[
    ("id", Type::Text),
    ("number", Type::Text),
    ("subject", Type::Text),
    ("status", Type::Text),
    ("priority", Type::Text),
    ("updated_at", Type::Time),
    ("url", Type::Url),
];
const TASK: &[(&str, Type)] =
    &[("id", Type::Text), ("title", Type::Text), ("due", Type::Time), ("priority", Type::Text), ("url", Type::Url)];
const APPOINTMENT: &[(&str, Type)] = &[
    ("id", Type::Text),
    ("title", Type::Text),
    ("starts_at", Type::Time),
    ("ends_at", Type::Time),
    ("status", Type::Text),
    ("join_url", Type::Url),
    ("url", Type::Url),
    ("attendees", Type::EmailList),
];
const ORDER: &[(&str, Type)] = &[
    ("id", Type::Text),
    ("description", Type::Text),
    ("date", Type::Date),
    ("amount", Type::Decimal),
    ("status", Type::Text),
];
const INTERACTION: &[(&str, Type)] =
    &[("id", Type::Text), ("kind", Type::Text), ("at", Type::Time), ("summary", Type::Text), ("agent", Type::Text)];

/// The canonical fields: shared by all sources, whichever of them knows the value.
pub const CANONICAL: &[(&str, Type, Class)] = &[
    ("name", Type::Text, Class::Personal),
    ("first_name", Type::Text, Class::Personal),
    ("last_name", Type::Text, Class::Personal),
    ("title", Type::Text, Class::Personal),
    ("email", Type::Email, Class::Personal),
    ("emails", Type::EmailList, Class::Personal),
    ("phone", Type::Phone, Class::Personal),
    ("phones", Type::PhoneList, Class::Personal),
    ("company.name", Type::Text, Class::Public),
    ("company.domain", Type::Text, Class::Public),
    ("company.size", Type::Int, Class::Public),
    ("address.street", Type::Text, Class::Personal),
    ("address.city", Type::Text, Class::Personal),
    ("address.postcode", Type::Text, Class::Personal),
    ("address.region", Type::Text, Class::Personal),
    ("address.country", Type::Text, Class::Personal),
    ("account_id", Type::Text, Class::Personal),
    ("customer_id", Type::Text, Class::Personal),
    ("account_status", Type::Text, Class::Personal),
    ("vip", Type::Bool, Class::Personal),
    ("tags", Type::TextList, Class::Personal),
    ("owner.name", Type::Text, Class::Public),
    ("owner.email", Type::Email, Class::Public),
    ("preferred_agent", Type::Text, Class::Public),
    ("language", Type::Text, Class::Public),
    ("timezone", Type::Text, Class::Public),
    ("last_contact", Type::Time, Class::Personal),
    ("contact_count", Type::Int, Class::Personal),
    ("do_not_contact", Type::Bool, Class::Personal),
    ("consent", Type::Text, Class::Personal),
    ("notes", Type::Text, Class::Sensitive),
    ("deals", Type::Records(DEAL), Class::Financial),
    ("tickets", Type::Records(TICKET), Class::Personal),
    ("tasks", Type::Records(TASK), Class::Personal),
    ("appointments", Type::Records(APPOINTMENT), Class::Personal),
    ("orders", Type::Records(ORDER), Class::Financial),
    ("interactions", Type::Records(INTERACTION), Class::Sensitive),
    ("payment.outstanding", Type::Decimal, Class::Financial),
    ("payment.credit", Type::Decimal, Class::Financial),
    ("payment.currency", Type::Text, Class::Financial),
    ("payment.due_at", Type::Time, Class::Financial),
    ("payment.last_at", Type::Time, Class::Financial),
    ("payment.last_amount", Type::Decimal, Class::Financial),
    ("payment.method", Type::Text, Class::Financial),
    ("payment.auto_pay", Type::Bool, Class::Financial),
    ("payment.delinquent", Type::Bool, Class::Financial),
    ("service.available", Type::Bool, Class::Public),
    ("line.type", Type::Text, Class::Evidence),
    ("line.carrier", Type::Text, Class::Evidence),
    ("line.caller_name", Type::Text, Class::Evidence),
    ("line.valid", Type::Bool, Class::Evidence),
    ("shared_line", Type::Bool, Class::Evidence),
    ("lead_score", Type::Int, Class::Personal),
    ("engagement_score", Type::Int, Class::Personal),
];

/// Where a name comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A canonical field, or one that the operator added under `[fields.<name>]`.
    Field(Class),
    /// An id of one source, written `<source>.<x>`.
    Own { source: Arc<str> },
    /// A declared request input (`service_type`, `location`).
    Input,
    /// `now`, `today`, `version`, `select` and the variables of a connection.
    BuiltIn,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    pub text: Arc<str>,
    pub ty: Type,
    pub kind: Kind,
}

/// All names of one configuration, interned. Canonical fields come first, in the order of
/// [`CANONICAL`], so their ids are the same in every configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Names {
    names: Vec<Name>,
    by_text: HashMap<Arc<str>, NameId>,
    /// Of an earlier configuration, and not of this one so far. Their ids are given to nobody
    /// else: values of before may be kept under them.
    former: HashMap<Arc<str>, NameId>,
}

impl Default for Names {
    fn default() -> Self {
        let mut names = Self { names: Vec::new(), by_text: HashMap::new(), former: HashMap::new() };
        names.intern_canonical();
        names
    }
}

impl Names {
    /// The canonical fields alone, as they are without a configuration; whatever else is interned
    /// gets the id that it had in an earlier one, if it had one and means the same.
    pub fn after(earlier: &Self) -> Self {
        let former = earlier.former.iter().chain(&earlier.by_text).map(|(text, id)| (text.clone(), *id));
        let mut names = Self { names: earlier.names.clone(), by_text: HashMap::new(), former: former.collect() };
        names.intern_canonical();
        names
    }

    fn intern_canonical(&mut self) {
        for (text, ty, class) in CANONICAL {
            self.intern(text, *ty, Kind::Field(*class));
        }
    }

    /// The id of `text`, made if new. The type and kind of a name that exists stay as they are.
    pub fn intern(&mut self, text: &str, ty: Type, kind: Kind) -> NameId {
        if let Some(id) = self.by_text.get(text) {
            return *id;
        }
        if let Some(id) = self.former.remove(text)
            && let Some(name) = self.names.get_mut(usize::from(id.0))
            && name.ty == ty
        {
            name.kind = kind;
            self.by_text.insert(name.text.clone(), id);
            return id;
        }
        let id = NameId(u16::try_from(self.names.len()).unwrap_or(u16::MAX));
        let text: Arc<str> = text.into();
        self.by_text.insert(text.clone(), id);
        self.names.push(Name { text, ty, kind });
        id
    }

    /// Gives a field another class, as the operator wants it.
    pub fn reclassify(&mut self, id: NameId, class: Class) {
        if let Some(name) = self.names.get_mut(usize::from(id.0))
            && matches!(name.kind, Kind::Field(_))
        {
            name.kind = Kind::Field(class);
        }
    }

    /// The id of a name that is known.
    pub fn get(&self, text: &str) -> Option<NameId> {
        self.by_text.get(text).copied()
    }

    /// The name behind an id that these names gave.
    #[expect(clippy::indexing_slicing, reason = "a NameId is only made by these Names")]
    pub fn name(&self, id: NameId) -> &Name {
        &self.names[usize::from(id.0)]
    }

    /// The name as it is written.
    pub fn text(&self, id: NameId) -> &str {
        &self.name(id).text
    }

    /// The class that decides delivery; only fields have one.
    pub fn class(&self, id: NameId) -> Option<Class> {
        match self.name(id).kind {
            Kind::Field(class) => Some(class),
            _ => None,
        }
    }

    /// Those of this configuration, by their ids.
    pub fn iter(&self) -> impl Iterator<Item = (NameId, &Name)> {
        (0..).map(NameId).zip(self.names.iter()).filter(|(id, name)| self.by_text.get(&name.text) == Some(id))
    }

    /// One more than the greatest id.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: the canonical fields are always there.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// The id of a canonical field, known at compile time by its text. Panics in `const` evaluation
/// when the text is not canonical, so a wrong name does not build.
#[expect(clippy::indexing_slicing, reason = "bounded by the loop, evaluated at compile time")]
pub const fn canonical(text: &str) -> NameId {
    let mut i = 0;
    while i < CANONICAL.len() {
        if same(CANONICAL[i].0.as_bytes(), text.as_bytes()) {
            return NameId(i as u16);
        }
        i += 1;
    }
    panic!("not a canonical field");
}

#[expect(clippy::indexing_slicing, reason = "bounded by the loop, evaluated at compile time")]
const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Names whose values never enter the gateway, compared without case, `_`, `-` and blanks;
/// the operator's list comes on top.
const NEVER: &[&str] =
    &["ssn", "socialsecuritynumber", "taxid", "creditcard", "cardnumber", "ccnumber", "cvv", "iban", "bankaccount"];
const NEVER_PREFIX: &[&str] = &["password", "secret", "passwd"];

/// What a `never` rule compares: lower case, without `_`, `-` and blanks.
pub fn folded(member: &str) -> String {
    if member.is_ascii() {
        let letters = member.bytes().filter(|b| !matches!(b, b'_' | b'-' | b' '));
        return letters.map(|b| char::from(b.to_ascii_lowercase())).collect();
    }
    member.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Whether a member's name (the last part of a path) is one of the built-in `never` names.
pub fn is_never(member: &str) -> bool {
    // none of them begins otherwise
    if member.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() && !b"bcipst".contains(&b.to_ascii_lowercase())) {
        return false;
    }
    let folded = folded(member);
    NEVER.contains(&folded.as_str()) || NEVER_PREFIX.iter().any(|p| folded.starts_with(p))
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
