//! How the program ends: nobody's request is lost, and nobody can keep it from ending.

use std::thread;
use std::time::{Duration, Instant};

use crate::program::Program;
use crate::support::{Client, REVIEW, SOON, dial, eventually, get};

fn wait_until_not_ready(program: &Program) {
    eventually("readiness to go off", || (get(program.health, "/readyz").status == 503).then_some(()));
}

#[test]
fn sigterm_turns_readiness_off_and_serves_on_before_it_ends() {
    let mut program = Program::serve(&[("SHUTDOWN_DELAY_SECONDS", "4"), ("SHUTDOWN_TIMEOUT_SECONDS", "20")]);
    let (mut idle, mut before, mut after) = (program.connect(), program.connect(), program.connect());
    assert_eq!(get(program.health, "/readyz").status, 200);
    let answered = before.post(REVIEW);
    assert_eq!((answered.status, answered.header("connection")), (200, None));
    assert_eq!(idle.post(REVIEW).status, 200);

    let began = Instant::now();
    program.signal("TERM");
    wait_until_not_ready(&program);
    assert!(began.elapsed() < Duration::from_secs(2), "readiness went off after {:?}", began.elapsed());
    assert_eq!(get(program.health, "/livez").status, 200);
    for (who, client) in [("a connection that was used", &mut before), ("one that was not", &mut after)] {
        let answered = client.post(REVIEW);
        assert_eq!((answered.status, answered.header("connection")), (200, Some("close")), "{who}");
        client.closed();
    }
    let answered = program.connect().post(REVIEW);
    assert_eq!((answered.status, answered.header("connection")), (200, Some("close")), "a new connection");
    assert!(began.elapsed() < Duration::from_secs(4), "too slow to have tested the delay");

    // One connection is still open and idle: it keeps nobody waiting.
    assert_eq!(program.exits_within(Duration::from_secs(10)).code(), Some(0), "{}", program.stderr());
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(10), "{took:?}");
    idle.closed();
}

#[test]
fn a_request_in_flight_is_answered_while_new_connections_are_refused() {
    let mut program = Program::serve(&[("SHUTDOWN_DELAY_SECONDS", "0"), ("SHUTDOWN_TIMEOUT_SECONDS", "20")]);
    let mut client = program.connect();
    client.announce("/mutate?timeout=10s", REVIEW.len());
    client.send(&REVIEW[..1000]);
    // Another request of the same worker pool answered after it: the first one has been read by now.
    assert_eq!(program.connect().post(REVIEW).status, 200);
    program.signal("TERM");
    eventually("connections to be refused", || dial(program.address).is_err().then_some(()));
    client.send(&REVIEW[1000..]);
    let answered = client.response();
    assert_eq!((answered.status, answered.header("connection")), (200, Some("close")));
    assert_eq!(program.exits_within(SOON).code(), Some(0), "{}", program.stderr());
}

#[test]
fn a_dripping_client_does_not_keep_it_from_ending() {
    let mut program = Program::serve(&[("SHUTDOWN_DELAY_SECONDS", "0"), ("SHUTDOWN_TIMEOUT_SECONDS", "1")]);
    let mut dripping = program.connect();
    dripping.announce("/mutate?timeout=30s", 1_000_000);
    let mut slow_head = program.connect();
    slow_head.send(b"POST /mutate HTTP/1.1\r\nHost: x\r\nX: ");
    let drip = thread::spawn(move || {
        let drop_of = |client: &mut Client, byte: &[u8]| client.try_send(byte).is_ok();
        while drop_of(&mut dripping, b" ") | drop_of(&mut slow_head, b"x") {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let began = Instant::now();
    program.signal("TERM");
    let status = program.exits_within(SOON);
    let took = began.elapsed();
    assert_eq!(status.code(), Some(1), "{}", program.stderr());
    // Less than the 5 s after which a body is given up anyway.
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");
    assert!(program.stderr().contains("requests are cut"), "{}", program.stderr());
    drip.join().unwrap();
}

#[test]
fn a_connection_that_never_says_anything_does_not_keep_it_from_ending() {
    let mut program = Program::serve(&[("SHUTDOWN_DELAY_SECONDS", "0"), ("SHUTDOWN_TIMEOUT_SECONDS", "30")]);
    let (_webhook, _health) = (dial(program.address).unwrap(), dial(program.health).unwrap());
    program.signal("TERM");
    assert_eq!(program.exits_within(Duration::from_secs(10)).code(), Some(0), "{}", program.stderr());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut program =
        Program::serve(&[("SHUTDOWN_DELAY_SECONDS", "600"), ("SHUTDOWN_TIMEOUT_SECONDS", "600")]);
    let mut client = program.connect();
    client.announce("/mutate", REVIEW.len());
    program.signal("TERM");
    wait_until_not_ready(&program);
    let began = Instant::now();
    program.signal("TERM");
    let status = program.exits_within(SOON);
    assert!(status.code().is_some(), "{status}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn an_interrupt_by_a_person_waits_for_no_cluster() {
    let mut program =
        Program::serve(&[("SHUTDOWN_DELAY_SECONDS", "600"), ("SHUTDOWN_TIMEOUT_SECONDS", "600")]);
    assert_eq!(program.connect().post(REVIEW).status, 200);
    let began = Instant::now();
    program.signal("INT");
    assert_eq!(program.exits_within(SOON).code(), Some(0), "{}", program.stderr());
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}
