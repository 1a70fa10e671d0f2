//! What each attacker does.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::client::{Connection, Failure, Response, connect, connect_plain, request, review};
use crate::report::Judged;
use crate::reviews::{call, judge};
use crate::victim::Victim;

const JSON: (&str, &str) = ("Content-Type", "application/json");
/// Nothing that an attacker waits for takes as long.
const LONG: Duration = Duration::from_mins(10);
/// The default of `MAX_BODY_BYTES`.
const MAX_BODY: usize = 24 * 1024 * 1024;
const UID: &str = "soak-attack";

/// What an attacker does, again and again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Attack {
    /// A head, a byte a second.
    SlowHead,
    /// A body, a byte a second.
    SlowBody,
    /// A connection that was used once.
    Idle,
    /// Half a handshake; every other one hangs up then.
    HalfHandshake,
    /// HTTP on the port of TLS.
    Plain,
    /// Random bytes, inside and outside of TLS.
    Garbage,
    /// Sixteen calls at once, and then their answers.
    Pipelining,
    /// Calls whose answers nobody reads.
    Unread,
    /// Chunks without end, at a pace that takes longer than a body may.
    SlowChunks,
    /// Chunks without end, at a pace that reaches `MAX_BODY_BYTES` before.
    Chunks,
    /// One byte more than `MAX_BODY_BYTES`.
    TooLarge,
}

impl Attack {
    /// Whether attackers are on a connection most of the time.
    pub(crate) fn holds(self) -> bool {
        matches!(self, Self::SlowHead | Self::SlowBody | Self::Idle | Self::SlowChunks)
    }

    /// One attempt of one attacker, and how it ended.
    pub(crate) async fn attempt(self, number: usize, victim: &Victim) -> String {
        let ended = match self {
            Self::SlowHead => drip(victim, b"POST /mutate HTTP/1.1\r\nHost: localhost\r\nX: ").await,
            Self::SlowBody => {
                let headers = [JSON, ("Content-Length", "100000")];
                drip(victim, &request("POST", "/mutate?timeout=30s", &headers, b"")).await
            }
            Self::Idle => idle(victim).await,
            Self::HalfHandshake => half_handshake(victim, number.is_multiple_of(2)).await,
            Self::Plain => plain(victim, &call(&review(UID, 4_000))).await,
            Self::Garbage if number.is_multiple_of(2) => plain(victim, &garbage(number)).await,
            Self::Garbage => garbage_inside(victim, number).await,
            Self::Pipelining => pipeline(victim).await,
            Self::Unread => unread(victim).await,
            Self::SlowChunks => chunks(victim, Duration::from_millis(20)).await,
            Self::Chunks => {
                // As for the last one.
                sleep(Duration::from_secs(1)).await;
                chunks(victim, Duration::ZERO).await
            }
            Self::TooLarge => too_large(victim).await,
        };
        match ended {
            Ok(end) => end,
            Err(Failure::Closed { .. } | Failure::Tls(_)) => "closed".to_owned(),
            Err(failure) => failure.to_string(),
        }
    }
}

type Ended = Result<String, Failure>;

async fn tls(victim: &Victim) -> Result<Connection<TlsStream<TcpStream>>, Failure> {
    connect(victim.program.address, &victim.tls).await
}

/// Goes on with a byte a second, until there is an answer.
async fn drip(victim: &Victim, start: &[u8]) -> Ended {
    let mut connection = tls(victim).await?;
    connection.write(start).await?;
    connection.patience = Duration::from_secs(1);
    loop {
        match connection.response().await {
            Err(Failure::Timeout) => connection.write(b" ").await?,
            other => return other.map(status),
        }
    }
}

async fn idle(victim: &Victim) -> Ended {
    let mut connection = tls(victim).await?;
    let response = connection.exchange(&call(&review(UID, 4_000))).await?;
    let closed = connection.closes_within(LONG).await;
    Ok(format!("{}, then closed: {closed}", status(response)))
}

async fn half_handshake(victim: &Victim, hangs_up: bool) -> Ended {
    let hello = victim.tls.client_hello();
    let mut connection = connect_plain(victim.program.address).await?;
    connection.write(&hello[..hello.len() / 2]).await?;
    if hangs_up {
        sleep(Duration::from_millis(500)).await;
        return Ok("hung up".to_owned());
    }
    connection.patience = LONG;
    connection.response().await.map(status)
}

async fn plain(victim: &Victim, bytes: &[u8]) -> Ended {
    connect_plain(victim.program.address).await?.exchange(bytes).await.map(status)
}

async fn garbage_inside(victim: &Victim, number: usize) -> Ended {
    tls(victim).await?.exchange(&garbage(number)).await.map(status)
}

/// Differs from client to client, and is the same in each run.
fn garbage(number: usize) -> Vec<u8> {
    let mixed = |at: usize| (at + number).wrapping_mul(0x9E37_79B9).to_be_bytes();
    (1..500).flat_map(mixed).collect()
}

async fn pipeline(victim: &Victim) -> Ended {
    let body = review(UID, 4_000);
    let mut connection = tls(victim).await?;
    connection.write(&call(&body).repeat(16)).await?;
    for _ in 0..16 {
        match judge(&body, UID, &connection.response().await?) {
            Judged::Right => {}
            Judged::Failed(how) | Judged::Wrong(how) => return Ok(how),
        }
    }
    sleep(Duration::from_millis(200)).await;
    Ok("16 right answers".to_owned())
}

async fn unread(victim: &Victim) -> Ended {
    let mut connection = tls(victim).await?;
    let calls = call(&review(UID, 4_000)).repeat(16);
    while let Ok(written) = timeout(Duration::from_secs(2), connection.write(&calls)).await {
        written?;
        sleep(Duration::from_millis(20)).await;
    }
    // The server takes no more.
    sleep(Duration::from_secs(3)).await;
    Ok("not read any more".to_owned())
}

/// Waits for so long between two chunks.
async fn chunks(victim: &Victim, pause: Duration) -> Ended {
    let mut connection = tls(victim).await?;
    connection.write(&request("POST", "/mutate", &[JSON, ("Transfer-Encoding", "chunked")], b"")).await?;
    let chunk = [b"4000\r\n".as_slice(), &[b' '; 0x4000], b"\r\n"].concat();
    connection.patience = pause;
    loop {
        let written = connection.write(&chunk).await;
        match (connection.response().await, written) {
            (Err(Failure::Timeout), Ok(())) => {}
            // An answer may be there although nothing more is taken.
            (Err(_), Err(failure)) => return Err(failure),
            (other, _) => return other.map(status),
        }
    }
}

async fn too_large(victim: &Victim) -> Ended {
    // Once a second: it is 24 MiB each time.
    sleep(Duration::from_secs(1)).await;
    tls(victim).await?.exchange(&call(&vec![b' '; MAX_BODY + 1])).await.map(status)
}

#[allow(clippy::needless_pass_by_value, reason = "so that it fits `map`")]
fn status(response: Response) -> String {
    format!("status {}", response.status)
}
