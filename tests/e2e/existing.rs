//! What happens to Pods that exist, under settings that would change everything about them.
//!
//! Each case is a function of the namespace alone, so that it can be tried with a registration for every
//! update and with the generated configuration, whose conditions spare some calls. [`prepare`] comes before
//! the webhook.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::kubectl::{FIXTURES, kubectl};
use crate::space::{Space, images, pod, pull_policies, pull_secrets};
use crate::wait::until;

/// Settings that concern every field there is a rule for.
pub(crate) const EVERYTHING: [(&str, &str); 4] = [
    ("REGISTRY", "registry.example"),
    ("IMAGE_PULL_SECRET", "regcred"),
    ("FORCE_IMAGE_PULL_POLICY", "true"),
    ("IMAGE_PULL_POLICY_TO_FORCE", "Always"),
];

/// All cases, in an order in which none is in another's way.
pub(crate) const EVERY_CASE: [fn(&Space); 14] = [
    labels_and_annotations,
    removal_of_a_finalizer,
    status,
    resize,
    another_change_of_the_specification,
    deletion,
    updates_during_deletion,
    set_image,
    apply_of_the_same_manifest,
    server_side_apply_of_the_same_manifest,
    server_side_apply_after_another,
    replacement,
    debugging,
    mirror_pods,
];

/// Pods from a time without the webhook.
#[track_caller]
pub(crate) fn prepare(space: &Space) {
    space.kubectl("create -f old-pods.yaml").ok();
    space.release_at_the_end("held dying");
    space.kubectl("debug debugged --image=busybox:1 --container=before").ok();
}

/// Runs `act` and fails if that changed anything in the Pod's specification.
#[track_caller]
fn spec_stays(space: &Space, what: &str, act: impl FnOnce()) -> Value {
    let before = space.get(what);
    act();
    let after = space.get(what);
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"]);
    after
}

pub(crate) fn labels_and_annotations(space: &Space) {
    let after = spec_stays(space, "pod/old", || {
        space.kubectl("label pod old stage=two").ok();
        space.kubectl("annotate pod old note=three").ok();
    });
    assert_eq!(after["metadata"]["labels"]["stage"], "two");
    assert_eq!(after["metadata"]["annotations"]["note"], "three");
}

pub(crate) fn removal_of_a_finalizer(space: &Space) {
    let after = spec_stays(space, "pod/held", || {
        space.kubectl(r#"patch pod held --type=merge --patch={"metadata":{"finalizers":null}}"#).ok();
    });
    assert_eq!(after["metadata"]["finalizers"], Value::Null);
}

pub(crate) fn status(space: &Space) {
    let after = spec_stays(space, "pod/old", || {
        space.kubectl(r#"patch pod old --subresource=status --patch={"status":{"message":"fine"}}"#).ok();
    });
    assert_eq!(after["status"]["message"], "fine");
}

pub(crate) fn resize(space: &Space) {
    let mut expected = space.get("pod/resized")["spec"].take();
    let request = r#"{"spec":{"containers":[{"name":"app","resources":{"requests":{"cpu":"20m"}}}]}}"#;
    space.kubectl("patch pod resized --subresource=resize").word(&format!("--patch={request}")).ok();
    expected["containers"][0]["resources"]["requests"]["cpu"] = json!("20m");
    assert_eq!(space.get("pod/resized")["spec"], expected);
}

/// The change of something else in the specification, which no condition keeps from the webhook.
pub(crate) fn another_change_of_the_specification(space: &Space) {
    let mut expected = space.get("pod/old")["spec"].take();
    space.kubectl(r#"patch pod old --patch={"spec":{"activeDeadlineSeconds":600}}"#).ok();
    expected["activeDeadlineSeconds"] = json!(600);
    assert_eq!(space.get("pod/old")["spec"], expected);
}

pub(crate) fn deletion(space: &Space) {
    space.kubectl("delete pod bound --timeout=30s").ok();
    assert!(space.kubectl("get pod bound").refused().contains("NotFound"));
}

/// While a finalizer holds a Pod that is being deleted, even a new image stays as it is.
pub(crate) fn updates_during_deletion(space: &Space) {
    space.kubectl("delete pod dying --wait=false").ok();
    assert!(space.get("pod/dying")["metadata"]["deletionTimestamp"].is_string());
    space.kubectl("set image pod/dying app=quay.io/team/late:2").ok();
    assert_eq!(images(&space.get("pod/dying"))[1], ("app", "quay.io/team/late:2"));
    space.kubectl(r#"patch pod dying --type=merge --patch={"metadata":{"finalizers":null}}"#).ok();
    until("the end of the Pod", || (!space.kubectl("get pod dying").run().succeeded()).then_some(()));
}

/// One image changes and is rewritten; the other containers, as old, stay.
pub(crate) fn set_image(space: &Space) {
    let mut expected = space.get("pod/updated");
    space.kubectl("set image pod/updated app=ghcr.io/team/web:2").ok();
    let after = space.get("pod/updated");
    expected["spec"]["containers"][0]["image"] = json!("registry.example/team/web:2");
    assert_eq!(after["spec"], expected["spec"]);
    assert_eq!(after["metadata"]["generation"], 2);

    spec_stays(space, "pod/updated", || {
        space.kubectl("set image pod/updated app=ghcr.io/team/web:2").ok();
    });
}

/// The same manifest again, which names what an update may not change; then with another image.
fn apply_again(space: &Space, apply: &str) {
    space.kubectl(&format!("{apply} applied.yaml")).ok();
    let first = space.get("pod/applied");
    assert_eq!(
        images(&first),
        [("init", "registry.example/team/init:1"), ("app", "registry.example/nginx:1")]
    );
    assert_eq!(pull_policies(&first), [("init", "Always"), ("app", "Always")]);
    assert_eq!(pull_secrets(&first), ["regcred"]);
    assert_eq!(
        first["spec"]["volumes"][0]["image"],
        json!({"reference": "registry.example/team/model:v1", "pullPolicy": "Always"})
    );
    for _ in 0..2 {
        space.kubectl(&format!("{apply} applied.yaml")).ok();
        let again = space.get("pod/applied");
        assert_eq!(again["spec"], first["spec"]);
        assert_eq!(again["metadata"], first["metadata"], "nothing is written at all");
    }

    let manifest = fs::read_to_string(Path::new(FIXTURES).join("applied.yaml")).expect("a fixture");
    let manifest = manifest.replace("image: nginx:1", "image: quay.io/team/web:2");
    space.kubectl(&format!("{apply} -")).input_text(manifest).ok();
    let mut expected = first["spec"].clone();
    expected["containers"][0]["image"] = json!("registry.example/team/web:2");
    assert_eq!(space.get("pod/applied")["spec"], expected);
    space.kubectl("delete pod applied --timeout=30s").ok();
}

pub(crate) fn apply_of_the_same_manifest(space: &Space) {
    apply_again(space, "apply -f");
}

pub(crate) fn server_side_apply_of_the_same_manifest(space: &Space) {
    apply_again(space, "apply --server-side -f");
}

/// The stored values are not those of the first client's manifest, so to the API server the second client takes
/// them over: that it wants to be told, before any webhook is asked.
pub(crate) fn server_side_apply_after_another(space: &Space) {
    space.kubectl("apply -f applied.yaml").ok();
    spec_stays(space, "pod/applied", || {
        let conflict = space.kubectl("apply --server-side -f applied.yaml").refused();
        assert!(conflict.contains("please re-run the apply\n  command with the `--force-conflicts` flag"));
        space.kubectl("apply --server-side --force-conflicts -f applied.yaml").ok();
    });
    space.kubectl("delete pod applied --timeout=30s").ok();
}

/// By the manifest it was made from; and as `kubectl edit` does, and `kubectl get -o yaml | … | kubectl replace -f -`.
pub(crate) fn replacement(space: &Space) {
    space.kubectl("create -f applied.yaml").ok();
    spec_stays(space, "pod/applied", || {
        space.kubectl("replace -f applied.yaml").ok();
    });
    space.kubectl("delete pod applied --timeout=30s").ok();

    space.kubectl("create -f -").input(&pod("replaced", "nginx:1")).ok();
    let mut manifest = space.get("pod/replaced");
    assert_eq!(images(&manifest), [("app", "registry.example/nginx:1")]);
    spec_stays(space, "pod/replaced", || {
        space.kubectl("replace -f -").input(&manifest).ok();
    });
    manifest["spec"]["containers"][0]["image"] = json!("quay.io/team/web:2");
    space.kubectl("replace -f -").input(&manifest).ok();
    assert_eq!(images(&space.get("pod/replaced")), [("app", "registry.example/team/web:2")]);
}

/// Twice `kubectl debug` on a Pod with a container of an earlier time, and once a patch that puts the new one
/// before the others.
pub(crate) fn debugging(space: &Space) {
    let before = space.get("pod/debugged");
    space.kubectl("debug debugged --image=busybox:2 --container=second").ok();
    space.kubectl("debug debugged --image=quay.io/team/tools:3 --container=third").ok();
    let fourth = r#"--patch={"spec":{"ephemeralContainers":[{"name":"fourth","image":"busybox:4"}]}}"#;
    space.kubectl("patch pod debugged --subresource=ephemeralcontainers").word(fourth).ok();
    let after = space.get("pod/debugged");

    let added = |pod: &Value, name: &str| {
        let list = pod["spec"]["ephemeralContainers"].as_array().expect("a list").clone();
        list.into_iter().find(|container| container["name"] == name).expect("the container")
    };
    assert_eq!(added(&after, "before"), added(&before, "before"));
    assert_eq!(after["spec"]["ephemeralContainers"][0]["name"], "fourth");
    for (name, image) in [
        ("second", "registry.example/busybox:2"),
        ("third", "registry.example/team/tools:3"),
        ("fourth", "registry.example/busybox:4"),
    ] {
        let container = added(&after, name);
        assert_eq!(container["image"], image);
        assert_eq!(container["imagePullPolicy"], "Always");
    }
    let without = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        spec["ephemeralContainers"].take();
        spec
    };
    assert_eq!(without(&after), without(&before), "the rest of the Pod stays");
}

/// The API server's copy of a Pod that a kubelet runs from a file.
pub(crate) fn mirror_pods(space: &Space) {
    let mut mirror = pod("mirror", "nginx:1");
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "0123456789abcdef"});
    mirror["spec"]["nodeName"] = json!(space.nowhere());
    space.kubectl("create -f -").input(&mirror).ok();
    let stored = space.get("pod/mirror");
    assert_eq!(images(&stored), [("app", "nginx:1")]);
    assert_eq!(pull_policies(&stored), [("app", "IfNotPresent")]);
    assert!(pull_secrets(&stored).is_empty());
    spec_stays(space, "pod/mirror", || {
        space.kubectl("label pod mirror stage=two").ok();
    });
    // Nobody but a kubelet that does not exist would finish an orderly deletion.
    kubectl("delete pod mirror --grace-period=0 --force").word(&format!("--namespace={}", space.name)).ok();
}
