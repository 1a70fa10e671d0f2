//! Connections as such: nobody waits for one because of what others do with theirs.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::program::Program;
use crate::support::{REVIEW, Webhook, dial};

#[test]
fn the_first_answer_on_a_connection_is_not_held_back() {
    let webhook = Webhook::start(&[]);
    // TLS 1.3 ends its handshake with messages of the server, which the client's system acknowledges 40 ms later
    // more often than not. An answer that waits for that is as late; others are late by chance.
    let mut times: Vec<_> = (0..31)
        .map(|_| {
            let mut client = webhook.connect();
            let began = Instant::now();
            assert_eq!(client.post(REVIEW).status, 200);
            began.elapsed()
        })
        .collect();
    times.sort();
    assert!(times[15] < Duration::from_millis(35), "{times:?}");
}

#[test]
fn handshakes_that_stop_half_way_keep_nobody_waiting() {
    let webhook = Webhook::start(&[]);
    // More than actix takes at the same time unless it is told otherwise; it gives them up after 3 s.
    let workers = std::thread::available_parallelism().unwrap().get();
    let halves: Vec<_> = (0..256 * workers + 20)
        .map(|_| {
            let mut tcp = dial(webhook.address).unwrap();
            tcp.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
            tcp
        })
        .collect();
    let began = Instant::now();
    assert_eq!(webhook.connect().post(REVIEW).status, 200);
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?} with {}", began.elapsed(), halves.len());
}

#[test]
#[cfg(target_os = "linux")]
fn a_burst_of_connections_waits_in_line() {
    let program = Program::serve(&[]);
    // While the program stands still, the system accepts for it; what does not fit is repeated a second later.
    program.signal("STOP");
    let connect = || TcpStream::connect_timeout(&program.address, Duration::from_millis(900));
    let waiting: Vec<_> = (0..500).map_while(|_| connect().ok()).collect();
    program.signal("CONT");
    assert_eq!(waiting.len(), 500);
    assert_eq!(program.connect().post(REVIEW).status, 200);
}
