//! PURE: what a pull secret holds, registry by registry, in either of its formats. Nothing in it is printable, and the
//! memory is wiped when it is dropped.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, NO_PAD, PAD, STANDARD};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::credentials::Digest;

/// How a Secret writes credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As `docker login` does today: registries under `auths`.
    Config,
    /// As it did before 2015: registries, and nothing else.
    Legacy,
}

impl Format {
    /// The one key of such a Secret.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Config => ".dockerconfigjson",
            Self::Legacy => ".dockercfg",
        }
    }
}

/// Why a content is no use as a pull secret. Names keys and registries, never what they hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCredentials {
    /// Not JSON at all.
    #[error("`{0}` is not JSON")]
    NotJson(&'static str),
    /// JSON of another shape.
    #[error("`{0}` has no `auths`: an object of registries is expected, as `docker login` writes it")]
    NoAuths(&'static str),
    /// There is nothing to log in to.
    #[error("`{0}`: `auths` names no registry")]
    Empty(&'static str),
    /// JSON of another shape, in the older format.
    #[error("`{0}` is no object of registries")]
    NoRegistries(&'static str),
    /// A registry's entry has another shape.
    #[error("`{0}`: `auths`: the entry of {1:?} is not an object")]
    NoEntry(&'static str, String),
    /// A registry's user or password is no text; for a kubelet, the whole content is none then.
    #[error("`{0}`: `auths`: `{2}` of {1:?} is not a string")]
    NoText(&'static str, String, &'static str),
    /// A registry's `auth` cannot be used.
    #[error("`{0}`: `auths`: `auth` of {1:?} is not base64 of user:password")]
    BadAuth(&'static str, String),
}

/// Entries by registry, and what stands beside them. Each is JSON with sorted keys, so that the same content is the
/// same text.
#[derive(Clone, Default)]
pub struct Entries {
    auths: BTreeMap<String, Entry>,
    /// Other keys of the configuration: `HttpHeaders`, or one that is not known here.
    others: BTreeMap<String, Entry>,
}

/// One of them.
#[derive(Clone)]
pub struct Entry {
    json: Zeroizing<String>,
    digest: Digest,
}

impl Entry {
    fn new(json: Zeroizing<String>) -> Self {
        Self { digest: Digest::of(json.as_bytes()), json }
    }

    /// What stands for it.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// What it gives to log in with, if anything.
    #[must_use]
    pub fn login(&self) -> Option<Login> {
        let entry: Object<'_> = serde_json::from_str(&self.json).ok()?;
        let part = |key: &str| entry.get(key).and_then(|value| text(value)).filter(|text| !text.is_empty());
        let pair = entry.get("auth").and_then(|auth| user_and_password(auth));
        let identity_token = part("identitytoken");
        let pair = pair.and_then(|mut pair| String::from_utf8(std::mem::take(&mut *pair)).ok());
        (pair.is_some() || identity_token.is_some())
            .then(|| Login { pair: Zeroizing::new(pair.unwrap_or_default()), identity_token })
    }
}

/// What an entry gives to log in with.
pub struct Login {
    /// `user:password`; empty where there is only a token.
    pub pair: Zeroizing<String>,
    /// What the registry's token service takes in the place of a password.
    pub identity_token: Option<Zeroizing<String>>,
}

type Object<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

impl Entries {
    /// Takes a content that a kubelet can use.
    ///
    /// # Errors
    /// What is wrong with it, and at which key.
    pub fn read(format: Format, json: &[u8]) -> Result<Self, BadCredentials> {
        let key = format.key();
        let text = std::str::from_utf8(json).map_err(|_| BadCredentials::NotJson(key))?;
        let whole: &RawValue = serde_json::from_str(text).map_err(|_| BadCredentials::NotJson(key))?;
        let (auths, others) = match format {
            Format::Config => {
                let mut config = object(whole).ok_or(BadCredentials::NoAuths(key))?;
                let auths = config.remove("auths").and_then(object).ok_or(BadCredentials::NoAuths(key))?;
                (auths, config)
            }
            Format::Legacy => (object(whole).ok_or(BadCredentials::NoRegistries(key))?, Object::new()),
        };
        if auths.is_empty() {
            return Err(match format {
                Format::Config => BadCredentials::Empty(key),
                Format::Legacy => BadCredentials::NoRegistries(key),
            });
        }
        let mut entries = Self::default();
        for (registry, entry) in auths {
            let entry = object(entry).ok_or_else(|| BadCredentials::NoEntry(key, named(&registry)))?;
            for part in ["username", "password", "email"] {
                if entry.get(part).is_some_and(|value| value.get() != "null" && !value.get().starts_with('"'))
                {
                    return Err(BadCredentials::NoText(key, named(&registry), part));
                }
            }
            let entry = complete(&entry).ok_or_else(|| BadCredentials::BadAuth(key, named(&registry)))?;
            entries.auths.insert(registry.into_owned(), entry);
        }
        let as_written = |value: &RawValue| Entry::new(Zeroizing::new(value.get().to_owned()));
        entries.others =
            others.into_iter().map(|(key, value)| (key.into_owned(), as_written(value))).collect();
        Ok(entries)
    }

    /// What logging in to a registry gives.
    #[must_use]
    pub fn login(registry: &str, user: &str, password: &str) -> Self {
        let entry = Entry::new(written([("auth", auth_of(user, password).as_str())]));
        Self { auths: BTreeMap::from([(registry.to_owned(), entry)]), others: BTreeMap::new() }
    }

    /// Entries by registry.
    pub fn auths(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.auths.iter().map(|(registry, entry)| (registry.as_str(), entry))
    }

    /// Other keys of the configuration.
    pub fn others(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.others.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Puts in an entry; one of that registry is replaced.
    pub fn insert(&mut self, registry: &str, entry: Entry) {
        self.auths.insert(registry.to_owned(), entry);
    }

    /// Puts in another key of the configuration; one of that name is replaced.
    pub fn insert_other(&mut self, key: &str, value: Entry) {
        self.others.insert(key.to_owned(), value);
    }

    /// Only those of some registries.
    pub fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.auths.retain(|registry, _| is_kept(registry));
    }

    /// Whether there is no registry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.auths.is_empty()
    }

    /// As a Secret holds them today.
    #[must_use]
    pub fn config(&self) -> Zeroizing<Vec<u8>> {
        let auths =
            written(self.auths.iter().map(|(registry, entry)| (registry.as_str(), entry.json.as_str())));
        let mut config: BTreeMap<_, _> =
            self.others.iter().map(|(key, value)| (key.as_str(), value.json.as_str())).collect();
        config.insert("auths", &auths);
        let mut json = written(config);
        Zeroizing::new(std::mem::take(&mut *json).into_bytes())
    }
}

/// An object of its members' JSON, in one piece of memory: one that grows would leave copies behind.
fn written<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> Zeroizing<String> {
    let quoted = |(key, value): (&str, &'a str)| (serde_json::Value::from(key).to_string(), value);
    let members: Vec<_> = members.into_iter().map(quoted).collect();
    let length: usize = members.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
    let mut json = Zeroizing::new(String::with_capacity(length + 2));
    json.push('{');
    for (place, (key, value)) in members.iter().enumerate() {
        if place > 0 {
            json.push(',');
        }
        json.push_str(key);
        json.push(':');
        json.push_str(value);
    }
    json.push('}');
    json
}

fn object(json: &RawValue) -> Option<Object<'_>> {
    // A list would be taken for an object of its elements' names by nobody; a map is asked for, so this refuses it.
    serde_json::from_str(json.get()).ok()
}

/// An entry that has `auth`, also where it was left out beside user and password; none if its `auth` is of no use.
fn complete(entry: &Object<'_>) -> Option<Entry> {
    let auth = entry.get("auth").filter(|auth| !matches!(auth.get(), "null" | r#""""#));
    if auth.is_some_and(|auth| user_and_password(auth).is_none()) {
        return None;
    }
    let mut members: BTreeMap<_, _> = entry.iter().map(|(key, value)| (key.as_ref(), value.get())).collect();
    let computed = if auth.is_none() { computed_auth(entry) } else { None };
    if let Some(auth) = &computed {
        members.insert("auth", auth);
    }
    Some(Entry::new(written(members)))
}

fn text(json: &RawValue) -> Option<Zeroizing<String>> {
    serde_json::from_str(json.get()).map(Zeroizing::new).ok()
}

/// As a kubelet reads it: padded or not, and as lenient as Go is about line breaks and bits that are left over.
fn user_and_password(auth: &RawValue) -> Option<Zeroizing<Vec<u8>>> {
    const fn lenient(config: GeneralPurposeConfig) -> GeneralPurpose {
        GeneralPurpose::new(&alphabet::STANDARD, config.with_decode_allow_trailing_bits(true))
    }
    const PADDED: GeneralPurpose = lenient(PAD);
    const UNPADDED: GeneralPurpose = lenient(NO_PAD);
    let mut auth = text(auth)?;
    auth.retain(|c| !matches!(c, '\r' | '\n'));
    let engine = if auth.ends_with('=') { PADDED } else { UNPADDED };
    engine.decode(auth.as_bytes()).map(Zeroizing::new).ok().filter(|decoded| decoded.contains(&b':'))
}

fn computed_auth(entry: &Object<'_>) -> Option<Zeroizing<String>> {
    let part = |key: &str| entry.get(key).and_then(|value| text(value)).filter(|text| !text.is_empty());
    Some(auth_of(&part("username")?, &part("password")?))
}

/// `auth` as JSON.
fn auth_of(user: &str, password: &str) -> Zeroizing<String> {
    let pair = Zeroizing::new([user, ":", password].concat());
    let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
    Zeroizing::new(["\"", &encoded, "\""].concat())
}

/// A registry's name as far as any honest one goes: it ends up in logs and events.
fn named(registry: &str) -> String {
    registry.chars().filter(|c| !c.is_control()).take(253).collect()
}
