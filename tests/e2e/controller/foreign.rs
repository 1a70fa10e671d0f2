//! A Secret of our name that somebody else has made.

use serde_json::{Value, json};

use crate::controller::case::{Case, Controller, KEY, MANAGED_BY, TYPE, login, pull_secret, uid, version};
use crate::controller::events::events;
use crate::space::Space;
use crate::wait::{never, soon};

const CONFLICT: &str = "SecretConflict";

/// Makes somebody's pull secret of our name, with marks of theirs.
#[track_caller]
fn foreign(case: &Case, space: &Space) -> Value {
    let mut secret = pull_secret(&case.secret, &login("theirs"));
    secret["metadata"]["labels"] = json!({"team": "a", MANAGED_BY: "Helm"});
    space.kubectl("create -o json -f -").input(&secret).json()
}

fn conflicts(controller: &Controller) -> u64 {
    controller.count("pullgate_controller_secrets", &["state=\"conflict\""])
}

#[test]
fn it_is_overwritten_in_place_under_force() {
    let case = Case::new();
    let space = case.space();
    let before = foreign(&case, &space);
    case.source("first");
    let controller = case.controller(&["-force=true"]);
    let after = case.has(&space, "first");
    assert_eq!(uid(&before), uid(&after));
    assert_eq!(after["metadata"]["labels"], json!({"team": "a", MANAGED_BY: "pullgate"}));
    assert_eq!(after["metadata"]["annotations"][MANAGED_BY], "imagepullsecret-patcher");
    assert_eq!(conflicts(&controller), 0);
}

/// It serves as it is, and stays whose it is.
#[test]
fn one_that_may_not_be_overwritten_serves_if_its_content_is_right() {
    for flag in ["-force=false", "-managedonly"] {
        let case = Case::new();
        let space = case.space();
        let theirs = pull_secret(&case.secret, &login("first"));
        let before = space.kubectl("create -o json -f -").input(&theirs).json();
        case.source("first");
        let controller = case.controller(&[flag]);
        soon("a reference", || (case.references(&space) == [case.secret.as_str()]).then_some(()));
        assert_eq!(conflicts(&controller), 0);
        drop(controller);
        assert!(case.run(&[flag, "--uninstall"]).status.success());
        let after = case.copy(&space).expect("the Secret of somebody else");
        assert_eq!(version(&before), version(&after), "{flag}");
        assert_eq!(case.references(&space), Vec::<String>::new(), "{flag}");
    }
}

#[test]
fn one_of_another_type_is_made_anew_under_force() {
    let case = Case::new();
    let space = case.space();
    let opaque = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": case.secret}, "stringData": {"token": "x", KEY: "x"},
    });
    let before = space.kubectl("create -o json -f -").input(&opaque).json();
    case.source("first");
    let _controller = case.controller(&[]);
    let after = case.has(&space, "first");
    assert_ne!(uid(&before), uid(&after));
    assert_eq!(after["type"], TYPE);
    assert_eq!(after["data"].as_object().expect("data").len(), 1);
}

/// Neither the Secret nor the accounts beside it: their reference would name credentials that are not ours.
#[test]
fn it_is_left_alone_and_reported_once_without_force_or_with_managedonly() {
    for flags in [vec!["-force=false"], vec!["-managedonly"], vec!["-managedonly=true", "-force=true"]] {
        let case = Case::new();
        let space = case.space();
        let before = foreign(&case, &space);
        case.source("first");
        let controller = case.controller(&flags);
        // Everywhere else there is a copy.
        let other = case.space();
        case.has(&other, "first");

        let told = soon("an Event", || events(&space, CONFLICT).pop());
        assert_eq!(told["involvedObject"]["kind"], "Secret");
        assert_eq!(told["involvedObject"]["uid"], uid(&before));
        assert_eq!(told["type"], "Warning");
        assert_eq!(conflicts(&controller), 1);
        // Each change of the namespace is a reason to look again, and none to say it again.
        let looks = || controller.count("pullgate_controller_reconciles_total", &[]);
        let seen = looks();
        for round in 0..3 {
            kubectl_annotate(&space, &format!("round={round}"));
        }
        soon("more looks", || (looks() > seen).then_some(()));
        never("another Event", || {
            Some(events(&space, CONFLICT)).filter(|events| events.len() != 1 || again(events))
        });
        let after = case.copy(&space).expect("the Secret of somebody else");
        assert_eq!((uid(&before), version(&before)), (uid(&after), version(&after)));
        assert_eq!(case.references(&space), Vec::<String>::new());

        // Once it is gone, the name is free.
        case.on_copy(&space, "delete").ok();
        case.has(&space, "first");
        assert_eq!(conflicts(&controller), 0);
    }
}

fn again(events: &[Value]) -> bool {
    events.iter().any(|event| !event["series"].is_null())
}

#[track_caller]
fn kubectl_annotate(space: &Space, annotation: &str) {
    crate::kubectl::kubectl("annotate --overwrite namespace").word(&space.name).word(annotation).ok();
}

/// The mark of the system that is replaced: its copies are taken over, not left behind.
#[test]
fn copies_of_the_predecessor_are_ours_whatever_the_settings_say() {
    for flags in [&["-force=false"][..], &["-managedonly"], &[]] {
        let case = Case::new();
        let space = case.space();
        let mut secret = pull_secret(&case.secret, &login("first"));
        secret["metadata"]["annotations"] = json!({MANAGED_BY: "imagepullsecret-patcher"});
        let before = space.kubectl("create -o json -f -").input(&secret).json();
        case.source("first");
        let _controller = case.controller(flags);
        let after = soon("the label", || {
            case.copy(&space).filter(|copy| copy["metadata"]["labels"][MANAGED_BY] == "pullgate")
        });
        assert_eq!(uid(&before), uid(&after));
        case.source("second");
        assert_eq!(uid(&before), uid(&case.has(&space, "second")));
    }
}
