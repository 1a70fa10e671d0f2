//! Secrets that credentials come from, each followed for as long as a resource names it, whatever becomes of it.

#[cfg(feature = "ecr")]
pub mod ecr;
pub mod login;
pub mod token;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use zeroize::Zeroize as _;

use super::credentials::{Credentials, Digest};
use super::entries::{Entries, Format};
use super::lock;
use super::merge::{Given, SourceState};
use super::metrics::Metrics;
use super::repeats::Repeats;
use super::resource::CredentialsReference;
use super::view::TYPE;
use super::watches::{Which, complain, events};
use crate::config::read::{dns_label, dns_subdomain};
use login::Login;
use token::Tokens;

/// Tokens of ECR, where this program was built with it.
#[must_use]
pub fn tokens(metrics: Arc<Metrics>) -> Arc<Tokens> {
    #[cfg(feature = "ecr")]
    let source = Arc::new(ecr::Ecr::default());
    #[cfg(not(feature = "ecr"))]
    let source = Arc::new(token::NoTokens);
    Tokens::new(source, metrics)
}

/// The type of a Secret in the older format.
const LEGACY_TYPE: &str = "kubernetes.io/dockercfg";

/// All sources that are followed.
pub struct Sources {
    client: Client,
    tokens: Arc<Tokens>,
    resync: Duration,
    followed: Mutex<HashMap<CredentialsReference, Followed>>,
    changed: mpsc::UnboundedSender<CredentialsReference>,
}

struct Followed {
    /// None until the API server has said something about it.
    state: Option<SourceState>,
    task: AbortHandle,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sources {
    /// None yet. Whoever receives from `changed` is told of each source that stands differently.
    #[must_use]
    pub fn new(
        client: Client,
        tokens: Arc<Tokens>,
        resync: Duration,
        changed: mpsc::UnboundedSender<CredentialsReference>,
    ) -> Arc<Self> {
        Arc::new(Self { client, tokens, resync, followed: Mutex::default(), changed })
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<CredentialsReference, Followed>> {
        lock(&self.followed)
    }

    /// Follows these and no others.
    pub fn want(self: &Arc<Self>, wanted: &BTreeSet<CredentialsReference>) {
        let mut followed = self.followed();
        followed.retain(|place, _| wanted.contains(place));
        for place in wanted {
            if !followed.contains_key(place) {
                let task = tokio::spawn(Arc::clone(self).follow(place.clone())).abort_handle();
                followed.insert(place.clone(), Followed { state: None, task });
            }
        }
    }

    /// How a source stands; none until the API server has said something about it.
    #[must_use]
    pub fn state(&self, place: &CredentialsReference) -> Option<SourceState> {
        self.followed().get(place)?.state.clone()
    }

    /// What a source holds, as its copy would.
    #[must_use]
    pub fn content(&self, place: &CredentialsReference) -> Option<Digest> {
        let entries = self.state(place)?.given?.entries;
        Credentials::read(entries.config().to_vec()).ok().map(|content| content.digest())
    }

    /// Whether credentials are read from a Secret: nothing is written there.
    #[must_use]
    pub fn has(&self, place: &CredentialsReference) -> bool {
        self.followed().contains_key(place)
    }

    /// What a source gave in an earlier life of this process, as a copy holds it; unless it has given something since.
    pub fn seed(&self, place: &CredentialsReference, given: Given) {
        if check(place).is_err() {
            return;
        }
        if let Some(followed) = self.followed().get_mut(place) {
            followed.state.get_or_insert_default().given.get_or_insert(given);
        }
    }

    fn set(&self, place: &CredentialsReference, change: impl FnOnce(&mut SourceState)) {
        if let Some(followed) = self.followed().get_mut(place) {
            change(followed.state.get_or_insert_default());
        }
        // Nobody listens where the process ends.
        let _ = self.changed.send(place.clone());
    }

    fn take(&self, place: &CredentialsReference, read: Result<Given, String>) {
        self.set(place, |state| match read {
            Ok(given) => state.gave(given),
            Err(problem) => state.failed(problem),
        });
    }

    async fn follow(self: Arc<Self>, place: CredentialsReference) {
        if let Err(problem) = check(&place) {
            return self.take(&place, Err(problem));
        }
        let api = Api::<Secret>::namespaced(self.client.clone(), &place.namespace);
        let mut events = std::pin::pin!(events(api, Which::Named(&place.name), self.resync));
        let (mut complaints, mut listed) = (Repeats::default(), false);
        let (mut tokens, mut was_read) = (None, false);
        while let Some(event) = events.next().await {
            was_read |= matches!(event, Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_)));
            match event {
                Ok(Event::Init) => listed = false,
                Ok(Event::InitApply(secret) | Event::Apply(secret)) => {
                    listed = true;
                    match read(secret) {
                        Ok(Content::Entries(entries)) => {
                            tokens = None;
                            self.take(&place, Ok(Given { entries: Arc::new(entries), expires: None }));
                        }
                        Ok(Content::Login(login)) => {
                            let (sources, place) = (Arc::clone(&self), place.clone());
                            let told = move |read| sources.take(&place, read);
                            // The one before it is let go after: it may be the same.
                            tokens = Some(self.tokens.follow(*login, told));
                        }
                        Err(problem) => {
                            tokens = None;
                            self.take(&place, Err(problem));
                        }
                    }
                }
                Ok(Event::InitDone) if listed => {}
                Ok(Event::InitDone | Event::Delete(_)) => {
                    tokens = None;
                    let problem = format!("Secret {}/{} does not exist", place.namespace, place.name);
                    self.take(&place, Err(problem));
                }
                Err(error) => {
                    complain(&mut complaints, &format!("Secret {}/{}", place.namespace, place.name), &error);
                    // What is there goes on to be good: it was read, and not seen to change. What was never read is
                    // what nobody should wait for.
                    if !was_read {
                        self.take(&place, Err(unread(&error)));
                    }
                }
            }
        }
        drop(tokens);
    }
}

/// Whether there can be a Secret of that name. An object that was stored before the definition said so may name what would
/// be every namespace, or another request altogether.
fn check(CredentialsReference { namespace, name }: &CredentialsReference) -> Result<(), String> {
    let (namespace, name) = (
        dns_label(namespace).map_err(|problem| format!("namespace {namespace:?} {problem}")),
        dns_subdomain(name).map_err(|problem| format!("name {name:?} {problem}")),
    );
    namespace.and(name).map_err(|problem| format!("spec.registry.credentials: {problem}"))
}

fn unread(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) => {
            format!("cannot be read: {}", status.message)
        }
        error => format!("cannot be read: {error}"),
    }
}

/// What a Secret holds.
enum Content {
    Entries(Entries),
    Login(Box<Login>),
}

fn read(mut secret: Secret) -> Result<Content, String> {
    let kind = secret.type_.take().unwrap_or_default();
    let mut data = secret.data.take().unwrap_or_default();
    let content = match kind.as_str() {
        TYPE => docker(Format::Config, &data),
        LEGACY_TYPE => docker(Format::Legacy, &data),
        login::TYPE => Login::read(&data).map(|login| Content::Login(Box::new(login))),
        other => Err(format!(
            "its type {other:?} is none that holds credentials; accepted: {TYPE}, {LEGACY_TYPE}, {}",
            login::TYPE
        )),
    };
    for value in data.values_mut() {
        value.0.zeroize();
    }
    content
}

fn docker(format: Format, data: &login::Data) -> Result<Content, String> {
    let content = data.get(format.key()).ok_or_else(|| format!("has no key `{}`", format.key()))?;
    Entries::read(format, &content.0).map(Content::Entries).map_err(|problem| problem.to_string())
}
