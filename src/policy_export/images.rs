//! PURE: what the registry rules decide, as variables of a policy.
//!
//! ```text
//! before                 images of the Pod that is stored
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

use super::cel;
use crate::image::rules::Prefix;
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

/// A variable's name and expression.
pub(super) type Variable = (&'static str, String);

/// What an image is called in messages, by the field that holds it.
pub(super) const LISTS: [(&str, &str); 3] = [
    ("containers", "container"),
    ("initContainers", "initContainer"),
    ("ephemeralContainers", "ephemeralContainer"),
];

/// The variables, the last of which is `misplaced`: maps with `what`, `image` and `to`; and with the `pointer` to the
/// field, if `pointers` are asked for (from Kubernetes 1.32 on).
pub(super) fn variables(rules: &RegistryRules, pointers: bool) -> Vec<Variable> {
    let keep = if pointers {
        "'what': i.what, 'image': i.image, 'pointer': i.pointer"
    } else {
        "'what': i.what, 'image': i.image"
    };
    let mut sources: Vec<_> = rules.rules.iter().map(|rule| slashed(&rule.source.key)).collect();
    sources.sort_by_key(|source| std::cmp::Reverse(source.len()));
    // The fallback's: it covers everything, and comes last.
    sources.push(String::new());
    let kept: Vec<_> =
        rules.ignored.iter().chain(rules.targets()).map(|prefix| slashed(&prefix.key)).collect();
    let targets: Vec<_> = rules
        .rules
        .iter()
        .map(|rule| (slashed(&rule.source.key), &rule.target))
        .chain(rules.fallback.iter().map(|target| (String::new(), target)))
        .map(|(source, target): (_, &Prefix)| (source, slashed(&target.text)))
        .collect();
    vec![
        ("before", format!("oldObject == null ? [] :\n{}", images("oldObject", false))),
        (
            "images",
            format!(
                "({})\n.filter(i, i.image != '' && !variables.before.exists(b, b.what == i.what && b.image == i.image))",
                images("object", pointers)
            ),
        ),
        (
            "readable",
            format!(
                "variables.images.filter(i, size(i.image) <= {MAX_IMAGE} &&\n  i.image.matches(r'{GRAMMAR}') &&\n  !i.image.matches(r'{NO_NAME}'))"
            ),
        ),
        (
            "parsed",
            format!(
                "variables.readable.map(i, {{{keep},\n  'host': i.image.find(r'{HOST}'), 'suffix': i.image.find(r'{SUFFIX}')}})"
            ),
        ),
        (
            "named",
            format!(
                "variables.parsed.map(i, {{{keep}, 'suffix': i.suffix, 'host': i.host,\n  \
                 'registry': i.host.lowerAscii().replace(':443/', '/'),\n  \
                 'path': i.image.substring(size(i.host), size(i.image) - size(i.suffix))}})\n\
                 .filter(i, {})",
                fits("i.host", "i.path")
            ),
        ),
        (
            "keyed",
            format!(
                "variables.named.map(i, {{{keep}, 'suffix': i.suffix, 'host': i.host, 'path': i.path,\n  \
                 'key': (i.registry in ['', 'index.docker.io/'] ? 'docker.io/' : i.registry) +\n    \
                 ({} ? 'library/' : '') + i.path}})",
                implies_library("i.host", "i.path")
            ),
        ),
        ("kept", cel::list(kept.iter().map(String::as_str))),
        ("moved", "variables.keyed.filter(i, !variables.kept.exists(k, i.key.startsWith(k)))".to_owned()),
        ("sources", cel::list(sources.iter().map(String::as_str))),
        ("targets", cel::map(targets.iter().map(|(source, target)| (source.as_str(), target.as_str())))),
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
                "variables.sent.map(i, {{{keep}, 'suffix': i.suffix,\n  'to': variables.targets[i.source] + {}}})",
                path(rules.parser)
            ),
        ),
        (
            "misplaced",
            format!(
                "variables.aimed.filter(i, [i.to.find(r'{HOST}')].exists(h, {}))\n\
                 .map(i, {{{keep}, 'to': i.to + i.suffix}})",
                fits("h", "i.to.substring(size(h))")
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

/// All images of a Pod. The API server's own validation has names unique within a list.
fn images(pod: &str, pointers: bool) -> String {
    let lists = LISTS.iter().map(|(list, what)| (*list, *what, "has(c.image)", "c.image", "image"));
    let volumes = (
        "volumes",
        "volume",
        "has(c.image) && has(c.image.reference)",
        "c.image.reference",
        "image/reference",
    );
    lists
        .chain([volumes])
        .map(|(list, what, has, image, field)| {
            let elements = format!("{pod}.spec.?{list}.orValue([])");
            let row = format!("'what': '{what} ' + c.name, 'image': string({image})");
            if pointers {
                let pointer = format!("'pointer': '/spec/{list}/' + string(n) + '/{field}'");
                format!("{elements}.transformList(n, c, {has}, {{{row}, {pointer}}})")
            } else {
                format!("{elements}.filter(c, {has}).map(c, {{{row}}})")
            }
        })
        .collect::<Vec<_>>()
        .join(" +\n")
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
            "(\n    i.source == '' && i.host == 'localhost/' ? i.host + i.path :\n    \
             i.source.indexOf('/') == size(i.source) - 1 ? i.path : i.key.substring(size(i.source)))"
        }
        Parser::Distribution => {
            "\n    i.key.substring(i.source == '' ? i.key.indexOf('/') + 1 : size(i.source))"
        }
    }
}

fn slashed(prefix: &str) -> String {
    format!("{prefix}/")
}
