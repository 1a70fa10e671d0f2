//! PURE: copies that were made for a resource: what marks them, and whose a Secret is by its marks.

use std::collections::BTreeMap;

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
            let wishes = wishes.iter().filter(|(key, _)| *key != LAST_APPLIED);
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
        annotations.remove(LAST_APPLIED);
        if let Some(own) = &self.owner {
            let owners = metadata.owner_references.get_or_insert_default();
            owners.retain(|owner| owner.controller != Some(true) && owner.uid != own.uid);
            owners.push(own.clone());
        }
    }

    fn are_on(&self, copy: &Copy) -> bool {
        let all = |wanted: &Map, there: &Map| wanted.iter().all(|(key, value)| there.get(key) == Some(value));
        all(&self.labels, &copy.labels)
            && all(&self.annotations, &copy.annotations)
            && self.owner.as_ref().is_none_or(|owner| copy.owners.contains(&owner.uid))
            && !copy.noted
    }
}

/// A Secret that is a copy, or is in the place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    secret: Secret,
    labels: Map,
    annotations: Map,
    owners: Vec<String>,
    noted: bool,
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
        self.labels.get(OWNER_UID).map(String::as_str)
    }

    /// As the plan for one resource needs it. `is_source`: credentials are read from it.
    #[must_use]
    pub fn seen_by(&self, marks: &Marks, is_source: bool) -> Secret {
        let owner = if is_source {
            Owner::Source
        } else if marks.are_on(self) {
            Owner::Us
        } else if self.owner_uid().is_some()
            || marks.owner.as_ref().is_some_and(|owner| self.owners.contains(&owner.uid))
        {
            // Of this resource, with marks that are not complete; or of another one, which has lost its claim.
            Owner::Predecessor
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
    annotations.remove(LAST_APPLIED);
    let owners = secret.metadata.owner_references.take().unwrap_or_default();
    let owners = owners.into_iter().map(|owner| owner.uid).collect();
    // Whose it is depends on who asks.
    let Seen { namespace, name, fact } = facts(secret, Owner::Somebody);
    Seen { namespace, name, fact: Copy { secret: fact, labels, annotations, owners, noted } }
}
