//! Two replicas are replaced one after the other, in the order of a Deployment that may surge: the new one is
//! started and ready, the old one gets SIGTERM and, a moment later, no new connections.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Setting;
use crate::api_server::Space;
use crate::client::Program;
use crate::load::{Load, Manner};
use crate::replicas::Replicas;
use crate::report::{Row, Tally, ms};
use crate::reviews::Reviews;

/// How long nodes take to hear that an endpoint is gone.
const LAG: Duration = Duration::from_secs(1);
const DELAY: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) async fn run(setting: &'static Setting) -> Vec<Row> {
    let pace = Manner::STEADY.pace();
    let rollouts = setting.full_or_short(10, 2);
    let through_forwarder =
        format!("{rollouts} rollouts of 2 replicas behind a TCP forwarder, {pace} calls/s");
    let through_api_server =
        format!("{rollouts} rollouts of 2 replicas, at most {pace} Pods/s (dry run) through the API server");
    vec![
        behind_forwarder(through_forwarder, rollouts).await,
        match behind_api_server(setting, through_api_server.clone(), rollouts).await {
            Ok(row) => row,
            Err(why) => Row::not_run(through_api_server, why),
        },
    ]
}

async fn behind_forwarder(what: String, rollouts: u32) -> Row {
    let mut row = Row::new(what);
    let replicas = replicas().await;
    let pair = replicas.pair().await;
    let calls = Reviews::new(Manner::STEADY.clients, 4_000);
    let load = Load::start(replicas.forwarder.address, &replicas.tls(), Manner::STEADY, calls);
    let _pair = roll(&mut row, &replicas, pair, rollouts).await;
    let tally = load.end().await;
    row.measured(format!("{} connections", tally.connections))
        .goal("nine tenths of the calls per second are made", tally.rate() >= 0.9 * Manner::STEADY.pace());
    report(&mut row, tally);
    row
}

async fn behind_api_server(setting: &Setting, what: String, rollouts: u32) -> Result<Row, String> {
    let cluster = setting.cluster.clone()?;
    let mut row = Row::new(what);
    let replicas = replicas().await;
    let pair = replicas.pair().await;
    let space = Space::new(&cluster, "rollout", replicas.forwarder.address, replicas.ca_pem()).await?;
    let load = Load::start(cluster.address, &cluster.tls, Manner::STEADY, space.pods(true));
    let _pair = roll(&mut row, &replicas, pair, rollouts).await;
    report(&mut row, load.end().await);
    space.remove().await;
    Ok(row)
}

async fn replicas() -> Replicas {
    let seconds = |time: Duration| time.as_secs().to_string();
    let settings =
        [("SHUTDOWN_DELAY_SECONDS", &*seconds(DELAY)), ("SHUTDOWN_TIMEOUT_SECONDS", &*seconds(TIMEOUT))];
    Replicas::new(&settings).await
}

fn report(row: &mut Row, tally: Tally) {
    row.measured(format!("{:.0}/s", tally.rate()))
        .measured(format!("p50 {}, p99 {}", ms(tally.quantile(500)), ms(tally.quantile(990))))
        .faultless(tally);
}

/// Returns the last two, which serve on.
async fn roll(row: &mut Row, replicas: &Replicas, mut pair: [Program; 2], rollouts: u32) -> [Program; 2] {
    let bound = DELAY + TIMEOUT + Duration::from_secs(1);
    let (mut longest, mut clean) = (Duration::ZERO, 0);
    for _ in 0..rollouts {
        let mut leaving = Vec::new();
        for replica in &mut pair {
            let new = replicas.start().await;
            replicas.forwarder.add(new.address);
            let old = std::mem::replace(replica, new);
            old.signal("TERM");
            let told = Instant::now();
            sleep(LAG).await;
            replicas.forwarder.remove(old.address);
            leaving.push((told, old));
        }
        for (told, mut old) in leaving {
            let ended = old.ends_within(bound.saturating_sub(told.elapsed())).await;
            longest = longest.max(told.elapsed());
            clean += u32::from(ended.is_some_and(|status| status.success()));
        }
    }
    row.measured(format!("{clean} of {} ended with status 0, the slowest after {longest:.1?}", 2 * rollouts))
        .goal("each old replica ends by itself with status 0", clean == 2 * rollouts);
    pair
}
