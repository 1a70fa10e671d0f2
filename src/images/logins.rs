//! PURE: which login a registry is asked with. Nothing in it is printable.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wildmatch::WildMatch;
use zeroize::Zeroizing;

use crate::controller::credentials::Digest;
use crate::controller::entries::{Entries, Format, Login};

/// Logins of pull secrets, each once.
#[derive(Default)]
pub(super) struct Logins(Vec<Known>);

struct Known {
    /// The host, with its port where it has one; `*` stands for a part of it between dots.
    host: String,
    /// What the repository's path has to start with.
    path: String,
    digest: Digest,
    login: Login,
}

/// A login that fits an image: what to remember it by, and itself.
pub(super) type Fitting<'a> = (usize, &'a Login);

impl Logins {
    /// Takes in what `docker login` writes.
    ///
    /// # Errors
    /// What is wrong with it, without its content.
    pub(super) fn read(&mut self, json: &[u8]) -> Result<(), String> {
        self.add(&Entries::read(Format::Config, json).map_err(|problem| problem.to_string())?);
        Ok(())
    }

    /// Takes in a pull secret.
    pub(super) fn add(&mut self, secret: &Entries) {
        for (registry, entry) in secret.auths() {
            let (host, path) = host_and_path(registry);
            let is_known = |it: &Known| it.digest == entry.digest() && it.host == host && it.path == path;
            if !self.0.iter().any(is_known)
                && let Some(login) = entry.login()
            {
                self.0.push(Known { host, path, digest: entry.digest(), login });
            }
        }
    }

    /// Those that a kubelet would try for a repository, the most specific first.
    pub(super) fn of(&self, host: &str, path: &str) -> Vec<Fitting<'_>> {
        let all = self.0.iter().enumerate();
        let mut fitting: Vec<_> = all.filter(|(_, known)| known.is_for(host, path)).collect();
        fitting.sort_by_key(|(_, known)| std::cmp::Reverse(known.path.len()));
        fitting.into_iter().map(|(number, known)| (number, &known.login)).collect()
    }
}

impl Known {
    fn is_for(&self, host: &str, path: &str) -> bool {
        let below = path.strip_prefix(self.path.as_str());
        let is_below =
            below.is_some_and(|rest| self.path.is_empty() || rest.is_empty() || rest.starts_with('/'));
        let (wanted, given): (Vec<_>, Vec<_>) = (self.host.split('.').collect(), host.split('.').collect());
        is_below
            && wanted.len() == given.len()
            && wanted.iter().zip(given).all(|(wanted, given)| WildMatch::new(wanted).matches(given))
    }
}

/// Host and path of a key of `auths`, which may be written as an URL, and that of Docker Hub in several ways.
fn host_and_path(registry: &str) -> (String, String) {
    let rest = registry.split_once("://").map_or(registry, |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(":443").unwrap_or(&host);
    let host = if matches!(host, "index.docker.io" | "registry-1.docker.io") { "docker.io" } else { host };
    let path = path.trim_matches('/');
    let path = if matches!(path, "v1" | "v2") { "" } else { path };
    (host.to_owned(), path.to_owned())
}

/// The header that sends a login as it is.
pub(super) fn basic(login: &Login) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(login.pair.as_bytes()));
    Zeroizing::new(["Basic ", &encoded].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logins(registries: &[&str]) -> Logins {
        let mut logins = Logins::default();
        for (place, registry) in registries.iter().enumerate() {
            logins.add(&Entries::login(registry, &format!("user{place}"), "password"));
        }
        logins
    }

    #[test]
    fn a_login_is_found_as_a_kubelet_finds_it() {
        for (key, image, fits) in [
            ("registry.example", ("registry.example", "a/b"), true),
            ("https://registry.example/v2/", ("registry.example", "a/b"), true),
            ("REGISTRY.example:443", ("registry.example", "a"), true),
            ("registry.example:5000", ("registry.example:5000", "a"), true),
            ("registry.example", ("registry.example:5000", "a"), false),
            ("registry.example/team", ("registry.example", "team/app"), true),
            ("registry.example/team", ("registry.example", "teams/app"), false),
            ("*.example", ("registry.example", "a"), true),
            ("*.example", ("a.registry.example", "a"), false),
            ("https://index.docker.io/v1/", ("docker.io", "library/nginx"), true),
            ("other.example", ("registry.example", "a"), false),
        ] {
            assert_eq!(!logins(&[key]).of(image.0, image.1).is_empty(), fits, "{key} {image:?}");
        }
    }

    #[test]
    fn the_most_specific_login_comes_first_and_copies_count_once() {
        let logins = logins(&["r.example", "r.example/team"]);
        let pairs: Vec<_> =
            logins.of("r.example", "team/app").iter().map(|(_, it)| it.pair.clone()).collect();
        assert_eq!(
            pairs.iter().map(|it| it.as_str()).collect::<Vec<_>>(),
            ["user1:password", "user0:password"]
        );
        let mut twice = Logins::default();
        for _ in 0..2 {
            twice.add(&Entries::login("r.example", "u", "p"));
        }
        assert_eq!(twice.0.len(), 1);
        assert_eq!(basic(&twice.0[0].login).as_str(), "Basic dTpw");
    }

    #[test]
    fn an_entry_without_a_login_is_none() {
        let json = br#"{"auths":{"a.example":{},"b.example":{"identitytoken":"t"}}}"#;
        let mut logins = Logins::default();
        logins.add(&Entries::read(Format::Config, json).unwrap());
        assert!(logins.of("a.example", "x").is_empty());
        assert!(logins.of("b.example", "x")[0].1.identity_token.is_some());
    }
}
