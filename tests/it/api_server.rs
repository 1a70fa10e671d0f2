//! Which API server a command asks, and what it says where the answer is none. (What a real one answers: the end-to-end
//! tests.)

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::answers::{Asked, Server, answer};

/// Runs in an empty environment with a home of its own.
fn pullgate(home: &Path, kubeconfig: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullgate"));
    command.args(arguments).env_clear().env("HOME", home).env("KUBECONFIG", kubeconfig);
    command.output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A server with nothing in it but what `items` says.
fn with_pods(items: &'static str) -> Server {
    Server::new(move |_, Asked { line, .. }| {
        let items = if line.contains("/pods?") { items } else { "[]" };
        answer("200 OK", "Content-Type: application/json\r\n", &format!(r#"{{"items":{items}}}"#))
    })
}

const POD: &str = r#"[{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"nginx:1"}]}}]"#;

/// A kubeconfig in which everything is called `name`.
fn write(path: &Path, name: &str, server: &Server, current: &str) {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": current,
        "clusters": [{"name": name, "cluster": {"server": format!("http://{}", server.host)}}],
        "users": [{"name": name, "user": {"token": format!("token-of-{name}")}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    });
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, config.to_string()).unwrap();
}

#[test]
fn the_files_of_kubeconfig_are_one_and_none_else_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (home, a, b) = (with_pods(POD), with_pods(POD), with_pods(POD));
    write(&folder.path().join(".kube/config"), "home", &home, "home");
    write(&folder.path().join("a"), "a", &a, "");
    write(&folder.path().join("b"), "b", &b, "b");
    fs::write(at("empty"), "").unwrap();
    let run = |kubeconfig: &[&str], arguments: &[&str]| {
        let listed = kubeconfig.iter().map(|name| at(name)).collect::<Vec<_>>().join(":");
        pullgate(folder.path(), &listed, &[&["images", "--cluster"], arguments].concat())
    };
    let asked = || {
        let tokens = |server: &Server| {
            let mut asked = server.asked.lock().unwrap();
            std::mem::take(&mut *asked).iter().map(|asked| asked.authorization.clone()).collect::<Vec<_>>()
        };
        [&home, &a, &b].map(|server| tokens(server).pop())
    };
    let bearer = |name: &str| Some(format!("Bearer token-of-{name}"));

    for (kubeconfig, arguments, expected) in [
        (&[][..], &[][..], [bearer("home"), None, None]),
        (&["none", "empty", "a", "b"], &[], [None, None, bearer("b")]),
        (&["a", "b"], &["--context", "a"], [None, bearer("a"), None]),
    ] {
        let output = run(kubeconfig, arguments);
        assert!(output.status.success(), "{kubeconfig:?}: {}", errors(&output));
        assert_eq!(asked(), expected, "{kubeconfig:?} {arguments:?}");
    }
    for (kubeconfig, arguments, problem) in [
        (&["none"][..], &[][..], format!("error: {}: of KUBECONFIG: there is no such file\n", at("none"))),
        (
            &["a", "b"],
            &["--context", "c"],
            format!("error: {}:{}: failed to load current context: c\n", at("a"), at("b")),
        ),
    ] {
        let output = run(kubeconfig, arguments);
        assert_eq!((output.status.code(), errors(&output)), (Some(2), problem));
        assert_eq!(asked(), [None, None, None], "{kubeconfig:?}");
    }
}

#[test]
fn a_context_is_one_of_a_kubeconfig() {
    let home = tempfile::tempdir().unwrap();
    for command in [["images", "--cluster"], ["doctor", "--color=never"]] {
        let output = pullgate(home.path(), "", &[&command[..], &["--context", "production"]].concat());
        let problem = "error: --context production: there is no kubeconfig; give --kubeconfig with a file that has this context\n";
        assert_eq!((output.status.code(), errors(&output).as_str()), (Some(2), problem));
    }
}

/// The errors of `pullgate images` where all that is asked gets one answer.
fn told(status: &'static str, body: &'static str) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let server = Server::new(move |_, _| answer(status, "Content-Type: application/json\r\n", body));
    write(&home.path().join("config"), "c", &server, "c");
    let config = home.path().join("config").display().to_string();
    let output = pullgate(home.path(), &config, &["images", "--cluster"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    errors(&output).lines().map(str::to_owned).collect()
}

#[test]
fn what_is_no_list_is_told() {
    for body in ["[]", "null", r#"{"items": {}}"#, "<html>", r#"{"metadata":{"continue":"same"},"items":[]}"#]
    {
        let told = told("200 OK", body);
        assert!(
            told[0].starts_with("error: pods cannot be listed: the API server's answer cannot be read: "),
            "{body}: {told:?}"
        );
    }
}

#[test]
fn an_answer_without_a_word_is_told_by_its_number() {
    let told = told("401 Unauthorized", "");
    assert_eq!(told[0], "error: pods cannot be listed: the API server answers 401 and no word");
}

#[test]
fn what_an_api_server_says_forges_no_line() {
    let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":403,"reason":"Forbidden",
        "message":"no\u001b[2J\nerror: forged"}"#;
    let told = told("403 Forbidden", status);
    assert_eq!(told[0], r"error: pods cannot be listed: no\u{1b}[2J\nerror: forged");
    assert!(
        told.iter().all(|line| !line.contains('\u{1b}') && !line.starts_with("error: forged")),
        "{told:?}"
    );
}

#[test]
fn pages_are_asked_for_until_there_is_none() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::new(|_, Asked { line, .. }| {
        let page = |name: &str, next: &str| {
            let pod: Value = serde_json::from_str(&POD.replace("nginx", name)).unwrap();
            let list = json!({"metadata": {"continue": next}, "items": pod});
            answer("200 OK", "Content-Type: application/json\r\n", &list.to_string())
        };
        match line {
            line if !line.contains("/pods?") => answer("200 OK", "", "{}"),
            line if line.contains("&continue= ") => page("one", "a b&c+d%2F"),
            line if line.contains("&continue=a%20b%26c%2Bd%252F ") => page("two", ""),
            _ => answer("410 Gone", "", ""),
        }
    });
    write(&home.path().join("config"), "c", &server, "c");
    let config = home.path().join("config").display().to_string();
    let output = pullgate(home.path(), &config, &["images", "--cluster", "--output", "json"]);
    assert_eq!(errors(&output), "");
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let images: Vec<_> = list["images"].as_array().unwrap().iter().map(|it| it["image"].clone()).collect();
    assert_eq!(images, ["one:1", "two:1"]);
}
