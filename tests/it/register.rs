//! `pullgate register` as it is started, as far as it gets without an API server.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::program::Program;
use crate::support::{SOON, eventually};

const GOOD: &str = "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: pullgate}\n";

/// Of an API server that is not there: nobody listens on the port.
const KUBECONFIG: &str = r#"
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: secret}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
"#;

/// A folder with a registration and a kubeconfig.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("registration.yaml"), GOOD).unwrap();
    fs::write(folder.path().join("kubeconfig"), KUBECONFIG).unwrap();
    folder
}

fn register(folder: &Path, more: &[&str]) -> Program {
    let file = folder.join("registration.yaml");
    let usual =
        ["register", "--file", file.to_str().unwrap(), "--namespace", "pullgate", "--deployment", "pullgate"];
    Program::run(&[&usual, more].concat(), &[])
}

/// Exit code and standard error of a start that fails.
fn fails(folder: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut program = register(folder, more);
    let status = program.exits_within(SOON);
    (status.code(), program.stderr())
}

#[test]
fn a_file_that_is_no_registration_is_refused_by_name() {
    let folder = folder();
    let file = folder.path().join("registration.yaml");
    let two = format!("{GOOD}---\n{GOOD}");
    for (content, found) in [
        ("", "found 0 objects"),
        (&two, "found 2 objects"),
        ("a: [", "found line 1: "),
        ("[]", r#"found apiVersion \"\", kind \"\""#),
        ("apiVersion: v1\nkind: Secret", r#"found apiVersion \"v1\", kind \"Secret\""#),
        (&GOOD.replace("Mutating", "Validating"), r#"kind \"ValidatingWebhookConfiguration\""#),
        (&GOOD.replace("pullgate", "''"), "found one without"),
        (&GOOD.replace("pullgate", "a/b"), r#"found the name \"a/b\": expected a name"#),
    ] {
        fs::write(&file, content).unwrap();
        let (code, stderr) = fails(folder.path(), &[]);
        assert_eq!(code, Some(2), "{content}: {stderr}");
        assert!(stderr.contains("registration.yaml: expected one MutatingWebhookConfiguration"), "{stderr}");
        assert!(stderr.contains(found), "{found}: {stderr}");
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let (code, stderr) = fails(folder.path(), &[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("registration.yaml: cannot be read: not a regular file"), "{stderr}");
    fs::remove_dir(&file).unwrap();
    let (code, stderr) = fails(folder.path(), &[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("registration.yaml: cannot be read"), "{stderr}");
}

#[test]
fn without_a_way_to_the_api_server_it_says_what_to_give() {
    let folder = folder();
    let (code, stderr) = fails(folder.path(), &[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("no ServiceAccount") && stderr.contains("--kubeconfig"), "{stderr}");
    let config = folder.path().join("kubeconfig");
    fs::write(&config, "# hidden\nclusters: 1\n# hidden").unwrap();
    let (code, stderr) = fails(folder.path(), &["--kubeconfig", config.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains(config.to_str().unwrap()) && !stderr.contains("hidden"), "{stderr}");
    for (content, problem) in [
        (b"\xff\xfe\0".to_vec(), "kubeconfig: cannot be read"),
        (
            KUBECONFIG.replace("token: secret", r#"token: "secret\n""#).into_bytes(),
            "the token has a line break",
        ),
        (
            KUBECONFIG.replace("server:", "proxy-url: http://proxy, server:").into_bytes(),
            "no client for the API server: ",
        ),
    ] {
        fs::write(&config, content).unwrap();
        let (code, stderr) = fails(folder.path(), &["--kubeconfig", config.to_str().unwrap()]);
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains(problem) && !stderr.contains("secret"), "{problem}: {stderr}");
        assert!(!stderr.contains("cannot be asked"), "nobody is asked yet: {stderr}");
    }
}

#[test]
fn a_label_has_a_key_and_a_value() {
    let (code, stderr) = fails(folder().path(), &["--if-labelled", "key"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("'--if-labelled <KEY=VALUE>': expected KEY=VALUE"), "{stderr}");
}

#[test]
fn names_that_are_none_are_refused_at_once() {
    let file = ["register", "--file", "registration.yaml"];
    for name in ["", "..", "a/b", "a b", "A", "a?b", "a-", "a.-b", "a."] {
        for (namespace, deployment) in [(name, "pullgate"), ("pullgate", name)] {
            let names = ["--namespace", namespace, "--deployment", deployment];
            let mut program = Program::run(&[&file[..], &names].concat(), &[]);
            let status = program.exits_within(SOON);
            assert_eq!(status.code(), Some(2), "{name}: {}", program.stderr());
            assert!(
                program.stderr().contains("expected a name: up to 253 of a-z, 0-9, - and ."),
                "{}",
                program.stderr()
            );
        }
    }
}

#[test]
fn an_api_server_that_does_not_answer_is_asked_until_time_is_up() {
    let folder = folder();
    let config = folder.path().join("kubeconfig");
    let (code, stderr) = fails(folder.path(), &["--timeout", "1", "--kubeconfig", config.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{stderr}");
    let [waiting, ended] = stderr.lines().collect::<Vec<_>>()[..] else { panic!("two lines: {stderr}") };
    let reason = "the API server cannot be asked: Connection refused";
    assert!(waiting.contains(r#""message":"waiting""#) && waiting.contains(reason), "{waiting}");
    assert!(
        ended.contains("nothing is registered after 1 s (--timeout)") && ended.contains(reason),
        "{ended}"
    );
}

#[test]
fn a_signal_ends_it() {
    let folder = folder();
    let config = folder.path().join("kubeconfig");
    for signal in ["TERM", "INT"] {
        let mut program = register(folder.path(), &["--kubeconfig", config.to_str().unwrap()]);
        eventually("it to wait", || program.stderr().contains("waiting").then_some(()));
        program.signal(signal);
        assert_eq!(program.exits_within(SOON).code(), Some(1), "{signal}");
        assert!(program.stderr().contains(&format!("ended by SIG{signal}")), "{}", program.stderr());
    }
}
