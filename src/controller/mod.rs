//! Pull secrets in namespaces and on their ServiceAccounts.

pub mod credentials;
pub mod fights;
pub mod flags;
pub mod plan;
pub mod settings;
pub mod view;
