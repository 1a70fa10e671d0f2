//! Tokens of ECR in copies, from a counterpart that takes only what is signed.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::aws::{Asked, Aws, Mood};
use super::case::{Resource, auths, passwords, source};
use crate::controller::case::{Case, Controller};
use crate::space::Space;
use crate::wait::soon;

pub(crate) const KEY: &str = "AKIAEXAMPLE";
pub(super) const SECRET: &str = "hunter2/secret+key";
pub(crate) const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

/// Makes a login.
pub(super) fn login(case: &Case, name: &str, more: &Value) {
    let mut data = json!({"accessKeyID": KEY, "secretKey": SECRET, "region": "eu-central-1", "accountID": "123456789012"});
    json_patch::merge(&mut data, more);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "type": "banzaicloud.io/aws-ecr-login-config", "stringData": data,
    });
    case.home.kubectl("apply -f -").input(&secret).ok();
}

/// One for which AWS is elsewhere.
pub(super) fn controller(case: &Case, endpoint: &str) -> Controller {
    let user = case.user();
    let kubeconfig = case.kubeconfig(&user, |_| ());
    case.controller_with(user, &kubeconfig, &[("AWS_ENDPOINT_URL", endpoint)], &[])
}

pub(super) fn target(spaces: &[&Space]) -> Value {
    json!({"namespaces": {"names": spaces.iter().map(|space| &space.name).collect::<Vec<_>>()}})
}

/// The token that a copy has for a registry.
fn token(resource: &Resource, space: &Space, host: &str) -> Option<String> {
    passwords(&resource.copy(space)?).remove(host)
}

#[test]
fn a_token_is_got_once_and_spread() {
    let case = Case::new();
    let aws = Aws::new(KEY, SECRET);
    login(&case, "ecr", &json!({}));
    source(&case.home, "other", &[("a.example", "1")]);
    let spaces = [case.home.sibling(), case.home.sibling(), case.home.sibling()];
    let all: Vec<_> = spaces.iter().collect();
    // Two resources, one login.
    let resources = [(); 2].map(|()| Resource::new(&case, &["other", "ecr"], &target(&all)));
    let controller = controller(&case, &aws.url);
    for resource in &resources {
        resource.is_in(&all);
        let status = resource.is("Ready");
        assert!(
            status["validitySeconds"].as_i64().is_some_and(|seconds| (43_000..=43_200).contains(&seconds)),
            "{status}"
        );
        assert!(status["expiresAt"].is_string(), "{status}");
        for space in &spaces {
            assert_eq!(token(resource, space, HOST).as_deref(), Some(&*format!("{KEY}@eu-central-1#1")));
        }
    }
    assert_eq!(aws.asked().len(), 1, "{:?}", aws.asked());
    assert_eq!(aws.refused(), Vec::<String>::new());
    assert_eq!(controller.count("pullgate_controller_token_requests_total", &["outcome=\"success\""]), 1);
    let expiry = controller
        .count("pullgate_controller_credentials_expiry_seconds", &[&format!("registry=\"{HOST}\"")]);
    assert!((43_000..=43_200).contains(&expiry), "{expiry}");
}

/// They differ in the account alone: whoever asks may pull from all of them with one token.
#[test]
fn one_token_is_for_the_registries_of_all_accounts() {
    let case = Case::new();
    let aws = Aws::new(KEY, SECRET);
    let accounts: Vec<_> = (0..6).map(|n| format!("12345678901{n}")).collect();
    for account in &accounts {
        login(&case, account, &json!({"accountID": account}));
    }
    // Of 11 digits: the others spread.
    login(&case, "short", &json!({"accountID": "12345678901"}));
    let space = case.home.sibling();
    let names: Vec<_> = accounts.iter().map(String::as_str).collect();
    let resource = Resource::new(&case, &names, &target(&[&space]));
    let _controller = controller(&case, &aws.url);
    let token = format!("{KEY}@eu-central-1#1");
    let hosts: Vec<_> =
        accounts.iter().map(|account| format!("{account}.dkr.ecr.eu-central-1.amazonaws.com")).collect();
    let all: Vec<_> = hosts.iter().map(|host| (host.as_str(), token.as_str())).collect();
    resource.has(&space, &all);
    resource.is("Ready");
    resource.apply(&case, &[&["short"], names.as_slice()].concat(), &target(&[&space]));
    let told = resource.is("Failed")["reason"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains("`accountID` has 11 digits; accepted: the 12 digits"), "{told}");
    resource.has(&space, &all);
    assert_eq!(aws.asked().len(), 1, "{:?}", aws.asked());
    assert_eq!(aws.refused(), Vec::<String>::new());
}

/// They differ in the role alone.
#[test]
fn another_role_is_another_token() {
    let case = Case::new();
    let aws = Aws::new(KEY, SECRET);
    login(&case, "one", &json!({"roleArn": "arn:aws:iam::1:role/first"}));
    login(&case, "two", &json!({"roleArn": "arn:aws:iam::1:role/second"}));
    let space = case.home.sibling();
    let first = Resource::new(&case, &["one"], &target(&[&space]));
    let second = Resource::new(&case, &["two"], &target(&[&space]));
    let _controller = controller(&case, &aws.url);
    for (resource, key) in [(&first, "ASIAFIRST"), (&second, "ASIASECOND")] {
        resource.is("Ready");
        let token = token(resource, &space, HOST).unwrap_or_default();
        assert!(token.starts_with(&format!("{key}@")), "{token}");
    }
    let asked: BTreeSet<_> = aws.asked().into_iter().map(|Asked { action, key, .. }| (action, key)).collect();
    assert!(asked.contains(&("AssumeRole".to_owned(), KEY.to_owned())), "{asked:?}");
    assert_eq!(aws.refused(), Vec::<String>::new());
}

/// As a kubelet does, the client reads the copy for each pull. It asks in its own rhythm, whatever the controller does.
#[test]
fn a_client_that_pulls_every_second_is_never_refused() {
    const SECONDS: u64 = 100;
    let case = Case::new();
    let aws = Aws::new(KEY, SECRET);
    aws.set(Mood::Gives { seconds: 60 });
    login(&case, "ecr", &json!({}));
    let space = case.home.sibling();
    let resource = Resource::new(&case, &["ecr"], &target(&[&space]));
    let _controller = controller(&case, &aws.url);
    resource.is("Ready");
    let (began, mut tokens) = (Instant::now(), Vec::new());
    for second in 0..=SECONDS {
        sleep(Duration::from_secs(second).saturating_sub(began.elapsed()));
        let auth = auths(&resource.copy(&space).expect("a copy"))[HOST].clone();
        assert_eq!(aws.pull(&auth), Some(200), "after {second} s, with token {} of {tokens:?}", tokens.len());
        assert_eq!(resource.get()["status"]["status"], "Ready");
        if tokens.last() != Some(&auth) {
            tokens.push(auth);
        }
    }
    // In time, and not all the time: one at the beginning, and then every half minute.
    assert!((4..=5).contains(&tokens.len()), "{tokens:?}");
    assert!((tokens.len()..=tokens.len() + 1).contains(&aws.asked().len()), "{:?}", aws.asked());
    // Tokens do end, or it would say nothing that none was refused.
    assert_eq!(aws.pull(&tokens[0]), Some(401));
    assert_eq!(aws.pull("QVdTOm5vbmU="), Some(401));
}

#[test]
fn what_was_got_stays_until_it_has_expired_and_then_it_is_said() {
    let case = Case::new();
    let aws = Aws::new(KEY, SECRET);
    aws.set(Mood::Gives { seconds: 14 });
    login(&case, "ecr", &json!({}));
    source(&case.home, "other", &[("a.example", "1")]);
    let space = case.home.sibling();
    let resource = Resource::new(&case, &["other", "ecr"], &target(&[&space]));
    let _controller = controller(&case, &aws.url);
    resource.is("Ready");
    let first = token(&resource, &space, HOST).expect("a token");
    aws.set(Mood::Throttles);
    let of_source = |status: &Value| {
        status["sourceSecretStatus"][format!("{}.ecr", case.home.name)]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let status = resource.is("Failed");
    assert!(of_source(&status).contains("ThrottlingException"), "{status}");
    assert_eq!(token(&resource, &space, HOST).as_ref(), Some(&first));
    // The others spread meanwhile.
    source(&case.home, "other", &[("a.example", "2")]);
    soon("the other one", || (token(&resource, &space, "a.example").as_deref() == Some("2")).then_some(()));
    let status = soon("its end", || {
        let status = resource.get()["status"].take();
        of_source(&status).starts_with("Expired").then_some(status)
    });
    assert_eq!(status["status"], "Failed");
    // Not after five minutes.
    aws.set(Mood::Gives { seconds: 43_200 });
    resource.is("Ready");
    assert_ne!(token(&resource, &space, HOST), Some(first));
}

#[test]
fn what_is_no_answer_is_said_and_tried_again() {
    let case = Case::new();
    let aws = Aws::new(KEY, "another secret");
    login(&case, "ecr", &json!({}));
    source(&case.home, "other", &[("a.example", "1")]);
    let space = case.home.sibling();
    let resource = Resource::new(&case, &["other", "ecr"], &target(&[&space]));
    let controller = controller(&case, &aws.url);
    resource.is("Failed");
    assert!(!aws.refused().is_empty());
    // What there is is spread.
    resource.has(&space, &[("a.example", "1")]);
    aws.set(Mood::Babbles);
    login(&case, "ecr", &json!({"secretKey": "another secret"}));
    soon("garbage that was got", || (!aws.asked().is_empty()).then_some(()));
    assert_eq!(resource.get()["status"]["status"], "Failed");
    aws.set(Mood::Dawdles { seconds: 2 });
    resource.is("Ready");
    assert!(token(&resource, &space, HOST).is_some());
    let everything =
        [controller.log(), resource.get().to_string(), controller.get("/metrics").unwrap_or_default()]
            .concat();
    for secret in [SECRET, "another secret"] {
        assert!(!everything.contains(secret), "{secret} is told");
    }
}
