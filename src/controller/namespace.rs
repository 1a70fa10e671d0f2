//! What an [`Engine`] does about one namespace: for the settings and for each resource, observe, plan, carry out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret as ApiSecret;
use kube::Api;
use kube::runtime::controller::Action as Next;
use log::info;
use tokio::time::Instant;

use super::apply::{Problem, Writer, Written, outcome};
use super::copies::Readers;
use super::distributions::Distribution;
use super::engine::{Engine, Kind, Watching};
use super::lock;
use super::outcomes::Outcome;
use super::plan::{self, Action, Owner, Wanted, plan};
use super::report::{account_place, fight_place, secret_place};
use super::resource::CredentialsReference;
use super::view::{of_account, of_secret};
use super::works::Work;
use crate::names::Names;

/// Before a Secret that is in the way, and not watched, is looked at again.
const FOREIGN_PAUSE: Duration = Duration::from_secs(30);

/// Something to be done in a namespace.
struct Task {
    wanted: Wanted,
    /// For a resource; none: for the settings.
    copy_of: Option<Arc<Distribution>>,
    selected: bool,
    /// Whether the resource has another copy there.
    renamed: bool,
}

impl Engine {
    /// What is to be done in a namespace: for the settings, then for the resources.
    fn tasks(&self, namespace: &Watching) -> Vec<Task> {
        let settings = self.is_ready().then(|| Task {
            wanted: self.wanted(),
            copy_of: None,
            selected: true,
            renamed: false,
        });
        // Where the settings put nothing, the name is free.
        let taken = settings.as_ref().filter(|task| task.wanted.content.is_some() && self.selects(namespace));
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        let noted: BTreeSet<_> =
            self.view().accounts.of(name).flat_map(|(_, account)| account.notes.names.clone()).collect();
        let taken = taken.map(|task| task.wanted.secret.as_str());
        let works = self.resources.works(namespace, taken, &noted);
        let of_resources = works.into_iter().map(|Work { distribution, secret, selected, renamed }| Task {
            wanted: Wanted {
                secret,
                content: distribution.content.as_ref().map(|content| content.digest()),
                accounts: distribution.accounts.clone(),
                foreign: self.foreign(),
                recreate: self.settings.recreate,
            },
            copy_of: Some(distribution),
            selected,
            renamed,
        });
        settings.into_iter().chain(of_resources).collect()
    }

    /// What is there of it.
    fn observed(&self, namespace: &Watching, task: &Task) -> plan::Namespace {
        let Some(distribution) = &task.copy_of else { return self.observe(namespace) };
        let name = namespace.metadata.name.clone().unwrap_or_default();
        let place = CredentialsReference { name: task.wanted.secret.clone(), namespace: name.clone() };
        let read_by = self.resources.readers(&distribution.rank.uid, &place);
        let copy = self.resources.copy(&name, &task.wanted.secret);
        plan::Namespace {
            awaits_source: read_by == Readers::This,
            selected: task.selected,
            terminating: namespace.metadata.deletion_timestamp.is_some(),
            secret: copy.map(|copy| copy.seen_by(&distribution.marks, read_by)),
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
        let outcome = outcome(result.as_ref().map(|(writes, _)| *writes > 0));
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
            return Ok((0, None));
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
        let uid = task.copy_of.as_ref().map(|distribution| distribution.rank.uid.as_str());
        let outcome = |outcome| {
            if let Some(uid) = uid {
                self.resources.note(uid, name, outcome);
            }
        };
        if task.copy_of.is_some()
            && task.wanted.accounts != Names::patterns([])
            && !self.resources.has_listed_accounts()
        {
            if let Some(problem) = self.resources.accounts_problem() {
                outcome(Outcome::Failed(problem));
            }
            return Ok((0, None));
        }
        let done = self.attempt(name, namespace, task).await;
        match &done {
            Err(Problem::Failed { message, .. }) if !task.selected => outcome(Outcome::Left(message.clone())),
            Ok(_) if !task.selected && !task.renamed => {
                if let Some(uid) = uid {
                    self.resources.forget_of(uid, name);
                }
            }
            _ if !task.selected => {}
            Ok((_, _, Some(obstacle))) => outcome(Outcome::InTheWay((*obstacle).to_owned())),
            Ok(_) => outcome(self.outcome_of(namespace, task)),
            Err(Problem::Failed { message, .. }) => outcome(Outcome::Failed(message.clone())),
            Err(_) => outcome(Outcome::Pending),
        }
        done.map(|(writes, wait, _)| (writes, wait))
    }

    /// How a namespace stands where nothing has failed.
    fn outcome_of(&self, namespace: &Watching, task: &Task) -> Outcome {
        let seen = self.observed(namespace, task);
        let content = match &seen.secret {
            Some(secret) if secret.owner != Owner::Source => return Outcome::InSync,
            Some(secret) => secret.content,
            // Not watched as copies are, since it is no copy.
            None if seen.awaits_source => {
                let name = namespace.metadata.name.clone().unwrap_or_default();
                let place = CredentialsReference { name: task.wanted.secret.clone(), namespace: name };
                self.resources.sources.content(&place)
            }
            None => None,
        };
        match content {
            // Whether a source is there is told of the source.
            None => Outcome::Pending,
            same if same == task.wanted.content => Outcome::InSync,
            Some(_) => {
                let secret = &task.wanted.secret;
                Outcome::InTheWay(format!(
                    "the Secret {secret} is a source of credentials, and stays as it is"
                ))
            }
        }
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
