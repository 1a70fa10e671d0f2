//! The commands that go on: servers, controllers, and whoever waits.

use std::io::{self, IsTerminal as _};
use std::pin::Pin;
use std::process::ExitCode;

use log::{LevelFilter, error, info, warn};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::UNUSABLE;
use super::print::{log_notices, print, print_notices, refused, unusable};
use crate::certs::self_signed;
use crate::config::{Config, LogFormat, Logging, Serving, Tls};
use crate::controller::flags::Flags;
use crate::controller::process::ControllerError;
use crate::controller::refresher;
use crate::controller::run::run as run_controller;
use crate::controller::settings::Settings;
use crate::descriptors;
use crate::logging;
use crate::register::{self, RegisterError};
use crate::webhook::tls::{Files, TlsError};
use crate::webhook::{App, ServeError, Stop, Stopped, start, tls};

pub(super) fn webhook(check: bool) -> ExitCode {
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

fn print_effective(config: &Config) -> ExitCode {
    let lines: Vec<_> = config.effective.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    print(&lines.concat(), 0)
}

pub(super) fn controller(flags: &Flags) -> ExitCode {
    let settings = match Settings::load(flags, std::env::vars_os(), io::stderr().is_terminal()) {
        Ok(settings) => settings,
        Err(errors) => return refused(&errors),
    };
    logging::init(settings.logging);
    log_notices(&settings.notices);
    with_rights(|stop| run_controller(settings, stop))
}

pub(super) fn refresher(options: refresher::options::Options) -> ExitCode {
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

pub(super) fn register(options: &register::Options) -> ExitCode {
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
            let _ = print(&made.ca_pem, 0);
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
