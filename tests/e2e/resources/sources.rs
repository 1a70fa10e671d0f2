//! Several sources in one pull secret, and what becomes of it when they fail.

use serde_json::{Value, json};

use super::aws::{Aws, Mood};
use super::case::{Resource, logins, passwords, source};
use super::ecr::{HOST, KEY, login};
use crate::controller::case::{Case, pull_secret};
use crate::wait::{never, soon};

#[test]
fn registries_of_all_sources_are_merged_and_the_later_one_wins() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1"), ("both.example", "1")]);
    source(&case.home, "two", &[("b.example", "2"), ("both.example", "2")]);
    let legacy: Value = serde_json::from_str(&logins(&[("old.example", "3")])).expect("JSON");
    let legacy = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "three"}, "type": "kubernetes.io/dockercfg",
        "stringData": {".dockercfg": legacy["auths"].to_string()},
    });
    case.home.kubectl("create -f -").input(&legacy).ok();
    let space = case.home.sibling();
    let target = json!({"namespaces": {"names": [space.name]}});
    let resource = Resource::new(&case, &["one", "two", "three"], &target);
    let _controller = case.controller(&[]);
    let all = [("a.example", "1"), ("b.example", "2"), ("both.example", "2"), ("old.example", "3")];
    resource.has(&space, &all);
    let status = resource.is("Ready");
    let named = |name: &str| format!("{}.{name}", case.home.name);
    assert_eq!(
        status["conflicts"],
        json!([{"key": "both.example", "taken": named("two"), "dropped": named("one")}])
    );
    assert_eq!(status["sourceSecretStatus"][named("three")], "Ok");
    // The order is that of the resource.
    resource.apply(&case, &["two", "one", "three"], &target);
    resource
        .has(&space, &[("a.example", "1"), ("b.example", "2"), ("both.example", "1"), ("old.example", "3")]);
    // A rotation of one source; and one that is not named any more.
    source(&case.home, "one", &[("a.example", "new")]);
    resource.has(
        &space,
        &[("a.example", "new"), ("b.example", "2"), ("both.example", "2"), ("old.example", "3")],
    );
    resource.apply(&case, &["one"], &target);
    resource.has(&space, &[("a.example", "new")]);
}

/// Also for a controller that begins while a source fails.
#[test]
fn what_a_source_gave_stays_while_it_fails() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    source(&case.home, "two", &[("b.example", "2")]);
    let space = case.home.sibling();
    let resource = Resource::new(&case, &["one", "two"], &json!({"namespaces": {"names": [space.name]}}));
    let controller = case.controller(&[]);
    let both = [("a.example", "1"), ("b.example", "2")];
    resource.has(&space, &both);
    resource.is("Ready");
    let broken = json!({"stringData": {".dockerconfigjson": "{\"auths\":{\"a.example\":7}}"}});
    let broken = format!("--patch={broken}");
    for (break_it, said) in [
        ("delete secret one", "does not exist"),
        ("patch secret one --type=merge", "the entry of \"a.example\" is not an object"),
    ] {
        if break_it.starts_with("patch") {
            source(&case.home, "one", &[("a.example", "1")]);
            resource.is("Ready");
            case.home.kubectl(break_it).word(&broken).ok();
        } else {
            case.home.kubectl(break_it).ok();
        }
        let status = resource.is("Failed");
        let of_source = &status["sourceSecretStatus"][format!("{}.one", case.home.name)];
        assert!(of_source.as_str().is_some_and(|text| text.contains(said)), "{status}");
        assert!(status["reason"].as_str().is_some_and(|text| text.contains(said)), "{status}");
        resource.has(&space, &both);
        // The others still spread.
        source(&case.home, "two", &[("b.example", break_it)]);
        resource.has(&space, &[("a.example", "1"), ("b.example", break_it)]);
        source(&case.home, "two", &[("b.example", "2")]);
        resource.has(&space, &both);
    }
    drop(controller);
    let _controller = case.controller(&[]);
    source(&case.home, "two", &[("b.example", "new")]);
    resource.has(&space, &[("a.example", "1"), ("b.example", "new")]);
    resource.is("Failed");
    source(&case.home, "one", &[("a.example", "back")]);
    resource.has(&space, &[("a.example", "back"), ("b.example", "new")]);
    resource.is("Ready");
}

/// Its registries are more than what a copy can say of where they come from.
#[test]
fn a_source_of_many_registries_spreads_like_any_other() {
    let case = Case::new();
    let many: Vec<_> = (0..5_000).map(|n| format!("{n:05}.{}.example", "registry".repeat(6))).collect();
    let many: Vec<_> = many.iter().map(|registry| (registry.as_str(), "1")).collect();
    case.home.kubectl("create -f -").input(&pull_secret("many", &logins(&many))).ok();
    source(&case.home, "one", &[("a.example", "1")]);
    let space = case.home.sibling();
    let resource = Resource::new(&case, &["many", "one"], &json!({"namespaces": {"names": [space.name]}}));
    let controller = case.controller(&[]);
    resource.is("Ready");
    let copy = resource.copy(&space).expect("a copy");
    assert_eq!(passwords(&copy).len(), 5_001);
    let noted = copy["metadata"]["annotations"]["pullgate/sources"].as_str().unwrap_or_default();
    assert_eq!(noted, json!({format!("{}.one", case.home.name): {"registries": ["a.example"]}}).to_string());
    source(&case.home, "one", &[("a.example", "2")]);
    soon("the rotation", || (passwords(&resource.copy(&space)?)["a.example"] == "2").then_some(()));
    // Of the other one, it is known after a restart what it gave.
    drop(controller);
    case.home.kubectl("delete secret one").ok();
    let _controller = case.controller(&[]);
    resource.is("Failed");
    assert_eq!(passwords(&resource.copy(&space).expect("a copy")).len(), 5_001);
}

#[test]
fn without_any_credentials_there_is_no_copy_and_no_success() {
    let case = Case::new();
    let space = case.home.sibling();
    let resource = Resource::new(&case, &["one"], &json!({"namespaces": {"names": [space.name]}}));
    let _controller = case.controller(&[]);
    let status = resource.is("Failed");
    assert_eq!(status["managedNamespaces"], Value::Null, "{status}");
    never("a copy", || resource.copy(&space));
    source(&case.home, "one", &[("a.example", "1")]);
    resource.has(&space, &[("a.example", "1")]);
    resource.is("Ready");
}

/// A target in the place of a source is that source.
#[test]
fn a_source_is_never_written() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    source(&case.home, "two", &[("b.example", "2")]);
    let space = case.home.sibling();
    let names = json!([case.home.name, space.name]);
    let target = json!({"secret": {"name": "one"}, "namespaces": {"names": names}});
    let before = case.home.get("secret/one");
    let resource = Resource::new(&case, &["one", "two"], &target);
    let _controller = case.controller(&[]);
    soon("the copy elsewhere", || {
        let copy: Value = serde_json::from_str(&space.kubectl("get secret one -o json").run().out).ok()?;
        (super::case::passwords(&copy).len() == 2).then_some(())
    });
    // It does not hold what all others do.
    soon("all but that one", || {
        let status = resource.get()["status"].take();
        (status["status"] == "Failed" && status["managedNamespaces"] == json!([space.name])).then_some(())
    });
    assert_eq!(case.home.get("secret/one"), before);
}

/// A copy that another resource reads from is a copy all the same.
#[test]
fn a_rotation_goes_through_a_copy_that_is_a_source() {
    let case = Case::new();
    let (first, second) = (case.home.sibling(), case.home.sibling());
    // Who reads is there before there is something to read.
    let reader = Resource::new(&case, &[], &json!({"namespaces": {"names": [second.name]}}));
    source(&case.home, "one", &[("a.example", "1")]);
    let middle = Resource::new(&case, &["one"], &json!({"namespaces": {"names": [first.name]}}));
    let credentials = json!([{"name": middle.secret, "namespace": first.name}]);
    let patch = json!({"spec": {"registry": {"credentials": credentials}}});
    reader.kubectl("patch --type=merge").word(&format!("--patch={patch}")).ok();
    let _controller = case.controller(&[]);
    reader.has(&second, &[("a.example", "1")]);
    reader.is("Ready");
    source(&case.home, "one", &[("a.example", "2")]);
    reader.has(&second, &[("a.example", "2")]);
    assert_eq!(passwords(&middle.copy(&first).expect("a copy"))["a.example"], "2");
}

/// It serves as it is where it holds the same; anywhere else that is no success.
#[test]
fn a_source_in_the_place_of_a_copy_is_left_and_told() {
    let case = Case::new();
    source(&case.home, "two", &[("b.example", "2")]);
    let resource = Resource::new(&case, &["two"], &json!({}));
    source(&case.home, &resource.secret, &[("a.example", "1")]);
    let target = json!({"namespaces": {"names": [case.home.name]}});
    resource.apply(&case, &[&resource.secret], &target);
    let _controller = case.controller(&[]);
    resource.is("Ready");
    let before = resource.copy(&case.home);
    resource.apply(&case, &[&resource.secret, "two"], &target);
    let status = resource.is("Failed");
    assert!(
        status["reason"].as_str().is_some_and(|text| text.contains("is a source of credentials")),
        "{status}"
    );
    assert_eq!(status["conditions"][0]["reason"], "SecretReconciliationError");
    assert_eq!(resource.copy(&case.home), before);
}

/// One that is new, and one that had some.
#[test]
fn a_resource_without_sources_is_told_and_its_copies_stay() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    let space = case.home.sibling();
    let target = json!({"namespaces": {"names": [space.name]}});
    let (empty, resource) = (Resource::new(&case, &[], &target), Resource::new(&case, &["one"], &target));
    let _controller = case.controller(&[]);
    resource.is("Ready");
    resource.apply(&case, &[], &target);
    for failed in [&empty, &resource] {
        let status = failed.is("Failed");
        assert!(
            status["reason"].as_str().is_some_and(|text| text.contains("no source is named")),
            "{status}"
        );
    }
    resource.has(&space, &[("a.example", "1")]);
    assert_eq!(empty.places(), Vec::<String>::new());
}

/// A source that does not answer, of a resource that is new, and of one whose controller has just begun.
#[test]
fn a_source_that_hangs_holds_no_other_back() {
    let case = Case::new();
    let aws = Aws::new(KEY, "secret");
    login(&case, "ecr", &json!({"secretKey": "secret"}));
    source(&case.home, "one", &[("a.example", "1")]);
    let space = case.home.sibling();
    let resource = Resource::new(&case, &["one", "ecr"], &json!({"namespaces": {"names": [space.name]}}));
    let slow = Mood::Dawdles { seconds: 60 };
    aws.set(slow.clone());
    let controller = super::ecr::controller(&case, &aws.url);
    resource.has(&space, &[("a.example", "1")]);
    drop(controller);
    aws.set(Mood::Gives { seconds: 43_200 });
    let controller = super::ecr::controller(&case, &aws.url);
    let token = soon("a token", || passwords(&resource.copy(&space)?).remove(HOST));
    drop(controller);
    aws.set(slow);
    let _controller = super::ecr::controller(&case, &aws.url);
    source(&case.home, "one", &[("a.example", "2")]);
    resource.has(&space, &[("a.example", "2"), (HOST, &token)]);
}
