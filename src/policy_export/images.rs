//! PURE: what the registry rules decide, as variables of a policy.
//!
//! ```text
//! imagesBefore           those of the Pod that is stored
//! images                 those that the request brings: new, or other than before
//!   -> readable          valid by the grammar                      Reference::parse
//!   -> parsed            cut into host, path and suffix
//!   -> named             not too long; with the host that rules know
//!   -> keyed             with the name that rules are matched by   Reference::key
//!   -> moved             neither ignored nor at a target           RegistryRules::decide
//!   -> sent              with the longest source that covers it
//!   -> aimed             with the name at the target
//!   -> misplaced         with the image that it should be, where that can be
//! ```
//! Every variable is a list with a map for each image that is still under way; what drops out on the way is fine as
//! it is, unless it is lost for [`unreadable`] or [`unplaceable`]. There is no way to bind a name within an expression
//! of a policy, hence a variable for each step.

use std::cmp::Reverse;

use super::places::{Asked, places, places_before};
use super::{Variable, cel};
use crate::image::{Parser, RegistryRules};

/// Whole references, but for what [`NO_NAME`] takes out; `image::reference` has the words for each part.
const GRAMMAR: &str = concat!(
    // host: a domain name, an address, a port from 1 to 65535
    r"^(?:(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])",
    r"(?::0*(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?/)?",
    // path
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*",
    // tag, digest
    r"(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?(?:@(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))?$",
);
/// What looks like a reference and is none: placeholders, ids and digests; and an address in brackets that is neither
/// an address nor, without a `:` or an upper-case letter, a host.
const NO_NAME: &str = concat!(
    r"^(?:auto|[0-9a-fA-F]{64}|sha256:[0-9a-fA-F]{64}|sha384:[0-9a-fA-F]{96}|sha512:[0-9a-fA-F]{128}",
    r"|\[[0-9a-f]+\]/.*)$",
);
/// Longer images cost too much to look at. No reference is, unless its host is longer than any name that DNS has.
const MAX_IMAGE: usize = 1024;
/// The host of a valid reference, with the `/` behind it.
const HOST: &str = "^(?:localhost|[^/]*[.:A-Z][^/]*)/";
/// Tag and digest of a valid reference.
const SUFFIX: &str = "(?::[^/@]*)?(?:@.*)?$";
/// Hosts under which a runtime puts `library/` before a path of one component.
const HUB: &str = "['', 'docker.io/', 'index.docker.io/']";

/// What is known of an image at each step, in `i`; `pointer` is that of the field.
const PLACED: &str = "'what': i.what, 'image': i.image, 'pointer': i.pointer";
const NAMED: &str = "'what': i.what, 'image': i.image";

/// The variables, the last of which is `misplaced`: maps with `what`, `image` and `to`; and with the `pointer` to the
/// field, if `pointers` are asked for (from Kubernetes 1.32 on).
pub(super) fn variables(rules: &RegistryRules, pointers: bool) -> Vec<Variable> {
    let keep = if pointers { PLACED } else { NAMED };
    let mut variables = Vec::new();
    variables.extend(brought(pointers));
    variables.extend(read(keep));
    variables.extend(tables(rules));
    variables.extend(decided(rules.parser, keep));
    variables
}

/// An image counts unless the stored Pod has the same one in the same place: who labels an old Pod brings none.
fn brought(pointers: bool) -> [Variable; 2] {
    let now = places("object", Asked::Image, pointers);
    let same = "b.what == i.what && b.image == i.image";
    [
        ("imagesBefore", places_before(Asked::Image)),
        (
            "images",
            format!("({now})\n.filter(i, i.image != '' && !variables.imagesBefore.exists(b, {same}))"),
        ),
    ]
}

/// `Reference::parse` and `Reference::key`.
fn read(keep: &str) -> [Variable; 4] {
    let fits = fits("i.host", "i.path");
    let implied = implies_library("i.host", "i.path");
    [
        (
            "readable",
            format!(
                "variables.images.filter(i, size(i.image) <= {MAX_IMAGE} &&\n  \
                 i.image.matches(r'{GRAMMAR}') &&\n  \
                 !i.image.matches(r'{NO_NAME}'))"
            ),
        ),
        (
            "parsed",
            format!(
                "variables.readable.map(i, {{{keep},\n  \
                 'host': i.image.find(r'{HOST}'),\n  \
                 'suffix': i.image.find(r'{SUFFIX}')}})"
            ),
        ),
        (
            "named",
            format!(
                "variables.parsed.map(i, {{{keep}, 'suffix': i.suffix, 'host': i.host,\n  \
                 'registry': i.host.lowerAscii().replace(':443/', '/'),\n  \
                 'path': i.image.substring(size(i.host), size(i.image) - size(i.suffix))}})\n\
                 .filter(i, {fits})"
            ),
        ),
        (
            "keyed",
            format!(
                "variables.named.map(i, {{{keep}, 'suffix': i.suffix, 'host': i.host, 'path': i.path,\n  \
                 'key': (i.registry in ['', 'index.docker.io/'] ? 'docker.io/' : i.registry) +\n    \
                 ({implied} ? 'library/' : '') + i.path}})"
            ),
        ),
    ]
}

/// The rules themselves. Each prefix ends in a `/`, as whatever is under it goes on.
fn tables(rules: &RegistryRules) -> [Variable; 3] {
    let slashed = |prefix: &str| format!("{prefix}/");
    let kept = rules.ignored.iter().chain(rules.targets()).map(|prefix| slashed(&prefix.key));
    let mut sources: Vec<_> = rules.rules.iter().map(|rule| slashed(&rule.source.key)).collect();
    sources.sort_by_key(|source| Reverse(source.len()));
    // The fallback's: it covers everything, and comes last. There need not be a target for it.
    sources.push(String::new());
    let named = rules.rules.iter().map(|rule| (slashed(&rule.source.key), slashed(&rule.target.text)));
    let fallback = rules.fallback.iter().map(|target| (String::new(), slashed(&target.text)));
    [("kept", cel::list(kept)), ("sources", cel::list(sources)), ("targets", cel::map(named.chain(fallback)))]
}

/// `RegistryRules::decide`
fn decided(parser: Parser, keep: &str) -> [Variable; 4] {
    let path = path(parser);
    let fits = fits("h", "i.to.substring(size(h))");
    [
        ("moved", "variables.keyed.filter(i, !variables.kept.exists(k, i.key.startsWith(k)))".to_owned()),
        (
            "sent",
            format!(
                "variables.moved.map(i, {{{keep}, 'suffix': i.suffix, 'host': i.host, 'path': i.path, 'key': i.key,\n  \
                 'source': variables.sources.filter(s, i.key.startsWith(s))[0]}})\n\
                 .filter(i, i.source in variables.targets)"
            ),
        ),
        (
            "aimed",
            format!(
                "variables.sent.map(i, {{{keep}, 'suffix': i.suffix,\n  \
                 'to': variables.targets[i.source] +\n    {path}}})"
            ),
        ),
        (
            "misplaced",
            format!(
                "variables.aimed.filter(i, [i.to.find(r'{HOST}')].exists(h,\n  {fits}))\n\
                 .map(i, {{{keep}, 'to': i.to + i.suffix}})"
            ),
        ),
    ]
}

/// Those whose image cannot be read, and those whose image at the target could not be pulled: the rules leave both as
/// they are.
pub(super) fn left_alone() -> [Variable; 2] {
    let without = |all: &str, fine: &str| {
        format!(
            "size(variables.{all}) == size(variables.{fine}) ? [] :\n\
             variables.{all}.filter(i, !variables.{fine}.exists(n, n.what == i.what)).map(i, i.what)"
        )
    };
    [("unreadable", without("images", "named")), ("unplaceable", without("aimed", "misplaced"))]
}

/// Whether a runtime takes a path, with the `library/` that it adds.
fn fits(host: &str, path: &str) -> String {
    format!("size({path}) + ({} ? 8 : 0) <= 255", implies_library(host, path))
}

fn implies_library(host: &str, path: &str) -> String {
    format!("{host} in {HUB} && !{path}.contains('/')")
}

/// What follows the target: `RegistryRules::path` and `path_under`. A source without a path ends at its only `/`, and
/// the empty one, which is the fallback's, has none.
fn path(parser: Parser) -> &'static str {
    match parser {
        Parser::Dot => {
            "(i.source == '' && i.host == 'localhost/' ? i.host + i.path :\n     \
             i.source.indexOf('/') == size(i.source) - 1 ? i.path : i.key.substring(size(i.source)))"
        }
        Parser::Distribution => "i.key.substring(i.source == '' ? i.key.indexOf('/') + 1 : size(i.source))",
    }
}
