//! Actions to requests, one each, with what was seen as their condition. Nothing is written by whoever does not lead.

use std::time::Duration;

use json_patch::Patch as JsonPatch;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret as ApiSecret, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::timeout;
use zeroize::Zeroize as _;

use super::copies::Marks;
use super::credentials::{Credentials, KEY};
use super::leader::{Leadership, WRITE_PATIENCE};
use super::plan::{Action, Notes};
use super::resource::OWNER_UID;
use super::view::{FIELD_MANAGER, LAST_APPLIED, MANAGED_BY, NOTES, OURS, PREDECESSOR, TYPE, encoded};
use crate::api_server::said;

/// Why an action was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Another replica acts.
    #[error("another replica leads")]
    NotLeading,
    /// Things are not as they were seen, which the watches will tell.
    #[error("changed meanwhile, or refused: {0}")]
    Conflict(String),
    /// It failed.
    #[error("{message}")]
    Failed {
        /// What the API server says.
        message: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
}

/// What the API server says of a JSON Patch whose `test` fails, here that of the version.
const TEST_FAILED: &str = "the server rejected our request due to an error in our request";

/// So many conflicts in a row are none: the watches would have told long ago. A namespace that is missing looks like one.
pub(super) const CONFLICTS: u32 = 5;

/// What a look came to, as metrics name it: whether it changed anything, or what kept it from being done.
pub(super) const fn outcome(looked: Result<bool, &Problem>) -> &'static str {
    match looked {
        Ok(true) => "changed",
        Ok(false) => "unchanged",
        Err(Problem::Conflict(_) | Problem::NotLeading) => "conflict",
        Err(Problem::Failed { .. }) => "error",
    }
}

impl From<kube::Error> for Problem {
    fn from(error: kube::Error) -> Self {
        let message = said(&error);
        let kube::Error::Api(status) = &error else { return Self::Failed { message, retry_after: None } };
        let details = status.details.as_ref();
        let terminating = status.code == 403
            && details.is_some_and(|details| {
                details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
            });
        // Any other 422 is for good: of validation, or of a policy.
        let test_failed = status.code == 422 && message.starts_with(TEST_FAILED);
        if matches!(status.code, 404 | 409) || test_failed || terminating {
            return Self::Conflict(message);
        }
        let seconds = details.map_or(0, |details| details.retry_after_seconds);
        Self::Failed { message, retry_after: (seconds > 0).then(|| Duration::from_secs(seconds.into())) }
    }
}

/// What a write left, for the view.
pub enum Written {
    /// A Secret as it is now.
    Secret(Box<ApiSecret>),
    /// A ServiceAccount as it is now.
    Account(Box<ServiceAccount>),
    /// The Secret is gone.
    NoSecret,
}

/// What writes.
pub struct Writer<'a> {
    /// The API server's client.
    pub client: &'a Client,
    /// Whether this replica may.
    pub leadership: &'a Leadership,
    /// Name of the copies.
    pub secret: &'a str,
    /// What marks them, where they are made for a resource.
    pub marks: Option<&'a Marks>,
}

impl Writer<'_> {
    /// Carries out what is a write. `credentials`: what copies are to hold.
    ///
    /// # Errors
    /// The API server's; nothing is known of what it did then, where it gave no answer.
    pub async fn write(
        &self,
        namespace: &str,
        action: &Action,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Written>, Problem> {
        let secrets = Api::<ApiSecret>::namespaced(self.client.clone(), namespace);
        let written = match action {
            Action::Create => self.create(&secrets, credentials).await?,
            Action::Recreate { uid, resource_version } => {
                self.delete(&secrets, uid, resource_version).await?;
                self.create(&secrets, credentials).await?
            }
            Action::Update { resource_version, extra_keys } => {
                let Some(credentials) = credentials else { return Ok(Vec::new()) };
                if let Some(marks) = self.marks {
                    return self.replace(&secrets, resource_version, marks, credentials).await;
                }
                let body = update(resource_version, extra_keys, credentials);
                let params =
                    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
                guarded(self.leadership, secrets.patch(self.secret, &params, &Patch::Merge(&body)))
                    .await
                    .map(secret_of)?
            }
            Action::Delete { uid, resource_version } => {
                self.delete(&secrets, uid, resource_version).await?;
                vec![Written::NoSecret]
            }
            Action::AddReference { account, resource_version, list, notes } => {
                let entry = json!({"name": self.secret});
                let add = if *list {
                    json!({"op": "add", "path": "/imagePullSecrets/-", "value": entry})
                } else {
                    json!({"op": "add", "path": "/imagePullSecrets", "value": [entry]})
                };
                self.patch_account(namespace, account, resource_version, vec![add, note(notes)]).await?
            }
            Action::RemoveReference { account, resource_version, places, notes } => {
                let remove =
                    |place: &usize| json!({"op": "remove", "path": format!("/imagePullSecrets/{place}")});
                let edits = places.iter().map(remove).chain(notes.as_ref().map(note)).collect();
                self.patch_account(namespace, account, resource_version, edits).await?
            }
            Action::ReportForeign | Action::ReportFrozen => Vec::new(),
        };
        Ok(written)
    }

    /// For the settings by server-side apply, so that the right to create can be one for this name only.
    async fn create(
        &self,
        secrets: &Api<ApiSecret>,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Written>, Problem> {
        let Some(credentials) = credentials else { return Ok(Vec::new()) };
        if let Some(marks) = self.marks {
            let mut secret = ApiSecret::default();
            secret.metadata.name = Some(self.secret.to_owned());
            fill(&mut secret, marks, credentials);
            let params =
                PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            let created = guarded(self.leadership, secrets.create(&params, &secret)).await;
            wipe(&mut secret);
            return created.map(secret_of);
        }
        let body = json!({
            "apiVersion": "v1", "kind": "Secret", "type": TYPE,
            "metadata": {"name": self.secret, "labels": {MANAGED_BY: OURS}, "annotations": {MANAGED_BY: PREDECESSOR}},
            "data": {KEY: encoded(credentials.expose())},
        });
        let params = PatchParams::apply(FIELD_MANAGER);
        guarded(self.leadership, secrets.patch(self.secret, &params, &Patch::Apply(&body)))
            .await
            .map(secret_of)
    }

    /// With the whole object: those who move here have the right to update, and none to patch.
    async fn replace(
        &self,
        secrets: &Api<ApiSecret>,
        resource_version: &str,
        marks: &Marks,
        credentials: &Credentials,
    ) -> Result<Vec<Written>, Problem> {
        let mut secret = guarded(self.leadership, secrets.get(self.secret)).await?;
        if secret.metadata.resource_version.as_deref() != Some(resource_version) {
            wipe(&mut secret);
            return Err(Problem::Conflict(format!("Secret {} is another one by now", self.secret)));
        }
        wipe(&mut secret);
        fill(&mut secret, marks, credentials);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let replaced = guarded(self.leadership, secrets.replace(self.secret, &params, &secret)).await;
        wipe(&mut secret);
        replaced.map(secret_of)
    }

    async fn delete(
        &self,
        secrets: &Api<ApiSecret>,
        uid: &str,
        resource_version: &str,
    ) -> Result<(), Problem> {
        let seen =
            Preconditions { uid: Some(uid.to_owned()), resource_version: Some(resource_version.to_owned()) };
        let params = DeleteParams { preconditions: Some(seen), ..DeleteParams::default() };
        guarded(self.leadership, secrets.delete(self.secret, &params)).await.map(drop)
    }

    /// The whole list is one field to the API server: a merge would take back what others have added meanwhile, so each
    /// patch is one of single entries, of the list as it was seen.
    async fn patch_account(
        &self,
        namespace: &str,
        account: &str,
        resource_version: &str,
        edits: Vec<Value>,
    ) -> Result<Vec<Written>, Problem> {
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), namespace);
        let test = json!({"op": "test", "path": "/metadata/resourceVersion", "value": resource_version});
        let patch: Value = std::iter::once(test).chain(edits).collect();
        let patch: JsonPatch = serde_json::from_value(patch)
            .map_err(|error| Problem::Failed { message: error.to_string(), retry_after: None })?;
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let account =
            guarded(self.leadership, accounts.patch(account, &params, &Patch::<()>::Json(patch))).await?;
        Ok(vec![Written::Account(Box::new(account))])
    }
}

/// Writes only while this replica leads, and ends before another one can.
pub(super) async fn guarded<T>(
    leadership: &Leadership,
    write: impl Future<Output = kube::Result<T>>,
) -> Result<T, Problem> {
    if !leadership.holds() {
        return Err(Problem::NotLeading);
    }
    let Ok(answer) = timeout(WRITE_PATIENCE, write).await else {
        let message = "the API server does not answer".to_owned();
        return Err(Problem::Failed { message, retry_after: None });
    };
    Ok(answer?)
}

/// Writes down which references are ours.
fn note(notes: &Notes) -> Value {
    let path = format!("/metadata/annotations/{}", NOTES.replace('/', "~1"));
    let names = notes.names.iter().map(String::as_str).collect::<Vec<_>>().join(",");
    match (notes.annotated, names.is_empty()) {
        (false, _) => json!({"op": "add", "path": "/metadata/annotations", "value": {NOTES: names}}),
        (true, false) => json!({"op": "add", "path": path, "value": names}),
        (true, true) => json!({"op": "remove", "path": path}),
    }
}

fn secret_of(secret: ApiSecret) -> Vec<Written> {
    vec![Written::Secret(Box::new(secret))]
}

/// Marks and content, and no other content.
fn fill(secret: &mut ApiSecret, marks: &Marks, credentials: &Credentials) {
    marks.put_on(&mut secret.metadata);
    secret.type_ = Some(TYPE.to_owned());
    secret.data = Some([(KEY.to_owned(), ByteString(credentials.expose().to_vec()))].into());
}

fn wipe(secret: &mut ApiSecret) {
    for mut content in secret.data.take().into_iter().flatten() {
        content.1.0.zeroize();
    }
}

/// Content and marks, in place: the UID stays, so kubelets do not check again every image that they have.
fn update(resource_version: &str, extra_keys: &[String], credentials: &Credentials) -> Value {
    let mut data = serde_json::Map::new();
    data.insert(KEY.to_owned(), encoded(credentials.expose()).into());
    data.extend(extra_keys.iter().map(|key| (key.clone(), Value::Null)));
    json!({
        "metadata": {
            "resourceVersion": resource_version,
            // It is no copy for a resource any more, if it was one.
            "labels": {MANAGED_BY: OURS, OWNER_UID: null},
            // What kubectl noted last would be the content of before.
            "annotations": {MANAGED_BY: PREDECESSOR, LAST_APPLIED[0]: null, LAST_APPLIED[1]: null},
        },
        "data": data,
    })
}
