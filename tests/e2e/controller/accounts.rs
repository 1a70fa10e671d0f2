//! Which ServiceAccounts get the reference, and what stays in their lists.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::controller::case::{Case, KEY, login, make_account, references};
use crate::controller::events::events;
use crate::space::Space;
use crate::wait::{never, soon};

/// Waits until an account's list is exactly this.
#[track_caller]
fn lists(space: &Space, account: &str, expected: &[&str]) {
    soon(&format!("{expected:?} on {account}"), || (references(space, account) == expected).then_some(()));
}

/// Sets the list, as a tool does that knows of no other entries.
#[track_caller]
fn set_list(space: &Space, account: &str, list: &Value) {
    let patch = format!("--patch={}", json!({"imagePullSecrets": list}));
    space.kubectl(&format!("patch serviceaccount {account} --type=merge")).word(&patch).ok();
}

#[test]
fn accounts_are_chosen_by_name_and_by_pattern() {
    let case = Case::new();
    case.source("first");
    let space = case.home.sibling();
    // Names of this test only: a pattern is for all namespaces.
    let own = &case.account;
    let names = ["a", "b", "build-1", "build-22", "build"].map(|name| format!("{own}-{name}"));
    for name in &names {
        make_account(&space, name, &[]);
    }
    let flag = format!("-serviceaccounts={own}-a, {own}-build-?");
    let controller = case.controller(&[&flag]);
    let [a, b, one, two, none] = names.each_ref();
    for chosen in [a, one] {
        lists(&space, chosen, &[&case.secret]);
    }
    for other in [b, two, none] {
        assert_eq!(references(&space, other), Vec::<String>::new(), "{other}");
    }
    drop(controller);
    let _controller = case.controller(&[&format!("-serviceaccounts={own}-build-*")]);
    lists(&space, two, &[&case.secret]);
    assert_eq!(references(&space, none), Vec::<String>::new());
}

/// In a cluster of its own: the accounts of other tests are not to be touched.
#[test]
fn all_accounts_are_chosen_by_the_flag_and_default_by_none() {
    let case = Case::alone();
    case.source("first");
    let space = case.space();
    let user = case.user();
    let kubeconfig = case.kubeconfig(&user, |_| ());
    let all = case.controller_with(user, &kubeconfig, &[], &["-allserviceaccount"]);
    for account in ["default", &case.account] {
        lists(&space, account, &[&case.secret]);
        lists(&case.home, account, &[&case.secret]);
    }
    make_account(&space, "later", &["other"]);
    lists(&space, "later", &["other", &case.secret]);
    drop(all);
    // Nobody else's accounts keep what this test has put there.
    assert!(case.run(&["-allserviceaccount", "--uninstall"]).status.success());
    assert_eq!(references(&space, "later"), ["other"]);

    // An empty value is as none: the default.
    let default = case.controller(&["-serviceaccounts="]);
    lists(&space, "default", &[&case.secret]);
    assert_eq!(references(&space, "later"), ["other"]);
    drop(default);
    assert!(case.run(&["-serviceaccounts=default", "--uninstall"]).status.success());
}

#[test]
fn entries_of_others_keep_their_place_also_doubled_and_nameless_ones() {
    let case = Case::new();
    case.source("first");
    let space = case.home.sibling();
    let own = case.secret.as_str();
    let list = |names: &[&str]| -> Value { names.iter().map(|name| json!({"name": name})).collect() };
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": case.account},
        "imagePullSecrets": [{"name": "z"}, {}, {"name": "a"}, {"name": "z"}],
    });
    space.kubectl("create -f -").input(&account).ok();
    let controller = case.controller(&[]);
    lists(&space, &case.account, &["z", "", "a", "z", own]);
    // Where somebody has put it, and twice: it is there.
    set_list(&space, &case.account, &list(&[own, "b", own]));
    never("a change of a list that has the reference", || {
        let now = references(&space, &case.account);
        (now != [own, "b", own]).then_some(now)
    });
    drop(controller);
    let _controller = case.controller(&[&format!("-excluded-namespaces={}", space.name)]);
    lists(&space, &case.account, &["b"]);
}

#[test]
fn a_list_that_another_tool_has_stripped_is_repaired() {
    let case = Case::new();
    case.source("first");
    let space = case.space();
    let _controller = case.controller(&[]);
    case.has(&space, "first");
    for (set, expected) in
        [(json!(null), vec![]), (json!([]), vec![]), (json!([{"name": "theirs"}]), vec!["theirs"])]
    {
        set_list(&space, &case.account, &set);
        let all: Vec<_> = expected.into_iter().chain([case.secret.as_str()]).collect();
        lists(&space, &case.account, &all);
    }
}

/// To go on would load the API server and help nobody.
#[test]
fn who_removes_the_reference_again_and_again_is_left_alone_for_a_while() {
    let case = Case::new();
    case.source("first");
    let (space, other) = (case.space(), case.space());
    let controller = case.controller(&[]);
    let fights = || controller.count("pullgate_controller_fights_total", &["over=\"account\""]);
    // The first time it was no repair of what somebody had removed, but it counts.
    for _ in 0..5 {
        case.has(&space, "first");
        assert_eq!(fights(), 0);
        set_list(&space, &case.account, &json!(null));
    }
    let told = soon("an Event", || events(&space, "ReferenceConflict").pop());
    assert_eq!(told["involvedObject"]["kind"], "ServiceAccount");
    assert_eq!(told["involvedObject"]["name"], case.account.as_str());
    assert!(told["message"].as_str().is_some_and(|text| text.contains(&case.secret)), "{told}");
    assert_eq!(fights(), 1);
    never("one more repair", || Some(case.references(&space)).filter(|list| !list.is_empty()));
    assert_eq!(fights(), 1);
    // Only this account is left alone, and only its list.
    case.has(&other, "first");
    set_list(&other, &case.account, &json!(null));
    case.has(&other, "first");
    case.on_copy(&space, "delete").ok();
    soon("the copy", || case.copy(&space));
}

/// Nor does it help to write a copy again and again that somebody changes each time.
#[test]
fn who_changes_the_copy_again_and_again_slows_its_healing_down() {
    let case = Case::new();
    case.source("first");
    let (space, other) = (case.space(), case.space());
    let controller = case.controller(&[]);
    let fights = || controller.count("pullgate_controller_fights_total", &["over=\"copy\""]);
    let updates = || controller.count("pullgate_controller_writes_total", &["action=\"update\""]);
    case.has(&space, "first");
    let change = || {
        let edit = json!({"data": {KEY: STANDARD.encode(login("theirs"))}});
        case.on_copy(&space, "patch --type=merge").word(&format!("--patch={edit}")).ok();
    };
    let (before, began) = (updates(), Instant::now());
    while fights() == 0 {
        assert!(began.elapsed() < Duration::from_mins(1), "no fight after {} updates", updates() - before);
        change();
    }
    assert!(updates() - before >= 4, "{}", updates() - before);
    let told = soon("an Event", || events(&space, "SecretConflict").pop());
    assert_eq!(told["involvedObject"]["name"], case.secret.as_str());
    // In the end it heals, and so does everything else meanwhile.
    case.on_copy(&other, "delete").ok();
    case.has(&other, "first");
    case.has(&space, "first");
}

/// What comes again is another account each time.
#[test]
fn a_namespace_that_is_made_again_and_again_is_no_fight() {
    let case = Case::new();
    case.source("first");
    let space = case.space();
    let controller = case.controller(&[]);
    for _ in 0..8 {
        case.has(&space, "first");
        space.kubectl("delete serviceaccount").word(&case.account).ok();
        case.make_account(&space, &[]);
    }
    case.has(&space, "first");
    assert_eq!(controller.count("pullgate_controller_fights_total", &["over=\"account\""]), 0);
}

/// Nor is what the controller itself has removed.
#[test]
fn a_namespace_that_opts_out_and_in_again_and_again_is_no_fight() {
    let case = Case::new();
    case.source("first");
    let space = case.space();
    let controller = case.controller(&[]);
    let annotate = |value: &str| {
        let annotation = format!("k8s.titansoft.com/imagepullsecret-patcher-exclude={value}");
        crate::kubectl::kubectl("annotate --overwrite namespace").word(&space.name).word(&annotation).ok();
    };
    for _ in 0..8 {
        case.has(&space, "first");
        annotate("true");
        soon("no copy", || case.copy(&space).is_none().then_some(()));
        annotate("false");
    }
    case.has(&space, "first");
    assert_eq!(controller.count("pullgate_controller_fights_total", &["over=\"account\""]), 0);
}
