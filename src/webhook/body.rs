//! Reading request bodies within limits: size of one, bytes of all, time.
//!
//! A refused body is read to its end all the same (and dropped): the API server treats an answer that comes
//! before it has sent everything as a broken connection, and does not repeat the call.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::web::{Bytes, Payload};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

/// Bytes that all bodies together may hold.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    max: usize,
}

impl Budget {
    /// A budget of `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), max })
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |used: usize| used.checked_add(bytes).filter(|total| *total <= self.max);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_ok()
    }
}

/// A body, and its share of the budget until it is dropped.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    taken: usize,
    budget: Arc<Budget>,
}

impl Body {
    fn new(budget: &Arc<Budget>) -> Self {
        Self { bytes: Vec::new(), taken: 0, budget: Arc::clone(budget) }
    }

    fn push(&mut self, chunk: &Bytes) -> bool {
        if !self.budget.take(chunk.len()) {
            return false;
        }
        self.taken += chunk.len();
        self.bytes.extend_from_slice(chunk);
        true
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.taken, Ordering::AcqRel);
    }
}

impl std::ops::Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Larger than one may be. `read` tells whether it was read to its end.
    TooLarge {
        /// Whether the connection can be used again.
        read: bool,
    },
    /// Too many bytes are buffered just now. `read` as above.
    Overloaded {
        /// Whether the connection can be used again.
        read: bool,
    },
    /// Not all of it came in time.
    Timeout,
    /// It does not follow its own encoding.
    Broken,
    /// The connection broke.
    Disconnected,
}

/// Reads a body of at most `max` bytes within `patience`.
///
/// # Errors
/// See [`Refused`].
pub async fn read(
    mut payload: Payload,
    length: Option<usize>,
    max: usize,
    patience: Duration,
    budget: &Arc<Budget>,
) -> Result<Body, Refused> {
    let deadline = Instant::now() + patience;
    let mut body = Body::new(budget);
    let too_large = length.is_some_and(|length| length > max);
    // Nothing is reserved on a promise: a client that announces much and sends little holds little.
    let overloaded = length.is_some_and(|length| length > budget.max);
    if too_large || overloaded {
        let read = drain(&mut payload, deadline).await;
        return Err(if too_large { Refused::TooLarge { read } } else { Refused::Overloaded { read } });
    }
    while let Some(chunk) = within(deadline, payload.next()).await? {
        let chunk = chunk.map_err(|error| match error {
            PayloadError::Incomplete(_) | PayloadError::Io(_) => Refused::Disconnected,
            _ => Refused::Broken,
        })?;
        let refused: fn(bool) -> Refused = if body.len() + chunk.len() > max {
            |read| Refused::TooLarge { read }
        } else if body.push(&chunk) {
            continue;
        } else {
            |read| Refused::Overloaded { read }
        };
        drop(body);
        return Err(refused(drain(&mut payload, deadline).await));
    }
    Ok(body)
}

/// Reads and drops what is left. Whether that was all of it.
async fn drain(payload: &mut Payload, deadline: Instant) -> bool {
    loop {
        match within(deadline, payload.next()).await {
            Ok(Some(Ok(_))) => {}
            Ok(None) => return true,
            Ok(Some(Err(_))) | Err(_) => return false,
        }
    }
}

async fn within<T>(deadline: Instant, future: impl Future<Output = T>) -> Result<T, Refused> {
    timeout_at(deadline, future).await.map_err(|_| Refused::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_given_back_when_a_body_is_dropped() {
        let budget = Budget::new(10);
        let mut body = Body::new(&budget);
        assert!(body.push(&Bytes::from_static(b"123456")));
        let mut other = Body::new(&budget);
        assert!(!other.push(&Bytes::from_static(b"12345")));
        drop(body);
        assert!(other.push(&Bytes::from_static(b"12345")));
        drop(other);
        assert_eq!(budget.used.load(Ordering::Acquire), 0);
    }
}
