//! The program as a child process: started in an empty environment, watched, signalled, and never left behind.

use std::io::{BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) use crate::ports::free_port;
use crate::support::{Client, dial, eventually, handshake, trusting};

/// A running or ended `pullgate`.
pub(crate) struct Program {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    pub(crate) address: SocketAddr,
    pub(crate) health: SocketAddr,
}

impl Program {
    /// Runs any command line.
    pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pullgate"))
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, out) = collect(child.stdout.take().unwrap());
        let (stderr, err) = collect(child.stderr.take().unwrap());
        let none = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { child, stdout, stderr, readers: vec![out, err], address: none, health: none }
    }

    /// `pullgate webhook`, with nothing but `environment`.
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        Self::run(&["webhook"], environment)
    }

    /// `pullgate webhook` on free ports under a self-signed certificate, once it admits.
    pub(crate) fn serve(environment: &[(&str, &str)]) -> Self {
        let (port, health) = (free_port(), free_port());
        let (port_text, health_text) = (port.to_string(), health.to_string());
        let mut whole =
            vec![("PORT", &*port_text), ("HEALTH_PORT", &*health_text), ("TLS_SELF_SIGNED", "true")];
        whole.retain(|(name, _)| environment.iter().all(|(own, _)| own != name));
        whole.extend(environment);
        let mut program = Self::start(&whole);
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        (program.address, program.health) = (local(port), local(health));
        eventually("the port to be served", || {
            let ended = program.child.try_wait().unwrap();
            assert_eq!(ended, None, "{}", program.stderr());
            dial(program.address).ok()
        });
        eventually("the authority", || program.stdout().contains("-----END").then_some(()));
        program
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Keeps the log from being read on, from the next line or two on.
    pub(crate) fn hold_log(&self) -> MutexGuard<'_, String> {
        self.stderr.lock().unwrap()
    }

    /// The authority that `TLS_SELF_SIGNED` prints.
    pub(crate) fn ca_pem(&self) -> String {
        self.stdout()
    }

    pub(crate) fn connect(&self) -> Client {
        Client::over(handshake(self.address, trusting(&self.ca_pem())).unwrap())
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status().unwrap();
        assert!(sent.success(), "SIG{name}");
    }

    /// Waits for the end, and for all that was printed until then.
    pub(crate) fn exits_within(&mut self, time: Duration) -> ExitStatus {
        let deadline = Instant::now() + time;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "still running after {time:?}:\n{}", self.stderr());
            thread::sleep(Duration::from_millis(10));
        };
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        status
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail where it has ended, which is as well.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn collect(pipe: impl Read + Send + 'static) -> (Arc<Mutex<String>>, JoinHandle<()>) {
    let text = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&text);
    let reader = thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let line = line.unwrap() + "\n";
            shared.lock().unwrap().push_str(&line);
        }
    });
    (text, reader)
}
