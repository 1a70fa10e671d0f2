//! PURE: what a registry says it wants to be logged in with (`WWW-Authenticate`, RFC 9110, 11.6.1).

use http_auth::parser::ChallengeParser;

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With user and password.
    Basic,
    /// With a token of the service at `realm`.
    Bearer {
        /// An URL.
        realm: String,
        /// The registry, as that service calls it; may be empty.
        service: String,
        /// What is asked for; may be empty.
        scope: String,
    },
}

impl Challenge {
    /// The first of all that are in the headers which can be met; a token is better than a password.
    pub(super) fn of<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut basic = None;
        // What follows an error of a header cannot be told apart.
        for challenge in headers.flat_map(|header| ChallengeParser::new(header).map_while(Result::ok)) {
            let is = |scheme| challenge.scheme.eq_ignore_ascii_case(scheme);
            let value = |wanted: &str| {
                let mut all = challenge.params.iter();
                let found = all.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| value.to_unescaped()).unwrap_or_default()
            };
            let realm = value("realm");
            if is("bearer") && !realm.is_empty() {
                return Some(Self::Bearer { realm, service: value("service"), scope: value("scope") });
            }
            if is("basic") {
                basic = Some(Self::Basic);
            }
        }
        basic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: &str, scope: &str| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.into(), scope: scope.into() })
        };
        for (headers, expected) in [
            (vec![r#"Basic realm="Registry Realm""#], Some(Challenge::Basic)),
            (
                vec![
                    r#"Bearer realm="https://a.example/token",service="r.example",scope="repository:a/b:pull,push""#,
                ],
                bearer("https://a.example/token", "r.example", "repository:a/b:pull,push"),
            ),
            (
                vec![r"Basic", r#"bearer service=r, realm="https://a.example/t\"o""#],
                bearer("https://a.example/t\"o", "r", ""),
            ),
            (vec![r"Bearer"], None),
            (
                vec![r#"Basic realm="a, Bearer realm=b", Bearer realm = "https://a.example/token""#],
                bearer("https://a.example/token", "", ""),
            ),
            (vec![r#"Negotiate, Basic realm="a""#], Some(Challenge::Basic)),
            (vec![r#"Bearer realm="unclosed"#], None),
            (vec![r#"Basic realm="a", Bearer realm="unclosed"#], Some(Challenge::Basic)),
            (vec!["Negotiate"], None),
            (vec![], None),
        ] {
            assert_eq!(Challenge::of(headers.iter().copied()), expected, "{headers:?}");
        }
    }
}
