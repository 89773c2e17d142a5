//! TLS towards databases, with the public roots, towards sources, with the machine's, and towards callers, with a
//! certificate of our own.
//! One provider for both.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::{ExposeSecret as _, SecretString};

/// Why callers cannot be served with a certificate. Never quotes a key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadCertificate {
    #[error("there is no certificate in PEM form in it")]
    NoCertificate,
    #[error("there is no private key in PEM form in it")]
    NoKey,
    #[error("the certificate cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    #[error("the certificate has expired")]
    Expired,
    #[error("the certificate is not valid yet")]
    NotYet,
}

/// The settings of a server with this chain and key, both PEM: HTTP/2 or HTTP/1.1, from TLS 1.2 on.
pub(crate) fn server_config(
    chain: &str,
    key: &SecretString,
    now: Timestamp,
) -> Result<Arc<rustls::ServerConfig>, BadCertificate> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let chain = chain.map_err(|_| BadCertificate::NoCertificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret().as_bytes()).map_err(|_| BadCertificate::NoKey)?;
    in_its_time(chain.first().ok_or(BadCertificate::NoCertificate)?, now)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A certificate's own dates are judged before its issuer is looked for, so none is given.
fn in_its_time(certificate: &CertificateDer<'_>, now: Timestamp) -> Result<(), BadCertificate> {
    let unusable = |_| BadCertificate::Unusable(rustls::CertificateError::BadEncoding.into());
    let certificate = webpki::EndEntityCert::try_from(certificate).map_err(unusable)?;
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.as_second().unsigned_abs()));
    let usage = webpki::KeyUsage::server_auth();
    match certificate.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &[], &[], now, usage, None, None).err() {
        Some(webpki::Error::CertExpired { .. }) => Err(BadCertificate::Expired),
        Some(webpki::Error::CertNotValidYet { .. }) => Err(BadCertificate::NotYet),
        _ => Ok(()),
    }
}

/// The settings of a client that trusts whom this machine trusts.
pub(crate) fn trusting_the_machine() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_platform_verifier()?.with_no_client_auth())
}

/// The settings of a client that trusts the public authorities.
pub(crate) fn client_config() -> Option<rustls::ClientConfig> {
    let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    Some(builder.with_root_certificates(roots).with_no_client_auth())
}
