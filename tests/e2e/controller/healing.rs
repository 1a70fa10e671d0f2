//! Copies that somebody deletes or edits.

use serde_json::{Value, json};

use crate::controller::case::{
    Case, Controller, KEY, MANAGED_BY, TYPE, content_of, login, pull_secret, uid, version,
};
use crate::controller::events::events;
use crate::space::Space;
use crate::wait::{never, soon};

const MARKED: &str = "imagepullsecret-patcher";

/// A namespace with everything as wanted, and who keeps it so.
struct Kept {
    controller: Controller,
    space: Space,
    copy: Value,
    case: Case,
}

impl Kept {
    #[track_caller]
    fn new(flags: &[&str]) -> Self {
        let case = Case::new();
        case.source("first");
        let space = case.space();
        let controller = case.controller(flags);
        let copy = case.has(&space, "first");
        Self { controller, space, copy, case }
    }

    #[track_caller]
    fn patch(&self, patch: &Value) -> Value {
        let patch = format!("--patch={patch}");
        let line = self.case.on_copy(&self.space, "patch --type=merge -o json");
        line.word(&patch).json()
    }

    /// Waits until the copy has content and marks as at first, and nothing else.
    #[track_caller]
    fn healed(&self, what: &str) -> Value {
        soon(what, || {
            self.case.copy(&self.space).filter(|now| {
                let same = |field: &str| now[field] == self.copy[field];
                let marked = |field: &str| {
                    now["metadata"][field][MANAGED_BY] == self.copy["metadata"][field][MANAGED_BY]
                };
                same("data") && same("type") && marked("labels") && marked("annotations")
            })
        })
    }

    /// Puts another Secret in the place of the copy; `marks` tells whether it says that it is ours.
    #[track_caller]
    fn replace_by_opaque(&self, marked: bool) -> Value {
        let mut other = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": self.case.secret}, "data": {KEY: self.copy["data"][KEY]},
        });
        if marked {
            other["metadata"]["labels"] = json!({MANAGED_BY: "pullgate"});
            other["metadata"]["annotations"] = json!({MANAGED_BY: MARKED});
        }
        // The controller may be faster; somebody who has stopped it is not.
        self.controller.signal("STOP");
        self.case.on_copy(&self.space, "delete --now --ignore-not-found").ok();
        let made = self.space.kubectl("create -o json -f -").input(&other).json();
        self.controller.signal("CONT");
        made
    }
}

#[test]
fn a_deleted_copy_is_made_again() {
    let kept = Kept::new(&[]);
    for _ in 0..3 {
        let before = kept.case.copy(&kept.space).expect("the copy");
        kept.case.on_copy(&kept.space, "delete").ok();
        let after = kept.healed("the copy");
        assert_ne!(uid(&before), uid(&after));
    }
}

/// In place: what somebody added beside content and marks is theirs.
#[test]
fn an_edited_copy_is_mended_in_place() {
    let kept = Kept::new(&[]);
    let other = pull_secret("other", &login("edited"))["data"].clone();
    for (what, edit) in [
        ("content", json!({"data": other})),
        ("a key too many", json!({"data": {"password": "aHVudGVyMg=="}})),
        ("without its label", json!({"metadata": {"labels": {MANAGED_BY: null}}})),
        ("with another label", json!({"metadata": {"labels": {MANAGED_BY: "Helm"}}})),
        ("without its annotation", json!({"metadata": {"annotations": {MANAGED_BY: null}}})),
        ("without both", json!({"metadata": {"labels": null, "annotations": null}})),
        ("all of it", json!({"data": other, "metadata": {"labels": {MANAGED_BY: "x"}, "annotations": null}})),
    ] {
        kept.patch(&edit);
        let after = kept.healed(what);
        assert_eq!(uid(&kept.copy), uid(&after), "{what}");
    }
    // The same JSON, written in another way, is no difference.
    let spaced = login("first").replace(':', " : ");
    let edited = kept.patch(&json!({"data": pull_secret("x", &spaced)["data"]}));
    kept.patch(&json!({"metadata": {"labels": {"team": "a"}}}));
    never("a write for nothing", || {
        let copy = kept.case.copy(&kept.space)?;
        (content_of(&copy) != content_of(&edited) || copy["metadata"]["labels"]["team"] != "a")
            .then_some(copy)
    });
}

/// kubectl notes what it applied, credentials and all, be they those of the source or others.
#[test]
fn what_kubectl_noted_of_an_applied_copy_is_removed() {
    let kept = Kept::new(&[]);
    for content in ["first", "applied"] {
        kept.space.kubectl("apply -f -").input(&pull_secret(&kept.case.secret, &login(content))).ok();
        let after = soon("the copy as it was", || {
            let copy = kept.case.copy(&kept.space)?;
            let marked = copy["metadata"]["annotations"] == json!({MANAGED_BY: MARKED});
            (marked && copy["data"] == kept.copy["data"]).then_some(copy)
        });
        assert_eq!(uid(&kept.copy), uid(&after));
    }
}

/// A type cannot be changed, so somebody has made another Secret of that name.
#[test]
fn a_copy_of_another_type_is_made_anew_under_force() {
    for marked in [false, true] {
        let kept = Kept::new(&[]);
        let other = kept.replace_by_opaque(marked);
        let after = kept.healed("a Secret of the right type");
        assert_eq!(after["type"], TYPE);
        assert_ne!(uid(&other), uid(&after));
        assert_eq!(kept.case.references(&kept.space), [kept.case.secret.as_str()]);
    }
}

#[test]
fn a_copy_of_another_type_is_left_and_reported_without_force() {
    for marked in [false, true] {
        let kept = Kept::new(&["-force=false"]);
        let other = kept.replace_by_opaque(marked);
        soon("an Event", || events(&kept.space, "SecretConflict").pop());
        assert_eq!(kept.controller.count("pullgate_controller_secrets", &["state=\"conflict\""]), 1);
        let after = kept.case.copy(&kept.space).expect("the other Secret");
        assert_eq!((uid(&other), version(&other)), (uid(&after), version(&after)));
        // It is in nobody's way any more.
        kept.case.on_copy(&kept.space, "delete").ok();
        kept.healed("the copy");
    }
}

/// Nobody can write an immutable Secret, but all of it may be as wanted.
#[test]
fn an_immutable_copy_is_replaced_when_it_is_wrong_and_not_before() {
    let kept = Kept::new(&[]);
    let frozen = kept.patch(&json!({"immutable": true}));
    never("a write for nothing", || {
        kept.case.copy(&kept.space).filter(|copy| version(copy) != version(&frozen))
    });
    kept.case.source("second");
    let after = kept.case.has(&kept.space, "second");
    assert_ne!(uid(&frozen), uid(&after));
    assert_eq!(after["immutable"], json!(null));

    let kept = Kept::new(&["-force=false"]);
    kept.patch(&json!({"immutable": true}));
    kept.case.source("second");
    soon("an Event", || events(&kept.space, "SecretConflict").pop());
    let after = kept.case.copy(&kept.space).expect("the copy");
    assert_eq!(content_of(&after).as_deref(), Some(&*login("first")), "it is left as it was");
}
