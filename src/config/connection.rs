//! How a source that speaks HTTP is reached: the variables of its connection, its address and hosts,
//! and the headers that carry its credentials.

use std::cell::RefCell;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use secrecy::{ExposeSecret, SecretString};

use super::layering::Settings;
use super::secret::{References, Resolved};
use super::sections::{self, is_loopback, unknown_name};
use super::vocabulary::is_name;
use crate::domain::field::Kind;
use crate::domain::{NameId, Names, Type, Value};
use crate::manifest::diagnostic::{Diagnostics, Origin};
use crate::manifest::plan::{Auth, HttpUpstream, OAuth, Upstream};
use crate::manifest::scope::Variable;
use crate::manifest::tree::{Node, Reader, Table};

/// Stands where an address is not known; resolves nowhere (RFC 2606), and nothing is sent to a
/// source that is not connected anyway.
pub(super) const NOWHERE: &str = "not-connected.invalid";

/// What variables are declared with.
struct Declaring<'a> {
    names: &'a RefCell<Names>,
    references: References<'a>,
    /// The values that the source gives, and where it is.
    given: &'a Table,
    source: Origin,
    /// Of the reference, or checked without a source: what is unset is nobody's mistake.
    quiet: bool,
}

/// The variables of one connection.
pub(super) struct Connection {
    pub variables: Vec<Variable>,
    pub values: Vec<(NameId, Value)>,
    pub version: Option<String>,
    pub region: Option<Arc<str>>,
    pub time_zone: jiff::tz::TimeZone,
    /// Which of the manifest's `[auth.*]`, and where that is said.
    auth: Option<(String, Origin)>,
    /// Everything that is required has a value.
    pub complete: bool,
}

impl Connection {
    /// Reads `[connection]` of the manifest (what there is) and of the source (what it is here).
    pub fn read(
        manifest: &Reader<'_>,
        source: &Reader<'_>,
        names: &RefCell<Names>,
        references: References<'_>,
        connector: &str,
        quiet: bool,
    ) -> Self {
        let diagnostics = manifest.diagnostics;
        let mut connection = Self {
            variables: Vec::new(),
            values: Vec::new(),
            version: manifest.text("version").map(str::to_owned),
            region: None,
            time_zone: jiff::tz::TimeZone::UTC,
            auth: None,
            complete: true,
        };
        let empty = Table::default();
        let given = source.table("connection").map_or(&empty, |given| given.table);
        let declaring = Declaring { names, references, given, source: source.origin, quiet };
        for entry in manifest.entries("connection") {
            connection.declare(&entry.key, entry.key_origin, Some(&entry.value), &declaring);
        }
        let declared: Vec<Arc<str>> = manifest.entries("connection").iter().map(|entry| entry.key.clone()).collect();
        for entry in given.entries.iter().filter(|entry| !declared.contains(&entry.key)) {
            match &*entry.key {
                "version" => connection.version = text(&entry.value, references).or(connection.version.take()),
                "region" => {
                    let reader = Reader::new(given, entry.value.origin, diagnostics);
                    connection.region = sections::region(&reader, "region");
                }
                "time_zone" => connection.time_zone = time_zone(&entry.value, references),
                "auth" => connection.auth = text(&entry.value, references).map(|kind| (kind, entry.value.origin)),
                // A source that is its own manifest declares a variable by giving it.
                _ if matches!(connector, "http" | "postgres" | "mysql" | "sqlite") => {
                    connection.declare(&entry.key, entry.key_origin, None, &declaring);
                }
                _ => {
                    let known = declared.iter().map(|name| name.to_string());
                    let known = known.chain(["version", "region", "time_zone", "auth"].map(str::to_owned));
                    unknown_name(diagnostics, entry.key_origin, "a variable of this connection", &entry.key, known);
                }
            }
        }
        connection
    }

    fn declare(&mut self, name: &Arc<str>, origin: Origin, declaration: Option<&Node>, with: &Declaring<'_>) {
        let Declaring { names, references, given, source, quiet } = *with;
        let diagnostics = references.diagnostics;
        let reader = declaration.and_then(|node| Reader::of(node, diagnostics));
        let required = reader.as_ref().and_then(|reader| reader.bool("required")).unwrap_or(false);
        let default = reader.as_ref().and_then(|reader| reader.text("default"));
        if let Some(reader) = reader {
            let _ = reader.text("label");
            reader.finish();
        }
        if !is_name(name) {
            diagnostics.error("wrong-value", origin, format!("`{name}` is not a name"));
            return;
        }
        let taken = |names: &Names| {
            names.get(name).is_some_and(|id| matches!(names.name(id).kind, Kind::Field(_) | Kind::Input))
                || ["secret", "access_token", "select", "version", "auth", "now", "today", "own", "item"]
                    .contains(&&**name)
        };
        if taken(&names.borrow()) {
            diagnostics.error("shadowed-name", origin, format!("`{name}` is already a name of the vocabulary"));
            return;
        }
        let id = names.borrow_mut().intern(name, Type::Text, Kind::BuiltIn);
        let value = match given.get(name).map(|node| (node, references.text(node))) {
            Some((_, Resolved::Given(value))) => Some(value),
            Some((node, Resolved::Unset(what))) => {
                unset(diagnostics, node.origin, &what, quiet);
                self.complete = false;
                None
            }
            Some((_, Resolved::Wrong)) => None,
            None => {
                if required && default.is_none() {
                    self.complete = false;
                    if !quiet {
                        let problem = format!("`connection.{name}` is missing here; the connector cannot do without");
                        diagnostics.error("missing-key", source, problem);
                    }
                }
                default.map(str::to_owned)
            }
        };
        let always = required || default.is_some() || value.is_some();
        self.variables.push(Variable { text: name.clone(), id, always });
        self.values.extend(value.map(|value| (id, Value::text(value))));
    }

    /// The optional variables that a template uses and that have no value.
    fn unknown(&self, template: &str) -> impl Iterator<Item = &str> {
        let unset = |variable: &&Variable| !variable.always && template.contains(&format!("{{{}}}", variable.text));
        self.variables.iter().filter(unset).map(|variable| &*variable.text)
    }

    /// The variable's value, if it has one.
    fn value(&self, name: &str) -> Option<&str> {
        let variable = self.variables.iter().find(|variable| &*variable.text == name)?;
        let (_, value) = self.values.iter().find(|(id, _)| *id == variable.id)?;
        match value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

pub(super) fn unset(diagnostics: &Diagnostics, origin: Origin, what: &str, quiet: bool) {
    if !quiet {
        let problem = format!("{what} is not set: the source is not connected");
        diagnostics.warning("secret-unset", origin, problem, None);
    }
}

fn text(node: &Node, references: References<'_>) -> Option<String> {
    match references.text(node) {
        Resolved::Given(text) => Some(text),
        Resolved::Unset(what) => {
            unset(references.diagnostics, node.origin, &what, false);
            None
        }
        Resolved::Wrong => None,
    }
}

fn time_zone(node: &Node, references: References<'_>) -> jiff::tz::TimeZone {
    let Some(name) = text(node, references) else { return jiff::tz::TimeZone::UTC };
    jiff::tz::TimeZone::get(&name).unwrap_or_else(|_| {
        let help = "like \"Europe/Berlin\" or \"America/New_York\"".to_owned();
        references.diagnostics.error_help("wrong-value", node.origin, "this is not a time zone", help);
        jiff::tz::TimeZone::UTC
    })
}

/// How a source that speaks HTTP is reached.
pub(super) struct Http {
    /// And whether its credentials are there.
    pub upstream: (Upstream, bool),
    /// A template still: its holes are variables of the connection.
    pub base_url: Option<(String, Origin)>,
}

/// Reads `base_url`, `hosts`, `[auth.*]` of the manifest and `secret` of the source.
pub(super) fn http(
    manifest: &Reader<'_>,
    source: &Reader<'_>,
    connection: &Connection,
    references: References<'_>,
    settings: &Settings,
) -> Option<Http> {
    let diagnostics = manifest.diagnostics;
    let allow_private = source.bool("allow_private").unwrap_or(false);
    let max_answer_bytes = match source.bytes("max_answer") {
        Some(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX),
        None => 2 << 20,
    };
    let mut connected = true;
    let base_url = match manifest.node("base_url") {
        None => {
            manifest.missing("base_url");
            None
        }
        Some(node) => match references.text(node) {
            Resolved::Given(url) => Some((url.trim_end_matches('/').to_owned(), node.origin)),
            Resolved::Unset(what) => {
                unset(diagnostics, node.origin, &what, settings.built_in);
                connected = false;
                Some((format!("https://{NOWHERE}"), node.origin))
            }
            Resolved::Wrong => None,
        },
    };
    let known = base_url.as_ref().and_then(|(template, origin)| {
        let url = fill(template, None, connection, diagnostics, *origin)?;
        Some((url::Url::parse(&url).ok(), *origin))
    });
    let hosts = hosts(manifest, settings, known.as_ref().and_then(|(url, _)| url.as_ref()));
    let origin = known.as_ref().and_then(|(url, _)| url.as_ref()).map(|url| url.origin().ascii_serialization().into());
    if let Some((url, origin)) = known {
        check_address(url, origin, &hosts, allow_private, diagnostics);
    }
    let secret = match source.node("secret").map(|node| (node, references.secret(node))) {
        Some((_, Resolved::Given(secret))) => Some(secret),
        Some((node, Resolved::Unset(what))) => {
            unset(diagnostics, node.origin, &what, settings.built_in);
            connected = false;
            None
        }
        Some((_, Resolved::Wrong)) => None,
        None => None,
    };
    let auth = auth(manifest, source, connection, secret.as_ref(), references, settings, &hosts)?;
    if auth.is_none() {
        connected = false;
    }
    let auth = auth.unwrap_or(Auth::None);
    let upstream = HttpUpstream { origin, hosts, allow_private, auth, max_answer_bytes };
    Some(Http { upstream: (Upstream::Http(upstream), connected), base_url })
}

/// The manifest's hosts; an address that the operator gives brings its own host with it.
fn hosts(manifest: &Reader<'_>, settings: &Settings, url: Option<&url::Url>) -> Vec<Arc<str>> {
    let written = |key: &str| settings.manifest.iter().any(|layer| layer.get(key).is_some());
    let own = manifest.node("base_url").is_some() && written("base_url") && !written("hosts");
    let mut hosts: Vec<Arc<str>> = Vec::new();
    for (text, origin) in manifest.texts("hosts").unwrap_or_default() {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_host = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
        let is_suffix = !text.starts_with("*.") || name.contains('.');
        if !is_host || !is_suffix {
            let help = "like \"api.example.com\" or \"*.example.com\"".to_owned();
            let problem = format!("`{text}` is not a pattern of hosts");
            manifest.diagnostics.error_help("wrong-value", origin, problem, help);
        }
        hosts.push(text.to_ascii_lowercase().into());
    }
    if own {
        hosts.clear();
        hosts.extend(url.and_then(url::Url::host_str).map(Arc::from));
    } else if hosts.is_empty() && manifest.node("hosts").is_none() && manifest.node("base_url").is_some() {
        manifest.missing("hosts");
    }
    hosts
}

/// Credentials leave only by https, and only to hosts that the connector names.
fn check_address(
    url: Option<url::Url>,
    origin: Origin,
    hosts: &[Arc<str>],
    allow_private: bool,
    diagnostics: &Diagnostics,
) {
    let Some(url) = url.filter(url::Url::has_host) else {
        diagnostics.error("wrong-value", origin, "this is not an address like \"https://api.example.com\"");
        return;
    };
    let plain_is_safe = is_loopback(&url) || allow_private;
    if url.scheme() != "https" && !(url.scheme() == "http" && plain_is_safe) {
        diagnostics.error_help(
            "insecure-url",
            origin,
            "credentials would be sent over plain http",
            "use https; for an address in your own network say `allow_private = true`".to_owned(),
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        diagnostics.error("secret-by-value", origin, "credentials do not belong into the address");
    }
    let host = url.host_str().unwrap_or_default();
    let fits = |pattern: &Arc<str>| match pattern.strip_prefix('*') {
        Some(suffix) => host.strip_suffix(suffix).is_some_and(|rest| !rest.is_empty()),
        None => **pattern == *host,
    };
    if host != NOWHERE && !hosts.iter().any(fits) {
        let problem = "this address is not one that the connector's credentials may go to";
        let help = format!("its `hosts` are {}", hosts.join(", "));
        diagnostics.error_help("foreign-host", origin, problem, help);
    }
}

/// The kinds of `[auth.*]`.
const AUTH: [&str; 4] = ["headers", "basic", "oauth", "none"];

/// Which `[auth.*]` counts: the one that the connection picks, else the first of the manifest.
fn kind(auth: &Reader<'_>, connection: &Connection, diagnostics: &Diagnostics) -> Option<&'static str> {
    // all are asked for, so that they count as known
    let there: Vec<&str> = AUTH.into_iter().filter(|kind| auth.node(kind).is_some()).collect();
    let first = auth.table.keys().find_map(|key| AUTH.into_iter().find(|kind| *kind == key));
    let Some((picked, origin)) = &connection.auth else {
        if first.is_none() {
            diagnostics.error(
                "missing-key",
                auth.origin,
                "one of `headers`, `basic`, `oauth` and `none` is missing here",
            );
        }
        return first;
    };
    let found = AUTH.into_iter().find(|kind| *kind == picked && there.contains(kind));
    if found.is_none() {
        let known = there.iter().map(|kind| (*kind).to_owned());
        unknown_name(diagnostics, *origin, "a way to authenticate that this connector has", picked, known);
    }
    found
}

/// Words of RFC 6749 for how a token is had.
const GRANTS: [&str; 2] = ["client_credentials", "refresh_token"];

/// `[auth.oauth]`, with `client_id`, `secret` and `refresh_token` of the source. `Some(None)`: one of them is
/// not there, so not connected.
#[expect(clippy::option_option, reason = "the outer one is for problems")]
fn oauth(
    auth: &Reader<'_>,
    source: &Reader<'_>,
    connection: &Connection,
    secret: Option<&SecretString>,
    references: References<'_>,
    settings: &Settings,
    hosts: &[Arc<str>],
) -> Option<Option<Auth>> {
    let diagnostics = auth.diagnostics;
    let oauth = auth.table("oauth")?;
    let token = oauth.required_text("token");
    let grant = oauth.one_of("grant", &GRANTS);
    if grant.is_none() && oauth.node("grant").is_none() {
        oauth.missing("grant");
    }
    let scopes = oauth.texts("scopes").unwrap_or_default().into_iter();
    let scopes: Option<Vec<_>> = scopes.map(|(scope, at)| fill(scope, None, connection, diagnostics, at)).collect();
    let by_basic = oauth.one_of("client_auth", &["form", "basic"]) == Some("basic");
    let origin = oauth.node("token").map_or(oauth.origin, |node| node.origin);
    let scheme = oauth.text("scheme").unwrap_or("Bearer");
    oauth.finish();
    let url = fill(token?, None, connection, diagnostics, origin)?;
    let scopes = scopes?;
    let allow_private = source.bool("allow_private").unwrap_or(false);
    check_address(url::Url::parse(&url).ok(), origin, hosts, allow_private, diagnostics);
    let wanted = ["client_id", "secret", "refresh_token"];
    let wanted = wanted.into_iter().filter(|name| *name != "refresh_token" || grant == Some("refresh_token"));
    let mut given = Vec::new();
    for name in wanted {
        let resolved = |node| match name {
            "client_id" => references.text(node).map(SecretString::from), // anybody may know it
            _ => references.secret(node),
        };
        let value = match source.node(name).filter(|_| name != "secret").map(|node| (node, resolved(node))) {
            None if name == "secret" => secret.cloned(),
            Some((_, Resolved::Given(value))) => Some(value),
            Some((node, Resolved::Unset(what))) => {
                unset(diagnostics, node.origin, &what, settings.built_in);
                None
            }
            Some((_, Resolved::Wrong)) | None => None,
        };
        if source.node(name).is_none() && !settings.built_in {
            source.missing(name);
        }
        given.extend(value.map(|value| (if name == "secret" { "client_secret" } else { name }, value)));
    }
    let (token, grant) = (url::Url::parse(&url).ok()?, grant?);
    if given.len() < if grant == "refresh_token" { 3 } else { 2 } {
        return Some(None);
    }
    let mut form = vec![("grant_type", SecretString::from(grant))];
    let (client, others): (Vec<_>, Vec<_>) = given.into_iter().partition(|(name, _)| name.starts_with("client_"));
    form.extend(others);
    let mut basic = None;
    if by_basic {
        let encoded =
            |text: &SecretString| form_urlencoded::byte_serialize(text.expose_secret().as_bytes()).collect::<String>();
        let pair: Vec<_> = client.iter().map(|(_, value)| encoded(value)).collect();
        basic = Some(SecretString::from(STANDARD.encode(pair.join(":"))));
    } else {
        form.extend(client);
    }
    if !scopes.is_empty() {
        form.push(("scope", scopes.join(" ").into()));
    }
    Some(Some(Auth::OAuth(Box::new(OAuth { token, form, basic, scheme: scheme.into() }))))
}

/// The headers that carry credentials. `Some(None)`: there are none to send, so not connected.
#[expect(clippy::option_option, reason = "the outer one is for problems")]
fn auth(
    manifest: &Reader<'_>,
    source: &Reader<'_>,
    connection: &Connection,
    secret: Option<&SecretString>,
    references: References<'_>,
    settings: &Settings,
    hosts: &[Arc<str>],
) -> Option<Option<Auth>> {
    let diagnostics = manifest.diagnostics;
    let Some(auth) = manifest.table("auth") else {
        if manifest.node("auth").is_none() {
            manifest.missing("auth");
        }
        return None;
    };
    let kind = kind(&auth, connection, diagnostics)?;
    let mut sent = Vec::new();
    let mut wants_secret = false;
    let mut filled = |template: &str, origin| {
        wants_secret |= template.contains("{secret}");
        connection.unknown(template).for_each(|name| {
            if !settings.built_in {
                let problem = format!("`connection.{name}` is missing here; the credentials are made with it");
                diagnostics.error("missing-key", source.origin, problem);
            }
        });
        fill(template, secret, connection, diagnostics, origin)
    };
    match kind {
        "headers" => {
            for entry in auth.entries("headers") {
                let Some(template) = entry.value.as_text() else {
                    crate::manifest::tree::wrong_type(diagnostics, &entry.value, "a text");
                    continue;
                };
                let Ok(name) = HeaderName::try_from(&*entry.key) else {
                    let problem = format!("`{}` is not a name of a header", entry.key);
                    diagnostics.error("wrong-value", entry.key_origin, problem);
                    continue;
                };
                sent.extend(filled(template, entry.value.origin).map(|text| (name, text)));
            }
            if let Some(node) = auth.node("headers").filter(|_| auth.entries("headers").is_empty()) {
                diagnostics.error("missing-key", node.origin, "a header is missing here");
            }
        }
        "basic" => {
            let basic = auth.table("basic")?;
            let mut part = |key| {
                let origin = basic.node(key).map_or(basic.origin, |node| node.origin);
                filled(basic.required_text(key).unwrap_or_default(), origin)
            };
            if let (Some(user), Some(password)) = (part("user"), part("password")) {
                let credentials = STANDARD.encode(format!("{user}:{password}"));
                sent.push((http::header::AUTHORIZATION, format!("Basic {credentials}")));
            }
            basic.finish();
        }
        "oauth" => {
            let made = oauth(&auth, source, connection, secret, references, settings, hosts);
            auth.finish();
            return made;
        }
        _ => drop(auth.table("none").map(Reader::finish)),
    }
    auth.finish();
    if wants_secret && source.node("secret").is_none() {
        if !settings.built_in {
            source.missing("secret");
        }
        return Some(None);
    }
    if wants_secret && secret.is_none() {
        return Some(None);
    }
    if sent.iter().any(|(_, value)| http::HeaderValue::from_str(value).is_err()) {
        let origin = source.node("secret").map_or(source.origin, |node| node.origin);
        diagnostics.error("wrong-value", origin, "this secret has letters that cannot stand in a header");
        return None;
    }
    let sent: Vec<_> = sent.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect();
    Some(Some(if sent.is_empty() { Auth::None } else { Auth::Headers(sent) }))
}

/// Fills `{secret}` and the variables of the connection into a text. `None` when a value is not
/// known; a name that is not known is reported.
fn fill(
    template: &str,
    secret: Option<&SecretString>,
    connection: &Connection,
    diagnostics: &Diagnostics,
    origin: Origin,
) -> Option<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            out.push_str(from.get(..1).unwrap_or_default());
            rest = after;
            continue;
        }
        let Some((name, after)) = from.strip_prefix('{').and_then(|hole| hole.split_once('}')) else {
            diagnostics.error("hole-syntax", origin, "a brace has no partner here");
            return None;
        };
        let name = name.trim();
        match name {
            "secret" => out.push_str(secret?.expose_secret()),
            "version" if connection.version.is_some() => {
                out.push_str(connection.version.as_deref().unwrap_or_default())
            }
            _ if connection.variables.iter().any(|variable| &*variable.text == name) => {
                out.push_str(connection.value(name)?);
            }
            _ => {
                let known = connection.variables.iter().map(|variable| variable.text.to_string());
                unknown_name(
                    diagnostics,
                    origin,
                    "a variable of this connection",
                    name,
                    known.chain(["secret".into()]),
                );
                return None;
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}
