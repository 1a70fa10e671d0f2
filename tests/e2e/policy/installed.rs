//! Policies as the program prints them, in the cluster.

use std::process::Command;

use pullgate::offline::yaml;
use serde_json::{Value, json};

use crate::kubectl::kubectl;
use crate::policy::dry_run;
use crate::space::{Space, unique};
use crate::wait::until;
use crate::webhook::program;

/// What `pullgate policy` prints with these settings and no others: a policy and its binding.
#[track_caller]
pub(super) fn printed(settings: &[(&str, &str)], arguments: &[&str]) -> [Value; 2] {
    let mut command = Command::new(program());
    command.arg("policy").args(arguments).env_clear().envs(settings.iter().copied());
    let output = command.output().expect("the program can be run");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "pullgate policy {arguments:?} with {settings:?}: {errors}");
    let documents = yaml::read(&String::from_utf8(output.stdout).expect("YAML is UTF-8"));
    let values: Vec<_> = documents.into_iter().map(|document| document.value.expect("YAML")).collect();
    values.try_into().expect("a policy and a binding")
}

/// A policy that is bound to one namespace; gone when dropped.
pub(super) struct Installed {
    kinds: String,
    names: Vec<String>,
}

impl Installed {
    /// Returns when it is in effect: when the API server no longer takes this Pod as it is.
    #[track_caller]
    pub(super) fn until(space: &Space, settings: &[(&str, &str)], arguments: &[&str], probe: &Value) -> Self {
        let installed = Self::all(space, &[(settings, arguments)], |_, _| ());
        in_effect(space, probe);
        installed
    }

    /// Several of one kind, which `change` may tell from each other; they take a moment to be in effect.
    #[track_caller]
    pub(super) fn all(
        space: &Space,
        policies: &[(&[(&str, &str)], &[&str])],
        change: impl Fn(usize, &mut Value),
    ) -> Self {
        let selector = format!("--namespace-selector=kubernetes.io/metadata.name={}", space.name);
        let (mut items, mut names, mut kinds) = (Vec::new(), Vec::new(), String::new());
        for (number, (settings, arguments)) in policies.iter().enumerate() {
            let name = unique("policy");
            let own = [selector.clone(), format!("--name={name}")];
            let arguments: Vec<_> = arguments.iter().copied().chain(own.iter().map(String::as_str)).collect();
            let [policy, mut binding] = printed(settings, &arguments);
            change(number, &mut binding);
            kinds = format!(
                "{},{}",
                policy["kind"].as_str().unwrap_or_default(),
                binding["kind"].as_str().unwrap_or_default()
            );
            items.extend([policy, binding]);
            names.push(name);
        }
        let installed = Self { kinds, names };
        kubectl("create -f -").input(&json!({"apiVersion": "v1", "kind": "List", "items": items})).ok();
        installed
    }

    /// What the API server's type checker has to say about the expressions of the only policy.
    #[track_caller]
    pub(super) fn type_checking(&self) -> Value {
        let kind = self.kinds.split(',').next().expect("a kind");
        until("the types to be checked", || {
            let mut policy = kubectl("get -o json").word(kind).word(&self.names[0]).json();
            let checked = policy["status"]["typeChecking"].take();
            (!checked.is_null()).then_some(checked)
        })
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let mut delete = kubectl("delete --wait=false --ignore-not-found").word(&self.kinds);
        for name in &self.names {
            delete = delete.word(name);
        }
        delete.run();
    }
}

/// Waits until the API server refuses or changes a Pod.
#[track_caller]
pub(super) fn in_effect(space: &Space, probe: &Value) {
    until("the policy in effect", || {
        match dry_run::create(&space.name, std::slice::from_ref(probe)).remove(0) {
            Ok(stored) => (stored["spec"]["containers"][0]["image"]
                != probe["spec"]["containers"][0]["image"])
                .then_some(()),
            // So does a namespace without its ServiceAccount, for a moment.
            Err(problem) => problem.contains("AdmissionPolicy").then_some(()),
        }
    });
}
