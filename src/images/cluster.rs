//! Reads Pods and workloads of a cluster, page by page, and changes nothing.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use zeroize::Zeroizing;

use super::inventory::Inventory;
use super::logins::Logins;
use super::options::Options;
use super::progress;
use crate::api_server::{ClientError, as_kubectl, no_client, pages, said};
use crate::controller::entries::{Entries, Format};
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

/// Requests at a time.
const AT_ONCE: usize = 8;

/// The cluster as one client may read it.
pub(super) struct Cluster(Client);

impl Cluster {
    /// # Errors
    /// There is no way to the API server.
    pub(super) async fn reach(options: &Options) -> Result<Self, ClientError> {
        let config = as_kubectl(options.kubeconfig.as_deref(), options.context.as_deref()).await?;
        Client::try_from(config).map(Self).map_err(|error| no_client(&error))
    }

    /// All images, or those of one namespace, and what could not be read.
    pub(super) async fn images(&self, policy: &Policy, namespace: Option<&str>) -> (Inventory, Vec<String>) {
        let (mut inventory, mut problems) = (Inventory::default(), Vec::new());
        for (version, resource, kind, selector) in LISTED {
            let root = if version == "v1" { "/api/v1".to_owned() } else { format!("/apis/{version}") };
            let within = namespace.map(|name| format!("/namespaces/{name}")).unwrap_or_default();
            let path = format!("{root}{within}/{resource}{selector}");
            let progress = progress::count(&format!("reading {resource}"));
            let listed = pages(&self.0, &path, |items| {
                for mut item in items {
                    let added = inventory.add(policy, "default", Some((version, kind)), &mut item);
                    problems.extend(added.err().unwrap_or_default());
                    progress.inc(1);
                }
            });
            let ended = listed.await;
            progress.finish_and_clear();
            if let Err(error) = ended {
                let group = version.split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
                problems.push(format!("{resource}{group} cannot be listed: {}", said(&error)));
                // Who does not answer is not asked six more times.
                if !matches!(error, kube::Error::Api(_)) {
                    break;
                }
            }
        }
        (inventory, problems)
    }

    /// Adds the logins of pull secrets, by namespace and name; returns what kept it from that, each once.
    pub(super) async fn logins(
        &self,
        secrets: &BTreeSet<(String, String)>,
        logins: &mut Logins,
    ) -> BTreeSet<String> {
        let progress = progress::bar("reading pull secrets", secrets.len());
        let ask = async |(namespace, name): &(String, String)| {
            let read = Api::<Secret>::namespaced(self.0.clone(), namespace).get_opt(name).await;
            progress.inc(1);
            (format!("Secret {namespace}/{name}"), read)
        };
        let mut answers = iter(secrets).map(ask).buffer_unordered(AT_ONCE);
        let mut problems = BTreeSet::new();
        while let Some((which, read)) = answers.next().await {
            match read {
                Ok(secret) => {
                    for (key, content) in secret.and_then(|secret| secret.data).unwrap_or_default() {
                        let content = Zeroizing::new(content.0);
                        let format = [Format::Config, Format::Legacy].into_iter().find(|it| it.key() == key);
                        match format.map(|format| Entries::read(format, &content)) {
                            Some(Ok(entries)) => logins.add(&entries),
                            Some(Err(problem)) => drop(problems.insert(format!("{which}: {problem}"))),
                            None => {}
                        }
                    }
                }
                Err(kube::Error::Api(status)) if status.code == 403 => {
                    problems.insert(
                        "pull secrets may not be read, at least not all: registries are asked without them"
                            .to_owned(),
                    );
                }
                Err(error) => drop(problems.insert(format!("{which} cannot be read: {}", said(&error)))),
            }
        }
        progress.finish_and_clear();
        problems
    }
}
