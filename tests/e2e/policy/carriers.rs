//! With a policy that denies, nobody gets an image in that the rules would change: not in any list, not by any
//! operation, and not with a webhook that puts it back.

use serde_json::{Value, json};

use super::direct::{try_to_create, try_to_patch};
use super::installed::{Installed, in_effect};
use crate::existing::{self, EVERYTHING};
use crate::kubectl::kubectl;
use crate::neighbour::Neighbour;
use crate::space::{Space, pod};

const SETTINGS: [(&str, &str); 1] = [("REGISTRY", "registry.example")];
const OUTSIDE: &str = "quay.io/team/outside:1";
const GOVERNED: &str = "registry.example/team/inside:1";
/// What the webhook of the test puts images back in.
const TARGET: &str = "target";

/// Everything that brings an image into a Pod: what it is, what refusals call it, and how it is tried.
type Attempt = (&'static str, &'static str, Box<dyn Fn(&Space) -> Result<Value, String>>);

fn attempts(image: &'static str) -> Vec<Attempt> {
    let create = |change: fn(&mut Value, &str)| {
        move |space: &Space| {
            let mut pod = pod("tried", GOVERNED);
            change(&mut pod, image);
            try_to_create(&space.name, &[pod]).remove(0)
        }
    };
    let patch = |pod: &'static str, patch: Value| move |space: &Space| try_to_patch(&space.name, pod, &patch);
    let of_list = |list: &str| json!({"spec": {list: [{"name": TARGET, "image": image}]}});
    vec![
        (
            "a container",
            "container",
            Box::new(create(|pod, image| {
                pod["spec"]["containers"] =
                    json!([{"name": "app", "image": GOVERNED}, {"name": TARGET, "image": image}]);
            })),
        ),
        (
            "an init container",
            "initContainer",
            Box::new(create(|pod, image| {
                pod["spec"]["initContainers"] = json!([{"name": TARGET, "image": image}]);
            })),
        ),
        (
            "a sidecar",
            "initContainer",
            Box::new(create(|pod, image| {
                pod["spec"]["initContainers"] =
                    json!([{"name": TARGET, "image": image, "restartPolicy": "Always"}]);
            })),
        ),
        (
            "an image volume",
            "volume",
            Box::new(create(|pod, image| {
                pod["spec"]["volumes"] = json!([{"name": TARGET, "image": {"reference": image}}]);
            })),
        ),
        ("an update of a container", "container", Box::new(patch("stored", of_list("containers")))),
        (
            "an update of an init container",
            "initContainer",
            Box::new(patch("stored-init", of_list("initContainers"))),
        ),
        (
            "an ephemeral container",
            "ephemeralContainer",
            Box::new(patch("plain/ephemeralcontainers", of_list("ephemeralContainers"))),
        ),
        (
            "another ephemeral container",
            "ephemeralContainer",
            Box::new(patch("debugged/ephemeralcontainers", of_list("ephemeralContainers"))),
        ),
    ]
}

/// Pods whose images are all governed.
#[track_caller]
fn store(space: &Space) {
    let mut stored = pod("stored", GOVERNED);
    stored["spec"]["containers"][0]["name"] = json!(TARGET);
    let mut init = pod("stored-init", GOVERNED);
    init["spec"]["initContainers"] = json!([{"name": TARGET, "image": GOVERNED}]);
    for pod in [stored, init, pod("plain", GOVERNED), pod("debugged", GOVERNED)] {
        space.kubectl("create -f -").input(&pod).ok();
    }
    space.kubectl(&format!("debug debugged --image={GOVERNED} --container=before")).ok();
}

/// The images of everything called like the target.
fn targets(pod: &Value) -> Vec<&str> {
    let lists = ["containers", "initContainers", "ephemeralContainers", "volumes"];
    let elements = lists.iter().filter_map(|list| pod["spec"][list].as_array()).flatten();
    elements
        .filter(|element| element["name"] == TARGET)
        .filter_map(|element| element["image"].as_str().or(element["image"]["reference"].as_str()))
        .collect()
}

#[track_caller]
fn all_are_refused(space: &Space) {
    for (what, called, attempt) in attempts(OUTSIDE) {
        let problem = attempt(space).expect_err(what);
        let words = format!(
            "{called} {TARGET} has the image {OUTSIDE} and may only have registry.example/team/outside:1"
        );
        assert!(problem.contains(&words), "{what}: {problem}");
    }
}

#[test]
fn no_list_and_no_operation_gets_another_image_in() {
    let space = Space::new();
    store(&space);
    let _policy = Installed::refusing(&space, &SETTINGS);
    all_are_refused(&space);
    for (what, _, attempt) in attempts("registry.example/team/inside:2") {
        let stored = attempt(&space).expect(what);
        assert_eq!(targets(&stored), ["registry.example/team/inside:2"], "{what}");
    }
}

#[test]
fn not_even_a_webhook_that_puts_the_old_image_back_gets_it_in() {
    let space = Space::new();
    store(&space);
    let adversary = Neighbour::start(|call, _| {
        let spec = &call.request["object"]["spec"];
        let mut patch = Vec::new();
        for list in ["containers", "initContainers", "ephemeralContainers", "volumes"] {
            let elements = spec[list].as_array().into_iter().flatten().enumerate();
            for (n, element) in elements.filter(|(_, element)| element["name"] == TARGET) {
                let field = if element["image"].is_string() { "image" } else { "image/reference" };
                patch.push(
                    json!({"op": "replace", "path": format!("/spec/{list}/{n}/{field}"), "value": OUTSIDE}),
                );
            }
        }
        call.patch(&patch.into())
    });
    let webhook = space.webhook(&SETTINGS);
    let _later = space.register_neighbour("z", &adversary);

    for (what, _, attempt) in attempts(OUTSIDE) {
        let patched = webhook.process.calls(&[r#"outcome="patched""#]);
        assert_eq!(targets(&attempt(&space).expect(what)), [OUTSIDE], "{what} without a policy");
        assert!(webhook.process.calls(&[r#"outcome="patched""#]) > patched, "{what}: ours changed it before");
    }
    let _policy = Installed::refusing(&space, &SETTINGS);
    all_are_refused(&space);
}

/// Whatever happens to Pods, those from before the policy and the webhook among them.
#[test]
fn beside_the_webhook_a_policy_that_denies_is_in_nobodys_way() {
    let space = Space::new();
    existing::prepare(&space);
    let webhook = space.webhook(&EVERYTHING);
    let _policy = Installed::refusing(&space, &EVERYTHING);
    for case in existing::EVERY_CASE {
        case(&space);
    }
    assert!(webhook.process.calls(&[r#"outcome="patched""#]) > 0);
}

/// What a webhook that is down would have done, the policy asks for.
#[test]
fn pods_from_before_stay_as_they_are_and_get_nothing_new() {
    let space = Space::new();
    existing::prepare(&space);
    let _policy = Installed::refusing(&space, &EVERYTHING);
    existing::labels_and_annotations(&space);
    existing::another_change_of_the_specification(&space);
    existing::removal_of_a_finalizer(&space);
    existing::resize(&space);
    existing::status(&space);
    existing::mirror_pods(&space);
    existing::updates_during_deletion(&space);
    existing::deletion(&space);
    let problem = space.kubectl("set image pod/updated app=ghcr.io/team/web:2").refused();
    assert!(
        problem
            .contains("app has the image ghcr.io/team/web:2 and may only have registry.example/team/web:2")
    );
    assert!(!problem.contains("other"), "{problem}");
    let problem =
        space.kubectl("debug debugged --image=registry.example/busybox --image-pull-policy=Never").refused();
    assert!(problem.contains("has to be pulled by the policy Always"), "{problem}");
}

#[test]
fn pull_policies_and_pull_secrets_are_asked_for_as_configured() {
    let space = Space::new();
    let settings = [EVERYTHING.as_slice(), &[("IMAGE_PULL_SECRET_APPEND", "true")]].concat();
    let _policy = Installed::refusing(&space, &settings);
    let mut fine = pod("fine", "registry.example/nginx");
    fine["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
    fine["spec"]["volumes"] =
        json!([{"name": "v", "image": {"reference": "registry.example/v:1", "pullPolicy": "Always"}}]);
    fine["spec"]["imagePullSecrets"] = json!([{"name": "theirs"}, {"name": "regcred"}]);
    let with = |path: &str, value: Value| {
        let mut pod = fine.clone();
        *pod.pointer_mut(path).expect("a field") = value;
        pod
    };
    let pods = [
        fine.clone(),
        with("/spec/containers/0/imagePullPolicy", json!("IfNotPresent")),
        with("/spec/volumes/0/image/pullPolicy", json!("Never")),
        with("/spec/imagePullSecrets", json!([{"name": "theirs"}])),
        with("/spec/imagePullSecrets", Value::Null),
    ];
    let answers = try_to_create(&space.name, &pods);
    assert!(answers[0].is_ok(), "{:?}", answers[0]);
    for (answer, words) in answers[1..].iter().zip([
        "container app has to be pulled by the policy Always",
        "volume v has to be pulled by the policy Always",
        "the Pod has to name these pull secrets: regcred",
        "the Pod has to name these pull secrets: regcred",
    ]) {
        assert!(answer.as_ref().expect_err(words).ends_with(words), "{answer:?}");
    }

    let space = space.sibling();
    let _replacing = Installed::refusing(&space, &EVERYTHING);
    let alone = with("/spec/imagePullSecrets", json!([{"name": "regcred"}]));
    let answers = try_to_create(&space.name, &[alone, fine.clone()]);
    assert!(answers[0].is_ok(), "{:?}", answers[0]);
    let words = "the Pod has to name these pull secrets and no others: regcred";
    assert!(answers[1].as_ref().expect_err(words).ends_with(words), "{:?}", answers[1]);
}

#[test]
fn excluded_namespaces_are_left_alone() {
    let space = Space::new();
    let excluded = space.sibling();
    let settings = [("REGISTRY", "registry.example"), ("EXCLUDE_NAMESPACES", excluded.name.as_str())];
    let label = json!({"e2e-policy": space.name});
    for namespace in [&space, &excluded] {
        kubectl("label namespace").word(&namespace.name).word(&format!("e2e-policy={}", space.name)).ok();
    }
    let _policy = Installed::all(&space, &[(&settings, &["--action=Deny"])], |_, binding| {
        binding["spec"]["matchResources"]["namespaceSelector"]["matchLabels"] = label.clone();
    });
    in_effect(&space, &pod("probe", "auto"));
    try_to_create(&excluded.name, &[pod("tried", OUTSIDE)]).remove(0).expect("nobody looks at it");
}
