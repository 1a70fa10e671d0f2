//! PURE: from what is wanted and what is there to what is to be done, for one namespace at a time.
//!
//! ```text
//!                        copy of the Secret              references of ServiceAccounts
//! selected      source   leave                           add where missing
//! selected      absent   create                          then add where missing
//!               ours     update where it differs         add where missing
//!               foreign  overwrite                       add where missing
//!                        or leave if its content serves, add where missing
//!                        or leave and report             leave
//! left          ours     delete, after                   these are removed
//!               other    leave                           those are removed that were noted as added
//! terminating            leave                           leave
//! ```
//! Carrying out a plan and planning again yields nothing. Nothing that is not ours is ever deleted, and without
//! credentials to hand out everything stays as it is.

use std::collections::BTreeSet;

use super::credentials::Digest;
use crate::names::Names;

/// What is wanted in a namespace, and how far it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Name of the Secret, which is the reference's, too.
    pub secret: String,
    /// What the copies are to hold; none while no source can be read.
    pub content: Option<Digest>,
    /// Which ServiceAccounts reference it.
    pub accounts: Names,
    /// What is done about a Secret of that name that is not ours.
    pub foreign: Foreign,
    /// Whether a Secret of a wrong type may be deleted to make one of the right type: a type cannot be changed.
    pub recreate: bool,
}

/// What is done about a Secret of our name that somebody else made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It becomes ours.
    Overwrite,
    /// It is left alone, and reported.
    Keep,
}

/// A namespace as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Whether it is one of those that get the Secret.
    pub selected: bool,
    /// Whether the Secret of our name is the source here, and missing: whoever provides it must not find a copy.
    pub awaits_source: bool,
    /// Whether it is on its way out: nothing can be created there.
    pub terminating: bool,
    /// The Secret of our name.
    pub secret: Option<Secret>,
    /// All ServiceAccounts.
    pub accounts: Vec<Account>,
}

/// A Secret of our name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Tells it from a later one of that name.
    pub uid: String,
    /// Tells what has been seen of it.
    pub resource_version: String,
    /// Whose it is.
    pub owner: Owner,
    /// What it holds; none if it cannot hold credentials (another type) or holds more than these.
    pub content: Option<Digest>,
    /// Whether its type or its `immutable` keep it from being updated.
    pub frozen: bool,
    /// Keys besides that of the credentials, which an update has to remove.
    pub extra_keys: Vec<String>,
}

/// Whose a Secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Made or taken over by us, and marked so in full.
    Us,
    /// Marked by the system that we replace, by half, or with more than our marks: ours, to be marked as ours are.
    Predecessor,
    /// Not marked.
    Somebody,
    /// Where the credentials come from, or may come from; it serves as it is.
    Source,
}

/// A ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Tells what has been seen of it.
    pub resource_version: String,
    /// Whether it is on its way out.
    pub deleting: bool,
    /// Names in `imagePullSecrets`, in order; none for an entry without.
    pub references: Vec<Option<String>>,
    /// What is noted of them.
    pub notes: Notes,
}

/// Which references of an account were added by the controller: these are its own to remove, also where there is no copy
/// of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Names of Secrets, sorted.
    pub names: BTreeSet<String>,
    /// Whether the account has any annotation, which is where they are noted.
    pub annotated: bool,
}

/// One write, or why there is none. In the order in which they are to be carried out; one that fails stops the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the copy.
    Create,
    /// Write content and marks into the Secret that was seen.
    Update {
        /// As it was seen.
        resource_version: String,
        /// To be removed.
        extra_keys: Vec<String>,
    },
    /// Delete the Secret that was seen and make the copy.
    Recreate {
        /// Of the one to delete.
        uid: String,
        /// As it was seen.
        resource_version: String,
    },
    /// Delete the copy.
    Delete {
        /// Of the one to delete.
        uid: String,
        /// As it was seen.
        resource_version: String,
    },
    /// Add the reference behind all others.
    AddReference {
        /// Name of the ServiceAccount.
        account: String,
        /// As it was seen.
        resource_version: String,
        /// Whether there is a list to add it to.
        list: bool,
        /// What is noted from then on.
        notes: Notes,
    },
    /// Remove the reference.
    RemoveReference {
        /// Name of the ServiceAccount.
        account: String,
        /// As it was seen.
        resource_version: String,
        /// Where in the list, from the end on: mostly one place.
        places: Vec<usize>,
        /// What is noted from then on; none if that is no change.
        notes: Option<Notes>,
    },
    /// A Secret that is not ours has our name, and may not be overwritten.
    ReportForeign,
    /// A Secret has a type that cannot be changed, and may not be deleted.
    ReportFrozen,
}

/// What is to be done in one namespace.
#[must_use]
pub fn plan(wanted: &Wanted, namespace: &Namespace) -> Vec<Action> {
    if namespace.terminating {
        return Vec::new();
    }
    if namespace.selected { keep(wanted, namespace) } else { leave(wanted, namespace) }
}

fn keep(wanted: &Wanted, namespace: &Namespace) -> Vec<Action> {
    let mut actions = Vec::new();
    match (&namespace.secret, wanted.content) {
        // Without credentials nothing is made, and a reference to nothing helps nobody.
        (None, None) => return actions,
        (None, _) if namespace.awaits_source => return actions,
        (None, Some(_)) => actions.push(Action::Create),
        (Some(secret), content) => {
            let ours = is_ours(secret);
            let same = secret.content == content;
            let kept = secret.owner == Owner::Somebody && wanted.foreign == Foreign::Keep;
            let serves = secret.owner == Owner::Source || (kept && content.is_some() && same);
            if kept && !serves {
                return vec![Action::ReportForeign];
            }
            if !serves && content.is_some() && (secret.owner != Owner::Us || !same) {
                if !secret.frozen || (ours && same) {
                    actions.push(Action::Update {
                        resource_version: secret.resource_version.clone(),
                        extra_keys: secret.extra_keys.clone(),
                    });
                } else if wanted.recreate {
                    actions.push(Action::Recreate {
                        uid: secret.uid.clone(),
                        resource_version: secret.resource_version.clone(),
                    });
                } else {
                    return vec![Action::ReportFrozen];
                }
            }
        }
    }
    let lack = |account: &&Account| places(wanted, account).is_empty();
    actions.extend(covered(wanted, namespace).filter(lack).map(|account| {
        let mut notes = account.notes.clone();
        notes.names.insert(wanted.secret.clone());
        Action::AddReference {
            account: account.name.clone(),
            resource_version: account.resource_version.clone(),
            list: !account.references.is_empty(),
            notes,
        }
    }));
    actions
}

/// Whether a Secret is a copy of ours, however it is marked.
#[must_use]
pub fn is_ours(secret: &Secret) -> bool {
    matches!(secret.owner, Owner::Us | Owner::Predecessor)
}

/// The references first: a Pod that is made in between would name a Secret that is gone.
fn leave(wanted: &Wanted, namespace: &Namespace) -> Vec<Action> {
    let copy = namespace.secret.as_ref().filter(|secret| is_ours(secret));
    let alive = namespace.accounts.iter().filter(|account| !account.deleting);
    let mut actions: Vec<_> = alive
        .filter_map(|account| {
            let is_ours = account.notes.names.contains(&wanted.secret);
            // A reference to a Secret that is not ours is ours only if we added it.
            if !is_ours && (copy.is_none() || !wanted.accounts.cover(&account.name)) {
                return None;
            }
            let places = places(wanted, account);
            let notes = is_ours.then(|| {
                let mut notes = account.notes.clone();
                notes.names.remove(&wanted.secret);
                notes
            });
            (is_ours || !places.is_empty()).then(|| Action::RemoveReference {
                account: account.name.clone(),
                resource_version: account.resource_version.clone(),
                places,
                notes,
            })
        })
        .collect();
    actions.extend(copy.map(|secret| Action::Delete {
        uid: secret.uid.clone(),
        resource_version: secret.resource_version.clone(),
    }));
    actions
}

/// Where an account references the Secret, from the end of its list on.
fn places(wanted: &Wanted, account: &Account) -> Vec<usize> {
    let all = account.references.iter().enumerate().rev();
    all.filter(|(_, name)| name.as_ref() == Some(&wanted.secret)).map(|(place, _)| place).collect()
}

fn covered<'a>(wanted: &'a Wanted, namespace: &'a Namespace) -> impl Iterator<Item = &'a Account> {
    namespace.accounts.iter().filter(|account| !account.deleting && wanted.accounts.cover(&account.name))
}
