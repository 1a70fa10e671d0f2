//! PURE: forces one pull policy on every container and image volume that a request brings.

use super::Verdict;
use super::containers::{PodChange, Scope};
use crate::json::Text;
use crate::patch::{Mutator, Operation, Pointer, Value};
use crate::policy::PullPolicy;

/// Sets the policy where it differs. A stored Pod's policies cannot change: on an update one is only set back
/// to the forced value that it had, where a manifest that names another is applied again.
pub fn mutate(change: &PodChange<'_>, forced: PullPolicy, verdict: &mut Verdict<'_>) {
    if change.scope == Scope::Ephemeral && change.old.is_none() {
        // Nothing tells which of them are new, and the others cannot change.
        return;
    }
    let mut force = |new: &Option<Text<'_>>, old: Option<&str>, path: Pointer| {
        let may_set = change.scope != Scope::Update || old == Some(forced.as_str());
        if may_set && new.as_deref() != Some(forced.as_str()) {
            let value = Value::Text(forced.as_str().into());
            verdict.operations.push(Operation::set(Mutator::PullPolicy, new.is_some(), path, value));
        }
    };
    for container in change.containers() {
        let old = container.old.and_then(|old| old.image_pull_policy.as_deref());
        force(&container.new.image_pull_policy, old, container.pointer("imagePullPolicy"));
    }
    if change.scope == Scope::Ephemeral {
        return;
    }
    for volume in change.image_volumes() {
        let Some(image) = &volume.new.image else { continue };
        let old = volume.old.and_then(|old| old.image.as_ref()?.pull_policy.as_deref());
        force(&image.pull_policy, old, volume.pointer("image/pullPolicy"));
    }
}
