//! The clock of the wall is stepped by a day, forth and back, while the program runs; the clock that timers use is
//! not. The program is told by libfaketime, in the place of the system's `clock_gettime`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use crate::Setting;
use crate::client::{Authority, Program, SecretVolume, TlsSettings, webhook};
use crate::report::Row;
use crate::reviews::RULE;
use crate::victim::{Seen, Victim};

const WHAT: &str = "a day forth, a day back, and a day back again";
const EXPIRY: &str = "pullgate_tls_certificate_expiration_timestamp_seconds";
/// A certificate is looked at once a second.
const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn run(setting: &'static Setting) -> Vec<Row> {
    let Some(library) = library() else {
        return vec![Row::not_run(WHAT, "needs libfaketime (Debian: apt-get install faketime)")];
    };
    vec![stepped(&library, Duration::from_secs(setting.full_or_short(10, 2))).await]
}

/// Debian's folder for libraries is named after the machine.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok).map(|entry| entry.path());
    folders
        .chain([PathBuf::from("/usr/lib"), PathBuf::from("/usr/local/lib")])
        .map(|folder| folder.join("faketime/libfaketime.so.1"))
        .find(|library| library.exists())
}

async fn stepped(library: &Path, time: Duration) -> Row {
    let mut row = Row::new(WHAT);
    let authority = Authority::new();
    let in_hours = |hours| OffsetDateTime::now_utc() + time::Duration::hours(hours);
    let expiry = in_hours(12);
    let mut volume = SecretVolume::new(&authority.leaf_until(1, expiry));
    let offset = volume.path("offset");
    let step = |to: &str| fs::write(&offset, to).expect("a file of the test");
    step("+0");
    let [cert, key] = ["tls.crt", "tls.key"].map(|name| volume.path(name).display().to_string());
    let environment = [
        RULE,
        ("TLS_SELF_SIGNED", "false"),
        ("TLS_CERT_FILE", &cert),
        ("TLS_KEY_FILE", &key),
        ("LD_PRELOAD", library.to_str().unwrap_or_default()),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap_or_default()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let program = Program::start_as(webhook(), &environment, None).await;
    let victim = Victim { program, tls: TlsSettings::trusting(&authority.pem) };
    let mut honest = Vec::new();
    let metric = async |name, labels: &[&str]| victim.program.metric(name, labels).await.unwrap_or(f64::NAN);

    honest.push(victim.seen_for(time).await);
    step("+1d");
    honest.push(victim.seen_for(time).await);
    row.goal("the metric is when the certificate expires, whatever the clock says", {
        whole(metric(EXPIRY, &[]).await) == Some(expiry.unix_timestamp())
    });
    // Log lines carry the clock's time: they show that it was stepped at all.
    let tomorrow = (OffsetDateTime::now_utc() + time::Duration::days(1)).date().to_string();
    row.goal("the program saw the step", victim.program.log().contains(&tomorrow));
    // By this clock it is too late for half a day, and time enough for two.
    volume.swap(&authority.leaf_until(2, in_hours(13)));
    let refused = counted(&victim, "outcome=\"failure\"").await;
    let later = in_hours(48);
    volume.swap(&authority.leaf_until(3, later));
    let loaded = counted(&victim, "outcome=\"success\"").await;
    row.goal("a certificate that has expired by the clock is refused", refused)
        .goal("one that has not is loaded", loaded)
        .goal("the metric follows", whole(metric(EXPIRY, &[]).await) == Some(later.unix_timestamp()));
    for back in ["+0", "-1d"] {
        step(back);
        honest.push(victim.seen_for(time).await);
    }
    let yesterday = (OffsetDateTime::now_utc() - time::Duration::days(1)).date().to_string();
    row.goal("the program saw the step back", victim.program.log().contains(&yesterday));
    let average = metric("pullgate_admission_duration_seconds_sum", &[]).await
        / metric("pullgate_admission_duration_seconds_count", &[]).await;
    row.measured(format!("an admission takes {:.0} µs on average, by the metric", average * 1e6))
        .goal("durations are not measured by the clock of the wall", (0.0..0.1).contains(&average));
    for Seen { kept, new } in honest {
        row.faultless(kept).faultless(new);
    }
    row
}

/// A number of seconds that has no fraction.
fn whole(value: f64) -> Option<i64> {
    value.to_string().parse().ok()
}

/// Whether a reload of this outcome is counted soon.
async fn counted(victim: &Victim, outcome: &str) -> bool {
    let deadline = Instant::now() + SOON;
    while victim.program.metric("pullgate_tls_reloads_total", &[outcome]).await != Some(1.0) {
        if Instant::now() > deadline {
            return false;
        }
        sleep(Duration::from_millis(50)).await;
    }
    true
}
