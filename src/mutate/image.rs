//! PURE: makes images come from the configured registries.
//!
//! On an update a container's image is looked at only when it differs from the old object's: rewriting an
//! image restarts its container, which labelling an old Pod must not do. Image volumes cannot change on an
//! update, so there they are only ever set back to what they were, see `set_back`.

use super::containers::{Placed, PodChange, Scope};
use super::{ImageOutcome, Verdict};
use crate::image::{Decision, Kept, RegistryRules};
use crate::object::{Container, Volume};
use crate::patch::{Mutator, Operation, Pointer, Value};

/// What the key of an audit annotation starts with; the container's name follows.
pub const ORIGINAL_IMAGE: &str = "original-image.";
/// Longest key of an audit annotation (it is half of a qualified name).
const MAX_AUDIT_KEY: usize = 63;

/// Appends a `replace` for every image that a rule sends elsewhere, and a warning for every one that cannot be
/// read.
pub fn mutate<'a>(change: &PodChange<'a>, rules: &RegistryRules, verdict: &mut Verdict<'a>) {
    if !rules.is_active() {
        return;
    }
    for container in change.containers() {
        if let Some(image) = image_to_admit(change, &container)
            && let Some(rewritten) = decide(rules, image, ("container", &container.new.name), verdict)
        {
            audit(&container, image, verdict);
            replace(container.pointer("image"), rewritten, verdict);
        }
    }
    for volume in change.image_volumes() {
        let Some(image) = reference(volume.new) else { continue };
        match change.scope {
            Scope::Create => {
                if let Some(rewritten) = decide(rules, image, ("volume", &volume.new.name), verdict) {
                    replace(volume.pointer("image/reference"), rewritten, verdict);
                }
            }
            Scope::Update => {
                if let Some(old) = set_back(rules, image, volume.old.and_then(reference)) {
                    replace(volume.pointer("image/reference"), old, verdict);
                }
            }
            Scope::Ephemeral => {}
        }
    }
}

/// The image of a container, where this request is what brings it.
#[must_use]
pub fn image_to_admit<'a>(change: &PodChange<'a>, container: &Placed<'a, Container<'a>>) -> Option<&'a str> {
    let image = container.new.image.as_deref()?;
    let unchanged =
        change.scope == Scope::Update && container.old.is_some_and(|old| old.image.as_deref() == Some(image));
    (!unchanged).then_some(image)
}

/// The image of an image volume.
#[must_use]
pub fn reference<'a>(volume: &'a Volume<'a>) -> Option<&'a str> {
    volume.image.as_ref()?.reference.as_deref()
}

/// A repeated `kubectl apply` sends the image of the manifest where the stored Pod has the rewritten one. The
/// API server refuses the change of an immutable field, so where our rules make exactly the old value out of
/// the new one, the old value is what was meant.
fn set_back(rules: &RegistryRules, new: &str, old: Option<&str>) -> Option<String> {
    match rules.decide(new) {
        Decision::Rewrite { image, .. } if Some(image.as_str()) == old => Some(image),
        _ => None,
    }
}

/// Counts the decision, warns about an unreadable image, and returns the rewritten one.
fn decide(
    rules: &RegistryRules,
    image: &str,
    (kind, name): (&str, &Option<crate::json::Text<'_>>),
    verdict: &mut Verdict<'_>,
) -> Option<String> {
    let decision = rules.decide(image);
    verdict.images.push(ImageOutcome::of(&decision));
    let (what, why) = match decision {
        Decision::Rewrite { image, .. } => return Some(image),
        Decision::Keep(Kept::Malformed(why)) => ("image not rewritten", why),
        Decision::Keep(Kept::BadOutput(why)) => ("image not rewritten, the result is bad", why),
        Decision::Keep(_) => return None,
    };
    verdict.warnings.push(&warning(kind, name.as_deref(), what, why));
    None
}

/// Names the container and not the image: an image that is no reference may hold anything, a password too.
fn warning(kind: &str, name: Option<&str>, what: &str, why: crate::image::Malformed) -> String {
    let name: String = name.unwrap_or_default().chars().take(24).collect();
    format!("{kind} {name:?}: {what}: {why}")
}

fn replace(path: Pointer, image: String, verdict: &mut Verdict<'_>) {
    verdict.operations.push(Operation::set(Mutator::Image, true, path, Value::Text(image.into())));
}

/// One key per container: when a later call of the same request finds the same image again, key and value are
/// the same, and the API server refuses only a changed value.
fn audit<'a>(container: &Placed<'a, Container<'a>>, image: &'a str, verdict: &mut Verdict<'a>) {
    let name = container.new.name.as_deref().unwrap_or_default();
    let qualified = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if qualified
        && ORIGINAL_IMAGE.len() + name.len() <= MAX_AUDIT_KEY
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
    {
        verdict.originals.push((name, image));
    }
}
