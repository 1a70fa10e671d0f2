//! What it takes to get a token of ECR, as a Secret says it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::jiff::Timestamp;
use pullgate::controller::metrics::Metrics;
use pullgate::controller::sources::login::{Data, Identity, Login};
use pullgate::controller::sources::token::{Token, TokenSource, Tokens};
use tokio::sync::mpsc;
use tokio::time::timeout;

fn data(pairs: &[(&str, &str)]) -> Data {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()))).collect()
}

const WHOLE: [(&str, &str); 4] = [
    ("region", "us-east-1"),
    ("accountID", "123456789012"),
    ("accessKeyID", "AKIA1"),
    ("secretKey", "hunter2/+"),
];

fn with(edits: &[(&str, &str)]) -> Result<Login, String> {
    let mut all = data(&WHOLE);
    for (key, value) in edits {
        if *value == "-" {
            all.remove(*key)
        } else {
            all.insert((*key).to_owned(), ByteString(value.as_bytes().to_vec()))
        };
    }
    Login::read(&all)
}

#[test]
fn the_registry_follows_from_account_region_and_partition() {
    for (region, host) in [
        ("us-east-1", "123456789012.dkr.ecr.us-east-1.amazonaws.com"),
        ("us-gov-west-1", "123456789012.dkr.ecr.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"),
        ("us-iso-east-1", "123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov"),
        ("eu-isoe-west-1", "123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk"),
        ("us-isof-south-1", "123456789012.dkr.ecr.us-isof-south-1.csp.hci.ic.gov"),
        ("eusc-de-east-1", "123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu"),
    ] {
        assert_eq!(with(&[("region", region)]).unwrap().registry, host);
    }
    let public = with(&[("public", "true"), ("region", "-"), ("accountID", "-")]).unwrap();
    assert_eq!(public.registry, "public.ecr.aws");
}

#[test]
fn an_identity_is_another_if_any_of_its_parts_is_and_has_no_account() {
    let identity = |edit| with(&[edit]).unwrap().identity;
    let one = with(&[]).unwrap().identity;
    assert!(one == identity(("region", " us-east-1\n")), "space around a value is none of it");
    assert!(one == identity(("accountID", "999999999999")), "a token is good for every account");
    for edit in [
        ("region", "eu-west-1"),
        ("accessKeyID", "AKIA2"),
        ("secretKey", "other"),
        ("roleArn", "arn:aws:iam::1:role/x"),
        ("public", "true"),
    ] {
        assert!(one != identity(edit), "{edit:?}");
    }
    let by_the_process = with(&[("accessKeyID", "-"), ("secretKey", "-")]).unwrap();
    assert!(by_the_process.identity.keys.is_none());
}

#[test]
fn what_cannot_be_used_is_refused_by_its_key_and_without_its_value() {
    for (edit, problem) in [
        (("region", "-"), "has no key `region`"),
        (("accountID", ""), "has no key `accountID`"),
        (("region", "evil.example/"), "`region` is not a region, such as eu-central-1"),
        (
            ("accountID", "a.example/x?"),
            "`accountID` has 12 characters, and not digits alone; accepted: the 12 digits of an account, such as 123456789012",
        ),
        (
            ("accountID", "12345678901"),
            "`accountID` has 11 digits; accepted: the 12 digits of an account, such as 123456789012",
        ),
        (("secretKey", "-"), "has `accessKeyID` and no `secretKey`"),
        (("accessKeyID", "-"), "has `secretKey` and no `accessKeyID`"),
        (("roleArn", "role/x"), "`roleArn` is not the ARN of a role"),
        (("public", "yes"), "`public` is neither true nor false"),
    ] {
        assert_eq!(with(&[edit]).err().as_deref(), Some(problem), "{edit:?}");
    }
}

/// Gives tokens that live long, and counts them.
#[derive(Default)]
struct Counted(AtomicUsize);

impl TokenSource for Counted {
    fn token<'a>(&'a self, _: &'a Identity) -> BoxFuture<'a, Result<Token, String>> {
        let password = format!("token {}", self.0.fetch_add(1, Ordering::SeqCst) + 1).into();
        let expires = Timestamp::now() + Duration::from_hours(12);
        Box::pin(async move { Ok(Token { user: "AWS".to_owned(), password, expires }) })
    }
}

#[tokio::test]
async fn one_token_of_an_identity_is_for_the_registries_of_all_accounts() {
    let source = Arc::new(Counted::default());
    let tokens = Tokens::new(Arc::clone(&source) as Arc<dyn TokenSource>, Arc::new(Metrics::default()));
    let (tell, mut told) = mpsc::unbounded_channel();
    let follow = |edit| {
        let tell = tell.clone();
        tokens.follow(with(&[edit]).unwrap(), move |given| tell.send(given.ok()).unwrap())
    };
    let mut following = Vec::new();
    let mut given = Vec::new();
    for account in ["111111111111", "222222222222", "333333333333"] {
        following.push(follow(("accountID", account)));
        let one = timeout(Duration::from_secs(10), told.recv()).await.unwrap().unwrap().unwrap();
        given.push(String::from_utf8(one.entries.config().to_vec()).unwrap());
    }
    // AWS:token 1
    let entry = |account| {
        format!(
            r#"{{"auths":{{"{account}.dkr.ecr.us-east-1.amazonaws.com":{{"auth":"QVdTOnRva2VuIDE="}}}}}}"#
        )
    };
    assert_eq!(given, ["111111111111", "222222222222", "333333333333"].map(entry));
    assert_eq!((source.0.load(Ordering::SeqCst), tokens.count()), (1, 1));
    following.push(follow(("region", "eu-west-1")));
    timeout(Duration::from_secs(10), told.recv()).await.unwrap();
    assert_eq!((source.0.load(Ordering::SeqCst), tokens.count()), (2, 2));
    // It is held for as long as somebody needs it.
    following.drain(..2);
    assert_eq!(tokens.count(), 2);
    following.clear();
    assert_eq!(tokens.count(), 0);
}
