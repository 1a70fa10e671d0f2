//! Reviews of any size, and rules of any number, for all benches.
//!
//! Each review is one that a kube-apiserver sent for a Pod of a Deployment ([`RECORDED`]),
//! without white space and with `& < >` escaped, as it came over the wire, and grown in the ways that Pods grow:
//!
//! - more **containers** with ports, probes, resources and mounts: one for each 10 kB, 20 at most;
//! - more **env** in each: plain values, addresses with `&`, JSON in a string, references to Secrets and fields;
//! - more **annotations**: JSON in a string, a sixteenth of the whole, 128 kB at most (the API server takes 256);
//! - **managedFields** for each of these, as the API server computes them: about a third of a large review.
//!
//! The rest up to the very byte is one annotation. Below the size of the recorded review the same parts are taken
//! away. More than 3 MB is nothing that an API server stores: there escapes and two objects in one review add up.

#![allow(dead_code, reason = "each bench that includes this uses another part of it")]

use std::ffi::OsString;

use pullgate::config::load_policy;
use pullgate::policy::Policy;
use serde_json::{Value, json};

const RECORDED: &str = include_str!("../tests/fixtures/cases/recorded-pod-by-a-replica-set/review.json");

/// The sizes that are compared with others, by name.
pub(crate) const SIZES: [(&str, usize); 4] =
    [("4kB", 4_000), ("9kB", 9_000), ("100kB", 100_000), ("1MB", 1_000_000)];

/// What grows, and to which values.
pub(crate) const GROWTH: [(&str, &[usize]); 3] = [
    ("body", &[1_000, 10_000, 100_000, 1_000_000, 20_000_000]),
    ("containers", &[1, 10, 100, 1_000]),
    ("rules", &[1, 10, 100, 1_000, 10_000]),
];

/// Every mutation that there is for Pods and claims.
pub(crate) const EVERYTHING: [(&str, &str); 6] = [
    ("REGISTRY", "registry.example/hub"),
    ("IGNORED_REGISTRIES", "registry.k8s.io"),
    ("IMAGE_PULL_SECRET", "regcred"),
    ("IMAGE_PULL_SECRET_APPEND", "true"),
    ("FORCE_IMAGE_PULL_POLICY", "true"),
    ("DEFAULT_STORAGE_CLASS", "fast"),
];

/// The rules that settings make.
pub(crate) fn policy(settings: &[(&str, &str)]) -> Policy {
    let pairs = settings.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load_policy(pairs).expect("settings of the bench are valid").0
}

/// All mutations, with a registry map of `entries` of which none or the last is about the images of the reviews.
pub(crate) fn policy_with_rules(entries: usize) -> Policy {
    let rule = |n| format!("registry-{n}.example/team-{n}=mirror.example/team-{n},");
    let map = (1..entries).map(rule).chain(["ghcr.io=mirror.example/ghcr".to_owned()]).collect::<String>();
    let mut settings = EVERYTHING.to_vec();
    settings.push(("REGISTRY_MAP", &map));
    policy(&settings)
}

/// A review of exactly so many bytes, 1,000 or more.
pub(crate) fn of_size(bytes: usize) -> Vec<u8> {
    let mut pod = Growing::recorded();
    pod.shrink_below(bytes);
    let containers = (bytes / 10_000).clamp(1, 20);
    while pod.containers < containers {
        pod.add_container();
    }
    for n in 0.. {
        // Room for the padding, and for the longest of what is added in one turn.
        if pod.size + 700 > bytes {
            break;
        }
        if pod.annotated < (bytes / 16).min(128_000) && n % 4 == 3 {
            pod.add_annotation(n);
        } else {
            pod.add_env(n % containers, n);
        }
    }
    pod.padded_to(bytes)
}

/// A review of a Pod with so many containers, of about 1.4 kB each.
pub(crate) fn with_containers(containers: usize) -> Vec<u8> {
    let mut pod = Growing::recorded();
    while pod.containers < containers {
        pod.add_container();
    }
    encode(&pod.review)
}

/// JSON as Go's encoder writes it.
fn encode(value: &Value) -> Vec<u8> {
    // Outside of strings there are none of these.
    value.to_string().replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e").into_bytes()
}

/// A review that keeps account of its size.
struct Growing {
    review: Value,
    size: usize,
    containers: usize,
    /// Bytes in annotations.
    annotated: usize,
}

impl Growing {
    fn recorded() -> Self {
        let mut review: Value = serde_json::from_str(RECORDED).expect("a recorded review is JSON");
        review["request"]["object"]["metadata"]["annotations"] = json!({PADDING: ""});
        Self { size: encode(&review).len(), review, containers: 1, annotated: 0 }
    }

    fn object(&mut self) -> &mut Value {
        &mut self.review["request"]["object"]
    }

    fn managed(&mut self) -> &mut Value {
        &mut self.object()["metadata"]["managedFields"][0]["fieldsV1"]
    }

    /// Takes parts away until it is smaller than `bytes`.
    fn shrink_below(&mut self, bytes: usize) {
        let parts = [
            ("/request/object/metadata", "managedFields"),
            ("/request/object/spec", "tolerations"),
            ("/request/object/spec", "volumes"),
            ("/request/object/spec/containers/0", "volumeMounts"),
            ("/request/object/metadata", "ownerReferences"),
            ("/request", "userInfo"),
            ("/request", "requestKind"),
            ("/request", "requestResource"),
            ("/request", "options"),
            ("/request/object/metadata", "labels"),
        ];
        for (parent, name) in parts {
            if self.size <= bytes {
                return;
            }
            let parent = self.review.pointer_mut(parent).and_then(Value::as_object_mut);
            parent.expect("the recorded review has it").remove(name);
            self.size = encode(&self.review).len();
        }
        assert!(self.size <= bytes, "a review has {} bytes at least, not {bytes}", self.size);
    }

    fn add_container(&mut self) {
        let n = self.containers;
        self.containers += 1;
        let (name, fields) = (format!("part-{n}"), managed_container());
        self.size += encode(&fields).len() + format!(",\"k:{{\\\"name\\\":\\\"{name}\\\"}}\":").len();
        self.managed()["f:spec"]["f:containers"][named(&name)] = fields;
        let container = container(&name, n);
        self.size += encode(&container).len() + 1;
        self.object()["spec"]["containers"].as_array_mut().expect("a list").push(container);
    }

    fn add_env(&mut self, container: usize, n: usize) {
        let name = format!("SETTING_{n}");
        let entry = env(&name, n);
        let field = if entry.get("value").is_some() { "f:value" } else { "f:valueFrom" };
        let fields = json!({".": {}, "f:name": {}, field: {}});
        self.size += encode(&entry).len() + encode(&fields).len() + encode(&json!(named(&name))).len() + 3;
        let list = &mut self.object()["spec"]["containers"][container];
        let container = list["name"].as_str().expect("a name").to_owned();
        if list.get("env").is_none() {
            list["env"] = json!([]);
            self.size += r#","env":[],"f:env":{}"#.len();
        }
        let list = &mut self.object()["spec"]["containers"][named_index(&container)]["env"];
        list.as_array_mut().expect("a list").push(entry);
        self.managed()["f:spec"]["f:containers"][named(&container)]["f:env"][named(&name)] = fields;
    }

    fn add_annotation(&mut self, n: usize) {
        let name = format!("config.acme.example/part-{n}");
        let value = format!(
            r#"{{"listener":{n},"routes":[{{"match":"/api/v{n}/*","to":"http://part-{n}:8080/?a=1&b=2"}}]}}"#
        );
        let added = encode(&json!({name.as_str(): value.as_str()})).len() - 1;
        self.size += added;
        self.annotated += added;
        self.object()["metadata"]["annotations"][name.as_str()] = json!(value);
    }

    /// Its bytes, exactly so many.
    fn padded_to(mut self, bytes: usize) -> Vec<u8> {
        let missing = bytes - encode(&self.review).len();
        self.object()["metadata"]["annotations"][PADDING] = json!("x".repeat(missing));
        encode(&self.review)
    }
}

const PADDING: &str = "acme.example/notes";

/// The key of a list's element in managedFields.
fn named(name: &str) -> String {
    format!(r#"k:{{"name":"{name}"}}"#)
}

/// The place of a container that was added: the recorded one is first.
fn named_index(name: &str) -> usize {
    name.strip_prefix("part-").map_or(0, |n| n.parse().expect("a number"))
}

fn container(name: &str, n: usize) -> Value {
    let image = match n % 5 {
        0 => format!("ghcr.io/acme/{name}:2.{n}"),
        1 => format!("quay.io/acme/tools/{name}:v1.{n}.0"),
        2 => format!("nginx:1.{n}-alpine"),
        3 => format!("docker.io/acme/{name}@sha256:{}", "a1".repeat(32)),
        _ => format!("registry.k8s.io/{name}:3.{n}"),
    };
    let probe = |path: &str| {
        json!({
            "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
            "initialDelaySeconds": 5, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
        })
    };
    json!({
        "name": name,
        "image": image,
        "args": [format!("--listen=:{}", 8000 + n), "--log-format=json"],
        "ports": [{"name": "http", "containerPort": 8000 + n, "protocol": "TCP"}],
        "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
        "volumeMounts": [{
            "name": "kube-api-access-4prs4", "readOnly": true,
            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        }],
        "livenessProbe": probe("/livez"),
        "readinessProbe": probe("/readyz"),
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": false},
    })
}

fn managed_container() -> Value {
    let probe = json!({
        ".": {}, "f:failureThreshold": {}, "f:httpGet": {".": {}, "f:path": {}, "f:port": {}, "f:scheme": {}},
        "f:initialDelaySeconds": {}, "f:periodSeconds": {}, "f:successThreshold": {}, "f:timeoutSeconds": {},
    });
    json!({
        ".": {}, "f:args": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:livenessProbe": probe, "f:name": {},
        "f:ports": {".": {}, r#"k:{"containerPort":8000,"protocol":"TCP"}"#: {
            ".": {}, "f:containerPort": {}, "f:name": {}, "f:protocol": {},
        }},
        "f:readinessProbe": probe,
        "f:resources": {
            ".": {}, "f:limits": {".": {}, "f:memory": {}}, "f:requests": {".": {}, "f:cpu": {}, "f:memory": {}},
        },
        "f:securityContext": {
            ".": {}, "f:allowPrivilegeEscalation": {}, "f:capabilities": {".": {}, "f:drop": {}},
        },
        "f:terminationMessagePath": {}, "f:terminationMessagePolicy": {},
    })
}

fn env(name: &str, n: usize) -> Value {
    match n % 5 {
        0 => {
            json!({"name": name, "value": format!("https://service-{n}.shop.svc:8443/v1?limit=50&order=name")})
        }
        1 => {
            json!({"name": name, "valueFrom": {"secretKeyRef": {"name": format!("part-{n}"), "key": "password"}}})
        }
        2 => json!({"name": name, "value": format!(r#"{{"level":"info","max":{n},"tags":["a","b"]}}"#)}),
        3 => {
            json!({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}})
        }
        _ => json!({"name": name, "value": "true"}),
    }
}
