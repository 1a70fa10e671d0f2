//! What several tests need: certificates, a running webhook, and a client that sends exactly what it is told.
//!
//! Nothing here sleeps for a fixed time: reads have a deadline, and [`eventually`] waits for a condition.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pullgate::certs::self_signed;
use pullgate::config::{Config, Serving};
use pullgate::policy::Policy;
use pullgate::webhook::{App, Stop, start, tls};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tokio::sync::oneshot;

pub(crate) use crate::authority::{Authority, Leaf};

/// How long anything may take that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// A call as a kube-apiserver made it; with `REGISTRY` set its image is rewritten.
pub(crate) const REVIEW: &[u8] =
    include_bytes!("../fixtures/cases/recorded-pod-by-kubectl-create/review.json");

/// Waits until `condition` gives something, and says what was waited for when it does not.
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {SOON:?} for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The configuration of an environment, on ports that the system chooses.
pub(crate) fn config(environment: &[(&str, &str)]) -> (Policy, Serving) {
    let pairs = environment.iter().map(|(name, value)| (name.into(), value.into()));
    let Config { policy, mut serving, .. } = Config::load(pairs, false).unwrap();
    (serving.port, serving.health_port) = (0, Some(0));
    (policy, serving)
}

/// A webhook in this process, on a thread and a system of its own; it ends when dropped.
pub(crate) struct Webhook {
    pub(crate) address: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) ca_pem: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Webhook {
    /// Serves by the rules of `environment` under a certificate of its own.
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        let (policy, serving) = config(environment);
        Self::start_app(App::new(policy, serving))
    }

    pub(crate) fn start_app(app: App) -> Self {
        let made = self_signed().unwrap();
        let certificate = tls::Serving::from_memory(made.chain, made.key).unwrap();
        Self::start_with(app, certificate, made.ca_pem)
    }

    pub(crate) fn start_with(app: App, certificate: tls::Serving, ca_pem: String) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let started = start(app, certificate).unwrap();
                tell.send((started.address, started.health_address.unwrap())).unwrap();
                let stop = async {
                    drop(stopped.await);
                    Stop::Now
                };
                started.serve(stop, std::future::pending()).await.unwrap();
            });
        });
        let (address, health) = told.recv_timeout(SOON).expect("the webhook starts");
        let local = |address: SocketAddr| SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
        Self {
            address: local(address),
            health: local(health),
            ca_pem,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::over(handshake(self.address, trusting(&self.ca_pem)).unwrap())
    }

    /// One line of `/metrics`, as far as it follows `series`.
    pub(crate) fn metric(&self, series: &str) -> String {
        self.metric_if_any(series).unwrap_or_else(|| panic!("no {series}"))
    }

    /// The same of a series that need not be there yet.
    pub(crate) fn metric_if_any(&self, series: &str) -> Option<String> {
        let text = get(self.health, "/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(str::to_owned)
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the webhook panicked");
        }
    }
}

/// TLS settings of a client that trusts one authority.
pub(crate) fn trusting(ca_pem: &str) -> ClientConfig {
    speaking(ca_pem, rustls::ALL_VERSIONS)
}

pub(crate) fn speaking(ca_pem: &str, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Connects and finishes the handshake.
pub(crate) fn handshake(address: SocketAddr, config: ClientConfig) -> io::Result<TlsStream> {
    handshake_as(address, config, "127.0.0.1")
}

/// The same, expecting the server to prove that it is `name`.
pub(crate) fn handshake_as(
    address: SocketAddr,
    config: ClientConfig,
    name: &'static str,
) -> io::Result<TlsStream> {
    let mut tcp = dial(address)?;
    let name = ServerName::try_from(name).unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut tcp)?;
    }
    Ok(StreamOwned::new(tls, tcp))
}

pub(crate) fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect_timeout(&address, SOON)?;
    tcp.set_read_timeout(Some(SOON))?;
    tcp.set_write_timeout(Some(SOON))?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// An HTTP/1.1 connection, written to as bytes.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    /// What was read beyond the last response.
    rest: Vec<u8>,
}

impl Client {
    pub(crate) fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), rest: Vec::new() }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Sends the head of a request; `headers` are whole lines without their ends.
    pub(crate) fn head(&mut self, method_and_target: &str, headers: &[&str]) {
        let mut head = format!("{method_and_target} HTTP/1.1\r\nHost: localhost\r\n");
        for header in headers {
            head.extend([header, "\r\n"]);
        }
        self.send((head + "\r\n").as_bytes());
    }

    /// A call as the API server makes it.
    pub(crate) fn post(&mut self, body: &[u8]) -> Response {
        self.post_to("/mutate?timeout=10s", body)
    }

    pub(crate) fn post_to(&mut self, target: &str, body: &[u8]) -> Response {
        self.announce(target, body.len());
        self.send(body);
        self.response()
    }

    /// The head of a call whose body follows.
    pub(crate) fn announce(&mut self, target: &str, length: usize) {
        let length = format!("Content-Length: {length}");
        self.head(&format!("POST {target}"), &["Content-Type: application/json", &length]);
    }

    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.head(&format!("GET {target}"), &[]);
        self.response()
    }

    pub(crate) fn response(&mut self) -> Response {
        let (head, mut response) = self.response_head();
        let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        self.read_until(|bytes| (bytes.len() >= head + length).then_some(())).expect("a whole body");
        response.body = self.rest.drain(..head + length).skip(head).collect();
        response
    }

    /// The status of an answer, if there is one.
    pub(crate) fn try_status(&mut self) -> Option<u16> {
        self.read_until(|bytes| bytes.get(9..12)?.to_vec().into())
            .ok()
            .and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok())
    }

    /// The answer to HEAD.
    pub(crate) fn response_without_body(&mut self) -> Response {
        let (head, response) = self.response_head();
        self.rest.drain(..head);
        response
    }

    fn response_head(&mut self) -> (usize, Response) {
        let end = |bytes: &[u8]| bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let length = self.read_until(end).expect("a response");
        let head = std::str::from_utf8(&self.rest[..length]).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap();
        assert!(status.starts_with("HTTP/1.1 "), "{status}");
        let headers = lines.filter_map(|line| line.split_once(':'));
        let response = Response {
            status: status[9..12].parse().unwrap(),
            headers: headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect(),
            body: Vec::new(),
        };
        (length, response)
    }

    fn read_until<T>(&mut self, found: impl Fn(&[u8]) -> Option<T>) -> io::Result<T> {
        loop {
            if let Some(found) = found(&self.rest) {
                return Ok(found);
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.rest.extend_from_slice(&chunk[..read]),
            }
        }
    }

    /// Waits until the server closes the connection.
    pub(crate) fn closed(&mut self) {
        assert_eq!(self.rest, b"", "more than one response");
        // rustls reports an end without its farewell as an error, which is an end too.
        match self.read_until(|_| None::<()>) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("the connection stays open"),
            _ => assert_eq!(self.rest, b"", "bytes after the last response"),
        }
    }
}

/// One request without a body to a plain port.
pub(crate) fn get(address: SocketAddr, target: &str) -> Response {
    Client::over(dial(address).unwrap()).get(target)
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(is, _)| is == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}
