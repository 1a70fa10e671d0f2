//! What the controller is told: environment variables, those of the systems that it replaces among them, and flags
//! for each, which win.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::certificates::settings as certificates;
use super::credentials::Credentials;
use super::entries::BadCredentials;
use super::flags::{Flags, Given};
use crate::config::raw::{Known, variables};
use crate::config::read::{Reader, dns_label, dns_subdomain, label_selector, name_pattern, port_of};
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
    pull_secrets = "PULL_SECRETS",
    certificates = "CERTIFICATES",
    certificates_namespace = "CERTIFICATES_NAMESPACE",
    certificates_service = "CERTIFICATES_SERVICE",
    certificates_names = "CERTIFICATES_NAMES",
    certificates_secret = "CERTIFICATES_SECRET",
    certificates_ca_secret = "CERTIFICATES_CA_SECRET",
    certificates_configuration = "CERTIFICATES_CONFIGURATION",
    certificates_validity = "CERTIFICATES_VALIDITY",
    certificates_ca_validity = "CERTIFICATES_CA_VALIDITY",
    certificates_overlap = "CERTIFICATES_OVERLAP",
    certificates_signer_name = "CERTIFICATES_SIGNER_NAME",
    certificates_ca_file = "CERTIFICATES_CA_FILE",
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
    /// Whether it looks after pull secrets at all.
    pub pull_secrets: bool,
    /// How it looks after the webhook's certificate, if it does.
    pub certificates: Option<certificates::Settings>,
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
        let (settings, notices) = flags
            .given
            .read(&CONTROLLER, environment, |values, read| settings(values, flags, terminal, read))?;
        Ok(Self { notices, ..settings })
    }
}

fn settings(values: &Values, flags: &Flags, terminal: bool, read: &mut Reader) -> Settings {
    let given = &flags.given;
    let secret = read.name("CONFIG_SECRETNAME", values.config_secretname.as_ref(), dns_subdomain);
    let secret = secret.unwrap_or_else(|| "image-pull-secret".to_owned());
    let all = read.boolean("CONFIG_ALLSERVICEACCOUNT", values.config_allserviceaccount.as_ref());
    let accounts = values.config_serviceaccounts.as_ref();
    let names = read.names_or("CONFIG_SERVICEACCOUNTS", accounts, "default", name_pattern);
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
    let health = health_port(values, given, read);
    let debug = read.boolean("CONFIG_DEBUG", values.config_debug.as_ref());
    let mut logging = read_logging(values.log_level.as_ref(), values.log_format.as_ref(), terminal, read);
    if debug {
        logging.level = logging.level.max(LevelFilter::Debug);
    }
    let exact = |name: &&String| !name.contains(['*', '?']);
    Settings {
        account: names.first().filter(exact).filter(|_| names.len() == 1 && !all).cloned(),
        accounts: if all { Names::All } else { Names::patterns(names.iter().map(String::as_str)) },
        source: source(values, &secret, given, read),
        secret,
        excluded_namespaces: excluded.into_iter().collect(),
        overwrite: force && !managed_only,
        recreate: force,
        pull_secrets: pull_secrets(values, flags.uninstall || once, read),
        certificates: certificates::read(values, read),
        task: if flags.uninstall {
            Task::Uninstall
        } else if once {
            Task::Once
        } else {
            Task::Keep
        },
        resync: resync(values, given, read),
        resource_selector: resource_selector(values, read),
        kubeconfig: kubeconfig(values, read),
        lease: elects.then(|| lease.unwrap_or_else(|| "pullgate-controller".to_owned())),
        lease_namespace,
        health_port: (health != 0).then_some(health),
        logging,
        notices: Vec::new(),
    }
}

fn pull_secrets(values: &Values, is_task: bool, read: &mut Reader) -> bool {
    let wanted = read.boolean_or("PULL_SECRETS", values.pull_secrets.as_ref(), true);
    let off = |value: &&String| !wanted && !value.is_empty();
    if let Some(value) = values.pull_secrets.as_ref().filter(off) {
        if is_task {
            read.refuse("PULL_SECRETS", value, "leaves nothing to do once; accepted: true");
        } else if values.certificates.as_deref().is_none_or(|it| it == "off") {
            read.refuse(
                "PULL_SECRETS",
                value,
                "leaves nothing to do; accepted: true, or CERTIFICATES with it",
            );
        }
    }
    wanted
}

fn source(values: &Values, secret: &str, given: &Given, read: &mut Reader) -> Source {
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
            let literal = given.name("CONFIG_DOCKERCONFIGJSON");
            let problem = format_args!("is given beside {literal}; accepted: one of them");
            read.refuse("CONFIG_DOCKERCONFIGJSONPATH", path, problem);
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
fn health_port(values: &Values, given: &Given, read: &mut Reader) -> u16 {
    let own = values.health_port.as_ref();
    let port = read.number("HEALTH_PORT", own, 8080, 0..=65535);
    let Some(address) = &values.metrics_addr else { return port };
    match port_of(address) {
        Ok(other) if own.is_some() && other != port => {
            let name = given.name("HEALTH_PORT");
            let problem = format_args!(
                "and {name}={port}: these are two ports for one thing; accepted: one of them, or the same port in both"
            );
            read.refuse("METRICS_ADDR", address, problem);
            port
        }
        Ok(other) => other,
        Err(problem) => {
            read.refuse("METRICS_ADDR", address, problem);
            port
        }
    }
}

/// As Go writes a time: `10s`, `1m30s`.
pub(super) fn as_go(text: &str) -> Option<Duration> {
    let time = text.parse::<kube::core::Duration>().ok().filter(|time| !time.is_negative());
    time.map(Duration::from)
}

/// As Go writes a time; or in seconds.
fn resync(values: &Values, given: &Given, read: &mut Reader) -> Duration {
    let mut time = |name, text: Option<&String>, parse: fn(&str) -> Option<Duration>, accepted| {
        let text = text?;
        let time = parse(text.trim()).filter(|time| !time.is_zero());
        if time.is_none() {
            read.refuse(name, text, format_args!("is no time; accepted: {accepted}"));
        }
        Some((name, text.clone(), time?))
    };
    let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
    let own =
        time("CONFIG_LOOP_DURATION", values.config_loop_duration.as_ref(), as_go, "such as 10s, 1m30s, 1h");
    let other = values.periodic_reconcile_interval.as_ref();
    let other = time("PERIODIC_RECONCILE_INTERVAL", other, seconds, "seconds, such as 300");
    if let (Some((name, set, own)), Some((variable, text, other))) = (&own, &other)
        && own != other
    {
        let name = given.name(name);
        let problem = format_args!("{name}={set:?} is the same setting; accepted: one of them");
        read.refuse(variable, text, problem);
    }
    match own.or(other) {
        Some((name, text, time)) if time < LEAST_RESYNC => {
            read.warn(format!("{}={text} is less than 1s: 1s is used", given.name(name)));
            LEAST_RESYNC
        }
        Some((.., time)) => time,
        None => Duration::from_secs(10),
    }
}

/// As it is given, for the API server.
fn resource_selector(values: &Values, read: &mut Reader) -> Option<String> {
    let selector = values.resource_selector.as_ref()?;
    if let Err(problem) = label_selector(selector) {
        read.refuse("RESOURCE_SELECTOR", selector, problem);
    }
    Some(selector.clone())
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
