//! A resource as people look at it, and how quiet it is.

use serde_json::{Value, json};

use super::case::{Resource, source};
use crate::controller::case::{Case, login, pull_secret, references};
use crate::controller::events::events_of;
use crate::kubectl::kubectl;
use crate::wait::{never, soon};

#[test]
fn people_see_how_it_stands() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    let space = case.home.sibling();
    let resource = Resource::new(&case, &["one"], &json!({"namespaces": {"names": [space.name]}}));
    let _controller = case.controller(&[]);
    kubectl("wait --for=condition=Ready --timeout=10s").word(&format!("imps/{}", resource.name)).ok();
    let table = kubectl("get imps -o wide").word(&resource.name).ok().out;
    let (head, row) = table.trim().split_once('\n').expect("two lines");
    let columns = ["NAME", "STATE", "RECONCILED", "VALIDITY SECONDS", "SECRET NAME", "NAMESPACES", "REASON"];
    assert_eq!(head.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect::<Vec<_>>(), columns);
    for word in [resource.name.as_str(), "Ready", &resource.secret, &format!("[\"{}\"]", space.name)] {
        assert!(row.contains(word), "{word}: {row}");
    }
    let reasons = || -> Vec<String> {
        let all = events_of("default", "ImagePullSecret", &resource.name);
        all.iter().map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
    };
    soon("an Event", || (reasons() == ["Reconciled"]).then_some(()));
    case.home.kubectl("delete secret one").ok();
    resource.is("Failed");
    soon("another one", || reasons().contains(&"SourceCredentialsError".to_owned()).then_some(()));
    let described = resource.kubectl("describe").ok().out;
    assert!(described.contains("some source secrets failed to render"), "{described}");
}

#[test]
fn a_selector_that_cannot_be_used_is_refused_at_once() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    let space = case.home.sibling();
    let names = json!({"namespaces": {"names": [space.name]}});
    let resource = Resource::new(&case, &["one"], &names);
    let _controller = case.controller(&[]);
    resource.is_in(&[&space]);
    for (selectors, key) in
        [("labels", "namespaces"), ("annotations", "namespaces"), ("labels", "namespacesWithPods")]
    {
        for expression in [
            json!({"key": "a", "operator": "In"}),
            json!({"key": "a", "operator": "NotIn", "values": []}),
            json!({"key": "a", "operator": "Exists", "values": ["b"]}),
        ] {
            let bad = json!({"spec": {"target": {key: {selectors: [{"matchExpressions": [expression]}]}}}});
            let tried = resource.kubectl("patch --type=merge").word(&format!("--patch={bad}")).run();
            assert!(tried.err.contains("In and NotIn need at least one value"), "{bad}: {}", tried.err);
        }
    }
    assert_eq!(resource.is("Ready")["observedGeneration"], 1);
}

#[test]
fn nothing_is_written_while_nothing_happens() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    let spaces: Vec<_> = (0..5).map(|_| case.home.sibling()).collect();
    let names: Vec<_> = spaces.iter().map(|space| &space.name).collect();
    let resource = Resource::new(&case, &["one"], &json!({"namespaces": {"names": names}}));
    let controller = case.controller(&["-loop-duration=1s"]);
    resource.is("Ready");
    let writes = || {
        ["post", "put", "patch", "delete"]
            .iter()
            .map(|verb| {
                controller.count("pullgate_controller_api_requests_total", &[&format!("verb=\"{verb}\"")])
            })
            .sum::<u64>()
    };
    // The Event of being ready is the last thing.
    soon("the end of writing", || {
        let before = writes();
        std::thread::sleep(std::time::Duration::from_secs(1));
        (writes() == before).then_some(())
    });
    let before = writes();
    never("a write", || Some(writes()).filter(|now| *now != before));
}

/// Copies and references go, resources stay as they are, and can be deleted by whoever wants to.
#[test]
fn uninstall_takes_copies_and_references_back_and_lets_go_of_resources() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    let spaces = [case.home.sibling(), case.home.sibling()];
    let names: Vec<_> = spaces.iter().map(|space| &space.name).collect();
    let target = json!({"namespaces": {"names": names}, "serviceAccounts": ["default"]});
    let resource = Resource::new(&case, &["one"], &target);
    // Once, and not for long.
    assert!(case.run(&["-runonce"]).status.success());
    assert_eq!(resource.places().len(), 2);
    for space in &spaces {
        assert_eq!(references(space, "default"), [resource.secret.as_str()]);
    }
    assert!(case.run(&["--uninstall"]).status.success());
    assert_eq!(resource.places(), Vec::<String>::new());
    for space in &spaces {
        assert_eq!(references(space, "default"), Vec::<String>::new());
    }
    assert_eq!(resource.get()["status"], Value::Null, "nobody is there to say it is Ready");
    assert!(case.home.get("secret/one")["data"].is_object());
    resource.kubectl("delete --timeout=10s").ok();
}

/// Where there are resources only, nobody waits for what the settings would hand out.
#[test]
fn metrics_count_copies_of_resources() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    let spaces = [case.home.sibling(), case.home.sibling(), case.home.sibling()];
    let names: Vec<_> = spaces.iter().map(|space| &space.name).collect();
    let resource = Resource::new(&case, &["one"], &json!({"namespaces": {"names": names}}));
    let theirs = pull_secret(&resource.secret, &login("theirs"));
    spaces[0].kubectl("create -f -").input(&theirs).ok();
    let controller = case.controller(&["-force=false"]);
    let secrets =
        |state: &str| controller.count("pullgate_controller_secrets", &[&format!("state=\"{state}\"")]);
    soon("all of them", || {
        ((secrets("desired"), secrets("in_sync"), secrets("conflict")) == (3, 2, 1)).then_some(())
    });
    assert_eq!(controller.count("pullgate_controller_source_usable", &[]), 1);
    // A namespace that is gone is none that is managed.
    let gone = &spaces[1];
    kubectl("delete namespace --wait=false").word(&gone.name).ok();
    soon("one less", || {
        let managed = resource.get()["status"]["managedNamespaces"].take();
        (managed == json!([spaces[2].name]) && secrets("desired") == 2).then_some(())
    });
}
