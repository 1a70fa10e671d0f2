//! What `pullgate mutate` makes of any text.
//!
//! Input: a byte that chooses the policy and the options, then the text.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use pullgate::offline::yaml::{Document, print, read};
use pullgate::offline::{CHANGED, FAILED, FINE, Options, Streams, run};
use pullgate::policy::Policy;
use pullgate_fuzz::{cost, json, policies};
use serde_json::Value;

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((&selector, text)) = input.split_first() else { return Corpus::Reject };
    if let Ok(text) = std::str::from_utf8(text) {
        survives_printing(text);
        is_read_as_json(text);
    }
    let policy = policies::select(selector);
    let (diff, explain) = (selector & 0x40 != 0, selector & 0x80 != 0);
    if diff || explain {
        mutate(policy, text, Options { diff, explain, ..Options::default() });
    } else {
        is_mutated_once(policy, text);
    }
    cost::keep(input)
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    cost::mutate(data, size, max_size, seed)
});

/// Documents come in order, from lines that there are, and each is printed such that it is read as the same value.
fn survives_printing(text: &str) {
    // A carriage return alone ends a line too, to a parser of YAML.
    let lines = 1 + text.chars().filter(|c| matches!(c, '\n' | '\r')).count();
    for (Document { number, line, value }, expected) in
        cost::bounded(text.len(), || read(text)).into_iter().zip(1..)
    {
        assert_eq!(number, expected);
        assert!((1..=lines).contains(&line), "line {line} of {lines}");
        let Ok(value) = value else { continue };
        let printed = print(&value);
        let again: Vec<_> = read(&printed).into_iter().map(|document| document.value).collect();
        assert_eq!(again, [Ok(value)], "printed as {printed}");
    }
}

/// JSON is read as a reader of JSON reads it, but for `1.0`, which is `1`.
fn is_read_as_json(text: &str) {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    // Of two equal keys, one reader keeps one and the other refuses both.
    let shape: json::Tree = serde_json::from_str(text).expect("it is JSON");
    if !value.is_object() || shape.repeats_anywhere() {
        return;
    }
    let documents = read(text);
    assert_eq!(documents.len(), 1, "{text}");
    match &documents[0].value {
        Ok(is) => assert!(json::is_same(is, &value), "{is} is not {value}"),
        Err(error) => panic!("{error}: {value}"),
    }
}

fn mutate(policy: &Policy, mut text: &[u8], options: Options) -> (u8, Vec<u8>) {
    let bytes = text.len();
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let options = Options { namespace: "default".to_owned(), ..options };
    let mut streams =
        Streams { input: &mut text, output: &mut output, errors: &mut errors, terminal: options.diff };
    let status = cost::bounded(bytes, || run(&options, policy, &mut streams));
    assert_eq!(status == FAILED, errors.starts_with(b"error: ") || find(&errors, b"\nerror: "), "{status}");
    (status, output)
}

fn find(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// What came out goes in again and comes out the same.
fn is_mutated_once(policy: &Policy, text: &[u8]) {
    let options = || Options { exit_code: true, ..Options::default() };
    let (status, output) = mutate(policy, text, options());
    assert!([FINE, CHANGED, FAILED].contains(&status));
    if status != FAILED {
        let (status, again) = mutate(policy, &output, options());
        let shown = String::from_utf8_lossy;
        assert_eq!((status, shown(&again)), (FINE, shown(&output)));
    }
}
