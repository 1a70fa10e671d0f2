//! Which files a run reads.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Something to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("stdin"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Source {
    /// Its text; `input` is standard input.
    ///
    /// # Errors
    /// It cannot be read; names it.
    pub(crate) fn read(&self, input: &mut dyn Read) -> Result<Vec<u8>, String> {
        let mut content = Vec::new();
        match self {
            Self::Stdin => input.read_to_end(&mut content).map(|_| content),
            Self::File(path) => fs::read(path),
        }
        .map_err(|error| format!("{self}: cannot be read: {error}"))
    }
}

/// Everything that `paths` stand for, in order; a problem takes the place of what could not be found.
pub(crate) fn sources(paths: &[PathBuf]) -> Vec<Result<Source, String>> {
    if paths.is_empty() {
        return vec![Ok(Source::Stdin)];
    }
    let mut sources = Vec::new();
    for path in paths {
        if path == Path::new("-") {
            sources.push(Ok(Source::Stdin));
        } else if path.is_dir() {
            let before = sources.len();
            folder(path, &mut sources);
            if sources.len() == before {
                sources.push(Err(format!("{}: no .yaml, .yml or .json file in this folder", path.display())));
            }
        } else {
            // Named explicitly: whatever it is called. That it cannot be read is found when it is.
            sources.push(Ok(Source::File(path.clone())));
        }
    }
    sources
}

/// The manifests below a folder, sorted. Links to folders are not followed: they may lead back.
fn folder(folder: &Path, sources: &mut Vec<Result<Source, String>>) {
    if folder.join("Chart.yaml").exists() {
        // One word for all of its templates, of which hardly one can be read.
        return sources.push(Err(format!(
            "{0}: is a Helm chart, not manifests; accepted: what `helm template {0}` prints, on standard input",
            folder.display()
        )));
    }
    let entries: Result<Vec<_>, _> = fs::read_dir(folder).and_then(Iterator::collect);
    let mut paths: Vec<_> = match entries {
        Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
        Err(error) => return sources.push(Err(format!("{}: cannot be read: {error}", folder.display()))),
    };
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if !path.is_symlink() {
                self::folder(&path, sources);
            }
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") {
            // Nobody asked to wait for whoever writes into a pipe.
            sources.push(if path.exists() && !path.is_file() {
                Err(format!("{}: is no file; pipes are read where they are named themselves", path.display()))
            } else {
                Ok(Source::File(path))
            });
        }
    }
}
