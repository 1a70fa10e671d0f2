//! `pullgate mutate`: [`manifests`] in and out, other [`results`], and how [`yaml`] is read and printed.

mod manifests;
mod results;
mod yaml;

use std::path::Path;

use clap::Parser;
use pullgate::offline::yaml::read;
use pullgate::offline::{Options, run};
use serde_json::Value;

use crate::streams::{Outcome, on, policy};

const EVERYTHING: &[(&str, &str)] = &[
    ("REGISTRY_MAP", "docker.io=registry.example/hub,quay.io=registry.example/quay"),
    ("IGNORED_REGISTRIES", "ghcr.io/acme"),
    ("IMAGE_PULL_SECRET", "regcred"),
    ("IMAGE_PULL_SECRET_APPEND", "true"),
    ("FORCE_IMAGE_PULL_POLICY", "true"),
    ("DEFAULT_STORAGE_CLASS", "fast"),
    ("EXCLUDE_NAMESPACES", "kube-system"),
];
const REGISTRY: &[(&str, &str)] = &[("REGISTRY", "registry.example"), ("EXCLUDE_NAMESPACES", "kube-system")];

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

fn options(arguments: &[&str]) -> Options {
    Cli::parse_from(["mutate"].iter().chain(arguments)).options
}

fn mutate_on(terminal: bool, environment: &[(&str, &str)], arguments: &[&str], input: &str) -> Outcome {
    on(terminal, input, |streams| run(&options(arguments), &policy(environment), streams))
}

fn mutate(environment: &[(&str, &str)], arguments: &[&str], input: &str) -> Outcome {
    mutate_on(false, environment, arguments, input)
}

fn fine(output: &str) -> Outcome {
    Outcome { status: 0, output: output.to_owned(), errors: String::new() }
}

fn pod(name: &str, image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\nspec:\n  containers:\n  - name: app\n    image: {image}\n"
    )
}

fn examples() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").display().to_string()
}

fn values(text: &str) -> Vec<Value> {
    read(text).into_iter().map(|document| document.value.unwrap()).collect()
}
