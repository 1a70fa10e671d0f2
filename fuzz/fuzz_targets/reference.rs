//! Image references and registry rules against the grammar.
//!
//! Input: lines of text, the image first, then `REGISTRY`, `REGISTRY_MAP` and `IGNORED_REGISTRIES`.
#![no_main]

use std::ffi::OsString;

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use pullgate::config::load_policy;
use pullgate::image::{Decision, Reference, RegistryRules};
use pullgate_fuzz::cost;

#[path = "../../tests/it/grammar.rs"]
mod grammar;
use grammar::{is_reference, suffix};

fuzz_target!(|text: &str| -> Corpus {
    let mut lines = text.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let image = line();
    is_parsed(image);
    let settings = [("REGISTRY", line()), ("REGISTRY_MAP", line()), ("IGNORED_REGISTRIES", line())];
    for parser in ["dot", "distribution"] {
        ends_at_the_registry(image, parser);
        // Rules that are refused at start decide nothing.
        if let Some(rules) = cost::bounded(text.len(), || rules(&settings, parser)) {
            cost::bounded(text.len(), || is_decided(&rules, image));
        }
    }
    cost::keep(text.as_bytes())
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    cost::mutate(data, size, max_size, seed)
});

fn rules(settings: &[(&str, &str)], parser: &str) -> Option<RegistryRules> {
    let settings = settings.iter().copied().chain([("IMAGE_PARSER", parser)]);
    load_policy(settings.map(|(name, value)| (OsString::from(name), OsString::from(value))))
        .ok()
        .map(|(policy, _)| policy.registries)
}

/// Exactly what the grammar has is parsed, into parts that are the whole.
fn is_parsed(image: &str) {
    let parsed = cost::bounded(image.len(), || Reference::parse(image));
    assert_eq!(parsed.is_ok(), is_reference(image), "{image:?}: {parsed:?}");
    let Ok(Reference { host, path, name, suffix: rest }) = parsed else { return };
    assert_eq!((format!("{name}{rest}").as_str(), rest), (image, suffix(image)));
    assert_eq!(host.map_or(path.to_owned(), |host| format!("{host}/{path}")), name);
}

/// A rewritten image is a reference, keeps tag and digest, is under its target, and stays.
fn is_decided(rules: &RegistryRules, image: &str) {
    let Decision::Rewrite { image: rewritten, source, target } = rules.decide(image) else { return };
    assert!(is_reference(image), "{image:?} is no reference, but became {rewritten:?}");
    assert!(is_reference(&rewritten), "{image:?} became {rewritten:?}, which is no reference");
    assert_eq!(suffix(image), suffix(&rewritten));
    assert!(rewritten.starts_with(&format!("{}/", target.text)), "{rewritten:?} is not under {target:?}");
    if let Some(source) = source {
        let key = Reference::parse(image).expect("it was parsed").key();
        assert!(key.starts_with(&format!("{}/", source.key)), "{image:?} is not under {source:?}");
    }
    let again = rules.decide(&rewritten);
    assert!(matches!(again, Decision::Keep(_)), "{image:?} became {rewritten:?}, then {again:?}");
}

/// With one registry and nothing else, every reference comes from there, and nothing else is touched.
fn ends_at_the_registry(image: &str, parser: &str) {
    let rules = rules(&[("REGISTRY", "t.example/hub")], parser).expect("the registry is valid");
    let result = match rules.decide(image) {
        Decision::Rewrite { image, .. } => image,
        Decision::Keep(_) => image.to_owned(),
    };
    if !is_reference(image) {
        assert_eq!(result, image);
    } else if image.len() < 200 {
        assert!(result.starts_with("t.example/hub/"), "{image:?} stayed {result:?}");
    }
}
