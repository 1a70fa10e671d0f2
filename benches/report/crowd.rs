//! A cluster with everything that many `ImagePullSecret`s need, but for their copies.
//!
//! Each resource merges a source of its own with a login of ECR that others have, too, and puts a copy into every
//! namespace: all but a few name them, these few select them by a label. AWS is the tests' counterpart of it.

use std::process::Command;

use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::api_server::ApiServer;
use crate::aws::Aws;
use crate::client::Program;
use crate::writes::{PATIENCE, create, delete, send};

const RESOURCES: &str = "/apis/images.banzaicloud.io/v1alpha1/imagepullsecrets";
pub(crate) const HOME: &str = "wide-sources";
/// A namespace that no resource names, and none selects at first.
pub(crate) const ASIDE: &str = "wide-aside";
/// Secrets with logins, each of which several resources have, and how many of these differ.
const LOGINS: usize = 10;
pub(crate) const IDENTITIES: usize = 5;
/// Resources that select by a label.
pub(crate) const LABELLED: usize = 3;
const KEY: &str = "AKIABENCH";
const SECRET_KEY: &str = "bench";
/// As long as a token of ECR is.
const PASSWORD: usize = 2_000;
/// How much of it there is.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) resources: usize,
    pub(crate) namespaces: usize,
}

impl Size {
    pub(crate) fn copies(self) -> usize {
        self.resources * self.namespaces
    }
}

fn namespace(n: usize) -> String {
    format!("wide-{n:03}")
}

pub(crate) fn secrets(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets")
}

/// The content of a resource's own source.
pub(crate) fn source(n: usize, round: usize) -> Value {
    let password = format!("{round} {}", "x".repeat(PASSWORD));
    let content = json!({"auths": {format!("r{n}.example"): {"username": "bench", "password": password}}});
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": format!("source-{n}"), "namespace": HOME},
        "stringData": {".dockerconfigjson": content.to_string()},
    })
}

fn login(n: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "banzaicloud.io/aws-ecr-login-config",
        "metadata": {"name": format!("login-{n}"), "namespace": HOME},
        "stringData": {
            "accessKeyID": KEY, "secretKey": SECRET_KEY,
            "region": format!("eu-bench-{}", n % IDENTITIES), "accountID": "123456789012",
        },
    })
}

fn resource(n: usize, size: Size) -> Value {
    let namespaces = if n < LABELLED {
        json!({"labels": [{"matchLabels": {"wide": "yes"}}]})
    } else {
        json!({"names": (0..size.namespaces).map(namespace).collect::<Vec<_>>()})
    };
    let credentials = [format!("source-{n}"), format!("login-{}", n % LOGINS)]
        .map(|name| json!({"name": name, "namespace": HOME}));
    json!({
        "apiVersion": "images.banzaicloud.io/v1alpha1", "kind": "ImagePullSecret",
        "metadata": {"name": format!("wide-{n}")},
        "spec": {
            "registry": {"credentials": credentials},
            "target": {"secret": {"name": format!("wide-{n}")}, "namespaces": namespaces},
        },
    })
}

/// The cluster with everything but copies, and AWS.
pub(crate) struct Crowd {
    api: ApiServer,
    pub(crate) aws: Aws,
    pub(crate) size: Size,
}

impl Crowd {
    pub(crate) async fn set(size: Size) -> Self {
        for line in [
            "apply --server-side -f deployment/crd.yaml",
            "wait --for=condition=Established crd/imagepullsecrets.images.banzaicloud.io",
        ] {
            let done = Command::new("kubectl").args(line.split(' ')).status();
            assert!(done.is_ok_and(|status| status.success()), "kubectl {line}");
        }
        let crowd = Self { api: ApiServer::of_kubeconfig(), aws: Aws::new(KEY, SECRET_KEY), size };
        let labelled = (0..size.namespaces)
            .map(|n| json!({"metadata": {"name": namespace(n), "labels": {"wide": "yes"}}}));
        let others = [HOME, ASIDE].map(|name| json!({"metadata": {"name": name}}));
        let namespaces = labelled.chain(others).map(|it| create("/api/v1/namespaces", &it));
        crowd.send(namespaces).await;
        let sources = (0..size.resources).map(|n| source(n, 0)).chain((0..LOGINS).map(login));
        crowd.send(sources.map(|it| create(&secrets(HOME), &it))).await;
        crowd.send((0..size.resources).map(|n| create(RESOURCES, &resource(n, size)))).await;
        crowd
    }

    pub(crate) async fn send(&self, requests: impl Iterator<Item = Vec<u8>>) -> f64 {
        send(&self.api.target, requests.collect()).await
    }

    pub(crate) async fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.api.call(method, path, body).await.unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// What others have to find as it was.
    pub(crate) async fn clear(mut self) {
        self.send((0..self.size.resources).map(|n| delete(&format!("{RESOURCES}/wide-{n}")))).await;
        let names: Vec<_> =
            (0..self.size.namespaces).map(namespace).chain([HOME, ASIDE].map(str::to_owned)).collect();
        self.send(names.iter().map(|name| delete(&format!("/api/v1/namespaces/{name}")))).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let list = self.call("GET", "/api/v1/namespaces", None).await;
            let left = |item: &Value| {
                item["metadata"]["name"].as_str().is_some_and(|name| names.iter().any(|it| it == name))
            };
            if !list["items"].as_array().is_some_and(|items| items.iter().any(left)) {
                return;
            }
            assert!(Instant::now() < deadline, "namespaces are not deleted");
            sleep(Duration::from_secs(1)).await;
        }
    }

    pub(crate) async fn controller(&self, more: &[&str]) -> Program {
        Program::start_as(command(more), &[("AWS_ENDPOINT_URL", &self.aws.url)], None).await
    }

    /// Until each resource says that it is ready in all namespaces.
    pub(crate) async fn ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let list = self.call("GET", RESOURCES, None).await;
            let all = list["items"].as_array().expect("a list");
            let ready = |item: &&Value| {
                let managed = item["status"]["managedNamespaces"].as_array().map_or(0, Vec::len);
                item["status"]["status"] == "Ready" && managed >= self.size.namespaces
            };
            if all.iter().filter(ready).count() == self.size.resources {
                return;
            }
            assert!(Instant::now() < deadline, "not all resources are ready");
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// Creates a second that the API server takes, of Secrets as copies are but for their names; deleted afterwards.
    pub(crate) async fn bare(&mut self) -> f64 {
        let mut copy = self.call("GET", &format!("{}/wide-{LABELLED}", secrets(&namespace(0))), None).await;
        copy["metadata"]["labels"] = json!({"bare": "yes", "a": "as-long-as-that-of-the-owner-uid-is"});
        for of_the_server in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "namespace"] {
            drop(copy["metadata"].as_object_mut().expect("an object").remove(of_the_server));
        }
        let count = self.size.copies().min(4_000);
        let requests = (0..count).map(|n| {
            copy["metadata"]["name"] = format!("bare-{n}").into();
            create(&secrets(&namespace(n % self.size.namespaces)), &copy)
        });
        let rate = self.send(requests.collect::<Vec<_>>().into_iter()).await;
        let all = (0..self.size.namespaces).map(namespace);
        self.send(all.map(|it| delete(&format!("{}?labelSelector=bare%3Dyes", secrets(&it))))).await;
        rate
    }

    pub(crate) async fn asked_for(&self, tokens: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.asked() < tokens {
            assert!(Instant::now() < deadline, "AWS was asked for {} tokens", self.asked());
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn asked(&self) -> usize {
        assert_eq!(self.aws.refused(), Vec::<String>::new(), "AWS was asked wrongly");
        self.aws.asked().len()
    }
}

pub(crate) fn command(more: &[&str]) -> Command {
    let kubeconfig = std::env::var("KUBECONFIG").expect("a cluster: run scripts/bench");
    let mut command = Command::new(crate::binary());
    command.args(["controller", "-kubeconfig", &kubeconfig]).args(more);
    command
}
