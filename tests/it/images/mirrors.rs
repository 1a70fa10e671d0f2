use pullgate::offline::yaml::read;
use serde_json::json;

use super::{MAP, fine, images, pod};

const DIGEST: &str = "sha256:4c41bd9a8f7a5e3d0fbf1c0f7fb9a2ee4a5e6b2d7a9f0c1b3d5e7f9a1b3c5d7e";

/// Written in several ways, at its target, and not to be moved.
fn mixed() -> String {
    pod(&[
        "nginx",
        "docker.io/nginx:latest",
        "index.docker.io/grafana/grafana:12.1.0",
        &format!("quay.io/coreos/etcd:3@{DIGEST}"),
        &format!("quay.io/coreos/etcd@{DIGEST}"),
        "registry.example/hub/redis:8",
        "ghcr.io/acme/tool:2",
        "quay.io/Bad/Name",
    ])
}

#[test]
fn pairs_are_what_has_to_be_copied_once_and_sorted() {
    assert_eq!(
        fine(&[MAP], &["--output", "pairs"], &mixed()),
        format!(
            "docker.io/grafana/grafana:12.1.0 registry.example/hub/grafana/grafana:12.1.0\n\
             docker.io/library/nginx:latest registry.example/hub/nginx:latest\n\
             quay.io/coreos/etcd@{DIGEST} registry.example/quay/coreos/etcd@{DIGEST}\n"
        )
    );
}

#[test]
fn regsync_gets_a_step_for_each_pair() {
    let list = fine(&[MAP], &["--output", "regsync"], &mixed());
    let step = |source: &str, target: &str| json!({"source": source, "target": target, "type": "image"});
    let expected = json!({"version": 1, "sync": [
        step("docker.io/grafana/grafana:12.1.0", "registry.example/hub/grafana/grafana:12.1.0"),
        step("docker.io/library/nginx:latest", "registry.example/hub/nginx:latest"),
        step(&format!("quay.io/coreos/etcd@{DIGEST}"), &format!("registry.example/quay/coreos/etcd@{DIGEST}")),
    ]});
    assert_eq!(read(&list).remove(0).value.unwrap(), expected);
}

#[test]
fn skopeo_gets_a_list_for_each_destination() {
    let list = |destination| {
        let arguments = ["--output", "skopeo", "--destination", destination, "--plain-http", "docker.io"];
        let list = fine(&[MAP], &arguments, &mixed());
        assert!(
            list.starts_with(&format!(
                "# skopeo sync --all --src yaml --dest docker THIS-FILE {}\n",
                destination.trim_end_matches('/')
            )),
            "{list}"
        );
        read(&list).remove(0).value.unwrap()
    };
    assert_eq!(
        list("registry.example/hub/"),
        json!({"docker.io": {"images": {"library/nginx": ["latest"]}, "tls-verify": false}})
    );
    assert_eq!(
        list("registry.example/quay/coreos"),
        json!({"quay.io": {"images": {"coreos/etcd": [DIGEST]}}})
    );

    let several = images(&[MAP], &["--output", "skopeo"], &mixed());
    assert_eq!((several.status, several.output.as_str()), (2, ""));
    assert!(
        several.errors.ends_with(
            "give --destination with one of registry.example/hub, registry.example/hub/grafana, registry.example/quay/coreos\n"
        ),
        "{}",
        several.errors
    );
    let other = images(&[MAP], &["--output", "skopeo", "--destination", "x"], &mixed());
    assert!(
        other.errors.starts_with("error: --destination x: nothing is to be copied there; accepted: "),
        "{}",
        other.errors
    );
    let pairs = images(&[MAP], &["--output", "pairs", "--destination", "x"], &mixed());
    assert_eq!(
        (pairs.status, pairs.errors.as_str()),
        (2, "error: --destination is for --output skopeo: other lists name the whole target\n")
    );
    assert_eq!(read(&fine(&[MAP], &["--output", "skopeo"], &pod(&["quay.io/a:1"]))).len(), 1);
    assert_eq!(read(&fine(&[], &["--output", "skopeo"], &mixed())).remove(0).value.unwrap(), json!({}));
}

/// As certificates and registries have it.
#[test]
fn a_host_without_tls_is_one_in_any_case_of_its_letters() {
    let map = ("REGISTRY_MAP", "Reg.Local:5000=registry.example/local");
    let list = fine(
        &[map],
        &["--output", "skopeo", "--plain-http", "reg.LOCAL:5000"],
        &pod(&["Reg.Local:5000/b:1"]),
    );
    assert!(list.contains("tls-verify: false"), "{list}");
}

#[test]
fn two_images_that_would_get_one_name_are_told() {
    let input = pod(&["quay.io/a/x:1", "ghcr.io/a/x:1", "ghcr.io/a/y:1", "docker.io/library/z:1", "z:1"]);
    let outcome = images(&[("REGISTRY", "registry.example")], &["--output", "pairs"], &input);
    assert_eq!(outcome.status, 0);
    assert_eq!(
        outcome.errors,
        "warning: ghcr.io/a/x:1 and quay.io/a/x:1 all become registry.example/a/x:1, which only one can be: \
         a source each in REGISTRY_MAP keeps them apart\n"
    );
}
