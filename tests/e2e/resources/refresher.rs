//! `pullgate refresher`: one Secret of one namespace, with rights there and nowhere else.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::aws::{Aws, Mood};
use super::case::{passwords, source};
use super::ecr::{HOST, KEY, SECRET, login};
use crate::controller::case::{Case, uid};
use crate::controller::rights::objects;
use crate::kubectl::kubectl;
use crate::space::Space;
use crate::wait::{never, soon, until};
use crate::webhook::{LOGGING, Process, on_free_ports, program};

const TARGET: &str = "merged";

/// The rights of the example, for a user of one's own.
#[track_caller]
fn user(case: &Case) -> PathBuf {
    let user = case.user();
    let example = format!("{}/examples/imagepullsecrets/refresher.yaml", env!("CARGO_MANIFEST_DIR"));
    let example = objects(&example);
    let role = example.iter().find(|object| object["kind"] == "Role").expect("a role");
    let rules = role["rules"].to_string();
    let rules =
        rules.replace("docker-hub", "one").replace("ecr-frankfurt", "two").replace("registries", TARGET);
    let rules: Value = serde_json::from_str(&rules).expect("JSON");
    let api = "rbac.authorization.k8s.io";
    let role = json!({"apiVersion": format!("{api}/v1"), "kind": "Role", "metadata": {"name": user}, "rules": rules});
    let binding = json!({
        "apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": {"name": user},
        "roleRef": {"apiGroup": api, "kind": "Role", "name": user},
        "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
    });
    for object in [role, binding] {
        case.home.kubectl("create -f -").input(&object).ok();
    }
    case.kubeconfig(&user, |config| {
        config["users"][0]["user"].as_object_mut().expect("a user").remove("as-groups");
    })
}

#[track_caller]
fn refresher(case: &Case, kubeconfig: &Path, sources: &[&str]) -> Process {
    refresher_in(&case.home, case, kubeconfig, sources, &[])
}

/// One that writes in a namespace that may be another one.
#[track_caller]
fn refresher_in(
    space: &Space,
    case: &Case,
    kubeconfig: &Path,
    sources: &[&str],
    settings: &[(&str, &str)],
) -> Process {
    let settings: Vec<_> = LOGGING.iter().chain(settings).copied().collect();
    on_free_ports(|[port, _]| {
        let mut command = Command::new(program());
        command.args(["refresher", &format!("--target-secret={}.{TARGET}", space.name)]);
        command.args(sources.iter().map(|name| format!("--source-secret={}.{name}", case.home.name)));
        command.arg(format!("--metrics-addr=127.0.0.1:{port}")).arg("--kubeconfig").arg(kubeconfig);
        Process::start(command, &settings, format!("127.0.0.1:{port}"))
    })
}

fn in_sync(process: &Process) -> bool {
    process.count("pullgate_controller_secrets", &["state=\"in_sync\""]) == 1
}

fn reconciles(process: &Process, outcome: &str) -> u64 {
    process.count("pullgate_controller_reconciles_total", &[&format!("outcome=\"{outcome}\"")])
}

/// Seconds until the credentials for a registry end, less than 0 when they have.
fn expiry(process: &Process, registry: &str) -> Option<i64> {
    let metrics = process.get("/metrics")?;
    let name = format!("pullgate_controller_credentials_expiry_seconds{{registry=\"{registry}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok())
}

#[track_caller]
fn target(case: &Case) -> Option<Value> {
    let line = format!("get secret {TARGET} --ignore-not-found -o json");
    serde_json::from_str(&case.home.kubectl(&line).ok().out).ok()
}

/// Waits until it has these passwords by registry, and no other.
#[track_caller]
fn has(case: &Case, expected: &[(&str, &str)]) -> Value {
    let expected = expected.iter().map(|(name, password)| ((*name).to_owned(), (*password).to_owned()));
    let expected = expected.collect();
    soon(&format!("{expected:?}"), || target(case).filter(|secret| passwords(secret) == expected))
}

#[test]
fn one_secret_is_kept_as_several_others_say() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1"), ("both.example", "1")]);
    source(&case.home, "two", &[("both.example", "2")]);
    let kubeconfig = user(&case);
    let process = refresher(&case, &kubeconfig, &["one", "two"]);
    let all = [("a.example", "1"), ("both.example", "2")];
    let first = has(&case, &all);
    assert!(process.is_ready(), "{}", process.log());
    assert_eq!(first["type"], "kubernetes.io/dockerconfigjson");

    source(&case.home, "one", &[("a.example", "new"), ("both.example", "1")]);
    let after = has(&case, &[("a.example", "new"), ("both.example", "2")]);
    assert_eq!(uid(&after), uid(&first), "updated in place");
    case.home.kubectl(&format!("delete secret {TARGET}")).ok();
    has(&case, &[("a.example", "new"), ("both.example", "2")]);
    assert_eq!(process.count("pullgate_controller_secrets", &["state=\"in_sync\""]), 1);
    never("a namespace without rights", || process.log().contains("forbidden").then_some(()));
}

/// Also where the process begins anew meanwhile.
#[test]
fn what_a_source_gave_stays_while_it_is_gone() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    source(&case.home, "two", &[("b.example", "2")]);
    let kubeconfig = user(&case);
    let process = refresher(&case, &kubeconfig, &["one", "two"]);
    let both = [("a.example", "1"), ("b.example", "2")];
    has(&case, &both);
    case.home.kubectl("delete secret two").ok();
    soon("that the source is gone", || process.log().contains("two").then_some(()));
    source(&case.home, "one", &[("a.example", "new")]);
    has(&case, &[("a.example", "new"), ("b.example", "2")]);
    drop(process);
    source(&case.home, "one", &[("a.example", "newer")]);
    let _process = refresher(&case, &kubeconfig, &["one", "two"]);
    has(&case, &[("a.example", "newer"), ("b.example", "2")]);
    source(&case.home, "two", &[("b.example", "back")]);
    has(&case, &[("a.example", "newer"), ("b.example", "back")]);
}

#[test]
fn what_is_written_cannot_be_what_is_read() {
    let case = Case::new();
    source(&case.home, TARGET, &[("a.example", "1")]);
    let before = target(&case);
    let place = format!("{}.{TARGET}", case.home.name);
    let flags = [format!("--target-secret={place}"), format!("--source-secret={place}")];
    let ran = Command::new(program()).arg("refresher").args(&flags).output().expect("the program can be run");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(said.contains("--source-secret") && said.contains(&place), "{said}");
    assert_eq!(target(&case), before);
}

#[test]
fn when_tokens_end_is_told_also_when_they_have() {
    let case = Case::new();
    let aws = Aws::new(KEY, SECRET);
    aws.set(Mood::Gives { seconds: 20 });
    login(&case, "one", &json!({}));
    source(&case.home, "two", &[("a.example", "1")]);
    let kubeconfig = user(&case);
    let endpoint = [("AWS_ENDPOINT_URL", aws.url.as_str())];
    let process = refresher_in(&case.home, &case, &kubeconfig, &["one", "two"], &endpoint);
    let seconds = soon("when it ends", || expiry(&process, HOST));
    assert!((0..=20).contains(&seconds), "{seconds}");
    aws.set(Mood::Throttles);
    until("its end", || expiry(&process, HOST).filter(|seconds| *seconds < 0));
    // It does not end.
    assert_eq!(expiry(&process, "a.example"), None);
}

#[test]
fn a_namespace_that_is_missing_is_told_once_that_lasts() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "1")]);
    let user = case.user();
    let kubeconfig = case.kubeconfig(&user, |_| ());
    let space = case.home.sibling();
    kubectl(&format!("delete namespace {} --wait", space.name)).ok();
    let process = refresher_in(&space, &case, &kubeconfig, &["one"], &[]);
    let said = until("a warning", || {
        let log = process.log();
        log.lines().find(|line| line.contains(" WARN ") && line.contains(&space.name)).map(str::to_owned)
    });
    assert!(said.contains("not found") && said.contains("failures=5"), "{said}");
    assert!(reconciles(&process, "conflict") >= 5, "{:?}", process.get("/metrics"));
    assert_eq!((in_sync(&process), reconciles(&process, "changed")), (false, 0));
    kubectl(&format!("create namespace {}", space.name)).ok();
    until("what was written at last", || in_sync(&process).then_some(()));
    assert_eq!((reconciles(&process, "changed"), reconciles(&process, "error")), (1, 0));
}

#[test]
fn what_could_not_be_written_is_not_in_sync() {
    let case = Case::new();
    source(&case.home, "one", &[("a.example", "0")]);
    let kubeconfig = user(&case);
    let process = refresher(&case, &kubeconfig, &["one"]);
    soon("what was written", || in_sync(&process).then_some(()));
    assert_eq!((reconciles(&process, "changed"), reconciles(&process, "error")), (1, 0));
    case.home.kubectl("delete rolebinding --all").ok();
    // It takes the API server a moment to know.
    let mut password = 0;
    until("a write that fails", || {
        password += 1;
        source(&case.home, "one", &[("a.example", &password.to_string())]);
        (reconciles(&process, "error") > 0).then_some(())
    });
    never("in sync", || in_sync(&process).then_some(()));
    assert!(process.log().contains("forbidden"), "{}", process.log());
}
