//! What is watched, kind by kind, and what each event does.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _, future};
use k8s_openapi::api::core::v1::{Pod, Secret as ApiSecret, ServiceAccount};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource as _};
use log::info;
use tokio::sync::mpsc;

use super::copies::of_copy;
use super::engine::{Engine, Kind, View, Watching};
use super::plan::{Account, Secret};
use super::pods::of_pod;
use super::repeats::Repeats;
use super::resource::OWNER_UID;
use super::settings::Task;
use super::upkeep::{Guarded, Upkeep};
use super::view::{Seen, of_account, of_secret};
use super::watches::{Which, complain, each, events, events_where_allowed, is_forbidden, is_unknown, told};

/// Who is told of namespaces that have to be looked at.
pub(super) type Touch = mpsc::UnboundedSender<ObjectRef<Watching>>;

pub(super) fn watch_namespaces(
    engine: &Arc<Engine>,
    writer: reflector::store::Writer<Watching>,
) -> impl Stream<Item = Result<Watching, watcher::Error>> + Send + use<> {
    let api = Api::<Watching>::all(engine.client.clone());
    let (engine, mut complaints) = (Arc::clone(engine), Repeats::default());
    events(api, Which::All, engine.settings.resync)
        .modify(|namespace| namespace.metadata.managed_fields = None)
        .reflect(writer)
        .inspect(move |event| match event {
            Ok(Event::InitDone) => {
                engine.listed(Kind::Namespaces);
                engine.resources.listed_namespaces();
            }
            Ok(Event::Delete(namespace)) => {
                let name = namespace.metadata.name.as_deref().unwrap_or_default();
                engine.settle(name, None, None);
                engine.resources.forget(name);
            }
            Ok(_) => {}
            Err(error) => complain(&mut complaints, "Namespaces", error),
        })
        .touched_objects()
}

/// Secrets of the settings' name.
pub(super) async fn watch_secrets(engine: &Arc<Engine>, touch: &Touch) {
    let api = Api::<ApiSecret>::all(engine.client.clone());
    let secrets = events(api, Which::Named(&engine.settings.secret), engine.settings.resync);
    let origin = engine.origin.clone();
    let seen = secrets.map(move |event| event.map(|event| each(event, |secret| of_secret(secret, &origin))));
    let see = |view: &mut View, event: Event<Seen<Secret>>| view.secrets.see(event);
    pump("Secrets", seen, listed(engine, Kind::Secrets, see), touch).await;
}

/// Accounts: of the one name that the settings have, or all where more are wanted.
pub(super) async fn watch_accounts(engine: &Arc<Engine>, touch: &Touch) {
    let mut wants_all = engine.resources.wants_accounts.subscribe();
    loop {
        let all = *wants_all.borrow_and_update();
        let named = engine.settings.account.as_deref();
        let which = if all { Which::All } else { named.into() };
        let accounts =
            events(Api::<ServiceAccount>::all(engine.client.clone()), which, engine.settings.resync);
        let seen = accounts.map(|event| {
            if let Err(error) = &event {
                engine.resources.unlisted_accounts(&told(error));
            }
            event.map(|event| each(event, of_account))
        });
        let see = |view: &mut View, event: Event<Seen<Account>>| {
            if let Event::Delete(seen) = &event {
                engine.settle(&seen.namespace, Some(&seen.name), None);
            }
            view.accounts.see(event)
        };
        let see = listed(engine, Kind::Accounts, see);
        let see = |event: Event<Seen<Account>>| {
            let whole = matches!(event, Event::InitDone);
            let changed = see(event);
            if whole && (all || named.is_none()) {
                engine.resources.listed_accounts();
            }
            changed
        };
        let others = async {
            // Once all are watched there is nothing more to watch.
            if named.is_none() || wants_all.wait_for(|now| *now && !all).await.is_err() {
                future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = pump("ServiceAccounts", seen, see, touch) => return,
            () = others => {}
        }
    }
}

/// Copies that were made for resources, once there are resources that may be listed.
pub(super) async fn watch_copies(engine: &Arc<Engine>, touch: &Touch) {
    let mut follows = engine.resources.follows.subscribe();
    if follows.wait_for(|follows| *follows == Some(true)).await.is_err() {
        return;
    }
    let api = Api::<ApiSecret>::all(engine.client.clone());
    let copies = events(api, Which::Labelled(OWNER_UID), engine.settings.resync);
    let seen = copies.map(|event| event.map(|event| each(event, of_copy)));
    pump("copies", seen, |event| engine.resources.see_copies(event), touch).await;
}

/// Pods, where a resource selects namespaces by them: what selectors look at, and nothing else.
pub(super) async fn watch_pods(engine: &Arc<Engine>, touch: &Touch) {
    let mut wanted = engine.resources.pod_keys.subscribe();
    loop {
        let keys = wanted.borrow_and_update().clone();
        let watching = async {
            let Some(keys) = keys else { return future::pending().await };
            let api = Api::<PartialObjectMeta<Pod>>::all(engine.client.clone());
            let pods = events(api, Which::All, engine.settings.resync);
            let seen = pods.map(move |event| event.map(|event| each(event, |pod| of_pod(pod, &keys))));
            pump("Pods", seen, |event| engine.resources.see_pods(event), touch).await;
        };
        tokio::select! {
            () = watching => return,
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

/// Resources: what they want is known before anything is done about it.
pub(super) fn watch_resources(
    engine: &Arc<Engine>,
    upkeep: &Arc<Upkeep>,
    reader: Store<Guarded>,
    writer: reflector::store::Writer<Guarded>,
) -> impl Stream<Item = Result<Guarded, watcher::Error>> + Send + use<> {
    let (engine, upkeep, mut complaints) = (Arc::clone(engine), Arc::clone(upkeep), Repeats::default());
    let mut said_unknown = Repeats::default();
    let (label, resync) = (engine.settings.resource_selector.clone(), engine.settings.resync);
    events_where_allowed(engine.client.clone(), label, resync)
        .reflect(writer)
        .inspect(move |event| match event {
            Ok(Event::Init) => {}
            Ok(Event::InitApply(resource) | Event::Apply(resource)) => {
                if let Ok(resource) = &resource.0 {
                    // What is wrong with it is told when it is looked at.
                    let leaves = engine.settings.task == Task::Uninstall
                        || resource.metadata.deletion_timestamp.is_some();
                    let _ = engine.resources.register(resource, leaves);
                }
            }
            Ok(Event::Delete(resource)) => {
                let uid = resource.meta().uid.clone().unwrap_or_default();
                engine.resources.remove(&uid);
                upkeep.forget(&uid);
            }
            Ok(Event::InitDone) => {
                let all = reader.state().into_iter();
                let uids: BTreeSet<_> = all.filter_map(|resource| resource.meta().uid.clone()).collect();
                engine.resources.listed(&uids);
            }
            Err(error) if is_unknown(error) || is_forbidden(error) => {
                engine.resources.unlisted();
                if said_unknown.is_news("") {
                    info!("there are no resources ImagePullSecret here that may be listed: none is followed until there are");
                }
            }
            Err(error) => complain(&mut complaints, "ImagePullSecrets", error),
        })
        .touched_objects()
}

/// Takes events into the view, and notes when there was a whole list.
fn listed<'a, T>(
    engine: &'a Engine,
    kind: Kind,
    see: impl Fn(&mut View, Event<Seen<T>>) -> Vec<String> + 'a,
) -> impl Fn(Event<Seen<T>>) -> Vec<String> + 'a {
    move |event| {
        let whole = matches!(event, Event::InitDone);
        let namespaces = see(&mut engine.view(), event);
        if whole {
            engine.listed(kind);
        }
        namespaces
    }
}

/// Takes events in, and names the namespaces that have to be looked at.
async fn pump<T>(
    what: &str,
    events: impl Stream<Item = Result<Event<Seen<T>>, watcher::Error>>,
    see: impl Fn(Event<Seen<T>>) -> Vec<String>,
    touch: &Touch,
) {
    let mut events = std::pin::pin!(events);
    let mut complaints = Repeats::default();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                for namespace in see(event) {
                    // Nobody listens where a task ends.
                    let _ = touch.send(ObjectRef::new(&namespace));
                }
            }
            Err(error) => complain(&mut complaints, what, &error),
        }
    }
}
