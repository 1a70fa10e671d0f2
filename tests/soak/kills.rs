//! Replicas that die without a word, while Pods are created for good: under `failurePolicy: Fail` each creation is
//! mutated or fails, and nothing is stored unmutated.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Setting;
use crate::api_server::Space;
use crate::load::{Load, Manner};
use crate::replicas::Replicas;
use crate::report::{Row, Tally, list};
use crate::reviews::mutated;

/// A kubelet's first restart comes at once; endpoints are updated after that.
const LAG: Duration = Duration::from_millis(500);
const MANNER: Manner = Manner { clients: 10, every: Duration::from_millis(200), reconnecting: 0 };

pub(crate) async fn run(setting: &'static Setting) -> Vec<Row> {
    let time = setting.full_or_short(Duration::from_mins(2), Duration::from_secs(12));
    let what = format!(
        "SIGKILL at random moments of {} s, 2 replicas, at most {} Pods/s",
        time.as_secs(),
        MANNER.pace()
    );
    match kill(setting, &what, time).await {
        Ok(row) => vec![row],
        Err(why) => vec![Row::not_run(what, why)],
    }
}

async fn kill(setting: &Setting, what: &str, time: Duration) -> Result<Row, String> {
    let cluster = setting.cluster.clone()?;
    let mut row = Row::new(what);
    let mut random = Random(setting.seed);
    let replicas = Replicas::new(&[]).await;
    let mut pair = replicas.pair().await;
    let space = Space::new(&cluster, "kill", replicas.forwarder.address, replicas.ca_pem()).await?;
    let load = Load::start(cluster.address, &cluster.tls, MANNER, space.pods(false));

    let began = Instant::now();
    let mut kills = 0;
    while began.elapsed() < time {
        sleep(Duration::from_millis(200 + random.below(1800))).await;
        let first = usize::try_from(random.below(2)).unwrap_or(0);
        // Every fourth time both of them.
        let dying = if random.below(4) == 0 { vec![0, 1] } else { vec![first] };
        for slot in &dying {
            pair[*slot].kill();
            kills += 1;
        }
        sleep(LAG).await;
        for slot in dying {
            let new = replicas.start().await;
            replicas.forwarder.remove(pair[slot].address);
            replicas.forwarder.add(new.address);
            pair[slot] = new;
        }
    }
    let tally = load.end().await;
    let stored = space.stored().await?;
    let unmutated = stored.iter().filter(|pod| mutated(pod).is_err()).count();
    space.remove().await;
    let created = tally.sent - tally.failed() - tally.wrongs();
    row.measured(format!("{kills} kills, seed {}", setting.seed))
        .measured(format!("{:.0}/s", tally.rate()))
        .measured(format!("{created} created, {} stored, {unmutated} of them unmutated", stored.len()))
        .measured(format!("failures: {}", list(&tally.failures)))
        .goal("no Pod is stored unmutated", unmutated == 0)
        .goal("whatever was created is stored", stored.len() as u64 >= created)
        .goal(
            "at least one Pod is created, and one creation hit a dead replica",
            created > 0 && tally.failed() > 0,
        )
        .goal("a creation fails as Kubernetes says it does: 500, naming the webhook", clean(&tally))
        .never_wrong(tally);
    Ok(row)
}

fn clean(tally: &Tally) -> bool {
    tally.failures.keys().all(|how| how.starts_with("status 500: failed calling webhook"))
}

/// A xorshift generator: any will do that the same seed sets to the same moments.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.max(1);
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}
