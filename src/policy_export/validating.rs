//! PURE: the policy that refuses what the rules would still change. It sees objects last, when nothing can change them
//! any more.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::images::left_alone;
use super::places::{Asked, places, places_before};
use super::{Action, Options, Unreadable, Variable, bound, cel, images, match_conditions, object, variables};
use crate::policy::{Policy, PullPolicy, PullSecrets};

/// A check and the variables that it needs.
struct Check {
    variables: Vec<Variable>,
    /// True where there is nothing to object to.
    expression: String,
    /// For when there are no better words: those of an expression are lost where they are too many.
    message: String,
    words: Option<String>,
}

/// The policy and its binding.
pub(super) fn objects(policy: &Policy, options: &Options, constraints: &Value) -> [Value; 2] {
    let mut checks = Vec::new();
    if policy.registries.is_active() {
        checks.push(misplaced(images::variables(&policy.registries, false)));
        if options.unreadable != Some(Unreadable::Allow) {
            checks.extend(unreadable());
        }
    }
    checks.extend(policy.pull_policy.map(unforced));
    checks.extend(policy.pull_secrets.as_ref().map(secrets));

    let validations: Vec<Value> = checks.iter().map(validation).collect();
    let all = checks.into_iter().flat_map(|check| check.variables).collect();
    let spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": constraints,
        "matchConditions": match_conditions(),
        "variables": variables(all),
        "validations": validations,
    });
    let mut binding = bound(&options.name, options);
    let actions = if options.action.is_empty() { &[Action::Audit][..] } else { &options.action };
    let mut known = BTreeSet::new();
    let actions: Vec<_> =
        actions.iter().map(|action| action.as_str()).filter(|action| known.insert(*action)).collect();
    binding.insert("validationActions".to_owned(), json!(actions));
    [
        object("ValidatingAdmissionPolicy", &options.name, &spec),
        object("ValidatingAdmissionPolicyBinding", &options.name, &binding.into()),
    ]
}

fn validation(check: &Check) -> Value {
    let Check { variables: _, expression, message, words } = check;
    let mut validation = json!({"expression": expression, "message": message, "reason": "Forbidden"});
    if let Some(words) = words {
        validation["messageExpression"] = json!(words);
    }
    validation
}

fn misplaced(variables: Vec<Variable>) -> Check {
    Check {
        variables,
        expression: "size(variables.misplaced) == 0".to_owned(),
        message: "images have to come from the configured registries".to_owned(),
        words: Some(sentence(
            "misplaced",
            "i.what + ' has the image ' + i.image + ' and may only have ' + i.to",
        )),
    }
}

/// They are named by their containers: what cannot be read may hold anything, a password too.
fn unreadable() -> [Check; 2] {
    let [unreadable, unplaceable] = left_alone();
    [
        Check {
            variables: vec![unreadable],
            expression: "size(variables.images) == size(variables.named)".to_owned(),
            message: "images have to be valid references".to_owned(),
            words: Some(sentence("unreadable", "i + ' has an image that is not a valid reference'")),
        },
        Check {
            variables: vec![unplaceable],
            expression: "size(variables.aimed) == size(variables.misplaced)".to_owned(),
            message: "images have to have a place at the configured registries".to_owned(),
            words: Some(sentence(
                "unplaceable",
                "i + ' has an image whose name would be longer than 255 characters where it has to come from'",
            )),
        },
    ]
}

/// The first three of a variable's items in words.
fn sentence(variable: &str, words: &str) -> String {
    let all = format!("variables.{variable}");
    format!(
        "(size({all}) > 3 ? [{all}[0], {all}[1], {all}[2]] : {all})\n\
         .map(i, {words}).join('; ') +\n\
         (size({all}) > 3 ? '; and ' + string(size({all}) - 3) + ' more' : '')"
    )
}

/// Pull policies, which no update can change, of containers and volumes that the request brings.
fn unforced(forced: PullPolicy) -> Check {
    let now = places("object", Asked::Policy, false);
    let unforced = format!(
        "({now})\n\
         .filter(i, i.policy != {} && !variables.policiesBefore.exists(b, b.what == i.what))",
        cel::text(forced.as_str())
    );
    let message = format!("has to be pulled by the policy {}", forced.as_str());
    Check {
        variables: vec![("policiesBefore", places_before(Asked::Policy)), ("unforced", unforced)],
        expression: "size(variables.unforced) == 0".to_owned(),
        words: Some(sentence("unforced", &format!("i.what + ' {message}'"))),
        message: format!("every image {message}"),
    }
}

/// Pull secrets, which no update can change.
fn secrets(secrets: &PullSecrets) -> Check {
    let PullSecrets { names, append } = secrets;
    let wanted = cel::list(names);
    let there = "object.spec.?imagePullSecrets.orValue([]).map(s, s.?name.orValue(''))".to_owned();
    let (holds, message) = if *append {
        (format!("variables.secrets.all(s, s in {there})"), "has to name these pull secrets")
    } else {
        (format!("{there} == variables.secrets"), "has to name these pull secrets and no others")
    };
    Check {
        variables: vec![("secrets", wanted)],
        expression: format!("oldObject != null || {holds}"),
        message: format!("the Pod {message}: {}", names.join(", ")),
        words: None,
    }
}
