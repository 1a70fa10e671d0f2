//! The grammar of image references written down a second time, for the property tests and for `fuzz/`.

use std::sync::LazyLock;

use regex::Regex;

/// The grammar of distribution/reference, and a host with an underscore, as one expression.
static GRAMMAR: LazyLock<Regex> = LazyLock::new(|| {
    let component = "[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*";
    let label = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
    let host = format!(r"(?:{label}(?:\.{label})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?");
    let tag = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
    let digest = "(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})";
    Regex::new(&format!("^(?:{host}/)?{component}(?:/{component})*(?::{tag})?(?:@{digest})?$")).unwrap()
});

static DIGEST_LIKE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("^(?i-u:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}|[a-f0-9]{64})$").unwrap()
});

/// What a runtime could pull: the grammar, a port that there is, and a path within its length.
pub(crate) fn is_reference(image: &str) -> bool {
    if !GRAMMAR.is_match(image) || DIGEST_LIKE.is_match(image) || image == "auto" {
        return false;
    }
    let tagged = image.split('@').next().unwrap();
    let name = match tagged.rfind(':') {
        Some(colon) if !tagged[colon..].contains('/') => &tagged[..colon],
        _ => tagged,
    };
    let host = name.split_once('/').filter(|(first, _)| {
        *first == "localhost" || first.contains(['.', ':']) || first.chars().any(|c| c.is_ascii_uppercase())
    });
    // `[1]/x` has the form of an address, but no mark of a host, so runtimes read a path.
    if host.is_none() && name.starts_with('[') {
        return false;
    }
    let port =
        host.and_then(|(host, _)| host.rsplit_once(':')).map(|(_, port)| port).filter(|p| !p.ends_with(']'));
    if port.is_some_and(|port| !port.trim_start_matches('0').parse::<u16>().is_ok_and(|port| port > 0)) {
        return false;
    }
    let path = host.map_or(name, |(_, path)| path);
    let hub = host.is_none_or(|(host, _)| host == "docker.io" || host == "index.docker.io");
    let library = if hub && !path.contains('/') { 8 } else { 0 };
    path.len() + library <= 255
}

/// Tag and digest as written.
pub(crate) fn suffix(image: &str) -> &str {
    let name = image.split('@').next().unwrap();
    let tag = name.rfind('/').map_or(0, |slash| slash + 1);
    &image[name[tag..].find(':').map_or(name.len(), |colon| tag + colon)..]
}
