//! JSON as a second opinion: repeated keys, sameness, and random documents.

use std::collections::HashSet;
use std::fmt;

use arbitrary::{Arbitrary, Result, Unstructured};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The shape of a document, in which a key may stand twice.
#[derive(Debug)]
pub enum Tree {
    /// Members as they are written.
    Object(Vec<(String, Tree)>),
    /// Elements in order.
    Array(Vec<Tree>),
    /// Anything without children.
    Plain,
}

impl Tree {
    /// The values of a key, of which there may be several.
    pub fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a Self> {
        let members = if let Self::Object(members) = self { &members[..] } else { &[] };
        members.iter().filter(move |(is, _)| is == key).map(|(_, value)| value)
    }

    /// The elements of an array.
    #[must_use]
    pub fn elements(&self) -> &[Self] {
        if let Self::Array(elements) = self { elements } else { &[] }
    }

    /// Whether this object has a key twice.
    #[must_use]
    pub fn repeats(&self) -> bool {
        let mut keys = HashSet::new();
        matches!(self, Self::Object(members) if !members.iter().all(|(key, _)| keys.insert(key)))
    }

    /// Whether an object anywhere in this document has a key twice.
    #[must_use]
    pub fn repeats_anywhere(&self) -> bool {
        self.repeats() || self.children().any(Self::repeats_anywhere)
    }

    /// The most members of any object, or elements of any array, in this document.
    #[must_use]
    pub fn width(&self) -> usize {
        self.children().map(Self::width).max().unwrap_or_default().max(self.children().count())
    }

    fn children(&self) -> impl Iterator<Item = &Self> {
        let members = if let Self::Object(members) = self { &members[..] } else { &[] };
        members.iter().map(|(_, value)| value).chain(self.elements())
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Tree, E> {
        Ok(Tree::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Tree, E> {
        Ok(Tree::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Tree, E> {
        Ok(Tree::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Tree, E> {
        Ok(Tree::Plain)
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<Tree, E> {
        Ok(Tree::Plain)
    }

    fn visit_unit<E>(self) -> std::result::Result<Tree, E> {
        Ok(Tree::Plain)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> std::result::Result<Tree, A::Error> {
        let mut array = Vec::new();
        while let Some(element) = elements.next_element()? {
            array.push(element);
        }
        Ok(Tree::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }
}

/// Whether two documents are the same, where a float without a fraction is a whole number.
#[must_use]
pub fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => is_same_number(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| is_same(one, other)))
        }
        _ => one == other,
    }
}

fn is_same_number(one: &Number, other: &Number) -> bool {
    one == other || ((one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64())
}

/// Keys that mean something to a reader of Kubernetes objects or of JSON Pointers.
const KEYS: [&str; 12] = [
    "",
    "spec",
    "name",
    "image",
    "a~b",
    "a/b",
    "~0",
    "~1",
    "-",
    "0",
    "\u{2603}",
    "volume.beta.kubernetes.io/storage-class",
];

/// A key, one of the interesting ones more often than not.
#[derive(Clone, Debug)]
pub struct Key(pub String);

impl<'a> Arbitrary<'a> for Key {
    fn arbitrary(random: &mut Unstructured<'a>) -> Result<Self> {
        let key = match usize::from(u8::arbitrary(random)?) {
            known if known < 128 => KEYS[known % KEYS.len()].to_owned(),
            _ => String::arbitrary(random)?,
        };
        Ok(Self(key))
    }
}

/// A random document, `depth` levels down.
///
/// # Errors
/// There are no more bytes to make it from.
pub fn arbitrary(random: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
    const DEEPEST: usize = 6;
    Ok(match random.int_in_range(0..=if depth < DEEPEST { 7 } else { 4 })? {
        0 => Value::Null,
        1 => Value::Bool(bool::arbitrary(random)?),
        2 => Value::from(i64::arbitrary(random)?),
        3 | 4 => Value::from(String::arbitrary(random)?),
        5 => {
            let length = random.int_in_range(0..=5)?;
            Value::Array((0..length).map(|_| arbitrary(random, depth + 1)).collect::<Result<_>>()?)
        }
        _ => {
            let length = random.int_in_range(0..=5)?;
            let member = |_| Ok((Key::arbitrary(random)?.0, arbitrary(random, depth + 1)?));
            Value::Object((0..length).map(member).collect::<Result<Map<_, _>>>()?)
        }
    })
}

/// How many values a document holds.
#[must_use]
pub fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(elements) => elements.iter().map(size).sum(),
        Value::Object(members) => members.values().map(size).sum(),
        _ => 0,
    }
}
