//! Which namespaces a resource selects, as they change.

use serde_json::{Value, json};

use super::case::{Resource, source};
use crate::controller::case::Case;
use crate::kubectl::kubectl;
use crate::space::Space;
use crate::wait::never;

fn change(verb: &str, space: &Space, what: &str) {
    kubectl(&format!("{verb} namespace --overwrite")).word(&space.name).word(what).ok();
}

#[test]
fn namespaces_are_selected_by_name_label_and_annotation_and_deselected() {
    let case = Case::new();
    source(&case.home, "one", &[("r.example", "p")]);
    let (named, labelled, annotated, other) =
        (case.home.sibling(), case.home.sibling(), case.home.sibling(), case.home.sibling());
    let mark = format!("test/{}", case.secret);
    let target = json!({"namespaces": {
        "names": [named.name],
        "labels": [{"matchExpressions": [{"key": mark, "operator": "In", "values": ["yes", "on"]}]}],
        "annotations": [{"matchAnnotations": {&mark: "true"}}],
    }});
    let resource = Resource::new(&case, &["one"], &target);
    let _controller = case.controller(&[]);
    resource.is_in(&[&named]);
    change("label", &labelled, &format!("{mark}=on"));
    change("annotate", &annotated, &format!("{mark}=true"));
    resource.is_in(&[&named, &labelled, &annotated]);
    // The other way round it is no match.
    change("annotate", &other, &format!("{mark}=on"));
    change("label", &labelled, &format!("{mark}=off"));
    change("annotate", &annotated, &format!("{mark}-"));
    resource.is_in(&[&named]);
    resource.apply(&case, &["one"], &json!({}));
    resource.is_in(&[]);
    resource.apply(&case, &["one"], &target);
    resource.is_in(&[&named]);
}

fn pod(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "annotations": annotations},
        "spec": {"containers": [{"name": "c", "image": "r.example/c"}]},
    })
}

#[test]
fn a_namespace_is_selected_while_it_has_a_pod_that_matches() {
    let case = Case::new();
    source(&case.home, "one", &[("r.example", "p")]);
    let space = case.home.sibling();
    let mark = format!("test/{}", case.secret);
    let target = json!({"namespacesWithPods": {"annotations": [{"matchAnnotations": {&mark: "true"}}]}});
    let resource = Resource::new(&case, &["one"], &target);
    space.kubectl("create -f -").input(&pod("first", &json!({&mark: "true"}))).ok();
    let _controller = case.controller(&[]);
    resource.is_in(&[&space]);
    space.kubectl("create -f -").input(&pod("second", &json!({&mark: "true"}))).ok();
    space.kubectl("delete pod first --now").ok();
    never("the copy going", || resource.copy(&space).is_none().then_some(()));
    space.kubectl("annotate pod second").word(&format!("{mark}-")).ok();
    resource.is_in(&[]);
    // What selectors look at was not known of Pods that were seen before.
    let other = format!("other/{}", case.secret);
    space.kubectl("annotate pod second").word(&format!("{other}=x")).ok();
    let absent = json!({"key": mark, "operator": "DoesNotExist"});
    let both = json!([absent, {"key": other, "operator": "Exists"}]);
    resource.apply(
        &case,
        &["one"],
        &json!({"namespacesWithPods": {"annotations": [{"matchExpressions": both}]}}),
    );
    resource.is_in(&[&space]);
}
