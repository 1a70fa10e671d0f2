//! What the controller is told: flags and environment variables of one name each, and those of the systems that it
//! replaces.
//!
//! A flag is a variable with another spelling (`-secretname` is `CONFIG_SECRETNAME`), so both are read in one way; the
//! flag wins.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::raw::{Known, variables};
use crate::names::Names;

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
    kubeconfig = "KUBECONFIG",
    log_level = "LOG_LEVEL",
    log_format = "LOG_FORMAT",
    health_port = "HEALTH_PORT",
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
};

/// Flags, and the variables that they stand for.
const FLAGS: [(&str, &str); 16] = [
    ("secretname", "CONFIG_SECRETNAME"),
    ("secretnamespace", "CONFIG_SECRET_NAMESPACE"),
    ("dockerconfigjson", "CONFIG_DOCKERCONFIGJSON"),
    ("dockerconfigjsonpath", "CONFIG_DOCKERCONFIGJSONPATH"),
    ("serviceaccounts", "CONFIG_SERVICEACCOUNTS"),
    ("allserviceaccount", "CONFIG_ALLSERVICEACCOUNT"),
    ("excluded-namespaces", "CONFIG_EXCLUDED_NAMESPACES"),
    ("force", "CONFIG_FORCE"),
    ("managedonly", "CONFIG_MANAGEDONLY"),
    ("runonce", "CONFIG_RUNONCE"),
    ("loop-duration", "CONFIG_LOOP_DURATION"),
    ("use-informers", "CONFIG_USE_INFORMERS"),
    ("running-in-cluster", "CONFIG_RUNNING_IN_CLUSTER"),
    ("debug", "CONFIG_DEBUG"),
    ("kubeconfig", "KUBECONFIG"),
    ("health-port", "HEALTH_PORT"),
];

/// Flags that are true when nothing follows them.
const SWITCHES: [&str; 7] =
    ["allserviceaccount", "force", "managedonly", "runonce", "use-informers", "running-in-cluster", "debug"];

/// What the controller does.
#[derive(Debug)]
pub struct Settings {
    /// Name of the copies, and of the reference.
    pub secret: String,
    /// Where the credentials come from.
    pub source: Source,
    /// Which ServiceAccounts reference the copies.
    pub accounts: Names,
    /// Namespaces that get none.
    pub excluded_namespaces: BTreeSet<String>,
    /// Overwrite a Secret of the same name that is not ours.
    pub force: bool,
    /// Never touch one that is not ours, whatever `force` says.
    pub managed_only: bool,
    /// End when everything is as wanted.
    pub run_once: bool,
    /// How often everything is looked at again, seen or not.
    pub resync: Duration,
    /// How to reach the API server; none: as a Pod does.
    pub kubeconfig: Option<PathBuf>,
}

/// Where the credentials come from: the first of these that there is.
#[derive(Debug)]
pub struct Source {
    /// A Secret that the API server is asked for: the truth where it exists.
    pub object: (String, String),
    /// A file that the kubelet keeps up to date, after a while.
    pub file: Option<PathBuf>,
    /// Given in full; never shown.
    pub literal: Option<OsString>,
}
