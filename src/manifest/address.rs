//! Where a request goes: method, scheme, host and path, compiled. Which hosts credentials may go to
//! is judged here as far as it is written down, and again when a request is made.

use http::Method;

use super::diagnostic::Origin;
use super::hole::{Context, Hole, Piece, Template};
use super::template::UrlPart;
use super::tree::Reader;

pub(super) fn request_line(operation: &Reader<'_>, cx: &Context<'_>) -> Option<(Method, Vec<UrlPart>)> {
    let keys: [(&'static str, Method); 2] = [("get", Method::GET), ("post", Method::POST)];
    let mut found = keys.into_iter().filter_map(|(key, method)| Some((method, operation.node(key)?, key)));
    let Some((method, node, key)) = found.next() else {
        let help = "write `get = \"/path\"` or `post = \"/path\"`";
        cx.error("one-request", operation.origin, "this operation has no request", help);
        return None;
    };
    // the others are asked for too, so that they count as known
    if let Some((_, second, other)) = found.fold(None, |first, next| first.or(Some(next))) {
        let message = format!("this operation has two requests, `{key}` and `{other}`");
        cx.error("one-request", second.origin, message, "make it two operations");
        return None;
    }
    let text = operation.text(key)?;
    let base = cx.scope.base_url;
    let url = match text.contains("://") || text.starts_with('{') {
        true => address(text, node.origin, cx).and_then(|(parts, host)| {
            check_host(&host, node.origin, cx)?;
            Some(parts)
        }),
        false => {
            let (base, origin) = base?;
            // where it leads is judged with the connection it belongs to
            let base = address(base.trim_end_matches('/'), origin, cx).map(|(parts, _)| parts);
            let path =
                Template::compile(text, node.origin, cx).and_then(|path| path_parts(path.pieces, node.origin, cx));
            base.zip(path).map(|(mut parts, path)| {
                if !text.starts_with('/') {
                    parts.push(UrlPart::Text("/".into()));
                }
                parts.extend(path);
                parts
            })
        }
    };
    Some((method, url?))
}

/// A whole URL, and its scheme and host as far as they are written down: a brace where a value
/// will stand.
fn address(text: &str, origin: Origin, cx: &Context<'_>) -> Option<(Vec<UrlPart>, String)> {
    let mut parts = Vec::new();
    let mut path = Vec::new();
    let mut host = String::new();
    for piece in Template::compile(text, origin, cx)?.pieces {
        // the host ends at the first slash behind the scheme's
        let from = host.find("://").map_or(usize::MAX, |at| at + 3);
        match piece {
            piece if !path.is_empty() => path.push(piece),
            Piece::Hole(hole) => {
                check_required(&hole, cx)?;
                host.push('{');
                parts.push(UrlPart::Origin(hole));
            }
            Piece::Text(text) => {
                let scheme = if from == usize::MAX { text.find("://").map_or(0, |at| at + 3) } else { 0 };
                let slash = text.get(scheme..).and_then(|rest| rest.find('/'));
                let (before, after) = text.split_at(slash.map_or(text.len(), |at| scheme + at));
                host.push_str(before);
                parts.push(UrlPart::Text(before.into()));
                if !after.is_empty() {
                    path.push(Piece::Text(after.into()));
                }
            }
        }
    }
    parts.extend(path_parts(path, origin, cx)?);
    Some((parts, host))
}

/// Judges a URL of the operation's own. What begins with a hole (`{own.next_page}`) is judged when
/// the request is made.
fn check_host(host: &str, origin: Origin, cx: &Context<'_>) -> Option<()> {
    if host.starts_with('{') {
        return Some(());
    }
    let (scheme, host) = host.split_once("://").unwrap_or(("", host));
    let name = host.rsplit_once(':').map_or(host, |(name, port)| match port.parse::<u16>() {
        Ok(_) => name,
        Err(_) => host,
    });
    let loopback = matches!(name, "localhost" | "[::1]") || name.starts_with("127.");
    if scheme != "https" && !(scheme == "http" && loopback) {
        cx.error("insecure-url", origin, "credentials would be sent over plain http", "use https");
        return None;
    }
    // what follows the last hole is sure; the rest is judged when the request is made
    let sure = name.rsplit_once('{').map(|(_, sure)| sure);
    let allowed = |pattern: &str| match (pattern.strip_prefix('*'), sure) {
        (Some(suffix), None) => name.len() > suffix.len() && name.ends_with(suffix),
        (None, None) => pattern.eq_ignore_ascii_case(name),
        (Some(suffix), Some(sure)) => suffix.ends_with(sure) || sure.ends_with(suffix),
        (None, Some(sure)) => pattern.ends_with(sure),
    };
    if host.contains('@') || !cx.scope.hosts.iter().any(|pattern| allowed(pattern)) {
        let message = format!("`{}` is not among the hosts that credentials may go to", name.replace('{', "…"));
        cx.error("foreign-host", origin, message, "add it to `hosts`");
        return None;
    }
    Some(())
}

fn path_parts(pieces: Vec<Piece>, origin: Origin, cx: &Context<'_>) -> Option<Vec<UrlPart>> {
    let mut sound = true;
    let mut parts = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                if text.contains(['?', '#']) {
                    cx.error("wrong-value", origin, "a path has no `?` and no `#`", "write parameters under `query`");
                    sound = false;
                }
                parts.push(UrlPart::Text(text));
            }
            Piece::Hole(hole) => {
                sound &= check_required(&hole, cx).is_some();
                sound &= hole.check_scalar(cx);
                parts.push(UrlPart::Segment(hole));
            }
        }
    }
    sound.then_some(parts)
}

fn check_required(hole: &Hole, cx: &Context<'_>) -> Option<()> {
    if hole.optional {
        let help = "name it in `needs` and take the `?` away";
        cx.error("optional-in-path", hole.origin, "a path has no optional parts", help);
    }
    (!hole.optional).then_some(())
}
