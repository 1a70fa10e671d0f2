//! The TLS port: HTTP and TLS themselves, before anything is read.

use std::io::{ErrorKind, Read as _, Write as _};
use std::time::Duration;

use rustls::version::{TLS12, TLS13};

use crate::support::{Client, REVIEW, Webhook, dial, handshake, handshake_as, speaking, trusting};

const RULES: &[(&str, &str)] = &[("REGISTRY", "registry.example")];

#[test]
fn a_call_is_answered_with_a_review() {
    let webhook = Webhook::start(RULES);
    let answered = webhook.connect().post(REVIEW);
    assert_eq!(answered.status, 200);
    assert_eq!(answered.header("content-type"), Some("application/json"));
    let review = answered.json();
    assert_eq!(review["kind"], "AdmissionReview");
    assert_eq!(review["response"]["uid"], "e73c78bf-e0c4-4721-b7d2-b3b2c114eb5b");
    assert_eq!(review["response"]["patchType"], "JSONPatch");
}

#[test]
fn json_is_accepted_under_every_spelling_of_its_name() {
    let webhook = Webhook::start(RULES);
    let mut client = webhook.connect();
    let length = format!("Content-Length: {}", REVIEW.len());
    for name in [
        "application/json",
        "Application/JSON",
        "APPLICATION/JSON; charset=utf-8",
        "application/json;charset=UTF-8;a=b",
        "application/json ; odd",
    ] {
        client.head("POST /mutate", &[&format!("content-TYPE: {name}"), &length]);
        client.send(REVIEW);
        assert_eq!(client.response().status, 200, "{name}");
    }
    client.head("POST /mutate", &["Content-Type: application/json", "Content-Encoding: identity", &length]);
    client.send(REVIEW);
    assert_eq!(client.response().status, 200);
}

#[test]
fn another_type_or_encoding_is_refused_before_the_body_is_sent() {
    let webhook = Webhook::start(RULES);
    for headers in [
        &["Content-Length: 4000"][..],
        &["Content-Length: 4000", "Content-Type:"],
        &["Content-Length: 4000", "Content-Type: text/plain"],
        &["Content-Length: 4000", "Content-Type: application/jsonx"],
        &["Content-Length: 4000", "Content-Type: application/json-patch+json"],
        &["Content-Length: 4000", "Content-Type: text/plain; application/json"],
        &["Content-Length: 4000", "Content-Type: application/json", "Content-Encoding: gzip"],
        &["Content-Length: 4000", "Content-Type: application/json", "Content-Encoding: br"],
        &["Transfer-Encoding: chunked", "Content-Type: application/json", "Content-Encoding: GZIP"],
    ] {
        let mut client = webhook.connect();
        client.head("POST /mutate", headers);
        let refused = client.response();
        assert_eq!(refused.status, 415, "{headers:?}");
        assert!(refused.text().contains("Content-"), "{headers:?}: {}", refused.text());
    }
    assert_eq!(webhook.connect().post(REVIEW).status, 200);
}

#[test]
fn other_methods_are_refused_with_the_one_that_is_allowed() {
    let webhook = Webhook::start(RULES);
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let mut client = webhook.connect();
        client.head(&format!("{method} /mutate"), &[]);
        let refused = client.response();
        assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")), "{method}");
        assert_eq!(client.post(REVIEW).status, 200, "after {method}");
    }
    let mut client = webhook.connect();
    client.head("HEAD /mutate", &[]);
    let refused = client.response_without_body();
    assert_eq!((refused.status, refused.header("allow")), (405, Some("POST")));
}

#[test]
fn other_paths_are_not_found() {
    let webhook = Webhook::start(RULES);
    let mut client = webhook.connect();
    for path in
        ["/", "/mutate/", "/Mutate", "/mutate/x", "//mutate", "/validate", "/metrics", "/livez", "/readyz"]
    {
        assert_eq!(client.get(path).status, 404, "{path}");
        let mut posting = webhook.connect();
        let refused = posting.post_to(path, b"{}");
        // The body was not read, so the client is told not to use the connection again.
        assert_eq!((refused.status, refused.header("connection")), (404, Some("close")), "{path}");
        posting.closed();
    }
    for target in ["/mutate", "/mutate?timeout=10s", "/mutate?timeout=odd&x=y", "/mutate?"] {
        assert_eq!(client.post_to(target, REVIEW).status, 200, "{target}");
    }
}

#[test]
fn the_probe_of_the_system_before_keeps_answering() {
    let webhook = Webhook::start(RULES);
    let mut client = webhook.connect();
    assert_eq!(client.get("/debug/health").status, 200);
    assert_eq!(client.get("/debug").status, 404);
}

#[test]
fn tls_1_2_and_1_3_are_spoken() {
    let webhook = Webhook::start(RULES);
    for version in [&TLS12, &TLS13] {
        let stream = handshake(webhook.address, speaking(&webhook.ca_pem, &[version])).unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        assert_eq!(Client::over(stream).post(REVIEW).status, 200, "{version:?}");
    }
}

#[test]
fn older_tls_is_refused_and_so_is_no_tls() {
    let webhook = Webhook::start(RULES);
    let greeted = |version| {
        let mut tcp = dial(webhook.address).unwrap();
        tcp.write_all(&client_hello(version)).unwrap();
        let mut record = [0; 7];
        tcp.read_exact(&mut record).unwrap();
        record
    };
    // The same greeting leads to a handshake (22) in the oldest version that is spoken …
    assert_eq!(greeted([3, 3])[0], 22);
    for version in [[3, 1], [3, 2]] {
        // … and to an alert (21) in those before it: fatal (2), protocol_version (70).
        let [kind, .., level, description] = greeted(version);
        assert_eq!([kind, level, description], [21, 2, 70], "{version:?}");
    }
    let mut tcp = dial(webhook.address).unwrap();
    tcp.write_all(b"GET /debug/health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    drop(tcp.read_to_end(&mut answer));
    assert!(!answer.starts_with(b"HTTP"), "plain HTTP was answered on the TLS port");
    assert_eq!(webhook.connect().post(REVIEW).status, 200);
}

/// The greeting of a client that knows no more than `version` (3.1 is TLS 1.0, 3.3 is TLS 1.2; RFC 5246, 7.4.1.2).
fn client_hello(version: [u8; 2]) -> Vec<u8> {
    let mut hello = version.to_vec();
    hello.extend([7; 32]); // random
    hello.push(0); // no session
    hello.extend([0, 2, 0xc0, 0x2b]); // one cipher suite: ECDHE-ECDSA-AES128-GCM-SHA256
    hello.extend([1, 0]); // no compression
    hello.extend([0, 22]); // extensions: curve P-256, uncompressed points, signatures by ECDSA with P-256
    hello.extend([0, 10, 0, 4, 0, 2, 0, 23]);
    hello.extend([0, 11, 0, 2, 1, 0]);
    hello.extend([0, 13, 0, 4, 0, 2, 4, 3]);
    let length = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
    let mut message = vec![1, 0];
    message.extend(length(hello.len()));
    message.extend(hello);
    let mut record = vec![22, version[0], version[1]];
    record.extend(length(message.len()));
    record.extend(message);
    record
}

#[test]
fn http_2_is_not_negotiated() {
    let webhook = Webhook::start(RULES);
    let mut both = trusting(&webhook.ca_pem);
    both.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = handshake(webhook.address, both).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(Client::over(stream).post(REVIEW).status, 200);

    let mut only = trusting(&webhook.ca_pem);
    only.alpn_protocols = vec![b"h2".to_vec()];
    let negotiated =
        handshake(webhook.address, only).ok().and_then(|s| s.conn.alpn_protocol().map(<[u8]>::to_vec));
    assert_eq!(negotiated, None);
}

#[test]
fn the_self_signed_certificate_is_valid_for_this_machine_only() {
    let webhook = Webhook::start(RULES);
    let connect = |name| handshake_as(webhook.address, trusting(&webhook.ca_pem), name);
    for name in ["localhost", "127.0.0.1", "::1"] {
        assert!(connect(name).is_ok(), "{name}");
    }
    assert!(connect("other.example").is_err());
    let stranger = Webhook::start(RULES);
    assert!(handshake(webhook.address, trusting(&stranger.ca_pem)).is_err(), "signed by another authority");
}

#[test]
fn a_connection_is_used_again_and_stays_open_while_idle() {
    let webhook = Webhook::start(RULES);
    let stream = handshake(webhook.address, trusting(&webhook.ca_pem)).unwrap();
    let tcp = stream.sock.try_clone().unwrap();
    let mut client = Client::over(stream);
    for _ in 0..3 {
        let answered = client.post(REVIEW);
        assert_eq!((answered.status, answered.header("connection")), (200, None));
    }
    // Longer than the 5 s after which servers like this one hang up unless they are told otherwise.
    tcp.set_read_timeout(Some(Duration::from_millis(5500))).unwrap();
    let silence = tcp.peek(&mut [0]).map_err(|error| error.kind());
    assert_eq!(silence, Err(ErrorKind::WouldBlock), "the server ended an idle connection");
    assert_eq!(client.post(REVIEW).status, 200);
}
