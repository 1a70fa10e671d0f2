//! The generated manifests, applied as they are, with a webhook behind the generated Service.
//!
//! A Service of the tests' cluster has no proxy and its Pods no node. The API server itself resolves it, by an
//! `EndpointSlice` that names an address; a loopback address is not accepted there. So the program runs in a
//! network namespace with an address of its own, with the environment, arguments and certificate that the
//! stored Deployment and Secret give it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::kubectl::kubectl;
use crate::network::Network;
use crate::space::{Space, images, unique};
use crate::wait::{in_time, until};
use crate::webhook::{Process, program};

/// A folder of manifests that `deployment/generate-certs-and-config.sh` wrote.
pub(crate) struct Generated {
    folder: TempDir,
    pub(crate) namespace: String,
}

impl Generated {
    #[track_caller]
    pub(crate) fn new(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let generated = Self { folder, namespace: unique("e2e-pullgate") };
        generated.again(settings, &[]);
        generated
    }

    /// Runs the script once more for the same folder.
    #[track_caller]
    fn again(&self, settings: &[(&str, &str)], options: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deployment/generate-certs-and-config.sh");
        let ran = Command::new(script)
            .args(options)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("there is a PATH"))
            .envs(settings.iter().copied())
            .env("NAMESPACE", &self.namespace)
            .env("IMAGE", "quay.io/infra/pullgate:1")
            .current_dir(self.folder.path())
            .output()
            .expect("the script can be run");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }

    /// Path of a manifest, or of all with an empty `name`.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join("generated").join(name).display().to_string()
    }
}

/// The manifests in the cluster, and the webhook behind them. Uninstalled when dropped, which must be before any
/// other test goes on: the registration is for the whole cluster.
pub(crate) struct Installation<'a> {
    generated: Generated,
    /// A namespace that the webhook is called for.
    space: &'a Space,
    // Dropped in this order, after the registration is gone.
    process: Option<Process>,
    network: Network,
    secret: TempDir,
}

impl<'a> Installation<'a> {
    /// Applies the manifests; from here on no Pod of any other namespace can be made until [`Self::serve`].
    #[track_caller]
    pub(crate) fn apply(generated: Generated, space: &'a Space) -> Self {
        let present = kubectl("get mutatingwebhookconfiguration pullgate").run().succeeded();
        assert!(
            !present,
            "pullgate is installed in this cluster: a test would break it; use another cluster"
        );
        // Before anything is applied: this is what a machine may lack.
        let network = Network::new();
        let secret = tempfile::tempdir().expect("a scratch folder");
        let installation = Self { generated, space, process: None, network, secret };
        kubectl("apply -f").word(&installation.generated.path("")).ok();
        installation
    }

    pub(crate) fn stored(&self, what: &str) -> Value {
        kubectl(&format!("get {what} -o json --namespace={}", self.generated.namespace)).json()
    }

    /// The Pods of the Deployment, which must come without any webhook that answers.
    #[track_caller]
    pub(crate) fn own_pods(&self) -> Vec<Value> {
        until("both Pods of the webhook's own Deployment", || {
            let pods = self.stored("pods")["items"].as_array()?.clone();
            (pods.len() == 2).then_some(pods)
        })
    }

    /// Runs the webhook as the Deployment describes it, where the Service finds it, and returns when it is called.
    #[track_caller]
    pub(crate) fn serve(&mut self) {
        let deployment = self.stored("deployment/pullgate");
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let folder = self.mount(pod);
        let network = &self.network;

        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let environment = container["env"].as_array().into_iter().flatten();
        let mut settings: Vec<(String, String)> =
            environment.map(|variable| (text(&variable["name"]), text(&variable["value"]))).collect();
        // There is no container that the Secret could be mounted in at its usual place.
        for (variable, usual) in
            [("TLS_CERT_FILE", "webhook-server-tls.crt"), ("TLS_KEY_FILE", "webhook-server-tls.key")]
        {
            let stored = settings.iter().find(|(name, _)| name == variable);
            let file = stored.and_then(|(_, path)| path.strip_prefix("/run/secrets/tls/")).unwrap_or(usual);
            let path = folder.join(file).display().to_string();
            settings.retain(|(name, _)| name != variable);
            settings.push((variable.to_owned(), path));
        }
        let settings: Vec<_> = settings.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let port = |name: &str| {
            let ports = container["ports"].as_array().into_iter().flatten();
            let found = ports.into_iter().find(|port| port["name"] == name).expect("the port");
            found["containerPort"].as_u64().expect("a number")
        };
        let mut command = network.command(&program());
        command.args(container["args"].as_array().into_iter().flatten().map(text));
        let health = format!("{}:{}", network.address, port("health"));
        self.process = Some(Process::start(command, &settings, health).expect("a webhook"));

        kubectl("create -f -")
            .input(&json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": "pullgate-e2e",
                    "namespace": self.generated.namespace,
                    "labels": {
                        "kubernetes.io/service-name": "pullgate",
                        "endpointslice.kubernetes.io/managed-by": "e2e.test",
                    },
                },
                "addressType": "IPv4",
                "ports": [{"name": "https", "protocol": "TCP", "port": port("https")}],
                "endpoints": [{"addresses": [network.address], "conditions": {"ready": true}}],
            }))
            .ok();
        self.wait_until_called();
    }

    #[track_caller]
    pub(crate) fn wait_until_called(&self) {
        until("a Pod that is changed", || {
            (images(&self.space.probe()?) == [("app", "registry.example/nginx")]).then_some(())
        });
    }

    /// Applies what the script writes with these settings and options, and brings the webhook its certificate.
    #[track_caller]
    pub(crate) fn apply_again(&self, settings: &[(&str, &str)], options: &[&str]) {
        self.generated.again(settings, options);
        kubectl("apply -f").word(&self.generated.path("")).ok();
        self.bring();
    }

    /// Runs the script once more, and applies nothing.
    #[track_caller]
    pub(crate) fn generate(&self, settings: &[(&str, &str)]) {
        self.generated.again(settings, &[]);
    }

    /// Brings the webhook the Secret as it is now.
    #[track_caller]
    pub(crate) fn bring(&self) {
        self.mount(&self.stored("deployment/pullgate")["spec"]["template"]["spec"]);
    }

    /// Another authority and certificate; returns when the webhook is called with them.
    #[track_caller]
    pub(crate) fn renew_authority(&self, settings: &[(&str, &str)]) {
        let loaded = || self.process().count("pullgate_tls_reloads_total", &[r#"outcome="success""#]);
        let before = loaded();
        self.apply_again(settings, &["--renew-ca"]);
        until("the new certificate", || (loaded() > before).then_some(()));
        self.wait_until_called();
    }

    /// Ends the webhook and returns when Pods are made unchanged.
    #[track_caller]
    pub(crate) fn fail(&mut self) {
        self.process = None;
        until("a Pod that is let through", || {
            (images(&self.space.probe()?) == [("app", "nginx")]).then_some(())
        });
    }

    /// Brings the content of the Secret that the Deployment mounts into a folder, as a kubelet does: in a folder
    /// of its own, to which the link `..data` is turned in one step.
    fn mount(&self, pod: &Value) -> PathBuf {
        let volume = pod["volumes"][0]["secret"]["secretName"].as_str().expect("a volume of a Secret");
        let secret = self.stored(&format!("secret/{volume}"));
        let mounted = self.secret.path();
        let version = unique("..");
        fs::create_dir(mounted.join(&version)).expect("a folder in a scratch folder");
        for (name, content) in secret["data"].as_object().expect("data") {
            let content = STANDARD.decode(content.as_str().expect("a text")).expect("base64");
            fs::write(mounted.join(&version).join(name), content).expect("a file in it");
            if !mounted.join(name).is_symlink() {
                symlink(Path::new("..data").join(name), mounted.join(name)).expect("a link to it");
            }
        }
        symlink(&version, mounted.join("..data_tmp")).expect("a link to the folder");
        fs::rename(mounted.join("..data_tmp"), mounted.join("..data")).expect("it can be turned");
        mounted.to_owned()
    }

    /// Runs a command as it is told to a person, beside the folder of the manifests.
    #[track_caller]
    pub(crate) fn run(&self, command: &str) {
        let ran = Command::new("sh").args(["-c", command]).current_dir(self.generated.folder.path()).output();
        let ran = ran.expect("there is a shell");
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.generated.namespace
    }

    pub(crate) fn process(&self) -> &Process {
        self.process.as_ref().expect("it serves")
    }

    /// As `docs/install.md` says: the registration first, then everything. Returns whether Pods are soon made as
    /// if there had never been a webhook.
    pub(crate) fn uninstall(&self) -> bool {
        kubectl("delete --ignore-not-found -f")
            .word(&self.generated.path("40-webhook-configuration.yaml"))
            .run();
        kubectl("delete --ignore-not-found --wait=false -f").word(&self.generated.path("")).run();
        let unchanged = || (images(&self.space.probe()?) == [("app", "nginx")]).then_some(());
        in_time(unchanged).is_some()
    }
}

impl Drop for Installation<'_> {
    fn drop(&mut self) {
        self.uninstall();
    }
}
