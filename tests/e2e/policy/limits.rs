//! What expressions may cost: the API server stops at its own limits, which are no setting.

use serde_json::{Value, json};

use super::direct::{try_to_create, try_to_patch};
use super::installed::Installed;
use crate::kubectl::kubectl;
use crate::space::Space;
use crate::wait::until;

/// Fifty pairs of a size that is met.
fn map() -> String {
    let pair = |n| format!("registry-{n}.company.example/team-{n}=mirror.company.example/proxy/registry-{n}");
    (0..50).map(pair).collect::<Vec<_>>().join(",")
}

/// A Pod whose images are long, by digest, of all the registries in turn: those of the company, or the mirrors.
fn pod_of(containers: usize, mirrored: bool) -> Value {
    let image = |n: usize| {
        let registry = n % 50;
        let prefix = if mirrored {
            format!("mirror.company.example/proxy/registry-{registry}")
        } else {
            format!("registry-{registry}.company.example/team-{registry}")
        };
        format!("{prefix}/service-{n}@sha256:{}", "0123456789abcdef".repeat(4))
    };
    let containers: Vec<_> =
        (0..containers).map(|n| json!({"name": format!("c{n}"), "image": image(n)})).collect();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "large"}, "spec": {"containers": containers}})
}

/// With the new image of one container; the name, by which lists are merged, selects it.
fn change(image: &str) -> Value {
    json!({"spec": {"containers": [{"name": "c99", "image": image}]}})
}

#[test]
fn fifty_rules_and_a_hundred_containers_are_within_what_a_policy_may_cost() {
    let space = Space::new();
    let other = space.sibling();
    for space in [&space, &other] {
        let mut stored = pod_of(100, true);
        stored["metadata"]["name"] = json!("stored");
        space.kubectl("create -f -").input(&stored).ok();
    }
    let map = map();
    let settings = [("REGISTRY_MAP", map.as_str())];
    let policy = Installed::refusing(&space, &settings);
    assert_eq!(policy.type_checking(), json!({}), "no warnings");
    let [refused, allowed]: [_; 2] =
        try_to_create(&space.name, &[pod_of(100, false), pod_of(100, true)]).try_into().expect("two answers");
    let problem = refused.expect_err("every image is another's");
    assert!(problem.ends_with("; and 97 more"), "{problem}");
    allowed.expect("every image is a mirror's");
    let new = "registry-7.company.example/team-7/new:1";
    let mirrored = "mirror.company.example/proxy/registry-7/new:1";
    let problem = try_to_patch(&space.name, "stored", &change(new)).expect_err("the image is another's");
    assert!(
        problem.ends_with(&format!("container c99 has the image {new} and may only have {mirrored}")),
        "{problem}"
    );
    try_to_patch(&space.name, "stored", &change(mirrored)).expect("the image is a mirror's");

    let space = other;
    let _policy =
        Installed::changing(&space, &[("REGISTRY_MAP", &map), ("REGISTRY", "mirror.company.example/other")]);
    let changed = try_to_create(&space.name, &[pod_of(100, false)]).remove(0).expect("all are changed");
    assert_eq!(images(&changed), images(&pod_of(100, true)));
    let changed = try_to_patch(&space.name, "stored", &change(new)).expect("it is changed");
    assert_eq!(images(&changed)[99], mirrored);
}

fn images(pod: &Value) -> Vec<&str> {
    let containers = pod["spec"]["containers"].as_array().expect("a list");
    containers.iter().filter_map(|container| container["image"].as_str()).collect()
}

/// Nobody gets past a policy that denies by being too large for it.
#[test]
fn a_pod_that_costs_too_much_is_objected_to() {
    let space = Space::new();
    let map = map();
    let _policy = Installed::refusing(&space, &[("REGISTRY_MAP", map.as_str())]);
    for mirrored in [false, true] {
        let problem =
            try_to_create(&space.name, &[pod_of(1000, mirrored)]).remove(0).expect_err("it is too large");
        assert!(problem.contains("actual cost limit exceeded"), "{problem}");
    }

    let space = space.sibling();
    let _policy =
        Installed::all(&space, &[(&[("REGISTRY_MAP", map.as_str())], &["--action=Warn"])], |_, _| ());
    let said = until("a warning", || {
        let created = space.kubectl("create --dry-run=server -f -").input(&pod_of(1000, true)).ok();
        created.err.contains("Warning").then_some(created.err)
    });
    assert!(said.contains("actual cost limit exceeded"), "{said}");
}

#[test]
fn the_policies_of_examples_are_accepted() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/policies");
    let created = kubectl("create --dry-run=server --validate=strict -f").word(folder).ok();
    assert_eq!(created.out.matches("created (server dry run)").count(), 8, "{}", created.out);
    assert_eq!(created.err, "");
}
