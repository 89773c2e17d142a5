//! What a refused request is told: RFC 9457 problems with a code that has a page in
//! `docs/errors/`. The only place where causes become status codes. A problem never repeats
//! what the request said.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};

/// Why a request was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    Unauthorized,
    TooManyWrongKeys,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    MalformedBody,
    BodyTooLarge,
    MissingIdentity,
    SeveralIdentities,
    InvalidParameter,
    TooManyParticipants,
    RequestTimeout,
    StoreUnavailable,
    Internal,
}

impl Code {
    pub const ALL: [Self; 14] = [
        Self::Unauthorized,
        Self::TooManyWrongKeys,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::MalformedBody,
        Self::BodyTooLarge,
        Self::MissingIdentity,
        Self::SeveralIdentities,
        Self::InvalidParameter,
        Self::TooManyParticipants,
        Self::RequestTimeout,
        Self::StoreUnavailable,
        Self::Internal,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::TooManyWrongKeys => "too-many-wrong-keys",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::MalformedBody => "malformed-body",
            Self::BodyTooLarge => "body-too-large",
            Self::MissingIdentity => "missing-identity",
            Self::SeveralIdentities => "several-identities",
            Self::InvalidParameter => "invalid-parameter",
            Self::TooManyParticipants => "too-many-participants",
            Self::RequestTimeout => "request-timeout",
            Self::StoreUnavailable => "store-unavailable",
            Self::Internal => "internal",
        }
    }

    pub fn status(self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooManyWrongKeys => StatusCode::TOO_MANY_REQUESTS,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::MalformedBody
            | Self::MissingIdentity
            | Self::SeveralIdentities
            | Self::InvalidParameter
            | Self::TooManyParticipants => StatusCode::BAD_REQUEST,
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Unauthorized => "The request carries no credential that is good",
            Self::TooManyWrongKeys => "Too many wrong keys came from this address",
            Self::Forbidden => "The key's view may not do this",
            Self::NotFound => "There is nothing at this address",
            Self::MethodNotAllowed => "This address does not take this method",
            Self::MalformedBody => "The body is neither a JSON object nor a form",
            Self::BodyTooLarge => "The body is too large",
            Self::MissingIdentity => "None of phone, email and customer_id is given",
            Self::SeveralIdentities => "More than one of phone, email and customer_id is given",
            Self::InvalidParameter => "A parameter has a value that it cannot have",
            Self::TooManyParticipants => "More people take part than one question may name",
            Self::RequestTimeout => "The body did not arrive in time",
            Self::StoreUnavailable => "The store cannot be reached",
            Self::Internal => "The gateway failed",
        }
    }

    /// The code's page.
    pub fn page(self) -> &'static str {
        match self {
            Self::Unauthorized => include_str!("../../docs/errors/unauthorized.md"),
            Self::TooManyWrongKeys => include_str!("../../docs/errors/too-many-wrong-keys.md"),
            Self::Forbidden => include_str!("../../docs/errors/forbidden.md"),
            Self::NotFound => include_str!("../../docs/errors/not-found.md"),
            Self::MethodNotAllowed => include_str!("../../docs/errors/method-not-allowed.md"),
            Self::MalformedBody => include_str!("../../docs/errors/malformed-body.md"),
            Self::BodyTooLarge => include_str!("../../docs/errors/body-too-large.md"),
            Self::MissingIdentity => include_str!("../../docs/errors/missing-identity.md"),
            Self::SeveralIdentities => include_str!("../../docs/errors/several-identities.md"),
            Self::InvalidParameter => include_str!("../../docs/errors/invalid-parameter.md"),
            Self::TooManyParticipants => include_str!("../../docs/errors/too-many-participants.md"),
            Self::RequestTimeout => include_str!("../../docs/errors/request-timeout.md"),
            Self::StoreUnavailable => include_str!("../../docs/errors/store-unavailable.md"),
            Self::Internal => include_str!("../../docs/errors/internal.md"),
        }
    }
}

/// A refusal, with the parameter it is about where there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub code: Code,
    /// The name of a parameter that we know, never its value.
    pub parameter: Option<Arc<str>>,
}

impl Problem {
    pub fn about(code: Code, parameter: &str) -> Self {
        Self { code, parameter: Some(parameter.into()) }
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self { code, parameter: None }
    }
}

/// Why a request was refused (RFC 9457). It never repeats what the request said.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Body {
    /// The page of the code.
    #[serde(rename = "type")]
    #[schema(format = "uri-reference")]
    kind: String,
    /// The code in a few words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    #[schema(schema_with = codes)]
    code: &'static str,
    /// Only there when the problem is about one parameter: its name, never its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    parameter: Option<Arc<str>>,
}

fn codes() -> Object {
    let words = Code::ALL.map(Code::as_str);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).description(Some("What happened.")).build()
}

impl From<Problem> for Body {
    fn from(Problem { code, parameter }: Problem) -> Self {
        Self {
            kind: format!("/docs/errors/{}", code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            code: code.as_str(),
            parameter,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (code, status) = (self.code, self.code.status());
        let bytes = serde_json::to_vec(&Body::from(self)).unwrap_or_default();
        let mut response = (status, bytes).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if code == Code::TooManyWrongKeys {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }
}

impl IntoResponse for Code {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_with_its_cause_and_its_remedy() {
        for code in Code::ALL {
            let heading = format!("# {}\n", code.as_str());
            assert!(code.page().starts_with(&heading), "{}", code.as_str());
            assert!(code.page().contains(&format!("Status {}", code.status().as_u16())), "{}", code.as_str());
            let parts = code.page().split_once("\n## What to do\n\n");
            let (cause, remedy) = parts.unwrap_or_else(|| panic!("{}: no remedy", code.as_str()));
            let cause = cause.lines().skip(3).collect::<String>();
            assert!(cause.len() > 20, "{}: the cause is not named", code.as_str());
            assert!(remedy.trim().len() > 20, "{}: the remedy is not named", code.as_str());
        }
        let pages = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors")).into_iter().flatten();
        assert_eq!(pages.count(), Code::ALL.len(), "pages of codes that there are not");
    }
}
