//! A namespace of one's own.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::kubectl::{Kubectl, kubectl};
use crate::neighbour::Neighbour;
use crate::wait::until;
use crate::webhook::{Endpoint, Process, Registration, start_self_signed, usual_rules};

/// The generated configuration is for all namespaces: whoever applies it writes, everybody else reads.
static CLUSTER: RwLock<()> = RwLock::new(());

/// A test's part of the cluster, taken once: to take it again while another waits for all would never end.
enum Share {
    Some { _held: RwLockReadGuard<'static, ()> },
    All { _held: RwLockWriteGuard<'static, ()> },
}

/// A namespace that no other test uses; deleted when dropped.
pub(crate) struct Space {
    pub(crate) name: String,
    share: Rc<Share>,
    held: Cell<&'static str>,
}

/// A webhook that is called for one namespace; gone when dropped, the registration first.
pub(crate) struct Hooked {
    _registration: Registration,
    pub(crate) process: Process,
}

/// A name that no earlier run in the same cluster had.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{seconds}-{}-{count}", std::process::id())
}

impl Space {
    /// A namespace in which Pods can be created.
    #[track_caller]
    pub(crate) fn new() -> Self {
        // A test that failed has cleaned up as well.
        let held = CLUSTER.read().unwrap_or_else(PoisonError::into_inner);
        Self::with(Rc::new(Share::Some { _held: held }))
    }

    /// The same, in a cluster in which no other test is running.
    #[track_caller]
    pub(crate) fn alone() -> Self {
        let held = CLUSTER.write().unwrap_or_else(PoisonError::into_inner);
        Self::with(Rc::new(Share::All { _held: held }))
    }

    /// Another namespace for the same test.
    #[track_caller]
    pub(crate) fn sibling(&self) -> Self {
        Self::with(Rc::clone(&self.share))
    }

    #[track_caller]
    fn with(share: Rc<Share>) -> Self {
        let name = unique("e2e");
        kubectl("create namespace").word(&name).ok();
        let space = Self { name, share, held: Cell::new("") };
        until("the namespace's ServiceAccount", || {
            space.kubectl("get serviceaccount default").run().succeeded().then_some(())
        });
        space
    }

    /// A node that does not exist, and that only this test puts Pods on: 40 s after the first of them was seen there, all
    /// of them are deleted as garbage.
    pub(crate) fn nowhere(&self) -> &str {
        &self.name
    }

    /// `kubectl LINE` in this namespace.
    pub(crate) fn kubectl(&self, line: &str) -> Kubectl {
        kubectl(&format!("--namespace={} {line}", self.name))
    }

    /// Names Pods with finalizers that nobody else removes: they would keep the namespace for ever.
    pub(crate) fn release_at_the_end(&self, pods: &'static str) {
        self.held.set(pods);
    }

    /// What is stored under, say, `pod/web`.
    #[track_caller]
    pub(crate) fn get(&self, what: &str) -> Value {
        self.kubectl(&format!("get {what} -o json --show-managed-fields")).json()
    }

    /// Starts a webhook and returns when it is called for this namespace.
    #[track_caller]
    pub(crate) fn webhook(&self, settings: &[(&str, &str)]) -> Hooked {
        self.webhook_for(&usual_rules(), settings)
    }

    /// The same with other rules; they must include the creation of Pods.
    #[track_caller]
    pub(crate) fn webhook_for(&self, rules: &Value, settings: &[(&str, &str)]) -> Hooked {
        let (process, endpoint) = start_self_signed(settings);
        let registration = self.register("m", &endpoint, rules);
        until("a call of the webhook", || {
            self.probe();
            (process.calls(&[]) > 0).then_some(())
        });
        Hooked { _registration: registration, process }
    }

    /// Registers a webhook; those with a lesser `order` are called before it.
    #[track_caller]
    pub(crate) fn register(&self, order: &str, endpoint: &Endpoint, rules: &Value) -> Registration {
        Registration::new(format!("e2e-{order}-{}", self.name), &self.name, endpoint, rules)
    }

    /// Registers a webhook of the test and returns when it is called for this namespace.
    #[track_caller]
    pub(crate) fn register_neighbour(&self, order: &str, neighbour: &Neighbour) -> Registration {
        let registration = self.register(order, &neighbour.endpoint, &usual_rules());
        until("a call of the neighbour", || {
            self.probe();
            neighbour.was_called().then_some(())
        });
        registration
    }

    /// Creates a Pod, but not really, and returns what would be stored.
    #[track_caller]
    pub(crate) fn probe(&self) -> Option<Value> {
        let created =
            self.kubectl("create --dry-run=server -o json -f -").input(&pod("probe", "nginx")).run();
        serde_json::from_str(&created.out).ok()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        for pod in self.held.get().split_whitespace() {
            let patch = r#"patch --type=merge --patch={"metadata":{"finalizers":null}} pod"#;
            self.kubectl(patch).word(pod).run();
        }
        kubectl("delete namespace --wait=false --ignore-not-found").word(&self.name).run();
    }
}

/// The least of a Pod.
pub(crate) fn pod(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "app", "image": image}]},
    })
}

/// Name and image of a Pod's containers, of all lists.
pub(crate) fn images(pod: &Value) -> Vec<(&str, &str)> {
    named(pod, "image")
}

/// Name and pull policy of a Pod's containers, of all lists.
pub(crate) fn pull_policies(pod: &Value) -> Vec<(&str, &str)> {
    named(pod, "imagePullPolicy")
}

/// Names of a Pod's pull secrets.
pub(crate) fn pull_secrets(pod: &Value) -> Vec<&str> {
    let list = pod["spec"]["imagePullSecrets"].as_array();
    list.into_iter().flatten().filter_map(|entry| entry["name"].as_str()).collect()
}

fn named<'a>(pod: &'a Value, field: &str) -> Vec<(&'a str, &'a str)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .iter()
        .filter_map(|list| pod["spec"][list].as_array())
        .flatten()
        .map(|c| (c["name"].as_str().unwrap_or_default(), c[field].as_str().unwrap_or_default()))
        .collect()
}
