//! The signatures that Twilio prints verify, and prove nothing of another body.

use caller_context::config::{Layers, load};
use caller_context::http::twilio_signature::{Accounts, Signed};
use serde::Deserialize as _;
use serde_json::Value;
use url::{Position, Url};

use super::{Result, document};

#[derive(serde::Deserialize)]
struct Vectors {
    vectors: Vec<Value>,
}

/// A request that Twilio signed, as its documents print it.
#[derive(serde::Deserialize)]
struct Vector {
    id: String,
    secret: String,
    url: String,
    /// Form parameters; otherwise the body is text.
    params: Option<Vec<(String, String)>>,
    body: Option<String>,
    expected: String,
}

#[test]
fn twilio_signature_vectors_verify() -> Result {
    let Some(path) = document("twilio_signature_vectors_verify", "signatures.json")? else { return Ok(()) };
    let file: Vectors = serde_json::from_slice(&std::fs::read(path)?)?;
    let is_twilio = |vector: &&Value| vector.get("header").is_some_and(|header| header == "X-Twilio-Signature");
    let vectors: Vec<Vector> =
        file.vectors.iter().filter(is_twilio).map(Vector::deserialize).collect::<std::result::Result<_, _>>()?;
    assert!(vectors.len() >= 7, "the document has lost vectors: {}", vectors.len());
    for Vector { id, secret, url, params, body, expected } in vectors {
        let url: Url = url.parse()?;
        let layers = Layers::text("").with("TWILIO_ACCOUNT_SID", "AC1").with("TWILIO_AUTH_TOKEN", &secret);
        let mut config = load(&layers)?.config;
        // Past the check that it is https: some of the vectors are not.
        config.server.public_url = Some(url.join("/")?);
        let accounts = Accounts::of(&config);
        let is_form = params.is_some();
        let form =
            |params| form_urlencoded::Serializer::new(String::new()).extend_pairs::<_, String, String>(params).finish();
        let body = params.map(form).or(body).unwrap_or_default();
        let mut request = Signed {
            signature: expected.as_bytes(),
            path_and_query: &url[Position::BeforePath..],
            body: body.as_bytes(),
            is_form,
            account_sid: None,
        };
        assert!(accounts.verify(&request).is_some(), "{id}");
        let other = body.replacen('1', "2", 1).replacen("value", "valve", 1);
        request.body = other.as_bytes();
        assert!(accounts.verify(&request).is_none(), "{id}: another body");
    }
    Ok(())
}
