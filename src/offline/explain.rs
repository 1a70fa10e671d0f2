//! PURE: why images become what they become, in words.

use crate::admit::Outcome;
use crate::image::{Decision, Kept, Parser, Reference, RegistryRules};
use crate::mutate::containers::{PodChange, Scope};
use crate::mutate::image::{image_to_admit, reference};
use crate::object::Object;
use crate::policy::Policy;

/// A paragraph for every image of a new Pod; `outcome` is how its admission ended.
pub(super) fn images(object: &Object<'_>, policy: &Policy, outcome: Outcome, namespace: &str) -> Vec<String> {
    let pod = PodChange { scope: Scope::Create, new: object, old: None };
    let containers = pod.containers().filter_map(|container| {
        let kind = if container.list == "initContainers" { "init container" } else { "container" };
        Some((kind, container.new.name.as_deref(), image_to_admit(&pod, &container)?))
    });
    let volumes = pod
        .image_volumes()
        .filter_map(|volume| Some(("volume", volume.new.name.as_deref(), reference(volume.new)?)));
    containers
        .chain(volumes)
        .map(|(kind, name, image)| {
            let mut lines = vec![format!("{kind} {}", shown(name.unwrap_or_default()))];
            lines.push(format!("  image   {}", shown(image)));
            match outcome {
                Outcome::Excluded => {
                    lines
                        .push(format!("  result  unchanged: the namespace {} is excluded", shown(namespace)));
                }
                Outcome::Exempt => {
                    lines
                        .push("  result  unchanged: a mirror Pod, or a Pod that is being deleted".to_owned());
                }
                _ => lines.extend(decision(image, &policy.registries)),
            }
            lines.join("\n")
        })
        .collect()
}

/// How an image is read, the rule, and the result.
fn decision(image: &str, rules: &RegistryRules) -> Vec<String> {
    let mut lines: Vec<_> = Reference::parse(image).iter().map(|parsed| read(parsed, rules)).collect();
    let kept = match rules.decide(image) {
        Decision::Rewrite { image, source, target } => {
            let rule = match source {
                Some(source) => format!("{}={} of REGISTRY_MAP", source.text, target.text),
                None => format!("the fallback {} (REGISTRY, or * of REGISTRY_MAP)", target.text),
            };
            lines.extend([format!("  rule    {rule}"), format!("  result  {image}")]);
            return lines;
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
    };
    lines.push(format!("  result  unchanged: {kept}"));
    lines
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

/// Text of a manifest as it may go to a terminal.
pub(super) fn shown(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}
