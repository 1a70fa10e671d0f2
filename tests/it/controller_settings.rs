//! What `pullgate controller` is told: flags as they are typed, variables as pairs, never the process environment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as _, Command, FromArgMatches as _};
use log::LevelFilter;
use pullgate::controller::flags::{FLAGS, Flags, with_two_dashes};
use pullgate::controller::settings::{CONTROLLER, Local, Settings, Task};
use pullgate::image::analysis::Notice;
use pullgate::names::Names;

const LOGIN: &str = r#"{"auths":{"registry.example":{"auth":"cm9ib3Q6aHVudGVyMg=="}}}"#;
/// Not of use as credentials, and still nobody's business.
const SECRET: &str = "hunter2-hunter2";

fn flags(typed: &[&str]) -> Result<Flags, String> {
    let line = ["pullgate", "controller"].iter().chain(typed).map(OsString::from);
    let line = with_two_dashes(line).into_iter().skip(1);
    let command = Flags::augment_args(Command::new("controller"));
    let matches = command.try_get_matches_from(line).map_err(|error| error.to_string())?;
    Flags::from_arg_matches(&matches).map_err(|error| error.to_string())
}

fn load(typed: &[&str], variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let flags = flags(typed).map_err(|error| vec![error])?;
    let settings = Settings::load(&flags, variables, false);
    settings.map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

pub(crate) fn loaded(typed: &[&str], variables: &[(&str, &str)]) -> Settings {
    load(typed, variables).unwrap_or_else(|errors| panic!("{errors:?}"))
}

pub(crate) fn errors(typed: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
    load(typed, variables).err().unwrap_or_default()
}

/// Everything that is told, in a form that can be compared and shown.
fn told(settings: Settings) -> String {
    // Field by field, so that none is forgotten.
    let Settings {
        secret,
        source,
        accounts,
        account,
        excluded_namespaces,
        overwrite,
        recreate,
        pull_secrets,
        certificates,
        task,
        resync,
        resource_selector,
        kubeconfig,
        lease,
        lease_namespace,
        health_port,
        logging,
        notices: _,
    } = settings;
    let local = match source.local {
        Local::None => "nothing".to_owned(),
        Local::File(path) => path.display().to_string(),
        Local::Literal(credentials) => format!("{} bytes", credentials.expose().len()),
    };
    let accounts = if accounts == Names::All { "all".to_owned() } else { format!("{account:?}") };
    format!(
        "{secret} of {:?} else {local}, on {accounts}, not in {excluded_namespaces:?}, overwrite {overwrite} recreate \
         {recreate}, {task:?} every {resync:?}, {kubeconfig:?} {lease:?} {lease_namespace:?} {health_port:?} {:?}, \
         resources {resource_selector:?}, pull secrets {pull_secrets}, certificates {certificates:?}",
        source.object, logging.level
    )
}

#[test]
fn nothing_given_is_what_the_predecessor_does_by_default() {
    let settings = loaded(&[], &[]);
    assert_eq!(settings.secret, "image-pull-secret");
    assert_eq!(settings.source.object, ("imagepullsecret-patcher".into(), "image-pull-secret".into()));
    assert!(matches!(settings.source.local, Local::None));
    assert_eq!(settings.accounts, Names::patterns(["default"]));
    assert_eq!(settings.account.as_deref(), Some("default"));
    assert!(settings.excluded_namespaces.is_empty());
    assert!(settings.overwrite && settings.recreate);
    assert_eq!((settings.task, settings.resync), (Task::Keep, Duration::from_secs(10)));
    assert_eq!((settings.kubeconfig, settings.lease, settings.health_port), (None, None, Some(8080)));
    assert_eq!(settings.logging.level, LevelFilter::Info);
    assert_eq!(settings.notices, []);
}

/// A flag, a value for it, and what that changes of what is told.
const EACH: &[(&str, &str, &str, &str)] = &[
    ("secretname", "regcred", "CONFIG_SECRETNAME", "regcred"),
    ("secretnamespace", "infra", "CONFIG_SECRET_NAMESPACE", "\"infra\""),
    ("source-secretname", "src", "CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME", "\"src\""),
    ("dockerconfigjson", LOGIN, "CONFIG_DOCKERCONFIGJSON", "else 62 bytes"),
    ("dockerconfigjsonpath", "/run/s/config", "CONFIG_DOCKERCONFIGJSONPATH", "else /run/s/config"),
    ("serviceaccounts", "builder", "CONFIG_SERVICEACCOUNTS", "\"builder\""),
    ("allserviceaccount", "true", "CONFIG_ALLSERVICEACCOUNT", "on all"),
    ("excluded-namespaces", "a, b,a", "CONFIG_EXCLUDED_NAMESPACES", "{\"a\", \"b\"}"),
    ("force", "false", "CONFIG_FORCE", "overwrite false recreate false"),
    ("managedonly", "true", "CONFIG_MANAGEDONLY", "overwrite false recreate true"),
    ("runonce", "true", "CONFIG_RUNONCE", "Once"),
    ("loop-duration", "1m30s", "CONFIG_LOOP_DURATION", "every 90s"),
    ("kubeconfig", "/root/config", "KUBECONFIG", "Some(\"/root/config\")"),
    ("resource-selector", "team=a", "RESOURCE_SELECTOR", "resources Some(\"team=a\")"),
    ("lease-name", "other", "LEASE_NAME", ""),
    ("lease-namespace", "infra", "LEASE_NAMESPACE", "Some(\"infra\") Some(8080)"),
    ("health-port", "0", "HEALTH_PORT", "None Info"),
    ("metrics-addr", "127.0.0.1:9090", "METRICS_ADDR", "Some(9090) Info"),
    ("periodic-reconcile-interval", "300", "PERIODIC_RECONCILE_INTERVAL", "every 300s"),
    ("log-level", "debug", "LOG_LEVEL", "Debug"),
    ("debug", "true", "CONFIG_DEBUG", "Debug"),
    // Said to work; they change nothing.
    ("use-informers", "false", "CONFIG_USE_INFORMERS", ""),
    ("enable-leader-election", "true", "ENABLE_LEADER_ELECTION", "Some(\"pullgate-controller\")"),
];

#[test]
fn every_setting_is_a_flag_with_one_dash_or_two_and_a_variable() {
    let before = told(loaded(&[], &[]));
    for (flag, value, variable, change) in EACH {
        let expected = told(loaded(&[], &[(variable, value)]));
        assert!(expected.contains(change), "{variable}={value}: {change:?} in {expected:?}");
        assert_eq!(expected == before, change.is_empty(), "{variable}: {expected}");
        for dashes in ["-", "--"] {
            let (joined, alone) = (format!("{dashes}{flag}={value}"), format!("{dashes}{flag}"));
            assert_eq!(told(loaded(&[&joined], &[])), expected, "{joined}");
            let switch = FLAGS.iter().find(|known| known.name == *flag).is_some_and(|known| known.switch);
            if !switch {
                assert_eq!(told(loaded(&[&alone, value], &[])), expected, "{alone} {value}");
            } else if *value == "true" {
                assert_eq!(told(loaded(&[&alone], &[])), expected, "{alone}");
            }
            // The flag wins, by whatever name the variable goes.
            assert_eq!(told(loaded(&[&joined], &[(variable, "x")])), expected, "{joined} over {variable}");
        }
    }
    // Of these there is a test of their own.
    let elsewhere = ["running-in-cluster", "pull-secrets"];
    let certificates = FLAGS.iter().map(|flag| flag.name).filter(|name| name.starts_with("certificates"));
    let named = EACH.iter().map(|(flag, ..)| *flag).chain(elsewhere).chain(certificates);
    let (mut named, mut all): (Vec<_>, Vec<_>) =
        (named.collect(), FLAGS.iter().map(|flag| flag.name).collect());
    named.sort_unstable();
    all.sort_unstable();
    assert_eq!(named, all, "every flag is in the table");
    for flag in FLAGS {
        assert_eq!(CONTROLLER.find(flag.variable), Some((flag.variable, flag.variable)));
    }
}

#[test]
fn a_switch_takes_its_value_only_behind_an_equals_sign() {
    assert!(loaded(&["-force"], &[]).overwrite);
    assert!(!loaded(&["-force=false"], &[]).overwrite);
    assert!(!loaded(&["--force=no"], &[]).overwrite);
    // As Go's flags do it: the next word is no value.
    assert!(flags(&["-force", "false"]).is_err());
    // As often as it is given; the last one counts.
    assert!(!loaded(&["-force=true", "--force=false"], &[]).overwrite);
    assert_eq!(loaded(&["-secretname=a", "--secretname", "b"], &[]).secret, "b");
}

#[test]
fn what_is_no_flag_is_refused_by_name() {
    for (unknown, named) in [
        ("-secretnames=x", "'--secretnames'"),
        ("--secret-name=x", "'--secret-name'"),
        ("-x", "'-x'"),
        ("extra", "'extra'"),
    ] {
        let error = flags(&[unknown]).expect_err(unknown);
        assert!(error.contains(named), "{error}");
    }
    // A value that looks like a flag is one to everybody else, too; behind an equals sign it is not.
    assert_eq!(loaded(&["-secretname=a", "-dockerconfigjsonpath=-force"], &[]).secret, "a");
}

/// Only of our command: `-f` of another one means what it says there.
#[test]
fn dashes_are_doubled_for_the_controllers_flags_only() {
    let two = |line: &[&str]| -> Vec<String> {
        let doubled = with_two_dashes(line.iter().map(OsString::from));
        doubled.into_iter().map(|word| word.into_string().unwrap()).collect()
    };
    assert_eq!(
        two(&[
            "pullgate",
            "controller",
            "-force=false",
            "--debug",
            "-h",
            "-V",
            "-uninstall",
            "-secretname",
            "x"
        ]),
        [
            "pullgate",
            "controller",
            "--force=false",
            "--debug",
            "-h",
            "-V",
            "--uninstall",
            "--secretname",
            "x"
        ]
    );
    assert_eq!(two(&["pullgate", "mutate", "-force"]), ["pullgate", "mutate", "-force"]);
    assert_eq!(two(&["pullgate"]), ["pullgate"]);
}

#[test]
fn tasks_that_end_are_told_by_flags() {
    assert_eq!(loaded(&["-runonce"], &[]).task, Task::Once);
    assert_eq!(loaded(&["--uninstall"], &[]).task, Task::Uninstall);
    assert_eq!(loaded(&["-uninstall", "-runonce"], &[]).task, Task::Uninstall);
}

#[test]
fn force_and_managedonly_decide_what_becomes_of_foreign_secrets() {
    let of = |force: &str, managed: &str| {
        let settings = loaded(&[], &[("CONFIG_FORCE", force), ("CONFIG_MANAGEDONLY", managed)]);
        (settings.overwrite, settings.recreate)
    };
    assert_eq!(of("true", "false"), (true, true));
    assert_eq!(of("false", "false"), (false, false));
    assert_eq!(of("true", "true"), (false, true));
    assert_eq!(of("false", "true"), (false, false));
}

#[test]
fn accounts_are_names_patterns_or_all() {
    let of = |list: &str| loaded(&[], &[("CONFIG_SERVICEACCOUNTS", list)]);
    assert_eq!(of(" a , b-* ").accounts, Names::patterns(["a", "b-*"]));
    // Only one exact name can be asked of the API server by itself.
    for (list, one) in [("a", Some("a")), ("a,a", Some("a")), ("a,b", None), ("a-*", None), ("?", None)] {
        assert_eq!(of(list).account.as_deref(), one, "{list}");
    }
    let all = loaded(&["-allserviceaccount", "-serviceaccounts=a"], &[]);
    assert_eq!((all.accounts, all.account), (Names::All, None));
}

/// Of the controller that had resources.
#[test]
fn flags_of_before_are_read_by_their_names() {
    for (typed, same) in [
        (vec!["--config-namespace=infra"], vec!["-lease-namespace=infra"]),
        (vec!["--log.level=debug"], vec!["-log-level=debug"]),
        (vec!["--metrics-addr=:8080"], vec!["-health-port=8080"]),
        (vec!["--metrics-addr=0"], vec!["-health-port=0"]),
        (
            vec!["--metrics-addr", ":9", "--enable-leader-election"],
            vec!["-health-port=9", "-enable-leader-election"],
        ),
        (vec!["--periodic-reconcile-interval=90"], vec!["-loop-duration=1m30s"]),
    ] {
        assert_eq!(told(loaded(&typed, &[])), told(loaded(&same, &[])), "{typed:?}");
    }
}

/// Of the webhook that wrote Secrets itself.
#[test]
fn other_names_of_a_setting_are_read_and_said() {
    for (alias, variable) in CONTROLLER.aliases {
        let value = if variable.contains("ALL") { "true" } else { "a" };
        let settings = loaded(&[], &[(alias, value)]);
        assert_eq!(settings.notices, [Notice::Note(format!("{alias} is read as {variable}"))]);
        assert_eq!(told(settings), told(loaded(&[], &[(variable, value)])));
        // A flag wins over both names.
        let flag = FLAGS.iter().find(|flag| flag.variable == *variable).unwrap();
        let other = if value == "true" { "false" } else { "b" };
        let typed = format!("-{}={other}", flag.name);
        assert_eq!(told(loaded(&[&typed], &[(alias, value)])), told(loaded(&[], &[(variable, other)])));
        // Two names and two values: neither is taken, and both are named.
        let problems = errors(&[], &[(alias, value), (variable, other)]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(alias) && problems[0].contains(variable), "{problems:?}");
        assert!(load(&[], &[(alias, value), (variable, value)]).is_ok());
    }
    assert!(load(&[], &[("CONFIG_IGNORE_SECRET_CREATION_ERROR", "true")]).is_ok());
}

#[test]
fn what_cannot_be_used_is_named_with_what_is_accepted() {
    for (variable, value, accepted) in [
        ("CONFIG_SECRETNAME", "Reg_Cred", "lower-case letters"),
        ("CONFIG_SECRETNAME", "a,b", "one name"),
        ("CONFIG_SECRET_NAMESPACE", "a.b", "name of a namespace"),
        ("CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME", "A", "lower-case letters"),
        ("CONFIG_SERVICEACCOUNTS", "a,B", "name of a ServiceAccount"),
        ("CONFIG_SERVICE_ACCOUNTS", "a,B", "name of a ServiceAccount"),
        ("CONFIG_EXCLUDED_NAMESPACES", "kube-*", "name of a namespace"),
        ("CONFIG_FORCE", "maybe", "true, false"),
        ("CONFIG_MANAGEDONLY", "2", "true, false"),
        ("CONFIG_RUNONCE", "once", "true, false"),
        ("CONFIG_USE_INFORMERS", "x", "true, false"),
        ("CONFIG_RUNNING_IN_CLUSTER", "x", "true, false"),
        ("ENABLE_LEADER_ELECTION", "x", "true, false"),
        ("CONFIG_DEBUG", "x", "true, false"),
        ("CONFIG_LOOP_DURATION", "10", "10s"),
        ("CONFIG_LOOP_DURATION", "-10s", "10s"),
        ("CONFIG_LOOP_DURATION", "0s", "10s"),
        ("LEASE_NAME", "A", "lower-case letters"),
        ("LEASE_NAMESPACE", "a.b", "name of a namespace"),
        ("METRICS_ADDR", "localhost", "such as :8080"),
        ("METRICS_ADDR", ":65536", "such as :8080"),
        ("PERIODIC_RECONCILE_INTERVAL", "5m", "such as 300"),
        ("PERIODIC_RECONCILE_INTERVAL", "0", "such as 300"),
        ("HEALTH_PORT", "65536", "from 0 to 65535"),
        ("LOG_LEVEL", "loud", "info"),
    ] {
        let problems = errors(&[], &[(variable, value)]);
        assert_eq!(problems.len(), 1, "{variable}={value}: {problems:?}");
        assert!(problems[0].starts_with(variable) && problems[0].contains(accepted), "{problems:?}");
    }
    // All at once.
    assert_eq!(errors(&["-force=x"], &[("CONFIG_DEBUG", "x"), ("HEALTH_PORT", "x")]).len(), 3);
}

#[test]
fn a_loop_is_no_shorter_than_a_second() {
    for (given, used) in [("1ms", 1), ("999ms", 1), ("1500ms", 1), ("36h", 36 * 3600)] {
        let settings = loaded(&[], &[("CONFIG_LOOP_DURATION", given)]);
        assert_eq!(settings.resync.as_secs(), used, "{given}");
        assert_eq!(settings.notices.len(), usize::from(given != "1500ms" && given != "36h"), "{given}");
    }
}

#[test]
fn credentials_are_in_no_refusal() {
    let bad = format!(r#"{{"auths":{{"registry.example":{{"auth":"{SECRET}"}}}}}}"#);
    let (literal, path) = ("CONFIG_DOCKERCONFIGJSON", "CONFIG_DOCKERCONFIGJSONPATH");
    for (typed, variables) in [
        (vec![], vec![(literal, SECRET)]),
        (vec![], vec![(literal, &*bad)]),
        (vec![format!("-dockerconfigjson={bad}")], vec![]),
        (vec!["-dockerconfigjson".to_owned(), SECRET.to_owned()], vec![("CONFIG_FORCE", "x")]),
        (vec![], vec![(literal, SECRET), (path, "/run/config")]),
    ] {
        let typed: Vec<_> = typed.iter().map(String::as_str).collect();
        let problems = errors(&typed, &variables);
        let said = problems.concat();
        assert!(said.contains(if typed.is_empty() { literal } else { "--dockerconfigjson" }), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let flags = flags(&[&format!("-dockerconfigjson={bad}")]).unwrap();
    assert!(!format!("{flags:?}").contains("hunter2"), "{flags:?}");
    // Two sources that would contradict each other are both named.
    let both = errors(&[], &[(literal, LOGIN), (path, "/run/config")]).concat();
    assert!(both.contains(literal) && both.contains("DOCKERCONFIGJSONPATH"), "{both}");
}

#[test]
fn outside_of_a_cluster_the_usual_kubeconfig_is_read() {
    let home = std::env::home_dir().expect("a home folder").join(".kube/config");
    assert_eq!(loaded(&["-running-in-cluster=false"], &[]).kubeconfig, Some(home));
    assert_eq!(loaded(&["-running-in-cluster"], &[]).kubeconfig, None);
    for typed in [vec!["-kubeconfig=/c"], vec!["-kubeconfig=/c", "-running-in-cluster=false"]] {
        assert_eq!(loaded(&typed, &[]).kubeconfig, Some(PathBuf::from("/c")));
    }
}

/// Neither typos nor empty values are taken for something else.
#[test]
fn look_alikes_are_noticed_and_empty_values_are_none() {
    let settings = loaded(&[], &[("CONFIG_SECRET_NAME", "x"), ("CONFIG_SECRETNAME", " ")]);
    let notice = "CONFIG_SECRET_NAME is not a variable of pullgate; is CONFIG_SECRETNAME meant?";
    assert_eq!(settings.notices, [Notice::Warning(notice.to_owned())]);
    assert_eq!(settings.secret, "image-pull-secret");
    assert_eq!(loaded(&["-serviceaccounts="], &[]).account.as_deref(), Some("default"));
}
