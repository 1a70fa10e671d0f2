//! The controller in a large cluster: as fast as the API server takes writes at all, small, and quiet when it is done.
//!
//! One cluster that grows: 500 namespaces, then 5,000, each with three ServiceAccounts, among Secrets that are
//! nobody's business. Rates are of writes, beside patches of the same number of clients that do nothing else.

use std::process::Command;

use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::Plan;
use crate::api_server::ApiServer;
use crate::client::Program;
use crate::table::{Goal, Row};
use crate::writes::{PATIENCE, create, patch, send};

const SECRET: &str = "scale";
const SOURCE: &str = "scale-source";
/// Besides `default`, which the controller manager makes.
const ACCOUNTS: [&str; 2] = ["builder", "deployer"];

/// Namespaces, and Secrets of others in all of them together.
#[derive(Clone, Copy)]
struct Size {
    namespaces: usize,
    foreign: usize,
}

fn namespace(n: usize) -> String {
    format!("scale-{n:05}")
}

/// The cluster, and what is in it so far.
struct Stage {
    api: ApiServer,
    filled: Size,
}

fn source(password: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": SECRET, "namespace": SOURCE},
        "stringData": {".dockerconfigjson": json!({
            "auths": {"registry.example": {"username": "bench", "password": password}}
        }).to_string()},
    })
}

impl Stage {
    async fn set() -> Self {
        let mut api = ApiServer::of_kubeconfig();
        for (path, object) in [
            ("/api/v1/namespaces".to_owned(), json!({"metadata": {"name": SOURCE}})),
            (format!("/api/v1/namespaces/{SOURCE}/secrets"), source("first")),
        ] {
            api.call("POST", &path, Some(&object)).await.unwrap_or_else(|problem| panic!("{problem}"));
        }
        Self { api, filled: Size { namespaces: 0, foreign: 0 } }
    }

    /// Lets the cluster grow to a size.
    async fn fill(&mut self, size: Size) {
        let new = self.filled.namespaces..size.namespaces;
        let target = self.api.target.clone();
        let namespaces =
            new.clone().map(|n| create("/api/v1/namespaces", &json!({"metadata": {"name": namespace(n)}})));
        send(&target, namespaces.collect()).await;
        let accounts = new.flat_map(|n| {
            let path = format!("/api/v1/namespaces/{}/serviceaccounts", namespace(n));
            ACCOUNTS.map(|name| create(&path, &json!({"metadata": {"name": name}})))
        });
        send(&target, accounts.collect()).await;
        let foreign = (self.filled.foreign..size.foreign).map(|n| {
            let path = format!("/api/v1/namespaces/{}/secrets", namespace(n % size.namespaces));
            create(&path, &json!({"metadata": {"name": format!("foreign-{n}")}, "stringData": {"key": "x".repeat(500)}}))
        });
        send(&target, foreign.collect()).await;
        self.filled = size;
        let deadline = Instant::now() + PATIENCE;
        while self.default_accounts().await < size.namespaces {
            assert!(Instant::now() < deadline, "the controller manager makes no accounts");
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn default_accounts(&mut self) -> usize {
        let path = "/api/v1/serviceaccounts?fieldSelector=metadata.name%3Ddefault";
        let list = self.api.call("GET", path, None).await.unwrap_or_else(|problem| panic!("{problem}"));
        let of_ours = |item: &&Value| {
            item["metadata"]["namespace"].as_str().is_some_and(|ns| ns.starts_with("scale-0"))
        };
        list["items"].as_array().map_or(0, |items| items.iter().filter(of_ours).count())
    }

    /// Patches a second that the API server takes, of accounts and of Secrets.
    async fn bare(&self, round: usize) -> (f64, f64) {
        let (count, round) = (self.filled.namespaces.min(2_000), round.to_string());
        let accounts = (0..count).map(|n| {
            patch(&format!("/api/v1/namespaces/{}/serviceaccounts/{}", namespace(n), ACCOUNTS[0]), &round)
        });
        let secrets = (0..count)
            .map(|n| patch(&format!("/api/v1/namespaces/{}/secrets/{SECRET}", namespace(n)), &round));
        (send(&self.api.target, accounts.collect()).await, send(&self.api.target, secrets.collect()).await)
    }

    async fn rotate(&mut self, password: &str) {
        let path = format!("/api/v1/namespaces/{SOURCE}/secrets/{SECRET}");
        let answer = self.api.call("PUT", &path, Some(&source(password))).await;
        answer.unwrap_or_else(|problem| panic!("{problem}"));
    }
}

fn command(more: &[&str]) -> Command {
    let kubeconfig = std::env::var("KUBECONFIG").expect("a cluster: run scripts/bench");
    let mut command = Command::new(crate::binary());
    command.args(["controller", "-allserviceaccount", "-secretname", SECRET, "-secretnamespace", SOURCE]);
    command.args(["-kubeconfig", &kubeconfig]).args(more);
    command
}

/// What it says of itself, by one look: each look plans for all namespaces.
struct Look {
    writes: f64,
    desired: f64,
    in_sync: f64,
}

async fn look(controller: &Program) -> Look {
    let text = controller.get("/metrics").await.map(|answer| answer.body).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let sum = |series: &str| {
        let values =
            text.lines().filter_map(|line| line.strip_prefix("pullgate_controller_")?.strip_prefix(series));
        values.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    Look {
        writes: sum("writes_total{"),
        desired: sum("secrets{state=\"desired\"}"),
        in_sync: sum("secrets{state=\"in_sync\"}"),
    }
}

/// How long it takes until every namespace is as wanted after at least so many writes more than `before`, and how many
/// there were.
async fn settled(controller: &Program, before: f64, at_least: usize) -> (f64, f64) {
    let began = Instant::now();
    loop {
        let Look { writes, desired, in_sync } = look(controller).await;
        let time = began.elapsed();
        if writes - before >= at_least as f64 && in_sync >= desired {
            return (time.as_secs_f64(), writes - before);
        }
        let problem = || format!("{in_sync} of {desired} namespaces after {time:?}: {}", controller.log());
        assert!(time < PATIENCE, "{}", problem());
        sleep(Duration::from_millis(200)).await;
    }
}

/// What it costs, of one size of a cluster.
async fn of_size(stage: &mut Stage, size: Size, plan: &Plan) -> Vec<Row> {
    stage.fill(size).await;
    let rounds = if plan.short { 1 } else { 3 };
    let what = format!("{} namespaces, {} other Secrets", size.namespaces, size.foreign);
    let (mut cold, mut rotation, mut accounts, mut secrets) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut quiet, mut memory, mut uninstalled) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let began = Instant::now();
        let controller = Program::start_as(command(&[]), &[], None).await;
        let (_, done) = settled(&controller, 0.0, size.namespaces).await;
        cold.push(done / began.elapsed().as_secs_f64());
        memory.push(controller.status_kb("VmHWM").expect("a process on Linux") as f64 / 1024.0);

        if round == 0 {
            let before = look(&controller).await.writes;
            sleep(if plan.short { Duration::from_secs(5) } else { Duration::from_mins(1) }).await;
            quiet.push(look(&controller).await.writes - before);
        }

        let (bare_accounts, bare_secrets) = stage.bare(2 * round).await;
        accounts.push(bare_accounts);
        secrets.push(bare_secrets);
        // Labels of copies are nobody's business; still, all events have to be read first.
        let before = settled(&controller, 0.0, 0).await.1;
        stage.rotate(&format!("password {round} of {}", size.namespaces)).await;
        let (time, done) = settled(&controller, before, size.namespaces).await;
        rotation.push(done / time);
        drop(controller);

        let began = Instant::now();
        let ended = command(&["--uninstall"]).env_clear().status().expect("it starts");
        assert!(ended.success(), "--uninstall ended with {ended}");
        uninstalled.push(began.elapsed().as_secs_f64());
    }
    vec![
        Row::ratio(
            format!("controller, cold start: {what}"),
            "writes/s",
            &cold,
            ("bare PATCH", &accounts),
            Goal::AtLeast(0.8),
        ),
        Row::ratio(
            format!("controller, rotation: {what}"),
            "writes/s",
            &rotation,
            ("bare PATCH", &secrets),
            Goal::AtLeast(0.8),
        ),
        Row::absolute(&format!("controller, memory at most: {what}"), "MiB", &memory, Goal::AtMost(64.0)),
        Row::absolute(
            &format!("controller, writes in a minute at rest: {what}"),
            "",
            &quiet,
            Goal::AtMost(0.0),
        ),
        Row::absolute(&format!("controller, --uninstall: {what}"), "s", &uninstalled, Goal::None),
    ]
}

/// Two sizes, so that growth shows.
pub(crate) async fn scale(plan: &Plan) -> Vec<Row> {
    let sizes = if plan.short {
        [Size { namespaces: 20, foreign: 100 }, Size { namespaces: 60, foreign: 300 }]
    } else {
        [Size { namespaces: 500, foreign: 2_000 }, Size { namespaces: 5_000, foreign: 20_000 }]
    };
    let (mut stage, mut rows) = (Stage::set().await, Vec::new());
    for size in sizes {
        rows.extend(of_size(&mut stage, size, plan).await);
    }
    rows
}
