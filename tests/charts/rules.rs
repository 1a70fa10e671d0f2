//! Alerts, with promtool: for each a case in which it fires and one in which it does not.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use pullgate::offline::yaml;
use serde_json::Value;

use crate::tools::{root, run};

fn document(path: &str) -> Value {
    let text = fs::read_to_string(root().join(path)).unwrap();
    yaml::read(&text).remove(0).value.unwrap()
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    for component in ["webhook", "controller"] {
        // Prometheus reads what is below `spec` in the resource.
        let spec = document(&format!("deployment/monitoring/{component}/rules.yaml"))["spec"].clone();
        fs::write(folder.path().join(format!("{component}-rules.yaml")), spec.to_string()).unwrap();
        let tests = format!("tests/charts/rules/{component}.yaml");
        fs::copy(root().join(&tests), folder.path().join(format!("{component}.yaml"))).unwrap();
        let promtool = |arguments: &[&str]| {
            run(Command::new("promtool").args(arguments).current_dir(folder.path()), "").ok()
        };
        promtool(&["check", "rules", &format!("{component}-rules.yaml")]);
        promtool(&["test", "rules", &format!("{component}.yaml")]);
        tested_both_ways(&spec, &document(&tests));
    }
}

/// Each alert has a case that expects it and one that expects none.
fn tested_both_ways(spec: &Value, tests: &Value) {
    let (mut fires, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    let cases = tests["tests"].as_array().unwrap().iter();
    for case in cases.filter_map(|case| case["promql_expr_test"].as_array()).flatten() {
        let name = case["expr"].as_str().unwrap().split('"').nth(1).unwrap();
        let expected = case["exp_samples"].as_array().unwrap();
        if expected.is_empty() {
            quiet.insert(name)
        } else {
            fires.insert(name)
        };
    }
    let groups = spec["groups"].as_array().unwrap().iter();
    let alerts = groups.flat_map(|group| group["rules"].as_array().unwrap());
    let alerts: BTreeSet<_> = alerts.map(|alert| alert["alert"].as_str().unwrap()).collect();
    assert!(alerts.len() > 5);
    assert_eq!((&fires, &quiet), (&alerts, &alerts));
}
