//! The pure core stays pure: no module marked PURE may reach for a clock, the environment, the network, the log
//! or a runtime.

use std::fs;
use std::path::{Path, PathBuf};

/// What a pure module may not name, outside of its tests.
const FORBIDDEN: [&str; 15] = [
    "Instant",
    "SystemTime",
    "std::env",
    "std::fs",
    "std::net",
    "std::io",
    "std::process",
    "std::thread",
    "tokio",
    "actix",
    "async ",
    "log::",
    "rand::",
    "crate::webhook",
    "crate::config",
];

/// Modules that have to be pure, whatever their own comment says.
const CORE: [&str; 9] = [
    "admit.rs",
    "answer.rs",
    "image",
    "json.rs",
    "mutate",
    "object.rs",
    "patch.rs",
    "policy.rs",
    "review.rs",
];

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    fs::read_dir(path).unwrap().flat_map(|entry| sources(&entry.unwrap().path())).collect()
}

#[test]
fn pure_modules_use_nothing_from_outside() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let core: Vec<_> = CORE.iter().flat_map(|name| sources(&src.join(name))).collect();
    let mut found = Vec::new();
    for path in sources(&src) {
        let text = fs::read_to_string(&path).unwrap();
        let marked = text.starts_with("//! PURE");
        assert!(
            marked || !core.contains(&path),
            "{} is part of the core and not marked PURE",
            path.display()
        );
        if !marked {
            continue;
        }
        let product = text.split("#[cfg(test)]").next().unwrap();
        let lines = product.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, line) in lines {
            for name in FORBIDDEN.iter().filter(|name| line.contains(**name)) {
                found.push(format!("{}:{}: {name}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "forbidden in pure modules:\n{}", found.join("\n"));
}

/// What the network reaches holds nothing worth stealing: the webhook has no client for the API server.
#[test]
fn only_commands_with_rights_can_reach_the_api_server() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut privileged = sources(&src.join("controller"));
    privileged.extend(sources(&src.join("doctor")));
    privileged.extend(
        ["register.rs", "api_server.rs", "images/cluster.rs", "images/logins.rs"].map(|name| src.join(name)),
    );
    let naming = |words: &[&str]| -> Vec<PathBuf> {
        let names = |path: &PathBuf| {
            let text = fs::read_to_string(path).unwrap();
            !privileged.contains(path) && words.iter().any(|word| text.contains(word))
        };
        let mut found: Vec<_> = sources(&src).into_iter().filter(names).collect();
        found.sort();
        found
    };
    assert_eq!(naming(&["kube::", "k8s_openapi::", "crate::api_server"]), Vec::<PathBuf>::new());
    assert_eq!(
        naming(&["crate::register", "crate::controller"]),
        [src.join("cli/mod.rs"), src.join("cli/serve.rs")]
    );
}

#[test]
fn no_source_file_is_longer_than_a_sitting() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let too_long: Vec<_> = sources(&src)
        .into_iter()
        .filter(|path| fs::read_to_string(path).unwrap().lines().count() > 400)
        .collect();
    assert!(too_long.is_empty(), "over 400 lines: {too_long:?}");
}
