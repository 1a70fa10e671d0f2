//! An installation of the system that this one replaces goes on when its image is exchanged.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::config::{Config, Tls};
use pullgate::offline::yaml;
use serde_json::{Value, json};

use crate::support::{REVIEW, Webhook};

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The published Deployment, mended where no cluster takes it.
fn deployment() -> Value {
    let manifests = yaml::read(&file("tests/fixtures/migration/mutate-image-and-policy-webhook.yaml"));
    let mut objects = manifests.into_iter().map(|document| document.value.unwrap());
    objects.find(|object| object["kind"] == "Deployment").unwrap()
}

fn container() -> Value {
    deployment()["spec"]["template"]["spec"]["containers"][0].clone()
}

fn environment(container: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (text(&entry["name"]), text(&entry["value"])))
        .collect()
}

#[test]
fn its_deployment_starts_the_webhook_on_its_port_with_its_certificate() {
    let container = container();
    assert_eq!((&container["command"], &container["args"]), (&Value::Null, &Value::Null));
    let dockerfile = file("Dockerfile");
    assert!(
        dockerfile.contains("\nENTRYPOINT [\"/pullgate\"]\n") && dockerfile.contains("\nCMD [\"webhook\"]\n")
    );

    let pairs = environment(&container).into_iter().map(|(name, value)| (name.into(), value.into()));
    let config = Config::load(pairs, false).unwrap();
    assert!(config.notices.is_empty(), "{:?}", config.notices);
    assert_eq!(json!(config.serving.port), container["ports"][0]["containerPort"]);
    let Tls::Files { cert, key } = config.serving.tls else { panic!("its certificate is not read") };
    let mounted = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    assert!(cert.starts_with(mounted) && key.starts_with(mounted));
}

#[test]
fn its_settings_its_path_and_its_probe_hold() {
    let container = container();
    let environment = environment(&container);
    let pairs: Vec<_> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let webhook = Webhook::start(&pairs);
    let mut client = webhook.connect();

    let probe = container["readinessProbe"]["httpGet"]["path"].as_str().unwrap();
    assert_eq!(client.get(probe).status, 200);

    let answer = client.post(REVIEW).json();
    let patch = STANDARD.decode(answer["response"]["patch"].as_str().unwrap()).unwrap();
    let patch: Vec<Value> = serde_json::from_slice(&patch).unwrap();
    let value =
        |path: &str| patch.iter().find(|operation| operation["path"] == path).map(|o| o["value"].clone());
    assert!(
        value("/spec/containers/0/image").unwrap().as_str().unwrap().starts_with("registry.example/"),
        "{patch:?}"
    );
    assert_eq!(value("/spec/imagePullSecrets"), Some(json!([{"name": "regcred"}])));
    assert_eq!(value("/spec/containers/0/imagePullPolicy"), Some(json!("Always")));
}
