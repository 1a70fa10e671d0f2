//! What the controller has seen, whatever the order in which it is told.

use k8s_openapi::api::core::v1::{Secret as ApiSecret, ServiceAccount};
use kube::runtime::watcher::Event;
use proptest::prelude::*;
use pullgate::controller::credentials::Digest;
use pullgate::controller::plan::{Account, Notes, Owner, Secret};
use pullgate::controller::view::{Origin, Seen, Watched, content_of, of_account, of_secret};
use serde_json::{Value, json};

fn account(namespace: &str, name: &str, version: u64) -> Seen<Account> {
    let fact = Account {
        name: name.to_owned(),
        resource_version: version.to_string(),
        deleting: false,
        references: Vec::new(),
        notes: Notes::default(),
    };
    Seen { namespace: namespace.to_owned(), name: name.to_owned(), fact }
}

fn names(watched: &Watched<Account>, namespace: &str) -> Vec<(String, String)> {
    watched.of(namespace).map(|(name, account)| (name.clone(), account.resource_version.clone())).collect()
}

fn is(name: &str, version: &str) -> (String, String) {
    (name.to_owned(), version.to_owned())
}

#[test]
fn an_event_tells_the_namespace_that_is_different_now() {
    let mut watched = Watched::default();
    assert_eq!(watched.see(Event::Apply(account("a", "x", 1))), ["a"]);
    assert_eq!(watched.see(Event::Apply(account("a", "x", 1))), [""; 0], "the same again");
    assert_eq!(watched.see(Event::Apply(account("a", "x", 2))), ["a"]);
    assert_eq!(watched.see(Event::Delete(account("a", "y", 3))), [""; 0], "never seen");
    assert_eq!(watched.see(Event::Delete(account("a", "x", 3))), ["a"]);
    assert_eq!(names(&watched, "a"), []);
}

/// The answer to a write comes before its event, or between two events.
#[test]
fn an_event_that_comes_late_takes_nothing_back() {
    let mut watched = Watched::default();
    watched.see(Event::Apply(account("a", "x", 5)));
    watched.written(account("a", "x", 8));
    assert_eq!(watched.see(Event::Apply(account("a", "x", 6))), [""; 0]);
    assert_eq!(watched.see(Event::Apply(account("a", "x", 8))), [""; 0]);
    assert_eq!(names(&watched, "a"), [is("x", "8")]);
    // As numbers, not as text.
    watched.written(account("a", "x", 10));
    assert_eq!(watched.see(Event::Apply(account("a", "x", 9))), [""; 0]);
    assert_eq!(names(&watched, "a"), [is("x", "10")]);
}

/// Deleted and made again by ourselves: the end of the first one is told when the second one is known already.
#[test]
fn the_end_of_an_earlier_object_is_not_that_of_a_later_one() {
    let mut watched = Watched::default();
    watched.see(Event::Apply(account("a", "x", 5)));
    watched.deleted("a", "x");
    watched.written(account("a", "x", 8));
    assert_eq!(watched.see(Event::Delete(account("a", "x", 7))), [""; 0]);
    assert_eq!(names(&watched, "a"), [is("x", "8")]);
    assert_eq!(watched.see(Event::Delete(account("a", "x", 9))), ["a"]);
    assert_eq!(names(&watched, "a"), []);
}

#[test]
fn a_new_list_replaces_what_was_seen_when_it_is_whole_and_not_before() {
    let mut watched = Watched::default();
    for seen in [account("a", "x", 1), account("b", "x", 2), account("c", "x", 3)] {
        watched.see(Event::Apply(seen));
    }
    watched.see(Event::Init);
    watched.see(Event::InitApply(account("b", "x", 2)));
    watched.see(Event::InitApply(account("c", "x", 9)));
    assert_eq!(names(&watched, "a"), [is("x", "1")], "it may be on the next page");
    watched.see(Event::InitApply(account("d", "x", 8)));
    let mut different = watched.see(Event::InitDone);
    different.sort();
    assert_eq!(different, ["a", "c", "d"]);
    assert_eq!(names(&watched, "a"), []);
    assert_eq!(names(&watched, "c"), [is("x", "9")]);
}

/// The connection breaks in the middle: the next list is not the rest of this one.
#[test]
fn a_list_that_breaks_off_changes_nothing() {
    let mut watched = Watched::default();
    watched.see(Event::Apply(account("a", "x", 1)));
    watched.see(Event::Init);
    watched.see(Event::InitApply(account("b", "x", 2)));
    watched.see(Event::Init);
    watched.see(Event::InitApply(account("a", "x", 1)));
    assert_eq!(watched.see(Event::InitDone), [""; 0]);
    assert_eq!(names(&watched, "b"), []);
}

/// One object's life, as versions; none where it is gone.
fn lives() -> impl Strategy<Value = Vec<Option<u64>>> {
    prop::collection::vec(any::<bool>(), 1..12)
        .prop_map(|alive| (1_u64..).zip(alive).map(|(version, alive)| alive.then_some(version)).collect())
}

proptest! {
    /// Answers to our own writes come early, events in order; in the end only the order of the API server counts.
    #[test]
    fn early_answers_and_events_in_order_end_where_the_object_is(life in lives(), early in any::<u64>()) {
        let mut watched = Watched::default();
        let (mut known, mut last) = (0, None);
        for (version, state) in (1..).zip(&life) {
            // Some states are known by an answer before any of the events up to them.
            if early >> version & 1 == 1 {
                if state.is_some() { watched.written(account("a", "x", version)) } else { watched.deleted("a", "x") }
                while known < version {
                    known += 1;
                    tell(&mut watched, &life, known, &mut last);
                }
            }
        }
        while known < life.len() as u64 {
            known += 1;
            tell(&mut watched, &life, known, &mut last);
        }
        let expected: Vec<_> = life.last().copied().flatten().map(|version| is("x", &version.to_string())).into_iter().collect();
        prop_assert_eq!(names(&watched, "a"), expected);
    }
}

/// The event of a version.
fn tell(watched: &mut Watched<Account>, life: &[Option<u64>], version: u64, last: &mut Option<u64>) {
    let now = life[usize::try_from(version).unwrap() - 1];
    match (now, *last) {
        (Some(_), _) => drop(watched.see(Event::Apply(account("a", "x", version)))),
        (None, Some(_)) => drop(watched.see(Event::Delete(account("a", "x", version)))),
        (None, None) => {}
    }
    *last = now;
}

fn secret(edit: &Value) -> Seen<Secret> {
    let mut secret = json!({
        "metadata": {
            "namespace": "a", "name": "regcred", "uid": "u", "resourceVersion": "7",
            "labels": {"app.kubernetes.io/managed-by": "pullgate"},
            "annotations": {"app.kubernetes.io/managed-by": "imagepullsecret-patcher"},
        },
        "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="},
    });
    json_patch::merge(&mut secret, edit);
    let secret: ApiSecret = serde_json::from_value(secret).unwrap();
    let object = ("infra".to_owned(), "regcred".to_owned());
    of_secret(secret, &Origin { object, local: true, mounted: Some("pods-own".to_owned()) })
}

#[test]
fn a_secret_is_seen_without_its_content() {
    let ours = Secret {
        uid: "u".to_owned(),
        resource_version: "7".to_owned(),
        owner: Owner::Us,
        content: Some(Digest::of(b"{}")),
        frozen: false,
        extra_keys: Vec::new(),
    };
    let seen = secret(&json!({}));
    assert_eq!((seen.namespace.as_str(), seen.name.as_str(), seen.fact), ("a", "regcred", ours.clone()));
    for (edit, expected) in [
        (
            json!({"metadata": {"namespace": "infra", "labels": null, "annotations": null}}),
            Secret { owner: Owner::Source, ..ours.clone() },
        ),
        // A copy in its place, from when there was none.
        (json!({"metadata": {"namespace": "infra"}}), ours.clone()),
        (
            json!({"metadata": {"namespace": "infra", "labels": null}}),
            Secret { owner: Owner::Predecessor, ..ours.clone() },
        ),
        // Somebody has put other credentials there.
        (
            json!({"metadata": {"namespace": "infra", "managedFields": [
                {"manager": "kubectl", "fieldsV1": {"f:data": {"f:.dockerconfigjson": {}}}},
                {"manager": "pullgate", "fieldsV1": {"f:data": {}, "f:type": {}}},
            ]}}),
            Secret { owner: Owner::Source, ..ours.clone() },
        ),
        (
            json!({"metadata": {"namespace": "infra", "managedFields": [
                {"manager": "kubectl", "fieldsV1": {"f:metadata": {"f:labels": {}}}},
                {"manager": "pullgate", "fieldsV1": {"f:data": {"f:.dockerconfigjson": {}}}},
            ]}}),
            ours.clone(),
        ),
        // Perhaps mounted as the file that is read.
        (
            json!({"metadata": {"namespace": "pods-own", "labels": null}}),
            Secret { owner: Owner::Source, ..ours.clone() },
        ),
        (json!({"metadata": {"namespace": "pods-own"}}), ours.clone()),
        (json!({"metadata": {"labels": null}}), Secret { owner: Owner::Predecessor, ..ours.clone() }),
        (json!({"metadata": {"annotations": null}}), Secret { owner: Owner::Predecessor, ..ours.clone() }),
        // kubectl's note holds the credentials once more, and goes with the next write.
        (
            json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}}),
            Secret { owner: Owner::Predecessor, ..ours.clone() },
        ),
        (
            json!({"metadata": {"labels": null, "annotations": null}}),
            Secret { owner: Owner::Somebody, ..ours.clone() },
        ),
        (
            json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": null}}),
            Secret { owner: Owner::Somebody, ..ours.clone() },
        ),
        (
            json!({"data": {"x": "eA=="}}),
            Secret { content: None, extra_keys: vec!["x".to_owned()], ..ours.clone() },
        ),
        (json!({"data": null}), Secret { content: None, ..ours.clone() }),
        (json!({"type": "Opaque"}), Secret { content: None, frozen: true, ..ours.clone() }),
        (json!({"immutable": true}), Secret { frozen: true, ..ours.clone() }),
        (json!({"immutable": false}), ours.clone()),
    ] {
        assert_eq!(secret(&edit).fact, expected, "{edit}");
    }
}

#[test]
fn a_content_is_taken_out_of_its_secret() {
    let of = |data: Value| -> (Option<Vec<u8>>, ApiSecret) {
        let mut secret: ApiSecret = serde_json::from_value(json!({"metadata": {}, "data": data})).unwrap();
        (content_of(&mut secret), secret)
    };
    let (content, left) = of(json!({".dockerconfigjson": "e30=", "other": "eHh4"}));
    assert_eq!(content.as_deref(), Some(&b"{}"[..]));
    let left = left.data.unwrap();
    assert!(left.values().all(|content| content.0.iter().all(|byte| *byte == 0)), "wiped");
    assert_eq!(of(json!({"other": "eHh4"})).0, None);
    assert_eq!(of(Value::Null).0, None);
}

#[test]
fn an_account_is_its_list() {
    let of = |edit: Value| {
        let mut account = json!({"metadata": {"namespace": "a", "name": "default", "resourceVersion": "7"}});
        json_patch::merge(&mut account, &edit);
        let account: ServiceAccount = serde_json::from_value(account).unwrap();
        of_account(account).fact
    };
    let list = json!([{"name": "a"}, {}, {"name": ""}, {"name": "a"}]);
    let a = Some("a".to_owned());
    assert_eq!(of(json!({"imagePullSecrets": list})).references, [a.clone(), None, None, a]);
    assert_eq!(of(json!({"imagePullSecrets": []})).references, []);
    assert!(!of(json!({})).deleting);
    let notes = |annotations: Value| of(json!({"metadata": {"annotations": annotations}})).notes;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(notes(json!({})), Notes::default());
    assert_eq!(notes(json!({"x": "y"})), Notes { annotated: true, ..Notes::default() });
    assert_eq!(
        notes(json!({"pullgate/references": "b,a"})),
        Notes { annotated: true, names: names(&["a", "b"]) }
    );
    assert!(of(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})).deleting);
}
