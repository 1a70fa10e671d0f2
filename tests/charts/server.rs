//! The API server takes everything that is rendered.

use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::render::{build, template};
use crate::tools::{kubectl, root, run};

/// The definitions of cert-manager and of the Prometheus operator that manifests here are made of, from their own
/// modules: without them the API server knows no such kinds.
pub(crate) fn definitions() {
    static DEFINED: OnceLock<()> = OnceLock::new();
    DEFINED.get_or_init(|| {
        let mut go = Command::new("go");
        go.current_dir(root().join("tests/tools/crds")).env("GOFLAGS", "-mod=mod").env("GOWORK", "off");
        let modules =
            ["github.com/cert-manager/cert-manager", "github.com/prometheus-operator/prometheus-operator"];
        let said = run(go.args(["mod", "download", "-json"]).args(modules), "").ok();
        let folders: Vec<String> = serde_json::Deserializer::from_str(&said)
            .into_iter::<Value>()
            .map(|module| module.unwrap()["Dir"].as_str().unwrap().to_owned())
            .collect();
        let [cert_manager, operator] = folders.as_slice() else { panic!("{folders:?}") };
        let mut files = Vec::new();
        for name in ["issuers", "certificates"] {
            files.push(format!("{cert_manager}/deploy/crds/cert-manager.io_{name}.yaml"));
        }
        for name in ["servicemonitors", "podmonitors", "prometheusrules"] {
            files.push(format!(
                "{operator}/example/prometheus-operator-crd/monitoring.coreos.com_{name}.yaml"
            ));
        }
        let files = files.join(" -f ");
        kubectl(&format!("apply --server-side -f {files}"), "").ok();
        kubectl(&format!("wait --for=condition=Established --timeout=30s -f {files}"), "").ok();
    });
}

/// A namespace that goes when this is dropped: a dry run of what is in one needs it.
pub(crate) struct Namespace(pub(crate) &'static str);

impl Namespace {
    pub(crate) fn new(name: &'static str) -> Self {
        kubectl(&format!("create namespace {name}"), "").ok();
        Self(name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        kubectl(&format!("delete namespace {} --ignore-not-found", self.0), "");
    }
}

#[track_caller]
fn accepted(what: &str, manifests: &str) {
    let ran = kubectl("apply --dry-run=server --server-side --validate=strict -f -", manifests);
    assert!(ran.succeeded, "{what}: {}", ran.err);
    assert!(!ran.err.contains("Warning"), "{what}: {}", ran.err);
    let objects = manifests.lines().filter(|line| line.starts_with("kind: ")).count();
    let taken = ran.out.lines().filter(|line| line.ends_with("(server dry run)")).count();
    assert!(objects > 3 && taken == objects, "{what}: {taken} of {objects}: {}", ran.out);
}

#[test]
fn the_api_server_takes_the_chart_with_any_values() {
    definitions();
    let namespace = Namespace::new("charts-dry-run");
    // The Pod of `helm test` comes after the rest, and needs its account even in a dry run.
    kubectl(&format!("create serviceaccount pullgate --namespace {}", namespace.0), "").ok();
    let pods = json!({
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "podAffinityTerm": {"topologyKey": "a", "labelSelector": {"matchLabels": {"a": "b"}}}},
        ]}},
        "topologySpreadConstraints": [],
        "podLabels": {"a": "b"},
        "podAnnotations": {"a": "b"},
        "priorityClassName": "system-node-critical",
        "serviceAccount": {"annotations": {"a": "b"}},
        "podDisruptionBudget": {"maxUnavailable": "50%"},
        "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": null, "memory": "1Gi"}},
    });
    let mut webhook = pods.clone();
    webhook["autoscaling"] = json!({"enabled": true});
    webhook["service"] = json!({"annotations": {"a": "b"}});
    let mut controller = pods;
    controller["enabled"] = json!(true);
    controller["imagePullSecretResources"] = json!({"enabled": true});
    let everything = json!({
        "image": {"digest": format!("sha256:{}", "0".repeat(64)), "repository": "a/b", "pullPolicy": "Always"},
        "imagePullSecrets": ["regcred"],
        "commonLabels": {"team": "platform"},
        "commonAnnotations": {"team": "platform"},
        "settings": {
            "REGISTRY": "r.example", "DEFAULT_STORAGE_CLASS": "fast", "CONFIG_TARGET_IMAGE_PULL_SECRET_NAME": "s",
        },
        "registration": {"annotations": {"a": "b"}},
        "webhook": webhook,
        "controller": controller,
        "networkPolicy": {
            "enabled": true,
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
            "controllerEgress": [{"ports": [{"port": 6443}]}],
        },
    });
    let monitoring = json!({
        "labels": {"release": "prometheus"}, "interval": "15s",
        "serviceMonitor": {"enabled": true},
        "prometheusRule": {"enabled": true},
        "dashboard": {"enabled": true, "annotations": {"grafana_folder": "Cluster"}},
    });
    for (what, values) in [
        ("defaults", json!({})),
        ("everything", everything),
        ("monitoring", json!({"monitoring": monitoring, "controller": {"enabled": true}})),
        (
            "pod monitors",
            json!({"monitoring": {"podMonitor": {"enabled": true}}, "controller": {"enabled": true}}),
        ),
        (
            "cert-manager",
            json!({"certificates": {"mode": "certManager", "validity": "2160h", "overlap": "720h"}}),
        ),
        (
            "an issuer",
            json!({"certificates": {"mode": "certManager", "certManager": {"issuerRef": {"name": "ca", "kind": "ClusterIssuer"}}}}),
        ),
        (
            "csr",
            json!({"certificates": {"mode": "csr", "csr": {"signerName": "example.com/serving", "caConfigMap": "ca"}}}),
        ),
        ("not registered", json!({"registration": {"enabled": false}})),
    ] {
        let mut values = values;
        if values["image"].is_null() {
            values["image"] = json!({"repository": "registry.example/infra/pullgate"});
        }
        accepted(what, &template(namespace.0, &values));
    }
}

#[test]
fn the_api_server_takes_every_overlay() {
    definitions();
    let namespace = Namespace::new("charts-overlays");
    let example =
        std::fs::read_to_string(root().join("deployment/kustomize/example/kustomization.yaml")).unwrap();
    let example = example.split_once("kind: Kustomization\n").unwrap().1;
    accepted(
        "example",
        &build(&example.replace("namespace: pullgate\n", &format!("namespace: {}\n", namespace.0))),
    );
    for components in [
        "[../components/self-managed, ../components/pull-secrets, ../components/resources]",
        "[../components/csr, ../components/network-policy, ../components/hpa]",
        "[../components/cert-manager, ../components/claims, ../components/accounts]",
        "[../../monitoring, ../../monitoring/webhook, ../../monitoring/controller]",
        "[../../monitoring/webhook, ../../monitoring/controller, ../../monitoring/service-monitor]",
    ] {
        let overlay = format!(
            "namespace: {}\nresources: [../base, ../controller]\ncomponents: {components}\n",
            namespace.0
        );
        accepted(components, &build(&overlay));
    }
}
