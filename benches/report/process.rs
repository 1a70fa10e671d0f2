//! What Linux tells about a process.

use std::fs;
use std::process::Command;
use std::time::Duration;

/// User and system time so far, of all threads that are and were. Its steps are of 10 ms (`USER_HZ`).
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process on Linux");
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')').expect("a name in it");
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(10 * ticks)
}

/// The machine's class, for whoever compares figures.
pub(crate) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kb = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{}, {cores} cores, {} GiB, Linux {}",
        model.map_or("unknown CPU", |(_, model)| model),
        kb.unwrap_or(0_u64).div_ceil(1 << 20),
        kernel.split('-').next().unwrap_or_default().trim(),
    )
}

/// What was measured, as far as git knows.
pub(crate) fn commit() -> String {
    let git = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let commit = git.ok().filter(|output| output.status.success());
    let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    commit.map_or_else(|| "no commit".to_owned(), |commit| format!("commit {commit}"))
}

/// `10 min`, `2 s`
pub(crate) fn seconds(time: Duration) -> String {
    match time.as_secs() {
        whole if whole >= 60 && whole % 60 == 0 => format!("{} min", whole / 60),
        whole => format!("{whole} s"),
    }
}
