//! What commands write for people.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use log::{info, warn};

use super::UNUSABLE;
use crate::config::{ConfigError, notices};
use crate::image::analysis::Notice;
use crate::terminal::{self, error, warning};

/// Writes to standard output, and returns this exit status, unless that fails; a reader that has gone away is no error of
/// ours.
pub(super) fn print(text: &str, status: u8) -> ExitCode {
    let mut output = io::stdout();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            print_lines(&[terminal::error(&format!("standard output cannot be written: {error}"))]);
            ExitCode::from(UNUSABLE)
        }
        _ => ExitCode::from(status),
    }
}

pub(super) fn log_notices(notices: &[Notice]) {
    for notice in notices {
        match notice {
            Notice::Warning(text) => warn!("{text}"),
            Notice::Note(text) => info!("{text}"),
        }
    }
}

/// To a person, or to a log of CI: plain lines suit both.
pub(super) fn print_notices(notices: &[Notice]) {
    let line = |notice: &Notice| match notice {
        Notice::Warning(text) => warning(text),
        Notice::Note(text) => format!("note: {text}\n"),
    };
    print_lines(&notices.iter().map(line).collect::<Vec<_>>());
}

pub(super) fn unusable(errors: &[ConfigError]) -> ExitCode {
    // A misspelt name may be why another variable lacks its value.
    print_notices(&notices(std::env::vars_os()));
    refused(errors)
}

pub(super) fn refused(errors: &[ConfigError]) -> ExitCode {
    print_lines(&errors.iter().map(|problem| error(&problem.to_string())).collect::<Vec<_>>());
    ExitCode::from(UNUSABLE)
}

pub(super) fn print_lines(lines: &[String]) {
    drop(io::stderr().write_all(lines.concat().as_bytes()));
}
