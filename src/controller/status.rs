//! PURE: from how a resource stands to the status that it gets, and to what is told as Events.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{Timestamp, Unit};

use super::merge::{self, Condition as SourceCondition};
use super::outcomes::Outcome;
use super::resource::{Condition, Conflict, ImagePullSecretStatus};

/// The state of a resource whose copies are all as they should be.
pub const READY: &str = "Ready";
/// The state of any other one.
pub const FAILED: &str = "Failed";
/// Namespaces that a reason names before it only counts them.
const NAMED: usize = 3;

/// How a resource stands.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The generation of the specification that this is about.
    pub generation: Option<i64>,
    /// Why the specification cannot be followed.
    pub unusable: Option<String>,
    /// How each source stands, by `NAMESPACE.NAME`.
    pub sources: BTreeMap<String, SourceCondition>,
    /// For which keys sources differ.
    pub conflicts: Vec<merge::Conflict>,
    /// When the first of the credentials is refused.
    pub expires: Option<Timestamp>,
    /// How the selected namespaces stand.
    pub namespaces: BTreeMap<String, Outcome>,
}

/// Why a resource is not ready. The names are those of the Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is.
    Reconciled,
    /// A source gives nothing.
    SourceCredentialsError,
    /// A copy is not as it should be.
    SecretReconciliationError,
    /// A copy that is to go, or a reference to it, could not be removed.
    SecretDeletionError,
    /// The specification cannot be followed.
    ReconciliationFailed,
}

impl Reason {
    /// As Events and conditions have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reconciled => "Reconciled",
            Self::SourceCredentialsError => "SourceCredentialsError",
            Self::SecretReconciliationError => "SecretReconciliationError",
            Self::SecretDeletionError => "SecretDeletionError",
            Self::ReconciliationFailed => "ReconciliationFailed",
        }
    }
}

impl Standing {
    /// What to say of it; none while it is being worked on and nothing has failed.
    #[must_use]
    pub fn verdict(&self) -> Option<(Reason, String)> {
        if let Some(problem) = &self.unusable {
            return Some((Reason::ReconciliationFailed, problem.clone()));
        }
        let bad: Vec<_> =
            self.sources.iter().filter(|(_, condition)| **condition != SourceCondition::Good).collect();
        if !bad.is_empty() {
            let all: Vec<_> =
                bad.iter().map(|(name, condition)| format!("{name}: {}", told(condition))).collect();
            let message = format!("some source secrets failed to render: {}", all.join("; "));
            return Some((Reason::SourceCredentialsError, message));
        }
        let failed = self.namespaces.iter().filter_map(|(namespace, outcome)| match outcome {
            Outcome::Failed(problem) | Outcome::InTheWay(problem) => Some(format!("{namespace}: {problem}")),
            Outcome::InSync | Outcome::Pending | Outcome::Left(_) => None,
        });
        if let Some((count, first)) = some_of(failed) {
            let of = self.namespaces.values().filter(|outcome| !matches!(outcome, Outcome::Left(_))).count();
            let message = format!("{count} of {of} namespaces are not as they should be: {first}");
            return Some((Reason::SecretReconciliationError, message));
        }
        let left = self.namespaces.iter().filter_map(|(namespace, outcome)| match outcome {
            Outcome::Left(problem) => Some(format!("{namespace}: {problem}")),
            Outcome::InSync | Outcome::Pending | Outcome::Failed(_) | Outcome::InTheWay(_) => None,
        });
        if let Some((count, first)) = some_of(left) {
            let message = format!("{count} namespaces have a copy that could not be removed: {first}");
            return Some((Reason::SecretDeletionError, message));
        }
        let pending = self.namespaces.values().any(|outcome| *outcome == Outcome::Pending);
        (!pending).then(|| (Reason::Reconciled, "all copies are as they should be".to_owned()))
    }

    /// The status, given the one before. Unless something else changes, no time in it does.
    #[must_use]
    pub fn status(&self, before: &ImagePullSecretStatus, now: Timestamp) -> ImagePullSecretStatus {
        let Some((reason, message)) = self.verdict() else { return before.clone() };
        let ready = reason == Reason::Reconciled;
        let in_sync = self.namespaces.iter().filter(|(_, outcome)| **outcome == Outcome::InSync);
        let mut status = ImagePullSecretStatus {
            status: Some(if ready { READY } else { FAILED }.to_owned()),
            reason: (!ready).then(|| message.clone()),
            managed_namespaces: in_sync.map(|(namespace, _)| namespace.clone()).collect(),
            source_secret_status: self.sources.iter().map(|(name, it)| (name.clone(), told(it))).collect(),
            expires_at: self.expires.map(|expires| seconds(expires).to_string()),
            observed_generation: self.generation,
            conditions: vec![Condition {
                type_: READY.to_owned(),
                status: if ready { "True" } else { "False" }.to_owned(),
                reason: reason.as_str().to_owned(),
                message,
                last_transition_time: String::new(),
                observed_generation: self.generation,
            }],
            conflicts: self
                .conflicts
                .iter()
                .map(|merge::Conflict { key, taken, dropped }| Conflict {
                    key: key.clone(),
                    taken: taken.clone(),
                    dropped: dropped.clone(),
                })
                .collect(),
            last_successful_reconciliation: before.last_successful_reconciliation.clone(),
            validity_seconds: before.validity_seconds,
        };
        let mut known = before.conditions.iter().filter(|condition| condition.type_ == READY);
        let since = known.find(|condition| condition.status == status.conditions[0].status);
        status.conditions[0].last_transition_time = since
            .map_or_else(|| seconds(now).to_string(), |condition| condition.last_transition_time.clone());
        if ready && status != *before {
            status.last_successful_reconciliation = Some(seconds(now).to_string());
            status.validity_seconds = self.expires.map(|expires| {
                let seconds = expires.as_second() - now.as_second();
                i32::try_from(seconds.max(0)).unwrap_or(i32::MAX)
            });
        }
        status
    }
}

/// How many there are, and the first of them; none where there is none.
fn some_of(all: impl Iterator<Item = String>) -> Option<(usize, String)> {
    let all: Vec<_> = all.collect();
    let more = all.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    (!all.is_empty()).then(|| (all.len(), all[..all.len().min(NAMED)].join("; ") + &more))
}

/// As a status says it.
fn told(condition: &SourceCondition) -> String {
    match condition {
        SourceCondition::Good => "Ok".to_owned(),
        SourceCondition::Failing(problem) => problem.clone(),
        SourceCondition::Expired { since, problem: None } => format!("Expired: since {}", seconds(*since)),
        SourceCondition::Expired { since, problem: Some(problem) } => {
            format!("Expired: since {}: {problem}", seconds(*since))
        }
    }
}

fn seconds(time: Timestamp) -> Timestamp {
    time.round(Unit::Second).unwrap_or(time)
}
