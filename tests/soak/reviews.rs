//! Calls of the webhook itself, and what is right about an answer.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::client::{Response, request, review};
use crate::load::Calls;
use crate::report::Judged;

/// The rule of every webhook here: what it answers is known from it.
pub(crate) const RULE: (&str, &str) = ("REGISTRY", "registry.example");

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// The call for a body, as an API server makes it.
pub(crate) fn call(body: &[u8]) -> Vec<u8> {
    request("POST", "/mutate?timeout=10s", &[JSON], body)
}

/// Reviews of Pods, with a uid for each client.
#[derive(Clone)]
pub(crate) struct Reviews {
    bodies: Arc<Vec<Vec<u8>>>,
}

impl Reviews {
    /// For so many clients, of so many bytes.
    pub(crate) fn new(clients: usize, size: usize) -> Self {
        Self { bodies: Arc::new((0..clients).map(|client| review(&uid(client), size)).collect()) }
    }
}

fn uid(client: usize) -> String {
    format!("soak-{client}")
}

impl Calls for Reviews {
    fn request(&self, client: usize, _: u64) -> Vec<u8> {
        call(&self.bodies[client])
    }

    fn judge(&self, client: usize, _: u64, response: &Response) -> Judged {
        judge(&self.bodies[client], &uid(client), response)
    }
}

/// Whether this is the answer to that review: its uid, allowed, and a patch that makes the image come from
/// [`RULE`]'s registry when an API server applies it.
pub(crate) fn judge(body: &[u8], uid: &str, response: &Response) -> Judged {
    if response.status != 200 {
        return Judged::Failed(format!("status {}", response.status));
    }
    match examine(body, uid, &response.body) {
        Ok(()) => Judged::Right,
        Err(problem) => Judged::Wrong(problem),
    }
}

fn examine(body: &[u8], uid: &str, answer: &[u8]) -> Result<(), String> {
    let answer: Value = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let response = &answer["response"];
    if response["uid"] != uid {
        return Err(format!("the uid is {}", response["uid"]));
    }
    if response["allowed"] != true {
        return Err("not allowed".to_owned());
    }
    let patch = response["patch"].as_str().ok_or("no patch")?;
    let patch = STANDARD.decode(patch).map_err(|error| error.to_string())?;
    let patch: json_patch::Patch = serde_json::from_slice(&patch).map_err(|error| error.to_string())?;
    let mut review: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let pod = &mut review["request"]["object"];
    json_patch::patch(pod, &patch).map_err(|error| error.to_string())?;
    mutated(pod)
}

/// Whether a Pod's images come from where [`RULE`] sends them.
pub(crate) fn mutated(pod: &Value) -> Result<(), String> {
    let containers = pod["spec"]["containers"].as_array().ok_or("no containers")?;
    let images: Vec<_> = containers.iter().filter_map(|container| container["image"].as_str()).collect();
    if images.is_empty() || !images.iter().all(|image| image.starts_with("registry.example/")) {
        return Err(format!("its images are {images:?}"));
    }
    Ok(())
}
