//! Credentials that are looked for where none belong.

use std::fmt::Write as _;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::controller::case::{Case, KEY, content_of, login, pull_secret};
use crate::kubectl::kubectl;
use crate::wait::soon;

/// What a test looks for: a password in every form that a program might write it in by mistake.
pub(crate) struct Canary {
    pub(crate) password: String,
    forms: Vec<(&'static str, String)>,
}

/// Of a text in base64, what does not depend on what is around it, wherever it begins.
fn encoded_anywhere(text: &str) -> [String; 3] {
    [0, 1, 2].map(|shift| {
        let whole = STANDARD_NO_PAD.encode([&vec![b'x'; shift][..], text.as_bytes()].concat());
        // A character stands for six bits; those of the first and the last ones are partly of other bytes.
        let skip = (shift * 8).div_ceil(6);
        let end = (shift + text.len()) * 8 / 6;
        whole[skip..end].to_owned()
    })
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() {
            all.push(byte.into());
        } else {
            let _ = write!(all, "%{byte:02X}");
        }
        all
    })
}

impl Canary {
    /// One whose forms all differ.
    pub(crate) fn new(name: &str) -> Self {
        Self::of(format!("{name}+\"Kanarie\\n/=& gelb%{name}"))
    }

    /// A password that somebody else has made.
    pub(crate) fn of(password: String) -> Self {
        let content = login(&password);
        let mut forms = vec![
            ("plain", password.clone()),
            ("plain, its beginning", password[..12].to_owned()),
            ("plain, its end", password[password.len() - 12..].to_owned()),
            ("in JSON", json!(password).to_string().trim_matches('"').to_owned()),
            (
                "in JSON in JSON",
                json!(json!(password).to_string()).to_string().trim_matches(['"', '\\']).to_owned(),
            ),
            ("as Rust's Debug", format!("{password:?}").trim_matches('"').to_owned()),
            ("in an address", percent_encoded(&password)),
            ("as bytes", format!("{:?}", password.as_bytes()).trim_matches(['[', ']']).to_owned()),
            ("in base64 of other letters", URL_SAFE_NO_PAD.encode(&content)),
        ];
        for whole in [password.as_str(), &content] {
            for once in encoded_anywhere(whole) {
                forms.extend(encoded_anywhere(&once).map(|twice| ("in base64 of base64", twice)));
                forms.push(("in an address in base64", percent_encoded(&once)));
                forms.push(("in base64", once));
            }
        }
        Self { password, forms }
    }

    /// In which form it is in a text, if it is.
    pub(crate) fn found_in(&self, text: &str) -> Option<&'static str> {
        self.forms.iter().find(|(_, form)| text.contains(form)).map(|(how, _)| *how)
    }
}

/// Whoever looks has to be able to find.
#[test]
fn a_canary_is_found_in_every_form() {
    let canary = Canary::new("seen");
    let content = login(&canary.password);
    let in_a_secret = STANDARD.encode(&content);
    for text in [
        canary.password.clone(),
        format!("user:{}", canary.password),
        json!({"a": canary.password}).to_string(),
        content.clone(),
        json!({"data": in_a_secret}).to_string(),
        STANDARD.encode(&in_a_secret),
        format!("Some({:?})", canary.password.as_bytes()),
        percent_encoded(&in_a_secret),
        STANDARD.encode(format!("other words {content}")),
    ] {
        assert!(canary.found_in(&text).is_some(), "{text}");
    }
    assert_eq!(Canary::new("other").found_in(&content), None);
}

/// Everything that may be read without the right to read Secrets, after everything that a controller does and refuses.
#[test]
fn credentials_are_nowhere_but_in_secrets() {
    let case = Case::new();
    let canaries = ["first", "second", "broken", "foreign", "literal"].map(Canary::new);
    let [first, second, broken, foreign, literal] = canaries.each_ref();
    case.source(&first.password);
    let (space, contested, fought) = (case.space(), case.home.sibling(), case.space());
    case.make_account(&contested, &[]);
    let theirs = pull_secret(&case.secret, &login(&foreign.password));
    contested.kubectl("create -f -").input(&theirs).ok();
    let content = login(&literal.password);
    let user = case.user();
    let kubeconfig = case.kubeconfig(&user, |_| ());
    let variables = [("CONFIG_DOCKERCONFIGJSON", content.as_str())];
    let controller = case.controller_with(user, &kubeconfig, &variables, &["-managedonly", "-debug"]);
    case.has(&space, &first.password);
    case.source(&second.password);
    let copy = case.has(&space, &second.password);
    assert!(second.found_in(&copy.to_string()).is_some(), "the copy has it");
    // Refused: of the wrong shape, with the password in a key, in the registry's name and as JSON that ends too soon.
    for content in [
        json!({"auths": broken.password}).to_string(),
        json!({"auths": {"registry.example": {"auth": broken.password}}}).to_string(),
        json!({"auths": {"registry.example": broken.password}}).to_string(),
        json!({broken.password.clone(): {}}).to_string(),
    ] {
        let refusals = || controller.log().lines().filter(|line| line.contains(KEY)).count();
        let before = refusals();
        case.source_content(&content);
        soon("a refusal", || (refusals() > before).then_some(()));
    }
    // Edited copies, and fights.
    let edited = format!("--patch={}", json!({"data": theirs["data"]}));
    case.on_copy(&space, "patch --type=merge").word(&edited).ok();
    case.has(&space, &second.password);
    for _ in 0..5 {
        case.has(&fought, &second.password);
        let strip = r#"--patch={"imagePullSecrets":null}"#;
        fought.kubectl(&format!("patch serviceaccount {} --type=merge", case.account)).word(strip).ok();
    }
    soon("a fight", || {
        (controller.count("pullgate_controller_fights_total", &["over=\"account\""]) == 1).then_some(())
    });

    let mut seen = vec![("log".to_owned(), controller.log())];
    for path in ["/metrics", "/livez", "/readyz", "/", "/debug/pprof", "/secrets"] {
        seen.push((path.to_owned(), controller.get(path).expect("an answer")));
    }
    let events = kubectl("get events --all-namespaces -o json").ok().out;
    assert!(events.contains("SecretConflict") && events.contains("ReferenceConflict"), "there are Events");
    seen.push(("events".to_owned(), events));
    let mut secret = case.copy(&space).expect("the copy");
    assert_eq!(content_of(&secret).as_deref(), Some(&*login(&second.password)));
    secret["data"] = json!(null);
    seen.push(("what is beside the data of a copy".to_owned(), secret.to_string()));
    seen.push(("account".to_owned(), space.get(&format!("serviceaccount/{}", case.account)).to_string()));
    seen.push(("namespace".to_owned(), kubectl(&format!("get namespace {} -o json", space.name)).ok().out));
    // A literal that is refused is told by its name alone.
    let bad = json!({"auths": broken.password}).to_string();
    for arguments in [vec![format!("-dockerconfigjson={bad}")], vec!["-dockerconfigjson".to_owned(), bad]] {
        let flags: Vec<_> = arguments.iter().map(String::as_str).chain(["-runonce"]).collect();
        let ran = case.run(&flags);
        assert_eq!(ran.status.code(), Some(2));
        let said = [ran.stdout, ran.stderr].concat();
        seen.push(("the refusal of a literal".to_owned(), String::from_utf8_lossy(&said).into_owned()));
    }
    for (place, text) in &seen {
        assert!(!text.is_empty(), "{place}");
        for canary in &canaries {
            assert_eq!(canary.found_in(text), None, "{place} holds {:?}: {text}", canary.password);
        }
    }
}

/// Memory that holds credentials is not for a file.
#[cfg(target_os = "linux")]
#[test]
fn a_controller_leaves_no_core_dump() {
    let case = Case::new();
    case.source("first");
    let controller = case.controller(&[]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", controller.id())).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}
