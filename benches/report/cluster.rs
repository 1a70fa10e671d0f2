//! Pod creates through a real API server (server-side dry-run: everything but the write to etcd), with each of five
//! things between the client and the Pod. One is registered at a time, and measured once it is seen to be the one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::answer::answer;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::api_server::ApiServer;
use crate::client::Program;
use crate::https::Load;
use crate::null::PATCH;
use crate::table::{Goal, Row};
use crate::{Plan, null_webhook, product, reviews};

const PODS: &str = "/api/v1/namespaces/default/pods?dryRun=All";
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
const WEBHOOKS: &str = "mutatingwebhookconfigurations";
const POLICIES: &str = "mutatingadmissionpolicies";
const BINDINGS: &str = "mutatingadmissionpolicybindings";
const NAME: &str = "bench.pullgate.example";

/// What Pods pass on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    Nothing,
    Null,
    /// A null webhook that answers with the patch that the product makes for this very Pod: what it costs the API
    /// server to apply one, which is none of the webhook's.
    Canned,
    Pullgate,
    Policy,
}

impl Between {
    const ALL: [Self; 5] = [Self::Nothing, Self::Null, Self::Canned, Self::Pullgate, Self::Policy];
}

/// A Pod as a Deployment's, small and of every kind of image reference.
fn pod() -> Value {
    let container = |name: &str, image: &str| {
        json!({
            "name": name, "image": image,
            "env": [{"name": "LEVEL", "value": "info"}, {"name": "TARGET", "value": "https://api.shop.svc/v1?a=1&b=2"}],
            "ports": [{"name": "http", "containerPort": 8080}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}},
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "bench-", "labels": {"app": "bench"}, "annotations": {"acme.example/team": "shop"}},
        "spec": {
            "initContainers": [{"name": "setup", "image": "busybox:1.37", "command": ["true"]}],
            "containers": [container("api", "ghcr.io/acme/api:2.1"), container("proxy", "envoyproxy/envoy:v1.33"), container("pause", "registry.k8s.io/pause:3.10")],
        },
    })
}

/// The rules of [`reviews::EVERYTHING`] for new Pods, as the API server's own policy: by hand, less exact than that of
/// `pullgate policy`, and cheaper. One JSON Patch: an `ApplyConfiguration` cannot add a pull secret ("may not mutate
/// atomic arrays, maps or structs"). The secret is a plain map, since kube-apiserver 1.36.3 panics over a list of
/// `Object`s as a patch's value.
fn policy() -> Value {
    // The same decision as the parser `dot`: the first component is a host if there is a `.` or a `:` in it.
    let image = "c.image.startsWith(variables.registry + '/') ? c.image : \
        c.image.contains('/') && c.image.split('/')[0].matches('[.:]|^localhost$') ? \
        (c.image.split('/')[0] in variables.ignored ? c.image : \
        variables.registry + c.image.substring(c.image.indexOf('/'))) : variables.registry + '/' + c.image";
    let each = |list: &str, field: &str, value: &str| {
        format!(
            "(has(object.spec.{list}) ? object.spec.{list}.transformList(i, c, JSONPatch{{\
             op: 'add', path: '/spec/{list}/' + string(i) + '/{field}', value: {value}}}) : [])"
        )
    };
    let secret = "{'name': 'regcred'}";
    let secrets = format!(
        "(!has(object.spec.imagePullSecrets) ? [JSONPatch{{op: 'add', path: '/spec/imagePullSecrets', value: [{secret}]}}] : \
         object.spec.imagePullSecrets.exists(s, s.name == 'regcred') ? [] : \
         [JSONPatch{{op: 'add', path: '/spec/imagePullSecrets/-', value: {secret}}}])"
    );
    let expression = [
        each("containers", "image", image),
        each("initContainers", "image", image),
        each("containers", "imagePullPolicy", "'Always'"),
        each("initContainers", "imagePullPolicy", "'Always'"),
        secrets,
    ]
    .join(" + ");
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]},
            ]},
            "failurePolicy": "Fail",
            "reinvocationPolicy": "IfNeeded",
            "variables": [
                {"name": "registry", "expression": "'registry.example/hub'"},
                {"name": "ignored", "expression": "['registry.k8s.io']"},
            ],
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
        },
    })
}

fn binding() -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": NAME}, "spec": {"policyName": NAME},
    })
}

fn webhook(program: &Program) -> Value {
    let url = format!("https://{}/mutate", program.address);
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [{
            "name": NAME, "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 5,
            "clientConfig": {"url": url, "caBundle": STANDARD.encode(program.ca_pem())},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded",
        }],
    })
}

/// The cluster and those that it is told to call.
struct Stage {
    api: ApiServer,
    null: Program,
    canned: Program,
    pullgate: Program,
}

impl Stage {
    async fn set() -> Self {
        Self {
            api: ApiServer::of_kubeconfig(),
            null: null_webhook(&[]).await,
            canned: null_webhook(&[(PATCH, &canned_patch())]).await,
            pullgate: product(&reviews::EVERYTHING).await,
        }
    }

    async fn register(&mut self, between: Between) {
        // What an earlier run left when it was cut goes, too. Mostly there is nothing.
        for kind in [WEBHOOKS, BINDINGS, POLICIES] {
            drop(self.api.call("DELETE", &format!("{ADMISSION}/{kind}/{NAME}"), None).await);
        }
        let objects = match between {
            Between::Nothing => vec![],
            Between::Null => vec![(WEBHOOKS, webhook(&self.null))],
            Between::Canned => vec![(WEBHOOKS, webhook(&self.canned))],
            Between::Pullgate => vec![(WEBHOOKS, webhook(&self.pullgate))],
            Between::Policy => {
                vec![(POLICIES, policy()), (BINDINGS, binding())]
            }
        };
        for (kind, object) in objects {
            let registered = self.api.call("POST", &format!("{ADMISSION}/{kind}"), Some(&object)).await;
            registered.unwrap_or_else(|problem| panic!("{problem}"));
        }
        // The API server follows its own objects with a delay, so what it does is looked at; a create may fail
        // as long as it calls a webhook that has ended.
        let deadline = Instant::now() + Duration::from_mins(1);
        let mut in_a_row = 0;
        while in_a_row < 5 {
            let passed = self.passed().await;
            in_a_row = if matches!(&passed, Ok((_, Some(is))) if *is == between) { in_a_row + 1 } else { 0 };
            assert!(Instant::now() < deadline, "Pods do not pass {between:?} after a minute: {passed:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Creates a Pod; what became of it, and what it passed.
    async fn passed(&mut self) -> Result<(Value, Option<Between>), String> {
        let before = self.calls().await;
        let pod = self.api.call("POST", PODS, Some(&pod())).await?;
        let after = self.calls().await;
        let mutated = pod["spec"]["containers"][0]["image"] == "registry.example/hub/acme/api:2.1";
        // Twice is possible: what comes after a webhook may change the Pod, and then it is asked again.
        let called: Vec<Between> = before
            .into_iter()
            .zip(after)
            .filter_map(|((webhook, before), (_, after))| (after > before).then_some(webhook))
            .collect();
        let passed = match (called.as_slice(), mutated) {
            ([], false) => Some(Between::Nothing),
            ([], true) => Some(Between::Policy),
            ([webhook], _) if mutated == (*webhook != Between::Null) => Some(*webhook),
            _ => None,
        };
        Ok((pod, passed))
    }

    /// How often each webhook was called.
    async fn calls(&self) -> [(Between, f64); 3] {
        let (null, product) = ("null_calls_total", "pullgate_admission_requests_total");
        [
            (Between::Null, self.null.metric(null, &[]).await.unwrap_or_default()),
            (Between::Canned, self.canned.metric(null, &[]).await.unwrap_or_default()),
            (Between::Pullgate, self.pullgate.metric(product, &[]).await.unwrap_or_default()),
        ]
    }
}

/// The product's patch for [`pod`], in base64.
fn canned_patch() -> String {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "canned", "operation": "CREATE", "namespace": "default", "object": pod(),
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
        },
    });
    let policy = reviews::policy(&reviews::EVERYTHING);
    let answer = answer(&policy, review.to_string().as_bytes(), |_| ()).expect("a review");
    let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
    answer["response"]["patch"].as_str().expect("a patch").to_owned()
}

/// What rules decide of a Pod, without what is drawn for each and who set it when.
fn decided(mut pod: Value) -> Value {
    let metadata = pod["metadata"].as_object_mut().expect("every Pod has it");
    for drawn in ["name", "uid", "creationTimestamp", "managedFields"] {
        metadata.remove(drawn);
    }
    let token =
        |value: &Value| value["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-"));
    pod["spec"]["volumes"].as_array_mut().expect("the token's at least").retain(|volume| !token(volume));
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().expect("a list") {
            container["volumeMounts"].as_array_mut().expect("the token's").retain(|mount| !token(mount));
        }
    }
    pod
}

/// Creates per second.
pub(crate) async fn creates(plan: &Plan) -> Vec<Row> {
    let mut stage = Stage::set().await;
    let load = Load {
        request: ApiServer::create(PODS, &pod()),
        connections: 8,
        time: plan.time * 2,
        reconnect: false,
    };
    let mut rates = Between::ALL.map(|_| Vec::new());
    let mut pods = Between::ALL.map(|_| Value::Null);
    for round in 0..plan.rounds {
        for turn in 0..Between::ALL.len() {
            let which = (round + turn) % Between::ALL.len();
            stage.register(Between::ALL[which]).await;
            rates[which].push(load.run(&stage.api.target).await.per_second);
            let (pod, passed) = stage.passed().await.unwrap_or_else(|problem| panic!("{problem}"));
            assert_eq!(passed, Some(Between::ALL[which]), "what Pods pass has changed under the load");
            pods[which] = decided(pod);
        }
    }
    stage.register(Between::Nothing).await;
    let [nothing, null, canned, pullgate, policy] = pods;
    assert_eq!(nothing, null, "the null webhook changes Pods");
    assert_eq!(canned, pullgate, "the patch of the null webhook is not the product's");
    assert_eq!(pullgate, policy, "the policy has other rules than the product");
    let [nothing, null, canned, pullgate, policy] = rates;
    let row = |against: &str, those: &[f64], goal| {
        Row::ratio("Pod creates through the API server".to_owned(), "/s", &pullgate, (against, those), goal)
    };
    vec![
        row("no webhook", &nothing, Goal::None),
        row("null webhook", &null, Goal::AtLeast(0.97)),
        row("null webhook, same patch", &canned, Goal::AtLeast(0.97)),
        row("policy (CEL)", &policy, Goal::AtLeast(1.8)),
    ]
}
