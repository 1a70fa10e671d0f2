//! The webhook's certificate as the controller keeps it: what is stored, what is registered, and that no call fails meanwhile.
//!
//! The API server calls the webhook on this machine's loopback address, so that is one of the certificate's names. What a
//! kubelet does with the Secret, a thread of the test does: some seconds later, as kubelets do.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::certs::{Certificate, authority, leaf, read};
use rcgen::{CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::controller::rights;
use crate::installation::Generated;
use crate::kubectl::kubectl;
use crate::register::kubeconfig_of;
use crate::space::{Space, images, pod, unique};
use crate::wait::{at_last, never, until};
use crate::webhook::{LOGGING, Process, Registration, free_ports, on_free_ports, program};

const FILES: [&str; 2] = ["webhook-server-tls.crt", "webhook-server-tls.key"];

/// A registration without `caBundle`, and a controller that looks after its certificate.
struct Kept {
    // Ended before what it keeps is removed.
    controller: Process,
    registration: String,
    _registration: Registration,
    port: u16,
    volume: Volume,
    space: Space,
}

/// The Secret with what is served, as it is mounted.
struct Volume {
    namespace: String,
    folder: tempfile::TempDir,
}

impl Volume {
    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// What a kubelet does: brings the Secret into the folder, if there is one.
    fn bring(&self) -> Option<()> {
        let secret = secret(&self.namespace, "pullgate-tls")?;
        for file in FILES {
            let new = self.path(file).with_extension("new");
            std::fs::write(&new, content(&secret, file)?).expect("a file in a scratch folder");
            std::fs::rename(new, self.path(file)).expect("it can be renamed");
        }
        Some(())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let own = &self.namespace;
        kubectl(&format!("delete clusterrole/{own} clusterrolebinding/{own} namespace/{own} --wait=false"))
            .run();
    }
}

/// A namespace with the controller's ServiceAccount and the rights that the manifests give it, and no others. They are
/// for a registration of another name, beside which other tests have theirs.
fn granted(registration: &str) -> Generated {
    let generated = Generated::new(&[
        ("REGISTRY", "registry.example"),
        ("CERTIFICATES", "csr"),
        ("CERTIFICATES_SIGNER_NAME", "e2e.test/webhooks"),
    ]);
    kubectl("apply -f").word(&generated.path("10-namespace.yaml")).ok();
    let mut objects = rights::objects(&generated.path("35-controller.yaml"));
    objects.retain(|object| object["kind"] == "ServiceAccount");
    objects.append(&mut rights::objects(&generated.path("37-certificates.yaml")));
    for object in &mut objects {
        if object["kind"].as_str().is_some_and(|kind| kind.starts_with("ClusterRole")) {
            object["metadata"]["name"] = generated.namespace.as_str().into();
            if object["roleRef"].is_object() {
                object["roleRef"]["name"] = generated.namespace.as_str().into();
            } else {
                assert_eq!(object["rules"][0]["resourceNames"], json!(["pullgate"]));
                object["rules"][0]["resourceNames"] = json!([registration]);
            }
        }
    }
    kubectl("apply -f -").input(&json!({"apiVersion": "v1", "kind": "List", "items": objects})).ok();
    generated
}

fn secret(namespace: &str, name: &str) -> Option<Value> {
    let got = kubectl(&format!("get secret --namespace={namespace} -o json {name}")).run();
    serde_json::from_str(&got.out).ok()
}

impl Kept {
    fn new(settings: &[(&str, &str)]) -> Self {
        Self::after(settings, |_, _| ())
    }

    /// With what there was before, in this namespace and registration.
    fn after(settings: &[(&str, &str)], before: impl FnOnce(&str, &str)) -> Self {
        let space = Space::new();
        let registration = unique("e2e-certificates");
        let [port, _] = free_ports();
        let webhook = |name: &str| {
            json!({
                "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 10,
                "clientConfig": {"url": format!("https://127.0.0.1:{port}/mutate")},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name}},
                "failurePolicy": "Fail",
            })
        };
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": registration},
            "webhooks": [webhook("one.e2e.test"), webhook("two.e2e.test")],
        });
        kubectl("create -f -").input(&object).ok();
        let registered = Registration::of(registration.clone());
        let (generated, folder) = (granted(&registration), tempfile::tempdir().expect("a scratch folder"));
        let kubeconfig = kubeconfig_of("pullgate-controller", &generated.namespace, folder.path());
        let kubeconfig = kubeconfig.display().to_string();
        before(&generated.namespace, &registration);
        let controller = on_free_ports(|[health, _]| {
            let mut all = vec![
                ("KUBECONFIG", &*kubeconfig),
                ("HEALTH_PORT", health),
                ("PULL_SECRETS", "false"),
                ("CERTIFICATES_NAMESPACE", &generated.namespace),
                ("CERTIFICATES_CONFIGURATION", &registration),
                ("CERTIFICATES_NAMES", "127.0.0.1"),
            ];
            all.extend(LOGGING);
            all.extend(settings);
            let mut command = Command::new(program());
            command.arg("controller");
            Process::start(command, &all, format!("127.0.0.1:{health}"))
        });
        let volume = Volume { namespace: generated.namespace.clone(), folder };
        Self { controller, registration, _registration: registered, port, volume, space }
    }

    fn secret(&self, name: &str) -> Option<Value> {
        secret(&self.volume.namespace, name)
    }

    fn delete(&self, secret: &str) {
        kubectl(&format!("delete secret --namespace={} {secret}", self.volume.namespace)).ok();
    }

    fn serving(&self) -> Option<Certificate> {
        read(&content(&self.secret("pullgate-tls")?, FILES[0])?).into_iter().next()
    }

    /// Who is trusted by each webhook.
    fn trusted(&self) -> Vec<Vec<Certificate>> {
        let object = kubectl("get mutatingwebhookconfiguration -o json").word(&self.registration).json();
        let webhooks = object["webhooks"].as_array().expect("webhooks").iter();
        let bundle = |webhook: &Value| {
            let bundle = webhook["clientConfig"]["caBundle"].as_str().unwrap_or_default();
            read(&STANDARD.decode(bundle).expect("base64"))
        };
        webhooks.map(bundle).collect()
    }

    /// The webhook, when its certificate has been brought.
    fn webhook(&self) -> Process {
        until("a certificate", || self.volume.bring());
        let path = |file: &str| self.volume.path(file).display().to_string();
        let (cert, key, port) = (path(FILES[0]), path(FILES[1]), self.port.to_string());
        let [health, _] = free_ports().map(|port| port.to_string());
        let settings = [
            ("TLS_CERT_FILE", cert.as_str()),
            ("TLS_KEY_FILE", &key),
            ("PORT", &port),
            ("HEALTH_PORT", &health),
            ("REGISTRY", "registry.example"),
        ];
        let mut command = Command::new(program());
        command.arg("webhook");
        let settings: Vec<_> = settings.into_iter().chain(LOGGING).collect();
        Process::start(command, &settings, format!("127.0.0.1:{health}")).expect("a webhook")
    }

    fn wait_until_called(&self) {
        until("a Pod that is changed", || {
            (images(&self.space.probe()?) == [("app", "registry.example/nginx")]).then_some(())
        });
    }
}

fn content(secret: &Value, key: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret["data"][key].as_str()?).ok()
}

/// Its Certificate is gone, and replicas still serve what came of it, from an issuer elsewhere.
#[test]
fn what_cert_manager_has_left_is_trusted_until_it_is_replaced() {
    let mut theirs = Vec::new();
    let settings = [("CERTIFICATES", "self-managed"), ("CERTIFICATES_OVERLAP", "15s")];
    let kept = Kept::after(&settings, |namespace, registration| {
        let (now, days) = (OffsetDateTime::now_utc(), time::Duration::days(90));
        let ca = authority("theirs", now, days * 10).expect("an authority");
        let host = format!("pullgate.{namespace}.svc");
        let names = [host.clone(), format!("{host}.cluster.local"), format!("pullgate.{namespace}")];
        let names = [names.as_slice(), &["pullgate".to_owned(), "127.0.0.1".to_owned()]].concat();
        let own = leaf(&ca, &names, now, days).expect("a certificate");
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": "pullgate-tls", "namespace": namespace},
            "stringData": {"ca.crt": ca.certificate, "tls.crt": own.certificate, "tls.key": own.key.as_str()},
        });
        kubectl("create -f -").input(&object).ok();
        let bundle = STANDARD.encode(&ca.certificate);
        let add = |place| json!({"op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": bundle});
        let patch = json!([add(0), add(1)]).to_string();
        kubectl("patch mutatingwebhookconfiguration --type=json --patch")
            .word(&patch)
            .word(registration)
            .ok();
        theirs = read(ca.certificate.as_bytes());
    });
    until("our own certificate", || kept.serving());
    // As long as replicas may serve it.
    assert!(kept.trusted().iter().all(|trusted| trusted.len() == 2 && trusted.contains(&theirs[0])));
    let _webhook = kept.webhook();
    kept.wait_until_called();
    until("the end of theirs", || {
        let ours = |trusted: &Vec<Certificate>| trusted.len() == 1 && trusted[0] != theirs[0];
        kept.trusted().iter().all(ours).then_some(())
    });
    kept.wait_until_called();
    assert_eq!(kept.secret("pullgate-tls").expect("a Secret")["type"], "kubernetes.io/tls");
}

#[test]
fn certificates_are_made_registered_and_repaired() {
    let kept = Kept::new(&[("CERTIFICATES", "self-managed")]);
    let _webhook = kept.webhook();
    kept.wait_until_called();
    let expires = kept
        .controller
        .count("pullgate_controller_certificate_expiration_timestamp_seconds", &[r#"certificate="serving""#]);
    let serving = kept.serving().expect("a certificate");
    assert_eq!(i64::try_from(expires).ok(), Some(serving.not_after));
    let days = (serving.not_after - serving.not_before) / 86_400;
    assert_eq!(days, 90);
    assert_eq!(kept.controller.count("pullgate_controller_certificates_in_order", &[]), 1);
    // What the webhook reads holds no key of the authority.
    let secret = kept.secret("pullgate-tls").expect("a Secret");
    let keys: Vec<_> = secret["data"].as_object().expect("data").keys().map(String::as_str).collect();
    assert_eq!(keys, FILES);

    // Somebody applies the manifest again, which says nothing of whom to trust, or something wrong.
    let before = kept.trusted();
    let strip = r#"--patch=[{"op":"remove","path":"/webhooks/1/clientConfig/caBundle"}]"#;
    kubectl("patch mutatingwebhookconfiguration --type=json").word(&kept.registration).word(strip).ok();
    until("the bundle again", || (kept.trusted() == before).then_some(()));
    // Somebody deletes what is served.
    kept.delete("pullgate-tls");
    until("another certificate", || kept.serving().filter(|other| *other != serving));
    until("all of it in the folder", || kept.volume.bring());
    kept.wait_until_called();
    assert_eq!(kept.trusted(), before);
    // And somebody what signs: another authority stands beside it for as long as it is needed.
    kept.delete("pullgate-ca");
    until("two authorities", || (kept.trusted()[1].len() == 2).then_some(()));
    let both = kept.trusted();
    assert!(both[0] == both[1] && both[0][1..] == before[0] && both[0][0] != before[0][0]);
    kept.wait_until_called();
    never("keys in the log", || kept.controller.log().contains("PRIVATE KEY").then_some(()));
}

#[test]
fn no_call_fails_while_authorities_and_certificates_are_replaced() {
    let kept = Kept::new(&[
        ("CERTIFICATES", "self-managed"),
        ("CERTIFICATES_VALIDITY", "20s"),
        ("CERTIFICATES_CA_VALIDITY", "40s"),
        ("CERTIFICATES_OVERLAP", "10s"),
    ]);
    let webhook = kept.webhook();
    kept.wait_until_called();
    let (over, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (mut authorities, mut leaves, mut at_once, mut gone) =
        (BTreeSet::new(), BTreeSet::new(), 0, BTreeSet::new());
    let (volume, namespace) = (&kept.volume, &kept.space.name);
    let failures = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let many: Vec<_> = (0..20).map(|number| pod(&format!("load-{number}"), "nginx")).collect();
            let many = json!({"apiVersion": "v1", "kind": "List", "items": many});
            let mut failures = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let create = format!("create --namespace={namespace} --dry-run=server -o name -f -");
                let made = kubectl(&create).input(&many).run();
                calls.fetch_add(made.out.lines().count(), Ordering::Relaxed);
                if !made.succeeded() {
                    failures.push(made.err);
                }
            }
            failures
        });
        let kubelet = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                sleep(Duration::from_secs(4));
                volume.bring();
            }
        });
        at_last("an authority that came and one that went, twice", || {
            let trusted = kept.trusted().remove(0);
            at_once = at_once.max(trusted.len());
            let now: BTreeSet<_> = trusted.iter().map(|one| one.der.to_vec()).collect();
            gone.extend(authorities.difference(&now).cloned());
            authorities.extend(now);
            leaves.extend(kept.serving().map(|leaf| leaf.der.to_vec()));
            (gone.len() >= 2 && authorities.len() >= 3).then_some(())
        });
        over.store(true, Ordering::Relaxed);
        kubelet.join().expect("it ends");
        load.join().expect("it ends")
    });
    let calls = calls.into_inner();
    eprintln!("{calls} calls, {} authorities, {} certificates", authorities.len(), leaves.len());
    assert_eq!(failures, Vec::<String>::new());
    assert!(calls > 200, "{calls}");
    assert_eq!(at_once, 2, "authorities at the same time");
    assert!(leaves.len() >= 4, "{}", leaves.len());
    assert!(webhook.count("pullgate_tls_reloads_total", &[r#"outcome="success""#]) >= 3);
}

/// Who answers requests: signs what was approved.
struct Signer {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Signer {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("randomness");
        let pem = params.self_signed(&key).expect("an authority").pem();
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = folder.path().join("ca.crt");
        std::fs::write(&file, &pem).expect("a file in it");
        Self { issuer: Issuer::new(params, key), pem, file, _folder: folder }
    }

    fn sign(&self, request: &Value) {
        let text = STANDARD.decode(request["spec"]["request"].as_str().expect("a request")).expect("base64");
        let asked = CertificateSigningRequestParams::from_pem(&String::from_utf8(text).expect("PEM"));
        let signed = asked.expect("a request").signed_by(&self.issuer).expect("a certificate").pem();
        let patch = json!({"status": {"certificate": STANDARD.encode(signed)}}).to_string();
        let name = request["metadata"]["name"].as_str().expect("a name");
        let command = format!("patch csr {name} --subresource=status --type=merge");
        kubectl(&command).word(&format!("--patch={patch}")).ok();
    }
}

/// The request for a namespace, if there is one.
fn requested(kept: &Kept) -> Option<Value> {
    let all = kubectl("get csr -o json").json();
    let prefix = format!("pullgate-{}-", kept.volume.namespace);
    let ours =
        |request: &&Value| request["metadata"]["name"].as_str().is_some_and(|it| it.starts_with(&prefix));
    all["items"].as_array()?.iter().find(ours).cloned()
}

/// What is written is undone at once, each time: it is written again less and less often, and again when that ends.
#[test]
fn who_undoes_what_is_written_is_not_raced() {
    let kept = Kept::new(&[("CERTIFICATES", "self-managed")]);
    until("a certificate", || kept.serving());
    let own = kept.volume.namespace.clone();
    let undone = format!("undone-{own}");
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": undone},
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": own}},
                "resourceRules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                    "resources": ["secrets"], "resourceNames": ["pullgate-tls"],
                }],
            },
            "matchConditions": [{"name": "content", "expression": "has(object.data)"}],
            "mutations": [{
                "patchType": "JSONPatch",
                "jsonPatch": {"expression": "[JSONPatch{op: 'remove', path: '/data'}]"},
            }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": undone}, "spec": {"policyName": undone},
    });
    kubectl("create -f -")
        .input(&json!({"apiVersion": "v1", "kind": "List", "items": [policy, binding]}))
        .ok();
    let policy = Removed(undone);
    // Until the API server has noticed, it heals.
    until("no certificate", || {
        kubectl(&format!("delete secret --ignore-not-found --namespace={own} pullgate-tls")).ok();
        sleep(Duration::from_secs(1));
        kept.secret("pullgate-tls").filter(|secret| secret["data"].is_null())
    });
    let issued = || kept.controller.log().matches("certificate issued").count();
    until("what is wrong", || kept.controller.log().contains("is not what is stored").then_some(()));
    let before = issued();
    sleep(Duration::from_secs(10));
    let more = issued() - before;
    assert!((1..=4).contains(&more), "{more} in 10 s");
    assert_eq!(kept.controller.count("pullgate_controller_certificates_in_order", &[]), 0);
    drop(policy);
    at_last("a certificate", || kept.serving());
}

/// A policy and its binding; gone when dropped.
struct Removed(String);

impl Drop for Removed {
    fn drop(&mut self) {
        for kind in ["mutatingadmissionpolicybinding", "mutatingadmissionpolicy"] {
            kubectl("delete --ignore-not-found").word(kind).word(&self.0).run();
        }
    }
}

/// Its name, if it is none of these.
fn requested_besides(kept: &Kept, known: &[&str]) -> Option<String> {
    let all = kubectl("get csr -o json").json();
    let prefix = format!("pullgate-{}-", kept.volume.namespace);
    let mut names = all["items"].as_array()?.iter().filter_map(|it| it["metadata"]["name"].as_str());
    names.find(|it| it.starts_with(&prefix) && !known.contains(it)).map(str::to_owned)
}

#[test]
fn a_signer_is_asked_and_what_it_signs_is_served_when_somebody_has_approved() {
    let signer = Signer::new();
    let kept = Kept::new(&[
        ("CERTIFICATES", "csr"),
        ("CERTIFICATES_SIGNER_NAME", "e2e.test/webhooks"),
        ("CERTIFICATES_CA_FILE", &signer.file.display().to_string()),
    ]);
    let asked = until("a request", || requested(&kept));
    assert_eq!(asked["spec"]["signerName"], "e2e.test/webhooks");
    assert_eq!(asked["spec"]["usages"], json!(["digital signature", "key encipherment", "server auth"]));
    assert_eq!(asked["spec"]["expirationSeconds"], 90 * 86_400);
    // Who is trusted is known before.
    until("the signer's authority", || {
        (kept.trusted() == vec![read(signer.pem.as_bytes()); 2]).then_some(())
    });
    assert!(kept.secret("pullgate-tls").is_none());

    let name = asked["metadata"]["name"].as_str().expect("a name").to_owned();
    // Refused, for as long as that stands.
    kubectl("certificate deny").word(&name).ok();
    until("what was refused", || kept.controller.log().contains("Denied").then_some(()));
    assert_eq!(kept.controller.count("pullgate_controller_certificates_in_order", &[]), 0);
    kubectl("delete csr").word(&name).ok();
    until("another try", || {
        requested(&kept).filter(|other| other["metadata"]["uid"] != asked["metadata"]["uid"])
    });
    kubectl("certificate approve").word(&name).ok();
    // Somebody else signs, whom nobody trusts.
    let other = Signer::new();
    other.sign(&requested(&kept).expect("the request"));
    until("what is wrong with it", || kept.controller.log().contains("do not vouch").then_some(()));
    assert!(kept.secret("pullgate-tls").is_none());
    kubectl("delete csr").word(&name).ok();
    until("another try", || requested(&kept));
    kubectl("certificate approve").word(&name).ok();
    signer.sign(&requested(&kept).expect("the request"));

    let _webhook = kept.webhook();
    kept.wait_until_called();
    until("that all is well", || {
        (kept.controller.count("pullgate_controller_certificates_in_order", &[]) == 1).then_some(())
    });
    // The next one is for another key.
    let served = kept.serving().expect("a certificate");
    kept.delete("pullgate-tls");
    let next = until("another request", || requested_besides(&kept, &[&name]));
    // Somebody spoils the key that it is for: there is one more.
    let spoil = format!("patch secret pullgate-ca --namespace={} --type=merge", kept.volume.namespace);
    kubectl(&spoil).word(r#"--patch={"data":{"requested.key":"bm8ga2V5"}}"#).ok();
    let last = until("a request for another key", || requested_besides(&kept, &[&name, &next]));
    kubectl("certificate approve").word(&last).ok();
    signer.sign(&kubectl("get csr -o json").word(&last).json());
    until("another certificate", || kept.serving().filter(|other| *other != served));
    kubectl("delete csr --ignore-not-found").word(&name).word(&next).word(&last).ok();
}
