//! The programs that the tests run.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What a command said, and whether it succeeded.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) succeeded: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Standard output of a command that must succeed.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert!(self.succeeded, "{}{}", self.out, self.err);
        self.out
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn chart() -> PathBuf {
    root().join("deployment/helm/pullgate")
}

#[track_caller]
pub(crate) fn run(command: &mut Command, input: &str) -> Ran {
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut to = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // It may end without having read everything, and then says why.
        scope.spawn(move || drop(to.write_all(input.as_bytes())));
        child.wait_with_output().unwrap()
    });
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { succeeded: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
}

pub(crate) fn helm(arguments: &[&str], values: &str) -> Ran {
    static HELM: OnceLock<String> = OnceLock::new();
    let path =
        HELM.get_or_init(|| run(&mut Command::new(root().join("scripts/helm")), "").ok().trim().to_owned());
    run(Command::new(path).args(arguments), values)
}

pub(crate) fn kubectl(line: &str, input: &str) -> Ran {
    run(Command::new("kubectl").args(line.split_whitespace()), input)
}
