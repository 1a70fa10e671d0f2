//! Size, memory, time and defects: what one request may cost, and what the next one notices of it (nothing).

use std::io::{self, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use pullgate::answer::answer;
use pullgate::policy::Policy;
use pullgate::webhook::App;

use crate::support::{Client, REVIEW, Response, Webhook, config, dial, eventually, handshake, trusting};

const OTHER: &str =
    r#"pullgate_admission_requests_total{resource="other",operation="other",outcome="OUTCOME"}"#;

fn counted(webhook: &Webhook, outcome: &str) -> String {
    webhook.metric_if_any(&OTHER.replace("OUTCOME", outcome)).unwrap_or_default()
}

/// The review with white space behind it.
fn padded(length: usize) -> Vec<u8> {
    let mut body = REVIEW.to_vec();
    assert!(body.len() <= length);
    body.resize(length, b' ');
    body
}

/// A call in chunks, which announces no length.
fn post_chunked(client: &mut Client, body: &[u8]) -> Response {
    client.head("POST /mutate", &["Content-Type: application/json", "Transfer-Encoding: chunked"]);
    for chunk in body.chunks(8000) {
        client.send(format!("{:x}\r\n", chunk.len()).as_bytes());
        client.send(chunk);
        client.send(b"\r\n");
    }
    client.send(b"0\r\n\r\n");
    client.response()
}

#[test]
fn a_body_of_the_limit_is_read_and_a_longer_one_is_refused_after_its_end() {
    let webhook = Webhook::start(&[("MAX_BODY_BYTES", "50000")]);
    let mut client = webhook.connect();
    assert_eq!(client.post(&padded(50_000)).status, 200);
    assert_eq!(post_chunked(&mut client, &padded(50_000)).status, 200);
    // Far more than what sockets buffer: writing all of it succeeds only when the server reads all of it.
    for length in [50_001, 20_000_000] {
        let refused = client.post(&padded(length));
        assert_eq!((refused.status, refused.header("retry-after")), (413, None), "{length} bytes");
        assert!(refused.text().contains("50000"), "{}", refused.text());
        assert_eq!(post_chunked(&mut client, &padded(length)).status, 413, "{length} bytes in chunks");
    }
    assert_eq!(client.post(REVIEW).status, 200, "the same connection");
    assert_eq!(counted(&webhook, "too_large"), "4");
}

#[test]
fn a_review_of_20_mib_is_within_the_default_limit() {
    let webhook = Webhook::start(&[("REGISTRY", "registry.example")]);
    let text = std::str::from_utf8(REVIEW).unwrap();
    let large = text.replace("a \\u003c b", &"\\u003c".repeat(20 * 1024 * 1024 / 6));
    assert!(large.len() > 20 * 1024 * 1024);
    let answered = webhook.connect().post(large.as_bytes());
    assert_eq!(answered.status, 200);
    assert_eq!(answered.json(), webhook.connect().post(REVIEW).json(), "the argument changes nothing");
}

#[test]
fn a_large_body_that_stops_coming_is_refused_at_its_deadline() {
    let webhook = Webhook::start(&[("MAX_BODY_BYTES", "50000")]);
    let mut client = webhook.connect();
    client.announce("/mutate?timeout=1s", 60_000);
    client.send(&[b' '; 1000]);
    let refused = client.response();
    assert_eq!((refused.status, refused.header("connection")), (413, Some("close")));
    client.closed();
}

#[test]
fn bodies_beyond_the_budget_are_refused_until_others_are_done() {
    let webhook = Webhook::start(&[("MAX_BUFFERED_BYTES", "100000"), ("MAX_BODY_BYTES", "90000")]);
    let mut second = webhook.connect();
    let slow = padded(80_000);
    // Of two bodies on their way at once, either may be the one that does not fit.
    let (mut first, refused) = eventually("a 503", || {
        let mut first = webhook.connect();
        first.announce("/mutate?timeout=10s", slow.len());
        first.send(&slow[..79_999]);
        assert_eq!(second.post(&padded(10_000)).status, 200, "a small one fits");
        let answered = second.post(&padded(30_000));
        (answered.status != 200).then_some((first, answered))
    });
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.header("connection"), None, "the connection can be used again");
    assert!(refused.text().contains("MAX_BUFFERED_BYTES"), "{}", refused.text());
    assert_eq!(post_chunked(&mut second, &padded(30_000)).status, 503, "in chunks");
    assert_eq!(second.post(&padded(10_000)).status, 200, "a small one fits");

    first.send(&slow[79_999..]);
    assert_eq!(first.response().status, 200);
    assert_eq!(second.post(&padded(90_000)).status, 200, "the budget was given back");
}

#[test]
fn a_body_that_no_budget_can_hold_is_refused_after_its_end() {
    let webhook = Webhook::start(&[("MAX_BUFFERED_BYTES", "10000"), ("MAX_BODY_BYTES", "90000000")]);
    let mut client = webhook.connect();
    for _ in 0..3 {
        let refused = client.post(&padded(20_000_000));
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    }
    assert_eq!(client.post(REVIEW).status, 200);
    assert_eq!(counted(&webhook, "overloaded"), "3");
}

/// How long a call takes whose body stops coming.
fn stalled(webhook: &Webhook, target: &str) -> Duration {
    let mut client = webhook.connect();
    let began = Instant::now();
    client.announce(target, REVIEW.len());
    client.send(&REVIEW[..100]);
    let refused = client.response();
    assert_eq!((refused.status, refused.header("connection")), (408, Some("close")), "{target}");
    client.closed();
    began.elapsed()
}

#[test]
fn a_slow_body_is_refused_at_the_requests_own_deadline() {
    let webhook = Webhook::start(&[]);
    let took = stalled(&webhook, "/mutate?timeout=1s");
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(4), "{took:?}");
    assert_eq!(counted(&webhook, "timeout"), "1");
}

#[test]
fn a_slow_body_is_refused_after_5_seconds_at_most() {
    let webhook = Webhook::start(&[]);
    let took = stalled(&webhook, "/mutate?timeout=30s");
    assert!(took > Duration::from_millis(4900) && took < Duration::from_secs(9), "{took:?}");
}

#[test]
fn a_slow_head_is_refused_after_some_seconds() {
    let webhook = Webhook::start(&[]);
    let mut client = webhook.connect();
    let began = Instant::now();
    client.send(b"POST /mutate HTTP/1.1\r\nHost: local");
    assert_eq!(client.response().status, 408);
    client.closed();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_client_that_hangs_up_costs_nobody_else_anything() {
    let webhook = Webhook::start(&[("MAX_BUFFERED_BYTES", "100000"), ("MAX_BODY_BYTES", "100000")]);
    for _ in 0..50 {
        let stream = handshake(webhook.address, trusting(&webhook.ca_pem)).unwrap();
        let tcp = stream.sock.try_clone().unwrap();
        let mut client = Client::over(stream);
        client.announce("/mutate", 20_000);
        client.send(&padded(19_000));
        tcp.shutdown(Shutdown::Both).unwrap();
    }
    for _ in 0..20 {
        dial(webhook.address).unwrap().write_all(b"\x16\x03\x01").unwrap();
    }
    // What they had sent is forgotten, or nothing of this size would fit beside it.
    let mut client = webhook.connect();
    eventually("the budget to be whole", || (client.post(&padded(100_000)).status == 200).then_some(()));
}

/// Answers by no rules; fails on a body that says so.
fn defective() -> Webhook {
    let (policy, serving) = config(&[]);
    let app = App::new(policy, serving).with_answer(|_, body, _| {
        let asks_for = |what: &[u8]| body.windows(what.len()).any(|window| window == what);
        assert!(!asks_for(b"a panic with a text"), "a defect, at {}", "some place");
        if asks_for(b"a panic with anything") {
            std::panic::panic_any(7);
        }
        answer(&Policy::default(), body, |_| ())
    });
    Webhook::start_app(app)
}

#[test]
fn a_panic_costs_one_request() {
    let webhook = defective();
    let (mut client, mut bystander) = (webhook.connect(), webhook.connect());
    assert_eq!(bystander.post(REVIEW).status, 200);
    let large = " ".repeat(1_000_000) + "a panic with a text";
    for body in ["a panic with a text", "a panic with anything", &large] {
        for _ in 0..10 {
            let failed = client.post(body.as_bytes());
            assert_eq!((failed.status, failed.header("retry-after")), (500, None));
            assert!(!failed.text().contains("defect, at"), "{}", failed.text());
        }
        assert_eq!(client.post(REVIEW).status, 200, "the same connection");
        assert_eq!(bystander.post(REVIEW).status, 200, "another connection");
    }
    assert_eq!(counted(&webhook, "panicked"), "30");
}

#[test]
fn broken_http_is_refused_and_the_server_lives_on() {
    let webhook = Webhook::start(&[]);
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(300_000));
    for bytes in [
        "\r\n\r\n\0\0\0",
        "POST /mutate\r\n\r\n",
        "POST /mutate HTTP/9.9\r\nHost: x\r\n\r\n",
        "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n",
        "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        &long,
    ] {
        let mut client = webhook.connect();
        let sent: io::Result<()> = client.try_send(bytes.as_bytes());
        if sent.is_ok() {
            // Refused or hung up on, but never admitted.
            assert!(client.try_status().is_none_or(|status| (400..500).contains(&status)), "{bytes:.60}");
        }
    }
    assert_eq!(webhook.connect().post(REVIEW).status, 200);
}
