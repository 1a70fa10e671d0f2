//! The same settings, three ways.

use serde_json::{Value, json};

use crate::cases::{CASES, DERIVED, IMAGES};
use crate::differences::{By, comparable};
use crate::render::{Script, by_helm, by_kustomize};

/// The values of a case with the image and, where it makes one, the certificate of the script's.
pub(crate) fn with_certificate(mut values: Value, script: &Script) -> Value {
    values["image"] = json!({"repository": "registry.example/infra/pullgate", "tag": "1"});
    if !values["certificates"].is_null() {
        return values;
    }
    let existing = json!({"secretName": "pullgate-tls", "caBundle": script.ca_bundle()});
    values["certificates"] = json!({"mode": "existing", "existing": existing});
    values
}

#[track_caller]
fn same(what: &[(&str, &str)], (by, objects): (By, Vec<Value>), script: &Script) {
    let expected = comparable(By::Script, script.objects());
    let made = comparable(by, objects);
    let names = |of: &std::collections::BTreeMap<String, Value>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&made), names(&expected), "{what:?}: {by:?} beside the script");
    for (name, object) in &expected {
        assert_eq!(
            differing(&made[name], object, ""),
            Vec::<String>::new(),
            "{what:?}: {name}, {by:?} beside the script"
        );
    }
}

/// Where two values are not the same.
fn differing(a: &Value, b: &Value, path: &str) -> Vec<String> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            let null = Value::Null;
            let of =
                |all: &serde_json::Map<String, Value>, name: &String| all.get(name).unwrap_or(&null).clone();
            names
                .into_iter()
                .flat_map(|name| differing(&of(a, name), &of(b, name), &format!("{path}/{name}")))
                .collect()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .flat_map(|(i, (a, b))| differing(a, b, &format!("{path}/{i}")))
            .collect(),
        _ if a == b => Vec::new(),
        _ => vec![format!("{path}: {a} is not {b}")],
    }
}

#[test]
fn chart_kustomize_and_script_make_the_same_objects() {
    for case in CASES {
        let script = Script::new(case.script);
        let chart = by_helm("pullgate", &with_certificate((case.chart)(), &script));
        same(case.script, (By::Helm, chart), &script);
        let overlay = case.kustomize.replace("{ca}", &script.ca_bundle().unwrap_or_default());
        same(case.script, (By::Kustomize, by_kustomize(&[IMAGES, &overlay].concat())), &script);
    }
}

#[test]
fn the_chart_derives_what_the_script_derives() {
    for (settings, values) in DERIVED {
        let script = Script::new(settings);
        let chart = by_helm("pullgate", &with_certificate(values(), &script));
        same(settings, (By::Helm, chart), &script);
    }
}

/// `--set image.tag=20261122` and `tag: 20261122` are numbers.
#[test]
fn a_tag_of_digits_stays_one() {
    for tag in [json!(20_261_122), json!("20261122")] {
        let made = by_helm("pullgate", &json!({"image": {"repository": "r.example/a", "tag": tag}}));
        let deployment = made.iter().find(|object| object["kind"] == "Deployment").unwrap();
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(image, "r.example/a:20261122");
    }
}

#[test]
fn another_namespace_is_followed_everywhere() {
    let script = Script::new(&[("REGISTRY", "r.example"), ("NAMESPACE", "gate"), ("CONTROLLER", "yes")]);
    let values = json!({"settings": {"REGISTRY": "r.example"}, "controller": {"enabled": true}});
    same(&[("NAMESPACE", "gate")], (By::Helm, by_helm("gate", &with_certificate(values, &script))), &script);
    let overlay = r"
namespace: gate
resources: [../base, ../controller]
components: [../components/pull-secrets]
configMapGenerator:
  - {name: pullgate-settings, behavior: merge, literals: [REGISTRY=r.example]}
  - {name: pullgate-controller-settings, behavior: merge, literals: [CONFIG_SECRET_NAMESPACE=gate]}
patches:
  - target: {kind: MutatingWebhookConfiguration}
    patch: |-
      - {op: add, path: /webhooks/0/clientConfig/caBundle, value: {ca}}
replacements:
  - source: {kind: Service, name: pullgate, fieldPath: metadata.namespace}
    targets:
      - select: {kind: MutatingWebhookConfiguration}
        fieldPaths: [webhooks.*.namespaceSelector.matchExpressions.0.values.0]
";
    let overlay = [IMAGES, &overlay.replace("{ca}", &script.ca_bundle().unwrap())].concat();
    same(&[("NAMESPACE", "gate")], (By::Kustomize, by_kustomize(&overlay)), &script);
}

#[test]
fn the_uninstallation_of_the_controller_is_that_of_the_script() {
    let settings = [
        ("REGISTRY", "r.example"),
        ("CONTROLLER", "yes"),
        ("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME", "image-pull-secret"),
        ("DEPLOYMENT_PULL_SECRET", "regcred"),
    ];
    let script = Script::new(&settings);
    let values = json!({
        "imagePullSecrets": ["regcred"],
        "settings": {"REGISTRY": "r.example", "CONFIG_TARGET_IMAGE_PULL_SECRET_NAME": "image-pull-secret"},
        "controller": {"enabled": true, "uninstall": true},
    });
    let made = by_helm("pullgate", &with_certificate(values, &script));
    let kinds = |kind: &str| made.iter().filter(|object| object["kind"] == kind).cloned().collect::<Vec<_>>();
    let job = "Job/pullgate/pullgate-controller-uninstall";
    let expected = comparable(By::Script, script.uninstallation());
    assert_eq!(differing(&comparable(By::Helm, kinds("Job"))[job], &expected[job], ""), Vec::<String>::new());
    let deployments: Vec<_> = kinds("Deployment").iter().map(|it| it["metadata"]["name"].clone()).collect();
    assert_eq!(deployments, ["pullgate"], "the controller is gone");
    let [registration] = <[_; 1]>::try_from(kinds("MutatingWebhookConfiguration")).unwrap();
    let webhooks: Vec<_> =
        registration["webhooks"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(webhooks, ["pods.pullgate.svc"], "and no account gets a reference to what goes");

    let overlay = r"
resources: [../base, ../controller]
components: [../components/pull-secrets, ../components/accounts, ../components/uninstall]
configMapGenerator:
  - name: pullgate-settings
    behavior: merge
    literals: [REGISTRY=r.example, CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=image-pull-secret]
patches:
  - target: {kind: Deployment|Job}
    patch: |-
      - {op: add, path: /spec/template/spec/imagePullSecrets, value: [{name: regcred}]}
";
    let made = comparable(By::Kustomize, by_kustomize(&[IMAGES, overlay].concat()));
    assert_eq!(differing(&made[job], &expected[job], ""), Vec::<String>::new());
    assert!(
        !made.contains_key("Deployment/pullgate/pullgate-controller")
            && made.contains_key("Deployment/pullgate/pullgate")
    );
    assert!(!made.contains_key("MutatingWebhookConfiguration//pullgate"));
}

/// The script makes nothing for Prometheus, so these two are compared with each other.
#[test]
fn chart_and_kustomize_make_the_same_monitors_rules_and_dashboard() {
    for (monitor, component) in [("podMonitor", ""), ("serviceMonitor", ", ../../monitoring/service-monitor")]
    {
        let mut values = json!({
            "image": {"repository": "registry.example/infra/pullgate"},
            "monitoring": {"prometheusRule": {"enabled": true}, "dashboard": {"enabled": true}},
            "networkPolicy": {"enabled": true},
            "webhook": {"autoscaling": {"enabled": true}},
        });
        values["monitoring"][monitor] = json!({"enabled": true});
        let overlay = format!(
            "resources: [../base, ../controller]\ncomponents: [../components/network-policy, ../components/hpa, \
             ../../monitoring, ../../monitoring/webhook, ../../monitoring/controller{component}]\n"
        );
        let ours = |object: &Value| {
            let name = object["metadata"]["name"].as_str().unwrap();
            let group = object["apiVersion"].as_str().unwrap().split('/').next().unwrap();
            ["monitoring.coreos.com", "networking.k8s.io", "autoscaling"].contains(&group)
                || name.ends_with("-metrics")
                || name == "pullgate-dashboard"
        };
        let of = |by, objects: Vec<Value>| comparable(by, objects.into_iter().filter(ours).collect());
        let chart = of(By::Helm, by_helm("pullgate", &values));
        let kustomize = of(By::Helm, by_kustomize(&overlay));
        assert!(chart.len() >= 8, "{:?}", chart.keys());
        assert!(chart.keys().eq(kustomize.keys()), "{:?} and {:?}", chart.keys(), kustomize.keys());
        for (name, object) in &chart {
            assert_eq!(differing(object, &kustomize[name], ""), Vec::<String>::new(), "{name}");
        }
    }
}
