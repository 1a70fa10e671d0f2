//! Many `ImagePullSecret`s in many namespaces: as fast as the API server takes writes, small, one token for each login,
//! and no work for what does not change.
//!
//! Each resource merges a source of its own with a login of ECR that others have, too, and puts a copy into every
//! namespace: all but a few name them, these few select them by a label. AWS is the tests' counterpart of it.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::Plan;
use crate::api_server::ApiServer;
use crate::aws::{Aws, Mood};
use crate::client::Program;
use crate::process;
use crate::table::{Goal, Row};
use crate::writes::{PATIENCE, create, delete, patch, send};

const RESOURCES: &str = "/apis/images.banzaicloud.io/v1alpha1/imagepullsecrets";
const HOME: &str = "wide-sources";
/// A namespace that no resource names, and none selects at first.
const ASIDE: &str = "wide-aside";
/// Secrets with logins, each of which several resources have, and how many of these differ.
const LOGINS: usize = 10;
const IDENTITIES: usize = 5;
/// Resources that select by a label.
const LABELLED: usize = 3;
const KEY: &str = "AKIABENCH";
const SECRET_KEY: &str = "bench";
/// As long as a token of ECR is.
const PASSWORD: usize = 2_000;
/// Nothing more is counted when nothing was for so long.
const QUIET: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
struct Size {
    resources: usize,
    namespaces: usize,
}

impl Size {
    fn copies(self) -> usize {
        self.resources * self.namespaces
    }
}

fn namespace(n: usize) -> String {
    format!("wide-{n:03}")
}

fn secrets(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets")
}

/// The content of a resource's own source.
fn source(n: usize, round: usize) -> Value {
    let password = format!("{round} {}", "x".repeat(PASSWORD));
    let content = json!({"auths": {format!("r{n}.example"): {"username": "bench", "password": password}}});
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": format!("source-{n}"), "namespace": HOME},
        "stringData": {".dockerconfigjson": content.to_string()},
    })
}

fn login(n: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "banzaicloud.io/aws-ecr-login-config",
        "metadata": {"name": format!("login-{n}"), "namespace": HOME},
        "stringData": {
            "accessKeyID": KEY, "secretKey": SECRET_KEY,
            "region": format!("eu-bench-{}", n % IDENTITIES), "accountID": "123456789012",
        },
    })
}

fn resource(n: usize, size: Size) -> Value {
    let namespaces = if n < LABELLED {
        json!({"labels": [{"matchLabels": {"wide": "yes"}}]})
    } else {
        json!({"names": (0..size.namespaces).map(namespace).collect::<Vec<_>>()})
    };
    let credentials = [format!("source-{n}"), format!("login-{}", n % LOGINS)]
        .map(|name| json!({"name": name, "namespace": HOME}));
    json!({
        "apiVersion": "images.banzaicloud.io/v1alpha1", "kind": "ImagePullSecret",
        "metadata": {"name": format!("wide-{n}")},
        "spec": {
            "registry": {"credentials": credentials},
            "target": {"secret": {"name": format!("wide-{n}")}, "namespaces": namespaces},
        },
    })
}

/// The cluster with everything but copies, and AWS.
struct Stage {
    api: ApiServer,
    aws: Aws,
    size: Size,
}

impl Stage {
    async fn set(size: Size) -> Self {
        for line in [
            "apply --server-side -f deployment/crd.yaml",
            "wait --for=condition=Established crd/imagepullsecrets.images.banzaicloud.io",
        ] {
            let done = Command::new("kubectl").args(line.split(' ')).status();
            assert!(done.is_ok_and(|status| status.success()), "kubectl {line}");
        }
        let stage = Self { api: ApiServer::of_kubeconfig(), aws: Aws::new(KEY, SECRET_KEY), size };
        let labelled = (0..size.namespaces)
            .map(|n| json!({"metadata": {"name": namespace(n), "labels": {"wide": "yes"}}}));
        let others = [HOME, ASIDE].map(|name| json!({"metadata": {"name": name}}));
        let namespaces = labelled.chain(others).map(|it| create("/api/v1/namespaces", &it));
        stage.send(namespaces).await;
        let sources = (0..size.resources).map(|n| source(n, 0)).chain((0..LOGINS).map(login));
        stage.send(sources.map(|it| create(&secrets(HOME), &it))).await;
        stage.send((0..size.resources).map(|n| create(RESOURCES, &resource(n, size)))).await;
        stage
    }

    async fn send(&self, requests: impl Iterator<Item = Vec<u8>>) -> f64 {
        send(&self.api.target, requests.collect()).await
    }

    async fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.api.call(method, path, body).await.unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// What others have to find as it was.
    async fn clear(mut self) {
        self.send((0..self.size.resources).map(|n| delete(&format!("{RESOURCES}/wide-{n}")))).await;
        let names: Vec<_> =
            (0..self.size.namespaces).map(namespace).chain([HOME, ASIDE].map(str::to_owned)).collect();
        self.send(names.iter().map(|name| delete(&format!("/api/v1/namespaces/{name}")))).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let list = self.call("GET", "/api/v1/namespaces", None).await;
            let left = |item: &Value| {
                item["metadata"]["name"].as_str().is_some_and(|name| names.iter().any(|it| it == name))
            };
            if !list["items"].as_array().is_some_and(|items| items.iter().any(left)) {
                return;
            }
            assert!(Instant::now() < deadline, "namespaces are not deleted");
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn command(&self, more: &[&str]) -> Command {
        let kubeconfig = std::env::var("KUBECONFIG").expect("a cluster: run scripts/bench");
        let mut command = Command::new(crate::binary());
        command.args(["controller", "-kubeconfig", &kubeconfig]).args(more);
        command
    }

    async fn controller(&self, more: &[&str]) -> Program {
        Program::start_as(self.command(more), &[("AWS_ENDPOINT_URL", &self.aws.url)], None).await
    }

    /// Until each resource says that it is ready in all namespaces.
    async fn ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let list = self.call("GET", RESOURCES, None).await;
            let all = list["items"].as_array().expect("a list");
            let ready = |item: &&Value| {
                let managed = item["status"]["managedNamespaces"].as_array().map_or(0, Vec::len);
                item["status"]["status"] == "Ready" && managed >= self.size.namespaces
            };
            if all.iter().filter(ready).count() == self.size.resources {
                return;
            }
            assert!(Instant::now() < deadline, "not all resources are ready");
            sleep(Duration::from_millis(250)).await;
        }
    }

    /// Creates a second that the API server takes, of Secrets as copies are but for their names; deleted afterwards.
    async fn bare(&mut self) -> f64 {
        let mut copy = self.call("GET", &format!("{}/wide-{LABELLED}", secrets(&namespace(0))), None).await;
        copy["metadata"]["labels"] = json!({"bare": "yes", "a": "as-long-as-that-of-the-owner-uid-is"});
        for of_the_server in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "namespace"] {
            drop(copy["metadata"].as_object_mut().expect("an object").remove(of_the_server));
        }
        let count = self.size.copies().min(4_000);
        let requests = (0..count).map(|n| {
            copy["metadata"]["name"] = format!("bare-{n}").into();
            create(&secrets(&namespace(n % self.size.namespaces)), &copy)
        });
        let rate = self.send(requests.collect::<Vec<_>>().into_iter()).await;
        let all = (0..self.size.namespaces).map(namespace);
        self.send(all.map(|it| delete(&format!("{}?labelSelector=bare%3Dyes", secrets(&it))))).await;
        rate
    }

    fn asked(&self) -> usize {
        assert_eq!(self.aws.refused(), Vec::<String>::new(), "AWS was asked wrongly");
        self.aws.asked().len()
    }
}

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
        let count = async |name: &str, label: &str| {
            let value = controller.metric(&format!("pullgate_controller_{name}_total"), &[label]).await;
            value.unwrap_or_default() as usize
        };
        let mut requests = 0;
        for verb in ["post", "put", "patch", "delete"] {
            requests += count("api_requests", &format!("verb=\"{verb}\"")).await;
        }
        Self {
            writes: count("writes", "").await,
            requests,
            looks: count("resource_reconciles", "").await,
            namespaces: count("reconciles", "").await,
            considered: count("resources_considered", "").await,
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
async fn changes(stage: &mut Stage, controller: &Program, what: &str) -> Vec<Row> {
    let Size { resources, namespaces } = stage.size;
    let mut before = Counts::default();
    before = before.since(controller, |_| true).await;
    let path = format!("{}/source-{LABELLED}", secrets(HOME));
    stage.call("PUT", &path, Some(&source(LABELLED, 1))).await;
    let of_source = before.since(controller, |more| more.writes >= namespaces).await;

    let path = format!("/api/v1/namespaces/{ASIDE}");
    before = Counts::of(controller).await;
    stage.send([patch(&path, "first")].into_iter()).await;
    let of_nothing = before.since(controller, |more| more.namespaces > 0).await;

    before = Counts::of(controller).await;
    let label = json!({"metadata": {"name": ASIDE, "labels": {"wide": "yes"}}});
    stage.call("PUT", &path, Some(&label)).await;
    let of_label = before.since(controller, |more| more.writes >= LABELLED).await;
    // As it was.
    stage.call("PUT", &path, Some(&json!({"metadata": {"name": ASIDE}}))).await;
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

pub(crate) async fn scale(plan: &Plan) -> Vec<Row> {
    let size = if plan.short {
        Size { resources: 10, namespaces: 20 }
    } else {
        Size { resources: 100, namespaces: 200 }
    };
    let (rounds, rest, life) = if plan.short {
        (1, Duration::from_secs(5), Duration::from_secs(20))
    } else {
        (3, Duration::from_mins(1), Duration::from_secs(120))
    };
    // Times say little where little is done.
    let of_time = |goal| if plan.short { Goal::None } else { goal };
    let mut stage = Stage::set(size).await;
    let what = format!("{} resources × {} namespaces", size.resources, size.namespaces);
    let (mut cold, mut bare, mut ready, mut renewed, mut uninstalled) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut memory, mut memory_again, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    let mut counts = Vec::new();
    for round in 0..rounds {
        stage.aws.set(Mood::Gives { seconds: 43_200 });
        let (began, asked) = (Instant::now(), stage.asked());
        // No look at everything comes between what is counted.
        let controller = stage.controller(&["-loop-duration=1h"]).await;
        cold.push(writes(&controller, began, size.copies()).await);
        stage.ready().await;
        ready.push(began.elapsed().as_secs_f64());
        memory.push(most_memory(&controller));
        if round == 0 {
            counts.push(Row::count(
                &format!("{what}: requests for tokens"),
                stage.asked() - asked,
                IDENTITIES,
            ));
            counts.extend(changes(&mut stage, &controller, &what).await);
        }
        drop(controller);

        bare.push(stage.bare().await);

        // AWS has no token that it gave before.
        stage.aws.set(Mood::Gives { seconds: life.as_secs() });
        let (began, asked) = (Instant::now(), stage.asked());
        let controller = stage.controller(&[]).await;
        renewed.push(writes(&controller, began, size.copies()).await);
        memory_again.push(most_memory(&controller));
        if round == 0 {
            assert_eq!(stage.asked() - asked, IDENTITIES, "the first tokens");
            stage.aws.set(Mood::Gives { seconds: 43_200 });
            writes(&controller, began, 2 * size.copies()).await;
            stage.ready().await;
            // Events follow.
            sleep(QUIET).await;
            let (before, used) = (Counts::of(&controller).await, process::cpu(controller.pid()));
            sleep(rest).await;
            let more = Counts::of(&controller).await.requests - before.requests;
            cpu.push((process::cpu(controller.pid()) - used).as_secs_f64() * 60.0 / rest.as_secs_f64());
            counts.push(Row::count(
                &format!("{what}: tokens for a renewal"),
                stage.asked() - asked - IDENTITIES,
                IDENTITIES,
            ));
            counts.push(Row::count(&format!("{what}: writes at rest, {}", process::seconds(rest)), more, 0));
        }
        drop(controller);

        let began = Instant::now();
        let mut command = stage.command(&["--uninstall"]);
        let ended = command
            .env_clear()
            .env("AWS_ENDPOINT_URL", &stage.aws.url)
            .stderr(Stdio::null())
            .status()
            .expect("it starts");
        assert!(ended.success(), "--uninstall ended with {ended}");
        uninstalled.push(began.elapsed().as_secs_f64());
    }
    stage.clear().await;
    let mut rows = vec![
        Row::ratio(
            format!("{what}: cold start"),
            "writes/s",
            &cold,
            ("bare POST", &bare),
            of_time(Goal::AtLeast(0.8)),
        ),
        Row::absolute(&format!("{what}: cold start until all are Ready"), "s", &ready, Goal::None),
        Row::absolute(
            &format!("{what}: start with another token for each copy"),
            "writes/s",
            &renewed,
            Goal::None,
        ),
        Row::absolute(&format!("{what}: memory at most, cold start"), "MiB", &memory, Goal::AtMost(96.0)),
        Row::absolute(
            &format!("{what}: memory at most, with copies"),
            "MiB",
            &memory_again,
            Goal::AtMost(96.0),
        ),
        Row::absolute(&format!("{what}: CPU in a minute at rest"), "s", &cpu, Goal::None),
    ];
    rows.extend(counts);
    rows.push(Row::absolute(&format!("{what}: --uninstall"), "s", &uninstalled, Goal::None));
    rows
}
