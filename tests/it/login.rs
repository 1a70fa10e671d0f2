//! What it takes to get a token of ECR, as a Secret says it.

use k8s_openapi::ByteString;
use pullgate::controller::sources::login::{Data, Login};

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
        assert_eq!(with(&[("region", region)]).unwrap().registry(), host);
    }
    let public = with(&[("public", "true"), ("region", "-"), ("accountID", "-")]).unwrap();
    assert_eq!(public.registry(), "public.ecr.aws");
}

#[test]
fn one_login_is_another_if_any_of_its_parts_is() {
    let one = with(&[]).unwrap();
    assert!(one == with(&[("region", " us-east-1\n")]).unwrap(), "space around a value is none of it");
    for edit in [
        ("region", "eu-west-1"),
        ("accountID", "999999999999"),
        ("accessKeyID", "AKIA2"),
        ("secretKey", "other"),
        ("roleArn", "arn:aws:iam::1:role/x"),
        ("public", "true"),
    ] {
        assert!(one != with(&[edit]).unwrap(), "{edit:?}");
    }
    let by_the_process = with(&[("accessKeyID", "-"), ("secretKey", "-")]).unwrap();
    assert!(by_the_process.keys.is_none());
}

#[test]
fn what_cannot_be_used_is_refused_by_its_key_and_without_its_value() {
    for (edit, problem) in [
        (("region", "-"), "has no key `region`"),
        (("accountID", ""), "has no key `accountID`"),
        (("region", "evil.example/"), "`region` is not a region, such as eu-central-1"),
        (("accountID", "a.b"), "`accountID` is not the number of an account, such as 123456789012"),
        (("secretKey", "-"), "has `accessKeyID` and no `secretKey`"),
        (("accessKeyID", "-"), "has `secretKey` and no `accessKeyID`"),
        (("roleArn", "role/x"), "`roleArn` is not the ARN of a role"),
        (("public", "yes"), "`public` is neither true nor false"),
    ] {
        assert_eq!(with(&[edit]).err().as_deref(), Some(problem), "{edit:?}");
    }
}
