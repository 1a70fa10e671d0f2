//! What `pullgate refresher` is told: flags as they are typed, variables as pairs, never the process environment.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::{Args as _, Command, FromArgMatches as _};
use log::LevelFilter;
use pullgate::controller::refresher::Settings;
use pullgate::controller::refresher::options::Options;

/// With what it cannot do without.
fn load(typed: &[&str], variables: &[(&str, &str)]) -> Result<Settings, String> {
    let needed = ["refresher", "--target-secret=infra.merged", "--source-secret=infra.one"];
    let command = Options::augment_args(Command::new("refresher"));
    let matches =
        command.try_get_matches_from(needed.iter().chain(typed)).map_err(|error| error.to_string())?;
    let options = Options::from_arg_matches(&matches).map_err(|error| error.to_string())?;
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let settings = options.settings(variables, false);
    settings.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn loaded(typed: &[&str], variables: &[(&str, &str)]) -> Settings {
    load(typed, variables).unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn error(typed: &[&str], variables: &[(&str, &str)]) -> String {
    load(typed, variables).err().expect("an error")
}

#[test]
fn nothing_more_is_needed_than_what_to_read_and_what_to_write() {
    let settings = loaded(&[], &[]);
    assert_eq!((settings.target.namespace.as_str(), settings.target.name.as_str()), ("infra", "merged"));
    assert_eq!((settings.sources.len(), settings.sources[0].name.as_str()), (1, "one"));
    assert_eq!((settings.resync, settings.health_port), (Duration::from_mins(5), Some(8080)));
    assert_eq!((settings.kubeconfig, settings.logging.level), (None, LevelFilter::Info));
}

/// As the controller's.
#[test]
fn the_log_level_is_a_flag_with_two_names_and_a_variable() {
    for (typed, variables) in [
        (vec!["--log-level=debug"], vec![]),
        (vec!["--log.level", "debug"], vec![]),
        (vec!["--log.level=debug", "--log-level=debug"], vec![]),
        (vec![], vec![("LOG_LEVEL", "DEBUG")]),
        (vec!["--log.level=debug"], vec![("LOG_LEVEL", "loud")]),
    ] {
        assert_eq!(loaded(&typed, &variables).logging.level, LevelFilter::Debug, "{typed:?}");
    }
    let accepted = "is unknown; accepted: trace, debug, info, warn, error, fatal";
    assert_eq!(error(&[], &[("LOG_LEVEL", "loud")]), format!(r#"LOG_LEVEL="loud": {accepted}"#));
    assert_eq!(error(&["--log.level=loud"], &[]), format!(r#"--log.level="loud": {accepted}"#));
    assert_eq!(
        error(&["--log.level=debug", "--log-level=info"], &[]),
        r#"--log.level="debug": --log-level="info" is the same setting; accepted: one of them"#
    );
}

#[test]
fn the_kubeconfig_is_a_flag_or_a_variable() {
    for (typed, variables, path) in [
        (vec!["--kubeconfig=/a"], vec![("KUBECONFIG", "/b")], Some("/a")),
        (vec![], vec![("KUBECONFIG", "/b")], Some("/b")),
        (vec![], vec![("KUBECONFIG", "")], None),
    ] {
        assert_eq!(loaded(&typed, &variables).kubeconfig.as_deref(), path.map(Path::new));
    }
}

#[test]
fn what_cannot_be_used_is_named_with_what_is_accepted() {
    for interval in ["x", "0", "86401", "5m", "-1"] {
        let said = error(&[&format!("--periodic-reconcile-interval={interval}")], &[]);
        let accepted = "is no time; accepted: seconds from 1 to 86400, such as 300";
        assert!(said.contains(interval) && said.contains("--periodic-reconcile-interval"), "{said}");
        assert!(said.contains(accepted), "{said}");
    }
    assert_eq!(loaded(&["--periodic-reconcile-interval=86400"], &[]).resync, Duration::from_hours(24));
    assert_eq!(
        error(&["--source-secret=infra.merged"], &[]),
        r#"--source-secret="infra.merged": is --target-secret as well; accepted: a Secret that is not written"#
    );
}
