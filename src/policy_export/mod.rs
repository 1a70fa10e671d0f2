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

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::image::analysis::Notice;
use crate::object::MIRROR_ANNOTATION;
use crate::offline::yaml;
use crate::policy::{Mode, Policy};
pub use options::{Action, Kind, Options, Unreadable};

/// A variable's name and expression.
type Variable = (&'static str, String);

/// Why there is no policy for these rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No rule is about Pods.
    #[error(
        "there is no rule for Pods: set REGISTRY, REGISTRY_MAP, IMAGE_PULL_SECRET or FORCE_IMAGE_PULL_POLICY"
    )]
    NoRules,
    /// A mutating policy would do less than the webhook.
    #[error("{0}: a mutating policy changes Pods only; accepted: unset, or `--kind validating`")]
    NotOfPods(&'static str),
    /// A flag or a setting of the other kind.
    #[error("{0}: a mutating policy changes what it objects to; accepted: with `--kind validating`")]
    NotOfMutating(&'static str),
    /// The API server would refuse the binding.
    #[error("--action: `Deny` and `Warn` exclude each other; accepted: one of them, with or without `Audit`")]
    DenyAndWarn,
    /// No namespace has both.
    #[error(
        "--namespace-selector: label `{0}` is given two values, which no namespace has; accepted: one of them"
    )]
    TwoValues(String),
}

/// A policy and its binding, as a stream of two YAML documents.
///
/// # Errors
/// Rules or options that no policy can say.
pub fn manifests(policy: &Policy, options: &Options) -> Result<String, Problem> {
    let objects = objects(policy, options)?;
    Ok(objects.each_ref().map(yaml::print).join("---\n"))
}

fn objects(policy: &Policy, options: &Options) -> Result<[Value; 2], Problem> {
    let Policy { registries, pull_policy, pull_secrets, .. } = policy;
    if !registries.is_active() && pull_policy.is_none() && pull_secrets.is_none() {
        return Err(Problem::NoRules);
    }
    let mut labels = BTreeMap::new();
    for (key, value) in &options.namespace_selector {
        if labels.insert(key, value).is_some_and(|other| other != value) {
            return Err(Problem::TwoValues(key.clone()));
        }
    }
    let constraints = match_constraints(&policy.as_registered(&options.namespace).excluded_namespaces);
    match options.kind {
        Kind::Validating if acts(options, Action::Deny) && acts(options, Action::Warn) => {
            Err(Problem::DenyAndWarn)
        }
        Kind::Validating => Ok(validating::objects(policy, options, &constraints)),
        Kind::Mutating => match (not_of_mutating(policy, options), beyond_pods(policy).next()) {
            (Some(given), _) => Err(Problem::NotOfMutating(given)),
            (None, Some(setting)) => Err(Problem::NotOfPods(setting)),
            (None, None) => Ok(mutating::objects(policy, options, &constraints)),
        },
    }
}

/// What should be said about a policy before it is applied.
#[must_use]
pub fn notices(policy: &Policy, options: &Options) -> Vec<Notice> {
    let left_out =
        |setting| Notice::Note(format!("{setting} is not part of the policy, which is for Pods only"));
    let mut notices: Vec<_> = beyond_pods(policy).map(left_out).collect();
    if policy.mode == Mode::Audit && acts(options, Action::Deny) {
        let text =
            "MODE=audit: a webhook that changes nothing leaves everything to the policy, which refuses it";
        notices.push(Notice::Warning(text.to_owned()));
    }
    notices
}

fn acts(options: &Options, action: Action) -> bool {
    options.action.contains(&action)
}

/// What says how to object, which a mutating policy does not.
fn not_of_mutating(policy: &Policy, options: &Options) -> Option<&'static str> {
    let given = [
        (!options.action.is_empty(), "--action"),
        (options.unreadable.is_some(), "--unreadable"),
        (policy.mode == Mode::Audit, "MODE=audit"),
    ];
    given.into_iter().find_map(|(given, name)| given.then_some(name))
}

/// Settings whose rules are about something else than Pods, and so in no policy.
fn beyond_pods(policy: &Policy) -> impl Iterator<Item = &'static str> {
    let set = [
        (policy.storage_class.is_some(), "DEFAULT_STORAGE_CLASS"),
        (policy.service_accounts.is_some(), "CONFIG_TARGET_IMAGE_PULL_SECRET_NAME"),
    ];
    set.into_iter().filter_map(|(set, name)| set.then_some(name))
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
fn match_constraints(namespaces: &BTreeSet<String>) -> Value {
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
