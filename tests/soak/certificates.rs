//! The certificate is swapped as a kubelet does it, under load; every other time for a pair that cannot be served.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Setting;
use crate::client::{Authority, Program, SecretVolume, TlsSettings, webhook};
use crate::load::{Load, Manner};
use crate::report::{Row, ms};
use crate::reviews::{RULE, Reviews};

const CLIENTS: usize = 16;

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
    for swap in 0..swaps {
        let began = Instant::now();
        if swap % 2 == 0 {
            volume.swap(&authority.leaf(10 + swap, 10 + i64::try_from(swap).unwrap_or(0)));
            good_swaps += 1;
        } else {
            let (cert, key) = broken[(swap / 2 % 2) as usize];
            volume.write(cert, key);
            bad_swaps += 1;
        }
        sleep(pause.saturating_sub(began.elapsed())).await;
    }
    let tally = load.end().await;
    let reloads = async |outcome: &str| program.metric("pullgate_tls_reloads_total", &[outcome]).await;
    let (loaded, refused) = (reloads("outcome=\"success\"").await, reloads("outcome=\"failure\"").await);
    row.measured(format!(
        "{good_swaps} good and {bad_swaps} bad pairs, counted as {} and {}",
        count(loaded),
        count(refused)
    ))
    .measured(format!("{} connections", tally.connections))
    .measured(format!("p99 {}", ms(tally.quantile(990))))
    .goal("each good pair is counted as loaded", loaded == Some(f64::from(good_swaps)))
    .goal("each bad pair is counted as refused", refused == Some(f64::from(bad_swaps)))
    .faultless(tally);
    vec![row]
}

fn count(metric: Option<f64>) -> String {
    metric.map_or_else(|| "nothing".to_owned(), |value| value.to_string())
}
