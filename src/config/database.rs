//! How a database is reached: its address, put together or given whole, and its pool.

use secrecy::{ExposeSecret, SecretString};

use super::connection::{NOWHERE, unset};
use super::secret::{References, Resolved};
use super::section::{Section, ms};
use super::sections::{is_loopback, refuse_written_password};
use crate::manifest::plan::{Pool, SqlEngine, SqlUpstream, Upstream};
use crate::manifest::tree::{Reader, Table};

/// The address and pool of a database, and whether it is known.
pub(super) fn read(
    source: &Reader<'_>,
    engine: SqlEngine,
    pool: Option<&Table>,
    references: References<'_>,
    quiet: bool,
) -> Option<(Upstream, bool)> {
    let mut connected = true;
    let mut get = |key: &'static str, is_secret: bool| {
        let node = source.node(key)?;
        let resolved = if is_secret {
            match references.secret(node) {
                Resolved::Given(secret) => Resolved::Given(secret.expose_secret().to_owned()),
                Resolved::Unset(what) => Resolved::Unset(what),
                Resolved::Wrong => Resolved::Wrong,
            }
        } else {
            references.text(node)
        };
        match resolved {
            Resolved::Given(text) => Some(text),
            Resolved::Unset(what) => {
                unset(references.diagnostics, node.origin, &what, quiet);
                connected = false;
                None
            }
            Resolved::Wrong => None,
        }
    };
    refuse_written_password(source, "url");
    let (scheme, port) = match engine {
        SqlEngine::Postgres => ("postgres", 5432),
        SqlEngine::Mysql => ("mysql", 3306),
        SqlEngine::Sqlite => ("sqlite", 0),
    };
    let url = get("url", false);
    let parts = ["host", "user", "database"].map(|key| get(key, false));
    let password = get("password", true);
    let origin = |key| source.node(key).map_or(source.origin, |node| node.origin);
    let port = source.count("port").map_or(Some(port), |port| u16::try_from(port).ok());
    if port.is_none() {
        references.diagnostics.error("out-of-range", origin("port"), "a port is from 0 to 65535");
    }
    let written = source.node("url").is_some();
    if !written && (engine == SqlEngine::Sqlite || source.node("host").is_none()) {
        source.missing("url");
        return None;
    }
    if !written {
        for key in ["user", "database"].into_iter().filter(|key| source.node(key).is_none()) {
            source.missing(key);
        }
    }
    let address = match url {
        Some(url) => url,
        None => {
            let known = parts.iter().all(Option::is_some);
            compose(scheme, parts, password, port?).unwrap_or_else(|| {
                if known {
                    references.diagnostics.error("wrong-value", origin("host"), "this is not the name of a host");
                }
                format!("{scheme}://{NOWHERE}/none")
            })
        }
    };
    let prefixes: &[&str] = match engine {
        SqlEngine::Postgres => &["postgres://", "postgresql://"],
        SqlEngine::Mysql => &["mysql://"],
        SqlEngine::Sqlite => &["sqlite:"],
    };
    let is_local = engine == SqlEngine::Sqlite
        || url::Url::parse(&address).is_ok_and(|url| {
            // A scheme that is not special keeps an address as a name.
            is_loopback(&url) || url.host_str().is_some_and(|host| host == "127.0.0.1" || host == "[::1]")
        });
    if connected && !prefixes.iter().any(|prefix| address.starts_with(prefix)) {
        let problem = format!("this is not an address that begins with {}", prefixes.join(" or "));
        references.diagnostics.error("wrong-value", origin("url"), problem);
    }
    let tls = source.bool("tls").unwrap_or(!is_local);
    let mut merged = pool?.clone();
    if let Some(own) = source.table("pool") {
        merged.merge(own.table, false, &|_| false);
    }
    let section = Section { reader: Reader::new(&merged, source.origin, references.diagnostics) };
    let pool = Pool {
        max: section.count("max", 1..=10_000),
        acquire_timeout: section.duration("acquire_timeout", ms(10)..=ms(60_000)),
        statement_timeout: section.duration("statement_timeout", ms(10)..=ms(60_000)),
        queue: section.count("queue", 0..=1_000_000),
        prepared: section.bool("prepared"),
        tls,
    };
    section.finish();
    let upstream = SqlUpstream { engine, url: SecretString::from(address), pool };
    Some((Upstream::Sql(upstream), connected))
}

fn compose(scheme: &str, parts: [Option<String>; 3], password: Option<String>, port: u16) -> Option<String> {
    let [host, user, database] = parts;
    // `http` is special to the url crate, so that host and port are checked and written right.
    let mut url = url::Url::parse("http://localhost").ok()?;
    let (host, user, database) = (host?, user?, database?);
    let (host, port) = match host.rsplit_once(':') {
        Some((name, own)) if !name.contains(':') => (name.to_owned(), own.parse().ok()?),
        _ => (host, port),
    };
    url.set_host(Some(&host)).ok()?;
    url.set_port(Some(port)).ok()?;
    url.set_username(&user).ok()?;
    url.set_password(password.as_deref()).ok()?;
    url.path_segments_mut().ok()?.clear().push(&database);
    Some(format!("{scheme}{}", url.as_str().strip_prefix("http")?))
}
