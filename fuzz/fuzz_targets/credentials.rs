//! What pull secrets hold, in both formats, and several of them in one.
//!
//! Input: sources, divided by zero bytes. Each is a byte that chooses the format and when it expires, then the content.
#![no_main]

use k8s_openapi::jiff::Timestamp;
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use pullgate::controller::entries::{Entries, Format};
use pullgate::controller::merge::{Given, SourceState, merge};
use pullgate_fuzz::{cost, json};
use serde_json::{Map, Value};

fuzz_target!(|input: &[u8]| -> Corpus {
    let sources: Vec<_> = input.split(|byte| *byte == 0).filter_map(|source| source.split_first()).collect();
    let read: Vec<_> = sources.iter().filter_map(|(selector, content)| read(**selector, content)).collect();
    is_merged(input.len(), &read);
    cost::keep(input)
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    cost::mutate(data, size, max_size, seed)
});

/// A source, if its content can be used: then nothing of it is lost.
fn read(selector: u8, content: &[u8]) -> Option<Given> {
    let format = if selector & 1 == 0 { Format::Config } else { Format::Legacy };
    let read = cost::bounded(content.len(), || Entries::read(format, content));
    let entries = match read {
        Ok(entries) => entries,
        Err(error) => {
            assert!(error.to_string().starts_with(&format!("`{}`", format.key())), "{error}");
            return None;
        }
    };
    let written = entries.config();
    let again = Entries::read(Format::Config, &written).expect("what was written can be read");
    assert_eq!(text(&again), text(&entries), "written again");
    let is: Value = serde_json::from_slice(&written).expect("JSON");
    let shape: json::Tree = serde_json::from_slice(content).expect("JSON");
    let was: Value = serde_json::from_slice(content).expect("JSON");
    // Of a key that stands twice, the later one counts; it is not looked at here.
    if !shape.repeats_anywhere() {
        let was = if format == Format::Config {
            was
        } else {
            Value::from(Map::from_iter([("auths".to_owned(), was)]))
        };
        keeps(&is, &was);
    }
    // Expires at 0 (with 0 being now), later, or never.
    let expires = match selector >> 1 & 3 {
        0 => Some(Timestamp::UNIX_EPOCH),
        1 => Timestamp::from_second(1).ok(),
        _ => None,
    };
    Some(Given { entries: entries.into(), expires })
}

fn text(entries: &Entries) -> String {
    String::from_utf8_lossy(&entries.config()).into_owned()
}

/// All that there was is there, and nothing else but an `auth` made of user and password.
fn keeps(is: &Value, was: &Value) {
    let (Value::Object(is), Value::Object(was)) = (is, was) else { panic!("{was} became {is}") };
    assert!(is.keys().all(|key| was.contains_key(key)), "something came");
    for (key, was) in was {
        let is = is.get(key).unwrap_or_else(|| panic!("{key} is lost"));
        if key != "auths" {
            assert!(json::is_same(is, was), "{key}: {was} became {is}");
            continue;
        }
        for (registry, was) in was.as_object().expect("registries") {
            let (is, was) = (is[registry].as_object().expect("an entry"), was.as_object().expect("an entry"));
            for (part, was) in was {
                assert!(part == "auth" || json::is_same(&is[part], was), "{part}: {was} became {}", is[part]);
            }
            assert!(is.keys().all(|part| part == "auth" || was.contains_key(part)), "something came");
        }
    }
}

/// What sources give together: every registry of any of them, as the last one has it that has not expired.
fn is_merged(bytes: usize, sources: &[Given]) {
    let now = Timestamp::UNIX_EPOCH;
    let names: Vec<_> = (0..sources.len()).map(|place| format!("n.s{place}")).collect();
    let states: Vec<_> = sources
        .iter()
        .map(|given| SourceState { given: Some(given.clone()), ..SourceState::default() })
        .collect();
    let all: Vec<_> = names.iter().map(String::as_str).zip(&states).collect();
    let merged = cost::bounded(bytes, || merge(&all, now));
    let content: Vec<_> = merged.entries.auths().collect();
    let is_good = |given: &&Given| given.expires.is_none_or(|expires| expires > now);
    let offers = |registry: &str| {
        let of = |given: &Given| {
            given.entries.auths().find(|(name, _)| *name == registry).map(|(_, entry)| entry.digest())
        };
        let good = sources.iter().filter(is_good).filter_map(of).next_back();
        good.or_else(|| sources.iter().filter_map(of).next_back())
    };
    for (registry, entry) in &content {
        assert!(offers(registry) == Some(entry.digest()), "{registry:?} is not that of the last one");
    }
    for (registry, _) in sources.iter().flat_map(|given| given.entries.auths()) {
        assert!(content.binary_search_by_key(&registry, |(name, _)| name).is_ok(), "{registry:?} is lost");
    }
    let told: usize = merged.origins.values().map(|origin| origin.registries.len()).sum();
    assert_eq!(told, content.len(), "each registry comes from one source");
}
