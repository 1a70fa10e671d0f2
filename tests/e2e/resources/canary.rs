//! Credentials of resources, keys of AWS and tokens, looked for where none belong.

use serde_json::{Value, json};

use super::aws::{Aws, BABBLED, Mood};
use super::case::{Resource, passwords, source};
use super::ecr::{HOST, KEY, login};
use crate::controller::canary::Canary;
use crate::controller::case::Case;
use crate::kubectl::kubectl;
use crate::wait::soon;

/// Everything that may be read without the right to read Secrets, after everything that is done and refused.
#[test]
fn credentials_of_resources_are_nowhere_but_in_secrets() {
    let case = Case::new();
    let [first, second, broken, key] = ["first", "second", "broken", "key"].map(Canary::new);
    let babbled = Canary::of(BABBLED.to_owned());
    let token = Canary::of(format!("{KEY}@eu-central-1#1"));
    let aws = Aws::new(KEY, &key.password);
    login(&case, "ecr", &json!({"secretKey": key.password}));
    source(&case.home, "one", &[("a.example", &first.password), ("b.example", &second.password)]);
    let spaces = [case.home.sibling(), case.home.sibling()];
    let names: Vec<_> = spaces.iter().map(|space| &space.name).collect();
    let target = json!({"namespaces": {"names": names}, "serviceAccounts": ["default"]});
    let resource = Resource::new(&case, &["one", "ecr"], &target);
    let user = case.user();
    let kubeconfig = case.kubeconfig(&user, |_| ());
    let variables = [("AWS_ENDPOINT_URL", aws.url.as_str())];
    let controller = case.controller_with(user, &kubeconfig, &variables, &["-debug"]);
    resource.is("Ready");
    let copy = resource.copy(&spaces[0]).expect("a copy");
    assert_eq!(passwords(&copy).get(HOST), Some(&token.password), "the copy has it");

    // Sources of the wrong shape, and of keys that are refused.
    let told = || resource.get()["status"]["sourceSecretStatus"].to_string();
    for content in [
        json!({"auths": {"a.example": {"auth": broken.password}}}),
        json!({"auths": {"a.example": broken.password}}),
        json!({"auths": broken.password}),
        json!({"auths": {"a.example": {"username": 7, "password": broken.password}}}),
    ] {
        let before = told();
        let patch = json!({"stringData": {".dockerconfigjson": content.to_string()}});
        case.home.kubectl("patch secret one --type=merge").word(&format!("--patch={patch}")).ok();
        soon("another refusal", || (told() != before).then_some(()));
    }
    // Each is another identity, so a token is asked for.
    for (region, secret, mood) in [
        ("eu-north-1", &broken.password, Mood::Throttles),
        ("eu-south-1", &key.password, Mood::Babbles),
        ("eu-west-1", &key.password, Mood::Throttles),
    ] {
        aws.set(mood);
        let before = told();
        login(&case, "ecr", &json!({"secretKey": secret, "region": region}));
        soon("another refusal", || (told() != before).then_some(()));
    }
    assert!(told().contains("ThrottlingException: Rate exceeded"), "{}", told());

    let mut seen = vec![("log".to_owned(), controller.log())];
    for path in ["/metrics", "/readyz"] {
        seen.push((path.to_owned(), controller.get(path).expect("an answer")));
    }
    seen.push(("resource".to_owned(), resource.get().to_string()));
    seen.push(("description".to_owned(), resource.kubectl("describe").ok().out));
    let events = kubectl("get events --all-namespaces -o json").ok().out;
    assert!(events.contains("SourceCredentialsError"), "there are Events");
    seen.push(("events".to_owned(), events));
    let mut copy = resource.copy(&spaces[0]).expect("the copy");
    copy["data"] = Value::Null;
    seen.push(("what is beside the data of a copy".to_owned(), copy.to_string()));
    seen.push(("account".to_owned(), spaces[0].get("serviceaccount/default").to_string()));
    for (place, text) in &seen {
        for canary in [&first, &second, &broken, &key, &token, &babbled] {
            assert_eq!(canary.found_in(text), None, "{place} holds {:?}: {text}", canary.password);
        }
    }
}
