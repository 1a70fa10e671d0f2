//! Replicas of one webhook: they share a certificate, and a forwarder leads to them.

use std::path::PathBuf;

use crate::client::{Authority, Program, SecretVolume, TlsSettings, webhook};
use crate::forwarder::Forwarder;
use crate::reviews::RULE;

pub(crate) struct Replicas {
    authority: Authority,
    /// Kept for as long as they read their certificate from it.
    _volume: SecretVolume,
    environment: Vec<(&'static str, String)>,
    pub(crate) forwarder: Forwarder,
}

impl Replicas {
    /// None yet, to be started with these settings.
    pub(crate) async fn new(settings: &[(&'static str, &str)]) -> Self {
        let authority = Authority::new();
        let volume = SecretVolume::new(&authority.leaf(1, 10));
        let path = |name: &str| -> PathBuf { volume.path(name) };
        let text = |path: PathBuf| path.to_str().expect("a path that is text").to_owned();
        let mut environment = vec![
            ("TLS_SELF_SIGNED", "false".to_owned()),
            ("TLS_CERT_FILE", text(path("tls.crt"))),
            ("TLS_KEY_FILE", text(path("tls.key"))),
            (RULE.0, RULE.1.to_owned()),
        ];
        environment.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Self { authority, _volume: volume, environment, forwarder: Forwarder::start().await }
    }

    /// Starts one and waits until it is ready; no connection goes to it yet.
    pub(crate) async fn start(&self) -> Program {
        let pairs: Vec<_> = self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Program::start_as(webhook(), &pairs, None).await
    }

    /// Two of them, in service.
    pub(crate) async fn pair(&self) -> [Program; 2] {
        let pair = [self.start().await, self.start().await];
        for replica in &pair {
            self.forwarder.add(replica.address);
        }
        pair
    }

    pub(crate) fn ca_pem(&self) -> &str {
        &self.authority.pem
    }

    pub(crate) fn tls(&self) -> TlsSettings {
        TlsSettings::trusting(self.ca_pem())
    }
}
