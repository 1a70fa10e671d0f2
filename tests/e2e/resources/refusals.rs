//! What is told where rights lack, and what goes on all the same.

use serde_json::{Value, json};

use super::case::{Resource, source};
use super::rights::{Trial, rules, with_rights};
use crate::controller::case::Case;
use crate::controller::events::events_of;
use crate::wait::{soon, until};

#[test]
fn a_source_that_may_not_be_read_is_told_and_keeps_no_other_from_spreading() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    source(&case.home, "two", &[("b.example", "1")]);
    let space = case.home.sibling();
    let target = json!({"namespaces": {"names": [space.name]}});
    let resource = Resource::new(&case, &["one"], &target);
    let (role, _controller) = with_rights(&case, &rules(), "");
    resource.is("Ready");
    // What is watched already goes on.
    role.grant("secrets list");
    resource.apply(&case, &["one", "two"], &target);
    let status = resource.is("Failed");
    let told = status["sourceSecretStatus"][format!("{}.two", case.home.name)].as_str().unwrap_or_default();
    assert!(told.contains("forbidden"), "{status}");
    source(&case.home, "one", &[("a.example", "2")]);
    resource.has(&space, &[("a.example", "2")]);
    role.grant("");
    until("it is ready again", || (resource.get()["status"]["status"] == "Ready").then_some(()));
    resource.has(&space, &[("a.example", "2"), ("b.example", "1")]);
}

#[test]
fn a_copy_that_cannot_be_removed_is_told() {
    let trial = Trial::new();
    let (role, _controller) = with_rights(&trial.case, &rules(), "secrets delete");
    trial.resource.is("Ready");
    let reasons = || -> Vec<String> {
        let all = events_of("default", "ImagePullSecret", &trial.resource.name);
        all.iter().map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let told = |status: &Value| {
        let reason = status["conditions"][0]["reason"].as_str();
        reason == Some("SecretDeletionError")
            && status["reason"].as_str().is_some_and(|text| text.contains(&trial.space.name))
    };
    trial.resource.apply(&trial.case, &["one"], &json!({"serviceAccounts": ["default"]}));
    assert!(told(&trial.resource.is("Failed")), "{}", trial.resource.get());
    soon("an Event", || reasons().contains(&"SecretDeletionError".to_owned()).then_some(()));
    assert!(!trial.refers(), "the reference goes before the copy");
    role.grant("");
    until("it is ready again", || (trial.resource.get()["status"]["status"] == "Ready").then_some(()));
    assert_eq!(trial.resource.places(), Vec::<String>::new());

    // And while the resource itself waits for it.
    let target = json!({"namespaces": {"names": [trial.space.name]}, "serviceAccounts": ["default"]});
    trial.resource.apply(&trial.case, &["one"], &target);
    soon("a reference", || trial.refers().then_some(()));
    role.grant("secrets delete");
    trial.resource.kubectl("delete --wait=false").ok();
    soon("the reason why it is still there", || told(&trial.resource.get()["status"]).then_some(()));
    role.grant("");
    until("it is gone", || {
        trial.resource.kubectl("get --ignore-not-found").ok().out.is_empty().then_some(())
    });
    assert_eq!(trial.resource.places(), Vec::<String>::new());
}

/// As after a move from IMPS with its rights.
#[test]
fn references_that_cannot_be_added_are_told_and_hold_nothing() {
    let trial = Trial::new();
    let mut rules = rules();
    rules.as_array_mut().expect("rules").retain(|rule| rule["resources"][0] != "serviceaccounts");
    let (_role, _controller) = with_rights(&trial.case, &rules, "");
    let status = trial.resource.is("Failed");
    assert!(
        status["reason"].as_str().is_some_and(|text| text.contains("ServiceAccounts cannot be watched")),
        "{status}"
    );
    trial.resource.kubectl("delete --timeout=10s").ok();
}
