//! PURE: what a pull secret holds (`.dockerconfigjson`), checked, compared, and told to nobody.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use ring::digest::{Context, SHA256};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::entries::{BadCredentials, Entries, Format};

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

impl Credentials {
    /// Takes a content that a kubelet can use.
    ///
    /// # Errors
    /// What is wrong with it, and at which key.
    pub fn read(json: Vec<u8>) -> Result<Self, BadCredentials> {
        let json = Zeroizing::new(json);
        Entries::read(Format::Config, &json)?;
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
    let members: Option<BTreeMap<Cow<'_, str>, &RawValue>> = serde_json::from_str(json.get()).ok();
    let Some(members) = members.filter(|_| depth < DEPTH) else {
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
