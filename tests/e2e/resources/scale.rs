//! Many resources in many namespaces at once: everything arrives, one change is of one part only, nothing is left.

use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use super::aws::Aws;
use super::case::{install, passwords, source};
use crate::controller::case::{Case, Controller, version};
use crate::kubectl::kubectl;
use crate::space::unique;
use crate::wait::at_last;

const RESOURCES: usize = 50;
const NAMESPACES: usize = 200;
/// Each is read by as many resources as any other.
const SOURCES: usize = 5;
const LOGINS: usize = 2;
const KEY: &str = "AKIASCALE";
const SECRET_KEY: &str = "scale";

/// Namespaces and resources under one label, gone however the test ends.
struct Crowd {
    label: String,
    names: Vec<String>,
}

impl Crowd {
    #[track_caller]
    fn new() -> Self {
        let label = unique("scale");
        let crowd = Self { names: (0..NAMESPACES).map(|n| format!("{label}-{n}")).collect(), label };
        let labels = json!({"scale": crowd.label});
        let all = crowd.names.iter().map(
            |name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}),
        );
        create(&all.collect::<Vec<_>>());
        crowd
    }

    /// `kubectl VERB WHAT` of all that has the label.
    fn kubectl(&self, line: &str) -> crate::kubectl::Kubectl {
        kubectl(line).word(&format!("--selector=scale={}", self.label))
    }

    /// What a path of the API server lists of them. Raw, which spares kubectl reading and writing tens of megabytes.
    #[track_caller]
    fn list(&self, path: &str) -> Vec<Value> {
        let path = format!("{path}?labelSelector=scale%3D{}", self.label);
        let mut list = kubectl("get --raw").word(&path).json();
        serde_json::from_value(list["items"].take()).expect("a list")
    }

    /// All copies, by the number of their resource and namespace.
    #[track_caller]
    fn copies(&self) -> BTreeMap<(usize, String), Value> {
        let all = self.list("/api/v1/secrets").into_iter().map(|copy| {
            let of = copy["metadata"]["labels"]["resource"].as_str().and_then(|n| n.parse().ok());
            let namespace = copy["metadata"]["namespace"].as_str().expect("a namespace").to_owned();
            ((of.expect("the label that its resource wants"), namespace), copy)
        });
        all.collect()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // Nobody may be there any more who would take finalizers away; there are none unless accounts are to refer.
        self.kubectl("delete imagepullsecrets --wait=false").run();
        self.kubectl("delete namespaces --wait=false").run();
    }
}

/// Several kubectls at a time: each makes one object after the other.
#[track_caller]
fn create(objects: &[Value]) {
    thread::scope(|scope| {
        for part in objects.chunks(objects.len().div_ceil(4)) {
            scope.spawn(move || {
                let list = json!({"apiVersion": "v1", "kind": "List", "items": part});
                kubectl("create -f -").input(&list).ok();
            });
        }
    });
}

/// Reads one source and one login that others read, too. Half of them name namespaces, the others select them.
fn resource(case: &Case, crowd: &Crowd, n: usize) -> Value {
    let namespaces = if n.is_multiple_of(2) {
        json!({"names": crowd.names})
    } else {
        json!({"labels": [{"matchLabels": {"scale": crowd.label}}]})
    };
    let (key, value) =
        case.label().split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).expect("a label");
    let credentials = [format!("source-{}", n % SOURCES), format!("login-{}", n % LOGINS)];
    let credentials = credentials.map(|name| json!({"name": name, "namespace": case.home.name}));
    let labels = json!({"scale": crowd.label, "resource": n.to_string()});
    json!({
        "apiVersion": "images.banzaicloud.io/v1alpha1", "kind": "ImagePullSecret",
        "metadata": {"name": format!("{}-{n}", crowd.label), "labels": {key: value, "scale": crowd.label}},
        "spec": {
            "registry": {"credentials": credentials},
            "target": {"secret": {"name": format!("{}-{n}", crowd.label), "labels": labels}, "namespaces": namespaces},
        },
    })
}

/// Waits until it has written so many Secrets in all, and no more than that.
#[track_caller]
fn wrote(controller: &Controller, expected: u64) {
    let count = || controller.count("pullgate_controller_writes_total", &[]);
    at_last(&format!("{expected} writes"), || (count() >= expected).then_some(()));
    assert_eq!(count(), expected);
}

/// Alone, because ten thousand writes are nothing that others should wait for.
#[test]
fn fifty_resources_in_two_hundred_namespaces() {
    let case = Case::alone();
    install();
    let aws = Aws::new(KEY, SECRET_KEY);
    for n in 0..SOURCES {
        source(&case.home, &format!("source-{n}"), &[("a.example", &format!("first {n}"))]);
    }
    for n in 0..LOGINS {
        let data = json!({
            "accessKeyID": KEY, "secretKey": SECRET_KEY, "accountID": "123456789012", "region": format!("eu-scale-{n}"),
        });
        let login = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("login-{n}")},
            "type": "banzaicloud.io/aws-ecr-login-config", "stringData": data,
        });
        case.home.kubectl("create -f -").input(&login).ok();
    }
    let crowd = Crowd::new();
    create(&(0..RESOURCES).map(|n| resource(&case, &crowd, n)).collect::<Vec<_>>());
    let user = case.user();
    let kubeconfig = case.kubeconfig(&user, |_| ());
    let began = Instant::now();
    let controller = case.controller_with(user, &kubeconfig, &[("AWS_ENDPOINT_URL", &aws.url)], &[]);
    let copies = (RESOURCES * NAMESPACES) as u64;

    // One write for each copy, and none again; one token for each login.
    wrote(&controller, copies);
    eprintln!("{copies} copies: {} ms from the start of the controller", began.elapsed().as_millis());
    assert_eq!(aws.asked().len(), LOGINS, "{:?}", aws.asked());
    let before = crowd.copies();
    assert_eq!(before.len(), RESOURCES * NAMESPACES);
    for ((n, namespace), copy) in &before {
        assert!(crowd.names.contains(namespace), "{namespace}");
        assert_holds(copy, *n, &format!("first {}", n % SOURCES));
    }
    are_ready(&crowd);

    let (looks, changed) =
        (|| controller.count("pullgate_controller_resource_reconciles_total", &[]), Instant::now());
    let (looked, of_source) = (looks(), RESOURCES / SOURCES);
    source(&case.home, "source-0", &[("a.example", "second")]);
    wrote(&controller, copies + (of_source * NAMESPACES) as u64);
    eprintln!("{} copies: {} ms from the change", of_source * NAMESPACES, changed.elapsed().as_millis());
    let after = crowd.copies();
    assert_eq!(after.len(), before.len());
    for (place, copy) in &after {
        if place.0.is_multiple_of(SOURCES) {
            assert_holds(copy, place.0, "second");
        } else {
            assert_eq!(version(copy), version(&before[place]), "{place:?}");
        }
    }
    assert_eq!(looks() - looked, of_source as u64, "looks at resources");
    are_ready(&crowd);
    assert_eq!(aws.asked().len(), LOGINS, "{:?}", aws.asked());

    crowd.kubectl("delete imagepullsecrets").ok();
    at_last("no copies", || crowd.list("/api/v1/secrets").is_empty().then_some(()));
    drop(controller);
    crowd.kubectl("delete namespaces --wait=false").ok();
    at_last("no namespaces", || crowd.list("/api/v1/namespaces").is_empty().then_some(()));
}

/// Both registries: the source's, and the one of the resource's login.
#[track_caller]
fn assert_holds(copy: &Value, n: usize, password: &str) {
    let mut held = passwords(copy);
    let region = format!("eu-scale-{}", n % LOGINS);
    let token = held.remove(&format!("123456789012.dkr.ecr.{region}.amazonaws.com")).unwrap_or_default();
    assert!(token.starts_with(&format!("{KEY}@{region}#")), "{token} in the copy of {n}");
    assert_eq!(held, BTreeMap::from([("a.example".to_owned(), password.to_owned())]));
}

/// Waits until each resource says that it is Ready, in exactly these namespaces.
#[track_caller]
fn are_ready(crowd: &Crowd) {
    let mut expected = crowd.names.clone();
    expected.sort();
    let is_ready = |resource: &Value| {
        let status = &resource["status"];
        status["status"] == "Ready" && status["managedNamespaces"] == json!(expected)
    };
    at_last("all resources Ready", || {
        let all = crowd.list("/apis/images.banzaicloud.io/v1alpha1/imagepullsecrets");
        assert_eq!(all.len(), RESOURCES);
        all.iter().all(is_ready).then_some(())
    });
}
