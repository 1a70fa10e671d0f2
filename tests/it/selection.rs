//! Which namespaces a resource selects.

use std::collections::BTreeMap;

use proptest::prelude::*;
use pullgate::controller::resource::Target;
use pullgate::controller::selection::{BadSelector, Facts, Map, Selection};
use serde_json::{Value, json};

fn selection(target: &Value) -> Result<Selection, BadSelector> {
    let mut whole = json!({"secret": {"name": "s"}});
    json_patch::merge(&mut whole, target);
    Selection::of(&serde_json::from_value::<Target>(whole).unwrap())
}

fn map(pairs: &[(&str, &str)]) -> Map {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Whether `target` selects a namespace `n` with these labels and annotations.
fn selects(target: &Value, labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> bool {
    let (labels, annotations) = (map(labels), map(annotations));
    let facts = Facts { labels: Some(&labels), annotations: Some(&annotations) };
    selection(target).unwrap().matches_namespace("n", facts)
}

#[test]
fn nothing_listed_selects_nothing() {
    for target in [
        json!({}),
        json!({"namespaces": {}}),
        json!({"namespaces": {"names": [], "labels": [], "annotations": []}}),
    ] {
        assert!(!selects(&target, &[("a", "b")], &[("a", "b")]), "{target}");
        assert!(!selection(&target).unwrap().matches_pod(Facts { labels: None, annotations: None }));
    }
}

#[test]
fn entries_are_alternatives_and_conditions_of_one_entry_are_not() {
    let labels = |selectors: Value| json!({"namespaces": {"labels": selectors}});
    let both = labels(json!([{"matchLabels": {"a": "1", "b": "2"}}]));
    assert!(selects(&both, &[("a", "1"), ("b", "2"), ("c", "3")], &[]));
    assert!(!selects(&both, &[("a", "1")], &[]));
    let either = labels(json!([{"matchLabels": {"a": "1"}}, {"matchLabels": {"b": "2"}}]));
    assert!(selects(&either, &[("b", "2")], &[]));
    let mixed = labels(
        json!([{"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}]),
    );
    assert!(selects(&mixed, &[("a", "1"), ("b", "")], &[]) && !selects(&mixed, &[("a", "1")], &[]));
    let names = json!({"namespaces": {"names": ["m", "n"], "labels": [{"matchLabels": {"a": "1"}}]}});
    assert!(selects(&names, &[], &[]));
    // No condition is one that everything meets.
    assert!(selects(&labels(json!([{}])), &[], &[]));
}

#[test]
fn labels_and_annotations_are_not_mixed_up() {
    let annotations =
        json!({"namespaces": {"annotations": [{"matchAnnotations": {"sidecar.istio.io/inject": "true"}}]}});
    assert!(selects(&annotations, &[], &[("sidecar.istio.io/inject", "true")]));
    assert!(!selects(&annotations, &[("sidecar.istio.io/inject", "true")], &[]));
}

#[test]
fn pods_select_their_namespace_and_no_other_one_does() {
    let target = json!({"namespacesWithPods": {"labels": [{"matchExpressions": [{"key": "rev", "operator": "Exists"}]}]}});
    let selection = selection(&target).unwrap();
    let labels = map(&[("rev", "1")]);
    let facts = Facts { labels: Some(&labels), annotations: None };
    assert!(selection.matches_pod(facts) && !selection.matches_namespace("n", facts));
    assert!(selection.selects_pods() && selection.has_selectors());
}

#[test]
fn a_selector_that_cannot_be_used_is_refused_by_its_key() {
    let refused = |expression: Value| {
        let target = json!({"namespaces": {"labels": [{"matchExpressions": [expression]}]}});
        selection(&target).unwrap_err().to_string()
    };
    assert_eq!(
        refused(json!({"key": "a", "operator": "Equals", "values": ["x"]})),
        r#""Equals" is no operator; accepted: In, NotIn, Exists, DoesNotExist"#
    );
    assert_eq!(refused(json!({"key": "a", "operator": "In"})), r#"In of "a" needs at least one value"#);
    assert_eq!(
        refused(json!({"key": "a", "operator": "NotIn", "values": []})),
        r#"NotIn of "a" needs at least one value"#
    );
    assert_eq!(
        refused(json!({"key": "a", "operator": "Exists", "values": ["x"]})),
        r#"Exists of "a" takes no values"#
    );
}

prop_compose! {
    fn any_expression()(
        key in "[ab]", operator in 0..4_usize, values in prop::collection::btree_set("[xyz]", 1..3),
    ) -> (String, &'static str, Vec<String>) {
        let operator = ["In", "NotIn", "Exists", "DoesNotExist"][operator];
        let values = if operator.ends_with("In") { values.into_iter().collect() } else { Vec::new() };
        (key, operator, values)
    }
}

proptest! {
    /// As Kubernetes' documentation says it: `In` wants the key, `NotIn` does not.
    #[test]
    fn an_expression_means_what_it_means_in_kubernetes(
        (key, operator, values) in any_expression(), labels in prop::collection::btree_map("[ab]", "[xyz]", 0..3),
    ) {
        let labels: BTreeMap<String, String> = labels;
        let value = labels.get(&key);
        let listed = value.is_some_and(|value| values.contains(value));
        let expected = match operator {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            _ => value.is_none(),
        };
        let target = json!({"namespaces": {"labels": [{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]}});
        let facts = Facts { labels: Some(&labels), annotations: None };
        prop_assert_eq!(selection(&target).unwrap().matches_namespace("n", facts), expected);
    }
}
