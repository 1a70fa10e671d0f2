//! A log that cannot be written, and a file system that cannot.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Setting;
use crate::client::{Program, webhook};
use crate::report::Row;
use crate::reviews::RULE;
use crate::victim::{Seen, Victim};

/// Each call writes a line.
const TALKATIVE: (&str, &str) = ("LOG_LEVEL", "debug");

pub(crate) async fn run(setting: &'static Setting) -> Vec<Row> {
    let time = Duration::from_secs(setting.full_or_short(10, 2));
    let mut rows = Vec::new();

    let full = File::options().write(true).open("/dev/full");
    rows.push(match full {
        Ok(full) => served("a log on /dev/full", webhook(), Some(full), time).await,
        Err(error) => Row::not_run("a log on /dev/full", error.to_string()),
    });

    rows.push(match std::io::pipe() {
        Ok((reader, pipe)) => {
            drop(reader);
            let pipe = File::from(std::os::fd::OwnedFd::from(pipe));
            served("a log whose reader has gone", webhook(), Some(pipe), time).await
        }
        Err(error) => Row::not_run("a log whose reader has gone", error.to_string()),
    });

    for (what, script) in [
        (
            "a log on a disk of 64 kB",
            "mount -t tmpfs -o size=64k tmpfs /mnt && exec 2>/mnt/log && umount --lazy /mnt && exec \"$@\"",
        ),
        (
            "a read-only root",
            "mount --make-rprivate / && mount -o remount,bind,ro / && cd / && ! touch here 2>/dev/null && exec \"$@\"",
        ),
    ] {
        rows.push(match mounting(script) {
            Ok(command) => served(what, command, None, time).await,
            Err(why) => Row::not_run(what, why),
        });
    }
    rows
}

/// The webhook after `script`, in mounts of its own, which end with it.
fn mounting(script: &str) -> Result<Command, String> {
    let tried = Command::new("unshare").args(["--mount", "true"]).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        return Err("needs root on Linux (unshare --mount)".to_owned());
    }
    let webhook = webhook();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(webhook.get_program()).args(webhook.get_args());
    Ok(command)
}

async fn served(what: &str, command: Command, log: Option<File>, time: Duration) -> Row {
    let mut row = Row::new(what);
    let victim = Victim::new(Program::start_as(command, &[RULE, TALKATIVE], log).await);
    let Seen { kept, new } = victim.seen_for(time).await;
    let ready = victim.program.get("/readyz").await.is_some_and(|answer| answer.status == 200);
    if what.contains("64 kB") {
        // What the process has open says how much of its log there is.
        let log =
            std::fs::metadata(format!("/proc/{}/fd/2", victim.program.pid())).map_or(0, |file| file.len());
        row.measured(format!("the log ends after {log} bytes")).goal("the disk is full", log == 64 * 1024);
    }
    row.goal("it stays ready", ready).faultless(kept).faultless(new);
    row
}
