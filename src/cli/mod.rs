//! The command line: subcommands and flags, and what each starts.

mod print;
mod serve;

use std::ffi::OsString;
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::print::{print, print_lines, print_notices, unusable};
use crate::config::load_policy;
use crate::controller::crd;
use crate::controller::flags::{Flags, with_two_dashes};
use crate::controller::refresher;
use crate::policy::Policy;
use crate::terminal::error;
use crate::{doctor, images, manual, offline, policy_export, register};

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
    /// List every image in use and what the same rules make of it, for a person or for tools that mirror images
    Images(images::options::Options),
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
    /// Print a script that completes commands and options in a shell
    Completion(manual::CompletionOptions),
    /// Write man pages
    Man(manual::ManOptions),
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
    let arguments = with_two_dashes(with_command(std::env::args_os()));
    let commands = named_as(Cli::command(), arguments.first());
    let chosen = Cli::from_arg_matches(&commands.get_matches_from(arguments));
    match chosen.unwrap_or_else(|error| error.exit()).command {
        Command::Webhook(WebhookArgs { check }) => serve::webhook(check),
        Command::Mutate(options) => by_rules(|policy| offline::run_process(&options, policy)),
        Command::Images(options) => by_rules(|policy| images::run_process(&options, policy)),
        Command::Controller(flags) => serve::controller(&flags),
        Command::Refresher(options) => serve::refresher(options),
        Command::Crd => printed(crd::manifest()),
        Command::Doctor(options) => doctor(&options),
        Command::Policy(options) => policy(&options),
        Command::Completion(options) => printed(Ok::<_, &str>(manual::completions(&options, Cli::command()))),
        Command::Man(options) => printed(manual::man_pages(&options, Cli::command())),
        Command::Register(options) => serve::register(&options),
    }
}

/// As a plugin of kubectl, which is the same program by another name, it is called so in its help.
fn named_as(commands: clap::Command, program: Option<&OsString>) -> clap::Command {
    let program = program.map(Path::new).and_then(Path::file_stem).unwrap_or_default();
    if program == "kubectl-pullgate" { commands.bin_name("kubectl pullgate") } else { commands }
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

/// Runs what needs the rules and nothing else of the environment, and returns an exit status.
fn by_rules(run: impl FnOnce(&Policy) -> u8) -> ExitCode {
    match load_policy(std::env::vars_os()) {
        Ok((policy, notices)) => {
            print_notices(&notices);
            ExitCode::from(run(&policy))
        }
        Err(errors) => unusable(&errors),
    }
}

fn doctor(options: &doctor::Options) -> ExitCode {
    match actix_web::rt::System::new().block_on(doctor::run(options)) {
        Ok((report, is_well)) => print(&report, u8::from(!is_well)),
        Err(problem) => printed(Err(problem)),
    }
}

fn policy(options: &policy_export::Options) -> ExitCode {
    let (policy, notices) = match load_policy(std::env::vars_os()) {
        Ok(loaded) => loaded,
        Err(errors) => return unusable(&errors),
    };
    print_notices(&notices);
    let made = policy_export::manifests(&policy, options);
    if made.is_ok() {
        print_notices(&policy_export::notices(&policy, options));
    }
    printed(made)
}

/// Prints what a command has made, or why it has not.
fn printed(made: Result<String, impl Display>) -> ExitCode {
    match made {
        Ok(text) => print(&text, 0),
        Err(problem) => {
            print_lines(&[error(&problem.to_string())]);
            ExitCode::from(UNUSABLE)
        }
    }
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
