//! PURE: makes `ServiceAccounts` reference the configured pull secret, so that the Pods of the account get it.

use super::Verdict;
use crate::object::Object;
use crate::patch::{Mutator, Operation, Pointer, Reference, Value};
use crate::policy::ServiceAccounts;

/// Adds the reference where it is missing. Other references stay, and so does their order.
pub fn mutate<'a>(account: &Object<'_>, rule: &'a ServiceAccounts, verdict: &mut Verdict<'a>) {
    let name = account.metadata.as_ref().and_then(|metadata| metadata.name.as_deref()).unwrap_or_default();
    if !rule.names.cover(name) {
        return;
    }
    let reference = Reference { name: &rule.secret };
    let (path, value) = match account.image_pull_secrets.as_deref() {
        None | Some([]) => ("/imagePullSecrets", Value::References(vec![reference])),
        Some(listed) => {
            let mut names = listed.iter().flatten().filter_map(|entry| entry.name.as_deref());
            if names.any(|name| name == rule.secret) {
                return;
            }
            ("/imagePullSecrets/-", Value::Reference(reference))
        }
    };
    // An empty list is there to be replaced; behind a list of others something is added.
    let present = account.image_pull_secrets.as_deref().is_some_and(<[_]>::is_empty);
    verdict.operations.push(Operation::set(Mutator::ServiceAccount, present, Pointer::Field(path), value));
}
