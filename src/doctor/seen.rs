//! PURE: what there is in the cluster, as JSON, and how it is read.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::finding::word;
use crate::certs::{Certificate, read};
use crate::controller::credentials::Digest;
use crate::names::Names;
use crate::policy::Policy;

/// Everything that is looked at. What may not be read is empty, and named in `unreadable`.
#[derive(Debug, Default)]
pub struct Seen {
    /// pullgate's own.
    pub namespace: String,
    /// Seconds since 1970.
    pub now: i64,
    /// `gitVersion` of the API server.
    pub server: String,
    /// The `MutatingWebhookConfiguration` of pullgate.
    pub registration: Option<Value>,
    /// All others.
    pub others: Vec<Value>,
    /// The webhook's Deployment.
    pub webhook: Option<Value>,
    /// What its environment says, or why that cannot be used.
    pub policy: Option<Result<Policy, String>>,
    /// The controller's Deployment.
    pub controller: Option<Value>,
    /// What its environment says.
    pub distribution: Option<Distribution>,
    /// Of the webhook's Service.
    pub slices: Vec<Value>,
    /// Where the serving certificate is.
    pub mounted: Mounted,
    /// The serving certificate, with what it expires by.
    pub serving: Vec<Certificate>,
    /// Whether the key beside it is another certificate's, or none.
    pub has_another_key: bool,
    /// Who renews it.
    pub issuer: Issuer,
    /// All Namespaces.
    pub namespaces: Vec<Value>,
    /// All Pods.
    pub pods: Vec<Value>,
    /// All ServiceAccounts.
    pub accounts: Vec<Value>,
    /// Digests of the source, and of Secrets of the copies' name by their namespace.
    pub copies: Option<Copies>,
    /// `ImagePullSecret` resources.
    pub resources: Vec<Value>,
    /// Rights that the controller should have and has not.
    pub lacking: Vec<String>,
    /// Whether there are `ImagePullSecret` resources that the controller has no right to.
    pub leaves_resources: bool,
    /// What could not be looked at, and why.
    pub unreadable: Vec<(String, String)>,
}

/// What is not read where the Secret of the certificate may not be.
pub const CERTIFICATE: &str = "the webhook's certificate";

/// Where manifests come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The script.
    Script,
    /// Kustomize.
    Kustomize,
    /// A release of the chart, by its name.
    Chart(&'a str),
}

/// Who renews the webhook's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Issuer {
    /// Whoever runs the script.
    #[default]
    Script,
    /// cert-manager.
    CertManager,
    /// The controller, by an authority of its own.
    Controller,
    /// The controller, by requests that somebody approves.
    Signer,
    /// Somebody else, for a chart or for kustomize.
    Other,
}

/// The Secret that the webhook serves from, and the keys in it.
#[derive(Clone, Debug)]
pub struct Mounted {
    /// Its name.
    pub secret: String,
    /// Key of the certificate.
    pub certificate: String,
    /// Key of its key.
    pub key: String,
}

/// As the manifests have it.
impl Default for Mounted {
    fn default() -> Self {
        let [secret, certificate, key] =
            ["pullgate-tls", "webhook-server-tls.crt", "webhook-server-tls.key"].map(str::to_owned);
        Self { secret, certificate, key }
    }
}

/// What the controller of the settings hands out.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// Name of the copies.
    pub secret: String,
    /// Namespace and name of the source.
    pub source: (String, String),
    /// Whether there are credentials besides, which nobody can see from here.
    pub has_others: bool,
    /// Whether what is somebody else's is overwritten.
    pub overwrites: bool,
    /// Namespaces that get none.
    pub excluded: BTreeSet<String>,
    /// Who references the copies.
    pub accounts: Names,
}

/// What copies hold, by digest.
#[derive(Debug, Default)]
pub struct Copies {
    /// What they should hold; none: there is no source.
    pub source: Option<Digest>,
    /// What they hold.
    pub by_namespace: BTreeMap<String, Copy>,
}

impl Copies {
    /// Whether what a namespace has instead of a copy is not the controller's, and is not as good.
    #[must_use]
    pub fn is_somebody_elses(&self, namespace: &str) -> bool {
        let copy = self.by_namespace.get(namespace);
        copy.is_some_and(|copy| !copy.is_ours && self.source.as_ref() != Some(&copy.content))
    }
}

/// A Secret of the copies' name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// What it holds.
    pub content: Digest,
    /// Whether the controller takes it for its own.
    pub is_ours: bool,
}

/// A text in an object, or an empty one.
#[must_use]
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A list in an object, or an empty one.
#[must_use]
pub fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// `NAMESPACE/NAME`, or `NAME`.
#[must_use]
pub fn name(object: &Value) -> String {
    match (text(object, "/metadata/namespace"), text(object, "/metadata/name")) {
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

impl Seen {
    /// The webhooks of the registration, each with whom it trusts.
    pub fn webhooks(&self) -> impl Iterator<Item = &Value> {
        self.registration.iter().flat_map(|registration| list(registration, "/webhooks"))
    }

    /// The one that Pods are sent to.
    #[must_use]
    pub fn pods_webhook(&self) -> Option<&Value> {
        self.webhooks().find(|webhook| is_for(webhook, "pods"))
    }

    /// Whether a webhook is called for objects of a namespace. One that is not known could be any.
    #[must_use]
    pub fn reaches(&self, webhook: &Value, namespace: &str) -> bool {
        let known = self.namespaces.iter().find(|it| text(it, "/metadata/name") == namespace);
        known.is_none_or(|namespace| selects(webhook.get("namespaceSelector"), namespace))
    }

    /// Where the manifests come from.
    #[must_use]
    pub fn origin(&self) -> Origin<'_> {
        let Some(webhook) = &self.webhook else { return Origin::Script };
        let release = text(webhook, "/metadata/annotations/meta.helm.sh~1release-name");
        let is_kustomized = !list(webhook, "/spec/template/spec/containers/0/envFrom").is_empty();
        match (release, is_kustomized) {
            ("", false) => Origin::Script,
            ("", true) => Origin::Kustomize,
            (release, _) => Origin::Chart(release),
        }
    }

    /// What puts the manifests right again.
    #[must_use]
    pub fn reapply(&self) -> String {
        match self.origin() {
            Origin::Script => "kubectl apply -f generated/".to_owned(),
            Origin::Kustomize => "kubectl apply --kustomize .".to_owned(),
            Origin::Chart(release) => {
                let (release, namespace) = (word(release), &self.namespace);
                format!(
                    "helm upgrade {release} deployment/helm/pullgate --namespace {namespace} --reuse-values"
                )
            }
        }
    }

    /// Whether a check has what it needs.
    #[must_use]
    pub fn can_see(&self, what: &str) -> bool {
        self.unreadable.iter().all(|(unreadable, _)| unreadable != what)
    }
}

/// Whether a webhook is called for the creation of these.
#[must_use]
pub fn is_for(webhook: &Value, resource: &str) -> bool {
    let has = |rule: &Value, field: &str, wanted: &[&str]| {
        list(rule, field).iter().filter_map(Value::as_str).any(|given| wanted.contains(&given))
    };
    list(webhook, "/rules").iter().any(|rule| {
        has(rule, "/apiGroups", &["", "*"])
            && has(rule, "/operations", &["CREATE", "*"])
            && has(rule, "/resources", &[resource, "*", "*/*"])
    })
}

/// Whom a webhook is trusted by.
#[must_use]
pub fn trusted(webhook: &Value) -> Vec<Certificate> {
    let bundle = text(webhook, "/clientConfig/caBundle");
    read(&STANDARD.decode(bundle).unwrap_or_default())
}

/// Whether a label selector of Kubernetes selects an object.
#[must_use]
pub fn selects(selector: Option<&Value>, object: &Value) -> bool {
    let Some(selector) = selector else { return true };
    let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str);
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut labels = labels.map(|(key, value)| label(key) == value.as_str());
    let mut expressions = list(selector, "/matchExpressions").iter().map(|expression| {
        let found = label(text(expression, "/key"));
        let is_listed = || {
            let mut values = list(expression, "/values").iter().filter_map(Value::as_str);
            found.is_some_and(|found| values.any(|value| value == found))
        };
        match text(expression, "/operator") {
            "In" => is_listed(),
            "NotIn" => !is_listed(),
            "Exists" => found.is_some(),
            _ => found.is_none(),
        }
    });
    labels.all(|holds| holds) && expressions.all(|holds| holds)
}
