//! PURE: the few fields of an admitted object that rules read, borrowed from its JSON.
//!
//! One view serves every kind: a Pod has containers, a `PersistentVolumeClaim` has a class, a `ServiceAccount` has
//! references to Secrets, and none minds the others' absence. Everything else in the object is skipped, so it cannot get lost: patches name single
//! fields of the raw object.

use crate::json::{List, Members, Present, Text, json_object};

/// Marks the API server's copy of a Pod that a kubelet runs from a file.
pub const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
/// Where a claim named its class before `spec.storageClassName` existed; still read first.
pub const BETA_STORAGE_CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

json_object! {
    /// A Pod, a `PersistentVolumeClaim` or a `ServiceAccount`.
    pub struct Object at 3 {
        /// Object metadata.
        metadata: Metadata<'a> = "metadata",
        /// The kind's specification.
        spec: Spec<'a> = "spec",
        /// `ServiceAccount`: references to pull secrets, which the Pods of the account get.
        image_pull_secrets: List<Option<AccountReference<'a>>> = "imagePullSecrets",
    }
}

json_object! {
    /// An entry of a `ServiceAccount`'s `imagePullSecrets`.
    pub struct AccountReference at 5 {
        /// A Secret of the account's namespace.
        name: Text<'a> = "name",
    }
}

json_object! {
    /// `metadata`.
    pub struct Metadata at 4 {
        /// Empty or absent while a generated name is pending.
        name: Text<'a> = "name",
        /// The prefix of a generated name.
        generate_name: Text<'a> = "generateName",
        /// Set while the object is being deleted.
        deletion_timestamp: Text<'a> = "deletionTimestamp",
        /// The annotations that rules ask for.
        annotations: Annotations<'a> = "annotations",
        /// Who set which field; kept only as far as claims need it.
        managed_fields: List<Option<ManagedFields<'a>>> = "managedFields",
    }
}

json_object! {
    /// The two annotations that rules read.
    pub struct Annotations at 5 {
        /// See [`MIRROR_ANNOTATION`].
        mirror: Present<'a, 5> = MIRROR_ANNOTATION,
        /// See [`BETA_STORAGE_CLASS_ANNOTATION`].
        beta_storage_class: Text<'a> = BETA_STORAGE_CLASS_ANNOTATION,
    }
}

json_object! {
    /// `spec` of a Pod or of a claim.
    pub struct Spec at 4 {
        /// Pod: regular containers.
        containers: List<Option<Container<'a>>> = "containers",
        /// Pod: init containers, sidecars included.
        init_containers: List<Option<Container<'a>>> = "initContainers",
        /// Pod: containers of `kubectl debug`.
        ephemeral_containers: List<Option<Container<'a>>> = "ephemeralContainers",
        /// Pod: volumes.
        volumes: List<Option<Volume<'a>>> = "volumes",
        /// Pod: references to pull secrets.
        image_pull_secrets: List<Option<SecretReference<'a>>> = "imagePullSecrets",
        /// Claim: the class; `""` asks for none.
        storage_class_name: Text<'a> = "storageClassName",
    }
}

json_object! {
    /// A container of any list.
    pub struct Container at 6 {
        /// Unique in the Pod.
        name: Text<'a> = "name",
        /// What it runs.
        image: Text<'a> = "image",
        /// When the image is pulled.
        image_pull_policy: Text<'a> = "imagePullPolicy",
    }
}

json_object! {
    /// A volume.
    pub struct Volume at 6 {
        /// Unique in the Pod.
        name: Text<'a> = "name",
        /// Present when the volume's content is an image.
        image: ImageSource<'a> = "image",
    }
}

json_object! {
    /// `volumes[*].image`.
    pub struct ImageSource at 7 {
        /// The image.
        reference: Text<'a> = "reference",
        /// When it is pulled.
        pull_policy: Text<'a> = "pullPolicy",
    }
}

json_object! {
    /// An entry of a Pod's `imagePullSecrets`.
    pub struct SecretReference at 6 {
        /// A Secret of the Pod's namespace.
        name: Text<'a> = "name",
    }
}

json_object! {
    /// An entry of `metadata.managedFields`.
    pub struct ManagedFields at 6 {
        /// The tree of fields.
        fields: FieldTree<'a> = "fieldsV1",
    }
}

json_object! {
    /// The top of a `fieldsV1` tree.
    pub struct FieldTree at 7 {
        /// Fields of the specification.
        spec: SpecFields<'a> = "f:spec",
    }
}

json_object! {
    /// Fields below `f:spec`. Those of one container are few enough to be skipped at once, those of all often are not.
    pub struct SpecFields at 8 skipping Members<Present<'de, 9>> {
        /// The class of a claim.
        storage_class_name: Present<'a, 8> = "f:storageClassName",
    }
}
