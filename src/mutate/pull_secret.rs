//! PURE: makes Pods reference the configured pull secrets.
//!
//! The API server's `ServiceAccount` plugin runs before webhooks and has copied the account's references into
//! the Pod: append keeps them, replace drops them, deliberately.

use super::Verdict;
use super::containers::{PodChange, Scope};
use crate::object::{Object, SecretReference};
use crate::patch::{Mutator, Operation, Pointer, Reference, Value};
use crate::policy::PullSecrets;

/// Adds what is missing, or replaces a list that differs. A stored Pod's list cannot change: on an update it is
/// only set back to the old list, where our rule makes exactly that out of the new one.
pub fn mutate<'a>(change: &PodChange<'a>, secrets: &'a PullSecrets, verdict: &mut Verdict<'a>) {
    let listed = names(change.new);
    let missing = |name: &&str| !listed.contains(&Some(*name));
    let wanted: Vec<Option<&str>> = if secrets.append {
        let missing = secrets.names.iter().map(String::as_str).filter(missing).map(Some);
        listed.iter().copied().chain(missing).collect()
    } else {
        secrets.names.iter().map(|name| Some(name.as_str())).collect()
    };
    let allowed = match change.scope {
        Scope::Create => true,
        Scope::Update => change.old.is_some_and(|old| names(old) == wanted),
        Scope::Ephemeral => false,
    };
    if !allowed || wanted == listed {
        return;
    }
    let spec = change.new.spec.as_ref();
    if spec.is_none() {
        push(false, "/spec", Value::Empty {}, verdict);
    }
    if secrets.append && !listed.is_empty() {
        for name in wanted.into_iter().skip(listed.len()).flatten() {
            push(false, "/spec/imagePullSecrets/-", Value::Reference(Reference { name }), verdict);
        }
        return;
    }
    let present = spec.is_some_and(|spec| spec.image_pull_secrets.is_some());
    let list = wanted.into_iter().flatten().map(|name| Reference { name }).collect();
    push(present, "/spec/imagePullSecrets", Value::References(list), verdict);
}

fn push<'a>(present: bool, path: &'static str, value: Value<'a>, verdict: &mut Verdict<'a>) {
    verdict.operations.push(Operation::set(Mutator::PullSecret, present, Pointer::Field(path), value));
}

/// The listed names in order; none for an entry without one.
fn names<'a>(pod: &'a Object<'a>) -> Vec<Option<&'a str>> {
    let name = |entry: &'a Option<SecretReference<'a>>| entry.as_ref()?.name.as_deref();
    let list = pod.spec.as_ref().and_then(|spec| spec.image_pull_secrets.as_deref());
    list.unwrap_or_default().iter().map(name).collect()
}
