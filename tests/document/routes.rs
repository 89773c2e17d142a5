//! What the router takes and what the document describes is the same.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, StatusCode};

use crate::book::{World, filled};

/// The paths written in src/http/router.rs.
fn routed() -> BTreeSet<String> {
    let text = include_str!("../../src/http/router.rs");
    for other in [".nest", ".route_service", ".fallback_service"] {
        assert!(!text.contains(other), "{other} adds routes that this test does not see");
    }
    let arguments = text.split(".route(").skip(1).map(|rest| rest.trim_start().split_once(',').unwrap().0);
    arguments
        .map(|argument| match argument {
            "studio::PATH" => "/api/studio/context".to_owned(),
            "compare::PATH" => "/api/studio/compare".to_owned(),
            "meetings::PATH" => "/api/meetings/context".to_owned(),
            literal => literal.trim_matches('"').to_owned(),
        })
        .collect()
}

#[tokio::test]
async fn every_route_is_described_and_nothing_else() {
    let world = World::start().await;
    let described: BTreeSet<_> = world.operations().iter().map(|o| o.path.to_owned()).collect();
    assert!(routed().len() > 5);
    assert_eq!(routed(), described);
}

#[tokio::test]
async fn every_method_is_described_and_nothing_else() {
    let world = World::start().await;
    let mut methods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for operation in world.operations() {
        methods.entry(filled(&operation)).or_default().insert(operation.method.to_uppercase());
    }
    for (path, described) in methods {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let request = world.client.request(method.clone(), world.url(&path)).bearer_auth("demo-admin");
            let answer = request.send().await.unwrap();
            let taken = answer.status() != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(taken, described.contains(method.as_str()), "{method} {path}");
            if !taken {
                let allowed = answer.headers()["allow"].to_str().unwrap().split(',').map(str::trim);
                let allowed: BTreeSet<_> = allowed.filter(|m| *m != "HEAD").map(str::to_owned).collect();
                assert_eq!(allowed, described, "{method} {path}: Allow");
            }
        }
    }
}

#[tokio::test]
async fn the_document_is_of_this_package_and_this_gateway() {
    use caller_context::cli::demo::Setup;
    let public = ("server.public_url", "https://context.example.com".to_owned());
    let more = "[inputs.branch]\nextra_letters = \"-\"\nmax_chars = 12\n".to_owned();
    let world = World::with(Setup { overrides: vec![public], more, ..Setup::default() }).await;
    let document = &world.document;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(document["servers"][0]["url"], "https://context.example.com");
    let ask = &document["paths"]["/api/context"]["get"]["parameters"];
    let branch = ask.as_array().unwrap().iter().find(|p| p["name"] == "branch").unwrap();
    assert_eq!(branch["schema"]["maxLength"], 12);
    assert_eq!(document["components"]["schemas"]["ContextQuestion"]["properties"]["branch"]["maxLength"], 12);
    assert!(World::start().await.document.get("servers").is_none(), "nobody knows the address");
}

/// Everybody may read the document and its page: they say what may be asked, not what is kept.
#[tokio::test]
async fn what_is_configured_is_not_told_to_everybody() {
    use caller_context::cli::demo::Setup;
    let more = "[fields.canary_score]\ntype = \"int\"\nclass = \"sensitive\"\n\
                [views.canary_view]\nfields = [\"name\", \"canary_score\"]\nmask = { name = \"full\" }\n\
                [sources.canary_source]\nconnector = \"http\"\nbase_url = \"https://canary.example\"\nauth.none = {}\n\
                [sources.canary_source.lookup.x]\nneeds = [\"customer_id\"]\nget = \"/{customer_id}\"\n\
                provides = { canary_score = \"score\" }\n";
    let world = World::with(Setup { more: more.into(), ..Setup::default() }).await;
    let page = world.client.get(world.url("/docs")).send().await.unwrap().text().await.unwrap();
    for text in [world.document.to_string(), page] {
        assert!(text.contains("contact_count") && !text.contains("canary"), "it tells what is configured");
    }
    let name = &world.document["components"]["schemas"]["Fields"]["properties"]["name"];
    assert!(name["description"].as_str().unwrap().ends_with("Some views mask it."), "and what is true of answers");
}
