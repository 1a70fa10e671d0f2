//! Copies of resources: what they carry, what is in their way, and how they go.

use serde_json::{Value, json};

use super::case::{Resource, source};
use crate::controller::case::{Case, MANAGED_BY, login, pull_secret, references, uid, version};
use crate::kubectl::kubectl;
use crate::refusal::{REFUSED, Refusal};
use crate::space::Space;
use crate::wait::{never, soon, until};

fn target(spaces: &[&Space]) -> Value {
    json!({"namespaces": {"names": spaces.iter().map(|space| &space.name).collect::<Vec<_>>()}})
}

#[test]
fn a_copy_carries_the_marks_of_its_resource_and_nothing_of_its_sources() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    case.home.kubectl("label secret one secret=label").ok();
    let space = case.home.sibling();
    let mut target = target(&[&space]);
    let resource = Resource::new(&case, &["one"], &target);
    let _controller = case.controller(&[]);
    let copy = resource.has(&space, &[("a.example", "1")]);
    let owner = resource.get()["metadata"]["uid"].take();
    assert_eq!(
        copy["metadata"]["labels"],
        json!({MANAGED_BY: "pullgate", "images.banzaicloud.io/owner-uid": owner})
    );
    assert_eq!(copy["metadata"]["ownerReferences"][0]["uid"], owner);
    assert_eq!(
        copy["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"],
        Value::Null
    );
    // Labels and annotations that are wished for come, and heal.
    target["secret"] = json!({"name": resource.secret, "labels": {"a": "1"}, "annotations": {"b": "2"}});
    resource.apply(&case, &["one"], &target);
    let marked =
        |copy: &Value| copy["metadata"]["labels"]["a"] == "1" && copy["metadata"]["annotations"]["b"] == "2";
    let after = soon("labels", || resource.copy(&space).filter(marked));
    assert_eq!(uid(&after), uid(&copy));
    space.kubectl(&format!("label secret {} a=x --overwrite", resource.secret)).ok();
    soon("the label as it was", || resource.copy(&space).filter(marked));
    // Without its label nobody tells of it, until it is found in the way of a new one.
    space.kubectl(&format!("label secret {} images.banzaicloud.io/owner-uid-", resource.secret)).ok();
    let healed = soon("the label of its owner", || {
        resource
            .copy(&space)
            .filter(|copy| copy["metadata"]["labels"]["images.banzaicloud.io/owner-uid"] == owner)
    });
    assert_eq!(uid(&healed), uid(&copy));
}

#[test]
fn a_target_that_is_renamed_leaves_nothing_behind() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    let spaces = [case.home.sibling(), case.home.sibling()];
    let mut target = target(&[&spaces[0], &spaces[1]]);
    target["serviceAccounts"] = json!(["default"]);
    let resource = Resource::new(&case, &["one"], &target);
    let mut controller = Some(case.controller(&[]));
    resource.is_in(&[&spaces[0], &spaces[1]]);
    // While nobody looks, too.
    for (round, watched) in [(1, true), (2, false)] {
        if !watched {
            drop(controller.take());
        }
        let renamed = format!("{}-{round}", resource.secret);
        target["secret"] = json!({"name": renamed});
        resource.apply(&case, &["one"], &target);
        if !watched {
            controller = Some(case.controller(&[]));
        }
        for space in &spaces {
            soon("the new name alone", || {
                let all = space.kubectl("get secrets -o name").ok().out;
                let own: Vec<_> = all.lines().filter(|name| name.contains(&resource.secret)).collect();
                (own == [format!("secret/{renamed}")]).then_some(())
            });
            soon("the new reference alone", || {
                (references(space, "default") == [renamed.clone()]).then_some(())
            });
        }
    }
}

/// What is in the way is somebody else's, unless it may be overwritten.
#[test]
fn a_foreign_secret_is_left_and_the_resource_is_not_ready() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    let (space, other) = (case.home.sibling(), case.home.sibling());
    let resource = Resource::new(&case, &["one"], &json!({}));
    let theirs =
        space.kubectl("create -o json -f -").input(&pull_secret(&resource.secret, &login("theirs"))).json();
    resource.apply(&case, &["one"], &target(&[&space, &other]));
    let controller = case.controller(&["-managedonly"]);
    let status = resource.is("Failed");
    let reason = status["reason"].as_str().unwrap_or_default();
    assert!(reason.contains(&space.name) && reason.contains("not managed by pullgate"), "{reason}");
    soon("a copy in the other namespace alone", || {
        (resource.get()["status"]["managedNamespaces"] == json!([other.name])).then_some(())
    });
    assert_eq!(version(&resource.copy(&space).expect("theirs")), version(&theirs));
    // Once it is gone, the name is free.
    space.kubectl(&format!("delete secret {}", resource.secret)).ok();
    until("the copy", || resource.copy(&space));
    resource.is_in(&[&space, &other]);
    drop(controller);
    // Under force it becomes ours.
    resource.apply(&case, &["one"], &target(&[&other]));
    let taken = case.home.sibling();
    taken.kubectl("create -f -").input(&pull_secret(&resource.secret, &login("theirs"))).ok();
    let _controller = case.controller(&[]);
    resource.apply(&case, &["one"], &target(&[&other, &taken]));
    resource.has(&taken, &[("a.example", "1")]);
}

#[test]
fn a_write_that_is_refused_is_no_success() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    let (full, other) = (case.home.sibling(), case.home.sibling());
    let resource = Resource::new(&case, &["one"], &target(&[&full, &other]));
    let refusal = Refusal::of(&full, &resource.secret);
    let _controller = case.controller(&[]);
    let status = resource.is("Failed");
    assert!(status["reason"].as_str().is_some_and(|text| text.contains(REFUSED)), "{status}");
    assert_eq!(status["conditions"][0]["status"], "False");
    assert_eq!(status["lastSuccessfulReconciliation"], Value::Null);
    resource.has(&other, &[("a.example", "1")]);
    never("Ready", || Some(resource.get()).filter(|it| it["status"]["status"] == "Ready"));
    drop(refusal);
    until("Ready", || (resource.get()["status"]["status"] == "Ready").then_some(()));
}

/// The older one has the name; when it goes, the copy becomes the other one's.
#[test]
fn of_two_that_want_one_name_the_older_has_it() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    source(&case.home, "two", &[("b.example", "2")]);
    let space = case.home.sibling();
    let older = Resource::new(&case, &["one"], &target(&[&space]));
    // Times are in seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let mut wish = target(&[&space]);
    wish["secret"] = json!({"name": older.secret});
    let younger = Resource::new(&case, &["two"], &wish);
    let _controller = case.controller(&[]);
    let before = older.has(&space, &[("a.example", "1")]);
    older.is("Ready");
    let status = younger.is("Failed");
    let reason = status["reason"].as_str().unwrap_or_default();
    assert!(reason.contains(&format!("that of ImagePullSecret {}", older.name)), "{reason}");
    older.apply(&case, &["one"], &json!({}));
    let after = older.has(&space, &[("b.example", "2")]);
    assert_eq!(uid(&before), uid(&after), "handed over in place");
    younger.is("Ready");
}

/// A namespace on its way out keeps nothing from going.
#[test]
fn a_resource_that_is_deleted_takes_copies_and_references_along_and_nothing_else() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    let (space, stuck) = (case.home.sibling(), case.home.sibling());
    let mut wish = target(&[&space, &stuck]);
    wish["serviceAccounts"] = json!(["default"]);
    let resource = Resource::new(&case, &["one"], &wish);
    space
        .kubectl("patch serviceaccount default --type=merge")
        .word(r#"--patch={"imagePullSecrets":[{"name":"theirs"}]}"#)
        .ok();
    let _controller = case.controller(&[]);
    resource.is_in(&[&space, &stuck]);
    soon("the reference", || {
        (references(&space, "default") == ["theirs", resource.secret.as_str()]).then_some(())
    });
    let held = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["test/held"]}});
    stuck.kubectl("create -f -").input(&held).ok();
    kubectl("delete namespace --wait=false").word(&stuck.name).ok();
    resource.kubectl("delete --timeout=20s").ok();
    soon("no copy", || resource.copy(&space).is_none().then_some(()));
    assert_eq!(references(&space, "default"), ["theirs"]);
    let free = r#"--patch={"metadata":{"finalizers":null}}"#;
    stuck.kubectl("patch configmap held --type=merge").word(free).ok();
}

/// The garbage collector may be faster than the controller, and somebody may have deleted copies by hand.
#[test]
fn references_are_taken_back_where_the_copy_went_first() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    let (space, left) = (case.home.sibling(), case.home.sibling());
    let target = |spaces: &[&Space]| {
        let mut target = target(spaces);
        target["serviceAccounts"] = json!(["default"]);
        target
    };
    let resource = Resource::new(&case, &["one"], &target(&[&space, &left]));
    let controller = case.controller(&[]);
    resource.is("Ready");
    drop(controller);
    for space in [&space, &left] {
        assert_eq!(references(space, "default"), [resource.secret.as_str()]);
        space.kubectl(&format!("delete secret {}", resource.secret)).ok();
    }
    // One namespace that is not selected any more, then the resource itself.
    resource.apply(&case, &["one"], &target(&[&space]));
    let controller = case.controller(&[]);
    let gone = |space: &Space| references(space, "default").is_empty().then_some(());
    soon("no reference", || gone(&left));
    resource.has(&space, &[("a.example", "1")]);
    drop(controller);
    space.kubectl(&format!("delete secret {}", resource.secret)).ok();
    resource.kubectl("delete --wait=false").ok();
    let _controller = case.controller(&[]);
    until("the end of the resource", || {
        resource.kubectl("get --ignore-not-found").ok().out.is_empty().then_some(())
    });
    assert_eq!(references(&space, "default"), Vec::<String>::new());
}
