//! What cannot be used is refused before anything is applied, with what is accepted.

use serde_json::{Value, json};

use crate::tools::{chart, helm};

fn rendered(namespace: &str, values: &Value) -> crate::tools::Ran {
    let chart = chart();
    let chart = chart.to_str().unwrap();
    helm(&["template", "pullgate", chart, "--namespace", namespace, "--values", "-"], &values.to_string())
}

fn complete(mut values: Value) -> Value {
    if values["image"].is_null() {
        values["image"] = json!({"repository": "registry.example/infra/pullgate"});
    }
    values
}

#[track_caller]
fn is_refused(values: &Value, said: &str) {
    let ran = rendered("pullgate", &complete(values.clone()));
    assert!(!ran.succeeded, "{values} is accepted, but should be refused with: {said}");
    assert!(ran.err.contains(said), "{values} is refused, but without {said:?}: {}", ran.err);
}

#[test]
fn values_that_cannot_be_used_are_refused_with_what_is_accepted() {
    for (values, said) in [
        // Names.
        (json!({"setings": {}}), "value must be one of 'global', 'image'"),
        (json!({"settings": {"REGISTY": "r.example"}}), "value must be one of 'MODE', 'REGISTRY'"),
        (
            json!({"settings": {"TLS_SELF_SIGNED": true}}),
            "at '/settings': additional properties 'TLS_SELF_SIGNED' not allowed",
        ),
        (
            json!({"controller": {"settings": {"CONFIG_DOCKERCONFIGJSON": "{}"}}}),
            "value must be one of 'CONFIG_SECRETNAME'",
        ),
        (
            json!({"webhook": {"podDisruptionBudget": {"minAvailable": 1}}}),
            "value must be one of 'enabled', 'maxUnavailable'",
        ),
        // Types, words and numbers.
        (json!({"settings": {"FORCE_IMAGE_PULL_POLICY": "on"}}), "got string, want null or boolean"),
        (json!({"settings": {"IMAGE_PARSER": "docker"}}), "value must be one of 'dot', 'distribution'"),
        (json!({"settings": {"PORT": 443}}), "at '/settings/PORT': minimum: got 443, want 1,024"),
        (json!({"settings": {"HEALTH_PORT": 0}}), "at '/settings/HEALTH_PORT': minimum"),
        (json!({"settings": {"SHUTDOWN_DELAY_SECONDS": 3601}}), "maximum: got 3,601, want 3,600"),
        (json!({"settings": {"MAX_BODY_BYTES": 1.5}}), "want null or integer"),
        (json!({"registration": {"failurePolicy": "fail"}}), "value must be one of 'Fail', 'Ignore'"),
        (
            json!({"certificates": {"mode": "cert-manager"}}),
            "value must be one of 'selfManaged', 'certManager', 'csr', 'existing'",
        ),
        (
            json!({"certificates": {"validity": "90 days"}}),
            "does not match pattern '^([0-9]+([.][0-9]+)?(h|m|s))+$'",
        ),
        (json!({"webhook": {"replicas": 0}}), "at '/webhook/replicas': minimum: got 0, want 1"),
        (json!({"image": {"repository": "a/b", "digest": "latest"}}), "does not match pattern '^sha256:"),
        // Texts.
        (
            json!({"settings": {"REGISTRY": "https://r.example"}}),
            r#"settings.REGISTRY="https://r.example": expected host[:port][/path] without a scheme"#,
        ),
        (
            json!({"settings": {"REGISTRY_MAP": ["docker.io"]}}),
            r#"settings.REGISTRY_MAP="docker.io": expected source=target"#,
        ),
        (
            json!({"settings": {"IMAGE_PULL_SECRET": "a,B"}}),
            r#"settings.IMAGE_PULL_SECRET="B": expected names of Secrets"#,
        ),
        (
            json!({"settings": {"EXCLUDE_NAMESPACES": ["kube-*"]}}),
            r#"settings.EXCLUDE_NAMESPACES="kube-*": expected names of namespaces"#,
        ),
        (
            json!({"settings": {"DEFAULT_STORAGE_CLASS": "a,b"}}),
            r#"settings.DEFAULT_STORAGE_CLASS="a,b": expected the name of a StorageClass"#,
        ),
        (
            json!({"settings": {"CONFIG_TARGET_IMAGE_PULL_SECRET_NAME": "a'b"}}),
            "expected the name of a Secret",
        ),
    ] {
        is_refused(&values, said);
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    for (values, said) in [
        (json!({"image": {"tag": "1"}}), "image.repository is not set: name the image of pullgate"),
        (
            json!({"settings": {"PORT": 8080}}),
            "settings.PORT and settings.HEALTH_PORT are both 8080: they must differ",
        ),
        (
            json!({"image": {"repository": "registry.example:5000/infra/pullgate:2"}}),
            r#"image.repository="registry.example:5000/infra/pullgate:2": expected registry and path"#,
        ),
        (
            json!({"commonLabels": {"app.kubernetes.io/version": "2"}}),
            "commonLabels: the chart itself sets app.kubernetes.io/version",
        ),
        (
            json!({"webhook": {"podLabels": {"app.kubernetes.io/component": "other"}}}),
            "webhook.podLabels: the chart itself sets app.kubernetes.io/component",
        ),
        (
            json!({"controller": {"podLabels": {"app.kubernetes.io/part-of": "other"}}}),
            "controller.podLabels: the chart itself sets app.kubernetes.io/part-of",
        ),
        (
            json!({"monitoring": {"dashboard": {"labels": {"helm.sh/chart": "other"}}}}),
            "monitoring.dashboard.labels: the chart itself sets helm.sh/chart",
        ),
        (
            json!({"monitoring": {"serviceMonitor": {"enabled": true}, "podMonitor": {"enabled": true}}}),
            "would count everything twice",
        ),
        (json!({"webhook": null}), "missing property 'webhook'"),
        (json!({"webhook": {"autoscaling": null}}), "missing property 'autoscaling'"),
        (json!({"webhook": {"enabled": false}}), "expected one of them to be true"),
        (json!({"certificates": {"mode": "existing"}}), "certificates.existing.secretName is not set"),
        (
            json!({"certificates": {"mode": "existing", "existing": {"secretName": "a"}}}),
            "certificates.existing.caBundle is not set",
        ),
        (json!({"certificates": {"mode": "csr"}}), "certificates.csr.signerName is not set"),
        (
            json!({"controller": {"imagePullSecretResources": {"enabled": true}}}),
            "expected controller.enabled=true with it",
        ),
        (
            json!({"webhook": {"autoscaling": {"enabled": true, "minReplicas": 9}}}),
            "minReplicas=9 is more than maxReplicas=6",
        ),
        (
            json!({
                "settings": {"CONFIG_TARGET_IMAGE_PULL_SECRET_NAME": "a"},
                "controller": {"enabled": true, "settings": {"CONFIG_SECRETNAME": "b"}},
            }),
            r#"controller.settings.CONFIG_SECRETNAME="b": settings.CONFIG_TARGET_IMAGE_PULL_SECRET_NAME="a" is the same setting"#,
        ),
    ] {
        is_refused(&values, said);
    }
    let ran = rendered("kube-system", &complete(json!({})));
    assert!(ran.err.contains("expected one for pullgate alone"), "{}", ran.err);
}

/// With null a value is unset, and labels are there once, whoever gives them.
#[test]
fn what_is_null_and_labels_of_all_kinds_are_accepted() {
    for values in [
        json!({
            "commonAnnotations": null, "commonLabels": null,
            "controller": {"enabled": true, "uninstall": null, "imagePullSecretResources": {"enabled": true}},
            "monitoring": {"labels": null, "dashboard": {"enabled": true, "labels": null}},
        }),
        json!({
            "commonLabels": {"grafana_dashboard": "2", "team": "a"},
            "monitoring": {"labels": {"team": "b"}, "dashboard": {"enabled": true}, "podMonitor": {"enabled": true}},
            "webhook": {"podLabels": {"app.kubernetes.io/version": "mesh", "helm.sh/chart": "other", "team": "c"}},
        }),
    ] {
        let printed = rendered("pullgate", &complete(values)).ok();
        for document in pullgate::offline::yaml::read(&printed) {
            document.value.unwrap_or_else(|error| panic!("{error}: {printed}"));
        }
    }
}

#[test]
fn the_chart_passes_the_strict_linter() {
    let chart = chart();
    let values = complete(json!({"settings": {"REGISTRY": "r.example"}})).to_string();
    let lint = ["lint", "--strict", chart.to_str().unwrap(), "--namespace", "pullgate", "--values", "-"];
    let said = helm(&lint, &values).ok();
    assert!(said.contains("1 chart(s) linted, 0 chart(s) failed") && !said.contains("[WARNING]"), "{said}");
}

/// The links into the rest of the repository become files.
#[test]
fn the_packaged_chart_renders_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let chart = chart();
    helm(&["package", chart.to_str().unwrap(), "--destination", folder.path().to_str().unwrap()], "").ok();
    let package = folder.path().join(format!("pullgate-{}.tgz", env!("CARGO_PKG_VERSION")));
    let values = complete(json!({
        "controller": {"enabled": true, "imagePullSecretResources": {"enabled": true}},
        "monitoring": {"prometheusRule": {"enabled": true}, "dashboard": {"enabled": true}},
    }));
    let of = |chart: &str| {
        let command = ["template", "pullgate", chart, "--namespace", "pullgate", "--values", "-"];
        helm(&command, &values.to_string()).ok()
    };
    let rendered = of(package.to_str().unwrap());
    assert!(rendered.contains("kind: PrometheusRule") && rendered.contains("kind: CustomResourceDefinition"));
    assert_eq!(rendered, of(chart.to_str().unwrap()));
}
