//! One resource at a time: merge what its sources give, have its copies made of that, and tell how it stands.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret as ApiSecret;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action as Next;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::runtime::reflector::Store;
use kube::{Api, Client, Resource as _};
use log::{debug, info, warn};
use tokio::time::Instant;

use super::apply::{Problem, guarded, outcome};
use super::credentials::Credentials;
use super::distributions::Distribution;
use super::engine::View;
use super::leader::Leadership;
use super::lock;
use super::memory::{remember, remembered};
use super::merge::{Condition, Merged, SourceState, merge};
use super::resource::{CredentialsReference, ImagePullSecret, ImagePullSecretStatus, identity};
use super::resources::Resources;
use super::status::{READY, Reason, Standing};

/// For the first answer of a source, before what others give is spread without it.
const SOURCE_PATIENCE: Duration = Duration::from_secs(2);
/// Between two writes of one status.
const STATUS_PAUSE: Duration = Duration::from_secs(1);

/// A resource as it is watched: one that cannot be read must not hide the others.
pub type Guarded = DeserializeGuard<ImagePullSecret>;

/// Everything that it takes.
pub struct Upkeep {
    pub(super) client: Client,
    /// All resources.
    pub(super) store: Store<Guarded>,
    /// Whether everything is to be taken back.
    pub(super) uninstalls: bool,
    pub(super) resources: Arc<Resources>,
    pub(super) view: Arc<Mutex<View>>,
    pub(super) leadership: Arc<Leadership>,
    recorder: Recorder,
    /// Resources for which copies of an earlier life of this process have been looked at.
    seeded: Mutex<HashSet<String>>,
    /// Since when resources wait for a source that says nothing.
    waiting: Mutex<HashMap<String, Instant>>,
    /// Resources that have been looked at.
    looked: Mutex<HashSet<String>>,
    /// When a status was last written, and how often writing it has failed in a row.
    written: Mutex<HashMap<String, (Instant, u32)>>,
}

impl Upkeep {
    pub(super) fn new(
        (client, store, uninstalls): (Client, Store<Guarded>, bool),
        (resources, view): (Arc<Resources>, Arc<Mutex<View>>),
        leadership: Arc<Leadership>,
        recorder: Recorder,
    ) -> Self {
        Self {
            client,
            store,
            uninstalls,
            resources,
            view,
            leadership,
            recorder,
            seeded: Mutex::default(),
            waiting: Mutex::default(),
            looked: Mutex::default(),
            written: Mutex::default(),
        }
    }

    /// Brings a resource to where it should be, once.
    pub(super) async fn reconcile(self: Arc<Self>, resource: Arc<Guarded>) -> Result<Next, Problem> {
        let mut changed = false;
        let looked = self.look(&resource, &mut changed).await;
        if looked.is_ok() && self.resources.is_ready() {
            lock(&self.looked).extend(resource.meta().uid.clone());
        }
        self.resources.metrics.resource_reconciled(outcome(looked.as_ref().map(|_| changed)));
        looked
    }

    /// Whether each resource has been looked at, and what it wants is known as far as it can be.
    pub(super) fn has_looked_at_all(&self) -> bool {
        let looked = lock(&self.looked);
        let uids = self.store.state().into_iter().filter_map(|resource| resource.meta().uid.clone());
        self.uninstalls || uids.into_iter().all(|uid| looked.contains(&uid))
    }

    /// `changed`: whether anything is another one now, here or in the cluster.
    async fn look(&self, resource: &Guarded, changed: &mut bool) -> Result<Next, Problem> {
        // There is a look at everything when one of these changes.
        if !self.leadership.holds() || !self.resources.is_ready() {
            return Ok(Next::await_change());
        }
        let resource = match &resource.0 {
            Ok(resource) => resource,
            Err(invalid) => {
                let name = invalid.metadata.name.as_deref().unwrap_or_default();
                warn!(resource = name; "cannot be read, and is left as it is: {}", invalid.error);
                return Ok(Next::await_change());
            }
        };
        let Some((uid, name)) = identity(resource) else { return Ok(Next::await_change()) };
        let mut standing = Standing { generation: resource.metadata.generation, ..Standing::default() };
        let leaves = self.uninstalls || resource.metadata.deletion_timestamp.is_some();
        let unusable = self.resources.register(resource, leaves).err();
        standing.unusable = unusable.map(|problem| format!("spec.target: {problem}"));
        let now = Timestamp::now();
        if leaves {
            return self.release((resource, uid, name), standing, changed).await;
        }
        self.hold(resource, name).await?;
        let Some(merged) = self.merged(resource, uid, now, &mut standing).await? else {
            return Ok(Next::requeue(SOURCE_PATIENCE));
        };
        if resource.spec.registry.credentials.is_empty() {
            let problem = "spec.registry.credentials: no source is named, so copies stay as they are";
            standing.unusable.get_or_insert(problem.to_owned());
        }
        *changed |= self.give(uid, &merged);
        standing.expires = merged.expires();
        standing.conflicts = merged.conflicts;
        standing.namespaces = self.resources.outcomes(uid);
        let wait = self.tell((resource, uid, name), &standing, now, changed).await?;
        // What has expired is told when it has.
        let expiry = standing.expires.filter(|expires| *expires > now);
        let expiry = expiry.and_then(|expires| Duration::try_from(expires.duration_since(now)).ok());
        let wait =
            [wait, expiry.map(|expiry| expiry + Duration::from_millis(500))].into_iter().flatten().min();
        Ok(wait.map_or_else(Next::await_change, Next::requeue))
    }

    /// What the sources give together; none while one of them has not been asked yet.
    async fn merged(
        &self,
        resource: &ImagePullSecret,
        uid: &str,
        now: Timestamp,
        standing: &mut Standing,
    ) -> Result<Option<Merged>, Problem> {
        let mut all = match self.states(resource) {
            Some(all) => all,
            None if self.is_patient(uid) => return Ok(None),
            None => self.states_so_far(resource),
        };
        lock(&self.waiting).remove(uid);
        if all.iter().any(|(_, state)| state.given.is_none()) && !lock(&self.seeded).contains(uid) {
            self.seed(uid, &resource.spec.registry.credentials).await?;
            lock(&self.seeded).insert(uid.to_owned());
            all = self.states_so_far(resource);
        }
        standing.sources = conditions(&all, now);
        let all: Vec<_> = all.iter().map(|(name, state)| (name.as_str(), state)).collect();
        Ok(Some(merge(&all, now)))
    }

    /// How all sources of a resource stand; none while one of them has not been asked yet.
    fn states(&self, resource: &ImagePullSecret) -> Option<Vec<(String, SourceState)>> {
        let places = resource.spec.registry.credentials.iter();
        places.map(|place| Some((told(place), self.resources.sources.state(place)?))).collect()
    }

    /// The same, where those that were not asked yet have given nothing.
    fn states_so_far(&self, resource: &ImagePullSecret) -> Vec<(String, SourceState)> {
        let places = resource.spec.registry.credentials.iter();
        places.map(|place| (told(place), self.resources.sources.state(place).unwrap_or_default())).collect()
    }

    /// Whether to wait for a source before the others are spread without it: one that hangs must not hold them back.
    fn is_patient(&self, uid: &str) -> bool {
        let mut waiting = lock(&self.waiting);
        waiting.entry(uid.to_owned()).or_insert_with(Instant::now).elapsed() < SOURCE_PATIENCE
    }

    /// What sources gave before this process began, which copies still hold: a source that fails now has not lost it.
    async fn seed(&self, uid: &str, places: &[CredentialsReference]) -> Result<(), Problem> {
        for (namespace, secret) in self.resources.namespaces_with_copies(uid) {
            let api = Api::<ApiSecret>::namespaced(self.client.clone(), &namespace);
            let Some(copy) = api.get_opt(&secret).await? else { continue };
            let Some(given) = remembered(&copy) else { continue };
            for place in places {
                if let Some(given) = given.get(&told(place)) {
                    self.resources.sources.seed(place, given.clone());
                }
            }
            return Ok(());
        }
        Ok(())
    }

    /// Has copies made of what there is, and tells whether it is something else. Where there is nothing, they stay as they
    /// are.
    fn give(&self, uid: &str, merged: &Merged) -> bool {
        let Some(before) = self.resources.distribution(uid) else { return false };
        if merged.entries.is_empty() {
            return false;
        }
        let Ok(content) = Credentials::read(merged.entries.config().to_vec()) else { return false };
        let mut after = Distribution { content: Some(Arc::new(content)), ..(*before).clone() };
        after.marks.set_origins(remember(&merged.origins));
        self.resources.metrics.ends(uid, merged.ends());
        self.resources.put(after)
    }

    /// Writes the status if it is another one, and says so; returns when to look again, if it was too soon for that.
    pub(super) async fn tell(
        &self,
        (resource, uid, name): (&ImagePullSecret, &str, &str),
        standing: &Standing,
        now: Timestamp,
        changed: &mut bool,
    ) -> Result<Option<Duration>, Problem> {
        let before = resource.status.clone().unwrap_or_default();
        let after = standing.status(&before, now);
        if after == before {
            return Ok(None);
        }
        let last = lock(&self.written).get(uid).map(|(when, _)| when.elapsed());
        if let Some(wait) = last.and_then(|last| STATUS_PAUSE.checked_sub(last)) {
            return Ok(Some(wait));
        }
        lock(&self.written).insert(uid.to_owned(), (Instant::now(), 0));
        let was = (before.status.clone(), before.reason.clone());
        let is = (after.status.clone(), after.reason.clone());
        let mut written = resource.clone();
        written.status = Some(after);
        written.metadata.managed_fields = None;
        let api = Api::<ImagePullSecret>::all(self.client.clone());
        guarded(&self.leadership, api.replace_status(name, &PostParams::default(), &written)).await?;
        *changed = true;
        if was != is {
            self.publish(resource, name, standing, &before).await;
        }
        Ok(None)
    }

    async fn publish(
        &self,
        resource: &ImagePullSecret,
        name: &str,
        standing: &Standing,
        before: &ImagePullSecretStatus,
    ) {
        let Some((reason, message)) = standing.verdict() else { return };
        let good = reason == Reason::Reconciled;
        if good {
            info!(resource = name; "{READY}");
        } else {
            warn!(resource = name, was = before.status.as_deref().unwrap_or_default(); "{}: {message}", reason.as_str());
        }
        let event = Event {
            type_: if good { EventType::Normal } else { EventType::Warning },
            reason: reason.as_str().to_owned(),
            // As long as an Event's note may be.
            note: Some(message.chars().take(1000).collect()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &resource.object_ref(&())).await {
            debug!("no Event: {error}");
        }
    }

    /// When to look again after a problem.
    pub(super) fn again(&self, resource: &Guarded, problem: &Problem) -> Next {
        let metadata = resource.meta();
        let uid = metadata.uid.clone().unwrap_or_default();
        let failures = {
            let mut written = lock(&self.written);
            let (_, failures) = written.entry(uid).or_insert((Instant::now(), 0));
            *failures = failures.saturating_add(1);
            *failures
        };
        let wait =
            (Duration::from_millis(250) * 2_u32.saturating_pow(failures.min(10))).min(Duration::from_mins(1));
        match problem {
            Problem::NotLeading => return Next::await_change(),
            Problem::Conflict(what) => debug!("{what}"),
            Problem::Failed { message, retry_after } => {
                warn!(resource = metadata.name.as_deref().unwrap_or_default(), failures; "{message}");
                return Next::requeue(wait.max(retry_after.unwrap_or_default()));
            }
        }
        Next::requeue(wait)
    }

    /// Forgets a resource that is gone.
    pub(super) fn forget(&self, uid: &str) {
        lock(&self.seeded).remove(uid);
        lock(&self.waiting).remove(uid);
        lock(&self.looked).remove(uid);
        lock(&self.written).remove(uid);
    }
}

fn conditions(states: &[(String, SourceState)], now: Timestamp) -> BTreeMap<String, Condition> {
    states.iter().map(|(name, state)| (name.clone(), state.condition(now))).collect()
}

/// A source as a status names it.
#[must_use]
pub fn told(place: &CredentialsReference) -> String {
    format!("{}.{}", place.namespace, place.name)
}
