//! What is to be done in a namespace for the resources, and how that stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;

use super::distributions::Distribution;
use super::engine::{View, Watching};
use super::metrics::Counts;
use super::outcomes::Outcome;
use super::plan::Account;
use super::resources::{Resources, State};

/// Something that has to be done in a namespace for a resource.
pub struct Work {
    /// For which one.
    pub distribution: Arc<Distribution>,
    /// Name of the Secret: that of an earlier time, where the target was renamed.
    pub secret: String,
    /// Whether the namespace is to have it.
    pub selected: bool,
    /// Whether it is not, but is to have one by another name.
    pub renamed: bool,
}

impl Resources {
    /// What is to be done in a namespace. Notes how it stands for those who come second, or do not select it any more.
    /// `taken`: the name of the settings' copy there; `noted`: names of Secrets whose references on accounts are ours.
    #[must_use]
    pub fn works(&self, namespace: &Watching, taken: Option<&str>, noted: &BTreeSet<String>) -> Vec<Work> {
        let mut state = self.state();
        if !state.is_ready() {
            return Vec::new();
        }
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        let mut winners: BTreeMap<String, Arc<Distribution>> = BTreeMap::new();
        let (mut selecting, mut unknown, mut told) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        let candidates = state.distributions.candidates(name);
        self.metrics.considered(candidates.len());
        for candidate in candidates {
            let uid = &candidate.rank.uid;
            match state.selects(&candidate, namespace) {
                None => drop(unknown.insert(uid.clone())),
                Some(false) => {}
                Some(true) => {
                    selecting.insert(uid.clone());
                    let before = winners.get(&candidate.secret);
                    let before = before.map(|winner| format!("ImagePullSecret {}", winner.name));
                    let settings = taken.filter(|taken| *taken == candidate.secret);
                    match before.or_else(|| settings.map(|_| "the settings".to_owned())) {
                        Some(other) => {
                            let problem = format!("the Secret {} is that of {other}", candidate.secret);
                            told.push((uid.clone(), Outcome::InTheWay(problem)));
                        }
                        None => drop(winners.insert(candidate.secret.clone(), candidate)),
                    }
                }
            }
        }
        for (uid, outcome) in told {
            let is_news = state.outcomes.note(&uid, name, outcome);
            self.tell(&state, &uid, is_news);
        }
        let mut leaving: Vec<_> = Vec::new();
        for (secret, copy) in state.copies.of(name) {
            let owner = copy.owner_uid().filter(|uid| !unknown.contains(*uid));
            if let Some(distribution) = owner.and_then(|uid| state.distributions.get(uid))
                && !winners.contains_key(secret)
            {
                let renamed = selecting.contains(&distribution.rank.uid);
                let distribution = Arc::clone(distribution);
                leaving.push(Work { distribution, secret: secret.clone(), selected: false, renamed });
            }
        }
        // Where the copy went before the reference did.
        for secret in noted.iter().filter(|secret| Some(secret.as_str()) != taken) {
            if !winners.contains_key(secret)
                && !leaving.iter().any(|work| work.secret == *secret)
                && let Some(distribution) = state
                    .distributions
                    .all()
                    .find(|it| it.secret == *secret && state.selects(it, namespace) == Some(false))
            {
                let distribution = Arc::clone(distribution);
                leaving.push(Work { distribution, secret: secret.clone(), selected: false, renamed: false });
            }
        }
        for uid in state.outcomes.at(name) {
            let leaves = leaving.iter().any(|work| work.distribution.rank.uid == uid);
            if !selecting.contains(&uid) && !unknown.contains(&uid) && !leaves {
                let is_news = state.outcomes.forget(&uid, name);
                self.tell(&state, &uid, is_news);
            }
        }
        let winners = winners.into_iter();
        let winners = winners.map(|(secret, distribution)| Work {
            distribution,
            secret,
            selected: true,
            renamed: false,
        });
        // Where a target was renamed, there is a copy at any time.
        winners.chain(leaving).collect()
    }

    /// Notes how a namespace stands for a resource.
    pub fn note(&self, uid: &str, namespace: &str, outcome: Outcome) {
        let mut state = self.state();
        let is_news = state.outcomes.note(uid, namespace, outcome);
        self.tell(&state, uid, is_news);
    }

    /// Forgets a namespace for a resource, which has nothing there any more.
    pub fn forget_of(&self, uid: &str, namespace: &str) {
        let mut state = self.state();
        let is_news = state.outcomes.forget(uid, namespace);
        self.tell(&state, uid, is_news);
    }

    /// Forgets a namespace that is gone, or on its way out.
    pub fn forget(&self, namespace: &str) {
        let mut state = self.state();
        for uid in state.outcomes.at(namespace) {
            let is_news = state.outcomes.forget(&uid, namespace);
            self.tell(&state, &uid, is_news);
        }
    }

    /// How all namespaces of a resource stand; those that were not looked at yet are pending.
    #[must_use]
    pub fn outcomes(&self, uid: &str) -> BTreeMap<String, Outcome> {
        let namespaces = self.namespaces.state();
        let state = self.state();
        let mut outcomes = state.outcomes.of(uid);
        // What is gone was forgotten, or is about to be.
        outcomes.retain(|name, _| self.namespaces.get(&ObjectRef::new(name)).is_some());
        let Some(distribution) = state.distributions.get(uid) else { return outcomes };
        for namespace in namespaces {
            let metadata = &namespace.metadata;
            let selected = state.selects(distribution, &namespace) != Some(false);
            if selected && metadata.deletion_timestamp.is_none() {
                let name = metadata.name.clone().unwrap_or_default();
                outcomes.entry(name).or_insert(Outcome::Pending);
            }
        }
        outcomes
    }

    /// How many namespaces stand how, over all resources.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for outcome in self.state().outcomes.all() {
            match outcome {
                Outcome::Left(_) => continue,
                Outcome::InSync => counts.in_sync += 1,
                Outcome::InTheWay(_) => counts.conflict += 1,
                Outcome::Pending | Outcome::Failed(_) => {}
            }
            counts.desired += 1;
        }
        counts
    }

    /// Whether an account refers to a copy of a resource in a namespace that is not to have it, and where that can be
    /// mended.
    pub(super) fn is_referred_to(&self, uid: &str, view: &View) -> bool {
        let state = self.state();
        let Some(distribution) = state.distributions.get(uid) else { return false };
        let is_noted = |account: &Account| account.notes.names.contains(&distribution.secret);
        view.accounts.all().filter(|(_, _, account)| is_noted(account)).any(|(namespace, _, _)| {
            let Some(namespace) = self.namespaces.get(&ObjectRef::new(namespace)) else { return false };
            let wants = |it: &Arc<Distribution>| {
                it.secret == distribution.secret && state.selects(it, &namespace) != Some(false)
            };
            let name = namespace.metadata.name.as_deref().unwrap_or_default();
            namespace.metadata.deletion_timestamp.is_none()
                && !state.distributions.candidates(name).iter().any(wants)
        })
    }

    fn tell(&self, state: &State, uid: &str, is_news: bool) {
        if let Some(name) = state.names.get(uid).filter(|_| is_news) {
            let _ = self.revisit.send(name.clone());
        }
    }
}
