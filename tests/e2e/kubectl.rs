//! `kubectl`, as it is typed.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// Manifests of the tests; every `kubectl` runs in this folder.
pub(crate) const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/fixtures");

/// A command that has not been run yet.
pub(crate) struct Kubectl {
    words: Vec<String>,
    input: Option<String>,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    command: String,
    succeeded: bool,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error: warnings and refusals.
    pub(crate) err: String,
}

/// `kubectl LINE`: words separated by white space, and no quoting: a word cannot hold a space.
pub(crate) fn kubectl(line: &str) -> Kubectl {
    static REACHED: OnceLock<Result<(), String>> = OnceLock::new();
    if let Err(problem) = REACHED.get_or_init(reach) {
        panic!("{problem}");
    }
    Kubectl { words: line.split_whitespace().map(str::to_owned).collect(), input: None }
}

/// A suite without a cluster fails, and says what to do.
fn reach() -> Result<(), String> {
    const ADVICE: &str = "run: scripts/cluster up; eval \"$(scripts/cluster env)\"";
    let Some(config) = std::env::var_os("KUBECONFIG").filter(|config| !config.is_empty()) else {
        return Err(format!("KUBECONFIG is not set: the end-to-end tests need a cluster; {ADVICE}"));
    };
    let asked = Command::new("kubectl").args(["get", "--raw", "/readyz", "--request-timeout=10s"]).output();
    match asked {
        Ok(answer) if answer.status.success() => Ok(()),
        Ok(answer) => {
            let said = String::from_utf8_lossy(&answer.stderr).into_owned();
            Err(format!("the cluster of KUBECONFIG={} does not answer: {said}{ADVICE}", config.display()))
        }
        Err(error) => Err(format!("kubectl cannot be run: {error}; {ADVICE}")),
    }
}

impl Kubectl {
    /// Adds a word that may hold spaces.
    pub(crate) fn word(mut self, word: &str) -> Self {
        self.words.push(word.to_owned());
        self
    }

    /// The input for `-f -`.
    pub(crate) fn input(self, manifest: &Value) -> Self {
        self.input_text(manifest.to_string())
    }

    /// The same, byte for byte.
    pub(crate) fn input_text(mut self, text: String) -> Self {
        self.input = Some(text);
        self
    }

    /// Runs it, whatever comes of it.
    #[track_caller]
    pub(crate) fn run(self) -> Ran {
        let Self { words, input } = self;
        let mut child = Command::new("kubectl")
            .arg("--request-timeout=60s")
            .args(&words)
            .current_dir(FIXTURES)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl is in PATH");
        let pipe = child.stdin.take();
        // Beside the reading: a pipe holds less than a large manifest.
        let feeder = std::thread::spawn(move || {
            if let (Some(mut pipe), Some(input)) = (pipe, input) {
                // Where kubectl stops reading early, its own words tell why.
                drop(pipe.write_all(input.as_bytes()));
            }
        });
        let output = child.wait_with_output().expect("kubectl ends");
        feeder.join().expect("nothing there can panic");
        Ran {
            command: format!("kubectl {}", words.join(" ")),
            succeeded: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it; the test fails unless it succeeds.
    #[track_caller]
    pub(crate) fn ok(self) -> Ran {
        let ran = self.run();
        assert!(ran.succeeded, "{} failed:\n{}{}", ran.command, ran.out, ran.err);
        ran
    }

    /// Runs it; the test fails if it succeeds. Returns what kubectl said.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        let ran = self.run();
        assert!(!ran.succeeded, "{} should have been refused:\n{}", ran.command, ran.out);
        ran.err
    }

    /// Runs it and reads its output, of `-o json`.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let ran = self.ok();
        serde_json::from_str(&ran.out)
            .unwrap_or_else(|error| panic!("{}: {error}:\n{}", ran.command, ran.out))
    }
}

impl Ran {
    /// Whether it succeeded.
    pub(crate) fn succeeded(&self) -> bool {
        self.succeeded
    }
}
