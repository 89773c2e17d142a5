//! `GET /api/openapi.json`: the document of the API (OpenAPI 3.1). Operations are described here,
//! beside nothing that runs; bodies are described by the types that are serialised. A route without
//! its operation here fails a test.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response as Answer};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder, ResponsesBuilder};
use utoipa::openapi::schema::{AdditionalProperties, KnownFormat};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::Tag;
use utoipa::openapi::{
    ArrayBuilder, Components, ComponentsBuilder, ContentBuilder, Header, HttpMethod, InfoBuilder, Object,
    ObjectBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref, RefOr, Required, Schema, SchemaFormat, Server, Type,
};

use super::docs::{self, Pages};
use super::error::{self, Code, Problem};
use super::{audit, compare, meetings, operations, studio};
use crate::config::{Config, Input};
use crate::view::attributes::{Attributes, Panel};
use crate::view::schema;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const PROBLEM: &str = "application/problem+json";

/// `GET /api/openapi.json`
pub async fn answer(State(pages): State<Arc<Pages>>) -> Answer {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(JSON))], pages.document.clone()).into_response()
}

/// The document of this gateway: its address, inputs and classes are the configuration's.
pub fn document(config: &Config) -> OpenApi {
    let info = InfoBuilder::new()
        .title(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("openapi.md")))
        .build();
    let server = config.server.public_url.as_ref().map(|url| Server::new(url.as_str().trim_end_matches('/')));
    OpenApiBuilder::new()
        .info(info)
        .servers(server.map(|server| [server]))
        .tags(Some(TAGS.map(|(name, description)| {
            let mut tag = Tag::new(name);
            tag.description = Some(description.to_owned());
            tag
        })))
        .paths(paths(&config.inputs))
        .components(Some(components(config)))
        .build()
}

const TELEPHONY: &str = "Telephony";
const DESKTOP: &str = "Agent desktop";
const MEETINGS: &str = "Meetings";
const INTEGRATIONS: &str = "Administration";
const OPERATIONS: &str = "Operations";
const TAGS: [(&str, &str); 5] = [
    (TELEPHONY, "A call flow asks who calls."),
    (DESKTOP, "An agent's desktop asks about a person."),
    (MEETINGS, "Who takes part, and what is worth saying of them."),
    (INTEGRATIONS, "Who was told what."),
    (OPERATIONS, "Whether the gateway is well, and this document."),
];

fn paths(inputs: &[Input]) -> PathsBuilder {
    let operations = [
        (studio::PATH, HttpMethod::Get, studio_get(inputs)),
        (studio::PATH, HttpMethod::Post, studio_post()),
        (compare::PATH, HttpMethod::Post, compare_post()),
        (compare::PATH, HttpMethod::Get, compare_get()),
        (compare::PATH, HttpMethod::Delete, compare_delete()),
        ("/api/context", HttpMethod::Get, context_get(inputs)),
        ("/api/context", HttpMethod::Post, context_post()),
        ("/api/context", HttpMethod::Delete, context_delete()),
        (meetings::PATH, HttpMethod::Post, meeting_post()),
        ("/api/audit", HttpMethod::Get, audit_get()),
        ("/healthz", HttpMethod::Get, healthz()),
        ("/readyz", HttpMethod::Get, readyz()),
        ("/metrics", HttpMethod::Get, metrics()),
        ("/api/openapi.json", HttpMethod::Get, openapi()),
        ("/docs", HttpMethod::Get, docs_page()),
        ("/docs/{file}", HttpMethod::Get, docs_file()),
        ("/docs/errors/{code}", HttpMethod::Get, error_page()),
    ];
    let mut paths = utoipa::openapi::Paths::new();
    for (path, method, operation) in operations {
        paths.add_path_operation(path, vec![method], operation);
    }
    PathsBuilder::from(paths)
}

// --- Telephony ---------------------------------------------------------------------------------

const STUDIO: &str = "With a right key or signature the answer is always 200 and always usable, whatever the request \
    holds and whatever the sources do: what is not known has its reason in `missing`. Parameters may stand in the \
    query, in a form or in a JSON object; their names in any case; those that are not known are ignored, and so are \
    values that cannot be.\n\nA call that we make (`Direction` begins with `outbound`) is about `To`, every other \
    about `From`. What the call itself may show depends on its origin: when `StirVerstat` says that the number may \
    be forged, public fields only.";

fn studio_get(inputs: &[Input]) -> OperationBuilder {
    studio_operation("askByQuery", "Who calls?", STUDIO).parameters(Some(in_query(studio_question(inputs))))
}

fn studio_post() -> OperationBuilder {
    let description = format!("{STUDIO}\n\nBetter than GET: numbers in addresses end up in logs.");
    let example = json!({
        "From": "+14155550142", "To": "+18005550100", "Direction": "inbound",
        "CallSid": "CA0123456789abcdef0123456789abcdef", "StirVerstat": "TN-Validation-Passed-A", "deadline_ms": 2500,
    });
    studio_operation("ask", "Who calls?", &description).request_body(Some(body("StudioQuestion", &example)))
}

fn studio_operation(id: &str, summary: &str, description: &str) -> OperationBuilder {
    let found = example(include_str!("examples/studio.json"));
    let responses = ResponsesBuilder::new()
        .response("200", answered("The caller's attributes.", JSON, named::<Attributes>(), Some(found)));
    operation(id, TELEPHONY, summary, description)
        .securities(Some(["bearer", "basic", "twilio"].map(by)))
        .responses(problems(responses, &[Code::Unauthorized, Code::TooManyWrongKeys]))
}

/// Name, description, and an example where one helps.
type Said = (Arc<str>, ObjectBuilder, Option<Value>);

fn studio_question(inputs: &[Input]) -> Vec<Said> {
    let text = |name: &str, description: &str, example: Option<&str>| -> Said {
        (name.into(), string(description), example.map(Value::from))
    };
    let mut all = vec![
        text(
            "From",
            "Who calls: a number in E.164, or what Twilio says for a caller without one.",
            Some("+14155550142"),
        ),
        text("To", "Who is called.", Some("+18005550100")),
        text("Direction", "`inbound`, `outbound-api` or `outbound-dial`.", Some("inbound")),
        text("CallSid", "Noted in the audit log with the answer.", Some("CA0123456789abcdef0123456789abcdef")),
        text("AccountSid", "Whose signature to verify, where the request is signed.", None),
        text("FlowSid", "Named in the log when the flow sends no caller.", None),
        text("ForwardedFrom", "Who forwarded the call to us.", None),
        text("StirVerstat", "The verdict of STIR/SHAKEN on the number.", Some("TN-Validation-Passed-A")),
    ];
    all.push(deadline());
    all.extend(declared(inputs));
    all
}

fn compare_post() -> OperationBuilder {
    let example = json!({
        "From": "+14155550142", "CallSid": "CA0123456789abcdef0123456789abcdef", "took_ms": 412,
        "answer": { "caller_name": "Ada Byron", "vip_customer": true },
    });
    let taken = ResponseBuilder::new().description("It will be compared. Whoever calls, this says nothing more.");
    let codes = [
        Code::Unauthorized,
        Code::TooManyWrongKeys,
        Code::MalformedBody,
        Code::InvalidParameter,
        Code::RequestTimeout,
        Code::BodyTooLarge,
    ];
    operation(
        "compare",
        TELEPHONY,
        "Another Function answered like this",
        "Side by side, before a line is moved: whoever answers the call today says what it answered. The gateway looks \
         the caller up behind this answer, tells nobody, and counts per attribute how the two compare. Nothing but \
         counts is kept. Parameters as for the question of a flow.",
    )
    .securities(Some(["bearer", "basic", "twilio"].map(by)))
    .request_body(Some(body("StudioComparison", &example)))
    .responses(problems(ResponsesBuilder::new().response("202", taken), &codes))
}

fn comparison(inputs: &[Input]) -> Vec<Said> {
    let answer = ObjectBuilder::new().schema_type(Type::Object).description(Some(
        "The flat attributes that were answered; in a form their JSON text. Those that the gateway does not know are \
         counted as one.",
    ));
    let mut all = studio_question(inputs);
    all.push(("answer".into(), answer.additional_properties(Some(AdditionalProperties::FreeForm(true))), None));
    all.push(("took_ms".into(), integer("How long that answer took, in milliseconds.").minimum(Some(0)), None));
    all
}

// --- Agent desktop -----------------------------------------------------------------------------

const CONTEXT: &str = "Exactly one of `phone`, `email` and `customer_id` says whom it is about. The answer holds what \
    the key's view may see. A number that is withheld or none at all is an answer too, with `identity.status` and \
    nothing else; a person whom nobody knows is `match: none`. What is blank is as if it were not there.";

fn context_get(inputs: &[Input]) -> OperationBuilder {
    let description = format!("{CONTEXT}\n\nPOST keeps numbers out of addresses, and so out of logs.");
    context_operation("contextByQuery", &description, &[]).parameters(Some(in_query(context_question(inputs))))
}

fn context_post() -> OperationBuilder {
    let example = json!({ "phone": "+14155550142", "deadline_ms": 2500 });
    let codes = [Code::MalformedBody, Code::RequestTimeout, Code::BodyTooLarge];
    context_operation("context", CONTEXT, &codes).request_body(Some(body("ContextQuestion", &example)))
}

fn context_operation(id: &str, description: &str, more: &[Code]) -> OperationBuilder {
    let found = example(include_str!("examples/context.json"));
    let timing = "For administrators: the whole, the cache's word, and each source that was waited for, in \
        milliseconds.";
    let mut answer =
        answered("What is known of the person.", JSON, Ref::from_schema_name(schema::CONTEXT), Some(found));
    answer.headers.insert("Server-Timing".into(), RefOr::T(header_of(timing)));
    let codes = [Code::MissingIdentity, Code::SeveralIdentities, Code::InvalidParameter, Code::Forbidden];
    agents(id, DESKTOP, "What do we know of a person?", description)
        .responses(refusals(ResponsesBuilder::new().response("200", answer), &[&codes[..], more].concat()))
}

fn context_delete() -> OperationBuilder {
    let dropped = ObjectBuilder::new()
        .property("dropped", integer("How many contexts were dropped.").minimum(Some(0)))
        .required("dropped");
    let responses =
        ResponsesBuilder::new().response("200", answered("It is done.", JSON, dropped, Some(json!({ "dropped": 1 }))));
    let codes = [Code::MissingIdentity, Code::SeveralIdentities, Code::InvalidParameter, Code::Forbidden];
    let mut parameters = person();
    parameters.push(call_sid());
    agents(
        "forget",
        DESKTOP,
        "Forget a person",
        "For administrators. Drops what is kept of the person under every number, address and id. Vendors and \
         databases are not touched: the next question asks them anew.",
    )
    .parameters(Some(in_query(parameters)))
    .responses(refusals(responses, &codes))
}

fn person() -> Vec<Said> {
    vec![
        (
            "phone".into(),
            string("The person's number, E.164 or as people write it in the default region."),
            Some(json!("+14155550142")),
        ),
        ("email".into(), string("The person's e-mail address."), None),
        ("customer_id".into(), string("The person's customer id.").max_length(Some(128)), None),
    ]
}

fn context_question(inputs: &[Input]) -> Vec<Said> {
    let explain = "For administrators: also where each value is from, and what every operation did.";
    let explain = ObjectBuilder::new().schema_type(Type::Boolean).description(Some(explain));
    let mut all = person();
    all.extend([deadline(), call_sid(), ("explain".into(), explain, None)]);
    all.extend(declared(inputs));
    all
}

// --- Meetings ----------------------------------------------------------------------------------

fn meeting_post() -> OperationBuilder {
    let asked = json!({
        "participants": ["ada.byron@analytical.example", "grace.rep@example.com", "no address"],
        "deadline_ms": 2500,
    });
    let nobody = |status: &str| {
        json!({
            "identity": { "status": status }, "lookup_status": "none", "lookup_timestamp": "2026-05-04T09:30:00.125Z",
            "match": "none", "candidates": [], "fields": {}, "missing": {}, "sources": {},
        })
    };
    let point = |kind: &str, text: &str| json!({ "kind": kind, "text": text });
    let found = json!({ "participants": [
        {
            "positions": [0],
            "email": "ada.byron@analytical.example",
            "last_interaction": { "at": "2026-05-02T14:10:00Z", "ago": "2 days ago" },
            "talking_points": [
                point("last_interaction", "Last interaction: 2 days ago (2026-05-02)"),
                point("open_deals", "Open deals: 1, the next closes in 8 weeks (2026-06-30)"),
                point("company_size", "Company size: 250 employees"),
            ],
            "context": example(include_str!("examples/context.json")),
        },
        { "positions": [1], "email": "grace.rep@example.com", "talking_points": [], "context": nobody("internal") },
        { "positions": [2], "talking_points": [], "context": nobody("invalid") },
    ] });
    let responses = ResponsesBuilder::new()
        .response("200", answered("Everybody who takes part.", JSON, named::<meetings::Page>(), Some(found)));
    let codes = [
        Code::InvalidParameter,
        Code::TooManyParticipants,
        Code::MalformedBody,
        Code::RequestTimeout,
        Code::BodyTooLarge,
    ];
    agents(
        "meeting",
        MEETINGS,
        "What do we know of those who take part?",
        "All participants are looked up together, within one deadline; each is answered for, with a status and reasons \
         of their own. Our own people, by the domains of the configuration, are named and not looked up. Talking \
         points are sentences of the gateway with times, counts and amounts in them: no text that anybody wrote into \
         a source is in one.",
    )
    .request_body(Some(body("MeetingQuestion", &asked)))
    .responses(refusals(responses, &codes))
}

fn meeting_question(config: &Config) -> Object {
    let session = "The meeting's or session's id, noted in the audit log as `call_sid` when it looks like an id: \
        letters, digits and `-`, at most 64.";
    let participants = ArrayBuilder::new()
        .items(string(""))
        .min_items(Some(1))
        .max_items(Some(config.meetings.participants_max))
        .description(Some("E-mail addresses. In a form the parameter is repeated."));
    let mut beside = vec![deadline(), ("session_id".into(), string(session), None)];
    beside.extend(declared(&config.inputs));
    let question = ObjectBuilder::new().property(meetings::PARTICIPANTS, participants);
    with_properties(question.required(meetings::PARTICIPANTS), beside, "Who takes part, and how long it may take.")
}

// --- Administration ----------------------------------------------------------------------------

fn audit_get() -> OperationBuilder {
    let mut parameters = person();
    let moment = |description: &str| string(description).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    parameters.extend([
        call_sid(),
        ("reader".into(), string("Only this key's public id, or `twilio:<AccountSid>`."), None),
        ("since".into(), moment("Not before this, RFC 3339."), Some(json!("2026-05-04T09:00:00Z"))),
        ("until".into(), moment("Not after this, RFC 3339."), None),
        (
            "limit".into(),
            integer("Rows of one page; 100 unless given.").minimum(Some(1)).maximum(Some(audit::LIMIT_MAX)),
            None,
        ),
        ("after".into(), integer("Goes on behind this row: `after` of the page before."), None),
    ]);
    let found = example(include_str!("examples/audit.json"));
    let responses =
        ResponsesBuilder::new().response("200", answered("A page.", JSON, named::<audit::Page>(), Some(found)));
    agents(
        "audit",
        INTEGRATIONS,
        "Who was shown what of whom?",
        "For administrators, of the key's own organization. Of `phone`, `email` and `customer_id` give one or none.",
    )
    .parameters(Some(in_query(parameters)))
    .responses(refusals(responses, &[Code::InvalidParameter, Code::Forbidden]))
}

fn compare_get() -> OperationBuilder {
    let found = example(include_str!("examples/compare.json"));
    let mut table = answered("The table.", JSON, named::<compare::Table>(), Some(found));
    table.content.insert("text/plain".into(), RefOr::T(ContentBuilder::new().schema(Some(string(""))).build()));
    agents(
        "comparisons",
        INTEGRATIONS,
        "How do a Function and the gateway compare?",
        "For administrators, of the key's own organization: what was compared by this process since it started or \
         since counting began anew.",
    )
    .parameters(Some(in_query(vec![("as".into(), word(["json", "text"], "`text` is for people."), None)])))
    .responses(problems(ResponsesBuilder::new().response("200", table), &COMPARISONS))
}

fn compare_delete() -> OperationBuilder {
    let begun = ResponseBuilder::new().description("All counts are zero.");
    agents("compareAnew", INTEGRATIONS, "Count from zero again", "For administrators, for the key's own organization.")
        .responses(problems(ResponsesBuilder::new().response("204", begun), &COMPARISONS[..3]))
}

const COMPARISONS: [Code; 4] = [Code::Unauthorized, Code::Forbidden, Code::TooManyWrongKeys, Code::InvalidParameter];

// --- Operations --------------------------------------------------------------------------------

fn healthz() -> OperationBuilder {
    let status = word(["ok"], "");
    let ok = ObjectBuilder::new().property("status", status).required("status");
    let responses =
        ResponsesBuilder::new().response("200", answered("It runs.", JSON, ok, Some(json!({ "status": "ok" }))));
    operation("healthz", OPERATIONS, "Does the process run?", "Open to everybody.").responses(responses)
}

fn readyz() -> OperationBuilder {
    let ready = example(include_str!("examples/readyz.json"));
    let responses = ResponsesBuilder::new()
        .response("200", answered("Requests are welcome.", JSON, named::<operations::Ready>(), Some(ready)))
        .response(
            "503",
            answered("Send them elsewhere.", JSON, named::<operations::Ready>(), Some(json!({ "status": "stopping" }))),
        );
    operation(
        "readyz",
        OPERATIONS,
        "Are requests welcome?",
        "Open to everybody; `audit` and `sources` are for administrators and for peers on this machine. Sources that \
         are down do not make the gateway unready: it answers without them.",
    )
    .securities(Some([SecurityRequirement::default(), by("bearer"), by("basic")]))
    .responses(responses)
}

fn metrics() -> OperationBuilder {
    let text = answered("Prometheus' text format, version 0.0.4.", "text/plain", string(""), None);
    operation(
        "metrics",
        OPERATIONS,
        "How is it going?",
        "For administrators, and without a key for peers on this machine.",
    )
    .securities(Some([SecurityRequirement::default(), by("bearer"), by("basic")]))
    .responses(problems(
        ResponsesBuilder::new().response("200", text),
        &[Code::Unauthorized, Code::Forbidden, Code::TooManyWrongKeys],
    ))
}

fn openapi() -> OperationBuilder {
    let version = string("The version of OpenAPI.").pattern(Some("^3\\.1\\."));
    let any = ObjectBuilder::new()
        .property("openapi", version)
        .required("openapi")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)));
    let responses = ResponsesBuilder::new().response("200", answered("This document.", JSON, any, None));
    operation("openapi", OPERATIONS, "This document", "Open to everybody.").responses(responses)
}

fn docs_page() -> OperationBuilder {
    let responses = ResponsesBuilder::new().response("200", answered("A page.", "text/html", string(""), None));
    operation("docs", OPERATIONS, "This document to read", "Open to everybody; loads nothing from elsewhere.")
        .responses(responses)
}

fn docs_file() -> OperationBuilder {
    let mut file = answered("The file.", "text/css", string(""), None);
    file.content.insert("image/svg+xml".into(), RefOr::T(ContentBuilder::new().schema(Some(string(""))).build()));
    operation("docsFile", OPERATIONS, "What the page looks like", "Open to everybody.")
        .parameter(in_path("file", docs::FILES.map(|(name, ..)| name)))
        .responses(problems(ResponsesBuilder::new().response("200", file), &[Code::NotFound]))
}

fn error_page() -> OperationBuilder {
    let page = answered("The page of a code.", "text/markdown", string(""), None);
    operation(
        "errorPage",
        OPERATIONS,
        "What does a code mean?",
        "What `type` of a problem points to. Open to everybody.",
    )
    .parameter(in_path("code", Code::ALL.map(Code::as_str)))
    .responses(problems(ResponsesBuilder::new().response("200", page), &[Code::NotFound]))
}

// --- Components --------------------------------------------------------------------------------

fn components(config: &Config) -> Components {
    let inputs = &config.inputs;
    let all = ComponentsBuilder::new()
        .schema("StudioQuestion", question(studio_question(inputs), "What a flow says of its call."))
        .schema("StudioComparison", question(comparison(inputs), "What another Function answered to a call."))
        .schema("ContextQuestion", question(context_question(inputs), "Whom it is about, and how long it may take."))
        .schema("MeetingQuestion", meeting_question(config))
        .schema(schema::CONTEXT, schema::context())
        .schema(schema::FIELDS, schema::fields(config))
        .schema(schema::SOURCE, schema::source());
    let mut named = Vec::new();
    with::<Attributes>(&mut named);
    with::<Panel>(&mut named);
    with::<meetings::Page>(&mut named);
    with::<audit::Page>(&mut named);
    with::<compare::Table>(&mut named);
    with::<operations::Ready>(&mut named);
    with::<error::Body>(&mut named);
    let mut all = all.schemas_from_iter(named).build();
    all.add_security_schemes_from_iter([
        ("bearer", RefOr::T(http(HttpAuthScheme::Bearer, "The key as it was printed: `Authorization: Bearer <key>`."))),
        ("basic", RefOr::T(http(HttpAuthScheme::Basic, "The key as the password; any user name. Twilio Studio takes \
            it from the address: `https://any:<key>@host/...`."))),
        ("twilio", RefOr::T(SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            "X-Twilio-Signature",
            "Twilio's own signature over `server.public_url`, path, query and body, for an account whose auth token is \
             configured. Counts where no key is sent.",
        ))))),
    ]);
    all
}

/// A type's schema under its name, with those that it refers to.
fn with<T: ToSchema>(all: &mut Vec<(String, RefOr<Schema>)>) {
    all.push((T::name().into_owned(), T::schema()));
    T::schemas(all);
}

fn named<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

fn http(scheme: HttpAuthScheme, description: &str) -> SecurityScheme {
    SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(description)).build())
}

fn question(said: Vec<Said>, description: &str) -> Object {
    with_properties(ObjectBuilder::new(), said, description)
}

fn with_properties(question: ObjectBuilder, said: Vec<Said>, description: &str) -> Object {
    let question = question.description(Some(description));
    said.into_iter().fold(question, |question, (name, schema, _)| question.property(&*name, schema)).build()
}

// --- Words of operations -----------------------------------------------------------------------

fn operation(id: &str, tag: &str, summary: &str, description: &str) -> OperationBuilder {
    OperationBuilder::new().operation_id(Some(id)).tag(tag).summary(Some(summary)).description(Some(description))
}

/// An operation of the agent API.
fn agents(id: &str, tag: &str, summary: &str, description: &str) -> OperationBuilder {
    operation(id, tag, summary, description).securities(Some([by("bearer"), by("basic")]))
}

fn by(scheme: &str) -> SecurityRequirement {
    SecurityRequirement::new(scheme, [""; 0])
}

fn in_query(said: Vec<Said>) -> Vec<Parameter> {
    let parameter = |(name, schema, example): Said| {
        let mut schema = schema.build();
        let description = schema.description.take();
        ParameterBuilder::new()
            .name(&*name)
            .parameter_in(ParameterIn::Query)
            .required(Required::False)
            .description(description)
            .schema(Some(schema))
            .example(example)
            .build()
    };
    said.into_iter().map(parameter).collect()
}

fn in_path<const N: usize>(name: &str, words: [&'static str; N]) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .schema(Some(word(words, "")))
        .build()
}

/// A question as form or as JSON object.
fn body(schema: &str, example: &Value) -> utoipa::openapi::request_body::RequestBody {
    let content = || ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).example(Some(example.clone()));
    RequestBodyBuilder::new().content(JSON, content().build()).content(FORM, content().build()).build()
}

fn deadline() -> Said {
    let description = "How long the answer may wait for sources, in milliseconds; clamped to `lookup.deadline_min` .. \
        `lookup.deadline_max`.";
    ("deadline_ms".into(), integer(description).minimum(Some(0)), Some(json!(2500)))
}

fn call_sid() -> Said {
    let description = "Noted in the audit log when it looks like an id: letters, digits and `-`, at most 64.";
    ("call_sid".into(), string(description), None)
}

/// What `[inputs.<name>]` of the configuration lets a request say beside the person.
fn declared(inputs: &[Input]) -> impl Iterator<Item = Said> + '_ {
    inputs.iter().map(|input| {
        let letters = match &*input.extra_letters {
            "" => String::new(),
            more => format!(", and `{more}`"),
        };
        let description = format!("For the sources that need it: A-Z, a-z, 0-9{letters}.");
        let escaped: String = input.extra_letters.chars().flat_map(|c| ['\\', c]).collect();
        let schema = string(&description).pattern(Some(format!("^[A-Za-z0-9{escaped}]*$")));
        (input.text.clone(), schema.max_length(Some(input.max_chars)), None)
    })
}

fn answered(description: &str, media_type: &str, schema: impl Into<RefOr<Schema>>, example: Option<Value>) -> Response {
    let content = ContentBuilder::new().schema(Some(schema.into())).example(example).build();
    ResponseBuilder::new().description(description).content(media_type, content).build()
}

/// What every operation of the agent API may refuse, and these.
fn refusals(responses: ResponsesBuilder, codes: &[Code]) -> ResponsesBuilder {
    let every = [Code::Unauthorized, Code::TooManyWrongKeys, Code::StoreUnavailable, Code::Internal];
    problems(responses, &[codes, &every].concat())
}

/// One response for each status; each code is an example, as it is sent.
fn problems(responses: ResponsesBuilder, codes: &[Code]) -> ResponsesBuilder {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status().as_u16()).or_default().push(*code);
    }
    by_status.into_iter().fold(responses, |responses, (status, codes)| {
        let titles: Vec<_> = codes.iter().map(|code| format!("{} (`{}`).", code.title(), code.as_str())).collect();
        let examples = codes.iter().map(|code| (code.as_str(), problem_example(*code)));
        let content = ContentBuilder::new().schema(Some(named::<error::Body>())).examples_from_iter(examples).build();
        let mut response = ResponseBuilder::new().description(titles.join(" ")).content(PROBLEM, content);
        if codes.contains(&Code::Unauthorized) {
            response = response.header("WWW-Authenticate", header_of("How to say who asks."));
        }
        if codes.contains(&Code::TooManyWrongKeys) {
            response = response.header("Retry-After", header_of("Seconds."));
        }
        responses.response(status.to_string(), response)
    })
}

fn problem_example(code: Code) -> RefOr<utoipa::openapi::example::Example> {
    let problem = match code {
        Code::InvalidParameter => Problem::about(code, "deadline_ms"),
        _ => code.into(),
    };
    let value = serde_json::to_value(error::Body::from(problem)).unwrap_or_default();
    utoipa::openapi::example::ExampleBuilder::new().value(Some(value)).build().into()
}

fn header_of(description: &str) -> Header {
    let mut header = Header::new(ObjectBuilder::new().schema_type(Type::String));
    header.description = Some(description.to_owned());
    header
}

/// Examples are files; a test holds each to its schema.
fn example(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn string(description: &str) -> ObjectBuilder {
    let string = ObjectBuilder::new().schema_type(Type::String);
    if description.is_empty() { string } else { string.description(Some(description)) }
}

fn integer(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).description(Some(description))
}

fn word<const N: usize>(words: [&'static str; N], description: &str) -> ObjectBuilder {
    string(description).enum_values(Some(words))
}
