//! Command line flags that are environment variables with another spelling: `-secretname` is `CONFIG_SECRETNAME`.
//!
//! One dash or two: those of the system that this one replaces are written with one.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::de::DeserializeOwned;

use crate::config::ConfigError;
use crate::config::raw::Known;
use crate::config::read::Reader;
use crate::image::analysis::Notice;

/// A flag, the variable that it sets, and what it is for.
pub struct Flag {
    /// Without dashes.
    pub name: &'static str,
    /// What it is in the environment.
    pub variable: &'static str,
    /// Whether it may stand alone, for `true`.
    pub switch: bool,
    /// For `--help`.
    pub help: &'static str,
    /// Other names, of systems that this one replaces.
    pub also: &'static [&'static str],
}

impl Flag {
    /// All names.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.also.iter().copied())
    }

    const fn also(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }
}

const fn flag(name: &'static str, variable: &'static str, help: &'static str) -> Flag {
    Flag { name, variable, switch: false, help, also: &[] }
}

const fn switch(name: &'static str, variable: &'static str, help: &'static str) -> Flag {
    Flag { name, variable, switch: true, help, also: &[] }
}

/// In the order of `--help`.
pub const FLAGS: &[Flag] = &[
    flag(
        "secretname",
        "CONFIG_SECRETNAME",
        "Name of the copies, and of the reference [default: image-pull-secret]",
    ),
    flag(
        "secretnamespace",
        "CONFIG_SECRET_NAMESPACE",
        "Namespace of the source Secret [default: imagepullsecret-patcher]",
    ),
    flag(
        "source-secretname",
        "CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME",
        "Name of the source Secret [default: that of the copies]",
    ),
    flag("dockerconfigjson", "CONFIG_DOCKERCONFIGJSON", "Credentials, where there is no source Secret"),
    flag(
        "dockerconfigjsonpath",
        "CONFIG_DOCKERCONFIGJSONPATH",
        "File of credentials, where there is no source Secret",
    ),
    flag(
        "serviceaccounts",
        "CONFIG_SERVICEACCOUNTS",
        "ServiceAccounts that reference the copies, by name or with * and ? [default: default]",
    ),
    switch("allserviceaccount", "CONFIG_ALLSERVICEACCOUNT", "All ServiceAccounts do"),
    flag("excluded-namespaces", "CONFIG_EXCLUDED_NAMESPACES", "Namespaces that get no copy"),
    switch(
        "force",
        "CONFIG_FORCE",
        "Overwrite a Secret of that name that is somebody else's [default: true]",
    ),
    switch("managedonly", "CONFIG_MANAGEDONLY", "Never touch one, whatever -force says"),
    switch("runonce", "CONFIG_RUNONCE", "End when everything is as wanted"),
    flag(
        "loop-duration",
        "CONFIG_LOOP_DURATION",
        "How often everything is looked at again, events or not [default: 10s]",
    ),
    switch("use-informers", "CONFIG_USE_INFORMERS", "Accepted; the controller always watches"),
    switch(
        "running-in-cluster",
        "CONFIG_RUNNING_IN_CLUSTER",
        "Be a Pod's ServiceAccount; else $HOME/.kube/config [default: true]",
    ),
    flag(
        "resource-selector",
        "RESOURCE_SELECTOR",
        "Follow ImagePullSecrets with these labels only, as of kubectl -l",
    ),
    flag("kubeconfig", "KUBECONFIG", "How to reach the API server instead"),
    switch("enable-leader-election", "ENABLE_LEADER_ELECTION", "Only one of several replicas acts"),
    flag("lease-name", "LEASE_NAME", "What replicas elect by [default: pullgate-controller]"),
    flag("lease-namespace", "LEASE_NAMESPACE", "Where that is [default: that of the Pod]")
        .also(&["config-namespace"]),
    flag("health-port", "HEALTH_PORT", "Port of /livez, /readyz and /metrics; 0 for none [default: 8080]"),
    flag("metrics-addr", "METRICS_ADDR", "The same, as :8080"),
    flag(
        "periodic-reconcile-interval",
        "PERIODIC_RECONCILE_INTERVAL",
        "What -loop-duration is, in seconds and without a unit",
    ),
    switch("pull-secrets", "PULL_SECRETS", "Look after pull secrets [default: true]"),
    flag(
        "certificates",
        "CERTIFICATES",
        "Look after the webhook's certificate: off, self-managed or csr [default: off]",
    ),
    flag("certificates-namespace", "CERTIFICATES_NAMESPACE", "Where that is [default: that of the Pod]"),
    flag("certificates-service", "CERTIFICATES_SERVICE", "Service of the webhook [default: pullgate]"),
    flag("certificates-names", "CERTIFICATES_NAMES", "Names and addresses of the webhook besides that one's"),
    flag("certificates-secret", "CERTIFICATES_SECRET", "Secret with what it serves [default: pullgate-tls]"),
    flag(
        "certificates-ca-secret",
        "CERTIFICATES_CA_SECRET",
        "Secret with the authority and its key [default: pullgate-ca]",
    ),
    flag(
        "certificates-configuration",
        "CERTIFICATES_CONFIGURATION",
        "MutatingWebhookConfiguration that trusts it [default: pullgate]",
    ),
    flag(
        "certificates-validity",
        "CERTIFICATES_VALIDITY",
        "How long a certificate is valid [default: 2160h]",
    ),
    flag(
        "certificates-ca-validity",
        "CERTIFICATES_CA_VALIDITY",
        "How long a self-managed authority is [default: 26280h]",
    ),
    flag(
        "certificates-overlap",
        "CERTIFICATES_OVERLAP",
        "How long an authority stays trusted beside the one that replaced it [default: 24h]",
    ),
    flag("certificates-signer-name", "CERTIFICATES_SIGNER_NAME", "For csr: who signs, example.com/webhooks"),
    flag(
        "certificates-ca-file",
        "CERTIFICATES_CA_FILE",
        "For csr: that signer's authority [default: the API server's CA, as Pods have it]",
    ),
    flag("log-level", "LOG_LEVEL", "trace, debug, info, warn, error or fatal [default: info]")
        .also(&["log.level"]),
    switch("debug", "CONFIG_DEBUG", "Log more"),
];

/// What was given on the command line, as variables; and what is no variable.
#[derive(Debug, Default)]
pub struct Flags {
    /// What sets variables.
    pub given: Given,
    /// Take back everything that is ours, and end.
    pub uninstall: bool,
}

/// A value that may be a credential.
#[derive(Clone)]
pub struct Redacted(pub OsString);

impl std::fmt::Debug for Redacted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// Flags that were given: each with its variable, over which it wins, and its value.
#[derive(Debug, Default)]
pub struct Given(Vec<(&'static str, &'static str, Redacted)>);

impl Given {
    /// Those that have a value, of pairs of a flag without dashes and its variable.
    pub fn new<'a>(
        flags: impl IntoIterator<Item = (&'static str, &'static str, Option<&'a OsString>)>,
    ) -> Self {
        let given = |(flag, variable, value): (_, _, Option<&OsString>)| {
            Some((flag, variable, Redacted(value?.clone())))
        };
        Self(flags.into_iter().filter_map(given).collect())
    }

    /// How a setting is called where something is said about it: by the flag that was typed, else by its variable.
    pub(crate) fn name(&self, variable: &str) -> String {
        let flag = self.0.iter().find(|(_, sets, _)| *sets == variable);
        flag.map_or_else(|| variable.to_owned(), |(flag, ..)| format!("--{flag}"))
    }

    /// Reads the variables of a command, with these in the place of what the environment has, by whatever name; and
    /// makes `settings` of them, beside which there is what should be said.
    ///
    /// # Errors
    /// Every value that cannot be used, and two flags that are one setting and have different values.
    pub(crate) fn read<V: DeserializeOwned + Default, T>(
        &self,
        known: &Known,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        settings: impl FnOnce(&V, &mut Reader) -> T,
    ) -> Result<(T, Vec<Notice>), Vec<ConfigError>> {
        let contradictions: Vec<_> = self.contradictions().collect();
        if !contradictions.is_empty() {
            return Err(contradictions);
        }
        let flagged = |name: &OsString| {
            let own = name.to_str().and_then(|name| known.find(name)).map(|(_, own)| own);
            own.is_some_and(|own| self.0.iter().any(|(_, variable, _)| *variable == own))
        };
        let mut all: Vec<_> = environment.into_iter().filter(|(name, _)| !flagged(name)).collect();
        all.extend(self.0.iter().map(|(_, variable, value)| (variable.into(), value.0.clone())));
        let read = known.read::<V>(all).and_then(|(values, mut read)| {
            let settings = settings(&values, &mut read);
            let Reader { errors, notices, .. } = read;
            if errors.is_empty() { Ok((settings, notices)) } else { Err(errors) }
        });
        let typed = |error: ConfigError| ConfigError { variable: self.name(&error.variable), ..error };
        read.map_err(|errors| errors.into_iter().map(typed).collect())
    }

    /// No setting that has two names is a credential.
    fn contradictions(&self) -> impl Iterator<Item = ConfigError> {
        let given = || self.0.iter().filter(|(.., value)| !value.0.is_empty());
        given().enumerate().filter_map(move |(place, (flag, variable, Redacted(value)))| {
            let mut before = given().take(place);
            let (other, _, set) = before.find(|(_, sets, set)| sets == variable && set.0 != *value)?;
            let set = set.0.to_string_lossy();
            Some(ConfigError {
                variable: format!("--{flag}"),
                value: value.to_string_lossy().into_owned(),
                problem: format!("--{other}={set:?} is the same setting; accepted: one of them"),
            })
        })
    }
}

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        let arg = |flag: &Flag, name: &'static str| {
            let arg = Arg::new(name).long(name);
            let arg = if name == flag.name {
                arg.help(flag.help)
            } else {
                arg.help(format!("What --{} is", flag.name))
            };
            let arg = arg.value_parser(clap::value_parser!(OsString)).hide_default_value(true);
            // As often as it is given; the last one counts.
            let arg = arg.overrides_with(name).action(ArgAction::Set);
            let value = if flag.switch { "BOOL" } else { "VALUE" };
            let arg = arg.value_name(value);
            if flag.switch {
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            } else {
                arg
            }
        };
        let uninstall = Arg::new("uninstall")
            .long("uninstall")
            .value_name("BOOL")
            .value_parser(clap::value_parser!(bool));
        let uninstall = uninstall.num_args(0..=1).require_equals(true).default_missing_value("true");
        let uninstall = uninstall.help("Remove what is ours from all namespaces, references first, and end");
        let args = FLAGS.iter().flat_map(|flag| flag.names().map(move |name| arg(flag, name)));
        command.args(args).arg(uninstall)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = FLAGS.iter().flat_map(|flag| {
            flag.names().map(move |name| (name, flag.variable, matches.get_one::<OsString>(name)))
        });
        Ok(Self {
            given: Given::new(given),
            uninstall: matches.get_one("uninstall").copied().unwrap_or_default(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The same command line with two dashes before each flag that has one and a name of more than a letter: a misspelt one
/// is refused by its name then, and not by its first letter.
pub fn with_two_dashes(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let has_one = |argument: &OsStr| {
        let name = argument.as_encoded_bytes().strip_prefix(b"-");
        name.is_some_and(|name| name.len() > 1 && !name.starts_with(b"-"))
    };
    let mut arguments: Vec<_> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|command| command == "controller") {
        for argument in arguments.iter_mut().skip(2).filter(|argument| has_one(argument)) {
            let mut two = OsString::from("-");
            two.push(&*argument);
            *argument = two;
        }
    }
    arguments
}
