//! `pullgate images`: what is [`listing`] what, the lists for [`mirrors`], and what is asked of a [`registry`].

mod listing;
mod mirrors;
mod registry;

use clap::Parser;
use pullgate::images::options::Options;
use pullgate::images::run;
use serde_json::{Value, json};

use crate::streams::{Outcome, on, policy};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

const MAP: (&str, &str) = ("REGISTRY_MAP", "docker.io=registry.example/hub,quay.io=registry.example/quay");

/// Runs on standard input.
fn images(environment: &[(&str, &str)], arguments: &[&str], input: &str) -> Outcome {
    let options = Cli::try_parse_from(["images"].iter().chain(arguments)).unwrap().options;
    on(false, input, |streams| {
        actix_web::rt::System::new().block_on(run(&options, &policy(environment), streams))
    })
}

/// The output of a run without a problem.
fn fine(environment: &[(&str, &str)], arguments: &[&str], input: &str) -> String {
    let Outcome { status, output, errors } = images(environment, arguments, input);
    assert_eq!((status, errors.as_str()), (0, ""), "{output}");
    output
}

/// The list of a run without a problem, by image.
fn listed(environment: &[(&str, &str)], input: &str) -> Vec<Value> {
    let whole: Value = serde_json::from_str(&fine(environment, &["--output", "json"], input)).unwrap();
    whole["images"].as_array().unwrap().clone()
}

/// A Pod with a container for each image.
fn pod(images: &[&str]) -> String {
    let container = |(place, image)| json!({"name": format!("c{place}"), "image": image});
    let containers: Vec<_> = images.iter().enumerate().map(container).collect();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": containers}})
        .to_string()
}
