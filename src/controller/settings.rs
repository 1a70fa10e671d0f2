//! What the controller is told: environment variables, those of the systems that it replaces among them, and flags
//! for each, which win.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::credentials::Credentials;
use super::entries::BadCredentials;
use super::flags::Flags;
use crate::config::raw::{Known, variables};
use crate::config::read::{Reader, dns_label, dns_subdomain, name_pattern, port_of};
use crate::config::{ConfigError, Logging, read_logging};
use crate::image::analysis::Notice;
use crate::names::Names;

/// Namespaces are looked at as they change; to look at all of them more often than this is load and nothing else.
const LEAST_RESYNC: Duration = Duration::from_secs(1);

variables! {
    /// Raw values of the controller; an empty one counts as unset.
    Values, VARIABLES:
    config_secretname = "CONFIG_SECRETNAME",
    config_secret_namespace = "CONFIG_SECRET_NAMESPACE",
    config_source_image_pull_secret_name = "CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME",
    config_dockerconfigjson = "CONFIG_DOCKERCONFIGJSON",
    config_dockerconfigjsonpath = "CONFIG_DOCKERCONFIGJSONPATH",
    config_serviceaccounts = "CONFIG_SERVICEACCOUNTS",
    config_allserviceaccount = "CONFIG_ALLSERVICEACCOUNT",
    config_excluded_namespaces = "CONFIG_EXCLUDED_NAMESPACES",
    config_force = "CONFIG_FORCE",
    config_managedonly = "CONFIG_MANAGEDONLY",
    config_runonce = "CONFIG_RUNONCE",
    config_loop_duration = "CONFIG_LOOP_DURATION",
    config_use_informers = "CONFIG_USE_INFORMERS",
    config_running_in_cluster = "CONFIG_RUNNING_IN_CLUSTER",
    config_debug = "CONFIG_DEBUG",
    config_ignore_secret_creation_error = "CONFIG_IGNORE_SECRET_CREATION_ERROR",
    resource_selector = "RESOURCE_SELECTOR",
    kubeconfig = "KUBECONFIG",
    enable_leader_election = "ENABLE_LEADER_ELECTION",
    lease_name = "LEASE_NAME",
    lease_namespace = "LEASE_NAMESPACE",
    periodic_reconcile_interval = "PERIODIC_RECONCILE_INTERVAL",
    log_level = "LOG_LEVEL",
    log_format = "LOG_FORMAT",
    health_port = "HEALTH_PORT",
    metrics_addr = "METRICS_ADDR",
}

/// Those of the controller, and what they were called in the webhook that wrote Secrets itself.
pub const CONTROLLER: Known = Known {
    variables: VARIABLES,
    aliases: &[
        ("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME", "CONFIG_SECRETNAME"),
        ("CONFIG_SOURCE_IMAGE_PULL_SECRET_NAMESPACE", "CONFIG_SECRET_NAMESPACE"),
        ("CONFIG_SERVICE_ACCOUNTS", "CONFIG_SERVICEACCOUNTS"),
        ("CONFIG_ALL_SERVICE_ACCOUNTS", "CONFIG_ALLSERVICEACCOUNT"),
        ("CONFIG_EXCLUDE_NAMESPACES", "CONFIG_EXCLUDED_NAMESPACES"),
    ],
    secret: &["CONFIG_DOCKERCONFIGJSON"],
};

/// What the controller does.
pub struct Settings {
    /// Name of the copies, and of the reference.
    pub secret: String,
    /// Where the credentials come from.
    pub source: Source,
    /// Which ServiceAccounts reference the copies.
    pub accounts: Names,
    /// The account's name, where there is one only: the API server is asked for no other then.
    pub account: Option<String>,
    /// Namespaces that get none.
    pub excluded_namespaces: BTreeSet<String>,
    /// Whether a Secret of that name that is somebody else's is overwritten.
    pub overwrite: bool,
    /// Whether a Secret of a wrong type may be deleted.
    pub recreate: bool,
    /// What it is started for.
    pub task: Task,
    /// How often everything is looked at again, events or not.
    pub resync: Duration,
    /// Labels of the ImagePullSecrets that are followed; none: all.
    pub resource_selector: Option<String>,
    /// How to reach the API server; none: as a Pod does.
    pub kubeconfig: Option<PathBuf>,
    /// Name of the Lease, where replicas elect one of them.
    pub lease: Option<String>,
    /// Its namespace; none: the one that this process is in.
    pub lease_namespace: Option<String>,
    /// Plain port of health and metrics, unless off.
    pub health_port: Option<u16>,
    /// What is logged.
    pub logging: Logging,
    /// What should be said about the configuration before it is used.
    pub notices: Vec<Notice>,
}

/// What the controller is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Keep everything as wanted.
    Keep,
    /// Make everything as wanted, once.
    Once,
    /// Take back what is ours.
    Uninstall,
}

/// Where the credentials come from.
pub struct Source {
    /// Namespace and name of a Secret that the API server is asked for: the truth where it exists.
    pub object: (String, String),
    /// What there is where it does not.
    pub local: Local,
}

/// Credentials that do not come from the API server.
pub enum Local {
    /// None.
    None,
    /// A file that may change.
    File(PathBuf),
    /// Given in full.
    Literal(Credentials),
}

impl Settings {
    /// Reads and validates flags and environment. `terminal` tells whether the log goes to a person.
    ///
    /// # Errors
    /// Every value that cannot be used.
    pub fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        terminal: bool,
    ) -> Result<Self, Vec<ConfigError>> {
        // A flag wins over its variable, by whatever name that one goes.
        let flagged = |name: &OsString| {
            let own = name.to_str().and_then(|name| CONTROLLER.find(name)).map(|(_, own)| own);
            own.is_some_and(|own| flags.given.iter().any(|(variable, _)| *variable == own))
        };
        let mut all: Vec<_> = environment.into_iter().filter(|(name, _)| !flagged(name)).collect();
        all.extend(flags.given.iter().map(|(name, value)| (OsString::from(name), value.0.clone())));
        let (values, notices) = CONTROLLER.read::<Values>(all)?;
        let mut read = Reader { notices, ..Reader::default() };
        let settings = settings(&values, flags.uninstall, terminal, &mut read);
        let Reader { errors, notices, .. } = read;
        if errors.is_empty() { Ok(Self { notices, ..settings }) } else { Err(errors) }
    }
}

fn settings(values: &Values, uninstall: bool, terminal: bool, read: &mut Reader) -> Settings {
    let secret = read.name("CONFIG_SECRETNAME", values.config_secretname.as_ref(), dns_subdomain);
    let secret = secret.unwrap_or_else(|| "image-pull-secret".to_owned());
    let all = read.boolean("CONFIG_ALLSERVICEACCOUNT", values.config_allserviceaccount.as_ref());
    let mut names =
        read.names("CONFIG_SERVICEACCOUNTS", values.config_serviceaccounts.as_ref(), name_pattern);
    if values.config_serviceaccounts.is_none() {
        names.push("default".to_owned());
    }
    let force = read.boolean_or("CONFIG_FORCE", values.config_force.as_ref(), true);
    let managed_only = read.boolean("CONFIG_MANAGEDONLY", values.config_managedonly.as_ref());
    let once = read.boolean("CONFIG_RUNONCE", values.config_runonce.as_ref());
    let excluded =
        read.names("CONFIG_EXCLUDED_NAMESPACES", values.config_excluded_namespaces.as_ref(), dns_label);
    // Both are said to work, and neither changes anything.
    read.boolean_or("CONFIG_USE_INFORMERS", values.config_use_informers.as_ref(), true);
    read.boolean("CONFIG_IGNORE_SECRET_CREATION_ERROR", values.config_ignore_secret_creation_error.as_ref());
    let lease = read.name("LEASE_NAME", values.lease_name.as_ref(), dns_subdomain);
    let elects = read.boolean("ENABLE_LEADER_ELECTION", values.enable_leader_election.as_ref());
    let lease_namespace = read.name("LEASE_NAMESPACE", values.lease_namespace.as_ref(), dns_label);
    let health = health_port(values, read);
    let debug = read.boolean("CONFIG_DEBUG", values.config_debug.as_ref());
    let mut logging = read_logging(values.log_level.as_ref(), values.log_format.as_ref(), terminal, read);
    if debug {
        logging.level = logging.level.max(LevelFilter::Debug);
    }
    let exact = |name: &&String| !name.contains(['*', '?']);
    Settings {
        account: names.first().filter(exact).filter(|_| names.len() == 1 && !all).cloned(),
        accounts: if all { Names::All } else { Names::patterns(names.iter().map(String::as_str)) },
        source: source(values, &secret, read),
        secret,
        excluded_namespaces: excluded.into_iter().collect(),
        overwrite: force && !managed_only,
        recreate: force,
        task: if uninstall {
            Task::Uninstall
        } else if once {
            Task::Once
        } else {
            Task::Keep
        },
        resync: resync(values, read),
        resource_selector: values.resource_selector.clone(),
        kubeconfig: kubeconfig(values, read),
        lease: elects.then(|| lease.unwrap_or_else(|| "pullgate-controller".to_owned())),
        lease_namespace,
        health_port: (health != 0).then_some(health),
        logging,
        notices: Vec::new(),
    }
}

fn source(values: &Values, secret: &str, read: &mut Reader) -> Source {
    let namespace = read.name("CONFIG_SECRET_NAMESPACE", values.config_secret_namespace.as_ref(), dns_label);
    let name = read.name(
        "CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME",
        values.config_source_image_pull_secret_name.as_ref(),
        dns_subdomain,
    );
    let (file, literal) = (&values.config_dockerconfigjsonpath, &values.config_dockerconfigjson);
    let local = match (file, literal) {
        (None, None) => Local::None,
        (Some(path), None) => Local::File(path.into()),
        (None, Some(literal)) => match Credentials::read(literal.as_bytes().to_vec()) {
            Ok(credentials) => Local::Literal(credentials),
            Err(problem) => {
                refuse_literal(&problem, read);
                Local::None
            }
        },
        (Some(path), Some(_)) => {
            read.refuse(
                "CONFIG_DOCKERCONFIGJSONPATH",
                path,
                "is given beside CONFIG_DOCKERCONFIGJSON; accepted: one of them",
            );
            Local::None
        }
    };
    let namespace = namespace.unwrap_or_else(|| "imagepullsecret-patcher".to_owned());
    Source { object: (namespace, name.unwrap_or_else(|| secret.to_owned())), local }
}

fn refuse_literal(problem: &BadCredentials, read: &mut Reader) {
    read.refuse("CONFIG_DOCKERCONFIGJSON", "…", format_args!("cannot be used: {problem}"));
}

/// By its own name, or as an address: there is one port for all addresses.
fn health_port(values: &Values, read: &mut Reader) -> u16 {
    let own = values.health_port.as_ref();
    let port = read.number("HEALTH_PORT", own, 8080, 0..=65535);
    let Some(address) = &values.metrics_addr else { return port };
    match port_of(address) {
        Ok(other) if own.is_some() && other != port => {
            read.refuse(
                "METRICS_ADDR",
                address,
                format_args!("and HEALTH_PORT={port}: these are two ports for one thing"),
            );
            port
        }
        Ok(other) => other,
        Err(problem) => {
            read.refuse("METRICS_ADDR", address, problem);
            port
        }
    }
}

/// As Go writes a time, `10s`, `1m30s`; or in seconds.
fn resync(values: &Values, read: &mut Reader) -> Duration {
    let default = Duration::from_secs(10);
    let (name, text, time) = match (&values.config_loop_duration, &values.periodic_reconcile_interval) {
        (None, None) => return default,
        (Some(_), Some(seconds)) => {
            let problem =
                "and CONFIG_LOOP_DURATION, too: these are two names of one thing; accepted: one of them";
            read.refuse("PERIODIC_RECONCILE_INTERVAL", seconds, problem);
            return default;
        }
        (Some(text), None) => {
            let time = text.trim().parse::<kube::core::Duration>().ok().filter(|time| !time.is_negative());
            ("CONFIG_LOOP_DURATION", text, time.map(Duration::from))
        }
        (None, Some(text)) => {
            ("PERIODIC_RECONCILE_INTERVAL", text, text.trim().parse().ok().map(Duration::from_secs))
        }
    };
    match time.filter(|time| !time.is_zero()) {
        Some(time) if time < LEAST_RESYNC => {
            read.warn(format!("{name}={text} is less than 1s: 1s is used"));
            LEAST_RESYNC
        }
        Some(time) => time,
        None => {
            let accepted = if name == "CONFIG_LOOP_DURATION" {
                "such as 10s, 1m30s, 1h"
            } else {
                "seconds, such as 300"
            };
            read.refuse(name, text, format_args!("is no time; accepted: {accepted}"));
            default
        }
    }
}

fn kubeconfig(values: &Values, read: &mut Reader) -> Option<PathBuf> {
    let in_cluster =
        read.boolean_or("CONFIG_RUNNING_IN_CLUSTER", values.config_running_in_cluster.as_ref(), true);
    if let Some(path) = &values.kubeconfig {
        return Some(path.into());
    }
    if in_cluster {
        return None;
    }
    let home = std::env::home_dir();
    if home.is_none() {
        read.refuse(
            "CONFIG_RUNNING_IN_CLUSTER",
            "false",
            "and there is no home folder; accepted: -kubeconfig PATH",
        );
    }
    home.map(|home| home.join(".kube/config"))
}
