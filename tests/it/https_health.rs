//! The plain port: health, and metrics that count what was just done.

use crate::support::{Client, REVIEW, Webhook, dial, get};

const RULES: &[(&str, &str)] = &[
    ("REGISTRY", "registry.example"),
    ("FORCE_IMAGE_PULL_POLICY", "true"),
    ("IMAGE_PULL_SECRET", "regcred"),
    ("IMAGE_PULL_SECRET_APPEND", "true"),
    ("DEFAULT_STORAGE_CLASS", "fast"),
];

macro_rules! case {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/cases/", $name, "/review.json"))
    };
}

#[test]
fn health_is_plain_and_separate() {
    let webhook = Webhook::start(RULES);
    for path in ["/livez", "/readyz"] {
        let answered = get(webhook.health, path);
        assert_eq!((answered.status, answered.text().as_str()), (200, "ok\n"), "{path}");
    }
    assert_eq!(get(webhook.health, "/mutate").status, 404);
    assert_eq!(Client::over(dial(webhook.health).unwrap()).post(REVIEW).status, 404);
}

#[test]
fn health_is_only_read() {
    let webhook = Webhook::start(RULES);
    let refused = |mut client: Client, path: &str| {
        client.head(&format!("POST {path}"), &["Content-Length: 0"]);
        let answered = client.response();
        assert_eq!((answered.status, answered.header("allow")), (405, Some("GET")), "{path}");
    };
    refused(webhook.connect(), "/debug/health");
    for path in ["/livez", "/readyz", "/metrics"] {
        refused(Client::over(dial(webhook.health).unwrap()), path);
    }
}

#[test]
fn what_is_alerted_on_is_there_before_the_first_call() {
    let webhook = Webhook::start(RULES);
    for outcome in ["bad_request", "overloaded", "panicked"] {
        let series = format!(
            "pullgate_admission_requests_total{{resource=\"other\",operation=\"other\",outcome=\"{outcome}\"}}"
        );
        assert_eq!(webhook.metric(&series), "0");
    }
}

#[test]
fn every_metric_is_there_after_one_call() {
    let webhook = Webhook::start(RULES);
    assert_eq!(webhook.connect().post(b"").status, 400);
    let answered = get(webhook.health, "/metrics");
    assert_eq!(
        answered.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = answered.text();
    for line in [
        "# TYPE pullgate_admission_requests counter",
        "# TYPE pullgate_admission_duration_seconds histogram",
        "# TYPE pullgate_patch_operations counter",
        "# TYPE pullgate_images counter",
        "# TYPE pullgate_tls_certificate_expiration_timestamp_seconds gauge",
        "# TYPE pullgate_tls_reloads counter",
        "# EOF",
    ] {
        assert!(text.lines().any(|is| is == line), "no {line} in:\n{text}");
    }
    assert_eq!(webhook.metric(r#"pullgate_admission_duration_seconds_bucket{le="0.0001"}"#), "0");
    assert_eq!(webhook.metric(r#"pullgate_tls_reloads_total{outcome="success"}"#), "0");
    assert_eq!(webhook.metric(r#"pullgate_tls_reloads_total{outcome="failure"}"#), "0");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(webhook.metric(&format!(r#"pullgate_build_info{{version="{version}"}}"#)), "1");
    let expires: f64 =
        webhook.metric("pullgate_tls_certificate_expiration_timestamp_seconds").parse().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let days = (expires - now) / 86400.0;
    assert!(days > 300.0 && days < 400.0, "expires in {days} days");
}

#[test]
fn metrics_count_what_was_admitted() {
    let webhook = Webhook::start(RULES);
    let mut client = webhook.connect();
    for (review, times) in [
        (&case!("recorded-pod-by-kubectl-create")[..], 2),
        (case!("recorded-pod-with-an-image-volume"), 1),
        (case!("recorded-label-of-a-pod-from-before"), 3),
        (case!("recorded-kubectl-debug"), 1),
        (case!("recorded-claim-by-kubectl-create-without-a-default-class"), 1),
        (case!("recorded-delete-of-a-pod"), 1),
        (case!("a-mirror-pod-is-never-patched"), 1),
        (case!("a-pod-whose-spec-is-a-string-is-denied"), 1),
        (case!("a-placeholder-is-left-alone-with-a-warning"), 1),
        (case!("a-service-account-is-left-alone"), 1),
    ] {
        for _ in 0..times {
            assert_eq!(client.post(review).status, 200);
        }
    }
    client.head("POST /mutate", &["Content-Length: 0"]);
    assert_eq!(client.response().status, 415);
    for (resource, operation, outcome, count) in [
        ("pods", "CREATE", "patched", "4"),
        ("pods", "UPDATE", "unchanged", "3"),
        ("pods/ephemeralcontainers", "UPDATE", "patched", "1"),
        ("persistentvolumeclaims", "CREATE", "patched", "1"),
        ("pods", "other", "unsupported", "1"),
        ("pods", "CREATE", "exempt", "1"),
        ("pods", "CREATE", "denied", "1"),
        ("serviceaccounts", "CREATE", "unsupported", "1"),
        ("other", "other", "unsupported_media_type", "1"),
    ] {
        let labels = format!(r#"resource="{resource}",operation="{operation}",outcome="{outcome}""#);
        assert_eq!(
            webhook.metric(&format!("pullgate_admission_requests_total{{{labels}}}")),
            count,
            "{labels}"
        );
    }
    // Images: two of the same Pod, a container and a volume, a debug container; `auto` is none.
    for (outcome, count) in [
        ("rewritten", "5"),
        ("unparsable", "1"),
        ("ignored", "0"),
        ("at_target", "0"),
        ("no_rule", "0"),
        ("empty", "0"),
    ] {
        assert_eq!(
            webhook.metric(&format!(r#"pullgate_images_total{{outcome="{outcome}"}}"#)),
            count,
            "{outcome}"
        );
    }
    for (mutator, count) in
        [("image", "5"), ("pull_policy", "6"), ("pull_secret", "4"), ("storage_class", "1")]
    {
        let series = format!(r#"pullgate_patch_operations_total{{mutator="{mutator}"}}"#);
        assert_eq!(webhook.metric(&series), count, "{mutator}");
    }
    assert_eq!(webhook.metric("pullgate_admission_duration_seconds_count"), "13");

    let text = get(webhook.health, "/metrics").text();
    for name in ["shop", "web", "nginx", "registry.example", "regcred", "fast", "e2e-admin"] {
        assert!(!text.contains(&format!("\"{name}")), "{name} in:\n{text}");
    }
}
