//! `deployment/generate-certs-and-config.sh` refuses the settings that the webhook would refuse at its start, and no
//! others: under `failurePolicy: Fail` a webhook that does not start stops every Pod.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use pullgate::config::{Config, VARIABLES};

/// A variable with values that are accepted and values that are refused.
pub(crate) type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

pub(crate) const ONE_VARIABLE: &[Row] = &[
    (
        "REGISTRY",
        &[
            "",
            " ",
            "r",
            "r.example",
            "R.Example",
            "localhost",
            "LOCAL",
            "r.example:1",
            "r.example:65535",
            "r.example:00080",
            "localhost:5000/a",
            "10.0.0.1:5000",
            "1.2.3",
            "a--b.example",
            "foo_bar.com",
            "foo_bar.com/a",
            "foo__bar",
            "[::1]",
            "[fd00::1]:5000/mirror",
            "[:]",
            "r.example/a/b",
            "r.example/a.b/c_d/e__f/g---h/0",
            "mirror/team",
            "a/b/c",
            "a/b.c",
        ],
        &[
            "a..b",
            ".a",
            "a.",
            "-r.example",
            "r.example-",
            "r.-example",
            "r-.example",
            "Foo_bar.example",
            "foo_bar.com:80",
            "foo___bar.com",
            "_foo",
            "foo_",
            "a___b",
            "r.example:",
            "r.example:0",
            "r.example:000",
            "r.example:65536",
            "r.example:99999",
            "r.example:100080",
            "r.example:80a",
            "r.example:80:80",
            ":80",
            "https://r.example",
            "r.example/",
            "/",
            "/a",
            "r.example//a",
            "r.example/A",
            "r.example/a-_b",
            "r.example/a...b",
            "r.example/a..b",
            "r.example/a___b",
            "r.example/-a",
            "r.example/a-",
            "r.example/a:1",
            "r.example/a@b",
            "a/B",
            "a/b:1",
            " r.example",
            "r.example ",
            "a b",
            "a,b",
            "a=b",
            "*",
            "é",
            "r.example/é",
            "a\nb",
            "a\tb",
            "a\\b",
            "a\"b",
            "$(PORT)",
            "[::1",
            "[]",
            "[::1]x",
            "[::1]:",
            "[::1]:0",
            "[::g]",
            "[1.2.3.4]",
            "a[::1]",
        ],
    ),
    (
        "REGISTRY_MAP",
        &[
            ",",
            " , ",
            "a.b=c.d",
            " a.b = c.d ,, e.f=c.d/e , ",
            "\n  a.b=c.d,\n  *=e.f,\n",
            "*=c.d",
            "a.b=c.d,*=c.d",
            "docker.io=r.example/hub",
            "team=r.example/team",
            "a.b=a.bc",
            "a.b/c=a.b/d",
            "a.b/c=a.b",
            "a.b=c.d,a.b/c=c.d/c",
            "a.b=c.d,a.b:80=e.f",
            "a.b:443=c.d,a.b:0443=e.f",
            "docker.io/library=mirror.example",
            "docker.io/library/nginx=library",
            "localhost=c.d",
        ],
        &[
            "a.b",
            "=",
            "=c.d",
            "a.b=",
            "a.b=*",
            "*=*",
            "**=c.d",
            "a.b=c.d=e.f",
            "a.b=c.d e.f=g.h",
            "a.b=http://c.d",
            "http://a.b=c.d",
            "a..b=c.d",
            "a.b=c..d",
            "a.b=c.d,x",
            "a.b=c.d,a.b=e.f",
            "a.b=c.d,a.b=c.d",
            "a.b=c.d,A.B:443=e.f",
            "docker.io=c.d,index.docker.io=e.f",
            "team=c.d,docker.io/team=e.f",
            "*=c.d,*=c.d",
            "*=c.d,*=e.f",
            "docker.io=docker.io",
            "docker.io=docker.io/x",
            "docker.io=INDEX.docker.io:443/x",
            "docker.io=team",
            "team=docker.io/team/x",
            "a.b=c.d,c.d=e.f",
            "a.b=c.d/e,c.d=e.f",
            "a.b=c.d/e/f,c.d/e=g.h",
            "a.b=c.d,*=a.b/x",
            "[::1]=[::1]:443/x",
        ],
    ),
    (
        "IGNORED_REGISTRIES",
        &[",", "a.b", " a.b , localhost:5000,\tteam ,", "a.b,a.b", "a.b/c_d"],
        &["a..b", "a.b,c..d", "http://a.b", "a.b/", "a.b c.d", "*", "a.b=c.d", "a.b;c.d"],
    ),
    ("IMAGE_PARSER", &["dot", "distribution", "  "], &["Dot", " dot", "dot ", "docker", "dot distribution"]),
    (
        "IMAGE_PULL_SECRET",
        &[",", "a", "regcred, second.one ,regcred", "0", "a--b", "a.b-c.d", "\na,\nb\n"],
        &["a..b", "a.-b", "a-.b", ".a", "a.", "-a", "a-", "Upper", "a_b", "a b", "a,b_c", "a:b", "a\nb", "é"],
    ),
    (
        "IMAGE_PULL_SECRET_APPEND",
        &["true", "FALSE", "1", "0", "yes", "No", " true ", "\tno\n"],
        &["on", "t", "y", "2", "true false", "01"],
    ),
    ("FORCE_IMAGE_PULL_POLICY", &["True", " YES", "0 "], &["off", "maybe", "yes,", "-1"]),
    (
        "IMAGE_PULL_POLICY_TO_FORCE",
        &["Always", "IfNotPresent", "Never"],
        &["always", "NEVER", " Always", "Always ", "Sometimes"],
    ),
    (
        "DEFAULT_STORAGE_CLASS",
        &[",", "fast", " rook-ceph.block ", "fast,", "fast,fast", "1"],
        &["a-.b", "a..b", "a_b", "Fast", "fast,slow", "a b", "-a"],
    ),
    ("MODE", &["enforce", "audit"], &["Audit", "off", "audit "]),
    ("STORAGE_CLASS_MODE", &["default", "force"], &["Default", "default ", "none"]),
    (
        "EXCLUDE_NAMESPACES",
        &[",", "a", " kube-public,monitoring ,, a", "1", "a--b"],
        &["a.b", "kube-*", "a b", "-a", "a-", "A", "a,b_c", "*"],
    ),
    (
        "LOG_LEVEL",
        &["trace", "debug", "info", "warn", "error", "fatal", "INFO", "Debug"],
        &["verbose", " info", "info ", "info\n", "off", "warning", "1"],
    ),
    ("LOG_FORMAT", &["text", "json", "JSON", "Text"], &["xml", " json", "json,text"]),
    (
        "SHUTDOWN_DELAY_SECONDS",
        &["0", "3600", " 5 ", "+5", "010", "0000000000000000000000000007"],
        &["3601", "-1", "-0", "10s", "1.5", "1e3", "0x10", "+", "++1", "1 0", "36000000000000000000000"],
    ),
    ("SHUTDOWN_TIMEOUT_SECONDS", &["0", "3600", "\n20"], &["3601", "-1", "ten", "1,0"]),
    ("MAX_BODY_BYTES", &["1", "1073741824", " 1048576 "], &["0", "1073741825", "20Mi", "-5", "9999999999"]),
    (
        "MAX_BUFFERED_BYTES",
        &["1", "68719476736", "+068719476736"],
        &["0", "68719476737", "1G", "687194767360", "99999999999999999999999"],
    ),
    (
        "PORT",
        &["1024", "65535", " 9443", "09443", "8443"],
        &["0", "65536", "https", "-1", "8080", "08080", "99999"],
    ),
    (
        "HEALTH_PORT",
        &["1024", "65535", "8080"],
        &["65536", "tcp://10.0.0.1:80", "8443", " +08443", "-1", "off"],
    ),
    (
        "CONFIG_TARGET_IMAGE_PULL_SECRET_NAME",
        &[",", "regcred", " reg.cred-1 ", "regcred,", "regcred,regcred"],
        &["a,b", "a_b", "A", "a..b", "-a", "a b", "a*"],
    ),
    (
        "CONFIG_SERVICE_ACCOUNTS",
        &[",", "default", " default , ci-?, build-* ,, ci-?", "*", "?", "-", ".", "a..b-"],
        &["a b", "A", "a_b", "[a]", "a,b/c", "{a}", "\"", "$(PORT)", "é", "a\\*"],
    ),
    ("CONFIG_ALL_SERVICE_ACCOUNTS", &["true", "FALSE", " yes ", "0"], &["on", "2", "true,false", "y"]),
    (
        "CONFIG_EXCLUDE_NAMESPACES",
        &[",", " , ", "a", " kube-public,traefik ,, kube-public", "kube-system,kube-public"],
        &["a.b", "kube-*", "a b", "-a", "A"],
    ),
    ("CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME", &["source", " a.b "], &["a,b", "a_b", "a b", "Source"]),
    (
        "CONFIG_SOURCE_IMAGE_PULL_SECRET_NAMESPACE",
        &["default", " credentials ", "a,a"],
        &["a.b", "a,b", "a_b", "A"],
    ),
    ("CONFIG_IGNORE_SECRET_CREATION_ERROR", &["true", "No", "1"], &["ignore", "-1"]),
];

/// Settings that are right or wrong together.
const TOGETHER: &[(&[&str], bool)] = &[
    (&[], true),
    (&["REGISTRY=r.example", "REGISTRY_MAP=*=q.example"], false),
    (&["REGISTRY=r.example", "REGISTRY_MAP=*=R.example"], false),
    (&["REGISTRY=r.example", "REGISTRY_MAP=*=r.example"], true),
    (&["REGISTRY= ", "REGISTRY_MAP=*=q.example"], true),
    (&["REGISTRY=a.b/x", "REGISTRY_MAP=a.b=c.d"], false),
    (&["REGISTRY=A.B:443", "REGISTRY_MAP=a.b=c.d"], false),
    (&["REGISTRY=team", "REGISTRY_MAP=docker.io=c.d"], false),
    (&["REGISTRY=c.d", "REGISTRY_MAP=a.b=c.d"], true),
    (&["REGISTRY=c.d", "REGISTRY_MAP=c.d/e=c.d/f"], true),
    (&["REGISTRY=r.example", "IGNORED_REGISTRIES=r.example"], true),
    (&["REGISTRY_MAP=a.b=c.d", "IGNORED_REGISTRIES=a.b,c.d"], true),
    (&["PORT=9000", "HEALTH_PORT=9000"], false),
    (&["PORT=9000", "HEALTH_PORT= 09000 "], false),
    (&["PORT=8080", "HEALTH_PORT=8443"], true),
    (&["PORT= ", "HEALTH_PORT=8443"], false),
    (&["MAX_BODY_BYTES=10", "MAX_BUFFERED_BYTES=5"], true),
    (&["STORAGE_CLASS_MODE=force"], true),
    (&["CONFIG_SERVICE_ACCOUNTS=a", "CONFIG_ALL_SERVICE_ACCOUNTS=true"], true),
    (&["NO_SUCH_SETTING=x", "REGISTRI=x"], true),
];

/// What the webhook takes and the script does not, and why.
const SCRIPT_IS_STRICTER: &[(&str, &str)] = &[
    ("PORT=1", "not every node lets the container's user bind a port below 1024"),
    ("PORT=443", "the same"),
    ("PORT= 01023", "the same"),
    ("HEALTH_PORT=1023", "the same"),
    ("HEALTH_PORT=0", "the probes of the manifests ask that port"),
    ("TLS_CERT_FILE=/x", "the manifests mount the certificate elsewhere"),
    ("TLS_KEY_FILE=/x", "the same"),
    ("TLS_SELF_SIGNED=true", "the manifests have a certificate"),
    ("IMAGE_PULL_SECRET=a,\u{a0}b", "tools that know no Unicode cannot tell a space outside of ASCII"),
];

/// Settings as they stand in an environment.
fn pairs<'a>(settings: impl IntoIterator<Item = &'a str>) -> Vec<(OsString, OsString)> {
    let pair = |setting: &'a str| setting.split_once('=').unwrap_or_else(|| panic!("{setting}"));
    settings.into_iter().map(pair).map(|(name, value)| (name.into(), value.into())).collect()
}

/// What the webhook makes of them, or why it does not start. The spaces that it keeps, around a `=`, mean nothing.
fn webhook(settings: &[(OsString, OsString)]) -> Result<Vec<String>, String> {
    let config = Config::load(settings.iter().cloned(), false).map_err(|errors| format!("{errors:?}"))?;
    Ok(config.effective.iter().map(|(name, value)| format!("{name}={}", value.replace(' ', ""))).collect())
}

/// What the script would write into the Deployment, or why it does not.
fn script(settings: &[(OsString, OsString)], out: &Path) -> Result<Vec<(OsString, OsString)>, String> {
    let ran =
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("deployment/generate-certs-and-config.sh"))
            .arg("--check")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("IMAGE", "registry.example/infra/pullgate:1")
            .env("OUT", out)
            .envs(settings.iter().cloned())
            .output()
            .unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    if !ran.status.success() {
        let one_line = said.starts_with("generate-certs-and-config.sh: ") && said.lines().count() == 1;
        assert!(ran.stdout.is_empty() && one_line, "{settings:?}: {said}");
        return Err(said);
    }
    assert_eq!(said, "", "{settings:?}");
    Ok(pairs(String::from_utf8(ran.stdout).unwrap().lines()))
}

#[test]
fn the_script_and_the_webhook_accept_the_same_settings_and_read_them_alike() {
    let long = |n: usize| "a".repeat(n);
    let mut rows: Vec<(Vec<String>, bool)> = TOGETHER
        .iter()
        .map(|(settings, accepted)| (settings.iter().map(ToString::to_string).collect(), *accepted))
        .collect();
    for (name, accepted, refused) in ONE_VARIABLE {
        let row = |value: &&str, is| (vec![format!("{name}={value}")], is);
        rows.extend(accepted.iter().map(|value| row(value, true)));
        rows.extend(refused.iter().map(|value| row(value, false)));
    }
    for (before, longest) in [
        ("REGISTRY=r.example/", 200),
        ("REGISTRY=", 200),
        ("IMAGE_PULL_SECRET=b,", 253),
        ("DEFAULT_STORAGE_CLASS=", 253),
        ("EXCLUDE_NAMESPACES=b,", 63),
        ("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=", 253),
        ("CONFIG_SERVICE_ACCOUNTS=b,", 253),
        ("CONFIG_EXCLUDE_NAMESPACES=b,", 63),
        ("CONFIG_SOURCE_IMAGE_PULL_SECRET_NAMESPACE=", 63),
    ] {
        rows.push((vec![format!("{before}{}", long(longest))], true));
        rows.push((vec![format!("{before}{}", long(longest + 1))], false));
    }
    // No label of a host is measured, and neither is the host.
    rows.push((vec![format!("REGISTRY={}.{}", long(300), long(64))], true));

    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (row, accepted) in &rows {
        let settings = pairs(row.iter().map(String::as_str));
        let (read, written) = (webhook(&settings), script(&settings, folder.path()));
        if (read.is_ok(), written.is_ok()) != (*accepted, *accepted) {
            wrong.push(format!(
                "{row:?}: accepted should be {accepted}; webhook {read:?}, script {written:?}"
            ));
        } else if let Ok(written) = written {
            let again = webhook(&written);
            if read != again {
                wrong.push(format!("{row:?}: the script writes {written:?}: {read:?} becomes {again:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "--check writes nothing");
}

#[test]
fn the_script_is_stricter_only_where_a_reason_is_given() {
    let folder = tempfile::tempdir().unwrap();
    for (setting, reason) in SCRIPT_IS_STRICTER {
        let settings = pairs([*setting]);
        webhook(&settings).unwrap_or_else(|error| panic!("{setting}: {error}"));
        assert!(script(&settings, folder.path()).is_err(), "{setting} is taken after all, although {reason}");
    }
}

#[test]
fn every_variable_has_rows() {
    let variable = |setting: &&str| setting.split('=').next().unwrap().to_owned();
    let listed: BTreeSet<String> = ONE_VARIABLE
        .iter()
        .inspect(|(name, accepted, refused)| assert!(!accepted.is_empty() && !refused.is_empty(), "{name}"))
        .map(|(name, ..)| (*name).to_owned())
        .chain(SCRIPT_IS_STRICTER.iter().map(|(setting, _)| variable(setting)))
        .collect();
    assert_eq!(listed, VARIABLES.iter().map(ToString::to_string).collect());
}
