//! SIGTERM, with clients that keep the program from ending if anything can.

use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Setting;
use crate::client::{Program, TlsConnection, connect, request, review};
use crate::report::{Judged, Row, Tally, seconds};
use crate::reviews::{RULE, call, judge};

const DELAY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);
/// What the machine may add.
const SLACK: Duration = Duration::from_millis(700);

pub(crate) async fn run(setting: &'static Setting) -> Vec<Row> {
    let times = setting.full_or_short(5, 1);
    let bound = DELAY + TIMEOUT;
    vec![
        in_flight(times).await,
        held(times, "an open connection that is idle", DELAY, Holding::Idle).await,
        held(times, "a body that drips, one byte a second", bound, Holding::Body).await,
        held(times, "a head that drips, one byte a second", DELAY, Holding::Head).await,
        held(times, "a handshake that stopped half way", DELAY, Holding::Handshake).await,
        again(times).await,
    ]
}

async fn start() -> Program {
    let settings = [("SHUTDOWN_DELAY_SECONDS", DELAY), ("SHUTDOWN_TIMEOUT_SECONDS", TIMEOUT)];
    let settings = settings.map(|(name, time)| (name, time.as_secs().to_string()));
    let [delay, timeout] = &settings;
    Program::start(&[RULE, (delay.0, &delay.1), (timeout.0, &timeout.1)]).await
}

/// Signals, and waits a little longer than it may take.
async fn terminate(program: &mut Program, bound: Duration) -> (Option<ExitStatus>, Duration) {
    program.signal("TERM");
    let began = Instant::now();
    let ended = program.ends_within(bound + Duration::from_secs(5)).await;
    (ended, began.elapsed())
}

/// Requests whose bodies are complete only after the last connection was accepted.
async fn in_flight(times: u32) -> Row {
    let bound = DELAY + TIMEOUT;
    let mut row = Row::new(format!("8 calls in flight, {times} times"));
    let (mut tally, mut longest, mut clean) = (Tally::default(), Duration::ZERO, 0);
    for _ in 0..times {
        let mut program = start().await;
        let body = review("soak-signal", 4_000);
        let (first, rest) = {
            let whole = call(&body);
            let half = whole.len() / 2;
            (whole[..half].to_vec(), whole[half..].to_vec())
        };
        let mut connections = Vec::new();
        for _ in 0..8 {
            let mut connection = connect(program.address, &program.tls()).await.expect("a connection");
            connection.write(&first).await.expect("half a call");
            connections.push(connection);
        }
        let finish = async {
            sleep(DELAY + TIMEOUT / 2).await;
            for connection in &mut connections {
                let began = Instant::now();
                let answer = match connection.write(&rest).await {
                    Ok(()) => connection.response().await,
                    Err(failure) => Err(failure),
                };
                let judged = match answer {
                    Ok(response) if !response.closes() => {
                        Judged::Wrong("the connection stays open".to_owned())
                    }
                    Ok(response) => judge(&body, "soak-signal", &response),
                    Err(failure) => Judged::Failed(failure.to_string()),
                };
                tally.add(judged, began.elapsed());
            }
        };
        let ((ended, took), ()) = tokio::join!(terminate(&mut program, bound), finish);
        longest = longest.max(took);
        clean += u32::from(ended.is_some_and(|status| status.success()));
    }
    row.measured(format!("ends within {} of {}, status 0 {clean} times", seconds(longest), seconds(bound)))
        .goal("ends within its bound", longest <= bound + SLACK)
        .goal("ends with status 0", clean == times)
        .faultless(tally);
    row
}

/// 0, or 1 where calls were cut.
fn is_by_itself(status: ExitStatus) -> bool {
    status.code().is_some_and(|code| code <= 1)
}

#[derive(Clone, Copy)]
enum Holding {
    Idle,
    Head,
    Body,
    Handshake,
}

/// An honest call, to have something to count, and the connection that it was made on.
async fn one_call(program: &Program, tally: &mut Tally) -> TlsConnection {
    let body = review("soak-signal", 4_000);
    let mut connection = connect(program.address, &program.tls()).await.expect("a connection");
    let began = Instant::now();
    let judged = match connection.exchange(&call(&body)).await {
        Ok(response) => judge(&body, "soak-signal", &response),
        Err(failure) => Judged::Failed(failure.to_string()),
    };
    tally.add(judged, began.elapsed());
    connection
}

/// Something that would keep it for ever. One honest call goes before.
async fn held(times: u32, what: &str, bound: Duration, holding: Holding) -> Row {
    let mut row = Row::new(format!("{what}, {times} times"));
    let (mut tally, mut longest, mut by_itself) = (Tally::default(), Duration::ZERO, 0);
    for _ in 0..times {
        let mut program = start().await;
        let connection = one_call(&program, &mut tally).await;
        let hold = tokio::spawn(hold(program.address, connection, holding));
        // The first byte is on its way before the signal; it is read before the delay is over.
        sleep(Duration::from_millis(100)).await;
        let (ended, took) = terminate(&mut program, bound).await;
        hold.abort();
        longest = longest.max(if ended.is_some() { took } else { Duration::MAX });
        by_itself += u32::from(ended.is_some_and(is_by_itself));
    }
    row.measured(format!("ends within {} of {}", seconds(longest), seconds(bound)))
        .goal("ends within its bound", longest <= bound + SLACK)
        .goal("ends by itself, not by a signal or a panic", by_itself == times)
        .faultless(tally);
    row
}

async fn hold(address: std::net::SocketAddr, mut connection: TlsConnection, holding: Holding) {
    let start: &[u8] = match holding {
        Holding::Idle => b"",
        Holding::Head => b"POST /mutate HTTP/1.1\r\nHost: localhost\r\nX: ",
        Holding::Body => {
            &request("POST", "/mutate?timeout=30s", &[("Content-Type", "application/json")], &[b' '; 9999])
                [..200]
        }
        Holding::Handshake => {
            let mut tcp = crate::client::connect_plain(address).await.expect("a connection");
            drop(tcp.write(b"\x16\x03\x01\x02\x00\x01").await);
            std::future::pending().await
        }
    };
    drop(connection.write(start).await);
    if matches!(holding, Holding::Idle) {
        std::future::pending::<()>().await;
    }
    while connection.write(b" ").await.is_ok() {
        sleep(Duration::from_secs(1)).await;
    }
}

/// A second SIGTERM, where the first one alone would take ten minutes.
async fn again(times: u32) -> Row {
    let mut row = Row::new(format!("a second SIGTERM, {times} times"));
    let (mut tally, mut longest, mut by_itself) = (Tally::default(), Duration::ZERO, 0);
    for _ in 0..times {
        let settings = [RULE, ("SHUTDOWN_DELAY_SECONDS", "600"), ("SHUTDOWN_TIMEOUT_SECONDS", "600")];
        let mut program = Program::start(&settings).await;
        program.signal("TERM");
        let _open = one_call(&program, &mut tally).await;
        let (ended, took) = terminate(&mut program, Duration::ZERO).await;
        longest = longest.max(if ended.is_some() { took } else { Duration::MAX });
        by_itself += u32::from(ended.is_some_and(is_by_itself));
    }
    row.measured(format!("ends within {}", seconds(longest)))
        .goal("ends at once", longest <= SLACK)
        .goal("ends by itself, not by a signal or a panic", by_itself == times)
        .faultless(tally);
    row
}
