//! Free ports.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that is free now, and that the system gives to no connection meanwhile: it is below the range that
/// systems take such ports from.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Runs side by side, of neighbouring process ids, get a hundred ports each.
    let first = 10_000 + u16::try_from(std::process::id() % 200).unwrap() * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed);
        // All addresses, or all IPv4 addresses where the system has no IPv6; a port that is taken fails at both.
        if TcpListener::bind(("::", port)).or_else(|_| TcpListener::bind(("0.0.0.0", port))).is_ok() {
            return port;
        }
    }
}
