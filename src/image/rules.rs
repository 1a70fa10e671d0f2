//! PURE: where an image is made to come from.
//!
//! ```text
//! malformed? -> kept | ignored registry? -> kept | already at a target? -> kept
//!   | longest named source that covers it -> target + what follows the source
//!   | fallback (REGISTRY or `*`)          -> target + path by the parser
//!   | neither                             -> kept
//! ```
//! Images at any target are kept before rules are asked, which is what makes a decision idempotent.

use std::borrow::Cow;
use std::collections::HashMap;

use super::reference::{
    LIBRARY, Malformed, Reference, canonical_host, is_host, is_path, names_host, split_host,
};

/// How the part of an image that follows the registry is found (`IMAGE_PARSER`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parser {
    /// A first component with a `.` is a registry, and so is one that can be nothing else.
    #[default]
    Dot,
    /// Docker's normalisation: `nginx` is `docker.io/library/nginx`.
    Distribution,
}

/// A registry, with or without a path, that images are matched against or sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// As configured; what a rewrite carries.
    pub text: String,
    /// In the form of [`Reference::key`]; what is matched.
    pub key: String,
    /// Names no host, and so reads as an organisation of Docker Hub.
    pub hostless: bool,
}

/// Why a text is no [`Prefix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPrefix {
    /// Nothing at all.
    #[error("a registry is missing")]
    Empty,
    /// `https://…`
    #[error("a registry is written without a scheme (`https://`)")]
    Scheme,
    /// Ends in `/`.
    #[error("a registry is written without a trailing `/`")]
    TrailingSlash,
    /// Holds white space.
    #[error("a registry holds no spaces")]
    Space,
    /// The host breaks the grammar or the port is out of range.
    #[error("the part before the first `/` is not a valid host[:port] (port 1 to 65535)")]
    Host,
    /// The path breaks the grammar.
    #[error(
        "a path is made of lower-case letters, digits and single separators (. _ __ -) between them, at most 200 characters"
    )]
    Path,
}

/// Longest path of a target: leaves room for an image of any use.
const MAX_PREFIX_PATH: usize = 200;

impl Prefix {
    /// Reads `host[:port][/path]`.
    ///
    /// # Errors
    /// The first rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, BadPrefix> {
        if text.is_empty() {
            return Err(BadPrefix::Empty);
        }
        if text.contains("://") {
            return Err(BadPrefix::Scheme);
        }
        if text.contains(char::is_whitespace) {
            return Err(BadPrefix::Space);
        }
        if text.ends_with('/') {
            return Err(BadPrefix::TrailingSlash);
        }
        let (host, path) = match split_host(text) {
            (None, whole) if !whole.contains('/') && names_host(whole) => (Some(whole), None),
            (Some(host), path) => (Some(host), Some(path)),
            (None, path) => (None, Some(path)),
        };
        if host.is_some_and(|host| !is_host(host)) {
            return Err(BadPrefix::Host);
        }
        if path.is_some_and(|path| path.len() > MAX_PREFIX_PATH || !is_path(path)) {
            return Err(BadPrefix::Path);
        }
        let canonical = host.map_or(Cow::Borrowed("docker.io"), canonical_host);
        let key = match path {
            Some(path) => format!("{canonical}/{path}"),
            None => canonical.into_owned(),
        };
        Ok(Self { text: text.to_owned(), key, hostless: host.is_none() })
    }

    /// Whether `key` lies under this prefix: equal text up to a `/`.
    #[must_use]
    pub fn covers(&self, key: &str) -> bool {
        key.strip_prefix(&self.key).is_some_and(|rest| rest.starts_with('/'))
    }

    fn has_path(&self) -> bool {
        self.key.contains('/')
    }
}

/// A named source and its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Images under this prefix …
    pub source: Prefix,
    /// … are taken from here.
    pub target: Prefix,
}

/// What was decided about one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'r> {
    /// Take it from elsewhere.
    Rewrite {
        /// The whole new reference.
        image: String,
        /// The rule's source; none for the fallback.
        source: Option<&'r Prefix>,
        /// The rule's target.
        target: &'r Prefix,
    },
    /// Leave it byte for byte.
    Keep(Kept<'r>),
}

/// Why an image is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept<'r> {
    /// No image: the API server has the better message.
    Empty,
    /// Not a reference.
    Malformed(Malformed),
    /// The rewritten image would not be a reference.
    BadOutput(Malformed),
    /// Under an ignored registry.
    Ignored(&'r Prefix),
    /// Comes from a target already.
    AtTarget(&'r Prefix),
    /// No rule covers it and there is no fallback.
    NoRule,
}

/// Every rule about registries; see the module's flow.
#[derive(Clone, Debug, Default)]
pub struct RegistryRules {
    /// How paths are found.
    pub parser: Parser,
    /// Named sources of `REGISTRY_MAP`.
    pub rules: Vec<Rule>,
    /// `REGISTRY`, or the target of `*`.
    pub fallback: Option<Prefix>,
    /// `IGNORED_REGISTRIES`.
    pub ignored: Vec<Prefix>,
    by_source: Index,
    targets: Index,
    ignored_keys: Index,
}

/// Keys to positions: the longest prefix of a key is found in as many look-ups as the key has slashes.
type Index = HashMap<String, usize>;

impl RegistryRules {
    /// Puts rules together; [`super::analysis::analyse`] tells whether they fit each other.
    #[must_use]
    pub fn new(parser: Parser, rules: Vec<Rule>, fallback: Option<Prefix>, ignored: Vec<Prefix>) -> Self {
        let index = |prefixes: &mut dyn Iterator<Item = &Prefix>| {
            prefixes.enumerate().map(|(i, prefix)| (prefix.key.clone(), i)).collect::<Index>()
        };
        Self {
            by_source: index(&mut rules.iter().map(|rule| &rule.source)),
            targets: index(&mut rules.iter().map(|rule| &rule.target).chain(&fallback)),
            ignored_keys: index(&mut ignored.iter()),
            parser,
            rules,
            fallback,
            ignored,
        }
    }

    /// Whether there is anything to rewrite to.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.fallback.is_some() || !self.rules.is_empty()
    }

    /// Every target, the fallback's last.
    pub fn targets(&self) -> impl Iterator<Item = &Prefix> {
        self.rules.iter().map(|rule| &rule.target).chain(&self.fallback)
    }

    fn target(&self, position: usize) -> Option<&Prefix> {
        self.rules.get(position).map(|rule| &rule.target).or(self.fallback.as_ref())
    }

    /// Decides about one image. Total: every string has a decision, and deciding about a rewritten image
    /// keeps it.
    #[must_use]
    pub fn decide(&self, image: &str) -> Decision<'_> {
        let reference = match Reference::parse(image) {
            Ok(reference) => reference,
            Err(Malformed::Empty) => return Decision::Keep(Kept::Empty),
            Err(error) => return Decision::Keep(Kept::Malformed(error)),
        };
        let key = reference.key();
        if let Some(i) = longest(&self.ignored_keys, &key) {
            return Decision::Keep(Kept::Ignored(&self.ignored[i]));
        }
        if let Some(target) = longest(&self.targets, &key).and_then(|i| self.target(i)) {
            return Decision::Keep(Kept::AtTarget(target));
        }
        let (source, target, path) = if let Some(i) = longest(&self.by_source, &key) {
            let Rule { source, target } = &self.rules[i];
            (Some(source), target, self.path_under(source, &reference, &key))
        } else if let Some(target) = &self.fallback {
            (None, target, self.path(&reference, &key))
        } else {
            return Decision::Keep(Kept::NoRule);
        };
        let rewritten = [&target.text, "/", path, reference.suffix].concat();
        match Reference::parse(&rewritten) {
            Ok(_) => Decision::Rewrite { image: rewritten, source, target },
            Err(error) => Decision::Keep(Kept::BadOutput(error)),
        }
    }

    /// What follows a named source. A path that the source spells out is taken off the full name; otherwise
    /// the dot parser leaves out the `library/` that nobody wrote.
    fn path_under<'k>(&self, source: &Prefix, reference: &Reference<'_>, key: &'k str) -> &'k str {
        let rest = &key[source.key.len() + 1..];
        if self.parser == Parser::Dot && reference.implies_library() && !source.has_path() {
            return &rest[LIBRARY.len()..];
        }
        rest
    }

    /// The path under the fallback: the two parsers differ about `library/`, and about `localhost`, which is
    /// no registry to the dot parser.
    #[must_use]
    pub fn path<'k>(&self, reference: &Reference<'k>, key: &'k str) -> &'k str {
        match self.parser {
            Parser::Dot if reference.host == Some("localhost") => reference.name,
            Parser::Dot => reference.path,
            Parser::Distribution => key.split_once('/').map_or(key, |(_, path)| path),
        }
    }
}

fn longest(index: &Index, key: &str) -> Option<usize> {
    if index.is_empty() {
        return None;
    }
    let slashes = key.bytes().enumerate().rev().filter(|(_, b)| *b == b'/');
    slashes.map(|(slash, _)| &key[..slash]).find_map(|prefix| index.get(prefix)).copied()
}
