//! What a controller tells those who look at a namespace.

use serde_json::Value;

use crate::space::Space;

/// The Events of a namespace with this reason.
#[track_caller]
pub(crate) fn events(space: &Space, reason: &str) -> Vec<Value> {
    let all = space.kubectl("get events -o json").json();
    let all = all["items"].as_array().into_iter().flatten();
    all.filter(|event| event["reason"] == reason).cloned().collect()
}
