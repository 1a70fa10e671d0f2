//! PURE: what becomes of each image, by the rules that the webhook has.

use std::collections::BTreeSet;
use std::fmt;

use super::inventory::{Inventory, Used};
use crate::image::{Decision, Kept, RegistryRules};
use crate::mutate::ImageOutcome;
use crate::offline::explain::why;

/// An image, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// As manifests say it.
    pub(super) image: String,
    /// `rewritten`, `at_target`, `ignored`, `no_rule`, `unparsable`, `empty`, `excluded` or `exempt`.
    pub(super) fate: &'static str,
    /// The rule, or why it stays.
    pub(super) why: String,
    /// The image in its place; none: it stays.
    pub(super) result: Option<String>,
    /// The registry and path that it is taken from by the rules, as configured; none: no target of theirs.
    pub(super) into: Option<String>,
    /// The workloads that use it, sorted.
    pub(super) users: Vec<String>,
    /// What its registry says, where that was asked.
    pub(super) target: Option<Target>,
}

/// Whether an image is where it is going to be pulled from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// It is there.
    Present,
    /// It is not.
    Missing,
    /// The registry does not let us know, and says this.
    Unauthorized(String),
    /// There is no answer to be had, for this reason.
    Unreachable(String),
}

impl Target {
    /// Its name in lists.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Missing => "missing",
            Self::Unauthorized(_) => "unauthorized",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// Why nothing is known.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Present | Self::Missing => None,
            Self::Unauthorized(reason) | Self::Unreachable(reason) => Some(reason),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        self.reason().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}

impl Row {
    /// The image as it is going to be pulled from a target.
    pub(super) fn at_target(&self) -> Option<&str> {
        self.result.as_deref().or_else(|| self.into.as_ref().map(|_| self.image.as_str()))
    }

    /// Whether a person should look at it.
    pub(super) fn is_trouble(&self) -> bool {
        self.fate == ImageOutcome::Unparsable.as_str()
            || self.target.as_ref().is_some_and(|target| *target != Target::Present)
    }
}

/// Decides about every image, sorted by image.
pub(super) fn decide(inventory: Inventory, rules: &RegistryRules) -> Vec<Row> {
    let row = |((image, spared), users): (Used, BTreeSet<String>)| {
        let users = users.into_iter().collect();
        if let Some((fate, why)) = spared {
            return Row { image, fate, why, result: None, into: None, users, target: None };
        }
        let decision = rules.decide(&image);
        let (fate, why) = (ImageOutcome::of(&decision).as_str(), why(&decision, rules));
        let (result, into) = match decision {
            Decision::Rewrite { image, target, .. } => (Some(image), Some(target)),
            Decision::Keep(Kept::AtTarget(target)) => (None, Some(target)),
            Decision::Keep(_) => (None, None),
        };
        let into = into.map(|target| target.text.clone());
        Row { fate, why, result, into, users, target: None, image }
    };
    inventory.images.into_iter().map(row).collect()
}
