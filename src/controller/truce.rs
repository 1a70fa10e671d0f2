//! Which repairs are put off for a while: all fights that there are, over references and over copies.

use std::sync::Mutex;
use std::time::Duration;

use super::credentials::Digest;
use super::fights::{COPIES, Fights, REFERENCES};
use super::leader::now;
use super::lock;
use super::plan::Action;

/// All of them.
pub struct Truce {
    /// By namespace and account.
    references: Mutex<Fights<(String, String)>>,
    /// By namespace and what the copy should hold.
    copies: Mutex<Fights<(String, Digest)>>,
}

impl Default for Truce {
    fn default() -> Self {
        Self { references: Mutex::new(Fights::new(REFERENCES)), copies: Mutex::new(Fights::new(COPIES)) }
    }
}

impl Truce {
    /// For how long a write is left undone, because somebody undoes it again and again.
    pub fn wait(&self, namespace: &str, content: Option<Digest>, action: &Action) -> Option<Duration> {
        match action {
            Action::AddReference { account, .. } => {
                lock(&self.references).wait(&(namespace.to_owned(), account.clone()), now())
            }
            Action::Create | Action::Update { .. } | Action::Recreate { .. } => {
                lock(&self.copies).wait(&(namespace.to_owned(), content?), now())
            }
            _ => None,
        }
    }

    /// Counts a write that somebody may undo.
    pub fn wrote(&self, namespace: &str, content: Option<Digest>, action: &Action) {
        match (action, content) {
            (Action::AddReference { account, .. }, _) => {
                lock(&self.references).repaired((namespace.to_owned(), account.clone()), now());
            }
            (Action::Create | Action::Update { .. } | Action::Recreate { .. }, Some(content)) => {
                lock(&self.copies).repaired((namespace.to_owned(), content), now());
            }
            _ => {}
        }
    }

    /// Forgets the repairs of an account, or of the copy of a namespace: it was removed by us, or the account or
    /// namespace is gone, and a later one of its name is another.
    pub fn settle(&self, namespace: &str, account: Option<&str>) {
        match account {
            Some(account) => lock(&self.references).settle(|(of, name)| of == namespace && name == account),
            None => lock(&self.copies).settle(|(of, _)| of == namespace),
        }
    }

    /// Forgets what is too long ago to count.
    pub fn tidy(&self) {
        lock(&self.references).forget(now());
        lock(&self.copies).forget(now());
    }
}
