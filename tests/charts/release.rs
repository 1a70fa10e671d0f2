//! A release of the chart in the cluster: installed, upgraded while somebody else owns a field, and gone again.

use serde_json::{Value, json};

use crate::render::Script;
use crate::server::Namespace;
use crate::tools::{Ran, chart, helm, kubectl};

const NAMESPACE: &str = "charts-release";

/// Nothing answers behind this registration, and all Pods of the cluster are asked about.
fn values(level: &str) -> String {
    json!({
        "image": {"repository": "registry.example/infra/pullgate"},
        "settings": {"REGISTRY": "registry.example", "LOG_LEVEL": level},
        "registration": {"failurePolicy": "Ignore"},
        "controller": {"enabled": true, "imagePullSecretResources": {"enabled": true}},
    })
    .to_string()
}

fn release(command: &str, options: &[&str], level: &str) -> Ran {
    let chart = chart();
    let fixed = [command, "pullgate", chart.to_str().unwrap(), "--namespace", NAMESPACE, "--values", "-"];
    helm(&[&fixed, options].concat(), &values(level))
}

fn get(what: &str) -> Value {
    serde_json::from_str(&kubectl(&format!("get {what} -o json --namespace {NAMESPACE}"), "").ok()).unwrap()
}

/// `caBundle` of the first webhook.
fn bundle() -> Value {
    get("mutatingwebhookconfiguration/pullgate")["webhooks"][0]["clientConfig"]["caBundle"].clone()
}

fn log_level() -> Value {
    let deployment = get("deployment/pullgate");
    let env = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap();
    env.iter().find(|variable| variable["name"] == "LOG_LEVEL").unwrap()["value"].clone()
}

/// Uninstalls whatever came of the test.
struct Installed(#[expect(dead_code, reason = "goes after the release")] Namespace);

impl Installed {
    /// In a cluster where other tests may have left the definition, which Helm would not take for its own.
    fn begin() -> Self {
        delete_definition();
        Self(Namespace::new(NAMESPACE))
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        helm(&["uninstall", "pullgate", "--namespace", NAMESPACE, "--ignore-not-found"], "");
        delete_definition();
    }
}

fn delete_definition() {
    kubectl("delete crd imagepullsecrets.images.banzaicloud.io --ignore-not-found", "");
}

/// As the controller does it, and cert-manager's injector.
fn patch_bundle(pem: &str) {
    let patch = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": pem}]).to_string();
    let line = "patch mutatingwebhookconfiguration pullgate --type=json --field-manager=pullgate-controller --patch-file=/dev/stdin";
    kubectl(line, &patch).ok();
}

#[test]
fn an_upgrade_leaves_the_ca_that_the_controller_filled_in_and_does_not_conflict_with_it() {
    let installed = Installed::begin();
    release("install", &[], "info").ok();
    assert_eq!(bundle(), Value::Null, "the chart leaves the CA to the controller");
    // No certificates: the API server looks at their form alone.
    let (first, second) = ("LS0tLS1CRUdJTi0tLS0tCg==", "LS0tLS1CRUdJTi1BR0FJTi0tLQo=");
    patch_bundle(first);
    for (options, level) in [
        (&[][..], "debug"),
        (&["--server-side=false", "--force-conflicts=false"], "warn"),
        (&["--server-side=true"], "error"),
    ] {
        release("upgrade", options, level).ok();
        assert_eq!(bundle(), first, "after an upgrade with {options:?}");
        assert_eq!(log_level(), level);
    }
    // A rotation between two upgrades.
    patch_bundle(second);
    release("upgrade", &[], "info").ok();
    assert_eq!(bundle(), second);
    helm(&["rollback", "pullgate", "1", "--namespace", NAMESPACE], "").ok();
    assert_eq!(bundle(), second, "after a rollback");

    helm(&["uninstall", "pullgate", "--namespace", NAMESPACE], "").ok();
    let kinds = "all,mutatingwebhookconfigurations,clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,pdb,resourcequotas";
    let left = kubectl(&format!("get {kinds} --all-namespaces -o name -l helm.sh/chart"), "").ok();
    assert_eq!(left, "", "the release leaves nothing");
    get("crd/imagepullsecrets.images.banzaicloud.io");
    drop(installed);
}

/// As docs/helm.md says: the objects of the script become those of a release, and stay in use.
#[test]
fn helm_takes_over_what_the_script_has_installed() {
    let installed = Installed::begin();
    let settings = [
        ("REGISTRY", "registry.example"),
        ("NAMESPACE", NAMESPACE),
        ("FAILURE_POLICY", "Ignore"),
        ("CONTROLLER", "yes"),
    ];
    let script = Script::new(&settings);
    kubectl(&format!("apply -f {}", script.manifests()), "").ok();
    let uid = |what: &str| get(what)["metadata"]["uid"].clone();
    let before = ["deployment/pullgate", "mutatingwebhookconfiguration/pullgate"].map(uid);
    release("install", &["--take-ownership", "--force-conflicts"], "debug").ok();
    assert_eq!(["deployment/pullgate", "mutatingwebhookconfiguration/pullgate"].map(uid), before);
    assert_eq!(bundle(), script.ca_bundle().unwrap(), "what is served is still trusted");
    assert_eq!(log_level(), "debug");
    drop(installed);
}
