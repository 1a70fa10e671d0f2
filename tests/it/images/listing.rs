use serde_json::{Value, json};

use super::{MAP, fine, images, listed, pod};

/// Some fields of each image.
fn columns<'a>(images: &'a [Value], pointers: &[&str]) -> Vec<Vec<&'a str>> {
    let texts = |image: &'a Value| {
        let text = |pointer: &&str| image.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
        pointers.iter().map(text).collect()
    };
    images.iter().map(texts).collect()
}

#[test]
fn every_carrier_of_an_image_is_looked_at() {
    let input = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"},
        "spec": {
            "initContainers": [
                {"name": "i", "image": "init:1"},
                {"name": "s", "image": "sidecar:1", "restartPolicy": "Always"},
            ],
            "containers": [{"name": "c", "image": "main:1"}, {"name": "none"}],
            "ephemeralContainers": [{"name": "e", "image": "debug:1"}],
            "volumes": [{"name": "v", "image": {"reference": "model:1"}}, {"name": "w", "emptyDir": {}}],
        },
    });
    let listed = listed(&[MAP], &input.to_string());
    let expected: Vec<Vec<String>> = ["debug:1", "init:1", "main:1", "model:1", "sidecar:1"]
        .map(|image| vec![image.to_owned(), format!("registry.example/hub/{image}"), "Pod shop/p".to_owned()])
        .to_vec();
    assert_eq!(columns(&listed, &["/image", "/result", "/users/first/0"]), expected);
}

#[test]
fn what_the_registration_leaves_out_stays() {
    let pod = |namespace: &str| {
        format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p","namespace":"{namespace}"}},"spec":{{"containers":[{{"name":"c","image":"nginx:1"}}]}}}}"#
        )
    };
    let fates = |environment: &[(&str, &str)], arguments: &[&str]| {
        let namespaces = ["kube-system", "pullgate", "gate", "left", "shop"];
        namespaces.map(|namespace| {
            let json = fine(environment, &[arguments, &["--output=json"]].concat(), &pod(namespace));
            serde_json::from_str::<Value>(&json).unwrap()["images"][0]["fate"].as_str().unwrap().to_owned()
        })
    };
    let (stays, goes) = ("excluded", "rewritten");
    assert_eq!(fates(&[MAP], &[]), [stays, stays, goes, goes, goes]);
    assert_eq!(
        fates(&[MAP, ("EXCLUDE_NAMESPACES", "left")], &["--webhook-namespace=gate"]),
        [stays, goes, stays, stays, goes]
    );
}

#[test]
fn each_fate_has_its_name_and_its_reason() {
    let environment = &[MAP, ("IGNORED_REGISTRIES", "ghcr.io/acme"), ("EXCLUDE_NAMESPACES", "kube-system")];
    let odd =
        pod(&["quay.io/Team/App:1", "registry.example/hub/x:1", "ghcr.io/acme/a:1", "other.example/a:1"]);
    let excluded = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"k","namespace":"kube-system"},"spec":{"containers":[{"name":"c","image":"nginx:1"}]}}"#;
    let mirror = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"m","annotations":{"kubernetes.io/config.mirror":"x"}},"spec":{"containers":[{"name":"c","image":"nginx:1"}]}}"#;
    let input = [odd.as_str(), excluded, mirror, &pod(&["nginx:1"])].join("\n");
    assert_eq!(
        columns(&listed(environment, &input), &["/image", "/fate", "/why", "/result"]),
        [
            ["ghcr.io/acme/a:1", "ignored", "ghcr.io/acme is one of IGNORED_REGISTRIES", "-"],
            [
                "nginx:1",
                "rewritten",
                "docker.io=registry.example/hub of REGISTRY_MAP",
                "registry.example/hub/nginx:1"
            ],
            ["nginx:1", "excluded", "the namespace kube-system is excluded", "-"],
            ["nginx:1", "exempt", "a mirror Pod, or a Pod that is being deleted", "-"],
            [
                "other.example/a:1",
                "no_rule",
                "no source of REGISTRY_MAP covers it, and there is no fallback",
                "-"
            ],
            [
                "quay.io/Team/App:1",
                "unparsable",
                "not an image reference: its name may hold only a-z, 0-9 and . _ __ - between them",
                "-",
            ],
            [
                "registry.example/hub/x:1",
                "at_target",
                "it is at the target registry.example/hub already",
                "-"
            ],
        ]
    );
}

fn owned(kind: &str, name: &str, owner: &Value, labels: &Value) -> Value {
    json!({
        "apiVersion": if kind == "Pod" { "v1" } else { "apps/v1" }, "kind": kind,
        "metadata": {"name": name, "namespace": "shop", "labels": labels, "ownerReferences": [owner]},
        "spec": {
            "containers": [{"name": "c", "image": "nginx:1"}],
            "template": {"spec": {"containers": [{"name": "c", "image": "nginx:old"}]}},
        },
    })
}

#[test]
fn a_workload_and_its_pods_are_one_user_and_old_revisions_none() {
    let hash = json!({"pod-template-hash": "5d4f"});
    let set = json!({"kind": "ReplicaSet", "name": "web-5d4f", "controller": true});
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
         "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}}},
        owned("ReplicaSet", "web-5d4f", &json!({"kind": "Deployment", "name": "web", "controller": true}), &hash),
        owned("Pod", "web-5d4f-a", &set, &hash),
        owned("Pod", "web-5d4f-b", &set, &hash),
        owned("Pod", "own", &json!({"kind": "ReplicaSet", "name": "bare", "controller": true}), &json!({})),
        owned("Pod", "static", &json!({"kind": "Node", "name": "n1", "controller": true}), &json!({})),
        owned("Pod", "watched", &json!({"kind": "Other", "name": "x"}), &json!({})),
    ]});
    let listed = listed(&[MAP], &list.to_string());
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(
        listed[0]["users"],
        json!({"count": 4, "first": ["Deployment shop/web", "Pod shop/static", "Pod shop/watched", "ReplicaSet shop/bare"]})
    );
}

/// Who else makes them is not looked at itself.
#[test]
fn a_set_of_replicas_that_is_of_no_deployment_is_looked_at() {
    let rollout = json!({"kind": "Rollout", "name": "shop", "controller": true});
    let set = owned("ReplicaSet", "shop-1", &rollout, &json!({}));
    let listed = listed(&[MAP], &set.to_string());
    assert_eq!(columns(&listed, &["/image"]), [["nginx:old"]]);
    assert_eq!(listed[0]["users"], json!({"count": 1, "first": ["Rollout shop/shop"]}));
}

#[test]
fn an_item_that_cannot_be_read_hides_no_other() {
    let mut items: Vec<Value> = ["one:1", "two:1", "three:1", "four:1"]
        .map(|image| serde_json::from_str(&pod(&[image])).unwrap())
        .into();
    items[1]["spec"]["containers"] = json!({"a": "two"});
    items[2] = json!("three");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let outcome = images(&[MAP], &["--output", "json"], &list.to_string());
    assert_eq!(outcome.status, 2);
    let whole: Value = serde_json::from_str(&outcome.output).unwrap();
    assert_eq!(columns(whole["images"].as_array().unwrap(), &["/image"]), [["four:1"], ["one:1"]]);
    let errors: Vec<_> = outcome.errors.lines().collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(
        errors[0].starts_with("error: stdin: document 1, line 1: items[1]: Pod default/p: "),
        "{errors:?}"
    );
    assert!(
        errors[1].ends_with(
            ": items[2]: is not a Kubernetes object: a mapping with apiVersion and kind is expected"
        ),
        "{errors:?}"
    );
}

#[test]
fn a_pod_that_has_run_to_its_end_uses_nothing() {
    let mut ended: Value = serde_json::from_str(&pod(&["old:1"])).unwrap();
    ended["status"] = json!({"phase": "Succeeded"});
    let mut running: Value = serde_json::from_str(&pod(&["nginx:1"])).unwrap();
    running["status"] = json!({"phase": "Running"});
    let listed = listed(&[MAP], &format!("{ended}\n{running}"));
    assert_eq!(columns(&listed, &["/image"]), [["nginx:1"]]);
}

#[test]
fn the_table_has_a_line_for_each_image_and_names_the_first_users() {
    let many: Vec<_> = (0..5).map(|i| pod(&["nginx:1"]).replace("\"p\"", &format!("\"p{i}\""))).collect();
    assert_eq!(
        fine(&[MAP], &[], &many.join("\n")),
        "IMAGE    BECOMES                       WHY                                             USERS\n\
         nginx:1  registry.example/hub/nginx:1  docker.io=registry.example/hub of REGISTRY_MAP  \
         5: Pod default/p0, Pod default/p1, Pod default/p2, …\n\
         \n1 image: 1 rewritten\n"
    );
}

#[test]
fn the_document_shows_what_is_printed() {
    let document = include_str!("../../../docs/images.md");
    let shown = document.split_once("    $ pullgate images examples/workloads\n").unwrap().1;
    let shown = shown.split_once("\n## ").unwrap().0;
    let shown: Vec<_> = shown.trim_end().lines().map(|line| line.trim_start_matches("    ")).collect();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workloads");
    assert_eq!(fine(&[MAP], &[folder], "").lines().collect::<Vec<_>>(), shown);
}

#[test]
fn text_of_manifests_reaches_no_terminal_as_it_is() {
    let table = fine(&[MAP], &[], &pod(&["evil\u{1b}[2J:1", "live\u{202e}:1"]));
    assert!(table.contains("evil\\u{1b}[2J:1") && !table.contains('\u{1b}'), "{table}");
    assert!(table.contains("live\\u{202e}:1") && !table.contains('\u{202e}'), "{table}");
}

#[test]
fn the_exit_status_tells_trouble_and_errors_apart() {
    let odd = pod(&["a b"]);
    assert_eq!(images(&[MAP], &[], &odd).status, 0);
    assert_eq!(images(&[MAP], &["--exit-code"], &odd).status, 1);
    assert_eq!(images(&[MAP], &["--exit-code"], &pod(&["nginx:1"])).status, 0);
    for (input, problem) in [
        (
            "",
            "error: no Pod or workload found: give files or folders of manifests, standard input, or --cluster\n",
        ),
        ("a: [", "error: stdin: document 1, line 1"),
        (
            "kind: Pod",
            "error: stdin: document 1, line 1: is not a Kubernetes object: apiVersion and kind are expected",
        ),
        (
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":7}}"#,
            "error: stdin: document 1, line 1: Pod default/p: cannot be read",
        ),
    ] {
        let outcome = images(&[MAP], &["--exit-code"], input);
        assert_eq!(outcome.status, 2, "{input}");
        assert!(outcome.errors.starts_with(problem), "{input}: {}", outcome.errors);
    }
    let both = images(&[MAP], &[], &format!("{}\n---\nkind: Pod\n", pod(&["nginx:1"])));
    assert_eq!(both.status, 2);
    assert!(both.output.contains("registry.example/hub/nginx:1"), "{}", both.output);
    let missing = images(&[MAP], &["no/such/file.yaml"], "");
    assert!(missing.errors.contains("no/such/file.yaml: cannot be read"), "{}", missing.errors);
}

#[test]
fn a_large_cluster_is_listed_within_seconds() {
    let pods: Vec<_> = (0..5000)
        .map(|i| {
            let images = [0, 1, 2, 3].map(|j| format!("quay.io/team{}/app{i}:{j}", i % 50));
            pod(&images.each_ref().map(String::as_str)).replace("\"p\"", &format!("\"p{i}\""))
        })
        .collect();
    let began = std::time::Instant::now();
    let list = fine(&[MAP], &["--output", "pairs"], &pods.join("\n"));
    assert_eq!(list.lines().count(), 20_000);
    assert!(began.elapsed().as_secs() < 60, "{:?} in a build without optimisation", began.elapsed());
}
