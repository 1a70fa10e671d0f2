//! The rights that the chart of IMPS gives, which users keep when they only change the image.

use serde_json::json;

use super::case::{Resource, source};
use crate::controller::case::Case;
use crate::kubectl::kubectl;

struct Role(String);

impl Role {
    /// What its cluster role has, as published, for one user.
    fn new(user: &str) -> Self {
        let all = ["get", "list", "watch"];
        let with = |more: &[&'static str]| [&all[..], more].concat();
        let rules = json!([
            {"apiGroups": ["images.banzaicloud.io"], "resources": ["*"], "verbs": with(&["update"])},
            {"apiGroups": [""], "resources": ["configmaps", "secrets", "events"], "verbs": with(&["create", "update", "delete"])},
            {"apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": all},
        ]);
        let metadata = json!({ "name": user });
        let api = "rbac.authorization.k8s.io";
        let role = json!({"apiVersion": format!("{api}/v1"), "kind": "ClusterRole", "metadata": metadata, "rules": rules});
        let binding = json!({
            "apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": user},
            "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
        });
        for object in [role, binding] {
            kubectl("create -f -").input(&object).ok();
        }
        Self(user.to_owned())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        kubectl("delete clusterrole,clusterrolebinding").word(&self.0).run();
    }
}

#[test]
fn the_rights_of_imps_are_enough_for_what_it_did() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    let (space, later) = (case.home.sibling(), case.home.sibling());
    let mark = format!("test/{}", case.secret);
    let target = json!({
        "namespaces": {"names": [space.name]},
        "namespacesWithPods": {"labels": [{"matchLabels": {&mark: "x"}}]},
    });
    let resource = Resource::new(&case, &["one"], &target);
    let user = case.user();
    let _role = Role::new(&user);
    let kubeconfig = case.kubeconfig(&user, |config| {
        config["users"][0]["user"].as_object_mut().expect("a user").remove("as-groups");
    });
    let controller = case.controller_with(user, &kubeconfig, &[], &[]);
    resource.has(&space, &[("a.example", "1")]);
    resource.is("Ready");
    source(&case.home, "one", &[("a.example", "2")]);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {&mark: "x"}},
        "spec": {"containers": [{"name": "c", "image": "r.example/c"}]},
    });
    later.kubectl("create -f -").input(&pod).ok();
    for space in [&space, &later] {
        resource.has(space, &[("a.example", "2")]);
    }
    resource.apply(&case, &["one"], &json!({}));
    resource.is_in(&[]);
    assert!(controller.is_ready(), "{}", controller.log());
}
