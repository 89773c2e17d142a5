//! What the gateway asks each vendor, and what the stand-ins answer, judged by each
//! vendor's OpenAPI document; and the signatures that Twilio prints, verified. The documents are not
//! part of this repository: `$VENDOR_CONTRACTS` says where they are.

mod calendly;
mod close;
mod copper;
mod court;
mod dynamics365;
mod freshsales;
mod google_calendar;
mod hubspot;
mod microsoft_graph;
mod pipedrive;
mod prism;
mod recorder;
mod salesforce;
mod square_bookings;
mod stripe;
mod twilio;
mod twilio_lookup;
mod zendesk;
mod zoho;

use std::io::Write as _;
use std::path::{Path, PathBuf};

type Failed = Box<dyn std::error::Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Failed>;

/// A file of the vendors' documents; where it is not there, the test is SKIPPED by name.
fn document(test: &str, file: &str) -> Result<Option<PathBuf>> {
    let folder = std::env::var_os("VENDOR_CONTRACTS").map_or("../shared/vendors".into(), PathBuf::from);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(file);
    if path.is_file() {
        return Ok(Some(path));
    }
    skip(test, &format!("{file}; VENDOR_CONTRACTS says where the vendors' documents are"))
}

fn skip<T>(test: &str, needs: &str) -> Result<Option<T>> {
    if std::env::var("REQUIRE_CONTRACTS").is_ok_and(|value| value == "1") {
        return Err(format!("{test} needs {needs}").into());
    }
    // Straight to the terminal: what a passing test prints is swallowed.
    writeln!(std::io::stderr(), "SKIPPED: {test} needs {needs}")?;
    Ok(None)
}
