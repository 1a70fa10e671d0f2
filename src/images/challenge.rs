//! PURE: what a registry says it wants to be logged in with (`WWW-Authenticate`, RFC 9110, 11.6.1).

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
    /// The first of several headers that can be met; a token is better than a password.
    pub(super) fn of<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut basic = None;
        for header in headers {
            match header.split_once(' ').unwrap_or((header, "")) {
                (scheme, parameters) if scheme.eq_ignore_ascii_case("bearer") => {
                    let value = |name: &str| parameter(parameters, name).unwrap_or_default();
                    let realm = value("realm");
                    if !realm.is_empty() {
                        return Some(Self::Bearer {
                            realm,
                            service: value("service"),
                            scope: value("scope"),
                        });
                    }
                }
                (scheme, _) if scheme.eq_ignore_ascii_case("basic") => basic = Some(Self::Basic),
                _ => {}
            }
        }
        basic
    }
}

/// The value of one of `name="value", name=value`.
fn parameter(mut text: &str, wanted: &str) -> Option<String> {
    while let Some((name, rest)) = text.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']);
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                rest.split_once(',').map_or((rest.to_owned(), ""), |(value, rest)| (value.to_owned(), rest))
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value.trim().to_owned());
        }
        text = rest;
    }
    None
}

/// The text before the closing quotation mark, and what follows it.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return (value, &text[place + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
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
            (vec![r#"Bearer realm="unclosed"#], bearer("unclosed", "", "")),
            (vec!["Negotiate"], None),
            (vec![], None),
        ] {
            assert_eq!(Challenge::of(headers.iter().copied()), expected, "{headers:?}");
        }
    }
}
