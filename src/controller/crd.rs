//! PURE: the CustomResourceDefinition of `ImagePullSecret` as a manifest.

use kube::CustomResourceExt as _;
use serde_json::Value;

use super::resource::ImagePullSecret;
use crate::offline::yaml;

/// What `kubectl apply -f -` takes.
///
/// # Errors
/// None that are known: the types are fixed.
pub fn manifest() -> serde_json::Result<String> {
    let Value::Object(mut crd) = serde_json::to_value(ImagePullSecret::crd())? else {
        return Ok(String::new());
    };
    // Given by the API server alone.
    crd.remove("status");
    Ok(yaml::print(&Value::Object(crd)))
}
