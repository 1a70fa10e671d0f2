//! Any environment is a configuration, of the webhook and of the controller, or a list of problems with its variables.
//!
//! Input: `NAME=VALUE` pairs as in /proc/self/environ, each ended by a zero byte.
#![no_main]

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use pullgate::config::raw::Known;
use pullgate::config::{Config, ConfigError, VARIABLES, WEBHOOK, load_policy};
use pullgate::controller::flags::Flags;
use pullgate::controller::settings::{CONTROLLER, Settings};
use pullgate::policy::Policy;
use pullgate_fuzz::cost;

fuzz_target!(|input: &[u8]| -> Corpus {
    let environment = environment(input);
    for terminal in [false, true] {
        match cost::bounded(input.len(), || Config::load(environment.clone(), terminal)) {
            Ok(config) => {
                assert!(load_policy(environment.clone()).is_ok(), "the policy alone is refused");
                is_read_again(&config, terminal);
            }
            Err(errors) => are_named(&errors, &WEBHOOK),
        }
        let controller =
            cost::bounded(input.len(), || Settings::load(&Flags::default(), environment.clone(), terminal));
        if let Err(errors) = controller {
            are_named(&errors, &CONTROLLER);
        }
    }
    cost::keep(input)
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    cost::mutate(data, size, max_size, seed)
});

/// Each names a variable as it is written in the environment, and says something.
fn are_named(errors: &[ConfigError], known: &Known) {
    assert!(!errors.is_empty());
    for error in errors {
        assert!(known.find(&error.variable).is_some(), "{error:?} names no variable");
        assert!(error.to_string().starts_with(&error.variable), "{error}");
        assert!(!error.problem.is_empty(), "{error:?} says nothing");
    }
}

/// An environment has each name once.
fn environment(input: &[u8]) -> HashMap<OsString, OsString> {
    let os = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    let pair = |pair: &[u8]| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        Some((os(&pair[..equals]), os(&pair[equals + 1..])))
    };
    input.split(|byte| *byte == 0).filter_map(pair).collect()
}

/// The values that are said to be in effect are: set explicitly, they make the same configuration.
fn is_read_again(config: &Config, terminal: bool) {
    let Config { policy, serving, logging, notices: _, effective } = config;
    let names: Vec<_> = effective.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, VARIABLES);
    let environment = effective.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let again =
        Config::load(environment, terminal).unwrap_or_else(|errors| panic!("{errors:?} in {effective:?}"));
    assert_eq!(serving, &again.serving);
    assert_eq!(logging, &again.logging);
    assert_eq!(effective, &again.effective);
    let Policy {
        mode,
        registries,
        pull_policy,
        pull_secrets,
        storage_class,
        excluded_namespaces,
        service_accounts,
    } = policy;
    assert_eq!(mode, &again.policy.mode);
    assert_eq!(pull_policy, &again.policy.pull_policy);
    assert_eq!(pull_secrets, &again.policy.pull_secrets);
    assert_eq!(storage_class, &again.policy.storage_class);
    assert_eq!(excluded_namespaces, &again.policy.excluded_namespaces);
    assert_eq!(service_accounts, &again.policy.service_accounts);
    assert_eq!(registries.parser, again.policy.registries.parser);
    assert_eq!(registries.rules, again.policy.registries.rules);
    assert_eq!(registries.fallback, again.policy.registries.fallback);
    assert_eq!(registries.ignored, again.policy.registries.ignored);
}
