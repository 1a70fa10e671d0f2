//! How the webhook's certificate is looked after.

use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::ServerName;

use crate::config::read::{Reader, dns_label, dns_subdomain};
use crate::controller::settings::{Values, as_go};

/// The API server lets nobody ask a signer for less.
const LEAST_OF_SIGNERS: Duration = Duration::from_mins(10);
/// Less is replaced again before everybody has it.
const LEAST: Duration = Duration::from_secs(10);
/// The authority that Pods are told of.
const CLUSTER_CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// What is looked after, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who signs.
    pub issuer: Issuer,
    /// Where all of this is; none: the namespace that this process is in.
    pub namespace: Option<String>,
    /// Service of the webhook, which the certificate is for.
    pub service: String,
    /// Names and addresses besides that of the Service.
    pub names: Vec<String>,
    /// Secret with certificate and key, as the webhook reads them.
    pub secret: String,
    /// Secret of what nobody else needs.
    pub ca_secret: String,
    /// The registration.
    pub configuration: String,
    /// How long a certificate is valid.
    pub validity: Duration,
    /// How long an authority stays trusted after what it signed was replaced.
    pub overlap: Duration,
}

/// Who signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issuer {
    /// An authority that is made here, and is valid for so long.
    Own(Duration),
    /// Somebody who answers requests.
    Signer {
        /// `spec.signerName`
        name: String,
        /// The authorities that vouch for what it signs, in PEM.
        ca: PathBuf,
    },
}

/// Nothing, where it is not looked after.
pub(in crate::controller) fn read(values: &Values, read: &mut Reader) -> Option<Settings> {
    const MODES: [(&str, Mode); 3] =
        [("off", Mode::Off), ("self-managed", Mode::SelfManaged), ("csr", Mode::Csr)];
    let mode = read.word("CERTIFICATES", values.certificates.as_ref(), Mode::Off, &MODES);
    let namespace = read.name("CERTIFICATES_NAMESPACE", values.certificates_namespace.as_ref(), dns_label);
    let service = read.name("CERTIFICATES_SERVICE", values.certificates_service.as_ref(), dns_label);
    let service = service.unwrap_or_else(|| "pullgate".to_owned());
    let names = read.names("CERTIFICATES_NAMES", values.certificates_names.as_ref(), host);
    let mut name = |variable, raw: &Option<String>, default: &str| {
        read.name(variable, raw.as_ref(), dns_subdomain).unwrap_or_else(|| default.to_owned())
    };
    let secret = name("CERTIFICATES_SECRET", &values.certificates_secret, "pullgate-tls");
    let ca_secret = name("CERTIFICATES_CA_SECRET", &values.certificates_ca_secret, "pullgate-ca");
    let configuration = name("CERTIFICATES_CONFIGURATION", &values.certificates_configuration, "pullgate");
    if secret == ca_secret {
        let problem = "is CERTIFICATES_SECRET as well, which the webhook can read; accepted: another name";
        read.refuse("CERTIFICATES_CA_SECRET", &ca_secret, problem);
    }
    let day = Duration::from_hours(24);
    let least = if mode == Mode::Csr { LEAST_OF_SIGNERS } else { LEAST };
    let validity =
        time(read, "CERTIFICATES_VALIDITY", values.certificates_validity.as_ref(), 90 * day, least);
    let ca_validity = time(
        read,
        "CERTIFICATES_CA_VALIDITY",
        values.certificates_ca_validity.as_ref(),
        (3 * 365 * day).max(validity * 2),
        validity * 2,
    );
    // What is served is replaced after two thirds of its time: who waits for longer than that never sees the end.
    let longest = validity / 2;
    let overlap = time(
        read,
        "CERTIFICATES_OVERLAP",
        values.certificates_overlap.as_ref(),
        day.min(longest),
        Duration::from_secs(1),
    );
    if overlap > longest {
        let given = values.certificates_overlap.as_deref().unwrap_or_default();
        let problem = "is more than half of CERTIFICATES_VALIDITY; accepted: less, or a longer validity";
        read.refuse("CERTIFICATES_OVERLAP", given, problem);
    }
    let signer = values.certificates_signer_name.as_ref();
    if let Some(signer) = signer
        && !signer.split_once('/').is_some_and(|(domain, path)| {
            domain.contains('.') && dns_subdomain(domain).is_ok() && !path.is_empty()
        })
    {
        read.refuse(
            "CERTIFICATES_SIGNER_NAME",
            signer,
            "is no signer; accepted: such as example.com/webhooks",
        );
    }
    let ca = PathBuf::from(values.certificates_ca_file.as_deref().unwrap_or(CLUSTER_CA));
    let issuer = match (mode, signer) {
        (Mode::Off, _) => return None,
        (Mode::SelfManaged, _) => Issuer::Own(ca_validity),
        (Mode::Csr, Some(name)) => Issuer::Signer { name: name.clone(), ca },
        (Mode::Csr, None) => {
            let problem = "needs CERTIFICATES_SIGNER_NAME; accepted: csr with it, or self-managed";
            read.refuse("CERTIFICATES", "csr", problem);
            return None;
        }
    };
    Some(Settings { issuer, namespace, service, names, secret, ca_secret, configuration, validity, overlap })
}

/// What a server may be called by. A dot at the end is for resolvers: no certificate has it.
fn host(name: &str) -> Result<(), &'static str> {
    match ServerName::try_from(name) {
        Ok(_) if !name.ends_with('.') => Ok(()),
        _ => Err("is neither a DNS name (without a dot at its end) nor an address"),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Off,
    SelfManaged,
    Csr,
}

fn time(
    read: &mut Reader,
    variable: &'static str,
    raw: Option<&String>,
    default: Duration,
    least: Duration,
) -> Duration {
    // A century is more than any certificate is good for, and less than dates can hold.
    const MOST: Duration = Duration::from_hours(876_000);
    let Some(text) = raw else { return default };
    match as_go(text.trim()) {
        Some(time) if (least..=MOST).contains(&time) => time,
        Some(_) => {
            let problem = format_args!(
                "is not between {}s and 876000h; accepted: a time between them",
                least.as_secs()
            );
            read.refuse(variable, text, problem);
            default
        }
        None => {
            read.refuse(variable, text, "is no time; accepted: such as 30m, 24h, 2160h");
            default
        }
    }
}
