//! `pullgate images`: every image in use, and what the rules would make of it.
//!
//! ```text
//! manifests --offline--> objects \
//!                                 inventory --listing::decide--> rows --render, copies, page--> text
//! API server --cluster--> objects /                               \--registry--> whether the target is there
//! ```
//! What is an image of a Pod, and what becomes of it, `pullgate mutate` and the webhook decide.

mod challenge;
pub mod check;
mod cluster;
mod copies;
mod inventory;
mod listing;
mod logins;
pub mod options;
mod page;
mod progress;
mod registry;
mod render;
mod wire;

use std::io::{self, BufWriter, ErrorKind};

use crate::offline::sources::sources;
use crate::offline::yaml;
use crate::offline::{CHANGED, FAILED, FINE, Streams};
use crate::policy::Policy;
use cluster::Cluster;
use inventory::Inventory;
use listing::{Row, decide};
use options::{Options, Output};
use wire::Wire;

/// Runs on the streams of the process; returns its exit status.
#[must_use]
pub fn run_process(options: &Options, policy: &Policy) -> u8 {
    let mut streams = Streams {
        input: &mut io::stdin().lock(),
        output: &mut BufWriter::new(io::stdout().lock()),
        errors: &mut io::stderr().lock(),
        terminal: false,
    };
    actix_web::rt::System::new().block_on(run(options, policy, &mut streams))
}

/// Runs; returns [`FINE`], [`CHANGED`] (with `--exit-code`: there is trouble) or [`FAILED`]. A problem with one
/// document is reported and the others go on.
pub async fn run(options: &Options, policy: &Policy, streams: &mut Streams<'_>) -> u8 {
    let (rows, problems) = match rows(options, policy, streams).await {
        Ok(read) => read,
        Err(problem) => (Vec::new(), vec![problem]),
    };
    let ended = report(options, &rows, &problems, streams);
    match ended {
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = streams.error(&format!("cannot write the result: {error}"));
            FAILED
        }
        Ok(false) => FAILED,
        _ if !problems.is_empty() => FAILED,
        _ if options.exit_code && rows.iter().any(Row::is_trouble) => CHANGED,
        _ => FINE,
    }
}

/// What becomes of every image, and what could not be read.
///
/// # Errors
/// Nothing can be read or asked at all.
async fn rows(
    options: &Options,
    policy: &Policy,
    streams: &mut Streams<'_>,
) -> Result<(Vec<Row>, Vec<String>), String> {
    if options.destination.is_some() && options.output != Output::Skopeo {
        return Err("--destination is for --output skopeo: other lists name the whole target".to_owned());
    }
    let check = options.check.check_registry;
    // What is wrong with these is not for the end of a long list.
    let wire = if check { Some(Wire::new(options.check.registry_ca.as_deref())?) } else { None };
    let mut logins = check::logins(&options.check)?;
    let cluster = if options.reads_cluster() {
        Some(Cluster::reach(options).await.map_err(|problem| problem.to_string())?)
    } else {
        None
    };
    let policy = &policy.as_registered(&options.webhook_namespace);
    let (inventory, mut problems) = match &cluster {
        Some(cluster) => cluster.images(policy, options.namespace.as_deref()).await,
        None => manifests(options, policy, streams),
    };
    if inventory.objects == 0 && problems.is_empty() {
        let nothing = match (&cluster, &options.namespace) {
            (None, _) => ": give files or folders of manifests, standard input, or --cluster".to_owned(),
            (Some(_), None) => " in the cluster".to_owned(),
            (Some(_), Some(namespace)) => format!(" in the namespace {namespace}"),
        };
        problems.push(format!("no Pod or workload found{nothing}"));
    }
    if let Some(cluster) = cluster.as_ref().filter(|_| check) {
        for problem in cluster.logins(&inventory.secrets, &mut logins).await {
            let _ = streams.warning(&problem);
        }
    }
    let mut rows = decide(inventory, &policy.registries);
    if let Some(wire) = wire {
        check::check(&options.check, wire, logins, &mut rows).await;
    }
    Ok((rows, problems))
}

/// Everything that the paths stand for, and what is wrong with it.
fn manifests(options: &Options, policy: &Policy, streams: &mut Streams<'_>) -> (Inventory, Vec<String>) {
    let (mut inventory, mut problems) = (Inventory::default(), Vec::new());
    let namespace = options.namespace.as_deref().unwrap_or("default");
    for source in sources(&options.paths) {
        let content = source.and_then(|source| Ok((source.to_string(), source.read(streams.input)?)));
        let (name, content) = match content {
            Ok(read) => read,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        let Ok(text) = std::str::from_utf8(&content) else {
            problems.push(format!("{name}: is not UTF-8 text"));
            continue;
        };
        for document in yaml::read(text) {
            let added = document.taken(|mut value| inventory.add(policy, namespace, None, &mut value));
            let found = added.err().unwrap_or_default();
            problems.extend(found.iter().map(|problem| format!("{name}: {problem}")));
        }
    }
    (inventory, problems)
}

/// Writes the list, and what is wrong; false: there is no such list.
fn report(
    options: &Options,
    rows: &[Row],
    problems: &[String],
    streams: &mut Streams<'_>,
) -> io::Result<bool> {
    for problem in problems {
        streams.error(problem)?;
    }
    if rows.is_empty() && !problems.is_empty() {
        return Ok(false);
    }
    for collision in copies::collisions(rows) {
        streams.warning(&collision)?;
    }
    let text = match options.output {
        Output::Table => render::table(rows),
        Output::Json => render::json(rows),
        Output::Html => page::page(rows),
        Output::Pairs => copies::pairs(rows),
        Output::Regsync => copies::regsync(rows),
        Output::Skopeo => {
            match copies::skopeo(rows, options.destination.as_deref(), &options.check.plain_http) {
                Ok(list) => list,
                Err(problem) => {
                    streams.error(&problem)?;
                    return Ok(false);
                }
            }
        }
    };
    streams.output.write_all(text.as_bytes())?;
    streams.output.flush()?;
    Ok(true)
}
