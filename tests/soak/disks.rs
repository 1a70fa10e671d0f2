//! A log that cannot be written, and a file system that cannot.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::unix::pipe::Receiver;
use tokio::time::{sleep, timeout};

use crate::Setting;
use crate::client::{Program, webhook};
use crate::report::Row;
use crate::reviews::RULE;
use crate::victim::{Seen, Victim};

/// Each call writes a line of this message, as the last row shows.
const TALKATIVE: (&str, &str) = ("LOG_LEVEL", "debug");
const LINE: &str = "\"message\":\"admission\"";
/// The first of them comes long before.
const SOON: Duration = Duration::from_secs(10);

const DEV_FULL: &str = "a log on /dev/full";
const READER: &str = "a log whose reader goes";
const DISK: &str = "a log on a disk of 64 kB";
const READ_ONLY: &str = "a read-only root";

pub(crate) async fn run(setting: &'static Setting) -> Vec<Row> {
    let time = Duration::from_secs(setting.full_or_short(10, 2));
    let rows = [
        (DEV_FULL, dev_full(time).await),
        (READER, reader_goes(time).await),
        (DISK, full_disk(time).await),
        (READ_ONLY, read_only(time).await),
    ];
    rows.map(|(what, row)| row.unwrap_or_else(|why| Row::not_run(what, why))).into()
}

async fn start(command: Command, log: Option<File>) -> Victim {
    Victim::new(Program::start_as(command, &[RULE, TALKATIVE], log).await)
}

/// What its log is written to.
fn log_file(victim: &Victim) -> PathBuf {
    format!("/proc/{}/fd/2", victim.program.pid()).into()
}

async fn dev_full(time: Duration) -> Result<Row, String> {
    let mut row = Row::new(DEV_FULL);
    let full = File::options().write(true).open("/dev/full").map_err(text)?;
    let victim = start(webhook(), Some(full)).await;
    let seen = victim.seen_for(time).await;
    let log = fs::read_link(log_file(&victim)).map_err(text)?;
    row.goal("what it writes goes there", log == Path::new("/dev/full"));
    served(&mut row, &victim, seen).await;
    Ok(row)
}

async fn reader_goes(time: Duration) -> Result<Row, String> {
    let mut row = Row::new(READER);
    let (reader, log) = io::pipe().map_err(text)?;
    let victim = start(webhook(), Some(OwnedFd::from(log).into())).await;
    let honest = victim.honest();
    let mut lines = BufReader::new(Receiver::from_owned_fd(reader.into()).map_err(text)?).lines();
    let line_of_a_call = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains(LINE) {
                return true;
            }
        }
        false
    };
    let read = timeout(SOON, line_of_a_call).await.unwrap_or(false);
    drop(lines);
    sleep(time).await;
    let seen = honest.end().await;
    row.goal("the line of a call was read before", read);
    served(&mut row, &victim, seen).await;
    Ok(row)
}

async fn full_disk(time: Duration) -> Result<Row, String> {
    let mut row = Row::new(DISK);
    let mount = "mount -t tmpfs -o size=64k tmpfs /mnt && exec 2>>/mnt/log && umount --lazy /mnt";
    let victim = start(mounting(mount)?, None).await;
    let size = || fs::metadata(log_file(&victim)).map_or(0, |file| file.len());
    let mut seen = victim.seen_for(time).await;
    let full = size();
    // Whoever writes no more would not notice that there is room again.
    File::options().write(true).truncate(true).open(log_file(&victim)).map_err(text)?;
    let again = victim.seen_for(time / 2).await;
    seen.kept.merge(again.kept);
    seen.new.merge(again.new);
    row.measured(format!("the log ends after {full} bytes, and goes on once there is room"))
        .goal("the disk is full", full == 64 * 1024)
        .goal("lines are written again once there is room", size() > 0);
    served(&mut row, &victim, seen).await;
    Ok(row)
}

async fn read_only(time: Duration) -> Result<Row, String> {
    let mut row = Row::new(READ_ONLY);
    let remount = "mount --make-rprivate / && mount -o remount,bind,ro / && cd / && ! touch here 2>/dev/null";
    let victim = start(mounting(remount)?, None).await;
    let seen = victim.seen_for(time).await;
    let lines = victim.program.log().matches(LINE).count() as u64;
    let sent = seen.kept.sent + seen.new.sent;
    row.measured(format!("{lines} lines of calls in its log, which was open before"))
        .goal("each call writes a line", lines >= sent);
    served(&mut row, &victim, seen).await;
    Ok(row)
}

/// The webhook after `script`, in mounts of its own, which end with it.
fn mounting(script: &str) -> Result<Command, String> {
    let tried = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        return Err("needs root on Linux (unshare --mount)".to_owned());
    }
    let script = format!("{script} && exec \"$@\"");
    let webhook = webhook();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]).arg(webhook.get_program()).args(webhook.get_args());
    Ok(command)
}

/// Counts calls, and asks whether there may be more.
async fn served(row: &mut Row, victim: &Victim, Seen { kept, new }: Seen) {
    let ready = victim.program.get("/readyz").await.is_some_and(|answer| answer.status == 200);
    row.goal("it stays ready", ready).faultless(kept).faultless(new);
}

#[allow(clippy::needless_pass_by_value, reason = "so that it fits `map_err`")]
fn text(error: io::Error) -> String {
    error.to_string()
}
