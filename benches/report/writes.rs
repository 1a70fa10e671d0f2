//! Writes to the API server by clients that know in advance what to send: what the controller's are measured against.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant};

use crate::client::{Caller, request};
use crate::https::Target;

/// As many as the controller works on at the same time.
const CLIENTS: usize = 16;
/// For anything that ends by itself.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);

/// Makes requests with [`CLIENTS`] clients; returns how many a second were answered as they should be.
pub(crate) async fn send(target: &Target, requests: Vec<Vec<u8>>) -> f64 {
    let (count, began) = (requests.len(), Instant::now());
    let requests = Arc::new(Mutex::new(requests));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let (requests, mut caller) = (Arc::clone(&requests), Caller::new(target.address, &target.tls));
        clients.push(tokio::spawn(async move {
            loop {
                let Some(request) = requests.lock().await.pop() else { return };
                let answer = caller.call(&request).await.unwrap_or_else(|failure| panic!("{failure}"));
                let text = String::from_utf8_lossy(&answer.body);
                assert!(matches!(answer.status, 200 | 201 | 409), "{} {text}", answer.status);
            }
        }));
    }
    for client in clients {
        client.await.expect("every request is answered");
    }
    count as f64 / began.elapsed().as_secs_f64()
}

fn write(method: &str, path: &str, kind: &str, body: &Value) -> Vec<u8> {
    request(
        method,
        path,
        &[("Content-Type", kind), ("Accept", "application/json")],
        body.to_string().as_bytes(),
    )
}

pub(crate) fn create(path: &str, body: &Value) -> Vec<u8> {
    write("POST", path, "application/json", body)
}

/// A patch that changes nothing but a label, so that no rule of the controller is about it.
pub(crate) fn patch(path: &str, value: &str) -> Vec<u8> {
    let body = json!({"metadata": {"labels": {"bench.pullgate.example/round": value}}});
    write("PATCH", path, "application/merge-patch+json", &body)
}

/// Deletes what is at a path, one object or all that a selector chooses.
pub(crate) fn delete(path: &str) -> Vec<u8> {
    request("DELETE", path, &[("Accept", "application/json")], b"")
}
