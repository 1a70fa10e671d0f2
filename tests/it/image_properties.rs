//! Properties of image references and rules, against the grammar of `grammar.rs`.

use std::ffi::OsString;

use proptest::prelude::*;
use pullgate::config::load_policy;
use pullgate::image::{Decision, RegistryRules};

use crate::grammar::{is_reference, suffix};

fn rules(
    registry: Option<&str>,
    map: &[(String, String)],
    ignored: &[String],
    parser: &str,
) -> Option<RegistryRules> {
    let map: Vec<_> = map.iter().map(|(source, target)| format!("{source}={target}")).collect();
    let mut environment = vec![("REGISTRY_MAP", map.join(",")), ("IGNORED_REGISTRIES", ignored.join(","))];
    environment.extend(registry.map(|registry| ("REGISTRY", registry.to_owned())));
    environment.push(("IMAGE_PARSER", parser.to_owned()));
    let environment =
        environment.into_iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load_policy(environment).ok().map(|(policy, _)| policy.registries)
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("docker.io".to_owned()),
        Just("index.docker.io".to_owned()),
        Just("DOCKER.IO".to_owned()),
        Just("quay.io".to_owned()),
        Just("Quay.IO:443".to_owned()),
        Just("localhost".to_owned()),
        Just("r.example".to_owned()),
        Just("r.example:443".to_owned()),
        Just("reg:5000".to_owned()),
        Just("[::1]:5000".to_owned()),
        Just("foo_bar.com".to_owned()),
        Just("r".to_owned()),
        "[a-zA-Z0-9._:-]{1,8}",
    ]
}

fn component() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("library".to_owned()),
        Just("proxy".to_owned()),
        Just("a".to_owned()),
        "[a-z0-9]{1,3}([._-][a-z0-9]{1,3})?",
        "[a-zA-Z0-9._-]{0,6}",
    ]
}

fn prefix() -> impl Strategy<Value = String> {
    (host(), proptest::collection::vec(component(), 0..3))
        .prop_map(|(host, path)| std::iter::once(host).chain(path).collect::<Vec<_>>().join("/"))
}

pub(crate) fn image() -> impl Strategy<Value = String> {
    let tag = prop_oneof![
        Just(String::new()),
        Just(":1.25".to_owned()),
        ":[A-Za-z0-9_.-]{0,5}",
        "[a-zA-Z0-9_]{127,129}".prop_map(|tag| format!(":{tag}")),
    ];
    let digest = prop_oneof![
        4 => Just(String::new()),
        1 => "[a-f0-9]{64}".prop_map(|hex| format!("@sha256:{hex}")),
        1 => "@sha(256|384|512):[a-fA-F0-9]{63,65}",
    ];
    let written = (proptest::option::of(host()), proptest::collection::vec(component(), 1..4), tag, digest)
        .prop_map(|(host, path, tag, digest)| {
            let name = host.into_iter().chain(path).collect::<Vec<_>>().join("/");
            format!("{name}{tag}{digest}")
        });
    let long = (host(), "[a-z0-9]{240,260}").prop_map(|(host, path)| format!("{host}/{path}"));
    prop_oneof![12 => written, 1 => long, 2 => "\\PC{0,30}", 2 => "[a-z./:@A\\[\\]_-]{0,20}", 1 => "(sha256:)?[a-fA-F0-9]{64}"]
}

/// `REGISTRY`, pairs of `REGISTRY_MAP`, `IGNORED_REGISTRIES`, `IMAGE_PARSER`.
type Settings = (Option<String>, Vec<(String, String)>, Vec<String>, &'static str);

fn configuration() -> impl Strategy<Value = Settings> {
    (
        proptest::option::weighted(0.7, prefix()),
        proptest::collection::vec((prop_oneof![4 => prefix(), 1 => Just("*".to_owned())], prefix()), 0..3),
        proptest::collection::vec(prefix(), 0..2),
        prop_oneof![Just("dot"), Just("distribution")],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_rewrite_is_a_reference_keeps_tag_and_digest_and_is_final(
        (registry, map, ignored, parser) in configuration(),
        image in image(),
    ) {
        // Configurations that are refused at start make no decisions.
        if let Some(rules) = rules(registry.as_deref(), &map, &ignored, parser)
            && let Decision::Rewrite { image: rewritten, .. } = rules.decide(&image)
        {
            prop_assert!(is_reference(&image), "{image:?} is no reference, but became {rewritten:?}");
            prop_assert!(is_reference(&rewritten), "{rewritten:?} is no reference");
            prop_assert_eq!(suffix(&image), suffix(&rewritten));
            prop_assert!(matches!(rules.decide(&rewritten), Decision::Keep(_)), "{:?} is rewritten again", rewritten);
        }
    }

    #[test]
    fn with_one_registry_exactly_the_references_end_up_there(image in image()) {
        for parser in ["dot", "distribution"] {
            let rules = rules(Some("t.example/hub"), &[], &[], parser).unwrap();
            let result = match rules.decide(&image) {
                Decision::Rewrite { image, .. } => image,
                Decision::Keep(_) => image.clone(),
            };
            if is_reference(&image) && image.len() < 200 {
                prop_assert!(result.starts_with("t.example/hub/"), "{image:?} stayed {result:?}");
            } else if !is_reference(&image) {
                prop_assert_eq!(&result, &image);
            }
        }
    }

    #[test]
    fn any_text_has_a_decision(registry in "\\PC{0,20}", text in any::<String>()) {
        if let Some(rules) = rules(Some(&registry), &[], &[], "dot") {
            let _ = rules.decide(&text);
        }
    }
}
