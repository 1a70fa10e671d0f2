//! PURE: the policy that makes the webhook's changes: a patch for each topic, in the webhook's order.
//!
//! Like the webhook's, they come to nothing the second time, and on updates they set back what cannot change.

use serde_json::{Value, json};

use super::places::{Asked, places, places_before};
use super::{Options, Variable, bound, cel, images, match_conditions, object, variables};
use crate::policy::{Policy, PullPolicy, PullSecrets};

/// The policy and its binding.
pub(super) fn objects(policy: &Policy, options: &Options, constraints: &Value) -> [Value; 2] {
    let (mut all, mut mutations) = (Vec::new(), Vec::new());
    if policy.registries.is_active() {
        all.extend(images::variables(&policy.registries, true));
        mutations.push(images_to_targets());
    }
    if let Some(forced) = policy.pull_policy {
        let (variables, mutation) = pull_policies(forced);
        all.extend(variables);
        mutations.push(mutation);
    }
    if let Some(secrets) = &policy.pull_secrets {
        let (variables, mutation) = pull_secrets(secrets);
        all.extend(variables);
        mutations.push(mutation);
    }
    // One patch, since the API server writes and reads the whole Pod for each.
    let expression = mutations.join(" +\n");
    let spec = json!({
        "failurePolicy": "Fail",
        "reinvocationPolicy": "IfNeeded",
        "matchConstraints": constraints,
        "matchConditions": match_conditions(),
        "variables": variables(all),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    });
    [
        object("MutatingAdmissionPolicy", &options.name, &spec),
        object("MutatingAdmissionPolicyBinding", &options.name, &bound(&options.name, options).into()),
    ]
}

/// `mutate::image`. An image volume cannot change once it is there.
fn images_to_targets() -> String {
    "variables.misplaced\n\
     .filter(i, oldObject == null || !i.what.startsWith('volume ') ||\n  \
     variables.imagesBefore.exists(b, b.what == i.what && b.image == i.to))\n\
     .map(i, JSONPatch{op: 'replace', path: i.pointer, value: i.to})"
        .to_owned()
}

/// `mutate::pull_policy`. On an update it is only set back, but for containers of `kubectl debug`: these are new.
fn pull_policies(forced: PullPolicy) -> ([Variable; 2], String) {
    let forced = cel::text(forced.as_str());
    let now = places("object", Asked::Policy, true);
    let unforced = format!(
        "({now})\n\
         .filter(i, i.policy != {forced} && (oldObject == null || (i.what.startsWith('ephemeralContainer ') ?\n  \
         !variables.policiesBefore.exists(b, b.what == i.what) :\n  \
         variables.policiesBefore.exists(b, b.what == i.what && b.policy == {forced}))))"
    );
    let variables = [("policiesBefore", places_before(Asked::Policy)), ("unforced", unforced)];
    let mutation =
        format!("variables.unforced.map(i, JSONPatch{{op: 'add', path: i.pointer, value: {forced}}})");
    (variables, mutation)
}

/// `mutate::pull_secret`
fn pull_secrets(secrets: &PullSecrets) -> ([Variable; 4], String) {
    let PullSecrets { names, append } = secrets;
    let of = |pod: &str| format!("{pod}.spec.?imagePullSecrets.orValue([]).map(s, s.?name.orValue(''))");
    let wanted = if *append {
        "variables.listed + variables.secrets.filter(s, !(s in variables.listed))"
    } else {
        "variables.secrets"
    };
    let variables = [
        ("secrets", cel::list(names)),
        ("listed", of("object")),
        ("wanted", wanted.to_owned()),
        ("settable", format!("oldObject == null || {} == variables.wanted", of("oldObject"))),
    ];
    let mutation = "(variables.wanted == variables.listed || !variables.settable ? [] :\n\
                    [JSONPatch{op: 'add', path: '/spec/imagePullSecrets', value: variables.wanted.map(s, {'name': s})}])";
    (variables, mutation.to_owned())
}
