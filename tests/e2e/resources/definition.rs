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

/// Another name would be another request.
#[test]
fn sources_by_names_that_nothing_can_have_are_refused() {
    let _space = Space::new();
    install();
    let create = |namespace: &str, name: &str| {
        let resource = json!({
            "apiVersion": "images.banzaicloud.io/v1alpha1", "kind": "ImagePullSecret", "metadata": {"name": "refused"},
            "spec": {
                "registry": {"credentials": [{"namespace": namespace, "name": name}]},
                "target": {"secret": {"name": "refused"}},
            },
        });
        kubectl("create --dry-run=server -f -").input(&resource)
    };
    create(&"a".repeat(63), &"a.b-c".repeat(50)).ok();
    let (long, longer) = ("a".repeat(64), "a".repeat(254));
    for namespace in ["", "a.b", "-a", "a-", "A", "a/secrets?x=", "a\n", long.as_str()] {
        let told = create(namespace, "one").refused();
        assert!(told.contains("spec.registry.credentials[0].namespace"), "{namespace:?}: {told}");
    }
    for name in ["", "a,b=c", "a/b", ".a", "a.", "a\n", longer.as_str()] {
        let told = create("one", name).refused();
        assert!(told.contains("spec.registry.credentials[0].name:"), "{name:?}: {told}");
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
    // Nor from these: a Secret of that name in any namespace, and another request than one for Secrets.
    let path = format!("{}/secrets?x=", case.home.name);
    let nowhere = ["", &path].map(|namespace| {
        let resource = Resource::new(&case, &["one"], &json!({"namespaces": {"names": [space.name]}}));
        let change =
            json!({"spec": {"registry": {"credentials": [{"name": "one", "namespace": namespace}]}}});
        resource.kubectl("patch --type=merge").word(&format!("--patch={change}")).ok();
        resource
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
    for (resource, namespace) in nowhere.iter().zip(["", &path]) {
        let told = resource.is("Failed")["reason"].as_str().unwrap_or_default().to_owned();
        let said =
            format!("namespace {namespace:?} is not a name of a namespace: at most 63 lower-case letters");
        assert!(told.contains("spec.registry.credentials: ") && told.contains(&said), "{told}");
        assert_eq!(resource.copy(&space), None);
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
