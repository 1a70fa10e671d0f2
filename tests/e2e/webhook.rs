//! The program as it is shipped, as a process of the test, and its registration with the API server.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kubectl::kubectl;
use crate::wait::until;

/// What the webhook asks to be called for, on every operation that there are rules for and one more: claims are
/// not to be touched on UPDATE, which only a call can show.
pub(crate) fn usual_rules() -> Value {
    let resources = ["pods", "pods/ephemeralcontainers", "persistentvolumeclaims"];
    rules(&["CREATE", "UPDATE"], &resources)
}

/// Everything that happens in a namespace.
pub(crate) fn all_rules() -> Value {
    json!([{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}])
}

fn rules(operations: &[&str], resources: &[&str]) -> Value {
    json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": operations, "resources": resources}])
}

/// A running `pullgate`, as webhook or controller; ended when dropped.
pub(crate) struct Process {
    child: Child,
    health: String,
    folder: TempDir,
}

impl Process {
    /// Runs `command`, which becomes the program, with these settings and no others. `health` is where its
    /// health port will be reached. Fails with the exit status where it ends before it is ready.
    pub(crate) fn start(command: Command, settings: &[(&str, &str)], health: String) -> Result<Self, String> {
        let mut process = Self::spawn(command, settings, health);
        until("a program that is ready", || {
            if let Some(status) = process.ended() {
                return Some(Err(format!("the program ended with {status}: {}", process.read("log"))));
            }
            process.is_ready().then_some(Ok(()))
        })
        .map(|()| process)
    }

    /// The same, ready or not.
    pub(crate) fn spawn(mut command: Command, settings: &[(&str, &str)], health: String) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = |name| File::create(folder.path().join(name)).expect("a file in it");
        let child = command
            .env_clear()
            .envs(settings.iter().copied())
            .stdin(std::process::Stdio::null())
            .stdout(file("out"))
            .stderr(file("log"))
            .spawn()
            .expect("the program can be run");
        Self { child, health, folder }
    }

    /// Whether it says so.
    pub(crate) fn is_ready(&self) -> bool {
        self.get("/readyz").is_some_and(|answer| answer.ends_with("ok\n"))
    }

    /// What it wrote to standard output: the authority of a self-signed certificate.
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// One answer of the health port, if it answers.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.health).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// How many calls were answered that have all of these labels, such as `outcome="patched"`.
    #[track_caller]
    pub(crate) fn calls(&self, labels: &[&str]) -> u64 {
        self.count("pullgate_admission_requests_total", labels)
    }

    /// The sum of a counter over all labels but these.
    #[track_caller]
    pub(crate) fn count(&self, name: &str, labels: &[&str]) -> u64 {
        let metrics = self.get("/metrics").expect("the health port answers");
        let lines = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let chosen = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
        chosen.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as `TERM`.
    #[track_caller]
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(sent.expect("there is a kill").success(), "SIG{name} reaches the program");
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// The log so far.
    pub(crate) fn log(&self) -> String {
        self.read("log")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the program ---\n{}---", self.log());
        }
        // It may have ended already; there is nobody left to tell otherwise.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where a webhook is called, and by which authority it is known.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) ca_pem: String,
}

/// Starts a webhook on free ports of this machine, with the certificate that it makes itself.
pub(crate) fn start_self_signed(settings: &[(&str, &str)]) -> (Process, Endpoint) {
    on_free_ports(|[port, health_port]| {
        let mut all = vec![("TLS_SELF_SIGNED", "true"), ("PORT", port), ("HEALTH_PORT", health_port)];
        all.extend(LOGGING);
        all.extend(settings);
        let mut command = Command::new(program());
        command.arg("webhook");
        let process = Process::start(command, &all, format!("127.0.0.1:{health_port}"))?;
        let ca_pem = process.read("out");
        Ok((process, Endpoint { url: format!("https://127.0.0.1:{port}/mutate"), ca_pem }))
    })
}

/// How a program of a test logs.
pub(crate) const LOGGING: [(&str, &str); 2] = [("LOG_FORMAT", "text"), ("LOG_LEVEL", "debug")];

/// Starts something on free ports, once more where it fails: between finding a free port and taking it, another process
/// may take it.
pub(crate) fn on_free_ports<T>(start: impl Fn([&str; 2]) -> Result<T, String>) -> T {
    let mut problem = String::new();
    for _ in 0..5 {
        let [first, second] = free_ports().map(|port| port.to_string());
        match start([&first, &second]) {
            Ok(started) => return started,
            Err(error) => problem = error,
        }
    }
    panic!("{problem}");
}

/// The program under test.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_pullgate"))
}

pub(crate) fn free_ports() -> [u16; 2] {
    // Held at the same time, so that they differ.
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("it is bound").port())
}

/// A `MutatingWebhookConfiguration` for one namespace; removed when dropped.
pub(crate) struct Registration {
    name: String,
}

impl Registration {
    /// Registers a webhook for what happens in `namespace`. The API server calls webhooks by the order of
    /// `name`; it takes a moment until it calls a new one at all.
    #[track_caller]
    pub(crate) fn new(name: String, namespace: &str, endpoint: &Endpoint, rules: &Value) -> Self {
        kubectl("create -f -")
            .input(&json!({
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "MutatingWebhookConfiguration",
                "metadata": {"name": name},
                "webhooks": [{
                    "name": "webhook.e2e.test",
                    "admissionReviewVersions": ["v1"],
                    "clientConfig": {"url": endpoint.url, "caBundle": STANDARD.encode(&endpoint.ca_pem)},
                    "rules": rules,
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                    "sideEffects": "None",
                    "timeoutSeconds": 10,
                    "failurePolicy": "Fail",
                    "reinvocationPolicy": "IfNeeded",
                }],
            }))
            .ok();
        Self { name }
    }

    /// One that is there already.
    pub(crate) fn of(name: String) -> Self {
        Self { name }
    }

    /// From soon on, calls that fail count as allowed.
    #[track_caller]
    pub(crate) fn ignore_failures(&self) {
        let patch = r#"--patch=[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]"#;
        kubectl("patch mutatingwebhookconfiguration --type=json").word(&self.name).word(patch).ok();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        kubectl("delete mutatingwebhookconfiguration --ignore-not-found").word(&self.name).run();
    }
}
