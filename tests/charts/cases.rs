//! Settings, as script, chart and kustomize are told them.

use serde_json::{Value, json};

/// What all overlays begin with.
pub(crate) const IMAGES: &str =
    "images: [{name: pullgate, newName: registry.example/infra/pullgate, newTag: '1'}]\n";

/// Settings, and how each of the three is told.
pub(crate) struct Case {
    pub(crate) script: &'static [(&'static str, &'static str)],
    pub(crate) chart: fn() -> Value,
    /// `{ca}` is the CA.
    pub(crate) kustomize: &'static str,
}

pub(crate) const CASES: &[Case] = &[
    // As in README.md.
    Case {
        script: &[("REGISTRY", "registry.example"), ("IMAGE_PULL_SECRET", "regcred")],
        chart: || json!({"settings": {"REGISTRY": "registry.example", "IMAGE_PULL_SECRET": "regcred"}}),
        kustomize: r"
resources: [../base]
configMapGenerator:
  - {name: pullgate-settings, behavior: merge, literals: [REGISTRY=registry.example, IMAGE_PULL_SECRET=regcred]}
patches:
  - target: {kind: MutatingWebhookConfiguration}
    patch: |-
      - {op: add, path: /webhooks/0/clientConfig/caBundle, value: {ca}}
",
    },
    // Everything that the webhook can do, and every parameter.
    Case {
        script: &[
            ("REGISTRY_MAP", "docker.io=registry.example/hub,*=registry.example/other"),
            ("IGNORED_REGISTRIES", "registry.k8s.io"),
            ("IMAGE_PULL_SECRET", "regcred,team-reader"),
            ("IMAGE_PULL_SECRET_APPEND", "true"),
            ("FORCE_IMAGE_PULL_POLICY", "true"),
            ("DEFAULT_STORAGE_CLASS", "fast"),
            ("EXCLUDE_NAMESPACES", "kube-public,ingress"),
            ("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME", "everywhere"),
            ("CONFIG_EXCLUDE_NAMESPACES", "kube-system,traefik"),
            ("SHUTDOWN_DELAY_SECONDS", "5"),
            ("MAX_BUFFERED_BYTES", "402653184"),
            ("PORT", "9443"),
            ("HEALTH_PORT", "9080"),
            ("FAILURE_POLICY", "Ignore"),
            ("REPLICAS", "3"),
            ("DEPLOYMENT_PULL_SECRET", "regcred"),
        ],
        chart: || {
            json!({
                "imagePullSecrets": ["regcred"],
                "registration": {"failurePolicy": "Ignore"},
                "webhook": {"replicas": 3},
                "settings": {
                    "REGISTRY_MAP": ["docker.io=registry.example/hub", "*=registry.example/other"],
                    "IGNORED_REGISTRIES": "registry.k8s.io",
                    "IMAGE_PULL_SECRET": ["regcred", "team-reader"],
                    "IMAGE_PULL_SECRET_APPEND": true,
                    "FORCE_IMAGE_PULL_POLICY": true,
                    "DEFAULT_STORAGE_CLASS": "fast",
                    "EXCLUDE_NAMESPACES": " kube-public, ingress,",
                    "CONFIG_TARGET_IMAGE_PULL_SECRET_NAME": "everywhere",
                    "CONFIG_EXCLUDE_NAMESPACES": ["kube-system", "traefik"],
                    "SHUTDOWN_DELAY_SECONDS": 5,
                    "MAX_BUFFERED_BYTES": 402_653_184,
                    "PORT": 9443,
                    "HEALTH_PORT": 9080,
                },
            })
        },
        // What the script and the chart derive from settings is said beside them.
        kustomize: r#"
resources: [../base]
components: [../components/claims, ../components/accounts]
replicas: [{name: pullgate, count: 3}]
configMapGenerator:
  - name: pullgate-settings
    behavior: merge
    literals:
      - REGISTRY_MAP=docker.io=registry.example/hub,*=registry.example/other
      - IGNORED_REGISTRIES=registry.k8s.io
      - IMAGE_PULL_SECRET=regcred,team-reader
      - IMAGE_PULL_SECRET_APPEND=true
      - FORCE_IMAGE_PULL_POLICY=true
      - DEFAULT_STORAGE_CLASS=fast
      - EXCLUDE_NAMESPACES=kube-public,ingress
      - CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=everywhere
      - CONFIG_EXCLUDE_NAMESPACES=kube-system,traefik
      - SHUTDOWN_DELAY_SECONDS=5
      - MAX_BUFFERED_BYTES=402653184
      - PORT=9443
      - HEALTH_PORT=9080
patches:
  - target: {kind: MutatingWebhookConfiguration}
    patch: |-
      - {op: add, path: /webhooks/0/clientConfig/caBundle, value: {ca}}
      - {op: add, path: /webhooks/1/clientConfig/caBundle, value: {ca}}
      - {op: add, path: /webhooks/2/clientConfig/caBundle, value: {ca}}
      - {op: replace, path: /webhooks/0/failurePolicy, value: Ignore}
      - {op: replace, path: /webhooks/1/failurePolicy, value: Ignore}
      - {op: replace, path: /webhooks/0/namespaceSelector/matchExpressions/0/values, value: [pullgate, kube-system, kube-public, ingress]}
      - {op: replace, path: /webhooks/1/namespaceSelector/matchExpressions/0/values, value: [pullgate, kube-system, kube-public, ingress]}
      - {op: replace, path: /webhooks/2/namespaceSelector/matchExpressions/0/values, value: [pullgate, kube-system, traefik]}
  - target: {kind: Deployment, name: pullgate}
    patch: |-
      - {op: add, path: /spec/template/spec/imagePullSecrets, value: [{name: regcred}]}
      - {op: replace, path: /spec/template/spec/terminationGracePeriodSeconds, value: 30}
      - {op: replace, path: /spec/template/spec/containers/0/resources/limits/memory, value: 768Mi}
      - {op: replace, path: /spec/template/spec/containers/0/ports/0/containerPort, value: 9443}
      - {op: replace, path: /spec/template/spec/containers/0/ports/1/containerPort, value: 9080}
replacements:
  - source: {kind: ConfigMap, name: pullgate-settings, fieldPath: data.CONFIG_TARGET_IMAGE_PULL_SECRET_NAME}
    targets:
      - select: {kind: MutatingWebhookConfiguration}
        fieldPaths: ["webhooks.[name=accounts.pullgate.svc].matchConditions.0.expression"]
        options: {delimiter: "'", index: 1}
"#,
    },
    // Claims alone: Pods are not registered.
    Case {
        script: &[("DEFAULT_STORAGE_CLASS", "fast")],
        chart: || json!({"settings": {"DEFAULT_STORAGE_CLASS": "fast"}}),
        kustomize: r"
resources: [../base]
components: [../components/claims]
configMapGenerator:
  - {name: pullgate-settings, behavior: merge, literals: [DEFAULT_STORAGE_CLASS=fast]}
patches:
  - target: {kind: MutatingWebhookConfiguration}
    patch: |-
      - {op: remove, path: /webhooks/0}
      - {op: add, path: /webhooks/0/clientConfig/caBundle, value: {ca}}
",
    },
    // With the controller, and rights for resources.
    Case {
        script: &[
            ("REGISTRY", "registry.example"),
            ("CONTROLLER", "yes"),
            ("RESOURCES", "yes"),
            ("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME", "image-pull-secret"),
            ("LOG_LEVEL", "debug"),
        ],
        chart: || {
            json!({
                "settings": {
                    "REGISTRY": "registry.example",
                    "CONFIG_TARGET_IMAGE_PULL_SECRET_NAME": "image-pull-secret",
                    "LOG_LEVEL": "debug",
                },
                "controller": {"enabled": true, "imagePullSecretResources": {"enabled": true}},
            })
        },
        kustomize: r"
resources: [../base, ../controller]
components: [../components/pull-secrets, ../components/resources, ../components/accounts]
configMapGenerator:
  - name: pullgate-settings
    behavior: merge
    literals: [REGISTRY=registry.example, CONFIG_TARGET_IMAGE_PULL_SECRET_NAME=image-pull-secret, LOG_LEVEL=debug]
  - {name: pullgate-controller-settings, behavior: merge, literals: [LOG_LEVEL=debug]}
patches:
  - target: {kind: MutatingWebhookConfiguration}
    patch: |-
      - {op: add, path: /webhooks/0/clientConfig/caBundle, value: {ca}}
      - {op: add, path: /webhooks/1/clientConfig/caBundle, value: {ca}}
",
    },
    // Certificates by the controller, which does nothing else.
    Case {
        script: &[
            ("REGISTRY", "registry.example"),
            ("CERTIFICATES", "self-managed"),
            ("CERTIFICATES_VALIDITY", "720h"),
            ("CERTIFICATES_OVERLAP", "1h30m"),
        ],
        chart: || {
            json!({
                "settings": {"REGISTRY": "registry.example"},
                "certificates": {"mode": "selfManaged", "validity": "720h", "overlap": "1h30m"},
            })
        },
        kustomize: r"
resources: [../base, ../controller]
components: [../components/self-managed]
configMapGenerator:
  - {name: pullgate-settings, behavior: merge, literals: [REGISTRY=registry.example]}
  - name: pullgate-controller-settings
    behavior: merge
    literals: [CERTIFICATES_VALIDITY=720h, CERTIFICATES_OVERLAP=1h30m]
",
    },
    // By a signer, beside pull secrets.
    Case {
        script: &[
            ("REGISTRY", "registry.example"),
            ("CONTROLLER", "yes"),
            ("CERTIFICATES", "csr"),
            ("CERTIFICATES_SIGNER_NAME", "example.com/serving"),
        ],
        chart: || {
            json!({
                "settings": {"REGISTRY": "registry.example"},
                "controller": {"enabled": true},
                "certificates": {"mode": "csr", "csr": {"signerName": "example.com/serving"}},
            })
        },
        // PULL_SECRETS is the default where it is not said.
        kustomize: r"
resources: [../base, ../controller]
components: [../components/csr, ../components/pull-secrets]
configMapGenerator:
  - {name: pullgate-settings, behavior: merge, literals: [REGISTRY=registry.example]}
  - name: pullgate-controller-settings
    behavior: merge
    literals: [CERTIFICATES_SIGNER_NAME=example.com/serving]
",
    },
    // By cert-manager.
    Case {
        script: &[("REGISTRY", "registry.example"), ("CERTIFICATES", "cert-manager")],
        chart: || json!({"settings": {"REGISTRY": "registry.example"}, "certificates": {"mode": "certManager"}}),
        kustomize: r"
resources: [../base]
components: [../components/cert-manager]
configMapGenerator:
  - {name: pullgate-settings, behavior: merge, literals: [REGISTRY=registry.example]}
",
    },
];

/// The chart alone: what an overlay would have to patch by hand is its user's.
pub(crate) type Derived = (&'static [(&'static str, &'static str)], fn() -> Value);

pub(crate) const DERIVED: &[Derived] = &[
    // A source of another name in another namespace, and what the webhook is told of it.
    (
        &[
            ("CONTROLLER", "yes"),
            ("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME", "everywhere"),
            ("CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME", "source"),
            ("CONFIG_SECRET_NAMESPACE", "credentials"),
            ("CONFIG_SERVICEACCOUNTS", "default,build-*"),
            ("CONFIG_EXCLUDED_NAMESPACES", "kube-system"),
        ],
        || {
            json!({
                "settings": {"CONFIG_TARGET_IMAGE_PULL_SECRET_NAME": "everywhere"},
                "controller": {"enabled": true, "settings": {
                    "CONFIG_SOURCE_IMAGE_PULL_SECRET_NAME": "source",
                    "CONFIG_SECRET_NAMESPACE": "credentials",
                    "CONFIG_SERVICEACCOUNTS": ["default", "build-*"],
                    "CONFIG_EXCLUDED_NAMESPACES": "kube-system",
                }},
            })
        },
    ),
    // The controller without the webhook.
    (
        &[
            ("CONTROLLER", "only"),
            ("CONFIG_ALLSERVICEACCOUNT", "true"),
            ("CONFIG_SECRETNAME", "one"),
            ("REPLICAS", "1"),
        ],
        || {
            json!({
                "webhook": {"enabled": false},
                "controller": {
                    "enabled": true,
                    "replicas": 1,
                    "settings": {"CONFIG_SECRETNAME": "one", "CONFIG_ALLSERVICEACCOUNT": true},
                },
            })
        },
    ),
    // Lists that are empty, which is not what unset ones are.
    (
        &[("CONFIG_TARGET_IMAGE_PULL_SECRET_NAME", "everywhere"), ("CONFIG_EXCLUDE_NAMESPACES", ",")],
        || json!({"settings": {"CONFIG_TARGET_IMAGE_PULL_SECRET_NAME": "everywhere", "CONFIG_EXCLUDE_NAMESPACES": []}}),
    ),
    // Bodies so small that the least limit counts.
    (
        &[
            ("FORCE_IMAGE_PULL_POLICY", "yes"),
            ("IMAGE_PULL_POLICY_TO_FORCE", "Never"),
            ("MAX_BUFFERED_BYTES", "25165824"),
        ],
        || {
            json!({"settings": {
                "FORCE_IMAGE_PULL_POLICY": true,
                "IMAGE_PULL_POLICY_TO_FORCE": "Never",
                "MAX_BUFFERED_BYTES": 25_165_824,
            }})
        },
    ),
];
