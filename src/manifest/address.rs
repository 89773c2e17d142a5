//! Where a request goes: method, scheme, host and path, compiled.

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
    if !text.starts_with('/') {
        cx.error("wrong-value", node.origin, "a request is a path below `base_url`", "write `/` in front");
        return None;
    }
    let base = cx.scope.base_url;
    let path = Template::compile(text, node.origin, cx).and_then(|path| path_parts(path.pieces, node.origin, cx));
    let (base, origin) = base?;
    let mut url = address(base.trim_end_matches('/'), origin, cx)?;
    url.extend(path?);
    Some((method, url))
}

/// Scheme, host and path. Holes before the path are of the host, which is judged with the connection
/// they belong to and again when a request is made.
fn address(text: &str, origin: Origin, cx: &Context<'_>) -> Option<Vec<UrlPart>> {
    let mut parts = Vec::new();
    let mut path = Vec::new();
    let mut in_scheme = true;
    for piece in Template::compile(text, origin, cx)?.pieces {
        match piece {
            piece if !path.is_empty() => path.push(piece),
            Piece::Hole(hole) => {
                check_required(&hole, cx)?;
                parts.push(UrlPart::Origin(hole));
            }
            Piece::Text(text) => {
                // the host ends at the first slash behind the scheme's
                let scheme = if in_scheme { text.find("://").map_or(0, |at| at + 3) } else { 0 };
                let slash = text.get(scheme..).and_then(|rest| rest.find('/'));
                let (before, after) = text.split_at(slash.map_or(text.len(), |at| scheme + at));
                parts.push(UrlPart::Text(before.into()));
                if !after.is_empty() {
                    path.push(Piece::Text(after.into()));
                }
            }
        }
        in_scheme = false;
    }
    parts.extend(path_parts(path, origin, cx)?);
    Some(parts)
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
