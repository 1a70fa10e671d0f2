//! The arguments of `pullgate policy`.

use clap::{Args, ValueEnum};

/// Write the rules as a policy that the API server itself applies.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Which policy: one that refuses Pods whose images the rules would change, or one that changes them
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    pub kind: Kind,

    /// What becomes of a Pod that the validating policy objects to; several may be given, comma separated
    #[arg(
        long,
        value_name = "ACTION",
        value_enum,
        value_delimiter = ',',
        ignore_case = true,
        default_value = "Audit"
    )]
    pub action: Vec<Action>,

    /// Whether the validating policy objects to images that cannot be read, or could not be pulled from their target
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub unreadable: Unreadable,

    /// Namespace of the webhook, which the policy leaves alone, with kube-system and `EXCLUDE_NAMESPACES`
    #[arg(long, value_name = "NAME", default_value = "pullgate")]
    pub namespace: String,

    /// Name of the policy and of its binding
    #[arg(long, value_name = "NAME", default_value = "pullgate")]
    pub name: String,

    /// Bind the policy only to namespaces with this label; may be given again, and then all of them count
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub namespace_selector: Vec<(String, String)>,
}

/// Which policy is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A `ValidatingAdmissionPolicy`, for Kubernetes 1.30 and later
    #[default]
    Validating,
    /// A `MutatingAdmissionPolicy`, for Kubernetes 1.36 and later
    Mutating,
}

/// What the API server does about an object that a policy objects to, spelt as in `validationActions`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Action {
    /// Note it in the audit log, and let the object in
    #[value(name = "Audit")]
    Audit,
    /// Refuse the object
    #[value(name = "Deny")]
    Deny,
    /// Warn whoever made the request, and let the object in
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

/// What a validating policy makes of images that the rules leave alone with a warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Unreadable {
    /// They may not run: nobody can say where they would come from
    #[default]
    Refuse,
    /// They are none of the policy's business, as they are none of the webhook's
    Allow,
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty() && !key.ends_with('!'));
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or("expected a label: KEY=VALUE")
}
