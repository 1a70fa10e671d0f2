//! The arguments of `pullgate mutate`.

use std::path::PathBuf;

use crate::config::read::namespace;
use crate::terminal::Color;

/// Apply the webhook's rules to manifests, without a cluster.
#[expect(clippy::struct_excessive_bools, reason = "one per flag")]
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Files and folders of manifests (folders: .yaml, .yml and .json below them); `-` or none: standard input
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Print what would change, as unified diffs
    #[arg(long)]
    pub diff: bool,

    /// Print for each image how it is read, which rule applies, and what becomes of it
    #[arg(long)]
    pub explain: bool,

    /// Read one AdmissionReview (JSON) per file, and print the answers that the webhook would give
    #[arg(long, conflicts_with_all = ["diff", "explain", "namespace"])]
    pub review: bool,

    /// Exit with 1 when something would change (0: nothing would; 2: an error, with or without this)
    #[arg(long)]
    pub exit_code: bool,

    /// Namespace of objects that name none
    #[arg(short, long, value_name = "NAME", default_value = "default", value_parser = namespace)]
    pub namespace: String,

    /// Colours in diffs; auto: on a terminal, unless `NO_COLOR` is set
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub color: Color,
}
