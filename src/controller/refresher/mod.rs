//! One pull secret from several sources, in a namespace of its own: no resource, and no rights outside of namespaces.

pub mod options;

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::{StreamExt as _, future};
use k8s_openapi::api::core::v1::Secret as ApiSecret;
use k8s_openapi::jiff::Timestamp;
use kube::client::ClientBuilder;
use kube::runtime::watcher::Event;
use kube::{Api, Client};
use log::{Level, info, log, warn};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::api_server::{config, no_client};
use crate::config::Logging;
use crate::controller::apply::{CONFLICTS, Problem, Writer, Written, outcome};
use crate::controller::copies::{Copy, Marks, Readers, of_copy};
use crate::controller::credentials::Credentials;
use crate::controller::leader::Leadership;
use crate::controller::lock;
use crate::controller::memory::{remember, remembered};
use crate::controller::merge::{Condition, Merged, SourceState, merge};
use crate::controller::metrics::{Counts, Metrics};
use crate::controller::plan::{Foreign, Namespace, Wanted, plan};
use crate::controller::process::ControllerError;
use crate::controller::repeats::Repeats;
use crate::controller::resource::CredentialsReference;
use crate::controller::sources::{Sources, tokens};
use crate::controller::upkeep::told;
use crate::controller::watches::{Which, complain, events};
use crate::http_server::{Probed, bind, health};
use crate::image::analysis::Notice;
use crate::names::Names;

/// Between attempts to write, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_mins(1));

/// What is to be refreshed.
pub struct Settings {
    /// The Secret that is written.
    pub target: CredentialsReference,
    /// The Secrets that it is made of, in order.
    pub sources: Vec<CredentialsReference>,
    /// How often everything is looked at again, events or not.
    pub resync: Duration,
    /// How to reach the API server; none: as a Pod does.
    pub kubeconfig: Option<PathBuf>,
    /// Plain port of health and metrics, unless off.
    pub health_port: Option<u16>,
    /// What is logged.
    pub logging: Logging,
    /// What should be said about the configuration before it is used.
    pub notices: Vec<Notice>,
}

struct Refresher {
    settings: Settings,
    client: Client,
    sources: Arc<Sources>,
    metrics: Arc<Metrics>,
    seen: Mutex<Seen>,
}

/// What is known of the target, and of how it stands.
#[derive(Default)]
struct Seen {
    listed: bool,
    copy: Option<Copy>,
    in_sync: bool,
    usable: bool,
}

/// Keeps the target as its sources say, until `stop`.
///
/// # Errors
/// What keeps it from beginning.
pub async fn run(settings: Settings, stop: impl Future<Output = ()>) -> Result<(), ControllerError> {
    let config = config(settings.kubeconfig.as_deref()).await?;
    let metrics = Arc::new(Metrics::default());
    let client = ClientBuilder::try_from(config).map_err(|error| no_client(&error))?;
    let client = client.with_layer(&metrics.counting()).build();
    let (notify, mut changes) = mpsc::unbounded_channel();
    let sources = Sources::new(client.clone(), tokens(Arc::clone(&metrics)), settings.resync, notify.clone());
    sources.want(&settings.sources.iter().cloned().collect::<BTreeSet<_>>());
    let health_port = settings.health_port;
    let seen = Mutex::default();
    let refresher = Arc::new(Refresher { settings, client, sources, metrics, seen });
    let listener = health_port.map(|port| bind(port, "--metrics-addr")).transpose()?;
    let health =
        listener.map(|listener| health(Arc::clone(&refresher) as Arc<dyn Probed>, listener)).transpose()?;
    let served = async {
        match health {
            Some(health) => health.await,
            None => future::pending().await,
        }
    };
    let refreshing = async {
        let mut wait = refresher.settings.resync;
        loop {
            tokio::select! {
                change = changes.recv() => if change.is_none() { return },
                () = sleep(wait) => {}
            }
            while changes.try_recv().is_ok() {}
            wait = refresher.refresh().await;
        }
    };
    tokio::select! {
        () = stop => Ok(()),
        () = refreshing => Ok(()),
        () = refresher.watch(&notify) => Ok(()),
        ended = served => ended.map_err(ControllerError::Health),
    }
}

impl Refresher {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    /// Follows the target.
    async fn watch(&self, notify: &mpsc::UnboundedSender<CredentialsReference>) {
        let CredentialsReference { name, namespace } = &self.settings.target;
        let api = Api::<ApiSecret>::namespaced(self.client.clone(), namespace);
        let mut events = std::pin::pin!(events(api, Which::Named(name), self.settings.resync));
        let (mut complaints, mut listing) = (Repeats::default(), None);
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listing = None,
                Ok(Event::InitApply(secret)) => listing = Some(of_copy(secret).fact),
                Ok(Event::InitDone) => {
                    let mut seen = self.seen();
                    (seen.copy, seen.listed) = (listing.take(), true);
                }
                Ok(Event::Apply(secret)) => self.seen().copy = Some(of_copy(secret).fact),
                Ok(Event::Delete(_)) => self.seen().copy = None,
                Err(error) => {
                    complain(&mut complaints, &format!("Secret {namespace}/{name}"), &error);
                    continue;
                }
            }
            // Nobody listens where the process ends.
            let _ = notify.send(self.settings.target.clone());
        }
    }

    /// Brings the target to what the sources give; returns when to look again.
    async fn refresh(&self) -> Duration {
        let (mut pause, most) = BACKOFF;
        let mut failures = 0_u32;
        while let Some(states) = self.states() {
            let began = Instant::now();
            let result = self.attempt(states).await;
            self.metrics.reconciled(outcome(result.as_ref().map(|writes| *writes > 0)), began.elapsed());
            let Err(problem) = result else { break };
            failures = failures.saturating_add(1);
            let CredentialsReference { name, namespace } = &self.settings.target;
            let level = match problem {
                Problem::Conflict(_) if failures < CONFLICTS => Level::Debug,
                _ => Level::Warn,
            };
            log!(level, namespace = namespace.as_str(), secret = name.as_str(), failures; "{problem}");
            let asked = if let Problem::Failed { retry_after, .. } = problem { retry_after } else { None };
            sleep(pause.max(asked.unwrap_or_default())).await;
            pause = (pause * 2).min(most);
        }
        self.settings.resync
    }

    /// The same, once; returns how many writes that took.
    async fn attempt(&self, states: Vec<(String, SourceState)>) -> Result<usize, Problem> {
        let copy = self.seen().copy.clone();
        let states = if states.iter().any(|(_, state)| state.given.is_none()) && copy.is_some() {
            self.seed().await?;
            self.states().unwrap_or(states)
        } else {
            states
        };
        let now = Timestamp::now();
        let usable = report(&states, now);
        let states: Vec<_> = states.iter().map(|(name, state)| (name.as_str(), state)).collect();
        let merged = merge(&states, now);
        self.metrics.ends("", merged.ends());
        let Merged { entries, origins, .. } = merged;
        let content = Credentials::read(entries.config().to_vec()).ok();
        let mut marks = Marks::alone();
        marks.set_origins(remember(&origins));
        let CredentialsReference { name, namespace } = &self.settings.target;
        let wanted = Wanted {
            secret: name.clone(),
            content: content.as_ref().map(Credentials::digest),
            accounts: Names::patterns([]),
            foreign: Foreign::Overwrite,
            recreate: true,
        };
        let secret = copy.map(|copy| copy.seen_by(&marks, Readers::Nobody));
        let there = Namespace { selected: true, secret, ..Namespace::default() };
        let leadership = Leadership::alone();
        let writer =
            Writer { client: &self.client, leadership: &leadership, secret: name, marks: Some(&marks) };
        let actions = plan(&wanted, &there);
        {
            let mut seen = self.seen();
            (seen.in_sync, seen.usable) = (content.is_some() && actions.is_empty(), usable);
        }
        for action in &actions {
            for written in writer.write(namespace, action, content.as_ref()).await? {
                self.seen().copy = match written {
                    Written::Secret(secret) => Some(of_copy(*secret).fact),
                    Written::Account(_) | Written::NoSecret => None,
                };
            }
            self.metrics.wrote("update");
            info!(namespace = namespace.as_str(), secret = name.as_str(); "written");
        }
        self.seen().in_sync = content.is_some();
        Ok(actions.len())
    }

    /// How all sources stand; none while one of them has not been asked yet, or the target.
    fn states(&self) -> Option<Vec<(String, SourceState)>> {
        let sources = self.seen().listed.then_some(&self.settings.sources)?;
        sources.iter().map(|place| Some((told(place), self.sources.state(place)?))).collect()
    }

    /// What sources gave before this process began, which the target still holds.
    async fn seed(&self) -> Result<(), Problem> {
        let CredentialsReference { name, namespace } = &self.settings.target;
        let api = Api::<ApiSecret>::namespaced(self.client.clone(), namespace);
        let Some(given) = api.get_opt(name).await?.as_ref().and_then(remembered) else { return Ok(()) };
        for place in &self.settings.sources {
            if let Some(given) = given.get(&told(place)) {
                self.sources.seed(place, given.clone());
            }
        }
        Ok(())
    }
}

/// Says of each source what is wrong with it and whether nothing is.
fn report(states: &[(String, SourceState)], now: Timestamp) -> bool {
    let mut all_good = true;
    for (name, state) in states {
        match state.condition(now) {
            Condition::Good => {}
            Condition::Failing(problem) => {
                all_good = false;
                warn!(source = name.as_str(); "{problem}");
            }
            Condition::Expired { since, problem } => {
                all_good = false;
                warn!(source = name.as_str(); "Expired: since {since}: {}", problem.unwrap_or_default());
            }
        }
    }
    all_good
}

impl Probed for Refresher {
    fn unready(&self) -> Option<&'static str> {
        (!self.seen().listed).then_some("the API server has not been read yet")
    }

    fn metrics(&self) -> Result<String, fmt::Error> {
        let (in_sync, usable) = {
            let seen = self.seen();
            (seen.in_sync, seen.usable)
        };
        self.metrics.encode(Counts { desired: 1, in_sync: in_sync.into(), conflict: 0 }, true, usable)
    }
}
