//! Calls over HTTPS: the product beside the null webhook, by turns.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::{Caller, Program, TlsSettings, request};
use crate::process::cpu;
use crate::reviews;
use crate::table::{Goal, Row};
use crate::{Plan, Servers};

/// A load of a server.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) request: Arc<Vec<u8>>,
    pub(crate) connections: usize,
    pub(crate) time: Duration,
    /// Whether each call is made on a connection of its own.
    pub(crate) reconnect: bool,
}

/// What a load came to.
pub(crate) struct Run {
    pub(crate) per_second: f64,
    /// Of the server, per request.
    pub(crate) cpu_microseconds: f64,
}

/// A call as the API server makes it.
pub(crate) fn call_of(body: &[u8]) -> Arc<Vec<u8>> {
    let headers =
        [("Content-Type", "application/json"), ("Accept", "application/json"), ("Accept-Encoding", "gzip")];
    Arc::new(request("POST", "/mutate?timeout=10s", &headers, body))
}

/// Whom a load is for.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) tls: TlsSettings,
    pub(crate) pid: u32,
}

impl From<&Program> for Target {
    fn from(program: &Program) -> Self {
        Self { address: program.address, tls: program.tls(), pid: program.pid() }
    }
}

impl Load {
    /// Each connection sends the next request when it has the answer to the last one.
    pub(crate) async fn run(&self, target: &Target) -> Run {
        let mut warming = Vec::new();
        for _ in 0..self.connections {
            let (load, mut caller) = (self.clone(), Caller::new(target.address, &target.tls));
            warming.push(tokio::spawn(async move {
                load.once(&mut caller).await;
                caller
            }));
        }
        let mut callers = Vec::new();
        for task in warming {
            callers.push(task.await.expect("every call is answered"));
        }
        let (began, cpu_before) = (Instant::now(), cpu(target.pid));
        let mut tasks = Vec::new();
        for mut caller in callers {
            let load = self.clone();
            tasks.push(tokio::spawn(async move {
                let mut requests = 0_u32;
                while began.elapsed() < load.time {
                    load.once(&mut caller).await;
                    requests += 1;
                }
                requests
            }));
        }
        let mut requests = 0;
        for task in tasks {
            requests += task.await.expect("every call is answered");
        }
        let (elapsed, cpu) = (began.elapsed(), cpu(target.pid).saturating_sub(cpu_before));
        let requests = f64::from(requests);
        Run {
            per_second: requests / elapsed.as_secs_f64(),
            cpu_microseconds: cpu.as_secs_f64() * 1e6 / requests,
        }
    }

    async fn once(&self, caller: &mut Caller) {
        if self.reconnect {
            caller.hang_up();
        }
        let answer =
            caller.call(&self.request).await.unwrap_or_else(|failure| panic!("a call failed: {failure}"));
        assert!(matches!(answer.status, 200 | 201), "{}", String::from_utf8_lossy(&answer.body));
    }
}

/// Runs of one load against each server, a round at a time.
#[derive(Default)]
struct Rounds {
    cpu: [Vec<f64>; 3],
    per_second: [Vec<f64>; 3],
}

impl Rounds {
    async fn of(plan: &Plan, servers: &Servers, load: &Load) -> Self {
        let mut rounds = Self::default();
        let servers = [&servers.null, &servers.unchanged, &servers.everything].map(Target::from);
        for round in 0..plan.rounds {
            for turn in 0..servers.len() {
                // Whoever comes first is another one in each round.
                let which = (round + turn) % servers.len();
                let run = load.run(&servers[which]).await;
                rounds.cpu[which].push(run.cpu_microseconds);
                rounds.per_second[which].push(run.per_second);
            }
        }
        rounds
    }

    fn rows(&self, what: &str, cpu_goal: Goal, rate_goal: Goal) -> Vec<Row> {
        let rules = [(1, "no mutation"), (2, "every mutation")];
        let mut rows = Vec::new();
        for (which, rules) in rules {
            let name = format!("{what}, {rules}: CPU");
            let (this, null) = (&self.cpu[which], ("null", self.cpu[0].as_slice()));
            rows.push(Row::ratio(name, "µs", this, null, cpu_goal));
        }
        for (which, rules) in rules {
            let name = format!("{what}, {rules}: rate");
            let (this, null) = (&self.per_second[which], ("null", self.per_second[0].as_slice()));
            rows.push(Row::ratio(name, "/s", this, null, rate_goal));
        }
        rows
    }
}

/// CPU per request and requests per second on connections that are kept.
pub(crate) async fn keep_alive(plan: &Plan) -> Vec<Row> {
    let servers = Servers::start().await;
    let mut rows = Vec::new();
    for (name, bytes) in reviews::SIZES {
        let request = call_of(&reviews::of_size(bytes));
        let load = Load { request, connections: 8, time: plan.time, reconnect: false };
        let rounds = Rounds::of(plan, &servers, &load).await;
        rows.extend(rounds.rows(&format!("HTTPS, {name}"), Goal::AtMost(1.35), Goal::AtLeast(0.8)));
    }
    rows
}

/// The same with a connection and a whole TLS handshake for each call.
pub(crate) async fn new_connections(plan: &Plan) -> Vec<Row> {
    let servers = Servers::start().await;
    let request = call_of(&reviews::of_size(4_000));
    let load = Load { request, connections: 8, time: plan.time, reconnect: true };
    let rounds = Rounds::of(plan, &servers, &load).await;
    rounds.rows("new TLS connection per call, 4 kB", Goal::AtMost(1.1), Goal::AtLeast(0.9))
}
