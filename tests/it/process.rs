//! The program as it is started: its exit codes, what it prints, and what it logs.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Program, free_port};
use crate::support::{Authority, Client, Leaf, REVIEW, SOON, dial, eventually, handshake_as, trusting};

/// Exit code and standard error of a start that fails.
fn fails(environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut program = Program::start(environment);
    let status = program.exits_within(SOON);
    assert_eq!(program.stdout(), "", "standard output");
    (status.code(), program.stderr())
}

#[test]
fn bad_configuration_is_told_all_at_once_one_line_each() {
    let (code, stderr) = fails(&[
        ("REGISTRY", "https://registry.example/"),
        ("IMAGE_PARSER", "docker"),
        ("FORCE_IMAGE_PULL_POLICY", "maybe"),
        ("IMAGE_PULL_POLICY_TO_FORCE", "Sometimes"),
        ("IMAGE_PULL_SECRET", "Reg_Cred"),
        ("DEFAULT_STORAGE_CLASS", "a,b"),
        ("EXCLUDE_NAMESPACES", "kube system"),
        ("LOG_LEVEL", "loud"),
        ("PORT", "70000"),
        ("MAX_BODY_BYTES", "24MiB"),
        ("TLS_SELF_SIGNED", "true"),
    ]);
    assert_eq!(code, Some(2), "{stderr}");
    let expected = [
        (r#"REGISTRY="https://registry.example/": "#, "host[:port][/path]"),
        (r#"IMAGE_PARSER="docker": "#, "dot, distribution"),
        (r#"FORCE_IMAGE_PULL_POLICY="maybe": "#, "true, false, 1, 0, yes, no"),
        (r#"IMAGE_PULL_POLICY_TO_FORCE="Sometimes": "#, "Always, IfNotPresent, Never"),
        (r#"IMAGE_PULL_SECRET="Reg_Cred": "#, "lower-case letters"),
        (r#"DEFAULT_STORAGE_CLASS="a,b": "#, "one"),
        (r#"EXCLUDE_NAMESPACES="kube system": "#, "lower-case letters"),
        (r#"LOG_LEVEL="loud": "#, "trace, debug, info, warn, error, fatal"),
        (r#"PORT="70000": "#, "from 1 to 65535"),
        (r#"MAX_BODY_BYTES="24MiB": "#, "whole number"),
    ];
    for (start, accepted) in expected {
        let line =
            stderr.lines().find(|line| line.contains(start)).unwrap_or_else(|| panic!("{start}: {stderr}"));
        assert!(line.contains(accepted), "{line}");
    }
    assert_eq!(stderr.lines().count(), expected.len(), "{stderr}");
}

#[test]
fn check_prints_what_is_in_effect_and_serves_nothing() {
    let mut program = Program::run(
        &["webhook", "--check"],
        &[
            ("REGISTRY_MAP", " quay.io = r.example/quay , *=r.example "),
            ("IMAGE_PULL_SECRET", "a, b ,,a"),
            ("IMAGE_PULL_SECRET_APPEND", "YES"),
            ("IGNORE_REGISTRIES", "x.example"),
        ],
    );
    assert_eq!(program.exits_within(SOON).code(), Some(0));
    let stdout = program.stdout();
    for line in [
        "REGISTRY=",
        "IMAGE_PARSER=dot",
        "IMAGE_PULL_SECRET=a,b",
        "IMAGE_PULL_SECRET_APPEND=true",
        "FORCE_IMAGE_PULL_POLICY=false",
        "IMAGE_PULL_POLICY_TO_FORCE=Always",
        "STORAGE_CLASS_MODE=default",
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
    ] {
        assert!(stdout.lines().any(|is| is == line), "no {line} in:\n{stdout}");
    }
    assert_eq!(stdout.lines().count(), pullgate::config::VARIABLES.len(), "{stdout}");
    let stderr = program.stderr();
    assert!(stderr.contains("IGNORE_REGISTRIES") && stderr.contains("IGNORED_REGISTRIES"), "{stderr}");

    let mut refused = Program::run(&["webhook", "--check"], &[("REGISTRY", "a b")]);
    assert_eq!(refused.exits_within(SOON).code(), Some(2));
}

#[test]
fn a_certificate_that_cannot_be_served_stops_the_start_by_name() {
    let authority = Authority::new();
    let (good, other, expired) = (authority.leaf(1, 10), authority.leaf(2, 10), authority.leaf(3, -1));
    let folder = TempDir::new().unwrap();
    let (cert, key) = (folder.path().join("my.crt"), folder.path().join("my.key"));
    let files = [("TLS_CERT_FILE", cert.to_str().unwrap()), ("TLS_KEY_FILE", key.to_str().unwrap())];
    let (port, health) = (free_port().to_string(), free_port().to_string());
    let ports = [("PORT", port.as_str()), ("HEALTH_PORT", health.as_str())];
    let assert_fails = |what: &str, named: &[&str]| {
        let (code, stderr) = fails(&[files, ports].concat());
        assert_eq!(code, Some(2), "{what}: {stderr}");
        assert!(named.iter().all(|name| stderr.contains(name)), "{what} names {named:?}: {stderr}");
        assert!(!stderr.contains("PRIVATE KEY"), "{what}: {stderr}");
    };
    assert_fails("missing files", &["my.crt"]);
    fs::write(&cert, &good.cert).unwrap();
    assert_fails("a missing key", &["my.key"]);
    fs::create_dir(&key).unwrap();
    assert_fails("an unreadable key", &["my.key"]);
    fs::remove_dir(&key).unwrap();
    let Leaf { cert: _, key: other_key } = &other;
    fs::write(&key, other_key).unwrap();
    assert_fails("a mismatched pair", &["my.crt", "my.key"]);
    fs::write(&key, "garbage").unwrap();
    assert_fails("a broken key", &["my.key"]);
    fs::write(&cert, "garbage").unwrap();
    assert_fails("a broken certificate", &["my.crt"]);
    fs::write(&cert, &expired.cert).unwrap();
    fs::write(&key, &expired.key).unwrap();
    assert_fails("an expired certificate", &["my.crt", "expired"]);
}

#[test]
fn a_port_in_use_is_named() {
    for variable in ["PORT", "HEALTH_PORT"] {
        let taken = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0")).unwrap();
        let (taken_port, free) = (taken.local_addr().unwrap().port().to_string(), free_port().to_string());
        let other = if variable == "PORT" { "HEALTH_PORT" } else { "PORT" };
        let (code, stderr) =
            fails_with_ca(&[(variable, &taken_port), (other, &free), ("TLS_SELF_SIGNED", "true")]);
        assert!(code.is_some_and(|code| code != 0), "{variable}: {stderr}");
        assert!(stderr.contains(&taken_port) && stderr.contains(variable), "{variable}: {stderr}");
    }
}

fn fails_with_ca(environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut program = Program::start(environment);
    (program.exits_within(SOON).code(), program.stderr())
}

#[test]
fn a_self_signed_certificate_is_verified_by_the_authority_on_standard_output() {
    let program = Program::serve(&[]);
    let ca_pem = program.ca_pem();
    assert!(!program.stdout().contains("PRIVATE KEY"));
    for name in ["localhost", "127.0.0.1", "::1"] {
        let stream = handshake_as(program.address, trusting(&ca_pem), name).unwrap();
        assert_eq!(Client::over(stream).post(REVIEW).status, 200, "{name}");
    }
}

#[test]
fn health_port_0_turns_health_off() {
    let program = Program::serve(&[("HEALTH_PORT", "0")]);
    assert_eq!(program.connect().post(REVIEW).status, 200);
    assert!(dial(program.health).is_err(), "something listens on the port that health would have had");
}

/// The whole log of a webhook that answered `bodies`, and all of its answers.
fn log_of(environment: &[(&str, &str)], bodies: &[&[u8]]) -> (String, String) {
    let mut program = Program::serve(environment);
    let mut client = program.connect();
    let answers = bodies.iter().map(|body| client.post(body).text()).collect();
    program.signal("INT");
    assert_eq!(program.exits_within(SOON).code(), Some(0));
    (program.stderr(), answers)
}

const RULES: (&str, &str) = ("REGISTRY", "registry.example");
const UNCHANGED: &[u8] = include_bytes!("../fixtures/cases/recorded-label-of-a-pod-from-before/review.json");

#[test]
fn the_log_is_json_where_nobody_watches_one_line_per_change() {
    let (log, _) = log_of(&[RULES], &[REVIEW, UNCHANGED, b"not json"]);
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    for line in &lines {
        assert!(["time", "level", "message"].iter().all(|key| line[key].is_string()), "{line}");
    }
    let admissions: Vec<_> = lines.iter().filter(|line| line["message"] == "admission").collect();
    let [line] = admissions[..] else { panic!("one line for one change: {log}") };
    for (key, value) in [
        ("level", "info"),
        ("uid", "e73c78bf-e0c4-4721-b7d2-b3b2c114eb5b"),
        ("kind", "Pod"),
        ("namespace", "shop"),
        ("name", "web"),
        ("operation", "CREATE"),
        ("outcome", "patched"),
    ] {
        assert_eq!(line[key], value, "{key}");
    }
    assert_eq!(line["operations"], 1);
    assert!(line["microseconds"].is_u64(), "{line}");
    assert_eq!(lines.iter().filter(|line| line["message"] == "request refused").count(), 1, "{log}");
}

#[test]
fn a_log_that_nobody_reads_stops_no_call_and_what_is_lost_is_counted() {
    for (format, lost) in
        [("json", r#""message":"standard error was not read"#), ("text", "WARN  standard error was not read")]
    {
        let program = Program::serve(&[RULES, ("LOG_FORMAT", format)]);
        let mut client = program.connect();
        let held = program.hold_log();
        // A pipe holds 64 kB, a line is some 250 bytes.
        for _ in 0..1_000 {
            assert_eq!(client.post(REVIEW).status, 200);
        }
        drop(held);
        eventually("what was lost to be told", || {
            client.post(REVIEW);
            program.stderr().contains(lost).then_some(())
        });
        let log = program.stderr();
        let line = log.lines().find(|line| line.contains(lost)).unwrap();
        let lines: u64 = line.rsplit(['=', ':']).next().unwrap().trim_end_matches('}').parse().unwrap();
        let kept = log.lines().filter(|line| line.contains("admission")).count() as u64;
        assert!(lines > 100 && lines < 1_000 && kept + lines >= 1_000, "{lines} lost, {kept} kept");
    }
}

#[test]
fn a_generated_name_is_logged_by_its_prefix() {
    let generated = include_bytes!("../fixtures/cases/recorded-pod-by-a-replica-set/review.json");
    let (log, _) = log_of(&[RULES], &[generated]);
    assert!(log.contains(r#""name":"api-595596cdcc-""#), "{log}");
}

#[test]
fn the_log_is_text_on_request() {
    let (log, _) = log_of(&[RULES, ("LOG_FORMAT", "text")], &[REVIEW]);
    let line = log.lines().find(|line| line.contains(" admission ")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(" INFO ") && line.contains(" kind=Pod ") && line.contains(" name=web "), "{line}");
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_err()), "{log}");
}

#[test]
fn the_log_level_filters() {
    let admissions = |level: &str| {
        let (log, _) = log_of(&[RULES, ("LOG_LEVEL", level)], &[REVIEW, UNCHANGED]);
        log.lines().filter(|line| line.contains(r#""message":"admission""#)).count()
    };
    assert_eq!(["debug", "info", "warn", "fatal"].map(admissions), [2, 1, 0, 0]);
}

#[test]
fn no_content_of_an_object_reaches_log_or_answer() {
    let text = std::str::from_utf8(REVIEW).unwrap();
    let pod = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        changed
    };
    let bodies = [
        pod("\"resources\"", r#""env": [{"name": "TOKEN", "value": "hunter2"}], "resources""#),
        pod("\"finalizers\"", r#""annotations": {"note": "hunter2"}, "finalizers""#),
        pod("\"nginx:1.27\"", "\"user:hunter2@registry.example/x\""),
        pod("\"nginx:1.27\"", "[\"hunter2\"]"),
        pod("\"nginx:1.27\"", "{\"hunter2\": 1}"),
        pod("\"spec\": {", "\"spec\": \"hunter2\", \"other\": {"),
        pod("\"uid\": \"", "\"uid\": {\"a\": \"hunter2\"}, \"other\": \""),
        pod("\"request\": {", "\"request\": \"hunter2\", \"other\": {"),
        "hunter2".to_owned(),
        "{\"hunter2\" 7}".to_owned(),
        format!("{text}hunter2"),
    ];
    let bodies: Vec<_> = bodies.iter().map(String::as_bytes).collect();
    let rules = [
        RULES,
        ("IMAGE_PULL_SECRET", "regcred"),
        ("FORCE_IMAGE_PULL_POLICY", "true"),
        ("LOG_LEVEL", "trace"),
    ];
    let (log, answers) = log_of(&rules, &bodies);
    assert!(!log.contains("hunter2"), "{log}");
    assert!(!answers.contains("hunter2"), "{answers}");
    assert!(log.lines().count() >= bodies.len(), "{log}");
}

#[test]
fn a_name_with_a_line_break_forges_no_log_line() {
    let forged = std::str::from_utf8(REVIEW).unwrap().replacen(
        r#""name": "web""#,
        r#""name": "web\n2026-01-01T00:00:00Z INFO  forged""#,
        1,
    );
    for format in ["text", "json"] {
        let (log, _) = log_of(&[RULES, ("LOG_FORMAT", format)], &[forged.as_bytes()]);
        assert!(log.contains("forged"), "{log}");
        assert!(log.lines().all(|line| !line.starts_with("2026-01-01T00:00:00Z")), "{log}");
    }
}

#[test]
fn an_unknown_command_is_told_how_to_ask_for_help() {
    let mut program = Program::run(&["serve"], &[]);
    assert_eq!(program.exits_within(Duration::from_secs(5)).code(), Some(2));
    assert!(program.stderr().contains("--help"), "{}", program.stderr());
}
