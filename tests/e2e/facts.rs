//! How the API server behaves towards webhooks: what the rules of this program are made for.
//!
//! A webhook of the test does what ours must not, or looks at what comes. Where one of these fails with a
//! newer Kubernetes, a rule has lost its reason or found another.

use serde_json::{Value, json};

use crate::neighbour::{Call, Neighbour, Reply};
use crate::space::{Space, images, pod};
use crate::wait::until;
use crate::webhook::Registration;

/// A namespace with a webhook that answers calls about anything but probes.
struct Stage {
    registration: Registration,
    neighbour: Neighbour,
    space: Space,
}

impl Stage {
    fn new(answer: impl Fn(&Call, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::after(|_| (), answer)
    }

    /// With what `prepare` makes before there is a webhook.
    fn after(
        prepare: impl FnOnce(&Space),
        answer: impl Fn(&Call, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let space = Space::new();
        prepare(&space);
        let neighbour = Neighbour::start(move |call, before| {
            if call.request["name"] == "probe" { call.allow() } else { answer(call, before) }
        });
        let registration = space.register_neighbour("m", &neighbour);
        Self { registration, neighbour, space }
    }
}

fn create(space: &Space, manifest: &Value) -> crate::kubectl::Kubectl {
    space.kubectl("create -f -").input(manifest)
}

#[test]
fn a_call_is_a_post_of_plain_escaped_json() {
    let stage = Stage::new(|call, _| call.allow());
    let mut manifest = pod("looked-at", "nginx:1");
    manifest["metadata"]["annotations"] = json!({"note": "a<b>&c"});
    create(&stage.space, &manifest).ok();
    stage.space.kubectl("label pod looked-at stage=two").ok();

    let calls = stage.neighbour.calls_about("looked-at");
    let (create, update) = (&calls[0], &calls[1]);
    assert_eq!((create.method.as_str(), create.target.as_str()), ("POST", "/mutate?timeout=10s"));
    assert_eq!(create.header("user-agent"), Some("kube-apiserver-admission"));
    assert_eq!(create.header("content-type"), Some("application/json"));
    assert_eq!(create.header("accept-encoding"), Some("gzip"));
    assert_eq!(create.header("content-length"), Some(create.body.len().to_string().as_str()));
    assert_eq!(create.header("content-encoding"), None);
    assert!(create.body.contains(r"a\u003cb\u003e\u0026c"), "{}", create.body);
    assert!(create.body.contains(r#""oldObject":null"#), "{}", create.body);
    assert_eq!(create.request.get("subResource"), None);
    assert_eq!(create.request["object"]["metadata"]["managedFields"][0]["operation"], "Update");
    assert!(update.body.len() > create.body.len() * 3 / 2, "an update carries the old object too");
}

#[test]
fn a_generated_name_is_absent_from_the_request() {
    let stage = Stage::new(|call, _| {
        let unnamed = call.request.get("name").is_none();
        call.answer(&json!({"warnings": [format!("unnamed: {unnamed}")]}))
    });
    let mut manifest = pod("", "nginx");
    manifest["metadata"] = json!({"generateName": "generated-"});
    let created = create(&stage.space, &manifest).ok();
    assert!(created.err.contains("Warning: unnamed: true"), "{}", created.err);
}

/// Why nothing but images is changed on an update.
#[test]
fn an_update_is_refused_when_a_webhook_changes_policy_secrets_or_image_volumes() {
    for (field, value) in [
        ("/spec/imagePullSecrets", json!([{"name": "regcred"}])),
        ("/spec/containers/0/imagePullPolicy", json!("Always")),
        ("/spec/volumes/0/image/reference", json!("registry.example/model:1")),
    ] {
        let patch = json!([{"op": "add", "path": field, "value": value}]);
        let stage = Stage::after(
            |space| {
                let mut manifest = pod("old", "nginx:1");
                manifest["spec"]["automountServiceAccountToken"] = json!(false);
                manifest["spec"]["volumes"] =
                    json!([{"name": "model", "image": {"reference": "quay.io/model:1"}}]);
                create(space, &manifest).ok();
            },
            move |call, _| call.patch(&patch),
        );
        let refusal = stage.space.kubectl("label pod old stage=two").refused();
        assert!(refusal.contains("pod updates may not change fields other than"), "{field}: {refusal}");
    }
}

/// Why an image is changed on an update only where the update brings it.
#[test]
fn an_image_that_a_webhook_changes_on_an_update_raises_the_generation() {
    let stage = Stage::after(
        |space| {
            create(space, &pod("old", "nginx:1")).ok();
        },
        |call, _| {
            let image = "registry.example/nginx:1";
            call.patch(&json!([{"op": "replace", "path": "/spec/containers/0/image", "value": image}]))
        },
    );
    stage.space.kubectl("label pod old stage=two").ok();
    let stored = stage.space.get("pod/old");
    assert_eq!(images(&stored), [("app", "registry.example/nginx:1")]);
    assert_eq!(stored["metadata"]["generation"], 2);
}

/// Why ephemeral containers are matched by name, and nothing else is patched there.
#[test]
fn a_new_ephemeral_container_comes_first_and_other_patches_of_the_pod_are_dropped() {
    let stage = Stage::after(
        |space| {
            create(space, &pod("old", "nginx:1")).ok();
            space.kubectl("debug old --image=busybox --container=one").ok();
        },
        |call, _| {
            let image = "registry.example/nginx:1";
            call.patch(&json!([
                {"op": "replace", "path": "/spec/containers/0/image", "value": image},
                {"op": "add", "path": "/spec/imagePullSecrets", "value": [{"name": "regcred"}]},
            ]))
        },
    );
    let neighbour = &stage.neighbour;
    let two = r#"--patch={"spec":{"ephemeralContainers":[{"name":"two","image":"busybox"}]}}"#;
    stage.space.kubectl("patch pod old --subresource=ephemeralcontainers").word(two).ok();
    let calls = neighbour.calls_about("old");
    let containers = &calls[0].request["object"]["spec"]["ephemeralContainers"];
    assert_eq!(calls[0].request["subResource"], "ephemeralcontainers");
    assert_eq!((&containers[0]["name"], &containers[1]["name"]), (&json!("two"), &json!("one")));
    let stored = stage.space.get("pod/old");
    assert_eq!(images(&stored)[0], ("app", "nginx:1"));
    assert_eq!(stored["spec"]["imagePullSecrets"], Value::Null);
}

/// Why mirror Pods are left alone.
#[test]
fn a_mirror_pod_with_a_pull_secret_is_forbidden() {
    let stage = Stage::new(|call, _| {
        call.patch(&json!([{"op": "add", "path": "/spec/imagePullSecrets", "value": [{"name": "regcred"}]}]))
    });
    let mut mirror = pod("mirror", "nginx:1");
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "0123456789abcdef"});
    mirror["spec"]["nodeName"] = json!(stage.space.nowhere());
    let refusal = create(&stage.space, &mirror).refused();
    assert!(refusal.contains("Forbidden") && refusal.contains("mirror pod"), "{refusal}");
}

/// Why each pull secret is added as an object.
#[test]
fn a_list_of_pull_secrets_inside_the_list_refuses_the_pod() {
    let stage = Stage::new(|call, _| {
        call.patch(
            &json!([{"op": "add", "path": "/spec/imagePullSecrets", "value": [[{"name": "regcred"}]]}]),
        )
    });
    let refusal = create(&stage.space, &pod("nested", "nginx:1")).refused();
    assert!(refusal.contains("cannot unmarshal array into Go struct field"), "{refusal}");
    assert!(refusal.contains("imagePullSecrets"), "{refusal}");
}

/// Why warnings are made printable.
#[test]
fn a_warning_with_a_control_character_vanishes_whole() {
    let stage = Stage::new(|call, _| {
        call.answer(&json!({"warnings": ["with a bell \u{7}", "with a line\nbreak", "plain"]}))
    });
    let created = create(&stage.space, &pod("warned", "nginx:1")).ok();
    assert_eq!(created.err.trim(), "Warning: plain");
}

/// Why a busy webhook says when to come back.
#[test]
fn a_refusal_is_repeated_only_where_it_says_when_to_retry() {
    for (headers, calls) in [(vec![("Retry-After", "1")], 2), (vec![], 1)] {
        let stage = Stage::new(move |call, before| {
            if before > 0 {
                return call.allow();
            }
            Reply { status: 503, headers: headers.clone(), body: "busy".to_owned() }
        });
        let created = create(&stage.space, &pod("busy", "nginx:1")).run();
        assert_eq!(created.succeeded(), calls == 2, "{}", created.err);
        assert_eq!(stage.neighbour.calls_about("busy").len(), calls);
    }
}

/// What a refusal says is read in one form only; in any other the user learns no more than the number.
#[test]
fn the_words_of_a_refusal_reach_the_user_only_in_a_status_object() {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 413, "message": "far too large",
    });
    for (body, told) in [
        (status.to_string(), "far too large"),
        ("far too large".to_owned(), "the server responded with the status code 413"),
    ] {
        let stage = Stage::new(move |_, _| Reply { status: 413, headers: Vec::new(), body: body.clone() });
        let refusal = create(&stage.space, &pod("large", "nginx:1")).refused();
        assert!(refusal.contains(&format!("failed to call webhook: {told}")), "{refusal}");
    }
}

/// Why a patch must apply to exactly the object that came.
#[test]
fn a_patch_that_does_not_apply_refuses_the_pod_even_where_failures_are_ignored() {
    let stage = Stage::new(|call, _| {
        if call.request["name"] == "failing" {
            return Reply { status: 500, headers: Vec::new(), body: "failed".to_owned() };
        }
        call.patch(&json!([{"op": "replace", "path": "/spec/absent/0", "value": "x"}]))
    });
    stage.registration.ignore_failures();
    until("a failure that is ignored", || {
        let failing = stage.space.kubectl("create --dry-run=server -f -").input(&pod("failing", "nginx"));
        failing.run().succeeded().then_some(())
    });
    let refusal = create(&stage.space, &pod("unpatchable", "nginx:1")).refused();
    assert!(refusal.contains("InternalError"), "{refusal}");
}

/// Why claims are judged by who set the field, and why their updates are left alone: see `claims`. Here: the
/// author of a field is known before webhooks are called, for every kind of client.
#[test]
fn the_author_of_a_claims_class_is_known_when_the_webhook_is_called() {
    let stage = Stage::new(|call, _| call.allow());
    for (name, client) in
        [("created", "create -f -"), ("applied", "apply -f -"), ("server-side", "apply --server-side -f -")]
    {
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {
                "storageClassName": "mine", "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        });
        stage.space.kubectl(client).input(&claim).ok();
        let calls = stage.neighbour.calls_about(name);
        let fields = &calls[0].request["object"]["metadata"]["managedFields"][0]["fieldsV1"];
        assert_eq!(fields["f:spec"]["f:storageClassName"], json!({}), "{client}");
    }
}
