//! `pullgate mutate`: the webhook's rules over manifests, without a cluster.
//!
//! ```text
//! paths --sources--> texts --yaml::read--> documents
//!   Pods, claims and templates in each --parts--> admit::admit, as a CREATE --> patched in place
//!   --> yaml::print, or diff::unified and explain::images
//! ```
//! Nothing is decided here: what a Pod or a claim becomes is [`crate::admit`]'s answer, what a review becomes
//! is [`crate::answer`]'s. Nothing is ever written but to the two output streams.

mod diff;
pub(crate) mod explain;
mod options;
pub(crate) mod parts;
pub(crate) mod sources;
pub mod yaml;

use std::io::{self, BufWriter, ErrorKind, Read, Write};

use crate::admit::Outcome;
use crate::answer::answer;
use crate::policy::Policy;
use crate::terminal::{self, shows_colours};
use diff::unified;
use parts::{Admitted, Call, admit_all};
use sources::sources;
use yaml::print;

pub use options::Options;

/// Exit status of a run whose manifests come out as they went in, or with changes that were not asked about.
pub const FINE: u8 = 0;
/// Exit status, with `--exit-code`, of a run that changes something.
pub const CHANGED: u8 = 1;
/// Exit status of a run with something in it that could not be read or found.
pub const FAILED: u8 = 2;

/// Where manifests come from without a path, and where results and messages go.
pub struct Streams<'a> {
    /// Read for the path `-` and where there is no path.
    pub input: &'a mut dyn Read,
    /// Results.
    pub output: &'a mut dyn Write,
    /// Errors and warnings.
    pub errors: &'a mut dyn Write,
    /// Whether results go to somebody who sees colours.
    pub terminal: bool,
}

impl Streams<'_> {
    pub(crate) fn error(&mut self, problem: &str) -> io::Result<()> {
        self.errors.write_all(terminal::error(problem).as_bytes())
    }

    pub(crate) fn warning(&mut self, problem: &str) -> io::Result<()> {
        self.errors.write_all(terminal::warning(problem).as_bytes())
    }
}

/// Runs on the streams of the process; returns its exit status.
#[must_use]
pub fn run_process(options: &Options, policy: &Policy) -> u8 {
    let terminal = shows_colours();
    let mut streams = Streams {
        input: &mut io::stdin().lock(),
        output: &mut BufWriter::new(io::stdout().lock()),
        errors: &mut io::stderr().lock(),
        terminal,
    };
    run(options, policy, &mut streams)
}

/// Runs; returns [`FINE`], [`CHANGED`] or [`FAILED`]. A problem with one document is reported and the others go
/// on.
pub fn run(options: &Options, policy: &Policy, streams: &mut Streams<'_>) -> u8 {
    let mut run = Run { options, policy, streams, found: 0, printed: false, changed: false, failed: false };
    match run.all() {
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = run.streams.error(&format!("cannot write the result: {error}"));
            FAILED
        }
        _ if run.failed => FAILED,
        _ if run.changed && options.exit_code => CHANGED,
        _ => FINE,
    }
}

/// One run and how it is going.
struct Run<'r, 's> {
    options: &'r Options,
    policy: &'r Policy,
    streams: &'r mut Streams<'s>,
    found: usize,
    printed: bool,
    changed: bool,
    failed: bool,
}

impl Run<'_, '_> {
    fn all(&mut self) -> io::Result<()> {
        for source in sources(&self.options.paths) {
            match source.and_then(|source| Ok((source.to_string(), source.read(self.streams.input)?))) {
                Ok((name, content)) if self.options.review => self.review(&name, &content)?,
                Ok((name, content)) => self.manifests(&name, &content)?,
                Err(problem) => self.fail(&problem)?,
            }
        }
        if self.found == 0 && !self.failed {
            self.fail("no object found: give files or folders of manifests, or standard input")?;
        }
        self.streams.output.flush()
    }

    fn review(&mut self, source: &str, content: &[u8]) -> io::Result<()> {
        self.found += 1;
        let mut outcome = Outcome::Unsupported;
        match answer(self.policy, content, |admitted| outcome = admitted.outcome) {
            Ok(answer) => {
                self.changed |= outcome == Outcome::Patched;
                // As for a manifest: an object that cannot be read is an error.
                self.failed |= outcome == Outcome::Denied;
                self.streams.output.write_all(&answer)?;
                self.streams.output.write_all(b"\n")
            }
            Err(problem) => self.fail(&format!("{source}: {problem}")),
        }
    }

    fn manifests(&mut self, source: &str, content: &[u8]) -> io::Result<()> {
        let Ok(text) = std::str::from_utf8(content) else {
            return self.fail(&format!("{source}: is not UTF-8 text"));
        };
        for document in yaml::read(text) {
            self.found += 1;
            match document.taken(|object| admit_all(self.policy, &self.options.namespace, object)) {
                Ok(admitted) => self.report(source, &admitted)?,
                Err(problems) => {
                    for problem in problems {
                        self.fail(&format!("{source}: {problem}"))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn report(&mut self, source: &str, admitted: &Admitted) -> io::Result<()> {
        let Admitted { title, before, after, calls } = admitted;
        for Call { title, warnings, .. } in calls {
            for warning in warnings {
                self.streams.warning(&format!("{source}: {title}: {warning}"))?;
            }
        }
        let changed = before != after;
        self.changed |= changed;
        let Options { explain, diff, .. } = *self.options;
        let output = &mut self.streams.output;
        if explain {
            for paragraph in calls.iter().flat_map(|call| &call.explanations) {
                writeln!(output, "{source}: {paragraph}")?;
            }
        }
        if diff && changed {
            let colours = self.options.color.is_on(self.streams.terminal);
            let diff = unified(&format!("{source} {title}"), &print(before), &print(after), colours);
            output.write_all(diff.as_bytes())?;
        }
        if !explain && !diff {
            let marker = if std::mem::replace(&mut self.printed, true) { "---\n" } else { "" };
            write!(output, "{marker}{}", print(after))?;
        }
        Ok(())
    }

    fn fail(&mut self, problem: &str) -> io::Result<()> {
        self.failed = true;
        self.streams.error(problem)
    }
}
