//! A certificate of the gateway's own: who is served with it, and what cannot be served with.

use std::path::Path;
use std::time::Duration;

use caller_context::app::{App, KeysFrom};
use caller_context::clock::Clock;
use caller_context::config::{Layers, load};
use caller_context::store::keys::{Grant, Keys};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{configuration, cryptography, loaded};

/// A certificate for this machine, with its key, into a folder; the certificate as PEM.
fn certify(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    made.cert.pem()
}

fn config(folder: &Path, server: &str) -> String {
    let files = ["crt", "key"].map(|end| format!("file:{}/tls.{end}", folder.display()));
    let tls = format!("tls = {{ certificate = \"{}\", key = \"{}\" }}\n{server}\n", files[0], files[1]);
    let source = "[sources.none]\nconnector = \"sqlite\"\nurl = \"sqlite:/nowhere\"\n[sources.none.lookup.one]\n\
                  needs = [\"phone\"]\nsql = \"SELECT name FROM people WHERE phone IN (:phones)\"\nexact = true\n\
                  provides.name = \"name\"\n";
    configuration(source, folder).replace("[server]\n", &format!("[server]\n{tls}"))
}

async fn start(folder: &Path, server: &str) -> App {
    cryptography();
    let grant = Grant {
        key_id: "studio".into(),
        organization: caller_context::domain::Organization::single(),
        view: "studio".into(),
    };
    let keys = Keys::fixed(vec![("studio".into(), grant)]);
    App::start(loaded(&config(folder, server)), KeysFrom::Fixed(keys), Clock::system()).await.unwrap()
}

/// A client that trusts this certificate and no other.
#[expect(clippy::disallowed_methods, reason = "the client of a test asks the gateway, not a vendor")]
fn trusting(certificate: &str) -> reqwest::Client {
    let certificate = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
    reqwest::Client::builder().tls_certs_only([certificate]).build().unwrap()
}

#[tokio::test]
async fn requests_come_by_tls_and_a_swapped_certificate_serves_new_connections() {
    let folder = tempfile::tempdir().unwrap();
    let first = certify(folder.path());
    let app = start(folder.path(), "").await;
    let url = format!("https://{}/healthz", app.address);
    let connected = trusting(&first);
    let answer = connected.get(&url).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
    answer.bytes().await.unwrap();
    assert!(trusting(&first).get(url.replace("https", "http")).send().await.is_err(), "in clear");

    let second = certify(folder.path());
    app.reload(Layers::text(&config(folder.path(), ""))).await.unwrap();
    assert_eq!(connected.get(&url).send().await.unwrap().status(), 200, "its connection stays");
    assert_eq!(trusting(&second).get(&url).send().await.unwrap().status(), 200);
    assert!(trusting(&first).get(&url).send().await.is_err(), "the old one is not shown any more");

    std::fs::write(folder.path().join("tls.key"), "no key").unwrap();
    assert!(app.reload(Layers::text(&config(folder.path(), ""))).await.is_err());
    assert_eq!(trusting(&second).get(&url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = certify(folder.path());
    let app = start(folder.path(), "header_timeout = \"200ms\"").await;
    // the first bytes of a greeting of 512
    for said in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        stream.write_all(said).await.unwrap();
        let url = format!("https://{}/healthz", app.address);
        assert_eq!(trusting(&certificate).get(url).send().await.unwrap().status(), 200, "others are not held up");
        let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut Vec::new())).await;
        assert!(ended.is_ok(), "{said:?} holds its connection");
    }
}

#[test]
fn what_cannot_be_served_with_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let said = || match load(&Layers::text(&config(folder.path(), ""))) {
        Ok(_) => String::new(),
        Err(invalid) => invalid.to_string(),
    };
    certify(folder.path());
    assert_eq!(said(), "");
    let mine = std::fs::read_to_string(folder.path().join("tls.key")).unwrap();
    certify(folder.path());
    std::fs::write(folder.path().join("tls.key"), mine).unwrap();
    let other = said();
    assert!(other.contains("bad-certificate") && other.contains("tls.crt"), "{other}");

    let key = rcgen::KeyPair::generate().unwrap();
    let mut old = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    std::fs::write(folder.path().join("tls.crt"), old.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.path().join("tls.key"), key.serialize_pem()).unwrap();
    let expired = said();
    assert!(expired.contains("tls.crt: the certificate has expired"), "{expired}");

    std::fs::remove_file(folder.path().join("tls.key")).unwrap();
    let missing = said();
    assert!(missing.contains("tls.key is not there"), "{missing}");
}
