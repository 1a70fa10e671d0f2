//! Image references under several configurations: the table's, and every combination of what they are made of.

use super::reference_table::rows;

/// A configuration with both parsers, and the images that are tried under it.
pub(super) struct Group {
    pub(super) settings: Vec<(String, String)>,
    pub(super) images: Vec<String>,
}

impl Group {
    pub(super) fn settings(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// Configurations that every combination is tried under as well.
const THOROUGH: [&[(&str, &str)]; 3] = [
    &[("REGISTRY", "r.example/hub"), ("IGNORED_REGISTRIES", "quay.io/keep,localhost,docker.io/bitnami")],
    &[(
        "REGISTRY_MAP",
        "*=r.example/all,docker.io=r.example/hub,ghcr.io=R.Example:443/gh,ghcr.io/special=s.example,localhost=r.example/local",
    )],
    &[("REGISTRY_MAP", "docker.io/library=r.example/lib,quay.io:443=hub,registry:5000=docker.io")],
];

/// What the API server refuses by itself, with or without a policy.
fn is_refused_anyway(image: &str) -> bool {
    image.is_empty() || image.trim() != image
}

/// All of them.
pub(super) fn groups() -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for parser in ["dot", "distribution"] {
        let with_parser = |mut settings: Vec<(String, String)>| {
            settings.push(("IMAGE_PARSER".to_owned(), parser.to_owned()));
            settings
        };
        for row in
            rows().into_iter().filter(|row| !row.configuration.is_empty() && !is_refused_anyway(&row.image))
        {
            let settings = with_parser(row.configuration);
            match groups.iter_mut().find(|group| group.settings == settings) {
                Some(group) => group.images.push(row.image),
                None => groups.push(Group { settings, images: vec![row.image] }),
            }
        }
        groups.extend(THOROUGH.iter().map(|settings| {
            let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Group { settings: with_parser(settings.collect()), images: combinations() }
        }));
    }
    groups
}

const HOSTS: [&str; 30] = [
    "",
    "docker.io/",
    "index.docker.io/",
    "DOCKER.IO/",
    "docker.io:443/",
    "index.docker.io:443/",
    "docker.io:80/",
    "localhost/",
    "localhost:5000/",
    "quay.io/",
    "Quay.IO:443/",
    "quay.io:0443/",
    "ghcr.io/",
    "r.example/",
    "r.example:443/",
    "R.EXAMPLE/",
    "s.example/",
    "registry:5000/",
    "registry:05000/",
    "registry:65536/",
    "registry:0/",
    "[::1]:5000/",
    "[::1]/",
    "[ab]/",
    "[AB]/",
    "foo_bar.com/",
    "foo_bar.com:80/",
    "a..b/",
    "a.b-/",
    "Registry/",
];
const PATHS: [&str; 14] = [
    "x",
    "library/x",
    "special/x",
    "special2/x",
    "hub/x",
    "all/x",
    "keep/x",
    "bitnami/x",
    "gh/x",
    "a.b/c__d/e--f",
    "a___b",
    "A/x",
    "a//x",
    "x-",
];
const SUFFIXES: [&str; 6] = ["", ":1", ":", ":-x", "@sha256:", ":v1.2_3-4@sha256:"];

/// Each host with each path, and the suffixes in turn.
fn combinations() -> Vec<String> {
    let pairs = HOSTS.iter().flat_map(|host| PATHS.iter().map(move |path| (host, path)));
    pairs
        .zip(SUFFIXES.iter().cycle())
        .map(|((host, path), suffix)| {
            let hex = if suffix.ends_with("sha256:") { "0123456789abcdef".repeat(4) } else { String::new() };
            format!("{host}{path}{suffix}{hex}")
        })
        .collect()
}
