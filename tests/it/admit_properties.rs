//! Properties of admission over random objects: a patch always applies to the object that was sent, admitting
//! the patched object again changes nothing, and on an update nothing immutable is touched.

use std::ffi::OsString;

use proptest::prelude::*;
use proptest::{collection::vec, option, sample::select};
use pullgate::config::load_policy;
use pullgate::policy::Policy;
use serde_json::{Value, json};

fn policy() -> impl Strategy<Value = Policy> {
    let value = |name: &'static str, values: &'static [&'static str]| {
        option::of(select(values)).prop_map(move |value| (name, value.unwrap_or_default()))
    };
    (
        value("REGISTRY", &["r.example/proxy", "r"]),
        value("REGISTRY_MAP", &["quay.io=q.example/quay", "docker.io=d.example"]),
        value("IMAGE_PARSER", &["dot", "distribution"]),
        value("IMAGE_PULL_SECRET", &["regcred", "regcred,two"]),
        value("IMAGE_PULL_SECRET_APPEND", &["true"]),
        value("FORCE_IMAGE_PULL_POLICY", &["true"]),
        value("DEFAULT_STORAGE_CLASS", &["fast"]),
        value("STORAGE_CLASS_MODE", &["force"]),
    )
        .prop_filter_map("rules that do not go together", |(a, b, c, d, e, f, g, h)| {
            let pairs =
                [a, b, c, d, e, f, g, h].map(|(name, value)| (OsString::from(name), OsString::from(value)));
            load_policy(pairs).ok().map(|(policy, _)| policy)
        })
}

/// A value, null, or nothing at all.
fn field(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![6 => value.prop_map(Some), 1 => Just(Some(Value::Null)), 2 => Just(None)].boxed()
}

fn object(fields: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> impl Strategy<Value = Value> {
    fields
        .into_iter()
        .map(|(name, value)| value.prop_map(move |value| (name, value)))
        .collect::<Vec<_>>()
        .prop_map(|fields| {
            fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
        })
}

fn text(values: &'static [&'static str]) -> BoxedStrategy<Option<Value>> {
    field(select(values).prop_map(Value::from))
}

fn image() -> BoxedStrategy<Option<Value>> {
    text(&[
        "nginx:1",
        "quay.io/a/b",
        "r.example/proxy/nginx:1",
        "NOT ok",
        "",
        "d.example/x",
        "localhost:5000/x@sha256:1",
    ])
}

fn policy_field() -> BoxedStrategy<Option<Value>> {
    text(&["Always", "IfNotPresent", "Never"])
}

fn list(element: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    field(vec(prop_oneof![9 => element, 1 => Just(Value::Null)], 0..4).prop_map(Value::from))
}

fn container() -> impl Strategy<Value = Value> {
    let other = field(Just(json!({"cpu": "1", "<&>": "\u{2603}"})));
    object(vec![
        ("name", text(&["a", "b", "c", "a~b/c"])),
        ("image", image()),
        ("imagePullPolicy", policy_field()),
        ("resources", other),
    ])
}

fn volume() -> impl Strategy<Value = Value> {
    let image = object(vec![("reference", image()), ("pullPolicy", policy_field())]);
    object(vec![("name", text(&["v", "w"])), ("image", field(image)), ("emptyDir", field(Just(json!({}))))])
}

fn spec() -> BoxedStrategy<Option<Value>> {
    let secret = object(vec![("name", text(&["regcred", "two", "mine"]))]);
    field(object(vec![
        ("containers", list(container())),
        ("initContainers", list(container())),
        ("ephemeralContainers", list(container())),
        ("volumes", list(volume())),
        ("imagePullSecrets", list(secret)),
        ("storageClassName", text(&["fast", "slow", ""])),
        ("nodeName", text(&["n1"])),
    ]))
}

fn kubernetes_object() -> impl Strategy<Value = Value> {
    let annotations = object(vec![
        ("volume.beta.kubernetes.io/storage-class", text(&["fast", "slow"])),
        ("note", text(&["~1/"])),
    ]);
    let set = json!({"manager": "kubectl", "fieldsV1": {"f:spec": {"f:storageClassName": {}}}});
    let managed = list(select(vec![set, json!({"fieldsV1": {"f:spec": {}}}), json!({})]));
    let metadata = object(vec![
        ("name", text(&["web"])),
        ("annotations", field(annotations)),
        ("managedFields", managed),
    ]);
    object(vec![
        ("metadata", field(metadata)),
        ("spec", spec()),
        ("status", field(Just(json!({"phase": "Pending"})))),
    ])
}

#[derive(Clone, Copy, Debug)]
struct Call {
    operation: &'static str,
    resource: &'static str,
    kind: &'static str,
    subresource: &'static str,
}

const POD_CREATE: Call = Call { operation: "CREATE", resource: "pods", kind: "Pod", subresource: "" };
const POD_UPDATE: Call = Call { operation: "UPDATE", ..POD_CREATE };
const DEBUG: Call = Call { subresource: "ephemeralcontainers", ..POD_UPDATE };
const CLAIM: Call = Call { resource: "persistentvolumeclaims", kind: "PersistentVolumeClaim", ..POD_CREATE };

/// Admits, checks that the answer is a sound review, and returns the patch and the patched object.
fn admit(policy: &Policy, call: Call, new: &Value, old: Option<&Value>) -> (Vec<Value>, Value) {
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1",
        "kind": {"group": "", "version": "v1", "kind": call.kind},
        "resource": {"group": "", "version": "v1", "resource": call.resource},
        "subResource": call.subresource,
        "namespace": "default",
        "operation": call.operation,
        "object": new,
        "oldObject": old,
    }});
    let answer = pullgate::answer::answer(policy, body.to_string().as_bytes(), |_| {}).unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let response = &answer["response"];
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("u-1"), &json!(true)), "{answer}");
    assert_eq!(response["patch"].is_null(), response["patchType"].is_null());
    let Some(patch) = response["patch"].as_str() else { return (Vec::new(), new.clone()) };
    let patch = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, patch).unwrap();
    let operations: Vec<Value> = serde_json::from_slice(&patch).unwrap();
    assert!(!operations.is_empty());
    let mut patched = new.clone();
    json_patch::patch(&mut patched, &serde_json::from_slice::<json_patch::Patch>(&patch).unwrap())
        .unwrap_or_else(|error| panic!("{error}: {operations:?} on {new}"));
    (operations, patched)
}

/// An entry without a name is the same as one whose name is null.
fn names_in(list: &Value) -> Value {
    list.as_array().into_iter().flatten().map(|entry| entry["name"].clone()).collect()
}

fn paths(operations: &[Value]) -> Vec<&str> {
    operations.iter().map(|operation| operation["path"].as_str().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn patches_apply_and_are_final(
        policy in policy(),
        call in select(vec![POD_CREATE, POD_UPDATE, DEBUG, CLAIM]),
        new in kubernetes_object(),
        old in option::of(kubernetes_object()),
    ) {
        let old = old.filter(|_| call.operation == "UPDATE");
        let (operations, patched) = admit(&policy, call, &new, old.as_ref());
        for operation in &operations {
            prop_assert!(["add", "replace"].contains(&operation["op"].as_str().unwrap()));
            if operation["op"] == "replace" {
                let present = new.pointer(operation["path"].as_str().unwrap());
                prop_assert!(present.is_some(), "replaces what is absent: {}", operation);
            }
        }
        let (again, _) = admit(&policy, call, &patched, old.as_ref());
        prop_assert_eq!(again, Vec::<Value>::new());
    }

    #[test]
    fn an_unchanged_pod_is_left_alone(policy in policy(), pod in kubernetes_object()) {
        for call in [POD_UPDATE, DEBUG] {
            prop_assert_eq!(admit(&policy, call, &pod, Some(&pod)).0, Vec::<Value>::new());
        }
    }

    #[test]
    fn an_update_touches_images_or_restores_the_old_object(
        policy in policy(),
        new in kubernetes_object(),
        old in kubernetes_object(),
    ) {
        let (operations, patched) = admit(&policy, POD_UPDATE, &new, Some(&old));
        for path in paths(&operations) {
            if path.ends_with("/image") {
                continue;
            }
            let (list, field) = match path.split('/').collect::<Vec<_>>()[..] {
                ["", "spec", list, index, ..] => {
                    let name = new["spec"][list][index.parse::<usize>().unwrap_or(0)]["name"].clone();
                    let namesake = |object: &Value| {
                        let elements = object["spec"][list].as_array().cloned().unwrap_or_default();
                        // A hostile list may repeat a name; one of them is the one that was meant.
                        elements.into_iter().filter(|e| !e.is_null() && e["name"] == name).collect::<Vec<_>>()
                    };
                    if list == "imagePullSecrets" {
                        (names_in(&patched["spec"][list]), vec![names_in(&old["spec"][list])])
                    } else {
                        let field = path.splitn(5, '/').nth(4).unwrap().to_owned();
                        let get = |e: &Value| e.pointer(&format!("/{field}")).cloned().unwrap_or_default();
                        let at = patched.pointer(path).cloned().unwrap();
                        (at, namesake(&old).iter().map(get).collect())
                    }
                }
                // An absent parent of the list.
                _ => (names_in(&patched["spec"]["imagePullSecrets"]), vec![names_in(&old["spec"]["imagePullSecrets"])]),
            };
            prop_assert!(field.contains(&list), "{path} becomes {list}, the old object has {field:?}");
        }
    }

    #[test]
    fn an_ephemeral_container_that_exists_is_never_touched(
        policy in policy(),
        new in kubernetes_object(),
        old in kubernetes_object(),
    ) {
        let empty = Vec::new();
        let names = |pod: &Value| {
            let list = pod["spec"]["ephemeralContainers"].as_array().unwrap_or(&empty).clone();
            list.iter().map(|c| (!c.is_null()).then(|| c["name"].clone())).collect::<Vec<_>>()
        };
        let (operations, _) = admit(&policy, DEBUG, &new, Some(&old));
        for path in paths(&operations) {
            let index = path.strip_prefix("/spec/ephemeralContainers/").unwrap().split('/').next().unwrap();
            prop_assert!(!names(&old).contains(&names(&new)[index.parse::<usize>().unwrap()]));
        }
    }

    #[test]
    fn any_bytes_get_a_reason_or_a_review(body in vec(any::<u8>(), 0..300), text in "\\PC{0,200}") {
        for body in [&body[..], text.as_bytes()] {
            let _ = pullgate::answer::answer(&Policy::default(), body, |_| {});
        }
    }
}
