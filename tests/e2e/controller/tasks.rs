//! Tasks that end: once, and taking everything back.

use std::process::Output;

use serde_json::{Value, json};

use crate::controller::case::{Case, login, make_account, pull_secret, references, uid, version};
use crate::kubectl::kubectl;
use crate::refusal::{REFUSED, Refusal};
use crate::wait::never;

#[track_caller]
fn ended(ran: &Output, status: i32) -> String {
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(status), "{said}");
    said
}

#[test]
fn run_once_does_everything_and_ends() {
    let case = Case::new();
    case.source("first");
    let spaces = [(); 3].map(|()| case.space());
    ended(&case.run(&["-runonce"]), 0);
    for space in &spaces {
        assert_eq!(case.references(space), [case.secret.as_str()]);
        assert!(case.copy(space).is_some());
    }
    // Nobody is there any more.
    case.on_copy(&spaces[0], "delete").ok();
    never("a copy", || case.copy(&spaces[0]));
    ended(&case.run(&["-runonce=true"]), 0);
    assert!(case.copy(&spaces[0]).is_some());
}

#[test]
fn run_once_without_credentials_fails_and_says_why() {
    let case = Case::new();
    let space = case.space();
    let said = ended(&case.run(&["-runonce"]), 1);
    let source = format!("{}/{}", case.home.name, case.secret);
    assert!(said.contains("nothing was done") && said.contains(&source), "{said}");
    assert!(case.copy(&space).is_none());
}

/// A job that did half of its work has failed, and did the other half nevertheless.
#[test]
fn run_once_that_fails_in_one_namespace_is_done_in_all_others() {
    let case = Case::new();
    case.source("first");
    let (full, other) = (case.space(), case.space());
    let _refusal = Refusal::of(&full, &case.secret);
    let said = ended(&case.run(&["-runonce"]), 1);
    assert!(said.contains(&full.name) && said.contains(REFUSED), "{said}");
    assert!(said.contains("1 of "), "{said}");
    case.has(&other, "first");
    assert_eq!(case.references(&full), Vec::<String>::new());
}

#[test]
fn run_once_leaves_a_foreign_secret_and_has_not_failed() {
    let case = Case::new();
    case.source("first");
    let space = case.space();
    let foreign = pull_secret(&case.secret, &login("theirs"));
    let before = space.kubectl("create -o json -f -").input(&foreign).json();
    let said = ended(&case.run(&["-runonce", "-managedonly"]), 0);
    assert!(said.contains("is not managed by pullgate"), "{said}");
    assert_eq!(version(&case.copy(&space).expect("it")), version(&before));
}

#[test]
fn uninstall_removes_what_is_ours_and_nothing_else() {
    let case = Case::new();
    case.source("first");
    let (own, taken, foreign, excluded) =
        (case.home.sibling(), case.space(), case.home.sibling(), case.space());
    // Ours, among entries of others.
    case.make_account(&own, &["before"]);
    // Theirs: of our name, with a reference to it, and beside it accounts that the settings do not name.
    let theirs = pull_secret(&case.secret, &login("theirs"));
    let stored = foreign.kubectl("create -o json -f -").input(&theirs).json();
    case.make_account(&foreign, &[&case.secret]);
    make_account(&own, "other", &["before"]);
    let unrelated = own.kubectl("create -o json -f -").input(&pull_secret("unrelated", &login("x"))).json();
    // Of the system that was replaced.
    let mut before = pull_secret(&case.secret, &login("old"));
    before["metadata"]["annotations"] = json!({"app.kubernetes.io/managed-by": "imagepullsecret-patcher"});
    taken.kubectl("create -f -").input(&before).ok();
    let source = case.copy(&case.home).expect("the source");

    let exclude = format!("-excluded-namespaces={}", excluded.name);
    let controller = case.controller(&["-managedonly", &exclude]);
    for space in [&own, &taken] {
        case.has(space, "first");
    }
    drop(controller);

    // The flags of the installation, whatever they are, and one more.
    ended(&case.run(&["-managedonly", &exclude, "--uninstall"]), 0);
    for space in [&own, &taken, &excluded] {
        assert!(case.copy(space).is_none(), "{}", space.name);
    }
    assert_eq!(case.references(&own), ["before"]);
    assert_eq!(case.references(&taken), Vec::<String>::new());
    assert_eq!(references(&own, "other"), ["before"]);
    let now = case.copy(&foreign).expect("the Secret of somebody else");
    assert_eq!((uid(&now), version(&now)), (uid(&stored), version(&stored)));
    assert_eq!(case.references(&foreign), [case.secret.as_str()]);
    assert_eq!(version(&own.get("secret/unrelated")), version(&unrelated));
    assert_eq!(case.copy(&case.home).expect("the source"), source, "the source stays as it is");
    // In no namespace is anything left, but in those of other tests that are on their way out.
    let selector = format!("--field-selector=metadata.name={}", case.secret);
    let mut left = kubectl("get secrets --all-namespaces -o json").word(&selector).json()["items"].take();
    let namespaces = kubectl("get namespaces -o json").json()["items"].take();
    let stays = |name: &Value| {
        let mut all = namespaces.as_array().expect("a list").iter();
        all.any(|it| it["metadata"]["name"] == *name && it["metadata"]["deletionTimestamp"].is_null())
    };
    left.as_array_mut().expect("a list").retain(|secret| stays(&secret["metadata"]["namespace"]));
    assert_eq!(left.as_array().map(Vec::len), Some(2), "the source and the foreign one: {left}");
    // Once more there is nothing to do.
    ended(&case.run(&["-managedonly", &exclude, "--uninstall"]), 0);
}

/// Beside the source, and where a copy was deleted by somebody, there is no copy of ours to tell by whose the reference
/// is. References that were there before stay.
#[test]
fn uninstall_removes_references_also_where_there_is_no_copy_of_ours() {
    let case = Case::new();
    case.source("first");
    let (space, theirs) = (case.space(), case.home.sibling());
    make_account(&case.home, "other", &[&case.secret]);
    case.make_account(&theirs, &[&case.secret]);
    ended(&case.run(&["-runonce"]), 0);
    assert_eq!(case.references(&case.home), [case.secret.as_str()]);
    for gone in [&space, &theirs] {
        case.on_copy(gone, "delete").ok();
    }
    ended(&case.run(&["--uninstall=true"]), 0);
    for left in [&case.home, &space] {
        assert_eq!(case.references(left), Vec::<String>::new(), "{}", left.name);
        let account = left.get(&format!("serviceaccount/{}", case.account));
        assert_eq!(account["metadata"]["annotations"]["pullgate/references"], json!(null), "{account}");
    }
    assert_eq!(references(&case.home, "other"), [case.secret.as_str()]);
    assert_eq!(case.references(&theirs), [case.secret.as_str()]);
    assert!(case.copy(&case.home).is_some(), "the source");
}

/// It takes no credentials to take them back.
#[test]
fn uninstall_works_when_the_source_is_gone() {
    let case = Case::new();
    case.source("first");
    let space = case.space();
    ended(&case.run(&["-runonce"]), 0);
    case.on_copy(&case.home, "delete").ok();
    ended(&case.run(&["--uninstall"]), 0);
    assert!(case.copy(&space).is_none());
    assert_eq!(case.references(&space), Vec::<String>::new());
}
