//! Corners of reading reviews that are more than one fixture: what wins when several things are wrong, and what
//! bounds memory.

use std::ffi::OsString;

use pullgate::answer::answer;
use pullgate::config::load_policy;
use pullgate::policy::Policy;
use pullgate::review::BadReview;
use serde_json::{Value, json};

fn everything() -> Policy {
    let settings =
        [("REGISTRY", "r.example"), ("IMAGE_PULL_SECRET", "regcred"), ("FORCE_IMAGE_PULL_POLICY", "1")];
    load_policy(settings.map(|(name, value)| (OsString::from(name), OsString::from(value)))).unwrap().0
}

/// A request about a Pod, with `fields` as they are written.
fn request(operation: &str, subresource: &str, fields: &str) -> String {
    format!(
        r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"uid":"u",
        "resource":{{"group":"","version":"v1","resource":"pods"}},"subResource":"{subresource}",
        "operation":"{operation}",{fields}}}}}"#
    )
}

fn answered(review: &str) -> Result<Value, BadReview> {
    answer(&everything(), review.as_bytes(), |_| {}).map(|body| serde_json::from_slice(&body).unwrap())
}

fn message(answered: &Value) -> &str {
    assert_eq!(
        (&answered["response"]["allowed"], &answered["response"]["uid"]),
        (&json!(false), &json!("u"))
    );
    answered["response"]["status"]["message"].as_str().unwrap()
}

#[test]
fn a_repeated_key_is_refused_even_behind_a_value_of_the_wrong_type() {
    let object = r#""object":{"metadata":{"name":5},"spec":{"containers":[{"image":"a","image":"b"}]}}"#;
    let error = answered(&request("CREATE", "", object)).unwrap_err().to_string();
    assert!(error.contains("duplicate key \"image\""), "{error}");
}

#[test]
fn no_object_is_nothing_to_refuse_whatever_the_old_one_is() {
    let answered = answered(&request("CREATE", "", r#""object":null,"oldObject":{"spec":7}"#)).unwrap();
    assert_eq!(answered["response"]["allowed"], true);
}

#[test]
fn a_value_of_the_wrong_type_is_not_quoted() {
    for value in ["12345678", "1234.5678", "\"12345678\"", "true", "{\"k\":\"12345678\"}"] {
        let object = format!(r#""object":{{"spec":{{"containers":{value}}}}}"#);
        let answered = answered(&request("CREATE", "", &object)).unwrap();
        assert!(
            message(&answered).starts_with("pullgate cannot read the object: invalid type: "),
            "{answered}"
        );
        assert!(
            !answered.to_string().contains("5678") && !answered.to_string().contains("true"),
            "{answered}"
        );
    }
}

#[test]
fn ephemeral_containers_without_the_old_object_get_their_images_only() {
    let containers = r#"[{"name":"d","image":"busybox:1","imagePullPolicy":"Never"}]"#;
    let object = format!(r#""object":{{"spec":{{"ephemeralContainers":{containers}}}}}"#);
    let mut paths = Vec::new();
    answer(&everything(), request("UPDATE", "ephemeralcontainers", &object).as_bytes(), |admitted| {
        paths = admitted.verdict.operations.iter().map(|operation| operation.path.to_string()).collect();
    })
    .unwrap();
    assert_eq!(paths, ["/spec/ephemeralContainers/0/image"]);
}

#[test]
fn what_is_decoded_and_answered_is_bounded_by_more_than_the_bytes_of_the_body() {
    let list = |elements: usize| {
        format!(r#""object":{{"spec":{{"containers":[{}{{}}]}}}}"#, "{},".repeat(elements - 1))
    };
    assert_eq!(answered(&request("CREATE", "", &list(10_000))).unwrap()["response"]["allowed"], true);
    let refused = answered(&request("CREATE", "", &list(10_001))).unwrap();
    assert!(message(&refused).contains("a list has more than 10000 elements"), "{refused}");

    let keys: Vec<_> = (0..20_000).map(|i| format!("\"k{i}\":\"\"")).collect();
    let object = format!(r#""object":{{"metadata":{{"annotations":{{{}}}}}}}"#, keys.join(","));
    let error = answered(&request("CREATE", "", &object)).unwrap_err().to_string();
    assert!(error.contains("an object has more than 10000 keys"), "{error}");
}

/// Each place knows how deep it lies, so each is tried just below the limit and at it.
#[test]
fn nesting_is_bounded_to_the_level_wherever_it_is() {
    let places = [
        (1, "%"),
        (2, r#""request":{%}"#),
        (3, r#""request":{"kind":{%}}"#),
        (3, r#""request":{"resource":{%}}"#),
        (3, r#""request":{"object":{%}}"#),
        (3, r#""request":{"oldObject":{%}}"#),
        (4, r#""request":{"object":{"spec":{%}}}"#),
        (6, r#""request":{"object":{"spec":{"containers":[{%}]}}}"#),
        (6, r#""request":{"object":{"spec":{"initContainers":[{%}]}}}"#),
        (6, r#""request":{"object":{"spec":{"ephemeralContainers":[{%}]}}}"#),
        (6, r#""request":{"object":{"spec":{"volumes":[{%}]}}}"#),
        (7, r#""request":{"object":{"spec":{"volumes":[{"image":{%}}]}}}"#),
        (6, r#""request":{"object":{"spec":{"imagePullSecrets":[{%}]}}}"#),
        (4, r#""request":{"object":{"metadata":{%}}}"#),
        (5, r#""request":{"object":{"metadata":{"annotations":{%}}}}"#),
        (6, r#""request":{"object":{"metadata":{"managedFields":[{%}]}}}"#),
        (7, r#""request":{"object":{"metadata":{"managedFields":[{"fieldsV1":{%}}]}}}"#),
        (8, r#""request":{"object":{"metadata":{"managedFields":[{"fieldsV1":{"f:spec":{%}}}]}}}"#),
        (9, r#""request":{"object":{"metadata":{"managedFields":[{"fieldsV1":{"f:spec":{"f:x":{%}}}}]}}}"#),
    ];
    let keys = ["x", "kubernetes.io/config.mirror", "f:storageClassName"];
    for (level, place) in places {
        for key in keys {
            let body = |depth: usize| {
                let (open, close) = ("[".repeat(depth - level), "]".repeat(depth - level));
                let uid = if level == 1 { r#","request":{"uid":"u"}"# } else { "" };
                let place = place.replace('%', &format!(r#""{key}":{open}{close}"#));
                let place = place.replacen(r#""request":{"#, r#""request":{"uid":"u","#, 1);
                format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview",{place}{uid}}}"#)
            };
            assert!(answered(&body(127)).is_ok(), "{place} {key}");
            let error = answered(&body(128)).unwrap_err();
            assert!(error.to_string().contains("128 or more levels deep"), "{place} {key}: {error}");
        }
    }
}
