//! What `deployment/generate-certs-and-config.sh` writes is accepted, works, and leaves again.

use serde_json::{Value, json};

use crate::existing::{self, EVERYTHING};
use crate::installation::{Generated, Installation};
use crate::kubectl::kubectl;
use crate::space::{Space, images, pod, pull_policies, pull_secrets};
use crate::wait::until;

/// Every kind of setting, so that every part of the templates is used.
fn settings(excluded: &str) -> Vec<(&str, &str)> {
    let more = [
        ("DEFAULT_STORAGE_CLASS", "ours"),
        ("EXCLUDE_NAMESPACES", excluded),
        ("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME", "everywhere"),
    ];
    [EVERYTHING.as_slice(), &more].concat()
}

#[test]
fn all_generated_manifests_are_accepted_by_a_server_side_dry_run() {
    let space = Space::new();
    let usual = 8;
    for (extra, objects) in [
        (&[][..], usual),
        (&[("FAILURE_POLICY", "Ignore"), ("REPLICAS", "1"), ("DEPLOYMENT_PULL_SECRET", "regcred")], usual),
        (&[("PORT", "9443"), ("HEALTH_PORT", "9080"), ("LOG_LEVEL", "debug"), ("LOG_FORMAT", "json")], usual),
        (
            &[
                ("SHUTDOWN_DELAY_SECONDS", "3"),
                ("MAX_BODY_BYTES", "30000000"),
                ("IMAGE_PARSER", "distribution"),
            ],
            usual,
        ),
        // With the Job and what it needs, and the registration in a folder of its own.
        (&[("REGISTER", "when-ready"), ("DEPLOYMENT_PULL_SECRET", "regcred")], usual + 8),
        // With the controller, and the Job that takes back what it made.
        (&[("CONTROLLER", "yes")], usual + 8),
        // With a Role for the source, in its namespace, and without the webhook.
        (
            &[
                ("CONTROLLER", "only"),
                ("CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME", "source"),
                ("CONFIG_SECRET_NAMESPACE", "default"),
                ("CONFIG_SERVICEACCOUNTS", "default,build-*"),
                ("DEPLOYMENT_PULL_SECRET", "regcred"),
            ],
            1 + 8 + 2,
        ),
    ] {
        let generated = Generated::new(&[settings("excluded,elsewhere").as_slice(), extra].concat());
        // A dry run of what is in a namespace needs the namespace.
        kubectl("create namespace").word(&generated.namespace).ok();
        let manifests = generated.path("");
        let applied = kubectl("apply --dry-run=server --server-side --validate=strict --recursive -f")
            .word(&manifests)
            .run();
        kubectl("delete namespace --wait=false").word(&generated.namespace).ok();
        assert!(applied.succeeded(), "{extra:?}: {}", applied.err);
        assert!(!applied.err.contains("Warning"), "{extra:?}: {}", applied.err);
        let lines = applied.out.lines().filter(|line| line.ends_with("(server dry run)")).count();
        assert_eq!(lines, objects, "{}", applied.out);
    }
    drop(space);
}

/// One test, because the registration is for the whole cluster: nothing else may run beside it.
#[test]
fn the_generated_manifests_install_a_webhook_that_does_everything() {
    let space = Space::alone();
    let excluded = space.sibling();
    existing::prepare(&space);
    let settings = settings(&excluded.name);
    let mut installation = Installation::apply(Generated::new(&settings), &space);

    // Nothing answers yet: its own Pods come all the same, and unchanged; those of others wait.
    for pod in installation.own_pods() {
        assert_eq!(images(&pod), [("webhook", "quay.io/infra/pullgate:1")]);
    }
    until("a Pod that is refused", || {
        let made = space.kubectl("create --dry-run=server -f -").input(&pod("early", "nginx:1")).run();
        made.err.contains(r#"failed calling webhook "pods.pullgate.svc""#).then_some(())
    });
    spared_calls_need_no_webhook(&space);
    // Accounts are made, or there would never be a Pod in a new namespace.
    let early = space.sibling();
    assert_eq!(references(&early, "default"), Value::Null);

    installation.serve();
    creation(&space);
    claims(&space);
    excluded_namespaces(&installation, &excluded);
    existing_pods(&space, &installation);
    let late = space.sibling();
    accounts(&early, &late);

    // The second time the authority of the first certificate is no longer trusted.
    installation.renew_authority(&settings);
    installation.renew_authority(&settings);
    space.kubectl("create -f -").input(&pod("renewed", "nginx:1")).ok();

    installation.apply_again(&[settings.as_slice(), &[("FAILURE_POLICY", "Ignore")]].concat(), &[]);
    installation.fail();

    assert!(installation.uninstall(), "new Pods are left alone again");
    assert_eq!(images(&space.get("pod/created"))[0].1, "registry.example/nginx:1", "Pods keep what they got");
}

/// Labels, finalizers and deletions of old Pods go on while no webhook answers.
fn spared_calls_need_no_webhook(space: &Space) {
    existing::labels_and_annotations(space);
    existing::removal_of_a_finalizer(space);
    existing::deletion(space);
}

fn creation(space: &Space) {
    space.kubectl("create -f -").input(&pod("created", "nginx:1")).ok();
    let stored = space.get("pod/created");
    assert_eq!(images(&stored), [("app", "registry.example/nginx:1")]);
    assert_eq!(pull_policies(&stored), [("app", "Always")]);
    assert_eq!(pull_secrets(&stored), ["regcred"]);

    space.kubectl("create deployment web --image=quay.io/team/web:1").ok();
    let made = until("the Pod of a Deployment", || {
        let list = space.kubectl("get pods -o json --selector=app=web").json();
        list["items"].get(0).cloned()
    });
    assert_eq!(images(&made), [("web", "registry.example/team/web:1")]);
}

fn references(space: &Space, account: &str) -> Value {
    space.get(&format!("serviceaccount/{account}"))["imagePullSecrets"].clone()
}

/// In a namespace from before the webhook and in one from after it.
fn accounts(early: &Space, late: &Space) {
    let ours = json!([{"name": "everywhere"}]);
    // As kube-controller-manager made it, without another request.
    assert_eq!(references(late, "default"), ours);
    let strip =
        r#"patch serviceaccount default --type=json --patch=[{"op":"remove","path":"/imagePullSecrets"}]"#;
    late.kubectl(strip).ok();
    assert_eq!(references(late, "default"), ours);
    late.kubectl("create serviceaccount other").ok();
    assert_eq!(references(late, "other"), Value::Null);

    let own = r#"patch serviceaccount default --patch={"imagePullSecrets":[{"name":"own"}]}"#;
    early.kubectl(own).ok();
    assert_eq!(references(early, "default"), json!([{"name": "own"}, {"name": "everywhere"}]));
}

fn claims(space: &Space) {
    let claim = |name: &str, class: Value| {
        let mut claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        });
        if !class.is_null() {
            claim["spec"]["storageClassName"] = class;
        }
        space.kubectl("create -f -").input(&claim).ok();
        space.get(&format!("pvc/{name}"))["spec"]["storageClassName"].clone()
    };
    assert_eq!(claim("unnamed", Value::Null), "ours");
    assert_eq!(claim("named", json!("other")), "other");
}

/// Its own, the cluster's and the configured one.
fn excluded_namespaces(installation: &Installation<'_>, configured: &Space) {
    let before = installation.process().calls(&[]);
    for namespace in [installation.namespace(), "kube-system", &configured.name] {
        // The webhook's own namespace takes only Pods that need no privileges.
        let restricted = json!({
            "runAsNonRoot": true, "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        });
        let mut manifest = pod("excluded", "nginx:1");
        manifest["spec"]["containers"][0]["securityContext"] = restricted;
        let command = format!("create --dry-run=server -o json -f - --namespace={namespace}");
        let made = kubectl(&command).input(&manifest).json();
        assert_eq!(images(&made), [("app", "nginx:1")], "{namespace}");
    }
    assert_eq!(installation.process().calls(&[]), before, "the calls are spared");
}

/// All cases of updates again: the conditions of the registration spare calls and lose nothing.
fn existing_pods(space: &Space, installation: &Installation<'_>) {
    let calls = || installation.process().calls(&[]);
    let before = calls();
    existing::status(space);
    existing::resize(space);
    existing::updates_during_deletion(space);
    existing::mirror_pods(space);
    space.kubectl("label pod old stage=three --overwrite").ok();
    assert_eq!(calls(), before, "none of these needs the webhook");

    existing::another_change_of_the_specification(space);
    existing::set_image(space);
    existing::apply_of_the_same_manifest(space);
    existing::server_side_apply_of_the_same_manifest(space);
    existing::server_side_apply_after_another(space);
    existing::replacement(space);
    existing::debugging(space);
    assert!(calls() > before, "these do");
    assert_eq!(installation.process().calls(&[r#"outcome="exempt""#]), 0);
}

/// What the API server trusts is not taken from it by manifests that leave that to the controller.
#[test]
fn certificates_of_the_script_stay_trusted_when_the_controller_takes_over() {
    let documented = include_str!("../../docs/certificates.md");
    let command = "kubectl apply set-last-applied -f generated/40-webhook-configuration.yaml";
    assert!(documented.lines().any(|line| line == command));
    let space = Space::alone();
    let settings = [("REGISTRY", "registry.example")];
    let mut installation = Installation::apply(Generated::new(&settings), &space);
    installation.serve();
    let trusted = || {
        let stored = installation.stored("mutatingwebhookconfiguration/pullgate");
        stored["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned()
    };
    let before = trusted();
    assert!(!before.is_empty());
    let is_injected = || {
        let stored = installation.stored("mutatingwebhookconfiguration/pullgate");
        stored["metadata"]["annotations"].get("cert-manager.io/inject-ca-from").is_some()
    };
    for (mode, first) in [
        ("self-managed", Some(command)),
        ("script", None),
        ("cert-manager", Some(command)),
        ("self-managed", None),
        ("cert-manager", None),
        ("script", None),
    ] {
        installation.generate(&[settings.as_slice(), &[("CERTIFICATES", mode)]].concat());
        if let Some(command) = first {
            installation.run(command);
        }
        installation.run("kubectl apply -f generated/40-webhook-configuration.yaml");
        assert_eq!(trusted(), before, "{mode}");
        assert_eq!(is_injected(), mode == "cert-manager", "{mode}");
        installation.wait_until_called();
    }
}
