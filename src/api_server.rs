//! The client of the API server, for the commands that have rights in the cluster. Not for the webhook, which has none.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
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
    /// A context is asked for where there is none.
    #[error("--context {0}: there is no kubeconfig; give --kubeconfig with a file that has this context")]
    NoContext(String),
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
    reach(kubeconfig.map(Path::to_owned).as_slice(), None).await
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
    let files = kubeconfig.map_or_else(usual, |path| Ok(vec![path.to_owned()]))?;
    reach(&files, context).await
}

/// The files that kubectl would read. `KUBECONFIG` may list some that are not there yet, but never means another cluster
/// than theirs.
fn usual() -> Result<Vec<PathBuf>, ClientError> {
    let listed = std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty());
    let mut files: Vec<_> = match &listed {
        Some(listed) => std::env::split_paths(listed).collect(),
        None => std::env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect(),
    };
    files.retain(|path| path.exists());
    match listed {
        Some(listed) if files.is_empty() => {
            let problem = "of KUBECONFIG: there is no such file".to_owned();
            Err(ClientError::Kubeconfig { path: listed.into(), problem })
        }
        _ => Ok(files),
    }
}

/// By the contents of these files together, or as a Pod where there is none.
async fn reach(files: &[PathBuf], context: Option<&str>) -> Result<Config, ClientError> {
    let mut config = if files.is_empty() {
        if let Some(context) = context {
            return Err(ClientError::NoContext(context.to_owned()));
        }
        Config::incluster().map_err(ClientError::NoServiceAccount)?
    } else {
        let path: PathBuf = std::env::join_paths(files).unwrap_or_default().into();
        let mut merged = Kubeconfig::default();
        for file in files {
            let next = read(file)?;
            merged = merged.merge(next).map_err(|error| unusable(&path, &error))?;
        }
        let options =
            KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        Config::from_custom_kubeconfig(merged, &options).await.map_err(|error| unusable(&path, &error))?
    };
    // The library panics at a token that no header can carry.
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

fn read(path: &Path) -> Result<Kubeconfig, ClientError> {
    // The library panics at the start of a text in UTF-16.
    text(path).map_err(|problem| ClientError::Unreadable { path: path.to_owned(), problem })?;
    let mut read = Kubeconfig::read_from(path).map_err(|error| unusable(path, &error))?;
    // Another file may have one, and this is none.
    read.current_context = read.current_context.filter(|context| !context.is_empty());
    Ok(read)
}

fn unusable(path: &Path, error: &KubeconfigError) -> ClientError {
    // Its other lines quote the file, which holds credentials.
    ClientError::Kubeconfig { path: path.to_owned(), problem: error.to_string().lines().take(1).collect() }
}

/// The error for a configuration that makes no client.
pub(crate) fn no_client(error: &kube::Error) -> ClientError {
    ClientError::NoClient(cause(error))
}

/// Objects of one answer.
const PAGE: u32 = 500;

/// What is read of the answer to a list.
#[derive(Deserialize)]
struct Page {
    metadata: Option<ListMeta>,
    items: Option<Vec<Value>>,
}

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
        let Page { metadata, items } = client.request(request).await?;
        hand_over(items.unwrap_or_default());
        let more = metadata.and_then(|metadata| metadata.continue_).unwrap_or_default();
        let more = utf8_percent_encode(&more, NON_ALPHANUMERIC).to_string();
        if more.is_empty() {
            return Ok(());
        }
        if more == next {
            let problem = "a page of the list leads to itself";
            return Err(kube::Error::SerdeError(serde::de::Error::custom(problem)));
        }
        next = more;
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
    match error {
        kube::Error::Api(status) if status.message.trim().is_empty() => {
            format!("the API server answers {} and no word", status.code)
        }
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::SerdeError(problem) => format!("the API server's answer cannot be read: {problem}"),
        _ => format!("the API server cannot be asked: {}", cause(error)),
    }
}
