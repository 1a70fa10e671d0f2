//! The certificate is swapped as a kubelet does it, under load; every other time for a pair that cannot be served.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use x509_parser::parse_x509_certificate;

use crate::Setting;
use crate::client::{Authority, Program, SecretVolume, TlsSettings, connect, webhook};
use crate::load::{Load, Manner};
use crate::report::{Row, ms, seconds};
use crate::reviews::{RULE, Reviews};

const CLIENTS: usize = 16;
/// A certificate is looked at once a second.
const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn run(setting: &'static Setting) -> Vec<Row> {
    let (pause, swaps) =
        setting.full_or_short((Duration::from_secs(5), 36), (Duration::from_millis(2500), 6));
    let mut row = Row::new(format!("a swap every {pause:?}, {CLIENTS} clients, half of them reconnecting"));
    let authority = Authority::new();
    let (good, other) = (authority.leaf(1, 10), authority.leaf(2, 10));
    let mut volume = SecretVolume::new(&good);
    let [cert, key] = ["tls.crt", "tls.key"].map(|name| volume.path(name).display().to_string());
    let environment = [RULE, ("TLS_SELF_SIGNED", "false"), ("TLS_CERT_FILE", &cert), ("TLS_KEY_FILE", &key)];
    let program = Program::start_as(webhook(), &environment, None).await;
    let manner = Manner { clients: CLIENTS, every: Duration::from_millis(40), reconnecting: CLIENTS / 2 };
    let trusting = TlsSettings::trusting(&authority.pem);
    let load = Load::start(program.address, &trusting, manner, Reviews::new(CLIENTS, 4_000));

    // Half a pair of a kubelet that ran out of disk, and one of a mistaken person.
    let half = &good.cert[..good.cert.len() / 2];
    let broken = [(Some(&*good.cert), Some(&*other.key)), (Some(half), Some(&*good.key))];
    let (mut good_swaps, mut bad_swaps) = (0, 0);
    let (mut serial, mut slowest, mut kept) = (1, Duration::ZERO, 0);
    for swap in 0..swaps {
        let began = Instant::now();
        if swap % 2 == 0 {
            serial = 10 + swap;
            volume.swap(&authority.leaf(serial, 10 + i64::try_from(swap).unwrap_or(0)));
            let swapped = Instant::now();
            while served(program.address, &trusting).await != Some(serial) && swapped.elapsed() < SOON {
                sleep(Duration::from_millis(50)).await;
            }
            slowest = slowest.max(swapped.elapsed());
            good_swaps += 1;
        } else {
            let (cert, key) = broken[(swap / 2 % 2) as usize];
            volume.write(cert, key);
            bad_swaps += 1;
        }
        sleep(pause.saturating_sub(began.elapsed())).await;
        // The last good one, whatever came after it.
        kept += u32::from(served(program.address, &trusting).await == Some(serial));
    }
    let tally = load.end().await;
    let reloads = async |outcome: &str| program.metric("pullgate_tls_reloads_total", &[outcome]).await;
    let (loaded, refused) = (reloads("outcome=\"success\"").await, reloads("outcome=\"failure\"").await);
    row.measured(format!(
        "{good_swaps} good and {bad_swaps} bad pairs, counted as {} and {}",
        count(loaded),
        count(refused)
    ))
    .measured(format!("a new connection has the new one within {}", seconds(slowest)))
    .measured(format!("{} connections", tally.connections))
    .measured(format!("p99 {}", ms(tally.quantile(990))))
    .goal("each good pair is counted as loaded", loaded == Some(f64::from(good_swaps)))
    .goal("each bad pair is counted as refused", refused == Some(f64::from(bad_swaps)))
    .goal(format!("each good pair is served within {SOON:?}"), slowest < SOON)
    .goal(format!("the last good pair is served at the end of each pause ({kept})"), u64::from(kept) == swaps)
    .faultless(tally);
    vec![row]
}

/// The serial number of the certificate that a new connection is shown.
async fn served(address: SocketAddr, tls: &TlsSettings) -> Option<u64> {
    let connection = connect(address, tls).await.ok()?;
    let (_, session) = connection.stream.get_ref();
    let (_, leaf) = parse_x509_certificate(session.peer_certificates()?.first()?).ok()?;
    Some(leaf.raw_serial().iter().fold(0, |serial, byte| serial << 8 | u64::from(*byte)))
}

fn count(metric: Option<f64>) -> String {
    metric.map_or_else(|| "nothing".to_owned(), |value| value.to_string())
}
