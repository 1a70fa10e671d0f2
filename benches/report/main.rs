//! Everything that `scripts/bench` measures, as one table. See `docs/performance.md` for what the figures mean.
//!
//! ```text
//! pure     what criterion measured in benches/answer.rs     growth   instructions as Pods, rules and bodies grow
//! https    CPU and rate on kept connections                 connect  the same with a handshake for each call
//! cluster  Pod creates through a kube-apiserver             memory   at rest, under load, with large bodies, idle
//! start    from exec to ready; size of the binary
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a bench that cannot run says so and ends; figures are read to three digits"
)]

#[path = "../../tests/client/mod.rs"]
mod client;
mod https;
mod null;
mod process;
#[path = "../reviews.rs"]
mod reviews;
mod sample;
mod table;

use std::fs::File;
use std::process::Command;
use std::time::Duration;

use client::Program;

/// How long to measure.
pub(crate) struct Plan {
    /// Whether it is only to be seen that everything runs.
    pub(crate) short: bool,
    pub(crate) rounds: usize,
    /// Of one run of one server.
    pub(crate) time: Duration,
}

impl Plan {
    fn new(short: bool) -> Self {
        let (rounds, time) =
            if short { (1, Duration::from_millis(300)) } else { (5, Duration::from_secs(2)) };
        Self { short, rounds, time }
    }
}

/// The three that are loaded by turns.
pub(crate) struct Servers {
    pub(crate) null: Program,
    pub(crate) unchanged: Program,
    pub(crate) everything: Program,
}

impl Servers {
    async fn start() -> Self {
        Self {
            null: null_webhook().await,
            unchanged: product(&[]).await,
            everything: product(&reviews::EVERYTHING).await,
        }
    }
}

/// The binary as it is shipped, which `scripts/bench` built; not the one that cargo builds for benches, whose
/// libraries have what the client needs besides.
fn binary() -> String {
    std::env::var("PULLGATE").expect("PULLGATE names the release binary: run scripts/bench")
}

/// The product with these settings and else the defaults. Its log goes nowhere.
pub(crate) async fn product(settings: &[(&str, &str)]) -> Program {
    let mut command = Command::new(binary());
    command.arg("webhook");
    Program::start_as(command, settings, Some(nowhere())).await
}

pub(crate) async fn null_webhook() -> Program {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.arg("null-webhook");
    Program::start_as(command, &[], Some(nowhere())).await
}

fn nowhere() -> File {
    File::options().write(true).open("/dev/null").expect("/dev/null")
}

const PARTS: [&str; 2] = ["https", "connect"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments == ["null-webhook"] {
        return null::serve();
    }
    let (options, mut parts): (Vec<_>, Vec<_>) =
        arguments.iter().map(String::as_str).partition(|a| a.starts_with("--"));
    if parts.is_empty() {
        parts = PARTS.to_vec();
    }
    let plan = Plan::new(options.contains(&"--short"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut rows = Vec::new();
    for part in parts {
        eprintln!("bench: {part}");
        rows.extend(runtime.block_on(async {
            match part {
                "https" => https::keep_alive(&plan).await,
                "connect" => https::new_connections(&plan).await,
                other => panic!("'{other}' is no part: give some of {PARTS:?}"),
            }
        }));
    }
    let rendered = table::render(&rows);
    println!("{rendered}");
}
