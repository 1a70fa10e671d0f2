//! Admission cases as folders: what the API server sent, how pullgate was configured, what it must answer.
//!
//! `tests/fixtures/cases/<what happens>/` holds `review.json` (the body of the call; names that start with
//! `recorded-` come from a real kube-apiserver), `env.json` (the variables) and `response.json` (the answer, its
//! patch decoded). `UPDATE_FIXTURES=1 cargo test --test it fixtures` rewrites `response.json`: read the diff.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use pullgate::admit::Outcome;
use pullgate::answer::answer;
use pullgate::config::load_policy;
use pullgate::patch::to_json;
use pullgate::policy::{Mode, Policy};
use serde_json::Value;

struct Case {
    name: String,
    folder: PathBuf,
    policy: Policy,
    /// Exactly as it would come in: escapes and the order of keys matter.
    review: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases");
    let mut folders: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.into_iter().map(read_case).collect()
}

fn read_case(folder: PathBuf) -> Case {
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    let read = |file: &str| fs::read(folder.join(file)).unwrap_or_else(|e| panic!("{name}/{file}: {e}"));
    let variables: serde_json::Map<String, Value> = serde_json::from_slice(&read("env.json")).unwrap();
    let pairs = variables.into_iter().map(|(name, value)| {
        (OsString::from(name), OsString::from(value.as_str().expect("variables are strings")))
    });
    let (policy, _) = load_policy(pairs).unwrap_or_else(|errors| panic!("{name}/env.json: {errors:?}"));
    Case { policy, review: read("review.json"), name, folder }
}

/// The answer as it goes out, and with its patch decoded.
fn ask(case: &Case, body: &[u8]) -> (Vec<u8>, Value) {
    let bytes = answer(&case.policy, body, |_| ()).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let mut answered: Value = serde_json::from_slice(&bytes).unwrap();
    let response = answered["response"].as_object_mut().unwrap();
    assert_eq!(response.contains_key("patch"), response.contains_key("patchType"), "{}", case.name);
    if let Some(patch) = response.get_mut("patch") {
        *patch = serde_json::from_slice(&STANDARD.decode(patch.as_str().unwrap()).unwrap()).unwrap();
    }
    (bytes, answered)
}

#[test]
fn every_case_is_answered_as_its_response_says() {
    let update = std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1");
    let mut wrong = Vec::new();
    for case in cases() {
        let (_, answered) = ask(&case, &case.review);
        let file = case.folder.join("response.json");
        if update {
            fs::write(&file, serde_json::to_string_pretty(&answered).unwrap() + "\n").unwrap();
        }
        let expected: Value =
            serde_json::from_slice(&fs::read(&file).unwrap_or_else(|e| panic!("{file:?}: {e}"))).unwrap();
        if answered != expected {
            wrong.push(format!("{}:\n  expected {expected}\n  answered {answered}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_patch_applies_and_the_patched_object_needs_none() {
    let mut patches = 0;
    for case in cases() {
        let (_, answered) = ask(&case, &case.review);
        let Some(patch) = answered["response"].get("patch") else { continue };
        patches += 1;
        let patch: Patch = serde_json::from_value(patch.clone()).unwrap();
        let mut review: Value = serde_json::from_slice(&case.review).unwrap();
        json_patch::patch(&mut review["request"]["object"], &patch)
            .unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let (_, again) = ask(&case, &serde_json::to_vec(&review).unwrap());
        assert_eq!(again["response"].get("patch"), None, "{}", case.name);
    }
    assert!(patches > 0, "no case has a patch");
}

#[test]
fn the_same_review_gets_the_same_bytes() {
    for case in cases() {
        assert_eq!(ask(&case, &case.review).0, ask(&case, &case.review).0, "{}", case.name);
    }
}

#[test]
fn every_answer_keeps_the_contract_of_admission() {
    for case in cases() {
        let name = &case.name;
        let request: Value = serde_json::from_slice(&case.review).unwrap();
        let (_, answered) = ask(&case, &case.review);
        assert_eq!(answered["apiVersion"], "admission.k8s.io/v1", "{name}");
        assert_eq!(answered["kind"], "AdmissionReview", "{name}");
        assert_eq!(answered.get("request"), None, "{name}");
        let response = answered["response"].as_object().unwrap();
        assert_eq!(response["uid"], request["request"]["uid"], "{name}");
        assert!(response["allowed"].is_boolean(), "{name}");
        if response["allowed"] == false {
            assert!(response["status"]["code"].as_u64() >= Some(400), "{name}");
            assert!(!response.contains_key("patch"), "{name}");
        }
        let warnings = response.get("warnings").map_or(&[][..], |list| list.as_array().unwrap());
        assert!(warnings.len() <= 5, "{name}");
        for warning in warnings {
            let warning = warning.as_str().unwrap();
            assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control), "{name}");
        }
        let audit = response.get("auditAnnotations").and_then(Value::as_object);
        assert!(audit.into_iter().flatten().all(|(key, _)| !key.contains('/')), "{name}");
        for operation in response.get("patch").and_then(Value::as_array).into_iter().flatten() {
            assert!(operation["op"] == "add" || operation["op"] == "replace", "{name}");
        }
    }
}

#[test]
fn there_are_cases_and_enough_of_them_are_recorded() {
    let names: Vec<_> = cases().into_iter().map(|case| case.name).collect();
    assert!(names.len() >= 40, "{} cases", names.len());
    assert!(names.iter().filter(|name| name.starts_with("recorded-")).count() >= 10);
}

#[test]
fn in_audit_mode_every_case_is_allowed_without_a_patch_and_told_where_it_would_not_be() {
    for mut case in cases() {
        let before = ask(&case, &case.review).1;
        case.policy.mode = Mode::Audit;
        let (mut outcome, mut withheld) = (None, String::new());
        let bytes = answer(&case.policy, &case.review, |admitted| {
            outcome = Some(admitted.outcome);
            withheld = to_json(&admitted.verdict.withheld).unwrap();
        });
        let answered: Value = serde_json::from_slice(&bytes.unwrap()).unwrap();
        let response = &answered["response"];
        assert_eq!(response["allowed"], true, "{}", case.name);
        assert!(
            response.get("patch").is_none() && response.get("auditAnnotations").is_none(),
            "{}",
            case.name
        );
        if case.name.starts_with("in-audit-mode") {
            continue;
        }
        let warned = response["warnings"].as_array().is_some_and(|all| !all.is_empty());
        let expected = match (before["response"]["allowed"].as_bool(), before["response"].get("patch")) {
            (Some(false), _) => Outcome::WouldDeny,
            (_, Some(patch)) => {
                assert_eq!(serde_json::from_str::<Value>(&withheld).unwrap(), *patch, "{}", case.name);
                Outcome::WouldPatch
            }
            _ => continue,
        };
        assert_eq!(outcome, Some(expected), "{}", case.name);
        assert!(warned, "{}", case.name);
    }
}
