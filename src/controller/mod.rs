//! Pull secrets in namespaces and on their ServiceAccounts.

pub mod credentials;
pub mod plan;
