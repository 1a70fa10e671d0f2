//! Completions, man pages, and the program by the name of a plugin.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use clap::CommandFactory as _;
use pullgate::cli::Cli;

use crate::docs::{code, read, tables};

fn run(program: &Path, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).env_clear().env("PATH", "/usr/bin:/bin").output().unwrap()
}

fn pullgate(arguments: &[&str]) -> Output {
    run(Path::new(env!("CARGO_BIN_EXE_pullgate")), arguments)
}

fn commands() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    let script = String::from_utf8(pullgate(&["completion", "bash"]).stdout).unwrap();
    for (typed, place, expected) in [
        ("pullgate doc", 1, "doctor"),
        ("pullgate doctor --kubeco", 2, "--kubeconfig"),
        ("pullgate completion z", 2, "zsh"),
    ] {
        let words: Vec<_> = typed.split(' ').collect();
        let (word, before) = (words[place], words[place - 1]);
        let ask = format!(
            "{script}\nCOMP_WORDS=({typed}); COMP_CWORD={place}; _pullgate pullgate {word} {before}; echo \"${{COMPREPLY[*]}}\""
        );
        let said = run(Path::new("/bin/bash"), &["-c", &ask]);
        assert_eq!(String::from_utf8_lossy(&said.stdout), format!("{expected}\n"), "{typed}");
    }
}

#[test]
fn other_shells_are_told_of_every_command() {
    for shell in ["zsh", "fish"] {
        let script = String::from_utf8(pullgate(&["completion", shell]).stdout).unwrap();
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
    }
    let refused = pullgate(&["completion", "tcsh"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("bash, zsh, fish"));
}

#[test]
fn there_is_a_page_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("new/man1");
    let ran = pullgate(&["man", pages.to_str().unwrap()]);
    assert!(ran.status.success());
    let mut expected: Vec<_> = commands().iter().map(|command| format!("pullgate-{command}.1")).collect();
    expected.push("pullgate.1".to_owned());
    expected.sort();
    let said = String::from_utf8(ran.stdout).unwrap();
    let mut said: Vec<_> = said.lines().map(|line| line.rsplit('/').next().unwrap().to_owned()).collect();
    said.sort();
    assert_eq!(said, expected);
    for page in expected {
        let text = std::fs::read_to_string(pages.join(&page)).unwrap();
        assert!(text.contains(".TH pullgate") && text.contains(".SH OPTIONS"), "{page}: {text}");
    }
    let refused = pullgate(&["man", "/dev/null/pages"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&refused.stderr).starts_with("error: /dev/null/pages: cannot be written")
    );
}

#[test]
fn as_a_plugin_it_is_called_what_is_typed() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-pullgate");
    symlink(env!("CARGO_BIN_EXE_pullgate"), &plugin).unwrap();
    let help = String::from_utf8(run(&plugin, &["doctor", "--help"]).stdout).unwrap();
    assert!(help.contains("Usage: kubectl pullgate doctor"), "{help}");
    let help = String::from_utf8(pullgate(&["doctor", "--help"]).stdout).unwrap();
    assert!(help.contains("Usage: pullgate doctor"), "{help}");
}

#[test]
fn every_command_is_documented() {
    let text = read("docs/command-line.md");
    let (_, rows) = tables(&text, "| command |").remove(0);
    let documented: Vec<_> =
        rows.iter().map(|row| code(row[0]).trim_start_matches("pullgate ").to_owned()).collect();
    assert_eq!(documented, commands());
}

/// A file that is cut off is not taken for a whole one.
#[test]
#[cfg(target_os = "linux")]
fn what_cannot_be_written_is_said() {
    for arguments in [&["crd"][..], &["completion", "bash"], &["policy"], &["webhook", "--check"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pullgate"));
        command.args(arguments).env_clear().env("REGISTRY", "r.example").stdout(full);
        let ran = command.output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("error: standard output cannot be written: No space left"), "{said}");
    }
}
