//! Policies that let Pods in: what they leave behind.

use serde_json::Value;

use super::installed::Installed;
use crate::space::{Space, images, pod};
use crate::wait::until;

const SETTINGS: [(&str, &str); 1] = [("REGISTRY", "registry.example")];
const OBJECTION: &str = "container app has the image nginx:1 and may only have registry.example/nginx:1";

/// What the API server has noted about requests for a Pod of a namespace.
#[track_caller]
fn noted(namespace: &str) -> Vec<Value> {
    let Some(path) = std::env::var_os("PULLGATE_CLUSTER_AUDIT") else {
        panic!(
            "not run: no PULLGATE_CLUSTER_AUDIT. The audit log of a cluster of scripts/cluster is needed as a witness"
        );
    };
    let log = std::fs::read_to_string(&path).expect("the audit log");
    // The last line may be half written.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let events = whole
        .lines()
        .filter(|line| line.contains(namespace))
        .filter_map(|line| serde_json::from_str(line).ok());
    events.filter(|event: &Value| event["objectRef"]["resource"] == "pods").collect()
}

#[test]
fn with_audit_a_pod_gets_in_and_the_audit_log_says_why_it_should_not() {
    let space = Space::new();
    let _policy = Installed::all(&space, &[(&SETTINGS, &[])], |_, binding| {
        assert_eq!(binding["spec"]["validationActions"], serde_json::json!(["Audit"]), "the default");
    });
    let failures = until("a note in the audit log", || {
        space.kubectl("delete pod audited --ignore-not-found --grace-period=0 --force").ok();
        space.kubectl("apply --server-side -f -").input(&pod("audited", "nginx:1")).ok();
        let note = "validation.policy.admission.k8s.io/validation_failure";
        noted(&space.name).iter().find_map(|event| event["annotations"][note].as_str().map(str::to_owned))
    });
    assert_eq!(images(&space.get("pod/audited")), [("app", "nginx:1")]);
    let failures: Value = serde_json::from_str(&failures).expect("a list in JSON");
    assert_eq!(failures[0]["message"], OBJECTION);
    assert_eq!(failures[0]["validationActions"], serde_json::json!(["Audit"]));
}

#[test]
fn with_warn_a_pod_gets_in_and_its_author_is_told() {
    let space = Space::new();
    let _policy = Installed::all(&space, &[(&SETTINGS, &["--action=Warn,Audit"])], |_, _| ());
    let said = until("a warning", || {
        let created = space.kubectl("create --dry-run=server -f -").input(&pod("warned", "nginx:1")).ok();
        created.err.contains("Warning").then_some(created.err)
    });
    assert!(said.trim_end().ends_with(OBJECTION), "{said}");
}
