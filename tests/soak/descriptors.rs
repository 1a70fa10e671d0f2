//! More connections than the process may have files open.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

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
    vec![own_limit(time).await, none_left(time).await, soft_limit().await]
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
        match timeout(Duration::from_secs(2), used).await {
            Ok(Some(connection)) => open.push(connection),
            _ => break,
        }
    }
    open
}

/// The program keeps a hundred files for others than its clients; what it accepts is less than the system would.
async fn own_limit(time: Duration) -> Row {
    let (limit, own) = (256, 156);
    let mut row =
        Row::new(format!("600 clients where {limit} files may be open: {own} connections, by its own limit"));
    let victim = Victim::new(Program::start_as(limited(limit, limit), &[RULE], None).await);
    // Honest clients that were there before; new ones cannot come.
    let honest = victim.honest();
    sleep(Duration::from_millis(500)).await;
    let open = fill(&victim, 600).await;
    // And more that wait to be accepted, or have not even got so far.
    let mut waiting = JoinSet::new();
    for _ in open.len()..600 {
        waiting.spawn(crate::client::dial(victim.program.address));
    }
    let (asked, healthy) = probe(&victim, time).await;
    let Seen { kept, new } = honest.end().await;
    let count = open.len();
    drop(open);
    waiting.shutdown().await;
    let again = served_again(&victim).await;
    row.measured(format!("{count} connections were open, the others waited"))
        .measured(format!("/livez answered {healthy} of {asked} times"))
        .measured(format!("meanwhile {} of {} new connections failed", new.failed(), new.sent))
        .goal(format!("{own} are accepted, honest ones included"), (own - 20..=own).contains(&count))
        .goal("/livez answers, or the kubelet would restart it", healthy == asked)
        .faultless(kept)
        .never_wrong(new);
    report_again(&mut row, again);
    row
}

/// The system refuses: the limit is lowered below what is open, so that accepting fails.
async fn none_left(time: Duration) -> Row {
    let mut row = Row::new("no file descriptor left: the limit is lowered below what is open");
    let victim = Victim::new(Program::start_as(limited(1024, 1024), &[RULE], None).await);
    let honest = victim.honest();
    let mut open = fill(&victim, 100).await;
    let Some(files) = victim.program.open_files() else {
        return Row::not_run("no file descriptor left", "needs /proc");
    };
    let lowered = Command::new("prlimit")
        .args([format!("--pid={}", victim.program.pid()), format!("--nofile={}:1024", files - 20)])
        .status();
    // For numbers that were free below.
    open.extend(fill(&victim, 100).await);
    let (asked, healthy) = probe(&victim, time).await;
    let Seen { kept, new } = honest.end().await;
    let refused = victim.program.log().matches("Too many open files").count();
    drop(open);
    let again = served_again(&victim).await;
    row.measured(format!("{files} files were open; its log says {refused} times that there are too many"))
        .measured(format!("meanwhile {} of {} new connections failed", new.failed(), new.sent))
        .measured(format!("/livez answered {healthy} of {asked} times"))
        .goal("the limit is lowered", lowered.is_ok_and(|status| status.success()))
        .goal("accepting fails for want of descriptors", refused > 0)
        .faultless(kept)
        .never_wrong(new);
    report_again(&mut row, again);
    row
}

/// Asks for `/livez` for so long: how often it was asked for, and how often it was answered.
async fn probe(victim: &Victim, time: Duration) -> (u32, u32) {
    let end = Instant::now() + time;
    let (mut asked, mut healthy) = (0, 0);
    while Instant::now() < end {
        asked += 1;
        let answer = timeout(Duration::from_secs(1), victim.program.get("/livez")).await;
        healthy += u32::from(answer.is_ok_and(|answer| answer.is_some_and(|answer| answer.status == 200)));
        sleep(Duration::from_millis(200)).await;
    }
    (asked, healthy)
}

/// How long it takes until a new connection is served.
async fn served_again(victim: &Victim) -> Option<Duration> {
    let released = Instant::now();
    while fill(victim, 1).await.is_empty() {
        if released.elapsed() > Duration::from_secs(20) {
            return None;
        }
    }
    Some(released.elapsed())
}

fn report_again(row: &mut Row, again: Option<Duration>) {
    let after = again.map_or_else(|| "never".to_owned(), seconds);
    row.measured(format!("a new connection {after} after the others were gone")).goal(
        "new connections are served within 5 s of others going",
        again.is_some_and(|after| after.as_secs() < 5),
    );
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
