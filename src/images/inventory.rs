//! PURE: which images are in use, and by whom.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::mutate::containers::Scope;
use crate::offline::explain::{carried, spared};
use crate::offline::parts::{Found, admission, each_part};
use crate::policy::Policy;

/// An image, and why no rule is asked about it where that is so: as its outcome is called, and in words.
pub(super) type Used = (String, Option<(&'static str, String)>);

/// All images of many objects; an object is read once and not kept.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// By image, the workloads that use it.
    pub(super) images: BTreeMap<Used, BTreeSet<String>>,
    /// Pull secrets of the Pods, by namespace and name.
    pub(super) secrets: BTreeSet<(String, String)>,
    /// How many objects had images.
    pub(super) objects: usize,
}

impl Inventory {
    /// Takes in everything that a document's Pods and templates carry. Objects that name no namespace are in
    /// `namespace`; `implied` are apiVersion and kind of an object that leaves them out.
    ///
    /// # Errors
    /// What is no Kubernetes object, or has fields of an unexpected type; says which object. All others are taken in.
    pub(super) fn add(
        &mut self,
        policy: &Policy,
        namespace: &str,
        implied: Option<(&str, &str)>,
        document: &mut Value,
    ) -> Result<(), Vec<String>> {
        each_part(document, namespace, implied, &mut |found| {
            // Of a Deployment's old revisions nothing is in use but what its Pods say.
            let is_revision = found.title.starts_with("ReplicaSet ")
                && found.owner.as_ref().is_some_and(|(kind, _)| kind == "Deployment");
            let phase = found.value.pointer("/status/phase").and_then(Value::as_str);
            if found.kind != "Pod" || is_revision || matches!(phase, Some("Succeeded" | "Failed")) {
                return Ok(());
            }
            self.objects += 1;
            self.pod(policy, &found)
        })
    }

    fn pod(&mut self, policy: &Policy, found: &Found<'_>) -> Result<(), String> {
        let Found { kind, title, namespace, owner, value } = found;
        let user = match owner {
            Some((kind, name)) => format!("{kind} {namespace}/{name}"),
            None => (*title).to_owned(),
        };
        admission(policy, (kind, namespace), value, |object, outcome, _| {
            let why = spared(outcome, namespace).map(|why| (outcome.as_str(), why));
            for (_, _, image) in
                [Scope::Create, Scope::Ephemeral].into_iter().flat_map(|it| carried(object, it))
            {
                self.images.entry((image.to_owned(), why.clone())).or_default().insert(user.clone());
            }
            let own = object.spec.as_ref().and_then(|spec| spec.image_pull_secrets.as_deref());
            let own = own.unwrap_or_default().iter().flatten().filter_map(|secret| secret.name.as_deref());
            let ours = policy.pull_secrets.iter().flat_map(|secrets| &secrets.names).map(String::as_str);
            for secret in own.chain(ours) {
                self.secrets.insert(((*namespace).to_owned(), secret.to_owned()));
            }
        })
    }
}
