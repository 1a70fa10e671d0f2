//! PURE: what the controller has to be allowed, by its settings.

use std::fmt;

use serde_json::{Value, json};

use crate::controller::certificates::settings::Issuer;
use crate::controller::settings::Settings;

/// One thing to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Right {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    /// Empty: any.
    name: String,
    /// Empty: everywhere.
    namespace: String,
}

impl Right {
    /// As the API server is asked.
    pub(super) fn attributes(&self) -> Value {
        let Self { verb, group, resource, name, namespace } = self;
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        json!({
            "verb": verb, "group": group, "resource": resource, "subresource": subresource,
            "name": name, "namespace": namespace,
        })
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, resource, name, namespace, .. } = self;
        write!(f, "{verb} {resource}")?;
        if !name.is_empty() {
            write!(f, " {name}")?;
        }
        if namespace.is_empty() { f.write_str(" in all namespaces") } else { write!(f, " in {namespace}") }
    }
}

/// What it needs for `ImagePullSecret` resources; without the first of these it does not follow them.
pub(super) fn of_resources() -> Vec<Right> {
    let group = "images.banzaicloud.io";
    let rights: [(&str, &str, &[&str]); 5] = [
        (group, "imagepullsecrets", &["list", "watch", "update"]),
        (group, "imagepullsecrets/status", &["update"]),
        ("", "secrets", &["get", "list", "watch", "create", "update", "delete"]),
        ("", "pods", &["list", "watch"]),
        ("", "serviceaccounts", &["list", "watch", "patch"]),
    ];
    let each = |(group, resource, verbs): (&'static str, &'static str, &'static [&'static str])| {
        let (name, namespace) = (String::new(), String::new());
        let right = Right { verb: "", group, resource, name, namespace };
        verbs.iter().map(move |verb| Right { verb, ..right.clone() })
    };
    rights.into_iter().flat_map(each).collect()
}

/// All that the controller needs by its settings; the manifests give it, each for a reason that is said there.
pub(super) fn wanted(settings: &Settings, own: &str) -> Vec<Right> {
    let mut all = Vec::new();
    let mut add = |(group, resource): (&'static str, &'static str),
                   name: &str,
                   namespace: &str,
                   verbs: &[&'static str]| {
        all.extend(verbs.iter().map(|verb| Right {
            verb,
            group,
            resource,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
        }));
    };
    let secrets = ("", "secrets");
    if settings.pull_secrets {
        let account = settings.account.as_deref().unwrap_or_default();
        let (namespace, source) = &settings.source.object;
        add(("", "namespaces"), "", "", &["list", "watch"]);
        add(secrets, &settings.secret, "", &["list", "watch", "create", "patch", "delete"]);
        add(secrets, source, namespace, &["list", "watch"]);
        add(("", "serviceaccounts"), account, "", &["list", "watch", "patch"]);
        add(("events.k8s.io", "events"), "", "", &["create", "patch"]);
    }
    if let Some(lease) = &settings.lease {
        let namespace = settings.lease_namespace.as_deref().unwrap_or(own);
        add(("coordination.k8s.io", "leases"), lease, namespace, &["get", "update"]);
        add(("coordination.k8s.io", "leases"), "", namespace, &["create"]);
    }
    if let Some(kept) = &settings.certificates {
        let namespace = kept.namespace.as_deref().unwrap_or(own);
        for secret in [&kept.secret, &kept.ca_secret] {
            add(secrets, secret, namespace, &["get", "list", "watch", "create", "patch"]);
        }
        let registration = ("admissionregistration.k8s.io", "mutatingwebhookconfigurations");
        add(registration, &kept.configuration, "", &["get", "list", "watch", "patch"]);
        if matches!(kept.issuer, Issuer::Signer { .. }) {
            add(("certificates.k8s.io", "certificatesigningrequests"), "", "", &["get", "create"]);
        }
    }
    all
}
