//! The pages of docs/diagnostics: what a code means and what to do, for `check --explain`.

macro_rules! pages {
    ($($code:literal)*) => {
        &[$(($code, include_str!(concat!("../../docs/diagnostics/", $code, ".md")))),*]
    };
}

/// Code and page, by code.
pub const PAGES: &[(&str, &str)] = pages! {
    "account-twice"
    "bad-certificate"
    "body-with-get"
    "constants-only"
    "conversion-type"
    "fallback-cycle"
    "field-type"
    "foreign-host"
    "foreign-name"
    "hole-in-key"
    "hole-in-path"
    "hole-in-sql"
    "hole-not-needed"
    "hole-syntax"
    "insecure-url"
    "list-needs-join"
    "list-without-id"
    "manifest-version"
    "missing-key"
    "never-field"
    "no-effect"
    "no-lookups"
    "no-needs"
    "one-request"
    "one-source"
    "open-listener"
    "optional-in-path"
    "out-of-range"
    "path-syntax"
    "quoted-hole"
    "rank-not-total"
    "region-unset"
    "rate-syntax"
    "reserved-name"
    "secondary-cycle"
    "secret-by-value"
    "secret-outside-auth"
    "secret-unset"
    "shadowed-name"
    "spellings-unused"
    "sql-parameter"
    "sql-statements"
    "sql-writes"
    "syntax"
    "time-needs-format"
    "unclassified"
    "undeclared-language"
    "unknown-conversion"
    "unknown-field"
    "unknown-key"
    "unknown-language"
    "unknown-name"
    "unreachable"
    "unused"
    "unverified-search"
    "vendor-name"
    "view-cycle"
    "writable-by-others"
    "wrong-type"
    "wrong-value"
};

/// The page of a code.
pub fn page(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(known, _)| *known == code).map(|(_, page)| *page)
}
