//! `pullgate refresher`: one Secret of one namespace, with rights there and nowhere else.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::case::{passwords, source};
use crate::controller::case::{Case, uid};
use crate::controller::rights::objects;
use crate::wait::{never, soon};
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
    on_free_ports(|[port, _]| {
        let mut command = Command::new(program());
        command.args(["refresher", &format!("--target-secret={}.{TARGET}", case.home.name)]);
        command.args(sources.iter().map(|name| format!("--source-secret={}.{name}", case.home.name)));
        command.arg(format!("--metrics-addr=127.0.0.1:{port}")).arg("--kubeconfig").arg(kubeconfig);
        Process::start(command, &LOGGING, format!("127.0.0.1:{port}"))
    })
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
