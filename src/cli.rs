//! The command line: subcommands and flags, and what each starts.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::pin::Pin;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use log::{LevelFilter, error, info, warn};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::certs::self_signed;
use crate::config::{Config, ConfigError, LogFormat, Logging, Serving, Tls, load_policy, notices};
use crate::controller::crd;
use crate::controller::flags::{Flags, with_two_dashes};
use crate::controller::process::ControllerError;
use crate::controller::refresher;
use crate::controller::run::run as run_controller;
use crate::controller::settings::Settings;
use crate::descriptors;
use crate::image::analysis::Notice;
use crate::register::{self, RegisterError};
use crate::webhook::tls::{Files, TlsError};
use crate::webhook::{App, ServeError, Stop, Stopped, start, tls};
use crate::{doctor, logging, offline, policy_export};

/// Exit status of an unusable configuration, certificate or input.
const UNUSABLE: u8 = 2;

/// Governs how a Kubernetes cluster pulls images
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the mutating admission webhook, configured by environment variables
    Webhook(WebhookArgs),
    /// Apply the same rules to manifests, without a cluster, and print the result
    Mutate(offline::Options),
    /// Keep a pull secret in namespaces and on their ServiceAccounts, configured by environment variables or flags
    Controller(Flags),
    /// Keep one pull secret as several others say, tokens of ECR among them, with rights in their namespaces only
    Refresher(refresher::options::Options),
    /// Print the CustomResourceDefinition of ImagePullSecret, for `kubectl apply -f -`
    Crd,
    /// Ask a cluster what is wrong with pullgate in it, and say which command mends it (0: nothing, 1: something)
    Doctor(doctor::Options),
    /// Print the webhook's rules as an admission policy of the API server itself, for `kubectl apply -f -`
    Policy(policy_export::Options),
    /// Wait for a replica of a Deployment, then register a webhook with the API server
    Register(register::Options),
}

#[derive(Debug, Args)]
struct WebhookArgs {
    /// Validate the configuration, print what is in effect and exit (0: usable, 2: not)
    #[arg(long)]
    check: bool,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::parse_from(with_two_dashes(with_command(std::env::args_os()))).command {
        Command::Webhook(WebhookArgs { check }) => webhook(check),
        Command::Mutate(options) => mutate(&options),
        Command::Controller(flags) => controller(&flags),
        Command::Refresher(options) => refresher(options),
        Command::Crd => crd(),
        Command::Doctor(options) => doctor(&options),
        Command::Policy(options) => policy(&options),
        Command::Register(options) => register(&options),
    }
}

/// The webhook for ServiceAccounts that this one replaces has no commands, and its chart starts it with flags of its
/// log library: with another image and the same arguments, that is `pullgate webhook`.
fn with_command(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    const OF_ITS_LOG: [&str; 7] =
        ["alsologtostderr", "logtostderr", "log_dir", "log_backtrace_at", "stderrthreshold", "v", "vmodule"];
    const OURS: [&str; 4] = ["-h", "--help", "-V", "--version"];
    let mut arguments: Vec<_> = arguments.into_iter().collect();
    let first = arguments.get(1).map(|first| first.to_string_lossy().into_owned()).unwrap_or_default();
    if !first.starts_with('-') || OURS.contains(&&*first) {
        return arguments;
    }
    let given = arguments.split_off(1).into_iter();
    // Where Go stops to read flags; the chart has a `2>&1` that no shell ever sees.
    let flags = given.take_while(|argument| argument.to_string_lossy().starts_with('-'));
    let others = flags.filter(|flag| {
        let flag = flag.to_string_lossy();
        !OF_ITS_LOG.contains(&flag.trim_start_matches('-').split('=').next().unwrap_or_default())
    });
    arguments.push("webhook".into());
    arguments.extend(others);
    arguments
}

fn webhook(check: bool) -> ExitCode {
    let config = match Config::load(std::env::vars_os(), io::stderr().is_terminal()) {
        Ok(config) => config,
        Err(errors) => return unusable(&errors),
    };
    if check {
        print_notices(&config.notices);
        return print_effective(&config);
    }
    logging::init(config.logging);
    log_notices(&config.notices);
    let Config { policy, serving, .. } = config;
    let system = actix_web::rt::System::new();
    let ended = system.block_on(async {
        let certificate = certificate(&serving)?;
        let started = start(App::new(policy, serving), certificate)?;
        let health = started.health_address.map(|address| address.port()).unwrap_or_default();
        info!(port = started.address.port(), health_port = health; "ready to admit");
        let (stop, again) = signals()?;
        started.serve(stop, again).await
    });
    match ended {
        Ok(Stopped::Clean) => {
            info!("stopped");
            ExitCode::SUCCESS
        }
        // The runtime would wait for what was just cut.
        Ok(Stopped::Cut) => std::process::exit(1),
        Err(problem) => {
            error!("{problem}");
            ExitCode::from(if matches!(problem, ServeError::Tls(_)) { UNUSABLE } else { 1 })
        }
    }
}

fn mutate(options: &offline::Options) -> ExitCode {
    match load_policy(std::env::vars_os()) {
        Ok((policy, notices)) => {
            print_notices(&notices);
            ExitCode::from(offline::run_process(options, &policy))
        }
        Err(errors) => unusable(&errors),
    }
}

fn controller(flags: &Flags) -> ExitCode {
    let settings = match Settings::load(flags, std::env::vars_os(), io::stderr().is_terminal()) {
        Ok(settings) => settings,
        Err(errors) => return refused(&errors),
    };
    logging::init(settings.logging);
    log_notices(&settings.notices);
    with_rights(|stop| run_controller(settings, stop))
}

fn refresher(options: refresher::options::Options) -> ExitCode {
    let settings = match options.settings(std::env::vars_os(), io::stderr().is_terminal()) {
        Ok(settings) => settings,
        Err(errors) => return refused(&errors),
    };
    logging::init(settings.logging);
    log_notices(&settings.notices);
    with_rights(|stop| refresher::run(settings, stop))
}

/// Is over when the process is told to end.
type Stopping = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// Runs what reads and writes credentials, until it ends or is told to.
fn with_rights<F: Future<Output = Result<(), ControllerError>>>(run: impl FnOnce(Stopping) -> F) -> ExitCode {
    // Memory that holds credentials is not for a file.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // Each source that is watched takes a connection.
    let _: usize = descriptors::connections();
    let ended = actix_web::rt::System::new().block_on(async {
        let (stop, again) = signals().map_err(ControllerError::Health)?;
        tokio::select! {
            ended = run(Box::pin(async {
                let _: Stop = stop.await;
            })) => ended,
            () = again => std::process::exit(1),
        }
    });
    match ended {
        Ok(()) => {
            info!("stopped");
            ExitCode::SUCCESS
        }
        Err(problem) => {
            error!("{problem}");
            ExitCode::from(if matches!(problem, ControllerError::NoClient(_)) { UNUSABLE } else { 1 })
        }
    }
}

fn crd() -> ExitCode {
    match crd::manifest() {
        Ok(manifest) => {
            print(&manifest);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            print_lines(&[format!("error: {problem}\n")]);
            ExitCode::from(UNUSABLE)
        }
    }
}

fn doctor(options: &doctor::Options) -> ExitCode {
    match actix_web::rt::System::new().block_on(doctor::run(options)) {
        Ok((report, is_well)) => {
            print(&report);
            ExitCode::from(u8::from(!is_well))
        }
        Err(problem) => {
            print_lines(&[format!("error: {problem}\n")]);
            ExitCode::from(UNUSABLE)
        }
    }
}

fn policy(options: &policy_export::Options) -> ExitCode {
    let (policy, notices) = match load_policy(std::env::vars_os()) {
        Ok(loaded) => loaded,
        Err(errors) => return unusable(&errors),
    };
    print_notices(&notices);
    match policy_export::manifests(&policy, options) {
        Ok(manifests) => {
            print_notices(&policy_export::notices(&policy, options));
            print(&manifests);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            print_lines(&[format!("error: {problem}\n")]);
            ExitCode::from(UNUSABLE)
        }
    }
}

fn register(options: &register::Options) -> ExitCode {
    let format = if io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    logging::init(Logging { level: LevelFilter::Info, format });
    let ended: io::Result<_> = actix_web::rt::System::new().block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(tokio::select! {
            ended = register::register(options) => ended.map_err(|problem| {
                let status = if matches!(problem, RegisterError::TimedOut { .. }) { 1 } else { UNUSABLE };
                (problem.to_string(), status)
            }),
            _ = terminate.recv() => Err(("ended by SIGTERM".to_owned(), 1)),
            _ = interrupt.recv() => Err(("ended by SIGINT".to_owned(), 1)),
        })
    });
    match ended.unwrap_or_else(|problem| Err((problem.to_string(), 1))) {
        Ok(()) => ExitCode::SUCCESS,
        Err((problem, status)) => {
            error!("{problem}");
            ExitCode::from(status)
        }
    }
}

fn certificate(serving: &Serving) -> Result<tls::Serving, TlsError> {
    match &serving.tls {
        Tls::Files { cert, key } => tls::Serving::from_files(Files::new(cert.clone(), key.clone())),
        Tls::SelfSigned => {
            let made = self_signed().map_err(|error| rustls::Error::General(error.to_string()))?;
            warn!(
                "TLS_SELF_SIGNED: this certificate is gone when the process ends; its authority is on standard output"
            );
            print(&made.ca_pem);
            tls::Serving::from_memory(made.chain, made.key)
        }
    }
}

/// The first signal, and the one after it.
fn signals() -> io::Result<(impl Future<Output = Stop>, impl Future<Output = ()>)> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stop, stopping) = oneshot::channel();
    let (again, at_once) = oneshot::channel();
    // One listener for both: a second one would hear the first signal too.
    actix_web::rt::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => Stop::Drain,
                _ = interrupt.recv() => Stop::Now,
            }
        };
        let first = next().await;
        // Nobody listens any more where the server has ended by itself.
        let _ = stop.send(first);
        next().await;
        let _ = again.send(());
    });
    Ok((async { stopping.await.unwrap_or(Stop::Now) }, async { drop(at_once.await) }))
}

fn print_effective(config: &Config) -> ExitCode {
    let lines: Vec<_> = config.effective.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    print(&lines.concat());
    ExitCode::SUCCESS
}

/// Writes to standard output; a reader that has gone away is no error of ours.
fn print(text: &str) {
    drop(io::stdout().write_all(text.as_bytes()));
}

fn log_notices(notices: &[Notice]) {
    for notice in notices {
        match notice {
            Notice::Warning(text) => warn!("{text}"),
            Notice::Note(text) => info!("{text}"),
        }
    }
}

/// To a person, or to a log of CI: plain lines suit both.
fn print_notices(notices: &[Notice]) {
    let line = |notice: &Notice| match notice {
        Notice::Warning(text) => format!("warning: {text}\n"),
        Notice::Note(text) => format!("note: {text}\n"),
    };
    print_lines(&notices.iter().map(line).collect::<Vec<_>>());
}

fn unusable(errors: &[ConfigError]) -> ExitCode {
    // A misspelt name may be why another variable lacks its value.
    print_notices(&notices(std::env::vars_os()));
    refused(errors)
}

fn refused(errors: &[ConfigError]) -> ExitCode {
    print_lines(&errors.iter().map(|error| format!("error: {error}\n")).collect::<Vec<_>>());
    ExitCode::from(UNUSABLE)
}

fn print_lines(lines: &[String]) {
    drop(io::stderr().write_all(lines.concat().as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_of_before_starts_the_webhook() {
        for (given, meant) in [
            ("pullgate", "pullgate"),
            ("pullgate --version", "pullgate --version"),
            ("pullgate controller -v=4", "pullgate controller -v=4"),
            ("pullgate -alsologtostderr -v=4 2>&1", "pullgate webhook"),
            ("pullgate --logtostderr --check", "pullgate webhook --check"),
            ("pullgate -port=1", "pullgate webhook -port=1"),
        ] {
            let words = with_command(given.split(' ').map(OsString::from));
            assert_eq!(words, meant.split(' ').collect::<Vec<_>>(), "{given}");
        }
    }
}
