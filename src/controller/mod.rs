//! Pull secrets in namespaces and on their ServiceAccounts.

pub mod apply;
pub mod copies;
pub mod crd;
pub mod credentials;
pub mod distributions;
pub mod engine;
pub mod entries;
pub mod fights;
pub mod flags;
pub mod leader;
pub mod merge;
pub mod metrics;
pub mod plan;
pub mod repeats;
pub mod report;
pub mod resource;
pub mod run;
pub mod selection;
pub mod settings;
pub mod source;
pub mod view;
pub mod watches;
