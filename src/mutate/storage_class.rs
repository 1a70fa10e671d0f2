//! PURE: the storage class of new claims.
//!
//! In a cluster with a default class the API server fills the field *before* webhooks are called, so a filled
//! field says nothing about the author. `metadata.managedFields` does: the API server works it out from what
//! the author sent.

use super::Verdict;
use crate::object::{BETA_STORAGE_CLASS_ANNOTATION, Metadata, Object};
use crate::patch::{Mutator, Operation, Step, Value, pointer};
use crate::policy::StorageClass;

/// Sets the class where the author named none, or, when forced, wherever it differs.
pub fn mutate(claim: &Object<'_>, class: &StorageClass, verdict: &mut Verdict) {
    let annotation = claim
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.annotations.as_ref()?.beta_storage_class.as_deref());
    let field = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    if !class.force && (annotation.is_some() || author_named(claim.metadata.as_ref(), field)) {
        return;
    }
    // The annotation is read before the field, so a forced class that left it alone would have no effect.
    if annotation.is_some_and(|named| named != class.name) {
        let path =
            [Step::Key("metadata"), Step::Key("annotations"), Step::Key(BETA_STORAGE_CLASS_ANNOTATION)];
        set(true, &path, class, verdict);
    }
    if field != Some(&class.name) {
        if claim.spec.is_none() {
            let parent = pointer(&[Step::Key("spec")]);
            let operation = Operation::set(Mutator::StorageClass, false, parent, Value::Empty {});
            verdict.operations.push(operation);
        }
        set(field.is_some(), &[Step::Key("spec"), Step::Key("storageClassName")], class, verdict);
    }
}

/// Whether the author chose the class; `""` is a choice too. Without managed fields a filled field counts.
fn author_named(metadata: Option<&Metadata<'_>>, field: Option<&str>) -> bool {
    match metadata.and_then(|metadata| metadata.managed_fields.as_deref()) {
        None | Some([]) => field.is_some(),
        Some(entries) => entries.iter().flatten().any(|entry| {
            let set = |spec: &crate::object::SpecFields<'_>| spec.storage_class_name.is_some();
            entry.fields.as_ref().and_then(|fields| fields.spec.as_ref()).is_some_and(set)
        }),
    }
}

fn set(present: bool, path: &[Step<'_>], class: &StorageClass, verdict: &mut Verdict) {
    let value = Value::Text(class.name.clone());
    verdict.operations.push(Operation::set(Mutator::StorageClass, present, pointer(path), value));
}
