//! The manifests that are built into the binary.

/// Vendor and text.
pub const ALL: &[(&str, &str)] = &[
    ("close", include_str!("../../connectors/close.toml")),
    ("freshsales", include_str!("../../connectors/freshsales.toml")),
    ("hubspot", include_str!("../../connectors/hubspot.toml")),
    ("pipedrive", include_str!("../../connectors/pipedrive.toml")),
    ("salesforce", include_str!("../../connectors/salesforce.toml")),
    ("stripe", include_str!("../../connectors/stripe.toml")),
    ("zendesk", include_str!("../../connectors/zendesk.toml")),
];
