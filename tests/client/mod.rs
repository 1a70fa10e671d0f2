//! What measures and attacks the program from outside: an HTTPS client, the program as a child, reviews of any size.
//!
//! Included by `#[path]` into the soak and the benchmarks; it asserts nothing and returns what happened, since a
//! failed call is a figure there. Everything that waits has a deadline.

#![allow(dead_code, reason = "each program that includes this uses another part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whoever measures stops where there is nothing to measure"
)]

mod authority;
mod connection;
mod kubeconfig;
mod ports;
mod program;
mod review;
mod secret_volume;

#[allow(unused_imports, reason = "as above")]
pub(crate) use {
    authority::{Authority, Leaf},
    connection::{
        Caller, Connection, Failure, Response, TlsConnection, TlsSettings, connect, connect_plain, dial,
        request,
    },
    kubeconfig::api_server,
    ports::free_port,
    program::{Program, send_signal, webhook},
    review::{REVIEW, review},
    secret_volume::SecretVolume,
};
