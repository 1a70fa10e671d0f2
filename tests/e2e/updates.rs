//! Everything that happens to Pods that exist, with a webhook that is called for every update.

use crate::existing::{self, EVERYTHING};
use crate::space::{Hooked, Space, pull_secrets};
use crate::webhook::all_rules;

const UPDATES: [&str; 2] = [r#"resource="pods""#, r#"operation="UPDATE""#];

/// Runs a case; the webhook must have been asked about updates, and must have answered all of them so.
fn with_every_call(case: fn(&Space), outcome: &str) {
    let (space, webhook) = start();
    case(&space);
    let outcome = format!("outcome={outcome:?}");
    let [resource, operation] = UPDATES;
    let answered = webhook.process.calls(&[resource, operation, &outcome]);
    assert!(answered > 0, "no update came to the webhook and ended with {outcome}");
    assert_eq!(webhook.process.calls(&UPDATES), answered, "all updates ended with {outcome}");
}

fn start() -> (Space, Hooked) {
    let space = Space::new();
    existing::prepare(&space);
    let webhook = space.webhook_for(&all_rules(), &EVERYTHING);
    (space, webhook)
}

#[test]
fn labels_and_annotations_of_an_old_pod_change_nothing_else() {
    with_every_call(existing::labels_and_annotations, "unchanged");
}

#[test]
fn the_finalizer_of_an_old_pod_can_be_removed() {
    with_every_call(existing::removal_of_a_finalizer, "unchanged");
}

#[test]
fn another_change_of_an_old_pods_specification_changes_nothing_else() {
    with_every_call(existing::another_change_of_the_specification, "unchanged");
}

#[test]
fn an_old_pod_that_is_being_deleted_is_left_alone() {
    with_every_call(existing::updates_during_deletion, "exempt");
}

#[test]
fn a_mirror_pod_is_left_alone() {
    with_every_call(existing::mirror_pods, "exempt");
}

#[test]
fn a_set_image_is_rewritten_and_changes_nothing_else() {
    let (space, webhook) = start();
    existing::set_image(&space);
    let [resource, operation] = UPDATES;
    assert!(webhook.process.calls(&[resource, operation, r#"outcome="patched""#]) > 0);
}

#[test]
fn an_old_pod_can_be_resized_and_deleted_and_its_status_set() {
    let (space, webhook) = start();
    existing::resize(&space);
    existing::deletion(&space);
    existing::status(&space);
    let unsupported = [r#"resource="other""#, r#"operation="UPDATE""#, r#"outcome="unsupported""#];
    assert!(webhook.process.calls(&unsupported) >= 2, "the webhook was asked about resize and status");
    let deletion = [r#"resource="pods""#, r#"operation="other""#, r#"outcome="unsupported""#];
    assert!(webhook.process.calls(&deletion) >= 1, "the webhook was asked about the deletion");
}

#[test]
fn applying_the_same_manifest_again_is_accepted_and_changes_nothing() {
    let (space, _webhook) = start();
    existing::apply_of_the_same_manifest(&space);
}

#[test]
fn applying_the_same_manifest_again_server_side_is_accepted_and_changes_nothing() {
    let (space, _webhook) = start();
    existing::server_side_apply_of_the_same_manifest(&space);
}

#[test]
fn applying_the_same_manifest_again_is_accepted_where_pull_secrets_are_appended() {
    let space = Space::new();
    let settings = [EVERYTHING.as_slice(), &[("IMAGE_PULL_SECRET_APPEND", "true")]].concat();
    let _webhook = space.webhook(&settings);
    for apply in ["apply -f applied.yaml", "apply --server-side --force-conflicts -f applied.yaml"] {
        space.kubectl(apply).ok();
        let first = space.get("pod/applied");
        assert_eq!(pull_secrets(&first), ["theirs", "others", "regcred"]);
        space.kubectl(apply).ok();
        assert_eq!(space.get("pod/applied")["spec"], first["spec"], "{apply}");
    }
}

#[test]
fn a_pod_can_be_taken_over_by_server_side_apply() {
    let (space, _webhook) = start();
    existing::server_side_apply_after_another(&space);
}

#[test]
fn a_replaced_pod_keeps_what_it_had_and_gets_a_new_image_rewritten() {
    let (space, _webhook) = start();
    existing::replacement(&space);
}

#[test]
fn containers_of_kubectl_debug_are_set_and_those_before_them_are_not() {
    let (space, webhook) = start();
    existing::debugging(&space);
    let ephemeral = [r#"resource="pods/ephemeralcontainers""#, r#"outcome="patched""#];
    assert_eq!(webhook.process.calls(&ephemeral), 3);
}
