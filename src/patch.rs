//! PURE: JSON Patch (RFC 6902), only what mutators need: `add` and `replace`, values by serializer.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

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
    /// [`crate::mutate::service_account`]
    ServiceAccount,
}

impl Mutator {
    /// Every mutator.
    pub const ALL: [Self; 5] =
        [Self::Image, Self::PullPolicy, Self::PullSecret, Self::StorageClass, Self::ServiceAccount];

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::PullPolicy => "pull_policy",
            Self::PullSecret => "pull_secret",
            Self::StorageClass => "storage_class",
            Self::ServiceAccount => "service_account",
        }
    }
}

/// `add` creates a member or inserts before an index; `replace` needs a present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Works on an absent and on a null member.
    Add,
    /// Says that a value was there.
    Replace,
}

/// What a mutator writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A plain value.
    Text(Cow<'a, str>),
    /// One reference to a Secret.
    Reference(Reference<'a>),
    /// A list of references.
    References(Vec<Reference<'a>>),
    /// A parent that was absent.
    Empty {},
}

/// As a person reads it.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Reference(reference) => f.write_str(reference.name),
            Self::References(references) => {
                for (place, reference) in references.iter().enumerate() {
                    f.write_str(if place == 0 { "" } else { ", " })?;
                    f.write_str(reference.name)?;
                }
                Ok(())
            }
            Self::Empty {} => f.write_str("{}"),
        }
    }
}

/// `{"name": …}`, a `LocalObjectReference`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Name of a Secret.
    pub name: &'a str,
}

/// One operation of a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// What is done …
    pub op: Op,
    /// … where …
    pub path: Pointer,
    /// … with what.
    pub value: Value<'a>,
    /// Who asked for it.
    pub mutator: Mutator,
}

impl<'a> Operation<'a> {
    /// `replace` where `path` holds a value, `add` where it is absent or null.
    #[must_use]
    pub fn set(mutator: Mutator, present: bool, path: Pointer, value: Value<'a>) -> Self {
        Self { op: if present { Op::Replace } else { Op::Add }, path, value, mutator }
    }
}

/// A JSON Pointer (RFC 6901) to something that mutators write. All keys are known beforehand, so they are spelled
/// as a pointer wants them, `~` and `/` inside a key escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// A fixed place: `/spec/storageClassName`.
    Field(&'static str),
    /// A field of an element of a list of the specification: `/spec/containers/0/image`.
    Element {
        /// `containers`
        list: &'static str,
        /// Position in the list.
        index: usize,
        /// `image`, or a path below the element: `image/reference`.
        field: &'static str,
    },
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(path) => f.write_str(path),
            Self::Element { list, index, field } => {
                f.write_str("/spec/")?;
                f.write_str(list)?;
                write!(f, "/{index}/")?;
                f.write_str(field)
            }
        }
    }
}

/// The patch as RFC 6902 has it.
///
/// # Errors
/// None in practice: every text can be written as JSON.
pub fn to_json(operations: &[Operation<'_>]) -> Result<String, serde_json::Error> {
    // By hand: this is most of the work of an answer, and a serializer would look for escapes in every constant.
    let mut json = String::with_capacity(96 * operations.len() + 2);
    for (i, Operation { op, path, value, mutator: _ }) in operations.iter().enumerate() {
        json.push_str(if i == 0 { "[" } else { "," });
        json.push_str(match op {
            Op::Add => r#"{"op":"add","path":""#,
            Op::Replace => r#"{"op":"replace","path":""#,
        });
        // Writing to a String cannot fail.
        let _ = write!(json, "{path}");
        json.push_str(r#"","value":"#);
        value.write(&mut json)?;
        json.push('}');
    }
    json.push_str(if operations.is_empty() { "[]" } else { "]" });
    Ok(json)
}

impl Value<'_> {
    fn write(&self, json: &mut String) -> Result<(), serde_json::Error> {
        match self {
            Self::Text(text) => return write_text(text, json),
            Self::Reference(reference) => return reference.write(json),
            Self::References(references) => {
                for (i, reference) in references.iter().enumerate() {
                    json.push_str(if i == 0 { "[" } else { "," });
                    reference.write(json)?;
                }
                json.push_str(if references.is_empty() { "[]" } else { "]" });
            }
            Self::Empty {} => json.push_str("{}"),
        }
        Ok(())
    }
}

impl Reference<'_> {
    fn write(&self, json: &mut String) -> Result<(), serde_json::Error> {
        json.push_str(r#"{"name":"#);
        write_text(self.name, json)?;
        json.push('}');
        Ok(())
    }
}

fn write_text(text: &str, json: &mut String) -> Result<(), serde_json::Error> {
    if text.bytes().all(|b| b >= b' ' && !matches!(b, b'"' | b'\\')) {
        json.push('"');
        json.push_str(text);
        json.push('"');
    } else {
        json.push_str(&serde_json::to_string(text)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_serialize_as_rfc_6902_without_the_mutator() {
        let json = |path, value| to_json(&[Operation::set(Mutator::PullSecret, false, path, value)]).unwrap();
        let references = Value::References(vec![Reference { name: "regcred" }]);
        assert_eq!(
            json(Pointer::Field("/spec/imagePullSecrets"), references),
            r#"[{"op":"add","path":"/spec/imagePullSecrets","value":[{"name":"regcred"}]}]"#
        );
        let element = Pointer::Element { list: "volumes", index: 10, field: "image/reference" };
        assert_eq!(
            json(element, Value::Text("a\"b".into())),
            r#"[{"op":"add","path":"/spec/volumes/10/image/reference","value":"a\"b"}]"#
        );
        assert_eq!(
            json(Pointer::Field("/spec"), Value::Empty {}),
            r#"[{"op":"add","path":"/spec","value":{}}]"#
        );
        assert_eq!(to_json(&[]).unwrap(), "[]");
    }
}
