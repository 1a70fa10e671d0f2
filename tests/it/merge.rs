//! Several sources of credentials in one pull secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use pullgate::controller::entries::{BadCredentials, Entries, Format};
use pullgate::controller::memory::{remember, remembered};
use pullgate::controller::merge::{Condition, Conflict, Given, Origin, SourceState, merge};
use serde_json::{Value, json};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn config(content: &Value) -> Entries {
    Entries::read(Format::Config, content.to_string().as_bytes()).unwrap()
}

fn source(content: &Value, expires: Option<i64>) -> SourceState {
    let mut state = SourceState::default();
    state.gave(Given { entries: Arc::new(config(content)), expires: expires.map(at) });
    state
}

fn merged(sources: &[(&str, &SourceState)], now: i64) -> Value {
    serde_json::from_slice(&merge(sources, at(now)).entries.config()).unwrap()
}

#[test]
fn registries_of_all_sources_are_there_and_nothing_is_lost() {
    let one = json!({"auths": {"a.example": {"auth": "dTpw", "email": "e@x", "identitytoken": "t", "unknown": {"x": [1, null]}}}});
    let two = json!({"auths": {"b.example": {"auth": "dTpx"}}, "HttpHeaders": {"User-Agent": "x"}});
    let (first, second) = (source(&one, None), source(&two, None));
    let both = merged(&[("n.one", &first), ("n.two", &second)], 0);
    assert_eq!(
        both,
        json!({
            "auths": {"a.example": one["auths"]["a.example"], "b.example": {"auth": "dTpx"}},
            "HttpHeaders": {"User-Agent": "x"},
        })
    );
    assert_eq!(both, merged(&[("n.two", &second), ("n.one", &first)], 0));
}

#[test]
fn the_later_source_wins_and_each_conflict_is_told() {
    let (a, b, c) = (
        source(
            &json!({"auths": {"r": {"auth": "YTph"}, "same": {"auth": "dTpw"}}, "HttpHeaders": {"X": "1"}}),
            None,
        ),
        source(
            &json!({"auths": {"r": {"auth": "Yjpi"}, "same": {"auth": "dTpw"}}, "HttpHeaders": {"X": "2"}}),
            None,
        ),
        source(&json!({"auths": {"r": {"auth": "YTph"}}}), None),
    );
    let conflict = |key: &str, taken: &str, dropped: &str| Conflict {
        key: key.to_owned(),
        taken: taken.to_owned(),
        dropped: dropped.to_owned(),
    };
    let all = merge(&[("n.a", &a), ("n.b", &b), ("n.c", &c)], at(0));
    // What a gives is what c gives.
    assert_eq!(all.conflicts, [conflict("r", "n.c", "n.b"), conflict("HttpHeaders", "n.b", "n.a")]);
    let content: Value = serde_json::from_slice(&all.entries.config()).unwrap();
    assert_eq!(content["auths"]["r"], json!({"auth": "YTph"}));
    assert_eq!(content["HttpHeaders"], json!({"X": "2"}));
    let origins: Vec<_> =
        all.origins.iter().map(|(name, origin)| (name.as_str(), origin.registries.clone())).collect();
    assert_eq!(origins, [("n.b", vec!["same".to_owned()]), ("n.c", vec!["r".to_owned()])]);
}

#[test]
fn what_has_expired_gives_way_but_is_not_erased() {
    let token = source(&json!({"auths": {"r": {"auth": "YTph"}, "only": {"auth": "YTph"}}}), Some(100));
    let steady = source(&json!({"auths": {"r": {"auth": "Yjpi"}}}), None);
    let sources = [("n.steady", &steady), ("n.token", &token)];
    assert_eq!(merged(&sources, 99)["auths"]["r"], json!({"auth": "YTph"}));
    assert_eq!(merged(&sources, 100)["auths"], json!({"r": {"auth": "Yjpi"}, "only": {"auth": "YTph"}}));
    assert_eq!(merge(&sources, at(0)).expires(), Some(at(100)));
}

#[test]
fn a_source_is_good_failing_or_expired() {
    let mut state = SourceState::default();
    assert_eq!(state.condition(at(0)), Condition::Failing("has not been read yet".to_owned()));
    state = source(&json!({"auths": {"r": {"auth": "YTph"}}}), Some(100));
    assert_eq!(state.condition(at(99)), Condition::Good);
    assert_eq!(state.condition(at(100)), Condition::Expired { since: at(100), problem: None });
    state.failed("throttled".to_owned());
    assert_eq!(state.condition(at(99)), Condition::Failing("throttled".to_owned()));
    assert_eq!(
        state.condition(at(101)),
        Condition::Expired { since: at(100), problem: Some("throttled".to_owned()) }
    );
}

#[test]
fn auth_is_computed_where_only_user_and_password_are_there() {
    for (entry, auth) in [
        (json!({"username": "u", "password": "p"}), json!("dTpw")),
        (json!({"username": "u", "password": "p", "auth": ""}), json!("dTpw")),
        (json!({"username": "u", "password": "p", "auth": null}), json!("dTpw")),
        (json!({"username": "u", "password": "p", "auth": "eDp5"}), json!("eDp5")),
        (json!({"username": "u"}), Value::Null),
        (json!({"identitytoken": "t"}), Value::Null),
    ] {
        let state = source(&json!({"auths": {"r": entry}}), None);
        let after = merged(&[("n.s", &state)], 0)["auths"]["r"].clone();
        assert_eq!(after["auth"], auth, "{entry}");
        for (key, value) in entry.as_object().unwrap().iter().filter(|(key, _)| *key != "auth") {
            assert_eq!(after[key], *value, "{entry}");
        }
    }
}

#[test]
fn the_older_format_is_taken_and_written_as_todays() {
    let legacy =
        Entries::read(Format::Legacy, br#"{"https://r.example/v1/":{"auth":"dTpw","email":"e@x"}}"#).unwrap();
    let config: Value = serde_json::from_slice(&legacy.config()).unwrap();
    assert_eq!(config, json!({"auths": {"https://r.example/v1/": {"auth": "dTpw", "email": "e@x"}}}));
    let read = |json: &str| Entries::read(Format::Legacy, json.as_bytes()).map(|_| ()).unwrap_err();
    assert_eq!(read("{}"), BadCredentials::NoRegistries(".dockercfg"));
    assert_eq!(read("[]"), BadCredentials::NoRegistries(".dockercfg"));
    assert_eq!(read("{"), BadCredentials::NotJson(".dockercfg"));
    assert_eq!(read(r#"{"r":7}"#), BadCredentials::NoEntry(".dockercfg", "r".to_owned()));
}

#[test]
fn a_login_is_user_and_password() {
    let config: Value =
        serde_json::from_slice(&Entries::login("r.example", "AWS", "to\"ken").config()).unwrap();
    assert_eq!(config, json!({"auths": {"r.example": {"auth": "QVdTOnRvImtlbg=="}}}));
}

/// What befalls one of the sources.
#[derive(Clone, Debug)]
enum Event {
    Gives { source: usize, content: u8, life: Option<i64> },
    Fails { source: usize },
    Passes { seconds: i64 },
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..3_usize, any::<u8>(), proptest::option::of(1..100_i64))
            .prop_map(|(source, content, life)| Event::Gives { source, content, life }),
        (0..3_usize).prop_map(|source| Event::Fails { source }),
        (1..60_i64).prop_map(|seconds| Event::Passes { seconds }),
    ]
}

proptest! {
    /// Whatever fails, expires and comes back: what a source gave is there until it gives something else, and while it is
    /// good nobody's expired content takes its place.
    #[test]
    fn it_never_gets_worse(events in vec(any_event(), 0..40)) {
        let names = ["n.0", "n.1", "n.2"];
        let mut states: [SourceState; 3] = Default::default();
        // The oracle: registries of each source, with content and end.
        let mut last: [BTreeMap<String, (String, Option<i64>)>; 3] = Default::default();
        let mut now = 0;
        for event in events {
            match event {
                Event::Gives { source: which, content, life } => {
                    let expires = life.map(|life| now + life);
                    // One registry of its own, and one that all share.
                    let auth = ["dTpw", "dTpx", "dTpy", "dTpz"][usize::from(content % 4)];
                    let own = format!("r{which}.example");
                    states[which] = source(&json!({"auths": {&own: {"auth": auth}, "shared": {"auth": auth}}}), expires);
                    let entry = (auth.to_owned(), expires);
                    last[which] = BTreeMap::from([(own, entry.clone()), ("shared".to_owned(), entry)]);
                }
                Event::Fails { source } => states[source].failed("no".to_owned()),
                Event::Passes { seconds } => now += seconds,
            }
            let sources: Vec<_> = names.into_iter().zip(&states).collect();
            let merged = merge(&sources, at(now));
            let content: Value = serde_json::from_slice(&merged.entries.config()).unwrap();
            let registries: std::collections::BTreeSet<_> = last.iter().flat_map(BTreeMap::keys).collect();
            prop_assert_eq!(content["auths"].as_object().unwrap().len(), registries.len());
            for registry in registries {
                let offers = || last.iter().filter_map(|source| source.get(registry));
                let is_good = |(_, expires): &&(String, Option<i64>)| expires.is_none_or(|expires| expires > now);
                let wins = offers().rfind(is_good).or_else(|| offers().next_back()).unwrap();
                prop_assert_eq!(content["auths"][registry]["auth"].as_str(), Some(wins.0.as_str()), "{}", registry);
            }
            prop_assert_eq!(merged.entries.is_empty(), last.iter().all(BTreeMap::is_empty));
        }
    }
}

/// Origins of so many registries each, with names of such lengths.
fn any_origins() -> impl Strategy<Value = BTreeMap<String, Origin>> {
    let origin = (0..400_usize, 1..150_usize, proptest::option::of(0..100_i64));
    vec(origin, 0..6).prop_map(|all| {
        let origin = |(place, (count, length, expires)): (usize, (usize, usize, Option<i64>))| {
            let registry = |n| format!("{n:04}.{place}.{}", "\"".repeat(length));
            (
                format!("n.{place}"),
                Origin { registries: (0..count).map(registry).collect(), expires: expires.map(at) },
            )
        };
        all.into_iter().enumerate().map(origin).collect()
    })
}

fn copy(origins: &BTreeMap<String, Origin>, memory: &str) -> Secret {
    let mut secret = Secret::default();
    let memory = ("pullgate/sources".to_owned(), memory.to_owned());
    secret.metadata.annotations = Some(BTreeMap::from([memory]));
    let registries = origins.values().flat_map(|origin| &origin.registries);
    let auths: serde_json::Map<_, _> =
        registries.map(|registry| (registry.clone(), json!({"auth": "dTpw"}))).collect();
    let content = json!({ "auths": auths }).to_string().into_bytes();
    secret.data = Some(BTreeMap::from([(".dockerconfigjson".to_owned(), ByteString(content))]));
    secret
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What there is room for is remembered as it was, and what there is none for is the largest.
    #[test]
    fn origins_are_remembered_as_far_as_there_is_room(origins in any_origins()) {
        const ROOM: usize = 64 * 1024;
        prop_assume!(origins.values().any(|origin| !origin.registries.is_empty()));
        let memory = remember(&origins);
        prop_assert!(memory.len() <= ROOM);
        let given = remembered(&copy(&origins, &memory)).unwrap();
        for (name, given) in &given {
            let registries: Vec<_> = given.entries.auths().map(|(registry, _)| registry).collect();
            prop_assert_eq!(&registries, &origins[name].registries);
            prop_assert_eq!(given.expires, origins[name].expires);
        }
        let alone = |name: &String| remember(&BTreeMap::from([(name.clone(), origins[name].clone())])).len();
        let left_out = origins.keys().filter(|name| !given.contains_key(*name)).map(alone);
        // What has no room by itself is nothing alone.
        if let Some(next) = left_out.filter(|length| *length > "{}".len()).min() {
            prop_assert!(memory.len() + next > ROOM);
            prop_assert!(given.keys().all(|name| alone(name) <= next));
        }
    }
}
