//! `pullgate images` of a cluster: what it lists, with how few rights, and with whose logins it asks registries.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kubectl::kubectl;
use crate::register::kubeconfig_of;
use crate::space::{Space, pod, unique};
use crate::webhook::program;

/// What is listed, by API group.
const RESOURCES: [(&str, &[&str]); 3] = [
    ("", &["pods"]),
    ("apps", &["daemonsets", "deployments", "replicasets", "statefulsets"]),
    ("batch", &["cronjobs", "jobs"]),
];

/// The role that docs/images.md shows, by another name.
fn documented(name: &str) -> String {
    let document = include_str!("../../docs/images.md");
    let role =
        document.split_once("```yaml\n").and_then(|(_, rest)| rest.split_once("```")).expect("a role").0;
    assert!(role.contains("kind: ClusterRole") && role.contains("name: pullgate-images"), "{role}");
    role.replace("pullgate-images", name)
}

/// An account that may list, and its kubeconfig; its rights are gone when dropped.
struct Reader {
    role: String,
    kubeconfig: PathBuf,
    _folder: TempDir,
}

impl Reader {
    fn new(space: &Space) -> Self {
        let role = unique("e2e-images");
        kubectl("create -f -").input_text(documented(&role)).ok();
        kubectl(&format!(
            "create clusterrolebinding {role} --clusterrole={role} --serviceaccount={}:default",
            space.name
        ))
        .ok();
        let folder = tempfile::tempdir().expect("a scratch folder");
        let kubeconfig = kubeconfig_of("default", &space.name, folder.path());
        Self { role, kubeconfig, _folder: folder }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        kubectl("delete clusterrolebinding,clusterrole --ignore-not-found").word(&self.role).run();
    }
}

/// What came of a run: its list, what it said, and its exit status.
struct Listed {
    images: Vec<Value>,
    said: String,
    status: Option<i32>,
}

fn images(kubeconfig: Option<&Path>, map: &str, arguments: &[&str]) -> Listed {
    let mut command = Command::new(program());
    command.args(["images", "--output", "json"]).args(arguments).env("REGISTRY_MAP", map);
    match kubeconfig {
        Some(path) => command.arg("--kubeconfig").arg(path),
        None => command.arg("--cluster"),
    };
    let ran = command.output().expect("the program can be run");
    let whole: Value = serde_json::from_slice(&ran.stdout).unwrap_or_default();
    let images = whole["images"].as_array().cloned().unwrap_or_default();
    Listed { images, said: String::from_utf8_lossy(&ran.stderr).into_owned(), status: ran.status.code() }
}

impl Listed {
    /// Image and first user of those that are used in a namespace.
    fn of(&self, space: &Space) -> Vec<(&str, String)> {
        let inside = format!(" {}/", space.name);
        let mut found: Vec<_> = self
            .images
            .iter()
            .filter_map(|image| {
                let users = image["users"]["first"].as_array()?;
                let user = users.iter().filter_map(Value::as_str).find(|user| user.contains(&inside))?;
                Some((image["image"].as_str()?, user.replace(&inside, " ")))
            })
            .collect();
        found.sort();
        found
    }
}

fn workload(kind: &str, name: &str, image: &str) -> Value {
    let labels = json!({"app": name});
    let pod = json!({"metadata": {"labels": labels}, "spec": {"restartPolicy": "Always", "containers": [{"name": "c", "image": image}]}});
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": pod},
    })
}

fn job(image: &str) -> Value {
    json!({"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}}})
}

#[test]
fn everything_in_use_is_listed_with_no_more_than_the_right_to_list() {
    let space = Space::new();
    let reader = Reader::new(&space);
    let mut pods: Vec<_> = (0..510).map(|i| pod(&format!("many-{i}"), "quay.io/acme/many:1")).collect();
    pods.push(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "all"},
        "spec": {
            "initContainers": [{"name": "i", "image": "init:1"}, {"name": "s", "image": "sidecar:1", "restartPolicy": "Always"}],
            "containers": [{"name": "c", "image": "main:1"}],
            "volumes": [{"name": "v", "image": {"reference": "model:1"}}],
        },
    }));
    pods.extend([
        pod("done", "done:1"),
        workload("Deployment", "web", "web:1"),
        workload("StatefulSet", "data", "data:1"),
        workload("DaemonSet", "agent", "agent:1"),
        workload("ReplicaSet", "bare", "bare:1"),
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": job("once:1")}),
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
               "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job("nightly:1")}}}),
    ]);
    space.kubectl("create -f -").input(&json!({"apiVersion": "v1", "kind": "List", "items": pods})).ok();
    space.kubectl("debug all --image=debug:1 --attach=false").ok();
    space
        .kubectl(
            r#"patch pod done --subresource=status --type=merge --patch={"status":{"phase":"Succeeded"}}"#,
        )
        .ok();

    let listed =
        images(Some(&reader.kubeconfig), "docker.io=registry.example/hub,quay.io=registry.example/quay", &[]);
    assert_eq!((listed.said.as_str(), listed.status), ("", Some(0)));
    let expected = [
        ("agent:1", "DaemonSet agent"),
        ("bare:1", "ReplicaSet bare"),
        ("data:1", "StatefulSet data"),
        ("debug:1", "Pod all"),
        ("init:1", "Pod all"),
        ("main:1", "Pod all"),
        ("model:1", "Pod all"),
        ("nightly:1", "CronJob nightly"),
        ("once:1", "Job once"),
        ("quay.io/acme/many:1", "Pod many-0"),
        ("sidecar:1", "Pod all"),
        ("web:1", "Deployment web"),
    ];
    assert_eq!(listed.of(&space), expected.map(|(image, user)| (image, user.to_owned())));
    let many =
        listed.images.iter().find(|it| it["image"] == "quay.io/acme/many:1").expect("the image of many Pods");
    // More than one page of them.
    assert_eq!(many["users"]["count"], 510);
    assert_eq!(many["result"], "registry.example/quay/acme/many:1");
    // Only here, where nothing else is.
    let other = images(
        Some(&reader.kubeconfig),
        "docker.io=registry.example/hub",
        &["--namespace", "kube-node-lease"],
    );
    assert!(
        other.images.is_empty()
            && other.said.contains("no Pod or workload found in the namespace kube-node-lease"),
        "{}",
        other.said
    );
}

#[test]
fn a_right_that_is_missing_is_named() {
    let space = Space::new();
    space.kubectl("create -f -").input(&pod("one", "one:1")).ok();
    let folder = tempfile::tempdir().expect("a scratch folder");
    let kubeconfig = kubeconfig_of("default", &space.name, folder.path());
    space.kubectl("create role reader --verb=list --resource=pods").ok();
    space
        .kubectl(&format!("create rolebinding reader --role=reader --serviceaccount={}:default", space.name))
        .ok();
    let listed = images(Some(&kubeconfig), "docker.io=registry.example", &["--namespace", &space.name]);
    assert_eq!(listed.status, Some(2));
    assert_eq!(listed.of(&space), [("one:1", "Pod one".to_owned())]);
    for (group, resources) in RESOURCES {
        for resource in resources {
            let name = if group.is_empty() { (*resource).to_owned() } else { format!("{resource}.{group}") };
            let told = listed.said.contains(&format!("error: {name} cannot be listed: {name} is forbidden"));
            assert_eq!(told, *resource != "pods", "{}", listed.said);
        }
    }
    let nowhere = images(Some(Path::new("/no/such/kubeconfig")), "docker.io=registry.example", &[]);
    assert_eq!(nowhere.status, Some(2));
    assert!(nowhere.said.contains("/no/such/kubeconfig: cannot be read"), "{}", nowhere.said);
}

/// A registry that has everything, for who says `user:secret-of-the-test`.
fn registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let head: Vec<_> = BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let known = head.iter().any(|line| {
                line.eq_ignore_ascii_case("authorization: Basic dXNlcjpzZWNyZXQtb2YtdGhlLXRlc3Q=")
            });
            let status = if known {
                "200 OK\r\nDocker-Content-Digest: sha256:0"
            } else {
                "401 Unauthorized\r\nWWW-Authenticate: Basic realm=x"
            };
            drop(write!(&stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
        }
    });
    host
}

#[test]
fn registries_are_asked_with_the_pull_secrets_of_the_cluster() {
    let space = Space::new();
    let reader = Reader::new(&space);
    let host = registry();
    space
        .kubectl(&format!("create secret docker-registry ours --docker-server={host} --docker-username=user --docker-password=secret-of-the-test"))
        .ok();
    let mut one = pod("one", "one:1");
    one["spec"]["imagePullSecrets"] = json!([{"name": "ours"}, {"name": "not-there"}]);
    space.kubectl("create -f -").input(&one).ok();
    let map = format!("docker.io={host}/hub");
    let arguments = ["--namespace", &space.name, "--check-registry", "--plain-http", &host, "--exit-code"];

    let listed = images(None, &map, &arguments);
    assert_eq!(listed.images[0]["target"], json!({"state": "present", "reason": null}));
    assert_eq!((listed.said.as_str(), listed.status), ("", Some(0)));

    let without = images(Some(&reader.kubeconfig), &map, &arguments);
    assert_eq!(without.images[0]["target"]["state"], "unauthorized");
    assert_eq!(
        without.said,
        "warning: pull secrets may not be read, at least not all: registries are asked without them\n"
    );
    assert_eq!(without.status, Some(1));
}
