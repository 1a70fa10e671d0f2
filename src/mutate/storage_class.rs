//! PURE: the storage class of new claims.
//!
//! In a cluster with a default class the API server fills the field *before* webhooks are called, so a filled
//! field says nothing about the author. `metadata.managedFields` does: the API server works it out from what
//! the author sent.

use super::Verdict;
use crate::object::{Metadata, Object};
use crate::patch::{Mutator, Operation, Pointer, Value};
use crate::policy::StorageClass;

/// [`crate::object::BETA_STORAGE_CLASS_ANNOTATION`] as a pointer writes it.
const BETA_ANNOTATION: &str = "/metadata/annotations/volume.beta.kubernetes.io~1storage-class";

/// Sets the class where the author named none, or, when forced, wherever it differs.
pub fn mutate<'a>(claim: &Object<'_>, class: &'a StorageClass, verdict: &mut Verdict<'a>) {
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
        set(true, BETA_ANNOTATION, Value::Text(class.name.as_str().into()), verdict);
    }
    if field != Some(&class.name) {
        if claim.spec.is_none() {
            set(false, "/spec", Value::Empty {}, verdict);
        }
        set(field.is_some(), "/spec/storageClassName", Value::Text(class.name.as_str().into()), verdict);
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

fn set<'a>(present: bool, path: &'static str, value: Value<'a>, verdict: &mut Verdict<'a>) {
    verdict.operations.push(Operation::set(Mutator::StorageClass, present, Pointer::Field(path), value));
}
