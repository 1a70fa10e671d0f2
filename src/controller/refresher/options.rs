//! The flags of `pullgate refresher`, and the variables of which some are another spelling.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::Settings;
use crate::config::raw::{Known, variables};
use crate::config::read::{dns_label, dns_subdomain, port_of};
use crate::config::{ConfigError, read_logging};
use crate::controller::flags::Given;
use crate::controller::resource::CredentialsReference;

variables! {
    /// Raw values of the refresher; an empty one counts as unset.
    Values, VARIABLES:
    kubeconfig = "KUBECONFIG",
    log_level = "LOG_LEVEL",
    log_format = "LOG_FORMAT",
}

/// Those of the refresher.
const REFRESHER: Known = Known { variables: VARIABLES, aliases: &[], secret: &[] };

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
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    periodic_reconcile_interval: Duration,
    /// Address of /livez, /readyz and /metrics, of which the port counts; 0 for none
    #[arg(long, value_name = "[HOST]:PORT", default_value = ":8080", value_parser = port_of)]
    metrics_addr: u16,
    /// How to reach the API server; else KUBECONFIG, else a Pod's ServiceAccount
    #[arg(long, value_name = "PATH")]
    kubeconfig: Option<OsString>,
    #[arg(
        long,
        value_name = "LEVEL",
        help = "trace, debug, info, warn, error or fatal; else LOG_LEVEL, else info"
    )]
    log_level: Option<OsString>,
    /// What --log-level is
    #[arg(long = "log.level", value_name = "LEVEL")]
    log_dot_level: Option<OsString>,
}

impl Options {
    /// What they mean together, and beside the environment. `terminal` tells whether the log goes to a person.
    ///
    /// # Errors
    /// Every value that cannot be used, and which of them contradict each other.
    pub fn settings(
        self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        terminal: bool,
    ) -> Result<Settings, Vec<ConfigError>> {
        let given = Given::new([
            ("kubeconfig", "KUBECONFIG", self.kubeconfig.as_ref()),
            ("log-level", "LOG_LEVEL", self.log_level.as_ref()),
            ("log.level", "LOG_LEVEL", self.log_dot_level.as_ref()),
        ]);
        let Self { target_secret: target, source_secrets: sources, .. } = self;
        let ((kubeconfig, logging), notices) =
            given.read(&REFRESHER, environment, |values: &Values, read| {
                if sources.contains(&target) {
                    let place = format!("{}.{}", target.namespace, target.name);
                    let problem = "is --target-secret as well; accepted: a Secret that is not written";
                    read.refuse("--source-secret", &place, problem);
                }
                let (level, format) = (values.log_level.as_ref(), values.log_format.as_ref());
                (values.kubeconfig.as_ref().map(PathBuf::from), read_logging(level, format, terminal, read))
            })?;
        Ok(Settings {
            target,
            sources,
            resync: self.periodic_reconcile_interval,
            kubeconfig,
            health_port: Some(self.metrics_addr).filter(|port| *port != 0),
            logging,
            notices,
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

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.trim().parse().ok().filter(|seconds| (1..=86_400).contains(seconds));
    seconds.map(Duration::from_secs).ok_or("is no time; accepted: seconds from 1 to 86400, such as 300")
}
