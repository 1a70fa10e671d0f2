//! A resource of one's own, and its copies.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::controller::case::{Case, KEY, pull_secret};
use crate::kubectl::kubectl;
use crate::space::{Space, unique};
use crate::wait::soon;

/// A resource that is deleted when dropped.
pub(crate) struct Resource {
    pub(crate) name: String,
    /// Name of the copies.
    pub(crate) secret: String,
    label: Value,
}

/// The definition, as it is installed.
pub(crate) fn install() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deployment/crd.yaml");
        kubectl("apply -f").word(path.to_str().expect("a path in UTF-8")).ok();
        kubectl("wait --for=condition=Established crd/imagepullsecrets.images.banzaicloud.io").ok();
    });
}

/// Registries with a password each, as `docker login` writes them.
pub(crate) fn logins(registries: &[(&str, &str)]) -> String {
    let entry = |password: &str| json!({"auth": STANDARD.encode(format!("robot:{password}"))});
    let auths: serde_json::Map<_, _> =
        registries.iter().map(|(registry, password)| ((*registry).to_owned(), entry(password))).collect();
    json!({ "auths": auths }).to_string()
}

/// Makes or changes a source.
#[track_caller]
pub(crate) fn source(space: &Space, name: &str, registries: &[(&str, &str)]) {
    space.kubectl("apply -f -").input(&pull_secret(name, &logins(registries))).ok();
}

impl Resource {
    /// Makes one that merges these Secrets of the case's own namespace.
    #[track_caller]
    pub(crate) fn new(case: &Case, sources: &[&str], target: &Value) -> Self {
        install();
        let (key, value) =
            case.label().split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).expect("a label");
        let resource = Self { name: unique("imps"), secret: unique("merged"), label: json!({ key: value }) };
        resource.apply(case, sources, target);
        resource
    }

    /// Applies it anew.
    #[track_caller]
    pub(crate) fn apply(&self, case: &Case, sources: &[&str], target: &Value) {
        let credentials: Vec<_> =
            sources.iter().map(|name| json!({"name": name, "namespace": case.home.name})).collect();
        let mut target = target.clone();
        if target["secret"].is_null() {
            target["secret"] = json!({"name": self.secret});
        }
        let resource = json!({
            "apiVersion": "images.banzaicloud.io/v1alpha1", "kind": "ImagePullSecret",
            "metadata": {"name": self.name, "labels": self.label},
            "spec": {"registry": {"credentials": credentials}, "target": target},
        });
        kubectl("apply -f -").input(&resource).ok();
    }

    /// `kubectl VERB imps NAME`, where `line` may end with more.
    pub(crate) fn kubectl(&self, verb: &str) -> crate::kubectl::Kubectl {
        kubectl(&format!("{verb} imagepullsecret {}", self.name))
    }

    #[track_caller]
    pub(crate) fn get(&self) -> Value {
        self.kubectl("get -o json").json()
    }

    /// Waits for a state, and returns the status then.
    #[track_caller]
    pub(crate) fn is(&self, state: &str) -> Value {
        soon(&format!("{state} of {}", self.name), || {
            let status = self.get()["status"].take();
            (status["status"] == state).then_some(status)
        })
    }

    /// Waits until exactly these namespaces have a copy, by the status and in truth.
    #[track_caller]
    pub(crate) fn is_in(&self, spaces: &[&Space]) {
        let mut expected: Vec<_> = spaces.iter().map(|space| space.name.clone()).collect();
        expected.sort();
        soon(&format!("copies in {expected:?}"), || {
            let managed = self.get()["status"]["managedNamespaces"].take();
            let managed: Vec<String> = serde_json::from_value(managed).unwrap_or_default();
            (managed == expected && self.places() == expected).then_some(())
        });
    }

    /// Namespaces that have a Secret of its name.
    #[track_caller]
    pub(crate) fn places(&self) -> Vec<String> {
        let selector = format!("--field-selector=metadata.name={}", self.secret);
        let all = kubectl("get secrets --all-namespaces -o json").word(&selector).json();
        let mut all: Vec<_> = all["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|secret| secret["metadata"]["namespace"].as_str().unwrap_or_default().to_owned())
            .collect();
        all.sort();
        all
    }

    /// The copy in a namespace, if there is one.
    #[track_caller]
    pub(crate) fn copy(&self, space: &Space) -> Option<Value> {
        let line = format!("get secret {} --ignore-not-found -o json", self.secret);
        serde_json::from_str(&space.kubectl(&line).ok().out).ok()
    }

    /// Waits until a copy has these passwords by registry, and no other.
    #[track_caller]
    pub(crate) fn has(&self, space: &Space, registries: &[(&str, &str)]) -> Value {
        let expected: BTreeMap<_, _> = registries
            .iter()
            .map(|(registry, password)| ((*registry).to_owned(), (*password).to_owned()))
            .collect();
        soon(&format!("{expected:?} in {}", space.name), || {
            self.copy(space).filter(|copy| passwords(copy) == expected)
        })
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        // Nobody may be there any more who would take the finalizer away.
        let bare = r#"--patch={"metadata":{"finalizers":null}}"#;
        self.kubectl("patch --type=merge").word(bare).run();
        self.kubectl("delete --ignore-not-found --wait=false").run();
    }
}

/// What a client of a registry sends as user and password, by registry: `auth` of a pull secret.
pub(crate) fn auths(secret: &Value) -> BTreeMap<String, String> {
    let content = secret["data"][KEY].as_str().and_then(decoded).unwrap_or_default();
    let content: Value = serde_json::from_str(&content).unwrap_or_default();
    let auths = content["auths"].as_object().cloned().unwrap_or_default();
    let auth = |entry: &Value| entry["auth"].as_str().unwrap_or_default().to_owned();
    auths.iter().map(|(registry, entry)| (registry.clone(), auth(entry))).collect()
}

/// Passwords of a pull secret by registry.
pub(crate) fn passwords(secret: &Value) -> BTreeMap<String, String> {
    let password = |auth: &str| {
        let pair = decoded(auth).unwrap_or_default();
        pair.split_once(':').map(|(_, password)| password.to_owned()).unwrap_or_default()
    };
    auths(secret).into_iter().map(|(registry, auth)| (registry, password(&auth))).collect()
}

fn decoded(text: &str) -> Option<String> {
    STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}
