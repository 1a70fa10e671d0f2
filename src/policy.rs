//! PURE: everything that admission is decided by. Static data, made once from the configuration.

use std::collections::BTreeSet;

use crate::image::RegistryRules;

/// All rules together; the default changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `REGISTRY`, `REGISTRY_MAP`, `IGNORED_REGISTRIES`, `IMAGE_PARSER`.
    pub registries: RegistryRules,
    /// `IMAGE_PULL_POLICY_TO_FORCE`, where `FORCE_IMAGE_PULL_POLICY` is on.
    pub pull_policy: Option<PullPolicy>,
    /// `IMAGE_PULL_SECRET`.
    pub pull_secrets: Option<PullSecrets>,
    /// `DEFAULT_STORAGE_CLASS`.
    pub storage_class: Option<StorageClass>,
    /// `EXCLUDE_NAMESPACES`.
    pub excluded_namespaces: BTreeSet<String>,
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

/// Which class claims get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageClass {
    /// Name of the class.
    pub name: String,
    /// Replace any class (`true`), or only fill in where the author named none.
    pub force: bool,
}
