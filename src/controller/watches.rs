//! Watches that go on whatever happens to them, and say so once.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::core::Status;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Error, Event, watcher};
use kube::{Api, Client, Resource};
use log::warn;
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::repeats::Repeats;
use crate::api_server::said;

/// A watch is begun anew so often, since one whose other end has gone looks like one that has nothing to tell.
const SECONDS: u32 = 120;
/// Between lists, where a watch was forbidden: that may be for a moment only.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Between looks whether there is such a kind of object by now, or a right to it.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(5);

/// Which objects of an [`Api`] are watched.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// All.
    All,
    /// Those of a name, which is all that rights for that name allow.
    Named(&'a str),
    /// Those with a label.
    Labelled(&'a str),
}

impl<'a> From<Option<&'a str>> for Which<'a> {
    fn from(name: Option<&'a str>) -> Self {
        name.map_or(Self::All, Self::Named)
    }
}

/// What happens to objects of an [`Api`].
///
/// Where watching is forbidden and listing is not, everything is listed every `period`, or every minute if that is sooner.
pub fn events<K>(
    api: Api<K>,
    which: Which<'_>,
    period: Duration,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = Config::default().timeout(SECONDS);
    let config = match which {
        Which::All => config,
        Which::Named(name) => config.fields(&format!("metadata.name={name}")),
        Which::Labelled(label) => config.labels(label),
    };
    let begin = move || -> BoxStream<'static, watcher::Result<Event<K>>> {
        watcher(api.clone(), config.clone()).default_backoff().boxed()
    };
    stream::unfold((begin(), begin, None), move |(mut events, begin, pause)| async move {
        if let Some(pause) = pause {
            sleep(pause).await;
            events = begin();
        }
        let event = events.next().await?;
        let pause = event.as_ref().err().and_then(|error| pause_after(error, period));
        Some((event, (events, begin, pause)))
    })
}

/// The same for objects that there may be no right to, which is nobody's mistake: that is asked for before they are, so
/// that nothing has to be refused. While there is none, that they may not be listed is the only event, again and again.
pub fn events_where_allowed<K>(
    client: Client,
    label: Option<String>,
    period: Duration,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let begin = move |client: Client| {
        let which = label.as_deref().map_or(Which::All, Which::Labelled);
        events(Api::<K>::all(client), which, period).boxed()
    };
    stream::unfold((None, begin, Duration::ZERO), move |(events, begin, pause)| {
        let client = client.clone();
        async move {
            let mut events = if let Some(events) = events {
                events
            } else {
                sleep(pause).await;
                if !may_list::<K>(&client).await {
                    return Some((Err(forbidden::<K>()), (None, begin, UNKNOWN_PAUSE)));
                }
                begin(client)
            };
            let event = events.next().await?;
            let lasts = !event.as_ref().is_err_and(is_forbidden);
            Some((event, (lasts.then_some(events), begin, UNKNOWN_PAUSE)))
        }
    })
}

/// Whether they may be listed; where nobody says so, it is to be tried.
async fn may_list<K: Resource<DynamicType = ()>>(client: &Client) -> bool {
    let attributes = ResourceAttributes {
        verb: Some("list".to_owned()),
        group: Some(K::group(&()).into_owned()),
        resource: Some(K::plural(&()).into_owned()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await;
    answer.map_or(true, |review| review.status.is_none_or(|status| status.allowed))
}

/// As the API server says it.
fn forbidden<K: Resource<DynamicType = ()>>() -> Error {
    let message = format!("{}.{} may not be listed", K::plural(&()), K::group(&()));
    Error::InitialListFailed(kube::Error::Api(Box::new(Status {
        code: 403,
        reason: "Forbidden".to_owned(),
        message,
        ..Status::default()
    })))
}

/// When to begin anew after an error, where the watcher itself would go on as before.
fn pause_after(error: &Error, period: Duration) -> Option<Duration> {
    match error {
        Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 403 => {
            Some(period.min(LONGEST_PAUSE))
        }
        error if is_unknown(error) => Some(UNKNOWN_PAUSE),
        _ => None,
    }
}

/// Whether there is no such kind of object.
#[must_use]
pub fn is_unknown(error: &Error) -> bool {
    matches!(error, Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}

/// Whether these objects may not be listed.
#[must_use]
pub fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::InitialListFailed(kube::Error::Api(status)) if status.code == 403)
}

/// What went wrong.
#[must_use]
pub fn told(error: &Error) -> String {
    match error {
        Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => {
            said(error)
        }
        Error::WatchError(status) => status.message.clone(),
        Error::NoResourceVersion => error.to_string(),
    }
}

/// Says that a watch has a problem, unless that was said lately.
pub fn complain(complaints: &mut Repeats, what: &str, error: &Error) {
    let error = told(error);
    if complaints.is_news(&error) {
        warn!(error = error.as_str(); "{what} cannot be watched; it is tried again");
    }
}

/// The same event of something made of its object.
pub fn each<K, T>(event: Event<K>, mut of: impl FnMut(K) -> T) -> Event<T> {
    match event {
        Event::Apply(object) => Event::Apply(of(object)),
        Event::Delete(object) => Event::Delete(of(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(of(object)),
        Event::InitDone => Event::InitDone,
    }
}
