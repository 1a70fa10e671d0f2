//! What stands in the way: told once, in the log and as an Event where it stands.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use log::{debug, warn};

use super::leader::Leadership;
use super::lock;
use super::plan::{Action, Secret};
use super::repeats::Repeats;

/// A Secret, as a place to say something of.
#[must_use]
pub fn secret_place(namespace: &str, name: &str) -> String {
    format!("{namespace}/secrets/{name}")
}

/// An account, likewise.
#[must_use]
pub fn account_place(namespace: &str, name: &str) -> String {
    format!("{namespace}/accounts/{name}")
}

/// The copy of a namespace over which there is a fight, likewise.
#[must_use]
pub fn fight_place(namespace: &str, name: &str) -> String {
    format!("{namespace}/fights/{name}")
}

/// Tells of obstacles, and remembers of which.
pub struct Reports {
    recorder: Recorder,
    leadership: Arc<Leadership>,
    /// What was last said of a place.
    said: Mutex<HashMap<String, Repeats>>,
}

impl Reports {
    /// Nothing has been told yet. Events are written by whoever leads.
    #[must_use]
    pub fn new(recorder: Recorder, leadership: Arc<Leadership>) -> Self {
        Self { recorder, leadership, said: Mutex::default() }
    }

    fn said(&self) -> MutexGuard<'_, HashMap<String, Repeats>> {
        lock(&self.said)
    }

    fn is_news(&self, place: String, complaint: &str) -> bool {
        self.said().entry(place).or_default().is_news(complaint)
    }

    /// Forgets what was said of a place.
    pub fn clear(&self, place: &str) {
        self.said().remove(place);
    }

    /// Forgets namespaces that are gone.
    pub fn keep(&self, is_there: impl Fn(&str) -> bool) {
        self.said().retain(|place, _| is_there(place.split('/').next().unwrap_or_default()));
    }

    /// A Secret is in the way and is left: once for each version of it. Returns what is said.
    pub async fn left(&self, namespace: &str, name: &str, secret: &Secret, action: &Action) -> &'static str {
        let note = if matches!(action, Action::ReportForeign) {
            "it is not managed by pullgate and is left as it is: -force without -managedonly overwrites it"
        } else {
            "it cannot be updated (its type is another one, or it is immutable) and is left as it is: -force recreates it"
        };
        if self.is_news(secret_place(namespace, name), &format!("{} {note}", secret.resource_version)) {
            warn!(namespace, secret = name; "{note}");
            self.publish("SecretConflict", "Leave", note, ("Secret", namespace, name), Some(&secret.uid))
                .await;
        }
        note
    }

    /// A copy is changed or deleted again and again, and not written for so long: whether that is news.
    pub async fn copy_put_off(&self, (namespace, secret): (&str, &str), wait: Duration) -> bool {
        if !self.is_news(fight_place(namespace, secret), "fight") {
            return false;
        }
        let seconds = wait.as_secs() + 1;
        let note =
            format!("the copy is changed or deleted again and again: it is written again in {seconds} s");
        warn!(namespace, secret; "{note}");
        self.publish("SecretConflict", "Wait", &note, ("Secret", namespace, secret), None).await;
        true
    }

    /// A reference is removed again and again, and not added for so long: whether that is news.
    pub async fn reference_put_off(
        &self,
        (namespace, account): (&str, &str),
        secret: &str,
        wait: Duration,
    ) -> bool {
        if !self.is_news(account_place(namespace, account), "fight") {
            return false;
        }
        let seconds = wait.as_secs();
        let note =
            format!("the reference to {secret} is removed again and again: it is added again in {seconds} s");
        warn!(namespace, account; "{note}");
        self.publish("ReferenceConflict", "Wait", &note, ("ServiceAccount", namespace, account), None).await;
        true
    }

    /// An Event is news and no more: without the right to write it, all else works.
    async fn publish(
        &self,
        reason: &str,
        action: &str,
        note: &str,
        (kind, namespace, name): (&str, &str, &str),
        uid: Option<&str>,
    ) {
        if !self.leadership.holds() {
            return;
        }
        let regarding = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some(kind.to_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            uid: uid.map(str::to_owned),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(note.to_owned()),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &regarding).await {
            debug!("no Event: {error}");
        }
    }
}
