//! Operations of the patch builder against a JSON Patch implementation.
//!
//! Input: a document and edits, made from the fuzzer's bytes. Each edit is done twice: by json-patch, to which the
//! operation is all that is known, and directly on the document.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use pullgate::patch::{Mutator, Operation, Reference, Step, Value as Written, pointer};
use pullgate_fuzz::{cost, json};
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| {
    let mut random = Unstructured::new(input);
    // Bytes that run out end the input.
    let Ok(mut document) = json::arbitrary(&mut random, 0) else { return };
    while !random.is_empty() {
        let Ok(edit) = Edit::arbitrary(&mut random) else { return };
        edit.is_done_alike(&mut document);
    }
});

#[derive(Arbitrary, Debug)]
struct Edit {
    /// Which child to go down to, from the root.
    way: Vec<u8>,
    /// What is written there, as a member if it is in an object.
    key: json::Key,
    place: u8,
    what: What,
}

#[derive(Arbitrary, Debug)]
enum What {
    Text(String),
    Reference(String),
    References(Vec<String>),
    Empty,
}

impl Edit {
    fn is_done_alike(&self, document: &mut Value) {
        let (written, value) = self.what.both();
        let (mut path, mut parent) = (Vec::new(), &mut *document);
        let mut way = self.way.iter();
        // The borrow of a child ends where it is not gone down to, so look before stepping.
        while has_child(parent)
            && let Some(&turn) = way.next()
        {
            parent = match parent {
                Value::Object(members) => {
                    let at = usize::from(turn) % members.len();
                    let (key, child) = members.iter_mut().nth(at).expect("it is counted");
                    path.push(Owned::Key(key.clone()));
                    child
                }
                Value::Array(elements) => {
                    let at = usize::from(turn) % elements.len();
                    path.push(Owned::Index(at));
                    &mut elements[at]
                }
                _ => unreachable!("it has a child"),
            };
        }
        let before = parent.clone();
        let present = match parent {
            Value::Object(members) => {
                path.push(Owned::Key(self.key.0.clone()));
                members.insert(self.key.0.clone(), value).is_some()
            }
            Value::Array(elements) => match usize::from(self.place) % (2 * elements.len() + 1) {
                at if at < elements.len() => {
                    path.push(Owned::Index(at));
                    elements[at] = value;
                    true
                }
                at if at < 2 * elements.len() => {
                    let at = at - elements.len();
                    path.push(Owned::Index(at));
                    elements.insert(at, value);
                    false
                }
                _ => {
                    path.push(Owned::End);
                    elements.push(value);
                    false
                }
            },
            // Nothing can be put into a plain value.
            _ => return,
        };
        let after = std::mem::replace(parent, before);
        let mut expected = document.clone();
        let steps: Vec<_> = path.iter().map(Owned::step).collect();
        *at(&mut expected, &path[..path.len() - 1]) = after;

        let operation = Operation::set(Mutator::Image, present, pointer(&steps), written);
        let text = cost::bounded(json::size(document), || serde_json::to_string(&[&operation]))
            .expect("operations can be written");
        let patch: json_patch::Patch = serde_json::from_str(&text).expect(&text);
        json_patch::patch(document, &patch).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(document, &expected, "{text}");
    }
}

impl What {
    /// As the builder has it, and as it is meant.
    fn both(&self) -> (Written, Value) {
        let reference = |name: &String| Reference { name: name.clone() };
        match self {
            Self::Text(text) => (Written::Text(text.clone()), json!(text)),
            Self::Reference(name) => (Written::Reference(reference(name)), json!({ "name": name })),
            Self::References(names) => (
                Written::References(names.iter().map(reference).collect()),
                names.iter().map(|name| json!({ "name": name })).collect(),
            ),
            Self::Empty => (Written::Empty {}, json!({})),
        }
    }
}

/// A step that owns its key.
enum Owned {
    Key(String),
    Index(usize),
    End,
}

impl Owned {
    fn step(&self) -> Step<'_> {
        match self {
            Self::Key(key) => Step::Key(key),
            Self::Index(index) => Step::Index(*index),
            Self::End => Step::End,
        }
    }
}

fn has_child(value: &Value) -> bool {
    match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(elements) => !elements.is_empty(),
        _ => false,
    }
}

fn at<'a>(document: &'a mut Value, path: &[Owned]) -> &'a mut Value {
    path.iter().fold(document, |parent, step| match step {
        Owned::Key(key) => &mut parent[key.as_str()],
        Owned::Index(index) => &mut parent[*index],
        Owned::End => unreachable!("nothing is below the end"),
    })
}
