//! Creation of Pods.

use serde_json::json;

use crate::existing::EVERYTHING;
use crate::space::{Space, images, pod, pull_policies, pull_secrets};
use crate::wait::until;

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
    assert_eq!(stored["metadata"]["generation"], 1);
    // Nothing else is touched.
    let policies = ["Never", "IfNotPresent", "Always", "IfNotPresent", "IfNotPresent"];
    assert_eq!(pull_policies(&stored).iter().map(|(_, policy)| *policy).collect::<Vec<_>>(), policies);
    assert_eq!(stored["spec"]["volumes"][0]["image"]["pullPolicy"], "IfNotPresent");
    assert!(pull_secrets(&stored).is_empty());
}

#[test]
fn the_pull_policy_of_all_kinds_of_containers_and_volumes_is_forced() {
    let space = Space::new();
    let _webhook =
        space.webhook(&[("FORCE_IMAGE_PULL_POLICY", "true"), ("IMAGE_PULL_POLICY_TO_FORCE", "IfNotPresent")]);
    let mut manifest = pod("forced", "nginx");
    manifest["spec"]["initContainers"] = json!([
        {"name": "init", "image": "nginx", "imagePullPolicy": "Never"},
        {"name": "sidecar", "image": "nginx", "imagePullPolicy": "Always", "restartPolicy": "Always"},
    ]);
    manifest["spec"]["volumes"] = json!([
        {"name": "never", "image": {"reference": "nginx", "pullPolicy": "Never"}},
        {"name": "unsaid", "image": {"reference": "nginx"}},
    ]);
    space.kubectl("create -f -").input(&manifest).ok();
    let stored = space.get("pod/forced");
    assert_eq!(
        pull_policies(&stored),
        [("init", "IfNotPresent"), ("sidecar", "IfNotPresent"), ("app", "IfNotPresent")]
    );
    for volume in 0..2 {
        assert_eq!(stored["spec"]["volumes"][volume]["image"]["pullPolicy"], "IfNotPresent");
    }
    assert_eq!(images(&stored)[2], ("app", "nginx"), "no registry is configured");
}

#[test]
fn every_policy_can_be_forced() {
    let space = Space::new();
    for policy in ["Always", "IfNotPresent", "Never"] {
        let _webhook =
            space.webhook(&[("FORCE_IMAGE_PULL_POLICY", "yes"), ("IMAGE_PULL_POLICY_TO_FORCE", policy)]);
        let name = policy.to_lowercase();
        space.kubectl("create -f -").input(&pod(&name, "nginx")).ok();
        assert_eq!(pull_policies(&space.get(&format!("pod/{name}"))), [("app", policy)]);
    }
}

/// A namespace whose ServiceAccount brings a pull secret of its own into Pods that name none.
fn with_a_secret_of_the_account() -> Space {
    let space = Space::new();
    let patch = r#"--patch={"imagePullSecrets":[{"name":"from-account"}]}"#;
    space.kubectl("patch serviceaccount default").word(patch).ok();
    until("the account's pull secret in Pods", || {
        (pull_secrets(&space.probe()?) == ["from-account"]).then_some(())
    });
    space
}

#[test]
fn an_appended_pull_secret_comes_after_those_of_the_service_account() {
    let space = with_a_secret_of_the_account();
    let _webhook =
        space.webhook(&[("IMAGE_PULL_SECRET", "regcred, other"), ("IMAGE_PULL_SECRET_APPEND", "true")]);
    space.kubectl("create -f -").input(&pod("unnamed", "nginx")).ok();
    assert_eq!(pull_secrets(&space.get("pod/unnamed")), ["from-account", "regcred", "other"]);

    let mut manifest = pod("named", "nginx");
    manifest["spec"]["imagePullSecrets"] = json!([{"name": "other"}, {"name": "mine"}]);
    space.kubectl("create -f -").input(&manifest).ok();
    assert_eq!(pull_secrets(&space.get("pod/named")), ["other", "mine", "regcred"]);
}

#[test]
fn a_replacing_pull_secret_drops_those_of_the_service_account() {
    let space = with_a_secret_of_the_account();
    let _webhook = space.webhook(&[("IMAGE_PULL_SECRET", "regcred")]);
    space.kubectl("create -f -").input(&pod("unnamed", "nginx")).ok();
    assert_eq!(pull_secrets(&space.get("pod/unnamed")), ["regcred"]);

    let mut manifest = pod("named", "nginx");
    manifest["spec"]["imagePullSecrets"] = json!([{"name": "mine"}, {"name": "regcred"}]);
    space.kubectl("create -f -").input(&manifest).ok();
    assert_eq!(pull_secrets(&space.get("pod/named")), ["regcred"]);
}

#[test]
fn a_pod_without_pull_secrets_gets_a_list_in_both_modes() {
    let space = Space::new();
    for append in ["true", "false"] {
        let _webhook =
            space.webhook(&[("IMAGE_PULL_SECRET", "regcred"), ("IMAGE_PULL_SECRET_APPEND", append)]);
        let mut manifest = pod(&format!("empty-{append}"), "nginx");
        manifest["spec"]["imagePullSecrets"] = json!([]);
        for manifest in [pod(&format!("absent-{append}"), "nginx"), manifest] {
            let stored = space.kubectl("create -o json -f -").input(&manifest).json();
            assert_eq!(pull_secrets(&stored), ["regcred"]);
        }
    }
}

#[test]
fn a_pod_with_a_generated_name_is_changed() {
    let space = Space::new();
    let webhook = space.webhook(&EVERYTHING);
    let mut manifest = pod("", "nginx:1");
    manifest["metadata"] = json!({"generateName": "generated-"});
    let name = space.kubectl("create -o name -f -").input(&manifest).ok().out;
    assert!(name.starts_with("pod/generated-") && name.len() > "pod/generated-\n".len(), "{name}");
    assert_eq!(images(&space.get(name.trim())), [("app", "registry.example/nginx:1")]);
    assert!(webhook.process.log().contains("name=generated-"), "the log names the prefix");
}

#[test]
fn a_server_side_dry_run_shows_the_changes_and_stores_nothing() {
    let space = Space::new();
    let _webhook = space.webhook(&EVERYTHING);
    for command in [
        "create --dry-run=server -o json -f -",
        "apply --dry-run=server -o json -f -",
        "apply --server-side --dry-run=server -o json -f -",
    ] {
        let answered = space.kubectl(command).input(&pod("dry", "nginx:1")).json();
        assert_eq!(images(&answered), [("app", "registry.example/nginx:1")], "{command}");
        assert_eq!(pull_secrets(&answered), ["regcred"], "{command}");
        assert!(space.kubectl("get pod dry").refused().contains("NotFound"), "{command}");
    }
    space.kubectl("create -f -").input(&pod("dry", "nginx:1")).ok();
    space.kubectl("set image pod/dry app=nginx:2 --dry-run=server").ok();
    assert_eq!(images(&space.get("pod/dry")), [("app", "registry.example/nginx:1")]);
}

#[test]
fn pods_in_an_excluded_namespace_are_left_alone() {
    let space = Space::new();
    let excluded = format!("elsewhere,{}", space.name);
    let settings = [EVERYTHING.as_slice(), &[("EXCLUDE_NAMESPACES", excluded.as_str())]].concat();
    let webhook = space.webhook(&settings);
    space.kubectl("create -f -").input(&pod("excluded", "nginx:1")).ok();
    let stored = space.get("pod/excluded");
    assert_eq!(images(&stored), [("app", "nginx:1")]);
    assert_eq!(pull_policies(&stored), [("app", "IfNotPresent")]);
    assert!(pull_secrets(&stored).is_empty());
    space.kubectl("set image pod/excluded app=quay.io/team/web:2").ok();
    assert_eq!(images(&space.get("pod/excluded")), [("app", "quay.io/team/web:2")]);
    space.kubectl("debug excluded --image=busybox --container=tools").ok();
    assert_eq!(images(&space.get("pod/excluded"))[1], ("tools", "busybox"));

    let excluded = webhook.process.calls(&[r#"outcome="excluded""#]);
    assert!(excluded >= 4, "the webhook was asked: {excluded}");
    assert_eq!(webhook.process.calls(&[]), excluded);
}

#[test]
fn an_image_that_is_no_reference_is_stored_as_it_is_and_kubectl_shows_a_warning() {
    let space = Space::new();
    let _webhook = space.webhook(&EVERYTHING);
    let mut manifest = pod("odd", "Not/An:Image");
    manifest["spec"]["initContainers"] = json!([{"name": "fine", "image": "quay.io/team/init:1"}]);
    let created = space.kubectl("create -f -").input(&manifest).ok();
    let warning = "Warning: container \"app\": image not rewritten: its name ";
    assert!(created.err.contains(warning), "{}", created.err);
    let stored = space.get("pod/odd");
    assert_eq!(images(&stored), [("fine", "registry.example/team/init:1"), ("app", "Not/An:Image")]);
    assert_eq!(pull_policies(&stored), [("fine", "Always"), ("app", "Always")]);
}

#[test]
fn a_pod_with_many_bad_images_gets_as_many_warnings_as_kubectl_shows() {
    let space = Space::new();
    let _webhook = space.webhook(&EVERYTHING);
    let mut manifest = pod("odd", "Not/An:Image");
    let containers = (0..20).map(|i| json!({"name": format!("c{i}"), "image": "No\u{1b}[31m\nImage:é"}));
    manifest["spec"]["containers"] = containers.collect();
    let created = space.kubectl("create -f -").input(&manifest).ok();
    let warnings: Vec<_> = created.err.lines().filter(|line| line.starts_with("Warning: ")).collect();
    assert_eq!(warnings.len(), 5, "{}", created.err);
    assert_eq!(warnings[4], "Warning: more images of this object were not rewritten");
}

#[test]
fn an_empty_image_is_the_api_servers_own_error() {
    let space = Space::new();
    let _webhook = space.webhook(&EVERYTHING);
    let refusal = space.kubectl("create -f -").input(&pod("empty", "")).refused();
    assert!(refusal.contains("spec.containers[0].image: Required value"), "{refusal}");
    assert!(!refusal.contains("Warning") && !refusal.contains("webhook"), "{refusal}");
}

#[test]
fn a_map_of_registries_and_the_docker_parser_decide_each_image_by_itself() {
    let space = Space::new();
    let map = "quay.io=registry.example/quay,docker.io=registry.example/hub,quay.io/own=mirror.example:5000";
    let _webhook = space.webhook(&[
        ("REGISTRY_MAP", map),
        ("IGNORED_REGISTRIES", "quay.io/team/keep"),
        ("IMAGE_PARSER", "distribution"),
    ]);
    let images_of = ["nginx", "quay.io/a/x:1", "quay.io/own/x:1", "quay.io/team/keep/x", "ghcr.io/a/x"];
    let containers = images_of.iter().enumerate();
    let mut manifest = pod("mapped", "nginx");
    manifest["spec"]["containers"] =
        containers.map(|(i, image)| json!({"name": format!("c{i}"), "image": image})).collect();
    space.kubectl("create -f -").input(&manifest).ok();
    let stored = space.get("pod/mapped");
    assert_eq!(
        images(&stored).iter().map(|(_, image)| *image).collect::<Vec<_>>(),
        [
            "registry.example/hub/library/nginx",
            "registry.example/quay/a/x:1",
            "mirror.example:5000/x:1",
            "quay.io/team/keep/x",
            "ghcr.io/a/x"
        ]
    );
}

#[test]
fn in_audit_mode_a_pod_stays_as_it_is_and_its_author_is_told() {
    let space = Space::new();
    let hooked = space.webhook(&[("MODE", "audit"), ("REGISTRY", "registry.example")]);
    let told = space.kubectl("create -f -").input(&pod("web", "nginx:1.27")).ok().err;
    assert!(
        told.contains("audit: /spec/containers/0/image would become registry.example/nginx:1.27"),
        "{told}"
    );
    assert_eq!(images(&space.get("pod/web")), [("app", "nginx:1.27")]);
    let process = &hooked.process;
    assert!(
        process.calls(&[r#"outcome="would_patch""#]) > 0 && process.calls(&[r#"outcome="patched""#]) == 0
    );
    assert!(process.count("pullgate_withheld_operations_total", &[r#"mutator="image""#]) > 0);
    assert!(process.count("pullgate_images_total", &[r#"outcome="would_rewrite""#]) > 0);
    assert_eq!(process.count("pullgate_patch_operations_total", &[]), 0);
    assert!(process.log().contains("audit: this patch is withheld"), "{}", process.log());
}
