//! Watches that go on whatever happens to them, and say so once.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Config, Error, Event, watcher};
use kube::{Api, Resource};
use log::warn;
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::repeats::Repeats;
use crate::api_server::said;

/// A watch is begun anew so often, since one whose other end has gone looks like one that has nothing to tell.
const SECONDS: u32 = 120;
/// Between lists, where a watch was forbidden: that may be for a moment only.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// What happens to all objects of an [`Api`], or to the one with a name, which is all that rights for that name allow.
///
/// Where watching is forbidden and listing is not, everything is listed every `period`, or every minute if that is sooner.
pub fn events<K>(
    api: Api<K>,
    name: Option<&str>,
    period: Duration,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = Config::default().timeout(SECONDS);
    let config = match name {
        Some(name) => config.fields(&format!("metadata.name={name}")),
        None => config,
    };
    let begin = move || -> BoxStream<'static, watcher::Result<Event<K>>> {
        watcher(api.clone(), config.clone()).default_backoff().boxed()
    };
    let pause = period.min(LONGEST_PAUSE);
    stream::unfold((begin(), begin, false), move |(mut events, begin, is_over)| async move {
        if is_over {
            sleep(pause).await;
            events = begin();
        }
        let event = events.next().await?;
        let is_over = event.as_ref().is_err_and(only_lists);
        Some((event, (events, begin, is_over)))
    })
}

fn only_lists(error: &Error) -> bool {
    matches!(error, Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 403)
}

/// Says that a watch has a problem, unless that was said lately.
pub fn complain(complaints: &mut Repeats, what: &str, error: &Error) {
    let error = match error {
        Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => {
            said(error)
        }
        Error::WatchError(status) => status.message.clone(),
        Error::NoResourceVersion => error.to_string(),
    };
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
