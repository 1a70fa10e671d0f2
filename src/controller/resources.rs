//! What the resources want, what is there of it, and how that stands: shared by those who look at resources and those
//! who look at namespaces.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use k8s_openapi::api::core::v1::Secret as ApiSecret;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use tokio::sync::{mpsc, watch};

use super::copies::{Copy, Inscriptions, Marks, Readers, of_copy};
use super::distributions::{Distribution, Distributions, Rank};
use super::engine::Watching;
use super::lock;
use super::metrics::Metrics;
use super::outcomes::Outcomes;
use super::pods::{Keys, PodFacts};
use super::resource::{CredentialsReference, ImagePullSecret, identity};
use super::selection::{BadSelector, Facts, Selection};
use super::sources::Sources;
use super::view::{Seen, Watched};
use super::watches::each;
use crate::names::Names;

/// All of it.
pub struct Resources {
    /// Where credentials come from.
    pub sources: Arc<Sources>,
    pub(super) metrics: Arc<Metrics>,
    /// Of which Pods something has to be known; none: of none.
    pub pod_keys: watch::Sender<Option<Arc<Keys>>>,
    /// Whether there are resources that may be listed; none until that is known.
    pub follows: watch::Sender<Option<bool>>,
    /// Whether `ServiceAccounts` of any name may have to reference a copy.
    pub wants_accounts: watch::Sender<bool>,
    pub(super) namespaces: Store<Watching>,
    touched: mpsc::UnboundedSender<ObjectRef<Watching>>,
    pub(super) revisit: mpsc::UnboundedSender<String>,
    state: Mutex<State>,
}

/// What is known of resources, copies and Pods.
#[derive(Default)]
pub(super) struct State {
    pub(super) distributions: Distributions,
    credentials: HashMap<String, Vec<CredentialsReference>>,
    pub(super) names: HashMap<String, String>,
    pub(super) copies: Watched<Copy>,
    inscriptions: Inscriptions,
    pods: Watched<PodFacts>,
    pub(super) outcomes: Outcomes,
    listed: HashSet<Part>,
    accounts_problem: Option<String>,
}

/// What has to be read once before anything can be said for certain.
#[derive(PartialEq, Eq, Hash)]
enum Part {
    Namespaces,
    Resources,
    Copies,
    Pods,
    Accounts,
}

impl Resources {
    pub(super) fn new(
        (sources, metrics): (Arc<Sources>, Arc<Metrics>),
        namespaces: Store<Watching>,
        touched: mpsc::UnboundedSender<ObjectRef<Watching>>,
        revisit: mpsc::UnboundedSender<String>,
    ) -> Self {
        Self {
            sources,
            metrics,
            pod_keys: watch::Sender::new(None),
            follows: watch::Sender::new(None),
            wants_accounts: watch::Sender::new(false),
            namespaces,
            touched,
            revisit,
            state: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    // --- what is wanted ------------------------------------------------------------------------------

    /// Takes in a resource as it is now. What it gives to its copies comes later. `leaves`: it is to have none any more.
    ///
    /// # Errors
    /// A selector that cannot be used; then what the resource wanted before goes on.
    pub fn register(&self, resource: &ImagePullSecret, leaves: bool) -> Result<(), BadSelector> {
        let Some((uid, name)) = identity(resource) else { return Ok(()) };
        let credentials = if leaves { Vec::new() } else { resource.spec.registry.credentials.clone() };
        let others = {
            let mut state = self.state();
            state.names.insert(uid.to_owned(), name.to_owned());
            let before = state.credentials.insert(uid.to_owned(), credentials.clone());
            before.is_none_or(|before| before != credentials)
        };
        if others {
            self.follow_sources();
        }
        let target = &resource.spec.target;
        let selection = if leaves { Selection::default() } else { Selection::of(target)? };
        let before = self.state().distributions.get(uid).cloned();
        let mut marks = Marks::of(name, uid, &target.secret);
        if let Some(origins) = before.as_ref().and_then(|before| before.marks.origins()) {
            marks.set_origins(origins.to_owned());
        }
        let created = resource.metadata.creation_timestamp.as_ref().map(|time| time.0.to_string());
        self.put(Distribution {
            rank: Rank { created: created.unwrap_or_default(), uid: uid.to_owned() },
            name: name.to_owned(),
            secret: target.secret.name.clone(),
            marks,
            selection,
            accounts: Names::patterns(target.service_accounts.iter().map(String::as_str)),
            content: before.and_then(|before| before.content.clone()),
        });
        Ok(())
    }

    /// What a resource wants, as it was last taken in.
    #[must_use]
    pub fn distribution(&self, uid: &str) -> Option<Arc<Distribution>> {
        self.state().distributions.get(uid).cloned()
    }

    /// Puts in what a resource wants now, and has all namespaces looked at for which that makes a difference; tells whether
    /// there is any.
    pub fn put(&self, distribution: Distribution) -> bool {
        let after = Arc::new(distribution);
        let before = self.state().distributions.put(Arc::clone(&after));
        let is_other = before.as_ref().is_none_or(|before| !before.is_like(&after));
        if is_other {
            self.distributions_changed();
            self.touch(&[before.as_deref(), Some(&*after)], &after.rank.uid);
        }
        is_other
    }

    /// A resource is gone. Its copies are the garbage collector's.
    pub fn remove(&self, uid: &str) {
        self.metrics.ends(uid, Vec::new());
        let before = {
            let mut state = self.state();
            state.names.remove(uid);
            state.credentials.remove(uid);
            state.inscriptions.forget(uid);
            for namespace in state.outcomes.of(uid).into_keys() {
                state.outcomes.forget(uid, &namespace);
            }
            state.distributions.remove(uid)
        };
        self.follow_sources();
        self.distributions_changed();
        // Another resource may have waited for its place.
        self.touch(&[before.as_deref()], uid);
    }

    /// All resources have been listed: those that are not among them are gone.
    pub fn listed(&self, uids: &BTreeSet<String>) {
        let gone: Vec<_> = {
            let mut state = self.state();
            state.listed.insert(Part::Resources);
            state.names.keys().filter(|uid| !uids.contains(*uid)).cloned().collect()
        };
        for uid in gone {
            self.remove(&uid);
        }
        self.follows.send_replace(Some(true));
        self.touch_all();
    }

    /// There is no such kind of resource, or it may not be listed. What was listed before stays.
    pub fn unlisted(&self) {
        self.follows.send_if_modified(|follows| follows.replace(follows.unwrap_or(false)).is_none());
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_any(&self) -> bool {
        !self.state().names.is_empty()
    }

    fn follow_sources(&self) {
        let wanted = self.state().credentials.values().flatten().cloned().collect();
        self.sources.want(&wanted);
    }

    fn distributions_changed(&self) {
        let mut state = self.state();
        let of_pods: Vec<_> =
            state.distributions.all().filter(|it| it.selection.selects_pods()).cloned().collect();
        let keys: Keys = of_pods.iter().flat_map(|it| it.selection.pod_keys()).collect();
        let keys = (!of_pods.is_empty()).then(|| Arc::new(keys));
        let accounts = state.distributions.all().any(|it| it.accounts != Names::patterns([]));
        // What was seen of Pods lacks what is asked for now.
        if *self.pod_keys.borrow() != keys {
            state.listed.remove(&Part::Pods);
            self.pod_keys.send_replace(keys);
        }
        self.wants_accounts.send_if_modified(|before| std::mem::replace(before, accounts) != accounts);
    }

    /// Has the namespaces looked at that one of these selects or that have a copy for the resource.
    fn touch(&self, distributions: &[Option<&Distribution>], uid: &str) {
        let namespaces = self.namespaces.state();
        let mut all = Vec::new();
        {
            let state = self.state();
            for namespace in namespaces {
                let name = namespace.metadata.name.as_deref().unwrap_or_default();
                let mut selecting = distributions.iter().flatten();
                let selected = selecting.any(|it| state.selects(it, &namespace) != Some(false));
                if selected || state.copies.of(name).any(|(_, copy)| copy.owner_uid() == Some(uid)) {
                    all.push(ObjectRef::from_obj(&*namespace));
                }
            }
        }
        for namespace in all {
            // Nobody listens where the process ends.
            let _ = self.touched.send(namespace);
        }
    }

    /// All namespaces have been listed.
    pub fn listed_namespaces(&self) {
        if self.state().listed.insert(Part::Namespaces) {
            self.touch_all();
        }
    }

    /// All `ServiceAccounts` have been listed, of any name.
    pub fn listed_accounts(&self) {
        let is_news = {
            let mut state = self.state();
            state.accounts_problem = None;
            state.listed.insert(Part::Accounts)
        };
        if is_news {
            self.touch_all();
        }
    }

    /// `ServiceAccounts` cannot be listed, or not watched any more.
    pub fn unlisted_accounts(&self, problem: &str) {
        let is_news = {
            let mut state = self.state();
            let before =
                state.accounts_problem.replace(format!("ServiceAccounts cannot be watched: {problem}"));
            before.is_none() && !state.listed.contains(&Part::Accounts)
        };
        if is_news {
            self.touch_all();
        }
    }

    /// Whether all `ServiceAccounts` have been listed.
    #[must_use]
    pub fn has_listed_accounts(&self) -> bool {
        self.state().listed.contains(&Part::Accounts)
    }

    /// What keeps them from being listed.
    #[must_use]
    pub fn accounts_problem(&self) -> Option<String> {
        self.state().accounts_problem.clone()
    }

    /// Has everything looked at.
    pub fn touch_all(&self) {
        for namespace in self.namespaces.state() {
            let _ = self.touched.send(ObjectRef::from_obj(&*namespace));
        }
        for name in self.state().names.values() {
            let _ = self.revisit.send(name.clone());
        }
    }

    /// Resources that read from a source.
    #[must_use]
    pub fn users(&self, place: &CredentialsReference) -> Vec<String> {
        let state = self.state();
        let users = state.credentials.iter().filter(|(_, places)| places.contains(place));
        users.filter_map(|(uid, _)| state.names.get(uid).cloned()).collect()
    }

    /// Who reads from a Secret, as the resource sees it that would have its copy there.
    #[must_use]
    pub fn readers(&self, uid: &str, place: &CredentialsReference) -> Readers {
        if self.state().credentials.get(uid).is_some_and(|places| places.contains(place)) {
            Readers::This
        } else if self.sources.has(place) {
            Readers::Others
        } else {
            Readers::Nobody
        }
    }

    // --- what is there -------------------------------------------------------------------------------

    /// Takes in what is told of copies; returns the namespaces to look at.
    pub fn see_copies(&self, event: Event<Seen<Copy>>) -> Vec<String> {
        let whole = matches!(event, Event::InitDone);
        let mut state = self.state();
        let event = each(event, |copy| state.inscriptions.share(copy));
        let changed = state.copies.see(event);
        if whole && state.listed.insert(Part::Copies) {
            drop(state);
            self.touch_all();
        }
        changed
    }

    /// Takes in what is told of Pods; returns the namespaces to look at.
    pub fn see_pods(&self, event: Event<Seen<PodFacts>>) -> Vec<String> {
        let whole = matches!(event, Event::InitDone);
        let mut state = self.state();
        let changed = state.pods.see(event);
        if whole && state.listed.insert(Part::Pods) {
            drop(state);
            self.touch_all();
        }
        changed
    }

    /// Takes in what a write or a look has answered.
    pub fn saw(&self, secret: ApiSecret) {
        let mut state = self.state();
        let copy = state.inscriptions.share(of_copy(secret));
        state.copies.written(copy);
    }

    /// Takes in that there is no such Secret.
    pub fn saw_none(&self, namespace: &str, secret: &str) {
        self.state().copies.deleted(namespace, secret);
    }

    /// The Secret of a name in a namespace, if it is a copy or in the place of one.
    #[must_use]
    pub fn copy(&self, namespace: &str, secret: &str) -> Option<Copy> {
        self.state().copies.get(namespace, secret).cloned()
    }

    /// Namespaces that have a copy for a resource.
    #[must_use]
    pub fn namespaces_with_copies(&self, uid: &str) -> BTreeMap<String, String> {
        let state = self.state();
        let all = state.copies.all().filter(|(_, _, copy)| copy.owner_uid() == Some(uid));
        all.map(|(namespace, name, _)| (namespace.clone(), name.clone())).collect()
    }

    /// Whether enough has been seen to say what is to be done.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state().is_ready()
    }

    /// Whether a namespace is on its way out, or gone.
    #[must_use]
    pub fn is_terminating(&self, namespace: &str) -> bool {
        let namespace = self.namespaces.get(&ObjectRef::new(namespace));
        namespace.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some())
    }
}

impl State {
    pub(super) fn is_ready(&self) -> bool {
        [Part::Namespaces, Part::Resources, Part::Copies].iter().all(|part| self.listed.contains(part))
    }

    /// Whether a resource selects a namespace; none while not all Pods are known that it takes to say so.
    pub(super) fn selects(&self, distribution: &Distribution, namespace: &Watching) -> Option<bool> {
        let metadata = &namespace.metadata;
        let name = metadata.name.as_deref().unwrap_or_default();
        let facts = Facts { labels: metadata.labels.as_ref(), annotations: metadata.annotations.as_ref() };
        let selection = &distribution.selection;
        if selection.matches_namespace(name, facts) {
            return Some(true);
        }
        if !selection.selects_pods() {
            return Some(false);
        }
        let matches = || self.pods.of(name).any(|(_, pod)| selection.matches_pod(pod.facts()));
        self.listed.contains(&Part::Pods).then(matches)
    }
}
