//! A MutatingAdmissionPolicy does what the webhook does; images are [`super::equality`]'s.

use serde_json::{Value, json};

use super::direct::try_to_create;
use super::installed::Installed;
use super::webhook_says::{admitted, policy};
use crate::existing::{self, EVERYTHING};
use crate::space::Space;

#[test]
fn pods_that_exist_fare_as_with_the_webhook() {
    let space = Space::new();
    existing::prepare(&space);
    let _policy = Installed::changing(&space, &EVERYTHING);
    for case in existing::EVERY_CASE {
        case(&space);
    }
}

/// What may differ between two creations of one Pod.
fn comparable(answer: Result<Value, String>) -> Value {
    let mut pod = answer.expect("the Pod is fine");
    for drawn in ["namespace", "uid", "creationTimestamp", "managedFields"] {
        pod["metadata"][drawn].take();
    }
    let drawn =
        |element: &Value| element["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-"));
    for field in [
        "/spec/volumes",
        "/spec/containers/0/volumeMounts",
        "/spec/initContainers/0/volumeMounts",
        "/spec/initContainers/1/volumeMounts",
    ] {
        if let Some(list) = pod.pointer_mut(field).and_then(Value::as_array_mut) {
            list.retain(|element| !drawn(element));
        }
    }
    pod
}

/// The whole stored object: made by the policy of what was sent, or sent as the webhook would have it.
#[test]
fn new_pods_are_those_of_the_webhook_with_every_field() {
    let space = Space::new();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "whole", "annotations": {"a/b": "~"}},
        "spec": {
            "initContainers": [
                {"name": "init", "image": "quay.io/team/init:1", "imagePullPolicy": "Never"},
                {"name": "sidecar", "image": "registry.example/proxy", "restartPolicy": "Always"},
            ],
            "containers": [{"name": "app", "image": "nginx", "env": [{"name": "A", "value": "<&>"}]}],
            "volumes": [
                {"name": "model", "image": {"reference": "quay.io/team/model:v1"}},
                {"name": "scratch", "emptyDir": {}},
                {"name": "data", "image": {"reference": "auto", "pullPolicy": "Always"}},
            ],
        },
    });
    let lists = [
        Value::Null,
        json!([]),
        json!([{"name": "theirs"}, {"name": "others"}]),
        json!([{"name": "two"}, {"name": "one"}]),
    ];
    let extra: [&[(&str, &str)]; 4] = [
        &[],
        &[("IMAGE_PULL_SECRET", "one,two"), ("IMAGE_PULL_SECRET_APPEND", "true")],
        &[("IMAGE_PULL_SECRET", "one,two"), ("IMAGE_PULL_POLICY_TO_FORCE", "Never")],
        &[("FORCE_IMAGE_PULL_POLICY", "false"), ("IGNORED_REGISTRIES", "quay.io/team")],
    ];
    for extra in extra {
        let mut settings = EVERYTHING.to_vec();
        settings.retain(|(name, _)| extra.iter().all(|(other, _)| name != other));
        settings.extend(extra);
        let webhook = policy(&settings);
        let (sent, by_webhook): (Vec<_>, Vec<_>) = lists
            .iter()
            .map(|list| {
                pod["spec"]["imagePullSecrets"] = list.clone();
                (pod.clone(), admitted(&webhook, pod.clone()).0)
            })
            .unzip();
        let space = space.sibling();
        let expected: Vec<_> = try_to_create(&space.name, &by_webhook).into_iter().map(comparable).collect();
        let _policy = Installed::changing(&space, &settings);
        let stored: Vec<_> = try_to_create(&space.name, &sent).into_iter().map(comparable).collect();
        assert_eq!(stored, expected, "{extra:?}");
        // The second time there is nothing left to change.
        let again: Vec<_> = try_to_create(&space.name, &by_webhook).into_iter().map(comparable).collect();
        assert_eq!(again, expected, "{extra:?}");
    }
}
