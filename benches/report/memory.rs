//! Memory of the product in four situations, each in a process of its own; how soon it is ready, and its size.

use std::time::{Duration, Instant};

use crate::client::{Caller, Program, connect};
use crate::https::{Load, Target, call_of};
use crate::process::seconds;
use crate::table::{Goal, Row};
use crate::{Plan, binary, product, reviews, spawn_product};

const LARGE: usize = 20_000_000;
const IDLE: usize = 2_000;

async fn fresh() -> Program {
    product(&reviews::EVERYTHING).await
}

/// Resident memory by a line of `/proc/PID/status`.
fn mebibytes(program: &Program, line: &str) -> f64 {
    program.status_kb(line).expect("a process on Linux") as f64 / 1024.0
}

/// `VmRSS`, and for large bodies `VmHWM`, the most that it ever was.
pub(crate) async fn memory(plan: &Plan) -> Vec<Row> {
    let row = |what: &str, value, goal| Row::absolute(what, "MiB", &[value], Goal::AtMost(goal));
    let mut rows = Vec::new();

    // Pages that happen to be touched at start differ from one process to the next.
    let mut at_rest = Vec::new();
    for _ in 0..plan.rounds {
        at_rest.push(mebibytes(&fresh().await, "VmRSS"));
    }
    rows.push(Row::absolute("memory at rest", "MiB", &at_rest, Goal::AtMost(8.0)));

    let program = fresh().await;
    let time = if plan.short { Duration::from_secs(2) } else { Duration::from_mins(10) };
    let load = Load { request: call_of(&reviews::of_size(9_000)), connections: 8, time, reconnect: false };
    load.run(&Target::from(&program)).await;
    rows.push(row(
        &format!("memory after {} of load, 9 kB", seconds(time)),
        mebibytes(&program, "VmRSS"),
        14.0,
    ));

    let program = fresh().await;
    large_at_once(&program).await;
    rows.push(row("memory at most, 8 bodies of 20 MB at once", mebibytes(&program, "VmHWM"), 256.0));
    rows.push(Row::absolute("memory after that", "MiB", &[mebibytes(&program, "VmRSS")], Goal::None));

    let program = fresh().await;
    let (tls, request) = (program.tls(), call_of(&reviews::of_size(4_000)));
    let mut callers = Vec::new();
    for _ in 0..IDLE {
        let mut caller = Caller::new(program.address, &tls);
        caller
            .call(&request)
            .await
            .unwrap_or_else(|failure| panic!("connection {}: {failure}", callers.len()));
        callers.push(caller);
    }
    // A connection that the server has given up would count as one that costs nothing.
    let open = program.open_files().expect("a process on Linux");
    assert!(open > IDLE, "{open} files are open for {IDLE} connections");
    let what = format!("memory with {IDLE} idle connections, each after one call");
    rows.push(row(&what, mebibytes(&program, "VmRSS"), 64.0));
    rows
}

/// Eight bodies that are all there before one of them is whole, and their answers.
async fn large_at_once(program: &Program) {
    let (tls, request) = (program.tls(), call_of(&reviews::of_size(LARGE)));
    let (last, most) = request.split_last().expect("a request has bytes");
    let mut connections = Vec::new();
    for _ in 0..8 {
        let mut connection = connect(program.address, &tls).await.expect("a connection");
        connection.write(most).await.expect("most of a body");
        connections.push(connection);
    }
    for connection in &mut connections {
        connection.write(&[*last]).await.expect("the rest of a body");
    }
    for connection in &mut connections {
        let answer = connection.response().await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }
}

/// From before exec until `/readyz` says so, with a certificate made at start; the size of the binary.
pub(crate) async fn start(plan: &Plan) -> Vec<Row> {
    let mut milliseconds = Vec::new();
    for _ in 0..if plan.short { 3 } else { 21 } {
        let began = Instant::now();
        let mut program = spawn_product(&reviews::EVERYTHING);
        while program.get("/readyz").await.is_none_or(|answer| answer.status != 200) {
            assert!(
                program.ended().is_none() && began.elapsed() < Duration::from_secs(20),
                "it does not start"
            );
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        milliseconds.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let size = std::fs::metadata(binary()).expect("the release binary").len() as f64 / 1e6;
    vec![
        Row::absolute("start to ready", "ms", &milliseconds, Goal::AtMost(50.0)),
        Row::absolute("size of the binary", "MB", &[size], Goal::AtMost(15.0)),
    ]
}
