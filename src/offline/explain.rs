//! PURE: why images become what they become, in words.

use crate::admit::Outcome;
use crate::image::{Decision, Kept, Parser, Reference, RegistryRules};
use crate::mutate::containers::{PodChange, Scope};
use crate::mutate::image::{image_to_admit, reference};
use crate::object::Object;
use crate::policy::Policy;
use crate::terminal::shown;

/// A paragraph for every image of a new Pod; `outcome` is how its admission ended.
pub(super) fn images(object: &Object<'_>, policy: &Policy, outcome: Outcome, namespace: &str) -> Vec<String> {
    carried(object, Scope::Create)
        .into_iter()
        .map(|(kind, name, image)| {
            let mut lines = vec![format!("{kind} {}", shown(name))];
            lines.push(format!("  image   {}", shown(image)));
            match spared(outcome, namespace) {
                Some(why) => lines.push(format!("  result  unchanged: {why}")),
                None => lines.extend(decision(image, &policy.registries)),
            }
            lines.join("\n")
        })
        .collect()
}

/// What carries an image, its name, and the image, of all that may be set in this scope.
pub(crate) fn carried<'a>(object: &'a Object<'a>, scope: Scope) -> Vec<(&'static str, &'a str, &'a str)> {
    let pod = PodChange { scope, new: object, old: None };
    let containers = pod.containers().filter_map(|container| {
        let kind = match container.list {
            "initContainers" => "init container",
            "ephemeralContainers" => "ephemeral container",
            _ => "container",
        };
        Some((kind, container.new.name.as_deref(), image_to_admit(&pod, &container)?))
    });
    let volumes = pod
        .image_volumes()
        .filter(|_| scope == Scope::Create)
        .filter_map(|volume| Some(("volume", volume.new.name.as_deref(), reference(volume.new)?)));
    let named = |(kind, name, image): (_, Option<&'a str>, _)| (kind, name.unwrap_or_default(), image);
    containers.chain(volumes).map(named).collect()
}

/// Why no rule was asked about any image of a Pod.
pub(crate) fn spared(outcome: Outcome, namespace: &str) -> Option<String> {
    match outcome {
        Outcome::Excluded => Some(format!("the namespace {} is excluded", shown(namespace))),
        Outcome::Exempt => Some("a mirror Pod, or a Pod that is being deleted".to_owned()),
        _ => None,
    }
}

/// How an image is read, the rule, and the result.
fn decision(image: &str, rules: &RegistryRules) -> Vec<String> {
    let mut lines: Vec<_> = Reference::parse(image).iter().map(|parsed| read(parsed, rules)).collect();
    let decision = rules.decide(image);
    let why = why(&decision, rules);
    lines.extend(match decision {
        Decision::Rewrite { image, .. } => vec![format!("  rule    {why}"), format!("  result  {image}")],
        Decision::Keep(_) => vec![format!("  result  unchanged: {why}")],
    });
    lines
}

/// The rule that an image is rewritten by, or why it stays.
pub(crate) fn why(decision: &Decision<'_>, rules: &RegistryRules) -> String {
    match decision {
        Decision::Rewrite { source: Some(source), target, .. } => {
            format!("{}={} of REGISTRY_MAP", source.text, target.text)
        }
        Decision::Rewrite { source: None, target, .. } => {
            format!("the fallback {} (REGISTRY, or * of REGISTRY_MAP)", target.text)
        }
        Decision::Keep(_) if !rules.is_active() => "neither REGISTRY nor REGISTRY_MAP is set".to_owned(),
        Decision::Keep(Kept::Empty) => "it is empty".to_owned(),
        Decision::Keep(Kept::Malformed(why)) => format!("not an image reference: {why}"),
        Decision::Keep(Kept::BadOutput(why)) => format!("the rewritten image would not be one: {why}"),
        Decision::Keep(Kept::Ignored(prefix)) => format!("{} is one of IGNORED_REGISTRIES", prefix.text),
        Decision::Keep(Kept::AtTarget(target)) => format!("it is at the target {} already", target.text),
        Decision::Keep(Kept::NoRule) => {
            "no source of REGISTRY_MAP covers it, and there is no fallback".to_owned()
        }
    }
}

/// The registry that rules are matched by, and the path that the parser would put under a fallback.
fn read(parsed: &Reference<'_>, rules: &RegistryRules) -> String {
    let key = parsed.key();
    let path = rules.path(parsed, &key);
    let registry = match (parsed.host, key.split_once('/')) {
        (Some(_), _) if path == parsed.name => "none".to_owned(),
        (None, Some((host, _))) => format!("{host} (implied)"),
        (Some(_), Some((host, _))) => host.to_owned(),
        (_, None) => key.clone(),
    };
    let parser = match rules.parser {
        Parser::Dot => "dot",
        Parser::Distribution => "distribution",
    };
    format!("  read    registry {registry}, path {path}, by the parser {parser}")
}
