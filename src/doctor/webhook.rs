//! PURE: the registration, the certificate, and who answers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::finding::{Report, Severity, word};
use super::seen::{CERTIFICATE, Issuer, Mounted, Origin, Seen, is_for, list, name, selects, text, trusted};
use crate::certs::{Certificate, trusts};

const DAY: i64 = 86_400;
/// The oldest Kubernetes that the manifests work on.
const OLDEST: (u32, u32) = (1, 30);

/// What Pods are sent to, if anything.
pub(super) fn registered(seen: &Seen, report: &mut Report) {
    if !seen.can_see("mutatingwebhookconfigurations") {
        return;
    }
    let Some(registration) = &seen.registration else {
        let problem = "MutatingWebhookConfiguration pullgate does not exist: nothing is changed";
        return report.add("registered", Severity::Error, problem.to_owned(), seen.reapply());
    };
    if list(registration, "/webhooks").is_empty() {
        let problem =
            "MutatingWebhookConfiguration pullgate has no webhooks: a Job that should fill them in has not";
        let mend = format!(
            "kubectl --namespace {} logs --selector app.kubernetes.io/component=register",
            seen.namespace
        );
        report.add("registered", Severity::Error, problem.to_owned(), mend);
    }
    if let Some(Err(problem)) = &seen.policy {
        let problem = format!("the settings of Deployment {}/pullgate: {problem}", seen.namespace);
        report.add("settings", Severity::Error, problem, seen.reapply());
    }
    let Some(Ok(policy)) = &seen.policy else { return };
    let wanted =
        policy.registries.is_active() || policy.pull_policy.is_some() || policy.pull_secrets.is_some();
    if wanted && seen.pods_webhook().is_none() && !list(registration, "/webhooks").is_empty() {
        let problem = "the settings are about Pods, and no webhook is registered for them";
        report.add("registered", Severity::Error, problem.to_owned(), seen.reapply());
    }
}

/// Whether what is served is what is trusted, and for how long.
pub(super) fn certificate(seen: &Seen, report: &mut Report) {
    if !seen.can_see(CERTIFICATE) {
        return;
    }
    let secret = format!("{}/{}", seen.namespace, seen.mounted.secret);
    let Some(own) = seen.serving.first() else {
        if seen.webhook.is_some() {
            let problem = format!(
                "Secret {secret} has no certificate in {}: nothing is served",
                seen.mounted.certificate
            );
            report.add("certificate", Severity::Error, problem, issue(seen));
        }
        return;
    };
    if seen.has_another_key {
        let problem = format!("Secret {secret} has a key that is not its certificate's");
        report.add("certificate", Severity::Error, problem, issue(seen));
    }
    let left = own.not_after - seen.now;
    if left <= 0 {
        let problem = format!("the webhook's certificate expired {} ago", days(-left));
        report.add("expiry", Severity::Error, problem, renew(seen, Part::Certificate));
    } else if left < 14 * DAY && left < (own.not_after - own.not_before) / 4 {
        let problem = format!("the webhook's certificate expires in {}", days(left));
        report.add("expiry", Severity::Warning, problem, renew(seen, Part::Certificate));
    }
    // Told already.
    let at = if left <= 0 { own.not_after - 1 } else { seen.now };
    for webhook in seen.webhooks() {
        let (service, namespace) =
            (text(webhook, "/clientConfig/service/name"), text(webhook, "/clientConfig/service/namespace"));
        if service.is_empty() {
            continue;
        }
        let bundle = trusted(webhook);
        let host = format!("{service}.{namespace}.svc");
        let over = bundle.iter().filter(|authority| authority.is_over(seen.now)).count();
        if over > 0 && over == bundle.len() {
            let problem = format!("{}: whom its caBundle trusts has expired", text(webhook, "/name"));
            report.add("expiry", Severity::Error, problem, renew(seen, Part::Authority));
        } else if let Err(why) = trusts(&bundle, &seen.serving, &host, at) {
            let problem = format!(
                "{}: its caBundle ({} certificates) does not accept what is served as {host}: {why}",
                text(webhook, "/name"),
                bundle.len()
            );
            report.add("ca-bundle", Severity::Error, problem, issue(seen));
        }
        let first = bundle.iter().filter(|authority| expires_first(authority, own)).count();
        if first > over && first == bundle.len() {
            let problem = format!("{}: the authority expires before the certificate", text(webhook, "/name"));
            report.add("expiry", Severity::Warning, problem, renew(seen, Part::Authority));
        }
    }
}

fn expires_first(authority: &Certificate, own: &Certificate) -> bool {
    authority.not_after < own.not_after
}

/// What there is to renew.
#[derive(Clone, Copy)]
enum Part {
    Certificate,
    Authority,
}

/// The command for another one, by whoever makes them.
fn renew(seen: &Seen, part: Part) -> String {
    let (namespace, secret) = (&seen.namespace, &seen.mounted.secret);
    match (seen.issuer, part) {
        (Issuer::Script, _) => {
            let option = if matches!(part, Part::Authority) { "--renew-ca" } else { "--renew" };
            format!(
                "deployment/generate-certs-and-config.sh {option} … && kubectl apply -f generated/ # with all settings"
            )
        }
        (Issuer::CertManager, Part::Certificate) => format!("cmctl renew --namespace {namespace} {secret}"),
        // Its Certificate may be anywhere; one of these is for it, where it is ours.
        (Issuer::CertManager, Part::Authority) => format!("cmctl renew --namespace {namespace} --all"),
        (Issuer::Signer, Part::Certificate) => REQUESTS.to_owned(),
        // It renews by itself, long before. That of a signer is in the file that it reads, which somebody has put there.
        (Issuer::Controller, _) | (Issuer::Signer, Part::Authority) => log_of_controller(namespace),
        (Issuer::Other, Part::Certificate) => issue(seen),
        (Issuer::Other, Part::Authority) => format!("{} # with another CA", seen.reapply()),
    }
}

/// What shows why there is none that is good.
fn issue(seen: &Seen) -> String {
    let namespace = &seen.namespace;
    match seen.issuer {
        Issuer::Script => seen.reapply(),
        Issuer::CertManager => {
            format!("kubectl --namespace {namespace} describe certificates.cert-manager.io")
        }
        Issuer::Controller => log_of_controller(namespace),
        Issuer::Signer => REQUESTS.to_owned(),
        Issuer::Other if seen.origin() == Origin::Kustomize => {
            format!("{} # with another pair", seen.reapply())
        }
        Issuer::Other => {
            let Mounted { secret, certificate, key } = &seen.mounted;
            let [secret, certificate, key] = [secret, certificate, key].map(|it| word(it));
            format!(
                "kubectl --namespace {namespace} create secret generic {secret} --from-file={certificate}=… --from-file={key}=… --dry-run=client -o yaml | kubectl apply -f -"
            )
        }
    }
}

/// Somebody has to approve one; one that was denied is deleted for another.
const REQUESTS: &str = "kubectl get certificatesigningrequests";

fn log_of_controller(namespace: &str) -> String {
    format!(
        "kubectl --namespace {namespace} logs --selector app.kubernetes.io/component=controller --tail=50"
    )
}

fn days(seconds: i64) -> String {
    if seconds < 2 * DAY { format!("{} h", seconds / 3600) } else { format!("{} days", seconds / DAY) }
}

/// Whether anybody answers.
pub(super) fn endpoints(seen: &Seen, report: &mut Report) {
    let namespace = &seen.namespace;
    let show = format!(
        "kubectl --namespace {namespace} describe pods --selector app.kubernetes.io/component=webhook"
    );
    let Some(webhook) = &seen.webhook else {
        if seen.can_see("deployments") && seen.registration.is_some() {
            let problem = format!("Deployment {namespace}/pullgate does not exist, and is registered");
            let elsewhere = seen.webhooks().map(|webhook| text(webhook, "/clientConfig/service/namespace"));
            let elsewhere = elsewhere.into_iter().find(|other| !other.is_empty() && other != namespace);
            let mend = elsewhere.map_or_else(
                || seen.reapply(),
                |other| format!("pullgate doctor --namespace {}", word(other)),
            );
            report.add("endpoints", Severity::Error, problem, mend);
        }
        return;
    };
    let is_ready = |endpoint: &&Value| endpoint["conditions"]["ready"] != false;
    // A Pod has an address of each family.
    let mut by_family = BTreeMap::new();
    for slice in &seen.slices {
        let ready = list(slice, "/endpoints").iter().filter(is_ready).count();
        *by_family.entry(text(slice, "/addressType")).or_insert(0) += ready;
    }
    let ready = by_family.into_values().max().unwrap_or_default();
    if ready == 0 && seen.can_see("endpointslices") {
        let problem = format!("Service {namespace}/pullgate has no ready endpoint: no call is answered");
        report.add("endpoints", Severity::Error, problem, show.clone());
    }
    let wanted = webhook["spec"]["replicas"].as_u64().unwrap_or(1);
    if ready > 0 && (ready as u64) < wanted {
        let problem = format!("{ready} of {wanted} replicas of Deployment {namespace}/pullgate are ready");
        report.add("endpoints", Severity::Warning, problem, show);
    }
    if wanted == 1 {
        let problem =
            format!("Deployment {namespace}/pullgate has one replica: when its node goes, Pods wait");
        let mend = format!("kubectl --namespace {namespace} scale deployment/pullgate --replicas=2");
        report.add("replicas", Severity::Info, problem, mend);
    }
}

/// Whether the webhook is in its own way, and what becomes of Pods while it does not answer.
pub(super) fn failure(seen: &Seen, report: &mut Report) {
    let is_audit = matches!(&seen.policy, Some(Ok(policy)) if policy.mode == crate::policy::Mode::Audit);
    let Some((place, webhook)) = seen.webhooks().enumerate().find(|(_, webhook)| is_for(webhook, "pods"))
    else {
        return;
    };
    let title = text(webhook, "/name");
    let patch = |value: &str| {
        format!(
            "kubectl patch mutatingwebhookconfiguration pullgate --type=json --patch='[{{\"op\":\"replace\",\"path\":\
             \"/webhooks/{place}/failurePolicy\",\"value\":\"{value}\"}}]'"
        )
    };
    let fails = text(webhook, "/failurePolicy") != "Ignore";
    if !fails && !is_audit {
        let problem = format!(
            "{title}: failurePolicy is Ignore: while no replica answers, Pods get the images that they name"
        );
        report.add("failure-policy", Severity::Warning, problem, patch("Fail"));
    }
    if fails && is_audit {
        let problem = format!(
            "{title}: failurePolicy is Fail in audit mode: while no replica answers, Pods are refused"
        );
        report.add("failure-policy", Severity::Warning, problem, patch("Ignore"));
    }
    for namespace in &seen.namespaces {
        let name = text(namespace, "/metadata/name");
        if !selects(webhook.get("namespaceSelector"), namespace) {
            continue;
        }
        if name == seen.namespace {
            let problem = format!(
                "{title}: namespace {name}, which is pullgate's own, is not excluded: its Pods wait for themselves"
            );
            report.add("own-namespace", Severity::Error, problem, seen.reapply());
        } else if name == "kube-system" && fails {
            let problem = format!(
                "{title}: namespace kube-system is not excluded: after an outage of all nodes it cannot start"
            );
            report.add("own-namespace", Severity::Warning, problem, seen.reapply());
        }
    }
}

/// Who is called after us, and could undo what we did.
pub(super) fn later(seen: &Seen, report: &mut Report) {
    let Some(ours) = &seen.registration else { return };
    if seen.pods_webhook().is_none() {
        return;
    }
    // The API server calls them by the names of their configurations.
    let ours = text(ours, "/metadata/name");
    for other in seen.others.iter().filter(|other| text(other, "/metadata/name") > ours) {
        let hooks = list(other, "/webhooks").iter().filter(|webhook| is_for(webhook, "pods"));
        let hooks: Vec<_> = hooks.map(|webhook| text(webhook, "/name")).collect();
        if !hooks.is_empty() {
            let problem = format!(
                "MutatingWebhookConfiguration {} ({}) is called after pullgate's and may change images again",
                name(other),
                hooks.join(", ")
            );
            let mend = "pullgate policy --action Deny | kubectl apply -f - # with the webhook's settings";
            report.add("later-webhooks", Severity::Info, problem, mend.to_owned());
        }
    }
}

/// Whether all that runs is of one version, and the cluster's is one that it works on.
pub(super) fn versions(seen: &Seen, report: &mut Report) {
    let image = |deployment: &Option<Value>| {
        let image = deployment.as_ref().map(|it| text(it, "/spec/template/spec/containers/0/image"));
        image.filter(|image| !image.is_empty()).map(str::to_owned)
    };
    // Targets of one build may have names of their own; the version is what is behind.
    let version = |image: &str| {
        image.rsplit('/').next().unwrap_or_default().split_once(['@', ':']).map(|it| it.1.to_owned())
    };
    if let (Some(webhook), Some(controller)) = (image(&seen.webhook), image(&seen.controller))
        && version(&webhook) != version(&controller)
    {
        let problem = format!("the webhook runs {webhook} and the controller {controller}");
        let mend = format!(
            "kubectl --namespace {} set image deployment/pullgate-controller controller={}",
            seen.namespace,
            word(&webhook)
        );
        report.add("versions", Severity::Warning, problem, mend);
    }
    let mut numbers = seen.server.trim_start_matches('v').split('.').map(|part| part.parse::<u32>().ok());
    if let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next())
        && (major, minor) < OLDEST
    {
        let problem = format!(
            "the API server is {}: the manifests need {}.{} or newer",
            seen.server, OLDEST.0, OLDEST.1
        );
        report.add("versions", Severity::Error, problem, "kubectl version".to_owned());
    }
    for deployment in [&seen.webhook, &seen.controller].into_iter().flatten() {
        let count = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_u64);
        let generation = |pointer: &str| count(pointer).unwrap_or_default();
        let (wanted, updated) = (count("/spec/replicas").unwrap_or(1), generation("/status/updatedReplicas"));
        let unseen = generation("/status/observedGeneration") < generation("/metadata/generation");
        if generation("/status/observedGeneration") > 0 && (unseen || updated < wanted) {
            let problem =
                format!("Deployment {}: {updated} of {wanted} replicas are as it says", name(deployment));
            let (namespace, name) = (&seen.namespace, text(deployment, "/metadata/name"));
            let mend = format!("kubectl --namespace {namespace} rollout status deployment/{name}");
            report.add("versions", Severity::Warning, problem, mend);
        }
    }
}
