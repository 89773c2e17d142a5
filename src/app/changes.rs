//! What a reload changes that somebody should know: what readers may see and where requests go, for
//! the audit log, and what takes a restart.

use std::sync::Arc;

use secrecy::ExposeSecret as _;

use crate::config::{Config, TwilioAccount};
use crate::domain::LookupStatus;
use crate::http::Edge;
use crate::manifest::plan::{Source, Upstream};
use crate::store::audit::Delivery;
use crate::view::Widened;

/// Rows for a reload that widens a view, opens the door to another account, or sends requests to
/// other hosts: names, never values. Views and sources are everybody's, so everybody's log has them.
pub fn rows(before: &Edge, now: &Edge) -> Vec<Delivery> {
    let changes = changes(before, now);
    let mut rows = Vec::new();
    for (organization, rules) in &now.config().organizations {
        let known = before.config().organizations.get(organization).map(|rules| rules.twilio.as_slice());
        let is_known = |account: &&TwilioAccount| known.unwrap_or_default().iter().any(|known| same(known, account));
        let accounts = rules.twilio.iter().filter(|account| !is_known(account)).map(|account| Change {
            reader: format!("twilio:{}", account.account_sid).into(),
            view: now.config().studio.view.clone(),
            ..Change::default()
        });
        rows.extend(changes.iter().cloned().chain(accounts).map(|change| Delivery {
            organization: organization.clone(),
            reader: change.reader,
            view: change.view,
            surface: "reload",
            identity: None,
            call_sid: None,
            sources: change.sources.into(),
            fields: change.fields.into(),
            lookup_status: LookupStatus::None.as_str(),
        }));
    }
    rows
}

#[derive(Clone, Default)]
struct Change {
    reader: Arc<str>,
    view: Arc<str>,
    sources: Vec<Arc<str>>,
    fields: Vec<Arc<str>>,
}

/// Those that concern every organization.
fn changes(before: &Edge, now: &Edge) -> Vec<Change> {
    let (policy, earlier) = (now.policy(), before.policy());
    let mut widened = policy.wider_than(earlier);
    let (studio, earlier_studio) = (&now.config().studio.view, &before.config().studio.view);
    if studio != earlier_studio {
        widened.extend(policy.widened(studio, earlier, earlier_studio));
    }
    let mut changes: Vec<Change> = widened
        .into_iter()
        .map(|Widened { view, mut fields, admin }| {
            fields.extend(admin.then(|| ADMIN.into()));
            Change { reader: CONFIGURATION.into(), view, fields, ..Change::default() }
        })
        .collect();
    let is_elsewhere = |source: &&Source| {
        let earlier = before.config().plan.sources.iter().find(|earlier| earlier.name == source.name);
        earlier.is_none_or(|earlier| reaches_further(source, earlier))
    };
    let sources = now.config().plan.sources.iter().filter(is_elsewhere).map(|source| source.name.clone());
    let elsewhere = Change { reader: CONFIGURATION.into(), sources: sources.collect(), ..Change::default() };
    changes.extend(Some(elsewhere).filter(|change| !change.sources.is_empty()));
    changes
}

/// The reader of rows that are about the configuration.
const CONFIGURATION: &str = "configuration";
/// Stands among the fields of a view whose readers became administrators.
const ADMIN: &str = "(admin)";

fn same(account: &TwilioAccount, other: &TwilioAccount) -> bool {
    account.account_sid == other.account_sid && account.auth_token.expose_secret() == other.auth_token.expose_secret()
}

/// Whether requests or credentials of the source may go where those of the earlier one did not.
fn reaches_further(source: &Source, earlier: &Source) -> bool {
    let hosts = match (&source.upstream, &earlier.upstream) {
        (Upstream::Http(http), Upstream::Http(earlier)) => http.hosts.iter().any(|host| !earlier.hosts.contains(host)),
        _ => false,
    };
    hosts || source.upstream.place() != earlier.upstream.place()
}

/// The keys that have another value than at the start and cannot change while the gateway runs.
pub fn takes_restart(started: &Config, config: &Config) -> Vec<&'static str> {
    let (server, store, audit) = (&config.server, &config.store, &config.audit);
    let longest = |config: &Config| config.plan.sources.iter().map(|s| s.keep.max(s.fresh).max(s.not_found)).max();
    let text = |secret: &Option<secrecy::SecretString>| secret.as_ref().map(|s| s.expose_secret().to_owned());
    let keys = [
        ("server.listen", server.listen != started.server.listen),
        ("server.max_connections", server.max_connections != started.server.max_connections),
        ("cache.contexts_max", config.cache.contexts_max_bytes != started.cache.contexts_max_bytes),
        // entries are let go when the longest window of the start is over
        ("cache.keep", longest(config) > longest(started)),
        ("store.url", store.url.expose_secret() != started.store.url.expose_secret()),
        ("store.key", text(&store.key) != text(&started.store.key)),
        ("store.key_file", store.key_file != started.store.key_file),
        ("audit.flush", audit.flush != started.audit.flush),
        ("audit.buffer", audit.buffer != started.audit.buffer),
        ("audit.keep", audit.keep != started.audit.keep),
        ("logging.format", config.logging.json != started.logging.json),
        ("logging.filter", config.logging.filter != started.logging.filter),
    ];
    keys.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
}
