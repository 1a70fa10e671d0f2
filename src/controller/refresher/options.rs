//! The flags of `pullgate refresher`.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::read::{dns_label, dns_subdomain, port_of};
use crate::controller::resource::CredentialsReference;

use super::Settings;

/// As they are given.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Secret to write, as NAMESPACE.NAME
    #[arg(long, value_name = "NAMESPACE.NAME", value_parser = place)]
    target_secret: CredentialsReference,
    /// Secret to read, as NAMESPACE.NAME; of several, the later one counts where two know a registry
    #[arg(long = "source-secret", value_name = "NAMESPACE.NAME", value_parser = place, required = true)]
    source_secrets: Vec<CredentialsReference>,
    /// How often everything is looked at again, events or not
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    periodic_reconcile_interval: u64,
    /// Address of /livez, /readyz and /metrics, of which the port counts; 0 for none
    #[arg(long, value_name = "[HOST]:PORT", default_value = ":8080", value_parser = port_of)]
    metrics_addr: u16,
    /// How to reach the API server; else KUBECONFIG, else a Pod's ServiceAccount
    #[arg(long, value_name = "PATH")]
    kubeconfig: Option<PathBuf>,
}

impl Options {
    /// What they mean together.
    ///
    /// # Errors
    /// Which of them contradict each other.
    pub fn settings(self) -> Result<Settings, String> {
        let Self { target_secret: target, source_secrets: sources, .. } = self;
        if sources.contains(&target) {
            let CredentialsReference { name, namespace } = &target;
            return Err(format!(
                "--source-secret {namespace}.{name} is --target-secret as well: a Secret that is written is no source"
            ));
        }
        Ok(Settings {
            target,
            sources,
            resync: Duration::from_secs(self.periodic_reconcile_interval),
            kubeconfig: self
                .kubeconfig
                .or_else(|| std::env::var_os("KUBECONFIG").map(PathBuf::from))
                .filter(|path| !path.as_os_str().is_empty()),
            health_port: Some(self.metrics_addr).filter(|port| *port != 0),
        })
    }
}

/// A namespace has no dot in its name, a Secret may have some.
fn place(text: &str) -> Result<CredentialsReference, String> {
    let (namespace, name) = text.split_once('.').ok_or("accepted: NAMESPACE.NAME")?;
    dns_label(namespace).map_err(|problem| format!("the namespace {namespace:?} {problem}"))?;
    dns_subdomain(name).map_err(|problem| format!("the name {name:?} {problem}"))?;
    Ok(CredentialsReference { name: name.to_owned(), namespace: namespace.to_owned() })
}
