//! Everything that `scripts/bench` measures, as one table. See `docs/performance.md` for what the figures mean.
//!
//! ```text
//! pure     what criterion measured in benches/answer.rs     growth   instructions as Pods, rules and bodies grow
//! https    CPU and rate on kept connections                 connect  the same with a handshake for each call
//! cluster  Pod creates through a kube-apiserver             memory   at rest, under load, with large bodies, idle
//! controller   the controller in large clusters              resources   many ImagePullSecrets
//! start    from exec to ready; size of the binary
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a bench that cannot run says so and ends; figures are read to three digits"
)]

mod api_server;
#[path = "../../tests/e2e/resources/aws.rs"]
#[allow(dead_code, reason = "it never fails here")]
mod aws;
#[path = "../../tests/client/mod.rs"]
mod client;
mod cluster;
mod controller;
mod crowd;
mod https;
mod memory;
mod null;
mod plot;
mod process;
mod pure;
mod resources;
#[path = "../reviews.rs"]
mod reviews;
mod sample;
mod table;
mod writes;

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use client::Program;
use table::Row;
use time::OffsetDateTime;

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
            null: null_webhook(&[]).await,
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

/// The product with these settings and else the defaults, ready. Its log goes nowhere.
pub(crate) async fn product(settings: &[(&str, &str)]) -> Program {
    Program::start_as(webhook_command(), settings, Some(nowhere())).await
}

/// The same, just started.
pub(crate) fn spawn_product(settings: &[(&str, &str)]) -> Program {
    Program::spawn(webhook_command(), settings, Some(nowhere()))
}

fn webhook_command() -> Command {
    let mut command = Command::new(binary());
    command.arg("webhook");
    command
}

pub(crate) async fn null_webhook(settings: &[(&str, &str)]) -> Program {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.arg("null-webhook");
    Program::start_as(command, settings, Some(nowhere())).await
}

fn nowhere() -> File {
    File::options().write(true).open("/dev/null").expect("/dev/null")
}

/// In this order.
const PARTS: [&str; 9] =
    ["pure", "growth", "https", "connect", "cluster", "resources", "controller", "start", "memory"];
const DOCUMENT: &str = "docs/performance.md";

async fn measure(part: &str, plan: &Plan, plots: Option<&Path>) -> Vec<Row> {
    match part {
        "pure" => pure::pure(plan),
        "growth" => pure::growth(plan, plots),
        "https" => https::keep_alive(plan).await,
        "connect" => https::new_connections(plan).await,
        "cluster" => cluster::creates(plan).await,
        "resources" => resources::scale(plan).await,
        "controller" => controller::scale(plan).await,
        "start" => memory::start(plan).await,
        "memory" => memory::memory(plan).await,
        other => panic!("'{other}' is no part: give some of {PARTS:?}"),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments == ["null-webhook"] {
        null::serve();
        return ExitCode::SUCCESS;
    }
    let arguments = arguments.iter().map(String::as_str);
    let (options, mut parts): (Vec<_>, Vec<_>) = arguments.partition(|argument| argument.starts_with("--"));
    if parts.is_empty() {
        parts = PARTS.to_vec();
    }
    let plan = Plan::new(options.contains(&"--short"));
    let write = options.contains(&"--write");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (mut rows, mut worse_than_linear, mut miscounted) = (Vec::new(), false, false);
    for part in parts {
        let began = Instant::now();
        let measured = runtime.block_on(measure(part, &plan, write.then_some(Path::new("docs"))));
        eprintln!("bench: {part}, {}", process::seconds(began.elapsed()));
        // Instructions repeat, so this is no matter of luck as times are.
        worse_than_linear |= part == "growth" && measured.iter().any(Row::missed);
        miscounted |= measured.iter().any(Row::miscounted);
        rows.extend(measured);
    }
    let when = OffsetDateTime::now_utc().date();
    let text = format!("{when}, {}, {}:\n\n{}", process::commit(), process::machine(), table::render(&rows));
    print!("{text}");
    if write {
        table::write_into(DOCUMENT, "bench", &text);
    }
    if worse_than_linear {
        eprintln!("bench: growth is worse than linear, see above");
    }
    if miscounted {
        eprintln!("bench: a count is not what it has to be, see above");
    }
    if worse_than_linear || miscounted { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
