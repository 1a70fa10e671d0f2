//! Connections that are left alone for a while, as an API server leaves them for up to 90 s, and used again.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::Setting;
use crate::client::{Failure, Program, TlsConnection, connect, review};
use crate::report::{Judged, Row, Tally, list};
use crate::reviews::{RULE, call, judge};

/// So many connections have each pause.
const EACH: u64 = 8;

pub(crate) async fn run(setting: &'static Setting) -> Vec<Row> {
    let program = Program::start(&[RULE]).await;
    let gaps = setting.full_or_short(&[1, 5, 30, 60, 89, 95, 119][..], &[1, 2, 5][..]);
    let mut used = Row::new(format!("a call, a pause of {gaps:?} s, a call; {EACH} connections each"));
    used.faultless(pauses(&program, gaps.iter().map(|gap| Duration::from_secs(*gap)), true).await);

    // An API server may open a connection that it then does not need at once.
    let gaps = [1, 4].map(Duration::from_secs);
    let mut fresh = Row::new(format!("a connection that waits {gaps:?} for its first call"));
    fresh.faultless(pauses(&program, gaps.into_iter(), false).await);
    let mut unused = connect(program.address, &program.tls()).await.expect("a connection");
    let began = Instant::now();
    let closed = unused.response().await;
    fresh.measured(format!(
        "without any call the server ends it after {:.1?} ({})",
        began.elapsed(),
        ending(&closed)
    ));
    vec![used, fresh]
}

fn ending(response: &Result<crate::client::Response, Failure>) -> String {
    match response {
        Ok(response) => format!("status {}", response.status),
        Err(failure) => failure.to_string(),
    }
}

async fn pauses(program: &Program, gaps: impl Iterator<Item = Duration>, used_before: bool) -> Tally {
    let (address, tls) = (program.address, program.tls());
    let mut tasks = JoinSet::new();
    for gap in gaps {
        for _ in 0..EACH {
            let tls = tls.clone();
            tasks.spawn(async move {
                let mut tally = Tally { connections: 1, ..Tally::default() };
                let mut connection = connect(address, &tls).await.expect("a connection");
                if used_before {
                    one_call(&mut tally, &mut connection, Duration::ZERO).await;
                }
                sleep(gap).await;
                one_call(&mut tally, &mut connection, gap).await;
                tally
            });
        }
    }
    let mut all = Tally::default();
    while let Some(tally) = tasks.join_next().await {
        all.merge(tally.expect("no panic"));
    }
    if all.failed() > 0 {
        eprintln!("soak: idle: {}", list(&all.failures));
    }
    all
}

async fn one_call(tally: &mut Tally, connection: &mut TlsConnection, gap: Duration) {
    let body = review("soak-idle", 4_000);
    let began = Instant::now();
    let judged = match connection.exchange(&call(&body)).await {
        Ok(response) => judge(&body, "soak-idle", &response),
        Err(failure) => Judged::Failed(format!("after {gap:?}: {failure}")),
    };
    tally.add(judged, began.elapsed());
}
