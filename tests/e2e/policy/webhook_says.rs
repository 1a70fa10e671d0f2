//! The webhook's own answers, without the way there and back.

use std::ffi::OsString;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::answer::answer;
use pullgate::config::load_policy;
use pullgate::policy::Policy;
use serde_json::{Value, json};

use crate::space::pod;

/// The webhook's rules under these settings.
#[track_caller]
pub(super) fn policy(settings: &[(&str, &str)]) -> Policy {
    let environment = settings.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load_policy(environment).unwrap_or_else(|errors| panic!("{errors:?}")).0
}

/// What the webhook makes of one image.
pub(super) struct Made {
    pub(super) image: String,
    /// It cannot be read, or what would come of it could not.
    pub(super) warned: bool,
}

/// Asks for the image of a new Pod.
#[track_caller]
pub(super) fn made(policy: &Policy, image: &str) -> Made {
    let (pod, warned) = admitted(policy, pod("one", image));
    let image = pod["spec"]["containers"][0]["image"].as_str().expect("an image").to_owned();
    Made { image, warned }
}

/// Asks for a new Pod.
#[track_caller]
pub(super) fn admitted(policy: &Policy, mut pod: Value) -> (Value, bool) {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "one", "operation": "CREATE", "namespace": "default", "object": pod,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
        },
    });
    let answer = answer(policy, review.to_string().as_bytes(), |_| ()).expect("a review");
    let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
    let response = &answer["response"];
    if let Some(patch) = response["patch"].as_str() {
        let patch = STANDARD.decode(patch).expect("base64");
        let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a patch");
        json_patch::patch(&mut pod, &patch).expect("a patch applies to what was sent");
    }
    (pod, !response["warnings"].is_null())
}
