//! Configuration from pairs, never from the process environment.

use std::ffi::OsString;

use pullgate::config::{Config, ConfigError, LogFormat, Tls, VARIABLES};
use pullgate::image::analysis::Notice;
use pullgate::policy::{PullPolicy, PullSecrets, StorageClass};

fn load(pairs: &[(&str, &str)]) -> Result<Config, Vec<ConfigError>> {
    Config::load(pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))), false)
}

fn errors(pairs: &[(&str, &str)]) -> Vec<String> {
    load(pairs).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

fn warnings(pairs: &[(&str, &str)]) -> Vec<String> {
    let notices = load(pairs).unwrap_or_else(|errors| panic!("{errors:?}")).notices;
    notices
        .into_iter()
        .filter_map(|n| if let Notice::Warning(text) = n { Some(text) } else { None })
        .collect()
}

#[test]
fn nothing_set_changes_nothing_and_serves_on_the_usual_ports() {
    let config = load(&[]).unwrap();
    assert!(!config.policy.registries.is_active());
    assert_eq!(
        (config.policy.pull_policy, config.policy.pull_secrets, config.policy.storage_class),
        (None, None, None)
    );
    let effective: Vec<_> = config.effective.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        effective,
        [
            "MODE=enforce",
            "REGISTRY=",
            "REGISTRY_MAP=",
            "IGNORED_REGISTRIES=",
            "IMAGE_PARSER=dot",
            "IMAGE_PULL_SECRET=",
            "IMAGE_PULL_SECRET_APPEND=false",
            "FORCE_IMAGE_PULL_POLICY=false",
            "IMAGE_PULL_POLICY_TO_FORCE=Always",
            "DEFAULT_STORAGE_CLASS=",
            "STORAGE_CLASS_MODE=default",
            "EXCLUDE_NAMESPACES=",
            "LOG_LEVEL=info",
            "LOG_FORMAT=json",
            "PORT=8443",
            "TLS_CERT_FILE=/run/secrets/tls/webhook-server-tls.crt",
            "TLS_KEY_FILE=/run/secrets/tls/webhook-server-tls.key",
            "TLS_SELF_SIGNED=false",
            "HEALTH_PORT=8080",
            "SHUTDOWN_DELAY_SECONDS=10",
            "SHUTDOWN_TIMEOUT_SECONDS=20",
            "MAX_BODY_BYTES=25165824",
            "MAX_BUFFERED_BYTES=201326592",
            "CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=",
            "CONFIG_SERVICE_ACCOUNTS=default",
            "CONFIG_ALL_SERVICE_ACCOUNTS=false",
            "CONFIG_EXCLUDE_NAMESPACES=kube-system,kube-public",
            "CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME=",
            "CONFIG_SOURCE_IMAGE_PULL_SECRET_NAMESPACE=default",
            "CONFIG_IGNORE_SECRET_CREATION_ERROR=false",
        ]
    );
}

#[test]
fn every_value_reaches_its_place() {
    let config = load(&[
        ("REGISTRY", "r.example/hub"),
        ("REGISTRY_MAP", " ghcr.io=r2.example/gh , , docker.io = r2.example/hub"),
        ("IGNORED_REGISTRIES", "quay.io/keep,"),
        ("IMAGE_PARSER", "distribution"),
        ("IMAGE_PULL_SECRET", " regcred, other ,regcred"),
        ("IMAGE_PULL_SECRET_APPEND", "YES"),
        ("FORCE_IMAGE_PULL_POLICY", "1"),
        ("IMAGE_PULL_POLICY_TO_FORCE", "IfNotPresent"),
        ("DEFAULT_STORAGE_CLASS", "fast"),
        ("STORAGE_CLASS_MODE", "force"),
        ("EXCLUDE_NAMESPACES", "b, a,b"),
        ("TLS_SELF_SIGNED", "True"),
        ("HEALTH_PORT", "0"),
        ("LOG_LEVEL", "FATAL"),
        ("LOG_FORMAT", "text"),
        ("SHUTDOWN_DELAY_SECONDS", "0"),
        ("MAX_BODY_BYTES", ""),
    ])
    .unwrap();
    let policy = config.policy;
    let rules: Vec<_> = policy.registries.rules.iter().map(|r| (&*r.source.text, &*r.target.text)).collect();
    assert_eq!(rules, [("ghcr.io", "r2.example/gh"), ("docker.io", "r2.example/hub")]);
    assert_eq!(policy.pull_policy, Some(PullPolicy::IfNotPresent));
    let names = vec!["regcred".to_owned(), "other".to_owned()];
    assert_eq!(policy.pull_secrets, Some(PullSecrets { names, append: true }));
    assert_eq!(policy.storage_class, Some(StorageClass { name: "fast".into(), force: true }));
    assert_eq!(policy.excluded_namespaces.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((config.serving.tls, config.serving.health_port), (Tls::SelfSigned, None));
    assert_eq!((config.logging.level, config.logging.format), (log::LevelFilter::Error, LogFormat::Text));
    assert!(config.serving.shutdown_delay.is_zero());
}

#[test]
fn every_problem_is_told_at_once_with_variable_value_and_what_is_accepted() {
    let pairs = [
        ("REGISTRY", "https://r.example"),
        ("FORCE_IMAGE_PULL_POLICY", "on"),
        ("IMAGE_PULL_POLICY_TO_FORCE", "Sometimes"),
        ("PORT", "70000"),
        ("EXCLUDE_NAMESPACES", "ok,Not_Ok"),
    ];
    assert_eq!(
        errors(&pairs),
        [
            "REGISTRY=\"https://r.example\": a registry is written without a scheme (`https://`); \
             accepted: host[:port][/path], such as registry.example/hub",
            "IMAGE_PULL_POLICY_TO_FORCE=\"Sometimes\": is unknown; accepted: Always, IfNotPresent, Never",
            "FORCE_IMAGE_PULL_POLICY=\"on\": is not a boolean; accepted: true, false, 1, 0, yes, no",
            "EXCLUDE_NAMESPACES=\"Not_Ok\": is not a name of a namespace: at most 63 lower-case letters, digits \
             and `-` between them",
            "PORT=\"70000\": is not a whole number from 1 to 65535",
        ]
    );
}

#[test]
fn unusable_values_of_every_variable_stop_the_start() {
    for (name, value) in [
        ("REGISTRY", "r.example/"),
        ("REGISTRY", "r.example/a b"),
        ("REGISTRY", "r.example/Upper"),
        ("REGISTRY", "r.example/x:1"),
        ("REGISTRY", "r.example:99999"),
        ("REGISTRY", "user:secret@r.example"),
        ("REGISTRY_MAP", "quay.io"),
        ("REGISTRY_MAP", "quay.io="),
        ("REGISTRY_MAP", "=r.example"),
        ("IGNORED_REGISTRIES", "http://quay.io"),
        ("IMAGE_PARSER", "docker"),
        ("IMAGE_PULL_POLICY_TO_FORCE", "always"),
        ("IMAGE_PULL_SECRET", "Reg_Cred"),
        ("IMAGE_PULL_SECRET_APPEND", "maybe"),
        ("DEFAULT_STORAGE_CLASS", "fast/er"),
        ("DEFAULT_STORAGE_CLASS", "a,b"),
        ("STORAGE_CLASS_MODE", "always"),
        ("LOG_LEVEL", "verbose"),
        ("LOG_FORMAT", "xml"),
        ("PORT", "0"),
        ("PORT", "tcp://10.0.0.1:8443"),
        ("HEALTH_PORT", "8443"),
        ("SHUTDOWN_DELAY_SECONDS", "10s"),
        ("SHUTDOWN_TIMEOUT_SECONDS", "-1"),
        ("MAX_BODY_BYTES", "24MiB"),
        ("MAX_BUFFERED_BYTES", "0"),
        ("TLS_SELF_SIGNED", "2"),
    ] {
        let found = errors(&[(name, value)]);
        assert_eq!(found.len(), 1, "{name}={value}: {found:?}");
        assert!(found[0].starts_with(name) && !found[0].contains('\n'), "{found:?}");
    }
}

#[test]
fn a_known_variable_that_is_not_utf8_is_an_error_and_another_one_is_not() {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = || OsString::from_vec(vec![b'r', 0xff]);
    assert!(Config::load([(OsString::from("OTHER"), bytes()), (bytes(), bytes())], false).is_ok());
    assert_eq!(
        Config::load([(OsString::from("REGISTRY"), bytes())], false).unwrap_err()[0].variable,
        "REGISTRY"
    );
}

#[test]
fn rules_that_cannot_be_meant_are_refused() {
    for (registry, map, problem) in [
        (
            "",
            "a.example=a.example/proxy",
            "`a.example/proxy` is matched again by the source `a.example`, a loop",
        ),
        ("", "a.example=a.example", "a loop"),
        (
            "",
            "a.example=b.example,b.example=c.example",
            "`b.example` is matched again by the source `b.example`",
        ),
        ("", "A.example:443=x.example,b.example=a.EXAMPLE/x", "a loop"),
        (
            "r.example/hub",
            "r.example=other.example",
            "`r.example/hub` is matched again by the source `r.example`",
        ),
        ("", "docker.io=mirror", "`mirror` is matched again by the source `docker.io`"),
        ("", "*=q.example/a,q.example=r.example", "a loop"),
        ("r.example", "*=s.example", "its `*` differs from REGISTRY=\"r.example\""),
        ("", "*=s.example,*=t.example", "the source `*` is named twice"),
        ("", "quay.io=r.example/a,QUAY.io:443=r.example/b", "`QUAY.io:443` is named twice"),
        ("", "docker.io=r.example/a,index.docker.io=r.example/b", "is named twice"),
    ] {
        let found = errors(&[("REGISTRY", registry), ("REGISTRY_MAP", map)]).join("\n");
        assert!(found.starts_with("REGISTRY_MAP=") && found.contains(problem), "{map}: {found}");
    }
    assert!(load(&[("REGISTRY", "r.example"), ("REGISTRY_MAP", "*=r.example")]).is_ok());
}

#[test]
fn rules_that_may_surprise_are_warned_about_and_the_pair_is_named() {
    for (registry, map, ignored, expected) in [
        (
            "",
            "a.io=r.example/p,b.io=r.example/p",
            "",
            "`a.io=r.example/p` and `b.io=r.example/p` can give two images one name",
        ),
        (
            "",
            "a.io=r.example/p,b.io=r.example/p/q",
            "",
            "`a.io=r.example/p` and `b.io=r.example/p/q` can give",
        ),
        (
            "",
            "b.io=r.example/p/q,a.io=r.example/p",
            "",
            "`a.io=r.example/p` and `b.io=r.example/p/q` can give",
        ),
        (
            "",
            "a.io/x=r.example/p",
            "a.io",
            "the rule `a.io/x=r.example/p` never applies: it is shadowed by the ignored registry `a.io`",
        ),
        (
            "r.example",
            "r.example/old=s.example",
            "",
            "the rule `r.example/old=s.example` never applies: it is shadowed by the target `r.example`",
        ),
        ("r", "", "", "the target `r` names no registry host"),
        (
            "r.example",
            "",
            "bitnami",
            "the ignored registry `bitnami` names no registry host: it is read as `docker.io/bitnami`",
        ),
    ] {
        let found =
            warnings(&[("REGISTRY", registry), ("REGISTRY_MAP", map), ("IGNORED_REGISTRIES", ignored)]);
        assert_eq!(found.len(), 1, "{registry} {map}: {found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn rules_that_keep_registries_apart_are_not_warned_about() {
    for (registry, map) in [
        ("r.example", ""),
        ("", "*=r.example"),
        ("r.example/hub", "quay.io=r.example/quay,ghcr.io=r.example/ghcr,docker.io=r.example/docker"),
        ("", "ghcr.io=r.example/g,ghcr.io/special=r.example/sp"),
        ("", "ghcr.io=r.example/g,ghcr.io/a=r.example/g/a"),
        ("r.example/p", "a.io=r.example/p"),
    ] {
        assert_eq!(warnings(&[("REGISTRY", registry), ("REGISTRY_MAP", map)]), Vec::<String>::new(), "{map}");
    }
}

#[test]
fn more_than_can_be_buffered_is_warned_about() {
    let found = warnings(&[("MAX_BODY_BYTES", "1000"), ("MAX_BUFFERED_BYTES", "999")]);
    assert!(found[0].contains("MAX_BUFFERED_BYTES=999 is less than MAX_BODY_BYTES=1000"), "{found:?}");
}

#[test]
fn a_problem_names_the_variable_that_is_set() {
    for (variable, value, problem) in [
        ("CONFIG_PORT", "x", "is not a whole number from 1 to 65535"),
        ("PORT", "x", "is not a whole number from 1 to 65535"),
    ] {
        assert!(
            errors(&[(variable, value)])[0].starts_with(&format!("{variable}={value:?}: {problem}")),
            "{variable}"
        );
    }
}

#[test]
fn a_list_that_is_emptied_is_in_effect_as_one() {
    for variable in ["CONFIG_EXCLUDE_NAMESPACES", "CONFIG_SERVICE_ACCOUNTS"] {
        let account = ("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME", "regcred");
        let config = load(&[account, (variable, " , ,")]).unwrap();
        assert!(config.effective.contains(&(variable, ",".to_owned())), "{:?}", config.effective);
        let again: Vec<_> = config.effective.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(
            load(&again).unwrap().policy.service_accounts,
            config.policy.service_accounts,
            "{variable}"
        );
    }
}

#[test]
fn the_effective_configuration_can_be_loaded_again() {
    let config =
        load(&[("REGISTRY_MAP", "docker.io = r.example/d"), ("FORCE_IMAGE_PULL_POLICY", "yes")]).unwrap();
    let again: Vec<_> = config.effective.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(load(&again).unwrap().effective, config.effective);
    assert_eq!(config.effective.len(), VARIABLES.len());
}
