//! PURE: JSON Patch (RFC 6902), only what mutators need: `add` and `replace`, values by serializer.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

/// Who asked for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutator {
    /// [`crate::mutate::image`]
    Image,
    /// [`crate::mutate::pull_policy`]
    PullPolicy,
    /// [`crate::mutate::pull_secret`]
    PullSecret,
    /// [`crate::mutate::storage_class`]
    StorageClass,
}

impl Mutator {
    /// Every mutator.
    pub const ALL: [Self; 4] = [Self::Image, Self::PullPolicy, Self::PullSecret, Self::StorageClass];

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::PullPolicy => "pull_policy",
            Self::PullSecret => "pull_secret",
            Self::StorageClass => "storage_class",
        }
    }
}

/// `add` creates a member or inserts before an index; `replace` needs a present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// Works on an absent and on a null member.
    Add,
    /// Says that a value was there.
    Replace,
}

/// What a mutator writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A plain value.
    Text(String),
    /// One reference to a Secret.
    Reference(Reference),
    /// A list of references.
    References(Vec<Reference>),
    /// A parent that was absent.
    Empty {},
}

/// `{"name": …}`, a `LocalObjectReference`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// Name of a Secret.
    pub name: String,
}

/// One operation of a patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// What is done …
    pub op: Op,
    /// … where (RFC 6901) …
    pub path: String,
    /// … with what.
    pub value: Value,
    /// Who asked for it.
    #[serde(skip)]
    pub mutator: Mutator,
}

impl Operation {
    /// `replace` where `path` holds a value, `add` where it is absent or null.
    #[must_use]
    pub fn set(mutator: Mutator, present: bool, path: String, value: Value) -> Self {
        Self { op: if present { Op::Replace } else { Op::Add }, path, value, mutator }
    }
}

/// One step of a pointer.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// Member of an object, escaped as needed.
    Key(&'a str),
    /// Element of an array.
    Index(usize),
    /// Behind the last element.
    End,
}

/// A JSON Pointer (RFC 6901): `~` and `/` inside a key are escaped.
#[must_use]
pub fn pointer(steps: &[Step<'_>]) -> String {
    let mut pointer = String::with_capacity(48);
    for step in steps {
        pointer.push('/');
        match step {
            Step::Key(key) => pointer.push_str(&escape(key)),
            // Writing to a String cannot fail.
            Step::Index(index) => drop(write!(pointer, "{index}")),
            Step::End => pointer.push('-'),
        }
    }
    pointer
}

fn escape(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) {
        Cow::Owned(key.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_escaped_and_ends_are_dashes() {
        let steps = [Step::Key("a~b/c"), Step::Index(10), Step::End];
        assert_eq!(pointer(&steps), "/a~0b~1c/10/-");
    }

    #[test]
    fn operations_serialize_as_rfc_6902_without_the_mutator() {
        let references = Value::References(vec![Reference { name: "regcred".into() }]);
        let operation =
            Operation::set(Mutator::PullSecret, false, "/spec/imagePullSecrets".into(), references);
        assert_eq!(
            serde_json::to_string(&operation).unwrap(),
            r#"{"op":"add","path":"/spec/imagePullSecrets","value":[{"name":"regcred"}]}"#
        );
        assert_eq!(serde_json::to_string(&Value::Empty {}).unwrap(), "{}");
    }
}
