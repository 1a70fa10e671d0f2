//! PURE: the rules of admission as a policy of the API server, for `pullgate policy`.
//!
//! ```text
//! Policy --images::variables--> what the rules make of each image, in the Common Expression Language
//!   --validating--> ValidatingAdmissionPolicy: nothing is left to change    --> yaml::print
//!   --mutating----> MutatingAdmissionPolicy: change it                      --> yaml::print
//! ```
//! The rules are those of [`crate::image`] and [`crate::mutate`], said a second time; that both say the same is what
//! the end-to-end tests of `policy` are about.

pub mod cel;
mod images;
mod mutating;
mod options;
mod places;
mod validating;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::object::MIRROR_ANNOTATION;
use crate::offline::yaml;
use crate::policy::Policy;
pub use options::{Action, Kind, Options, Unreadable};

/// A variable's name and expression.
type Variable = (&'static str, String);

/// Where Kubernetes' own Pods are.
const KUBE_SYSTEM: &str = "kube-system";

/// Why there is no policy for these rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No rule is about Pods.
    #[error(
        "there is no rule for Pods: set REGISTRY, REGISTRY_MAP, IMAGE_PULL_SECRET or FORCE_IMAGE_PULL_POLICY"
    )]
    NoRules,
    /// A mutating policy would do less than the webhook.
    #[error("{0}: a mutating policy changes Pods only; accepted: unset, or `--kind validating`")]
    NotOfPods(&'static str),
    /// A flag of the other kind.
    #[error("{0}: a mutating policy changes what it objects to; accepted: with `--kind validating`")]
    NotOfMutating(&'static str),
    /// The API server would refuse the binding.
    #[error("--action: `Deny` and `Warn` exclude each other; accepted: one of them, with or without `Audit`")]
    DenyAndWarn,
}

/// A policy and its binding, as a stream of two YAML documents.
///
/// # Errors
/// Rules or options that no policy can say.
pub fn manifests(policy: &Policy, options: &Options) -> Result<String, Problem> {
    let objects = objects(policy, options)?;
    Ok(objects.each_ref().map(yaml::print).join("---\n"))
}

/// The same as values.
///
/// # Errors
/// As of [`manifests`].
pub fn objects(policy: &Policy, options: &Options) -> Result<[Value; 2], Problem> {
    let Policy { registries, pull_policy, pull_secrets, excluded_namespaces, .. } = policy;
    if !registries.is_active() && pull_policy.is_none() && pull_secrets.is_none() {
        return Err(Problem::NoRules);
    }
    let constraints = match_constraints(excluded_namespaces, &options.namespace);
    let acts = |action| options.action.contains(&action);
    match (options.kind, beyond_pods(policy)) {
        (Kind::Validating, _) if acts(Action::Deny) && acts(Action::Warn) => Err(Problem::DenyAndWarn),
        (Kind::Validating, _) => Ok(validating::objects(policy, options, &constraints)),
        (Kind::Mutating, _) if !options.action.is_empty() => Err(Problem::NotOfMutating("--action")),
        (Kind::Mutating, _) if options.unreadable.is_some() => Err(Problem::NotOfMutating("--unreadable")),
        (Kind::Mutating, Some(setting)) => Err(Problem::NotOfPods(setting)),
        (Kind::Mutating, None) => Ok(mutating::objects(policy, options, &constraints)),
    }
}

/// A setting whose rule is about something else than Pods, and so in no policy.
#[must_use]
pub fn beyond_pods(policy: &Policy) -> Option<&'static str> {
    let Policy { storage_class, service_accounts, .. } = policy;
    let class = storage_class.as_ref().map(|_| "DEFAULT_STORAGE_CLASS");
    class.or(service_accounts.as_ref().map(|_| "CONFIG_TARGET_IMAGE_PULL_SECRET_NAME"))
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/name": "pullgate", "app.kubernetes.io/part-of": "pullgate"},
        },
        "spec": spec,
    })
}

/// The requests of the webhook's registration.
fn match_constraints(excluded: &BTreeSet<String>, namespace: &str) -> Value {
    let mut namespaces = excluded.clone();
    namespaces.extend([KUBE_SYSTEM.to_owned(), namespace.to_owned()]);
    let rule = |operations: &[&str], resource: &str| {
        json!({
            "apiGroups": [""], "apiVersions": ["v1"], "operations": operations, "resources": [resource],
            "scope": "Namespaced",
        })
    };
    json!({
        "resourceRules": [rule(&["CREATE", "UPDATE"], "pods"), rule(&["UPDATE"], "pods/ephemeralcontainers")],
        "namespaceSelector": {"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": namespaces},
        ]},
        "matchPolicy": "Equivalent",
    })
}

/// What the webhook leaves alone, as in its registration.
fn match_conditions() -> Value {
    let mirror = cel::text(MIRROR_ANNOTATION);
    json!([
        {
            "name": "is-not-a-mirror-pod",
            "expression": format!("!has(object.metadata.annotations) || !({mirror} in object.metadata.annotations)"),
        },
        {
            "name": "is-not-being-deleted",
            "expression": "oldObject == null || !has(object.metadata.deletionTimestamp)",
        },
        {
            "name": "is-new-or-changes-its-spec",
            "expression": "oldObject == null || object.spec != oldObject.spec",
        },
    ])
}

fn variables(variables: Vec<Variable>) -> Value {
    variables.into_iter().map(|(name, expression)| json!({"name": name, "expression": expression})).collect()
}

/// The binding's part: which of the namespaces.
fn bound(name: &str, options: &Options) -> Map<String, Value> {
    let mut spec = Map::from_iter([("policyName".to_owned(), json!(name))]);
    if !options.namespace_selector.is_empty() {
        let labels: Map<_, _> =
            options.namespace_selector.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        spec.insert("matchResources".to_owned(), json!({"namespaceSelector": {"matchLabels": labels}}));
    }
    spec
}
