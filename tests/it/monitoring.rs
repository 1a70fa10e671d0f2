//! Alerts and dashboard ask for metrics that exist, and each alert has a runbook. What they come to is tested by
//! `tests/charts`, with promtool, and by `scripts/dashboard`, with Prometheus.

use std::collections::BTreeSet;

use pullgate::controller::metrics::{CertificateOf, Counts, Metrics as Controller};
use pullgate::metrics::Metrics as Webhook;
use regex::Regex;
use serde_json::Value;

use crate::chart::document;
use crate::docs::{read, root};

/// Metrics of others, and who has them.
const OF_OTHERS: &[(&str, &str)] = &[
    ("up", "Prometheus"),
    ("apiserver_admission_webhook_rejection_count", "kube-apiserver"),
    ("apiserver_admission_webhook_fail_open_count", "kube-apiserver"),
    ("kube_deployment_status_replicas_ready", "kube-state-metrics"),
    ("kube_deployment_spec_replicas", "kube-state-metrics"),
    ("kube_pod_container_status_waiting_reason", "kube-state-metrics"),
];

/// The alerts of a component.
fn alerts(component: &str) -> Vec<Value> {
    let rules = document(&format!("deployment/monitoring/{component}/rules.yaml"));
    let groups = rules["spec"]["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn all_alerts() -> Vec<Value> {
    ["webhook", "controller"].into_iter().flat_map(alerts).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// Names of series that the program has, those of histograms among them.
fn series() -> BTreeSet<String> {
    let controller = Controller::default();
    controller.ends("u", vec![("r.example".to_owned(), k8s_openapi::jiff::Timestamp::UNIX_EPOCH)]);
    controller.certificate_expires(CertificateOf::Serving, Some(1));
    controller.certificates_in_order("self-managed", true);
    let encoded =
        [Webhook::default().encode().unwrap(), controller.encode(Counts::default(), true, true).unwrap()];
    let mut found = BTreeSet::new();
    for line in encoded.iter().flat_map(|text| text.lines()) {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let suffixes: &[&str] = match kind {
            "counter" => &["_total"],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        found.extend(suffixes.iter().map(|suffix| [name, suffix].concat()));
    }
    found
}

/// Metrics that an expression asks for: names in front of `{`, `[` or nothing, without what stands in quotes and braces.
fn asked(expression: &str) -> BTreeSet<String> {
    let bare = Regex::new(r#""[^"]*""#).unwrap().replace_all(expression, "").into_owned();
    let bare = Regex::new(r"\{[^}]*\}|\[[^\]]*\]").unwrap().replace_all(&bare, "").into_owned();
    let bare =
        Regex::new(r"\b(by|on|ignoring|without) *\([^)]*\)").unwrap().replace_all(&bare, "").into_owned();
    let words = Regex::new(r"[a-z_]{2,}( *\()?").unwrap();
    let operators = ["and", "or", "unless", "bool"];
    let names = words.find_iter(&bare).map(|word| word.as_str());
    names.filter(|name| !name.ends_with('(') && !operators.contains(name)).map(str::to_owned).collect()
}

#[test]
fn every_metric_that_is_asked_for_exists() {
    let dashboard: Value = serde_json::from_str(&read("deployment/monitoring/dashboard.json")).unwrap();
    let panels =
        dashboard["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array());
    let of_panels = panels.flatten().map(|target| text(&target["expr"]).to_owned());
    let expressions: Vec<_> =
        of_panels.chain(all_alerts().iter().map(|alert| text(&alert["expr"]).to_owned())).collect();
    let known: BTreeSet<_> =
        series().into_iter().chain(OF_OTHERS.iter().map(|(name, _)| (*name).to_owned())).collect();
    let mut used = BTreeSet::new();
    for expression in &expressions {
        let names = asked(expression);
        assert!(!names.is_empty() && names.is_subset(&known), "{expression}: {:?}", &names - &known);
        used.extend(names);
    }
    for (name, _) in OF_OTHERS {
        assert!(used.contains(*name), "nothing asks for {name}");
    }
    // The others are in use: one that is new belongs into the dashboard, or into this list.
    let unused: Vec<_> = series()
        .difference(&used)
        .filter(|name| !name.ends_with("_sum") && !name.ends_with("_count"))
        .cloned()
        .collect();
    assert_eq!(
        unused,
        [
            "pullgate_controller_build_info",
            "pullgate_controller_certificate_expiration_timestamp_seconds",
            "pullgate_controller_reconcile_duration_seconds_bucket",
            "pullgate_controller_resources_considered_total",
            "pullgate_controller_synchronized_timestamp_seconds",
        ]
    );
}

#[test]
fn every_alert_says_what_it_is_and_has_a_runbook() {
    let mut runbooks = BTreeSet::new();
    for alert in all_alerts() {
        let (name, annotations) = (text(&alert["alert"]), &alert["annotations"]);
        assert!(["critical", "warning", "info"].contains(&text(&alert["labels"]["severity"])), "{name}");
        assert!(
            text(&annotations["summary"]).ends_with('.') && text(&annotations["description"]).ends_with('.'),
            "{name}"
        );
        assert!(!text(&annotations["summary"]).contains("{{"), "{name}: a summary is the same for all");
        let path = format!("docs/runbooks/{name}.md");
        assert_eq!(text(&annotations["runbook_url"]), path);
        let runbook = read(&path);
        let headings: Vec<_> = runbook.lines().filter(|line| line.starts_with('#')).collect();
        assert_eq!(headings, [&*format!("# {name}"), "## What it means", "## How to see", "## How to mend"]);
        assert!(runbooks.insert(format!("{name}.md")), "{name} is there twice");
    }
    let files = std::fs::read_dir(root().join("docs/runbooks")).unwrap();
    let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, runbooks);
    let table = read("docs/monitoring.md");
    for runbook in &runbooks {
        assert!(
            table.contains(&format!("](runbooks/{runbook})")),
            "docs/monitoring.md does not link {runbook}"
        );
    }
}

/// By which rules and dashboard tell pullgate's replicas from others.
#[test]
fn monitors_give_the_job_that_rules_ask_for() {
    for (component, job) in [("webhook", "pullgate"), ("controller", "pullgate-controller")] {
        let rules = read(&format!("deployment/monitoring/{component}/rules.yaml"));
        assert!(rules.contains(&format!("{{job=\"{job}\"}}")), "{component}");
        for monitor in [format!("{component}/pod-monitor"), format!("service-monitor/{component}")] {
            let text = read(&format!("deployment/monitoring/{monitor}.yaml"));
            assert!(
                text.contains(&format!("- targetLabel: job\n          replacement: {job}\n")),
                "{monitor}"
            );
        }
    }
}
