//! `pullgate doctor`: each finding is caused, told, and mended by the very command that it names.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::certs::{authority, leaf};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::controller::case::{login, pull_secret};
use crate::installation::{Generated, Installation};
use crate::kubectl::kubectl;
use crate::register::kubeconfig_of;
use crate::space::{Space, pod};
use crate::wait::until;
use crate::webhook::program;

/// What the doctor says of an installation.
struct Patient<'a> {
    installation: Installation<'a>,
}

/// Findings of a namespace, and the exit status.
fn examine(namespace: &str) -> (Vec<Value>, Option<i32>) {
    let ran = Command::new(program())
        .args(["doctor", "--namespace", namespace, "--output", "json"])
        .output()
        .expect("the program can be run");
    let report: Value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&ran.stderr)));
    let findings = report["findings"].as_array().expect("findings").clone();
    let is_well = findings.iter().all(|finding| finding["severity"] == "info");
    assert_eq!(report["healthy"], is_well);
    assert_eq!(ran.status.code(), Some(i32::from(!is_well)));
    (findings, ran.status.code())
}

impl Patient<'_> {
    /// The finding of a check whose problem has these words, when it is there.
    #[track_caller]
    fn told(&self, check: &str, words: &str, severity: &str) -> String {
        let finding = until(&format!("{check}: {words}"), || self.find(check, words));
        assert_eq!(finding["severity"], severity, "{finding}");
        finding["mend"].as_str().expect("a command").to_owned()
    }

    fn find(&self, check: &str, words: &str) -> Option<Value> {
        let (findings, _) = examine(self.installation.namespace());
        let mut findings = findings.into_iter().filter(|finding| finding["check"] == check);
        findings.find(|finding| finding["problem"].as_str().is_some_and(|problem| problem.contains(words)))
    }

    #[track_caller]
    fn gone(&self, check: &str, words: &str) {
        until(&format!("no {check}: {words}"), || self.find(check, words).is_none().then_some(()));
    }

    /// Told, and gone when its command has been run.
    #[track_caller]
    fn mended(&self, check: &str, words: &str, severity: &str) {
        let mend = self.told(check, words, severity);
        self.installation.run(&mend);
        self.gone(check, words);
    }
}

fn patch_registration(patch: &Value) {
    let patch = format!("--patch={patch}");
    kubectl("patch mutatingwebhookconfiguration pullgate --type=json").word(&patch).ok();
}

/// One test, because the registration is for the whole cluster: nothing else may run beside it.
#[test]
fn every_finding_about_the_webhook_is_told_and_mended() {
    let space = Space::alone();
    let (excluded, old) = (space.sibling(), space.sibling());
    old.kubectl("create -f -").input(&pod("before", "nginx:1")).ok();
    excluded.kubectl("create -f -").input(&pod("left", "nginx:1")).ok();
    space.kubectl("create -f -").input(&pod("apart", "ghcr.io/acme/app:1")).ok();
    space.kubectl("create -f -").input(&pod("odd", "nginx:1:2")).ok();
    let generated = Generated::new(&[
        ("REGISTRY", "registry.example"),
        ("IGNORED_REGISTRIES", "ghcr.io/acme"),
        ("EXCLUDE_NAMESPACES", &excluded.name),
        ("REPLICAS", "1"),
    ]);
    let (findings, status) = examine(&generated.namespace);
    assert!(
        findings.iter().any(|it| it["check"] == "registered" && it["severity"] == "error"),
        "{findings:?}"
    );
    assert_eq!(status, Some(1));

    let mut patient = Patient { installation: Installation::apply(generated, &space) };
    patient.told("endpoints", "no ready endpoint", "error");
    patient.installation.serve();
    patient.gone("endpoints", "");
    patient.told("replicas", "one replica", "info");
    pods(&patient, &old, &space);
    registration(&mut patient);
    certificate(&patient);
    settings(&patient, &space);
    let (findings, status) = examine(patient.installation.namespace());
    assert_eq!(status, Some(0), "{findings:?}");
    let text = Command::new(program())
        .args(["doctor", "--namespace", patient.installation.namespace()])
        .output()
        .expect("the program can be run");
    assert!(String::from_utf8_lossy(&text.stdout).ends_with("\nall is well\n"));
    escapes(&mut patient, &space);
    without_rights(&patient, &space);
}

/// The exit status where warnings are none.
fn fails_on_errors(patient: &Patient<'_>) -> Option<i32> {
    let mut command = Command::new(program());
    command.args(["doctor", "--namespace", patient.installation.namespace(), "--fail-on", "error"]);
    command.output().expect("the program can be run").status.code()
}

fn pods(patient: &Patient<'_>, old: &Space, space: &Space) {
    assert_eq!(fails_on_errors(patient), Some(0));
    patient.mended("escaped", &format!("Pod {}/before", old.name), "warning");
    assert_eq!(crate::space::images(&old.get("pod/before")), [("app", "registry.example/nginx:1")]);
    patient.told("escaped", "its namespace is excluded", "info");
    patient.told("ignored", "ghcr.io/acme", "info");
    let mend = patient.told("unparsable", &format!("{}/odd", space.name), "warning");
    assert!(mend.ends_with("get pod odd -o yaml"), "{mend}");
    space.kubectl("delete pod odd --grace-period=0 --force").ok();
    patient.gone("unparsable", "");
    let mut mirror = pod("mirror", "nginx:1");
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "0123456789abcdef"});
    mirror["spec"]["nodeName"] = json!(space.nowhere());
    space.kubectl("create -f -").input(&mirror).ok();
    patient.told("escaped", "a kubelet runs it from a file", "info");
    space.kubectl("delete pod mirror --grace-period=0 --force").ok();
}

fn registration(patient: &mut Patient<'_>) {
    patch_registration(&json!([
        {"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"},
    ]));
    assert_eq!(fails_on_errors(patient), Some(0));
    patient.mended("failure-policy", "is Ignore", "warning");
    patch_registration(&json!([
        {"op": "remove", "path": "/webhooks/0/namespaceSelector/matchExpressions"},
    ]));
    patient.told("own-namespace", "kube-system is not excluded", "warning");
    patient.mended("own-namespace", "which is pullgate's own", "error");
    patch_registration(&json!([{"op": "remove", "path": "/webhooks"}]));
    patient.told("registered", "has no webhooks", "error");
    assert_eq!(fails_on_errors(patient), Some(1));
    patient.installation.run("kubectl apply --server-side --force-conflicts -f generated/");
    patient.gone("registered", "");
    let later = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "zz-e2e-later"},
        "webhooks": [{
            "name": "later.e2e.test", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": "https://127.0.0.1:1/"}, "failurePolicy": "Ignore",
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "nowhere"}},
        }],
    });
    kubectl("create -f -").input(&later).ok();
    patient.told("later-webhooks", "zz-e2e-later (later.e2e.test)", "info");
    kubectl("delete mutatingwebhookconfiguration zz-e2e-later").ok();
    patient.gone("later-webhooks", "");
}

fn certificate(patient: &Patient<'_>) {
    let namespace = patient.installation.namespace();
    let now = OffsetDateTime::now_utc();
    let other = authority("other", now, Duration::days(100)).expect("an authority");
    let bundle = STANDARD.encode(&other.certificate);
    patch_registration(&json!([
        {"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle},
    ]));
    patient.mended("ca-bundle", "does not accept what is served", "error");
    let host = [format!("pullgate.{namespace}.svc")];
    for (made, valid, words, severity) in [
        (now - Duration::days(97), Duration::days(100), "expires in", "warning"),
        (now - Duration::days(101), Duration::days(100), "expired", "error"),
    ] {
        let pair = leaf(&other, &host, made, valid).expect("a certificate");
        let encoded = STANDARD.encode(&pair.certificate);
        let patch = json!({"data": {"webhook-server-tls.crt": encoded}});
        kubectl(&format!("patch secret pullgate-tls --namespace={namespace} --type=merge"))
            .word(&format!("--patch={patch}"))
            .ok();
        let mend = patient.told("expiry", words, severity);
        assert!(mend.contains("generate-certs-and-config.sh --renew"), "{mend}");
    }
    patient.installation.run("kubectl apply -f generated/");
    patient.gone("expiry", "");
    patient.gone("ca-bundle", "");
}

fn settings(patient: &Patient<'_>, space: &Space) {
    let namespace = patient.installation.namespace();
    let set = |what: &str| {
        kubectl(&format!("set env deployment/pullgate --namespace={namespace}")).word(what).ok();
    };
    set("REGISTRY=registry.example/");
    patient.told("settings", "REGISTRY=", "error");
    set("REGISTRY=registry.example");
    patient.gone("settings", "");
    // By the name that another webhook had for it.
    set("CONFIG_CERT_PATH=/run/secrets/tls/other.crt");
    patient.told("certificate", "has no certificate in other.crt", "error");
    set("CONFIG_CERT_PATH=");
    patient.gone("certificate", "");
    set("CONFIG_CERT_PATH-");
    // What the Deployment says and nobody has noticed yet, in the registration and in Pods and accounts.
    set("IMAGE_PULL_SECRET=regcred");
    space.kubectl("create -f -").input(&pod("bare", "registry.example/nginx:1")).ok();
    patient.told("pull-secret", &format!("Pod {}/bare", space.name), "warning");
    set("IMAGE_PULL_SECRET-");
    patient.gone("pull-secret", "");
    set("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=regcred");
    let words = format!("{}/default does not reference regcred", space.name);
    patient.mended("accounts", &words, "warning");
    set("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME-");
    set("MODE=audit");
    patient.told("failure-policy", "in audit mode", "warning");
    set("MODE-");
    patient.gone("failure-policy", "");
    kubectl(&format!("scale deployment/pullgate --namespace={namespace} --replicas=2")).ok();
    patient.told("endpoints", "1 of 2 replicas", "warning");
    kubectl(&format!("scale deployment/pullgate --namespace={namespace} --replicas=1")).ok();
    patient.gone("endpoints", "");
}

fn escapes(patient: &mut Patient<'_>, space: &Space) {
    patch_registration(&json!([
        {"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"},
    ]));
    patient.installation.fail();
    space.kubectl("create -f -").input(&pod("escaped", "nginx:1")).ok();
    let mend = patient.told("escaped", &format!("Pod {}/escaped", space.name), "warning");
    assert!(mend.contains("kubectl replace --force"), "{mend}");
}

/// Who may read nothing is told so, and that all is not well.
fn without_rights(patient: &Patient<'_>, space: &Space) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let kubeconfig = kubeconfig_of("default", &space.name, folder.path());
    let ran = Command::new(program())
        .args(["doctor", "--namespace", patient.installation.namespace(), "--kubeconfig"])
        .arg(kubeconfig)
        .output()
        .expect("the program can be run");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(ran.status.code(), Some(1), "{said}");
    for what in ["mutatingwebhookconfigurations", "deployments", "pods", "namespaces", "serviceaccounts"] {
        assert!(said.contains(&format!("unreadable: {what} cannot be read")), "{said}");
    }
    assert!(!said.contains("registered:"), "what is not seen is not judged: {said}");
}

#[test]
fn every_finding_about_the_controller_is_told_and_mended() {
    let space = Space::alone();
    let generated = Generated::new(&[
        ("REGISTRY", "registry.example"),
        ("CONTROLLER", "yes"),
        ("RESOURCES", "yes"),
        ("CONFIG_SECRETNAME", "everywhere"),
        ("REPLICAS", "1"),
    ]);
    kubectl("apply -f").word(&generated.path("crd/imagepullsecrets.yaml")).ok();
    let mut patient = Patient { installation: Installation::apply(generated, &space) };
    patient.installation.serve();
    let namespace = patient.installation.namespace().to_owned();
    let own = |line: &str| kubectl(&format!("--namespace={namespace} {line}"));

    patient.told("controller", "no ready replica", "error");
    until("a Pod that counts as ready", || {
        let pods = own("get pods --selector=app.kubernetes.io/component=controller -o name").ok().out;
        let pod = pods.lines().next()?.to_owned();
        let patch =
            r#"--patch={"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#;
        own("patch --subresource=status --type=merge").word(&pod).word(patch).ok();
        patient.find("controller", "no ready replica").is_none().then_some(())
    });

    let mend = patient.told("source", "everywhere", "error");
    assert!(mend.contains("create secret docker-registry everywhere"), "{mend}");
    own("create -f -").input(&pull_secret("everywhere", &login("one"))).ok();
    patient.gone("source", "");
    let mend = patient.told("copies", &format!("namespace {} has no Secret", space.name), "warning");
    assert!(mend.ends_with("rollout restart deployment/pullgate-controller"), "{mend}");
    space.kubectl("create -f -").input(&pull_secret("everywhere", &login("two"))).ok();
    patient.told("copies", &format!("Secret {}/everywhere does not hold", space.name), "warning");
    space.kubectl("apply -f -").input(&pull_secret("everywhere", &login("one"))).ok();
    patient.gone("copies", &format!("{}/everywhere", space.name));
    patient.mended("accounts", &format!("{}/default", space.name), "warning");

    kubectl("delete clusterrole pullgate-controller").ok();
    patient.told("rights", "may not patch secrets everywhere in all namespaces", "error");
    patient.mended("rights", "may not list namespaces in all namespaces", "error");
    own("set image deployment/pullgate-controller controller=quay.io/infra/pullgate:2").ok();
    patient.mended("versions", "the controller quay.io/infra/pullgate:2", "warning");

    let resource = json!({
        "apiVersion": "images.banzaicloud.io/v1alpha1", "kind": "ImagePullSecret",
        "metadata": {"name": space.name},
        "spec": {
            "registry": {"credentials": [{"name": "nowhere", "namespace": space.name}]},
            "target": {"secret": {"name": "merged"}, "namespaces": {"names": [space.name]}},
        },
    });
    kubectl("create -f -").input(&resource).ok();
    let mend = patient.told("resources", &format!("ImagePullSecret {} is not ready", space.name), "warning");
    patient.installation.run(&mend);
    let rights = "patch clusterrole pullgate-controller-resources --type=json --patch";
    let rules = json!([{"op": "replace", "path": "/rules", "value": [
        {"apiGroups": ["images.banzaicloud.io"], "resources": ["imagepullsecrets"], "verbs": ["list"]},
    ]}]);
    kubectl(rights).word(&rules.to_string()).ok();
    patient.mended("rights", "may not list pods in all namespaces", "error");
    kubectl("delete clusterrole pullgate-controller-resources").ok();
    patient.told("resources", "may not list them: it leaves them alone", "info");
    patient.gone("rights", "");
    kubectl("delete imagepullsecret").word(&space.name).ok();
    patient.gone("resources", "");
}
