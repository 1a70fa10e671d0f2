//! Every test that needs no cluster, in one binary: linking is most of what a test build takes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a test's result"
)]

mod admit_properties;
mod answers;
mod api_server;
#[path = "../client/authority.rs"]
mod authority;
mod certificate_settings;
mod chart;
mod config;
mod connections;
mod controller_flags;
mod controller_settings;
mod controller_view;
mod crd;
mod docs;
mod docs_controller;
mod doctor;
mod fixtures;
mod grammar;
mod https;
mod https_health;
mod https_limits;
mod https_reviews;
mod image_properties;
mod image_references;
mod images;
mod login;
mod manual;
mod merge;
mod migration;
mod migration_accounts;
mod monitoring;
mod offline;
mod plan;
mod policy_export;
#[path = "../client/ports.rs"]
mod ports;
mod process;
mod program;
mod purity;
#[path = "../client/reference_table.rs"]
mod reference_table;
mod refresher_options;
mod register;
mod resource_status;
mod reviews;
mod script_parity;
#[path = "../client/secret_volume.rs"]
mod secret_volume;
mod selection;
mod shutdown;
mod streams;
mod support;
mod tls_reload;
