//! The rights that the generated manifests give: all that it takes, each for something that does not work without it.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::controller::case::{Case, content_of, login, pull_secret};
use crate::controller::events::events;
use crate::installation::Generated;
use crate::kubectl::{FIXTURES, kubectl};
use crate::register::kubeconfig_of;
use crate::space::{Space, unique};
use crate::wait::{never, soon, until};
use crate::webhook::{LOGGING, Process, free_ports, program};

const LEASE: &str = "pullgate-controller";
const OPT_OUT: &str = "k8s.titansoft.com/imagepullsecret-patcher-exclude=true";

/// What a controller does that somebody would miss.
struct Behaviour {
    name: &'static str,
    /// Makes it necessary, once everything before it has been done.
    provoke: fn(&Trial),
    /// Whether it was done.
    look: fn(&Trial) -> bool,
}

const READY: Behaviour =
    Behaviour { name: "it gets ready", provoke: |_| (), look: |trial| trial.process().is_ready() };
const LEADS: Behaviour = Behaviour {
    name: "it is elected",
    provoke: |_| (),
    look: |trial| {
        trial.process().get("/metrics").is_some()
            && trial.process().count("pullgate_controller_leader", &[]) == 1
    },
};
const COPIES: Behaviour =
    Behaviour { name: "there is a copy", provoke: |_| (), look: |trial| trial.copied().is_some() };
const GETS: Behaviour = Behaviour {
    name: "a new namespace gets a copy",
    provoke: |trial| {
        soon("a copy in the others", || trial.may_lack("secrets create").then_some(()).or(trial.copied()));
        drop(trial.later.set(trial.case.space()));
    },
    look: |trial| trial.later.get().is_some_and(|later| trial.case.copy(later).is_some()),
};
const HEALS: Behaviour = Behaviour {
    name: "a deleted copy is made again",
    provoke: |trial| {
        soon("a copy", || trial.copied());
        trial.case.on_copy(&trial.space, "delete").ok();
    },
    look: |trial| trial.case.copy(&trial.space).is_some(),
};
const ROTATES: Behaviour = Behaviour {
    name: "a rotation reaches the copies",
    provoke: |trial| {
        soon("a copy", || trial.may_lack("secrets patch").then_some(()).or(trial.copied()));
        trial.make_source("second");
    },
    look: |trial| {
        let content = trial.case.copy(&trial.space).and_then(|copy| content_of(&copy));
        content.as_deref() == Some(&*login("second"))
    },
};
const LEAVES: Behaviour = Behaviour {
    name: "a namespace that opts out loses its copy",
    provoke: |trial| {
        soon("a copy", || trial.copied());
        kubectl("annotate namespace").word(&trial.space.name).word(OPT_OUT).ok();
    },
    look: |trial| trial.case.copy(&trial.space).is_none(),
};
const REFERS: Behaviour =
    Behaviour { name: "an account gets the reference", provoke: |_| (), look: |trial| trial.refers() };
const REPAIRS: Behaviour = Behaviour {
    name: "a stripped account gets it again",
    provoke: |trial| {
        soon("a reference", || trial.refers().then_some(()));
        let strip = r#"--patch={"imagePullSecrets":null}"#;
        trial
            .space
            .kubectl(&format!("patch serviceaccount {} --type=merge", trial.case.account))
            .word(strip)
            .ok();
    },
    look: |trial| trial.refers(),
};
const REPORTS: Behaviour = Behaviour {
    name: "a Secret in the way is told",
    provoke: |_| (),
    look: |trial| {
        // Once for each version of it, whether that could be told or not.
        trial.touch();
        !trial.told().is_empty()
    },
};
const COUNTS: Behaviour = Behaviour {
    name: "that it is told again is counted",
    provoke: |trial| {
        soon("an Event", || (!trial.told().is_empty()).then_some(()));
    },
    look: |trial| {
        trial.touch();
        trial.told().iter().any(|event| !event["series"].is_null())
    },
};

/// Every right of the manifests, and what does not work without it.
const NEEDED: &[(&str, &Behaviour)] = &[
    ("namespaces list", &READY),
    ("namespaces watch", &GETS),
    ("secrets list", &READY),
    ("secrets watch", &HEALS),
    ("secrets create", &GETS),
    ("secrets patch", &ROTATES),
    ("secrets delete", &LEAVES),
    ("serviceaccounts list", &READY),
    ("serviceaccounts watch", &REPAIRS),
    ("serviceaccounts patch", &REFERS),
    ("events create", &REPORTS),
    ("events patch", &COUNTS),
    ("source secrets list", &COPIES),
    ("source secrets watch", &ROTATES),
    ("leases get", &LEADS),
    ("leases update", &LEADS),
    ("leases create", &LEADS),
];

/// An installation for the names of a case.
struct Trial {
    case: Case,
    /// What is not granted at first.
    lacks: &'static str,
    space: Space,
    /// With a Secret of somebody else.
    contested: Space,
    later: OnceCell<Space>,
    generated: Generated,
    roles: Vec<Value>,
    process: OnceCell<Process>,
    folder: TempDir,
}

/// Objects of a manifest.
#[track_caller]
pub(crate) fn objects(path: &str) -> Vec<Value> {
    let out = kubectl("create --dry-run=client -o json -f").word(path).ok().out;
    let all = serde_json::Deserializer::from_str(&out).into_iter::<Value>();
    all.map(|object| object.expect("JSON"))
        .flat_map(|object| {
            let items = object["items"].as_array().cloned();
            items.unwrap_or_else(|| vec![object])
        })
        .collect()
}

/// The rights of a role, by the names of [`NEEDED`].
fn rights(role: &Value) -> Vec<String> {
    let source = if role["metadata"]["name"] == "pullgate-controller-source" { "source " } else { "" };
    let mut all = Vec::new();
    for rule in role["rules"].as_array().into_iter().flatten() {
        for verb in rule["verbs"].as_array().into_iter().flatten() {
            let resource = rule["resources"][0].as_str().expect("a resource");
            all.push(format!("{source}{resource} {}", verb.as_str().expect("a verb")));
        }
    }
    all
}

impl Trial {
    /// Applies the manifests without one right.
    #[track_caller]
    fn new(lacks: &'static str) -> Self {
        let case = Case::new();
        let source = format!("{}-source", case.secret);
        let generated = Generated::new(&[
            ("CONTROLLER", "only"),
            ("CONFIG_SECRETNAME", &case.secret),
            ("CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME", &source),
            ("CONFIG_SECRET_NAMESPACE", &case.home.name),
            ("CONFIG_SERVICEACCOUNTS", &case.account),
        ]);
        kubectl("apply -f").word(&generated.path("10-namespace.yaml")).ok();
        let mut roles = objects(&generated.path("35-controller.yaml"));
        roles.retain(|object| {
            let kind = object["kind"].as_str().expect("a kind");
            kind == "ServiceAccount" || kind.contains("Role")
        });
        let (space, contested) = (case.space(), case.space());
        let foreign = pull_secret(&case.secret, &login("theirs"));
        contested.kubectl("create -f -").input(&foreign).ok();
        let (later, process, folder) =
            (OnceCell::new(), OnceCell::new(), tempfile::tempdir().expect("a folder"));
        let trial = Self { case, lacks, space, contested, later, generated, roles, process, folder };
        trial.make_source("first");
        trial.grant(lacks);
        trial
    }

    /// Applies the roles, without `lacks`.
    #[track_caller]
    fn grant(&self, lacks: &str) {
        let own = &self.generated.namespace;
        let mut roles = self.roles.clone();
        for role in &mut roles {
            let source =
                if role["metadata"]["name"] == "pullgate-controller-source" { "source " } else { "" };
            for rule in role["rules"].as_array_mut().into_iter().flatten() {
                let resource = format!("{source}{}", rule["resources"][0].as_str().expect("a resource"));
                let verbs = rule["verbs"].as_array_mut().expect("verbs");
                verbs.retain(|verb| format!("{resource} {}", verb.as_str().expect("a verb")) != lacks);
                if verbs.is_empty() {
                    // A rule needs a verb; this one is of no use.
                    verbs.push("proxy".into());
                }
            }
            // Names of the whole cluster, where other trials go on.
            if role["kind"].as_str().is_some_and(|kind| kind.starts_with("ClusterRole")) {
                role["metadata"]["name"] = own.as_str().into();
                if role["roleRef"].is_object() {
                    role["roleRef"]["name"] = own.as_str().into();
                }
            }
        }
        kubectl("apply -f -").input(&json!({"apiVersion": "v1", "kind": "List", "items": roles})).ok();
    }

    fn start(&self) {
        let own = &self.generated.namespace;
        let kubeconfig = kubeconfig_of("pullgate-controller", own, self.folder.path());
        let mut config: Value =
            serde_json::from_slice(&std::fs::read(&kubeconfig).expect("the file")).expect("JSON");
        config["contexts"][0]["context"]["namespace"] = own.as_str().into();
        std::fs::write(&kubeconfig, config.to_string()).expect("the file");
        let [health, _] = free_ports().map(|port| port.to_string());
        let mut command = Command::new(program());
        command.args(self.case.arguments(&kubeconfig));
        command.arg(format!("-source-secretname={}-source", self.case.secret));
        // Where it may not watch it lists so often, which takes longer than a test waits for what must not happen.
        command.args(["-managedonly", "-enable-leader-election", "-loop-duration=20s"]);
        let mut settings = vec![("HEALTH_PORT", health.as_str())];
        settings.extend(LOGGING);
        drop(self.process.set(Process::spawn(command, &settings, format!("127.0.0.1:{health}"))));
    }

    fn process(&self) -> &Process {
        self.process.get().expect("it was started")
    }

    fn may_lack(&self, right: &str) -> bool {
        self.lacks == right
    }

    #[track_caller]
    fn make_source(&self, password: &str) {
        let source = pull_secret(&format!("{}-source", self.case.secret), &login(password));
        self.case.home.kubectl("apply -f -").input(&source).ok();
    }

    fn copied(&self) -> Option<()> {
        self.case.copy(&self.space).map(drop)
    }

    fn refers(&self) -> bool {
        self.case.references(&self.space).contains(&self.case.secret)
    }

    /// Changes the Secret of somebody else.
    #[track_caller]
    fn touch(&self) {
        let label = format!("touched={}", unique("at"));
        self.case.on_copy(&self.contested, "label --overwrite").word(&label).ok();
    }

    fn told(&self) -> Vec<Value> {
        events(&self.contested, "SecretConflict")
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        drop(self.process.take());
        let own = &self.generated.namespace;
        kubectl(&format!("delete clusterrole/{own} clusterrolebinding/{own} namespace/{own} --wait=false"))
            .run();
    }
}

/// Without the right the behaviour is missed, and with it there.
#[track_caller]
fn is_needed(right: &'static str, behaviour: &Behaviour) {
    let trial = Trial::new(right);
    if right == "leases update" {
        // Of a replica that has ended.
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": LEASE, "namespace": trial.generated.namespace},
        });
        kubectl("create -f -").input(&lease).ok();
    }
    trial.start();
    (behaviour.provoke)(&trial);
    never(&format!("without {right}: {}", behaviour.name), || (behaviour.look)(&trial).then_some(()));
    trial.grant("");
    until(&format!("with {right} and all others: {}", behaviour.name), || {
        (behaviour.look)(&trial).then_some(())
    });
}

#[track_caller]
fn are_needed(of: &str) {
    for (right, behaviour) in NEEDED.iter().filter(|(right, _)| right.starts_with(of)) {
        is_needed(right, behaviour);
    }
}

#[test]
fn no_right_to_namespaces_is_spare() {
    are_needed("namespaces");
}

#[test]
fn no_right_to_copies_is_spare() {
    are_needed("secrets");
}

#[test]
fn no_right_to_accounts_is_spare() {
    are_needed("serviceaccounts");
}

#[test]
fn no_right_to_events_is_spare() {
    are_needed("events");
}

#[test]
fn no_right_to_the_source_is_spare() {
    are_needed("source");
}

#[test]
fn no_right_to_leases_is_spare() {
    are_needed("leases");
}

/// All of them, and no others: what is in the manifests is in the table above, and what the API server makes of it is
/// in the golden file.
#[test]
fn the_rights_are_those_that_are_needed_and_no_more() {
    let trial = Trial::new("");
    let given: BTreeSet<_> = trial.roles.iter().flat_map(rights).collect();
    let needed: BTreeSet<_> = NEEDED.iter().map(|(right, _)| (*right).to_owned()).collect();
    assert_eq!(given, needed);

    let own = trial.generated.namespace.clone();
    let list = |namespace: &str| {
        let user = format!("--as=system:serviceaccount:{own}:pullgate-controller");
        kubectl(&format!("auth can-i --list --namespace={namespace}")).word(&user).ok().out
    };
    let mut all = String::new();
    for (what, namespace) in [
        ("its own namespace", &own),
        ("that of the source", &trial.case.home.name),
        ("any other", &trial.space.name),
    ] {
        let text = list(namespace);
        let lines = text.lines().filter(|line| !line.contains("[/"));
        let lines = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let mut lines: Vec<_> = lines.collect();
        lines[1..].sort();
        let text = lines.join("\n");
        let text = text.replace(&trial.case.secret, "SECRET").replace(&trial.case.account, "ACCOUNT");
        all.extend(["# In ", what, "\n", &text, "\n"]);
    }
    let golden = format!("{FIXTURES}/controller-rights.txt");
    if std::env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
        std::fs::write(&golden, &all).expect("the golden file");
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(all, expected, "{golden}; UPDATE_FIXTURES=1 writes it anew");
}
