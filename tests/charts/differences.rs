//! What may differ between the objects of script, chart and kustomize, each with the reason. Nothing else may.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// Who made the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Script,
    Helm,
    Kustomize,
}

/// The objects by kind, namespace and name, without what may differ.
pub(crate) fn comparable(by: By, mut objects: Vec<Value>) -> BTreeMap<String, Value> {
    if by == By::Kustomize {
        settings_into_containers(&mut objects);
    }
    objects.retain(|object| !is_made_elsewhere(object));
    for object in &mut objects {
        without_marks(object);
        in_order(object);
    }
    let mut found = BTreeMap::new();
    for object in objects {
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = [text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"])].join("/");
        assert!(found.insert(key.clone(), object).is_none(), "{key} is there twice");
    }
    found
}

/// Objects that not all of them make.
fn is_made_elsewhere(object: &Value) -> bool {
    match object["kind"].as_str().unwrap_or_default() {
        // `helm install --create-namespace` makes the one; a chart cannot hold the namespace that it is installed to.
        // The other is the script's certificate, which chart and kustomize are given.
        "Namespace" | "Secret" => true,
        // `helm test`, which is never applied.
        _ => object["metadata"]["annotations"]["helm.sh/hook"] == "test",
    }
}

/// Marks of the tool.
fn without_marks(object: &mut Value) {
    let is_definition = object["kind"] == "CustomResourceDefinition";
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
        // By which Helm, and those who use it, know a release.
        for label in ["instance", "version", "managed-by"] {
            labels.shift_remove(&format!("app.kubernetes.io/{label}"));
        }
        labels.shift_remove("helm.sh/chart");
    }
    if is_definition {
        // It is applied as it is generated, but for the chart, which marks all that it makes.
        metadata.shift_remove("labels");
        // Keeps it when the release is uninstalled; without Helm nobody deletes it unasked.
        metadata.shift_remove("annotations");
    }
}

/// Settings are in a `ConfigMap` with kustomize: its generator gives another content another name, and so rolls the Pods.
fn settings_into_containers(objects: &mut Vec<Value>) {
    let (maps, others): (Vec<_>, Vec<_>) =
        objects.drain(..).partition(|object| object["kind"] == "ConfigMap");
    let mut used = BTreeSet::new();
    *objects = others;
    for object in
        objects.iter_mut().filter(|object| object["kind"] == "Deployment" || object["kind"] == "Job")
    {
        let container = object["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap();
        let Some(from) = container.shift_remove("envFrom") else { continue };
        let name = &from[0]["configMapRef"]["name"];
        let map =
            maps.iter().find(|map| &map["metadata"]["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        used.insert(name.to_string());
        let env = container.entry("env").or_insert_with(|| json!([])).as_array_mut().unwrap();
        let data = map["data"].as_object().into_iter().flatten();
        let idle = env.iter().any(|variable| variable["name"] == "PULL_SECRETS");
        // The controller's are there from the start, and without effect where it hands out no pull secrets.
        let data = data.filter(|(name, _)| !(idle && name.starts_with("CONFIG_")));
        env.extend(data.map(|(name, value)| json!({"name": name, "value": value})));
        if env.is_empty() {
            container.shift_remove("env");
        }
    }
    assert_eq!(used.len(), maps.len(), "a ConfigMap that nobody uses");
}

/// Order of a container's variables, none of which refers to another.
fn in_order(object: &mut Value) {
    if let Some(env) =
        object.pointer_mut("/spec/template/spec/containers/0/env").and_then(Value::as_array_mut)
    {
        env.sort_by_key(|variable| variable["name"].as_str().unwrap().to_owned());
    }
}
