//! Clients that mean no good, while honest ones are served: what these notice, against the moment before.
//!
//! Attackers and honest clients share this machine with the server, so attackers are many and each of them is slow;
//! how much work a flood makes is for a benchmark to say. The webhook and its honest clients go before attackers and
//! before whatever else the machine does, where that is allowed: a p99 would be that of its neighbours otherwise.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::Setting;
use crate::attackers::Attack;
use crate::awake::Awake;
use crate::client::{Program, webhook};
use crate::report::{Row, list, median, ms, seconds};
use crate::reviews::RULE;
use crate::victim::{Seen, Victim, favoured};

/// An attack, its clients in a full and in a short run, what it is called, and how its attempts may end: the first of
/// these has to be seen, unless attackers hold on to their connections.
struct Plan(Attack, usize, usize, &'static str, &'static [&'static str]);

const PLANS: [Plan; 11] = [
    Plan(Attack::SlowHead, 1_000, 200, "slow heads", &["status 408"]),
    Plan(Attack::SlowBody, 1_000, 200, "slow bodies", &["status 408"]),
    Plan(Attack::Idle, 5_000, 500, "idle TLS connections", &[]),
    Plan(Attack::HalfHandshake, 1_000, 600, "handshakes cut half way", &["hung up", "closed"]),
    Plan(Attack::Plain, 50, 20, "plain HTTP on the TLS port", &["reset", "closed"]),
    Plan(Attack::Garbage, 50, 20, "garbage", &["status 400", "closed", "reset"]),
    Plan(Attack::Pipelining, 8, 4, "16 calls at once", &["16 right answers", "reset", "closed"]),
    Plan(Attack::Unread, 4, 2, "calls whose answers nobody reads", &["reset", "closed", "not read any more"]),
    Plan(Attack::SlowChunks, 20, 10, "chunked bodies without end, 16 kB each 20 ms", &["status 408"]),
    // 408 is right for a client whom this machine gave so little time that 5 s were over first.
    Plan(Attack::Chunks, 2, 1, "chunked bodies without end, without a pause", &["status 413", "status 408"]),
    Plan(Attack::TooLarge, 2, 1, "bodies one byte over the limit", &["status 413"]),
];

/// How long an attempt may take beyond what honest clients are looked at.
const LATE: Duration = Duration::from_secs(30);
/// How long it may take that the connections of clients that are gone are closed.
const CLOSED: Duration = Duration::from_secs(10);
/// So many files it may open for itself meanwhile.
const OWN_FILES: usize = 5;

pub(crate) async fn run(setting: &'static Setting) -> Vec<Row> {
    let mut rows = Vec::new();
    for plan in &PLANS {
        eprintln!("soak: attack: {}", plan.3);
        rows.push(attack(setting, plan).await);
    }
    rows
}

/// How attempts ended, by how often.
type Ends = Arc<Mutex<BTreeMap<String, u64>>>;

async fn attack(setting: &Setting, Plan(attack, full, short, what, accepted): &Plan) -> Row {
    let (attack, clients) = (*attack, setting.full_or_short(*full, *short));
    let (rounds, before, during) = setting.full_or_short((5, 5, 5), (1, 1, 2));
    let mut row = Row::new(format!("{what}, {clients} clients"));
    let _awake = Awake::start();
    let victim = Arc::new(Victim::new(Program::start_as(favoured(webhook()), &[RULE], None).await));
    let ends = Ends::default();
    let wanted = accepted.first().copied().unwrap_or_default();
    let mut all = Rounds::default();
    let at_rest = victim.program.open_files();
    let (mut fewest, mut slowest) = (usize::MAX, Duration::ZERO);
    for _ in 0..rounds {
        let calm = victim.seen_for(Duration::from_secs(before)).await;
        // Not faster than 1,000 connections a second: their handshakes are work on this machine, too.
        let arriving = Duration::from_millis(1000.max(clients as u64 * 3 / 2));
        let honest = victim.honest();
        let mut attackers = JoinSet::new();
        for number in 0..clients {
            let (victim, ends) = (Arc::clone(&victim), Arc::clone(&ends));
            let start = arriving * u32::try_from(number).unwrap_or(0) / u32::try_from(clients).unwrap_or(1);
            let attacker = async move {
                sleep(start).await;
                loop {
                    let end = attack.attempt(number, &victim).await;
                    *ends.lock().expect("no panic").entry(end).or_default() += 1;
                    sleep(Duration::from_millis(20)).await;
                }
            };
            attackers.spawn_on(attacker, setting.background.handle());
        }
        sleep(arriving).await;
        let arrival = honest.end().await;
        let attacked = victim.seen_for(Duration::from_secs(during)).await;
        // Those of the honest clients are gone again; where nobody can tell, all are believed to be there.
        let open = victim.program.open_files().zip(at_rest);
        fewest = fewest.min(open.map_or(clients, |(open, before)| open.saturating_sub(before)));
        if !attack.holds() {
            // They have what others leave of this machine, which may be next to nothing.
            let deadline = Instant::now() + LATE;
            while !ends.lock().expect("no panic").contains_key(wanted) && Instant::now() < deadline {
                sleep(Duration::from_millis(50)).await;
            }
        }
        attackers.shutdown().await;
        slowest = slowest.max(closed(&victim.program, at_rest).await);
        all.add(calm, arrival, attacked);
    }
    let ends = ends.lock().expect("no panic").clone();
    let odd: BTreeMap<_, _> =
        ends.clone().into_iter().filter(|(end, _)| !accepted.contains(&end.as_str())).collect();
    if attack.holds() {
        row.measured(format!("{fewest} connections at its end"))
            .goal("three quarters of the attackers have a connection", fewest >= clients * 3 / 4);
    } else {
        row.goal(format!("an attempt ends as it should: {wanted}"), ends.contains_key(wanted));
    }
    row.measured(format!("attempts ended: {}", list(&ends)))
        .measured(format!("afterwards all are closed within {}", seconds(slowest)))
        .goal(format!("connections are closed within {CLOSED:?} of their clients' end"), slowest < CLOSED)
        .measured(format!("peak {} MB", victim.program.status_kb("VmHWM").unwrap_or_default() / 1000))
        .measured(format!("real-time priority: {}", if victim.program.is_real_time() { "yes" } else { "no" }))
        .goal(format!("no attempt ends otherwise than it should: {}", list(&odd)), odd.is_empty());
    all.report(setting, &mut row);
    row
}

/// Waits, not for ever, until its connections are closed; for how long. `at_rest` is how many files it had open before.
async fn closed(program: &Program, at_rest: Option<usize>) -> Duration {
    let began = Instant::now();
    let few = at_rest.map(|files| files + OWN_FILES);
    while program.open_files() > few && began.elapsed() < CLOSED {
        sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

/// What honest clients saw, over all rounds.
#[derive(Default)]
struct Rounds {
    seen: Vec<[Seen; 3]>,
}

impl Rounds {
    fn add(&mut self, calm: Seen, arrival: Seen, attacked: Seen) {
        self.seen.push([calm, arrival, attacked]);
    }

    /// The median over rounds of a quantile, in milliseconds, for each phase.
    fn medians(&self, per_mille: usize, new: bool) -> [f64; 3] {
        [0, 1, 2].map(|phase| {
            let of =
                |seen: &Seen| if new { seen.new.quantile(per_mille) } else { seen.kept.quantile(per_mille) };
            median(self.seen.iter().map(|seen| of(&seen[phase]).as_secs_f64() * 1000.0).collect())
        })
    }

    fn report(self, setting: &Setting, row: &mut Row) {
        let [calm, arrival, attacked] = self.medians(990, false);
        let [new_calm, new_arrival, new_attacked] = self.medians(990, true);
        let each: Vec<_> = self.seen.iter().map(|[calm, ..]| calm.kept.quantile(990)).collect();
        let (least, most) = (each.iter().min().copied(), each.iter().max().copied());
        row.measured(format!(
            "p99 {calm:.2} ms before ({} to {}), {arrival:.2} ms as they arrive: ×{:.2}, {attacked:.2} ms under attack: ×{:.2}",
            ms(least.unwrap_or_default()),
            ms(most.unwrap_or_default()),
            arrival / calm,
            attacked / calm,
        ))
        .measured(format!(
            "a new connection: p99 {new_calm:.1} ms, {new_arrival:.1} ms, {new_attacked:.1} ms"
        ));
        // A second's calls are too few for a ratio of their slowest hundredths.
        let (kept, new) = setting.full_or_short((2.0 * calm, 500.0), (500.0, 900.0));
        row.goal(format!("p99 stays within {kept:.1} ms"), attacked <= kept)
            .goal(format!("p99 stays within {kept:.1} ms as they arrive"), arrival <= kept)
            .goal(format!("new connections are made and answered within {new} ms"), new_attacked <= new);
        for [calm, arrival, attacked] in self.seen {
            for Seen { kept, new } in [calm, arrival, attacked] {
                row.faultless(kept).faultless(new);
            }
        }
    }
}
