//! What no registry of the script's test does: tokens, redirects, answers that are none.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Outcome, images, pod};
use crate::answers::{Asked, Server, answer};
use clap::Parser as _;

/// Asks about `team/app:1` and more images at this server.
fn check(server: &Server, names: &[&str], arguments: &[&str]) -> Outcome {
    let all: Vec<_> = names.iter().map(|name| format!("{}/mirror/{name}", server.host)).collect();
    let map = format!("docker.io={}/mirror", server.host);
    let mut every = vec!["--check-registry", "--plain-http", &server.host, "--output", "json"];
    every.extend(arguments);
    let input = pod(&all.iter().map(String::as_str).collect::<Vec<_>>());
    images(&[("REGISTRY_MAP", &map)], &every, &input)
}

fn targets(server: &Server, names: &[&str], arguments: &[&str]) -> Vec<Value> {
    let outcome = check(server, names, arguments);
    let whole: Value = serde_json::from_str(&outcome.output).unwrap_or_else(|_| panic!("{outcome:?}"));
    whole["images"].as_array().unwrap().iter().map(|image| image["target"].clone()).collect()
}

/// What tells a manifest from anything else that is at an address.
const DIGEST: &str = "Docker-Content-Digest: sha256:0\r\n";

/// A registry whose token service gives a token to who says `credentials`.
fn with_tokens(credentials: &'static str) -> Server {
    Server::new(move |host, Asked { line, authorization, body }| {
        if line.contains(" /token") {
            let granted = authorization == credentials || (!body.is_empty() && body.contains(credentials));
            return if granted {
                answer("200 OK", "", r#"{"token": "granted"}"#)
            } else {
                answer("401 Unauthorized", "", "")
            };
        }
        match authorization.as_str() {
            "Bearer granted" if line.contains("/missing/") => answer("404 Not Found", "", ""),
            "Bearer granted" => answer("200 OK", DIGEST, ""),
            _ => answer(
                "401 Unauthorized",
                &format!(
                    "WWW-Authenticate: Bearer realm=\"http://{host}/token?a=b\",service=\"the registry\"\r\n"
                ),
                "",
            ),
        }
    })
}

fn file(content: &Value) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, content.to_string()).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

fn basic() -> String {
    format!("Basic {}", STANDARD.encode("puller:hunter2"))
}

fn login(host: &str) -> Value {
    json!({"auths": {host: {"username": "puller", "password": "hunter2"}}})
}

#[test]
fn a_token_is_fetched_with_the_login_and_used() {
    let server = with_tokens("Basic cHVsbGVyOmh1bnRlcjI=");
    let (_folder, path) = file(&login(&server.host));
    let states = targets(&server, &["app:1", "app:2", "missing/app:1"], &["--registry-config", &path]);
    assert_eq!(
        states,
        [
            json!({"state": "present", "reason": null}),
            json!({"state": "present", "reason": null}),
            json!({"state": "missing", "reason": null}),
        ]
    );
    let asked = server.asked();
    let token = asked.iter().find(|asked| asked.line.contains("/token")).unwrap();
    assert!(
        token.line.starts_with("GET /token?a=b&service=the%20registry&scope=repository%3Amirror%2F"),
        "{token:?}"
    );
    let manifests: Vec<_> = asked.iter().filter(|asked| asked.line.contains("/manifests/")).collect();
    assert!(manifests.iter().all(|asked| asked.line.starts_with("HEAD /v2/mirror/")), "{manifests:?}");
    // The password went to the token service alone.
    assert!(manifests.iter().all(|asked| asked.authorization != basic()), "{manifests:?}");
}

#[test]
fn an_identity_token_is_given_for_an_access_token() {
    let server = with_tokens("grant_type=refresh_token&client_id=pullgate&refresh_token=id%2Ftoken&");
    let (_folder, path) = file(&json!({"auths": {&*server.host: {"identitytoken": "id/token"}}}));
    assert_eq!(targets(&server, &["app:1"], &["--registry-config", &path])[0]["state"], "present");
}

#[test]
fn anybody_may_have_a_token_where_that_is_so() {
    let server = with_tokens("");
    assert_eq!(targets(&server, &["app:1"], &[])[0]["state"], "present");
}

#[test]
fn a_login_that_is_refused_is_named_and_never_told() {
    let server = with_tokens("Basic nobody");
    let (_folder, path) = file(&login(&server.host));
    let outcome = check(&server, &["app:1"], &["--registry-config", &path, "--exit-code"]);
    assert_eq!(outcome.status, 1);
    let said = format!("the token service of {} refuses the login", server.host);
    assert!(outcome.output.contains("\"unauthorized\"") && outcome.output.contains(&said), "{outcome:?}");
    for secret in ["hunter2", &basic()] {
        assert!(!format!("{outcome:?}").contains(secret), "{outcome:?}");
    }
    let states = targets(&server, &["app:1"], &[]);
    assert_eq!(states[0]["reason"], format!("the token service of {} refuses who has no login", server.host));
}

#[test]
fn a_login_is_for_its_own_registry_alone() {
    let server = Server::new(|_, _| answer("401 Unauthorized", "WWW-Authenticate: Basic realm=x\r\n", ""));
    let (_folder, path) = file(&login("other.example"));
    assert_eq!(targets(&server, &["app:1"], &["--registry-config", &path])[0]["state"], "unauthorized");
    assert!(server.asked().iter().all(|asked| asked.authorization.is_empty()));
}

#[test]
fn another_host_gets_no_credentials_by_a_redirect() {
    let elsewhere = Server::new(|_, _| answer("200 OK", DIGEST, ""));
    let location = format!("http://{}/moved", elsewhere.host);
    let server = Server::new(move |_, Asked { authorization, .. }| {
        if authorization.is_empty() {
            return answer("401 Unauthorized", "WWW-Authenticate: Basic realm=x\r\n", "");
        }
        answer("307 Temporary Redirect", &format!("Location: {location}\r\n"), "")
    });
    let (_folder, path) = file(&login(&server.host));
    assert_eq!(targets(&server, &["app:1"], &["--registry-config", &path])[0]["state"], "present");
    assert_eq!(
        elsewhere.asked(),
        [Asked {
            line: "HEAD /moved HTTP/1.1".to_owned(),
            authorization: String::new(),
            body: String::new()
        }]
    );
}

#[test]
fn another_host_does_not_say_where_a_login_goes() {
    let thief = Server::new(|host, Asked { line, .. }| {
        if line.contains("/token") {
            return answer("200 OK", "", r#"{"token": "granted"}"#);
        }
        let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\"\r\n");
        answer("401 Unauthorized", &challenge, "")
    });
    let location = format!("Location: http://{}/moved\r\n", thief.host);
    let server = Server::new(move |_, _| answer("307 Temporary Redirect", &location, ""));
    for logins in [login(&server.host), json!({"auths": {&*server.host: {"identitytoken": "hunter2"}}})] {
        let (_folder, path) = file(&logins);
        let reason = format!("{} redirects to another host, which wants a login of its own", server.host);
        assert_eq!(
            targets(&server, &["app:1"], &["--registry-config", &path]),
            [json!({"state": "unauthorized", "reason": reason})]
        );
    }
    assert!(thief.asked().iter().all(|asked| asked.line.starts_with("HEAD /moved ")), "{:?}", thief.asked());
    assert!(thief.asked().iter().all(|asked| asked.authorization.is_empty()), "{:?}", thief.asked());
    assert!(server.asked().iter().all(|asked| asked.authorization.is_empty()), "{:?}", server.asked());
}

#[test]
fn a_redirect_is_read_as_an_address_beside_the_one_before() {
    for (location, asked) in [
        ("/v2/moved/manifests/1", "/v2/moved/manifests/1"),
        ("//HOST/v2/moved/manifests/1", "/v2/moved/manifests/1"),
        ("../../moved/manifests/1", "/v2/mirror/moved/manifests/1"),
        ("?a=b", "/v2/mirror/app/manifests/1?a=b"),
    ] {
        let server = Server::new(move |host, Asked { line, .. }| {
            if line.starts_with("HEAD /v2/mirror/app/manifests/1 ") {
                let location = location.replace("HOST", host);
                return answer("307 Temporary Redirect", &format!("Location: {location}\r\n"), "");
            }
            answer("200 OK", DIGEST, "")
        });
        assert_eq!(targets(&server, &["app:1"], &[])[0]["state"], "present", "{location}");
        assert_eq!(server.asked()[1].line, format!("HEAD {asked} HTTP/1.1"), "{location}");
    }
    let elsewhere = Server::new(|_, _| answer("302 Found", "Location: ftp://x.example/a\r\n", ""));
    assert_eq!(targets(&elsewhere, &["app:1"], &[])[0]["reason"], "names an address that is none");
}

#[test]
fn two_images_of_one_name_are_told_also_when_something_is_there() {
    let server = Server::new(|_, _| answer("200 OK", DIGEST, ""));
    let outcome = images(
        &[("REGISTRY", &server.host)],
        &["--check-registry", "--plain-http", &server.host, "--output", "pairs"],
        &pod(&["quay.io/a/x:1", "ghcr.io/a/x:1"]),
    );
    assert_eq!((outcome.status, outcome.output.as_str()), (0, ""));
    let told = format!("ghcr.io/a/x:1 and quay.io/a/x:1 all become {}/a/x:1", server.host);
    assert!(outcome.errors.contains(&told), "{outcome:?}");
}

#[test]
fn a_registry_without_head_is_asked_with_get() {
    let server = Server::new(|_, Asked { line, .. }| {
        if line.starts_with("HEAD") {
            return answer("405 Method Not Allowed", "", "");
        }
        answer("200 OK", "Content-Type: application/vnd.oci.image.index.v1+json\r\n", "{}")
    });
    assert_eq!(targets(&server, &["app:1"], &[])[0]["state"], "present");
}

#[test]
fn what_is_no_answer_is_told_as_such() {
    let server = Server::new(|_, _| answer("503 Service Unavailable", "", ""));
    let states = targets(&server, &["app:1"], &[]);
    assert_eq!(states, [json!({"state": "unreachable", "reason": "it answers 503 Service Unavailable"})]);
    let portal = Server::new(|_, _| answer("200 OK", "Content-Type: text/html\r\n", "<form>"));
    assert_eq!(
        targets(&portal, &["app:1"], &[]),
        [json!({"state": "unreachable", "reason": "it answers 200 OK, and no manifest"})]
    );
    let round = Server::new(|_, _| answer("302 Found", "Location: /again\r\n", ""));
    assert_eq!(targets(&round, &["app:1"], &[])[0]["reason"], "redirects more than 3 times");
}

#[test]
fn an_image_is_asked_about_once_and_a_silent_registry_not_for_ever() {
    let server = Server::new(|_, _| answer("200 OK", DIGEST, ""));
    targets(&server, &["app:1", "app:1", "app:2"], &[]);
    assert_eq!(server.asked().len(), 2);
    let silent = Server::new(|_, _| String::new());
    let names: Vec<_> = (0..200).map(|i| format!("app:{i}")).collect();
    let states = targets(&silent, &names.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    assert_eq!(states.len(), 200);
    assert!(states.iter().all(|state| state["state"] == "unreachable"), "{states:?}");
    // Those that were on their way when the third went unanswered are not called back.
    assert!(silent.asked().len() < 50, "{}", silent.asked().len());
}

#[test]
fn what_cannot_be_used_is_named() {
    let (_folder, path) = file(&json!({"auths": {"r.example": {"auth": "hunter2!"}}}));
    let input = pod(&["nginx:1"]);
    for (arguments, problem) in [
        (vec!["--registry-config", path.as_str()], "`auth` of \"r.example\" is not base64 of user:password"),
        (
            vec!["--registry-config", "no/such/file"],
            "--registry-config no/such/file: No such file or directory",
        ),
        (vec!["--registry-ca", path.as_str()], "holds no certificate; PEM is accepted"),
        (vec!["--registry-ca", "no/such/file"], "--registry-ca no/such/file: "),
    ] {
        let mut all = vec!["--check-registry"];
        all.extend(arguments);
        let outcome = images(&[], &all, &input);
        assert_eq!((outcome.status, outcome.output.as_str()), (2, ""), "{problem}");
        assert!(
            outcome.errors.contains(problem) && !outcome.errors.contains("hunter2"),
            "{}",
            outcome.errors
        );
    }
}

#[test]
fn the_time_for_all_registries_is_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // Connections are taken by the system, and nobody answers.
    let server = Server { host: listener.local_addr().unwrap().to_string(), asked: Arc::default() };
    let began = Instant::now();
    let states = targets(&server, &["app:1"], &["--check-seconds", "1"]);
    assert_eq!(states, [json!({"state": "unreachable", "reason": "no answer within --check-seconds 1"})]);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn a_registry_without_tls_is_a_host_and_nothing_else() {
    for host in ["http://registry.example", "registry.example/mirror", "", "a b"] {
        let refused = super::Cli::try_parse_from(["images", "--plain-http", host]).err();
        let said = refused.map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains("expected host or host:port"), "{host:?}: {said}");
    }
}

#[test]
fn a_list_for_skopeo_is_empty_when_its_destination_is_filled() {
    let server = Server::new(|_, Asked { line, .. }| {
        if line.contains("/todo/") { answer("404 Not Found", "", "") } else { answer("200 OK", DIGEST, "") }
    });
    let list = |images_used: &[&str], destination: &str| {
        let destination = format!("{}/{destination}", server.host);
        let arguments = ["--check-registry", "--plain-http", &server.host, "--output", "skopeo"];
        let arguments: Vec<_> = arguments.into_iter().chain(["--destination", &destination]).collect();
        images(&[("REGISTRY", &server.host)], &arguments, &pod(images_used))
    };
    for used in [&["done/app:1"][..], &["done/app:1", "todo/app:1"]] {
        let filled = list(used, "done");
        assert_eq!((filled.status, filled.output.as_str()), (0, "# nothing is to be copied\n{}\n"));
        assert_eq!(list(used, "dnoe").status, 2);
    }
    assert!(list(&["done/app:1", "todo/app:1"], "todo").output.contains("todo/app"));
}
