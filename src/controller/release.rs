//! How a resource goes: what it has on accounts and in namespaces is taken back first.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use kube::runtime::controller::Action as Next;

use super::apply::{Problem, guarded};
use super::lock;
use super::outcomes::Outcome;
use super::resource::{ImagePullSecret, ImagePullSecretStatus};
use super::status::Standing;
use super::upkeep::{Guarded, Upkeep};

/// What a resource holds that is to be taken back before it goes.
const FINALIZER: &str = "pullgate/references";
impl Upkeep {
    /// Whether no resource is held by us any more.
    pub(super) fn has_released_all(&self) -> bool {
        let held = |resource: Arc<Guarded>| {
            resource.0.as_ref().is_ok_and(|resource| has_finalizer(resource) || has_status(resource))
        };
        !self.store.state().into_iter().any(held)
    }

    /// Keeps a resource that has references on accounts until these are taken back. Copies alone are removed after it.
    pub(super) async fn hold(&self, resource: &ImagePullSecret, name: &str) -> Result<(), Problem> {
        // Without a look at them no reference is added.
        let wanted =
            !resource.spec.target.service_accounts.is_empty() && self.resources.has_listed_accounts();
        let is_held = has_finalizer(resource);
        // Once held, always: references of before may still be there.
        if is_held || !wanted {
            return Ok(());
        }
        let mut held = resource.clone();
        held.metadata.finalizers.get_or_insert_default().push(FINALIZER.to_owned());
        let api = Api::<ImagePullSecret>::all(self.client.clone());
        guarded(&self.leadership, api.replace(name, &PostParams::default(), &held)).await.map(drop)
    }

    /// Lets a resource go when nothing is left of it where something can be done about that.
    pub(super) async fn release(
        &self,
        (resource, uid, name): (&ImagePullSecret, &str, &str),
        mut standing: Standing,
        changed: &mut bool,
    ) -> Result<Next, Problem> {
        let left = self.resources.namespaces_with_copies(uid);
        let left = left.keys().filter(|namespace| !self.resources.is_terminating(namespace)).count();
        let is_told = self.uninstalls && has_status(resource);
        if !has_finalizer(resource) && !is_told {
            return Ok(Next::await_change());
        }
        let is_referred_to = self.resources.is_referred_to(uid, &lock(&self.view));
        // Whether there are any that are ours is not known before.
        let unseen = has_finalizer(resource) && !self.resources.has_listed_accounts();
        if left > 0 || is_referred_to || unseen {
            standing.namespaces = self.resources.outcomes(uid);
            standing.unusable = self.resources.accounts_problem().filter(|_| unseen);
            if standing.unusable.is_some()
                || standing.namespaces.values().any(|outcome| matches!(outcome, Outcome::Left(_)))
            {
                self.tell((resource, uid, name), &standing, Timestamp::now(), changed).await?;
            }
            // Copies that go are not told to resources.
            return Ok(Next::requeue(Duration::from_millis(500)));
        }
        let mut released = resource.clone();
        let api = Api::<ImagePullSecret>::all(self.client.clone());
        if has_finalizer(resource) {
            released.metadata.finalizers.get_or_insert_default().retain(|finalizer| finalizer != FINALIZER);
            guarded(&self.leadership, api.replace(name, &PostParams::default(), &released)).await?;
        } else {
            // Nobody looks after it any more, so there is nothing to say of it.
            released.status = None;
            guarded(&self.leadership, api.replace_status(name, &PostParams::default(), &released)).await?;
        }
        // There is another look when this is seen.
        Ok(Next::await_change())
    }
}

fn has_status(resource: &ImagePullSecret) -> bool {
    resource.status.as_ref().is_some_and(|status| *status != ImagePullSecretStatus::default())
}

fn has_finalizer(resource: &ImagePullSecret) -> bool {
    resource.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}
