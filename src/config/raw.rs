//! The environment as it is: known variables as raw strings, look-alikes of them noticed.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::Deserialize;

use super::ConfigError;
use crate::image::analysis::Notice;

/// Defines [`Values`] and [`VARIABLES`] from one list.
macro_rules! variables {
    ($($field:ident = $name:literal),* $(,)?) => {
        /// Every variable of the webhook, in the order of the documentation.
        pub const VARIABLES: &[&str] = &[$($name),*];

        /// Raw values; an empty one counts as unset.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[allow(missing_docs, reason = "docs/configuration.md documents each variable, once")]
        pub struct Values { $(pub $field: Option<String>,)* }
    };
}

variables! {
    registry = "REGISTRY",
    registry_map = "REGISTRY_MAP",
    ignored_registries = "IGNORED_REGISTRIES",
    image_parser = "IMAGE_PARSER",
    image_pull_secret = "IMAGE_PULL_SECRET",
    image_pull_secret_append = "IMAGE_PULL_SECRET_APPEND",
    force_image_pull_policy = "FORCE_IMAGE_PULL_POLICY",
    image_pull_policy_to_force = "IMAGE_PULL_POLICY_TO_FORCE",
    default_storage_class = "DEFAULT_STORAGE_CLASS",
    storage_class_mode = "STORAGE_CLASS_MODE",
    exclude_namespaces = "EXCLUDE_NAMESPACES",
    log_level = "LOG_LEVEL",
    log_format = "LOG_FORMAT",
    port = "PORT",
    tls_cert_file = "TLS_CERT_FILE",
    tls_key_file = "TLS_KEY_FILE",
    tls_self_signed = "TLS_SELF_SIGNED",
    health_port = "HEALTH_PORT",
    shutdown_delay_seconds = "SHUTDOWN_DELAY_SECONDS",
    shutdown_timeout_seconds = "SHUTDOWN_TIMEOUT_SECONDS",
    max_body_bytes = "MAX_BODY_BYTES",
    max_buffered_bytes = "MAX_BUFFERED_BYTES",
    config_target_image_pull_secret_name = "CONFIG_TARGET_IMAGE_PULL_SECRET_NAME",
    config_service_accounts = "CONFIG_SERVICE_ACCOUNTS",
    config_all_service_accounts = "CONFIG_ALL_SERVICE_ACCOUNTS",
    config_exclude_namespaces = "CONFIG_EXCLUDE_NAMESPACES",
    config_source_image_pull_secret_name = "CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME",
    config_source_image_pull_secret_namespace = "CONFIG_SOURCE_IMAGE_PULL_SECRET_NAMESPACE",
    config_ignore_secret_creation_error = "CONFIG_IGNORE_SECRET_CREATION_ERROR",
}

/// Other names of variables, and what they are called here.
pub const ALIASES: [(&str, &str); 3] =
    [("CONFIG_PORT", "PORT"), ("CONFIG_CERT_PATH", "TLS_CERT_FILE"), ("CONFIG_KEY_PATH", "TLS_KEY_FILE")];

/// The environment, as far as it concerns the webhook.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// Known variables.
    pub values: Values,
    /// Unknown variables that look like known ones.
    pub notices: Vec<Notice>,
}

impl Raw {
    /// Picks the known variables out of an environment.
    ///
    /// # Errors
    /// A known variable whose value is not UTF-8.
    pub fn from_environment(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Vec<ConfigError>> {
        let (mut known, mut notices, mut errors) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (name, value) in environment {
            let Some(name) = name.to_str() else { continue };
            if let Some((name, variable)) = known_as(name) {
                let refuse = |value: &str, problem: String| ConfigError {
                    variable: name,
                    value: value.to_owned(),
                    problem,
                };
                match value.into_string() {
                    Ok(value) if value.trim().is_empty() => {}
                    Ok(value) => match known.get(variable) {
                        Some((other, set)) if *set != value => {
                            let problem =
                                format!("{other}={set:?} is the same setting; accepted: one of them");
                            errors.push(refuse(&value, problem));
                        }
                        _ => {
                            if name != variable {
                                notices.push(Notice::Note(format!("{name} is read as {variable}")));
                            }
                            known.insert(variable, (name, value));
                        }
                    },
                    Err(value) => {
                        let problem = "is not valid UTF-8 text".to_owned();
                        errors.push(refuse(&value.to_string_lossy(), problem));
                    }
                }
            } else if let Some(variable) = resembles(name) {
                notices.push(Notice::Warning(format!(
                    "{name} is not a variable of pullgate; is {variable} meant?"
                )));
            }
        }
        let known = known.into_iter().map(|(variable, (_, value))| (variable.to_owned(), value));
        let values = envy::from_iter(known).unwrap_or_else(|error| {
            // Every field is an optional string, so there is nothing left to refuse.
            errors.push(ConfigError {
                variable: "environment",
                value: String::new(),
                problem: error.to_string(),
            });
            Values::default()
        });
        if errors.is_empty() { Ok(Self { values, notices }) } else { Err(errors) }
    }
}

/// A variable by any of its names: the name, and what it is called here.
fn known_as(name: &str) -> Option<(&'static str, &'static str)> {
    let own = VARIABLES.iter().map(|variable| (*variable, *variable));
    own.chain(ALIASES).find(|(known, _)| *known == name)
}

/// The known variable that an unknown one is probably meant to be: a letter or two off, or made of its words, with
/// other endings, in another order, some left out (`IGNORE_REGISTRY`, `NAMESPACES_EXCLUDE`, `PULL_SECRET`).
fn resembles(name: &str) -> Option<&'static str> {
    // Variables of other settings and systems: short ones are a letter away from anything.
    if name.len() < 6 {
        return None;
    }
    let distance = |variable: &str| strsim::damerau_levenshtein(&name.to_ascii_uppercase(), variable);
    // Few mistype the first letter, and SSL_CERT_FILE is not TLS_CERT_FILE.
    let same_start =
        |variable: &str| variable.get(..1).zip(name.get(..1)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
    let named = words(name);
    let made_of = |variable: &str| {
        let known = words(variable);
        named.iter().all(|word| known.contains(word)) && (named.len() > 1 || known.len() == 1)
    };
    let long = || VARIABLES.iter().copied().filter(|variable| variable.len() >= 6);
    long()
        .find(|variable| same_start(variable) && distance(variable) <= (variable.len() / 4).min(2))
        .or_else(|| long().find(|variable| made_of(variable)))
}

/// The stems of a name's words, sorted.
fn words(name: &str) -> Vec<String> {
    let stem = |word: &str| {
        let word = word.to_ascii_uppercase();
        let endings = ["IES", "ED", "ES", "S", "Y", "D", "E"];
        endings.iter().find_map(|ending| word.strip_suffix(ending)).unwrap_or(&word).to_owned()
    };
    let mut words: Vec<_> = name.split(['_', '-', '.']).map(stem).collect();
    words.sort();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices(names: &[&str]) -> Vec<String> {
        let environment = names.iter().map(|name| (OsString::from(name), OsString::from("x")));
        let text = |notice| match notice {
            Notice::Warning(text) | Notice::Note(text) => text,
        };
        Raw::from_environment(environment).unwrap().notices.into_iter().map(text).collect()
    }

    #[test]
    fn look_alikes_are_noticed_with_the_right_name() {
        for (name, meant) in [
            ("IGNORE_REGISTRIES", "IGNORED_REGISTRIES"),
            ("IGNORED_REGISTRY", "IGNORED_REGISTRIES"),
            ("EXCLUDED_NAMESPACES", "EXCLUDE_NAMESPACES"),
            ("EXCLUDE_NAMESPACE", "EXCLUDE_NAMESPACES"),
            ("NAMESPACES_EXCLUDE", "EXCLUDE_NAMESPACES"),
            ("IMAGE_PULL_SECRETS", "IMAGE_PULL_SECRET"),
            ("IMAGEPULLSECRET", "IMAGE_PULL_SECRET"),
            ("REGISTERY", "REGISTRY"),
            ("REGISTRY-MAP", "REGISTRY_MAP"),
            ("registry", "REGISTRY"),
            ("LOGLEVEL", "LOG_LEVEL"),
            ("TLS_SELFSIGNED", "TLS_SELF_SIGNED"),
            ("FORCE_PULL_IMAGE_POLICY", "FORCE_IMAGE_PULL_POLICY"),
            ("FORCE_PULL_POLICY", "FORCE_IMAGE_PULL_POLICY"),
            ("IMAGE_PULL_POLICY", "FORCE_IMAGE_PULL_POLICY"),
            ("STORAGE_CLASS", "DEFAULT_STORAGE_CLASS"),
            ("PULL_SECRET", "IMAGE_PULL_SECRET"),
            ("SHUTDOWN_TIMEOUT", "SHUTDOWN_TIMEOUT_SECONDS"),
            ("TLS_CERT", "TLS_CERT_FILE"),
        ] {
            assert_eq!(
                notices(&[name]),
                [format!("{name} is not a variable of pullgate; is {meant} meant?")]
            );
        }
    }

    #[test]
    fn what_a_container_finds_in_its_environment_is_no_look_alike() {
        let usual = [
            "PATH",
            "HOME",
            "HOSTNAME",
            "HOST",
            "POST",
            "TERM",
            "KUBERNETES_SERVICE_PORT",
            "KUBERNETES_PORT",
            "REGISTRY_URL",
            "TLS_CA_FILE",
            "REGISTRY_PORT",
            "REGISTRY_SERVICE_HOST",
            "RUST_LOG",
            "SSL_CERT_FILE",
            "LOGNAME",
            "LANGUAGE",
            "IMAGE",
            "NAMESPACE",
            "HISTSIZE",
        ];
        assert_eq!(notices(&usual), Vec::<String>::new());
    }

    #[test]
    fn another_name_of_a_variable_is_read_and_said_and_must_not_disagree() {
        let read = |pairs: &[(&str, &str)]| {
            Raw::from_environment(pairs.iter().map(|(name, value)| (name.into(), value.into())))
        };
        let raw = read(&[("CONFIG_PORT", "9443")]).unwrap();
        assert_eq!(raw.values.port.as_deref(), Some("9443"));
        assert_eq!(raw.notices, [Notice::Note("CONFIG_PORT is read as PORT".to_owned())]);
        assert!(read(&[("CONFIG_PORT", "9443"), ("PORT", "9443")]).is_ok());
        assert!(read(&[("CONFIG_PORT", " "), ("PORT", "9443")]).is_ok());
        let errors = read(&[("CONFIG_PORT", "9443"), ("PORT", "8443")]).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            r#"PORT="8443": CONFIG_PORT="9443" is the same setting; accepted: one of them"#
        );
    }

    #[test]
    fn every_variable_reaches_its_field() {
        for name in VARIABLES {
            let raw = Raw::from_environment([(OsString::from(name), OsString::from("marker"))]).unwrap();
            assert!(format!("{:?}", raw.values).contains("marker"), "{name}");
        }
    }
}
