//! PURE: image references, parsed by the grammar that Docker, containerd and the kubelet share.
//!
//! Grammar: <https://github.com/distribution/reference/blob/main/reference.go>. Parsing borrows; nothing is
//! normalised until [`Reference::key`] asks for it.

use std::borrow::Cow;

/// Longest repository path (without the host) that a container runtime accepts.
const MAX_PATH: usize = 255;
const MAX_TAG: usize = 128;
/// The host that an image without one comes from.
const DOCKER_HUB: &str = "docker.io";
/// The name that Docker Hub had before.
const DOCKER_INDEX: &str = "index.docker.io";
/// The organisation of Docker Hub's official images, left out by users.
pub(crate) const LIBRARY: &str = "library/";

/// Why a string is not an image reference, as a clause that follows "image not rewritten:".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No image at all.
    #[error("it is empty")]
    Empty,
    /// 64 hexadecimal digits: containerd reads an image id, not a name.
    #[error("it is a bare 64 digit image id, not a name")]
    Identifier,
    /// A digest without a name.
    #[error("it is a digest without a name")]
    BareDigest,
    /// `auto`, which a sidecar injector replaces later.
    #[error("`auto` is a placeholder that an injector replaces")]
    Placeholder,
    /// The part before the first `/` is no host name, address or port.
    #[error("its registry is not a valid host[:port]")]
    Host,
    /// A path component breaks the grammar.
    #[error("its name may hold only a-z, 0-9 and . _ __ - between them")]
    Path,
    /// The path is too long for any runtime.
    #[error("its name is longer than 255 characters")]
    TooLong,
    /// The tag breaks the grammar.
    #[error("its tag is not 1 to 128 characters of A-Z a-z 0-9 _ . -")]
    Tag,
    /// The digest breaks the grammar.
    #[error("its digest is not sha256, sha384 or sha512 and lower-case hex")]
    Digest,
}

/// A valid reference, split where it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// The registry host with its port, where the reference names one by Docker's rule.
    pub host: Option<&'a str>,
    /// What follows the host, without tag and digest.
    pub path: &'a str,
    /// Host and path as written.
    pub name: &'a str,
    /// `:tag` and `@digest` exactly as written; may be empty.
    pub suffix: &'a str,
}

impl<'a> Reference<'a> {
    /// Reads one reference.
    ///
    /// # Errors
    /// The first rule of the grammar that `image` breaks.
    pub fn parse(image: &'a str) -> Result<Self, Malformed> {
        match image {
            "" => return Err(Malformed::Empty),
            "auto" => return Err(Malformed::Placeholder),
            _ if image.len() == 64 && image.bytes().all(|b| b.is_ascii_hexdigit()) => {
                return Err(Malformed::Identifier);
            }
            _ if image.len() > 64 && reads_as_digest(image) => return Err(Malformed::BareDigest),
            _ => {}
        }
        let (tagged, digest) = match cut(image, b'@') {
            Some((tagged, digest)) => (tagged, Some(digest)),
            None => (image, None),
        };
        // A colon before the last slash belongs to a port.
        let last_component = tagged.bytes().rposition(|b| b == b'/').map_or(0, |slash| slash + 1);
        let (name, tag) = match cut(&tagged[last_component..], b':') {
            Some((component, tag)) => (&tagged[..last_component + component.len()], Some(tag)),
            None => (tagged, None),
        };
        let (host, path) = split_host(name);
        if host.is_some_and(|host| !is_host(host)) {
            return Err(Malformed::Host);
        }
        if !is_path(path) {
            return Err(Malformed::Path);
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(Malformed::Tag);
        }
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(Malformed::Digest);
        }
        let reference = Self { host, path, name, suffix: &image[name.len()..] };
        // Measured as a runtime would: an official image is longer by its `library/`.
        let implied = if reference.implies_library() { LIBRARY.len() } else { 0 };
        if path.len() + implied > MAX_PATH {
            return Err(Malformed::TooLong);
        }
        Ok(reference)
    }

    /// Whether a runtime would put `library/` before the path. Only the literal spelling of Docker Hub's
    /// host does that: `DOCKER.IO/nginx` is the same host, but no alias.
    #[must_use]
    pub fn implies_library(&self) -> bool {
        matches!(self.host, None | Some(DOCKER_HUB | DOCKER_INDEX)) && !self.path.contains('/')
    }

    /// The name under which rules are matched: canonical host, `/`, full path.
    #[must_use]
    pub fn key(&self) -> String {
        let host = self.host.map_or(Cow::Borrowed(DOCKER_HUB), canonical_host);
        let library = if self.implies_library() { LIBRARY } else { "" };
        [&host, "/", library, self.path].concat()
    }
}

/// Splits off the registry by Docker's rule: the first of several components is a host when it holds a `.`
/// or a `:`, is `localhost`, or has an upper-case letter (which no path may have).
pub(crate) fn split_host(name: &str) -> (Option<&str>, &str) {
    match cut(name, b'/') {
        Some((first, rest)) if names_host(first) => (Some(first), rest),
        _ => (None, name),
    }
}

/// `split_once` at an ASCII byte: in texts as short as these a plain search is the fastest.
fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let position = text.bytes().position(|b| b == at)?;
    Some((&text[..position], &text[position + 1..]))
}

/// Whether a first component can only be a registry host.
pub(crate) fn names_host(first: &str) -> bool {
    first == "localhost" || first.bytes().any(|b| matches!(b, b'.' | b':') || b.is_ascii_uppercase())
}

/// One spelling per host: lower case, no default port, today's name of Docker Hub.
pub(crate) fn canonical_host(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix(":443").unwrap_or(host);
    let host = if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    if host == DOCKER_INDEX { Cow::Borrowed(DOCKER_HUB) } else { host }
}

/// `host[:port]`: a domain name, an IPv4 address or a bracketed IPv6 address.
pub(crate) fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            if address.is_empty() || !address.bytes().all(|b| b == b':' || b.is_ascii_hexdigit()) {
                return false;
            }
            match rest.strip_prefix(':') {
                Some(port) => return is_port(port),
                None => return rest.is_empty(),
            }
        }
        None => match cut(text, b':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    match port {
        Some(port) => is_domain_name(host) && is_port(port),
        // `foo_bar.com` is no domain name, yet runtimes accept it where a path could stand.
        None => is_domain_name(host) || is_path(host),
    }
}

/// The grammar takes any digits. A port beyond 65535 can never be pulled from, and must not become something that
/// can by being replaced.
fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
        && text.trim_start_matches('0').parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_domain_name(text: &str) -> bool {
    text.as_bytes().split(|b| *b == b'.').all(|label| {
        !label.is_empty()
            && label.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
            && !label.starts_with(b"-")
            && !label.ends_with(b"-")
    })
}

/// `component ("/" component)*`, a component being `[a-z0-9]+ (("." | "_" | "__" | "-"+) [a-z0-9]+)*`
pub(crate) fn is_path(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Where the component starts, and where the separators start that were read last.
    let (mut component, mut run) = (0, 0);
    for (i, byte) in bytes.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => {
                let separator = &bytes[run..i];
                let valid = separator.len() < 2 || separator == b"__" || separator.iter().all(|b| *b == b'-');
                if !valid || (run == component && !separator.is_empty()) {
                    return false;
                }
                run = i + 1;
            }
            b'/' if run == i && component < i => (component, run) = (i + 1, i + 1),
            b'.' | b'_' | b'-' => {}
            _ => return false,
        }
    }
    run == bytes.len() && component < run
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= MAX_TAG
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

fn is_digest(text: &str) -> bool {
    reads_as_digest(text) && !text.bytes().any(|b| b.is_ascii_uppercase())
}

/// A digest in any mixture of cases: nobody means an image by it.
fn reads_as_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = cut(text, b':') else { return false };
    let digits = [("sha256", 64), ("sha384", 96), ("sha512", 128)]
        .into_iter()
        .find_map(|(name, digits)| name.eq_ignore_ascii_case(algorithm).then_some(digits));
    Some(hex.len()) == digits && hex.bytes().all(|b| b.is_ascii_hexdigit())
}
