//! Bodies that are no review, and what comes of them: a refusal, and nothing else for anybody else.

use crate::support::{REVIEW, Webhook};

const RULES: &[(&str, &str)] = &[("REGISTRY", "registry.example")];

/// A review around a Pod; `REQUEST` and so on are places to break it at.
const WHOLE: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview",TOP"request":{"uid":"u-1",REQUEST
"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},
"operation":"CREATE","namespace":"shop","object":{OBJECT"metadata":{"name":"web",METADATA"labels":{}},
"spec":{SPEC"containers":[{"name":"c",CONTAINER"image":"nginx"}],"volumes":[{"name":"v",VOLUME"image":{IMAGE"reference":"a"}}]},
"status":{STATUS"phase":""}},"oldObject":null,"options":{OPTIONS"a":1}}}"#;
const PLACES: [&str; 9] =
    ["TOP", "REQUEST", "OBJECT", "METADATA", "SPEC", "CONTAINER", "VOLUME", "STATUS", "OPTIONS"];

/// The review with `text` at one place.
fn with(place: &str, text: &str) -> String {
    let broken = WHOLE.replacen(place, text, 1);
    PLACES.iter().chain(&["IMAGE"]).fold(broken, |review, place| review.replacen(place, "", 1))
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// Every body is refused with 400 and one short line that holds `says`, on one connection, which stays usable.
fn assert_refused<'a>(cases: impl IntoIterator<Item = (&'a [u8], &'a str)>) {
    let webhook = Webhook::start(RULES);
    let mut client = webhook.connect();
    let mut refusals = 0;
    for (body, says) in cases {
        refusals += 1;
        let start = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        let refused = client.post(body);
        assert_eq!(refused.status, 400, "{start}");
        assert_eq!(refused.header("content-type"), Some("text/plain; charset=utf-8"), "{start}");
        let text = refused.text();
        assert!(text.contains(says), "{start}: {text}");
        assert!(text.len() < 500 && text.trim_end().lines().count() == 1, "{start}: {text}");
    }
    assert_eq!(client.post(REVIEW).status, 200, "the same connection");
    assert_eq!(webhook.connect().post(REVIEW).status, 200, "another connection");
    let series =
        r#"pullgate_admission_requests_total{resource="other",operation="other",outcome="bad_request"}"#;
    assert_eq!(webhook.metric(series), refusals.to_string());
}

#[test]
fn the_whole_review_is_accepted_before_it_is_broken() {
    let webhook = Webhook::start(RULES);
    let mut client = webhook.connect();
    let answered = client.post(with("", "").as_bytes());
    assert_eq!(answered.status, 200);
    assert_eq!(answered.json()["response"]["allowed"], true);
    for place in PLACES {
        let answered = client.post(with(place, r#""unknown":[1e999,{"\ud83d\ude00":null}],"#).as_bytes());
        assert_eq!(answered.json()["response"]["allowed"], true, "{place}");
    }
    assert_eq!(client.post(format!("\r\n\t {} \n\n", with("", "")).as_bytes()).status, 200);
}

#[test]
fn what_is_no_review_with_a_uid_is_refused() {
    let review = |request: &str| {
        format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"{request}}}"#)
    };
    let garbage =
        ["not json", "{", "[]", "null", "\"text\"", "7", "true", "\u{feff}{}", "{\"a\":}", "{,}", "\0"];
    let cases = garbage.map(|body| (body.to_owned(), "AdmissionReview"));
    let cases = cases.into_iter().chain([
        (String::new(), "empty"),
        ("{}".to_owned(), "admission.k8s.io/v1"),
        (review(""), "no request"),
        (review(r#","request":null"#), "no request"),
        (review(r#","response":{"uid":"u","allowed":true}"#), "no request"),
        (review(r#","request":{}"#), "no uid"),
        (review(r#","request":{"uid":null}"#), "no uid"),
        (review(r#","request":{"uid":""}"#), "no uid"),
        (review(r#","request":{"uid":7}"#), "AdmissionReview"),
        (review(r#","request":"u""#), "AdmissionReview"),
        (review(r#","request":["u"]"#), "AdmissionReview"),
        (with("", "").replacen("u-1", "", 1), "no uid"),
    ]);
    let cases: Vec<_> = cases.collect();
    assert_refused(cases.iter().map(|(body, says)| (body.as_bytes(), *says)));
}

#[test]
fn another_version_is_refused_by_naming_v1() {
    let v1 = "admission.k8s.io/v1\"";
    let older = with("", "").replacen(v1, "admission.k8s.io/v1beta1\"", 1);
    let unreadable = older.replacen(r#""spec":{"#, r#""spec":7,"other":{"#, 1);
    let cases = [
        older,
        unreadable,
        with("", "").replacen(v1, "admission.k8s.io/v2\"", 1),
        with("", "").replacen(v1, "\"", 1),
        with("", "").replacen(v1, &format!("{}\"", "x".repeat(100_000)), 1),
        with("", "").replacen("AdmissionReview", "Pod", 1),
    ];
    assert_refused(
        cases.iter().map(|body| (body.as_bytes(), "admission.k8s.io/v1 AdmissionReview is expected")),
    );
}

#[test]
fn a_repeated_key_is_refused_wherever_it_matters() {
    let cases: Vec<_> = [
        ("TOP", r#""kind":"AdmissionReview","#),
        ("TOP", r#""request":null,"#),
        ("TOP", r#""odd":1,"odd":2,"#),
        ("REQUEST", r#""uid":"u-2","#),
        ("REQUEST", r#""\u0075id":"u-2","#),
        ("REQUEST", r#""object":null,"#),
        ("REQUEST", r#""namespace":"kube-system","#),
        ("OBJECT", r#""spec":{},"#),
        ("OBJECT", r#""metadata":null,"#),
        ("METADATA", r#""name":"other","#),
        ("METADATA", r#""odd":1,"odd":1,"#),
        ("METADATA", r#""annotations":{"a":"1","a":"2"},"#),
        ("SPEC", r#""containers":[],"#),
        ("SPEC", r#""odd":1,"odd":1,"#),
        ("SPEC", r#""initContainers":[{"image":"a","image":"b"}],"#),
        ("CONTAINER", r#""image":"quay.io/x","#),
        ("CONTAINER", r#""odd":1,"odd":1,"#),
        ("VOLUME", r#""name":"w","#),
        ("VOLUME", r#""image":{},"#),
        ("IMAGE", r#""reference":"b","#),
    ]
    .into_iter()
    .map(|(place, text)| with(place, text))
    .collect();
    assert_refused(cases.iter().map(|body| (body.as_bytes(), "duplicate key")));
}

#[test]
fn nesting_of_128_is_refused_even_where_nothing_is_read() {
    // How deep each place lies already.
    let depths = [("TOP", 1), ("REQUEST", 2), ("OPTIONS", 3), ("STATUS", 4), ("SPEC", 4), ("CONTAINER", 6)];
    let at = |place: &str, depth: usize| with(place, &format!("\"deep\":{},", nested(depth)));
    let mut cases: Vec<_> = depths.iter().map(|(place, outer)| at(place, 128 - outer)).collect();
    cases.extend([nested(128), nested(1_000_000), "[".repeat(1_000_000), "{\"a\":".repeat(200_000)]);
    assert_refused(cases.iter().map(|body| (body.as_bytes(), "128 or more levels")));

    let webhook = Webhook::start(RULES);
    let mut client = webhook.connect();
    for (place, outer) in depths {
        let answered = client.post(at(place, 127 - outer).as_bytes());
        assert_eq!(
            (answered.status, &answered.json()["response"]["allowed"]),
            (200, &true.into()),
            "{place}"
        );
    }
}

#[test]
fn what_is_not_utf_8_is_refused_even_where_nothing_is_read() {
    let marked = |place: &str| with(place, r#""odd":"MARK","#);
    let mut cases = Vec::new();
    for bad in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82", b"\xf5\x80\x80\x80"] {
        for place in ["TOP", "METADATA", "OPTIONS"] {
            let review = marked(place);
            let (before, after) = review.split_once("MARK").unwrap();
            cases.push([before.as_bytes(), bad, after.as_bytes()].concat());
        }
    }
    assert_refused(cases.iter().map(|body| (body.as_slice(), "UTF-8")));
}

#[test]
fn what_follows_the_review_is_refused() {
    let whole = with("", "");
    let cases = ["x", "}", "{}", "\0", ",", "null", "\u{a0}"].map(|garbage| format!("{whole}{garbage}"));
    let cut = [&whole[..whole.len() - 1], &whole[..whole.len() / 2]];
    assert_refused(
        cases.iter().map(String::as_str).chain(cut).map(|body| (body.as_bytes(), "AdmissionReview")),
    );
}

#[test]
fn what_stands_where_something_else_is_expected_is_not_repeated() {
    let webhook = Webhook::start(RULES);
    let mut client = webhook.connect();
    let secret = r#"hunter2\", expected \" hunter2"#;
    let object = with("SPEC", &format!(r#""initContainers":"{secret}","#));
    let denied = client.post(object.as_bytes()).json();
    assert_eq!(denied["response"]["allowed"], false);
    assert_eq!(denied["response"]["status"]["code"], 400);
    assert!(!denied.to_string().contains("hunter2"), "{denied}");

    let refused = client.post(with("", "").replacen(r#""u-1""#, &format!(r#"["{secret}"]"#), 1).as_bytes());
    assert_eq!(refused.status, 400);
    let refused = client.post(with("REQUEST", &format!(r#""name":{{"a":"{secret}"}},"#)).as_bytes());
    assert!(!refused.text().contains("hunter2"), "{}", refused.text());
}
