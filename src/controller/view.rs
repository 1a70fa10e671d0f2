//! What the watches have told, as small as it can be kept: contents of Secrets are digests here.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use k8s_openapi::api::core::v1::{Secret as ApiSecret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;
use zeroize::Zeroize as _;

use super::credentials::{Digest, KEY};
use super::plan::{Account, Notes, Owner, Secret};
use super::resource::OWNER_UID;

/// The label of what is ours; its value is [`OURS`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of the label [`MANAGED_BY`].
pub const OURS: &str = "pullgate";
/// The value of the annotation of the same name, by which the system that this one replaces knew its own.
pub const PREDECESSOR: &str = "imagepullsecret-patcher";
/// Who the API server records for our writes.
pub const FIELD_MANAGER: &str = "pullgate";
/// What kubectl notes of an object that it applies: all of it, credentials too.
pub const LAST_APPLIED: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "banzaicloud.com/last-applied"];
/// The annotation of a ServiceAccount that names the references that were added to it, separated by commas.
pub const NOTES: &str = "pullgate/references";
/// The type of a pull secret.
pub const TYPE: &str = "kubernetes.io/dockerconfigjson";

/// Where Secrets of our name are what copies are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Namespace and name of the source.
    pub object: (String, String),
    /// Whether there are credentials that do not come from the API server. Then a Secret in the source's place may be a
    /// copy of these.
    pub local: bool,
    /// The namespace whose Secrets may be mounted as the file that is read.
    pub mounted: Option<String>,
}

/// An object of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What is known of it.
    pub fact: T,
}

/// What has versions.
pub trait Versioned {
    /// As the API server gave it.
    fn resource_version(&self) -> &str;
}

impl Versioned for Secret {
    fn resource_version(&self) -> &str {
        &self.resource_version
    }
}

impl Versioned for Account {
    fn resource_version(&self) -> &str {
        &self.resource_version
    }
}

type Objects<T> = HashMap<String, BTreeMap<String, T>>;

/// All objects of a kind that are watched.
#[derive(Debug)]
pub struct Watched<T> {
    objects: Objects<T>,
    /// A list that is being read anew, and becomes what there is once it is whole.
    listing: Option<Objects<T>>,
}

impl<T> Default for Watched<T> {
    fn default() -> Self {
        Self { objects: HashMap::new(), listing: None }
    }
}

impl<T: Versioned + PartialEq> Watched<T> {
    /// Those in a namespace, by name.
    pub fn of(&self, namespace: &str) -> impl Iterator<Item = (&String, &T)> {
        self.objects.get(namespace).into_iter().flatten()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<&T> {
        self.objects.get(namespace)?.get(name)
    }

    /// All of them, with namespace and name.
    pub fn all(&self) -> impl Iterator<Item = (&String, &String, &T)> {
        let all = self.objects.iter();
        all.flat_map(|(namespace, of)| of.iter().map(move |(name, fact)| (namespace, name, fact)))
    }

    /// Takes in an event; returns the namespaces in which something is different now.
    pub fn see(&mut self, event: Event<Seen<T>>) -> Vec<String> {
        match event {
            Event::Apply(seen) => self.update(seen).into_iter().collect(),
            Event::Delete(Seen { namespace, name, fact }) => {
                let Some(objects) = self.objects.get_mut(&namespace) else { return Vec::new() };
                // The end of one that was made again meanwhile: the later one is known by the answer to our write.
                if objects.get(&name).is_some_and(|known| is_older(&fact, known)) {
                    return Vec::new();
                }
                objects.remove(&name).map(|_| namespace).into_iter().collect()
            }
            Event::Init => {
                self.listing = Some(HashMap::new());
                Vec::new()
            }
            Event::InitApply(Seen { namespace, name, fact }) => {
                self.listing.get_or_insert_default().entry(namespace).or_default().insert(name, fact);
                Vec::new()
            }
            Event::InitDone => {
                let before = std::mem::replace(&mut self.objects, self.listing.take().unwrap_or_default());
                let now = &self.objects;
                let all =
                    before.keys().chain(now.keys().filter(|namespace| !before.contains_key(*namespace)));
                all.filter(|namespace| before.get(*namespace) != now.get(*namespace)).cloned().collect()
            }
        }
    }

    /// Takes in what a write has answered, before its event comes.
    pub fn written(&mut self, seen: Seen<T>) {
        self.update(seen);
    }

    /// Takes in that a delete was answered.
    pub fn deleted(&mut self, namespace: &str, name: &str) {
        self.objects.get_mut(namespace).and_then(|objects| objects.remove(name));
    }

    /// An older version than the one that is known is an event that comes late.
    fn update(&mut self, Seen { namespace, name, fact }: Seen<T>) -> Option<String> {
        let objects = self.objects.entry(namespace.clone()).or_default();
        if objects.get(&name).is_some_and(|known| is_older(&fact, known) || *known == fact) {
            return None;
        }
        objects.insert(name, fact);
        Some(namespace)
    }
}

fn is_older<T: Versioned>(fact: &T, known: &T) -> bool {
    let version = |fact: &T| fact.resource_version().parse::<u64>().ok();
    version(fact).zip(version(known)).is_some_and(|(fact, known)| fact < known)
}

fn place(metadata: &mut ObjectMeta) -> (String, String, String) {
    let take = |field: &mut Option<String>| field.take().unwrap_or_default();
    (take(&mut metadata.namespace), take(&mut metadata.name), take(&mut metadata.resource_version))
}

/// What the plan needs of a Secret. Its content is wiped.
#[must_use]
pub fn of_secret(secret: ApiSecret, origin: &Origin) -> Seen<Secret> {
    let owner = owner(&secret.metadata, origin);
    facts(secret, owner)
}

/// What is known of a Secret, but for whose it is. Its content is wiped.
#[must_use]
pub fn facts(mut secret: ApiSecret, owner: Owner) -> Seen<Secret> {
    let (namespace, name, resource_version) = place(&mut secret.metadata);
    let data = secret.data.get_or_insert_default();
    let ours = secret.type_.as_deref() == Some(TYPE);
    let content = data.get(KEY).map(|content| Digest::of(&content.0));
    let extra_keys: Vec<_> = data.keys().filter(|key| *key != KEY).cloned().collect();
    for content in data.values_mut() {
        content.0.zeroize();
    }
    let fact = Secret {
        uid: secret.metadata.uid.take().unwrap_or_default(),
        resource_version,
        owner,
        // With other keys it holds more than what is wanted.
        content: content.filter(|_| ours && extra_keys.is_empty()),
        frozen: !ours || secret.immutable == Some(true),
        extra_keys,
    };
    Seen { namespace, name, fact }
}

/// Whether a Secret has our label, and whether it has the annotation of the system that this one replaces.
fn marks(metadata: &ObjectMeta) -> (bool, bool) {
    let has = |map: Option<&BTreeMap<String, String>>, value: &str| {
        map.and_then(|map| map.get(MANAGED_BY)).is_some_and(|is| is == value)
    };
    (has(metadata.labels.as_ref(), OURS), has(metadata.annotations.as_ref(), PREDECESSOR))
}

/// Whether kubectl or IMPS has written down all of it, credentials too.
#[must_use]
pub fn is_noted(metadata: &ObjectMeta) -> bool {
    metadata.annotations.as_ref().is_some_and(|all| LAST_APPLIED.iter().any(|key| all.contains_key(*key)))
}

/// Whether somebody else has written the credentials last.
fn has_content_of_others(metadata: &ObjectMeta) -> bool {
    let fields = format!("/f:data/f:{KEY}");
    metadata.managed_fields.iter().flatten().any(|entry| {
        let written = entry.fields_v1.as_ref().is_some_and(|all| all.0.pointer(&fields).is_some());
        written && entry.manager.as_deref() != Some(FIELD_MANAGER)
    })
}

/// Whether the Secret in the source's place is the source. Beside local credentials it may be a copy of these, made by us
/// or by the system that this one replaces; one of ours that was given another content is none any more.
#[must_use]
pub fn is_source(metadata: &ObjectMeta, origin: &Origin) -> bool {
    match marks(metadata) {
        _ if !origin.local => true,
        (true, _) => has_content_of_others(metadata),
        (false, annotation) => !annotation,
    }
}

fn owner(metadata: &ObjectMeta, origin: &Origin) -> Owner {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (namespace, name) = (text(&metadata.namespace), text(&metadata.name));
    let (label, annotation) = marks(metadata);
    let in_place = (&namespace, &name) == (&origin.object.0, &origin.object.1);
    // What may be mounted as the file that is read is newer than what was read of it: to write it could take a rotation
    // back.
    let may_be_mounted = !label && origin.mounted.as_ref() == Some(&namespace);
    let is_of_resource = metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(OWNER_UID));
    match (label, annotation) {
        _ if may_be_mounted || (in_place && is_source(metadata, origin)) => Owner::Source,
        // Marked as ours, but not made for the settings.
        _ if is_of_resource => Owner::Somebody,
        (true, true) if !is_noted(metadata) => Owner::Us,
        (false, false) => Owner::Somebody,
        _ => Owner::Predecessor,
    }
}

/// What the plan needs of a ServiceAccount.
#[must_use]
pub fn of_account(mut account: ServiceAccount) -> Seen<Account> {
    let (namespace, name, resource_version) = place(&mut account.metadata);
    let references = account.image_pull_secrets.unwrap_or_default().into_iter();
    let annotations = account.metadata.annotations.unwrap_or_default();
    let names = annotations.get(NOTES).into_iter().flat_map(|names| names.split(','));
    let names = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let fact = Account {
        name: name.clone(),
        resource_version,
        deleting: account.metadata.deletion_timestamp.is_some(),
        references: references
            .map(|reference| Some(reference.name).filter(|name| !name.is_empty()))
            .collect(),
        notes: Notes { names, annotated: !annotations.is_empty() },
    };
    Seen { namespace, name, fact }
}

/// `.dockerconfigjson` of a Secret, wiped from it.
pub fn content_of(secret: &mut ApiSecret) -> Option<Vec<u8>> {
    let data = secret.data.as_mut()?;
    let content = data.remove(KEY).map(|content| content.0);
    for other in data.values_mut() {
        other.0.zeroize();
    }
    content
}

/// As the API server takes it.
#[must_use]
pub fn encoded(content: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(content)
}
