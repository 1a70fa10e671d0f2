//! An HTTP/1.1 client that tells precisely how a call ended.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// As long as an API server waits for a webhook, unless its configuration says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Failure {
    /// Nobody listens.
    Refused,
    /// The other end threw the connection away.
    Reset,
    /// The other end closed it before its response was whole; `after` so many bytes of it.
    Closed { after: usize },
    /// Nothing came in time.
    Timeout,
    /// TLS could not be agreed on, or its record layer is broken.
    Tls(String),
    /// What came is no HTTP/1.1.
    Http(String),
    /// Anything else that the system says.
    Other(io::ErrorKind),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refused"),
            Self::Reset => f.write_str("reset"),
            Self::Closed { after } => write!(f, "closed after {after} bytes"),
            Self::Timeout => f.write_str("timed out"),
            Self::Tls(problem) => write!(f, "TLS: {problem}"),
            Self::Http(problem) => write!(f, "HTTP: {problem}"),
            Self::Other(kind) => write!(f, "{kind}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::Tls(tls.to_string());
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                Self::Reset
            }
            io::ErrorKind::UnexpectedEof => Self::Closed { after: 0 },
            io::ErrorKind::TimedOut => Self::Timeout,
            other => Self::Other(other),
        }
    }
}

/// Whom a client trusts, and as whom it comes.
#[derive(Clone)]
pub(crate) struct TlsSettings(TlsConnector);

impl TlsSettings {
    /// A client without a certificate that trusts one authority, and resumes no session: a handshake is a whole one.
    pub(crate) fn trusting(ca_pem: &str) -> Self {
        Self::build(Self::builder(ca_pem).with_no_client_auth())
    }

    /// The same with a certificate of its own.
    pub(crate) fn as_client(ca_pem: &str, cert_pem: &str, key_pem: &str) -> Self {
        let chain = CertificateDer::pem_slice_iter(cert_pem.as_bytes()).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).expect("a private key in PEM");
        let builder = Self::builder(ca_pem);
        Self::build(builder.with_client_auth_cert(chain.expect("certificates in PEM"), key).expect("a pair"))
    }

    /// The bytes that a handshake begins with.
    pub(crate) fn client_hello(&self) -> Vec<u8> {
        let name = ServerName::try_from("localhost").expect("a name");
        let config = Arc::clone(self.0.config());
        let mut hello = Vec::new();
        let mut connection = rustls::ClientConnection::new(config, name).expect("a connection");
        connection.write_tls(&mut hello).expect("a vector takes it");
        hello
    }

    fn builder(ca_pem: &str) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(ca_pem.as_bytes()).expect("a certificate in PEM");
        roots.add(authority).expect("an authority");
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has both versions")
            .with_root_certificates(roots)
    }

    fn build(mut config: ClientConfig) -> Self {
        config.resumption = rustls::client::Resumption::disabled();
        Self(TlsConnector::from(Arc::new(config)))
    }
}

/// The bytes of one request. `Host` and, with a body, `Content-Length` are added.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() {
        head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Status line and headers as they came.
    pub(crate) head: String,
    /// Without chunks' framing.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        named.filter(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// Whether the server will close the connection now.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// A TCP connection, without delays for small packets.
pub(crate) async fn dial(address: SocketAddr) -> Result<TcpStream, Failure> {
    let tcp = timeout(PATIENCE, TcpStream::connect(address)).await.map_err(|_| Failure::Timeout)??;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// An HTTP/1.1 connection over anything.
pub(crate) struct Connection<S> {
    pub(crate) stream: S,
    /// How long one response may take.
    pub(crate) patience: Duration,
    /// What was read and not used yet.
    buffer: Vec<u8>,
}

pub(crate) type TlsConnection = Connection<TlsStream<TcpStream>>;

/// Connects, with a whole handshake; the server has to prove its address.
pub(crate) async fn connect(address: SocketAddr, tls: &TlsSettings) -> Result<TlsConnection, Failure> {
    let tcp = dial(address).await?;
    let name = ServerName::IpAddress(IpAddr::into(address.ip()));
    let stream = timeout(PATIENCE, tls.0.connect(name, tcp)).await.map_err(|_| Failure::Timeout)??;
    Ok(Connection::over(stream))
}

/// Connects without TLS.
pub(crate) async fn connect_plain(address: SocketAddr) -> Result<Connection<TcpStream>, Failure> {
    Ok(Connection::over(dial(address).await?))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, patience: PATIENCE, buffer: Vec::new() }
    }

    /// One request and its response.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, Failure> {
        self.exchange(&request(method, target, headers, body)).await
    }

    /// The same with a request that [`request`] made before.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Response, Failure> {
        let patience = self.patience;
        let exchange = async {
            self.put(request).await?;
            self.read_response().await
        };
        timeout(patience, exchange).await.map_err(|_| Failure::Timeout)?
    }

    /// Sends bytes as they are; gives up where the other end does not take them within 10 s.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        timeout(PATIENCE, self.put(bytes)).await.map_err(|_| Failure::Timeout)?
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next response.
    pub(crate) async fn response(&mut self) -> Result<Response, Failure> {
        timeout(self.patience, self.read_response()).await.map_err(|_| Failure::Timeout)?
    }

    /// Whether the other end closes the connection within this time, in whatever way, and sends nothing before.
    pub(crate) async fn closes_within(&mut self, time: Duration) -> bool {
        let closed = async { self.buffer.is_empty() && !matches!(self.fill().await, Ok(())) };
        timeout(time, closed).await.unwrap_or(false)
    }

    async fn read_response(&mut self) -> Result<Response, Failure> {
        let head = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break self.take(at + 4);
            }
            self.fill().await?;
        };
        let bad = |what: &str| Failure::Http(what.to_owned());
        let head = String::from_utf8(head).map_err(|_| bad("a head that is no text"))?;
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| bad("no status line"))?;
        let mut response = Response { status, head, body: Vec::new() };
        if response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            response.body = self.chunks().await?;
            return Ok(response);
        }
        let length = match response.header("content-length") {
            Some(length) => length.parse().map_err(|_| bad("a length that is no number"))?,
            None if matches!(status, 100..200 | 204 | 304) => 0,
            None => return Err(bad("a body without a length")),
        };
        while self.buffer.len() < length {
            self.fill().await?;
        }
        response.body = self.take(length);
        Ok(response)
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                    break self.take(at + 2);
                }
                self.fill().await?;
            };
            let size = std::str::from_utf8(&line).ok().and_then(|line| line.split([';', '\r']).next());
            let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
            let size = size.ok_or_else(|| Failure::Http("a chunk without a size".to_owned()))?;
            while self.buffer.len() < size + 2 {
                self.fill().await?;
            }
            let chunk = self.take(size + 2);
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        let after = self.buffer.len();
        let closed = Failure::Closed { after };
        self.buffer.reserve(16 * 1024);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(closed),
            Ok(_) => Ok(()),
            // An end without TLS's farewell.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(closed),
            Err(error) => Err(error.into()),
        }
    }
}

/// A client that keeps its connection and, like an API server, makes a new one where the last one was announced
/// to close or has failed. It repeats nothing: a call that fails has failed.
pub(crate) struct Caller {
    address: SocketAddr,
    tls: TlsSettings,
    connection: Option<TlsConnection>,
    /// How many connections it has made.
    pub(crate) connections: u64,
}

impl Caller {
    pub(crate) fn new(address: SocketAddr, tls: &TlsSettings) -> Self {
        Self { address, tls: tls.clone(), connection: None, connections: 0 }
    }

    /// Makes the next call on a new connection.
    pub(crate) fn hang_up(&mut self) {
        self.connection = None;
    }

    /// Makes the connection for the next call now.
    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        self.connections += 1;
        self.connection = Some(connect(self.address, &self.tls).await?);
        Ok(())
    }

    /// One request, made by [`request`], and its response.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Result<Response, Failure> {
        if self.connection.is_none() {
            self.connect().await?;
        }
        // It is put back when it is known to be good for another call.
        let mut connection = self.connection.take().expect("it was made");
        let response = connection.exchange(request).await?;
        if !response.closes() {
            self.connection = Some(connection);
        }
        Ok(response)
    }
}
