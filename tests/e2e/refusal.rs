//! A policy of the cluster that lets nobody write one Secret. No other test's writes are refused by it.

use serde_json::json;

use crate::controller::case::{login, pull_secret};
use crate::kubectl::kubectl;
use crate::space::{Space, unique};
use crate::wait::until;

/// Ends when dropped.
pub(crate) struct Refusal {
    policy: String,
}

/// What it says.
pub(crate) const REFUSED: &str = "no pull secrets here";

impl Refusal {
    /// Returns when it is in effect.
    #[track_caller]
    pub(crate) fn of(space: &Space, secret: &str) -> Self {
        let refusal = Self { policy: unique("refusal") };
        let api = "admissionregistration.k8s.io/v1";
        let policy = json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": refusal.policy},
            "spec": {
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name}},
                    "resourceRules": [{
                        "apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"],
                        "operations": ["CREATE", "UPDATE"], "resourceNames": [secret],
                    }],
                },
                "validations": [{"expression": "false", "message": REFUSED}],
            },
        });
        let binding = json!({
            "apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": refusal.policy},
            "spec": {"policyName": refusal.policy, "validationActions": ["Deny"]},
        });
        for object in [policy, binding] {
            kubectl("create -f -").input(&object).ok();
        }
        let object = pull_secret(secret, &login("any"));
        until("the policy in effect", || {
            let tried = space.kubectl("apply --dry-run=server -f -").input(&object).run();
            tried.err.contains(REFUSED).then_some(())
        });
        refusal
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        kubectl("delete validatingadmissionpolicybinding,validatingadmissionpolicy").word(&self.policy).run();
    }
}
