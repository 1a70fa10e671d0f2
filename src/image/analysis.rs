//! PURE: do the registry rules fit each other? Asked once, at start.

use std::collections::HashMap;

use super::rules::{Prefix, RegistryRules, Rule};

/// Rules that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// What one rule writes, a named source would rewrite again.
    #[error("the target `{target}` is matched again by the source `{matched_by}`, a loop")]
    Loop {
        /// The target that is matched.
        target: String,
        /// The source that matches it.
        matched_by: String,
    },
    /// One source, two rules.
    #[error("the source `{0}` is named twice")]
    SameSource(String),
}

/// Rules that work, though perhaps not as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Worth a warning.
    Warning(String),
    /// Worth a line.
    Note(String),
}

/// Looks at all rules together.
///
/// # Errors
/// Every conflict, in the order of the rules.
pub fn analyse(rules: &RegistryRules) -> Result<Vec<Notice>, Vec<Conflict>> {
    let conflicts = conflicts(rules);
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    let mut notices = Vec::new();
    hostless(rules, &mut notices);
    shadowed(rules, &mut notices);
    collapsing(&rules.rules, &mut notices);
    Ok(notices)
}

fn conflicts(rules: &RegistryRules) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let mut sources: HashMap<&str, &Prefix> = HashMap::new();
    for Rule { source, .. } in &rules.rules {
        if sources.insert(&source.key, source).is_some() {
            conflicts.push(Conflict::SameSource(source.text.clone()));
        }
    }
    for target in rules.targets() {
        if let Some(source) = at_or_above(&target.key, &sources) {
            let matched_by = source.text.clone();
            conflicts.push(Conflict::Loop { target: target.text.clone(), matched_by });
        }
    }
    conflicts
}

/// Targets and ignored entries without a host are read as Docker Hub's, which is seldom meant.
fn hostless(rules: &RegistryRules, notices: &mut Vec<Notice>) {
    for target in rules.targets().filter(|target| target.hostless) {
        notices.push(Notice::Warning(format!(
            "the target `{}` names no registry host: runtimes read it as `{}`, an organisation of Docker Hub",
            target.text, target.key
        )));
    }
    for (what, prefix) in rules
        .ignored
        .iter()
        .map(|prefix| ("the ignored registry", prefix))
        .chain(rules.rules.iter().map(|rule| ("the source", &rule.source)))
        .filter(|(_, prefix)| prefix.hostless)
    {
        notices.push(Notice::Warning(format!(
            "{what} `{}` names no registry host: it is read as `{}`",
            prefix.text, prefix.key
        )));
    }
}

/// A rule that never applies because something else has the word first, or applies to less than it says.
fn shadowed(rules: &RegistryRules, notices: &mut Vec<Notice>) {
    let ignored: HashMap<&str, &Prefix> = by_key(&rules.ignored);
    let targets: HashMap<&str, &Prefix> = by_key(rules.targets());
    let sources: HashMap<&str, &Prefix> = by_key(rules.rules.iter().map(|rule| &rule.source));
    for Rule { source, target } in &rules.rules {
        let rule = format!("{}={}", source.text, target.text);
        if let Some(by) = at_or_above(&source.key, &ignored) {
            notices.push(Notice::Warning(format!(
                "the rule `{rule}` never applies: it is shadowed by the ignored registry `{}`",
                by.text
            )));
        } else if let Some(by) = at_or_above(&source.key, &targets) {
            notices.push(Notice::Warning(format!(
                "the rule `{rule}` never applies: it is shadowed by the target `{}`, whose images are left alone",
                by.text
            )));
        } else if let Some(by) = parent(&source.key).and_then(|key| at_or_above(key, &sources)) {
            notices.push(Notice::Note(format!(
                "the rule `{rule}` shadows the source `{}` for images under `{}`: the longer source wins",
                by.text, source.text
            )));
        }
    }
    if let Some(target) = &rules.fallback
        && let Some(by) = at_or_above(&target.key, &ignored)
    {
        notices.push(Notice::Note(format!(
            "the target `{}` lies under the ignored registry `{}`; its images are left alone either way",
            target.text, by.text
        )));
    }
}

/// Two registries that become one: `a/x` of the one and `a/x` of the other get the same name.
fn collapsing(rules: &[Rule], notices: &mut Vec<Notice>) {
    let mut seen: HashMap<&str, &Rule> = HashMap::new();
    let mut pair = |rule: &Rule, other: &Rule| {
        notices.push(Notice::Warning(format!(
            "`{}={}` and `{}={}` can give two images one name",
            other.source.text, other.target.text, rule.source.text, rule.target.text
        )));
    };
    for rule in rules {
        if let Some(other) = seen.get(rule.target.key.as_str()) {
            pair(rule, other);
        } else {
            seen.insert(&rule.target.key, rule);
        }
    }
    for rule in rules {
        let above = std::iter::successors(parent(&rule.target.key), |key| parent(key));
        for other in above.filter_map(|key| seen.get(key)).filter(|other| !stays_apart(other, rule)) {
            pair(rule, other);
        }
    }
}

/// `ghcr.io=r/g` with `ghcr.io/a=r/g/a`: what the outer rule could put under `r/g/a`, the inner one takes.
fn stays_apart(outer: &Rule, inner: &Rule) -> bool {
    let below = |key: &str, prefix: &Prefix| key.strip_prefix(&prefix.key).map(|rest| format!("{rest}/"));
    match (below(&inner.source.key, &outer.source), below(&inner.target.key, &outer.target)) {
        (Some(source), Some(target)) => target.starts_with(&source),
        _ => false,
    }
}

fn by_key<'a>(prefixes: impl IntoIterator<Item = &'a Prefix>) -> HashMap<&'a str, &'a Prefix> {
    prefixes.into_iter().map(|prefix| (prefix.key.as_str(), prefix)).collect()
}

fn at_or_above<'a>(key: &str, prefixes: &HashMap<&str, &'a Prefix>) -> Option<&'a Prefix> {
    std::iter::successors(Some(key), |key| parent(key)).find_map(|key| prefixes.get(key)).copied()
}

fn parent(key: &str) -> Option<&str> {
    key.rsplit_once('/').map(|(parent, _)| parent)
}
