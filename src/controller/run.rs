//! The controller as a process: watches in, a queue of namespaces, writes out.
//!
//! ```text
//! watches of Secrets, ServiceAccounts --view--+
//! watch of Namespaces ------------------------+--> queue --> engine: observe, plan, carry out
//! source, leadership, every resync: all ------+
//! ```

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, select, select_all};
use futures_util::{FutureExt as _, Stream, StreamExt as _, future};
use k8s_openapi::api::core::v1::Secret as ApiSecret;
use kube::Api;
use kube::client::ClientBuilder;
use kube::runtime::controller::{Config as ControllerConfig, applier};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher;
use log::{info, warn};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep, timeout};

use super::apply::Problem;
use super::engine::{Engine, Watching};
use super::leader::{Candidate, Leadership, WRITE_PATIENCE};
use super::metrics::Metrics;
use super::report::Reports;
use super::resource::CredentialsReference;
use super::resources::Resources;
use super::settings::{Local, Settings, Source, Task};
use super::source::{Current, follow};
use super::sources::{Sources, tokens};
use super::upkeep::{Guarded, Upkeep};
use super::view::Origin;
use super::watches::{Which, events};
use super::watching::{
    watch_accounts, watch_copies, watch_namespaces, watch_pods, watch_resources, watch_secrets,
};
use crate::api_server::{ClientError, config, no_client};
use crate::http_server::{BindError, Probed, bind, health};

/// Namespaces that are worked on at the same time.
const CONCURRENCY: u16 = 16;
/// How long a task that ends waits for the API server and for its turn.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often a task that ends tries a namespace.
const ATTEMPTS: u32 = 8;

/// Why the controller ended.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// There is no way to the API server.
    #[error(transparent)]
    NoClient(#[from] ClientError),
    /// There is no port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The server of health and metrics ended by itself.
    #[error("the server of health and metrics failed: {0}")]
    Health(#[from] io::Error),
    /// A task that ends could not begin.
    #[error("nothing was done: {0}")]
    NotBegun(String),
    /// A task that ends was not done everywhere.
    #[error("{failed} of {all} namespaces are not as wanted: see above")]
    Incomplete {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
    },
}

/// Does what the settings say until that is done or `stop` comes.
///
/// # Errors
/// What keeps it from beginning, or from being done.
pub async fn run(
    mut settings: Settings,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> Result<(), ControllerError> {
    let config = config(settings.kubeconfig.as_deref()).await?;
    let own_namespace = config.default_namespace.clone();
    let metrics = Arc::new(Metrics::default());
    let client = ClientBuilder::try_from(config).map_err(|error| no_client(&error))?;
    let client = client.with_layer(&metrics.counting()).build();
    let identity = identity();
    let reporter =
        Reporter { controller: "pullgate-controller".to_owned(), instance: Some(identity.clone()) };
    let recorder = Recorder::new(client.clone(), reporter);

    let lease_namespace = settings.lease_namespace.as_deref().unwrap_or(&own_namespace);
    let mut candidate =
        settings.lease.as_ref().map(|lease| Candidate::new(client.clone(), lease_namespace, lease, identity));
    let leadership = Arc::new(if candidate.is_some() { Leadership::elected() } else { Leadership::alone() });

    let (publish, current) = watch::channel(Current::default());
    let origin = origin(&settings, &own_namespace);
    let source = Source {
        object: settings.source.object.clone(),
        local: std::mem::replace(&mut settings.source.local, Local::None),
    };
    let source_api = Api::<ApiSecret>::namespaced(client.clone(), &source.object.0);
    let source_object = events(source_api, Which::Named(&source.object.1), settings.resync);
    let following = follow(source, source_object, &origin, publish);

    let (reader, writer) = reflector::store();
    let (touch, touched) = mpsc::unbounded_channel();
    let (touch_resources, touched_resources) = mpsc::unbounded_channel();
    let (sources_changed, changed_sources) = mpsc::unbounded_channel();
    let sources =
        Sources::new(client.clone(), tokens(Arc::clone(&metrics)), settings.resync, sources_changed);
    let resources = Arc::new(Resources::new(
        (sources, Arc::clone(&metrics)),
        reader.clone(),
        touch.clone(),
        touch_resources,
    ));
    let view = Arc::default();
    let (resource_reader, resource_writer) = reflector::store();
    let upkeep = Arc::new(Upkeep::new(
        (client.clone(), resource_reader, settings.task == Task::Uninstall),
        (Arc::clone(&resources), Arc::clone(&view)),
        Arc::clone(&leadership),
        recorder.clone(),
    ));
    let engine = Arc::new(Engine::new(
        (settings, origin.clone(), view),
        (client, Reports::new(recorder, Arc::clone(&leadership))),
        (reader, resources),
        current,
        Arc::clone(&leadership),
        metrics,
    ));
    let health = engine.settings.health_port.filter(|_| engine.settings.task == Task::Keep);
    let health = health.map(|port| bind(port, "HEALTH_PORT")).transpose()?;
    let health = health.map(|listener| health_server(&engine, listener)).transpose()?;

    let watching = future::join4(
        watch_secrets(&engine, &touch),
        watch_accounts(&engine, &touch),
        watch_copies(&engine, &touch),
        watch_pods(&engine, &touch),
    );
    let namespaces = watch_namespaces(&engine, writer);
    let looking_after = look_after(&engine, &upkeep, resource_writer, (touched_resources, changed_sources));
    let election = async {
        match &mut candidate {
            Some(candidate) => candidate.run(&leadership).await,
            None => future::pending().await,
        }
    };
    let served = async {
        match health {
            Some(server) => server.await,
            None => future::pending().await,
        }
    };
    let work = async {
        if engine.settings.task == Task::Keep {
            keep(&engine, namespaces, touched, stop).await;
            return Ok(());
        }
        tokio::select! {
            done = once(&engine, &upkeep) => done,
            () = namespaces.for_each(|_| future::ready(())) => Ok(()),
            () = stop => Err(ControllerError::NotBegun("stopped".to_owned())),
        }
    };
    let ended = tokio::select! {
        ended = work => ended,
        ended = served => ended.map_err(ControllerError::Health),
        _ = future::join4(watching, following, election, looking_after) => Ok(()),
    };
    if let Some(candidate) = candidate {
        match timeout(Duration::from_secs(2), candidate.release(&leadership)).await {
            Ok(Ok(true)) => info!("the Lease is given away"),
            Ok(Ok(false)) => {}
            _ => warn!("the Lease is not given away: the next replica has to wait for its end"),
        }
    }
    ended
}

/// What of the source tells whether a Secret is the source itself.
fn origin(settings: &Settings, own_namespace: &str) -> Origin {
    let Source { object, local } = &settings.source;
    // Only in a Pod is a file a mounted Secret, of the Pod's own namespace.
    let may_be_mounted = matches!(local, Local::File(_)) && settings.kubeconfig.is_none();
    Origin {
        object: object.clone(),
        local: !matches!(local, Local::None),
        mounted: may_be_mounted.then(|| own_namespace.to_owned()),
    }
}

fn health_server(
    engine: &Arc<Engine>,
    listener: std::net::TcpListener,
) -> io::Result<actix_web::dev::Server> {
    health(Arc::clone(engine) as Arc<dyn Probed>, listener)
}

/// A name that no other replica has, not even a later one of the same host.
fn identity() -> String {
    let mut random = [0; 4];
    // Without randomness, the process is told by its number.
    if SystemRandom::new().fill(&mut random).is_err() {
        random = std::process::id().to_be_bytes();
    }
    format!("{}_{:08x}", gethostname::gethostname().to_string_lossy(), u32::from_be_bytes(random))
}

/// Works off namespaces until `stop`, then finishes those that were begun.
async fn keep(
    engine: &Arc<Engine>,
    namespaces: impl Stream<Item = Result<Watching, watcher::Error>> + Send + 'static,
    changes: mpsc::UnboundedReceiver<ObjectRef<Watching>>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    // What keeps a watch from going on has been said there.
    let touched = namespaces.filter_map(|namespace| future::ready(namespace.ok()));
    let touched = touched.map(|namespace| ObjectRef::from_obj(&namespace));
    let all = Arc::clone(engine);
    let everything = select_all([
        ticks(engine.settings.resync).map(|()| false).boxed(),
        told(engine.source.clone()).boxed(),
        told(engine.leadership.changes()).boxed(),
        told(engine.listings()).boxed(),
    ])
    .flat_map(move |is_news| {
        all.tidy();
        let mut namespaces = all.namespaces.state();
        // That time has passed is no reason to try again what failed a moment ago.
        namespaces.retain(|namespace| {
            is_news || !all.is_put_off(namespace.metadata.name.as_deref().unwrap_or_default())
        });
        stream::iter(namespaces.into_iter().map(|namespace| ObjectRef::from_obj(&*namespace)))
    });
    let queue = select_all([touched.boxed(), received(changes).boxed(), everything.boxed()]);
    let stop = stop.shared();
    let queue = queue.map(Ok::<_, Infallible>).take_until(stop.clone());
    let config = ControllerConfig::default().concurrency(CONCURRENCY);
    let reconcile = |namespace, engine: Arc<Engine>| engine.reconcile(namespace).boxed();
    let again =
        |namespace: Arc<Watching>, problem: &Problem, engine: Arc<Engine>| engine.again(&namespace, problem);
    let work = applier(reconcile, again, Arc::clone(engine), engine.namespaces.clone(), queue, config);
    let late = async {
        stop.await;
        // Nothing was begun where nothing could be read yet; and what was begun ends within its own bound.
        if engine.is_ready() {
            sleep(WRITE_PATIENCE * 2).await;
        }
    };
    tokio::select! {
        () = work.for_each(|_| future::ready(())) => {}
        () = late => {}
    }
}

/// Works off every namespace once.
async fn once(engine: &Arc<Engine>, upkeep: &Upkeep) -> Result<(), ControllerError> {
    let begun = async {
        let resources = || engine.has_read_resources() && upkeep.has_looked_at_all();
        while !engine.is_ready() || !engine.leadership.holds() || !resources() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, begun).await.map_err(|_| {
        let why =
            if engine.is_ready() { "another replica leads" } else { "the API server could not be read" };
        ControllerError::NotBegun(why.to_owned())
    })?;
    let source = engine.source.borrow().clone();
    if engine.settings.task == Task::Once && source.credentials.is_none() && !engine.resources.is_any() {
        return Err(ControllerError::NotBegun(
            source.problem.unwrap_or_else(|| "there are no credentials".to_owned()),
        ));
    }
    let namespaces = engine.namespaces.state();
    let all = namespaces.len();
    let attempts = stream::iter(namespaces).map(|namespace| attempt(engine, namespace));
    let failed =
        attempts.buffer_unordered(CONCURRENCY.into()).filter(|done| future::ready(!done)).count().await;
    if failed > 0 {
        return Err(ControllerError::Incomplete { failed, all });
    }
    if engine.settings.task == Task::Uninstall {
        let released = async {
            while !upkeep.has_released_all() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let why = "ImagePullSecrets cannot be let go";
        timeout(PATIENCE, released).await.map_err(|_| ControllerError::NotBegun(why.to_owned()))?;
    }
    Ok(())
}

/// Whether a namespace was brought to what is wanted.
async fn attempt(engine: &Arc<Engine>, namespace: Arc<Watching>) -> bool {
    for attempt in 1..=ATTEMPTS {
        // As it is now: it may be on its way out since it was listed.
        let Some(namespace) = engine.namespaces.get(&ObjectRef::from_obj(&*namespace)) else { return true };
        match Arc::clone(engine).reconcile(Arc::clone(&namespace)).await {
            Ok(_) => return true,
            Err(problem) if attempt == ATTEMPTS => {
                let namespace = namespace.metadata.name.as_deref().unwrap_or_default();
                warn!(namespace; "{problem}");
            }
            Err(_) => sleep(Duration::from_millis(100) * 2_u32.pow(attempt)).await,
        }
    }
    false
}

/// Looks after resources, for ever.
async fn look_after(
    engine: &Arc<Engine>,
    upkeep: &Arc<Upkeep>,
    writer: reflector::store::Writer<Guarded>,
    (touched, sources): (mpsc::UnboundedReceiver<String>, mpsc::UnboundedReceiver<CredentialsReference>),
) {
    let reader = upkeep.store.clone();
    let events = watch_resources(engine, upkeep, reader.clone(), writer);
    let seen = events.filter_map(|resource| future::ready(resource.ok()));
    let seen = seen.map(|resource| ObjectRef::from_obj(&resource));
    let users = Arc::clone(engine);
    let of_sources = received(sources).flat_map(move |place| stream::iter(users.resources.users(&place)));
    let named = select(received(touched), of_sources).map(|name| ObjectRef::new(&name));
    let all = reader.clone();
    let everything = select_all([
        ticks(engine.settings.resync).map(|()| false).boxed(),
        told(engine.leadership.changes()).boxed(),
        told(engine.listings()).boxed(),
    ])
    .flat_map(move |_| stream::iter(all.state().into_iter().map(|resource| ObjectRef::from_obj(&*resource))));
    let queue = select_all([seen.boxed(), named.boxed(), everything.boxed()]).map(Ok::<_, Infallible>);
    let config = ControllerConfig::default().concurrency(CONCURRENCY);
    let reconcile = |resource, upkeep: Arc<Upkeep>| upkeep.reconcile(resource).boxed();
    let again =
        |resource: Arc<Guarded>, problem: &Problem, upkeep: Arc<Upkeep>| upkeep.again(&resource, problem);
    let work = applier(reconcile, again, Arc::clone(upkeep), reader, queue, config);
    work.for_each(|_| future::ready(())).await;
}

fn ticks(period: Duration) -> impl Stream<Item = ()> + Send {
    let mut ticks = interval(period);
    stream::poll_fn(move |context| ticks.poll_tick(context).map(|_| Some(())))
}

/// `true` whenever there is news.
fn told<T: Send + Sync + 'static>(receiver: watch::Receiver<T>) -> impl Stream<Item = bool> + Send {
    stream::unfold(receiver, async |mut receiver| receiver.changed().await.ok().map(|()| (true, receiver)))
}

fn received<T: Send + 'static>(mut receiver: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> + Send {
    stream::poll_fn(move |context| receiver.poll_recv(context))
}
