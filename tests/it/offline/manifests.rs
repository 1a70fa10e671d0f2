//! What manifests become, and which are found.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::{EVERYTHING, Outcome, REGISTRY, examples, fine, mutate, pod, values};

#[test]
fn pods_and_claims_are_printed_mutated_and_everything_else_as_it_is() {
    let input = format!(
        "{}---\n# nothing here\n---\n{}---\n{}",
        pod("web", "nginx"),
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {image: nginx, on: \"yes\", n: '017'}\n",
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: {resources: {}}\n",
    );
    let output = "\
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
  - name: app
    image: registry.example/hub/nginx
    imagePullPolicy: Always
  imagePullSecrets:
  - name: regcred
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: c
data:
  image: nginx
  \"true\": \"yes\"
  \"false\": \"017\"
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: c
spec:
  resources: {}
  storageClassName: fast
";
    assert_eq!(mutate(EVERYTHING, &[], &input), fine(output));
    assert_eq!(mutate(EVERYTHING, &["-"], &input), fine(output));
}

#[test]
fn templates_of_workloads_are_previewed() {
    let spec = json!({"containers": [{"image": "nginx"}]});
    let template = json!({"metadata": {"namespace": "kube-system"}, "spec": spec});
    let claim = json!({"metadata": {"name": "data"}, "spec": {}});
    for (version, kind, body, pointer) in [
        ("apps/v1", "Deployment", json!({"template": template}), "/spec/template"),
        ("apps/v1", "ReplicaSet", json!({"template": template}), "/spec/template"),
        ("apps/v1", "DaemonSet", json!({"template": template}), "/spec/template"),
        ("apps/v1", "StatefulSet", json!({"template": template}), "/spec/template"),
        ("v1", "ReplicationController", json!({"template": template}), "/spec/template"),
        ("batch/v1", "Job", json!({"template": template}), "/spec/template"),
        (
            "batch/v1",
            "CronJob",
            json!({"jobTemplate": {"spec": {"template": template}}}),
            "/spec/jobTemplate/spec/template",
        ),
    ] {
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": body});
        let outcome = mutate(REGISTRY, &[], &object.to_string());
        let image =
            values(&outcome.output)[0].pointer(pointer).unwrap()["spec"]["containers"][0]["image"].clone();
        assert_eq!((outcome.status, image), (0, json!("registry.example/nginx")), "{kind}");
    }
    let object =
        json!({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": template});
    let outcome = mutate(REGISTRY, &[], &object.to_string());
    assert!(outcome.output.contains("image: registry.example/nginx\n"), "{}", outcome.output);

    let spec = json!({"template": template, "volumeClaimTemplates": [claim, claim]});
    let object =
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "x"}, "spec": spec});
    let outcome = mutate(EVERYTHING, &[], &object.to_string());
    let claims = values(&outcome.output)[0]["spec"]["volumeClaimTemplates"].clone();
    let classed = json!({"metadata": {"name": "data"}, "spec": {"storageClassName": "fast"}});
    assert_eq!(claims, json!([classed, classed]));
}

#[test]
fn kinds_of_other_groups_and_absent_templates_pass_through() {
    for object in [
        json!({"apiVersion": "example.com/v1", "kind": "Pod", "spec": {"containers": [{"image": "nginx"}]}}),
        json!({"apiVersion": "example.com/v1", "kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"image": "nginx"}]}}}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": null}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment"}),
        json!({"apiVersion": "example.com/v1", "kind": "AllowList", "items": "any"}),
    ] {
        let outcome = mutate(EVERYTHING, &["--exit-code"], &object.to_string());
        assert_eq!((outcome.status, values(&outcome.output)), (0, vec![object]));
    }
}

#[test]
fn items_of_lists_are_admitted_typed_ones_too() {
    let item = json!({"metadata": {"name": "x"}, "spec": {"containers": [{"image": "nginx"}]}});
    let whole = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"image": "nginx"}]}});
    for list in [
        json!({"apiVersion": "v1", "kind": "PodList", "items": [item, item]}),
        json!({"apiVersion": "v1", "kind": "List", "items": [whole, {"apiVersion": "v1", "kind": "List", "items": [whole]}]}),
    ] {
        let outcome = mutate(REGISTRY, &[], &list.to_string());
        assert_eq!(outcome.status, 0, "{}", outcome.errors);
        assert_eq!(
            outcome.output.matches("image: registry.example/nginx\n").count(),
            2,
            "{}",
            outcome.output
        );
    }
    let bad = json!({"apiVersion": "v1", "kind": "List", "items": [whole, {"metadata": {}}]});
    let problem = "error: stdin: document 1, line 1: items[1]: is not a Kubernetes object: apiVersion and kind are expected\n";
    assert_eq!(
        mutate(REGISTRY, &[], &bad.to_string()),
        Outcome { status: 2, output: String::new(), errors: problem.into() }
    );
}

#[test]
fn the_namespace_is_the_objects_or_the_given_one() {
    let named = pod("web", "nginx").replace("  name: web\n", "  name: web\n  namespace: kube-system\n");
    assert!(mutate(REGISTRY, &[], &named).output.contains("image: nginx\n"));
    assert!(mutate(REGISTRY, &["-n", "other"], &named).output.contains("image: nginx\n"));
    assert!(mutate(REGISTRY, &["-n", "kube-system"], &pod("web", "nginx")).output.contains("image: nginx\n"));
    assert!(mutate(REGISTRY, &[], &pod("web", "nginx")).output.contains("image: registry.example/nginx\n"));
}

#[test]
fn a_bad_document_is_named_with_its_line_and_the_others_are_printed() {
    let bad_pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: {}}\n";
    let input = format!(
        "{}---\na: 1\na: 2\n---\n- 1\n---\n{bad_pod}---\n{}",
        pod("one", "nginx"),
        pod("two", "nginx")
    );
    let outcome = mutate(REGISTRY, &[], &input);
    let errors = "\
error: stdin: document 2, line 11: duplicate key \"a\"
error: stdin: document 3, line 13: is not a Kubernetes object: a mapping with apiVersion and kind is expected
error: stdin: document 4, line 15: Pod default/x: cannot be read: invalid type: map, expected a sequence
";
    assert_eq!((outcome.status, outcome.errors.as_str()), (2, errors));
    let names: Vec<_> = values(&outcome.output).iter().map(|pod| pod["metadata"]["name"].clone()).collect();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn folders_are_read_in_order_and_what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("b/c")).unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("b/c/two.json"), serde_json::to_string(&values(&pod("two", "a"))[0]).unwrap()).unwrap();
    fs::write(at("b/one.yml"), pod("one", "a")).unwrap();
    fs::write(at("z.yaml"), pod("three", "a")).unwrap();
    fs::write(at("notes.txt"), "not: [read").unwrap();
    fs::write(at("bytes.txt"), [0xff, 0xfe]).unwrap();
    std::os::unix::fs::symlink(folder.path(), at("b/loop")).unwrap();
    let outcome = mutate(REGISTRY, &[folder.path().to_str().unwrap()], "");
    let names: Vec<_> = values(&outcome.output).iter().map(|pod| pod["metadata"]["name"].clone()).collect();
    assert_eq!((outcome.status, names), (0, vec![json!("two"), json!("one"), json!("three")]));

    fs::create_dir_all(at("charts/shop/templates")).unwrap();
    fs::create_dir(at("pipes")).unwrap();
    assert!(Command::new("mkfifo").arg(at("pipes/a.yaml")).status().unwrap().success());
    fs::write(at("charts/shop/Chart.yaml"), "apiVersion: v2\nname: shop\n").unwrap();
    fs::write(at("charts/shop/templates/web.yaml"), "{{ .Values }}").unwrap();
    let text = |name: &str| at(name).display().to_string();
    for (argument, problem) in [
        (text("empty"), format!("error: {}: no .yaml, .yml or .json file in this folder\n", text("empty"))),
        (
            text("none"),
            format!("error: {}: cannot be read: No such file or directory (os error 2)\n", text("none")),
        ),
        (
            text("pipes"),
            format!(
                "error: {}: is no file; pipes are read where they are named themselves\n",
                text("pipes/a.yaml")
            ),
        ),
        (
            // Whoever named it.
            text("\u{1b}[2J\n"),
            format!(
                "error: {}\\u{{1b}}[2J\\n: cannot be read: No such file or directory (os error 2)\n",
                text("")
            ),
        ),
        (text("bytes.txt"), format!("error: {}: is not UTF-8 text\n", text("bytes.txt"))),
        (
            text("charts"),
            format!(
                "error: {0}: is a Helm chart, not manifests; accepted: what `helm template {0}` prints, on standard input\n",
                text("charts/shop")
            ),
        ),
    ] {
        let outcome = mutate(REGISTRY, &[&argument, &text("z.yaml")], "");
        assert_eq!((outcome.status, outcome.errors), (2, problem));
        assert!(outcome.output.contains("name: three\n"));
    }
    let nothing = "error: no object found: give files or folders of manifests, or standard input\n";
    assert_eq!(
        mutate(REGISTRY, &[], "# only\n---\n"),
        Outcome { status: 2, output: String::new(), errors: nothing.into() }
    );
}

#[test]
fn every_example_comes_out_changed_once_and_then_no_more() {
    let folders = ["pods", "claims", "workloads"].map(|folder| format!("{}/{folder}", examples()));
    let arguments = [&["--exit-code"][..], &folders.each_ref().map(String::as_str)].concat();
    let once = mutate(EVERYTHING, &arguments, "");
    assert_eq!(once.status, 1, "{}", once.errors);
    assert!(values(&once.output).len() >= 10);
    let again = mutate(EVERYTHING, &["--exit-code"], &once.output);
    assert_eq!((again.status, again.output), (0, once.output));
}
