//! PURE: Pods whose images are not what the rules would make of them, and why.

use std::collections::BTreeMap;

use serde_json::Value;

use super::finding::{Report, Severity, word};
use super::seen::{Seen, list, selects, text};
use crate::image::{Decision, Kept, RegistryRules};
use crate::object::MIRROR_ANNOTATION;
use crate::offline::parts::owner;
use crate::policy::Policy;

/// Workloads that get a line each; of more, how many there are.
pub(super) const MOST: usize = 20;

/// Why a Pod has an image that rules would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    /// It is older than the registration.
    Before,
    /// Nobody knows.
    Unexplained,
    /// Its namespace is excluded.
    Excluded,
    /// A kubelet runs it from a file.
    Static,
}

/// A workload whose Pods these are, and how it gets new ones.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Workload {
    why: Why,
    name: String,
    mend: String,
}

pub(super) fn escaped(seen: &Seen, report: &mut Report) {
    let (Some(Ok(policy)), Some(webhook)) = (&seen.policy, seen.pods_webhook()) else { return };
    if policy.mode == crate::policy::Mode::Audit {
        return;
    }
    let registered = seen.registration.as_ref().map_or("", |it| text(it, "/metadata/creationTimestamp"));
    let namespaces: BTreeMap<_, _> =
        seen.namespaces.iter().map(|it| (text(it, "/metadata/name"), it)).collect();
    let mut workloads: BTreeMap<Workload, (usize, String, String)> = BTreeMap::new();
    let (mut ignored, mut unreadable) = (BTreeMap::<String, usize>::new(), Vec::new());
    for pod in seen.pods.iter().filter(|pod| !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")) {
        let namespace = text(pod, "/metadata/namespace");
        for image in images(pod) {
            match policy.registries.decide(image) {
                Decision::Rewrite { image: rewritten, .. } => {
                    let is_selected = namespaces
                        .get(namespace)
                        .is_none_or(|namespace| selects(webhook.get("namespaceSelector"), namespace));
                    let annotations = &pod["metadata"]["annotations"];
                    let why = if annotations.get(MIRROR_ANNOTATION).is_some() {
                        Why::Static
                    } else if !is_selected || policy.excluded_namespaces.contains(namespace) {
                        Why::Excluded
                    } else if text(pod, "/metadata/creationTimestamp") < registered {
                        Why::Before
                    } else {
                        Why::Unexplained
                    };
                    let (name, mend) = workload(pod);
                    let entry = workloads.entry(Workload { why, name, mend });
                    let example = (0, image.to_owned(), rewritten);
                    entry.or_insert(example).0 += 1;
                }
                Decision::Keep(Kept::Ignored(prefix)) => {
                    *ignored.entry(prefix.text.clone()).or_default() += 1;
                }
                Decision::Keep(Kept::Malformed(_) | Kept::BadOutput(_)) => {
                    unreadable.push((namespace, text(pod, "/metadata/name")));
                }
                Decision::Keep(Kept::AtTarget(_) | Kept::NoRule | Kept::Empty) => {}
            }
        }
    }
    let mut told = BTreeMap::<Why, usize>::new();
    for (Workload { why, name, mend }, (images, image, rewritten)) in workloads {
        let count = told.entry(why).or_default();
        *count += 1;
        if *count > MOST {
            continue;
        }
        let what =
            format!("{name}: {images} image{} from elsewhere ({image}, not {rewritten})", plural(images));
        match why {
            Why::Before => {
                let problem = format!("{what}: its Pods are older than the registration");
                report.add("escaped", Severity::Warning, problem, mend);
            }
            Why::Unexplained => {
                let problem = format!(
                    "{what}: while no replica answered, while it was not registered, by other rules of before, or by whoever is called later"
                );
                report.add("escaped", Severity::Warning, problem, mend);
            }
            Why::Excluded => {
                let problem = format!("{what}: its namespace is excluded");
                report.add(
                    "escaped",
                    Severity::Info,
                    problem,
                    "kubectl get mutatingwebhookconfiguration pullgate -o yaml".to_owned(),
                );
            }
            Why::Static => {
                let problem = format!("{what}: a kubelet runs it from a file, which no webhook sees");
                report.add("escaped", Severity::Info, problem, "change the manifest on the node".to_owned());
            }
        }
    }
    for (why, count) in told.into_iter().filter(|(_, count)| *count > MOST) {
        let severity = if why <= Why::Unexplained { Severity::Warning } else { Severity::Info };
        let problem = format!("and {} more workloads likewise ({why:?})", count - MOST);
        report.add("escaped", severity, problem, "pullgate doctor --output json".to_owned());
    }
    for (prefix, count) in ignored {
        let problem = format!("{count} image{} of {prefix} left alone, by IGNORED_REGISTRIES", plural(count));
        report.add(
            "ignored",
            Severity::Info,
            problem,
            "take it out of IGNORED_REGISTRIES to change that".to_owned(),
        );
    }
    if let Some((namespace, name)) = unreadable.first() {
        let count = unreadable.len();
        let problem = format!(
            "{count} image{} that no rule can be applied to, such as of Pod {namespace}/{name}",
            plural(count)
        );
        let mend = format!("kubectl --namespace {namespace} get pod {name} -o yaml");
        report.add("unparsable", Severity::Warning, problem, mend);
    }
}

/// Pods without the pull secrets that they should reference, in the namespaces that the webhook is called for.
pub(super) fn references(seen: &Seen, report: &mut Report) {
    let (Some(Ok(policy)), Some(webhook)) = (&seen.policy, seen.pods_webhook()) else { return };
    let Policy { pull_secrets: Some(secrets), mode: crate::policy::Mode::Enforce, registries, .. } = policy
    else {
        return;
    };
    let namespaces: BTreeMap<_, _> =
        seen.namespaces.iter().map(|it| (text(it, "/metadata/name"), it)).collect();
    let lacks = |pod: &&Value| {
        let namespace = text(pod, "/metadata/namespace");
        let named: Vec<_> = list(pod, "/spec/imagePullSecrets").iter().map(|it| text(it, "/name")).collect();
        !matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
            && pod["metadata"]["annotations"].get(MIRROR_ANNOTATION).is_none()
            && namespaces.get(namespace).is_some_and(|it| selects(webhook.get("namespaceSelector"), it))
            && !policy.excluded_namespaces.contains(namespace)
            && secrets.names.iter().any(|secret| !named.contains(&secret.as_str()))
            // Those are told already.
            && !images(pod).any(|image| is_to_change(registries, image))
    };
    let workloads: std::collections::BTreeSet<_> = seen.pods.iter().filter(lacks).map(workload).collect();
    let count = workloads.len();
    for (name, mend) in workloads.into_iter().take(MOST) {
        let problem = format!("{name}: its Pods lack the pull secret {}", secrets.names.join(", "));
        report.add("pull-secret", Severity::Warning, problem, mend);
    }
    if count > MOST {
        let problem = format!("and {} more workloads likewise", count - MOST);
        report.add("pull-secret", Severity::Warning, problem, "pullgate doctor --output json".to_owned());
    }
}

fn is_to_change(registries: &RegistryRules, image: &str) -> bool {
    matches!(registries.decide(image), Decision::Rewrite { .. })
}

/// Everything that a kubelet pulls for a Pod.
fn images(pod: &Value) -> impl Iterator<Item = &str> {
    let containers = ["/spec/containers", "/spec/initContainers", "/spec/ephemeralContainers"]
        .into_iter()
        .flat_map(|lists| list(pod, lists))
        .map(|container| text(container, "/image"));
    let volumes = list(pod, "/spec/volumes").iter().map(|volume| text(volume, "/image/reference"));
    containers.chain(volumes).filter(|image| !image.is_empty())
}

/// What a Pod belongs to, and how that gets new Pods.
fn workload(pod: &Value) -> (String, String) {
    let (namespace, own) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
    let (kind, name) = owner(pod).unwrap_or(("Pod", own));
    let title = format!("{kind} {namespace}/{name}");
    let mend = match kind {
        "Deployment" | "StatefulSet" | "DaemonSet" => {
            let workload = word(&format!("{}/{name}", kind.to_lowercase()));
            format!("kubectl --namespace {namespace} rollout restart {workload}")
        }
        "Pod" => {
            format!("kubectl --namespace {namespace} get pod {name} -o yaml | kubectl replace --force -f -")
        }
        _ => format!("kubectl --namespace {namespace} delete pod {own}"),
    };
    (title, mend)
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
