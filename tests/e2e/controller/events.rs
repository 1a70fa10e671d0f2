//! What a controller tells those who look at a namespace.

use serde_json::Value;

use crate::kubectl::kubectl;
use crate::space::Space;

/// The Events of a namespace with this reason.
#[track_caller]
pub(crate) fn events(space: &Space, reason: &str) -> Vec<Value> {
    let all = space.kubectl("get events -o json").json();
    let all = all["items"].as_array().into_iter().flatten();
    all.filter(|event| event["reason"] == reason).cloned().collect()
}

/// The Events about one object, those of objects without a namespace in `default`.
#[track_caller]
pub(crate) fn events_of(namespace: &str, kind: &str, name: &str) -> Vec<Value> {
    let selector = format!("--field-selector=involvedObject.kind={kind},involvedObject.name={name}");
    let all = kubectl("get events -o json --namespace").word(namespace).word(&selector).json();
    all["items"].as_array().into_iter().flatten().cloned().collect()
}
