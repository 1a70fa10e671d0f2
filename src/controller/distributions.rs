//! PURE: what goes where for the resources, found by namespace without a look at all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::copies::Marks;
use super::credentials::Credentials;
use super::selection::Selection;
use crate::names::Names;

/// One Secret that goes to some namespaces, for a resource.
#[derive(Clone)]
pub struct Distribution {
    /// Who comes first where two resources want the same name in a namespace: the older one.
    pub rank: Rank,
    /// Name of the resource.
    pub name: String,
    /// Name of the copies, and of the reference.
    pub secret: String,
    /// What marks the copies.
    pub marks: Marks,
    /// Which namespaces get one.
    pub selection: Selection,
    /// Which of their `ServiceAccounts` reference it.
    pub accounts: Names,
    /// What the copies are to hold; none while there is nothing.
    pub content: Option<Arc<Credentials>>,
}

/// When a resource was made, and its uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// As the API server writes it, which sorts by time.
    pub created: String,
    /// Its uid.
    pub uid: String,
}

impl Distribution {
    /// Whether copies have to be looked at again where this one takes the place of `other`.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let digest = |it: &Self| it.content.as_ref().map(|content| content.digest());
        self.secret == other.secret
            && self.marks == other.marks
            && self.selection == other.selection
            && self.accounts == other.accounts
            && digest(self) == digest(other)
    }
}

/// Those of all resources.
#[derive(Default)]
pub struct Distributions {
    all: BTreeMap<Rank, Arc<Distribution>>,
    ranks: HashMap<String, Rank>,
    /// By namespaces that they name.
    named: HashMap<String, BTreeSet<Rank>>,
    /// Those that look at more than names.
    selecting: BTreeSet<Rank>,
}

impl Distributions {
    /// Puts one in, and gives the one that it replaces.
    pub fn put(&mut self, distribution: Arc<Distribution>) -> Option<Arc<Distribution>> {
        let rank = distribution.rank.clone();
        let before = self.remove(&rank.uid);
        for namespace in &distribution.selection.names {
            self.named.entry(namespace.clone()).or_default().insert(rank.clone());
        }
        if distribution.selection.has_selectors() {
            self.selecting.insert(rank.clone());
        }
        self.ranks.insert(rank.uid.clone(), rank.clone());
        self.all.insert(rank, distribution);
        before
    }

    /// Takes out that of a resource.
    pub fn remove(&mut self, uid: &str) -> Option<Arc<Distribution>> {
        let rank = self.ranks.remove(uid)?;
        self.selecting.remove(&rank);
        let distribution = self.all.remove(&rank)?;
        for namespace in &distribution.selection.names {
            if let Some(ranks) = self.named.get_mut(namespace) {
                ranks.remove(&rank);
                if ranks.is_empty() {
                    self.named.remove(namespace);
                }
            }
        }
        Some(distribution)
    }

    /// That of a resource.
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<&Arc<Distribution>> {
        self.all.get(self.ranks.get(uid)?)
    }

    /// All of them, the oldest resource's first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Distribution>> {
        self.all.values()
    }

    /// Those that could select a namespace, the oldest resource's first: all that name it, and all that have selectors.
    #[must_use]
    pub fn candidates(&self, namespace: &str) -> Vec<Arc<Distribution>> {
        let named = self.named.get(namespace).into_iter().flatten();
        let ranks: BTreeSet<_> = named.chain(&self.selecting).collect();
        ranks.into_iter().filter_map(|rank| self.all.get(rank)).cloned().collect()
    }
}
