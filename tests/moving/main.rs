//! Moving a live line: a changed configuration beside the one that runs, and the gateway beside
//! somebody else's Function. The real binary and real sockets, with the demo world's vendors.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod compare;
#[path = "../examples/node.rs"]
mod node;
mod replay;
mod world;

#[expect(clippy::disallowed_methods, reason = "the client of a test asks the gateway, not a vendor")]
fn client() -> reqwest::Client {
    reqwest::Client::builder().build().unwrap()
}
