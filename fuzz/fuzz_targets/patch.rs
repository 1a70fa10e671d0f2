//! The patch builder against a JSON Patch implementation.
//!
//! Input: edits, made from the fuzzer's bytes, at places that mutators write to. All are done twice: by json-patch, to
//! which the builder's text is all that is known, and directly on the document.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::{Corpus, fuzz_target};
use pullgate::patch::{Mutator, Operation, Pointer, Reference, Value as Written, to_json};
use pullgate_fuzz::cost;
use serde_json::{Value, json};

/// A pointer, and the steps that it stands for.
type Place = (Pointer, &'static [&'static str]);

/// Fixed places; a `-` is the end of a list.
const FIELDS: [Place; 5] = [
    (Pointer::Field("/spec"), &["spec"]),
    (Pointer::Field("/spec/storageClassName"), &["spec", "storageClassName"]),
    (Pointer::Field("/spec/imagePullSecrets"), &["spec", "imagePullSecrets"]),
    (Pointer::Field("/spec/imagePullSecrets/-"), &["spec", "imagePullSecrets", "-"]),
    (
        Pointer::Field("/metadata/annotations/volume.beta.kubernetes.io~1storage-class"),
        &["metadata", "annotations", "volume.beta.kubernetes.io/storage-class"],
    ),
];
const LISTS: [&str; 4] = ["containers", "initContainers", "ephemeralContainers", "volumes"];

#[derive(Arbitrary, Debug)]
struct Edit {
    place: At,
    before: Before,
    what: What,
}

/// What is at the place to begin with. Its parent is there, unless another edit puts something else in its place.
#[derive(Arbitrary, Debug)]
enum Before {
    Absent,
    Null,
    There,
}

#[derive(Arbitrary, Debug)]
enum At {
    Field(u8),
    Element { list: u8, index: u8, in_image: bool },
}

#[derive(Arbitrary, Debug)]
enum What {
    Text(String),
    Reference(String),
    References(Vec<String>),
    Empty,
}

fuzz_target!(|edits: Vec<Edit>| -> Corpus {
    let mut document = json!({});
    for Edit { place, before, .. } in &edits {
        before.prepare(&mut document, &place.both().1);
    }
    let mut expected = document.clone();
    let operations: Vec<_> = edits.iter().filter_map(|edit| edit.is_done(&mut expected)).collect();

    let bytes = edits.iter().map(|edit| edit.what.bytes()).sum();
    let text = cost::bounded(bytes, || to_json(&operations)).expect("operations can be written");
    let patch: json_patch::Patch = serde_json::from_str(&text).expect(&text);
    assert_eq!(patch.0.len(), operations.len());
    json_patch::patch(&mut document, &patch).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(document, expected, "{text}");
    Corpus::Keep
});

impl Edit {
    /// Edits the document, and says what the builder has to be told for it; nothing where there is no parent.
    fn is_done(&self, document: &mut Value) -> Option<Operation<'_>> {
        let (written, value) = self.what.both();
        let (pointer, steps) = self.place.both();
        let (last, parents) = steps.split_last()?;
        let present = match (document.pointer_mut(&joined(parents))?, last.as_str()) {
            (Value::Object(members), key) => {
                members.insert(key.to_owned(), value).is_some_and(|old| !old.is_null())
            }
            (Value::Array(elements), "-") => {
                elements.push(value);
                false
            }
            _ => return None,
        };
        Some(Operation::set(Mutator::Image, present, pointer, written))
    }
}

/// A pointer to parents, whose names need no escaping.
fn joined(parents: &[String]) -> String {
    parents.iter().flat_map(|step| ["/", step]).collect()
}

impl Before {
    fn prepare(&self, document: &mut Value, steps: &[String]) {
        *reach(document, steps) = if matches!(self, Self::There) { json!("there") } else { Value::Null };
        if matches!(self, Self::Absent)
            && let Some((last, parents)) = steps.split_last()
            && let Some(Value::Object(members)) = document.pointer_mut(&joined(parents))
        {
            members.remove(last);
        }
    }
}

impl At {
    /// As the builder has it, and as steps.
    fn both(&self) -> (Pointer, Vec<String>) {
        match *self {
            Self::Field(which) => {
                let (pointer, steps) = FIELDS[usize::from(which) % FIELDS.len()];
                (pointer, steps.iter().map(ToString::to_string).collect())
            }
            Self::Element { list, index, in_image } => {
                let (list, index) = (LISTS[usize::from(list) % LISTS.len()], usize::from(index));
                let field = if in_image { "image/reference" } else { "imagePullPolicy" };
                let steps = format!("spec/{list}/{index}/{field}").split('/').map(str::to_owned).collect();
                (Pointer::Element { list, index, field }, steps)
            }
        }
    }
}

impl What {
    /// As the builder has it, and as it is meant.
    fn both(&self) -> (Written<'_>, Value) {
        let reference = |name| Reference { name };
        match self {
            Self::Text(text) => (Written::Text(text.into()), json!(text)),
            Self::Reference(name) => (Written::Reference(reference(name)), json!({ "name": name })),
            Self::References(names) => (
                Written::References(names.iter().map(String::as_str).map(reference).collect()),
                names.iter().map(|name| json!({ "name": name })).collect(),
            ),
            Self::Empty => (Written::Empty {}, json!({})),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Reference(text) => text.len(),
            Self::References(names) => names.iter().map(String::len).sum(),
            Self::Empty => 0,
        }
    }
}

/// Goes down to a place; whatever is missing or in the way becomes an object or a list.
fn reach<'a>(document: &'a mut Value, steps: &[String]) -> &'a mut Value {
    steps.iter().fold(document, |parent, step| {
        let index: Option<usize> = step.parse().ok();
        if index.is_none() && step != "-" {
            if !parent.is_object() {
                *parent = json!({});
            }
            return &mut parent[step.as_str()];
        }
        if !parent.is_array() {
            *parent = json!([]);
        }
        let list = parent.as_array_mut().expect("it is a list");
        let index = index.unwrap_or(list.len());
        list.resize(list.len().max(index + 1), Value::Null);
        &mut list[index]
    })
}
