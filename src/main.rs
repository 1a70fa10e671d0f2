//! The `pullgate` program: the library does the work.

use std::process::ExitCode;

fn main() -> ExitCode {
    pullgate::cli::run()
}
