//! What a controller asks of the API server: nothing while all is well, and no more than it takes in a burst.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use crate::controller::audit::{Write, writes};
use crate::controller::case::{Case, login};
use crate::kubectl::kubectl;
use crate::space::unique;
use crate::wait::{hold, soon, until};

/// What there is in all namespaces under the names of a case, with versions.
#[track_caller]
fn everything(case: &Case) -> BTreeMap<String, String> {
    let list = |what: &str, name: &str| {
        let selector = format!("--field-selector=metadata.name={name}");
        kubectl(&format!("get {what} --all-namespaces -o json")).word(&selector).json()
    };
    let mut all = BTreeMap::new();
    for (what, name) in [("secrets", &case.secret), ("serviceaccounts", &case.account)] {
        for object in list(what, name)["items"].as_array().expect("a list") {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            all.insert(format!("{what} {}", text("namespace")), text("resourceVersion"));
        }
    }
    all
}

/// Of a minute, every second of which has a look at everything by itself. Alone, because a namespace that another test
/// makes is a reason to write.
#[test]
fn nothing_is_written_while_all_is_well_but_the_lease() {
    let case = Case::alone();
    case.source("first");
    let space = case.space();
    let lease = format!("-lease-name={}", case.secret);
    let controller = case.controller(&["-loop-duration=1s", "-enable-leader-election", &lease]);
    case.has(&space, "first");
    let state = |of: &str| controller.count("pullgate_controller_secrets", &[&format!("state=\"{of}\"")]);
    until("all namespaces in sync", || {
        let settled = state("desired") > 1 && state("desired") == state("in_sync");
        settled.then_some(())
    });
    let of_objects =
        || writes(&controller).into_iter().filter(|write| write.resource != "leases").collect::<Vec<_>>();
    let renewals = || writes(&controller).len() - of_objects().len();
    let looks = || controller.count("pullgate_controller_reconciles_total", &["outcome=\"unchanged\""]);
    let (before, renewed, written, looked) = (everything(&case), renewals(), of_objects().len(), looks());
    hold("no writes for a minute");
    assert_eq!(of_objects().len(), written, "{:?}", of_objects());
    assert_eq!(everything(&case), before);
    // It was awake: a Lease of 15 s, and sixty looks at each namespace.
    assert!((20..=40).contains(&(renewals() - renewed)), "{} renewals", renewals() - renewed);
    assert!(
        looks() - looked > 30 * u64::try_from(before.len() / 2).expect("few"),
        "{} looks",
        looks() - looked
    );
}

/// Restarted, it finds everything as it is wanted.
#[test]
fn a_controller_that_starts_again_writes_nothing() {
    let case = Case::new();
    case.source("first");
    let space = case.space();
    let controller = case.controller(&[]);
    let copy = case.has(&space, "first");
    drop(controller);
    let controller = case.controller(&[]);
    let later = case.space();
    case.has(&later, "first");
    assert_eq!(case.copy(&space).expect("the copy"), copy);
    let about = |write: &&Write| write.namespace == space.name;
    assert_eq!(writes(&controller).iter().filter(about).count(), 0, "{:?}", writes(&controller));
}

const BURST: usize = 200;

/// Namespaces that are gone, however the test ends.
struct Burst {
    label: String,
    names: Vec<String>,
}

impl Drop for Burst {
    fn drop(&mut self) {
        kubectl("delete namespaces --wait=false").word(&format!("--selector=burst={}", self.label)).run();
    }
}

#[test]
fn two_hundred_namespaces_in_one_burst_have_everything_within_seconds() {
    let case = Case::new();
    case.source("first");
    let controller = case.controller(&[]);
    let label = unique("burst");
    let names: Vec<_> = (0..BURST).map(|number| format!("{label}-{number}")).collect();
    let burst = Burst { label, names };
    let all = burst.names.iter().flat_map(|name| {
        let labels = json!({"burst": burst.label});
        [
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}),
            json!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": case.account, "namespace": name},
            }),
        ]
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": all.collect::<Vec<Value>>()});
    kubectl("create -f -").input(&list).ok();
    let made = Instant::now();
    let wanted = 2 * BURST;
    soon("copies and references in all of them", || {
        let taken = writes(&controller);
        let here = |write: &&Write| write.was_taken() && burst.names.contains(&write.namespace);
        (taken.iter().filter(here).count() >= wanted).then_some(())
    });
    eprintln!("{BURST} namespaces: done {} ms after the last was made", made.elapsed().as_millis());
    let objects = everything(&case);
    for name in &burst.names {
        assert!(objects.contains_key(&format!("secrets {name}")), "{name}");
    }
    // One write for each object, and none again.
    let mut count = BTreeMap::<(String, String), usize>::new();
    for write in writes(&controller).into_iter().filter(|write| burst.names.contains(&write.namespace)) {
        *count.entry((write.namespace.clone(), write.what())).or_default() += 1;
    }
    assert_eq!(count.len(), wanted);
    assert!(count.values().all(|count| *count == 1), "{count:?}");

    case.source("second");
    let changed = Instant::now();
    let selector = format!("--field-selector=metadata.name={}", case.secret);
    soon("the new content everywhere", || {
        let all = kubectl("get secrets --all-namespaces -o json").word(&selector).json();
        let all = all["items"].as_array().expect("a list").clone();
        let new = login("second");
        all.iter()
            .all(|copy| crate::controller::case::content_of(copy).as_deref() == Some(&*new))
            .then_some(())
    });
    eprintln!("{BURST} namespaces: rotated {} ms after the source was", changed.elapsed().as_millis());
}
