//! `CERTIFICATES=cert-manager`, with the controllers of cert-manager and its cainjector, which `scripts/cert-manager`
//! compiles: the generated manifests as they are, what of them is called by the API server, and renewals under calls.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::certs::{Certificate, read};
use serde_json::{Value, json};

use crate::installation::{Generated, Installation};
use crate::kubectl::kubectl;
use crate::space::{Space, pod};
use crate::wait::until;
use crate::webhook::Process;

const SETTINGS: [(&str, &str); 2] = [("REGISTRY", "registry.example"), ("CERTIFICATES", "cert-manager")];

/// The folder that `scripts/cert-manager` makes. Minutes of compiling are not a test's: without it, the test fails.
fn tool() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/cert-manager");
    let output = Command::new(script).arg("--compiled").output().expect("scripts/cert-manager can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end())
}

/// cert-manager's controllers, as a process; with its definitions, which stay in the cluster.
fn start() -> Process {
    let folder = tool();
    let crds = folder.join("crds").display().to_string();
    kubectl("apply --server-side -f").word(&crds).ok();
    kubectl("wait --for=condition=Established --timeout=30s -f").word(&crds).ok();
    let mut command = Command::new(folder.join("cert-manager"));
    command.arg("run");
    let kubeconfig = std::env::var("KUBECONFIG").expect("kubectl has used it");
    Process::spawn(command, &[("KUBECONFIG", &kubeconfig)], String::new())
}

/// What cert-manager's webhook says of manifests: whether they are accepted, and its words.
fn validated(manifests: &str) -> (bool, String) {
    let mut command = Command::new(tool().join("cert-manager"));
    let file = tempfile::NamedTempFile::new().expect("a scratch file");
    fs::write(&file, manifests).expect("it can be written");
    command.arg("validate").stdin(Stdio::from(file.reopen().expect("it can be read")));
    let ran = command.output().expect("it can be run");
    (ran.status.success(), String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
}

/// The manifests are in the cluster, and cert-manager works on them.
struct Certified<'a> {
    installation: Installation<'a>,
    controllers: Process,
}

impl Certified<'_> {
    /// A certificate out of a Secret, in PEM, when there is one.
    fn pem(&self, secret: &str, key: &str) -> Option<String> {
        let line = format!("get secret {secret} -o json --namespace={}", self.installation.namespace());
        let stored: Value = serde_json::from_str(&kubectl(&line).run().out).ok()?;
        decoded(&stored["data"][key])
    }

    fn leaf(&self) -> Option<String> {
        self.pem("pullgate-tls", "tls.crt")
    }

    fn authority(&self) -> Option<String> {
        self.pem("pullgate-ca", "tls.crt")
    }

    /// Whom the registration trusts.
    fn trusted(&self) -> Vec<Certificate> {
        let stored = self.installation.stored("mutatingwebhookconfiguration/pullgate");
        decoded(&stored["webhooks"][0]["clientConfig"]["caBundle"])
            .map_or_else(Vec::new, |pem| read(pem.as_bytes()))
    }

    /// Returns when the registration trusts these authorities, oldest first, and no others.
    #[track_caller]
    fn until_trusted(&self, authorities: &[&str]) {
        let all: Vec<_> = authorities.iter().flat_map(|pem| read(pem.as_bytes())).collect();
        assert_eq!(all.len(), authorities.len());
        until("the authorities in the registration", || (self.trusted() == all).then_some(()));
    }

    /// What `cmctl renew` does. Returns when what `now` reads is another.
    fn renew(&self, certificate: &str, now: impl Fn() -> Option<String>) {
        let before = now();
        let issuing = json!([{"op": "add", "path": "/status/conditions/-", "value": {
            "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "by a test",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }}]);
        let line = format!("patch certificate {certificate} --subresource=status --type=json");
        let line = format!("{line} --namespace={}", self.installation.namespace());
        kubectl(&line).word(&format!("--patch={issuing}")).ok();
        until("another certificate", || now().filter(|other| Some(other) != before.as_ref()));
    }

    fn delete(&self, secret: &str, now: impl Fn() -> Option<String>) {
        let before = now();
        kubectl(&format!("delete secret {secret} --namespace={}", self.installation.namespace())).ok();
        until("another certificate", || now().filter(|other| Some(other) != before.as_ref()));
    }

    /// Brings the webhook its certificate, and returns when it has noticed.
    fn bring(&self) {
        let process = self.installation.process();
        let loaded = || process.count("pullgate_tls_reloads_total", &[r#"outcome="success""#]);
        let before = loaded();
        self.installation.bring();
        until("the new certificate", || (loaded() > before).then_some(()));
    }
}

fn decoded(text: &Value) -> Option<String> {
    String::from_utf8(STANDARD.decode(text.as_str()?).ok()?).ok()
}

/// What openssl makes of certificates in PEM.
fn openssl(line: &str, files: &[(&str, &str)]) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for (name, pem) in files {
        fs::write(folder.path().join(name), pem).expect("a file in it");
    }
    let ran = Command::new("openssl").args(line.split(' ')).current_dir(folder.path()).output();
    let ran = ran.expect("there is an openssl");
    (ran.status.success(), String::from_utf8_lossy(&ran.stdout).into_owned())
}

fn public_key(pem: &str) -> String {
    openssl("x509 -noout -pubkey -in it", &[("it", pem)]).1
}

fn vouches(authority: &str, leaf: &str) -> bool {
    openssl("verify -CAfile ca -purpose sslserver leaf", &[("ca", authority), ("leaf", leaf)]).0
}

#[test]
fn its_webhook_accepts_what_is_generated() {
    let generated = Generated::new(&SETTINGS);
    let manifests = fs::read_to_string(generated.path("20-cert-manager.yaml")).expect("it was written");
    let (accepted, said) = validated(&manifests);
    assert!(accepted, "{said}");
    let lines: BTreeSet<_> = said.lines().collect();
    assert_eq!(said.lines().count(), 4, "{said}");
    assert_eq!(
        lines,
        ["Certificate is accepted, warnings: 0 []", "Issuer is accepted, warnings: 0 []"].into()
    );
    // It does look.
    let (accepted, said) = validated(&manifests.replace("size: 256", "size: 255"));
    assert!(!accepted && said.contains("Certificate is refused: spec.privateKey.size"), "{said}");
    let (accepted, said) = validated(&manifests.replace("rotationPolicy", "rotation"));
    assert!(!accepted && said.contains(r#"unknown field "spec.privateKey.rotation""#), "{said}");
    // The longest name that a namespace can have.
    let (accepted, said) = validated(&manifests.replace(&generated.namespace, &"n".repeat(63)));
    assert!(accepted, "{said}");
}

/// One test, because the registration is for the whole cluster: nothing else may run beside it.
#[test]
fn the_generated_certificates_are_issued_injected_and_renewed_under_calls() {
    let space = Space::alone();
    let controllers = start();
    let installation = Installation::apply(Generated::new(&SETTINGS), &space);
    let mut certified = Certified { installation, controllers };
    until("a certificate", || certified.leaf());
    certified.until_trusted(&[&certified.authority().expect("it signed")]);
    let secret = certified.installation.stored("secret/pullgate-tls");
    let keys: Vec<_> = secret["data"].as_object().expect("data").keys().map(String::as_str).collect();
    assert_eq!(keys, ["ca.crt", "tls.crt", "tls.key"], "and no key of the authority");
    certified.installation.serve();

    let (over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let failures = thread::scope(|scope| {
        let load = scope.spawn(|| calling(&space.name, &over, &calls));
        let end = End(&over);
        renewals(&certified, &calls);
        drop(end);
        load.join().expect("it ends")
    });
    let calls = calls.into_inner();
    eprintln!("{calls} calls");
    assert_eq!(failures, Vec::<String>::new());

    // As docs/certificates.md says, for a key that has leaked.
    certified.installation.run("kubectl replace -f generated/40-webhook-configuration.yaml");
    certified.until_trusted(&[&certified.authority().expect("it signed")]);
    certified.installation.wait_until_called();
    complaints(&certified);
}

/// Of the calls, also where the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes Pods, but not really, until it is `over`. Returns what went wrong.
fn calling(namespace: &str, over: &AtomicBool, calls: &AtomicUsize) -> Vec<String> {
    let many: Vec<_> = (0..20).map(|number| pod(&format!("load-{number}"), "nginx")).collect();
    let many = json!({"apiVersion": "v1", "kind": "List", "items": many});
    let create = format!("create --namespace={namespace} --dry-run=server -f -");
    let mut failures = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let image = "-o=jsonpath={.spec.containers[0].image}/";
        let made = kubectl(&create).word(image).input(&many).run();
        let changed = made.out.matches("registry.example/nginx/").count();
        calls.fetch_add(changed, Ordering::Relaxed);
        if changed != 20 {
            failures.push(format!("{}{}", made.out, made.err));
        }
    }
    failures
}

fn renewals(certified: &Certified, calls: &AtomicUsize) {
    let more_calls = || {
        let before = calls.load(Ordering::Relaxed);
        until("calls", || (calls.load(Ordering::Relaxed) > before + 40).then_some(()));
    };
    let leaf = || certified.leaf().expect("a certificate");
    let authority = || certified.authority().expect("an authority");
    let (first, old) = (leaf(), authority());
    more_calls();
    // The certificate, with another key.
    certified.renew("pullgate-tls", || certified.leaf());
    certified.bring();
    more_calls();
    assert_ne!(public_key(&first), public_key(&leaf()));
    // Applied once more: what cainjector wrote stays.
    certified.installation.run("kubectl apply -f generated/");
    // Lost, and made again.
    certified.delete("pullgate-tls", || certified.leaf());
    certified.bring();
    more_calls();
    certified.until_trusted(&[&old]);

    // The authority, with the same key: each vouches for what the other one signed, also where only one is trusted.
    let before = leaf();
    certified.renew("pullgate-ca", || certified.authority());
    let renewed = authority();
    assert_eq!(public_key(&old), public_key(&renewed));
    certified.until_trusted(&[&old]);
    more_calls();
    certified.renew("pullgate-tls", || certified.leaf());
    for authority in [&old, &renewed] {
        assert!(vouches(authority, &before) && vouches(authority, &leaf()));
    }
    // It is in the registration before the webhook serves what it signed.
    certified.until_trusted(&[&old, &renewed]);
    more_calls();
    certified.bring();
    more_calls();

    // Lost, and made again with another key.
    certified.delete("pullgate-ca", || certified.authority());
    let other = authority();
    assert_ne!(public_key(&renewed), public_key(&other));
    certified.until_trusted(&[&old, &renewed]);
    more_calls();
    certified.renew("pullgate-tls", || certified.leaf());
    assert!(vouches(&other, &leaf()) && !vouches(&renewed, &leaf()));
    certified.until_trusted(&[&old, &renewed, &other]);
    more_calls();
    certified.bring();
    more_calls();
}

/// cert-manager has nothing to complain of but the Secret that was not there, and what its own controllers take from
/// each other's hands (the one that makes requests has not always seen yet that it made one). It keeps no requests but
/// the last.
fn complaints(certified: &Certified) {
    let list = |what: &str| {
        let line = format!("get {what} -o json --namespace={}", certified.installation.namespace());
        let all = kubectl(&line).json();
        all["items"].as_array().expect("a list").clone()
    };
    until("that all is ready, with one request of each certificate", || {
        let [all, requests] = ["issuers,certificates", "certificaterequests"].map(list);
        let condition = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
        let ready = |object: &&Value| {
            object["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(condition))
        };
        (all.iter().filter(ready).count() == 4 && all.len() == 4 && requests.len() == 2).then_some(())
    });
    let mut events = list("events");
    events.retain(|event| event["involvedObject"]["apiVersion"] == "cert-manager.io/v1");
    assert!(!events.is_empty());
    let expected = [r#"secrets "pullgate-ca" not found"#, "already exists"];
    events.retain(|event| {
        let message = event["message"].as_str().unwrap_or_default();
        event["type"] != "Normal" && !expected.iter().any(|end| message.ends_with(end))
    });
    assert!(events.is_empty(), "{events:#?}\n{}", certified.controllers.log());
}
