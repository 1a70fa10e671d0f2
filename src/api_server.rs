//! The client of the API server, for the commands that have rights in the cluster. Not for the webhook, which has none.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Request;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use serde_json::Value;

use crate::cause::cause;

/// For connecting, and for a single answer that is no watch.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file cannot be read.
    #[error("{}: cannot be read: {problem}", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        problem: io::Error,
    },
    /// The kubeconfig cannot be used.
    #[error("{}: {problem}", path.display())]
    Kubeconfig {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no ServiceAccount to be had.
    #[error("no ServiceAccount of a Pod: {0}; outside of a cluster give --kubeconfig")]
    NoServiceAccount(InClusterError),
    /// The API server's address or certificates make no client.
    #[error("no client for the API server: {0}")]
    NoClient(String),
}

/// How to reach the API server: as a kubeconfig says, or as a Pod does.
///
/// # Errors
/// What cannot be read or used.
pub(crate) async fn config(kubeconfig: Option<&Path>) -> Result<Config, ClientError> {
    reach(kubeconfig, None).await
}

async fn reach(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Config, ClientError> {
    let mut config = match kubeconfig {
        None => Config::incluster().map_err(ClientError::NoServiceAccount)?,
        Some(path) => {
            // Its other lines quote the file, which holds credentials.
            let problem = |error: KubeconfigError| ClientError::Kubeconfig {
                path: path.to_owned(),
                problem: error.to_string().lines().take(1).collect(),
            };
            // The library panics at the start of a text in UTF-16.
            text(path).map_err(|problem| ClientError::Unreadable { path: path.to_owned(), problem })?;
            let read = Kubeconfig::read_from(path).map_err(problem)?;
            let options =
                KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
            Config::from_custom_kubeconfig(read, &options).await.map_err(problem)?
        }
    };
    // So it does at a token that no header can carry.
    let user = serde_json::to_value(&config.auth_info).unwrap_or_default();
    if user["token"].as_str().is_some_and(|token| token.contains(char::is_control)) {
        return Err(ClientError::NoClient(String::from(
            "the token has a line break or another control character",
        )));
    }
    // Each command has one place that tries again, and says so.
    config.default_retry = false;
    config.connect_timeout = Some(PATIENCE);
    Ok(config)
}

/// How a person reaches it: by the kubeconfig that is named, else as kubectl does (`KUBECONFIG`, `$HOME/.kube/config`), else
/// as a Pod.
///
/// # Errors
/// What cannot be read or used.
pub(crate) async fn as_kubectl(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<Config, ClientError> {
    let named = kubeconfig.map(Path::to_owned);
    let usual = || {
        let listed = std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty());
        let first = listed.and_then(|paths| std::env::split_paths(&paths).find(|path| path.exists()));
        first.or_else(|| Some(std::env::home_dir()?.join(".kube/config")).filter(|path| path.exists()))
    };
    reach(named.or_else(usual).as_deref(), context).await
}

/// The error for a configuration that makes no client.
pub(crate) fn no_client(error: &kube::Error) -> ClientError {
    ClientError::NoClient(cause(error))
}

/// Objects of one answer.
const PAGE: u32 = 500;

/// Hands over all objects of a list, page by page.
///
/// # Errors
/// The first page that is not answered.
pub(crate) async fn pages(
    client: &Client,
    path: &str,
    mut hand_over: impl FnMut(Vec<Value>),
) -> kube::Result<()> {
    let (joint, mut next) = (if path.contains('?') { '&' } else { '?' }, String::new());
    loop {
        let page = format!("{path}{joint}limit={PAGE}&continue={next}");
        let request = Request::get(page).body(Vec::new()).map_err(kube::Error::HttpError)?;
        let mut page: Value = client.request(request).await?;
        let more = page["metadata"]["continue"].as_str().unwrap_or_default();
        next = more.replace('%', "%25").replace('+', "%2B");
        hand_over(page["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
        if next.is_empty() {
            return Ok(());
        }
    }
}

/// Of a file that can be read again: a pipe is empty then, and who waits for one hears no signal.
pub(crate) fn text(path: &Path) -> io::Result<String> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    std::fs::read_to_string(path)
}

/// The API server's own words, or what kept it from having any.
pub(crate) fn said(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    format!("the API server cannot be asked: {}", cause(error))
}
