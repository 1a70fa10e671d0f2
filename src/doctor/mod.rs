//! `pullgate doctor`: what is wrong in a cluster, and the command that mends it.
//!
//! ```text
//! API server --cluster--> Seen --webhook, workloads, secrets (pure)--> Report --> text or JSON, exit status
//! ```

mod cluster;
pub mod finding;
mod rights;
mod secrets;
pub mod seen;
mod webhook;
mod workloads;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kube::Client;

use self::cluster::Cluster;
use self::finding::{Report, Severity};
use self::seen::Seen;
use crate::api_server::{ClientError, as_kubectl, no_client};
use crate::config::read::namespace;
use crate::terminal::{Color, shows_colours};

/// What `pullgate doctor` is told.
#[derive(Debug, Args)]
pub struct Options {
    /// Namespace that pullgate is installed in
    #[arg(long, short, value_name = "NAME", default_value = "pullgate", value_parser = namespace)]
    namespace: String,
    /// How to reach the API server [default: as kubectl does]
    #[arg(long, value_name = "PATH")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// For a person, or for a program
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// What makes the exit status 1: errors only, or warnings too
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t = FailOn::Warning)]
    fail_on: FailOn,
    /// Colours in text; auto: on a terminal, unless `NO_COLOR` is set
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    color: Color,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Errors
    Error,
    /// Errors and warnings
    Warning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line for each finding
    Text,
    /// One object
    Json,
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// There is no way to the API server.
    #[error(transparent)]
    NoClient(#[from] ClientError),
    /// It does not answer, or the report cannot be written.
    #[error("{0}")]
    NoAnswer(String),
}

/// Asks the cluster, and returns what to print and whether all is well, as far as that is asked for.
///
/// # Errors
/// The API server cannot be asked.
pub async fn run(options: &Options) -> Result<(String, bool), DoctorError> {
    let config = as_kubectl(options.kubeconfig.as_deref(), options.context.as_deref()).await?;
    let client = Client::try_from(config).map_err(|error| no_client(&error))?;
    let seen = Cluster::new(client, &options.namespace).look().await.map_err(DoctorError::NoAnswer)?;
    let report = examine(&seen);
    let text = match options.output {
        Output::Text => report.text(options.color.is_on(shows_colours())),
        Output::Json => report.json().map_err(|error| DoctorError::NoAnswer(error.to_string()))?,
    };
    let fails = match options.fail_on {
        FailOn::Error => report.findings.iter().any(|finding| finding.severity == Severity::Error),
        FailOn::Warning => !report.is_well(),
    };
    Ok((text, !fails))
}

/// Looks at everything.
#[must_use]
pub fn examine(seen: &Seen) -> Report {
    let mut report = Report::default();
    for (what, why) in &seen.unreadable {
        let problem = format!("{what} cannot be read, so not everything is looked at: {why}");
        report.add("unreadable", Severity::Warning, problem, "kubectl auth can-i --list".to_owned());
    }
    let checks = [
        webhook::registered,
        webhook::endpoints,
        webhook::certificate,
        webhook::failure,
        secrets::controller,
        webhook::versions,
        workloads::escaped,
        workloads::references,
        secrets::copies,
        secrets::accounts,
        secrets::resources,
        webhook::later,
    ];
    for check in checks {
        check(seen, &mut report);
    }
    report.sort();
    report
}
