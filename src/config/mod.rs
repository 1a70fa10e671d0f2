//! Configuration: environment variables to raw strings ([`raw`]), raw strings to validated settings.
//!
//! ```text
//! environment --Known::read--> raw strings --policy / serving / logging--> settings | every error
//! ```
//! Every problem is reported, not only the first, and each names the variable, the value and what is accepted.

mod policy;
pub mod raw;
pub(crate) mod read;
mod serving;

use std::ffi::OsString;
use std::fmt;

use crate::image::analysis::Notice;
use crate::policy::Policy;

use read::Reader;

pub use raw::{VARIABLES, WEBHOOK};
pub(crate) use serving::read_logging;
pub use serving::{LogFormat, Logging, Serving, Tls};

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The environment variable, or the flag that was typed in its place.
    pub variable: String,
    /// Its value.
    pub value: String,
    /// What is wrong, and what is accepted.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, value, problem } = self;
        write!(f, "{variable}={value:?}: {problem}")
    }
}

impl std::error::Error for ConfigError {}

/// Everything that the webhook is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// What admission is decided by.
    pub policy: Policy,
    /// Where and how it is served.
    pub serving: Serving,
    /// What is logged.
    pub logging: Logging,
    /// What should be said about the configuration before it is used.
    pub notices: Vec<Notice>,
    /// Every variable with the value that is in effect, in the order of [`VARIABLES`]; unset ones are empty.
    pub effective: Vec<(&'static str, String)>,
}

impl Config {
    /// Reads and validates the webhook's configuration. `terminal` tells whether the log goes to a person.
    ///
    /// # Errors
    /// Every value that cannot be used.
    pub fn load(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        terminal: bool,
    ) -> Result<Self, Vec<ConfigError>> {
        let (values, mut read) = WEBHOOK.read(environment)?;
        let policy = policy::read(&values, &mut read);
        let serving = serving::read(&values, &mut read);
        let logging =
            read_logging(values.log_level.as_ref(), values.log_format.as_ref(), terminal, &mut read);
        let effective = VARIABLES.iter().map(|name| (*name, read.take_effective(name))).collect();
        let Reader { errors, notices, .. } = read;
        if errors.is_empty() {
            Ok(Self { policy, serving, logging, notices, effective })
        } else {
            Err(errors)
        }
    }
}

/// Reads and validates only what admission is decided by, for commands that serve nothing.
///
/// # Errors
/// Every value that cannot be used.
pub fn load_policy(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Policy, Vec<Notice>), Vec<ConfigError>> {
    let (values, mut read) = WEBHOOK.read(environment)?;
    let policy = policy::read(&values, &mut read);
    if read.errors.is_empty() { Ok((policy, read.notices)) } else { Err(read.errors) }
}

/// What there is to say about the names in an environment, whatever their values are.
pub fn notices(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<Notice> {
    WEBHOOK.read::<raw::Values>(environment).map(|(_, read)| read.notices).unwrap_or_default()
}
