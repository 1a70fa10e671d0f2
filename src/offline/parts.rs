//! PURE: which parts of a manifest the webhook would be called for, and what it would make of them.
//!
//! Pods and claims are admitted as they are. A workload is not (the webhook never sees one), but the Pods and
//! claims that its controller would create are: here its templates stand for them.

use json_patch::Patch;
use serde_json::Value;

use super::explain;
use crate::admit::{Outcome, Resource, Verb, admit};
use crate::json::Text;
use crate::mutate::Verdict;
use crate::object::Object;
use crate::patch;
use crate::policy::Policy;
use crate::review::{Kind, Request};
use crate::terminal::shown;

/// A document before and after.
#[derive(Debug)]
pub(super) struct Admitted {
    /// Kind, namespace and name.
    pub(super) title: String,
    /// As it was read.
    pub(super) before: Value,
    /// With every patch applied.
    pub(super) after: Value,
    /// The calls that the webhook would get.
    pub(super) calls: Vec<Call>,
}

/// One admission.
#[derive(Debug)]
pub(super) struct Call {
    /// Kind, namespace and name of the object in the document.
    pub(super) title: String,
    /// What the author should know.
    pub(super) warnings: Vec<String>,
    /// A paragraph per image.
    pub(super) explanations: Vec<String>,
}

/// A part that is admitted as an object of its own.
struct Part {
    kind: &'static str,
    /// JSON Pointer to it.
    pointer: String,
}

/// A part of a document, and whose it is.
pub(crate) struct Found<'a> {
    /// What it is admitted as.
    pub(crate) kind: &'static str,
    /// Kind, namespace and name of the object in the document.
    pub(crate) title: &'a str,
    /// Where the object is.
    pub(crate) namespace: &'a str,
    /// What made the object, by kind and name.
    pub(crate) owner: Option<(String, String)>,
    /// The part itself.
    pub(crate) value: &'a mut Value,
}

/// Admits everything in a document, each object in its own namespace or else in `namespace`.
///
/// # Errors
/// What is no Kubernetes object, or has fields of an unexpected type; says which object.
pub(super) fn admit_all(policy: &Policy, namespace: &str, document: Value) -> Result<Admitted, Vec<String>> {
    let mut after = document.clone();
    let mut calls = Vec::new();
    each_part(&mut after, namespace, None, &mut |found| {
        calls.push(admit_part(policy, found)?);
        Ok(())
    })?;
    Ok(Admitted {
        title: title(&document, text(&document, "kind"), namespace),
        before: document,
        after,
        calls,
    })
}

/// Visits what the webhook would be called for in one object, or in each of a list, whatever is wrong with others;
/// `implied` are apiVersion and kind of an item that leaves them out.
///
/// # Errors
/// An object is none, or what `visit` says; names the object.
pub(crate) fn each_part(
    object: &mut Value,
    namespace: &str,
    implied: Option<(&str, &str)>,
    visit: &mut dyn FnMut(Found<'_>) -> Result<(), String>,
) -> Result<(), Vec<String>> {
    let no_object = |expected| Err(vec![format!("is not a Kubernetes object: {expected} expected")]);
    if !object.is_object() {
        return no_object("a mapping with apiVersion and kind is");
    }
    let own = (text(object, "apiVersion").to_owned(), text(object, "kind").to_owned());
    let (version, kind) = match (&own, implied) {
        ((version, kind), Some(implied)) if version.is_empty() && kind.is_empty() => implied,
        ((version, kind), _) => (version.as_str(), kind.as_str()),
    };
    if version.is_empty() || kind.is_empty() {
        return no_object("apiVersion and kind are");
    }
    let mut problems = Vec::new();
    if let Some(item_kind) = kind.strip_suffix("List")
        && let Some(items) = object.get_mut("items").and_then(Value::as_array_mut)
    {
        let implied = (!item_kind.is_empty()).then_some((version, item_kind));
        for (i, item) in items.iter_mut().enumerate() {
            let wrong = each_part(item, namespace, implied, visit).err().unwrap_or_default();
            problems.extend(wrong.iter().map(|problem| format!("items[{i}]: {problem}")));
        }
    } else {
        let title = title(object, kind, namespace);
        let namespace = namespace_of(object, namespace).to_owned();
        for Part { kind, pointer } in parts(version, kind, object) {
            let owner = owner(object).map(|(kind, name)| (kind.to_owned(), name.to_owned()));
            if let Some(value) = object.pointer_mut(&pointer).filter(|part| part.is_object()) {
                let visited = visit(Found { kind, title: &title, namespace: &namespace, owner, value });
                problems.extend(visited.err().map(|problem| format!("{title}: {problem}")));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Kind and name of what made an object and makes it anew; a Deployment in the place of its `ReplicaSet`.
pub(crate) fn owner(object: &Value) -> Option<(&str, &str)> {
    let metadata = object.get("metadata")?;
    let owners = metadata.get("ownerReferences").and_then(Value::as_array)?;
    let owner = owners.iter().find(|owner| owner["controller"] == true)?;
    let (kind, name) = (text(owner, "kind"), text(owner, "name"));
    let hash = metadata.get("labels").map_or("", |labels| text(labels, "pod-template-hash"));
    let deployment = name.strip_suffix(hash).and_then(|name| name.strip_suffix('-'));
    match (kind, deployment) {
        // A node makes nothing anew: it has a file.
        ("Node", _) => None,
        ("ReplicaSet", Some(deployment)) if !hash.is_empty() => Some(("Deployment", deployment)),
        _ => Some((kind, name)),
    }
}

/// What the webhook would be called for on behalf of an object.
fn parts(version: &str, kind: &str, object: &Value) -> Vec<Part> {
    let pod = |pointer: &str| Part { kind: "Pod", pointer: pointer.to_owned() };
    let claim = |pointer: String| Part { kind: "PersistentVolumeClaim", pointer };
    let account = Part { kind: "ServiceAccount", pointer: String::new() };
    let group = version.split_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        ("", "Pod") => vec![pod("")],
        ("", "PersistentVolumeClaim") => vec![claim(String::new())],
        ("", "ServiceAccount") => vec![account],
        ("", "PodTemplate") => vec![pod("/template")],
        ("", "ReplicationController")
        | ("apps", "DaemonSet" | "Deployment" | "ReplicaSet")
        | ("batch", "Job") => {
            vec![pod("/spec/template")]
        }
        ("apps", "StatefulSet") => {
            let claims =
                object.pointer("/spec/volumeClaimTemplates").and_then(Value::as_array).map_or(0, Vec::len);
            let claims = (0..claims).map(|i| claim(format!("/spec/volumeClaimTemplates/{i}")));
            std::iter::once(pod("/spec/template")).chain(claims).collect()
        }
        ("batch", "CronJob") => vec![pod("/spec/jobTemplate/spec/template")],
        _ => Vec::new(),
    }
}

/// Asks the webhook's own function about a part, as it is created, and hands over the answer.
///
/// # Errors
/// The part cannot be read, and rules are about it.
pub(crate) fn admission<T>(
    policy: &Policy,
    (kind, namespace): (&str, &str),
    part: &Value,
    hand_over: impl FnOnce(&Object<'_>, Outcome, &Verdict<'_>) -> T,
) -> Result<T, String> {
    let json = part.to_string();
    let object = serde_json::from_str::<Object<'_>>(&json);
    let unreadable = object.as_ref().err().map(ToString::to_string);
    let object = object.unwrap_or_default();
    let word = |word: &'static str| Some(Text(word.into()));
    let request = Request {
        kind: Some(Kind { group: word(""), version: word("v1"), kind: Some(Text(kind.into())) }),
        namespace: Some(Text(namespace.into())),
        operation: word("CREATE"),
        object: Some(object.clone()),
        ..Request::default()
    };
    let (outcome, verdict) = admit(policy, &request, (Resource::of(&request), Verb::of(&request)));
    // As in an answer: only an object that rules are about has to be readable.
    if let Some(problem) = unreadable.filter(|_| outcome != Outcome::Excluded) {
        // The position is one in JSON that the author never saw.
        let problem = problem.split(" at line ").next().unwrap_or_default();
        return Err(format!("cannot be read: {problem}"));
    }
    Ok(hand_over(&object, outcome, &verdict))
}

/// Admits a part, and applies the patch.
fn admit_part(policy: &Policy, found: Found<'_>) -> Result<Call, String> {
    let Found { kind, title, namespace, value, .. } = found;
    let (warnings, explanations, patch) =
        admission(policy, (kind, namespace), value, |object, outcome, verdict| {
            let explanations = explain::images(object, policy, outcome, namespace);
            (verdict.warnings.as_slice().to_vec(), explanations, patch::to_json(&verdict.operations))
        })?;
    let patch = patch.and_then(|json| serde_json::from_str::<Patch>(&json));
    patch
        .map_err(|error| error.to_string())
        .and_then(|patch| json_patch::patch(value, &patch).map_err(|error| error.to_string()))
        .map_err(|error| format!("the patch does not apply: {error}"))?;
    Ok(Call {
        title: title.to_owned(),
        warnings,
        explanations: explanations.into_iter().map(|explanation| format!("{title}: {explanation}")).collect(),
    })
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn namespace_of<'a>(object: &'a Value, default: &'a str) -> &'a str {
    match object.get("metadata").map(|metadata| text(metadata, "namespace")) {
        None | Some("") => default,
        Some(namespace) => namespace,
    }
}

/// `Pod default/web`; the prefix of a generated name where there is no name.
fn title(object: &Value, kind: &str, namespace: &str) -> String {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    let name = match (text(metadata, "name"), text(metadata, "generateName")) {
        ("", "") if kind.ends_with("List") => return shown(kind),
        ("", "") => "(no name)".to_owned(),
        ("", prefix) => format!("{prefix}*"),
        (name, _) => name.to_owned(),
    };
    shown(&format!("{kind} {}/{name}", namespace_of(object, namespace)))
}
