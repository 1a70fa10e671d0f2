//! Pull secrets in namespaces and on their ServiceAccounts.

pub mod apply;
pub mod credentials;
pub mod engine;
pub mod fights;
pub mod flags;
pub mod leader;
pub mod metrics;
pub mod plan;
pub mod repeats;
pub mod report;
pub mod run;
pub mod settings;
pub mod source;
pub mod truce;
pub mod view;
pub mod watches;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is behind a lock here is one map, or as good as one: a panic elsewhere has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
