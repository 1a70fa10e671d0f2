//! Namespaces that are to have no copy, and those on their way out.

use serde_json::json;

use crate::controller::audit::writes;
use crate::controller::case::{Case, Controller, login, pull_secret, version};
use crate::kubectl::kubectl;
use crate::space::Space;
use crate::wait::{never, soon, until};

const OPT_OUT: &str = "k8s.titansoft.com/imagepullsecret-patcher-exclude";

#[track_caller]
fn annotate(space: &Space, annotation: &str) {
    kubectl("annotate --overwrite namespace").word(&space.name).word(annotation).ok();
}

#[track_caller]
fn is_empty(case: &Case, space: &Space, remaining: &[&str]) {
    soon("a namespace without the copy", || case.copy(space).is_none().then_some(()));
    assert_eq!(case.references(space), remaining, "the reference goes first");
}

/// A Pod that is made in between would name a Secret that is gone.
#[track_caller]
fn left_in_order(controller: &Controller, space: &Space) {
    let all = writes(controller);
    let taken = all.iter().filter(|write| write.namespace == space.name && write.was_taken());
    let last: Vec<_> = taken.map(super::audit::Write::what).collect();
    assert!(last.ends_with(&["patch serviceaccounts".to_owned(), "delete secrets".to_owned()]), "{last:?}");
}

#[test]
fn a_namespace_opts_out_and_in_by_its_annotation() {
    let case = Case::new();
    case.source("first");
    let space = case.home.sibling();
    case.make_account(&space, &["before"]);
    let controller = case.controller(&[]);
    case.has(&space, "first");
    let add = r#"--patch=[{"op":"add","path":"/imagePullSecrets/-","value":{"name":"after"}}]"#;
    space.kubectl(&format!("patch serviceaccount {} --type=json", case.account)).word(add).ok();

    annotate(&space, &format!("{OPT_OUT}=true"));
    is_empty(&case, &space, &["before", "after"]);
    left_in_order(&controller, &space);
    // Any other value is no opting out.
    annotate(&space, &format!("{OPT_OUT}=false"));
    case.has(&space, "first");
    assert_eq!(case.references(&space), ["before", "after", case.secret.as_str()]);
    annotate(&space, &format!("{OPT_OUT}=true"));
    is_empty(&case, &space, &["before", "after"]);
    annotate(&space, &format!("{OPT_OUT}-"));
    case.has(&space, "first");
}

#[test]
fn a_namespace_that_is_excluded_by_flag_loses_what_it_had() {
    let case = Case::new();
    case.source("first");
    let (kept, left) = (case.space(), case.space());
    let first = case.controller(&[]);
    case.has(&left, "first");
    drop(first);
    let controller = case.controller(&[&format!("-excluded-namespaces=kube-system,{}", left.name)]);
    is_empty(&case, &left, &[]);
    left_in_order(&controller, &left);
    case.has(&kept, "first");
    // And back.
    drop(controller);
    let _controller = case.controller(&[]);
    case.has(&left, "first");
}

/// A reference to a Secret that is not ours is not ours either.
#[test]
fn an_excluded_namespace_keeps_what_is_not_ours() {
    let case = Case::new();
    let space = case.home.sibling();
    case.make_account(&space, &[&case.secret]);
    annotate(&space, &format!("{OPT_OUT}=true"));
    let foreign = pull_secret(&case.secret, &login("theirs"));
    let before = space.kubectl("create -o json -f -").input(&foreign).json();
    case.source("first");
    let controller = case.controller(&[]);
    let other = case.space();
    case.has(&other, "first");
    never("a change of what is not ours", || {
        let now = case.copy(&space);
        let same = now.as_ref().is_some_and(|now| version(now) == version(&before));
        (!same || case.references(&space) != [case.secret.as_str()]).then_some(now)
    });
    let about = writes(&controller).into_iter().filter(|write| write.namespace == space.name);
    assert_eq!(about.map(|write| write.what()).collect::<Vec<_>>(), Vec::<String>::new());
}

/// A namespace that something keeps from going.
struct Stuck(Space);

impl Stuck {
    #[track_caller]
    fn new(case: &Case) -> Self {
        let stuck = Self(case.space());
        let holder = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "holder", "finalizers": ["e2e.test/hold"]},
        });
        stuck.0.kubectl("create -f -").input(&holder).ok();
        stuck
    }

    /// Deletes it, and returns when all but the holder is gone.
    #[track_caller]
    fn delete(&self, case: &Case) {
        kubectl("delete namespace --wait=false").word(&self.0.name).ok();
        until("an empty namespace", || case.copy(&self.0).is_none().then_some(()));
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0
            .kubectl(r#"patch configmap holder --type=merge --patch={"metadata":{"finalizers":null}}"#)
            .run();
    }
}

#[test]
fn a_namespace_that_is_stuck_on_its_way_out_is_left_alone() {
    let case = Case::new();
    case.source("first");
    let (stuck, other) = (Stuck::new(&case), case.space());
    let controller = case.controller(&[]);
    case.has(&stuck.0, "first");
    stuck.delete(&case);
    let place = &stuck.0.name;
    let written = || writes(&controller).iter().filter(|write| write.namespace == *place).count();
    // What was on its way when the namespace was deleted is refused by the API server, and not tried again.
    let before = until("an end of writes", || {
        let before = written();
        case.source("second");
        case.has(&other, "second");
        annotate(&stuck.0, "touched=again");
        case.source("third");
        case.has(&other, "third");
        (written() == before).then_some(before)
    });
    never("a write", || (written() != before).then(|| writes(&controller)));
    assert!(case.copy(&stuck.0).is_none());
    let complaints =
        |log: &str| log.lines().filter(|line| line.contains("WARN") && line.contains(place)).count();
    assert_eq!(complaints(&controller.log()), 0, "{}", controller.log());
    // One that begins while the namespace is stuck does not touch it at all.
    drop(controller);
    let controller = case.controller(&[]);
    case.source("fourth");
    case.has(&other, "fourth");
    assert!(!writes(&controller).iter().any(|write| write.namespace == *place), "{:?}", writes(&controller));
}
