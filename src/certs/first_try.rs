//! A certificate for a first try and for tests, made in memory at start.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

use super::issue::{authority, leaf};

/// Some clients refuse a leaf that is valid for longer than about two years.
const VALID_FOR: Duration = Duration::days(365);

/// A leaf with the authority that signed it.
#[derive(Debug)]
pub struct SelfSigned {
    /// The authority's certificate, in PEM: what a client has to trust.
    pub ca_pem: String,
    /// The leaf.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

/// Makes an authority and a leaf that is valid for `localhost`, `127.0.0.1`, `::1` and this host's name.
///
/// # Errors
/// The system has no randomness, or the host's name cannot stand in a certificate.
pub fn self_signed() -> Result<SelfSigned, rcgen::Error> {
    let now = OffsetDateTime::now_utc();
    let authority = authority("pullgate self-signed authority", now, VALID_FOR)?;
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    // A host name that is no DNS name would make no valid certificate.
    names.extend(
        gethostname::gethostname().into_string().ok().filter(|name| !name.is_empty() && name.is_ascii()),
    );
    names.dedup();
    let pair = leaf(&authority, &names, now, VALID_FOR)?;
    let unreadable = |_| rcgen::Error::CouldNotParseCertificate;
    let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).map_err(unreadable)?];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).map_err(unreadable)?;
    Ok(SelfSigned { ca_pem: authority.certificate, chain, key })
}
