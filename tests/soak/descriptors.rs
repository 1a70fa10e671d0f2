//! More connections than the process may have files open.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::Setting;
use crate::client::{Program, TlsConnection, connect, review, webhook};
use crate::report::{Row, seconds};
use crate::reviews::{RULE, call};
use crate::victim::{Seen, Victim};

pub(crate) async fn run(setting: &'static Setting) -> Vec<Row> {
    if !Path::new("/proc/self/limits").exists() {
        return vec![Row::not_run("no file descriptor left", "needs Linux")];
    }
    let time = Duration::from_secs(setting.full_or_short(15, 3));
    vec![exhausted(time).await, soft_limit().await]
}

/// The webhook with a soft and a hard limit of open files.
fn limited(soft: u32, hard: u32) -> Command {
    let webhook = webhook();
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={soft}:{hard}")).arg(webhook.get_program()).args(webhook.get_args());
    command
}

/// Opens connections, each used once, until one does not come about in time.
async fn fill(victim: &Victim, at_most: usize) -> Vec<TlsConnection> {
    let mut open = Vec::new();
    let body = review("soak-fill", 4_000);
    while open.len() < at_most {
        let used = async {
            let mut connection = connect(victim.program.address, &victim.tls).await.ok()?;
            connection.exchange(&call(&body)).await.ok().map(|_| connection)
        };
        match tokio::time::timeout(Duration::from_secs(2), used).await {
            Ok(Some(connection)) => open.push(connection),
            _ => break,
        }
    }
    open
}

async fn exhausted(time: Duration) -> Row {
    let mut row = Row::new("600 clients where 256 files may be open".to_owned());
    let victim = Victim::new(Program::start_as(limited(256, 256), &[RULE], None).await);
    // Honest clients that were there before; new ones cannot come.
    let honest = victim.honest();
    sleep(Duration::from_millis(500)).await;
    let open = fill(&victim, 600).await;
    // And more that wait to be accepted, or have not even got so far.
    let mut waiting = JoinSet::new();
    for _ in open.len()..600 {
        waiting.spawn(crate::client::dial(victim.program.address));
    }
    let end = Instant::now() + time;
    let (mut asked, mut healthy) = (0, 0);
    while Instant::now() < end {
        asked += 1;
        let answer = tokio::time::timeout(Duration::from_secs(1), victim.program.get("/livez")).await;
        healthy += u32::from(answer.is_ok_and(|answer| answer.is_some_and(|answer| answer.status == 200)));
        sleep(Duration::from_millis(200)).await;
    }
    let Seen { kept, new } = honest.end().await;
    let open_count = open.len();
    drop(open);
    waiting.shutdown().await;
    let released = Instant::now();
    let recovered = loop {
        if !fill(&victim, 1).await.is_empty() {
            break true;
        }
        if released.elapsed() > Duration::from_secs(20) {
            break false;
        }
    };
    row.measured(format!("{open_count} connections were open, the others waited"))
        .measured(format!("/livez answered {healthy} of {asked} times"))
        .measured(format!("meanwhile {} of {} new connections failed", new.failed(), new.sent))
        .measured(format!("a new connection {} after the others were gone", seconds(released.elapsed())))
        .goal("the limit is reached", open_count < 256)
        .goal("/livez answers, or the kubelet would restart it", healthy == asked)
        .goal("new connections are served within 5 s of others going", {
            recovered && released.elapsed() < Duration::from_secs(5)
        })
        .faultless(kept)
        .never_wrong(new);
    row
}

/// The soft limit that systemd gives by default, and container runtimes that leave theirs at that.
async fn soft_limit() -> Row {
    let mut row = Row::new("1,500 clients where 1,024 files may be open, or 8,192 on request".to_owned());
    let victim = Victim::new(Program::start_as(limited(1024, 8192), &[RULE], None).await);
    let open = fill(&victim, 1500).await;
    let Seen { kept, new } = victim.seen_for(Duration::from_secs(2)).await;
    row.measured(format!("{} connections were open", open.len()))
        .goal("all 1,500 are served", open.len() == 1500)
        .faultless(kept)
        .faultless(new);
    row
}
