//! What a namespace gets.

use serde_json::json;

use crate::controller::case::{Case, KEY, MANAGED_BY, TYPE, login, pull_secret, uid};
use crate::wait::soon;

/// The marks of a copy, and nothing else.
#[test]
fn every_namespace_gets_a_copy_that_carries_the_credentials_alone_and_the_reference_to_it() {
    let case = Case::new();
    let before = case.space();
    // As users make it, with all that must not be copied: other labels, annotations (`apply` adds one), keys, owners.
    let mut source = pull_secret(&case.secret, &login("first"));
    source["metadata"]["labels"] = json!({"team": "a", "argocd.argoproj.io/instance": "registry"});
    source["metadata"]["annotations"] = json!({"note": "do not copy"});
    source["data"]["other"] = "eHh4".into();
    case.home.kubectl("apply -f -").input(&source).ok();
    let stored = case.copy(&case.home).expect("the source");
    assert!(stored["metadata"]["annotations"].to_string().contains("last-applied"), "{stored}");

    let _controller = case.controller(&[]);
    let after = case.space();
    for space in [&before, &after] {
        let copy = case.has(space, "first");
        assert_eq!(copy["type"], TYPE);
        assert_eq!(copy["metadata"]["labels"], json!({MANAGED_BY: "pullgate"}));
        assert_eq!(copy["metadata"]["annotations"], json!({MANAGED_BY: "imagepullsecret-patcher"}));
        assert_eq!(copy["metadata"]["ownerReferences"], json!(null));
        assert_eq!(copy["data"].as_object().expect("data").keys().collect::<Vec<_>>(), [KEY]);
        assert_eq!(case.references(space), [case.secret.as_str()]);
    }
    // Where the source lies the source serves, as it is.
    soon("the reference beside the source", || {
        (case.references(&case.home) == [case.secret.as_str()]).then_some(())
    });
    assert_eq!(case.copy(&case.home).expect("the source"), stored, "the source is never written");
}

#[test]
fn a_namespace_and_its_accounts_may_come_in_any_order_with_the_copy() {
    let case = Case::new();
    case.source("first");
    let _controller = case.controller(&[]);
    // Here the copy is first, and the account later.
    let late = case.home.sibling();
    soon("the copy", || case.copy(&late));
    case.make_account(&late, &["of-others"]);
    soon("the reference", || (case.references(&late) == ["of-others", case.secret.as_str()]).then_some(()));
    // An account that was deleted comes back without, and gets it again.
    let before = late.get(&format!("serviceaccount/{}", case.account));
    late.kubectl("delete serviceaccount").word(&case.account).ok();
    case.make_account(&late, &[]);
    soon("the reference of the new account", || {
        (case.references(&late) == [case.secret.as_str()]).then_some(())
    });
    assert_ne!(uid(&before), uid(&late.get(&format!("serviceaccount/{}", case.account))));
}
