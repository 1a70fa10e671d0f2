//! PURE: how each namespace stands for each resource.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How a namespace stands for a resource that selects it, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The copy is as it should be, and so are the references.
    InSync,
    /// It will be looked at again.
    Pending,
    /// Why not.
    Failed(String),
    /// What is in the way, and stays.
    InTheWay(String),
    /// It is not selected any more, and why the copy or a reference to it is still there.
    Left(String),
}

/// By resource and namespace.
#[derive(Debug, Default)]
pub struct Outcomes {
    of: HashMap<String, BTreeMap<String, Outcome>>,
    /// The other way round: uids of resources by namespace.
    at: HashMap<String, BTreeSet<String>>,
}

impl Outcomes {
    /// Notes how a namespace stands; tells whether that is news.
    pub fn note(&mut self, uid: &str, namespace: &str, outcome: Outcome) -> bool {
        self.at.entry(namespace.to_owned()).or_default().insert(uid.to_owned());
        let of = self.of.entry(uid.to_owned()).or_default();
        let is_news = of.get(namespace) != Some(&outcome);
        of.insert(namespace.to_owned(), outcome);
        is_news
    }

    /// Forgets a namespace for a resource; tells whether it was known.
    pub fn forget(&mut self, uid: &str, namespace: &str) -> bool {
        if let Some(here) = self.at.get_mut(namespace) {
            here.remove(uid);
            if here.is_empty() {
                self.at.remove(namespace);
            }
        }
        let Some(of) = self.of.get_mut(uid) else { return false };
        let known = of.remove(namespace).is_some();
        if of.is_empty() {
            self.of.remove(uid);
        }
        known
    }

    /// Resources that have an outcome in a namespace.
    #[must_use]
    pub fn at(&self, namespace: &str) -> Vec<String> {
        self.at.get(namespace).into_iter().flatten().cloned().collect()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Outcome> {
        self.of.values().flat_map(BTreeMap::values)
    }

    /// How all namespaces of a resource stand.
    #[must_use]
    pub fn of(&self, uid: &str) -> BTreeMap<String, Outcome> {
        self.of.get(uid).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_found_from_both_sides_and_forgotten_on_both() {
        let mut outcomes = Outcomes::default();
        assert!(outcomes.note("u", "a", Outcome::Pending));
        assert!(!outcomes.note("u", "a", Outcome::Pending), "no news");
        assert!(outcomes.note("u", "a", Outcome::InSync));
        assert!(outcomes.note("v", "a", Outcome::InSync));
        assert_eq!(outcomes.at("a"), ["u", "v"]);
        assert_eq!(outcomes.of("u"), BTreeMap::from([("a".to_owned(), Outcome::InSync)]));
        assert!(outcomes.forget("u", "a") && !outcomes.forget("u", "a"));
        assert_eq!(outcomes.at("a"), ["v"]);
        assert!(outcomes.forget("v", "a"));
        assert!(outcomes.of.is_empty() && outcomes.at.is_empty());
    }
}
