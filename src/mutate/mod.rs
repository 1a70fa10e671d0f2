//! PURE: the mutators. Each reads a [`containers::PodChange`], a claim or an account and appends operations to a [`Verdict`].
//!
//! All of them are idempotent: admitting the patched object again appends nothing. All of them are total: an
//! object that they cannot make sense of is left to the API server's own validation.

pub mod containers;
pub mod image;
pub mod pull_policy;
pub mod pull_secret;
pub mod service_account;
pub mod storage_class;

use crate::image::{Decision, Kept};
use crate::patch::{Operation, Value};

/// What became of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageOutcome {
    /// Taken from another registry.
    Rewritten,
    /// Likewise, and that is withheld.
    WouldRewrite,
    /// Under an ignored registry.
    Ignored,
    /// At a target already.
    AtTarget,
    /// Covered by no rule.
    NoRule,
    /// Not a reference, or its rewrite would not be one.
    Unparsable,
    /// No image.
    Empty,
}

impl ImageOutcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Rewritten,
        Self::WouldRewrite,
        Self::Ignored,
        Self::AtTarget,
        Self::NoRule,
        Self::Unparsable,
        Self::Empty,
    ];

    /// What a decision comes to.
    #[must_use]
    pub const fn of(decision: &Decision<'_>) -> Self {
        match decision {
            Decision::Rewrite { .. } => Self::Rewritten,
            Decision::Keep(Kept::Malformed(_) | Kept::BadOutput(_)) => Self::Unparsable,
            Decision::Keep(Kept::Empty) => Self::Empty,
            Decision::Keep(Kept::Ignored(_)) => Self::Ignored,
            Decision::Keep(Kept::AtTarget(_)) => Self::AtTarget,
            Decision::Keep(Kept::NoRule) => Self::NoRule,
        }
    }

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rewritten => "rewritten",
            Self::WouldRewrite => "would_rewrite",
            Self::Ignored => "ignored",
            Self::AtTarget => "at_target",
            Self::NoRule => "no_rule",
            Self::Unparsable => "unparsable",
            Self::Empty => "empty",
        }
    }
}

/// What admission concludes about one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// The patch, parents first; empty: no patch.
    pub operations: Vec<Operation<'a>>,
    /// What the author should know.
    pub warnings: Warnings,
    /// Container and original image of every rewrite, for audit annotations.
    pub originals: Vec<(&'a str, &'a str)>,
    /// One outcome per image that was looked at.
    pub images: Vec<ImageOutcome>,
    /// What would be the patch, if anything were to be changed.
    pub withheld: Vec<Operation<'a>>,
}

impl Verdict<'_> {
    /// Says what would be done, in the place of doing it.
    pub fn withhold(&mut self) {
        for Operation { path, value, .. } in &self.operations {
            // A parent that is made for the next one says nothing.
            if !matches!(value, Value::Empty {}) {
                let more = "audit: more of this object would be changed";
                self.warnings.push_or(&format!("audit: {path} would become {value}"), more);
            }
        }
        self.withheld.append(&mut self.operations);
        self.originals.clear();
        for outcome in &mut self.images {
            if *outcome == ImageOutcome::Rewritten {
                *outcome = ImageOutcome::WouldRewrite;
            }
        }
    }
}

/// Warnings within what the API server shows: a longer or a later one would vanish, and so would one with a
/// control character.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warnings(Vec<String>);

impl Warnings {
    /// Most warnings of one response.
    pub const MAX: usize = 5;
    /// Most characters of one warning.
    pub const MAX_LENGTH: usize = 120;

    /// Adds a warning, made printable and short. The last of too many says only that there are more.
    pub fn push(&mut self, warning: &str) {
        self.push_or(warning, "more images of this object were not rewritten");
    }

    /// The same, with other words for that.
    pub fn push_or(&mut self, warning: &str, more: &str) {
        if self.0.len() == Self::MAX {
            if let Some(last) = self.0.last_mut() {
                more.clone_into(last);
            }
            return;
        }
        let mut text: String = warning.chars().flat_map(printable).collect();
        if text.len() > Self::MAX_LENGTH {
            text.truncate(Self::MAX_LENGTH - 3);
            text.push_str("...");
        }
        self.0.push(text);
    }

    /// The warnings in order.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

/// Printable ASCII stays, everything else is written as an escape: the result is ASCII.
fn printable(char: char) -> impl Iterator<Item = char> {
    let plain = (' '..='~').contains(&char);
    plain.then_some(char).into_iter().chain((!plain).then(|| char.escape_default()).into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_stay_within_the_limits_of_the_api_server() {
        let mut warnings = Warnings::default();
        warnings.push(&"x".repeat(500));
        warnings.push("line\nbreak \u{1b}[31m caf\u{e9}");
        for _ in 0..100 {
            warnings.push("same");
        }
        assert_eq!(warnings.as_slice().len(), 5);
        assert!(
            warnings.as_slice().iter().all(|w| w.len() <= 120 && w.bytes().all(|b| (32..127).contains(&b)))
        );
        assert_eq!(warnings.as_slice()[1], "line\\nbreak \\u{1b}[31m caf\\u{e9}");
        assert_eq!(warnings.as_slice()[4], "more images of this object were not rewritten");
    }
}
