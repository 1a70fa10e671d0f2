//! Replacing the certificate under a running webhook, in a folder that changes as a Secret volume does.

use std::thread;
use std::time::{Duration, Instant};

use pullgate::webhook::App;
use pullgate::webhook::tls::{Files, Serving};
use x509_parser::parse_x509_certificate;

use crate::secret_volume::SecretVolume;
use crate::support::{Authority, Client, REVIEW, Webhook, config, eventually, handshake, trusting};

fn serve(volume: &SecretVolume, authority: &Authority) -> Webhook {
    let (policy, serving) = config(&[]);
    let files = Files::new(volume.path("tls.crt"), volume.path("tls.key"));
    let certificate = Serving::from_files(files).unwrap();
    Webhook::start_with(App::new(policy, serving), certificate, authority.pem.clone())
}

/// The serial number that a new connection is shown, by a certificate that its authority vouches for.
fn serial(webhook: &Webhook) -> u64 {
    let stream = handshake(webhook.address, trusting(&webhook.ca_pem)).unwrap();
    let chain = stream.conn.peer_certificates().unwrap();
    let (_, leaf) = parse_x509_certificate(&chain[0]).unwrap();
    leaf.raw_serial().iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn reloads(webhook: &Webhook, outcome: &str) -> u64 {
    webhook.metric(&format!(r#"pullgate_tls_reloads_total{{outcome="{outcome}"}}"#)).parse().unwrap()
}

fn wait_for_serial(webhook: &Webhook, expected: u64) {
    eventually(&format!("certificate {expected}"), || (serial(webhook) == expected).then_some(()));
}

#[test]
fn a_swapped_certificate_is_served_without_a_restart() {
    let authority = Authority::new();
    let mut volume = SecretVolume::new(&authority.leaf(1, 100));
    let webhook = serve(&volume, &authority);
    let mut open = webhook.connect();
    assert_eq!(open.post(REVIEW).status, 200);
    assert_eq!(serial(&webhook), 1);
    let expiry = || -> f64 {
        webhook.metric("pullgate_tls_certificate_expiration_timestamp_seconds").parse().unwrap()
    };
    let first = expiry();

    for (number, days) in [(2, 200), (3, 300)] {
        volume.swap(&authority.leaf(number, days));
        wait_for_serial(&webhook, number);
        eventually("the reload to be counted", || (reloads(&webhook, "success") == number - 1).then_some(()));
    }
    assert!((expiry() - first - 200.0 * 86400.0).abs() < 60.0, "{first} {}", expiry());
    assert_eq!(open.post(REVIEW).status, 200, "a connection from before");
    assert_eq!(reloads(&webhook, "failure"), 0);
}

#[test]
fn a_certificate_that_cannot_be_served_is_counted_once_and_the_last_good_one_kept() {
    let authority = Authority::new();
    let good = authority.leaf(1, 100);
    let (other, expired) = (authority.leaf(2, 100), authority.leaf(3, -1));
    let half = &good.cert[..good.cert.len() / 2];
    let bad: [(&str, Option<&str>, Option<&str>); 9] = [
        ("the key of another certificate", Some(&good.cert), Some(&other.key)),
        ("an expired certificate", Some(&expired.cert), Some(&expired.key)),
        ("no PEM at all", Some("garbage"), Some(&good.key)),
        ("half a certificate", Some(half), Some(&good.key)),
        ("an empty certificate", Some(""), Some(&good.key)),
        ("an empty key", Some(&good.cert), Some("")),
        ("key and certificate swapped", Some(&good.key), Some(&good.cert)),
        ("no certificate", None, Some(&good.key)),
        ("no key", Some(&other.cert), None),
    ];
    let try_out = |what: &str, cert, key| {
        let mut volume = SecretVolume::new(&good);
        let webhook = serve(&volume, &authority);
        volume.write(cert, key);
        eventually(&format!("{what} to be counted"), || (reloads(&webhook, "failure") == 1).then_some(()));
        // It stays at that while the files stay as they are: longer than files are looked at twice.
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2500) {
            assert_eq!((reloads(&webhook, "failure"), serial(&webhook)), (1, 1), "{what}");
            thread::sleep(Duration::from_millis(100));
        }
        volume.swap(&other);
        wait_for_serial(&webhook, 2);
        eventually("the recovery to be counted", || (reloads(&webhook, "success") == 1).then_some(()));
        assert_eq!(reloads(&webhook, "failure"), 1, "{what}");
    };
    // Each waits for the next look at the files most of the time, so all of them wait together.
    thread::scope(|scope| {
        let tries = bad.map(|(what, cert, key)| scope.spawn(move || try_out(what, cert, key)));
        for tried in tries {
            tried.join().unwrap();
        }
    });
}

#[test]
fn files_that_come_back_as_they_were_are_served_again() {
    let authority = Authority::new();
    let good = authority.leaf(1, 100);
    let mut volume = SecretVolume::new(&good);
    let webhook = serve(&volume, &authority);
    volume.write(None, None);
    eventually("the loss to be counted", || (reloads(&webhook, "failure") == 1).then_some(()));
    volume.swap(&good);
    eventually("the recovery to be counted", || (reloads(&webhook, "success") == 1).then_some(()));
    assert_eq!(serial(&webhook), 1);
}

#[test]
fn handshakes_never_fail_while_certificates_are_swapped() {
    let authority = Authority::new();
    let leaves: Vec<_> = (1..=4).map(|number| authority.leaf(number, 100)).collect();
    let mut volume = SecretVolume::new(&leaves[0]);
    let webhook = serve(&volume, &authority);
    let began = Instant::now();
    let mut seen = Vec::new();
    let mut swaps = 0;
    // At least so long; and until there was another one, which may take longer where the machine is busy.
    let is_over = |seen: &[_]| match began.elapsed().as_secs() {
        0..4 => false,
        4..30 => seen.iter().any(|serial| *serial != seen[0]),
        _ => true,
    };
    while !is_over(&seen) {
        swaps += 1;
        volume.swap(&leaves[swaps % leaves.len()]);
        let stream = handshake(webhook.address, trusting(&webhook.ca_pem)).unwrap();
        assert_eq!(Client::over(stream).post(REVIEW).status, 200);
        seen.push(serial(&webhook));
    }
    seen.dedup();
    assert!(seen.len() > 1, "{swaps} swaps, and certificate {seen:?} was served all the time");
    assert_eq!(reloads(&webhook, "failure"), 0, "a pair was read from two versions");
}
