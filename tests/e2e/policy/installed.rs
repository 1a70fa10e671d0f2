//! Policies as the program prints them, in the cluster.

use std::process::Command;

use pullgate::offline::yaml;
use serde_json::{Value, json};

use super::direct;
use crate::kubectl::kubectl;
use crate::space::{Space, pod, unique};
use crate::wait::until;
use crate::webhook::program;

/// Settings and arguments of the program.
pub(super) type Told<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

/// Bindings first: a policy without one applies to nothing.
const RESOURCES: [&str; 4] = [
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicybindings",
    "validatingadmissionpolicies",
    "mutatingadmissionpolicies",
];

/// What `pullgate policy` prints with these and no others: a policy and its binding.
#[track_caller]
pub(super) fn printed((settings, arguments): Told<'_>) -> [Value; 2] {
    let mut command = Command::new(program());
    command.arg("policy").args(arguments).env_clear().envs(settings.iter().copied());
    let output = command.output().expect("the program can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pullgate policy {arguments:?} with {settings:?}: {errors}");
    let documents = yaml::read(&String::from_utf8(output.stdout).expect("YAML is UTF-8"));
    let values: Vec<_> = documents.into_iter().map(|document| document.value.expect("YAML")).collect();
    values.try_into().expect("a policy and a binding")
}

/// Policies that are bound to one namespace; gone when dropped.
pub(super) struct Installed {
    label: String,
}

impl Installed {
    /// Installs a policy with `--action=Deny`; returns when it refuses an image that no webhook of ours changes.
    #[track_caller]
    pub(super) fn refusing(space: &Space, settings: &[(&str, &str)]) -> Self {
        let installed = Self::all(space, &[(settings, &["--action=Deny"])], |_, _| ());
        in_effect(space, &pod("probe", "auto"));
        installed
    }

    /// Installs a mutating policy; returns when it changes an image.
    #[track_caller]
    pub(super) fn changing(space: &Space, settings: &[(&str, &str)]) -> Self {
        let installed = Self::all(space, &[(settings, &["--kind=mutating"])], |_, _| ());
        in_effect(space, &pod("probe", "nginx"));
        installed
    }

    /// Several, which `change` may tell from each other; they take a moment to be in effect.
    #[track_caller]
    pub(super) fn all(space: &Space, policies: &[Told<'_>], change: impl Fn(usize, &mut Value)) -> Self {
        let label = unique("policy");
        let namespace = format!("--namespace-selector=kubernetes.io/metadata.name={}", space.name);
        let mut items = Vec::new();
        for (number, (settings, arguments)) in policies.iter().enumerate() {
            let name = format!("--name={label}-{number}");
            let arguments = [arguments, [namespace.as_str(), &name].as_slice()].concat();
            let [mut policy, mut binding] = printed((settings, &arguments));
            change(number, &mut binding);
            for object in [&mut policy, &mut binding] {
                object["metadata"]["labels"] = json!({"e2e": label});
            }
            items.extend([policy, binding]);
        }
        let installed = Self { label };
        kubectl("create -f -").input(&json!({"apiVersion": "v1", "kind": "List", "items": items})).ok();
        installed
    }

    /// What the API server's type checker has to say about the expressions of the only validating policy.
    #[track_caller]
    pub(super) fn type_checking(&self) -> Value {
        let policy = format!("{}-0", self.label);
        until("the types to be checked", || {
            let mut policy = kubectl("get validatingadmissionpolicy -o json").word(&policy).json();
            let checked = policy["status"]["typeChecking"].take();
            (!checked.is_null()).then_some(checked)
        })
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        for resource in RESOURCES {
            let deleted = direct::delete_all(resource, &format!("e2e={}", self.label));
            if let Err(problem) = deleted {
                eprintln!("{resource} of {} are left: {problem}", self.label);
            }
        }
    }
}

/// Waits until the API server refuses or changes a Pod.
#[track_caller]
pub(super) fn in_effect(space: &Space, probe: &Value) {
    let image = |pod: &Value| pod["spec"]["containers"][0]["image"].clone();
    until("the policy in effect", || {
        match direct::try_to_create(&space.name, std::slice::from_ref(probe)).remove(0) {
            Ok(stored) => (image(&stored) != image(probe)).then_some(()),
            // So does a namespace without its ServiceAccount, for a moment.
            Err(problem) => problem.contains("AdmissionPolicy").then_some(()),
        }
    });
}
