//! PURE: copies that were made for a resource: what marks them, and whose a Secret is by its marks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret as ApiSecret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource as _;

use super::plan::{Owner, Secret};
use super::resource::{ImagePullSecret, OWNER_UID, TargetSecret};
use super::view::{LAST_APPLIED, MANAGED_BY, OURS, PREDECESSOR, Seen, Versioned, facts, is_noted};

type Map = BTreeMap<String, String>;

/// The annotation of a copy that tells which of its credentials came from which source, and when they expire. By it they
/// outlive the process, where a source fails.
pub const ORIGINS: &str = "pullgate/sources";

/// What marks the copies of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Marks {
    /// Labels, the resource's own wishes among them.
    pub labels: Map,
    /// Annotations, likewise.
    pub annotations: Map,
    /// The resource, by which the garbage collector finds them; none where there is no resource.
    pub owner: Option<OwnerReference>,
}

impl Marks {
    /// Those of a resource.
    #[must_use]
    pub fn of(name: &str, uid: &str, target: &TargetSecret) -> Self {
        let with = |wishes: &Map, ours: &[(&str, &str)]| -> Map {
            let ours = ours.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let wishes = wishes.iter().filter(|(key, _)| !LAST_APPLIED.contains(&key.as_str()));
            wishes.map(|(key, value)| (key.clone(), value.clone())).chain(ours).collect()
        };
        Self {
            labels: with(&target.labels, &[(MANAGED_BY, OURS), (OWNER_UID, uid)]),
            annotations: with(&target.annotations, &[(MANAGED_BY, PREDECESSOR)]),
            owner: Some(OwnerReference {
                api_version: ImagePullSecret::api_version(&()).into_owned(),
                kind: ImagePullSecret::kind(&()).into_owned(),
                name: name.to_owned(),
                uid: uid.to_owned(),
                controller: Some(true),
                block_owner_deletion: None,
            }),
        }
    }

    /// Those of a copy that belongs to no resource.
    #[must_use]
    pub fn alone() -> Self {
        let managed_by = |value: &str| Map::from([(MANAGED_BY.to_owned(), value.to_owned())]);
        Self { labels: managed_by(OURS), annotations: managed_by(PREDECESSOR), owner: None }
    }

    /// Which credentials came from where, as it is written on copies.
    #[must_use]
    pub fn origins(&self) -> Option<&str> {
        self.annotations.get(ORIGINS).map(String::as_str)
    }

    /// Has that written on copies.
    pub fn set_origins(&mut self, origins: String) {
        self.annotations.insert(ORIGINS.to_owned(), origins);
    }

    /// Puts them on a Secret. Those of others stay, but there can be one controlling owner only.
    pub fn put_on(&self, metadata: &mut ObjectMeta) {
        metadata.labels.get_or_insert_default().extend(self.labels.clone());
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.extend(self.annotations.clone());
        annotations.retain(|key, _| !LAST_APPLIED.contains(&key.as_str()));
        if let Some(own) = &self.owner {
            let owners = metadata.owner_references.get_or_insert_default();
            owners.retain(|owner| owner.controller != Some(true) && owner.uid != own.uid);
            owners.push(own.clone());
        }
    }

    fn are_in(&self, text: &Inscription) -> bool {
        let all = |wanted: &Map, there: &Map| wanted.iter().all(|(key, value)| there.get(key) == Some(value));
        all(&self.labels, &text.labels)
            && all(&self.annotations, &text.annotations)
            && self.owner.as_ref().is_none_or(|owner| text.owners.contains(&owner.uid))
            && !text.noted
    }
}

/// A Secret that is a copy, or is in the place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    secret: Secret,
    text: Arc<Inscription>,
}

/// What is written on a Secret besides its content.
#[derive(Debug, PartialEq, Eq)]
struct Inscription {
    labels: Map,
    annotations: Map,
    owners: Vec<String>,
    noted: bool,
}

impl Inscription {
    fn owner_uid(&self) -> Option<&str> {
        self.labels.get(OWNER_UID).map(String::as_str)
    }
}

/// Who reads credentials from a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// No resource.
    Nobody,
    /// Other resources: it may be a copy all the same.
    Others,
    /// The resource that would have it as its copy.
    This,
}

/// What was last seen written on a copy of each resource. On nearly all of its copies that is the same, and most of what
/// has to be kept of them: so they share it.
#[derive(Default)]
pub struct Inscriptions(HashMap<String, Arc<Inscription>>);

impl Inscriptions {
    /// Has a copy share what is written on it with the one that was seen before.
    #[must_use]
    pub fn share(&mut self, mut copy: Seen<Copy>) -> Seen<Copy> {
        let text = &mut copy.fact.text;
        if let Some(owner) = text.owner_uid() {
            match self.0.get(owner) {
                Some(known) if known == text => *text = Arc::clone(known),
                _ => drop(self.0.insert(owner.to_owned(), Arc::clone(text))),
            }
        }
        copy
    }

    /// Forgets a resource that is gone.
    pub fn forget(&mut self, uid: &str) {
        self.0.remove(uid);
    }
}

impl Versioned for Copy {
    fn resource_version(&self) -> &str {
        &self.secret.resource_version
    }
}

impl Copy {
    /// The uid of the resource that it was made for.
    #[must_use]
    pub fn owner_uid(&self) -> Option<&str> {
        self.text.owner_uid()
    }

    /// As the plan for one resource needs it. `read_by`: who reads credentials from it.
    #[must_use]
    pub fn seen_by(&self, marks: &Marks, read_by: Readers) -> Secret {
        let owner = if read_by == Readers::This {
            Owner::Source
        } else if marks.are_in(&self.text) {
            Owner::Us
        } else if self.owner_uid().is_some()
            || marks.owner.as_ref().is_some_and(|owner| self.text.owners.contains(&owner.uid))
        {
            // Of this resource, with marks that are not complete; or of another one, which has lost its claim.
            Owner::Predecessor
        } else if read_by == Readers::Others {
            Owner::Source
        } else {
            Owner::Somebody
        };
        Secret { owner, ..self.secret.clone() }
    }
}

/// What is kept of a Secret; its content is wiped.
#[must_use]
pub fn of_copy(mut secret: ApiSecret) -> Seen<Copy> {
    let noted = is_noted(&secret.metadata);
    let take = |map: &mut Option<Map>| map.take().unwrap_or_default();
    let (labels, mut annotations) =
        (take(&mut secret.metadata.labels), take(&mut secret.metadata.annotations));
    annotations.retain(|key, _| !LAST_APPLIED.contains(&key.as_str()));
    let owners = secret.metadata.owner_references.take().unwrap_or_default();
    let owners = owners.into_iter().map(|owner| owner.uid).collect();
    // Whose it is depends on who asks.
    let Seen { namespace, name, fact } = facts(secret, Owner::Somebody);
    let text = Arc::new(Inscription { labels, annotations, owners, noted });
    Seen { namespace, name, fact: Copy { secret: fact, text } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(namespace: &str, owner: &str, origins: &str) -> Seen<Copy> {
        let target = TargetSecret { name: "copy".to_owned(), labels: Map::new(), annotations: Map::new() };
        let mut marks = Marks::of(owner, owner, &target);
        marks.set_origins(origins.to_owned());
        let mut metadata = ObjectMeta { namespace: Some(namespace.to_owned()), ..ObjectMeta::default() };
        marks.put_on(&mut metadata);
        of_copy(ApiSecret { metadata, ..ApiSecret::default() })
    }

    #[test]
    fn copies_share_what_is_the_same_on_them_and_nothing_else() {
        let mut all = Inscriptions::default();
        let mut text = |namespace, owner, origins| all.share(copy(namespace, owner, origins)).fact.text;
        let first = text("a", "u", "1");
        assert!(Arc::ptr_eq(&first, &text("b", "u", "1")));
        let others = [text("c", "v", "1"), text("a", "u", "2")];
        assert_eq!(others[0].owner_uid(), Some("v"));
        assert_eq!(others[1].annotations[ORIGINS], "2");
        assert_eq!(first.annotations[ORIGINS], "1", "is as it was");
        assert!(Arc::ptr_eq(&others[1], &text("b", "u", "2")), "the later ones, too");
        all.forget("u");
        all.forget("v");
        assert_eq!(Arc::strong_count(&others[0]), 1, "nothing is kept of those that are gone");
    }
}
