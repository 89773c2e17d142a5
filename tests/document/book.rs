//! The document, as the demo serves it, and the judge of values by its schemas.

use std::io::Write as _;

use caller_context::cli::demo::{Demo, Setup};
use caller_context::clock::Clock;
use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

pub struct World {
    demo: Demo,
    pub client: reqwest::Client,
    pub document: Value,
}

/// One operation of the document.
pub struct Operation<'a> {
    pub path: &'a str,
    pub method: &'a str,
    pub id: &'a str,
    pub text: &'a Value,
}

impl World {
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    #[expect(clippy::disallowed_methods, reason = "the client of a test asks the gateway, not a vendor")]
    pub async fn with(setup: Setup) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let demo = Demo::start(setup, Clock::system()).await.unwrap();
        let client = reqwest::Client::builder().build().unwrap();
        let mut world = Self { demo, client, document: Value::Null };
        world.document = world.client.get(world.url("/api/openapi.json")).send().await.unwrap().json().await.unwrap();
        world
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.demo.app.address)
    }

    pub fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.document["paths"].as_object().unwrap().iter();
        let methods = paths.flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, text)| (path.as_str(), method.as_str(), text))
        });
        methods
            .map(|(path, method, text)| Operation { path, method, text, id: text["operationId"].as_str().unwrap() })
            .collect()
    }

    /// A judge that allows no member which the schema does not know.
    pub fn judge(&self, schema: &Value) -> Validator {
        let mut schema = schema.clone();
        seal(&mut schema);
        let mut components = self.document["components"].clone();
        for (_, named) in components["schemas"].as_object_mut().unwrap() {
            seal_within(named);
        }
        let whole = json!({ "components": components, "allOf": [schema] });
        jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true).build(&whole).unwrap()
    }

    /// What the judge says against a value.
    pub fn faults(&self, schema: &Value, value: &Value) -> Vec<String> {
        self.judge(schema).iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect()
    }
}

/// Where a schema is used, nothing may stand beside what it describes. Parts of an `allOf` do not
/// know of each other, so the whole is sealed.
fn seal(schema: &mut Value) {
    seal_within(schema);
    let Some(object) = schema.as_object_mut() else { return };
    let is_closed = ["$ref", "properties", "allOf"].iter().any(|key| object.contains_key(*key));
    if is_closed && !object.contains_key("additionalProperties") {
        object.insert("unevaluatedProperties".into(), false.into());
    }
}

fn seal_within(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    for (key, value) in object.iter_mut() {
        match key.as_str() {
            "properties" => value.as_object_mut().unwrap().values_mut().for_each(seal),
            "items" | "additionalProperties" => seal(value),
            "allOf" => value.as_array_mut().unwrap().iter_mut().for_each(seal_within),
            _ => {}
        }
    }
}

/// A path with its holes filled by the first word that each may hold.
pub fn filled(operation: &Operation) -> String {
    let mut path = operation.path.to_owned();
    for parameter in operation.text["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] == "path" {
            let hole = format!("{{{}}}", parameter["name"].as_str().unwrap());
            path = path.replace(&hole, parameter["schema"]["enum"][0].as_str().unwrap());
        }
    }
    path
}

/// Says what a test needs that is not there, which fails where the runner has promised it.
pub fn skip(test: &str, needs: &str, promised: &str) {
    assert!(std::env::var_os(promised).is_none(), "{test} needs {needs}");
    // Straight to the terminal: what a passing test prints is swallowed.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test} needs {needs}");
}
