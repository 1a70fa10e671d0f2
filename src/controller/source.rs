//! Where the credentials come from, followed as it changes.
//!
//! The object of the API server is the truth from the moment it is seen: neither a file that a kubelet brings up to date
//! a minute later nor the object's own absence takes its last good content back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::watcher::{self, Event};
use log::{info, warn};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::credentials::{Credentials, KEY};
use super::entries::BadCredentials;
use super::repeats::Repeats;
use super::settings::{Local, Source};
use super::view::{Origin, content_of, is_source};
use super::watches::{complain, is_forbidden};
use crate::api_server::text;

/// How often a file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What there is to hand out.
#[derive(Clone, Default)]
pub struct Current {
    /// The credentials; none while there are none that can be used.
    pub credentials: Option<Arc<Credentials>>,
    /// Whether every source has been asked.
    pub known: bool,
    /// Whether the object of the API server has been seen: there is no other source from then on.
    pub from_object: bool,
    /// What is wrong with the source as it is now, if anything.
    pub problem: Option<String>,
}

/// What has been seen of the object.
enum Object {
    Unasked,
    Absent,
    Seen,
}

/// Follows the source and publishes what it holds, for as long as somebody listens.
pub async fn follow(
    source: Source,
    objects: impl Stream<Item = Result<Event<Secret>, watcher::Error>>,
    origin: &Origin,
    publish: watch::Sender<Current>,
) {
    let place = format!("{}/{}", source.object.0, source.object.1);
    let mut objects = std::pin::pin!(objects);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut object, mut listed) = (Object::Unasked, false);
    let mut complaints = Repeats::default();
    loop {
        tokio::select! {
            event = objects.next() => match event {
                None => return,
                Some(Ok(Event::Init)) => listed = false,
                Some(Ok(Event::InitApply(secret) | Event::Apply(secret))) => {
                    // A copy in its place is as good as none.
                    if is_source(&secret.metadata, origin) {
                        (object, listed) = (Object::Seen, true);
                        publish.send_if_modified(|current| !std::mem::replace(&mut current.from_object, true));
                        take(read_object(secret), &format!("Secret {place}"), &publish);
                    }
                }
                Some(Ok(Event::InitDone)) => {
                    if !listed && matches!(object, Object::Unasked) {
                        object = Object::Absent;
                    }
                    if !listed && matches!(object, Object::Seen) {
                        gone(&place, &publish);
                    }
                }
                Some(Ok(Event::Delete(_))) => gone(&place, &publish),
                Some(Err(error)) => {
                    complain(&mut complaints, &format!("Secret {place}"), &error);
                    // Where there is something else, it need not wait for rights that nobody gives. For an API
                    // server that fails it does wait: what is local may be older.
                    if matches!(object, Object::Unasked) && is_forbidden(&error) {
                        object = Object::Absent;
                    }
                }
            },
            _ = looks.tick() => {}
        }
        if matches!(object, Object::Absent) {
            match &source.local {
                Local::None => absent(&place, &publish),
                Local::Literal(credentials) => {
                    take(Ok(credentials.clone()), "CONFIG_DOCKERCONFIGJSON", &publish);
                }
                Local::File(path) => take(read_file(path), &path.display().to_string(), &publish),
            }
        }
    }
}

fn read_object(mut secret: Secret) -> Result<Credentials, String> {
    let content = content_of(&mut secret).ok_or_else(|| format!("has no key `{KEY}`"))?;
    Credentials::read(content).map_err(|problem: BadCredentials| problem.to_string())
}

fn read_file(path: &Path) -> Result<Credentials, String> {
    let content = text(path).map_err(|error| format!("cannot be read: {error}"))?;
    Credentials::read(content.into_bytes()).map_err(|problem| problem.to_string())
}

/// Publishes new content, or what is wrong with it beside the last good one.
fn take(read: Result<Credentials, String>, from: &str, publish: &watch::Sender<Current>) {
    publish.send_if_modified(|current| {
        let first = !std::mem::replace(&mut current.known, true);
        match read {
            Ok(credentials) => {
                let mended = current.problem.take().is_some();
                let same =
                    current.credentials.as_ref().is_some_and(|had| had.digest() == credentials.digest());
                if !same {
                    info!("credentials of {from} are to be handed out");
                    current.credentials = Some(Arc::new(credentials));
                }
                !same || mended || first
            }
            Err(problem) => problem_is(current, format!("{from} {problem}")) || first,
        }
    });
}

fn absent(place: &str, publish: &watch::Sender<Current>) {
    publish.send_if_modified(|current| {
        let first = !std::mem::replace(&mut current.known, true);
        problem_is(
            current,
            format!("Secret {place} does not exist or may not be read, and there are no other credentials"),
        ) || first
    });
}

fn gone(place: &str, publish: &watch::Sender<Current>) {
    publish.send_if_modified(|current| {
        problem_is(current, format!("Secret {place} is gone; what it held stays"))
    });
}

/// Whether that is new.
fn problem_is(current: &mut Current, problem: String) -> bool {
    if current.problem.as_ref() == Some(&problem) {
        return false;
    }
    warn!("{problem}");
    current.problem = Some(problem);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_never_end_is_not_read() {
        let problem = read_file(Path::new("/dev/null")).err();
        assert_eq!(problem.as_deref(), Some("cannot be read: not a regular file"));
    }
}
