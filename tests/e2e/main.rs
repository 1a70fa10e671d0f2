//! End to end: a real API server, `kubectl` as users drive it, and the program as it is shipped.
//!
//! ```text
//! scripts/cluster up; eval "$(scripts/cluster env)"; cargo test --features e2e --test e2e
//! ```
//! Every test has a namespace, a `pullgate webhook` and a registration of its own, or a `pullgate controller` with names
//! of its own, so they run side by side.
//! What is shared, and who must wait for whom, is in [`space`]. `docs/end-to-end.md` says what is covered.

#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is a test's result")]

mod cert_manager;
mod certificates;
mod claims;
mod controller;
mod doctor;
mod edges;
mod existing;
mod facts;
mod images;
mod installation;
mod installed;
mod kubectl;
mod space;
mod wait;
mod webhook;

mod neighbour;
mod network;
mod pods;
mod policy;
mod refusal;
mod register;
mod reinvocation;
mod resources;
mod updates;
mod workloads;
