//! What is generated, from the types of `ImagePullSecret` and elsewhere, is as committed. `UPDATE_GENERATED=1` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use pullgate::controller::crd::manifest;
use pullgate::controller::resource::ImagePullSecret;
use pullgate::offline::yaml;
use serde_json::Value;

const BEGIN: &str = "<!-- generated -->";
const END: &str = "<!-- end -->";

/// `module` is the one whose tests write it.
fn committed(path: &str, generated: &str, module: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&file, generated).unwrap();
    }
    let there = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        there == generated,
        "{path} is not what it is generated from: UPDATE_GENERATED=1 cargo test --test it {module}"
    );
}

fn schema() -> Value {
    let documents = yaml::read(&manifest().unwrap());
    let [document] = documents.as_slice() else { panic!("one document") };
    document.value.clone().unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

#[test]
fn the_manifest_is_that_of_the_types() {
    committed("deployment/crd.yaml", &manifest().unwrap(), "crd");
}

/// A table line for each field, in the order of the schema.
fn fields(text: &mut String, path: &str, schema: &Value) {
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|it| it == name));
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let list = field["type"] == "array";
        let of = if list { &field["items"] } else { field };
        let suffix = if list { "[]" } else { "" };
        let path = format!("{path}{name}{suffix}");
        let mut kind = of["format"].as_str().or(of["type"].as_str()).unwrap_or_default().to_owned();
        if let Some(values) = of["enum"].as_array() {
            let values: Vec<_> =
                values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
            kind = values.join(", ");
        } else if !of["additionalProperties"].is_null() {
            "map of strings".clone_into(&mut kind);
        }
        let must = if required(name) { "yes" } else { "" };
        let described = field["description"].as_str().unwrap_or_default().replace('\n', " ");
        writeln!(text, "| `{path}` | {kind} | {must} | {described} |").unwrap();
        fields(text, &format!("{path}."), of);
    }
}

/// What stands in a document between its marks is what was generated.
pub(crate) fn between(path: &str, generated: &str, module: &str) {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("the place of what is generated");
    let (_, after) = rest.split_once(END).expect("its end");
    committed(path, &format!("{before}{BEGIN}\n{generated}\n{END}{after}"), module);
}

#[test]
fn the_reference_of_fields_is_that_of_the_types() {
    let schema = schema();
    let mut table = String::new();
    for part in ["spec", "status"] {
        table.push_str("\n| field | type | required | |\n|---|---|---|---|\n");
        fields(&mut table, &format!("{part}."), &schema["properties"][part]);
    }
    between("docs/imagepullsecret.md", &table, "crd");
}

/// Names, scope and columns that manifests, scripts and people count on.
#[test]
fn what_users_have_seen_of_it_stays() {
    let crd = serde_json::to_value(<ImagePullSecret as kube::CustomResourceExt>::crd()).unwrap();
    assert_eq!(crd["metadata"]["name"], "imagepullsecrets.images.banzaicloud.io");
    assert_eq!(crd["spec"]["scope"], "Cluster");
    assert_eq!(crd["spec"]["names"]["shortNames"][0], "imps");
    let version = &crd["spec"]["versions"][0];
    assert_eq!(version["name"], "v1alpha1");
    assert_eq!(version["subresources"]["status"], serde_json::json!({}));
    let columns: Vec<_> =
        version["additionalPrinterColumns"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(columns, ["State", "Reconciled", "Validity seconds", "Secret Name", "Namespaces", "Reason"]);
}
