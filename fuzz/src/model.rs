//! What admission makes of an object, a second time: slow, on whole documents, straight from docs/admission.md.
//!
//! Only what becomes of one image is taken from the program; the target `reference` is for that.

use std::collections::HashSet;

use pullgate::image::Decision;
use pullgate::object::{BETA_STORAGE_CLASS_ANNOTATION, MIRROR_ANNOTATION};
use pullgate::policy::{Policy, PullSecrets, ServiceAccounts, StorageClass};
use serde_json::{Value, json};

/// What becomes of a request.
#[derive(Debug, PartialEq)]
pub enum Fate {
    /// It is allowed, and in the end this is stored.
    Stored(Value),
    /// An object that rules are about cannot be read.
    Denied,
    /// A list of the old object has a name twice, so it is open which element a new one is compared with.
    Open,
}

/// What should become of a request, which is sound but for its objects.
#[must_use]
pub fn fate(policy: &Policy, request: &Value) -> Fate {
    let (object, old) = (&request["object"], &request["oldObject"]);
    let namespace = text(&request["namespace"]);
    let ours = match (text(&request["operation"]).unwrap_or_default(), resource(request)) {
        ("CREATE", "persistentvolumeclaims") => Some("CLAIM"),
        (call @ ("CREATE" | "UPDATE"), "pods") => Some(call),
        ("UPDATE", "pods/ephemeralcontainers") => Some("DEBUG"),
        ("CREATE" | "UPDATE", "serviceaccounts") => {
            let stored =
                policy.service_accounts.as_ref().and_then(|rule| account(rule, namespace, object, old));
            return Fate::Stored(stored.unwrap_or_else(|| object.clone()));
        }
        _ => None,
    };
    let excluded = namespace.is_some_and(|name| policy.excluded_namespaces.contains(name));
    let Some(scope) = ours.filter(|_| !object.is_null() && !excluded) else {
        return Fate::Stored(object.clone());
    };
    if !is_readable(object) || !is_readable(old) {
        return Fate::Denied;
    }
    let mut after = object.clone();
    if scope == "CLAIM" {
        claim(policy.storage_class.as_ref(), &mut after);
    } else if !is_exempt(object) && !is_exempt(old) {
        let pod = Pod { policy, scope, old };
        if pod.change(&mut after).is_none() {
            return Fate::Open;
        }
    }
    Fate::Stored(after)
}

/// Whether all that rules look at has the type that it should have. Everything may be absent or null.
fn is_readable(object: &Value) -> bool {
    const MOST_ELEMENTS: usize = 10_000;
    let map = |value: &Value| value.is_null() || value.is_object();
    let texts = |value: &Value, keys: &[&str]| {
        map(value) && keys.iter().all(|key| value[key].is_null() || value[key].is_string())
    };
    let list = |value: &Value, is: &dyn Fn(&Value) -> bool| {
        value.is_null()
            || value.as_array().is_some_and(|list| list.len() <= MOST_ELEMENTS && list.iter().all(is))
    };
    let container = |value: &Value| texts(value, &["name", "image", "imagePullPolicy"]);
    let volume =
        |value: &Value| texts(value, &["name"]) && texts(&value["image"], &["reference", "pullPolicy"]);
    let manager = |value: &Value| map(value) && map(&value["fieldsV1"]) && map(&value["fieldsV1"]["f:spec"]);
    let (metadata, spec) = (&object["metadata"], &object["spec"]);
    map(object)
        && texts(metadata, &["name", "generateName", "deletionTimestamp"])
        && texts(&metadata["annotations"], &[BETA_STORAGE_CLASS_ANNOTATION])
        && list(&metadata["managedFields"], &manager)
        && texts(spec, &["storageClassName"])
        && ["containers", "initContainers", "ephemeralContainers"]
            .iter()
            .all(|key| list(&spec[key], &container))
        && list(&spec["volumes"], &volume)
        && [object, spec].iter().all(|it| list(&it["imagePullSecrets"], &|value| texts(value, &["name"])))
}

fn resource(request: &Value) -> &'static str {
    let is = |part: &str, name: &str| {
        let part = &request[part];
        let field = |key: &str| text(&part[key]).unwrap_or_default();
        let named = field(if part["kind"].is_null() { "resource" } else { "kind" });
        part.is_null() || (field("group").is_empty() && field("version") == "v1" && named == name)
    };
    let about = |kind: &str, resource: &str| {
        is("kind", kind)
            && is("resource", resource)
            && !(request["kind"].is_null() && request["resource"].is_null())
    };
    match text(&request["subResource"]).unwrap_or_default() {
        "" if about("Pod", "pods") => "pods",
        "ephemeralcontainers" if about("Pod", "pods") => "pods/ephemeralcontainers",
        "" if about("PersistentVolumeClaim", "persistentvolumeclaims") => "persistentvolumeclaims",
        "" if about("ServiceAccount", "serviceaccounts") => "serviceaccounts",
        _ => "other",
    }
}

fn is_exempt(pod: &Value) -> bool {
    let metadata = &pod["metadata"];
    !metadata["deletionTimestamp"].is_null() || !metadata["annotations"][MIRROR_ANNOTATION].is_null()
}

struct Pod<'a> {
    policy: &'a Policy,
    scope: &'a str,
    old: &'a Value,
}

impl Pod<'_> {
    fn change(&self, pod: &mut Value) -> Option<()> {
        let lists = if self.scope == "DEBUG" {
            &["ephemeralContainers"][..]
        } else {
            &["containers", "initContainers"]
        };
        for list in lists {
            let old = by_name(&self.old["spec"][list])?;
            for container in elements(pod, list) {
                self.container(container, find(&old, container));
            }
        }
        if self.scope != "DEBUG" {
            let old = by_name(&self.old["spec"]["volumes"])?;
            for volume in elements(pod, "volumes").filter(|volume| !volume["image"].is_null()) {
                let old = find(&old, volume);
                self.volume(&mut volume["image"], old.map(|old| &old["image"]));
            }
            if let Some(secrets) = &self.policy.pull_secrets {
                self.secrets(secrets, pod);
            }
        }
        Some(())
    }

    fn container(&self, container: &mut Value, old: Option<&Value>) {
        if self.scope == "DEBUG" && old.is_some() {
            return;
        }
        let unchanged = self.scope == "UPDATE" && old.is_some_and(|old| old["image"] == container["image"]);
        if !unchanged && let Some(image) = self.rewritten(&container["image"]) {
            container["image"] = image;
        }
        let Some(forced) = self.forced() else { return };
        let may_be_set = match self.scope {
            "UPDATE" => old.is_some_and(|old| old["imagePullPolicy"] == forced),
            // Without the old object it is open which ones are new.
            "DEBUG" => !self.old.is_null(),
            _ => true,
        };
        if may_be_set {
            container["imagePullPolicy"] = forced;
        }
    }

    fn volume(&self, image: &mut Value, old: Option<&Value>) {
        let may_be_set = |field: &str, value: &Value| {
            self.scope == "CREATE" || old.is_some_and(|old| old[field] == *value)
        };
        if let Some(reference) =
            self.rewritten(&image["reference"]).filter(|value| may_be_set("reference", value))
        {
            image["reference"] = reference;
        }
        if let Some(forced) = self.forced().filter(|value| may_be_set("pullPolicy", value)) {
            image["pullPolicy"] = forced;
        }
    }

    fn secrets(&self, secrets: &PullSecrets, pod: &mut Value) {
        let listed = names(pod);
        let mut wanted: Vec<Value> = secrets.names.iter().map(|name| json!(name)).collect();
        if secrets.append {
            wanted.retain(|name| !listed.contains(name));
            wanted.splice(0..0, listed.iter().cloned());
        }
        let may_be_set = self.scope == "CREATE" || (!self.old.is_null() && names(self.old) == wanted);
        if !may_be_set || listed == wanted {
            return;
        }
        // What is kept is kept as it is written.
        let kept = if secrets.append { listed.len() } else { 0 };
        let mut list: Vec<Value> =
            pod["spec"]["imagePullSecrets"].as_array().into_iter().flatten().take(kept).cloned().collect();
        list.extend(wanted.iter().skip(kept).map(|name| json!({ "name": name })));
        pod["spec"]["imagePullSecrets"] = Value::Array(list);
    }

    fn rewritten(&self, image: &Value) -> Option<Value> {
        match self.policy.registries.decide(text(image)?) {
            Decision::Rewrite { image, .. } => Some(json!(image)),
            Decision::Keep(_) => None,
        }
    }

    fn forced(&self) -> Option<Value> {
        self.policy.pull_policy.map(|policy| json!(policy.as_str()))
    }
}

fn claim(class: Option<&StorageClass>, claim: &mut Value) {
    let Some(StorageClass { name, force }) = class else { return };
    let metadata = &claim["metadata"];
    let annotated = text(&metadata["annotations"][BETA_STORAGE_CLASS_ANNOTATION]).is_some();
    let managers = metadata["managedFields"].as_array().cloned().unwrap_or_default();
    let by_author = |manager: &Value| !manager["fieldsV1"]["f:spec"]["f:storageClassName"].is_null();
    let named = if managers.is_empty() {
        !claim["spec"]["storageClassName"].is_null()
    } else {
        managers.iter().any(by_author)
    };
    if *force && annotated {
        claim["metadata"]["annotations"][BETA_STORAGE_CLASS_ANNOTATION] = json!(name);
    }
    if *force || !(annotated || named) {
        claim["spec"]["storageClassName"] = json!(name);
    }
}

/// The account with the reference, where it lacks it and may have it.
fn account(rule: &ServiceAccounts, namespace: Option<&str>, account: &Value, old: &Value) -> Option<Value> {
    let metadata = &account["metadata"];
    let excluded = namespace.is_some_and(|name| rule.excluded_namespaces.contains(name));
    let left_alone = account.is_null() || excluded || !is_readable(account) || !is_readable(old);
    if left_alone || !metadata["deletionTimestamp"].is_null() {
        return None;
    }
    let references = account["imagePullSecrets"].as_array().cloned().unwrap_or_default();
    let is_there = references.iter().any(|reference| reference["name"] == rule.secret.as_str());
    if is_there || !rule.names.cover(text(&metadata["name"]).unwrap_or_default()) {
        return None;
    }
    let mut after = account.clone();
    after["imagePullSecrets"] = references.into_iter().chain([json!({"name": rule.secret})]).collect();
    Some(after)
}

/// A string, or nothing.
fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

fn names(pod: &Value) -> Vec<Value> {
    let list = pod["spec"]["imagePullSecrets"].as_array();
    list.into_iter().flatten().map(|entry| entry["name"].clone()).collect()
}

/// The elements of a list that are not null. (To index what is absent would create it.)
fn elements<'a>(pod: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter(|element| !element.is_null())
}

/// The elements of an old list, if each has a name of its own; no name is the same as an empty one.
fn by_name(list: &Value) -> Option<Vec<&Value>> {
    let elements: Vec<_> =
        list.as_array().into_iter().flatten().filter(|element| !element.is_null()).collect();
    let mut seen = HashSet::new();
    elements
        .iter()
        .all(|element| seen.insert(element["name"].as_str().unwrap_or_default()))
        .then_some(elements)
}

/// Whether no list of a Pod has a name twice.
#[must_use]
pub fn has_unique_names(pod: &Value) -> bool {
    let lists = ["containers", "initContainers", "ephemeralContainers", "volumes"];
    lists.iter().all(|list| by_name(&pod["spec"][list]).is_some())
}

fn find<'a>(old: &[&'a Value], element: &Value) -> Option<&'a Value> {
    let name = |element: &Value| element["name"].as_str().unwrap_or_default().to_owned();
    old.iter().copied().find(|old| name(old) == name(element))
}
