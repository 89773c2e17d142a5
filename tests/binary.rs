//! The binary as its users run it: what lies beside it, what the environment says, what it prints
//! and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

/// A folder with the binary in it, as it would be unpacked.
fn unpacked() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("caller-context");
    let built = env!("CARGO_BIN_EXE_caller-context");
    if std::fs::hard_link(built, &binary).is_err() {
        std::fs::copy(built, &binary).unwrap();
    }
    (folder, binary)
}

/// Runs it elsewhere, with nothing of this process's environment.
fn run(binary: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary);
    command.args(arguments).env_clear().envs(environment.iter().copied()).current_dir(elsewhere.path());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn vendor() -> SocketAddr {
    let people = async || Json(json!([{ "id": 7, "tel": "+1 415-555-0142", "who": "Ann Example" }]));
    serving(Router::new().route("/find", get(people))).await
}

#[expect(clippy::disallowed_methods, reason = "the runtime of a test ends with it")]
async fn serving(routes: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, routes).await.unwrap() });
    address
}

const ACME: &str = r#"
manifest = 1
vendor   = "acme"
title    = "Acme CRM"
base_url = "https://api.acme.example"
hosts    = ["api.acme.example"]

[auth.headers]
X-Key = "{secret}"

[lookup.person]
needs       = ["phone"]
get         = "/find"
query.phone = "{phone}"
phones      = ["tel"]

[lookup.person.provides]
name = "who"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_beside_the_binary_is_a_connector() {
    let (folder, binary) = unpacked();
    std::fs::create_dir(folder.path().join("connectors")).unwrap();
    std::fs::write(folder.path().join("connectors/acme.toml"), ACME).unwrap();
    let config = tempfile::NamedTempFile::new().unwrap();
    let source = format!(
        "[sources.crm]\nconnector = \"acme\"\nbase_url = \"http://{}\"\nsecret = \"env:ACME_KEY\"\n",
        vendor().await
    );
    std::fs::write(config.path(), source).unwrap();
    let config = ["--config", config.path().to_str().unwrap()];

    let checked = run(&binary, &["check", config[0], config[1]], &[("ACME_KEY", "k")]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let looked_up = run(&binary, &["lookup", "+14155550142", config[0], config[1]], &[("ACME_KEY", "k")]);
    let page = text(&looked_up.stdout);
    assert!(looked_up.status.success(), "{page}{}", text(&looked_up.stderr));
    for line in ["match unique", "Ann Example  (crm, just now)", "crm.person"] {
        assert!(page.contains(line), "{line}: {page}");
    }
    assert_eq!(
        run(&binary, &["lookup", "+14155550143", config[0], config[1]], &[("ACME_KEY", "k")]).status.code(),
        Some(3)
    );

    let tried = ["connectors", "try", "crm", "+14155550142", config[0], config[1]];
    assert!(text(&run(&binary, &tried, &[("ACME_KEY", "k")]).stdout).contains("Ann Example"));
    let nowhere =
        run(&binary, &["connectors", "try", "cmr", "+14155550142", config[0], config[1]], &[("ACME_KEY", "k")]);
    assert!(text(&nowhere.stderr).contains("did you mean `crm`"), "{}", text(&nowhere.stderr));

    std::fs::write(folder.path().join("connectors/acme.toml"), ACME.replace("phones  ", "phnoes  ")).unwrap();
    let wrong = run(&binary, &["check", config[0], config[1]], &[("ACME_KEY", "k")]);
    let said = text(&wrong.stderr);
    assert_eq!(wrong.status.code(), Some(78), "{said}");
    assert!(said.contains("acme.toml") && said.contains("did you mean `phones`"), "{said}");
}

/// The blocks of docs/connectors.md that name a file are that file.
#[tokio::test(flavor = "multi_thread")]
async fn the_worked_example_comes_true() {
    let (_folder, binary) = unpacked();
    let (folder, page) = (tempfile::tempdir().unwrap(), include_str!("../docs/connectors.md"));
    let at = |name: &str| folder.path().join(name);
    for block in page.split("```toml\n# ").skip(1) {
        let (name, text) = block.split("```").next().unwrap().split_once('\n').unwrap();
        std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        std::fs::write(at(name), text).unwrap();
    }
    let connectors = at("connectors").to_str().unwrap().to_owned();
    let checked = run(&binary, &["connectors", "check", "acme", "--folder", &connectors], &[]);
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
    assert!(text(&checked.stdout).contains("3 of 3 cases come true"), "{}", text(&checked.stdout));
    let config = at("config.toml").to_str().unwrap().to_owned();
    let checked = run(&binary, &["check", "--config", &config], &[("ACME_KEY", "k")]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let listed = text(&run(&binary, &["connectors", "list", "--folder", &connectors], &[]).stdout);
    let acme = listed.lines().find(|line| line.starts_with("acme ")).unwrap().split_whitespace().collect::<Vec<_>>();
    assert_eq!(acme, ["acme", "Acme", "Desk", "phone", "1", "of", "2", "contact_by_phone", "tickets"]);

    // a recording that is not true any more
    let wrong = std::fs::read_to_string(at("connectors/acme.toml")).unwrap().replace("\"fullName\"", "\"name\"");
    std::fs::write(at("connectors/acme.toml"), wrong).unwrap();
    let checked = run(&binary, &["connectors", "check", "acme", "--folder", &connectors], &[]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(text(&checked.stdout).contains("failed  phone_hit: name is missing"), "{}", text(&checked.stdout));
}

#[test]
fn a_manifest_that_is_begun_comes_true_as_it_is() {
    let (_folder, binary) = unpacked();
    let folder = tempfile::tempdir().unwrap();
    let connectors = folder.path().join("connectors").to_str().unwrap().to_owned();
    let new = ["connectors", "new", "acme", "--base-url", "https://api.acme.example", "--folder", &connectors];
    assert!(run(&binary, &new, &[]).status.success());
    let checked = run(&binary, &["connectors", "check", "acme", "--folder", &connectors], &[]);
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
    let again = run(&binary, &new, &[]);
    assert!(!again.status.success() && text(&again.stderr).contains("stays as it is"), "{}", text(&again.stderr));
    let nobodys = run(&binary, &["connectors", "check", "emca", "--folder", &connectors], &[]);
    assert_eq!(nobodys.status.code(), Some(2));
}

#[test]
fn without_anything_it_says_what_to_do() {
    let (_folder, binary) = unpacked();
    let listed = text(&run(&binary, &["connectors", "list"], &[]).stdout);
    let listed = listed.lines().skip(1).filter_map(|line| line.split(' ').next()).map(str::to_owned);
    let all = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("connectors")).unwrap();
    let all = all.filter_map(|file| file.unwrap().file_name().to_str()?.strip_suffix(".toml").map(str::to_owned));
    assert_eq!(listed.collect::<BTreeSet<_>>(), all.collect::<BTreeSet<_>>());
    assert!(text(&run(&binary, &["connectors", "show", "hubspot"], &[]).stdout).contains("vendor   = \"hubspot\""));
    assert!(run(&binary, &["check"], &[]).status.success());
    assert!(text(&run(&binary, &["explain"], &[]).stdout).contains("deadline"));
    let served = run(&binary, &["serve"], &[]);
    assert_eq!(served.status.code(), Some(1));
    assert!(text(&served.stderr).contains("keys new --view studio"), "{}", text(&served.stderr));
}

/// A process that does not outlive its test.
struct Running(Child, Option<Lines>);

/// Kept while the process lives: it could not print into a pipe that nobody holds.
type Lines = std::io::Lines<BufReader<Box<dyn std::io::Read>>>;

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(binary: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(binary);
        command.args(arguments).env_clear().envs(environment.iter().copied());
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap(), None)
    }

    /// Waits until it says, after `mark`, where it answers.
    fn address(&mut self, mark: &str) -> SocketAddr {
        let said: Box<dyn std::io::Read> = match mark {
            "demo on http://" => Box::new(self.0.stdout.take().unwrap()),
            _ => Box::new(self.0.stderr.take().unwrap()),
        };
        let lines = self.1.insert(BufReader::new(said).lines());
        for line in lines.by_ref() {
            if let Some((_, rest)) = line.unwrap().split_once(mark) {
                return rest.split(['"', ' ']).next().unwrap().parse().unwrap();
            }
        }
        panic!("it ended without saying where it answers");
    }
}

#[test]
fn health_asks_the_gateway_that_the_configuration_describes() {
    let (_folder, binary) = unpacked();
    let mut demo = Running::start(&binary, &["demo", "--listen", "127.0.0.1:0"], &[]);
    let address = demo.address("demo on http://");

    let asked = run(&binary, &["health", "--url", &format!("http://{address}/healthz")], &[]);
    assert_eq!(asked.status.code(), Some(0), "{}", text(&asked.stderr));
    assert!(text(&asked.stdout).contains("200 OK"), "{}", text(&asked.stdout));

    // a gateway that listens everywhere is asked on this machine
    let port = address.port();
    let listen = format!("0.0.0.0:{port}");
    let everywhere =
        [("CALLER_CONTEXT__SERVER__LISTEN", &*listen), ("CALLER_CONTEXT__SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]")];
    let asked = run(&binary, &["health"], &everywhere);
    assert_eq!(asked.status.code(), Some(0), "{}", text(&asked.stderr));
    assert!(text(&asked.stdout).contains("\"status\":\"ready\""), "{}", text(&asked.stdout));

    let missing = run(&binary, &["health", "--url", &format!("http://{address}/nothing")], &[]);
    assert_eq!(missing.status.code(), Some(1));
    drop(demo);
    assert_eq!(run(&binary, &["health"], &everywhere).status.code(), Some(1));
    let wrong = run(&binary, &["health"], &[("CALLER_CONTEXT__SERVER__LISTEN", "everywhere")]);
    assert_eq!(wrong.status.code(), Some(78));
}

#[test]
fn health_asks_by_tls_where_the_gateway_speaks_it() {
    let (folder, binary) = unpacked();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = rcgen::generate_simple_self_signed(["calls.example.com".to_owned()]).unwrap();
    std::fs::write(file("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(file("tls.key"), made.signing_key.serialize_pem()).unwrap();
    let key = text(&run(&binary, &["keys", "generate"], &[]).stdout);
    let (url, key_file) = (format!("sqlite:{}", file("store.db")), file("store.key"));
    let (certificate, private) = (format!("file:{}", file("tls.crt")), format!("file:{}", file("tls.key")));
    let environment = |listen: String| {
        [
            ("CALLER_CONTEXT__STORE__URL", url.clone()),
            ("CALLER_CONTEXT__STORE__KEY_FILE", key_file.clone()),
            ("CALLER_CONTEXT__SERVER__LISTEN", listen),
            ("CALLER_CONTEXT__SERVER__TLS__CERTIFICATE", certificate.clone()),
            ("CALLER_CONTEXT__SERVER__TLS__KEY", private.clone()),
            ("STUDIO_KEY", key.trim().to_owned()),
        ]
    };
    let anywhere = environment("127.0.0.1:0".into());
    let anywhere = anywhere.each_ref().map(|(name, value)| (*name, &**value));
    let added = run(&binary, &["keys", "add", "--view", "studio", "--key", "env:STUDIO_KEY"], &anywhere);
    assert_eq!(added.status.code(), Some(0), "{}", text(&added.stderr));
    let mut gateway = Running::start(&binary, &["serve"], &anywhere);
    let address = gateway.address("\"address\":\"").to_string();
    let there = environment(address);
    let there = there.each_ref().map(|(name, value)| (*name, &**value));
    let asked = run(&binary, &["health"], &there);
    assert_eq!(asked.status.code(), Some(0), "{}", text(&asked.stderr));
}

#[test]
fn keys_can_be_made_before_there_is_a_store_and_a_supervisor_is_told() {
    let (folder, binary) = unpacked();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = text(&run(&binary, &["keys", "generate"], &[]).stdout);
    std::fs::write(file("studio-key"), &made).unwrap();
    let socket = UnixDatagram::bind(file("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let told = || {
        let mut line = [0; 64];
        let read = socket.recv(&mut line).unwrap();
        text(line.get(..read).unwrap())
    };
    let (url, key_file, notify) = (format!("sqlite:{}", file("store.db")), file("store.key"), file("notify"));
    let environment = [
        ("CALLER_CONTEXT__STORE__URL", &*url),
        ("CALLER_CONTEXT__STORE__KEY_FILE", &key_file),
        ("CALLER_CONTEXT__SERVER__LISTEN", "127.0.0.1:0"),
        ("STUDIO_KEY", made.trim()),
        ("NOTIFY_SOCKET", &notify),
    ];
    let add = |reference: &str| run(&binary, &["keys", "add", "--view", "studio", "--key", reference], &environment);
    for (reference, said) in
        [("env:STUDIO_KEY", "added"), (&*format!("file:{}", file("studio-key")), "is there already")]
    {
        let added = add(reference);
        assert_eq!(added.status.code(), Some(0), "{}", text(&added.stderr));
        assert!(text(&added.stderr).contains(said), "{}", text(&added.stderr));
        assert!(!text(&added.stderr).contains(made.trim()), "the key is shown");
    }
    for (wrong, said) in [(made.trim(), "name where the key is"), ("env:NOTIFY_SOCKET", "not a key")] {
        let refused = add(wrong);
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains(said), "{}", text(&refused.stderr));
    }

    let mut gateway = Running::start(&binary, &["serve"], &environment);
    let address = gateway.address("\"address\":\"");
    assert_eq!(told(), "READY=1");
    let asked = run(&binary, &["health", "--url", &format!("http://{address}/readyz")], &[]);
    assert_eq!(asked.status.code(), Some(0));
    let pid = gateway.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(told(), "STOPPING=1");
    assert_eq!(gateway.0.wait().unwrap().code(), Some(0));

    let id = made.split('.').next().unwrap();
    assert_eq!(run(&binary, &["keys", "revoke", id], &environment).status.code(), Some(0));
    let again = add("env:STUDIO_KEY");
    assert_eq!(again.status.code(), Some(0), "a rollout with an old secret goes on");
    assert!(text(&again.stderr).contains("was revoked and stays so"), "{}", text(&again.stderr));
    assert!(text(&run(&binary, &["keys", "list"], &environment).stdout).contains("revoked"));
}

#[test]
fn there_is_a_manual_page_for_every_verb() {
    let (folder, binary) = unpacked();
    let pages = folder.path().join("man1");
    assert!(run(&binary, &["man", "--dir", pages.to_str().unwrap()], &[]).status.success());
    for page in ["caller-context", "caller-context-serve", "caller-context-health", "caller-context-keys-new"] {
        let written = std::fs::read_to_string(pages.join(format!("{page}.1"))).unwrap();
        assert!(written.contains(".TH"), "{page}");
    }
    let whole = text(&run(&binary, &["man"], &[]).stdout);
    for said in ["Exit codes", "starting again will not help", "caller\\-context\\-lookup(1)"] {
        assert!(whole.contains(said), "{said}: {whole}");
    }
}

/// Supervisors ask with TERM. The answer in flight goes out whole, and the process ends well.
#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_it_finishes_the_answer_in_flight() {
    let (asked, release) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let vendor = {
        let (asked, release) = (asked.clone(), release.clone());
        let people = async move || {
            asked.notify_one();
            release.notified().await;
            Json(json!([{ "id": 7, "tel": "+1 415-555-0142", "who": "Ann Example" }]))
        };
        serving(Router::new().route("/find", get(people))).await
    };
    let (folder, binary) = unpacked();
    std::fs::create_dir(folder.path().join("connectors")).unwrap();
    std::fs::write(folder.path().join("connectors/acme.toml"), ACME).unwrap();
    let store = folder.path().display();
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite:{store}/store.db\"\nkey_file = \"{store}/key\"\n\
         [sources.crm]\nconnector = \"acme\"\nbase_url = \"http://{vendor}\"\nsecret = \"env:ACME_KEY\"\n\
         timeout = \"30s\"\n"
    );
    let file = folder.path().join("config.toml");
    std::fs::write(&file, config).unwrap();
    let file = file.to_str().unwrap();
    let environment = [("ACME_KEY", "k")];
    let key = text(&run(&binary, &["keys", "new", "--view", "studio", "--config", file], &environment).stdout);
    let mut gateway = Running::start(&binary, &["serve", "--config", file], &environment);
    let address = gateway.address("\"address\":\"");
    let url = format!("http://{address}/api/studio/context");
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[expect(clippy::disallowed_methods, reason = "the client of a test asks the gateway, not a vendor")]
    let client = reqwest::Client::new();
    let form = [("From", "+14155550142"), ("deadline_ms", "9000")];
    let answer = client.post(url).basic_auth("x", Some(key.trim())).form(&form).send();
    let ending = async {
        asked.notified().await;
        let sent = Command::new("kill").args(["-s", "TERM", &gateway.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
        release.notify_one();
    };
    let (answer, ()) = tokio::join!(answer, ending);
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 200);
    let attributes: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(attributes.get("caller_name"), Some(&"Ann Example".into()), "{attributes}");
    assert_eq!(gateway.0.wait().unwrap().code(), Some(0));
}
