//! The demo world: invented people, stand-ins for the vendors on loopback, and a customers database.
//! The demo, the tests and the load tests all use this one set of fakes. Nothing here knows the
//! gateway: a stand-in behaves as its vendor's documents say, whoever asks.

pub mod appointments;
pub mod book;
pub mod calendly;
pub mod close;
pub mod copper;
pub mod customers;
pub mod dynamics365;
pub mod faults;
pub mod freshsales;
pub mod google_calendar;
pub mod hubspot;
pub mod inventory;
pub mod microsoft_graph;
pub mod payments;
pub mod pipedrive;
pub mod salesforce;
pub mod soql;
pub mod square_bookings;
pub mod standin;
pub mod stripe;
#[cfg(test)]
mod trial;
pub mod twilio_lookup;
mod vendors;
pub mod world;
pub mod zendesk;
pub mod zoho;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::book::{Book, Entry};
use self::faults::{Faults, Setting};
use self::standin::Shared;
pub use self::vendors::Vendor;
use crate::clock::Clock;

/// The sources of the demo; its secrets and addresses are in [`Standins::environment`].
pub const CONFIG: &str = include_str!("demo.toml");

/// All stand-ins, running until this is dropped.
pub struct Standins {
    addresses: BTreeMap<Vendor, SocketAddr>,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

impl Standins {
    /// Listens on free ports of 127.0.0.1. The tracker's owner waits for the tasks; dropping the
    /// stand-ins ends them.
    pub async fn start(clock: Clock, tracker: &TaskTracker) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared::new(clock));
        let mut addresses = BTreeMap::new();
        for vendor in Vendor::ALL {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            addresses.insert(vendor, listener.local_addr()?);
            tracker.spawn(standin::accept(listener, vendor, shared.clone(), tracker.clone(), stop.clone()));
        }
        Ok(Self { addresses, shared, _stop: stop.drop_guard() })
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end.
    pub fn url(&self, vendor: Vendor) -> String {
        self.addresses.get(&vendor).map_or_else(String::new, |address| format!("http://{address}"))
    }

    /// Where faults and books are: `POST /_faults`, `GET /_book`. Any stand-in serves all of them.
    pub fn control_url(&self) -> String {
        self.url(Vendor::Hubspot)
    }

    /// What demo.toml's `env:` references stand for, in place of the process's environment.
    pub fn environment(&self) -> Vec<(String, String)> {
        let of = |vendor: Vendor| {
            let [url, token] = vendor.variables();
            [(url, self.url(vendor)), (token, vendor.token().to_owned())]
        };
        Vendor::ALL.into_iter().flat_map(of).collect()
    }

    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Gives a stand-in a fault from its next request on.
    pub fn set(&self, vendor: Vendor, setting: Setting) {
        self.shared.faults.set(vendor, setting);
    }

    pub fn book(&self) -> &Book {
        &self.shared.book
    }

    /// The requests that one stand-in received, oldest first.
    pub fn requests(&self, vendor: Vendor) -> Vec<Entry> {
        self.shared.book.of(vendor)
    }
}
