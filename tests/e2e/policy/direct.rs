//! Many requests at once: `kubectl` takes longer to start than the API server to answer, and asks before it deletes.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use kube::{Client, Config, Error};
use serde_json::{Value, json};

/// So many at a time keep the API server busy, and nobody else waits long.
const AT_A_TIME: usize = 8;

type Answer = Result<Value, String>;

/// Creates Pods, but not really: what would be stored, or why nothing would; in the order of the Pods.
pub(super) fn try_to_create(namespace: &str, pods: &[Value]) -> Vec<Answer> {
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
    requests("POST", "application/json", &path, pods)
}

/// Changes a stored Pod or its `/ephemeralcontainers` by a strategic merge patch, but not really.
pub(super) fn try_to_patch(namespace: &str, pod: &str, change: &Value) -> Answer {
    let path = match pod.split_once('/') {
        Some((pod, subresource)) => {
            format!("/api/v1/namespaces/{namespace}/pods/{pod}/{subresource}?dryRun=All")
        }
        None => format!("/api/v1/namespaces/{namespace}/pods/{pod}?dryRun=All"),
    };
    requests("PATCH", "application/strategic-merge-patch+json", &path, std::slice::from_ref(change)).remove(0)
}

/// Deletes the policies or bindings of a resource that have a label.
pub(super) fn delete_all(resource: &str, label: &str) -> Answer {
    let path = format!("/apis/admissionregistration.k8s.io/v1/{resource}?labelSelector={label}");
    requests("DELETE", "application/json", &path, &[json!({})]).remove(0)
}

fn requests(method: &str, content_type: &str, path: &str, bodies: &[Value]) -> Vec<Answer> {
    let request = |body: &Value| {
        let head = http::Request::builder().method(method).uri(path).header("Content-Type", content_type);
        head.body(body.to_string().into_bytes()).expect("a request")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut config = Config::infer().await.expect("KUBECONFIG says where the API server is");
        config.read_timeout = Some(Duration::from_mins(1));
        let client = Client::try_from(config).expect("a client");
        let answers = bodies.iter().map(|body| {
            let (client, request) = (client.clone(), request(body));
            async move {
                client.request::<Value>(request).await.map_err(|error| match error {
                    Error::Api(status) => status.message,
                    error => panic!("the API server does not answer: {error:?}"),
                })
            }
        });
        stream::iter(answers).buffered(AT_A_TIME).collect().await
    })
}
