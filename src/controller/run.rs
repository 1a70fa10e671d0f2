//! The controller as a process: watches in, a queue of namespaces, writes out.
//!
//! ```text
//! watches of Secrets, ServiceAccounts --view--+
//! watch of Namespaces ------------------------+--> queue --> engine: observe, plan, carry out
//! source, leadership, every resync: all ------+
//! ```

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, select, select_all};
use futures_util::{FutureExt as _, Stream, StreamExt as _, future};
use k8s_openapi::api::core::v1::Secret as ApiSecret;
use kube::Api;
use kube::runtime::controller::{Config as ControllerConfig, applier};
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher;
use log::warn;
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep, timeout};

use super::apply::Problem;
use super::engine::{Engine, Watching};
use super::leader::WRITE_PATIENCE;
use super::process::{ControllerError, Process, health_server};
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

/// Namespaces that are worked on at the same time.
const CONCURRENCY: u16 = 16;
/// How long a task that ends waits for the API server and for its turn.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often a task that ends tries a namespace.
const ATTEMPTS: u32 = 8;

/// Does what the settings say until that is done or `stop` comes.
///
/// # Errors
/// What keeps it from beginning, or from being done.
pub async fn run(
    mut settings: Settings,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> Result<(), ControllerError> {
    let process = Process::begin(&settings).await?;
    let keeper = settings.certificates.take().filter(|_| settings.task == Task::Keep);
    let keeper = keeper.map(|certificates| Arc::new(process.keeper(certificates)));
    let keeping = {
        let keeper = keeper.clone();
        async move {
            match keeper {
                Some(keeper) => keeper.run().await,
                None => future::pending().await,
            }
        }
    };
    if let Some(keeper) = keeper.filter(|_| !settings.pull_secrets) {
        let health = settings.health_port.map(|port| health_server(keeper, port)).transpose()?;
        let work = async {
            tokio::select! {
                () = keeping => {}
                () = stop => {}
            }
            Ok(())
        };
        return process.during(health, work).await;
    }
    let (client, metrics, leadership) =
        (process.client.clone(), Arc::clone(&process.metrics), Arc::clone(&process.leadership));
    let recorder = process.recorder();

    let (publish, current) = watch::channel(Current::default());
    let origin = origin(&settings, &process.namespace);
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
    let health = health.map(|port| health_server(Arc::clone(&engine) as _, port)).transpose()?;

    let watching = future::join4(
        watch_secrets(&engine, &touch),
        watch_accounts(&engine, &touch),
        watch_copies(&engine, &touch),
        watch_pods(&engine, &touch),
    );
    let namespaces = watch_namespaces(&engine, writer);
    let looking_after = look_after(&engine, &upkeep, resource_writer, (touched_resources, changed_sources));
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
    let all = async {
        tokio::select! {
            ended = work => ended,
            _ = future::join4(watching, following, keeping, looking_after) => Ok(()),
        }
    };
    process.during(health, all).await
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
pub(super) fn told<T: Send + Sync + 'static>(
    receiver: watch::Receiver<T>,
) -> impl Stream<Item = bool> + Send {
    stream::unfold(receiver, async |mut receiver| receiver.changed().await.ok().map(|()| (true, receiver)))
}

fn received<T: Send + 'static>(mut receiver: mpsc::UnboundedReceiver<T>) -> impl Stream<Item = T> + Send {
    stream::poll_fn(move |context| receiver.poll_recv(context))
}
