//! X-Twilio-Signature: proof that Twilio sent a request, for one of the accounts configured. The
//! secret that verifies decides the organization; an AccountSid only says which to try.
//! https://www.twilio.com/docs/usage/security

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use url::Url;

use crate::config::Config;
use crate::domain::Organization;

pub const HEADER: &str = "x-twilio-signature";

/// The accounts whose requests can be verified.
pub struct Accounts {
    public_url: Option<Url>,
    accounts: Vec<Account>,
}

struct Account {
    sid: Arc<str>,
    organization: Organization,
    token: SecretString,
}

/// A request as it was signed.
pub struct Signed<'a> {
    pub signature: &'a [u8],
    /// Of the request line, byte for byte.
    pub path_and_query: &'a str,
    pub body: &'a [u8],
    pub is_form: bool,
    /// As the request says it; any account otherwise.
    pub account_sid: Option<&'a str>,
}

/// Whose request it was.
#[derive(Debug, PartialEq, Eq)]
pub struct Proof {
    pub organization: Organization,
    pub account_sid: Arc<str>,
}

impl Accounts {
    pub fn of(config: &Config) -> Self {
        let accounts = config.organizations.iter().flat_map(|(organization, rules)| {
            rules.twilio.iter().map(|account| Account {
                sid: account.account_sid.clone(),
                organization: organization.clone(),
                token: account.auth_token.clone(),
            })
        });
        Self { public_url: config.server.public_url.clone(), accounts: accounts.collect() }
    }

    /// Whether signatures can be verified at all.
    pub fn any(&self) -> bool {
        self.public_url.is_some() && !self.accounts.is_empty()
    }

    /// `None` when the signature is of none of the accounts, or does not cover the body.
    pub fn verify(&self, request: &Signed<'_>) -> Option<Proof> {
        let public_url = self.public_url.as_ref()?;
        let signature = BASE64_STANDARD.decode(request.signature).ok()?;
        let parameters = request.signed_parameters()?;
        let urls = signed_urls(public_url, request.path_and_query);
        let fits = |account: &&Account| request.account_sid.is_none_or(|sid| sid == &*account.sid);
        let proved = |account: &&Account| {
            let token = account.token.expose_secret();
            urls.iter().any(|url| verifies(token, url, &parameters, &signature))
        };
        let account = self.accounts.iter().filter(fits).find(proved)?;
        Some(Proof { organization: account.organization.clone(), account_sid: account.sid.clone() })
    }
}

impl Signed<'_> {
    /// What is signed beside the URL. A body that is no form is covered by its hash in the URL;
    /// without that it proves nothing.
    fn signed_parameters(&self) -> Option<String> {
        let query = self.path_and_query.split_once('?').map_or("", |(_, query)| query);
        let hash = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "bodySHA256");
        match hash {
            Some((_, hash)) if !self.is_form => {
                let actual: String = Sha256::digest(self.body).iter().map(|b| format!("{b:02x}")).collect();
                hash.eq_ignore_ascii_case(&actual).then(String::new)
            }
            None if !self.is_form && !self.body.is_empty() => None,
            _ => Some(sorted(self.body)),
        }
    }
}

/// Names and values run together, sorted, repetitions once.
fn sorted(form: &[u8]) -> String {
    let mut parameters: Vec<_> = form_urlencoded::parse(form).collect();
    parameters.sort();
    parameters.dedup();
    parameters.iter().flat_map(|(name, value)| [&**name, &**value]).collect()
}

/// The address that others use for us, with its port and without: senders differ.
fn signed_urls(public_url: &Url, path_and_query: &str) -> [String; 2] {
    let scheme = public_url.scheme();
    let host = public_url.host_str().unwrap_or_default();
    let prefix = public_url.path().trim_end_matches('/');
    let port = public_url.port_or_known_default().unwrap_or_default();
    [format!("{scheme}://{host}{prefix}{path_and_query}"), format!("{scheme}://{host}:{port}{prefix}{path_and_query}")]
}

fn verifies(token: &str, url: &str, parameters: &str, signature: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(token.as_bytes()) else { return false };
    mac.update(url.as_bytes());
    mac.update(parameters.as_bytes());
    mac.verify_slice(signature).is_ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the table's own texts")]
mod tests {
    use super::*;

    fn accounts(public_url: &str) -> Accounts {
        let account = |sid: &str, organization: &str, token: &str| Account {
            sid: sid.into(),
            organization: Organization::parse(organization).unwrap(),
            token: token.into(),
        };
        Accounts {
            public_url: Some(public_url.parse().unwrap()),
            accounts: vec![account("AC-other", "other", "54321"), account("AC-ours", "ours", "12345")],
        }
    }

    const CALL: &str =
        "CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&Caller=%2B14158675309";
    const PATH: &str = "/myapp.php?foo=1&bar=2";
    const JSON_PATH: &str =
        "/myapp.php?foo=1&bar=2&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
    const JSON: &str = r#"{"property": "value", "boolean": true}"#;

    /// Printed by the vendor: name, our address, path, body, form or not, signature.
    const VECTORS: [(&str, &str, &str, &str, bool, &str); 7] = [
        ("form", "https://mycompany.com", PATH, CALL, true, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (
            "repeated parameter",
            "https://mycompany.com",
            PATH,
            "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
            true,
            "IK+Dwps556ElfBT0I3Rgjkr1wJU=",
        ),
        ("https, port not signed", "https://mycompany.com:1234", PATH, CALL, true, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        ("http, port signed", "http://mycompany.com:1234", PATH, CALL, true, "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
        ("https, 443 signed", "https://mycompany.com", PATH, CALL, true, "kvajT1Ptam85bY51eRf/AJRuM3w="),
        ("http, 80 signed", "http://mycompany.com", PATH, CALL, true, "0ZXoZLH/DfblKGATFgpif+LLRf4="),
        ("json", "https://mycompany.com", JSON_PATH, JSON, false, "a9nBmqA0ju/hNViExpshrM61xv4="),
    ];

    fn signed<'a>(path: &'a str, body: &'a str, is_form: bool, signature: &'a str) -> Signed<'a> {
        Signed {
            signature: signature.as_bytes(),
            path_and_query: path,
            body: body.as_bytes(),
            is_form,
            account_sid: None,
        }
    }

    #[test]
    fn the_vendors_vectors_verify_and_select_the_organization() {
        for (name, public_url, path, body, is_form, signature) in VECTORS {
            let proof = accounts(public_url).verify(&signed(path, body, is_form, signature));
            assert_eq!(proof.map(|p| p.organization.to_string()).as_deref(), Some("ours"), "{name}");
        }
    }

    #[test]
    fn whatever_is_changed_breaks_the_signature() {
        for (name, public_url, path, body, is_form, signature) in VECTORS {
            let at = accounts(public_url);
            let other_body = body.replacen('1', "2", 1).replacen("value", "valve", 1);
            assert_eq!(at.verify(&signed(path, &other_body, is_form, signature)), None, "{name}: body");
            let other_path = path.replacen("foo=1", "foo=2", 1);
            assert_eq!(at.verify(&signed(&other_path, body, is_form, signature)), None, "{name}: path");
            assert_eq!(at.verify(&signed(path, body, is_form, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")), None, "{name}");
            assert_eq!(at.verify(&signed(path, body, is_form, "")), None, "{name}: empty");
            assert_eq!(at.verify(&signed(path, body, is_form, "not base64!")), None, "{name}: unreadable");
            let elsewhere = accounts("https://elsewhere.example");
            assert_eq!(elsewhere.verify(&signed(path, body, is_form, signature)), None, "{name}: address");
            let stranger = Signed { account_sid: Some("AC-other"), ..signed(path, body, is_form, signature) };
            assert_eq!(at.verify(&stranger), None, "{name}: account");
            let ours = Signed { account_sid: Some("AC-ours"), ..signed(path, body, is_form, signature) };
            assert!(at.verify(&ours).is_some(), "{name}: own account");
        }
    }

    #[test]
    fn a_body_that_nothing_signs_proves_nothing() {
        let at = accounts("https://mycompany.com");
        let token = "12345";
        let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
        mac.update(b"https://mycompany.com/hook?a=1");
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        assert!(at.verify(&signed("/hook?a=1", "", false, &signature)).is_some(), "GET: all is in the URL");
        assert_eq!(at.verify(&signed("/hook?a=1", JSON, false, &signature)), None);
        assert_eq!(at.verify(&signed("/hook?a=1", "a=1", true, &signature)), None);
    }
}
