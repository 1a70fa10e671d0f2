//! What is said of a resource, and when it changes.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use pullgate::controller::merge::Condition;
use pullgate::controller::outcomes::Outcome;
use pullgate::controller::resource::ImagePullSecretStatus;
use pullgate::controller::status::{Reason, Standing};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn good() -> Standing {
    Standing {
        generation: Some(3),
        sources: BTreeMap::from([("n.one".to_owned(), Condition::Good)]),
        expires: Some(at(43_200)),
        namespaces: BTreeMap::from([("a".to_owned(), Outcome::InSync), ("b".to_owned(), Outcome::InSync)]),
        ..Standing::default()
    }
}

#[test]
fn ready_is_what_is_all_as_it_should_be() {
    let status = good().status(&ImagePullSecretStatus::default(), at(1));
    assert_eq!(status.status.as_deref(), Some("Ready"));
    assert_eq!(status.reason, None);
    assert_eq!(status.managed_namespaces, ["a", "b"]);
    assert_eq!(status.source_secret_status, BTreeMap::from([("n.one".to_owned(), "Ok".to_owned())]));
    assert_eq!(status.last_successful_reconciliation.as_deref(), Some("1970-01-01T00:00:01Z"));
    assert_eq!(status.validity_seconds, Some(43_199));
    assert_eq!(status.expires_at.as_deref(), Some("1970-01-01T12:00:00Z"));
    assert_eq!(status.observed_generation, Some(3));
    let [condition] = status.conditions.as_slice() else { panic!("{status:?}") };
    assert_eq!((condition.type_.as_str(), condition.status.as_str()), ("Ready", "True"));
}

/// Otherwise each look would be a write.
#[test]
fn time_alone_changes_nothing() {
    let before = good().status(&ImagePullSecretStatus::default(), at(1));
    assert_eq!(good().status(&before, at(5000)), before);
    let failing = Standing { unusable: Some("no".to_owned()), ..good() };
    let before = failing.status(&before, at(6000));
    assert_eq!(failing.status(&before, at(7000)), before);
}

#[test]
fn while_namespaces_are_worked_on_nothing_is_said() {
    let mut standing = good();
    standing.namespaces.insert("c".to_owned(), Outcome::Pending);
    assert_eq!(standing.verdict(), None);
    let before =
        ImagePullSecretStatus { reason: Some("before".to_owned()), ..ImagePullSecretStatus::default() };
    assert_eq!(standing.status(&before, at(1)), before);
}

type Edit = fn(&mut Standing);

#[test]
fn failed_says_what_has_failed_and_keeps_the_last_success() {
    let ready = good().status(&ImagePullSecretStatus::default(), at(1));
    let cases: [(&str, Reason, Edit); 5] = [
        ("some source secrets failed to render: n.two: is gone", Reason::SourceCredentialsError, |it| {
            it.sources.insert("n.two".to_owned(), Condition::Failing("is gone".to_owned()));
        }),
        (
            "some source secrets failed to render: n.two: Expired: since 1970-01-01T00:00:01Z: throttled",
            Reason::SourceCredentialsError,
            |it| {
                let expired = Condition::Expired { since: at(1), problem: Some("throttled".to_owned()) };
                it.sources.insert("n.two".to_owned(), expired);
            },
        ),
        ("1 of 2 namespaces are not as they should be: b: denied", Reason::SecretReconciliationError, |it| {
            it.namespaces.insert("b".to_owned(), Outcome::Failed("denied".to_owned()));
        }),
        (
            "1 namespaces have a copy that could not be removed: c: denied",
            Reason::SecretDeletionError,
            |it| {
                it.namespaces.insert("c".to_owned(), Outcome::Left("denied".to_owned()));
            },
        ),
        ("spec.target: no", Reason::ReconciliationFailed, |it| {
            it.unusable = Some("spec.target: no".to_owned());
        }),
    ];
    for (message, reason, edit) in cases {
        let mut standing = good();
        edit(&mut standing);
        assert_eq!(standing.verdict(), Some((reason, message.to_owned())));
        let status = standing.status(&ready, at(10));
        assert_eq!(status.status.as_deref(), Some("Failed"));
        assert_eq!(status.reason.as_deref(), Some(message));
        assert_eq!(status.last_successful_reconciliation, ready.last_successful_reconciliation);
        let condition = &status.conditions[0];
        assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", reason.as_str()));
        assert_eq!(condition.last_transition_time, "1970-01-01T00:00:10Z");
        // And back.
        let again = good().status(&status, at(20));
        assert_eq!(again.status.as_deref(), Some("Ready"));
        assert_eq!(again.last_successful_reconciliation.as_deref(), Some("1970-01-01T00:00:20Z"));
    }
}

#[test]
fn many_failures_are_counted_and_three_are_named() {
    let mut standing = good();
    standing.namespaces = (0..10).map(|n| (format!("n{n}"), Outcome::Failed("no".to_owned()))).collect();
    let (_, message) = standing.verdict().unwrap();
    assert_eq!(message, "10 of 10 namespaces are not as they should be: n0: no; n1: no; n2: no; and 7 more");
}
