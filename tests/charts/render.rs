//! What script, chart and kustomize make of settings.

use std::fs;
use std::path::Path;
use std::process::Command;

use pullgate::offline::yaml;
use serde_json::Value;
use tempfile::TempDir;

use crate::tools::{chart, helm, kubectl, root, run};

pub(crate) const IMAGE: &str = "registry.example/infra/pullgate:1";

fn objects(text: &str) -> Vec<Value> {
    yaml::read(text).into_iter().map(|document| document.value.unwrap()).collect()
}

/// A folder that `deployment/generate-certs-and-config.sh` wrote.
pub(crate) struct Script(TempDir);

impl Script {
    #[track_caller]
    pub(crate) fn new(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(root().join("deployment/generate-certs-and-config.sh"));
        let path = std::env::var_os("PATH").unwrap();
        command.env_clear().env("PATH", path).env("IMAGE", IMAGE).envs(settings.iter().copied());
        run(command.current_dir(folder.path()), "").ok();
        Self(folder)
    }

    /// The manifests that `kubectl apply -f generated/` reads, and the definition.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let mut found = Vec::new();
        for folder in ["generated", "generated/crd"] {
            for entry in fs::read_dir(self.0.path().join(folder)).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|is| is == "yaml") {
                    found.extend(objects(&fs::read_to_string(path).unwrap()));
                }
            }
        }
        found
    }

    /// What `kubectl apply -f` is given.
    pub(crate) fn manifests(&self) -> String {
        self.0.path().join("generated").display().to_string()
    }

    /// The Job that takes back what the controller made.
    pub(crate) fn uninstallation(&self) -> Vec<Value> {
        objects(&fs::read_to_string(self.0.path().join("generated/uninstall/controller.yaml")).unwrap())
    }

    /// The CA, as `caBundle` has it. None where there is only the controller.
    pub(crate) fn ca_bundle(&self) -> Option<String> {
        let all = self.objects();
        let registration = all.iter().find(|object| object["kind"] == "MutatingWebhookConfiguration")?;
        Some(registration["webhooks"][0]["clientConfig"]["caBundle"].as_str()?.to_owned())
    }
}

/// The chart's manifests.
#[track_caller]
pub(crate) fn template(namespace: &str, values: &Value) -> String {
    let chart = chart();
    let chart = chart.to_str().unwrap();
    helm(&["template", "pullgate", chart, "--namespace", namespace, "--values", "-"], &values.to_string())
        .ok()
}

#[track_caller]
pub(crate) fn by_helm(namespace: &str, values: &Value) -> Vec<Value> {
    objects(&template(namespace, values))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The manifests of an overlay beside `deployment/kustomize/example`. kustomize reads no file outside of its folders,
/// so they are copied to where an overlay may be written.
#[track_caller]
pub(crate) fn build(overlay: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("deployment/kustomize"), &folder.path().join("kustomize"));
    copy(&root().join("deployment/monitoring"), &folder.path().join("monitoring"));
    let path = folder.path().join("kustomize/overlay");
    fs::create_dir(&path).unwrap();
    let header = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";
    fs::write(path.join("kustomization.yaml"), [header, overlay].concat()).unwrap();
    kubectl(&format!("kustomize {}", path.display()), "").ok()
}

#[track_caller]
pub(crate) fn by_kustomize(overlay: &str) -> Vec<Value> {
    objects(&build(overlay))
}
