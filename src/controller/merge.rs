//! PURE: several sources of credentials to one content, in their order, and never to a worse one than before.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::credentials::Digest;
use super::entries::Entries;

/// What a source gave when it last gave something.
#[derive(Clone)]
pub struct Given {
    /// The credentials.
    pub entries: Arc<Entries>,
    /// When the registry will refuse them; none if nobody said that it will.
    pub expires: Option<Timestamp>,
}

impl Given {
    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// A source as it is now: what it gave last stays, whatever becomes of the source.
#[derive(Clone, Default)]
pub struct SourceState {
    /// What it gave last.
    pub given: Option<Given>,
    /// Why it gives nothing now.
    pub problem: Option<String>,
}

/// What is to be told of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It gives what it should.
    Good,
    /// What it gave has expired, and it gives nothing new.
    Expired {
        /// When that was.
        since: Timestamp,
        /// Why there is nothing new, if that is known.
        problem: Option<String>,
    },
    /// It gives nothing; what it gave before, if anything, is still good.
    Failing(String),
}

impl SourceState {
    /// It gave something.
    pub fn gave(&mut self, given: Given) {
        *self = Self { given: Some(given), problem: None };
    }

    /// It gave nothing.
    pub fn failed(&mut self, problem: String) {
        self.problem = Some(problem);
    }

    /// How it stands.
    #[must_use]
    pub fn condition(&self, now: Timestamp) -> Condition {
        let expired =
            self.given.as_ref().filter(|given| given.is_expired(now)).and_then(|given| given.expires);
        match (expired, &self.problem) {
            (Some(since), problem) => Condition::Expired { since, problem: problem.clone() },
            (None, Some(problem)) => Condition::Failing(problem.clone()),
            (None, None) if self.given.is_none() => Condition::Failing("has not been read yet".to_owned()),
            (None, None) => Condition::Good,
        }
    }
}

/// Several sources in one.
#[derive(Default)]
pub struct Merged {
    /// What to write, if any source gave something.
    pub entries: Entries,
    /// Which registries come from which source, and until when they are good.
    pub origins: BTreeMap<String, Origin>,
    /// Registries and other keys for which sources have different contents.
    pub conflicts: Vec<Conflict>,
}

/// What one source has given to the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The registries, sorted.
    pub registries: Vec<String>,
    /// When they will be refused.
    pub expires: Option<Timestamp>,
}

/// Two sources have different contents for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// A registry, or another key of the configuration.
    pub key: String,
    /// The source whose content counts.
    pub taken: String,
    /// The one whose content does not.
    pub dropped: String,
}

impl Merged {
    /// When each registry's credentials are refused, where that is known.
    #[must_use]
    pub fn ends(&self) -> Vec<(String, Timestamp)> {
        let origins = self.origins.values().filter_map(|origin| Some((origin, origin.expires?)));
        origins.flat_map(|(origin, end)| origin.registries.iter().map(move |it| (it.clone(), end))).collect()
    }

    /// When the first of what it holds is refused.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.origins.values().filter_map(|origin| origin.expires).min()
    }
}

/// One content of all that sources have given, by name and in order: the later one wins. Whatever has expired is only
/// taken where nobody else has anything.
#[must_use]
pub fn merge(sources: &[(&str, &SourceState)], now: Timestamp) -> Merged {
    let given = sources.iter().filter_map(|(name, source)| Some((*name, source.given.as_ref()?)));
    let (expired, good): (Vec<_>, Vec<_>) = given.partition(|(_, given)| given.is_expired(now));
    let mut entries = Entries::default();
    let (mut auths, mut others) = (Offers::new(), Offers::new());
    for (name, given) in expired.into_iter().chain(good) {
        for (registry, entry) in given.entries.auths() {
            auths.entry(registry).or_default().push((name, entry.digest()));
            entries.insert(registry, entry.clone());
        }
        for (key, value) in given.entries.others() {
            others.entry(key).or_default().push((name, value.digest()));
            entries.insert_other(key, value.clone());
        }
    }
    let mut origins: BTreeMap<String, Origin> = BTreeMap::new();
    for (registry, offers) in &auths {
        let Some((winner, _)) = offers.last() else { continue };
        let source = sources.iter().find(|(name, _)| name == winner).map(|(_, source)| source);
        let origin = origins.entry((*winner).to_owned()).or_default();
        origin.registries.push((*registry).to_owned());
        origin.expires = source.and_then(|source| source.given.as_ref()?.expires);
    }
    let conflicts = conflicts(&auths).chain(conflicts(&others)).collect();
    Merged { entries, origins, conflicts }
}

/// Who offers what for a key; the last one's counts.
type Offers<'a> = BTreeMap<&'a str, Vec<(&'a str, Digest)>>;

fn conflicts<'a>(offers: &'a Offers<'a>) -> impl Iterator<Item = Conflict> + 'a {
    offers.iter().filter_map(|(key, offers)| Some((key, offers.split_last()?))).flat_map(
        |(key, ((taken, content), others))| {
            let different = others.iter().filter(move |(_, other)| other != content);
            different.map(move |(dropped, _)| Conflict {
                key: (*key).to_owned(),
                taken: (*taken).to_owned(),
                dropped: (*dropped).to_owned(),
            })
        },
    )
}
