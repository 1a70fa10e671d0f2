//! PURE: which namespaces a resource selects.

use std::collections::{BTreeMap, BTreeSet};

use super::resource::{
    AnnotationSelector, Expression, LabelSelector, NamespaceSelectors, PodSelectors, Target,
};

/// Labels or annotations.
pub type Map = BTreeMap<String, String>;

/// What a [`Target`] selects; the default selects nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Namespaces by name.
    pub names: BTreeSet<String>,
    namespaces: Vec<Selector>,
    pods: Vec<Selector>,
}

/// What a selector needs of an object.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Its labels.
    pub labels: Option<&'a Map>,
    /// Its annotations.
    pub annotations: Option<&'a Map>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Labels,
    Annotations,
}

/// Conditions that all have to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Selector {
    part: Part,
    conditions: Vec<(String, Test)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

/// A selector that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSelector {
    /// There is no such operator.
    #[error("{0:?} is no operator; accepted: In, NotIn, Exists, DoesNotExist")]
    Operator(String),
    /// There is nothing to compare with.
    #[error("{operator} of {key:?} needs at least one value")]
    NoValues {
        /// The key.
        key: String,
        /// `In` or `NotIn`.
        operator: &'static str,
    },
    /// There is something that is compared with nothing.
    #[error("{operator} of {key:?} takes no values")]
    Values {
        /// The key.
        key: String,
        /// `Exists` or `DoesNotExist`.
        operator: &'static str,
    },
}

impl Selection {
    /// Reads what a target selects.
    ///
    /// # Errors
    /// The first selector that cannot be used: a part of a selection would select too much or too little.
    pub fn of(target: &Target) -> Result<Self, BadSelector> {
        let none = NamespaceSelectors::default();
        let namespaces = target.namespaces.as_ref().unwrap_or(&none);
        let none = PodSelectors::default();
        let pods = target.namespaces_with_pods.as_ref().unwrap_or(&none);
        Ok(Self {
            names: namespaces.names.iter().cloned().collect(),
            namespaces: selectors(&namespaces.labels, &namespaces.annotations)?,
            pods: selectors(&pods.labels, &pods.annotations)?,
        })
    }

    /// Whether it selects a namespace by what the namespace is.
    #[must_use]
    pub fn matches_namespace(&self, name: &str, facts: Facts<'_>) -> bool {
        self.names.contains(name) || self.namespaces.iter().any(|selector| selector.matches(facts))
    }

    /// Whether it selects the namespaces of such a Pod.
    #[must_use]
    pub fn matches_pod(&self, facts: Facts<'_>) -> bool {
        self.pods.iter().any(|selector| selector.matches(facts))
    }

    /// Whether it looks at anything but names of namespaces.
    #[must_use]
    pub fn has_selectors(&self) -> bool {
        !self.namespaces.is_empty() || self.selects_pods()
    }

    /// Whether it looks at Pods.
    #[must_use]
    pub fn selects_pods(&self) -> bool {
        !self.pods.is_empty()
    }

    /// Labels and annotations of Pods that it looks at.
    pub fn pod_keys(&self) -> impl Iterator<Item = PodKey<'_>> {
        self.pods.iter().flat_map(|selector| {
            selector.conditions.iter().map(|(key, _)| match selector.part {
                Part::Labels => PodKey::Label(key),
                Part::Annotations => PodKey::Annotation(key),
            })
        })
    }
}

/// A label or an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PodKey<'a> {
    /// Of this name.
    Label(&'a str),
    /// Of this name.
    Annotation(&'a str),
}

impl Selector {
    fn matches(&self, facts: Facts<'_>) -> bool {
        let map = match self.part {
            Part::Labels => facts.labels,
            Part::Annotations => facts.annotations,
        };
        self.conditions.iter().all(|(key, test)| test.holds(map.and_then(|map| map.get(key))))
    }
}

impl Test {
    fn holds(&self, value: Option<&String>) -> bool {
        match self {
            Self::In(values) => value.is_some_and(|value| values.contains(value)),
            // As for Kubernetes: what is absent is not among them.
            Self::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
        }
    }
}

fn selectors(
    labels: &[LabelSelector],
    annotations: &[AnnotationSelector],
) -> Result<Vec<Selector>, BadSelector> {
    let labels = labels.iter().map(|it| (Part::Labels, &it.match_labels, &it.match_expressions));
    let annotations =
        annotations.iter().map(|it| (Part::Annotations, &it.match_annotations, &it.match_expressions));
    labels.chain(annotations).map(|(part, values, expressions)| selector(part, values, expressions)).collect()
}

fn selector(part: Part, values: &Map, expressions: &[Expression]) -> Result<Selector, BadSelector> {
    let values =
        values.iter().map(|(key, value)| Ok((key.clone(), Test::In(BTreeSet::from([value.clone()])))));
    let expressions = expressions.iter().map(|expression| Ok((expression.key.clone(), test(expression)?)));
    Ok(Selector { part, conditions: values.chain(expressions).collect::<Result<_, _>>()? })
}

fn test(Expression { key, operator, values }: &Expression) -> Result<Test, BadSelector> {
    let all = || values.iter().cloned().collect();
    let some = |operator| {
        if values.is_empty() { Err(BadSelector::NoValues { key: key.clone(), operator }) } else { Ok(all()) }
    };
    let none = |operator, test| {
        if values.is_empty() { Ok(test) } else { Err(BadSelector::Values { key: key.clone(), operator }) }
    };
    match operator.as_str() {
        "In" => some("In").map(Test::In),
        "NotIn" => some("NotIn").map(Test::NotIn),
        "Exists" => none("Exists", Test::Exists),
        "DoesNotExist" => none("DoesNotExist", Test::DoesNotExist),
        other => Err(BadSelector::Operator(other.to_owned())),
    }
}
