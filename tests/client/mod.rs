//! What measures and attacks the program from outside: an HTTPS client, the program as a child, reviews of any size.
//!
//! Included by `#[path]` into the soak and the benchmarks; it asserts nothing and returns what happened, since a
//! failed call is a figure there. Everything that waits has a deadline.

#![allow(dead_code, reason = "each program that includes this uses another part of it")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "whoever measures stops where there is nothing to measure"
)]

mod connection;
mod program;
mod review;

#[allow(unused_imports, reason = "as above")]
pub(crate) use connection::{
    Caller, Connection, Failure, Response, TlsConnection, TlsSettings, connect, connect_plain, dial, request,
};
#[allow(unused_imports, reason = "as above")]
pub(crate) use program::{Program, free_port, send_signal, webhook};
#[allow(unused_imports, reason = "as above")]
pub(crate) use review::{REVIEW, review};
