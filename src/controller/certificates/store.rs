//! Where certificates are kept: two Secrets and the registration.

use std::collections::BTreeMap;
use std::sync::Arc;

use json_patch::Patch as JsonPatch;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::failed;
use super::settings::Settings;
use crate::certs::{Authority, Certificate, pem_of, read};
use crate::controller::apply::{Problem, guarded};
use crate::controller::leader::Leadership;
use crate::controller::view::FIELD_MANAGER;

/// As the webhook reads them.
const CERTIFICATE: &str = "webhook-server-tls.crt";
const KEY: &str = "webhook-server-tls.key";
/// As the webhook reads them where they come from cert-manager: what it has left is served until there is something else.
const OF_CERT_MANAGER: (&str, &str) = ("tls.crt", "tls.key");
/// Who is to be trusted, newest first.
const AUTHORITIES: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
/// The key that a certificate has been asked for.
const REQUESTED_KEY: &str = "requested.key";

type Content = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// What both Secrets hold, each as it was at one time.
pub(super) struct Held {
    /// Who is to be trusted, as it was written down.
    pub(super) authorities: Vec<Certificate>,
    pub(super) authority_key: Option<Zeroizing<String>>,
    pub(super) requested_key: Option<Zeroizing<String>>,
    /// What is served, if its key goes with it.
    pub(super) serving: Vec<Certificate>,
}

/// Reads what there is now and never from a cache: a pass is rare, and each write is for what was read.
pub(super) struct Store {
    pub(super) namespace: String,
    secrets: Api<Secret>,
    registrations: Api<MutatingWebhookConfiguration>,
    serving: String,
    authorities: String,
    configuration: String,
    leadership: Arc<Leadership>,
}

impl Store {
    pub(super) fn new(
        client: Client,
        namespace: &str,
        settings: &Settings,
        leadership: Arc<Leadership>,
    ) -> Self {
        Self {
            namespace: namespace.to_owned(),
            secrets: Api::namespaced(client.clone(), namespace),
            registrations: Api::all(client),
            serving: settings.secret.clone(),
            authorities: settings.ca_secret.clone(),
            configuration: settings.configuration.clone(),
            leadership,
        }
    }

    /// Writes only while this replica leads.
    pub(super) async fn guarded<T>(
        &self,
        write: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Problem> {
        guarded(&self.leadership, write).await
    }

    /// What both Secrets hold now.
    pub(super) async fn held(&self) -> Result<Held, Problem> {
        let (mut kept, served) = (self.content(&self.authorities).await?, self.content(&self.serving).await?);
        let part = |of: &Content, key: &str| of.get(key).map(|value| value.to_vec()).unwrap_or_default();
        let mut key = |name: &str| {
            let key = kept.remove(name).filter(|key| !key.is_empty())?;
            Some(Zeroizing::new(str::from_utf8(&key).ok()?.to_owned()))
        };
        let (authority_key, requested_key) = (key(AUTHORITY_KEY), key(REQUESTED_KEY));
        let pair = |(certificate, key): (&str, &str)| {
            let serving = read(&part(&served, certificate));
            let is_whole = serving.first().zip(served.get(key)).is_some_and(|(own, key)| own.has_key(key));
            is_whole.then_some(serving)
        };
        let serving = [(CERTIFICATE, KEY), OF_CERT_MANAGER].into_iter().find_map(pair).unwrap_or_default();
        Ok(Held { authorities: read(&part(&kept, AUTHORITIES)), authority_key, requested_key, serving })
    }

    /// Who is trusted, by each webhook of the registration.
    pub(super) async fn trusted(&self) -> Result<Vec<Vec<Certificate>>, Problem> {
        let Some(registration) = self.registrations.get_opt(&self.configuration).await? else {
            return Ok(Vec::new());
        };
        let webhooks = registration.webhooks.unwrap_or_default().into_iter();
        Ok(webhooks.map(|webhook| read(&webhook.client_config.ca_bundle.unwrap_or_default().0)).collect())
    }

    pub(super) async fn write_authority(
        &self,
        made: &Authority,
        others: &[Certificate],
    ) -> Result<(), Problem> {
        let all = made.certificate.clone() + &pem_of(others);
        self.write(&self.authorities, &[(AUTHORITIES, Some(&all)), (AUTHORITY_KEY, Some(&made.key))]).await
    }

    pub(super) async fn write_authorities(&self, trust: &[Certificate]) -> Result<(), Problem> {
        self.write(&self.authorities, &[(AUTHORITIES, Some(&pem_of(trust)))]).await
    }

    /// Or, without a key, forgets that one was asked for.
    pub(super) async fn write_requested_key(&self, key: Option<&str>) -> Result<(), Problem> {
        self.write(&self.authorities, &[(REQUESTED_KEY, key)]).await
    }

    pub(super) async fn write_serving(&self, certificate: &str, key: &str) -> Result<(), Problem> {
        self.write(&self.serving, &[(CERTIFICATE, Some(certificate)), (KEY, Some(key))]).await
    }

    /// Has all webhooks of the registration, as it is now, trust these and no others.
    pub(super) async fn write_trusted(&self, trust: &[Certificate]) -> Result<(), Problem> {
        let Some(registration) = self.registrations.get_opt(&self.configuration).await? else {
            return Ok(());
        };
        let bundle = ByteString(pem_of(trust).into_bytes());
        let webhooks = registration.webhooks.map_or(0, |webhooks| webhooks.len());
        let version = registration.metadata.resource_version;
        let test = json!({"op": "test", "path": "/metadata/resourceVersion", "value": version});
        let add = |place| json!({"op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": bundle});
        let patch: Value = std::iter::once(test).chain((0..webhooks).map(add)).collect();
        let patch: JsonPatch = serde_json::from_value(patch).map_err(|error| failed(&error.to_string()))?;
        let patch = Patch::<()>::Json(patch);
        let params = params();
        self.guarded(self.registrations.patch(&self.configuration, &params, &patch)).await?;
        Ok(())
    }

    async fn content(&self, secret: &str) -> Result<Content, Problem> {
        let secret = self.secrets.get_opt(secret).await?;
        let data = secret.and_then(|secret| secret.data).unwrap_or_default().into_iter();
        Ok(data.map(|(key, value)| (key, Zeroizing::new(value.0))).collect())
    }

    /// Sets or removes these keys of a Secret, which is made where there is none: by server-side apply, since only that
    /// creation can be allowed for a name.
    async fn write(&self, name: &str, content: &[(&str, Option<&str>)]) -> Result<(), Problem> {
        let encoded = |value: &str| json!(ByteString(value.as_bytes().to_vec()));
        let data: Map<_, _> = content
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.map_or(Value::Null, encoded)))
            .collect();
        let labels =
            json!({"app.kubernetes.io/name": "pullgate", "app.kubernetes.io/managed-by": "pullgate"});
        let merge = json!({"metadata": {"labels": labels}, "data": data});
        let (params, patch) = (params(), Patch::Merge(&merge));
        match self.guarded(self.secrets.patch(name, &params, &patch)).await {
            // There is none.
            Err(Problem::Conflict(_)) => {}
            written => return written.map(drop),
        }
        let data: Map<_, _> = data.into_iter().filter(|(_, value)| !value.is_null()).collect();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": name, "labels": labels}, "data": data,
        });
        let patch = Patch::Apply(&secret);
        self.guarded(self.secrets.patch(name, &params, &patch)).await.map(drop)
    }
}

fn params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}
