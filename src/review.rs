//! PURE: AdmissionReview v1 on the wire (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>).
//!
//! Our own types, because what matters here is what general ones lack: fields are borrowed, null and absent are
//! the same, repeated keys are refused, and the answer carries base64 and a status code.

use std::borrow::Cow;
use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::json::{DUPLICATE_KEY, Skipped, Text, json_object};
use crate::mutate::Verdict;
use crate::mutate::image::ORIGINAL_IMAGE;
use crate::nesting::is_too_deep;
use crate::object::Object;
use crate::patch::{self, Operation};

const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

json_object! {
    /// What the API server posts, with objects of type `O`.
    pub struct Review<O> at 1 {
        /// Must be v1: the manifests ask for nothing else.
        api_version: Text<'a> = "apiVersion",
        /// Must be `AdmissionReview`.
        kind: Text<'a> = "kind",
        /// The question.
        request: RequestOf<'a, O> = "request",
    }
}

json_object! {
    /// `request`, with objects of type `O`.
    pub struct RequestOf<O> at 2 {
        /// Identifies the call; echoed.
        uid: Text<'a> = "uid",
        /// The object's kind.
        kind: Kind<'a> = "kind",
        /// The resource that was called.
        resource: Resource<'a> = "resource",
        /// Its subresource.
        sub_resource: Text<'a> = "subResource",
        /// The object's name; absent while a generated one is pending.
        name: Text<'a> = "name",
        /// Absent for cluster-scoped objects.
        namespace: Text<'a> = "namespace",
        /// CREATE, UPDATE, DELETE or CONNECT.
        operation: Text<'a> = "operation",
        /// The object as it would be stored.
        object: O = "object",
        /// The object as it is stored; an explicit null on creation.
        old_object: O = "oldObject",
    }
}

/// `request`
pub type Request<'a> = RequestOf<'a, Object<'a>>;

json_object! {
    /// Group, version and kind of an object.
    pub struct Kind at 3 {
        /// Empty for the core group.
        group: Text<'a> = "group",
        /// `v1`
        version: Text<'a> = "version",
        /// `Pod`
        kind: Text<'a> = "kind",
    }
}

json_object! {
    /// Group, version and name of a resource.
    pub struct Resource at 3 {
        /// Empty for the core group.
        group: Text<'a> = "group",
        /// `v1`
        version: Text<'a> = "version",
        /// `pods`
        resource: Text<'a> = "resource",
    }
}

/// A review that can be answered.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// To be echoed.
    pub uid: Text<'a>,
    /// The question; its `uid` is taken out.
    pub request: Request<'a>,
    /// Why the object cannot be read, where it cannot.
    pub unreadable: Option<String>,
}

/// Why a body is no review; there is no uid to answer to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReview {
    /// Nothing was sent.
    #[error("the body is empty: an AdmissionReview is expected")]
    Empty,
    /// Not UTF-8.
    #[error("the body is not valid UTF-8")]
    Utf8,
    /// Nested too deep.
    #[error("the body nests 128 or more levels deep")]
    TooDeep,
    /// Not JSON, or not of the expected shape.
    #[error("the body is not an AdmissionReview: {0}")]
    Json(String),
    /// Another version or kind.
    #[error(
        "apiVersion {api_version:?}, kind {kind:?} is not supported: admission.k8s.io/v1 AdmissionReview is expected"
    )]
    Version {
        /// What was sent.
        api_version: String,
        /// What was sent.
        kind: String,
    },
    /// An answer, or nothing.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// Nothing to echo.
    #[error("the AdmissionReview's request has no uid")]
    NoUid,
}

/// Reads one review.
///
/// # Errors
/// Everything that leaves no uid to answer to, and whatever makes it doubtful what is being asked: repeated
/// keys, nesting, invalid UTF-8. An object of an unexpected shape is no error here, see
/// [`Decoded::unreadable`].
pub fn decode(body: &[u8]) -> Result<Decoded<'_>, BadReview> {
    if body.is_empty() {
        return Err(BadReview::Empty);
    }
    let text = std::str::from_utf8(body).map_err(|_| BadReview::Utf8)?;
    let review: Review<'_, Object<'_>> = match serde_json::from_str(text) {
        Ok(review) => review,
        Err(error) => return unreadable(text, &error),
    };
    check_version(review.api_version, review.kind)?;
    let mut request = review.request.ok_or(BadReview::NoRequest)?;
    let uid = request.uid.take().filter(|uid| !uid.is_empty()).ok_or(BadReview::NoUid)?;
    Ok(Decoded { uid, request, unreadable: None })
}

fn check_version(api_version: Option<Text<'_>>, kind: Option<Text<'_>>) -> Result<(), BadReview> {
    if api_version.as_deref() == Some(API_VERSION) && kind.as_deref() == Some(KIND) {
        return Ok(());
    }
    let text = |field: Option<Text<'_>>| field.unwrap_or_default().chars().take(64).collect();
    Err(BadReview::Version { api_version: text(api_version), kind: text(kind) })
}

/// A second look at what could not be read: where the envelope is sound, it is answered.
fn unreadable<'a>(text: &'a str, error: &serde_json::Error) -> Result<Decoded<'a>, BadReview> {
    if is_too_deep(text) {
        return Err(BadReview::TooDeep);
    }
    let reason = printable(&without_value(&error.to_string()));
    // The first error may hide a repeated key behind it, which this reading finds wherever it is.
    let read = if error.is_data() {
        serde_json::from_str(text).map_err(|error| error.to_string())
    } else {
        Err(reason.clone())
    };
    let (api_version, kind, envelope) = match read {
        Ok(Review::<Skipped> { api_version, kind, request: Some(envelope) }) => (api_version, kind, envelope),
        Err(other) if other.starts_with(DUPLICATE_KEY) => return Err(BadReview::Json(printable(&other))),
        Ok(_) | Err(_) => return Err(BadReview::Json(reason)),
    };
    check_version(api_version, kind)?;
    let RequestOf { uid, kind, resource, sub_resource, name, namespace, operation, object, old_object: _ } =
        envelope;
    let uid = uid.filter(|uid| !uid.is_empty()).ok_or(BadReview::NoUid)?;
    let object = object.map(|Skipped| Object::default());
    let request = Request {
        uid: None,
        kind,
        resource,
        sub_resource,
        name,
        namespace,
        operation,
        object,
        old_object: None,
    };
    Ok(Decoded { uid, request, unreadable: Some(reason) })
}

/// Parser messages quote a value that stands where something else is expected. It may be anything, a password
/// too, so only its kind is told.
fn without_value(message: &str) -> Cow<'_, str> {
    let value = message.find(['`', '"']).filter(|_| message.starts_with("invalid type: "));
    match (value, message.rfind(", expected ")) {
        (Some(start), Some(end)) if start < end => {
            Cow::Owned([message[..start].trim_end(), &message[end..]].concat())
        }
        _ => Cow::Borrowed(message),
    }
}

/// Parser messages quote the input; no terminal or header should have to trust that.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// HTTP status of the client's request, 400 or more.
    pub code: u16,
    /// A reason of Kubernetes' `StatusReason`.
    pub reason: &'static str,
    /// What the client should change.
    pub message: String,
}

/// Writes the answer: allowed, with the verdict's patch and warnings.
///
/// # Errors
/// None in practice: everything in a verdict can be written as JSON.
pub fn encode_allowed(uid: &str, verdict: &Verdict<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let Verdict { operations, warnings, originals, images: _, withheld: _ } = verdict;
    let patch = if operations.is_empty() { None } else { Some(encode_patch(operations)?) };
    encode(&Response {
        uid,
        allowed: true,
        status: None,
        patch_type: patch.is_some().then_some("JSONPatch"),
        patch,
        warnings: warnings.as_slice(),
        audit_annotations: AuditAnnotations(originals),
    })
}

/// Writes the answer: denied.
///
/// # Errors
/// None in practice, as above.
pub fn encode_denied(uid: &str, denial: &Denial) -> Result<Vec<u8>, serde_json::Error> {
    let Denial { code, reason, message } = denial;
    encode(&Response {
        uid,
        allowed: false,
        status: Some(Status { status: "Failure", code: *code, reason, message }),
        patch_type: None,
        patch: None,
        warnings: &[],
        audit_annotations: AuditAnnotations(&[]),
    })
}

/// The patch as a JSON string that needs no escaping any more.
fn encode_patch(operations: &[Operation<'_>]) -> Result<Box<RawValue>, serde_json::Error> {
    let patch = patch::to_json(operations)?;
    let mut text = String::with_capacity(patch.len() / 3 * 4 + 6);
    text.push('"');
    STANDARD.encode_string(patch, &mut text);
    text.push('"');
    RawValue::from_string(text)
}

fn encode(response: &Response<'_>) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Answer { api_version: API_VERSION, kind: KIND, response })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: &'a Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "AuditAnnotations::is_empty")]
    audit_annotations: AuditAnnotations<'a>,
}

#[derive(Serialize)]
#[allow(clippy::struct_field_names, reason = "the name on the wire")]
struct Status<'a> {
    status: &'static str,
    code: u16,
    reason: &'static str,
    message: &'a str,
}

/// Containers and the images that they were to run.
struct AuditAnnotations<'a>(&'a [(&'a str, &'a str)]);

impl AuditAnnotations<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for AuditAnnotations<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut written = HashSet::new();
        // A container and an init container may share a name until the API server refuses the Pod.
        for (name, image) in self.0.iter().filter(|(name, _)| written.insert(name)) {
            map.serialize_entry(&[ORIGINAL_IMAGE, name].concat(), image)?;
        }
        map.end()
    }
}
