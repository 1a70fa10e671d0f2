//! One namespace at a time: observe, plan, carry out.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Secret as ApiSecret};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::Action as Next;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client};
use log::{Level, info, log, warn};
use tokio::sync::watch;
use tokio::time::Instant;

use super::apply::{Problem, Writer, Written};
use super::distributions::Distribution;
use super::leader::Leadership;
use super::metrics::{Counts, Metrics};
use super::outcomes::Outcome;
use super::plan::{self, Account, Action, Foreign, Secret, Wanted, plan};
use super::report::{Reports, account_place, fight_place, secret_place};
use super::resource::CredentialsReference;
use super::resources::{Resources, Work};
use super::settings::{self, Settings};
use super::source::Current;
use super::truce::Truce;
use super::view::{Origin, Watched, of_account, of_secret};
use crate::http_server::Probed;
use crate::names::Names;

/// By which a namespace says that it wants no copy.
pub const OPT_OUT: &str = "k8s.titansoft.com/imagepullsecret-patcher-exclude";
/// After a failure, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_mins(1));

/// Before a Secret that is in the way, and not watched, is looked at again.
const FOREIGN_PAUSE: Duration = Duration::from_mins(1);
/// So many conflicts in a row are none: the watches would have told long ago. A policy's refusal has the status of one.
const CONFLICTS: u32 = 5;

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
    /// ServiceAccounts.
    Accounts = 4,
}

impl Kind {
    const ALL: u8 = Self::Namespaces as u8 | Self::Secrets as u8 | Self::Accounts as u8;
}

/// Something to be done in a namespace.
struct Task {
    wanted: Wanted,
    /// For a resource; none: for the settings.
    copy_of: Option<Arc<Distribution>>,
    selected: bool,
}

/// Everything that it takes to bring a namespace to what is wanted.
pub struct Engine {
    pub(super) settings: Settings,
    pub(super) origin: Origin,
    pub(super) client: Client,
    pub(super) namespaces: Store<Watching>,
    pub(super) view: Mutex<View>,
    pub(super) source: watch::Receiver<Current>,
    pub(super) leadership: Arc<Leadership>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) resources: Arc<Resources>,
    reports: Reports,
    listed: AtomicU8,
    /// Told once all kinds have been listed: who was looked at before has been put off.
    all_listed: watch::Sender<bool>,
    truce: Truce,
    /// How many came in a row, and when the next attempt is due, by namespace.
    failures: Mutex<HashMap<String, (u32, Instant)>>,
}

/// A panic elsewhere has left nothing half done: each of these is one map.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    pub(super) fn new(
        (settings, origin): (Settings, Origin),
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
            view: Mutex::default(),
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
        let before = self.listed.fetch_or(kind as u8, Ordering::AcqRel);
        if before | kind as u8 == Kind::ALL {
            self.all_listed.send_if_modified(|all| !std::mem::replace(all, true));
        }
    }

    /// Tells when all kinds have been listed.
    pub(super) fn listings(&self) -> watch::Receiver<bool> {
        self.all_listed.subscribe()
    }

    fn has_listed(&self, kind: Kind) -> bool {
        self.listed.load(Ordering::Acquire) & kind as u8 != 0
    }

    /// Whether enough has been seen to plan for the settings: what has not been listed is not absent.
    pub(super) fn is_ready(&self) -> bool {
        let source = self.settings.task == settings::Task::Uninstall || self.source.borrow().known;
        self.listed.load(Ordering::Acquire) == Kind::ALL && source
    }

    fn wanted(&self) -> Wanted {
        let settings = &self.settings;
        Wanted {
            secret: settings.secret.clone(),
            content: self.source.borrow().credentials.as_ref().map(|credentials| credentials.digest()),
            accounts: settings.accounts.clone(),
            foreign: self.foreign(),
            recreate: settings.recreate,
        }
    }

    fn foreign(&self) -> Foreign {
        if self.settings.overwrite { Foreign::Overwrite } else { Foreign::Keep }
    }

    /// Whether the settings select a namespace.
    fn selects(&self, namespace: &Watching) -> bool {
        let metadata = &namespace.metadata;
        let opted_out =
            metadata.annotations.as_ref().and_then(|all| all.get(OPT_OUT)).is_some_and(|is| is == "true");
        let excluded = &self.settings.excluded_namespaces;
        self.settings.task != settings::Task::Uninstall
            && !opted_out
            && !excluded.contains(metadata.name.as_deref().unwrap_or_default())
    }

    fn observe(&self, namespace: &Watching) -> plan::Namespace {
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

    /// What is to be done in a namespace: for the settings, then for the resources.
    fn tasks(&self, namespace: &Watching) -> Vec<Task> {
        let settings = self.is_ready().then(|| Task { wanted: self.wanted(), copy_of: None, selected: true });
        // Where the settings put nothing, the name is free.
        let taken = settings.as_ref().filter(|task| task.wanted.content.is_some() && self.selects(namespace));
        let works = self.resources.works(namespace, taken.map(|task| task.wanted.secret.as_str()));
        let works = works.into_iter().filter(|_| self.settings.task != settings::Task::Uninstall);
        let of_resources = works.map(|Work { distribution, secret, selected }| Task {
            wanted: Wanted {
                secret,
                content: distribution.content.as_ref().map(|content| content.digest()),
                accounts: distribution.accounts.clone(),
                foreign: self.foreign(),
                recreate: self.settings.recreate,
            },
            copy_of: Some(distribution),
            selected,
        });
        settings.into_iter().chain(of_resources).collect()
    }

    /// What is there of it.
    fn observed(&self, namespace: &Watching, task: &Task) -> plan::Namespace {
        let Some(distribution) = &task.copy_of else { return self.observe(namespace) };
        let name = namespace.metadata.name.clone().unwrap_or_default();
        let place = CredentialsReference { name: task.wanted.secret.clone(), namespace: name.clone() };
        let is_source = self.resources.sources.has(&place);
        let copy = self.resources.copy(&name, &task.wanted.secret);
        plan::Namespace {
            awaits_source: is_source,
            selected: task.selected,
            terminating: namespace.metadata.deletion_timestamp.is_some(),
            secret: copy.map(|copy| copy.seen_by(&distribution.marks, is_source)),
            accounts: self.view().accounts.of(&name).map(|(_, account)| account.clone()).collect(),
        }
    }

    /// Brings a namespace to what is wanted, once.
    pub(super) async fn reconcile(self: Arc<Self>, namespace: Arc<Watching>) -> Result<Next, Problem> {
        if !self.has_listed(Kind::Namespaces) || !self.leadership.holds() {
            // There is a look at everything when that changes.
            return Ok(Next::await_change());
        }
        let began = Instant::now();
        let name = namespace.metadata.name.clone().unwrap_or_default();
        let result = self.carry_out(&name, &namespace).await;
        let outcome = match &result {
            Ok((0, _)) => "unchanged",
            Ok(_) => "changed",
            Err(Problem::Conflict(_) | Problem::NotLeading) => "conflict",
            Err(Problem::Failed { .. }) => "error",
        };
        self.metrics.reconciled(outcome, began.elapsed());
        let (_, wait) = result?;
        lock(&self.failures).remove(&name);
        Ok(wait.map_or_else(Next::await_change, Next::requeue))
    }

    /// How many writes that took, and when to look again. What cannot be done keeps nothing else from being done.
    async fn carry_out(
        &self,
        name: &str,
        namespace: &Watching,
    ) -> Result<(usize, Option<Duration>), Problem> {
        let (mut all, mut again, mut problem) = (0, None, None);
        if namespace.metadata.deletion_timestamp.is_some() {
            self.resources.forget(name);
        }
        for task in self.tasks(namespace) {
            match self.work_off(name, namespace, &task).await {
                Ok((writes, wait)) => {
                    all += writes;
                    again = [again, wait].into_iter().flatten().min();
                }
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        problem.map_or(Ok((all, again)), Err)
    }

    async fn work_off(
        &self,
        name: &str,
        namespace: &Watching,
        task: &Task,
    ) -> Result<(usize, Option<Duration>), Problem> {
        let outcome = |outcome| {
            if let Some(distribution) = task.copy_of.as_ref().filter(|_| task.selected) {
                self.resources.note(&distribution.rank.uid, name, outcome);
            }
        };
        if task.copy_of.is_some()
            && task.wanted.accounts != Names::patterns([])
            && !self.has_listed(Kind::Accounts)
        {
            return Ok((0, None));
        }
        let done = self.attempt(name, namespace, task).await;
        match &done {
            Ok((_, _, Some(obstacle))) => outcome(Outcome::Failed((*obstacle).to_owned())),
            Ok(_) => {
                let there = self.observed(namespace, task).secret.is_some();
                outcome(if there { Outcome::InSync } else { Outcome::Pending });
            }
            Err(Problem::Failed { message, .. }) => outcome(Outcome::Failed(message.clone())),
            Err(_) => outcome(Outcome::Pending),
        }
        done.map(|(writes, wait, _)| (writes, wait))
    }

    /// How many writes were made, when to look again, and what is in the way.
    async fn attempt(
        &self,
        name: &str,
        namespace: &Watching,
        task: &Task,
    ) -> Result<(usize, Option<Duration>, Option<&'static str>), Problem> {
        let secret = &task.wanted.secret;
        if task.copy_of.is_some() && task.selected && self.is_foreign(name, secret) {
            // Nobody tells of a Secret that is not marked.
            self.look(name, secret).await?;
        }
        let actions = plan(&task.wanted, &self.observed(namespace, task));
        let (mut writes, mut again, mut obstacle) = (0, None, None);
        if !actions.iter().any(|action| matches!(action, Action::ReportForeign | Action::ReportFrozen)) {
            self.reports.clear(&secret_place(name, secret));
        }
        for action in actions {
            if matches!(action, Action::ReportForeign | Action::ReportFrozen) {
                if let Some(seen) = self.observed(namespace, task).secret {
                    obstacle = Some(self.reports.left(name, secret, &seen, &action).await);
                }
                again = task.copy_of.is_some().then_some(FOREIGN_PAUSE);
                continue;
            }
            if let Some(wait) = self.put_off(name, &task.wanted, &action).await {
                again = Some(again.map_or(wait, |before: Duration| before.min(wait)));
                if matches!(action, Action::AddReference { .. }) {
                    continue;
                }
                // What comes after the copy needs it.
                break;
            }
            self.write(name, task, &action).await?;
            match &action {
                Action::RemoveReference { account, .. } => self.settle(name, Some(account), Some(secret)),
                Action::Delete { .. } => self.settle(name, None, Some(secret)),
                action => self.truce.wrote(name, &task.wanted, action),
            }
            writes += 1;
        }
        Ok((writes, again, obstacle))
    }

    fn is_foreign(&self, namespace: &str, secret: &str) -> bool {
        self.resources.copy(namespace, secret).is_some_and(|copy| copy.owner_uid().is_none())
    }

    /// Looks at a Secret that no watch tells of.
    async fn look(&self, namespace: &str, secret: &str) -> Result<(), Problem> {
        match Api::<ApiSecret>::namespaced(self.client.clone(), namespace).get_opt(secret).await? {
            Some(secret) => self.resources.saw(secret),
            None => self.resources.saw_none(namespace, secret),
        }
        Ok(())
    }

    async fn write(&self, namespace: &str, task: &Task, action: &Action) -> Result<(), Problem> {
        let secret = task.wanted.secret.as_str();
        let marks = task.copy_of.as_ref().map(|distribution| &distribution.marks);
        let writer = Writer { client: &self.client, leadership: &self.leadership, secret, marks };
        let credentials = match &task.copy_of {
            Some(distribution) => distribution.content.clone(),
            None => self.source.borrow().credentials.clone(),
        };
        let all = match writer.write(namespace, action, credentials.as_deref()).await {
            Err(problem @ Problem::Conflict(_)) if task.copy_of.is_some() => {
                // It may be one that is not marked.
                self.look(namespace, secret).await?;
                return Err(problem);
            }
            all => all?,
        };
        let what = named(action);
        self.metrics.wrote(what);
        if let Action::AddReference { account, .. } | Action::RemoveReference { account, .. } = action {
            info!(namespace, account = account.as_str(), secret; "{what}");
        } else {
            info!(namespace, secret; "{what}");
        }
        for written in all {
            match (written, marks) {
                (Written::Account(account), _) => self.view().accounts.written(of_account(*account)),
                (Written::Secret(secret), None) => {
                    self.view().secrets.written(of_secret(*secret, &self.origin));
                }
                (Written::Secret(secret), Some(_)) => self.resources.saw(*secret),
                (Written::NoSecret, None) => self.view().secrets.deleted(namespace, secret),
                (Written::NoSecret, Some(_)) => self.resources.saw_none(namespace, secret),
            }
        }
        Ok(())
    }

    /// For how long a write is left undone, because somebody undoes it again and again.
    async fn put_off(&self, namespace: &str, wanted: &Wanted, action: &Action) -> Option<Duration> {
        let wait = self.truce.wait(namespace, wanted, action)?;
        let secret = wanted.secret.as_str();
        let (over, is_news) = match action {
            Action::AddReference { account, .. } => {
                ("account", self.reports.reference_put_off((namespace, account), secret, wait).await)
            }
            _ => ("copy", self.reports.copy_put_off((namespace, secret), wait).await),
        };
        if is_news {
            self.metrics.fight(over);
        }
        Some(wait)
    }

    /// There is nothing to fight over any more, in a namespace's account or its copies: one of them, or all.
    pub(super) fn settle(&self, namespace: &str, account: Option<&str>, secret: Option<&str>) {
        self.truce.settle(namespace, account, secret);
        match (account, secret) {
            (Some(account), _) => self.reports.clear(&account_place(namespace, account)),
            (None, Some(secret)) => self.reports.clear(&fight_place(namespace, secret)),
            // What was said of a namespace is forgotten with it.
            (None, None) => {}
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

    /// How things stand, by planning for every namespace.
    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        if !self.is_ready() {
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
        (!self.is_ready()).then_some("the API server has not been read yet")
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        let usable = {
            let source = self.source.borrow();
            source.credentials.is_some() && source.problem.is_none()
        };
        self.metrics.encode(self.counts(), self.leadership.holds(), usable)
    }
}

/// In metrics and logs.
fn named(action: &Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update { .. } => "update",
        Action::Recreate { .. } => "recreate",
        Action::Delete { .. } => "delete",
        Action::AddReference { .. } => "add_reference",
        Action::RemoveReference { .. } => "remove_reference",
        Action::ReportForeign | Action::ReportFrozen => "report",
    }
}
