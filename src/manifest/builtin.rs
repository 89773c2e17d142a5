//! The manifests that are built into the binary.

/// Vendor and text.
pub const ALL: &[(&str, &str)] = &[
    ("calendly", include_str!("../../connectors/calendly.toml")),
    ("close", include_str!("../../connectors/close.toml")),
    ("copper", include_str!("../../connectors/copper.toml")),
    ("dynamics365", include_str!("../../connectors/dynamics365.toml")),
    ("freshsales", include_str!("../../connectors/freshsales.toml")),
    ("google-calendar", include_str!("../../connectors/google-calendar.toml")),
    ("hubspot", include_str!("../../connectors/hubspot.toml")),
    ("microsoft-graph", include_str!("../../connectors/microsoft-graph.toml")),
    ("pipedrive", include_str!("../../connectors/pipedrive.toml")),
    ("salesforce", include_str!("../../connectors/salesforce.toml")),
    ("square-bookings", include_str!("../../connectors/square-bookings.toml")),
    ("stripe", include_str!("../../connectors/stripe.toml")),
    ("twilio-lookup", include_str!("../../connectors/twilio-lookup.toml")),
    ("zendesk", include_str!("../../connectors/zendesk.toml")),
    ("zoho", include_str!("../../connectors/zoho.toml")),
];

/// The manifest of a vendor, if it is built in.
pub fn of(vendor: &str) -> Option<(&'static str, &'static str)> {
    ALL.iter().copied().find(|(known, _)| *known == vendor)
}
