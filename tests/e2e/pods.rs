//! Creation of Pods.

use crate::space::{Space, images};

const REGISTRY: (&str, &str) = ("REGISTRY", "registry.example");
const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn images_of_all_kinds_of_containers_and_volumes_are_stored_rewritten() {
    let space = Space::new();
    let _webhook = space.webhook(&[REGISTRY]);
    space.kubectl("create -f every-kind-of-image.yaml").ok();
    let stored = space.get("pod/every");
    assert_eq!(
        images(&stored),
        [
            ("init", "registry.example/team/init:1.2"),
            ("sidecar", &format!("registry.example/team/proxy@{DIGEST}")),
            ("app", "registry.example/nginx"),
            ("both", &format!("registry.example/library/redis:7.2@{DIGEST}")),
            ("ours", "registry.example/infra/ours:1"),
        ]
    );
    assert_eq!(stored["spec"]["volumes"][0]["image"]["reference"], "registry.example/team/model:v1");
    assert_eq!(stored["spec"]["initContainers"][0]["imagePullPolicy"], "Never", "nothing else is touched");
    assert_eq!(stored["metadata"]["generation"], 1);
}
