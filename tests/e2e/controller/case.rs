//! Names of one's own, and controllers that use them.

use std::cell::Cell;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kubectl::{Kubectl, kubectl};
use crate::space::{Space, unique};
use crate::wait::soon;
use crate::webhook::{LOGGING, Process, on_free_ports, program};

/// The key of a pull secret.
pub(crate) const KEY: &str = ".dockerconfigjson";
/// Its type.
pub(crate) const TYPE: &str = "kubernetes.io/dockerconfigjson";
/// The label and the annotation of what the controller made.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The names that one test uses. Copies are deleted when it is dropped, which must be after its controllers.
pub(crate) struct Case {
    /// The namespace of the source, which its controllers are told. It is as any other namespace otherwise.
    pub(crate) home: Space,
    /// Name of the source, of the copies and of the references.
    pub(crate) secret: String,
    /// Name of the ServiceAccount that is to have the reference.
    pub(crate) account: String,
    folder: TempDir,
    controllers: Cell<usize>,
}

/// A running controller; ended when dropped.
pub(crate) struct Controller {
    process: Process,
    /// The user that the API server knows it as.
    pub(crate) user: String,
}

impl Deref for Controller {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Controller {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// What `docker login` would write for a password.
pub(crate) fn login(password: &str) -> String {
    let auth = STANDARD.encode(format!("robot:{password}"));
    json!({"auths": {"registry.example": {"auth": auth}}}).to_string()
}

/// A pull secret.
pub(crate) fn pull_secret(name: &str, content: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": TYPE,
        "metadata": {"name": name},
        "data": {KEY: STANDARD.encode(content)},
    })
}

impl Case {
    /// One that runs beside other tests.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self::at(Space::new())
    }

    /// One that has the cluster to itself.
    #[track_caller]
    pub(crate) fn alone() -> Self {
        Self::at(Space::alone())
    }

    #[track_caller]
    fn at(home: Space) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (secret, account) = (unique("pull"), unique("acct"));
        let case = Self { home, secret, account, folder, controllers: Cell::new(0) };
        case.make_account(&case.home, &[]);
        case
    }

    /// Another namespace, with the ServiceAccount in it.
    #[track_caller]
    pub(crate) fn space(&self) -> Space {
        let space = self.home.sibling();
        self.make_account(&space, &[]);
        space
    }

    /// Makes the ServiceAccount, with these references.
    #[track_caller]
    pub(crate) fn make_account(&self, space: &Space, references: &[&str]) {
        make_account(space, &self.account, references);
    }

    /// Makes the source, or changes its content, as users do.
    #[track_caller]
    pub(crate) fn source(&self, password: &str) {
        self.source_content(&login(password));
    }

    /// The same, whatever the content is.
    #[track_caller]
    pub(crate) fn source_content(&self, content: &str) {
        self.home.kubectl("apply -f -").input(&pull_secret(&self.secret, content)).ok();
    }

    /// A kubeconfig of an administrator whom the API server knows as `user`. `edit` may change the file.
    #[track_caller]
    pub(crate) fn kubeconfig(&self, user: &str, edit: impl FnOnce(&mut Value)) -> PathBuf {
        let mut config = kubectl("config view --raw --minify --flatten -o json").json();
        config["users"][0]["user"]["as"] = user.into();
        config["users"][0]["user"]["as-groups"] = json!(["system:masters"]);
        edit(&mut config);
        let path = self.folder.path().join(format!("{user}.kubeconfig"));
        fs::write(&path, config.to_string()).expect("a file in a scratch folder");
        path
    }

    /// A file for a test.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a controller and returns when it has seen the cluster. A flag given here wins.
    #[track_caller]
    pub(crate) fn controller(&self, flags: &[&str]) -> Controller {
        let user = self.user();
        let kubeconfig = self.kubeconfig(&user, |_| ());
        self.controller_with(user, &kubeconfig, &[], flags)
    }

    /// The same with another kubeconfig, and variables.
    #[track_caller]
    pub(crate) fn controller_with(
        &self,
        user: String,
        kubeconfig: &Path,
        variables: &[(&str, &str)],
        flags: &[&str],
    ) -> Controller {
        let process = on_free_ports(|[health, _]| {
            let mut command = Command::new(program());
            command.args(self.arguments(kubeconfig)).args(flags);
            let mut settings = vec![("HEALTH_PORT", health)];
            settings.extend(LOGGING);
            settings.extend(variables);
            Process::start(command, &settings, format!("127.0.0.1:{health}"))
        });
        Controller { process, user }
    }

    /// Runs the controller for a task that ends.
    #[track_caller]
    pub(crate) fn run(&self, flags: &[&str]) -> Output {
        let kubeconfig = self.kubeconfig(&self.user(), |_| ());
        let mut command = Command::new(program());
        command.args(self.arguments(&kubeconfig)).args(flags).env_clear().envs(LOGGING);
        command.output().expect("the program can be run")
    }

    /// A user that no other controller is.
    pub(crate) fn user(&self) -> String {
        self.controllers.set(self.controllers.get() + 1);
        format!("{}-controller-{}", self.secret, self.controllers.get())
    }

    /// The command line of a controller.
    pub(crate) fn arguments(&self, kubeconfig: &Path) -> Vec<String> {
        let flag = |name: &str, value: &str| format!("-{name}={value}");
        vec![
            "controller".to_owned(),
            flag("kubeconfig", kubeconfig.to_str().expect("a path in UTF-8")),
            flag("secretname", &self.secret),
            flag("secretnamespace", &self.home.name),
            flag("serviceaccounts", &self.account),
            flag("loop-duration", "1h"),
            flag("resource-selector", &self.label()),
        ]
    }

    /// A label by which its controllers know the resources that are theirs.
    pub(crate) fn label(&self) -> String {
        format!("case={}", self.secret)
    }

    /// The Secret in a namespace, if there is one.
    #[track_caller]
    pub(crate) fn copy(&self, space: &Space) -> Option<Value> {
        let line = format!("get secret {} --ignore-not-found -o json --show-managed-fields", self.secret);
        serde_json::from_str(&space.kubectl(&line).ok().out).ok()
    }

    /// The names in the list of the ServiceAccount.
    #[track_caller]
    pub(crate) fn references(&self, space: &Space) -> Vec<String> {
        references(space, &self.account)
    }

    /// Waits until a namespace has everything, with this password, and returns the copy.
    #[track_caller]
    pub(crate) fn has(&self, space: &Space, password: &str) -> Value {
        self.has_content(space, &login(password))
    }

    /// The same, whatever the content is.
    #[track_caller]
    pub(crate) fn has_content(&self, space: &Space, content: &str) -> Value {
        let place = &space.name;
        let copy = soon(&format!("the copy in {place}"), || {
            self.copy(space).filter(|copy| content_of(copy).as_deref() == Some(content))
        });
        soon(&format!("the reference in {place}"), || {
            self.references(space).contains(&self.secret).then_some(copy.clone())
        })
    }

    /// `kubectl VERB secret NAME` in a namespace, where `line` may end with more.
    pub(crate) fn on_copy(&self, space: &Space, verb: &str) -> Kubectl {
        space.kubectl(&format!("{verb} secret {}", self.secret))
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        // What lies in namespaces that stay.
        let name = format!("--field-selector=metadata.name={}", self.secret);
        kubectl("delete secrets --all-namespaces --wait=false").word(&name).run();
    }
}

/// Makes a ServiceAccount with these references.
#[track_caller]
pub(crate) fn make_account(space: &Space, name: &str, references: &[&str]) {
    let list: Vec<_> = references.iter().map(|name| json!({"name": name})).collect();
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}, "imagePullSecrets": list,
    });
    space.kubectl("create -f -").input(&account).ok();
}

/// The names in the list of a ServiceAccount.
#[track_caller]
pub(crate) fn references(space: &Space, account: &str) -> Vec<String> {
    let account = space.get(&format!("serviceaccount/{account}"));
    let list = account["imagePullSecrets"].as_array().into_iter().flatten();
    list.map(|entry| entry["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// What a pull secret holds.
pub(crate) fn content_of(secret: &Value) -> Option<String> {
    let content = STANDARD.decode(secret["data"][KEY].as_str()?).ok()?;
    String::from_utf8(content).ok()
}

/// The version of an object, which every write changes.
pub(crate) fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().expect("a stored object")
}

/// Which object it is, of all that had its name.
pub(crate) fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().expect("a stored object")
}
