//! The arguments of `pullgate images`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::check::CheckOptions;
use crate::config::read::namespace;

/// List every image in use and what the rules make of it, before the webhook is registered.
#[derive(Clone, Debug, Default, Args)]
pub struct Options {
    /// Files and folders of manifests (folders: .yaml, .yml and .json below them); `-` or none: standard input
    #[arg(value_name = "PATH", conflicts_with_all = ["cluster", "kubeconfig", "context"])]
    pub paths: Vec<PathBuf>,

    /// Read Pods and workloads of the cluster that kubectl would reach; nothing is changed there
    #[arg(long)]
    pub cluster: bool,

    /// The same, of the cluster of this kubeconfig
    #[arg(long, value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,

    /// The same, of this context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// Namespace of objects that name none [default: default]; of a cluster, the only one to read [default: all]
    #[arg(short, long, value_name = "NAME", value_parser = namespace)]
    pub namespace: Option<String>,

    /// Namespace of the webhook, whose images stay as they are, like those of kube-system: neither is sent to it
    #[arg(long, value_name = "NAME", default_value = "pullgate", value_parser = namespace)]
    pub webhook_namespace: String,

    /// For a person, for a program, or for a tool that copies images
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,

    /// With `--output skopeo`: only what `skopeo sync` has to copy below this registry and path
    #[arg(long, value_name = "PREFIX")]
    pub destination: Option<String>,

    /// Exit with 1 when an image cannot be parsed, or is not found at its target where that is checked
    #[arg(long)]
    pub exit_code: bool,

    /// How registries are asked.
    #[command(flatten)]
    pub check: CheckOptions,
}

/// What a list is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A line for each image
    #[default]
    Table,
    /// One object
    Json,
    /// What `skopeo sync --all --src yaml` reads
    Skopeo,
    /// What `regsync` reads
    Regsync,
    /// A line for each image to copy: source, space, target
    Pairs,
    /// A page with a table to filter and a picture, complete in itself
    Html,
}

impl Options {
    /// Whether images are those of a cluster.
    #[must_use]
    pub fn reads_cluster(&self) -> bool {
        self.cluster || self.kubeconfig.is_some() || self.context.is_some()
    }
}
