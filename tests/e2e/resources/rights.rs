//! Rights: what the manifests give is all that it takes, each for something that does not work without it; and what the
//! chart of IMPS gives, which users keep when they only change the image, is enough.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::case::{Resource, source};
use crate::controller::case::{Case, Controller, references};
use crate::controller::rights::objects;
use crate::installation::Generated;
use crate::kubectl::kubectl;
use crate::space::Space;
use crate::wait::{never, soon, until};

/// A cluster role of one user, and no other rights.
pub(super) struct Role {
    user: String,
    rules: Value,
}

impl Role {
    #[track_caller]
    fn new(user: &str, rules: &Value) -> Self {
        let role = Self { user: user.to_owned(), rules: rules.clone() };
        role.grant("");
        let api = "rbac.authorization.k8s.io";
        let binding = json!({
            "apiVersion": format!("{api}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": user},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": user},
            "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
        });
        kubectl("create -f -").input(&binding).ok();
        role
    }

    /// Grants all of it, but `lacks`.
    #[track_caller]
    pub(super) fn grant(&self, lacks: &str) {
        let mut rules = self.rules.clone();
        for rule in rules.as_array_mut().expect("rules") {
            let resource = rule["resources"][0].as_str().expect("a resource").to_owned();
            let verbs = rule["verbs"].as_array_mut().expect("verbs");
            verbs.retain(|verb| format!("{resource} {}", verb.as_str().expect("a verb")) != lacks);
            if verbs.is_empty() {
                // A rule needs a verb; this one is of no use.
                verbs.push("proxy".into());
            }
        }
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": self.user}, "rules": rules,
        });
        kubectl("apply -f -").input(&role).ok();
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        kubectl("delete clusterrole,clusterrolebinding").word(&self.user).run();
    }
}

/// Starts a controller that has these rights and no others.
#[track_caller]
pub(super) fn with_rights(case: &Case, rules: &Value, lacks: &str) -> (Role, Controller) {
    let user = case.user();
    let role = Role::new(&user, rules);
    role.grant(lacks);
    let kubeconfig = case.kubeconfig(&user, |config| {
        config["users"][0]["user"].as_object_mut().expect("a user").remove("as-groups");
    });
    // Where it may not watch it lists so often, which takes longer than a test waits for what must not happen.
    let controller = case.controller_with(user, &kubeconfig, &[], &["-loop-duration=20s"]);
    (role, controller)
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
    let all = ["get", "list", "watch"];
    let with = |more: &[&'static str]| [&all[..], more].concat();
    let published = json!([
        {"apiGroups": ["images.banzaicloud.io"], "resources": ["*"], "verbs": with(&["update"])},
        {"apiGroups": [""], "resources": ["configmaps", "secrets", "events"], "verbs": with(&["create", "update", "delete"])},
        {"apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": all},
    ]);
    let (_role, controller) = with_rights(&case, &published, "");
    resource.has(&space, &[("a.example", "1")]);
    resource.is("Ready");
    source(&case.home, "one", &[("a.example", "2")]);
    later.kubectl("create -f -").input(&pod(&mark)).ok();
    for space in [&space, &later] {
        resource.has(space, &[("a.example", "2")]);
    }
    resource.apply(&case, &["one"], &json!({}));
    resource.is_in(&[]);
    assert!(controller.is_ready(), "{}", controller.log());
}

/// A Pod with a label.
fn pod(mark: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {mark: "x"}},
        "spec": {"containers": [{"name": "c", "image": "r.example/c"}]},
    })
}

/// A resource for one namespace, with a reference on its account, and for those with a Pod.
pub(super) struct Trial {
    pub(super) case: Case,
    pub(super) space: Space,
    with_pod: Space,
    mark: String,
    pub(super) resource: Resource,
}

/// Something that a controller does.
struct Behaviour {
    name: &'static str,
    /// Makes it necessary, before the controller begins.
    before: fn(&Trial),
    /// Makes it necessary, when everything else is done.
    then: fn(&Trial),
    /// Whether it was done.
    look: fn(&Trial) -> bool,
}

const COPIES: Behaviour =
    Behaviour { name: "there is a copy", before: |_| (), then: |_| (), look: Trial::is_copied };
const FOLLOWS: Behaviour = Behaviour {
    name: "a change of the resource is followed",
    before: |_| (),
    then: |trial| {
        soon("a copy", || trial.is_copied().then_some(()));
        trial.resource.apply(&trial.case, &["one"], &json!({}));
    },
    look: |trial| !trial.is_copied(),
};
const HOLDS: Behaviour = Behaviour {
    name: "it keeps a resource that has references",
    before: |_| (),
    then: |_| (),
    look: |trial| trial.resource.get()["metadata"]["finalizers"].is_array(),
};
const TELLS: Behaviour = Behaviour {
    name: "it tells how a resource stands",
    before: |_| (),
    then: |_| (),
    look: |trial| trial.resource.get()["status"]["status"] == "Ready",
};
const TAKES_OVER: Behaviour = Behaviour {
    name: "a Secret in the way is written over",
    before: |trial| source(&trial.space, &trial.resource.secret, &[("b.example", "theirs")]),
    then: |_| (),
    look: Trial::is_copied,
};
const ROTATES: Behaviour = Behaviour {
    name: "a rotation reaches the copy",
    before: |_| (),
    then: |trial| {
        soon("a copy", || trial.is_copied().then_some(()));
        source(&trial.case.home, "one", &[("a.example", "2")]);
    },
    look: |trial| trial.has("2"),
};
const LEAVES: Behaviour = Behaviour {
    name: "a copy that is not wanted any more is deleted",
    before: |_| (),
    then: |trial| {
        soon("a copy", || trial.is_copied().then_some(()));
        trial.resource.apply(&trial.case, &["one"], &json!({}));
    },
    look: |trial| trial.resource.copy(&trial.space).is_none(),
};
const FINDS_PODS: Behaviour = Behaviour {
    name: "a Pod that is there selects its namespace",
    before: |trial| trial.make_pod(),
    then: |_| (),
    look: |trial| trial.resource.copy(&trial.with_pod).is_some(),
};
const SEES_PODS: Behaviour = Behaviour {
    name: "a Pod that comes selects its namespace",
    before: |_| (),
    then: |trial| {
        soon("a copy", || trial.is_copied().then_some(()));
        trial.make_pod();
    },
    look: |trial| trial.resource.copy(&trial.with_pod).is_some(),
};
const REFERS: Behaviour =
    Behaviour { name: "an account gets the reference", before: |_| (), then: |_| (), look: Trial::refers };
const REPAIRS: Behaviour = Behaviour {
    name: "a stripped account gets it again",
    before: |_| (),
    then: |trial| {
        soon("a reference", || trial.refers().then_some(()));
        let strip = r#"--patch={"imagePullSecrets":null}"#;
        trial.space.kubectl("patch serviceaccount default --type=merge").word(strip).ok();
    },
    look: Trial::refers,
};

/// Every right of the manifest, and what does not work without it.
const NEEDED: &[(&str, &Behaviour)] = &[
    ("imagepullsecrets list", &COPIES),
    ("imagepullsecrets watch", &FOLLOWS),
    ("imagepullsecrets update", &HOLDS),
    ("imagepullsecrets/status update", &TELLS),
    ("secrets get", &TAKES_OVER),
    ("secrets list", &COPIES),
    ("secrets watch", &ROTATES),
    ("secrets create", &COPIES),
    ("secrets update", &ROTATES),
    ("secrets delete", &LEAVES),
    ("pods list", &FINDS_PODS),
    ("pods watch", &SEES_PODS),
    ("serviceaccounts list", &REFERS),
    ("serviceaccounts watch", &REPAIRS),
    ("serviceaccounts patch", &REFERS),
];

impl Trial {
    #[track_caller]
    pub(super) fn new() -> Self {
        let case = Case::new();
        source(&case.home, "one", &[("a.example", "1")]);
        let (space, with_pod) = (case.home.sibling(), case.home.sibling());
        let mark = format!("test/{}", case.secret);
        let target = json!({
            "namespaces": {"names": [space.name]},
            "namespacesWithPods": {"labels": [{"matchLabels": {&mark: "x"}}]},
            "serviceAccounts": ["default"],
        });
        let resource = Resource::new(&case, &["one"], &target);
        Self { case, space, with_pod, mark, resource }
    }

    #[track_caller]
    fn make_pod(&self) {
        self.with_pod.kubectl("create -f -").input(&pod(&self.mark)).ok();
    }

    fn has(&self, password: &str) -> bool {
        let copy = self.resource.copy(&self.space);
        copy.is_some_and(|copy| {
            super::case::passwords(&copy).get("a.example").is_some_and(|it| it == password)
        })
    }

    fn is_copied(&self) -> bool {
        self.has("1")
    }

    pub(super) fn refers(&self) -> bool {
        references(&self.space, "default").contains(&self.resource.secret)
    }
}

/// The rules of the manifest.
#[track_caller]
fn manifest() -> Value {
    let generated = Generated::new(&[("CONTROLLER", "only"), ("RESOURCES", "yes")]);
    let objects = objects(&generated.path("36-resources.yaml"));
    let role = objects.iter().find(|object| object["kind"] == "ClusterRole").expect("a role");
    role["rules"].clone()
}

/// The rules of the manifest, and of what else a controller has that concerns no resource in particular.
#[track_caller]
pub(super) fn rules() -> Value {
    let mut rules = manifest();
    rules.as_array_mut().expect("rules").extend([
        json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]}),
        json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}),
    ]);
    rules
}

/// Without the right the behaviour is missed, and with it there.
#[track_caller]
fn are_needed(of: &str) {
    for (right, behaviour) in NEEDED.iter().filter(|(right, _)| right.starts_with(of)) {
        let trial = Trial::new();
        (behaviour.before)(&trial);
        let (role, _controller) = with_rights(&trial.case, &rules(), right);
        // What cannot be done now, where that is so.
        (behaviour.then)(&trial);
        never(&format!("without {right}: {}", behaviour.name), || (behaviour.look)(&trial).then_some(()));
        role.grant("");
        until(&format!("with {right} and all others: {}", behaviour.name), || {
            (behaviour.look)(&trial).then_some(())
        });
    }
}

/// Most installations have none of them, and no rights to them: what is not asked for is not refused.
#[test]
fn without_rights_to_resources_nothing_is_refused() {
    let trial = Trial::new();
    let mut without = rules();
    without.as_array_mut().expect("rules").retain(|rule| rule["apiGroups"][0] != "images.banzaicloud.io");
    let (mut role, controller) = with_rights(&trial.case, &without, "");
    until("that it has asked", || controller.log().contains("that may be listed").then_some(()));
    never("a refusal", || {
        let refused = controller.count("pullgate_controller_api_requests_total", &[r#"code="403""#]);
        (refused > 0).then_some(refused)
    });
    let asked = controller.count("pullgate_controller_api_requests_total", &[r#"verb="post""#]);
    assert!((1..10).contains(&asked), "it asked {asked} times in seconds");
    role.rules = rules();
    role.grant("");
    until("a copy, once it may", || trial.is_copied().then_some(()));
}

#[test]
fn no_right_to_resources_is_spare() {
    are_needed("imagepullsecrets");
}

#[test]
fn no_right_to_secrets_is_spare() {
    are_needed("secrets");
}

#[test]
fn no_right_to_pods_is_spare() {
    are_needed("pods");
}

#[test]
fn no_right_to_accounts_is_spare() {
    are_needed("serviceaccounts");
}

#[test]
fn the_rights_to_resources_are_those_that_are_needed_and_no_more() {
    let mut given = BTreeSet::new();
    for rule in manifest().as_array().expect("rules") {
        for verb in rule["verbs"].as_array().into_iter().flatten() {
            let (resource, verb) = (rule["resources"][0].as_str(), verb.as_str());
            given.insert(format!("{} {}", resource.expect("a resource"), verb.expect("a verb")));
        }
        assert_eq!(rule["resources"].as_array().map(Vec::len), Some(1), "{rule}");
    }
    let needed: BTreeSet<_> = NEEDED.iter().map(|(right, _)| (*right).to_owned()).collect();
    assert_eq!(given, needed);
}
