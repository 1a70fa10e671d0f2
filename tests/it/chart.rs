//! The Helm chart's values: each has a comment, a place in the schema and a row in its README, and they are the
//! variables of the program. What the chart makes of them is tested by `tests/charts`, with Helm.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pullgate::config::VARIABLES;
use pullgate::controller::settings;
use pullgate::offline::yaml;
use regex::Regex;
use serde_json::Value;

use crate::crd::between;
use crate::docs::read;
use crate::script_parity::ONE_VARIABLE;

const CHART: &str = "deployment/helm/pullgate";

/// One value that can be set.
struct Documented {
    /// `webhook.replicas`.
    path: String,
    default: String,
    comment: String,
}

/// The values, from a file of keys on lines of their own with comments in front of them: a value that is no group of
/// others has one.
fn values() -> Vec<Documented> {
    let mut found = Vec::new();
    let mut groups: Vec<(usize, String)> = Vec::new();
    let mut comment = String::new();
    for line in read(&format!("{CHART}/values.yaml")).lines() {
        let text = line.trim_start();
        if let Some(words) = text.strip_prefix('#') {
            comment = format!("{comment} {}", words.trim());
        } else if let Some((key, default)) = text.split_once(':') {
            let indent = line.len() - text.len();
            groups.retain(|(outer, _)| *outer < indent);
            let path: String =
                groups.iter().map(|(_, group)| format!("{group}.")).chain([key.into()]).collect();
            if default.is_empty() {
                groups.push((indent, key.to_owned()));
            } else {
                assert!(!comment.is_empty(), "{path} has no comment");
                let default = default.trim().to_owned();
                found.push(Documented { path, default, comment: comment.trim().to_owned() });
            }
            comment.clear();
        } else {
            comment.clear();
        }
    }
    found
}

#[test]
fn the_table_in_the_readme_is_that_of_the_comments() {
    let mut table = String::from("\n| value | default | |\n|---|---|---|\n");
    for Documented { path, default, comment } in values() {
        let default = if default == "null" { String::new() } else { format!("`{default}`") };
        writeln!(table, "| `{path}` | {default} | {comment} |").unwrap();
    }
    between(&format!("{CHART}/README.md"), &table, "chart");
}

pub(crate) fn document(path: &str) -> Value {
    let [document] =
        <[_; 1]>::try_from(yaml::read(&read(path))).unwrap_or_else(|all| panic!("{path}: {}", all.len()));
    document.value.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Paths of what the schema describes, those of maps and lists as wholes.
fn described(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object().filter(|_| schema["type"] == "object") else {
        found.insert(path.to_owned());
        return;
    };
    let names: Vec<_> = schema["propertyNames"]["enum"].as_array().into_iter().flatten().collect();
    assert_eq!(names.len(), properties.len(), "{path}: propertyNames");
    assert_eq!(schema["additionalProperties"], false, "{path}");
    for (name, property) in properties {
        assert!(names.iter().any(|is| *is == name), "{path}: propertyNames lacks {name}");
        described(property, &if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, found);
    }
}

#[test]
fn the_schema_has_every_value_and_no_other() {
    let mut found = BTreeSet::new();
    described(&document(&format!("{CHART}/values.schema.json")), "", &mut found);
    assert!(found.remove("global"), "charts that include this one may set it");
    assert_eq!(found, values().into_iter().map(|value| value.path).collect());
}

fn settings_below(group: &str) -> BTreeSet<String> {
    let all = values().into_iter();
    all.filter_map(|value| value.path.strip_prefix(group).map(str::to_owned)).collect()
}

fn names<'a>(list: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    list.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_variable_of_the_webhook_is_a_setting_but_those_of_its_certificate() {
    let fixed = names(["TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_SELF_SIGNED"]);
    let taken = settings_below("settings.");
    assert!(taken.is_disjoint(&fixed));
    assert_eq!(&taken | &fixed, names(VARIABLES.iter().copied()));
    // The first two are where the Secret says, and a certificate of each replica's own is for no cluster.
    let template = read(&format!("{CHART}/templates/webhook.yaml"));
    assert!(
        template.contains(r#"set $environment "TLS_CERT_FILE""#) && template.contains(r#""TLS_KEY_FILE""#)
    );
}

#[test]
fn the_controllers_settings_are_variables_of_it_and_what_is_left_out_is_said() {
    let taken = settings_below("controller.settings.");
    let all = names(settings::VARIABLES.iter().copied());
    let left: BTreeSet<_> = all.difference(&taken).cloned().collect();
    // Other values stand for these, or templates set them.
    let elsewhere = ["ENABLE_LEADER_ELECTION", "PULL_SECRETS"];
    let of_certificates = left.iter().filter(|name| name.starts_with("CERTIFICATES")).map(String::as_str);
    let not_for_manifests = [
        // Credentials.
        "CONFIG_DOCKERCONFIGJSON",
        "CONFIG_DOCKERCONFIGJSONPATH",
        // Ways to run it elsewhere, or once.
        "CONFIG_RUNNING_IN_CLUSTER",
        "CONFIG_RUNONCE",
        "KUBECONFIG",
        "LEASE_NAME",
        "LEASE_NAMESPACE",
        // Other names of settings, and what has no effect.
        "CONFIG_DEBUG",
        "CONFIG_IGNORE_SECRET_CREATION_ERROR",
        "CONFIG_USE_INFORMERS",
        "METRICS_ADDR",
        "PERIODIC_RECONCILE_INTERVAL",
    ];
    let expected = names(elsewhere.into_iter().chain(not_for_manifests).chain(of_certificates));
    assert_eq!(left.union(&names(elsewhere)).cloned().collect::<BTreeSet<_>>(), expected);
    assert!(taken.is_subset(&all), "{:?}", &taken - &all);
    let known = document(&format!("{CHART}/files/settings.yaml"));
    for (other, own) in settings::CONTROLLER.aliases {
        assert_eq!(known["counterparts"][*own], *other);
    }
    assert_eq!(known["counterparts"].as_object().unwrap().len(), settings::CONTROLLER.aliases.len());
}

/// What the chart's patterns let pass although the program refuses it, for it takes more than a pattern to tell: Pods
/// with such a setting do not become ready, and those of the revision before stay.
fn is_left_to_the_program(name: &str, value: &str) -> bool {
    let twice_or_loop = name == "REGISTRY_MAP";
    let addresses = value.contains('[');
    twice_or_loop || addresses
}

#[test]
fn the_patterns_take_what_the_program_takes_and_refuse_what_it_refuses() {
    let known = document(&format!("{CHART}/files/settings.yaml"));
    let (mut tried, mut left) = (0, 0);
    for (name, accepted, refused) in ONE_VARIABLE {
        let Some(kind) = known["settings"][*name].as_str() else { continue };
        let kind = &known["kinds"][kind];
        let pattern = Regex::new(kind["pattern"].as_str().unwrap()).unwrap();
        // As the template reads them.
        let takes = |value: &str| {
            let items: Vec<_> = if kind["list"] == true { value.split(',').collect() } else { vec![value] };
            items
                .into_iter()
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .all(|item| pattern.is_match(item))
        };
        // A single name with commas around it is a spelling that only a variable has.
        let is_list = kind["list"] == true;
        for value in accepted.iter().filter(|value| is_list || !value.contains(',')) {
            assert!(takes(value), "{name}={value:?} is accepted by the program");
        }
        for value in refused.iter().filter(|value| value.trim() == **value) {
            tried += 1;
            if takes(value) {
                left += 1;
                assert!(is_left_to_the_program(name, value), "{name}={value:?} is refused by the program");
            }
        }
    }
    assert!(tried > 100 && left < tried / 4, "{left} of {tried} are left to the program");
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart = document(&format!("{CHART}/Chart.yaml"));
    assert_eq!([&chart["version"], &chart["appVersion"]], [env!("CARGO_PKG_VERSION"); 2]);
}
