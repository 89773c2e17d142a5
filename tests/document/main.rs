//! The API's document says what the gateway does: every route, every example, and real answers of
//! the demo held to it; by hand, by a fuzzer, and as a page in a browser.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod answers;
mod book;
mod examples;
mod fuzz;
mod page;
mod routes;
mod texts;
