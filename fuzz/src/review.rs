//! Reviews made from a fuzzer's bytes: sound JSON around Pods, claims and accounts that are as odd as can be.

use arbitrary::{Arbitrary, Result, Unstructured};
use pullgate::policy::Policy;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::model::{self, Fate};

/// A question.
#[derive(Arbitrary, Debug)]
pub struct Review {
    call: Call,
    namespace: Field<Namespace>,
    object: Object,
    old: Old,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Call {
    CreatePod,
    UpdatePod,
    Debug,
    CreateClaim,
    UpdateClaim,
    CreateAccount,
    UpdateAccount,
    Delete,
}

/// What the stored object is.
#[derive(Arbitrary, Debug)]
enum Old {
    Absent,
    Same,
    /// What was made of the object when it was created: a manifest is applied again.
    Admitted,
    Other(Box<Object>),
}

impl Review {
    /// The review as it is sent.
    #[must_use]
    pub fn json(&self, policy: &Policy) -> Value {
        let (operation, kind, resource, subresource) = match self.call {
            Call::CreatePod => ("CREATE", "Pod", "pods", ""),
            Call::UpdatePod => ("UPDATE", "Pod", "pods", ""),
            Call::Debug => ("UPDATE", "Pod", "pods", "ephemeralcontainers"),
            Call::CreateClaim => ("CREATE", "PersistentVolumeClaim", "persistentvolumeclaims", ""),
            Call::UpdateClaim => ("UPDATE", "PersistentVolumeClaim", "persistentvolumeclaims", ""),
            Call::CreateAccount => ("CREATE", "ServiceAccount", "serviceaccounts", ""),
            Call::UpdateAccount => ("UPDATE", "ServiceAccount", "serviceaccounts", ""),
            Call::Delete => ("DELETE", "Pod", "pods", ""),
        };
        let mut request = json!({
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": kind},
            "resource": {"group": "", "version": "v1", "resource": resource},
            "subResource": subresource,
            "operation": operation,
            "object": self.object,
            "oldObject": null,
            "dryRun": null,
        });
        if !self.namespace.is_absent() {
            request["namespace"] = json!(self.namespace);
        }
        request["oldObject"] = match &self.old {
            Old::Absent => Value::Null,
            Old::Same => request["object"].clone(),
            Old::Admitted => {
                let mut created = request.clone();
                created["operation"] = json!("CREATE");
                match model::fate(policy, &created) {
                    Fate::Stored(object) => object,
                    Fate::Denied | Fate::Open => Value::Null,
                }
            }
            Old::Other(object) => json!(object),
        };
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    }

    /// Whether this is a manifest that is applied again, which comes to nothing.
    #[must_use]
    pub fn is_repeated_apply(&self) -> bool {
        self.call == Call::UpdatePod && matches!(self.old, Old::Admitted)
    }
}

/// A field as manifests have it: there (in `PRESENT` of 256 cases), absent, null, or of another type than expected.
#[derive(Debug)]
enum Field<T, const PRESENT: u8 = 200> {
    Is(T),
    Absent,
    Null,
    Odd(u8),
}

/// A field that makes everything else in the object matter less.
type Rare<T> = Field<T, 16>;

impl<T, const PRESENT: u8> Field<T, PRESENT> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<'a, T: Arbitrary<'a>, const PRESENT: u8> Arbitrary<'a> for Field<T, PRESENT> {
    fn arbitrary(random: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u8::arbitrary(random)? {
            which if which < PRESENT => Self::Is(T::arbitrary(random)?),
            which @ 254.. => Self::Odd(which.wrapping_add(u8::arbitrary(random)?)),
            which if which % 4 == 0 => Self::Null,
            _ => Self::Absent,
        })
    }
}

impl<T: Serialize, const PRESENT: u8> Serialize for Field<T, PRESENT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let value = match self {
            Self::Is(value) => return value.serialize(serializer),
            Self::Absent | Self::Null => Value::Null,
            Self::Odd(which) => match which % 6 {
                0 => json!(true),
                1 => json!(7),
                2 => json!(-0.5),
                3 => json!("odd"),
                4 => json!([{}]),
                _ => json!({"name": "odd"}),
            },
        };
        value.serialize(serializer)
    }
}

type List<T> = Field<Vec<Field<T, 240>>>;

/// Defines objects with fields of a name, where `Field`s that are absent are not written.
macro_rules! objects {
    ($($name:ident { $($field:ident: $type:ty = $key:literal),* $(,)? })*) => {$(
        #[derive(Arbitrary, Debug, Serialize)]
        struct $name {
            $(#[serde(rename = $key, skip_serializing_if = "Field::is_absent")] $field: $type,)*
        }
    )*};
}

objects! {
    Object {
        metadata: Field<Metadata> = "metadata",
        spec: Field<Spec> = "spec",
        secrets: Field<Vec<Field<Secret, 240>>, 100> = "imagePullSecrets",
        status: Rare<Any> = "status",
    }
    Metadata {
        name: Field<Name> = "name",
        generate_name: Rare<Name> = "generateName",
        deletion_timestamp: Rare<Text> = "deletionTimestamp",
        annotations: Field<Annotations> = "annotations",
        managed_fields: Field<Vec<Field<ManagedFields, 240>>, 100> = "managedFields",
    }
    Annotations {
        mirror: Rare<Any> = "kubernetes.io/config.mirror",
        class: Field<Class, 60> = "volume.beta.kubernetes.io/storage-class",
        other: Field<Text> = "a~b/c",
    }
    ManagedFields {
        manager: Field<Text> = "manager",
        fields: Field<Fields> = "fieldsV1",
    }
    Fields {
        metadata: Field<Any> = "f:metadata",
        spec: Field<SpecFields> = "f:spec",
    }
    SpecFields {
        class: Field<Any, 100> = "f:storageClassName",
        other: Field<Any> = "f:volumeMode",
    }
    Spec {
        init_containers: List<Container> = "initContainers",
        containers: List<Container> = "containers",
        ephemeral_containers: List<Container> = "ephemeralContainers",
        volumes: List<Volume> = "volumes",
        secrets: List<Secret> = "imagePullSecrets",
        class: Field<Class> = "storageClassName",
        other: Field<Any> = "nodeSelector",
    }
    Container {
        name: Field<Name> = "name",
        image: Field<Image> = "image",
        policy: Field<PullPolicy> = "imagePullPolicy",
        other: Field<Any> = "resources",
    }
    Volume {
        name: Field<Name> = "name",
        image: Field<ImageSource> = "image",
        other: Rare<Any> = "emptyDir",
    }
    ImageSource {
        reference: Field<Image> = "reference",
        policy: Field<PullPolicy> = "pullPolicy",
        other: Rare<Any> = "other",
    }
    Secret {
        name: Field<SecretName> = "name",
        other: Rare<Any> = "other",
    }
}

/// What rules skip, or only look whether it is there: anything, nested around the deepest level that is read too.
#[derive(Debug)]
enum Any {
    Text(Text),
    Nested(u8),
}

impl<'a> Arbitrary<'a> for Any {
    fn arbitrary(random: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u8::arbitrary(random)? {
            which @ 0..32 => Self::Nested(118 + which % 10),
            _ => Self::Text(Text::arbitrary(random)?),
        })
    }
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Nested(levels) => {
                let deeper = |inner, level| match level % 2 {
                    0 => Value::Array(vec![inner]),
                    _ => Value::Object(Map::from_iter([("a".to_owned(), inner)])),
                };
                (0..*levels).fold(Value::Null, deeper).serialize(serializer)
            }
        }
    }
}

/// Defines texts that are one of a list more often than not.
macro_rules! texts {
    ($($name:ident [$($text:literal),* $(,)?])*) => {$(
        #[derive(Debug, Serialize)]
        struct $name(String);

        impl<'a> Arbitrary<'a> for $name {
            fn arbitrary(random: &mut Unstructured<'a>) -> Result<Self> {
                const KNOWN: &[&str] = &[$($text),*];
                let which = usize::from(u8::arbitrary(random)?);
                let text = if which < 224 { KNOWN[which % KNOWN.len()].to_owned() } else { String::arbitrary(random)? };
                Ok(Self(text))
            }
        }
    )*};
}

texts! {
    Namespace ["default", "kube-system", ""]
    Name ["a", "b", "c", "d", "a~b/c", "A", ""]
    Image [
        "nginx", "nginx:1", "library/nginx", "docker.io/nginx@sha256:0", "quay.io/a/b:2", "quay.io/b", "ghcr.io/acme/x",
        "bitnami/redis", "r.example/proxy/nginx:1", "r/a", "d.example/x", "q.example/a/b", "localhost:5000/x", "auto", "NOT ok",
        "a:b:c", "",
    ]
    PullPolicy ["Always", "IfNotPresent", "Never", ""]
    SecretName ["regcred", "two", "mine", ""]
    Class ["fast", "slow", ""]
    Text ["text", "", "\u{2028}<&>\u{0}"]
}
