//! Reads the cluster, and changes nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::rights::{self, Right};
use super::seen::{CERTIFICATE, Copies, Copy, Distribution, Issuer, Mounted, Origin, Seen, list, text};
use crate::api_server::{pages, said};
use crate::certs::read;
use crate::config::read::dns_subdomain;
use crate::config::{WEBHOOK, load_policy};
use crate::controller::credentials::{Digest, KEY};
use crate::controller::flags::Flags;
use crate::controller::resource::OWNER_UID;
use crate::controller::settings::{Local, Settings};
use crate::controller::view::{MANAGED_BY, OURS, PREDECESSOR};

const REGISTRATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// The cluster as one client may read it.
pub(super) struct Cluster {
    client: Client,
    seen: Seen,
}

impl Cluster {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        let seen =
            Seen { namespace: namespace.to_owned(), now: Timestamp::now().as_second(), ..Seen::default() };
        Self { client, seen }
    }

    /// Everything that checks look at.
    ///
    /// # Errors
    /// The API server does not answer at all.
    pub(super) async fn look(mut self) -> Result<Seen, String> {
        let version = self.client.apiserver_version().await.map_err(|error| said(&error))?;
        self.seen.server = version.git_version;
        let own = format!("/api/v1/namespaces/{}", self.seen.namespace);
        let apps = format!("/apis/apps/v1/namespaces/{}/deployments", self.seen.namespace);

        let (ours, others) = self
            .all("mutatingwebhookconfigurations", REGISTRATIONS)
            .await
            .into_iter()
            .partition(|it| text(it, "/metadata/name") == "pullgate");
        self.seen.others = others;
        let ours: Vec<_> = ours;
        self.seen.registration = ours.into_iter().next();
        let injected = "/metadata/annotations/cert-manager.io~1inject-ca-from";
        if self.seen.registration.as_ref().is_some_and(|it| !text(it, injected).is_empty()) {
            self.seen.issuer = Issuer::CertManager;
        }
        self.seen.webhook = self.one("deployments", &format!("{apps}/pullgate")).await;
        self.seen.controller = self.one("deployments", &format!("{apps}/pullgate-controller")).await;
        let slices = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dpullgate",
            self.seen.namespace
        );
        self.seen.slices = self.all("endpointslices", &slices).await;
        self.seen.namespaces = self.all("namespaces", "/api/v1/namespaces").await;
        self.seen.pods = self.all("pods", "/api/v1/pods").await;
        self.seen.accounts = self.all("serviceaccounts", "/api/v1/serviceaccounts").await;
        self.seen.resources =
            self.all("imagepullsecrets", "/apis/images.banzaicloud.io/v1alpha1/imagepullsecrets").await;

        if let Some(webhook) = self.seen.webhook.clone() {
            let environment = self.environment(&webhook).await;
            self.certificate(&own, &environment).await;
            let policy = load_policy(environment).map(|(policy, _)| policy);
            self.seen.policy = Some(policy.map_err(|errors| joined(&errors)));
        }
        if let Some(controller) = self.seen.controller.clone() {
            let environment = self.environment(&controller).await;
            // As they are: other settings may be refused.
            match environment.iter().find(|(name, _)| name == "CERTIFICATES").and_then(|it| it.1.to_str()) {
                Some("self-managed") => self.seen.issuer = Issuer::Controller,
                Some("csr") => self.seen.issuer = Issuer::Signer,
                _ => {}
            }
            match Settings::load(&Flags::default(), environment, false) {
                Ok(settings) => self.handed_out(settings).await,
                Err(errors) => {
                    self.seen.unreadable.push(("the controller's settings".to_owned(), joined(&errors)));
                }
            }
        }
        if self.seen.issuer == Issuer::Script && self.seen.origin() != Origin::Script {
            self.seen.issuer = Issuer::Other;
        }
        Ok(self.seen)
    }

    /// The serving certificate, wherever the webhook is told to read it.
    async fn certificate(&mut self, own: &str, environment: &[(OsString, OsString)]) {
        let told = |variable: &str| {
            let is_it = |name: &OsString| {
                name.to_str().and_then(|name| WEBHOOK.find(name)).is_some_and(|(_, own)| own == variable)
            };
            // An empty one counts as unset.
            let mut files = environment.iter().filter(|(name, _)| is_it(name));
            let file = files.find_map(|(_, file)| file.to_str().filter(|file| !file.trim().is_empty()))?;
            file.rsplit('/').next().map(str::to_owned)
        };
        let webhook = self.seen.webhook.clone().unwrap_or_default();
        let volumes = list(&webhook, "/spec/template/spec/volumes").iter();
        let secret =
            volumes.map(|volume| text(volume, "/secret/secretName")).find(|name| dns_subdomain(name).is_ok());
        let usual = Mounted::default();
        let mounted = Mounted {
            secret: secret.map_or(usual.secret, str::to_owned),
            certificate: told("TLS_CERT_FILE").unwrap_or(usual.certificate),
            key: told("TLS_KEY_FILE").unwrap_or(usual.key),
        };
        self.seen.mounted = mounted.clone();
        let path = format!("{own}/secrets/{}", mounted.secret);
        let Some(secret) = self.one(CERTIFICATE, &path).await else { return };
        let content = |key: &str| {
            let text = secret["data"].get(key).and_then(Value::as_str).unwrap_or_default();
            Zeroizing::new(STANDARD.decode(text).unwrap_or_default())
        };
        self.seen.serving = read(&content(&mounted.certificate));
        self.seen.has_another_key =
            self.seen.serving.first().is_some_and(|own| !own.has_key(&content(&mounted.key)));
    }

    /// What the controller of these settings hands out, and what has become of it.
    async fn handed_out(&mut self, settings: Settings) {
        let mut wanted = rights::wanted(&settings, &self.seen.namespace);
        if settings.pull_secrets && !self.seen.resources.is_empty() {
            let rights = rights::of_resources();
            // There may be another controller for them, or none by intention.
            match self.may(&rights[0]).await {
                Some(true) => wanted.extend(rights),
                Some(false) => self.seen.leaves_resources = true,
                None => wanted.clear(),
            }
        }
        for right in wanted {
            match self.may(&right).await {
                Some(true) => {}
                Some(false) => self.seen.lacking.push(right.to_string()),
                None => break,
            }
        }
        if !settings.pull_secrets {
            return;
        }
        let distribution = Distribution {
            secret: settings.secret,
            source: settings.source.object,
            has_others: !matches!(settings.source.local, Local::None),
            overwrites: settings.overwrite,
            excluded: settings.excluded_namespaces,
            accounts: settings.accounts,
        };
        let all = format!("/api/v1/secrets?fieldSelector=metadata.name%3D{}", distribution.secret);
        let held = self.all("secrets", &all).await;
        let (namespace, name) = &distribution.source;
        let source = self.one("secrets", &format!("/api/v1/namespaces/{namespace}/secrets/{name}")).await;
        if self.seen.can_see("secrets") {
            let by_namespace: BTreeMap<_, _> = held
                .into_iter()
                .map(|secret| {
                    let of = |kind: &str| secret["metadata"][kind].get(MANAGED_BY).and_then(Value::as_str);
                    let is_of_resource = secret["metadata"]["labels"].get(OWNER_UID).is_some();
                    let is_ours = !is_of_resource
                        && (of("labels") == Some(OURS) || of("annotations") == Some(PREDECESSOR));
                    let namespace = text(&secret, "/metadata/namespace").to_owned();
                    (namespace, Copy { content: digest(secret), is_ours })
                })
                .collect();
            self.seen.copies = Some(Copies { source: source.map(digest), by_namespace });
        }
        self.seen.distribution = Some(distribution);
    }

    /// Whether the controller has a right, if the API server says so.
    async fn may(&mut self, right: &Right) -> Option<bool> {
        let namespace = &self.seen.namespace;
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": format!("system:serviceaccount:{namespace}:pullgate-controller"),
                "groups": [
                    "system:serviceaccounts", format!("system:serviceaccounts:{namespace}"),
                    "system:authenticated",
                ],
                "resourceAttributes": right.attributes(),
            },
        });
        let request = Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
            .header("Content-Type", "application/json")
            .body(review.to_string().into_bytes())
            .ok()?;
        match self.client.request::<Value>(request).await {
            Ok(answer) => Some(answer["status"]["allowed"] == true),
            Err(error) => {
                self.seen.unreadable.push(("subjectaccessreviews".to_owned(), said(&error)));
                None
            }
        }
    }

    /// What a Deployment's container is told.
    async fn environment(&mut self, deployment: &Value) -> Vec<(OsString, OsString)> {
        let container = "/spec/template/spec/containers/0";
        let mut all = Vec::new();
        for map in list(deployment, &format!("{container}/envFrom")) {
            let name = text(map, "/configMapRef/name");
            let path = format!("/api/v1/namespaces/{}/configmaps/{name}", self.seen.namespace);
            let Some(map) = self.one("configmaps", &path).await.filter(|_| !name.is_empty()) else {
                continue;
            };
            let data = map["data"].as_object().into_iter().flatten();
            all.extend(data.map(|(name, value)| (name.into(), value.as_str().unwrap_or_default().into())));
        }
        let own = list(deployment, &format!("{container}/env")).iter();
        let own = own.filter(|variable| variable.get("valueFrom").is_none());
        // The last one of a name counts.
        let own: Vec<(OsString, OsString)> =
            own.map(|variable| (text(variable, "/name").into(), text(variable, "/value").into())).collect();
        all.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
        all.extend(own);
        all
    }

    /// One object, if it is there and may be read.
    async fn one(&mut self, what: &str, path: &str) -> Option<Value> {
        match self.get(path).await {
            Ok(object) => Some(object),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => {
                self.cannot_see(what, &error);
                None
            }
        }
    }

    /// All objects of a list, page by page, without what no check reads.
    async fn all(&mut self, what: &str, path: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let listed = pages(&self.client, path, |items| {
            all.extend(items.into_iter().map(|mut item| {
                if let Some(metadata) = item["metadata"].as_object_mut() {
                    metadata.remove("managedFields");
                }
                item
            }));
        });
        match listed.await {
            Ok(()) => {}
            // There is no such kind.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => self.cannot_see(what, &error),
        }
        all
    }

    fn cannot_see(&mut self, what: &str, error: &kube::Error) {
        if self.seen.can_see(what) {
            self.seen.unreadable.push((what.to_owned(), said(error)));
        }
    }

    async fn get(&self, path: &str) -> kube::Result<Value> {
        let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        self.client.request(request).await
    }
}

/// What stands for a Secret's content, which is kept nowhere.
fn digest(mut secret: Value) -> Digest {
    let content = match secret["data"].get_mut(KEY).map(Value::take) {
        Some(Value::String(content)) => Zeroizing::new(content),
        _ => Zeroizing::default(),
    };
    Digest::of(&Zeroizing::new(STANDARD.decode(content.as_bytes()).unwrap_or_default()))
}

fn joined(errors: &[crate::config::ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
