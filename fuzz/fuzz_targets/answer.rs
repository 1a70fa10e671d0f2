//! From the body of a call to the body of its answer.
//!
//! Input: a byte that chooses the policy and the form, then a body, or bytes that a review is made from.
#![no_main]

use arbitrary::{Arbitrary as _, Unstructured};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_patch::{Patch, PatchOperation};
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use pullgate::policy::Policy;
use pullgate_fuzz::json::Tree;
use pullgate_fuzz::model::Fate;
use pullgate_fuzz::review::Review;
use pullgate_fuzz::{cost, model, policies};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

fuzz_target!(|input: &[u8]| -> Corpus {
    const MADE: u8 = 0x80;
    // A byte may stand for half a kilobyte of what is made.
    const LONGEST: usize = 4096;
    let Some((&selector, rest)) = input.split_first() else { return Corpus::Reject };
    let policy = policies::select(selector);
    if selector & MADE == 0 {
        is_answered(policy, rest);
    } else if let Ok(review) =
        Review::arbitrary_take_rest(Unstructured::new(&rest[..rest.len().min(LONGEST)]))
    {
        let sent = review.json(policy);
        let stored = is_answered(policy, sent.to_string().as_bytes());
        // A list that has a name twice is refused by the API server.
        if let Some(stored) = stored
            && review.is_repeated_apply()
            && model::has_unique_names(&sent["request"]["object"])
        {
            assert_eq!(
                stored, sent["request"]["oldObject"],
                "a manifest that is applied again changes something: {sent}"
            );
        }
    }
    cost::keep(input)
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    cost::mutate(data, size, max_size, seed)
});

/// Checks the answer to a body; returns the object as it will be stored, where the answer is a patch or nothing.
fn is_answered(policy: &Policy, body: &[u8]) -> Option<Value> {
    let answer = || pullgate::answer::answer(policy, body, |_| {});
    let answered = cost::bounded(body.len(), answer);
    let shown = String::from_utf8_lossy(body);
    let answered = match answered {
        Ok(answered) => answered,
        Err(problem) => {
            assert!(!is_review(body), "HTTP 400, {problem}: {shown}");
            let problem = problem.to_string();
            assert!(!problem.is_empty() && !problem.contains(char::is_control), "{problem:?}");
            return None;
        }
    };
    assert_eq!(answer().as_ref(), Ok(&answered), "one body has two answers: {shown}");
    let answered: Value = serde_json::from_slice(&answered).expect("an answer is JSON");
    is_sound(body);
    // Numbers and surrogates that a strict reader refuses may stand where nobody looks.
    let Ok(sent) = serde_json::from_slice::<Value>(body) else { return None };
    assert_eq!(answered["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answered["kind"], "AdmissionReview");
    assert_eq!(answered.as_object().map(serde_json::Map::len), Some(3), "{answered}");
    let (request, response) = (&sent["request"], &answered["response"]);
    assert_eq!(response["uid"], request["uid"]);
    is_printable(response);
    let fate = model::fate(policy, request);
    if response["allowed"] == json!(false) {
        assert_eq!(fate, Fate::Denied, "{answered}: {shown}");
        let status = &response["status"];
        assert!(status["code"].as_u64().is_some_and(|code| code >= 400), "{answered}");
        assert!(status["message"].as_str().is_some_and(|text| !text.is_empty()), "{answered}");
        assert!(status["reason"].is_string() && response["patch"].is_null(), "{answered}");
        return None;
    }
    assert_eq!((&response["allowed"], &response["status"]), (&json!(true), &Value::Null), "{answered}");
    let stored = patched(&request["object"], response);
    match fate {
        Fate::Stored(expected) => assert_eq!(stored, expected, "{shown}"),
        Fate::Denied => panic!("an object that cannot be read is admitted: {shown}"),
        Fate::Open => {}
    }
    is_final(policy, &sent, &stored);
    Some(stored)
}

/// Whatever is answered is JSON, in UTF-8, not too deep, and has no key twice where rules look.
fn is_sound(body: &[u8]) {
    let text = std::str::from_utf8(body).expect("what was answered is UTF-8");
    serde_json::from_str::<IgnoredAny>(text).expect("what was answered is JSON");
    let shape: Tree = match serde_json::from_str(text) {
        Ok(shape) => shape,
        Err(error) => {
            let error = error.to_string();
            return assert!(!error.contains("recursion"), "what was answered is too deep: {error}");
        }
    };
    assert!(!has_repeated_key(&shape), "a key is there twice: {text}");
}

/// Whether the envelope, or a part of the object that rules read, has a key twice.
fn has_repeated_key(review: &Tree) -> bool {
    let request: Vec<_> = review.all("request").collect();
    let objects: Vec<_> = children(&request, &["object", "oldObject"]);
    let specs = children(&objects, &["spec"]);
    let lists = [
        children(&objects, &["imagePullSecrets"]),
        children(
            &specs,
            &["containers", "initContainers", "ephemeralContainers", "volumes", "imagePullSecrets"],
        ),
    ]
    .concat();
    let elements: Vec<_> = lists.into_iter().flat_map(Tree::elements).collect();
    [
        vec![review],
        children(&request, &["kind", "resource"]),
        children(&objects, &["metadata"]),
        request,
        objects,
        specs,
        elements,
    ]
    .concat()
    .into_iter()
    .any(Tree::repeats)
}

fn children<'a>(parents: &[&'a Tree], keys: &[&str]) -> Vec<&'a Tree> {
    parents.iter().flat_map(|parent| keys.iter().flat_map(|key| parent.all(key))).collect()
}

/// Whether a body is a review beyond doubt, which is less than what is answered.
fn is_review(body: &[u8]) -> bool {
    const MOST_KEYS: usize = 10_000;
    let (Ok(sent), Ok(shape)) = (serde_json::from_slice::<Value>(body), serde_json::from_slice::<Tree>(body))
    else {
        return false;
    };
    let text = |value: &Value| value.is_null() || value.is_string();
    let texts = |value: &Value| {
        value.is_null() || value.as_object().is_some_and(|members| members.values().all(text))
    };
    let request = &sent["request"];
    std::str::from_utf8(body).is_ok()
        && !shape.repeats_anywhere()
        && shape.width() <= MOST_KEYS
        && sent["apiVersion"] == "admission.k8s.io/v1"
        && sent["kind"] == "AdmissionReview"
        && request["uid"].as_str().is_some_and(|uid| !uid.is_empty())
        && ["kind", "resource"].iter().all(|key| texts(&request[key]))
        && ["subResource", "name", "namespace", "operation"].iter().all(|key| text(&request[key]))
}

/// Warnings and audit annotations are such that the API server shows them.
fn is_printable(response: &Value) {
    let warnings: Vec<_> = response["warnings"].as_array().into_iter().flatten().collect();
    assert!(warnings.len() <= 5, "{response}");
    for warning in warnings {
        let warning = warning.as_str().expect("a warning is a text");
        assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control), "{warning:?}");
    }
    for (key, value) in response["auditAnnotations"].as_object().into_iter().flatten() {
        assert!(!key.contains('/') && key.len() <= 63 && value.is_string(), "{key:?}: {value}");
    }
}

/// Applies the patch of a response to the object that was sent.
fn patched(object: &Value, response: &Value) -> Value {
    let mut object = object.clone();
    assert_eq!(response["patch"].is_null(), response["patchType"].is_null(), "{response}");
    if response["patch"].is_null() {
        return object;
    }
    assert_eq!(response["patchType"], "JSONPatch");
    let patch =
        STANDARD.decode(response["patch"].as_str().expect("a patch is a text")).expect("it is base64");
    let shown = String::from_utf8_lossy(&patch);
    let patch: Patch = serde_json::from_slice(&patch).unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert!(!patch.0.is_empty(), "a patch does something");
    for operation in &patch.0 {
        assert!(matches!(operation, PatchOperation::Add(_) | PatchOperation::Replace(_)), "{operation}");
    }
    json_patch::patch(&mut object, &patch).unwrap_or_else(|error| panic!("{error}: {shown} on {object}"));
    object
}

/// Asked about what is stored, the webhook changes nothing.
fn is_final(policy: &Policy, sent: &Value, stored: &Value) {
    let mut again = sent.clone();
    again["request"]["object"] = stored.clone();
    let answered =
        pullgate::answer::answer(policy, again.to_string().as_bytes(), |_| {}).expect("it was a review");
    let answered: Value = serde_json::from_slice(&answered).expect("an answer is JSON");
    // A list that an append made longer than a list may be is the one object that is made and cannot be read.
    let allowed = model::fate(policy, &again["request"]) != Fate::Denied;
    assert_eq!(answered["response"]["allowed"], json!(allowed), "{again}");
    assert_eq!(answered["response"]["patch"], Value::Null, "{again}");
}
