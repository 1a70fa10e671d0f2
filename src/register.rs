//! `pullgate register`: registers a webhook once one of its replicas can answer.
//!
//! ```text
//! file --read--> registration
//! Deployment, asked every 500 ms --missing--> nothing is --apply--> MutatingWebhookConfiguration
//! ```
//! In a process of its own that ends when it is done: `docs/decisions/0013-register-when-ready.md`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use log::{info, warn};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::api_server::{ClientError, PATIENCE, config, no_client, said, text};
use crate::offline::yaml;

/// Who the API server records as the owner of what is registered.
const FIELD_MANAGER: &str = "pullgate";
/// Pods wait for the registration no longer than this after a replica is available.
const PAUSE: Duration = Duration::from_millis(500);

/// What `pullgate register` is told.
#[derive(Debug, Args)]
pub struct Options {
    /// One MutatingWebhookConfiguration, in YAML or JSON
    #[arg(long, value_name = "PATH")]
    pub file: PathBuf,
    /// Namespace of the Deployment
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub namespace: String,
    /// Deployment that needs an available replica first
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub deployment: String,
    /// Register nothing when the Deployment has no such label: a newer registration is meant for it then
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    pub if_labelled: Option<(String, String)>,
    /// How to reach the API server [default: as a Pod does, with the token of its ServiceAccount]
    #[arg(long, value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,
    /// How long to wait for all of it
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
}

/// An object's name. It becomes part of an address, where anything else would ask for something else.
fn name(text: &str) -> Result<String, &'static str> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let label = |part: &str| {
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    let valid = text.len() <= 253 && text.split('.').all(label);
    valid.then(|| text.to_owned()).ok_or("expected a name: up to 253 of a-z, 0-9, - and . between them")
}

fn label(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Why nothing was registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {problem}", path.display())]
    Unreadable {
        /// `--file`.
        path: PathBuf,
        /// What the system says.
        problem: io::Error,
    },
    /// The file is something else.
    #[error(
        "{}: expected one MutatingWebhookConfiguration of admissionregistration.k8s.io/v1 with a name, in YAML or JSON, found {found}",
        path.display()
    )]
    NoRegistration {
        /// `--file`.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// There is no way to the API server.
    #[error(transparent)]
    NoClient(#[from] ClientError),
    /// The API server will not have the content of the file.
    #[error("{}: refused by the API server: {problem}", path.display())]
    Refused {
        /// `--file`.
        path: PathBuf,
        /// Its message.
        problem: String,
    },
    /// Time is up.
    #[error("nothing is registered after {seconds} s (--timeout): {reason}")]
    TimedOut {
        /// `--timeout`.
        seconds: u64,
        /// What was missing last.
        reason: String,
    },
}

/// Waits until the Deployment has an available replica, and registers what is in the file; or nothing, when the
/// Deployment has not the label that the options name.
///
/// What the API server answers meanwhile, rights that are not there yet included, is logged and asked again.
///
/// # Errors
///
/// When the file or the way to the API server cannot be used, or when time is up.
pub async fn register(options: &Options) -> Result<(), RegisterError> {
    let Options { file, namespace, deployment, if_labelled, kubeconfig, timeout: seconds } = options;
    // Now, too, so that a wrong file is not told of only when a replica is there.
    read(file)?;
    let client = client(kubeconfig.as_deref()).await?;
    let deployments = Api::<DynamicObject>::namespaced_with(
        client.clone(),
        namespace,
        &ApiResource::erase::<Deployment>(&()),
    );
    let mut reason = String::from("the API server has not answered");
    let attempts = async {
        loop {
            let problem = match deployments.get(deployment).await {
                Err(error) => Some(said(&error)),
                Ok(found) if superseded(&found, if_labelled.as_ref()) => return Ok(()),
                Ok(found) => match missing(&found) {
                    Some(missing) => Some(format!("Deployment {namespace}/{deployment} {missing}")),
                    None => apply(&client, file).await?,
                },
            };
            let Some(problem) = problem else { return Ok(()) };
            // Once, and not twice a second.
            if problem != reason {
                warn!(reason = problem.as_str(); "waiting");
                reason = problem;
            }
            sleep(PAUSE).await;
        }
    };
    match timeout(Duration::from_secs(*seconds), attempts).await {
        Ok(ended) => ended,
        Err(_) => Err(RegisterError::TimedOut { seconds: *seconds, reason }),
    }
}

/// Whether the Deployment has since been applied with another registration, or with none for this program; says so.
fn superseded(deployment: &DynamicObject, label: Option<&(String, String)>) -> bool {
    let Some((key, expected)) = label else { return false };
    let found = deployment.metadata.labels.as_ref().and_then(|all| all.get(key));
    if found == Some(expected) {
        return false;
    }
    let found = found.map_or("", String::as_str);
    info!(label = key.as_str(), expected = expected.as_str(), found; "superseded, nothing is registered");
    true
}

/// What keeps a Deployment from counting as one that answers; `None` when nothing does.
fn missing(deployment: &DynamicObject) -> Option<&'static str> {
    let status = |field: &str| deployment.data["status"][field].as_i64().unwrap_or_default();
    // Until the last change is seen, the count is that of what was there before.
    if status("observedGeneration") < deployment.metadata.generation.unwrap_or_default() {
        return Some("has a change that its controller has not seen yet");
    }
    (status("availableReplicas") < 1).then_some("has no available replica")
}

/// Registers what the file says now; otherwise returns why that has to be tried again.
async fn apply(client: &Client, file: &Path) -> Result<Option<String>, RegisterError> {
    let registration = read(file)?;
    match registered(client, &registration).await {
        Ok(()) => {
            let name = registration["metadata"]["name"].as_str().unwrap_or_default();
            let webhooks = registration["webhooks"].as_array().map_or(0, Vec::len);
            info!(name, webhooks; "registered");
            Ok(None)
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422) => {
            Err(RegisterError::Refused { path: file.to_owned(), problem: status.message })
        }
        Err(error) => Ok(Some(said(&error))),
    }
}

/// By server-side apply. Without the right to create, it is refused once somebody has deleted the registration.
async fn registered(client: &Client, registration: &Value) -> Result<(), kube::Error> {
    let name = registration["metadata"]["name"].as_str().unwrap_or_default();
    let resource = ApiResource::erase::<MutatingWebhookConfiguration>(&());
    let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
    let params = PatchParams::apply(FIELD_MANAGER);
    api.patch(name, &params.clone().force(), &Patch::Apply(registration)).await?;
    // Webhooks and conditions that another manager (`kubectl apply`) put there have survived that.
    let only = json!({"webhooks": registration["webhooks"]});
    api.patch(name, &params, &Patch::Merge(&only)).await?;
    Ok(())
}

fn read(path: &Path) -> Result<Value, RegisterError> {
    let text = text(path).map_err(|problem| RegisterError::Unreadable { path: path.to_owned(), problem })?;
    only_registration(&text).map_err(|found| RegisterError::NoRegistration { path: path.to_owned(), found })
}

/// The one registration in a text, or what is found instead.
fn only_registration(text: &str) -> Result<Value, String> {
    let documents = yaml::read(text);
    let [document] = &documents[..] else { return Err(format!("{} objects", documents.len())) };
    let value = document.value.as_ref().map_err(ToString::to_string)?;
    let field = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (field("/apiVersion"), field("/kind"));
    if (version, kind) != ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration") {
        return Err(format!("apiVersion {version:?}, kind {kind:?}"));
    }
    let given = field("/metadata/name");
    if given.is_empty() {
        return Err(String::from("one without"));
    }
    name(given).map_err(|problem| format!("the name {given:?}: {problem}"))?;
    Ok(value.clone())
}

async fn client(kubeconfig: Option<&Path>) -> Result<Client, ClientError> {
    let mut config = config(kubeconfig).await?;
    config.read_timeout = Some(PATIENCE);
    Client::try_from(config).map_err(|error| no_client(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(generation: i64, status: &Value) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"generation": generation}, "status": status})).unwrap()
    }

    #[test]
    fn a_deployment_answers_with_a_replica_that_is_available_now() {
        let unseen = Some("has a change that its controller has not seen yet");
        let none = Some("has no available replica");
        for (generation, status, expected) in [
            (1, json!(null), unseen),
            (1, json!({}), unseen),
            // Of what was there before the last change: perhaps scaled to none since.
            (2, json!({"observedGeneration": 1, "availableReplicas": 2}), unseen),
            (2, json!({"observedGeneration": 2}), none),
            (2, json!({"observedGeneration": 2, "readyReplicas": 2, "unavailableReplicas": 2}), none),
            (2, json!({"observedGeneration": 2, "availableReplicas": 1, "unavailableReplicas": 1}), None),
        ] {
            assert_eq!(missing(&deployment(generation, &status)), expected, "{status}");
        }
    }
}
