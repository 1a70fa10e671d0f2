//! `pullgate policy`, as far as it can be tried without an API server: what is printed, what is refused, and that the
//! patterns in it read images as the webhook does. `tests/e2e/policy` has the rest.

use std::fs;
use std::time::Duration;

use proptest::prelude::*;
use pullgate::config::load_policy;
use pullgate::image::{Malformed, Reference};
use pullgate::offline::yaml;
use pullgate::policy_export::cel;
use regex::Regex;
use serde_json::{Value, json};

use crate::docs::{read, root};
use crate::image_properties::image;
use crate::program::Program;

/// Exit status, standard output, standard error.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut program = Program::run(&[&["policy"], arguments].concat(), environment);
    let status = program.exits_within(Duration::from_secs(30));
    (status.code(), program.stdout(), program.stderr())
}

/// Policy and binding.
fn printed(arguments: &[&str], environment: &[(&str, &str)]) -> [Value; 2] {
    let (status, out, err) = run(arguments, environment);
    assert_eq!(status, Some(0), "{err}");
    let values: Vec<_> = yaml::read(&out).into_iter().map(|document| document.value.unwrap()).collect();
    values.try_into().unwrap()
}

fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let (status, out, err) = run(arguments, environment);
    assert_eq!((status, out.as_str()), (Some(2), ""), "{err}");
    err
}

const REGISTRY: [(&str, &str); 1] = [("REGISTRY", "registry.example")];

#[test]
fn the_policies_of_examples_are_those_of_their_settings() {
    for (settings, arguments, file) in [
        ("one-registry", ["--action=Deny"].as_slice(), "one-registry.yaml"),
        ("registry-map", &["--action=Audit,Warn", "--unreadable=allow"], "registry-map.yaml"),
        ("registry-map", &["--kind=mutating"], "registry-map-mutating.yaml"),
        (
            "local-images",
            &["--kind=mutating", "--namespace-selector=team=shop"],
            "local-images-mutating.yaml",
        ),
    ] {
        let environment = fs::read_to_string(root().join(format!("examples/env/{settings}.env"))).unwrap();
        let environment: Vec<_> = environment
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .collect();
        let (status, out, err) = run(arguments, &environment);
        assert_eq!(status, Some(0), "{err}");
        let head = format!(
            "# The settings of examples/env/{settings}.env as a policy: pullgate policy {}\n",
            arguments.join(" ")
        );
        let path = root().join("examples/policies").join(file);
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(&path, format!("{head}{out}")).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == format!("{head}{out}"),
            "{} is not what is printed: UPDATE_GENERATED=1 cargo test --test it policy_export",
            path.display()
        );
    }
}

#[test]
fn the_policy_is_for_the_namespaces_of_the_registration() {
    let environment = [("REGISTRY", "registry.example"), ("EXCLUDE_NAMESPACES", "kube-public, a")];
    for kind in ["--kind=validating", "--kind=mutating"] {
        let arguments = [
            kind,
            "--namespace=infra",
            "--name=images",
            "--namespace-selector=a=b",
            "--namespace-selector=c=",
        ];
        let [policy, binding] = printed(&arguments, &environment);
        assert_eq!(
            policy["spec"]["matchConstraints"]["namespaceSelector"],
            json!({"matchExpressions": [{
                "key": "kubernetes.io/metadata.name", "operator": "NotIn",
                "values": ["a", "infra", "kube-public", "kube-system"],
            }]})
        );
        assert_eq!(
            (&policy["metadata"]["name"], &binding["metadata"]["name"], &binding["spec"]["policyName"]),
            (&json!("images"), &json!("images"), &json!("images"))
        );
        let labels = json!({"namespaceSelector": {"matchLabels": {"a": "b", "c": ""}}});
        assert_eq!(binding["spec"]["matchResources"], labels);
        assert_eq!(policy["spec"]["failurePolicy"], "Fail");
    }
}

/// The requests and conditions of the registration that the deployment script writes.
#[test]
fn the_policy_is_for_the_requests_of_the_registration() {
    let template = fs::read_to_string(root().join("deployment/40-webhook-configuration.yaml.tmpl")).unwrap();
    let pods = template
        .split("name: pods.pullgate.svc")
        .nth(1)
        .unwrap()
        .split("name: claims.pullgate.svc")
        .next()
        .unwrap();
    let [policy, _] = printed(&[], &REGISTRY);
    for condition in policy["spec"]["matchConditions"].as_array().unwrap() {
        let name = condition["name"].as_str().unwrap();
        let line = format!("- name: {name}\n        expression: {}", json!(condition["expression"]));
        assert!(pods.contains(&line), "{line}");
    }
    assert_eq!(
        pods.matches("- name: is-").count(),
        policy["spec"]["matchConditions"].as_array().unwrap().len()
    );
    let rules: Vec<_> = policy["spec"]["matchConstraints"]["resourceRules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| {
            let words = |field: &str| {
                let list: Vec<_> =
                    rule[field].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
                list.join(", ")
            };
            format!("operations: [{}]\n        resources: [{}]", words("operations"), words("resources"))
        })
        .collect();
    for rule in &rules {
        assert!(pods.contains(rule.as_str()), "{rule}");
    }
    assert_eq!(pods.matches("operations: ").count(), rules.len());
}

#[test]
fn actions_are_those_of_the_field_in_any_case() {
    for (arguments, actions) in [
        (&[][..], json!(["Audit"])),
        (&["--action=deny"], json!(["Deny"])),
        (&["--action=Deny,audit"], json!(["Deny", "Audit"])),
        (&["--action=Deny,deny"], json!(["Deny"])),
        (&["--action", "WARN"], json!(["Warn"])),
    ] {
        let [_, binding] = printed(arguments, &REGISTRY);
        assert_eq!(binding["spec"]["validationActions"], actions);
    }
}

#[test]
fn what_no_policy_can_do_is_refused_and_named() {
    for (arguments, environment, words) in [
        (&[][..], &[][..], "error: there is no rule for Pods: set REGISTRY, "),
        (&[], &[("DEFAULT_STORAGE_CLASS", "fast")], "error: there is no rule for Pods: set REGISTRY, "),
        (
            &["--kind=mutating"],
            &[("REGISTRY", "r.example"), ("DEFAULT_STORAGE_CLASS", "fast")],
            "error: DEFAULT_STORAGE_CLASS: a mutating policy changes Pods only",
        ),
        (
            &["--kind=mutating"],
            &[("REGISTRY", "r.example"), ("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME", "pull")],
            "error: CONFIG_TARGET_IMAGE_PULL_SECRET_NAME: a mutating policy changes Pods only",
        ),
        (
            &["--kind=mutating"],
            &[("REGISTRY", "r.example"), ("MODE", "audit")],
            "error: MODE=audit: a mutating policy changes what it objects to",
        ),
        (&["--action=Deny,Warn"], &REGISTRY, "error: --action: `Deny` and `Warn` exclude each other"),
        (
            &["--kind=mutating", "--action=Deny"],
            &REGISTRY,
            "error: --action: a mutating policy changes what it objects to",
        ),
        (
            &["--kind=mutating", "--unreadable=refuse"],
            &REGISTRY,
            "error: --unreadable: a mutating policy changes",
        ),
        (&["--action=Refuse"], &REGISTRY, "error: invalid value 'Refuse' for '--action <ACTION>'"),
        (
            &["--namespace=a b"],
            &REGISTRY,
            "error: invalid value 'a b' for '--namespace <NAME>': is not a name of a namespace",
        ),
        (
            &["--name=-"],
            &REGISTRY,
            "error: invalid value '-' for '--name <NAME>': is not a Kubernetes object name",
        ),
        (
            &["--namespace-selector=a"],
            &REGISTRY,
            "error: invalid value 'a' for '--namespace-selector <KEY=VALUE>': expected a label: KEY=VALUE",
        ),
        (
            &["--namespace-selector=a=b c"],
            &REGISTRY,
            "error: invalid value 'a=b c' for '--namespace-selector <KEY=VALUE>': expected a label: KEY=VALUE",
        ),
        (
            &["--namespace-selector=a=1", "--namespace-selector=a==2"],
            &REGISTRY,
            "error: --namespace-selector: label `a` is given two values, which no namespace has",
        ),
        (
            &[],
            &[("REGISTRY", "https://r.example")],
            "error: REGISTRY=\"https://r.example\": a registry is written without a scheme",
        ),
    ] {
        let err = refused(arguments, environment);
        assert!(err.contains(words), "{arguments:?} {environment:?}: {err}");
    }
}

#[test]
fn a_validating_policy_says_what_it_does_not_check_and_what_would_be_refused() {
    let environment = [("REGISTRY", "r.example"), ("DEFAULT_STORAGE_CLASS", "fast"), ("MODE", "audit")];
    let note = "note: DEFAULT_STORAGE_CLASS is not part of the policy, which is for Pods only\n";
    let (status, _, err) = run(&[], &environment);
    assert_eq!((status, err.as_str()), (Some(0), note));
    let (status, _, err) = run(&["--action=Deny"], &environment);
    let warning = "warning: MODE=audit: a webhook that changes nothing leaves everything to the policy, which refuses it\n";
    assert_eq!((status, err), (Some(0), [note, warning].concat()));
}

#[test]
fn documented_commands_print_policies() {
    let text = read("docs/policy.md");
    let commands = text.lines().filter_map(|line| line.trim().strip_prefix("pullgate policy"));
    let commands: Vec<_> = commands.map(|rest| rest.split(['|', '#']).next().unwrap()).collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands {
        let arguments: Vec<_> = command.split_whitespace().collect();
        printed(&arguments, &REGISTRY);
    }
}

/// The patterns of a variable, in order.
fn patterns(policy: &Value, variable: &str) -> Vec<Regex> {
    let variables = policy["spec"]["variables"].as_array().unwrap();
    let variable = variables.iter().find(|it| it["name"] == variable).unwrap();
    let expression = variable["expression"].as_str().unwrap();
    expression.split("r'").skip(1).map(|rest| Regex::new(rest.split('\'').next().unwrap()).unwrap()).collect()
}

#[test]
fn the_patterns_read_images_as_the_webhook_does() {
    let [policy, _] = printed(&[], &REGISTRY);
    let [grammar, no_name]: [Regex; 2] = patterns(&policy, "readable").try_into().unwrap();
    let [host, suffix]: [Regex; 2] = patterns(&policy, "parsed").try_into().unwrap();
    let found =
        |pattern: &Regex, image: &str| pattern.find(image).map_or(String::new(), |it| it.as_str().to_owned());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(5000));
    runner
        .run(&image(), |image| {
            let readable = grammar.is_match(&image) && !no_name.is_match(&image);
            match Reference::parse(&image) {
                Ok(reference) => {
                    prop_assert!(readable);
                    let written = reference.host.map_or(String::new(), |host| format!("{host}/"));
                    prop_assert_eq!(found(&host, &image), written);
                    prop_assert_eq!(found(&suffix, &image), reference.suffix);
                }
                // Length is counted, not matched.
                Err(Malformed::TooLong) => prop_assert!(readable),
                Err(_) => prop_assert!(!readable),
            }
            Ok(())
        })
        .unwrap();
}

/// Reads a literal as CEL does, with the escapes that may be in it; fails on what would end it early.
fn read_literal(literal: &str) -> String {
    let inner = literal.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap();
    let (mut text, mut chars) = (String::new(), inner.chars());
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => match chars.next().unwrap() {
                'U' => {
                    let hex: String = chars.by_ref().take(8).collect();
                    assert_eq!(hex.len(), 8);
                    char::from_u32(u32::from_str_radix(&hex, 16).unwrap()).unwrap()
                }
                c @ ('\\' | '\'') => c,
                other => panic!("\\{other} is no escape that is written"),
            },
            '\'' => panic!("{literal} ends early"),
            c => c,
        });
    }
    text
}

proptest! {
    #[test]
    fn any_text_is_the_same_text_as_a_literal(text in prop_oneof![any::<String>(), "['\\\\\n\r\t\"`${}r]{0,20}"]) {
        let literal = cel::text(&text);
        prop_assert!(literal.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", literal);
        prop_assert_eq!(read_literal(&literal), text);
    }
}

/// No rule is left out, and none can be misread, whatever registries are called.
#[test]
fn every_rule_is_in_the_policy() {
    let map: Vec<_> = (0..200).map(|n| format!("r{n}.example/a__b={n}.mirror.example:5000/x--y")).collect();
    let map = map.join(",");
    let ignored: Vec<_> = (0..50).map(|n| format!("i{n}.example")).collect();
    let ignored = ignored.join(",");
    let environment = [("REGISTRY_MAP", map.as_str()), ("IGNORED_REGISTRIES", ignored.as_str())];
    let [policy, _] = printed(&[], &environment);
    let text = policy.to_string();
    let environment = environment.map(|(name, value)| (name.into(), value.into()));
    let rules = load_policy(environment).unwrap().0.registries;
    assert_eq!((rules.rules.len(), rules.ignored.len()), (200, 50));
    for rule in &rules.rules {
        assert!(text.contains(&format!("'{}/': '{}/'", rule.source.key, rule.target.text)), "{rule:?}");
        assert!(text.contains(&format!("'{}/',\\n", rule.source.key)), "{rule:?}");
    }
    for kept in rules.ignored.iter().chain(rules.targets()) {
        assert!(text.contains(&format!("  '{}/'", kept.key)), "{kept:?}");
    }
}
