//! The source changes: as an object of the API server, as a file, as a literal.

use std::fs;

use crate::controller::case::{
    Case, Controller, KEY, MANAGED_BY, content_of, login, pull_secret, uid, version,
};
use crate::space::Space;
use crate::wait::{never, soon};

/// Of `pullgate_controller_source_usable`.
#[track_caller]
fn source_is_usable(controller: &Controller, is: bool) {
    soon(&format!("a source that is usable: {is}"), || {
        (controller.count("pullgate_controller_source_usable", &[]) == u64::from(is)).then_some(())
    });
}

#[track_caller]
fn keeps(case: &Case, space: &Space, password: &str) {
    let expected = login(password);
    never("another content", || {
        let content = case.copy(space).and_then(|copy| content_of(&copy));
        (content.as_deref() != Some(&*expected)).then_some(content)
    });
}

/// The UIDs stay: a kubelet checks every image again for a Secret that is another one.
#[test]
fn a_rotation_reaches_all_namespaces_and_their_secrets_stay_the_same_objects() {
    let case = Case::new();
    case.source("first");
    let spaces = [(); 5].map(|()| case.space());
    let _controller = case.controller(&[]);
    let first = spaces.each_ref().map(|space| case.has(space, "first"));
    case.source("second");
    let second = spaces.each_ref().map(|space| case.has(space, "second"));
    assert_eq!(first.each_ref().map(uid), second.each_ref().map(uid));
}

#[test]
fn what_a_deleted_source_held_stays_until_it_is_made_again() {
    let case = Case::new();
    case.source("first");
    let space = case.space();
    let controller = case.controller(&[]);
    let first = case.has(&space, "first");
    case.on_copy(&case.home, "delete").ok();
    source_is_usable(&controller, false);
    keeps(&case, &space, "first");
    // Namespaces that come meanwhile get it, too.
    let later = case.space();
    case.has(&later, "first");
    // But where the source was: a copy would be in its way.
    assert!(case.copy(&case.home).is_none());
    let made =
        case.home.kubectl("create -o json -f -").input(&pull_secret(&case.secret, &login("second"))).json();
    let second = case.has(&space, "second");
    case.has(&later, "second");
    assert_eq!(version(&case.copy(&case.home).expect("the source")), version(&made));
    assert_eq!(uid(&first), uid(&second));
    source_is_usable(&controller, true);
}

/// What the API server itself takes as a pull secret, and no kubelet can use.
#[test]
fn a_source_that_is_no_pull_secret_is_refused_by_key_and_the_good_copies_stay() {
    let case = Case::new();
    case.source("first");
    let space = case.space();
    let controller = case.controller(&[]);
    case.has(&space, "first");
    for (content, problem) in [
        (r#"{"password":"hunter2"}"#, "has no `auths`"),
        (r#"{"auths":{}}"#, "names no registry"),
        (r#"{"auths":{"registry.example":{"auth":"hunter2"}}}"#, "`auth` of \"registry.example\""),
    ] {
        case.source_content(content);
        soon(problem, || {
            let log = controller.log();
            log.lines().any(|line| line.contains(KEY) && line.contains(problem)).then_some(())
        });
        source_is_usable(&controller, false);
    }
    keeps(&case, &space, "first");
    assert!(!controller.log().contains("hunter2"), "{}", controller.log());
    case.source("second");
    case.has(&space, "second");
    source_is_usable(&controller, true);
}

/// A kubelet brings a mounted file up to date a minute after the object.
#[test]
fn a_stale_file_never_takes_the_content_of_the_object_back() {
    let case = Case::new();
    let space = case.space();
    let file = case.file("mounted");
    let flag = format!("-dockerconfigjsonpath={}", file.display());
    fs::write(&file, login("stale")).expect("a file");
    case.source("first");
    let _controller = case.controller(&[&flag]);
    case.has(&space, "first");
    case.source("second");
    case.has(&space, "second");
    fs::write(&file, login("first")).expect("a file");
    keeps(&case, &space, "second");
    // Nor does the object's absence: what it held last is newer than the file.
    case.on_copy(&case.home, "delete").ok();
    keeps(&case, &space, "second");
}

#[test]
fn a_file_is_followed_until_there_is_an_object() {
    let case = Case::new();
    let space = case.space();
    let file = case.file("mounted");
    fs::write(&file, login("first")).expect("a file");
    let flag = format!("-dockerconfigjsonpath={}", file.display());
    let controller = case.controller(&[&flag]);
    let first = case.has(&space, "first");
    fs::write(&file, login("second")).expect("a file");
    let second = case.has(&space, "second");
    assert_eq!(uid(&first), uid(&second));
    // Half written, or gone: what was good stays.
    fs::write(&file, r#"{"auths":{"registry"#).expect("a file");
    source_is_usable(&controller, false);
    fs::remove_file(&file).expect("it was there");
    keeps(&case, &space, "second");
    fs::write(&file, login("third")).expect("a file");
    case.has(&space, "third");
    case.source("fourth");
    case.has(&space, "fourth");
    keeps(&case, &space, "fourth");
}

#[test]
fn a_literal_is_handed_out_by_flag_and_by_variable() {
    for by_flag in [true, false] {
        let case = Case::new();
        let space = case.space();
        let content = login("literal");
        let flag = format!("-dockerconfigjson={content}");
        let (flags, variables): (&[&str], &[_]) =
            if by_flag { (&[&flag], &[]) } else { (&[], &[("CONFIG_DOCKERCONFIGJSON", content.as_str())]) };
        let user = case.user();
        let kubeconfig = case.kubeconfig(&user, |_| ());
        let _controller = case.controller_with(user, &kubeconfig, variables, flags);
        case.has(&space, "literal");
        case.has(&case.home, "literal");
    }
}

/// It took its credentials from a file, and made a copy in its own namespace too, where a source would be looked for.
#[test]
fn a_copy_of_the_predecessor_in_the_place_of_the_source_is_a_copy() {
    let case = Case::new();
    let space = case.space();
    let mut copy = pull_secret(&case.secret, &login("old"));
    copy["metadata"]["annotations"] = serde_json::json!({MANAGED_BY: "imagepullsecret-patcher"});
    case.home.kubectl("create -f -").input(&copy).ok();
    let file = case.file("mounted");
    fs::write(&file, login("first")).expect("a file");
    let _controller = case.controller(&[&format!("-dockerconfigjsonpath={}", file.display())]);
    case.has(&space, "first");
    case.has(&case.home, "first");
    fs::write(&file, login("second")).expect("a file");
    case.has(&space, "second");
    case.has(&case.home, "second");
}

/// Its marks on the source itself, where there is no other: the source serves as it is, and is not written.
#[test]
fn a_marked_source_is_the_source_where_there_is_no_other() {
    let case = Case::new();
    let space = case.space();
    let mut source = pull_secret(&case.secret, &login("first"));
    source["metadata"]["annotations"] = serde_json::json!({MANAGED_BY: "imagepullsecret-patcher"});
    case.home.kubectl("create -f -").input(&source).ok();
    let before = case.copy(&case.home).expect("the source");
    let _controller = case.controller(&[]);
    case.has(&space, "first");
    soon("the reference beside the source", || {
        case.references(&case.home).contains(&case.secret).then_some(())
    });
    assert_eq!(case.copy(&case.home).expect("the source"), before);
    case.source("second");
    case.has(&space, "second");
}

/// Secrets that are looked for by the name of the copies in their own namespace, unless another name is given.
#[test]
fn the_source_may_have_a_name_of_its_own() {
    let case = Case::new();
    let space = case.space();
    let name = format!("{}-source", case.secret);
    let source = pull_secret(&name, &login("first"));
    case.home.kubectl("create -f -").input(&source).ok();
    let _controller = case.controller(&[&format!("-source-secretname={name}")]);
    case.has(&space, "first");
    case.has(&case.home, "first");
}
