//! Requests that there are no rules for, and the largest ones that the API server takes.

use serde_json::json;

use crate::existing::EVERYTHING;
use crate::space::{Space, images, pod, pull_secrets};
use crate::webhook::all_rules;

/// The most that the API server stores of a Pod made here: etcd takes 1.5 MiB in a request.
const LARGEST: usize = 1_560_000;
/// The API server allows this much in all annotations together.
const ANNOTATIONS: usize = 256 * 1024;

#[test]
fn requests_that_there_are_no_rules_for_are_all_allowed() {
    let space = Space::new();
    let webhook = space.webhook_for(&all_rules(), &EVERYTHING);
    let unsupported = || webhook.process.calls(&[r#"outcome="unsupported""#]);
    // Asked, and without an effect: the words are those of a cluster without a webhook.
    let allowed = |act: &dyn Fn()| {
        let before = unsupported();
        act();
        assert!(unsupported() > before, "the webhook was not asked");
    };
    let raw = |path: &str, body: &serde_json::Value| {
        let path = format!("create -f - --raw=/api/v1/namespaces/{}/{path}", space.name);
        crate::kubectl::kubectl(&path).input(body)
    };
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "pod"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": space.nowhere()},
    });
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "pod"}});

    space.kubectl("create -f -").input(&pod("pod", "nginx:1")).ok();
    let refused_without_a_node = |line: &str| {
        let refusal = space.kubectl(line).refused();
        assert!(refusal.contains("pod pod does not have a host assigned"), "{refusal}");
    };
    allowed(&|| refused_without_a_node("exec pod -- true"));
    allowed(&|| refused_without_a_node("attach pod"));
    allowed(&|| {
        raw("pods/pod/binding", &binding).ok();
    });
    assert_eq!(space.get("pod/pod")["spec"]["nodeName"], space.nowhere());
    allowed(&|| {
        raw("pods/pod/eviction", &eviction).ok();
    });
    allowed(&|| {
        space.kubectl("create token default").ok();
    });
    allowed(&|| {
        space.kubectl("create deployment web --image=quay.io/team/web:1 --replicas=0").ok();
    });
    allowed(&|| {
        space.kubectl("scale deployment web --replicas=1").ok();
    });
    allowed(&|| {
        space.kubectl("create configmap settings --from-literal=image=nginx").ok();
    });
    allowed(&|| {
        space.kubectl("delete configmap settings").ok();
    });
    let widget = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "lease"},
        "spec": {"holderIdentity": "nginx"},
    });
    allowed(&|| {
        space.kubectl("apply -f -").input(&widget).ok();
    });
    let template = json!({
        "apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "template"},
        "template": {"spec": {"containers": [{"name": "app", "image": "nginx:1"}]}},
    });
    allowed(&|| {
        space.kubectl("create -f -").input(&template).ok();
    });
    let stored = space.get("podtemplate/template");
    assert_eq!(stored["template"]["spec"]["containers"][0]["image"], "nginx:1");
    assert_eq!(webhook.process.calls(&[r#"outcome="denied""#]), 0);
    assert_eq!(webhook.process.calls(&[r#"outcome="bad_request""#]), 0);
}

/// `<`, `>` and `&` reach the webhook as six characters each, and an update carries them twice: 19 MB.
#[test]
fn the_largest_pod_that_can_be_stored_is_changed_on_creation_and_on_update() {
    let space = Space::new();
    let webhook = space.webhook(&EVERYTHING);
    let create = |name: &str, size: usize| {
        let filler = |length: usize| "<>&".repeat(length / 3);
        let mut manifest = pod(name, "nginx:1");
        manifest["metadata"]["annotations"] = json!({"filler": filler(ANNOTATIONS - 100)});
        let text = filler(size - ANNOTATIONS);
        manifest["spec"]["containers"][0]["env"] = json!([{"name": "FILLER", "value": text}]);
        // Raw, since kubectl itself would write six characters for one, and the API server reads at most 3 MiB.
        let path = format!("create -f - --raw=/api/v1/namespaces/{}/pods", space.name);
        crate::kubectl::kubectl(&path).input(&manifest)
    };
    create("large", LARGEST).ok();
    let stored = space.get("pod/large");
    assert_eq!(images(&stored), [("app", "registry.example/nginx:1")]);
    assert_eq!(pull_secrets(&stored), ["regcred"]);

    space.kubectl("label pod large stage=two").ok();
    space.kubectl("set image pod/large app=quay.io/team/web:2").ok();
    let updated = space.get("pod/large");
    assert_eq!(images(&updated), [("app", "registry.example/team/web:2")]);
    assert_eq!(updated["spec"]["containers"][0]["env"], stored["spec"]["containers"][0]["env"]);
    assert!(webhook.process.calls(&[r#"operation="UPDATE""#]) >= 2);

    let refusal = create("larger", LARGEST + 20_000).refused();
    assert!(refusal.contains("etcdserver: request is too large"), "{refusal}");
}

/// Large enough that an answer before the end of the body would be lost with the connection.
#[test]
fn a_pod_beyond_the_limit_of_bodies_is_refused_with_413_and_its_neighbours_are_not() {
    let space = Space::new();
    let webhook = space.webhook(&[("REGISTRY", "registry.example"), ("MAX_BODY_BYTES", "100000")]);
    let mut manifest = pod("beyond", "nginx:1");
    manifest["spec"]["containers"][0]["env"] = json!([{"name": "FILLER", "value": "x".repeat(1_400_000)}]);
    let refusal = space.kubectl("create -f -").input(&manifest).refused();
    let reason = "failed calling webhook \"webhook.e2e.test\": failed to call webhook: \
                  pullgate: the body is larger than 100000 bytes (MAX_BODY_BYTES)";
    assert!(refusal.contains(reason), "{refusal}");
    assert_eq!(webhook.process.calls(&[r#"outcome="too_large""#]), 1);
    space.kubectl("create -f -").input(&pod("within", "nginx:1")).ok();
    assert_eq!(images(&space.get("pod/within")), [("app", "registry.example/nginx:1")]);
}
