//! PURE: Pods, as far as selectors look at them: of all their labels and annotations, those that some resource names.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::core::PartialObjectMeta;

use super::selection::{Facts, Map, PodKey};
use super::view::{Seen, Versioned};

/// What selectors look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    labels: BTreeSet<String>,
    annotations: BTreeSet<String>,
}

impl<'a> FromIterator<PodKey<'a>> for Keys {
    fn from_iter<I: IntoIterator<Item = PodKey<'a>>>(all: I) -> Self {
        let mut keys = Self::default();
        for key in all {
            match key {
                PodKey::Label(key) => keys.labels.insert(key.to_owned()),
                PodKey::Annotation(key) => keys.annotations.insert(key.to_owned()),
            };
        }
        keys
    }
}

/// A Pod.
#[derive(Clone, Debug)]
pub struct PodFacts {
    resource_version: String,
    labels: Map,
    annotations: Map,
}

/// A version that changes nothing of this is no news.
impl PartialEq for PodFacts {
    fn eq(&self, other: &Self) -> bool {
        self.labels == other.labels && self.annotations == other.annotations
    }
}

impl Versioned for PodFacts {
    fn resource_version(&self) -> &str {
        &self.resource_version
    }
}

impl PodFacts {
    /// For a selector.
    #[must_use]
    pub const fn facts(&self) -> Facts<'_> {
        Facts { labels: Some(&self.labels), annotations: Some(&self.annotations) }
    }
}

/// What is kept of a Pod.
#[must_use]
pub fn of_pod(pod: PartialObjectMeta<Pod>, keys: &Keys) -> Seen<PodFacts> {
    let metadata = pod.metadata;
    let kept = |map: Option<Map>, keys: &BTreeSet<String>| -> Map {
        map.unwrap_or_default().into_iter().filter(|(key, _)| keys.contains(key)).collect()
    };
    Seen {
        namespace: metadata.namespace.unwrap_or_default(),
        name: metadata.name.unwrap_or_default(),
        fact: PodFacts {
            resource_version: metadata.resource_version.unwrap_or_default(),
            labels: kept(metadata.labels, &keys.labels),
            annotations: kept(metadata.annotations, &keys.annotations),
        },
    }
}
