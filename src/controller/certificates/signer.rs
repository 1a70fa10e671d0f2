//! Certificates by request: a key is made and kept, its request is put before a signer, and what comes back is looked at
//! before anybody serves it.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use log::info;
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::plan::Seen;
use super::store::Store;
use super::{failed, unmade};
use crate::certs::{key, public_half, read, request, trusts};
use crate::controller::apply::Problem;
use crate::controller::view::FIELD_MANAGER;

/// What a certificate of a webhook is for. A signer may insist on exactly these.
const USAGES: [&str; 3] = ["digital signature", "key encipherment", "server auth"];

/// What is asked for.
pub(super) struct Request<'a> {
    /// `spec.signerName`
    pub(super) signer: &'a str,
    /// Names of the server.
    pub(super) names: &'a [String],
    /// How long it should be valid; signers may differ.
    pub(super) validity: Duration,
}

impl Request<'_> {
    /// The certificate and its key, both in PEM; nothing, as long as somebody has to approve or to sign.
    ///
    /// # Errors
    /// The API server's, a refusal of the signer, or what is wrong with its certificate.
    pub(super) async fn answered(
        &self,
        client: &Client,
        store: &Store,
        Seen { issuers, serving, .. }: &Seen,
        asked_for: Option<Zeroizing<String>>,
    ) -> Result<Option<(String, Zeroizing<String>)>, Problem> {
        // What somebody spoilt is none.
        let key = if let Some(key) = asked_for.filter(|key| public_half(key).is_ok()) {
            key
        } else {
            let key = key().map_err(|error| unmade(&error))?;
            store.write_requested_key(Some(&key)).await?;
            key
        };
        let requests = Api::<CertificateSigningRequest>::all(client.clone());
        // By the key: whoever takes over asks for the same.
        let name = self.name(&store.namespace, &public_half(&key).map_err(|error| unmade(&error))?);
        let Some(asked) = requests.get_opt(&name).await? else {
            let text = request(self.names, &key).map_err(|error| unmade(&error))?;
            store.guarded(requests.create(&params(), &self.object(&name, text))).await?;
            info!(request = name.as_str(), signer = self.signer; "certificate requested: kubectl certificate approve {name}");
            return Ok(None);
        };
        let status = asked.status.unwrap_or_default();
        let refusal = status.conditions.iter().flatten().find(|it| matches!(&*it.type_, "Denied" | "Failed"));
        if let Some(refusal) = refusal {
            let why = refusal.message.as_deref().or(refusal.reason.as_deref()).unwrap_or_default();
            return Err(failed(&format!(
                "CertificateSigningRequest {name}: {}: {why}; delete it for another try",
                refusal.type_
            )));
        }
        let Some(ByteString(certificate)) =
            status.certificate.filter(|certificate| !certificate.0.is_empty())
        else {
            return Ok(None);
        };
        let chain = read(&certificate);
        if chain.first() == serving.first() {
            // It is served already, so this key has had its time.
            store.write_requested_key(None).await?;
            return Ok(None);
        }
        let now = Timestamp::now().as_second();
        let problem = |problem: &str| failed(&format!("{} has signed {name}, but {problem}", self.signer));
        if !chain.first().is_some_and(|own| own.has_key(key.as_bytes())) {
            return Err(problem("with another key"));
        }
        for host in self.names {
            trusts(issuers, &chain, host, now).map_err(|why| {
                problem(&format!("those in CERTIFICATES_CA_FILE do not vouch for it as {host}: {why}"))
            })?;
        }
        Ok(Some((String::from_utf8_lossy(&certificate).into_owned(), key)))
    }

    fn name(&self, namespace: &str, public_key: &[u8]) -> String {
        let asked = [self.signer.as_bytes(), self.names.join(",").as_bytes(), public_key].concat();
        let hash = digest(&SHA256, &asked);
        let hash = hash.as_ref().iter().take(6).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
        format!("pullgate-{namespace}-{hash:012x}")
    }

    fn object(&self, name: &str, request: String) -> CertificateSigningRequest {
        let mut object = CertificateSigningRequest {
            spec: CertificateSigningRequestSpec {
                request: ByteString(request.into_bytes()),
                signer_name: self.signer.to_owned(),
                usages: Some(USAGES.map(str::to_owned).to_vec()),
                expiration_seconds: i32::try_from(self.validity.as_secs()).ok(),
                ..CertificateSigningRequestSpec::default()
            },
            ..CertificateSigningRequest::default()
        };
        object.metadata.name = Some(name.to_owned());
        object
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}
