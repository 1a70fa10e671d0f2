//! The program as a child process, in an environment that holds nothing but what it is given.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::connection::{Response, TlsSettings, connect_plain};
use super::ports::free_port;

/// How long a start may take on a machine that is busy with other things.
const START: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A running or ended `pullgate webhook`; killed when dropped.
pub(crate) struct Program {
    child: Child,
    folder: TempDir,
    /// Where it admits.
    pub(crate) address: SocketAddr,
    /// Where health and metrics are.
    pub(crate) health: SocketAddr,
}

/// The command that a `pullgate webhook` is: the binary that this program was built with.
pub(crate) fn webhook() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullgate"));
    command.arg("webhook");
    command
}

impl Program {
    /// Starts a webhook on free ports under a certificate that it makes itself, and waits until it is ready.
    pub(crate) async fn start(environment: &[(&str, &str)]) -> Self {
        Self::start_as(webhook(), environment, None).await
    }

    /// The same by another command that becomes the webhook (`prlimit … pullgate webhook`), and with another log.
    pub(crate) async fn start_as(command: Command, environment: &[(&str, &str)], log: Option<File>) -> Self {
        let mut program = Self::spawn(command, environment, log);
        let deadline = Instant::now() + START;
        while program.get("/readyz").await.is_none_or(|answer| answer.status != 200) {
            if let Some(status) = program.child.try_wait().expect("it is our child") {
                panic!("the webhook ended with {status}: {}", program.log());
            }
            assert!(Instant::now() < deadline, "not ready after {START:?}: {}", program.log());
            sleep(LOOK_AGAIN).await;
        }
        program
    }

    /// Starts it and waits for nothing. Variables of `environment` go before those that this sets.
    pub(crate) fn spawn(mut command: Command, environment: &[(&str, &str)], log: Option<File>) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = |name| File::create(folder.path().join(name)).expect("a file in it");
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let port = |name| {
            let own = environment.iter().find(|(is, _)| *is == name);
            own.map_or_else(free_port, |(_, value)| value.parse().expect("a port"))
        };
        let (address, health) = (local(port("PORT")), local(port("HEALTH_PORT")));
        let child = command
            .env_clear()
            .env("TLS_SELF_SIGNED", "true")
            .envs(environment.iter().copied())
            .env("PORT", address.port().to_string())
            .env("HEALTH_PORT", health.port().to_string())
            .stdin(Stdio::null())
            .stdout(file("out"))
            .stderr(log.unwrap_or_else(|| file("log")))
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        Self { child, folder, address, health }
    }

    /// Process id, of the command where that did not become the webhook.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What a client needs to trust its self-signed certificate.
    pub(crate) fn tls(&self) -> TlsSettings {
        TlsSettings::trusting(&self.ca_pem())
    }

    /// The authority that it printed.
    pub(crate) fn ca_pem(&self) -> String {
        self.read("out")
    }

    /// Its log so far, unless that goes elsewhere.
    pub(crate) fn log(&self) -> String {
        self.read("log")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A file in its scratch folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An answer of its health port, if there is one.
    pub(crate) async fn get(&self, target: &str) -> Option<Response> {
        let mut connection = connect_plain(self.health).await.ok()?;
        connection.send("GET", target, &[], b"").await.ok()
    }

    /// The sum of a metric's series that have all these labels (`outcome="patched"`).
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let text = String::from_utf8(self.get("/metrics").await?.body).ok()?;
        let series = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let chosen = series.filter(|line| labels.iter().all(|label| line.contains(label)));
        let values: Option<Vec<f64>> = chosen.map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        values.filter(|values| !values.is_empty()).map(|values| values.iter().sum())
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        send_signal(self.pid(), name);
    }

    /// Ends it as a power cut would, and waits for that.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Waits for its end for so long.
    pub(crate) async fn ends_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + time;
        loop {
            let ended = self.ended();
            if ended.is_some() || Instant::now() >= deadline {
                return ended;
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// How many files it has open, connections among them; on Linux.
    pub(crate) fn open_files(&self) -> Option<usize> {
        Some(fs::read_dir(format!("/proc/{}/fd", self.pid())).ok()?.count())
    }

    /// Whether it goes before every ordinary process (`SCHED_FIFO` or `SCHED_RR`); on Linux.
    pub(crate) fn is_real_time(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // Its 41st field; the name, the second one, is in parentheses and may hold anything.
        let policy = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(38));
        matches!(policy, Some("1" | "2"))
    }

    /// A line of `/proc/PID/status`, as `VmRSS`, in its own unit (kB).
    pub(crate) fn status_kb(&self, name: &str) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail where it has ended, which is as well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends a signal to a process that we started.
pub(crate) fn send_signal(pid: u32, name: &str) {
    let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "SIG{name} to {pid}");
}
