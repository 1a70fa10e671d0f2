//! A certificate for a first try and for tests, made in memory at start.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

/// Some clients refuse a leaf that is valid for longer than about two years.
const VALID_FOR: Duration = Duration::days(365);
/// Clocks differ.
const BACKDATED: Duration = Duration::hours(1);

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
    let mut ca = CertificateParams::new(Vec::new())?;
    (ca.not_before, ca.not_after) = (now - BACKDATED, now + VALID_FOR);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    ca.distinguished_name.push(DnType::CommonName, "pullgate self-signed authority");
    let ca_key = KeyPair::generate()?;
    let ca_pem = ca.self_signed(&ca_key)?.pem();

    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    // A host name that is no DNS name would make no valid certificate.
    names.extend(
        gethostname::gethostname().into_string().ok().filter(|name| !name.is_empty() && name.is_ascii()),
    );
    names.dedup();
    let mut leaf = CertificateParams::new(names)?;
    (leaf.not_before, leaf.not_after) = (ca.not_before, ca.not_after);
    leaf.distinguished_name.push(DnType::CommonName, "pullgate");
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let leaf_key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&leaf_key, &Issuer::new(ca, ca_key))?;
    let key =
        PrivateKeyDer::try_from(leaf_key.serialize_der()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    Ok(SelfSigned { ca_pem, chain: vec![leaf.der().clone()], key })
}
