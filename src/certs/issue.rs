//! Authorities, the certificates that they sign, and requests for certificates that others sign.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// A certificate that signs others, with its key.
pub struct Authority {
    /// The certificate, in PEM.
    pub certificate: String,
    /// Its key, in PEM.
    pub key: Zeroizing<String>,
}

/// A certificate that is served, with its key.
pub struct Pair {
    /// The certificate, in PEM.
    pub certificate: String,
    /// Its key, in PEM.
    pub key: Zeroizing<String>,
}

/// Clocks differ: what is made now is valid from before now on. By a tenth only, so that what is valid for minutes is not
/// old when it is made.
pub(super) fn backdated(valid_for: Duration) -> Duration {
    Duration::hours(1).min(valid_for / 10)
}

/// A new authority, with a name of its own: one more by the same name would have clients try the wrong one.
///
/// # Errors
/// The system has no randomness, or a date is beyond all calendars.
pub fn authority(name: &str, now: OffsetDateTime, valid_for: Duration) -> Result<Authority, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    validity(&mut params, now, valid_for, None);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, format!("{name} {}", now.unix_timestamp()));
    let key = KeyPair::generate()?;
    Ok(Authority { certificate: params.self_signed(&key)?.pem(), key: Zeroizing::new(key.serialize_pem()) })
}

/// A new certificate for a server of these names, by an authority that it does not outlive.
///
/// # Errors
/// The authority cannot be read, a name is none, or what [`authority`] fails for.
pub fn leaf(
    authority: &Authority,
    names: &[String],
    now: OffsetDateTime,
    valid_for: Duration,
) -> Result<Pair, rcgen::Error> {
    let until =
        super::read::read(authority.certificate.as_bytes()).first().map(|authority| authority.not_after);
    let issuer = Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    let mut params = server(names)?;
    validity(&mut params, now, valid_for, until);
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    Ok(Pair { certificate: params.signed_by(&key, &issuer)?.pem(), key: Zeroizing::new(key.serialize_pem()) })
}

/// A new key, in PEM.
///
/// # Errors
/// The system has no randomness.
pub fn key() -> Result<Zeroizing<String>, rcgen::Error> {
    Ok(Zeroizing::new(KeyPair::generate()?.serialize_pem()))
}

/// What a key has that everybody may know: its public half.
///
/// # Errors
/// The key cannot be read.
pub fn public_half(key: &str) -> Result<Vec<u8>, rcgen::Error> {
    Ok(KeyPair::from_pem(key)?.subject_public_key_info())
}

/// A request for a certificate of these names with this key, in PEM.
///
/// # Errors
/// The key cannot be read, or a name is none.
pub fn request(names: &[String], key: &str) -> Result<String, rcgen::Error> {
    server(names)?.serialize_request(&KeyPair::from_pem(key)?)?.pem()
}

fn server(names: &[String]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    // The names that count are the others; one is there for people, and 64 characters is all that it may have.
    let shortest = names.iter().min_by_key(|name| name.len()).map_or("pullgate", String::as_str);
    params.distinguished_name.push(DnType::CommonName, shortest.chars().take(64).collect::<String>());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn validity(params: &mut CertificateParams, now: OffsetDateTime, valid_for: Duration, until: Option<i64>) {
    let end = now.saturating_add(valid_for);
    let until = until.and_then(|until| OffsetDateTime::from_unix_timestamp(until).ok());
    params.not_before = now.saturating_sub(backdated(valid_for));
    params.not_after = until.map_or(end, |until| end.min(until));
}
