//! Installations of the systems that pull secrets and ServiceAccounts were left to go on when their image is exchanged.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use pullgate::config::{Config, Tls};
use pullgate::controller::flags::Flags;
use pullgate::controller::settings::{Local, Settings, Task};
use pullgate::image::analysis::Notice;
use pullgate::names::Names;
use pullgate::offline::yaml;
use serde_json::{Value, json};

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The objects of a published installation.
fn installation(name: &str) -> Vec<Value> {
    let text = file(&format!("tests/fixtures/migration/controller/{name}.yaml"));
    yaml::read(&text).into_iter().map(|document| document.value.unwrap()).collect()
}

fn of_kind<'a>(installation: &'a [Value], kind: &str) -> &'a Value {
    installation.iter().find(|object| object["kind"] == kind).unwrap()
}

/// The Pod that its Deployment makes.
fn pod(installation: &[Value]) -> Value {
    of_kind(installation, "Deployment")["spec"]["template"]["spec"].clone()
}

fn environment(pod: &Value) -> Vec<(OsString, OsString)> {
    let text = |value: &Value| OsString::from(value.as_str().unwrap());
    let entries = pod["containers"][0]["env"].as_array().unwrap();
    entries.iter().map(|entry| (text(&entry["name"]), text(&entry["value"]))).collect()
}

fn mounted(pod: &Value) -> PathBuf {
    pod["containers"][0]["volumeMounts"][0]["mountPath"].as_str().unwrap().into()
}

/// What the patcher's Deployment makes of the controller, given as it is: without arguments and flags.
fn controller(pod: &Value) -> Settings {
    let container = &pod["containers"][0];
    assert_eq!((&container["command"], &container["args"]), (&Value::Null, &Value::Null));
    let none = Flags::default();
    let settings =
        Settings::load(&none, environment(pod), false).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(settings.notices, []);
    assert_eq!(
        (settings.task, settings.lease.as_ref(), settings.kubeconfig.as_ref()),
        (Task::Keep, None, None)
    );
    assert!(settings.overwrite && settings.recreate);
    let Local::File(path) = &settings.source.local else { panic!("the mounted file is not read") };
    assert_eq!(*path, mounted(pod).join(".dockerconfigjson"));
    settings
}

#[test]
fn the_image_for_them_is_the_controller_without_arguments() {
    let dockerfile = file("Dockerfile");
    let stage = dockerfile.split("\nFROM ").find(|stage| stage.contains(" AS controller\n")).unwrap();
    assert!(
        stage.starts_with("program ") && stage.contains("\nENTRYPOINT [\"/pullgate\", \"controller\"]\n")
    );
    assert!(!stage.contains("\nCMD"));
    // What is built where no target is named.
    assert!(dockerfile.rsplit("\nFROM ").next().unwrap().starts_with("program AS webhook\n"));
}

#[test]
fn the_example_of_the_patcher_starts_the_controller_for_all_accounts() {
    let settings = controller(&pod(&installation("imagepullsecret-patcher")));
    assert_eq!(settings.secret, "image-pull-secret");
    assert_eq!((settings.accounts, settings.account), (Names::All, None));
    assert!(settings.excluded_namespaces.is_empty());
}

#[test]
fn the_chart_of_the_patcher_starts_the_controller_for_the_default_account() {
    let installation = installation("imagepullsecret-patcher-chart");
    let settings = controller(&pod(&installation));
    assert_eq!(settings.account.as_deref(), Some("default"));
    let excluded: Vec<_> = settings.excluded_namespaces.iter().map(String::as_str).collect();
    assert_eq!(excluded, ["kube-node-lease", "kube-public", "kube-system"]);
    // What is mounted is the source itself.
    let source = of_kind(&installation, "Secret");
    let place = json!([settings.source.object.0, settings.source.object.1]);
    assert_eq!(place, json!([source["metadata"]["namespace"], source["metadata"]["name"]]));
}

#[test]
fn the_injectors_settings_make_a_webhook_for_accounts() {
    let installation = installation("imagepullsecret-injector");
    let pod = pod(&installation);
    let config = Config::load(environment(&pod), false).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(
        config.notices,
        [
            "CONFIG_PORT is read as PORT",
            "CONFIG_CERT_PATH is read as TLS_CERT_FILE",
            "CONFIG_KEY_PATH is read as TLS_KEY_FILE"
        ]
        .map(|text| Notice::Note(text.to_owned()))
    );
    assert_eq!(
        json!(config.serving.port),
        of_kind(&installation, "Service")["spec"]["ports"][0]["targetPort"]
    );
    let Tls::Files { cert, key } = config.serving.tls else { panic!("its certificate is not read") };
    assert!(cert.starts_with(mounted(&pod)) && key.starts_with(mounted(&pod)));

    let accounts = config.policy.service_accounts.unwrap();
    assert_eq!(accounts.secret, "acr-dockerconfigjson");
    assert_eq!(accounts.names, Names::patterns(["default"]));
    let excluded: Vec<_> = accounts.excluded_namespaces.iter().map(String::as_str).collect();
    assert_eq!(excluded, ["datadog", "kube-system", "traefik"]);
}

#[test]
fn the_injectors_settings_are_the_controllers_too() {
    let environment = environment(&pod(&installation("imagepullsecret-injector")));
    // Those that are about serving are not.
    let environment = environment.into_iter().filter(|(name, _)| {
        !["CONFIG_PORT", "CONFIG_CERT_PATH", "CONFIG_KEY_PATH"].iter().any(|serving| name == serving)
    });
    let none = Flags::default();
    let settings = Settings::load(&none, environment, false).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(settings.secret, "acr-dockerconfigjson");
    assert_eq!(settings.source.object.0, "imagepullsecret-injector");
    assert_eq!(settings.source.object.1, "acr-dockerconfigjson-source");
    assert_eq!(settings.account.as_deref(), Some("default"));
}
