//! What views look like as JSON, for the API's document: made from the tables and words that the
//! values themselves are made from. What goes out is in `attributes` and `json`, beside this.

use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, AllOfBuilder, KnownFormat, SchemaType};
use utoipa::openapi::{Array, ArrayBuilder, Object, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat, Type as Json};

use super::attributes::{APPOINTMENT, LIST_MAX, PAYMENT, Panel};
use crate::config::Config;
use crate::domain::field::CANONICAL;
use crate::domain::{
    CallerIdStatus, Class, Failure, LookupStatus, Match, NameId, Names, Skip, SourceState, Type, canonical,
};
use crate::lookup::CacheState;

/// The names under which the schemas of this file stand in the document.
pub const CONTEXT: &str = "CallerContext";
pub const FIELDS: &str = "Fields";
pub const SOURCE: &str = "SourceReport";

/// `complete`, `partial` ...
pub fn lookup_status() -> Object {
    word(
        LookupStatus::ALL.map(LookupStatus::as_str),
        "How the lookup went as a whole. `complete`: every source that could be asked has answered. `partial`: some \
         have not. `stale`: nothing newer could be had than what is shown. `failed`: no source gave a usable answer. \
         `none`: nobody was looked up.",
    )
}

/// `unique`, `ambiguous` ...
pub fn verdict() -> Object {
    word(
        Match::ALL.map(Match::as_str),
        "Who the caller is. `unique`: one person. `ambiguous`: several people fit, and only what all agree on is \
         shown. `shared_line`: several people of one company. `none`: nobody fits. `withheld`: there was no number.",
    )
}

/// `ok`, `withheld` ...
pub fn caller_id_status() -> Object {
    word(
        CallerIdStatus::ALL.map(CallerIdStatus::as_str),
        "What the number said. `ok`: it can be looked up. `withheld`: the caller shows none. `missing`: none was \
         sent. `internal`: one of ours. `service`: a short code or a sender's name. `not_a_number`: an address of \
         another kind. `invalid`: no number at all.",
    )
}

/// A person's context, where it stands in something else.
pub fn person() -> Ref {
    Ref::from_schema_name(CONTEXT)
}

/// The object of Studio's `payment_info`.
pub fn payment_info() -> Object {
    let names = Names::default();
    let types = SchemaType::from_iter([Json::Object, Json::Null]);
    let info = ObjectBuilder::new().schema_type(types).description(Some(
        "What is known of payments; null when nothing is, and `missing` says why. Amounts are in the unit of \
         `currency`; a positive balance is owed by the customer.",
    ));
    PAYMENT.iter().fold(info, |info, (name, member)| info.property(*member, spoken(names.name(*name).ty))).build()
}

/// The list of Studio's `appointments`.
pub fn appointments() -> Array {
    let member = |name: &&str| records(canonical("appointments")).iter().find(|(known, _)| known == name);
    let members = APPOINTMENT.iter().filter_map(member);
    let item = members.fold(ObjectBuilder::new(), |item, (name, ty)| item.property(*name, spoken(*ty)));
    ArrayBuilder::new()
        .items(item)
        .max_items(Some(LIST_MAX))
        .description(Some("Upcoming appointments; empty when none are known."))
        .build()
}

/// Studio's `caller_data`: JSON as text.
pub fn caller_data() -> Object {
    ObjectBuilder::new()
        .schema_type(Json::String)
        .content_media_type("application/json")
        .content_schema(Some(Ref::from_schema_name(Panel::name())))
        .description(Some("JSON as one text, for the caller panel: insert it with `to_json`."))
        .build()
}

/// The caller context as agents read it, with what `explain` adds.
pub fn context() -> Schema {
    let mut context = ObjectBuilder::new()
        .description(Some("A person as far as the key's view shows."))
        .property("identity", object("What the number said.", [("status", caller_id_status().into())]))
        .property("lookup_status", lookup_status())
        .property("lookup_timestamp", moment("When the newest of this was read from a source, RFC 3339 in UTC."))
        .property("match", verdict())
        .property("candidates", candidates())
        .property("fields", Ref::from_schema_name(FIELDS))
        .property("missing", map(reason("Why."), "Fields that the view shows and nobody could give, by name, and why."))
        .property(
            "sources",
            map(
                Ref::from_schema_name(SOURCE),
                "What became of every source, by its name. Sources \
            of which the view shows nothing are one `withheld`.",
            ),
        );
    for required in ["identity", "lookup_status", "lookup_timestamp", "match", "candidates", "fields", "missing"] {
        context = context.required(required);
    }
    let conflict = object("", [("source", text("").into()), ("value", anything())]);
    let provenance = ObjectBuilder::new()
        .property("source", text("The source that won."))
        .property("read_at", moment("When it was read, RFC 3339 in UTC."))
        .property("age_ms", count("Its age, in milliseconds."))
        .property(
            "default",
            ObjectBuilder::new()
                .schema_type(Json::Boolean)
                .description(Some("Only there when true: a configured default, nothing that a source said.")),
        )
        .property(
            "conflicts",
            ArrayBuilder::new().items(conflict).description(Some("Other values, in the order of priority.")),
        )
        .required("source")
        .required("read_at")
        .required("age_ms");
    context
        .required("sources")
        .property(
            "cache",
            word(
                CacheState::ALL.map(CacheState::as_str),
                "With `explain`: whether the cache had it. `joined`: somebody else had asked already.",
            ),
        )
        .property(
            "provenance",
            map(provenance.build(), "With `explain`: where each value is from, by the field's name."),
        )
        .property(
            "unclassified",
            ArrayBuilder::new()
                .items(text(""))
                .description(Some("With `explain`: names of what is known and has no class, so that nobody sees it.")),
        )
        .build()
        .into()
}

/// What became of one source.
pub fn source() -> Schema {
    let operation = state(ObjectBuilder::new())
        .property("name", text("The operation's name."))
        .property("started_ms", number("Milliseconds from the start of the lookup; not there for what was kept."))
        .property("took_ms", number("Milliseconds that it ran."))
        .required("name")
        .build();
    state(ObjectBuilder::new().description(Some("What became of one source.")))
        .property(
            "stale",
            ObjectBuilder::new()
                .schema_type(Json::Boolean)
                .description(Some("Only there when true: what is shown is older than the source's fresh window.")),
        )
        .property("read_at", moment("With `explain`: the time of the oldest reading used, RFC 3339 in UTC."))
        .property("took_ms", number("With `explain`: milliseconds from the start of the lookup to its last answer."))
        .property("operations", ArrayBuilder::new().items(operation).description(Some("With `explain`.")))
        .build()
        .into()
}

/// All that a context can hold, as objects in objects, as this configuration classifies and masks it.
pub fn fields(config: &Config) -> Schema {
    let masked: Vec<NameId> = config.views.values().flat_map(|view| view.masks.iter().map(|(name, _)| *name)).collect();
    let mut all = ObjectBuilder::new().description(Some(
        "Values that the view shows, and nothing for those that are not known: `missing` says why. Fields that this \
         gateway's configuration adds stand beside these.",
    ));
    let mut branches: Vec<(&str, ObjectBuilder)> = Vec::new();
    for (id, name) in config.plan.names.iter().take(CANONICAL.len()) {
        let class = config.plan.names.class(id).filter(|c| !matches!(c, Class::Evidence | Class::Unclassified));
        let Some(class) = class else { continue };
        let schema = match masked.contains(&id) {
            true => anything_with(&format!("Class {class}. Some views mask it.")),
            false => described(of(name.ty), &format!("Class {class}.{}", meaning(&name.text))),
        };
        match name.text.split_once('.') {
            None => all = all.property(&*name.text, schema),
            Some((head, rest)) => match branches.iter_mut().find(|(known, _)| *known == head) {
                Some((_, branch)) => *branch = std::mem::take(branch).property(rest, schema),
                None => branches.push((head, ObjectBuilder::new().property(rest, schema))),
            },
        }
    }
    branches.into_iter().fold(all, |all, (head, branch)| all.property(head, branch)).build().into()
}

/// What a class and a type do not say by themselves.
fn meaning(name: &str) -> &'static str {
    match name {
        "payment.outstanding" => " In the unit of `payment.currency`; positive: the customer owes it.",
        "payment.credit" | "payment.last_amount" => " In the unit of `payment.currency`.",
        "payment.currency" => " ISO 4217.",
        "last_contact" => " The last real interaction, not the last change of the record.",
        "service.available" => " Of the `service_type` and `location` that were asked for.",
        "orders" | "deals" | "tickets" | "tasks" | "appointments" | "interactions" => {
            " United over all sources by `id`."
        }
        _ => "",
    }
}

/// A value of the vocabulary.
fn of(ty: Type) -> Schema {
    let of_format = |format| ObjectBuilder::new().schema_type(Json::String).format(Some(format));
    let list = |items: Schema| ArrayBuilder::new().items(RefOr::T(items)).build().into();
    let of_type = |ty| ObjectBuilder::new().schema_type(ty).build().into();
    match ty {
        Type::Text => of_type(Json::String),
        Type::Phone => ObjectBuilder::new().schema_type(Json::String).examples(["+14155550142"]).build().into(),
        Type::Email => of_format(SchemaFormat::KnownFormat(KnownFormat::Email)).build().into(),
        Type::Url => of_format(SchemaFormat::Custom("uri".into())).build().into(),
        Type::Time => of_format(SchemaFormat::KnownFormat(KnownFormat::DateTime)).build().into(),
        Type::Date => of_format(SchemaFormat::KnownFormat(KnownFormat::Date)).build().into(),
        Type::Decimal => of_type(Json::Number),
        Type::Int => of_type(Json::Integer),
        Type::Bool => of_type(Json::Boolean),
        Type::TextList => list(of(Type::Text)),
        Type::EmailList => list(of(Type::Email)),
        Type::PhoneList => list(of(Type::Phone)),
        Type::Records(members) => {
            let record = members.iter().fold(ObjectBuilder::new(), |r, (name, ty)| r.property(*name, of(*ty)));
            list(record.build().into())
        }
        Type::Any => ObjectBuilder::new().schema_type(SchemaType::AnyValue).build().into(),
    }
}

/// The same in an attribute of a flow: numbers and booleans as they are, the rest as plain text.
fn spoken(ty: Type) -> Schema {
    match ty {
        Type::Decimal | Type::Int | Type::Bool => of(ty),
        Type::Time => described(of(Type::Text), "RFC 3339."),
        Type::Date => described(of(Type::Text), "`2026-05-04`"),
        _ => of(Type::Text),
    }
}

fn records(list: NameId) -> &'static [(&'static str, Type)] {
    match Names::default().name(list).ty {
        Type::Records(members) => members,
        _ => &[],
    }
}

/// `status` and `reason`.
fn state(of: ObjectBuilder) -> ObjectBuilder {
    let words = SourceState::WORDS.into_iter().chain(["withheld"]);
    of.property("status", ObjectBuilder::new().schema_type(Json::String).enum_values(Some(words)))
        .property("reason", reason("Only there when it failed or was skipped."))
        .required("status")
}

/// A word of the closed set of reasons.
fn reason(description: &str) -> Object {
    let [failed, skipped] = [Failure::WORDS.join("`, `"), Skip::WORDS.join("`, `")];
    ObjectBuilder::new()
        .schema_type(Json::String)
        .pattern(Some("^[a-z]+(_[a-z0-9_.]+)?$"))
        .description(Some(format!(
            "{description} It was asked and failed: `{failed}`. It was not asked: `{skipped}` (`needs_x`: the input x \
             was missing; `tripped`: it failed too often and is left alone for a while; `limited`: our own quota, or \
             the vendor's). A field may also be `not_found`, `pending`, or hidden by `role`, `trust` or as \
             `unclassified`."
        )))
        .build()
}

fn candidates() -> Array {
    let source = ObjectBuilder::new().property("source", text("Whose record it is."));
    let candidate = AllOfBuilder::new().item(Ref::from_schema_name(FIELDS)).item(source);
    ArrayBuilder::new()
        .items(RefOr::T(Schema::from(candidate)))
        .max_items(Some(10))
        .description(Some("Several people who fit, as far as the view shows them; empty when the match is unique."))
        .build()
}

fn word<const N: usize>(words: [&'static str; N], description: &str) -> Object {
    ObjectBuilder::new().schema_type(Json::String).enum_values(Some(words)).description(Some(description)).build()
}

fn text(description: &str) -> Object {
    let text = ObjectBuilder::new().schema_type(Json::String);
    match description {
        "" => text.build(),
        _ => text.description(Some(description)).build(),
    }
}

fn moment(description: &str) -> Object {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    ObjectBuilder::new().schema_type(Json::String).format(Some(format)).description(Some(description)).build()
}

fn number(description: &str) -> Object {
    ObjectBuilder::new().schema_type(Json::Number).minimum(Some(0)).description(Some(description)).build()
}

fn count(description: &str) -> Object {
    ObjectBuilder::new().schema_type(Json::Integer).minimum(Some(0)).description(Some(description)).build()
}

fn anything() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).into()
}

fn anything_with(description: &str) -> Schema {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some(description)).build().into()
}

fn object<const N: usize>(description: &str, members: [(&str, RefOr<Schema>); N]) -> Object {
    let object = ObjectBuilder::new();
    let object = if description.is_empty() { object } else { object.description(Some(description)) };
    members.into_iter().fold(object, |object, (name, schema)| object.property(name, schema).required(name)).build()
}

/// An object whose members have names of the configuration.
fn map(values: impl Into<RefOr<Schema>>, description: &str) -> Object {
    let values = AdditionalProperties::RefOr(values.into());
    ObjectBuilder::new().additional_properties(Some(values)).description(Some(description)).build()
}

fn described(mut schema: Schema, description: &str) -> Schema {
    match &mut schema {
        Schema::Object(object) => object.description = Some(description.to_owned()),
        Schema::Array(array) => array.description = Some(description.to_owned()),
        _ => {}
    }
    schema
}
