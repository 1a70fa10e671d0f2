//! pullgate governs how a Kubernetes cluster pulls images: from where, how, and with what credentials.
//!
//! The webhook is a pure function of a request and static rules, with a thin edge around it:
//!
//! ```text
//! environment --config::Config::load--> Policy
//! body --review::decode--> Request --admit::admit(&Policy)--> Verdict --review::encode_allowed--> answer
//! ```
//!
//! Modules marked PURE know no client, clock, environment, log or runtime; `tests/it/purity.rs` holds them to it.

pub mod admit;
pub mod answer;
mod api_server;
mod cause;
pub mod certs;
pub mod cli;
pub mod config;
pub mod controller;
mod descriptors;
pub mod doctor;
mod http_server;
pub mod image;
pub mod images;
pub mod json;
pub mod logging;
pub mod manual;
pub mod metrics;
pub mod mutate;
pub mod names;
mod nesting;
pub mod object;
pub mod offline;
pub mod patch;
pub mod policy;
pub mod policy_export;
pub mod register;
pub mod review;
pub mod terminal;
pub mod webhook;
