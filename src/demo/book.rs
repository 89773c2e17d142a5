//! The book: what the stand-ins were asked, decoded, so that a test can say what really arrived.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use hyper::Method;
use serde_json::{Value, json};

use super::Vendor;
use super::standin::Request;

/// Requests kept at most; older ones are counted only.
const KEPT: usize = 20_000;

/// One request, decoded.
#[derive(Debug, Clone)]
pub struct Entry {
    /// From 1, over all stand-ins.
    pub number: u64,
    pub vendor: Vendor,
    pub method: Method,
    /// Percent-decoded.
    pub path: String,
    /// Decoded, in order.
    pub query: Vec<(String, String)>,
    /// As received, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as JSON, as text if it is none, null without one.
    pub body: Value,
}

impl Entry {
    /// The first query parameter of that name.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn json(&self) -> Value {
        json!({
            "number": self.number,
            "source": self.vendor.as_str(),
            "method": self.method.as_str(),
            "path": self.path,
            "query": self.query,
            "body": self.body,
        })
    }
}

#[derive(Debug, Default)]
pub struct Book {
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    entries: VecDeque<Entry>,
    written: u64,
}

impl Book {
    pub(super) fn write(&self, vendor: Vendor, request: &Request) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.written += 1;
        let entry = Entry {
            number: pages.written,
            vendor,
            method: request.method.clone(),
            path: request.path(),
            query: request.query.clone(),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
                .collect(),
            body: request.json().unwrap_or_else(|| match request.body.is_empty() {
                true => Value::Null,
                false => String::from_utf8_lossy(&request.body).into_owned().into(),
            }),
        };
        if pages.entries.len() == KEPT {
            pages.entries.pop_front();
        }
        pages.entries.push_back(entry);
    }

    /// The requests of one stand-in that are still kept, oldest first.
    pub fn of(&self, vendor: Vendor) -> Vec<Entry> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.entries.iter().filter(|e| e.vendor == vendor).cloned().collect()
    }

    /// How many requests were written since the start or the last clearing.
    pub fn written(&self) -> u64 {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).written
    }

    pub fn clear(&self) {
        *self.pages.lock().unwrap_or_else(PoisonError::into_inner) = Pages::default();
    }

    /// The book as `GET /_book` shows it; headers stay out, they carry tokens.
    pub(super) fn json(&self, vendor: Option<Vendor>) -> Value {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = pages.entries.iter().filter(|e| vendor.is_none_or(|v| v == e.vendor));
        json!({ "written": pages.written, "requests": entries.map(Entry::json).collect::<Vec<_>>() })
    }
}
