//! Which repairs are put off for a while: all fights that there are, over references and over copies.

use std::sync::Mutex;
use std::time::Duration;

use super::credentials::Digest;
use super::fights::{COPIES, Fights, REFERENCES};
use super::leader::now;
use super::lock;
use super::plan::{Action, Wanted};

/// All of them.
pub struct Truce {
    /// By namespace, account and Secret.
    references: Mutex<Fights<(String, String, String)>>,
    /// By namespace, Secret and what the copy should hold.
    copies: Mutex<Fights<(String, String, Digest)>>,
}

impl Default for Truce {
    fn default() -> Self {
        Self { references: Mutex::new(Fights::new(REFERENCES)), copies: Mutex::new(Fights::new(COPIES)) }
    }
}

impl Truce {
    /// For how long a write is left undone, because somebody undoes it again and again.
    pub fn wait(&self, namespace: &str, wanted: &Wanted, action: &Action) -> Option<Duration> {
        match action {
            Action::AddReference { account, .. } => lock(&self.references)
                .wait(&(namespace.to_owned(), account.clone(), wanted.secret.clone()), now()),
            Action::Create | Action::Update { .. } | Action::Recreate { .. } => lock(&self.copies)
                .wait(&(namespace.to_owned(), wanted.secret.clone(), wanted.content?), now()),
            _ => None,
        }
    }

    /// Counts a write that somebody may undo.
    pub fn wrote(&self, namespace: &str, wanted: &Wanted, action: &Action) {
        match (action, wanted.content) {
            (Action::AddReference { account, .. }, _) => {
                lock(&self.references)
                    .repaired((namespace.to_owned(), account.clone(), wanted.secret.clone()), now());
            }
            (Action::Create | Action::Update { .. } | Action::Recreate { .. }, Some(content)) => {
                lock(&self.copies).repaired((namespace.to_owned(), wanted.secret.clone(), content), now());
            }
            _ => {}
        }
    }

    /// Forgets the repairs of an account, or of the copies of a namespace, of one Secret or of all: they were removed by us,
    /// or the account or namespace is gone, and a later one of its name is another.
    pub fn settle(&self, namespace: &str, account: Option<&str>, secret: Option<&str>) {
        let meant = |name: &str| secret.is_none_or(|secret| secret == name);
        match account {
            Some(account) => lock(&self.references)
                .settle(|(of, name, secret)| of == namespace && name == account && meant(secret)),
            None => lock(&self.copies).settle(|(of, secret, _)| of == namespace && meant(secret)),
        }
    }

    /// Forgets what is too long ago to count.
    pub fn tidy(&self) {
        lock(&self.references).forget(now());
        lock(&self.copies).forget(now());
    }
}
