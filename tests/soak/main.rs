//! Faults: what breaks around the webhook, and what its callers notice of it.
//!
//! ```text
//! scripts/soak [--short] [CASE...]
//! ```
//! Each case starts the program as it is built for release, lets well-behaved clients call it all the time, does
//! something to it, and counts: calls that were sent, that failed, that were answered wrongly. A row of the table
//! has a goal; one that is missed makes the exit status 1. `docs/reliability.md` says what is promised.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "whoever measures stops where there is nothing to measure"
)]

mod api_server;
mod attackers;
mod attacks;
mod awake;
mod budget;
mod certificates;
#[path = "../client/mod.rs"]
mod client;
mod clock;
mod defects;
mod descriptors;
mod disks;
mod forwarder;
mod idle;
mod kills;
mod load;
mod replicas;
mod report;
mod reviews;
mod rollouts;
mod signals;
mod victim;

use std::pin::Pin;
use std::process::ExitCode;
use std::time::Instant;

use api_server::Cluster;
use report::{HEADER, Row};
use tokio::runtime::{self, Runtime};

/// How long things last, and what there is to do them with.
pub(crate) struct Setting {
    short: bool,
    pub(crate) cluster: Result<Cluster, String>,
    /// What random moments come from: `SOAK_SEED`, to have those of an earlier run.
    pub(crate) seed: u64,
    /// For attackers: in truth they have a machine of their own, so here they get what others leave of this one.
    pub(crate) background: Runtime,
}

impl Setting {
    /// The first of a full run, the second of a short one.
    pub(crate) fn full_or_short<T>(&self, full: T, short: T) -> T {
        if self.short { short } else { full }
    }
}

type Rows = Pin<Box<dyn Future<Output = Vec<Row>>>>;

/// A name, what is done, and how.
struct Case(&'static str, &'static str, fn(&'static Setting) -> Rows);

static CASES: [Case; 11] = [
    Case("certificate", "the certificate is swapped, every other time for one that cannot be served", |s| {
        Box::pin(certificates::run(s))
    }),
    Case("rollout", "two replicas are replaced, under load", |s| Box::pin(rollouts::run(s))),
    Case("idle", "a connection is used again after a pause", |s| Box::pin(idle::run(s))),
    Case("signal", "SIGTERM while clients hold on to it", |s| Box::pin(signals::run(s))),
    Case("attack", "clients by the thousand that mean no good", |s| Box::pin(attacks::run(s))),
    Case("budget", "more bytes at once than MAX_BUFFERED_BYTES", |s| Box::pin(budget::run(s))),
    Case("descriptors", "file descriptors run out", |s| Box::pin(descriptors::run(s))),
    Case("disk", "a log that cannot be written, a root that is read-only", |s| Box::pin(disks::run(s))),
    Case("clock", "the clock is stepped by a day", |s| Box::pin(clock::run(s))),
    Case("panic", "a defect in the handler", |s| Box::pin(defects::run(s))),
    Case("kill", "replicas die at random moments", |s| Box::pin(kills::run(s))),
];

/// A runtime whose threads are of lower priority.
fn background() -> std::io::Result<Runtime> {
    let nice = || {
        // Where that is not possible, attackers are as important as everybody else.
        let _ = rustix::process::setpriority_process(None, 15);
    };
    runtime::Builder::new_multi_thread().enable_all().on_thread_start(nice).build()
}

fn usage() -> String {
    let cases: Vec<_> = CASES.iter().map(|Case(name, what, _)| format!("  {name:<12} {what}\n")).collect();
    format!("usage: soak [--short] [CASE...]\n{}", cases.concat())
}

fn main() -> ExitCode {
    let (mut short, mut chosen) = (false, Vec::new());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--short" => short = true,
            "-h" | "--help" => {
                print!("{}", usage());
                return ExitCode::SUCCESS;
            }
            name if CASES.iter().any(|case| case.0 == name) => chosen.push(argument),
            other => {
                eprint!("soak: '{other}' is no case\n{}", usage());
                return ExitCode::from(2);
            }
        }
    }
    let seed = match std::env::var("SOAK_SEED").map(|seed| seed.parse()) {
        Ok(Ok(seed)) => seed,
        Ok(Err(_)) => {
            eprintln!("soak: SOAK_SEED must be a whole number");
            return ExitCode::from(2);
        }
        Err(_) => u64::from(std::process::id()) * 7919,
    };
    // For as long as the process: cases keep it in their tasks.
    let setting = &*Box::leak(Box::new(Setting {
        short,
        cluster: Cluster::from_environment(),
        seed,
        background: background().expect("a runtime"),
    }));
    let runtime = Runtime::new().expect("a runtime");
    let rows = runtime.block_on(async {
        let mut rows = Vec::new();
        for Case(name, what, run) in &CASES {
            if !chosen.is_empty() && !chosen.iter().any(|is| is == name) {
                continue;
            }
            let began = Instant::now();
            eprintln!("soak: {name}: {what}");
            for row in run(setting).await {
                eprintln!("{}", row.line(name));
                rows.push((*name, row));
            }
            eprintln!("soak: {name}: {} s", began.elapsed().as_secs());
        }
        rows
    });
    println!("{HEADER}");
    for (name, row) in &rows {
        println!("{}", row.line(name));
    }
    let missed = rows.iter().filter(|(_, row)| row.is_missed()).count();
    let not_run = rows.iter().filter(|(_, row)| row.is_not_run()).count();
    eprintln!("soak: {} rows: {missed} missed their goal, {not_run} were not run", rows.len());
    match (missed, not_run) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::from(3),
        _ => ExitCode::FAILURE,
    }
}
