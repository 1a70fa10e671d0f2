//! The resource `ImagePullSecret`: its CustomResourceDefinition, its reference and what the controller reads are all
//! made from these types. What is in none of IMPS' manifests is marked as added.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The label of a copy: the uid of the resource that it was made for.
pub const OWNER_UID: &str = "images.banzaicloud.io/owner-uid";

/// Which credentials become one pull secret, and which namespaces get it.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[expect(clippy::duplicated_attributes, reason = "two columns may be of one type")]
#[kube(
    group = "images.banzaicloud.io",
    version = "v1alpha1",
    kind = "ImagePullSecret",
    plural = "imagepullsecrets",
    shortname = "imps",
    status = "ImagePullSecretStatus",
    doc = "Merges credentials of registries into one pull secret and keeps a copy of it in each namespace that is selected.",
    derive = "PartialEq",
    printcolumn(
        name = "State",
        type_ = "string",
        json_path = ".status.status",
        description = "Ready, or Failed"
    ),
    printcolumn(
        name = "Reconciled",
        type_ = "date",
        json_path = ".status.lastSuccessfulReconciliation",
        description = "When everything was last written as it should be"
    ),
    printcolumn(
        name = "Validity seconds",
        type_ = "integer",
        json_path = ".status.validitySeconds",
        description = "How long the credentials were good for at that time"
    ),
    printcolumn(
        name = "Secret Name",
        type_ = "string",
        json_path = ".spec.target.secret.name",
        description = "Name of the copies"
    ),
    printcolumn(
        name = "Namespaces",
        type_ = "string",
        json_path = ".status.managedNamespaces",
        description = "Namespaces that have a copy"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.reason",
        priority = 1,
        description = "What keeps it from being ready"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ImagePullSecretSpec {
    /// Where the credentials come from.
    pub registry: Registry,
    /// Where they go, and by which name.
    pub target: Target,
}

/// Where the credentials come from.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Registry {
    /// Secrets that are merged, in this order: where two of them know a registry, the later one counts. Their types may
    /// be `kubernetes.io/dockerconfigjson`, `kubernetes.io/dockercfg` and `banzaicloud.io/aws-ecr-login-config`.
    pub credentials: Vec<CredentialsReference>,
}

/// A Secret that holds credentials.
#[derive(Clone, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsReference {
    /// Its name.
    // Capitals, which no Secret has in its name: a manifest of IMPS' documents has some, and is to be taken.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?$"))]
    pub name: String,
    /// Its namespace.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: String,
}

/// Where the credentials go.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// What the copies are like.
    pub secret: TargetSecret,
    /// Which namespaces get a copy; each entry that matches is enough. Nothing listed: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<NamespaceSelectors>,
    /// Namespaces with at least one Pod that matches get a copy, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces_with_pods: Option<PodSelectors>,
    /// Added: `ServiceAccounts` of these namespaces that reference the copy, by name or with `*` and `?`. Nothing listed:
    /// none, and Pods have to name the Secret themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<String>,
}

/// What the copies are like.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetSecret {
    /// Their name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Labels that they get.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations that they get.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Which namespaces.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelectors {
    /// By name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// By label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelSelector>,
    /// By annotation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<AnnotationSelector>,
}

/// Which Pods.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSelectors {
    /// By label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelSelector>,
    /// By annotation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<AnnotationSelector>,
}

/// Conditions on labels, which all have to hold. With none, everything matches.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels with their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Conditions on single labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Expression>,
}

/// Conditions on annotations, which all have to hold. With none, everything matches.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AnnotationSelector {
    /// Annotations with their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_annotations: BTreeMap<String, String>,
    /// Conditions on single annotations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Expression>,
}

/// A condition on one key.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
    "message": "In and NotIn need at least one value, Exists and DoesNotExist take none",
}]))]
pub struct Expression {
    /// The key.
    pub key: String,
    /// `In` and `NotIn` compare with `values`; `Exists` and `DoesNotExist` look whether the key is there.
    // A text and no enum: an object that was stored before there was this rule has to be readable.
    #[schemars(extend("enum" = ["In", "NotIn", "Exists", "DoesNotExist"]))]
    pub operator: String,
    /// Values to compare with, at least one for `In` and `NotIn`, none for the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How it stands.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImagePullSecretStatus {
    /// `Ready`, or `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What keeps it from being ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When everything was last written as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_successful_reconciliation: Option<String>,
    /// For how many seconds the credentials were good at that time; none if nobody says that they expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity_seconds: Option<i32>,
    /// Namespaces that have a copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managed_namespaces: Vec<String>,
    /// How each of the sources stands, by `NAMESPACE.NAME`: `Ok`, or what is wrong.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub source_secret_status: BTreeMap<String, String>,
    /// Added: when the first of the credentials expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub expires_at: Option<String>,
    /// Added: the generation of the specification that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Added: `Ready`, for `kubectl wait`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Added: registries for which sources have different credentials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
}

/// A condition, as Kubernetes writes them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// When `status` last changed.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// The generation of the specification that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Two sources have different contents for one registry.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// The registry, or another key of the configuration.
    pub key: String,
    /// `NAMESPACE.NAME` of the Secret whose content counts.
    pub taken: String,
    /// `NAMESPACE.NAME` of the one whose content does not.
    pub dropped: String,
}

/// uid and name of a resource.
#[must_use]
pub fn identity(resource: &ImagePullSecret) -> Option<(&str, &str)> {
    Some((resource.metadata.uid.as_deref()?, resource.metadata.name.as_deref()?))
}
