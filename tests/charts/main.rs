//! Helm chart, kustomize and script: the same settings make the same objects, a real API server takes them, and what
//! cannot be used is refused. Needs Helm (scripts/helm), kubectl, and a cluster of scripts/cluster.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is a test's result"
)]

mod cases;
mod differences;
mod refused;
mod release;
mod render;
mod rules;
mod same;
mod server;
mod tools;
