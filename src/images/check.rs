//! Looks up all targets, a bounded number at a time, each once, until the time is over.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::listing::{Row, Target};
use super::logins::Logins;
use super::progress;
use super::registry::Registries;
use super::wire::Wire;

/// Requests at a time.
const AT_ONCE: usize = 16;

/// How registries are asked.
#[derive(Clone, Debug, Args)]
pub struct CheckOptions {
    /// Ask the registries whether the images are at their targets
    #[arg(long)]
    pub check_registry: bool,

    /// Logins of registries: a .dockerconfigjson, as `docker login` writes it (helpers are not asked); those of the
    /// cluster's pull secrets are used as well
    #[arg(long, value_name = "PATH", requires = "check_registry")]
    pub registry_config: Option<PathBuf>,

    /// Authorities for the registries' certificates, beside those of the system (PEM)
    #[arg(long, value_name = "PATH", requires = "check_registry")]
    pub registry_ca: Option<PathBuf>,

    /// A registry that speaks no TLS, by host or host:port; may be repeated
    #[arg(long, value_name = "HOST", value_parser = host)]
    pub plain_http: Vec<String>,

    /// Seconds for all registries together
    #[arg(long, value_name = "N", default_value_t = 300, requires = "check_registry", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub check_seconds: u64,
}

/// As it stands before the first `/` of an image.
fn host(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.contains(|c: char| c == '/' || c == '@' || c.is_whitespace()) {
        return Err("expected host or host:port, as in an image, without a scheme");
    }
    Ok(text.to_owned())
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            check_registry: false,
            registry_config: None,
            registry_ca: None,
            plain_http: Vec::new(),
            check_seconds: 300,
        }
    }
}

/// The logins of `--registry-config`.
///
/// # Errors
/// The file cannot be read or used; names it.
pub(super) fn logins(options: &CheckOptions) -> Result<Logins, String> {
    let mut logins = Logins::default();
    if let Some(path) = &options.registry_config {
        let read = std::fs::read(path).map(Zeroizing::new).map_err(|error| error.to_string());
        read.and_then(|json| logins.read(&json))
            .map_err(|problem| format!("--registry-config {}: {problem}", path.display()))?;
    }
    Ok(logins)
}

/// Asks about everything that is going to be pulled from a target, and notes the answers.
pub(super) async fn check(options: &CheckOptions, wire: Wire, logins: Logins, rows: &mut [Row]) {
    let registries = Registries::new(wire, logins, options.plain_http.clone());
    let images: BTreeSet<_> = rows.iter().filter_map(Row::at_target).map(str::to_owned).collect();
    let end = Instant::now() + Duration::from_secs(options.check_seconds);
    let progress = progress::bar("asking registries", images.len());
    let ask = async |image: String| {
        let over =
            || Target::Unreachable(format!("no answer within --check-seconds {}", options.check_seconds));
        let target = timeout_at(end, registries.state(&image)).await.unwrap_or_else(|_| over());
        progress.inc(1);
        (image, target)
    };
    let states: HashMap<_, _> = iter(images).map(ask).buffer_unordered(AT_ONCE).collect().await;
    progress.finish_and_clear();
    for row in rows {
        row.target = row.at_target().and_then(|image| states.get(image)).cloned();
    }
}
