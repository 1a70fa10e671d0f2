//! Reads Pods and workloads of a cluster, page by page, and changes nothing.

use kube::Client;

use super::inventory::Inventory;
use super::options::Options;
use crate::api_server::{as_kubectl, no_client, pages, said};
use crate::policy::Policy;

/// What is listed: API, resource, kind, and which of them. All that has run to its end is not in use any more.
const LISTED: [(&str, &str, &str, &str); 7] = [
    ("v1", "pods", "Pod", "?fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed"),
    ("apps/v1", "deployments", "Deployment", ""),
    ("apps/v1", "statefulsets", "StatefulSet", ""),
    ("apps/v1", "daemonsets", "DaemonSet", ""),
    ("apps/v1", "replicasets", "ReplicaSet", ""),
    ("batch/v1", "jobs", "Job", ""),
    ("batch/v1", "cronjobs", "CronJob", ""),
];

/// All images of a cluster, or of its one namespace that is named, and what could not be read.
pub(super) async fn read(options: &Options, policy: &Policy) -> (Inventory, Vec<String>) {
    let (mut inventory, mut problems) = (Inventory::default(), Vec::new());
    let config = as_kubectl(options.kubeconfig.as_deref(), options.context.as_deref()).await;
    let client = config.and_then(|config| Client::try_from(config).map_err(|error| no_client(&error)));
    let client = match client {
        Ok(client) => client,
        Err(problem) => return (inventory, vec![problem.to_string()]),
    };
    for (version, resource, kind, selector) in LISTED {
        let root = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
        let within = options.namespace.as_ref().map(|it| format!("/namespaces/{it}")).unwrap_or_default();
        let path = format!("{root}{within}/{resource}{selector}");
        let listed = pages(&client, &path, |items| {
            for mut item in items {
                let added = inventory.add(policy, "default", Some((version, kind)), &mut item);
                problems.extend(added.err());
            }
        });
        if let Err(error) = listed.await {
            let group = version.split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
            problems.push(format!("{resource}{group} cannot be listed: {}", said(&error)));
        }
    }
    (inventory, problems)
}
