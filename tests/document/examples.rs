//! Examples are held to their schemas, wherever they stand.

use serde_json::Value;

use crate::book::World;

#[tokio::test]
async fn every_example_fits_its_schema() {
    let world = World::start().await;
    let (mut count, mut faults) = (0, Vec::new());
    walk(&world.document, "", &mut |place, node| {
        let schema = match place.contains("/schemas/") || node.get("schema").is_none() {
            true => node,
            false => &node["schema"],
        };
        let one = node.get("example").into_iter();
        let many = match &node["examples"] {
            Value::Array(examples) => examples.iter().collect(),
            Value::Object(examples) => examples.values().map(|e| &e["value"]).collect(),
            _ => Vec::new(),
        };
        for example in one.chain(many) {
            count += 1;
            faults.extend(world.faults(schema, example).iter().map(|fault| format!("{place}: {fault}")));
        }
    });
    assert_eq!(faults, [""; 0]);
    assert!(count > 40, "{count} examples");
}

/// Every object of the document that is no map of names.
fn walk<'a>(node: &'a Value, place: &str, visit: &mut impl FnMut(&str, &'a Value)) {
    match node {
        Value::Object(members) => {
            let names = ["/properties", "/schemas", "/examples", "/paths"].iter().any(|map| place.ends_with(map));
            if !names {
                visit(place, node);
            }
            for (name, member) in members {
                if !matches!(name.as_str(), "example" | "value") {
                    walk(member, &format!("{place}/{name}"), visit);
                }
            }
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, member)| walk(member, &format!("{place}/{n}"), visit))
        }
        _ => {}
    }
}

/// Whoever reads the document finds a word for everything.
#[tokio::test]
async fn everything_has_a_description() {
    let world = World::start().await;
    for operation in world.operations() {
        let id = operation.id;
        assert!(!operation.text["summary"].as_str().unwrap().is_empty(), "{id}");
        assert!(!operation.text["description"].as_str().unwrap().is_empty(), "{id}");
        for parameter in operation.text["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["in"] == "path" || parameter["description"].is_string(), "{id}: {parameter}");
        }
        for (status, response) in operation.text["responses"].as_object().unwrap() {
            assert!(response["description"].as_str().is_some_and(|d| !d.is_empty()), "{id} {status}");
        }
    }
    for (name, schema) in world.document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string() || schema["properties"].is_object(), "{name}");
    }
}
