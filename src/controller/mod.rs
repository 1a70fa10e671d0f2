//! Pull secrets in namespaces and on their ServiceAccounts.

pub mod apply;
pub mod certificates;
pub mod copies;
pub mod crd;
pub mod credentials;
pub mod distributions;
pub mod engine;
pub mod entries;
pub mod fights;
pub mod flags;
pub mod leader;
pub mod memory;
pub mod merge;
pub mod metrics;
mod namespace;
pub mod outcomes;
pub mod plan;
pub mod pods;
pub mod process;
pub mod refresher;
mod release;
pub mod repeats;
pub mod report;
pub mod resource;
pub mod resources;
pub mod run;
pub mod selection;
pub mod settings;
pub mod source;
pub mod sources;
pub mod status;
pub mod truce;
pub mod upkeep;
pub mod view;
pub mod watches;
mod watching;
pub mod works;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is behind a lock here is one map, or as good as one: a panic elsewhere has left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
