//! The caller panel that agents have today works with what the flows hand on, unmodified.

use serde_json::{Value as Json, json};

use crate::answers;
use crate::flow::{FILES, Keeps, read};
use crate::flows::{attributes, walk};
use crate::hostile;
use crate::node;

#[test]
fn caller_data_is_a_text_of_exactly_the_keys_that_the_panel_reads() {
    let hostile = hostile::names();
    for answer in answers::kinds().into_iter().chain(hostile.iter().map(|name| answers::named(name))) {
        let text = answer["caller_data"].as_str().unwrap();
        let data: Json = serde_json::from_str(text).unwrap();
        assert_eq!(keys(&data), ["name", "account_id", "status", "last_contact", "recent_orders"]);
        for order in data["recent_orders"].as_array().unwrap() {
            assert_eq!(keys(order), ["id", "description", "date"]);
            assert!(order.as_object().unwrap().values().all(Json::is_string));
        }
        for key in ["name", "account_id", "status", "last_contact"] {
            assert!(data[key].is_string(), "{key} is never null: a panel would show the word");
        }
    }
    let orders = |answer: Json| -> Json { serde_json::from_str(answer["caller_data"].as_str().unwrap()).unwrap() };
    assert_eq!(orders(answers::named("Ann Lee"))["recent_orders"].as_array().unwrap().len(), 2);
}

fn keys(object: &Json) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_panel_shows_every_task_of_every_flow() {
    let mut tasks = Vec::new();
    for file in FILES {
        let flow = read(file);
        for answer in answers::kinds().iter().map(Some).chain([None]) {
            for keeps in [Keeps::Types, Keeps::Text] {
                tasks.push(attributes(&walk(&flow, answer, keeps)));
            }
        }
    }
    let input = Json::Array(tasks);
    let Some((panels, _)) = node::run("the_panel_shows_every_task_of_every_flow", "panel.mjs", &input) else { return };
    let panels = panels.as_array().unwrap();
    assert_eq!(panels.len(), FILES.len() * (answers::kinds().len() + 1) * 2);
    let heads = ["Name: ", "Account: ", "Status: ", "Last Contact: ", "Recent Orders:"];
    for panel in panels {
        let lines: Vec<_> = panel.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        assert!(lines.iter().zip(heads).all(|(line, head)| line.starts_with(head)), "{lines:?}");
        let text = lines.join("\n");
        for word in ["undefined", "null", "NaN", "[object"] {
            assert!(!text.contains(word), "{text}");
        }
    }
    let known = json!([
        "Name: Ann Lee",
        "Account: Ann Lee",
        "Status: Ann Lee",
        "Last Contact: 2030-01-02T03:04:05Z",
        "Recent Orders:",
        "Ann Lee: Ann Lee (2030-01-01)",
        "Ann Lee: Ann Lee (2030-01-01)",
    ]);
    assert!(panels.contains(&known));
    let unknown = json!(["Name: Unknown", "Account: ", "Status: ", "Last Contact: ", "Recent Orders:"]);
    assert!(panels.contains(&unknown));
}
