//! From files and environment to a valid configuration: layers, references, and what is refused.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use caller_context::config::{Layers, Loaded, load, load_str};
use caller_context::manifest::plan::{Source, Upstream};
use secrecy::ExposeSecret;

fn source<'a>(loaded: &'a Loaded, name: &str) -> &'a Source {
    loaded.config.plan.sources.iter().find(|source| &*source.name == name).unwrap()
}

fn codes(layers: &Layers) -> Vec<&'static str> {
    let diagnostics = match load(layers) {
        Ok(loaded) => loaded.warnings,
        Err(invalid) => invalid.diagnostics,
    };
    diagnostics.into_iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn the_reference_alone_is_valid_and_has_no_sources() {
    let loaded = load_str("").unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.rendered_warnings());
    assert!(loaded.config.plan.sources.is_empty());
    assert_eq!(loaded.left_out.len(), 6);
    assert_eq!(loaded.config.lookup.deadline, Duration::from_millis(2500));
    assert_eq!(loaded.config.studio.max_chars, 4096);
    assert!(loaded.config.server.listen.ip().is_loopback());
    assert!(loaded.config.organizations.values().all(|organization| organization.twilio.is_empty()));
}

#[test]
fn the_environment_is_laid_on_the_file_and_the_file_on_the_reference() {
    let layers = Layers::text("[lookup]\ndeadline = \"2s\"\ngrace = \"20ms\"")
        .with("CALLER_CONTEXT__LOOKUP__DEADLINE", "1500ms")
        .with("CALLER_CONTEXT__AUDIT__STRICT", "true")
        .with("CALLER_CONTEXT__SERVER__CORS_ORIGINS", "[\"https://flex.twilio.com\"]")
        .with("CALLER_CONTEXT__LIMITS__MISSES_PER_KEY", "7");
    let config = load(&layers).unwrap().config;
    assert_eq!(config.lookup.deadline, Duration::from_millis(1500));
    assert_eq!(config.lookup.grace, Duration::from_millis(20));
    assert!(config.audit.strict);
    assert_eq!(config.server.cors_origins, ["https://flex.twilio.com"]);
    assert_eq!(config.limits.misses_per_key, 7);
}

#[test]
fn all_problems_come_at_once_with_their_places() {
    let text = "[server]\nlisten = \"nonsense\"\n[lookup]\ndeadlin = \"2s\"\ngrace = 5\n[studio]\nview = \"studoi\"\n";
    let rendered = load_str(text).unwrap_err().to_string();
    for part in
        ["config.toml:2:10", "did you mean `deadline`?", "config.toml:5:9", "did you mean `studio`?", "4 errors"]
    {
        assert!(rendered.contains(part), "{part} is not in\n{rendered}");
    }
}

#[test]
fn the_published_environment_names_make_the_published_sources() {
    let layers = Layers::text("")
        .with("HUBSPOT_ACCESS_TOKEN", "hubspot-canary")
        .with("SALESFORCE_INSTANCE_URL", "https://example.my.salesforce.com")
        .with("SALESFORCE_ACCESS_TOKEN", "salesforce-canary")
        .with("DB_HOST", "db.internal")
        .with("DB_USER", "reader")
        .with("DB_PASSWORD", "p@ss/word")
        .with("DB_NAME", "crm")
        .with("PAYMENT_API_URL", "https://payments.example.com/v1/")
        .with("PAYMENT_API_KEY", "payment-canary")
        .with("APPOINTMENT_API_URL", "http://appointments:8080")
        .with("APPOINTMENT_API_KEY", "appointment-canary")
        .with("INVENTORY_API_URL", "https://inventory.example.com")
        .with("INVENTORY_API_KEY", "inventory-canary");
    let loaded = load(&layers).unwrap();
    let plan = &loaded.config.plan;
    assert!(loaded.left_out.is_empty(), "{:?}", loaded.left_out);
    let timeouts: Vec<_> = plan.sources.iter().map(|s| (&*s.name, s.timeout.as_millis(), s.connected)).collect();
    assert_eq!(
        timeouts,
        [
            ("hubspot", 3000, true),
            ("salesforce", 3000, true),
            ("database", 2000, true),
            ("payment", 5000, true),
            ("appointment", 5000, true),
            ("inventory", 5000, true),
        ]
    );
    let Upstream::Sql(sql) = &source(&loaded, "database").upstream else { panic!("a database") };
    assert_eq!(sql.url.expose_secret(), "mysql://reader:p%40ss%2Fword@db.internal:3306/crm");
    assert_eq!((sql.pool.max, sql.pool.queue), (10, 0));
    assert_eq!(sql.pool.acquire_timeout, Duration::from_secs(3));
    assert_eq!(sql.pool.statement_timeout, Duration::from_secs(5));
    let explained = loaded.explain();
    for line in [
        "From phone\n  1. hubspot.contact_by_phone, salesforce.contact_by_phone, database.customer,",
        "From customer_id\n  1. payment.status, appointment.upcoming, inventory.availability\n",
        "only when hubspot.contact_by_phone found nobody or did not run",
    ] {
        assert!(explained.contains(line), "{line} is not in\n{explained}");
    }
    let printed = format!("{loaded:?} {:?} {explained}", loaded.config);
    for secret in ["canary", "p@ss", "p%40ss"] {
        assert!(!printed.contains(secret), "{secret}");
    }
}

#[test]
fn a_source_without_its_secret_is_left_out_when_built_in_and_not_connected_when_it_is_ones_own() {
    let own = "phone.default_region = \"US\"\n[sources.crm]\nconnector = \"hubspot\"\nsecret = \"env:CRM_TOKEN\"";
    let loaded = load_str(own).unwrap();
    assert!(!source(&loaded, "crm").connected);
    assert_eq!(loaded.warnings.iter().map(|w| w.code).collect::<Vec<_>>(), ["secret-unset"]);
    let loaded = load(&Layers::text(own).with("CRM_TOKEN", "t")).unwrap();
    assert!(source(&loaded, "crm").connected);
}

#[test]
fn a_built_in_source_steps_aside_for_ones_own_with_the_same_secret() {
    let own = "[sources.crm]\nconnector = \"hubspot\"\nsecret = \"env:HUBSPOT_ACCESS_TOKEN\"";
    let loaded = load(&Layers::text(own).with("HUBSPOT_ACCESS_TOKEN", "t")).unwrap();
    assert_eq!(loaded.config.plan.sources.iter().map(|s| &*s.name).collect::<Vec<_>>(), ["crm"]);
}

#[test]
fn errors_never_show_a_secret() {
    let text = "[sources.crm]\nconnector = \"hubspot\"\nsecret = \"pat-canary\"\n\
        [sources.pay]\nconnector = \"http\"\nbase_url = \"https://user:canary@example.com\"\n\
        auth = { headers = { Authorization = \"Bearer canary\", x = 5 } }\nlookup.a = { get = \"/\" }\n\
        [store]\nurl = \"postgres://u:canary@h/d\"\nkey = \"canary\"\n\
        [[organizations.a.twilio]]\naccount_sid = 1\nauth_token = \"canary\"\n";
    let layers = Layers::text(text).with("CALLER_CONTEXT__STORE__KEY", "canary").with("CALLER_CONTEXT__X__Y", "canary");
    let invalid = load(&layers).unwrap_err();
    let printed = format!("{invalid} {invalid:?} {layers:?} {:?}", invalid.files);
    assert!(printed.contains("secret-by-value"), "{printed}");
    assert!(!printed.contains("canary"), "{printed}");
    let unfinished = load_str("[sources.crm]\nsecret = \"pat-canary\nkey = canary\n").unwrap_err().to_string();
    assert!(!unfinished.contains("canary"), "{unfinished}");
}

#[test]
fn the_published_preset_gives_the_three_roles_of_the_published_function() {
    let loaded = load_str("[views]\npreset = \"published\"").unwrap();
    let names = &loaded.config.plan.names;
    let view = |name: &str| loaded.config.views.get(name).unwrap();
    let fields = |name: &str| view(name).fields.iter().map(|id| names.text(*id)).collect::<Vec<_>>().join(" ");
    assert_eq!(fields("basic"), "name phone email");
    let address = "address.street address.city address.postcode address.region address.country";
    assert_eq!(fields("advanced"), format!("name phone email {address} payment.outstanding payment.currency"));
    assert!(view("advanced").classes.is_empty());
    assert_eq!(view("admin").classes.len(), 4);
    assert!(view("admin").admin);
}

#[test]
fn files_that_others_may_write_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let token = folder.path().join("token");
    let own = "phone.default_region = \"US\"\n[sources.crm]\nconnector = \"hubspot\"\nsecret = \"file:token\"";
    std::fs::write(&path, own).unwrap();
    std::fs::write(&token, "secret\n").unwrap();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&path, 0o600);
    mode(&token, 0o600);
    let read = || Layers::read(Some(&path), []).unwrap();
    assert!(source(&load(&read()).unwrap(), "crm").connected);
    mode(&token, 0o602);
    assert_eq!(codes(&read()), ["writable-by-others"]);
    mode(&token, 0o600);
    mode(&path, 0o666);
    assert_eq!(codes(&read()), ["writable-by-others"]);
}

#[test]
fn listening_beyond_loopback_wants_a_proxy_in_front() {
    assert_eq!(codes(&Layers::text("[server]\nlisten = \"0.0.0.0:8080\"")), ["open-listener"]);
    let named = "[server]\nlisten = \"0.0.0.0:8080\"\ntrusted_proxies = [\"10.0.0.0/8\"]";
    assert!(codes(&Layers::text(named)).is_empty());
}

const ACME: &str = r#"
manifest = 1
vendor   = "acme"
title    = "Acme"
base_url = "https://{tenant}.acme.example"
hosts    = ["*.acme.example"]

[connection]
tenant = { required = true }

[auth.basic]
user     = "{tenant}"
password = "{secret}"

[limits]
rate = ["10 per 1s"]

[lookup.person]
needs   = ["phone"]
get     = "/people/{phone}"
phones  = ["phone"]
rank    = ["id"]
provides.name = "name"
"#;

#[test]
fn a_manifest_dropped_beside_the_configuration_is_a_connector() {
    let folder = tempfile::tempdir().unwrap();
    let connectors = folder.path().join("connectors");
    std::fs::create_dir(&connectors).unwrap();
    std::fs::write(connectors.join("acme.toml"), ACME).unwrap();
    let path = folder.path().join("config.toml");
    let text = "[sources.crm]\nconnector = \"acme\"\nsecret = \"env:ACME\"\nconnection.tenant = \"north\"\n\
        limits.rate = [\"20 per 1s\"]\n";
    std::fs::write(&path, text).unwrap();
    let read = || Layers::read(Some(&path), [("ACME".into(), "hush".into())]).unwrap();
    let loaded = load(&read()).unwrap();
    let crm = source(&loaded, "crm");
    assert_eq!(crm.limits.rate.first().unwrap().count, 20);
    let Upstream::Http(http) = &crm.upstream else { panic!("an HTTP source") };
    let caller_context::manifest::plan::Auth::Headers(headers) = &http.auth else { panic!("a header") };
    assert_eq!(headers.first().unwrap().1.expose_secret(), "Basic bm9ydGg6aHVzaA==");
    // One that no source uses is checked all the same.
    std::fs::write(connectors.join("idle.toml"), ACME).unwrap();
    assert_eq!(codes(&read()), ["vendor-name"]);
    // A partial file named like a connector is laid on it.
    std::fs::remove_file(connectors.join("idle.toml")).unwrap();
    std::fs::write(connectors.join("hubspot.toml"), "[limits]\nrate = [\"190 per 10s\"]\n").unwrap();
    let read = read().with("HUBSPOT_ACCESS_TOKEN", "t");
    assert_eq!(source(&load(&read).unwrap(), "hubspot").limits.rate.first().unwrap().count, 190);
}

#[test]
fn the_connection_picks_how_it_authenticates() {
    let manifest = ACME.replace("tenant = { required = true }", "tenant = { required = true }\nagent = {}").replace(
        "[auth.basic]\nuser     = \"{tenant}\"",
        "[auth.headers]\nX-Key = \"{secret}\"\n[auth.basic]\nuser = \"{agent}\"",
    );
    let with = |connection: &str| {
        let text = format!(
            "[sources.crm]\nconnector = \"acme\"\nsecret = \"env:ACME\"\nconnection = {{ tenant = \"a\"{connection} }}"
        );
        Layers::text(&text).with("ACME", "hush").with_manifest("acme", &manifest)
    };
    let sent = |connection: &str| {
        let loaded = load(&with(connection)).unwrap();
        let Upstream::Http(http) = &source(&loaded, "crm").upstream else { panic!("an HTTP source") };
        let caller_context::manifest::plan::Auth::Headers(headers) = &http.auth else { panic!("a header") };
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.expose_secret())).collect();
        headers.join("\n")
    };
    assert_eq!(sent(""), "x-key: hush");
    assert_eq!(sent(", auth = \"headers\""), "x-key: hush");
    assert_eq!(sent(", auth = \"basic\", agent = \"ann\""), "authorization: Basic YW5uOmh1c2g=");
    assert_eq!(codes(&with(", auth = \"basic\"")), ["missing-key"]);
    assert_eq!(codes(&with(", auth = \"none\"")), ["unknown-name"]);
}

#[test]
fn a_value_of_the_connection_cannot_leave_the_hosts_of_its_connector() {
    let with = |tenant: &str| {
        let text = "[sources.crm]\nconnector = \"acme\"\nsecret = \"env:ACME\"\nconnection.tenant = \"env:TENANT\"";
        Layers::text(text).with("ACME", "hush").with("TENANT", tenant).with_manifest("acme", ACME)
    };
    assert!(codes(&with("north")).is_empty());
    for tenant in ["evil.example/", "evil.example#", "evil.example?", "a@evil.example:443/"] {
        let codes = codes(&with(tenant));
        assert!(codes.contains(&"foreign-host"), "{tenant}: {codes:?}");
    }
}

#[test]
fn an_address_of_ones_own_brings_its_host() {
    let text = "[sources.crm]\nconnector = \"hubspot\"\nsecret = \"env:T\"\nbase_url = \"http://127.0.0.1:9\"";
    let loaded = load(&Layers::text(text).with("T", "t")).unwrap();
    let Upstream::Http(http) = &source(&loaded, "crm").upstream else { panic!("an HTTP source") };
    assert_eq!(http.hosts.iter().map(|host| &**host).collect::<Vec<_>>(), ["127.0.0.1"]);
}

#[test]
fn sources_have_settings_of_their_own() {
    let text = "[sources.crm]\nconnector = \"hubspot\"\nsecret = \"env:T\"\nessential = true\ntimeout = \"800ms\"\n\
        fresh = \"1m\"\ndefaults = { account_status = \"new\", vip = false }\nbreaker = { failures = 2 }\n\
        limits = { concurrency = 3 }\n\
        [sources.spare]\nconnector = \"hubspot\"\nsecret = \"env:T\"\nsecondary_of = \"crm\"\n";
    let loaded = load(&Layers::text(text).with("T", "t")).unwrap();
    let (crm, spare) = (source(&loaded, "crm"), source(&loaded, "spare"));
    assert!(crm.essential && crm.secondary_of.is_none());
    assert_eq!(spare.secondary_of.map(|id| &*loaded.config.plan.source(id).name), Some("crm"));
    assert_eq!((crm.timeout.as_millis(), crm.fresh.as_secs(), crm.keep.as_secs()), (800, 60, 3600));
    assert_eq!((crm.breaker.failures, crm.breaker.min_calls), (2, 10));
    assert_eq!((crm.limits.concurrency, crm.limits.rate.len()), (3, 1));
    assert_eq!(crm.defaults.len(), 2);
    let explained = loaded.explain();
    for line in ["timeout = \"800ms\"", "config.toml:5:11", "keep = \"1h\" by cache.keep", "secret = \"env:T\""] {
        assert!(explained.contains(line), "{line} is not in\n{explained}");
    }
}

#[test]
fn the_merge_presets_order_sources_by_what_they_are() {
    let text = "[sources.pay]\nconnector = \"http\"\nbase_url = \"https://pay.example\"\nauth.none = {}\n\
        [sources.base]\nconnector = \"sqlite\"\nurl = \"sqlite:x.db\"\n\
        [sources.crm]\nconnector = \"hubspot\"\nsecret = \"env:T\"\n";
    let order = |merge: &str| {
        let loaded = load(&Layers::text(&format!("{text}[merge]\n{merge}")).with("T", "t")).unwrap();
        let names = loaded.config.merge.order.iter().map(|id| loaded.config.plan.source(*id).name.to_string());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(order(""), "crm base pay");
    assert_eq!(order("preset = \"published\""), "pay crm base");
    assert_eq!(order("order = [\"base\"]"), "base crm pay");
    // A source of the reference that nobody configured may still be named.
    assert_eq!(order("order = [\"hubspot\", \"pay\"]"), "pay crm base");
}

#[test]
fn views_extend_hide_and_mask() {
    let text = "[views.desk]\nextends = \"advanced\"\nhide = [\"payment.*\"]\nmask = { email = \"email\", company.name = \"full\" }\n\
        [fields.loyalty.tier]\ntype = \"text\"\nclass = \"personal\"\n[fields.notes]\nclass = \"public\"\n";
    let config = load_str(text).unwrap().config;
    let desk = config.views.get("desk").unwrap();
    let names = &config.plan.names;
    assert_eq!(desk.classes.len(), 3);
    assert_eq!(desk.hide.len(), 9);
    assert_eq!(desk.masks.len(), 2);
    assert!(!desk.admin);
    let class = |field: &str| names.class(names.get(field).unwrap()).unwrap().as_str();
    assert_eq!((class("loyalty.tier"), class("notes")), ("personal", "public"));
}

/// A source with whatever is written below it.
fn shop(below: &str) -> Layers {
    Layers::text(&format!(
        "[sources.shop]\nconnector = \"http\"\nbase_url = \"https://shop.example.com\"\nauth.none = {{}}\n{below}"
    ))
}

#[test]
fn what_a_source_cannot_mean_is_refused() {
    const LOOKUP: &str = "[sources.shop.lookup.stock]\nneeds = [\"customer_id\"]\nget = \"/stock\"\n";
    let fine = format!("hosts = [\"Shop.Example.com\"]\n{LOOKUP}provides.name = \"name\"\n");
    assert_eq!(codes(&shop(&fine)), [""; 0]);
    for setting in ["breaker", "connection", "headers", "record", "error", "limits", "defaults", "map"] {
        let text = format!("{setting} = 5\n{LOOKUP}provides.name = \"name\"\n");
        assert_eq!(codes(&shop(&text)), ["wrong-type"], "{setting}");
    }
    let pool = "[sources.db]\nconnector = \"sqlite\"\nurl = \"sqlite:x\"\npool = 5\n\
        [sources.db.lookup.x]\nneeds = [\"customer_id\"]\nsql = \"SELECT 1\"\nprovides.name = \"n\"\n";
    assert_eq!(codes(&Layers::text(pool)), ["wrong-type"]);
    for (address, code) in [
        ("host = \"db\"\nport = 99999", "out-of-range"),
        ("host = \"db name\"", "wrong-value"),
        ("host = \"db:x\"", "wrong-value"),
    ] {
        let text = pool
            .replace("sqlite\"\n", "mysql\"\nuser = \"u\"\ndatabase = \"d\"\n")
            .replace("url = \"sqlite:x\"\npool = 5", address);
        assert_eq!(codes(&Layers::text(&text)), [code], "{address}");
    }
    for (below, code) in [
        ("timeout = \"0ms\"\nprovides.name = \"name\"", "out-of-range"),
        ("provides.own.secrets.x = \"name\"", "never-field"),
    ] {
        assert_eq!(codes(&shop(&format!("{LOOKUP}{below}\n"))), [code], "{below}");
    }
    // what starts from nothing of the person tells nothing of the person
    for below in ["", "query.phone = \"{phone?}\"\n"] {
        let text = format!("{LOOKUP}{below}provides.name = \"name\"\n").replace("customer_id", "service_type");
        assert_eq!(codes(&shop(&text)), ["unverified-search"], "{below}");
    }
}
