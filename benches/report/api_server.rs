//! The API server of `KUBECONFIG`, as its administrator with a client certificate.

use std::sync::Arc;

use serde_json::Value;

use crate::client::{Caller, Failure, api_server, request};
use crate::https::Target;

const JSON: [(&str, &str); 2] = [("Content-Type", "application/json"), ("Accept", "application/json")];

/// The connection of whoever sets up and looks on; loads have their own.
pub(crate) struct ApiServer {
    pub(crate) target: Target,
    caller: Caller,
}

impl ApiServer {
    /// The cluster that `scripts/cluster` runs. Its API server is a process of this machine: a webhook on a loopback
    /// address is nothing that another one could call.
    pub(crate) fn of_kubeconfig() -> Self {
        let (address, tls) = api_server().unwrap_or_else(|why| panic!("{why}: run scripts/bench"));
        assert!(address.ip().is_loopback(), "the API server {address} is on another machine");
        let pid = std::env::var("API_SERVER_PID").ok().and_then(|pid| pid.parse().ok());
        let pid = pid.expect("API_SERVER_PID is the API server's process: run scripts/bench");
        let caller = Caller::new(address, &tls);
        Self { target: Target { address, tls, pid }, caller }
    }

    /// One call; the answer's body where it succeeds.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, String> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request(method, path, &JSON, body.as_bytes());
        let mut answer = self.caller.call(&request).await;
        if matches!(answer, Err(Failure::Closed { after: 0 })) {
            // The API server closes a connection that was idle for long.
            self.caller = Caller::new(self.target.address, &self.target.tls);
            answer = self.caller.call(&request).await;
        }
        let answer = answer.map_err(|failure| format!("{method} {path}: {failure}"))?;
        let text = String::from_utf8_lossy(&answer.body);
        match (answer.status, serde_json::from_str(&text)) {
            (200 | 201, Ok(value)) => Ok(value),
            (status, _) => Err(format!("{method} {path}: {status} {text}")),
        }
    }

    /// The request that creates an object of this kind.
    pub(crate) fn create(path: &str, object: &Value) -> Arc<Vec<u8>> {
        Arc::new(request("POST", path, &JSON, object.to_string().as_bytes()))
    }
}
