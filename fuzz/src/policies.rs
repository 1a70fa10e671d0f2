//! Valid configurations that part of an input chooses from.

use std::ffi::OsString;
use std::sync::LazyLock;

use pullgate::config::load_policy;
use pullgate::policy::Policy;

type Settings = &'static [(&'static str, &'static str)];

/// Every rule, in each of its ways, alone and together.
const SETTINGS: [Settings; 10] = [
    &[
        ("REGISTRY", "r.example/proxy"),
        ("IMAGE_PULL_SECRET", "regcred,two"),
        ("IMAGE_PULL_SECRET_APPEND", "true"),
        ("FORCE_IMAGE_PULL_POLICY", "true"),
        ("DEFAULT_STORAGE_CLASS", "fast"),
    ],
    &[
        ("REGISTRY_MAP", "docker.io=d.example,quay.io/a=q.example/a,*=r.example:5000/x"),
        ("IGNORED_REGISTRIES", "ghcr.io/acme,bitnami"),
        ("IMAGE_PARSER", "distribution"),
        ("IMAGE_PULL_SECRET", "regcred"),
        ("FORCE_IMAGE_PULL_POLICY", "true"),
        ("IMAGE_PULL_POLICY_TO_FORCE", "IfNotPresent"),
        ("DEFAULT_STORAGE_CLASS", "fast"),
        ("STORAGE_CLASS_MODE", "force"),
        ("EXCLUDE_NAMESPACES", "kube-system"),
        ("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME", "regcred"),
        ("CONFIG_SERVICE_ACCOUNTS", "default,web-*"),
    ],
    &[],
    &[("REGISTRY", "r")],
    &[("REGISTRY_MAP", "quay.io=q.example/quay,ghcr.io=q.example/ghcr")],
    &[("IMAGE_PULL_SECRET", "regcred,two")],
    &[("IMAGE_PULL_SECRET", "regcred,two"), ("IMAGE_PULL_SECRET_APPEND", "true")],
    &[("FORCE_IMAGE_PULL_POLICY", "true"), ("IMAGE_PULL_POLICY_TO_FORCE", "Never")],
    &[("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME", "regcred")],
    &[("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME", "two"), ("CONFIG_ALL_SERVICE_ACCOUNTS", "true")],
];

static POLICIES: LazyLock<Vec<Policy>> =
    LazyLock::new(|| SETTINGS.iter().map(|pairs| policy(pairs)).collect());

/// The policy that `selector` stands for; any number stands for one.
#[must_use]
pub fn select(selector: u8) -> &'static Policy {
    &POLICIES[usize::from(selector) % POLICIES.len()]
}

fn policy(pairs: Settings) -> Policy {
    let environment = pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load_policy(environment).expect("the settings are valid").0
}
