//! Other webhooks beside ours.

use serde_json::json;

use crate::existing::EVERYTHING;
use crate::neighbour::Neighbour;
use crate::space::{Space, images, pod, pull_policies, pull_secrets};
use crate::webhook::usual_rules;

#[test]
fn a_sidecar_that_a_later_webhook_adds_is_changed_too() {
    let space = Space::new();
    let injector = Neighbour::start(|call, _| {
        let containers = call.request["object"]["spec"]["containers"].as_array();
        if containers.is_some_and(|list| list.iter().any(|container| container["name"] == "sidecar")) {
            return call.allow();
        }
        let sidecar = json!({"name": "sidecar", "image": "docker.io/mesh/proxy:1"});
        call.patch(&json!([{"op": "add", "path": "/spec/containers/-", "value": sidecar}]))
    });
    let webhook = space.webhook(&EVERYTHING);
    let _later = space.register_neighbour("z", &injector);

    space.kubectl("create -f -").input(&pod("injected", "nginx:1")).ok();
    let stored = space.get("pod/injected");
    assert_eq!(
        images(&stored),
        [("app", "registry.example/nginx:1"), ("sidecar", "registry.example/mesh/proxy:1")]
    );
    assert_eq!(pull_policies(&stored), [("app", "Always"), ("sidecar", "Always")]);
    assert_eq!(pull_secrets(&stored), ["regcred"]);
    let seen = &injector.calls_about("injected")[0].request["object"];
    assert_eq!(images(seen), [("app", "registry.example/nginx:1")], "ours was called before it");
    let log = webhook.process.log();
    assert_eq!(log.lines().filter(|line| line.contains("name=injected")).count(), 2, "and after it:\n{log}");
}

/// The second call of the same request notes another original image under the same key of its audit
/// annotations; the API server keeps the first value, and that must not cost the Pod.
#[test]
fn an_image_that_a_later_webhook_changes_is_rewritten_again() {
    let space = Space::new();
    let pinner = Neighbour::start(|call, _| {
        if call.request["object"]["metadata"]["annotations"]["pinned"] == "yes" {
            return call.allow();
        }
        call.patch(&json!([
            {"op": "add", "path": "/metadata/annotations", "value": {"pinned": "yes"}},
            {"op": "replace", "path": "/spec/containers/0/image", "value": "quay.io/team/pinned:1"},
        ]))
    });
    let _webhook = space.webhook(&EVERYTHING);
    let _later = space.register_neighbour("z", &pinner);

    let created = space.kubectl("create -f -").input(&pod("pinned", "nginx:1")).ok();
    assert_eq!(created.err, "");
    assert_eq!(images(&space.get("pod/pinned")), [("app", "registry.example/team/pinned:1")]);
}

/// What an earlier webhook has made of a Pod is what ours works on.
#[test]
fn what_an_earlier_webhook_adds_is_changed_in_one_call() {
    let space = Space::new();
    let earlier = Neighbour::start(|call, _| {
        let init = json!([{"name": "init", "image": "quay.io/team/init:1"}]);
        let secrets = json!([{"name": "theirs"}]);
        call.patch(&json!([
            {"op": "add", "path": "/spec/initContainers", "value": init},
            {"op": "add", "path": "/spec/imagePullSecrets", "value": secrets},
        ]))
    });
    let _earlier = space.register_neighbour("a", &earlier);
    let settings = [EVERYTHING.as_slice(), &[("IMAGE_PULL_SECRET_APPEND", "true")]].concat();
    let _webhook = space.webhook_for(&usual_rules(), &settings);
    space.kubectl("create -f -").input(&pod("both", "nginx:1")).ok();
    let stored = space.get("pod/both");
    assert_eq!(
        images(&stored),
        [("init", "registry.example/team/init:1"), ("app", "registry.example/nginx:1")]
    );
    assert_eq!(pull_secrets(&stored), ["theirs", "regcred"]);
}
