//! The environment as it is: known variables as raw strings, look-alikes of them noticed.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::de::DeserializeOwned;

use super::ConfigError;
use super::read::Reader;
use crate::image::analysis::Notice;

/// Defines a struct of raw strings and the list of its variables.
macro_rules! variables {
    ($(#[$meta:meta])* $values:ident, $list:ident: $($field:ident = $name:literal),* $(,)?) => {
        /// The variables, in the order of the documentation.
        pub const $list: &[&str] = &[$($name),*];

        $(#[$meta])*
        // Debug for tests only: some variables are credentials.
        #[cfg_attr(test, derive(Debug))]
        #[derive(Clone, Default, serde::Deserialize)]
        #[allow(missing_docs, reason = "docs/configuration.md documents each variable, once")]
        pub struct $values { $(pub $field: Option<String>,)* }
    };
}
pub(crate) use variables;

variables! {
    /// Raw values of the webhook; an empty one counts as unset.
    Values, VARIABLES:
    mode = "MODE",
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

/// The variables of one command, and what else they may be called.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// By their own names.
    pub variables: &'static [&'static str],
    /// Other names, each with its own one.
    pub aliases: &'static [(&'static str, &'static str)],
    /// Those whose values are told to nobody.
    pub secret: &'static [&'static str],
}

/// Those of the webhook.
pub const WEBHOOK: Known = Known {
    variables: VARIABLES,
    aliases: &[
        ("CONFIG_PORT", "PORT"),
        ("CONFIG_CERT_PATH", "TLS_CERT_FILE"),
        ("CONFIG_KEY_PATH", "TLS_KEY_FILE"),
    ],
    secret: &[],
};

impl Known {
    /// Picks the known variables out of an environment, as a struct made by `variables!`, for a reader that knows what
    /// they were called there, and notices unknown ones that look like them.
    ///
    /// # Errors
    /// A known variable whose value is not UTF-8, and two names of one variable with different values.
    pub(crate) fn read<V: DeserializeOwned + Default>(
        &self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(V, Reader), Vec<ConfigError>> {
        let (mut notices, mut errors) = (Vec::new(), Vec::new());
        let mut known = BTreeMap::<_, (_, String)>::new();
        let named = self.variables.iter().map(|variable| (*variable, words(variable)));
        // Short ones are a letter away from anything.
        let named: Vec<_> = named.filter(|(variable, _)| variable.len() >= SHORTEST).collect();
        for (name, value) in environment {
            let Some(name) = name.to_str() else { continue };
            let Some((name, variable)) = self.find(name) else {
                notices.extend(resembled(name, &named).map(|variable| {
                    Notice::Warning(format!("{name} is not a variable of pullgate; is {variable} meant?"))
                }));
                continue;
            };
            let told = |value: &str| {
                if self.secret.contains(&variable) { "…".to_owned() } else { value.to_owned() }
            };
            let mut refuse = |value: &str, problem| {
                errors.push(ConfigError { variable: name.to_owned(), value: told(value), problem });
            };
            let value = match value.into_string() {
                Ok(value) if value.trim().is_empty() => continue,
                Ok(value) => value,
                Err(value) => {
                    refuse(&value.to_string_lossy(), "is not valid UTF-8 text".to_owned());
                    continue;
                }
            };
            if let Some((other, set)) = known.get(variable).filter(|(_, set)| *set != value) {
                refuse(&value, format!("{other}={:?} is the same setting; accepted: one of them", told(set)));
                continue;
            }
            if name != variable {
                notices.push(Notice::Note(format!("{name} is read as {variable}")));
            }
            known.insert(variable, (name, value));
        }
        let called = known.iter().map(|(variable, (name, _))| (*variable, *name)).collect();
        let known = known.into_iter().map(|(variable, (_, value))| (variable.to_owned(), value));
        let values = envy::from_iter(known).unwrap_or_else(|error| {
            // Every field is an optional string, so there is nothing left to refuse.
            let problem = error.to_string();
            errors.push(ConfigError { variable: "environment".to_owned(), value: String::new(), problem });
            V::default()
        });
        if errors.is_empty() {
            Ok((values, Reader { called, notices, ..Reader::default() }))
        } else {
            Err(errors)
        }
    }

    /// A variable by any of its names: the name, and what it is called here.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(&'static str, &'static str)> {
        let own = self.variables.iter().map(|variable| (*variable, *variable));
        own.chain(self.aliases.iter().copied()).find(|(known, _)| *known == name)
    }
}

/// Letters of the shortest name that is compared with others.
const SHORTEST: usize = 6;

/// The known variable, of these with their words, that an unknown one is probably meant to be: a letter or two off, or made
/// of its words, with other endings, in another order, some left out (`IGNORE_REGISTRY`, `NAMESPACES_EXCLUDE`,
/// `PULL_SECRET`).
fn resembled(name: &str, known: &[(&'static str, Vec<String>)]) -> Option<&'static str> {
    // A variable of other settings or systems.
    if name.len() < SHORTEST {
        return None;
    }
    let upper = name.to_ascii_uppercase();
    let is_near = |variable: &str| {
        let most = (variable.len() / 4).min(2);
        // Each letter too many is one off: no name is worth the work that is much longer.
        upper.len().abs_diff(variable.len()) <= most && strsim::damerau_levenshtein(&upper, variable) <= most
    };
    // Few mistype the first letter, and SSL_CERT_FILE is not TLS_CERT_FILE.
    let same_start =
        |variable: &str| variable.get(..1).zip(name.get(..1)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
    let own = words(name);
    let made_of =
        |words: &[String]| own.iter().all(|word| words.contains(word)) && (own.len() > 1 || words.len() == 1);
    let near = known.iter().find(|(variable, _)| same_start(variable) && is_near(variable));
    near.or_else(|| known.iter().find(|(_, words)| made_of(words))).map(|(variable, _)| *variable)
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

    fn read(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Values, Vec<Notice>), Vec<ConfigError>> {
        WEBHOOK.read(environment).map(|(values, read)| (values, read.notices))
    }

    fn notices(names: &[&str]) -> Vec<String> {
        let environment = names.iter().map(|name| (OsString::from(name), OsString::from("x")));
        let text = |notice| match notice {
            Notice::Warning(text) | Notice::Note(text) => text,
        };
        read(environment).unwrap().1.into_iter().map(text).collect()
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
        let read =
            |pairs: &[(&str, &str)]| read(pairs.iter().map(|(name, value)| (name.into(), value.into())));
        let raw = read(&[("CONFIG_PORT", "9443")]).unwrap();
        assert_eq!(raw.0.port.as_deref(), Some("9443"));
        assert_eq!(raw.1, [Notice::Note("CONFIG_PORT is read as PORT".to_owned())]);
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
            let raw = read([(OsString::from(name), OsString::from("marker"))]).unwrap();
            assert!(format!("{:?}", raw.0).contains("marker"), "{name}");
        }
    }
}
