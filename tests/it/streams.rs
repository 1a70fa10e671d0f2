//! Commands that decide by rules and write to streams, run within the test.

use std::ffi::OsString;

use pullgate::config::load_policy;
use pullgate::offline::Streams;
use pullgate::policy::Policy;

/// What a command came to.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) status: u8,
    pub(crate) output: String,
    pub(crate) errors: String,
}

/// The rules of an environment.
pub(crate) fn policy(environment: &[(&str, &str)]) -> Policy {
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load_policy(environment).unwrap().0
}

/// Runs a command on this input.
pub(crate) fn on(terminal: bool, input: &str, run: impl FnOnce(&mut Streams<'_>) -> u8) -> Outcome {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let status = run(&mut Streams {
        input: &mut input.as_bytes(),
        output: &mut output,
        errors: &mut errors,
        terminal,
    });
    let [output, errors] = [output, errors].map(|text| String::from_utf8(text).unwrap());
    Outcome { status, output, errors }
}
