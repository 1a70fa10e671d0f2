//! PURE: from a request to a verdict; the one place that knows which mutator runs when.

use crate::json::Text;
use crate::mutate::containers::{PodChange, Scope};
use crate::mutate::{Verdict, image, pull_policy, pull_secret, service_account, storage_class};
use crate::object::Object;
use crate::policy::{Policy, ServiceAccounts};
use crate::review::Request;

/// What a request is about, as far as there are rules for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `pods`
    Pods,
    /// `pods/ephemeralcontainers`
    EphemeralContainers,
    /// `persistentvolumeclaims`
    Claims,
    /// `serviceaccounts`
    ServiceAccounts,
    /// Anything else.
    Other,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Self; 5] =
        [Self::Pods, Self::EphemeralContainers, Self::Claims, Self::ServiceAccounts, Self::Other];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pods => "pods",
            Self::EphemeralContainers => "pods/ephemeralcontainers",
            Self::Claims => "persistentvolumeclaims",
            Self::ServiceAccounts => "serviceaccounts",
            Self::Other => "other",
        }
    }

    /// Recognises a request by resource and kind; one of them suffices, but they must not disagree.
    #[must_use]
    pub fn of(request: &Request<'_>) -> Self {
        fn text<'a>(text: Option<&'a Text<'_>>) -> &'a str {
            text.map(|text| &**text).unwrap_or_default()
        }
        let by_resource = request
            .resource
            .as_ref()
            .map(|r| (text(r.group.as_ref()), text(r.version.as_ref()), text(r.resource.as_ref())));
        let by_kind = request
            .kind
            .as_ref()
            .map(|k| (text(k.group.as_ref()), text(k.version.as_ref()), text(k.kind.as_ref())));
        let is = |resource, kind| {
            by_resource.is_none_or(|is| is == ("", "v1", resource))
                && by_kind.is_none_or(|is| is == ("", "v1", kind))
                && (by_resource.is_some() || by_kind.is_some())
        };
        match text(request.sub_resource.as_ref()) {
            "" if is("pods", "Pod") => Self::Pods,
            "ephemeralcontainers" if is("pods", "Pod") => Self::EphemeralContainers,
            "" if is("persistentvolumeclaims", "PersistentVolumeClaim") => Self::Claims,
            "" if is("serviceaccounts", "ServiceAccount") => Self::ServiceAccounts,
            _ => Self::Other,
        }
    }
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// CREATE
    Create,
    /// UPDATE
    Update,
    /// DELETE, CONNECT or something newer.
    Other,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 3] = [Self::Create, Self::Update, Self::Other];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Other => "other",
        }
    }

    /// Reads a request's `operation`.
    #[must_use]
    pub fn of(request: &Request<'_>) -> Self {
        match request.operation.as_deref() {
            Some("CREATE") => Self::Create,
            Some("UPDATE") => Self::Update,
            _ => Self::Other,
        }
    }
}

/// Why there is no patch, or that there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A patch was made.
    Patched,
    /// A patch was made and is withheld, by `MODE`.
    WouldPatch,
    /// Everything was as configured.
    Unchanged,
    /// The namespace is excluded.
    Excluded,
    /// A mirror Pod, or a Pod or account that is being deleted.
    Exempt,
    /// There are no rules for this kind of request, or it is about an account that cannot be read.
    Unsupported,
    /// The object could not be read.
    Denied,
    /// Likewise, and nothing is refused, by `MODE`.
    WouldDeny,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 8] = [
        Self::Patched,
        Self::WouldPatch,
        Self::Unchanged,
        Self::Excluded,
        Self::Exempt,
        Self::Unsupported,
        Self::Denied,
        Self::WouldDeny,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Patched => "patched",
            Self::WouldPatch => "would_patch",
            Self::Unchanged => "unchanged",
            Self::Excluded => "excluded",
            Self::Exempt => "exempt",
            Self::Unsupported => "unsupported",
            Self::Denied => "denied",
            Self::WouldDeny => "would_deny",
        }
    }
}

/// Decides about one request. Never an error: whatever there are no rules for is left as it is.
#[must_use]
pub fn admit<'a>(
    policy: &'a Policy,
    request: &'a Request<'_>,
    (resource, verb): (Resource, Verb),
) -> (Outcome, Verdict<'a>) {
    let nothing = |outcome| (outcome, Verdict::default());
    let Some(object) = &request.object else { return nothing(Outcome::Unsupported) };
    let rules = match (resource, verb) {
        (Resource::Pods, Verb::Create) => Rules::Pod(Scope::Create),
        (Resource::Pods, Verb::Update) => Rules::Pod(Scope::Update),
        (Resource::EphemeralContainers, Verb::Update) => Rules::Pod(Scope::Ephemeral),
        (Resource::Claims, Verb::Create) => Rules::Claim,
        (Resource::ServiceAccounts, Verb::Create | Verb::Update) => match &policy.service_accounts {
            Some(rule) => Rules::ServiceAccount(rule),
            None => return nothing(Outcome::Unsupported),
        },
        _ => return nothing(Outcome::Unsupported),
    };
    let excluded_namespaces = match rules {
        Rules::ServiceAccount(rule) => &rule.excluded_namespaces,
        Rules::Pod(_) | Rules::Claim => &policy.excluded_namespaces,
    };
    // The request's namespace, not the object's: that is where the object will be.
    if request.namespace.as_deref().is_some_and(|ns| excluded_namespaces.contains(ns)) {
        return nothing(Outcome::Excluded);
    }
    let mut verdict = Verdict::default();
    match rules {
        Rules::Pod(scope) => {
            let change = PodChange { scope, new: object, old: request.old_object.as_ref() };
            if is_exempt(object) || change.old.is_some_and(is_exempt) {
                return nothing(Outcome::Exempt);
            }
            image::mutate(&change, &policy.registries, &mut verdict);
            if let Some(forced) = policy.pull_policy {
                pull_policy::mutate(&change, forced, &mut verdict);
            }
            if let Some(secrets) = &policy.pull_secrets {
                pull_secret::mutate(&change, secrets, &mut verdict);
            }
        }
        Rules::Claim => {
            if let Some(class) = &policy.storage_class {
                storage_class::mutate(object, class, &mut verdict);
            }
        }
        Rules::ServiceAccount(rule) => {
            if is_being_deleted(object) {
                return nothing(Outcome::Exempt);
            }
            service_account::mutate(object, rule, &mut verdict);
        }
    }
    let outcome = if verdict.operations.is_empty() { Outcome::Unchanged } else { Outcome::Patched };
    (outcome, verdict)
}

/// What there are rules for.
#[derive(Clone, Copy)]
enum Rules<'a> {
    Pod(Scope),
    Claim,
    ServiceAccount(&'a ServiceAccounts),
}

/// Pods that no webhook may or should touch: the API server's copy of a static Pod (it refuses a pull secret
/// there), and one that only waits for its finalizers.
fn is_exempt(pod: &Object<'_>) -> bool {
    let annotations = pod.metadata.as_ref().and_then(|metadata| metadata.annotations.as_ref());
    is_being_deleted(pod) || annotations.is_some_and(|annotations| annotations.mirror.is_some())
}

fn is_being_deleted(object: &Object<'_>) -> bool {
    object.metadata.as_ref().is_some_and(|metadata| metadata.deletion_timestamp.is_some())
}
