//! `pullgate register` and the rights that the generated manifests give it, without a node: what the Job would run
//! runs here, as its ServiceAccount, and the Pods of the webhook are called ready by hand.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::installation::Generated;
use crate::kubectl::kubectl;
use crate::space::{Space, images, unique};
use crate::wait::{in_time, until};
use crate::webhook::program;

const REGISTER: (&str, &str) = ("REGISTER", "when-ready");
const REGISTRY: (&str, &str) = ("REGISTRY", "registry.example");

/// The manifests in the cluster; uninstalled when dropped.
struct Applied(Generated);

impl Applied {
    #[track_caller]
    fn new(settings: &[(&str, &str)]) -> Self {
        let present = registration().is_some();
        assert!(
            !present,
            "pullgate is installed in this cluster: a test would break it; use another cluster"
        );
        let applied = Self(Generated::new(settings));
        kubectl("apply -f").word(&applied.0.path("")).ok();
        applied
    }

    /// The registration as `kubectl apply -f generated/` has it, with the Job and its rights.
    #[track_caller]
    fn apply_again(&self) {
        kubectl("apply -f").word(&self.0.path("40-register.yaml")).ok();
    }

    fn account(&self) -> String {
        format!("system:serviceaccount:{}:pullgate-register", self.0.namespace)
    }

    /// Calls every Pod of the Deployment ready, as a kubelet would.
    #[track_caller]
    fn make_ready(&self) {
        let namespace = &self.0.namespace;
        let selector = "--selector=app.kubernetes.io/component=webhook";
        let names = until("both Pods of the Deployment", || {
            let pods = kubectl(&format!("get pods -o json {selector} --namespace={namespace}")).json();
            let names: Vec<String> = pods["items"]
                .as_array()?
                .iter()
                .filter_map(|pod| Some(pod["metadata"]["name"].as_str()?.to_owned()))
                .collect();
            (names.len() == 2).then_some(names)
        });
        let condition =
            json!({"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"});
        let status = json!({"status": {"phase": "Running", "conditions": [condition]}});
        for name in names {
            kubectl(&format!("patch pod/{name} --subresource=status --namespace={namespace} --patch"))
                .word(&status.to_string())
                .ok();
        }
    }
}

impl Drop for Applied {
    fn drop(&mut self) {
        kubectl("delete mutatingwebhookconfiguration pullgate --ignore-not-found").run();
        kubectl("delete --ignore-not-found --wait=false -f").word(&self.0.path("")).run();
        // The names of what belongs to no namespace are those of the next installation.
        in_time(|| registration().is_none().then_some(()));
    }
}

/// What the container of the Job runs.
struct Job {
    child: Child,
    folder: TempDir,
}

impl Job {
    /// Runs the stored Job's command here, with the file that its Pod would mount and a token of its ServiceAccount.
    #[track_caller]
    fn run(namespace: &str) -> Self {
        let get = |what: &str| kubectl(&format!("get {what} -o json --namespace={namespace}")).json();
        let folder = tempfile::tempdir().expect("a scratch folder");
        let jobs = get("jobs");
        let pod = &jobs["items"][0]["spec"]["template"]["spec"];
        let account = pod["serviceAccountName"].as_str().expect("a ServiceAccount");
        let mount = pod["containers"][0]["volumeMounts"][0]["mountPath"].as_str().expect("a mounted folder");
        let volume = pod["volumes"][0]["configMap"]["name"].as_str().expect("a volume of a ConfigMap");
        for (name, text) in get(&format!("configmap/{volume}"))["data"].as_object().expect("data") {
            let text = text.as_str().expect("a text");
            fs::write(folder.path().join(name), text).expect("a file in a scratch folder");
        }
        let arguments = pod["containers"][0]["args"].as_array().expect("arguments").iter();
        let here = folder.path().display().to_string();
        let child = Command::new(program())
            .args(arguments.map(|word| word.as_str().expect("a text").replace(mount, &here)))
            .arg("--kubeconfig")
            .arg(kubeconfig_of(account, namespace, folder.path()))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).expect("a file in it"))
            .spawn()
            .expect("the program can be run");
        Self { child, folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    #[track_caller]
    fn says(&self, text: &str) {
        until(&format!("a line with {text:?}"), || self.log().contains(text).then_some(()));
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    #[track_caller]
    fn succeeds(&mut self) {
        let status = until("the end of the Job", || self.ended());
        assert!(status.success(), "{}", self.log());
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the Job ---\n{}---", self.log());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Ours, but with a token of a ServiceAccount in the place of the administrator's certificate.
pub(crate) fn kubeconfig_of(account: &str, namespace: &str, folder: &Path) -> PathBuf {
    let token = kubectl(&format!("create token {account} --namespace={namespace}")).ok().out;
    let mut config = kubectl("config view --raw --minify --flatten -o json").json();
    config["users"][0]["user"] = json!({"token": token.trim()});
    let path = folder.join("kubeconfig");
    fs::write(&path, config.to_string()).expect("a file in a scratch folder");
    path
}

/// What is registered under our name.
fn registration() -> Option<Value> {
    let stored = kubectl("get mutatingwebhookconfiguration pullgate -o json --ignore-not-found").ok().out;
    serde_json::from_str(&stored).ok()
}

fn webhooks() -> Vec<String> {
    let stored = registration().expect("it is registered");
    let list = stored["webhooks"].as_array().into_iter().flatten();
    list.filter_map(|webhook| webhook["name"].as_str().map(str::to_owned)).collect()
}

/// One test, because the registration is for the whole cluster: nothing else may run beside it.
#[test]
fn the_job_registers_when_a_replica_is_available_and_may_do_nothing_else() {
    let space = Space::alone();
    let applied = Applied::new(&[REGISTRY, REGISTER]);
    let namespace = &applied.0.namespace;
    may_do_what_it_needs_and_no_more(&applied);

    let mut job = Job::run(namespace);
    job.says("has no available replica");
    assert_eq!(job.ended(), None, "it waits: {}", job.log());
    assert!(webhooks().is_empty(), "nothing is registered before");
    let early = space.probe().expect("a Pod is not refused while nobody can answer");
    assert_eq!(images(&early), [("app", "nginx")]);

    applied.make_ready();
    job.succeeds();
    assert!(job.log().contains("registered"), "{}", job.log());
    let stored = registration().expect("it is registered");
    assert_eq!(stored["webhooks"][0]["failurePolicy"], "Fail");
    assert_eq!(stored["metadata"]["labels"]["app.kubernetes.io/name"], "pullgate");

    what_the_api_server_refuses_is_told_at_once(namespace);
    what_is_deleted_stays_deleted_until_it_is_applied_again(&applied);
    a_job_of_another_registration_ends_without_registering(&applied);

    // One that `kubectl` had registered, with a webhook more or a condition, becomes what the file says.
    kubectl("delete mutatingwebhookconfiguration pullgate").ok();
    let before = Generated::new(&[REGISTRY, ("DEFAULT_STORAGE_CLASS", "ours")]);
    kubectl("apply -f").word(&before.path("40-webhook-configuration.yaml")).ok();
    assert_eq!(webhooks(), ["pods.pullgate.svc", "claims.pullgate.svc"]);
    Job::run(namespace).succeeds();
    assert_eq!(webhooks(), ["pods.pullgate.svc"]);
    // docs/install.md: kubectl takes out what it had put there, and nothing is registered until the Job has run.
    applied.apply_again();
    assert!(webhooks().is_empty(), "{:?}", webhooks());
    Job::run(namespace).succeeds();
    assert_eq!(webhooks(), ["pods.pullgate.svc"]);
    let never = r#"[{"op": "add", "path": "/webhooks/0/matchConditions/-", "value": {"name": "never", "expression": "false"}}]"#;
    kubectl("patch mutatingwebhookconfiguration pullgate --type=json --patch").word(never).ok();
    Job::run(namespace).succeeds();
    let webhook = registration().expect("it is registered")["webhooks"][0].clone();
    assert_eq!(webhook["matchConditions"], stored["webhooks"][0]["matchConditions"]);
    assert_eq!(webhook["clientConfig"]["service"]["namespace"], namespace.as_str());
}

/// The Job may change a registration and not create one, so neither disabling nor uninstalling can be undone by one
/// that still waits.
#[track_caller]
fn what_is_deleted_stays_deleted_until_it_is_applied_again(applied: &Applied) {
    let before = webhooks();
    assert!(!before.is_empty());
    applied.apply_again();
    assert_eq!(webhooks(), before, "kubectl leaves what the Job has registered");
    kubectl("delete mutatingwebhookconfiguration pullgate").ok();
    let mut job = Job::run(&applied.0.namespace);
    job.says("cannot create resource");
    assert_eq!(registration(), None);
    assert_eq!(job.ended(), None, "it waits: {}", job.log());
    applied.apply_again();
    job.succeeds();
    assert_eq!(webhooks(), before);
    kubectl("delete -f").word(&applied.0.path("40-register.yaml")).ok();
    assert_eq!(registration(), None, "it goes with its manifest");
    applied.apply_again();
    // The authorizer learns of the rights a moment later; the Job waits for that as well.
    Job::run(&applied.0.namespace).succeeds();
}

/// It has an older file mounted than the one that was applied last.
#[track_caller]
fn a_job_of_another_registration_ends_without_registering(applied: &Applied) {
    let namespace = &applied.0.namespace;
    let relabel = |label: &str| {
        kubectl(&format!("label --overwrite deployment/pullgate {label} --namespace={namespace}")).ok();
    };
    kubectl("delete mutatingwebhookconfiguration pullgate").ok();
    applied.apply_again();
    // Of a later registration, and of none for a Job.
    for label in ["pullgate/registration=1", "pullgate/registration-"] {
        relabel(label);
        let mut job = Job::run(namespace);
        job.succeeds();
        assert!(job.log().contains("superseded, nothing is registered"), "{}", job.log());
        assert!(webhooks().is_empty(), "{:?}", webhooks());
    }
    kubectl("apply -f").word(&applied.0.path("30-deployment.yaml")).ok();
    Job::run(namespace).succeeds();
    assert!(!webhooks().is_empty());
}

/// As the administrator, so that it is the content which is refused.
#[track_caller]
fn what_the_api_server_refuses_is_told_at_once(namespace: &str) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let file = folder.path().join("registration.json");
    let webhook = json!({"name": "no.dots", "admissionReviewVersions": ["v1"], "sideEffects": "Some"});
    let content = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": unique("e2e-refused")}, "webhooks": [webhook],
    });
    fs::write(&file, content.to_string()).expect("a file in a scratch folder");
    let ran = Command::new(program())
        .args(["register", "--timeout=60", "--deployment=pullgate", "--namespace", namespace, "--file"])
        .arg(&file)
        .arg("--kubeconfig")
        .arg(std::env::var_os("KUBECONFIG").expect("kubectl has used it"))
        .output()
        .expect("the program can be run");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(
        said.contains("registration.json: refused by the API server: ") && said.contains("sideEffects"),
        "{said}"
    );
}

#[track_caller]
fn may_do_what_it_needs_and_no_more(applied: &Applied) {
    let (account, own) = (applied.account(), applied.0.namespace.as_str());
    let may = |verb: &str, what: &str, namespace: &str| {
        let line = format!("auth can-i {verb} {what} --as={account} --namespace={namespace}");
        kubectl(&line).run().out.trim() == "yes"
    };
    let registration = "mutatingwebhookconfigurations/pullgate";
    // The authorizer learns of new roles a moment after they are stored.
    until("the rights that it needs", || {
        let all = may("get", "deployments.apps/pullgate", own) && may("patch", registration, own);
        all.then_some(())
    });
    for (verb, what, namespace) in [
        ("get", "deployments.apps/other", own),
        ("list", "deployments.apps", own),
        ("patch", "deployments.apps/pullgate", own),
        ("get", "deployments.apps/pullgate", "default"),
        ("get", "secrets", own),
        ("get", "configmaps", own),
        ("create", "pods", own),
        ("create", "mutatingwebhookconfigurations", own),
        ("create", "mutatingwebhookconfigurations/other", own),
        ("patch", "mutatingwebhookconfigurations/other", own),
        ("create", registration, own),
        ("get", registration, own),
        ("delete", registration, own),
        ("patch", "validatingwebhookconfigurations/pullgate", own),
    ] {
        assert!(!may(verb, what, namespace), "it may {verb} {what} in {namespace}");
    }
}
