//! A real API server: Pods are created through it, and it calls the webhook.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::client::{Caller, Response, TlsSettings, api_server, request};
use crate::load::Calls;
use crate::report::Judged;
use crate::reviews::mutated;

const JSON: (&str, &str) = ("Content-Type", "application/json");
const PATIENCE: Duration = Duration::from_mins(1);

/// The cluster of `KUBECONFIG`, as its administrator.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) address: SocketAddr,
    pub(crate) tls: TlsSettings,
}

/// A namespace whose Pods are sent to a webhook.
pub(crate) struct Space {
    cluster: Cluster,
    pub(crate) name: String,
}

impl Cluster {
    /// Reads what `scripts/cluster env` names.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let (address, tls) = api_server()?;
        Ok(Self { address, tls })
    }

    /// One call of the API.
    pub(crate) async fn api(&self, method: &str, path: &str, body: &Value) -> Result<(u16, Value), String> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = request(method, path, &[JSON], body.as_bytes());
        let response = Caller::new(self.address, &self.tls).call(&request).await;
        let response = response.map_err(|failure| format!("{method} {path}: {failure}"))?;
        Ok((response.status, serde_json::from_slice(&response.body).unwrap_or_default()))
    }
}

impl Space {
    /// Makes the namespace and registers the webhook at `address` for it under `failurePolicy: Fail`; returns when
    /// the API server calls it.
    pub(crate) async fn new(
        cluster: &Cluster,
        purpose: &str,
        address: SocketAddr,
        ca_pem: &str,
    ) -> Result<Self, String> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let space = Self { cluster: cluster.clone(), name: format!("soak-{purpose}-{since}") };
        let metadata = json!({"name": space.name});
        space.create("/api/v1/namespaces", &json!({"metadata": metadata})).await?;
        let webhook = json!({
            "metadata": metadata,
            "webhooks": [{
                "name": "webhook.soak.test",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": format!("https://{address}/mutate"), "caBundle": STANDARD.encode(ca_pem)},
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"],
                }],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name}},
                "sideEffects": "None",
                "timeoutSeconds": 10,
                "failurePolicy": "Fail",
            }],
        });
        space.create(CONFIGURATIONS, &webhook).await?;
        let pods = space.pods(true);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, pod) = cluster.api("POST", &pods.path(), &Pods::pod("probe")).await?;
            if status == 201 && mutated(&pod).is_ok() {
                return Ok(space);
            }
            if Instant::now() > deadline {
                return Err(format!("no mutated Pod within {PATIENCE:?}: {status} {}", pod["message"]));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn create(&self, path: &str, object: &Value) -> Result<(), String> {
        let (status, answer) = self.cluster.api("POST", path, object).await?;
        if status == 201 { Ok(()) } else { Err(format!("POST {path}: {status} {}", answer["message"])) }
    }

    /// Creations of Pods in it; none is stored where they are dry runs.
    pub(crate) fn pods(&self, dry_run: bool) -> Pods {
        Pods { namespace: self.name.clone(), dry_run }
    }

    /// Every Pod that is stored in it.
    pub(crate) async fn stored(&self) -> Result<Vec<Value>, String> {
        let path = format!("/api/v1/namespaces/{}/pods?limit=100000", self.name);
        let (_, mut list) = self.cluster.api("GET", &path, &Value::Null).await?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Err("the list of Pods has no items".to_owned()),
        }
    }

    /// Takes the registration away, and then the namespace.
    pub(crate) async fn remove(self) {
        for path in [format!("{CONFIGURATIONS}/{}", self.name), format!("/api/v1/namespaces/{}", self.name)] {
            // What stays, as after a case that ended early, scripts/soak removes; until then it is in nobody's way.
            drop(self.cluster.api("DELETE", &path, &Value::Null).await);
        }
    }
}

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// Creations of Pods through the API server.
#[derive(Clone)]
pub(crate) struct Pods {
    namespace: String,
    dry_run: bool,
}

impl Pods {
    fn path(&self) -> String {
        let query = if self.dry_run { "?dryRun=All" } else { "" };
        format!("/api/v1/namespaces/{}/pods{query}", self.namespace)
    }

    fn pod(name: &str) -> Value {
        json!({
            "metadata": {"name": name},
            "spec": {"containers": [{"name": "app", "image": "nginx:1.27"}], "automountServiceAccountToken": false},
        })
    }
}

impl Calls for Pods {
    fn request(&self, client: usize, number: u64) -> Vec<u8> {
        let pod = Self::pod(&format!("pod-{client}-{number}")).to_string();
        request("POST", &self.path(), &[JSON], pod.as_bytes())
    }

    fn judge(&self, _: usize, _: u64, response: &Response) -> Judged {
        let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        match response.status {
            201 => mutated(&answer).map_or_else(Judged::Wrong, |()| Judged::Right),
            status => {
                let message = answer["message"].as_str().unwrap_or_default();
                Judged::Failed(format!("status {status}: {}", gist(message)))
            }
        }
    }
}

/// What is the same about the messages of one fault: the end, which names no Pod and no port.
fn gist(message: &str) -> String {
    let message = message.strip_prefix("Internal error occurred: ").unwrap_or(message);
    let (start, end) = message.split_once(" \"webhook.soak.test\"").unwrap_or((message, ""));
    let end = end.rsplit(": ").next().unwrap_or_default();
    format!("{start}: {end}")
}
