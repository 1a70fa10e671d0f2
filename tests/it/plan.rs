//! What the controller plans for a namespace: every row of the table in `controller::plan`, and what holds for all.

use proptest::prelude::*;
use pullgate::controller::credentials::Digest;
use pullgate::controller::plan::{Account, Action, Foreign, Namespace, Notes, Owner, Secret, Wanted, plan};
use pullgate::names::Names;

fn digest(content: u8) -> Digest {
    Digest::of(&[content])
}

fn wanted() -> Wanted {
    Wanted {
        secret: "regcred".to_owned(),
        content: Some(digest(1)),
        accounts: Names::patterns(["default"]),
        foreign: Foreign::Keep,
        recreate: false,
    }
}

fn secret(owner: Owner, content: u8) -> Secret {
    Secret {
        uid: "u1".to_owned(),
        resource_version: "10".to_owned(),
        owner,
        content: Some(digest(content)),
        frozen: false,
        extra_keys: Vec::new(),
    }
}

fn account(name: &str, references: &[&str]) -> Account {
    let references = references.iter().map(|name| Some((*name).to_owned())).collect();
    Account {
        name: name.to_owned(),
        resource_version: "20".to_owned(),
        deleting: false,
        references,
        notes: Notes::default(),
    }
}

fn noted(names: &[&str]) -> Notes {
    Notes { names: names.iter().map(|name| (*name).to_owned()).collect(), annotated: true }
}

fn namespace(secret: Option<Secret>, accounts: &[Account]) -> Namespace {
    Namespace {
        selected: true,
        awaits_source: false,
        terminating: false,
        secret,
        accounts: accounts.to_vec(),
    }
}

fn update() -> Action {
    Action::Update { resource_version: "10".to_owned(), extra_keys: Vec::new() }
}

fn add(name: &str, list: bool) -> Action {
    let notes = Notes { annotated: false, ..noted(&["regcred"]) };
    Action::AddReference { account: name.to_owned(), resource_version: "20".to_owned(), list, notes }
}

fn remove(name: &str, places: &[usize]) -> Action {
    let (account, resource_version) = (name.to_owned(), "20".to_owned());
    Action::RemoveReference { account, resource_version, places: places.to_vec(), notes: None }
}

fn delete() -> Action {
    Action::Delete { uid: "u1".to_owned(), resource_version: "10".to_owned() }
}

#[test]
fn a_selected_namespace_gets_secret_and_references() {
    let bare = account("default", &[]);
    let has = account("default", &["other", "regcred"]);
    for (secret, accounts, expected) in [
        (None, vec![], vec![Action::Create]),
        (None, vec![bare.clone()], vec![Action::Create, add("default", false)]),
        (Some(secret(Owner::Us, 1)), vec![has.clone()], vec![]),
        (Some(secret(Owner::Us, 2)), vec![has.clone()], vec![update()]),
        (Some(secret(Owner::Us, 1)), vec![account("default", &["other"])], vec![add("default", true)]),
        (Some(secret(Owner::Us, 1)), vec![account("builder", &[])], vec![]),
        // Same content, but not marked in full: adopted.
        (Some(secret(Owner::Predecessor, 1)), vec![has.clone()], vec![update()]),
        (Some(secret(Owner::Source, 2)), vec![bare.clone()], vec![add("default", false)]),
        (Some(secret(Owner::Somebody, 2)), vec![bare.clone()], vec![Action::ReportForeign]),
        // Same content: it serves, and stays whose it is.
        (Some(secret(Owner::Somebody, 1)), vec![bare.clone()], vec![add("default", false)]),
    ] {
        assert_eq!(
            plan(&wanted(), &namespace(secret.clone(), &accounts)),
            expected,
            "{secret:?} {accounts:?}"
        );
    }
}

#[test]
fn a_foreign_secret_is_overwritten_in_place_where_that_is_allowed() {
    let wanted = Wanted { foreign: Foreign::Overwrite, ..wanted() };
    for content in [1, 2] {
        let before = namespace(Some(secret(Owner::Somebody, content)), &[]);
        assert_eq!(plan(&wanted, &before), [update()]);
    }
}

#[test]
fn a_secret_of_a_wrong_type_is_deleted_only_where_that_is_allowed() {
    let frozen = Secret { content: None, frozen: true, ..secret(Owner::Us, 1) };
    let before = namespace(Some(frozen), &[account("default", &[])]);
    assert_eq!(plan(&wanted(), &before), [Action::ReportFrozen]);
    let recreate = Action::Recreate { uid: "u1".to_owned(), resource_version: "10".to_owned() };
    assert_eq!(plan(&Wanted { recreate: true, ..wanted() }, &before), [recreate, add("default", false)]);
}

#[test]
fn a_namespace_that_leaves_loses_references_then_copy_if_they_are_ours() {
    let left = |secret, accounts: &[Account]| Namespace { selected: false, ..namespace(secret, accounts) };
    let accounts = [account("default", &["regcred", "other", "regcred"]), account("builder", &["regcred"])];
    for owner in [Owner::Us, Owner::Predecessor] {
        let before = left(Some(secret(owner, 1)), &accounts);
        assert_eq!(plan(&wanted(), &before), [remove("default", &[2, 0]), delete()]);
    }
    for owner in [Owner::Somebody, Owner::Source] {
        assert_eq!(plan(&wanted(), &left(Some(secret(owner, 1)), &accounts)), []);
    }
    assert_eq!(plan(&wanted(), &left(None, &accounts)), []);
}

/// Also where there is no copy of ours: beside the source, or after somebody has deleted it.
#[test]
fn a_namespace_that_leaves_loses_the_references_that_are_noted() {
    let add = add("default", true);
    let Action::AddReference { notes: after_add, .. } = &add else { unreachable!() };
    assert_eq!(after_add.names, noted(&["regcred"]).names);
    let left = |secret, accounts: &[Account]| Namespace { selected: false, ..namespace(secret, accounts) };
    let with = |name: &str, notes| Account { notes, ..account(name, &["other", "regcred"]) };
    let removed = |name: &str, notes| {
        let Action::RemoveReference { account, resource_version, places, .. } = remove(name, &[1]) else {
            unreachable!()
        };
        Action::RemoveReference { account, resource_version, places, notes: Some(notes) }
    };
    // An account that is not chosen any more, and one with a note for another Secret.
    let accounts = [
        with("default", noted(&["regcred"])),
        with("builder", noted(&["another", "regcred"])),
        with("third", noted(&["another"])),
    ];
    let all = [removed("default", noted(&[])), removed("builder", noted(&["another"]))];
    for secret in [None, Some(secret(Owner::Source, 2)), Some(secret(Owner::Somebody, 2))] {
        assert_eq!(plan(&wanted(), &left(secret, &accounts)), all);
    }
    let ours = plan(&wanted(), &left(Some(secret(Owner::Us, 1)), &accounts));
    assert_eq!(ours, [&all[..], &[delete()]].concat());
    // What somebody has removed already leaves a note, which goes.
    let gone = Account { notes: noted(&["regcred"]), ..account("default", &[]) };
    let (account, resource_version) = ("default".to_owned(), "20".to_owned());
    let note = Action::RemoveReference { account, resource_version, places: vec![], notes: Some(noted(&[])) };
    assert_eq!(plan(&wanted(), &left(None, &[gone])), [note]);
}

#[test]
fn without_credentials_everything_stays_as_it_is() {
    let wanted = Wanted { content: None, ..wanted() };
    assert_eq!(plan(&wanted, &namespace(None, &[account("default", &[])])), []);
    let copied = namespace(Some(secret(Owner::Us, 9)), &[account("default", &["regcred"])]);
    assert_eq!(plan(&wanted, &copied), []);
}

#[test]
fn no_copy_is_made_where_the_source_belongs() {
    let accounts = [account("default", &[])];
    let before = Namespace { awaits_source: true, ..namespace(None, &accounts) };
    assert_eq!(plan(&wanted(), &before), []);
    let there = Namespace { awaits_source: true, ..namespace(Some(secret(Owner::Source, 2)), &accounts) };
    assert_eq!(plan(&wanted(), &there), [add("default", false)]);
}

#[test]
fn what_is_on_its_way_out_is_left_alone() {
    let terminating = Namespace { terminating: true, ..namespace(None, &[account("default", &[])]) };
    assert_eq!(plan(&wanted(), &terminating), []);
    let deleting = Account { deleting: true, ..account("default", &[]) };
    assert_eq!(plan(&wanted(), &namespace(Some(secret(Owner::Us, 1)), &[deleting])), []);
}

/// Carries out a plan on a namespace as an API server would.
fn carry_out(actions: &[Action], wanted: &Wanted, before: &Namespace) -> Namespace {
    let mut after = before.clone();
    let content = wanted.content;
    for action in actions {
        match action {
            Action::Create | Action::Recreate { .. } => {
                let made = Secret { uid: "u2".to_owned(), ..secret(Owner::Us, 0) };
                after.secret = Some(Secret { content, ..made });
            }
            Action::Update { .. } => {
                let secret = after.secret.as_mut().unwrap();
                assert!(!secret.frozen || secret.content == content, "the API server refuses this");
                (secret.owner, secret.content) = (Owner::Us, content);
            }
            Action::Delete { .. } => after.secret = None,
            Action::AddReference { account, list, notes, .. } => {
                let account = after.accounts.iter_mut().find(|a| a.name == *account).unwrap();
                assert_eq!(*list, !account.references.is_empty());
                assert_eq!(notes.annotated, account.notes.annotated);
                account.notes = Notes { annotated: true, ..notes.clone() };
                account.references.push(Some(wanted.secret.clone()));
            }
            Action::RemoveReference { account, places, notes, .. } => {
                let account = after.accounts.iter_mut().find(|a| a.name == *account).unwrap();
                if let Some(notes) = notes {
                    account.notes = notes.clone();
                }
                for place in places {
                    assert_eq!(account.references.remove(*place).as_ref(), Some(&wanted.secret));
                }
            }
            Action::ReportForeign | Action::ReportFrozen => {}
        }
    }
    after
}

prop_compose! {
    fn any_secret()(
        owner in prop_oneof![Just(Owner::Us), Just(Owner::Predecessor), Just(Owner::Somebody), Just(Owner::Source)],
        content in prop::option::of(0_u8..3),
        frozen in any::<bool>(),
    ) -> Secret {
        Secret { content: content.map(digest), frozen, ..secret(owner, 0) }
    }
}

prop_compose! {
    fn any_accounts()(
        lists in prop::collection::vec(
            (prop::collection::vec(prop::option::of("regcred|other|third"), 0..4), any::<bool>(), any::<bool>()), 0..4),
    ) -> Vec<Account> {
        let named = lists.into_iter().zip(["default", "builder", "third", "fourth"]);
        named.map(|((references, deleting, ours), name)| {
            let notes = if ours { noted(&["regcred"]) } else { Notes::default() };
            Account { references, deleting, notes, ..account(name, &[]) }
        }).collect()
    }
}

prop_compose! {
    fn any_namespace()(
        selected in any::<bool>(), awaits_source in any::<bool>(), terminating in any::<bool>(),
        secret in prop::option::of(any_secret()), accounts in any_accounts(),
    ) -> Namespace {
        Namespace { selected, awaits_source, terminating, secret, accounts }
    }
}

prop_compose! {
    fn any_wanted()(
        content in prop::option::of(0_u8..3), all in any::<bool>(),
        overwrite in any::<bool>(), recreate in any::<bool>(),
    ) -> Wanted {
        Wanted {
            content: content.map(digest),
            accounts: if all { Names::All } else { Names::patterns(["default"]) },
            foreign: if overwrite { Foreign::Overwrite } else { Foreign::Keep },
            recreate,
            ..wanted()
        }
    }
}

fn foreign_references(namespace: &Namespace) -> Vec<Vec<Option<String>>> {
    let foreign = |account: &Account| {
        let others = account.references.iter().filter(|name| name.as_deref() != Some("regcred"));
        others.cloned().collect()
    };
    namespace.accounts.iter().map(foreign).collect()
}

proptest! {
    #[test]
    fn a_plan_that_is_carried_out_leaves_nothing_to_plan(wanted in any_wanted(), before in any_namespace()) {
        let actions = plan(&wanted, &before);
        let after = carry_out(&actions, &wanted, &before);
        let reports = |action: &Action| matches!(action, Action::ReportForeign | Action::ReportFrozen);
        let again: Vec<_> = plan(&wanted, &after).into_iter().filter(|action| !reports(action)).collect();
        prop_assert_eq!(again, vec![], "after {:?}", actions);
    }

    #[test]
    fn what_is_not_ours_is_never_lost(wanted in any_wanted(), before in any_namespace()) {
        let actions = plan(&wanted, &before);
        let after = carry_out(&actions, &wanted, &before);
        prop_assert_eq!(foreign_references(&after), foreign_references(&before));
        let Some(secret) = &before.secret else { return Ok(()) };
        let untouched = after.secret.as_ref() == Some(secret);
        match secret.owner {
            Owner::Source => prop_assert!(untouched),
            Owner::Somebody if wanted.foreign == Foreign::Keep || !before.selected => prop_assert!(untouched),
            _ => {}
        }
        // Only a wish to delete, or a namespace that leaves, ever makes a Secret go.
        let deletes = |action: &Action| matches!(action, Action::Delete { .. } | Action::Recreate { .. });
        if before.selected && !wanted.recreate {
            prop_assert!(!actions.iter().any(deletes), "{:?}", actions);
        }
        if wanted.content.is_none() && before.selected {
            prop_assert_eq!(&after.secret, &before.secret);
        }
    }

    /// Events come in any order and some twice: whatever state they lead through, it ends in the same one.
    #[test]
    fn a_detour_ends_where_the_straight_way_does(wanted in any_wanted(), before in any_namespace(), detour in any_wanted()) {
        let settle = |wanted: &Wanted, namespace: &Namespace| carry_out(&plan(wanted, namespace), wanted, namespace);
        // A detour that may overwrite or delete changes whose a Secret is, and is one on purpose.
        let detour = Wanted { foreign: Foreign::Keep, recreate: false, accounts: wanted.accounts.clone(), ..detour };
        let straight = settle(&wanted, &before);
        let around = settle(&wanted, &settle(&detour, &before));
        let content = |namespace: &Namespace| {
            let secret = namespace.secret.as_ref()?;
            // Marks are completed with the content. Where that cannot be written, they are only if it was right once.
            let half_marked = secret.owner == Owner::Predecessor && secret.frozen;
            Some((if half_marked { Owner::Us } else { secret.owner }, secret.content))
        };
        if wanted.content.is_some() {
            prop_assert_eq!(content(&straight), content(&around));
        }
    }
}
