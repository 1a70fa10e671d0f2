//! Many Pods, created but not really: `kubectl` takes longer to start than the API server to answer.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use kube::{Client, Config, Error};
use serde_json::Value;

/// So many at a time keep the API server busy, and nobody else waits long.
const AT_A_TIME: usize = 8;

/// What would be stored, or why nothing would; in the order of the Pods.
#[track_caller]
pub(super) fn create(namespace: &str, pods: &[Value]) -> Vec<Result<Value, String>> {
    let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
    requests("POST", "application/json", pods.iter().map(|pod| (path.as_str(), pod)))
}

/// What a merge patch of one stored Pod would come to.
#[track_caller]
pub(super) fn patch(namespace: &str, pod: &str, patch: &Value) -> Result<Value, String> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}?dryRun=All");
    let kind = "application/strategic-merge-patch+json";
    requests("PATCH", kind, [(path.as_str(), patch)].into_iter()).remove(0)
}

fn requests<'a>(
    method: &str,
    content_type: &str,
    bodies: impl Iterator<Item = (&'a str, &'a Value)>,
) -> Vec<Result<Value, String>> {
    let requests: Vec<_> = bodies
        .map(|(path, body)| {
            let request =
                http::Request::builder().method(method).uri(path).header("Content-Type", content_type);
            request.body(body.to_string().into_bytes()).expect("a request")
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut config = Config::infer().await.expect("KUBECONFIG says where the API server is");
        config.read_timeout = Some(Duration::from_mins(1));
        let client = Client::try_from(config).expect("a client");
        let answers = requests.into_iter().map(|request| {
            let client = client.clone();
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
