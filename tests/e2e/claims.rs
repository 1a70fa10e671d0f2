//! `PersistentVolumeClaim`s: the class that is stored, by who named what, and how it was sent.
//!
//! Nothing here provisions: what counts is what the API server stores. A default class holds for the whole
//! cluster, so these tests run one after the other; no other test makes claims.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::kubectl::kubectl;
use crate::space::{Hooked, Space, unique};
use crate::wait::until;

const BETA: &str = "volume.beta.kubernetes.io/storage-class";
const OURS: &str = "ours";

/// Whether the cluster has a default class; also keeps the tests of this module apart.
struct Classes {
    /// A namespace that no webhook is called for.
    observer: Space,
    default: Option<String>,
    _alone: MutexGuard<'static, ()>,
}

impl Classes {
    #[track_caller]
    fn none() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let classes = Self { observer: Space::new(), default: None, _alone: alone };
        let what = "a cluster without a default StorageClass: remove the default, or make a new cluster";
        until(what, || classes.of_a_new_claim().is_null().then_some(()));
        classes
    }

    /// Makes a class the default one, and returns its name when the API server knows.
    #[track_caller]
    fn make_default(&mut self) -> String {
        let name = unique("e2e-default");
        kubectl("create -f -")
            .input(&json!({
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {
                    "name": name,
                    "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
                },
                "provisioner": "e2e.test/none",
            }))
            .ok();
        self.default = Some(name.clone());
        until("the default class in new claims", || (self.of_a_new_claim() == name).then_some(()));
        name
    }

    /// The class of a claim that names none.
    #[track_caller]
    fn of_a_new_claim(&self) -> Value {
        let probe = claim("probe", &Named::Nothing);
        let mut made = self.observer.kubectl("create --dry-run=server -o json -f -").input(&probe).json();
        made["spec"]["storageClassName"].take()
    }
}

impl Drop for Classes {
    fn drop(&mut self) {
        if let Some(name) = &self.default {
            kubectl("delete storageclass").word(name).run();
        }
    }
}

/// What the author of a claim says about its class.
#[derive(Clone, Copy, Debug)]
enum Named {
    Nothing,
    Class(&'static str),
    Annotation(&'static str),
    Both(&'static str, &'static str),
}

const AUTHORS: [(&str, Named); 7] = [
    ("none", Named::Nothing),
    ("other", Named::Class("other")),
    ("same", Named::Class(OURS)),
    ("empty", Named::Class("")),
    ("beta", Named::Annotation("other")),
    ("beta-same", Named::Annotation(OURS)),
    ("beta-and-class", Named::Both("other", "other")),
];

const CLIENTS: [&str; 3] = ["create", "apply", "apply --server-side"];

fn claim(name: &str, named: &Named) -> Value {
    let mut claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    if let Named::Class(class) | Named::Both(class, _) = named {
        claim["spec"]["storageClassName"] = json!(class);
    }
    if let Named::Annotation(class) | Named::Both(_, class) = named {
        claim["metadata"]["annotations"] = json!({BETA: class});
    }
    claim
}

/// Sends every kind of claim by every client, and returns what is stored: name, class and annotation.
fn store_all(space: &Space, round: &str) -> Vec<(String, Value, Value)> {
    let mut stored = Vec::new();
    for (number, client) in CLIENTS.iter().enumerate() {
        let named = |kind: &str| format!("{round}-{number}-{kind}");
        let claims: Vec<_> = AUTHORS.iter().map(|(kind, author)| claim(&named(kind), author)).collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": claims});
        space.kubectl(&format!("{client} -f -")).input(&list).ok();
        for (kind, _) in AUTHORS {
            let claim = space.get(&format!("pvc/{}", named(kind)));
            let annotation = claim["metadata"]["annotations"][BETA].clone();
            stored.push((format!("{client}: {kind}"), claim["spec"]["storageClassName"].clone(), annotation));
        }
    }
    stored
}

/// What must be stored: for each kind of author the class and the annotation.
fn expect(rows: &[(&str, Value, Value); AUTHORS.len()]) -> Vec<(String, Value, Value)> {
    let of = |client: &str| {
        let row = move |(kind, class, annotation): &(&str, Value, Value)| {
            (format!("{client}: {kind}"), class.clone(), annotation.clone())
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    CLIENTS.iter().flat_map(|client| of(client)).collect()
}

fn in_default_mode(space: &Space) -> Hooked {
    space.webhook(&[("DEFAULT_STORAGE_CLASS", OURS)])
}

fn in_force_mode(space: &Space) -> Hooked {
    space.webhook(&[("DEFAULT_STORAGE_CLASS", OURS), ("STORAGE_CLASS_MODE", "force")])
}

#[test]
fn a_claim_gets_our_class_only_where_its_author_named_none() {
    let mut classes = Classes::none();
    let space = classes.observer.sibling();
    let _webhook = in_default_mode(&space);
    for round in ["without", "with"] {
        // With a default class the API server fills the field of the first, and only of the first, beforehand;
        // a claim with the annotation alone is the one thing that it treats otherwise.
        assert_eq!(
            store_all(&space, round),
            expect(&[
                ("none", json!(OURS), Value::Null),
                ("other", json!("other"), Value::Null),
                ("same", json!(OURS), Value::Null),
                ("empty", json!(""), Value::Null),
                ("beta", Value::Null, json!("other")),
                ("beta-same", Value::Null, json!(OURS)),
                ("beta-and-class", json!("other"), json!("other")),
            ]),
            "{round} a default class"
        );
        if round == "without" {
            classes.make_default();
        }
    }
}

#[test]
fn a_claim_gets_a_forced_class_whatever_its_author_named() {
    let mut classes = Classes::none();
    let space = classes.observer.sibling();
    let _webhook = in_force_mode(&space);
    for round in ["without", "with"] {
        assert_eq!(
            store_all(&space, round),
            expect(&[
                ("none", json!(OURS), Value::Null),
                ("other", json!(OURS), Value::Null),
                ("same", json!(OURS), Value::Null),
                ("empty", json!(OURS), Value::Null),
                ("beta", json!(OURS), json!(OURS)),
                ("beta-same", json!(OURS), json!(OURS)),
                ("beta-and-class", json!(OURS), json!(OURS)),
            ]),
            "{round} a default class"
        );
        if round == "without" {
            classes.make_default();
        }
    }
}

#[test]
fn applying_the_same_claim_again_is_accepted_where_its_author_named_no_other_class() {
    let classes = Classes::none();
    let space = classes.observer.sibling();
    let _webhook = in_default_mode(&space);
    for client in ["apply", "apply --server-side"] {
        for (kind, author) in AUTHORS {
            let name = format!("{kind}-{}", client.len());
            let apply = || space.kubectl(&format!("{client} -f -")).input(&claim(&name, &author)).ok();
            apply();
            let first = space.get(&format!("pvc/{name}"));
            apply();
            let again = space.get(&format!("pvc/{name}"));
            assert_eq!(again["spec"], first["spec"], "{client}: {kind}");
        }
    }
}

/// A limit of force mode: a claim's class cannot change, and claims are not touched on an update.
#[test]
fn applying_a_claim_with_a_replaced_class_again_is_refused_by_the_api_server() {
    let classes = Classes::none();
    let space = classes.observer.sibling();
    let _webhook = in_force_mode(&space);
    let other = claim("forced", &Named::Class("other"));
    space.kubectl("apply -f -").input(&other).ok();
    let refusal = space.kubectl("apply -f -").input(&other).refused();
    assert!(refusal.contains("spec is immutable after creation"), "{refusal}");
}

/// The controller gives the new default class to old claims without one, by an UPDATE of each.
#[test]
fn an_update_of_a_claim_is_never_changed() {
    let mut classes = Classes::none();
    let space = classes.observer.sibling();
    space.kubectl("create -f -").input(&claim("unfilled", &Named::Nothing)).ok();
    space.kubectl("create -f -").input(&claim("named", &Named::Class("other"))).ok();
    let webhook = in_force_mode(&space);
    for name in ["unfilled", "named"] {
        let before = space.get(&format!("pvc/{name}"));
        space.kubectl(&format!("label pvc {name} stage=two")).ok();
        let after = space.get(&format!("pvc/{name}"));
        assert_eq!(after["metadata"]["labels"]["stage"], "two");
        assert_eq!(after["spec"], before["spec"]);
    }
    let default = classes.make_default();
    until("the controller's choice for the old claim", || {
        let class = space.get("pvc/unfilled")["spec"]["storageClassName"].clone();
        assert_ne!(class, OURS);
        (class == default).then_some(())
    });
    assert_eq!(space.get("pvc/named")["spec"]["storageClassName"], "other");
    let updates = webhook.process.calls(&[r#"operation="UPDATE""#]);
    assert!(updates >= 3, "the webhook was asked about {updates} updates");
    assert_eq!(webhook.process.calls(&[r#"operation="UPDATE""#, r#"outcome="unsupported""#]), updates);
}

#[test]
fn a_claim_in_an_excluded_namespace_is_left_alone() {
    let classes = Classes::none();
    let space = classes.observer.sibling();
    let webhook =
        space.webhook(&[("DEFAULT_STORAGE_CLASS", OURS), ("EXCLUDE_NAMESPACES", space.name.as_str())]);
    space.kubectl("create -f -").input(&claim("excluded", &Named::Nothing)).ok();
    assert_eq!(space.get("pvc/excluded")["spec"]["storageClassName"], Value::Null);
    let claims = [r#"resource="persistentvolumeclaims""#, r#"outcome="excluded""#];
    assert_eq!(webhook.process.calls(&claims), 1);
}
