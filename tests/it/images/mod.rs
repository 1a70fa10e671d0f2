//! `pullgate images`: what is [`listing`] what, the lists for [`mirrors`], and what is asked of a [`registry`].

mod listing;
mod mirrors;
mod registry;

use std::ffi::OsString;

use clap::Parser;
use pullgate::config::load_policy;
use pullgate::images::options::Options;
use pullgate::images::run;
use pullgate::offline::Streams;
use serde_json::{Value, json};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, PartialEq)]
struct Outcome {
    status: u8,
    output: String,
    errors: String,
}

const MAP: (&str, &str) = ("REGISTRY_MAP", "docker.io=registry.example/hub,quay.io=registry.example/quay");

/// Runs on standard input.
fn images(environment: &[(&str, &str)], arguments: &[&str], input: &str) -> Outcome {
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let policy = load_policy(environment).unwrap().0;
    let options = Cli::try_parse_from(["images"].iter().chain(arguments)).unwrap().options;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let mut streams =
        Streams { input: &mut input.as_bytes(), output: &mut output, errors: &mut errors, terminal: false };
    let status = actix_web::rt::System::new().block_on(run(&options, &policy, &mut streams));
    Outcome { status, output: String::from_utf8(output).unwrap(), errors: String::from_utf8(errors).unwrap() }
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
