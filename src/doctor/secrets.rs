//! PURE: references of ServiceAccounts, copies of the pull secret, and the controller's rights.

use serde_json::Value;

use super::finding::{Report, Severity};
use super::seen::{Copy, Distribution, Seen, is_for, list, text};
use super::workloads::MOST;
use crate::controller::engine::OPT_OUT;

/// Accounts that should reference the pull secret and do not.
pub(super) fn accounts(seen: &Seen, report: &mut Report) {
    let hook = seen.webhooks().find(|webhook| is_for(webhook, "serviceaccounts"));
    let by_policy = match &seen.policy {
        Some(Ok(policy)) => policy.service_accounts.as_ref().map(|rule| Distribution {
            secret: rule.secret.clone(),
            source: (String::new(), String::new()),
            has_others: false,
            overwrites: false,
            excluded: rule.excluded_namespaces.clone(),
            accounts: rule.names.clone(),
        }),
        _ => None,
    };
    // What the controller does says more: it heals, wherever no webhook is called.
    let Some(rule) = seen.distribution.as_ref().or(by_policy.as_ref()) else { return };
    let is_reached = |namespace: &str| {
        seen.distribution.is_some() || hook.is_none_or(|webhook| seen.reaches(webhook, namespace))
    };
    let is_left = |namespace: &str| {
        seen.copies.as_ref().is_some_and(|copies| !rule.overwrites && copies.is_somebody_elses(namespace))
    };
    let lacking: Vec<_> = seen
        .accounts
        .iter()
        .filter(|account| {
            let namespace = text(account, "/metadata/namespace");
            is_meant(seen, rule, namespace)
                && is_reached(namespace)
                && !is_left(namespace)
                && rule.accounts.cover(text(account, "/metadata/name"))
                && account["metadata"].get("deletionTimestamp").is_none()
                && !list(account, "/imagePullSecrets").iter().any(|it| text(it, "/name") == rule.secret)
        })
        .collect();
    for account in lacking.iter().take(MOST) {
        let (namespace, name) = (text(account, "/metadata/namespace"), text(account, "/metadata/name"));
        let problem = format!("ServiceAccount {namespace}/{name} does not reference {}", rule.secret);
        let entry = format!("{{\"name\":\"{}\"}}", rule.secret);
        let (path, value) = if list(account, "/imagePullSecrets").is_empty() {
            ("/imagePullSecrets", format!("[{entry}]"))
        } else {
            ("/imagePullSecrets/-", entry)
        };
        let mend = format!(
            "kubectl --namespace {namespace} patch serviceaccount {name} --type=json --patch='[{{\"op\":\"add\",\"path\":\"{path}\",\"value\":{value}}}]'"
        );
        report.add("accounts", Severity::Warning, problem, mend);
    }
    if lacking.len() > MOST {
        let problem = format!("and {} more ServiceAccounts", lacking.len() - MOST);
        report.add("accounts", Severity::Warning, problem, look_at_controller(seen));
    }
}

/// Copies that are missing or not as the source.
pub(super) fn copies(seen: &Seen, report: &mut Report) {
    let (Some(rule), Some(copies)) = (&seen.distribution, &seen.copies) else { return };
    let Distribution { secret, source: (namespace, name), .. } = rule;
    if copies.source.is_none() && !rule.has_others {
        if seen.resources.is_empty() {
            let problem = format!("Secret {namespace}/{name}, which is to be handed out, does not exist");
            let mend = format!(
                "kubectl --namespace {namespace} create secret docker-registry {name} --docker-server=… --docker-username=… --docker-password=…"
            );
            report.add("source", Severity::Error, problem, mend);
        }
        return;
    }
    let is_right = |copy: &Copy| copies.source.as_ref().is_none_or(|source| copy.content == *source);
    let meant = seen.namespaces.iter().filter(|it| it["metadata"].get("deletionTimestamp").is_none());
    let meant = meant.map(|it| text(it, "/metadata/name")).filter(|it| is_meant(seen, rule, it));
    let wrong = meant.filter(|namespace| !copies.by_namespace.get(*namespace).is_some_and(is_right));
    let (left, out_of_step): (Vec<_>, Vec<_>) =
        wrong.partition(|namespace| !rule.overwrites && copies.is_somebody_elses(namespace));
    for namespace in left.iter().take(MOST) {
        let problem = format!(
            "Secret {namespace}/{secret} is somebody else's and holds something else: by the settings it is left alone"
        );
        let mend = format!("kubectl --namespace {namespace} get secret {secret} --show-labels");
        report.add("copies", Severity::Info, problem, mend);
    }
    if left.len() > MOST {
        let problem = format!("and {} more Secrets likewise", left.len() - MOST);
        let mend = format!(
            "kubectl get secrets --all-namespaces --field-selector metadata.name={secret} --show-labels"
        );
        report.add("copies", Severity::Info, problem, mend);
    }
    for namespace in out_of_step.iter().take(MOST) {
        let problem = if copies.by_namespace.contains_key(*namespace) {
            format!("Secret {namespace}/{secret} does not hold what the source holds")
        } else {
            format!("namespace {namespace} has no Secret {secret}")
        };
        report.add("copies", Severity::Warning, problem, look_at_controller(seen));
    }
    if out_of_step.len() > MOST {
        let problem = format!("and {} more namespaces", out_of_step.len() - MOST);
        report.add("copies", Severity::Warning, problem, look_at_controller(seen));
    }
}

fn is_meant(seen: &Seen, rule: &Distribution, namespace: &str) -> bool {
    let opted_out = |it: &Value| it["metadata"]["annotations"].get(OPT_OUT).is_some_and(|it| it == "true");
    !rule.excluded.contains(namespace)
        && seen.namespaces.iter().all(|it| text(it, "/metadata/name") != namespace || !opted_out(it))
}

fn look_at_controller(seen: &Seen) -> String {
    format!("kubectl --namespace {} rollout restart deployment/pullgate-controller", seen.namespace)
}

/// Resources that say themselves what is wrong.
pub(super) fn resources(seen: &Seen, report: &mut Report) {
    if seen.leaves_resources {
        let problem = format!(
            "there are ImagePullSecret resources, and ServiceAccount {}/pullgate-controller may not list them: it leaves them alone",
            seen.namespace
        );
        report.add("resources", Severity::Info, problem, "kubectl get imagepullsecrets".to_owned());
    }
    for resource in &seen.resources {
        let name = text(resource, "/metadata/name");
        let conditions = list(resource, "/status/conditions").iter();
        let ready = conditions.clone().find(|condition| text(condition, "/type") == "Ready");
        let status = ready.map_or("", |ready| text(ready, "/status"));
        if status != "True" {
            let said = ready.map_or_else(
                || text(resource, "/status/reason").to_owned(),
                |ready| format!("{}: {}", text(ready, "/reason"), text(ready, "/message")),
            );
            let problem = format!("ImagePullSecret {name} is not ready: {said}");
            report.add(
                "resources",
                Severity::Warning,
                problem,
                format!("kubectl describe imagepullsecret {name}"),
            );
        }
    }
}

/// Rights that the controller lacks, and whether it is there at all.
pub(super) fn controller(seen: &Seen, report: &mut Report) {
    let namespace = &seen.namespace;
    for right in &seen.lacking {
        let problem = format!("ServiceAccount {namespace}/pullgate-controller may not {right}");
        report.add("rights", Severity::Error, problem, seen.reapply());
    }
    if let Some(controller) = &seen.controller
        && controller["status"]["observedGeneration"].as_u64().is_some()
        && controller["status"]["readyReplicas"].as_u64().unwrap_or_default() == 0
    {
        let problem =
            format!("Deployment {namespace}/pullgate-controller has no ready replica: nothing is kept");
        let mend = format!(
            "kubectl --namespace {namespace} describe pods --selector app.kubernetes.io/component=controller"
        );
        report.add("controller", Severity::Error, problem, mend);
    }
}
