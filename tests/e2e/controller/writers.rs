//! Two writers of one list, which is one field to the API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use crate::controller::case::Case;

const ROUNDS: usize = 1_000;
/// Entries that the other writer keeps; the oldest goes when there is one more.
const ENTRIES: usize = 5;

struct Other {
    accounts: Api<ServiceAccount>,
    account: String,
    /// Rounds that had to be tried again, because somebody had been faster.
    conflicts: usize,
}

impl Other {
    async fn list(&self) -> (String, Vec<String>) {
        let account = self.accounts.get(&self.account).await.expect("the account");
        let names = account.image_pull_secrets.unwrap_or_default().into_iter().map(|entry| entry.name);
        (account.metadata.resource_version.expect("a version"), names.collect())
    }

    /// Adds `new`, and removes `old` if there is one; as careful as the controller has to be.
    async fn write(&mut self, new: &str, old: Option<&str>) {
        loop {
            let (version, names) = self.list().await;
            let mut patch =
                vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": version})];
            let entry = json!({"name": new});
            patch.push(if names.is_empty() {
                json!({"op": "add", "path": "/imagePullSecrets", "value": [entry]})
            } else {
                json!({"op": "add", "path": "/imagePullSecrets/-", "value": entry})
            });
            if let Some(old) = old {
                let place = names.iter().position(|name| name == old).expect("what was written is there");
                patch.push(json!({"op": "remove", "path": format!("/imagePullSecrets/{place}")}));
            }
            let patch = serde_json::from_value(Value::from(patch)).expect("a patch");
            let patched =
                self.accounts.patch(&self.account, &PatchParams::default(), &Patch::<()>::Json(patch)).await;
            match patched {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422) => self.conflicts += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn client() -> Client {
    let config = std::env::var("KUBECONFIG").expect("kubectl has used it");
    let config = Kubeconfig::read_from(config).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("a configuration")).expect("a client")
}

/// The namespace opts out and in all the time, so that the controller removes and adds its entry. Returns how often.
async fn toggle(client: Client, namespace: String, secret: String, ended: Arc<AtomicBool>) -> usize {
    let namespaces = Api::<Namespace>::all(client.clone());
    let copies = Api::<Secret>::namespaced(client, &namespace);
    let mut toggles = 0;
    while !ended.load(Ordering::Relaxed) {
        let out = toggles % 2 == 0;
        let annotation = json!({"k8s.titansoft.com/imagepullsecret-patcher-exclude": out.then_some("true")});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotation}}));
        namespaces.patch(&namespace, &PatchParams::default(), &patch).await.expect("the namespace");
        let began = std::time::Instant::now();
        while copies.get_opt(&secret).await.expect("an answer").is_some() == out {
            assert!(began.elapsed().as_secs() < 60, "the controller does not follow: opted out: {out}");
        }
        toggles += 1;
    }
    toggles
}

#[test]
fn two_writers_of_one_list_lose_nothing_in_a_thousand_rounds() {
    let case = Case::new();
    case.source("first");
    let space = case.space();
    let controller = case.controller(&[]);
    case.has(&space, "first");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let (conflicts, toggles, kept) = runtime.expect("a runtime").block_on(async {
        let client = client().await;
        let ended = Arc::new(AtomicBool::new(false));
        let toggling = toggle(client.clone(), space.name.clone(), case.secret.clone(), Arc::clone(&ended));
        let toggling = tokio::spawn(toggling);
        let accounts = Api::namespaced(client, &space.name);
        let mut other = Other { accounts, account: case.account.clone(), conflicts: 0 };
        let mut kept = Vec::new();
        for round in 0..ROUNDS {
            let new = format!("round-{round}");
            let old = (kept.len() == ENTRIES).then(|| kept.remove(0));
            other.write(&new, old.as_deref()).await;
            kept.push(new);
            let (_, names) = other.list().await;
            let theirs: Vec<_> = names.into_iter().filter(|name| *name != case.secret).collect();
            assert_eq!(theirs, kept, "round {round}");
        }
        ended.store(true, Ordering::Relaxed);
        (other.conflicts, toggling.await.expect("no panic"), kept)
    });
    let wrote = |action: &str| controller.count("pullgate_controller_writes_total", &[action]);
    let (added, removed) = (wrote("action=\"add_reference\""), wrote("action=\"remove_reference\""));
    eprintln!("{toggles} toggles, {added} times added and {removed} removed, {conflicts} rounds tried again");
    assert!(added > 20 && removed > 20, "both wrote: {added} and {removed}");
    let annotation = "k8s.titansoft.com/imagepullsecret-patcher-exclude-";
    crate::kubectl::kubectl("annotate namespace").word(&space.name).word(annotation).ok();
    case.has(&space, "first");
    let mut theirs = case.references(&space);
    theirs.retain(|name| *name != case.secret);
    assert_eq!(theirs, kept);
}
