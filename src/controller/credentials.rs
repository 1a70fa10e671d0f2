//! PURE: what a pull secret holds (`.dockerconfigjson`), checked, compared, and told to nobody.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, NO_PAD, PAD};
use ring::digest::{Context, SHA256};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// The one key of a Secret of type `kubernetes.io/dockerconfigjson`.
pub const KEY: &str = ".dockerconfigjson";

/// The content of a pull secret. Neither printable nor comparable; the memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Credentials {
    json: Zeroizing<Vec<u8>>,
    digest: Digest,
}

/// Stands for a content: the same for the same JSON, however it is written, and of no use to anybody else.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

/// Why a content is no use as a pull secret. Names keys and registries, never what they hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCredentials {
    /// Not JSON at all.
    #[error("`{KEY}` is not JSON")]
    NotJson,
    /// JSON of another shape.
    #[error("`{KEY}` has no `auths`: an object of registries is expected, as `docker login` writes it")]
    NoAuths,
    /// There is nothing to log in to.
    #[error("`{KEY}`: `auths` names no registry")]
    Empty,
    /// A registry's entry has another shape.
    #[error("`{KEY}`: `auths`: the entry of {0:?} is not an object")]
    NoEntry(String),
    /// A registry's user or password is no text; for a kubelet, the whole content is none then.
    #[error("`{KEY}`: `auths`: `{1}` of {0:?} is not a string")]
    NoText(String, &'static str),
    /// A registry's `auth` cannot be used.
    #[error("`{KEY}`: `auths`: `auth` of {0:?} is not base64 of user:password")]
    BadAuth(String),
}

type Object<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

impl Credentials {
    /// Takes a content that a kubelet can use.
    ///
    /// # Errors
    /// What is wrong with it, and at which key.
    pub fn read(json: Vec<u8>) -> Result<Self, BadCredentials> {
        let json = Zeroizing::new(json);
        check(&json)?;
        let digest = Digest::of(&json);
        Ok(Self { json, digest })
    }

    /// What stands for the content.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The content, for the one place that writes it to a Secret.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.json
    }
}

fn check(json: &[u8]) -> Result<(), BadCredentials> {
    let text = std::str::from_utf8(json).map_err(|_| BadCredentials::NotJson)?;
    let whole: &RawValue = serde_json::from_str(text).map_err(|_| BadCredentials::NotJson)?;
    let config = object(whole).ok_or(BadCredentials::NoAuths)?;
    let auths = config.get("auths").and_then(|auths| object(auths)).ok_or(BadCredentials::NoAuths)?;
    if auths.is_empty() {
        return Err(BadCredentials::Empty);
    }
    for (registry, entry) in auths {
        let entry = object(entry).ok_or_else(|| BadCredentials::NoEntry(named(&registry)))?;
        for key in ["username", "password", "email"] {
            if entry.get(key).is_some_and(|value| value.get() != "null" && !value.get().starts_with('"')) {
                return Err(BadCredentials::NoText(named(&registry), key));
            }
        }
        let auth = entry.get("auth").filter(|auth| !matches!(auth.get(), "null" | r#""""#));
        if auth.is_some_and(|auth| !is_user_and_password(auth)) {
            return Err(BadCredentials::BadAuth(named(&registry)));
        }
    }
    Ok(())
}

fn object(json: &RawValue) -> Option<Object<'_>> {
    // A list would be taken for an object of its elements' names by nobody; a map is asked for, so this refuses it.
    serde_json::from_str(json.get()).ok()
}

/// As a kubelet reads it: padded or not, and as lenient as Go is about line breaks and bits that are left over.
fn is_user_and_password(auth: &RawValue) -> bool {
    const fn lenient(config: GeneralPurposeConfig) -> GeneralPurpose {
        GeneralPurpose::new(&alphabet::STANDARD, config.with_decode_allow_trailing_bits(true))
    }
    const PADDED: GeneralPurpose = lenient(PAD);
    const UNPADDED: GeneralPurpose = lenient(NO_PAD);
    let Ok(mut auth) = serde_json::from_str(auth.get()).map(Zeroizing::<String>::new) else { return false };
    auth.retain(|c| !matches!(c, '\r' | '\n'));
    let engine = if auth.ends_with('=') { PADDED } else { UNPADDED };
    engine.decode(auth.as_bytes()).map(Zeroizing::new).is_ok_and(|decoded| decoded.contains(&b':'))
}

/// A registry's name as far as any honest one goes: it ends up in logs and events.
fn named(registry: &str) -> String {
    registry.chars().filter(|c| !c.is_control()).take(253).collect()
}

impl Digest {
    /// What stands for any content, pull secret or not.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        let mut sum = Context::new(&SHA256);
        match std::str::from_utf8(content).ok().and_then(|text| serde_json::from_str::<&RawValue>(text).ok())
        {
            Some(json) => digest_json(json, &mut sum, 0),
            None => sum.update(content),
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(sum.finish().as_ref());
        Self(digest)
    }
}

/// As deep as a content's objects are compared key by key; what lies deeper is compared as it is written.
const DEPTH: usize = 8;

/// Objects by sorted keys, all else as it is written.
fn digest_json(json: &RawValue, sum: &mut Context, depth: usize) {
    let Some(members) = object(json).filter(|_| depth < DEPTH) else {
        sum.update(&json.get().len().to_le_bytes());
        sum.update(json.get().as_bytes());
        return;
    };
    sum.update(b"{");
    for (key, value) in members {
        sum.update(&key.len().to_le_bytes());
        sum.update(key.as_bytes());
        digest_json(value, sum, depth + 1);
    }
    sum.update(b"}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Digest, String> {
        Credentials::read(json.as_bytes().to_vec()).map(|c| c.digest()).map_err(|e| e.to_string())
    }

    #[test]
    fn what_docker_login_writes_is_taken() {
        for json in [
            r#"{"auths":{"r.example":{"auth":"dTpw"}}}"#,
            r#"{"auths":{"r.example":{"auth":"dTpwdw=="}}}"#,
            r#"{"auths":{"r.example":{"auth":"dTpwdw"}}}"#,
            r#"{"auths":{"r.example":{"auth":"dTpwdx"}}}"#,
            r#"{"auths":{"r.example":{"auth":"dTpw\r\ndw==\n"}}}"#,
            r#"{"auths":{"r.example":{"username":"u","password":"p","email":"e@x"}},"other":[1]}"#,
            r#"{"auths":{"r.example":{"username":"u","password":"p","email":null}}}"#,
            r#"{"auths":{"r.example":{"identitytoken":"t","auth":""}}}"#,
            r#"{"auths":{"r.example":{}}}"#,
        ] {
            assert!(read(json).is_ok(), "{json}");
        }
    }

    #[test]
    fn what_no_kubelet_can_use_is_refused_by_key_and_without_its_value() {
        for (json, problem) in [
            ("", "is not JSON"),
            ("\"hunter2", "is not JSON"),
            (r#""hunter2""#, "has no `auths`"),
            (r#"{"auth":"hunter2"}"#, "has no `auths`"),
            (r#"{"auths":"hunter2"}"#, "has no `auths`"),
            (r#"{"auths":{}}"#, "names no registry"),
            (r#"{"auths":{"r.example":"hunter2"}}"#, r#"the entry of "r.example" is not an object"#),
            (r#"{"auths":{"r.example":{"auth":"hunter2!"}}}"#, r#"`auth` of "r.example" is not base64"#),
            (r#"{"auths":{"r.example":{"auth":"aHVudGVyMg=="}}}"#, r#"`auth` of "r.example" is not base64"#),
            (r#"{"auths":{"r.example":{"auth":"dTpwdw="}}}"#, r#"`auth` of "r.example" is not base64"#),
            (
                r#"{"auths":{"r.example":{"username":"hunter2","password":2}}}"#,
                r#"`password` of "r.example" is not a string"#,
            ),
            (r#"{"auths":{"r.example":{"auth":12}}}"#, r#"`auth` of "r.example" is not base64"#),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(problem), "{json}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn contents_are_the_same_however_they_are_written() {
        let one = r#"{"auths":{"a.example":{"auth":"dTpw"},"b.example":{"username":"u","password":"p"}}}"#;
        let other =
            r#" { "auths" : {"b.example":{"password":"p", "username":"u"},"a.example":{"auth":"dTpw"}}}"#;
        assert_eq!(read(one), read(other));
        assert_ne!(read(one), read(&one.replace("dTpw", "dTpx")));
        assert_ne!(read(one), read(&one.replace("b.example", "c.example")));
        assert_ne!(Digest::of(b"{\"a\":1}"), Digest::of(b"{\"a\":{\"b\":1}}"));
        assert_ne!(Digest::of(b"no json"), Digest::of(b"no jsom"));
        let deep = |inner: &str| format!("{}{inner}{}", "{\"a\":".repeat(100), "}".repeat(100));
        assert_ne!(Digest::of(deep("1").as_bytes()), Digest::of(deep("2").as_bytes()));
    }
}
