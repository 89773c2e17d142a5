//! As much of Studio as the shipped flows use: the shape of a flow file, what its texts render
//! to, and a walk along the transitions.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use liquid_core::{Display_filter, Filter, FilterReflection, ParseFilter, Runtime, ValueView};
use serde::Deserialize;
use serde_json::{Value as Json, json};

pub const FILES: [&str; 3] = ["direct.json", "direct-with-options.json", "direct-to-voicemail.json"];

pub const GATEWAY: &str = "https://gateway.example.com/api/studio/context";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    pub description: String,
    pub states: Vec<State>,
    pub initial_state: String,
    pub flags: BTreeMap<String, bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub transitions: Vec<Transition>,
    pub properties: Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    pub event: String,
    pub next: Option<String>,
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    #[serde(rename = "friendly_name")]
    pub _friendly_name: String,
    pub arguments: Vec<String>,
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
}

/// What Studio makes of a JSON answer. Both have been seen; a flow must not depend on it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Keeps {
    Types,
    /// Numbers and booleans become text, null the empty text.
    Text,
}

/// The world around a walk.
pub struct Call<'a> {
    /// `trigger.call`
    pub call: Json,
    /// What the gateway answers; none when the request fails.
    pub answer: Option<&'a Json>,
    pub keeps: Keeps,
    /// The key pressed in a menu.
    pub key: Option<&'a str>,
    /// The event that a recording ends with.
    pub recording: &'a str,
}

#[derive(Default)]
pub struct Walk {
    pub visited: Vec<String>,
    /// The parameters that the gateway was asked with.
    pub asked: Vec<(String, String)>,
    pub said: Vec<String>,
    /// The attributes of the task that the call became, as text.
    pub task: Option<String>,
}

pub fn source(file: &str) -> String {
    let path = format!("{}/examples/studio/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub fn read(file: &str) -> Flow {
    serde_json::from_str(&source(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

impl State {
    pub fn text(&self, property: &str) -> &str {
        self.properties[property].as_str().unwrap_or_else(|| panic!("{}: no {property}", self.name))
    }

    pub fn parameters(&self) -> Vec<(&str, &str)> {
        let parameters = self.properties["parameters"].as_array().into_iter().flatten();
        parameters.map(|p| (p["key"].as_str().unwrap(), p["value"].as_str().unwrap())).collect()
    }

    /// The attributes of the task that the state makes, if it makes one.
    pub fn attributes(&self) -> Option<&str> {
        let parameter = self.parameters().into_iter().find(|(key, _)| *key == "Attributes").map(|(_, value)| value);
        self.properties["attributes"].as_str().or(parameter)
    }

    fn after(&self, event: &str) -> Option<&str> {
        let transition = self.transitions.iter().find(|t| t.event == event);
        transition.unwrap_or_else(|| panic!("{}: no {event}", self.name)).next.as_deref()
    }
}

impl Flow {
    pub fn state(&self, name: &str) -> &State {
        self.states.iter().find(|s| s.name == name).unwrap_or_else(|| panic!("no state {name}"))
    }

    pub fn walk(&self, call: &Call) -> Walk {
        let mut variables = json!({
            "trigger": {"call": call.call},
            "flow": {"flow_sid": "FW0123456789abcdef0123456789abcdef"},
            "widgets": {},
        });
        let mut walk = Walk::default();
        let mut next = Some(self.initial_state.as_str());
        while let Some(name) = next {
            walk.visited.push(name.to_owned());
            assert!(walk.visited.len() < 50, "walks in a circle: {:?}", walk.visited);
            next = step(self.state(name), call, &mut variables, &mut walk);
        }
        walk
    }
}

/// Does what the state does and says which one comes next.
fn step<'a>(state: &'a State, call: &Call, variables: &mut Json, walk: &mut Walk) -> Option<&'a str> {
    if state.kind == "say-play" || state.kind == "gather-input-on-call" {
        walk.said.push(rendered(state.text("say"), variables));
    }
    if let Some(attributes) = state.attributes() {
        walk.task = Some(rendered(attributes, variables));
    }
    let (event, left) = match state.kind.as_str() {
        "trigger" => ("incomingCall", json!({})),
        "say-play" => ("audioComplete", json!({})),
        "send-to-flex" => ("callComplete", json!({})),
        "gather-input-on-call" => match call.key {
            Some(key) => ("keypress", json!({"Digits": key})),
            None => ("timeout", json!({})),
        },
        "record-voicemail" if call.recording == "recordingComplete" => {
            (call.recording, json!({"RecordingUrl": "https://api.twilio.com/Recordings/RE01"}))
        }
        "record-voicemail" => (call.recording, json!({})),
        "make-http-request" if state.text("url") == GATEWAY => {
            let parameters = state.parameters().into_iter();
            walk.asked = parameters.map(|(key, value)| (key.to_owned(), rendered(value, variables))).collect();
            match call.answer {
                Some(answer) => ("success", json!({"parsed": call.keeps.kept(answer)})),
                None => ("failed", json!({})),
            }
        }
        "make-http-request" => ("success", json!({})),
        "split-based-on" => {
            let matching = state.transitions.iter().find(|t| t.event == "match" && t.holds(variables));
            return matching.map_or_else(|| state.after("noMatch"), |t| t.next.as_deref());
        }
        other => panic!("{}: {other} is not modelled", state.name),
    };
    variables["widgets"][&state.name] = left;
    state.after(event)
}

impl Transition {
    fn holds(&self, variables: &Json) -> bool {
        self.conditions.iter().all(|condition| {
            let value = rendered(&condition.arguments[0], variables);
            match condition.kind.as_str() {
                "equal_to" => value == condition.value,
                "matches_any_of" => condition.value.split(',').any(|wanted| wanted == value),
                other => panic!("{other} is not modelled"),
            }
        })
    }
}

impl Keeps {
    pub fn kept(self, value: &Json) -> Json {
        match (self, value) {
            (Self::Types, _) | (_, Json::String(_)) => value.clone(),
            (_, Json::Null) => json!(""),
            (_, Json::Bool(b)) => json!(b.to_string()),
            (_, Json::Number(n)) => json!(n.to_string()),
            (_, Json::Array(list)) => list.iter().map(|v| self.kept(v)).collect(),
            (_, Json::Object(map)) => map.iter().map(|(k, v)| (k.clone(), self.kept(v))).collect(),
        }
    }
}

/// The paths that a text shows, such as `trigger.call.From`.
pub fn shown(template: &str) -> impl Iterator<Item = &str> {
    let holes = template.split("{{").skip(1);
    holes.filter_map(|hole| hole.split([' ', '|', '}']).find(|word| !word.is_empty()))
}

fn rendered(template: &str, variables: &Json) -> String {
    static PARSER: LazyLock<liquid::Parser> =
        LazyLock::new(|| liquid::ParserBuilder::with_stdlib().filter(ToJson).build().unwrap());
    let mut variables = variables.clone();
    // Studio shows what is not there as the empty text; this engine would refuse.
    for path in shown(template) {
        let mut place = &mut variables;
        for part in path.split('.') {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[part];
        }
        if place.is_null() {
            *place = json!("");
        }
    }
    let globals = liquid::to_object(&variables).unwrap();
    PARSER.parse(template).and_then(|t| t.render(&globals)).unwrap_or_else(|e| panic!("{template}: {e}"))
}

/// Studio's own filter.
#[derive(Clone, ParseFilter, FilterReflection)]
#[filter(name = "to_json", description = "The value as JSON.", parsed(ToJsonFilter))]
struct ToJson;

#[derive(Debug, Default, Display_filter)]
#[name = "to_json"]
struct ToJsonFilter;

impl Filter for ToJsonFilter {
    fn evaluate(&self, input: &dyn ValueView, _: &dyn Runtime) -> liquid_core::Result<liquid_core::Value> {
        let json = serde_json::to_string(&input.to_value()).map_err(|e| liquid_core::Error::with_msg(e.to_string()))?;
        Ok(liquid_core::Value::scalar(json))
    }
}
