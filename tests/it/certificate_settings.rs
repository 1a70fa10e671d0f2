//! What `pullgate controller` is told about the webhook's certificate.

use std::time::Duration;

use pullgate::controller::certificates::settings::{Issuer, Settings};

use crate::controller_settings::{errors, loaded};

const DAY: Duration = Duration::from_hours(24);

fn kept(variables: &[(&str, &str)]) -> Settings {
    loaded(&[], variables).certificates.expect("it is looked after")
}

#[test]
fn it_is_not_looked_after_unless_asked_for() {
    assert_eq!(loaded(&[], &[]).certificates, None);
    assert_eq!(loaded(&[], &[("CERTIFICATES", "off")]).certificates, None);
    // What is given for it besides changes nothing, and is looked at all the same.
    assert_eq!(loaded(&[], &[("CERTIFICATES_VALIDITY", "2h")]).certificates, None);
    assert_eq!(errors(&[], &[("CERTIFICATES_VALIDITY", "2 h")]).len(), 1);
}

#[test]
fn unless_set_all_is_as_the_manifests_have_it() {
    let settings = kept(&[("CERTIFICATES", "self-managed")]);
    let Settings { issuer, namespace, service, names, secret, ca_secret, configuration, validity, overlap } =
        settings;
    assert_eq!(issuer, Issuer::Own(3 * 365 * DAY));
    assert_eq!((namespace, service.as_str(), names), (None, "pullgate", Vec::new()));
    assert_eq!([&*secret, &*ca_secret, &*configuration], ["pullgate-tls", "pullgate-ca", "pullgate"]);
    assert_eq!((validity, overlap), (90 * DAY, DAY));
}

#[test]
fn every_setting_is_a_variable_and_a_flag() {
    let variables = [
        ("CERTIFICATES", "csr"),
        ("CERTIFICATES_NAMESPACE", "gate"),
        ("CERTIFICATES_SERVICE", "hook"),
        ("CERTIFICATES_NAMES", "hook.example, 10.0.0.1"),
        ("CERTIFICATES_SECRET", "served"),
        ("CERTIFICATES_CA_SECRET", "kept"),
        ("CERTIFICATES_CONFIGURATION", "registered"),
        ("CERTIFICATES_VALIDITY", "24h"),
        ("CERTIFICATES_CA_VALIDITY", "48h"),
        ("CERTIFICATES_OVERLAP", "1h30m"),
        ("CERTIFICATES_SIGNER_NAME", "example.com/webhooks"),
        ("CERTIFICATES_CA_FILE", "/signer/ca.crt"),
    ];
    let expected = Settings {
        issuer: Issuer::Signer { name: "example.com/webhooks".to_owned(), ca: "/signer/ca.crt".into() },
        namespace: Some("gate".to_owned()),
        service: "hook".to_owned(),
        names: ["hook.example", "10.0.0.1"].map(str::to_owned).to_vec(),
        secret: "served".to_owned(),
        ca_secret: "kept".to_owned(),
        configuration: "registered".to_owned(),
        validity: DAY,
        overlap: Duration::from_mins(90),
    };
    assert_eq!(kept(&variables), expected);
    let flag = |(name, value): &(&str, &str)| format!("--{}={value}", name.to_lowercase().replace('_', "-"));
    let flags: Vec<_> = variables.iter().map(flag).collect();
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    assert_eq!(loaded(&flags, &[]).certificates, Some(expected));
}

#[test]
fn what_cannot_be_kept_is_refused_with_what_can() {
    for (variable, value, others, problem) in [
        ("CERTIFICATES", "auto", &[][..], "self-managed"),
        ("CERTIFICATES", "csr", &[], "CERTIFICATES_SIGNER_NAME"),
        ("CERTIFICATES_SIGNER_NAME", "webhooks", &[("CERTIFICATES", "csr")], "example.com/webhooks"),
        ("CERTIFICATES_SIGNER_NAME", "example.com/", &[("CERTIFICATES", "csr")], "example.com/webhooks"),
        ("CERTIFICATES_VALIDITY", "9s", &[], "between 10s"),
        ("CERTIFICATES_VALIDITY", "a year", &[], "30m"),
        ("CERTIFICATES_VALIDITY", "-1h", &[], "30m"),
        (
            "CERTIFICATES_VALIDITY",
            "599s",
            &[("CERTIFICATES", "csr"), ("CERTIFICATES_SIGNER_NAME", "a.b/c")],
            "between 600s",
        ),
        ("CERTIFICATES_CA_VALIDITY", "2159h", &[], "between 15552000s"),
        ("CERTIFICATES_OVERLAP", "13h", &[("CERTIFICATES_VALIDITY", "24h")], "half of CERTIFICATES_VALIDITY"),
        ("CERTIFICATES_OVERLAP", "0s", &[], "between 1s"),
        ("CERTIFICATES_NAMES", "a b", &[], "neither a DNS name"),
        ("CERTIFICATES_NAMES", "hook.example.", &[], "without a dot at its end"),
        ("CERTIFICATES_SERVICE", "Hook", &[], "lower-case"),
        ("CERTIFICATES_CA_SECRET", "pullgate-tls", &[], "another name"),
        ("PULL_SECRETS", "false", &[], "CERTIFICATES with it"),
        ("PULL_SECRETS", "false", &[("CERTIFICATES", "off")], "CERTIFICATES with it"),
        (
            "PULL_SECRETS",
            "false",
            &[("CERTIFICATES", "self-managed"), ("CONFIG_RUNONCE", "true")],
            "nothing to do once",
        ),
    ] {
        let all: Vec<_> = others.iter().copied().chain([(variable, value)]).collect();
        let errors = errors(&[], &all);
        assert_eq!(errors.len(), 1, "{all:?}: {errors:?}");
        assert!(errors[0].starts_with(&format!("{variable}={value:?}: ")), "{}", errors[0]);
        assert!(errors[0].contains(problem), "{}", errors[0]);
    }
    let settings = loaded(&[], &[("PULL_SECRETS", "false"), ("CERTIFICATES", "self-managed")]);
    assert!(!settings.pull_secrets && settings.certificates.is_some());
}
