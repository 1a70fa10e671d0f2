//! Diffs, explanations, answers to reviews, and the exit status.

use std::fs;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::offline::{Streams, run};
use serde_json::{Value, json};

use super::{EVERYTHING, REGISTRY, examples, fine, mutate, mutate_on, options, pod, policy, values};

#[test]
fn diffs_show_what_changes_and_name_file_and_object() {
    let input = format!("{}---\n{}", pod("web", "nginx"), pod("done", "registry.example/nginx"));
    let diff = "\
--- stdin Pod default/web
+++ stdin Pod default/web (mutated)
@@ -5,4 +5,4 @@
 spec:
   containers:
   - name: app
-    image: nginx
+    image: registry.example/nginx
";
    assert_eq!(mutate(REGISTRY, &["--diff"], &input), fine(diff));
    assert_eq!(mutate_on(true, REGISTRY, &["--diff", "--color", "never"], &input), fine(diff));
    let coloured = "\
\u{1b}[1m--- stdin Pod default/web\u{1b}[0m
\u{1b}[1m+++ stdin Pod default/web (mutated)\u{1b}[0m
\u{1b}[36m@@ -5,4 +5,4 @@\u{1b}[0m
 spec:
   containers:
   - name: app
\u{1b}[31m-    image: nginx\u{1b}[0m
\u{1b}[32m+    image: registry.example/nginx\u{1b}[0m
";
    assert_eq!(mutate_on(true, REGISTRY, &["--diff"], &input), fine(coloured));
    assert_eq!(mutate(REGISTRY, &["--diff", "--color", "always"], &input), fine(coloured));
}

fn explained(environment: &[(&str, &str)], image: &str) -> String {
    let outcome = mutate(environment, &["--explain"], &pod("web", image));
    let head = format!("stdin: Pod default/web: container app\n  image   {}\n", image.trim_matches('"'));
    outcome.output.strip_prefix(&head).unwrap_or_else(|| panic!("{outcome:?}")).to_owned()
}

#[test]
fn explanations_name_reading_rule_and_result_of_every_image() {
    let digest = format!("quay.io/a/b@sha256:{}", "0".repeat(64));
    let distribution = [REGISTRY, &[("IMAGE_PARSER", "distribution")]].concat();
    for (environment, image, said) in [
        (REGISTRY, "nginx:1", "  read    registry docker.io (implied), path nginx, by the parser dot\n  rule    the fallback registry.example (REGISTRY, or * of REGISTRY_MAP)\n  result  registry.example/nginx:1\n".to_owned()),
        (&distribution, "nginx:1", "  read    registry docker.io (implied), path library/nginx, by the parser distribution\n  rule    the fallback registry.example (REGISTRY, or * of REGISTRY_MAP)\n  result  registry.example/library/nginx:1\n".to_owned()),
        (REGISTRY, "localhost/app", "  read    registry none, path localhost/app, by the parser dot\n  rule    the fallback registry.example (REGISTRY, or * of REGISTRY_MAP)\n  result  registry.example/localhost/app\n".to_owned()),
        (EVERYTHING, &digest, format!("  read    registry quay.io, path a/b, by the parser dot\n  rule    quay.io=registry.example/quay of REGISTRY_MAP\n  result  registry.example/quay/a/b@sha256:{}\n", "0".repeat(64))),
        (EVERYTHING, "ghcr.io/acme/x", "  read    registry ghcr.io, path acme/x, by the parser dot\n  result  unchanged: ghcr.io/acme is one of IGNORED_REGISTRIES\n".to_owned()),
        (EVERYTHING, "registry.example/hub/x", "  read    registry registry.example, path hub/x, by the parser dot\n  result  unchanged: it is at the target registry.example/hub already\n".to_owned()),
        (EVERYTHING, "gcr.io/x", "  read    registry gcr.io, path x, by the parser dot\n  result  unchanged: no source of REGISTRY_MAP covers it, and there is no fallback\n".to_owned()),
        (EVERYTHING, "quay.io/X", "  result  unchanged: not an image reference: its name may hold only a-z, 0-9 and . _ __ - between them\n".to_owned()),
        (EVERYTHING, "\"\"", "  result  unchanged: it is empty\n".to_owned()),
        (&[], "nginx", "  read    registry docker.io (implied), path nginx, by the parser dot\n  result  unchanged: neither REGISTRY nor REGISTRY_MAP is set\n".to_owned()),
    ] {
        assert_eq!(explained(environment, image), said, "{image}");
    }
    let excluded = mutate(REGISTRY, &["--explain", "-n", "kube-system"], &pod("web", "nginx"));
    assert_eq!(
        excluded,
        fine(
            "stdin: Pod kube-system/web: container app\n  image   nginx\n  result  unchanged: the namespace kube-system is excluded\n"
        )
    );
    let mirror = pod("web", "nginx")
        .replace("  name: web\n", "  name: web\n  annotations: {kubernetes.io/config.mirror: x}\n");
    assert!(
        mutate(REGISTRY, &["--explain"], &mirror)
            .output
            .ends_with("  result  unchanged: a mirror Pod, or a Pod that is being deleted\n")
    );
}

#[test]
fn explanations_cover_every_place_of_an_image_and_may_come_with_diffs() {
    let both =
        mutate(EVERYTHING, &["--explain", "--diff", &format!("{}/pods/registries.yaml", examples())], "");
    let heads: Vec<_> =
        both.output.lines().filter_map(|line| line.split_once("tools/sidecar: ").map(|(_, of)| of)).collect();
    assert_eq!(heads, ["container app", "init container log-shipper", "volume model"]);
    assert!(both.output.contains("\n+      reference: registry.example/quay/models/small:v3\n"));
}

#[test]
fn nothing_of_a_manifest_reaches_the_terminal_as_a_control_character() {
    let hostile = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"\\u001b[31m\"},\"spec\":{\"containers\":[{\"name\":\"\\u0007\",\"image\":\"\\u001b]0;x\"}]}}";
    for arguments in [&["--explain"][..], &["--diff"], &[]] {
        let outcome = mutate(EVERYTHING, arguments, hostile);
        let shown = [outcome.output, outcome.errors].concat();
        assert!(!shown.is_empty() && !shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    }
}

#[test]
fn warnings_name_file_and_object() {
    let outcome = mutate(REGISTRY, &[], &pod("web", "Nginx:1"));
    let warning = "warning: stdin: Pod default/web: container \"app\": image not rewritten: ";
    assert!(outcome.status == 0 && outcome.errors.starts_with(warning), "{outcome:?}");
}

#[test]
fn reviews_are_answered_as_the_webhook_does() {
    let file = format!("{}/reviews/create-pod.json", examples());
    let body = fs::read(&file).unwrap();
    let expected = pullgate::answer::answer(&policy(EVERYTHING), &body, |_| {}).unwrap();
    let outcome = mutate(EVERYTHING, &["--review", "--exit-code", &file], "");
    assert_eq!(outcome.output.as_bytes(), [&expected[..], b"\n"].concat());
    assert_eq!((outcome.status, outcome.errors.as_str()), (1, ""));

    // The same object as a manifest becomes what the patch of the answer makes of it.
    let mut object = serde_json::from_slice::<Value>(&body).unwrap()["request"]["object"].take();
    let (version, kind) = ("v1", "Pod");
    object
        .as_object_mut()
        .unwrap()
        .extend([("apiVersion".into(), version.into()), ("kind".into(), kind.into())]);
    let outcome = mutate(EVERYTHING, &[], &object.to_string());
    let answer: Value = serde_json::from_slice(&expected).unwrap();
    let patch = STANDARD.decode(answer["response"]["patch"].as_str().unwrap()).unwrap();
    json_patch::patch(&mut object, &serde_json::from_slice::<json_patch::Patch>(&patch).unwrap()).unwrap();
    assert_eq!(values(&outcome.output), [object]);
}

#[test]
fn a_review_that_cannot_be_answered_or_is_denied_is_an_error() {
    let outcome = mutate(REGISTRY, &["--review"], "{}");
    assert_eq!((outcome.status, outcome.output.as_str()), (2, ""));
    assert!(
        outcome.errors.starts_with("error: stdin: apiVersion \"\", kind \"\" is not supported"),
        "{}",
        outcome.errors
    );
    let unreadable = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE", "object": {"spec": 1}},
    });
    let outcome = mutate(REGISTRY, &["--review"], &unreadable.to_string());
    assert_eq!((outcome.status, outcome.output.contains("\"allowed\":false")), (2, true));
}

#[test]
fn the_exit_status_tells_changes_only_when_asked() {
    let (changes, done) = (pod("web", "nginx"), pod("web", "registry.example/nginx"));
    for (arguments, input, status) in [
        (&[][..], &changes, 0),
        (&["--diff"], &changes, 0),
        (&["--exit-code"], &changes, 1),
        (&["--exit-code", "--diff"], &changes, 1),
        (&["--exit-code"], &done, 0),
        (&["--exit-code"], &"a: [".to_owned(), 2),
        (&["--exit-code"], &format!("{changes}---\na: ["), 2),
    ] {
        assert_eq!(mutate(REGISTRY, arguments, input).status, status, "{arguments:?} {input}");
    }
}

struct Refuses(io::ErrorKind);

impl Write for Refuses {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
    for (kind, status, errors) in [
        (io::ErrorKind::BrokenPipe, 0, ""),
        (io::ErrorKind::StorageFull, 2, "error: cannot write the result: no storage space\n"),
    ] {
        let mut said = Vec::new();
        let input = pod("web", "nginx");
        let mut streams = Streams {
            input: &mut input.as_bytes(),
            output: &mut Refuses(kind),
            errors: &mut said,
            terminal: false,
        };
        assert_eq!(run(&options(&[]), &policy(REGISTRY), &mut streams), status);
        assert_eq!(String::from_utf8(said).unwrap(), errors);
    }
}
