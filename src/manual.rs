//! Completions for shells and man pages, made from the commands themselves.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::{Args, Command, ValueEnum};
use clap_complete::{Shell as Known, generate};
use clap_mangen::generate_to;

/// What `pullgate completion` is told.
#[derive(Debug, Args)]
pub struct CompletionOptions {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// What `pullgate man` is told.
#[derive(Debug, Args)]
pub struct ManOptions {
    /// Folder for the pages, one for each command
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// Bash
    Bash,
    /// Zsh
    Zsh,
    /// fish
    Fish,
}

/// The script that completes `pullgate` in a shell.
#[must_use]
pub fn completions(options: &CompletionOptions, mut command: Command) -> String {
    let shell = match options.shell {
        Shell::Bash => Known::Bash,
        Shell::Zsh => Known::Zsh,
        Shell::Fish => Known::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut command, "pullgate", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes `pullgate.1`, `pullgate-webhook.1` and the others, and returns a line with the path of each.
///
/// # Errors
/// What the folder or a file in it cannot be written for, with its path.
pub fn man_pages(options: &ManOptions, command: Command) -> Result<String, String> {
    let folder = &options.folder;
    let failed = |path: &Path, error: io::Error| format!("{}: cannot be written: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    generate_to(command, folder).map_err(|error| failed(folder, error))?;
    let pages = fs::read_dir(folder).map_err(|error| failed(folder, error))?;
    let mut pages: Vec<_> = pages.filter_map(|page| Some(page.ok()?.path())).collect();
    pages.retain(|page| page.extension().is_some_and(|kind| kind == "1"));
    pages.sort();
    let pages: Vec<_> = pages.iter().map(|page| format!("{}\n", page.display())).collect();
    Ok(pages.concat())
}
