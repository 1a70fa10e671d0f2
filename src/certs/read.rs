//! What a certificate says, and whether a client that trusts some would accept it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;
use x509_parser::x509::X509Version;

/// A certificate, and when it is valid (seconds since 1970).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its content: who is the same has the same.
    pub der: CertificateDer<'static>,
    /// Not before.
    pub not_before: i64,
    /// Not after.
    pub not_after: i64,
}

impl Certificate {
    /// Whether it is not valid any more.
    #[must_use]
    pub fn is_over(&self, now: i64) -> bool {
        self.not_after <= now
    }

    /// Whether it is valid now.
    #[must_use]
    pub fn is_valid(&self, now: i64) -> bool {
        self.not_before <= now && !self.is_over(now)
    }

    /// When it should have been replaced: after two thirds of its time.
    #[must_use]
    pub fn due(&self) -> i64 {
        self.not_before.saturating_add(self.not_after.saturating_sub(self.not_before) / 3 * 2)
    }

    /// When it was made, if it was made here.
    #[must_use]
    pub fn made(&self) -> i64 {
        // An eleventh of the whole is a tenth of what is without it.
        let before = (self.not_after.saturating_sub(self.not_before) / 11).min(3600);
        self.not_before.saturating_add(before)
    }

    /// Whether it says that it may sign certificates of servers. What it signs without saying so is accepted by nobody.
    #[must_use]
    pub fn may_sign(&self) -> bool {
        let Ok((_, parsed)) = parse_x509_certificate(&self.der) else { return false };
        // The first version could not say.
        let is_authority = parsed.is_ca() || parsed.version == X509Version::V1;
        is_authority
            && is_for_servers(&parsed)
            && parsed.key_usage().is_ok_and(|usage| usage.is_none_or(|it| it.value.key_cert_sign()))
    }

    /// Whether as many other authorities may be between it and a server.
    fn may_be_above(&self, others: usize) -> bool {
        let Ok((_, parsed)) = parse_x509_certificate(&self.der) else { return false };
        let limit = parsed.basic_constraints().ok().flatten().and_then(|it| it.value.path_len_constraint);
        limit.is_none_or(|limit| usize::try_from(limit).is_ok_and(|limit| others <= limit))
    }

    /// Whether this is its key, in PEM.
    #[must_use]
    pub fn has_key(&self, key: &[u8]) -> bool {
        let Ok(key) = PrivateKeyDer::from_pem_slice(key) else { return false };
        CertifiedKey::from_der(vec![self.der.clone()], key, &ring::default_provider()).is_ok()
    }
}

/// Whether a certificate is for servers, or authorities of servers, as far as it says.
fn is_for_servers(parsed: &X509Certificate<'_>) -> bool {
    let purposes = parsed.extended_key_usage();
    purposes.is_ok_and(|it| it.is_none_or(|it| it.value.any || it.value.server_auth))
}

/// The certificates in a text of PEM; what is none is left out.
#[must_use]
pub fn read(pem: &[u8]) -> Vec<Certificate> {
    let certificate = |der: CertificateDer<'static>| {
        let (_, parsed) = parse_x509_certificate(&der).ok()?;
        let validity = parsed.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        Some(Certificate { der, not_before, not_after })
    };
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).filter_map(certificate).collect()
}

/// Certificates as a text of PEM.
#[must_use]
pub fn pem_of<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> String {
    let mut pem = String::new();
    for certificate in certificates {
        let text = STANDARD.encode(&certificate.der);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            // Never fails for a String.
            let _ = writeln!(pem, "{}", String::from_utf8_lossy(line));
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

/// Whether a client that trusts `authorities` would now accept a server with this chain (its own certificate first) by this
/// name; otherwise why not.
///
/// # Errors
/// What is wrong, in the words of the library that does TLS here.
pub fn trusts(
    authorities: &[Certificate],
    chain: &[Certificate],
    name: &str,
    now: i64,
) -> Result<(), String> {
    let (first, others) = chain.split_first().ok_or("there is no certificate")?;
    let between = others.iter().filter(|other| !authorities.contains(other)).count();
    let mut roots = RootCertStore::empty();
    // The library takes an authority's word for good; Go, which the API server is written in, does not.
    let signers = authorities.iter().filter(|authority| {
        authority.may_sign() && authority.is_valid(now) && authority.may_be_above(between)
    });
    roots.add_parsable_certificates(signers.map(|authority| authority.der.clone()));
    let own = ParsedCertificate::try_from(&first.der).map_err(|error| error.to_string())?;
    let others: Vec<_> = others.iter().map(|other| other.der.clone()).collect();
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.try_into().unwrap_or_default()));
    let algorithms = ring::default_provider().signature_verification_algorithms;
    // As the API server has it: who is trusted by name needs nobody to vouch for it.
    let is_fine =
        first.is_valid(now) && parse_x509_certificate(&first.der).is_ok_and(|(_, it)| is_for_servers(&it));
    let is_known = authorities.contains(first);
    if !(is_known && is_fine) {
        match verify_server_cert_signed_by_trust_anchor(&own, &roots, &others, time, algorithms.all) {
            // Not known here, as of P-521, says nothing about what is known there.
            Err(error) if is_fine && is_unknown(&error) => {}
            judged => judged.map_err(|error| error.to_string())?,
        }
    }
    let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
    verify_server_name(&own, &name).map_err(|error| error.to_string())
}

/// Whether a signature was not even looked at.
fn is_unknown(error: &Error) -> bool {
    use CertificateError as E;
    matches!(
        error,
        Error::InvalidCertificate(
            E::UnsupportedSignatureAlgorithmContext { .. }
                | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
        )
    )
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    };
    use time::{Duration, OffsetDateTime};

    use super::super::{Authority, authority, leaf};
    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn what_an_authority_signs_is_trusted_with_it_and_by_its_names_and_in_its_time_only() {
        let ca = authority("ca", at(0), Duration::days(100)).unwrap();
        let other = authority("ca", at(0), Duration::days(100)).unwrap();
        let names = ["pullgate.pullgate.svc".to_owned()];
        let pair = leaf(&ca, &names, at(0), Duration::days(30)).unwrap();
        let (chain, now) = (read(pair.certificate.as_bytes()), at(60).unix_timestamp());
        let both = read([ca.certificate.as_bytes(), other.certificate.as_bytes()].concat().as_slice());
        assert_eq!(both.len(), 2);
        trusts(&both, &chain, &names[0], now).unwrap();
        trusts(&both[..1], &chain, &names[0], now).unwrap();
        for (authorities, name, now) in [
            (&both[1..], &*names[0], now),
            (&both[..0], &names[0], now),
            (&both, "pullgate.other.svc", now),
            (&both, "no name", now),
            (&both, &names[0], at(0).unix_timestamp() + 31 * 86_400),
            (&both, &names[0], at(0).unix_timestamp() - 2 * 3600),
        ] {
            assert!(trusts(authorities, &chain, name, now).is_err(), "{name} {now}");
        }
        assert!(trusts(&both, &[], &names[0], now).is_err());
        // One that may sign nothing vouches for itself alone.
        let forged = Authority { certificate: pair.certificate.clone(), key: pair.key.clone() };
        let signed = leaf(&forged, &names, at(0), Duration::days(30)).unwrap();
        assert!(trusts(&chain, &read(signed.certificate.as_bytes()), &names[0], now).is_err());
        assert!(both[0].may_sign() && !chain[0].may_sign());
        trusts(&chain, &chain, &names[0], now).unwrap();
        for (name, now) in [("pullgate.other.svc", now), (&names[0], at(31 * 86_400).unix_timestamp())] {
            assert!(trusts(&chain, &chain, name, now).is_err(), "{name} {now}");
        }
        // An authority, too, has its time.
        let later = authority("ca", at(86_400), Duration::days(100)).unwrap();
        let pair = leaf(&later, &names, at(0), Duration::days(30)).unwrap();
        let (later, chain) = (read(later.certificate.as_bytes()), read(pair.certificate.as_bytes()));
        trusts(&later, &chain, &names[0], at(86_400).unix_timestamp()).unwrap();
        assert!(trusts(&later, &chain, &names[0], now).is_err());
        assert_eq!(read(pem_of(&both).as_bytes()), both);
    }

    /// A certificate for `a.svc`, and what it signs with.
    fn made(
        name: &str,
        is_ca: IsCa,
        purpose: Option<ExtendedKeyUsagePurpose>,
        by: Option<&Issuer<'_, KeyPair>>,
    ) -> (Certificate, Issuer<'static, KeyPair>) {
        let mut params = CertificateParams::new(vec!["a.svc".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = is_ca;
        params.extended_key_usages = purpose.into_iter().collect();
        let key = KeyPair::generate().unwrap();
        let made = by.map_or_else(|| params.self_signed(&key), |by| params.signed_by(&key, by)).unwrap();
        (read(made.pem().as_bytes()).remove(0), Issuer::new(params, key))
    }

    /// As Go's `crypto/x509` did with the same.
    #[test]
    fn what_certificates_are_for_is_judged_as_by_the_api_server() {
        use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
        let accepts = |authority: &Certificate, chain: &[&Certificate]| {
            let chain: Vec<_> = chain.iter().map(|it| (*it).clone()).collect();
            trusts(std::slice::from_ref(authority), &chain, "a.svc", at(0).unix_timestamp()).is_ok()
        };
        let no_limit = IsCa::Ca(BasicConstraints::Unconstrained);
        for (purpose, expected) in
            [(None, true), (Some(Any), true), (Some(ServerAuth), true), (Some(ClientAuth), false)]
        {
            let (authority, signer) = made("ca", no_limit, purpose.clone(), None);
            let (own, _) = made("own", IsCa::ExplicitNoCa, None, Some(&signer));
            assert_eq!(accepts(&authority, &[&own]), expected, "{purpose:?}");
            let (alone, _) = made("alone", IsCa::ExplicitNoCa, purpose.clone(), None);
            assert_eq!(accepts(&alone, &[&alone]), expected, "{purpose:?}");
        }
        for (limit, expected) in [(0, false), (1, true)] {
            let (root, signer) = made("root", IsCa::Ca(BasicConstraints::Constrained(limit)), None, None);
            let (between, below) = made("between", no_limit, None, Some(&signer));
            let (own, _) = made("own", IsCa::ExplicitNoCa, None, Some(&below));
            assert_eq!(accepts(&root, &[&own, &between]), expected, "{limit}");
            let (own, _) = made("own", IsCa::ExplicitNoCa, None, Some(&signer));
            assert!(accepts(&root, &[&own, &root]), "{limit}");
        }
    }

    /// By OpenSSL: the library that does TLS here knows no such keys.
    #[test]
    fn what_a_key_of_an_unknown_kind_has_signed_is_left_to_the_api_server() {
        let authority = read(include_bytes!("../../tests/fixtures/certificates/p521.pem"));
        let own = read(include_bytes!("../../tests/fixtures/certificates/by-p521.pem"));
        let judged = |authorities: &[Certificate], name, now| trusts(authorities, &own, name, now);
        let (name, now) = ("pullgate.pullgate.svc", own[0].not_before);
        judged(&authority, name, now).unwrap();
        judged(&authority, "pullgate.other.svc", now).unwrap_err();
        judged(&authority, name, now - 1).unwrap_err();
        judged(&authority, name, own[0].not_after).unwrap_err();
        let (stranger, _) = made("ca", IsCa::Ca(BasicConstraints::Unconstrained), None, None);
        judged(&[stranger], name, now).unwrap_err();
    }

    #[test]
    fn a_certificate_knows_its_key_and_its_dates() {
        let ca = authority("ca", at(0), Duration::days(20)).unwrap();
        let one = leaf(&ca, &["a.b.svc".to_owned()], at(0), Duration::seconds(100)).unwrap();
        let two = leaf(&ca, &["a.b.svc".to_owned()], at(0), Duration::days(30)).unwrap();
        let (first, second) = (&read(one.certificate.as_bytes())[0], &read(two.certificate.as_bytes())[0]);
        assert!(first.has_key(one.key.as_bytes()) && !first.has_key(two.key.as_bytes()));
        assert!(!first.has_key(b"no key"));
        let start = at(0).unix_timestamp();
        assert_eq!((first.not_before, first.not_after), (start - 10, start + 100));
        assert_eq!((first.made(), first.due()), (start, start + 62));
        assert!(first.is_over(start + 100) && !first.is_over(start + 99));
        // It does not outlive its authority.
        assert_eq!((second.not_before, second.not_after), (start - 3600, start + 20 * 86_400));
        assert_eq!(second.made(), start);
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        assert_eq!(read(b""), []);
        assert_eq!(read(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), []);
        let ca = authority("ca", at(0), Duration::days(1)).unwrap();
        assert!(
            leaf(&Authority { key: "x".to_owned().into(), ..ca }, &[], at(0), Duration::days(1)).is_err()
        );
    }
}
