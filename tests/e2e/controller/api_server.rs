//! The API server as a process, of a cluster of `scripts/cluster`.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use crate::kubectl::kubectl;
use crate::wait::until;

/// The running one, and how it was started.
pub(crate) struct ApiServer {
    id: String,
    arguments: Vec<String>,
    folder: PathBuf,
}

impl ApiServer {
    /// Finds it by the audit log beside its other files.
    #[track_caller]
    pub(crate) fn running() -> Self {
        let Some(log) = std::env::var_os("PULLGATE_CLUSTER_AUDIT") else {
            panic!(
                "not run: no PULLGATE_CLUSTER_AUDIT. Only the API server of scripts/cluster can be killed"
            );
        };
        let folder = PathBuf::from(log).parent().expect("a folder").to_owned();
        let id =
            fs::read_to_string(folder.join("kube-apiserver.pid")).expect("its process id").trim().to_owned();
        let line = fs::read_to_string(format!("/proc/{id}/cmdline")).expect("it runs");
        let arguments: Vec<_> = line.split_terminator('\0').map(str::to_owned).collect();
        assert!(
            arguments[0].starts_with(folder.to_str().expect("UTF-8")),
            "{arguments:?} is another process"
        );
        Self { id, arguments, folder }
    }

    /// Kills it, starts it again and returns when it answers.
    #[track_caller]
    pub(crate) fn restart(self) {
        let killed = Command::new("kill").args(["-KILL", &self.id]).status().expect("there is a kill");
        assert!(killed.success(), "process {}", self.id);
        // Its port is free when nothing is left of it but a line for whoever waits for it: its first thread may be
        // gone while others still hold the port.
        let process = PathBuf::from(format!("/proc/{}", self.id));
        until("the end of the API server", || {
            let left = fs::read_to_string(process.join("status")).unwrap_or_default();
            let threads = fs::read_dir(process.join("task")).map_or(0, Iterator::count);
            (left.is_empty() || (left.contains("\nState:\tZ") && threads <= 1)).then_some(())
        });
        let log =
            OpenOptions::new().append(true).open(self.folder.join("kube-apiserver.log")).expect("its log");
        let mut command = Command::new(&self.arguments[0]);
        command.args(&self.arguments[1..]).current_dir(&self.folder).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("its log")).stderr(log);
        // As scripts/cluster starts it: a Ctrl-C that is meant for the tests is not for the cluster.
        let mut child = command.process_group(0).spawn().expect("it can be run again");
        fs::write(self.folder.join("kube-apiserver.pid"), format!("{}\n", child.id()))
            .expect("its process id");
        // It outlives this test, and is waited for in case that it does not outlive the next one.
        thread::spawn(move || child.wait());
        until("an API server", || kubectl("get --raw /readyz").run().succeeded().then_some(()));
    }
}
