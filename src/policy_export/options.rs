//! The arguments of `pullgate policy`.

use clap::{Args, ValueEnum};

use crate::config::read::{dns_subdomain, namespace};

/// Print the webhook's rules as an admission policy of the API server itself
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The rules are those of the webhook's environment variables: REGISTRY, REGISTRY_MAP, \
    IGNORED_REGISTRIES, IMAGE_PARSER, IMAGE_PULL_SECRET, IMAGE_PULL_SECRET_APPEND, FORCE_IMAGE_PULL_POLICY, \
    IMAGE_PULL_POLICY_TO_FORCE and EXCLUDE_NAMESPACES.\n\n\
    Exit status: 0, or 2 for settings that cannot be used or that no policy can express."
)]
pub struct Options {
    /// Which policy: one that objects to Pods that the rules would change, or one that changes them
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    pub kind: Kind,

    /// What the API server does about Pods that a validating policy objects to; several, comma separated [default: Audit]
    #[arg(long, value_name = "ACTION", value_enum, value_delimiter = ',', ignore_case = true)]
    pub action: Vec<Action>,

    /// What a validating policy makes of images that the webhook leaves alone with a warning [default: refuse]
    #[arg(long, value_name = "WHAT", value_enum)]
    pub unreadable: Option<Unreadable>,

    /// Namespace of the webhook, left alone like kube-system and those of `EXCLUDE_NAMESPACES`
    #[arg(long, value_name = "NAME", default_value = "pullgate", value_parser = namespace)]
    pub namespace: String,

    /// Name of the policy and of its binding
    #[arg(long, value_name = "NAME", default_value = "pullgate", value_parser = name)]
    pub name: String,

    /// Bind the policy only to namespaces with this label; of several, a namespace needs them all
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub namespace_selector: Vec<(String, String)>,
}

/// Which policy is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A ValidatingAdmissionPolicy, for Kubernetes 1.30 and later
    #[default]
    Validating,
    /// A MutatingAdmissionPolicy, for Kubernetes 1.36 and later
    Mutating,
}

/// What the API server does about an object that a policy objects to, spelt as in `validationActions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// Let it in, and note it in the audit log
    #[value(name = "Audit")]
    Audit,
    /// Refuse it
    #[value(name = "Deny")]
    Deny,
    /// Let it in, and warn whoever made the request
    #[value(name = "Warn")]
    Warn,
}

impl Action {
    /// Kubernetes' spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "Audit",
            Self::Deny => "Deny",
            Self::Warn => "Warn",
        }
    }
}

/// What a validating policy makes of images that the webhook leaves alone with a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Unreadable {
    /// Object to them: no rule says where they would come from
    Refuse,
    /// Leave them alone as well
    Allow,
}

fn name(text: &str) -> Result<String, &'static str> {
    dns_subdomain(text).map(|()| text.to_owned())
}

/// As kubectl takes it, with one `=` or two.
fn label(text: &str) -> Result<(String, String), &'static str> {
    let is_value = |value: &str| {
        value.len() <= 63
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !value.starts_with(['-', '_', '.'])
            && !value.ends_with(['-', '_', '.'])
    };
    let is_key = |key: &str| {
        let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
        !name.is_empty() && is_value(name) && prefix.is_none_or(|prefix| dns_subdomain(prefix).is_ok())
    };
    let pair = text.split_once("==").or_else(|| text.split_once('='));
    let pair = pair.filter(|(key, value)| is_key(key) && is_value(value));
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or("expected a label: KEY=VALUE")
}
