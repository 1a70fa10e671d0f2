//! A webhook that something is done to, and what an API server would notice meanwhile.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::client::{Program, TlsSettings};
use crate::load::{Load, Manner};
use crate::report::Tally;
use crate::reviews::Reviews;

/// A running webhook with honest clients.
pub(crate) struct Victim {
    pub(crate) program: Program,
    pub(crate) tls: TlsSettings,
}

/// What honest clients met within some time.
pub(crate) struct Seen {
    /// Of those that keep their connections.
    pub(crate) kept: Tally,
    /// Of one that makes a new connection for each call.
    pub(crate) new: Tally,
}

/// Honest clients at work.
pub(crate) struct Honest {
    kept: Load,
    new: Load,
}

const NEW_CONNECTIONS: Manner = Manner { clients: 1, every: Duration::from_millis(50), reconnecting: 1 };

impl Victim {
    pub(crate) fn new(program: Program) -> Self {
        let tls = program.tls();
        Self { program, tls }
    }

    pub(crate) fn honest(&self) -> Honest {
        let start = |manner: Manner| {
            Load::start(self.program.address, &self.tls, manner, Reviews::new(manner.clients, 4_000))
        };
        Honest { kept: start(Manner::STEADY), new: start(NEW_CONNECTIONS) }
    }

    pub(crate) async fn seen_for(&self, time: Duration) -> Seen {
        let honest = self.honest();
        tokio::time::sleep(time).await;
        honest.end().await
    }
}

impl Honest {
    pub(crate) async fn end(self) -> Seen {
        let (kept, new) = tokio::join!(self.kept.end(), self.new.end());
        Seen { kept, new }
    }
}

/// The program, before everything else on this machine; as it is where that is not allowed.
pub(crate) fn favoured(program: Command) -> Command {
    let tried = Command::new("chrt").args(["--rr", "1", "true"]).stderr(Stdio::null()).status();
    if !tried.is_ok_and(|status| status.success()) {
        return program;
    }
    let mut command = Command::new("chrt");
    command.args(["--rr", "1"]).arg(program.get_program()).args(program.get_args());
    command
}

/// The same for the thread that calls this.
pub(crate) fn favour_this_thread() {
    let Ok(thread) = std::fs::read_link("/proc/thread-self") else { return };
    let Some(thread) = thread.file_name() else { return };
    let mut command = Command::new("chrt");
    command.args(["--rr", "--pid", "1"]).arg(thread).stdout(Stdio::null()).stderr(Stdio::null());
    // It may not be allowed; figures are noisier then.
    drop(command.status());
}
