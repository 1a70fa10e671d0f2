//! The documents, manifests and examples say what the code does.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pullgate::admit::{Outcome, Resource, Verb};
use pullgate::answer::answer;
use pullgate::config::{Config, VARIABLES, load_policy, notices};
use pullgate::controller::metrics::Counts;
use pullgate::image::analysis::Notice;
use pullgate::image::{Decision, Malformed};
use pullgate::metrics::{Metrics, ReloadOutcome};
use pullgate::mutate::ImageOutcome;
use pullgate::patch::Mutator;

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Files with an extension, below a folder.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    fn visit(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, extension, found);
            } else if path.extension().is_some_and(|is| is == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    visit(&root().join(folder), extension, &mut found);
    assert!(!found.is_empty(), "{folder} has no .{extension}");
    found
}

fn environment<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(OsString, OsString)> {
    pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// `NAME=VALUE`s.
fn pairs<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<(OsString, OsString)> {
    environment(lines.into_iter().map(|line| line.split_once('=').unwrap()))
}

/// A table's rows, cells trimmed, after each line of which `header` is the beginning.
pub(crate) fn tables<'a>(text: &'a str, header: &str) -> Vec<(&'a str, Vec<Vec<&'a str>>)> {
    let mut found = Vec::new();
    let mut before = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with(header) {
            let rows = lines.by_ref().skip(1).take_while(|line| line.starts_with('|'));
            let cells = |row: &'a str| row.trim_matches('|').split(" | ").map(str::trim).collect();
            found.push((before, rows.map(cells).collect()));
        }
        if !line.trim().is_empty() {
            before = line;
        }
    }
    assert!(!found.is_empty(), "no table begins with {header}");
    found
}

/// The text in the first pair of backticks.
pub(crate) fn code(cell: &str) -> &str {
    cell.split('`').nth(1).unwrap_or_else(|| panic!("no `code` in: {cell}"))
}

/// Everything in backticks.
pub(crate) fn codes(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_tables_of_variables_are_complete_and_have_the_right_defaults() {
    let terminal = Config::load(Vec::new(), true).unwrap().effective;
    let file = Config::load(Vec::new(), false).unwrap().effective;
    let expected: Vec<(&str, BTreeSet<&str>)> = terminal
        .iter()
        .zip(&file)
        .map(|((name, a), (_, b))| (*name, [a.as_str(), b].into_iter().filter(|v| !v.is_empty()).collect()))
        .collect();
    for document in ["README.md", "docs/configuration.md"] {
        let text = read(document);
        let (_, rows) = &tables(&text, "| variable | default |")[0];
        let documented: Vec<_> = rows
            .iter()
            .map(|row| {
                assert!(row[1] == "unset" || row[1].contains('`'), "{document}: {row:?}");
                (code(row[0]), codes(row[1]))
            })
            .collect();
        assert_eq!(documented, expected, "{document}");
    }
}

#[test]
fn documented_examples_of_values_are_accepted() {
    let text = read("docs/configuration.md");
    let (_, rows) = &tables(&text, "| variable | default | accepted | example |")[0];
    for row in rows {
        let (name, value) = (code(row[0]), code(row[3]));
        let effective = Config::load(environment([(name, value)]), false).unwrap().effective;
        let default = Config::load(Vec::new(), false).unwrap().effective;
        if name != "LOG_FORMAT" {
            assert_ne!(effective, default, "{name}={value} has no effect");
        }
    }
}

#[test]
fn documented_errors_are_what_is_printed() {
    let mut seen = BTreeSet::new();
    for document in ["README.md", "docs/configuration.md"] {
        for line in read(document).lines().map(str::trim).filter(|line| line.starts_with("error: ")) {
            let (name, rest) = line["error: ".len()..].split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            if rest.starts_with("value\"") {
                continue; // the shape, not an example
            }
            let value = rest.split_once("\": ").unwrap_or_else(|| panic!("{line}")).0;
            let errors = Config::load(environment([(name, value)]), false).err().unwrap_or_default();
            let printed: Vec<_> = errors.iter().map(|error| format!("error: {error}")).collect();
            assert_eq!(printed, [line], "{document}");
            seen.insert(name.to_owned());
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
}

#[test]
fn the_documented_look_alike_is_warned_of() {
    let notices = notices(environment([("IGNORE_REGISTRIES", "x")]));
    let [Notice::Warning(text)] = notices.as_slice() else { panic!("{notices:?}") };
    assert!(codes(&read("docs/configuration.md")).contains(text.as_str()), "{text}");
}

#[test]
fn the_tables_of_parsers_show_what_they_do() {
    for document in ["README.md", "docs/image-references.md"] {
        let text = read(document);
        for (before, rows) in tables(&text, "| image | dot | distribution |") {
            for row in rows {
                for (parser, cell) in [("dot", row[1]), ("distribution", row[2])] {
                    let parser = ["IMAGE_PARSER=", parser].concat();
                    let settings = code(before).split_whitespace().chain([parser.as_str()]);
                    let (policy, _) = load_policy(pairs(settings)).unwrap();
                    let image = code(row[0]);
                    let expected = if cell == "unchanged" { image } else { code(cell) };
                    let is = match policy.registries.decide(image) {
                        Decision::Rewrite { image, .. } => image,
                        Decision::Keep(_) => image.to_owned(),
                    };
                    assert_eq!(is, expected, "{document}: {image} with {parser}");
                }
            }
        }
    }
}

#[test]
fn the_preview_in_the_readme_is_what_is_printed() {
    let text = read("README.md");
    let (command, shown) = text.split_once("pullgate mutate --diff examples/").unwrap();
    let settings = command.rsplit_once("$ ").unwrap().1.split_whitespace();
    let (path, shown) = shown.split_once('\n').unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pullgate"))
        .args(["mutate", "--diff", &["examples/", path].concat()])
        .current_dir(root())
        .env_clear()
        .envs(pairs(settings))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shown.split("```").next().unwrap());
}

#[test]
fn the_readme_installs_as_the_instructions_do() {
    let readme = read("README.md");
    let instructions =
        ["install", "helm", "kustomize"].map(|name| read(&format!("docs/{name}.md"))).join("\n");
    let known: BTreeSet<&str> = instructions.split("```").skip(1).step_by(2).flat_map(str::lines).collect();
    let section = readme.split("\n## ").find(|section| section.starts_with("Install\n")).unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|'));
    let in_table = rows.flat_map(codes).filter(|command| command.starts_with("kubectl "));
    let indented = section.lines().filter_map(|line| line.strip_prefix("    "));
    let fenced = section.split("```").skip(1).step_by(2).flat_map(|block| block.lines().skip(1));
    let commands: BTreeSet<&str> =
        in_table.chain(indented.flat_map(|line| line.split(" && "))).chain(fenced).collect();
    assert!(commands.len() > 5, "{commands:?}");
    assert!(commands.is_subset(&known), "not in the instructions: {:?}", &commands - &known);
}

#[test]
fn documented_warnings_give_reasons_that_exist() {
    let reasons = [
        Malformed::Identifier,
        Malformed::BareDigest,
        Malformed::Placeholder,
        Malformed::Host,
        Malformed::Path,
        Malformed::TooLong,
        Malformed::Tag,
        Malformed::Digest,
    ]
    .map(|reason| reason.to_string());
    let text = read("docs/metrics.md");
    let documented: Vec<_> = text.lines().filter(|line| line.trim().starts_with("Warning: ")).collect();
    assert!(!documented.is_empty());
    for line in documented {
        assert!(reasons.iter().any(|reason| line.ends_with(&[": ", reason].concat())), "{line}");
    }
}

#[test]
fn documented_metrics_are_those_that_exist() {
    let webhook = Metrics::default();
    webhook.call(Resource::Pods, Verb::Create, pullgate::metrics::CallOutcome::BadRequest);
    let controller = pullgate::controller::metrics::Metrics::default();
    controller.ends("u", vec![("r.example".to_owned(), k8s_openapi::jiff::Timestamp::UNIX_EPOCH)]);
    controller.certificate_expires(pullgate::controller::metrics::CertificateOf::Serving, Some(1));
    controller.certificates_in_order("self-managed", true);
    let text = read("docs/metrics.md");
    let documented = tables(&text, "| metric | kind |")
        .into_iter()
        .map(|(_, rows)| rows.iter().map(|row| (code(row[0]).to_owned(), row[1])).collect::<BTreeSet<_>>());
    let encoded = [webhook.encode().unwrap(), controller.encode(Counts::default(), true, true).unwrap()];
    let exist = encoded.iter().map(|text| {
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let named = types.map(|(name, kind)| {
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            (format!("{name}{suffix}"), kind)
        });
        named.collect::<BTreeSet<_>>()
    });
    assert_eq!(documented.collect::<Vec<_>>(), exist.collect::<Vec<_>>());
}

#[test]
fn documented_label_values_are_those_that_exist() {
    fn all<const N: usize, T: Copy>(all: [T; N], text: fn(T) -> &'static str) -> BTreeSet<&'static str> {
        all.map(text).into_iter().collect()
    }
    let text = read("docs/metrics.md");
    let (_, rows) = tables(&text, "| label | values |").remove(0);
    let documented = |label: &str| {
        let row = rows.iter().find(|row| row[0] == label).unwrap_or_else(|| panic!("{label}"));
        codes(row[1])
    };
    assert_eq!(documented("`resource`"), all(Resource::ALL, Resource::as_str));
    assert_eq!(documented("`operation`"), all(Verb::ALL, Verb::as_str));
    assert_eq!(documented("`outcome` of requests, answered"), all(Outcome::ALL, Outcome::as_str));
    assert_eq!(documented("`mutator`"), all(Mutator::ALL, Mutator::as_str));
    assert_eq!(documented("`outcome` of images"), all(ImageOutcome::ALL, ImageOutcome::as_str));
    assert_eq!(documented("`outcome` of reloads"), all(ReloadOutcome::ALL, ReloadOutcome::as_str));
}

#[test]
fn the_deployment_script_takes_every_variable_that_its_manifests_do_not_fix() {
    let script = read("deployment/generate-certs-and-config.sh");
    let list = script.split("cat <<SETTINGS\n").nth(1).unwrap().split("\nSETTINGS").next().unwrap();
    let taken: BTreeSet<&str> = list.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let fixed = BTreeSet::from(["TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_SELF_SIGNED"]);
    assert_eq!(taken.union(&fixed).copied().collect::<BTreeSet<_>>(), VARIABLES.iter().copied().collect());
    assert!(taken.is_disjoint(&fixed));
}

#[test]
fn manifests_and_image_agree_with_the_defaults() {
    let effective = Config::load(Vec::new(), false).unwrap().effective;
    let default = |name: &str| effective.iter().find(|(is, _)| *is == name).unwrap().1.clone();
    let script = read("deployment/generate-certs-and-config.sh");
    for name in
        ["PORT", "HEALTH_PORT", "SHUTDOWN_DELAY_SECONDS", "SHUTDOWN_TIMEOUT_SECONDS", "MAX_BUFFERED_BYTES"]
    {
        let with_default = format!("${{{name}:-{}}}", default(name));
        assert!(script.contains(&with_default), "the script lacks {with_default}");
    }
    let (cert, key) = (default("TLS_CERT_FILE"), default("TLS_KEY_FILE"));
    let (folder, cert) = cert.rsplit_once('/').unwrap();
    let key = key.rsplit_once('/').unwrap().1;
    assert!(script.contains(&format!("\nkey={key} certificate={cert} ")));
    for (name, file) in [("TLS_CERT_FILE", "certificate"), ("TLS_KEY_FILE", "key")] {
        assert!(script.contains(&format!("check_fixed {name} \"{folder}/${file}\"")), "{name}");
    }
    let deployment = read("deployment/30-deployment.yaml.tmpl");
    assert!(deployment.contains(&format!("mountPath: {folder}\n")));
    assert!(deployment.contains("path: /readyz\n") && deployment.contains("path: /livez\n"));
    let secret = read("deployment/20-certificate.yaml.tmpl");
    assert!(secret.contains(&format!("  {cert}: ")) && secret.contains(&format!("  {key}: ")));
    assert!(read("deployment/40-webhook-configuration.yaml.tmpl").contains("path: /mutate\n"));
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains(&format!("EXPOSE {} {}\n", default("PORT"), default("HEALTH_PORT"))));
    assert!(
        dockerfile.contains(&format!("ARG RUST_VERSION={}\n", env!("CARGO_PKG_RUST_VERSION"))),
        "compiler"
    );
}

/// The settings in a file of `examples/env`.
fn settings(path: &Path) -> Vec<(OsString, OsString)> {
    let text = fs::read_to_string(path).unwrap();
    pairs(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')))
}

#[test]
fn example_settings_are_accepted_without_a_warning_and_change_something() {
    let default = Config::load(Vec::new(), false).unwrap().effective;
    for path in files("examples/env", "env") {
        let config =
            Config::load(settings(&path), false).unwrap_or_else(|error| panic!("{path:?}: {error:?}"));
        assert_eq!(config.notices, [], "{path:?}");
        assert_ne!(config.effective, default, "{path:?}");
    }
}

#[test]
fn example_calls_are_allowed() {
    let config = Config::load(settings(&root().join("examples/env/tour.env")), false).unwrap();
    for path in files("examples/reviews", "json") {
        let mut outcome = None;
        answer(&config.policy, &fs::read(&path).unwrap(), |admitted| outcome = Some(admitted.outcome))
            .unwrap();
        let expected = if path.ends_with("label-pod.json") { Outcome::Unchanged } else { Outcome::Patched };
        assert_eq!(outcome, Some(expected), "{path:?}");
    }
}

/// What a document links to: path or `#anchor`, without those on the web.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.contains("://")).collect()
}

/// The anchors of a document's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for heading in text.lines().filter(|line| line.starts_with('#')) {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        anchors.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
    }
    anchors
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut documents = files("docs", "md");
    documents.extend(
        [
            "README.md",
            "CHANGELOG.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "tests/e2e/cluster/README.md",
            "deployment/helm/pullgate/README.md",
        ]
        .map(|path| root().join(path)),
    );
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if path.is_empty() { document.clone() } else { document.parent().unwrap().join(path) };
            assert!(target.exists(), "{document:?}: {link} leads nowhere");
            if !anchor.is_empty() {
                let target = fs::read_to_string(&target).unwrap();
                assert!(anchors(&target).contains(anchor), "{document:?}: {link}: no such heading");
            }
        }
    }
}

#[test]
fn every_document_can_be_found() {
    let readme = read("README.md");
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.extension().is_some_and(|is| is == "svg" || is == "png") {
            let shown =
                ["performance", "monitoring", "images"].map(|document| read(&format!("docs/{document}.md")));
            assert!(shown.iter().any(|document| links(document).contains(&name)), "no document shows {name}");
            continue;
        }
        assert!(
            links(&readme).contains(&format!("docs/{name}").as_str()),
            "README does not link docs/{name}"
        );
    }
    let decisions = read("docs/decisions/README.md");
    for path in files("docs/decisions", "md").iter().filter(|path| !path.ends_with("README.md")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(links(&decisions).contains(&name), "docs/decisions/README.md does not link {name}");
    }
}
