//! Whom there are stand-ins for: name, module and type, one line each, by name. A stand-in's
//! behaviour is in its own module, that of all of them in `standin`.

use jiff::Timestamp;

use super::standin::Standin;

macro_rules! vendors {
    ($($name:literal $module:ident::$vendor:ident)*) => {
        /// Whom a stand-in stands in for.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Vendor {
            $($vendor),*
        }

        impl Vendor {
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$vendor),*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$vendor => $name),*
                }
            }

            /// The secret that the stand-in takes; any other is refused as the vendor refuses.
            pub fn token(self) -> &'static str {
                match self {
                    $(Self::$vendor => concat!("demo-", $name, "-token")),*
                }
            }

            /// The stand-in with its records, dated from this moment on.
            pub(super) fn standin(self, now: Timestamp) -> Box<dyn Standin> {
                match self {
                    $(Self::$vendor => Box::new(super::$module::$vendor::new(now))),*
                }
            }
        }
    };
}

vendors! {
    "appointments" appointments::Appointments
    "calendly" calendly::Calendly
    "close" close::Close
    "copper" copper::Copper
    "dynamics365" dynamics365::Dynamics365
    "freshsales" freshsales::Freshsales
    "google-calendar" google_calendar::GoogleCalendar
    "hubspot" hubspot::Hubspot
    "inventory" inventory::Inventory
    "microsoft-graph" microsoft_graph::MicrosoftGraph
    "payments" payments::Payments
    "pipedrive" pipedrive::Pipedrive
    "salesforce" salesforce::Salesforce
    "square-bookings" square_bookings::SquareBookings
    "stripe" stripe::Stripe
    "twilio-lookup" twilio_lookup::TwilioLookup
    "zendesk" zendesk::Zendesk
    "zoho" zoho::Zoho
}

impl Vendor {
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == text)
    }

    /// The names that a configuration refers to with `env:`: of its address and of its secret.
    pub(super) fn variables(self) -> [String; 2] {
        let name = self.as_str().to_uppercase().replace('-', "_");
        ["URL", "TOKEN"].map(|what| format!("DEMO_{name}_{what}"))
    }
}
