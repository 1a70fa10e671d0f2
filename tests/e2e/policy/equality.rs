//! Webhook and policies are of one opinion about every image.

use serde_json::{Value, json};

use super::direct::{try_to_create, try_to_patch};
use super::installed::{Installed, Told, in_effect};
use super::references::{Group, groups};
use super::webhook_says::{Made, made, policy};
use crate::space::{Space, pod};

/// Images in one Pod, where all of them are to pass.
const TOGETHER: usize = 40;
/// Longest message that the API server takes from an expression.
const LONGEST_MESSAGE: usize = 5 * 1024;

/// A label for the Pods of one group, by which the binding of its policy selects them: one namespace is enough.
fn of_group(number: usize, mut pod: Value) -> Value {
    pod["metadata"]["labels"] = json!({"group": number.to_string()});
    pod
}

fn select_group(number: usize, binding: &mut Value) {
    binding["spec"]["matchResources"]["objectSelector"] =
        json!({"matchLabels": {"group": number.to_string()}});
}

/// A Pod with these images, in turn those of containers, init containers and image volumes.
fn pod_of(images: &[String]) -> Value {
    let mut whole = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "many"},
        "spec": {"containers": [], "initContainers": [], "volumes": []},
    });
    for (n, image) in images.iter().enumerate() {
        let name = format!("c{n}");
        let (list, element) = match n % 3 {
            0 => ("containers", json!({"name": name, "image": image})),
            1 => ("initContainers", json!({"name": name, "image": image})),
            _ => ("volumes", json!({"name": name, "image": {"reference": image}})),
        };
        whole["spec"][list].as_array_mut().expect("a list").push(element);
    }
    whole
}

/// What becomes of images that `kubectl debug` brings.
#[track_caller]
fn debugged(space: &Space, number: usize, images: &[String]) -> Vec<String> {
    let name = format!("debugged-{number}");
    let stored = of_group(number, pod(&name, "registry.example/debugged"));
    space.kubectl("create -f -").input(&stored).ok();
    let debug = |images: &[String]| {
        let container = |(n, image)| json!({"name": format!("c{n}"), "image": image});
        let containers: Vec<_> = images.iter().enumerate().map(container).collect();
        let patch = json!({"spec": {"ephemeralContainers": containers}});
        try_to_patch(&space.name, &format!("{name}/ephemeralcontainers"), &patch).expect("nothing refuses it")
    };
    images.chunks(TOGETHER).flat_map(|images| images_of(&debug(images))).collect()
}

/// The images of such a Pod, in the same order.
fn images_of(pod: &Value) -> Vec<String> {
    let lists = ["containers", "initContainers", "ephemeralContainers", "volumes"]
        .map(|list| pod["spec"][list].as_array());
    let mut named: Vec<(usize, String)> = lists
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|element| {
            let number = element["name"].as_str()?.strip_prefix('c')?.parse().ok()?;
            let image = element["image"].as_str().or(element["image"]["reference"].as_str())?;
            Some((number, image.to_owned()))
        })
        .collect();
    named.sort();
    named.into_iter().map(|(_, image)| image).collect()
}

/// What the policy has to say about an image; nothing where it is let in.
fn objection(image: &str, made: &Made, unreadable: &str) -> Option<&'static str> {
    if made.image != image {
        Some("may only have")
    } else if made.warned && unreadable == "refuse" {
        Some("has an image ")
    } else {
        None
    }
}

fn verdicts_are_equal(unreadable: &str, groups: &[Group]) {
    let space = Space::new();
    let settings: Vec<_> = groups.iter().map(Group::settings).collect();
    let unreadable_argument = format!("--unreadable={unreadable}");
    let arguments = ["--action=Deny", &unreadable_argument];
    let all: Vec<Told<'_>> =
        settings.iter().map(|settings| (settings.as_slice(), arguments.as_slice())).collect();
    let _installed = Installed::all(&space, &all, select_group);

    let (mut refused, mut allowed, mut wrong) = (0, 0, Vec::new());
    for (number, group) in groups.iter().enumerate() {
        let policy = policy(&group.settings());
        let made: Vec<_> = group.images.iter().map(|image| (image, made(&policy, image))).collect();
        let objections =
            made.iter().filter_map(|(image, made)| Some((*image, made, objection(image, made, unreadable)?)));
        let objections: Vec<_> = objections.collect();
        // What the webhook leaves as it is, and what it makes of the others.
        let mut fine: Vec<String> = made
            .iter()
            .filter(|(image, made)| made.image != **image || objection(image, made, unreadable).is_none())
            .map(|(_, made)| made.image.clone())
            .collect();
        fine.sort();
        fine.dedup();

        let pods: Vec<_> = objections.iter().map(|(image, ..)| of_group(number, pod("one", image))).collect();
        in_effect(&space, pods.first().expect("every group has an image that is refused"));
        for ((image, made, words), answer) in objections.iter().zip(try_to_create(&space.name, &pods)) {
            let exact = format!("container app has the image {image} and may only have {}", made.image);
            let expected = match *words {
                "may only have" if exact.len() > LONGEST_MESSAGE => {
                    "have to come from the configured registries"
                }
                "may only have" => exact.as_str(),
                words => words,
            };
            match answer {
                Err(problem) if problem.contains(expected) => refused += 1,
                answer => wrong.push(format!(
                    "{:?}: {image:.80}: expected {expected:.200}: {:.300}",
                    group.settings,
                    format!("{answer:?}")
                )),
            }
        }
        let pods: Vec<_> = fine.chunks(TOGETHER).map(|images| of_group(number, pod_of(images))).collect();
        for (images, answer) in fine.chunks(TOGETHER).zip(try_to_create(&space.name, &pods)) {
            match answer {
                Ok(_) => allowed += images.len(),
                Err(problem) => {
                    wrong.push(format!("{:?}: refused one of {images:?}: {problem}", group.settings));
                }
            }
        }
    }
    eprintln!(
        "unreadable images: {unreadable}: {} configurations, {refused} references refused, {allowed} allowed",
        groups.len()
    );
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused > 500 && allowed > 1000, "too few: {refused} refused, {allowed} allowed");
}

#[test]
fn a_policy_refuses_what_the_webhook_would_change_and_nothing_else() {
    // Those with the most images: what cannot be read is the same under all.
    let groups: Vec<_> = groups().into_iter().filter(|group| group.images.len() > 100).collect();
    verdicts_are_equal("allow", &groups);
}

#[test]
fn a_policy_refuses_what_the_webhook_would_change_or_warn_of_and_nothing_else() {
    verdicts_are_equal("refuse", &groups());
}

#[test]
fn a_mutating_policy_makes_of_each_image_what_the_webhook_makes_of_it() {
    let space = Space::new();
    let groups = groups();
    let settings: Vec<_> = groups.iter().map(Group::settings).collect();
    let all: Vec<Told<'_>> =
        settings.iter().map(|settings| (settings.as_slice(), ["--kind=mutating"].as_slice())).collect();
    let _installed = Installed::all(&space, &all, select_group);

    let (mut rewritten, mut kept, mut wrong) = (0, 0, Vec::new());
    for (number, group) in groups.iter().enumerate() {
        let policy = policy(&group.settings());
        let expected: Vec<_> = group.images.iter().map(|image| made(&policy, image).image).collect();
        let first = group.images.iter().zip(&expected).find(|(image, made)| image != made);
        let (first, _) = first.expect("every group has an image that is rewritten");
        in_effect(&space, &of_group(number, pod("one", first)));
        let pods: Vec<_> =
            group.images.chunks(TOGETHER).map(|images| of_group(number, pod_of(images))).collect();
        let answers = try_to_create(&space.name, &pods).into_iter();
        let actual: Vec<_> =
            answers.flat_map(|answer| images_of(&answer.expect("nothing refuses it"))).collect();
        assert_eq!(actual.len(), expected.len());
        if group.images.len() > 100 {
            assert_eq!(debugged(&space, number, &group.images), actual, "images of ephemeral containers");
        }
        for ((image, expected), actual) in group.images.iter().zip(expected).zip(actual) {
            if actual != expected {
                wrong.push(format!(
                    "{:?}: {image:.80}: {actual:.200}, by the webhook {expected:.200}",
                    group.settings
                ));
            } else if expected == *image {
                kept += 1;
            } else {
                rewritten += 1;
            }
        }
    }
    eprintln!("{} configurations, {rewritten} references rewritten, {kept} kept", groups.len());
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rewritten > 1000 && kept > 1000, "too few: {rewritten} rewritten, {kept} kept");
}
