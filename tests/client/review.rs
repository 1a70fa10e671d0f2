//! Calls as a kube-apiserver makes them, of any size.

use serde_json::Value;

/// The creation of a Pod, as it was recorded: about 2 kB without white space.
pub(crate) const REVIEW: &[u8] =
    include_bytes!("../fixtures/cases/recorded-pod-by-kubectl-create/review.json");

/// The same with another uid and, where `size` is more than it takes, of exactly so many bytes: what is missing is
/// an annotation, which is what makes real Pods large.
pub(crate) fn review(uid: &str, size: usize) -> Vec<u8> {
    let mut review: Value = serde_json::from_slice(REVIEW).expect("the recorded review is JSON");
    review["request"]["uid"] = uid.into();
    let annotation = "soak.example/filler";
    let plain = review.to_string().len();
    review["request"]["object"]["metadata"]["annotations"][annotation] = "".into();
    let filler = size.saturating_sub(review.to_string().len());
    if size > plain {
        review["request"]["object"]["metadata"]["annotations"][annotation] = "x".repeat(filler).into();
    } else if let Some(annotations) = review["request"]["object"]["metadata"]["annotations"].as_object_mut() {
        annotations.shift_remove(annotation);
    }
    review.to_string().into_bytes()
}
