//! What lies between a controller and the API server: it can be cut, and it can answer in the API server's place.
//!
//! The controller speaks plain HTTP here; behind it `kubectl proxy` speaks TLS. So it says what it wants in the clear,
//! and certificates that are valid for a day do not mind what time the controller believes it is.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::controller::case::Case;
use crate::neighbour::Reply;

/// What is asked: method and target.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
}

impl Asked {
    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
    }

    pub(crate) fn is_watch(&self) -> bool {
        self.target.contains("watch=")
    }
}

/// Answers in the API server's place, if it does.
type Answer = Box<dyn FnMut(&Asked) -> Option<Reply> + Send>;

struct State {
    up: bool,
    answer: Answer,
    connections: Vec<TcpStream>,
}

/// A line to the API server; down when dropped.
pub(crate) struct Line {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    proxy: Child,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let mut proxy = Command::new("kubectl")
            .args(["proxy", "--port=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("kubectl is in PATH");
        let mut said = String::new();
        let out = proxy.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut said).expect("kubectl says where it serves");
        let upstream: SocketAddr =
            said.trim().rsplit(' ').next().and_then(|last| last.parse().ok()).expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state =
            Arc::new(Mutex::new(State { up: true, answer: Box::new(|_| None), connections: Vec::new() }));
        let shared = Arc::clone(&state);
        // It ends with the test's process; a thread that waits for calls costs nothing.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(client, upstream, &state));
            }
        });
        Self { address, state, proxy }
    }

    /// A kubeconfig that leads here.
    #[track_caller]
    pub(crate) fn kubeconfig(&self, case: &Case, user: &str) -> PathBuf {
        let home = case.home.name.clone();
        case.kubeconfig(user, |config| {
            config["clusters"][0]["cluster"] =
                serde_json::json!({"server": format!("http://{}", self.address)});
            config["contexts"][0]["context"]["namespace"] = home.into();
        })
    }

    /// Answers in the API server's place from now on.
    pub(crate) fn answer(&self, answer: impl FnMut(&Asked) -> Option<Reply> + Send + 'static) {
        lock(&self.state).answer = Box::new(answer);
    }

    /// Ends all connections, and takes none until it is up.
    pub(crate) fn down(&self) {
        lock(&self.state).up = false;
        self.cut();
    }

    pub(crate) fn up(&self) {
        lock(&self.state).up = true;
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        for connection in lock(&self.state).connections.drain(..) {
            // It may have ended already.
            drop(connection.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.down();
        drop(self.proxy.kill());
        drop(self.proxy.wait());
    }
}

/// One request of a connection, which ends with its answer.
fn serve(client: TcpStream, upstream: SocketAddr, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut writer = client.try_clone().ok()?;
    {
        let mut state = lock(state);
        if !state.up {
            return None;
        }
        state.connections.push(client);
    }
    let mut head = String::new();
    while reader.read_line(&mut head).ok()? > 2 {}
    let mut words = head.split(' ');
    let asked = Asked { method: words.next()?.to_owned(), target: words.next()?.to_owned() };
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap_or(0))];
    reader.read_exact(&mut body).ok()?;
    let answer = (lock(state).answer)(&asked);
    if let Some(Reply { status, headers, body }) = answer {
        let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let headers = headers.concat();
        let length = body.len();
        let reply = format!(
            "HTTP/1.1 {status} Told\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        return writer.write_all(reply.as_bytes()).ok();
    }
    let mut server = TcpStream::connect(upstream).ok()?;
    let lines = head.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let head: Vec<_> = lines.chain(["Connection: close", "", ""]).collect();
    server.write_all(head.join("\r\n").as_bytes()).ok()?;
    server.write_all(&body).ok()?;
    // Both ends with the client's: a watch that nobody reads any more would stay.
    lock(state).connections.push(server.try_clone().ok()?);
    let closing = server.try_clone().ok()?;
    thread::spawn(move || {
        let _ = reader.read(&mut [0]);
        drop(closing.shutdown(Shutdown::Both));
    });
    std::io::copy(&mut server, &mut writer).ok()?;
    writer.shutdown(Shutdown::Both).ok()
}
