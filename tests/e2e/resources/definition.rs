//! The definition, and manifests of IMPS.

use serde_json::{Value, json};

use super::case::{Resource, install, passwords, source};
use crate::controller::case::{Case, uid};
use crate::kubectl::kubectl;
use crate::space::Space;
use crate::wait::{soon, until};

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/migration/imps/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// As in its documents.
#[test]
fn manifests_of_imps_are_taken_as_they_are() {
    let _space = Space::new();
    install();
    for name in ["annotations.yaml", "names.yaml", "rules.yaml"] {
        kubectl("apply --dry-run=server --validate=strict -f").word(&fixture(name)).ok();
    }
}

/// What namespaces they name need not be there for a dry run but for the objects in them.
#[test]
fn examples_are_taken_by_the_api_server() {
    let space = Space::new();
    install();
    for name in ["registries", "namespaces", "refresher"] {
        let path = format!("{}/examples/imagepullsecrets/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("an example");
        let text = text.replace("namespace: registry-access", &format!("namespace: {}", space.name));
        kubectl("apply --dry-run=server --validate=strict -f -").input_text(text).ok();
    }
}

/// The old definition is replaced with objects in it, and copies of before are taken over as they are.
#[test]
fn the_definition_of_imps_is_replaced_by_ours_with_resources_in_it() {
    let case = Case::alone();
    install();
    kubectl("delete crd imagepullsecrets.images.banzaicloud.io").ok();
    kubectl("create -f").word(&fixture("crd.yaml")).ok();
    until("the old definition", || kubectl("get imps").run().succeeded().then_some(()));
    source(&case.home, "one", &[("a.example", "1")]);
    let space = case.home.sibling();
    let resource = Resource::new(&case, &["one"], &json!({"namespaces": {"names": [space.name]}}));
    // Nobody kept anybody from this.
    let expression = json!({"key": "a", "operator": "In"});
    let bad = json!({"namespaces": {"labels": [{"matchExpressions": [expression]}]}});
    let unusable = Resource::new(&case, &["one"], &bad);
    // Of any namespace; and of an address that somebody has thought up.
    let strays = ["", "default/secrets?x="].map(|namespace| {
        let stray = Resource::new(&case, &["one"], &json!({"namespaces": {"names": [space.name]}}));
        let credentials = json!([{"name": "one", "namespace": namespace}]);
        let patch = json!({"spec": {"registry": {"credentials": credentials}}});
        stray.kubectl("patch --type=merge").word(&format!("--patch={patch}")).ok();
        stray
    });
    let before = resource.get();
    // As IMPS makes it: no marks of ours.
    let owner = json!({
        "apiVersion": "images.banzaicloud.io/v1alpha1", "kind": "ImagePullSecret", "name": resource.name,
        "uid": before["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    });
    let copy = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {
            "name": resource.secret, "ownerReferences": [owner],
            "labels": {"images.banzaicloud.io/owner-uid": before["metadata"]["uid"]},
            "annotations": {"banzaicloud.com/last-applied": "credentials and all"},
        },
        "data": case.home.get("secret/one")["data"],
    });
    let made = space.kubectl("create -o json -f -").input(&copy).json();
    kubectl("apply --server-side --force-conflicts -f")
        .word(&format!("{}/deployment/crd.yaml", env!("CARGO_MANIFEST_DIR")))
        .ok();
    assert_eq!(resource.get()["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(resource.get()["spec"], before["spec"]);
    let _controller = case.controller(&["-managedonly"]);
    let status = resource.is("Ready");
    assert_eq!(status["observedGeneration"], json!(1));
    let told = unusable.is("Failed")["reason"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains("spec.target") && told.contains("needs at least one value"), "{told}");
    for stray in &strays {
        let told = stray.is("Failed")["reason"].as_str().unwrap_or_default().to_owned();
        assert!(told.contains("is not a name of a namespace"), "{told}");
        assert_eq!(stray.places(), Vec::<String>::new());
        // New ones are refused at once.
        let patch = json!({"spec": {"registry": {"credentials": [{"name": "", "namespace": "a/b"}]}}});
        let tried = stray.kubectl("patch --type=merge").word(&format!("--patch={patch}")).run();
        assert!(tried.err.contains("spec.registry.credentials[0].namespace"), "{}", tried.err);
    }
    let taken = soon("our marks", || {
        let copy = resource.copy(&space)?;
        (copy["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "pullgate").then_some(copy)
    });
    assert_eq!(uid(&taken), uid(&made));
    assert_eq!(taken["metadata"]["annotations"]["banzaicloud.com/last-applied"], Value::Null);
    assert_eq!(passwords(&taken), passwords(&made));
    assert_ne!(taken["metadata"]["ownerReferences"], Value::Null);
}
