//! PURE: which objects are meant, by name.

use wildmatch::WildMatch;

/// Names, exact or with `*` (any text) and `?` (any character), or all names.
#[derive(Clone, Debug, PartialEq)]
pub enum Names {
    /// Every name.
    All,
    /// Whatever one of these matches.
    Patterns(Vec<WildMatch>),
}

impl Names {
    /// Names that `patterns` match.
    pub fn patterns<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Patterns(patterns.into_iter().map(WildMatch::new).collect())
    }

    /// Whether `name` is meant.
    #[must_use]
    pub fn cover(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Patterns(patterns) => patterns.iter().any(|pattern| pattern.matches(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_matched_whole() {
        let names = Names::patterns(["default", "build-*", "ci-?"]);
        for name in ["default", "build-", "build-a", "ci-1"] {
            assert!(names.cover(name), "{name}");
        }
        for name in ["", "defaults", "my-default", "build", "ci-", "ci-12"] {
            assert!(!names.cover(name), "{name}");
        }
        assert!(Names::All.cover("anything") && !Names::patterns([]).cover("anything"));
    }
}
