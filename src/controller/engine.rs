//! One namespace at a time: observe, plan, carry out.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Action as Next;
use kube::runtime::reflector::{ObjectRef, Store};
use log::{Level, log, warn};
use tokio::sync::watch;
use tokio::time::Instant;

use super::apply::{CONFLICTS, Problem};
use super::leader::Leadership;
use super::lock;
use super::metrics::{Counts, Metrics};
use super::plan::{self, Account, Action, Foreign, Secret, Wanted, is_ours, plan};
use super::report::Reports;
use super::resources::Resources;
use super::settings::{self, Settings};
use super::source::Current;
use super::truce::Truce;
use super::view::{Origin, Watched};
use crate::http_server::Probed;

/// By which a namespace says that it wants no copy.
pub const OPT_OUT: &str = "k8s.titansoft.com/imagepullsecret-patcher-exclude";
/// After a failure, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_mins(1));

/// A namespace as it is watched: without what is of no use here.
pub type Watching = PartialObjectMeta<Namespace>;

/// What has been seen so far, of everything but namespaces.
#[derive(Default)]
pub struct View {
    /// Secrets of our name.
    pub secrets: Watched<Secret>,
    /// ServiceAccounts that are to reference them.
    pub accounts: Watched<Account>,
}

/// A kind of object that is watched.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Namespaces.
    Namespaces = 1,
    /// Secrets.
    Secrets = 2,
    /// ServiceAccounts that the settings name.
    Accounts = 4,
}

impl Kind {
    /// What it takes to plan for the settings.
    const OF_SETTINGS: u8 = Self::Namespaces as u8 | Self::Secrets as u8 | Self::Accounts as u8;
}

/// Everything that it takes to bring a namespace to what is wanted.
pub struct Engine {
    pub(super) settings: Settings,
    pub(super) origin: Origin,
    pub(super) client: Client,
    pub(super) namespaces: Store<Watching>,
    pub(super) view: Arc<Mutex<View>>,
    pub(super) source: watch::Receiver<Current>,
    pub(super) leadership: Arc<Leadership>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) resources: Arc<Resources>,
    pub(super) reports: Reports,
    listed: AtomicU8,
    /// Told once all kinds have been listed: who was looked at before has been put off.
    all_listed: watch::Sender<bool>,
    pub(super) truce: Truce,
    /// How many came in a row, and when the next attempt is due, by namespace.
    pub(super) failures: Mutex<HashMap<String, (u32, Instant)>>,
}

impl Engine {
    pub(super) fn new(
        (settings, origin, view): (Settings, Origin, Arc<Mutex<View>>),
        (client, reports): (Client, Reports),
        (namespaces, resources): (Store<Watching>, Arc<Resources>),
        source: watch::Receiver<Current>,
        leadership: Arc<Leadership>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            settings,
            origin,
            client,
            namespaces,
            view,
            source,
            leadership,
            metrics,
            resources,
            reports,
            listed: AtomicU8::new(0),
            all_listed: watch::Sender::new(false),
            truce: Truce::default(),
            failures: Mutex::default(),
        }
    }

    /// What has been seen; not to be held over a wait.
    pub(super) fn view(&self) -> MutexGuard<'_, View> {
        lock(&self.view)
    }

    /// Notes that a kind has been listed whole.
    pub(super) fn listed(&self, kind: Kind) {
        let now = self.listed.fetch_or(kind as u8, Ordering::AcqRel) | kind as u8;
        if now & Kind::OF_SETTINGS == Kind::OF_SETTINGS {
            self.all_listed.send_if_modified(|all| !std::mem::replace(all, true));
        }
    }

    /// Tells when all kinds have been listed.
    pub(super) fn listings(&self) -> watch::Receiver<bool> {
        self.all_listed.subscribe()
    }

    pub(super) fn has_listed(&self, kind: Kind) -> bool {
        self.listed.load(Ordering::Acquire) & kind as u8 != 0
    }

    /// Whether it is known what resources want, or that there are none that may be listed.
    pub(super) fn has_read_resources(&self) -> bool {
        let accounts = !*self.resources.wants_accounts.borrow()
            || self.resources.has_listed_accounts()
            || self.resources.accounts_problem().is_some();
        match *self.resources.follows.borrow() {
            None => false,
            Some(false) => true,
            Some(true) => self.resources.is_ready() && accounts,
        }
    }

    /// Whether enough has been seen to plan for the settings: what has not been listed is not absent.
    pub(super) fn is_ready(&self) -> bool {
        let source = self.settings.task == settings::Task::Uninstall || self.source.borrow().known;
        self.listed.load(Ordering::Acquire) & Kind::OF_SETTINGS == Kind::OF_SETTINGS && source
    }

    pub(super) fn wanted(&self) -> Wanted {
        let settings = &self.settings;
        Wanted {
            secret: settings.secret.clone(),
            content: self.source.borrow().credentials.as_ref().map(|credentials| credentials.digest()),
            accounts: settings.accounts.clone(),
            foreign: self.foreign(),
            recreate: settings.recreate,
        }
    }

    pub(super) fn foreign(&self) -> Foreign {
        if self.settings.overwrite { Foreign::Overwrite } else { Foreign::Keep }
    }

    /// Whether the settings select a namespace.
    pub(super) fn selects(&self, namespace: &Watching) -> bool {
        let metadata = &namespace.metadata;
        let opted_out =
            metadata.annotations.as_ref().and_then(|all| all.get(OPT_OUT)).is_some_and(|is| is == "true");
        let excluded = &self.settings.excluded_namespaces;
        self.settings.task != settings::Task::Uninstall
            && !opted_out
            && !excluded.contains(metadata.name.as_deref().unwrap_or_default())
    }

    pub(super) fn observe(&self, namespace: &Watching) -> plan::Namespace {
        let metadata = &namespace.metadata;
        let name = metadata.name.as_deref().unwrap_or_default();
        let in_place = (name, self.settings.secret.as_str())
            == (self.origin.object.0.as_str(), self.origin.object.1.as_str());
        let from_object = self.source.borrow().from_object;
        let view = self.view();
        plan::Namespace {
            awaits_source: in_place && (from_object || !self.origin.local),
            selected: self.selects(namespace),
            terminating: metadata.deletion_timestamp.is_some(),
            secret: view.secrets.of(name).map(|(_, secret)| secret.clone()).next(),
            accounts: view.accounts.of(name).map(|(_, account)| account.clone()).collect(),
        }
    }

    /// When to look again after a problem.
    pub(super) fn again(&self, namespace: &Watching, problem: &Problem) -> Next {
        let name = namespace.metadata.name.clone().unwrap_or_default();
        let mut all = lock(&self.failures);
        let (failures, due) = all.entry(name.clone()).or_insert((0, Instant::now()));
        *failures = failures.saturating_add(1);
        let failures = *failures;
        let (first, most) = BACKOFF;
        // Namespaces that failed together do not come back together.
        let spread =
            f64::from(name.bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte))) / 512.0;
        let backoff = (first * 2_u32.saturating_pow(failures.min(12) - 1)).min(most).mul_f64(1.0 + spread);
        match problem {
            Problem::NotLeading => Next::await_change(),
            Problem::Conflict(what) => {
                let level = if failures < CONFLICTS { Level::Debug } else { Level::Warn };
                log!(level, namespace = name.as_str(), failures; "{what}");
                Next::requeue(backoff)
            }
            Problem::Failed { message, retry_after } => {
                warn!(namespace = name.as_str(), failures; "{message}");
                let wait = backoff.max(retry_after.unwrap_or_default());
                *due = Instant::now() + wait;
                Next::requeue(wait)
            }
        }
    }

    /// Whether a failure is to be followed by a pause that has not ended.
    pub(super) fn is_put_off(&self, namespace: &str) -> bool {
        lock(&self.failures).get(namespace).is_some_and(|(_, due)| *due > Instant::now())
    }

    /// Forgets what is of no use any more.
    pub(super) fn tidy(&self) {
        self.truce.tidy();
        let gone = |name: &str| self.namespaces.get(&ObjectRef::new(name)).is_none();
        lock(&self.failures).retain(|namespace, _| !gone(namespace));
        self.reports.keep(|namespace| !gone(namespace));
    }

    /// Whether the settings have nothing to hand out and never had, and there are resources that have.
    fn is_for_resources_only(&self) -> bool {
        let has_source = self.source.borrow().credentials.is_some();
        !has_source
            && self.resources.is_any()
            && !self.view().secrets.all().any(|(_, _, secret)| is_ours(secret))
    }

    /// How things stand, by planning for every namespace.
    fn counts(&self) -> Counts {
        let mut counts = self.resources.counts();
        if !self.is_ready() || self.is_for_resources_only() {
            return counts;
        }
        let wanted = self.wanted();
        for namespace in self.namespaces.state() {
            let namespace = self.observe(&namespace);
            let no_copy = namespace.awaits_source && namespace.secret.is_none();
            if !namespace.selected || namespace.terminating || no_copy {
                continue;
            }
            counts.desired += 1;
            match plan(&wanted, &namespace).as_slice() {
                [] if namespace.secret.is_some() => counts.in_sync += 1,
                [Action::ReportForeign | Action::ReportFrozen] => counts.conflict += 1,
                _ => {}
            }
        }
        counts
    }
}

impl Probed for Engine {
    fn unready(&self) -> Option<&'static str> {
        // As long as the settings have nothing to hand out, nobody waits for what that would take.
        let idle = {
            let source = self.source.borrow();
            source.known && source.credentials.is_none() && self.has_listed(Kind::Namespaces)
        };
        (!idle && !self.is_ready()).then_some("the API server has not been read yet")
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        // Nobody waits for a source that there never was.
        let usable = self.is_for_resources_only() || {
            let source = self.source.borrow();
            source.credentials.is_some() && source.problem.is_none()
        };
        self.metrics.encode(self.counts(), self.leadership.holds(), usable)
    }
}
