//! PURE: everything that admission is decided by. Static data, made once from the configuration.

use std::collections::BTreeSet;

use crate::image::RegistryRules;
use crate::names::Names;

/// All rules together; the default changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `MODE`.
    pub mode: Mode,
    /// `REGISTRY`, `REGISTRY_MAP`, `IGNORED_REGISTRIES`, `IMAGE_PARSER`.
    pub registries: RegistryRules,
    /// `IMAGE_PULL_POLICY_TO_FORCE`, where `FORCE_IMAGE_PULL_POLICY` is on.
    pub pull_policy: Option<PullPolicy>,
    /// `IMAGE_PULL_SECRET`.
    pub pull_secrets: Option<PullSecrets>,
    /// `DEFAULT_STORAGE_CLASS`.
    pub storage_class: Option<StorageClass>,
    /// `EXCLUDE_NAMESPACES`, for Pods and claims.
    pub excluded_namespaces: BTreeSet<String>,
    /// `CONFIG_TARGET_IMAGE_PULL_SECRET_NAME` and what belongs to it.
    pub service_accounts: Option<ServiceAccounts>,
}

/// Where Kubernetes' own Pods are.
const KUBE_SYSTEM: &str = "kube-system";

impl Policy {
    /// The same for whatever reaches the webhook, which is in the namespace `own`: the manifests register it for neither
    /// that nor `kube-system`.
    #[must_use]
    pub fn as_registered(&self, own: &str) -> Self {
        let mut policy = self.clone();
        policy.excluded_namespaces.extend([KUBE_SYSTEM, own].map(str::to_owned));
        policy
    }
}

/// What becomes of what the rules say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is done.
    #[default]
    Enforce,
    /// It is told and not done.
    Audit,
}

/// When a kubelet pulls an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// At every start of a container.
    #[default]
    Always,
    /// When the node lacks it.
    IfNotPresent,
    /// Not at all.
    Never,
}

impl PullPolicy {
    /// Every policy.
    pub const ALL: [Self; 3] = [Self::Always, Self::IfNotPresent, Self::Never];

    /// Kubernetes' spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Which pull secrets Pods reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullSecrets {
    /// Names of Secrets, each once, in the configured order; never empty.
    pub names: Vec<String>,
    /// Add what is missing (`true`), or replace the whole list.
    pub append: bool,
}

/// Which `ServiceAccounts` reference which pull secret.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceAccounts {
    /// Name of the Secret.
    pub secret: String,
    /// Which accounts.
    pub names: Names,
    /// Namespaces whose accounts are left alone.
    pub excluded_namespaces: BTreeSet<String>,
}

/// Which class claims get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageClass {
    /// Name of the class.
    pub name: String,
    /// Replace any class (`true`), or only fill in where the author named none.
    pub force: bool,
}
