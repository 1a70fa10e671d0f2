//! Many `ImagePullSecret`s in many namespaces: as fast as the API server takes writes, small, one token for each login,
//! and no work for what does not change.

use std::process::Stdio;

use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use crate::Plan;
use crate::aws::Mood;
use crate::client::Program;
use crate::crowd::{ASIDE, Crowd, HOME, IDENTITIES, LABELLED, Size, command, secrets, source};
use crate::process;
use crate::table::{Goal, Row};
use crate::writes::{PATIENCE, patch};

/// Seconds for which tokens of ECR are good.
const LONG: u64 = 43_200;
/// Nothing more is counted when nothing was for so long.
const QUIET: Duration = Duration::from_secs(2);

/// What a controller has counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counts {
    /// Of Secrets.
    writes: usize,
    /// Of anything.
    requests: usize,
    /// Looks at resources.
    looks: usize,
    /// Looks at namespaces.
    namespaces: usize,
    considered: usize,
}

impl Counts {
    async fn of(controller: &Program) -> Self {
        let text = controller.get("/metrics").await.map(|answer| answer.body).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let count = |name: &str, label: &str| -> usize {
            let lines =
                text.lines().filter_map(|line| line.strip_prefix("pullgate_controller_")?.strip_prefix(name));
            let values = lines.filter(|rest| rest.starts_with("_total") && rest.contains(label));
            values.filter_map(|rest| rest.rsplit(' ').next()?.parse::<usize>().ok()).sum()
        };
        let verbs = ["post", "put", "patch", "delete"].map(|verb| format!("verb=\"{verb}\""));
        Self {
            writes: count("writes", ""),
            requests: verbs.iter().map(|verb| count("api_requests", verb)).sum(),
            looks: count("resource_reconciles", ""),
            namespaces: count("reconciles", ""),
            considered: count("resources_considered", ""),
        }
    }

    /// Waits until everything that was set off has been done, and tells what that was.
    async fn since(self, controller: &Program, set_off: impl Fn(&Self) -> bool) -> Self {
        let deadline = Instant::now() + PATIENCE;
        let (mut last, mut since) = (Self::of(controller).await, Instant::now());
        loop {
            sleep(Duration::from_millis(100)).await;
            let now = Self::of(controller).await;
            if now != last {
                (last, since) = (now, Instant::now());
            }
            let more = Self {
                writes: now.writes - self.writes,
                requests: now.requests - self.requests,
                looks: now.looks - self.looks,
                namespaces: now.namespaces - self.namespaces,
                considered: now.considered - self.considered,
            };
            if set_off(&more) && since.elapsed() >= QUIET {
                return more;
            }
            assert!(Instant::now() < deadline, "{more:?}: {}", controller.log());
        }
    }
}

/// How many writes of copies a second, from a moment until there were so many.
async fn writes(controller: &Program, began: Instant, count: usize) -> f64 {
    loop {
        let done = Counts::of(controller).await.writes;
        let time = began.elapsed();
        if done >= count {
            return done as f64 / time.as_secs_f64();
        }
        assert!(time < PATIENCE, "{done} of {count} writes after {time:?}: {}", controller.log());
        sleep(Duration::from_millis(100)).await;
    }
}

fn most_memory(controller: &Program) -> f64 {
    controller.status_kb("VmHWM").expect("a process on Linux") as f64 / 1024.0
}

/// One thing changes in a cluster that is as wanted, and what that sets off.
async fn changes(crowd: &mut Crowd, controller: &Program, what: &str) -> Vec<Row> {
    let Size { resources, namespaces } = crowd.size;
    let mut before = Counts::default();
    before = before.since(controller, |_| true).await;
    let path = format!("{}/source-{LABELLED}", secrets(HOME));
    crowd.call("PUT", &path, Some(&source(LABELLED, 1))).await;
    let of_source = before.since(controller, |more| more.writes >= namespaces).await;

    let path = format!("/api/v1/namespaces/{ASIDE}");
    before = Counts::of(controller).await;
    crowd.send([patch(&path, "first")].into_iter()).await;
    let of_nothing = before.since(controller, |more| more.namespaces > 0).await;

    before = Counts::of(controller).await;
    let label = json!({"metadata": {"name": ASIDE, "labels": {"wide": "yes"}}});
    crowd.call("PUT", &path, Some(&label)).await;
    let of_label = before.since(controller, |more| more.writes >= LABELLED).await;
    // As it was.
    crowd.call("PUT", &path, Some(&json!({"metadata": {"name": ASIDE}}))).await;
    before.since(controller, |more| more.writes >= 2 * LABELLED).await;
    for (what, more) in [("source", of_source), ("label", of_nothing), ("selecting label", of_label)] {
        eprintln!("bench: {what} changed: {more:?}");
    }
    let row = |change: &str, value: usize, expected: usize| {
        Row::count(&format!("{what}: {change}"), value, expected)
    };
    let considered = format!("resources considered, of {resources}");
    vec![
        row("one source changed: writes", of_source.writes, namespaces),
        row("one source changed: looks at resources", of_source.looks, 1),
        row("a namespace labelled for nobody: writes", of_nothing.requests, 0),
        row(&format!("a namespace labelled for nobody: {considered}"), of_nothing.considered, LABELLED),
        row(&format!("a namespace labelled for {LABELLED}: copies written"), of_label.writes, LABELLED),
        row(
            &format!("a namespace labelled for {LABELLED}: {considered} each time"),
            of_label.considered / of_label.namespaces.max(1),
            LABELLED,
        ),
    ]
}

/// What was measured, round by round.
#[derive(Default)]
struct Figures {
    cold: Vec<f64>,
    bare: Vec<f64>,
    ready: Vec<f64>,
    memory: Vec<f64>,
    renewed: Vec<f64>,
    memory_again: Vec<f64>,
    cpu: Vec<f64>,
    uninstalled: Vec<f64>,
    counts: Vec<Row>,
}

impl Figures {
    /// From no copies to all of them. In the first round, one thing after the other changes then.
    async fn start_cold(&mut self, crowd: &mut Crowd, what: &str) {
        crowd.aws.set(Mood::Gives { seconds: LONG });
        let (began, asked) = (Instant::now(), crowd.asked());
        // No look at everything comes between what is counted.
        let controller = crowd.controller(&["-loop-duration=1h"]).await;
        self.cold.push(writes(&controller, began, crowd.size.copies()).await);
        crowd.ready().await;
        self.ready.push(began.elapsed().as_secs_f64());
        self.memory.push(most_memory(&controller));
        if self.counts.is_empty() {
            let tokens = crowd.asked() - asked;
            self.counts.push(Row::count(&format!("{what}: requests for tokens"), tokens, IDENTITIES));
            self.counts.extend(changes(crowd, &controller, what).await);
        }
    }

    /// With all copies, and a token for each that AWS has not given before.
    async fn start_again(&mut self, crowd: &Crowd) {
        let began = Instant::now();
        let controller = crowd.controller(&[]).await;
        self.renewed.push(writes(&controller, began, crowd.size.copies()).await);
        self.memory_again.push(most_memory(&controller));
    }

    /// The same, until the tokens have been renewed once, at half of their life; and a while at rest.
    async fn renew_and_rest(&mut self, crowd: &Crowd, what: &str, life: Duration, rest: Duration) {
        crowd.aws.set(Mood::Gives { seconds: life.as_secs() });
        let asked = crowd.asked();
        let controller = crowd.controller(&[]).await;
        crowd.asked_for(asked + IDENTITIES).await;
        // The last answer is on its way.
        sleep(QUIET).await;
        crowd.aws.set(Mood::Gives { seconds: LONG });
        crowd.asked_for(asked + 2 * IDENTITIES).await;
        Counts::default().since(&controller, |_| true).await;
        let (before, used) = (Counts::of(&controller).await, process::cpu(controller.pid()));
        sleep(rest).await;
        let more = Counts::of(&controller).await.requests - before.requests;
        let used = process::cpu(controller.pid()).saturating_sub(used);
        self.cpu.push(used.as_secs_f64() * 60.0 / rest.as_secs_f64());
        let tokens = crowd.asked() - asked;
        let row = |of: &str, value, expected| Row::count(&format!("{what}: {of}"), value, expected);
        self.counts.push(row("requests for tokens, renewed once", tokens, 2 * IDENTITIES));
        self.counts.push(row(&format!("writes at rest, {}", process::seconds(rest)), more, 0));
    }

    fn uninstall(&mut self, crowd: &Crowd) {
        let began = Instant::now();
        let mut command = command(&["--uninstall"]);
        command.env_clear().env("AWS_ENDPOINT_URL", &crowd.aws.url).stderr(Stdio::null());
        let ended = command.status().expect("it starts");
        assert!(ended.success(), "--uninstall ended with {ended}");
        self.uninstalled.push(began.elapsed().as_secs_f64());
    }

    fn rows(self, what: &str, plan: &Plan) -> Vec<Row> {
        // Times say little where little is done.
        let goal = if plan.short { Goal::None } else { Goal::AtLeast(0.8) };
        let base = ("bare POST", &*self.bare);
        let row = |of: &str, unit: &str, values: &[f64], goal| {
            Row::absolute(&format!("{what}: {of}"), unit, values, goal)
        };
        let most = Goal::AtMost(96.0);
        let mut rows = vec![
            Row::ratio(format!("{what}: cold start"), "writes/s", &self.cold, base, goal),
            row("cold start until all are Ready", "s", &self.ready, Goal::None),
            row("start with a new token for each copy", "writes/s", &self.renewed, Goal::None),
            row("memory at most, cold start", "MiB", &self.memory, most),
            row("memory at most, start with copies", "MiB", &self.memory_again, most),
            row("CPU in a minute at rest", "s", &self.cpu, Goal::None),
        ];
        rows.extend(self.counts);
        rows.push(row("--uninstall", "s", &self.uninstalled, Goal::None));
        rows
    }
}

pub(crate) async fn scale(plan: &Plan) -> Vec<Row> {
    let (resources, namespaces) = if plan.short { (10, 20) } else { (100, 200) };
    let what = format!("{resources} resources × {namespaces} namespaces");
    let mut crowd = Crowd::set(Size { resources, namespaces }).await;
    let mut figures = Figures::default();
    for _ in 0..if plan.short { 1 } else { 3 } {
        figures.start_cold(&mut crowd, &what).await;
        figures.bare.push(crowd.bare().await);
        figures.start_again(&crowd).await;
        if figures.cpu.is_empty() {
            let (life, rest) = if plan.short { (12, 5) } else { (120, 60) };
            let (life, rest) = (Duration::from_secs(life), Duration::from_secs(rest));
            figures.renew_and_rest(&crowd, &what, life, rest).await;
        }
        figures.uninstall(&crowd);
    }
    crowd.clear().await;
    figures.rows(&what, plan)
}
